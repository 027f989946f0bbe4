"""Running `nwp` in this process or in another, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A model that trains in a second; --processes 1 because starting others takes longer than that.
FEW = ("--cohort", "4", "--processes", "1")
TINY = (
    *("--embedding", "8", "--hidden", "8", "--public-words", "200", "--vocabulary", "500"),
    *FEW,
)
ROUNDS = ("--rounds", "4", "--validate-every", "2")
# As many rounds as it takes to be interrupted in the middle of them for sure.
MANY = ("--rounds", "18", "--validate-every", "3")
BUNDLE = ("model.safetensors", "vocabulary.json", "settings.json", "README.md")
EXIT_CODES = {
    "failed": 1,
    "internal": 1,
    "usage": 2,
    "bad-input": 3,
    "bad-corpus": 3,
    "bad-bundle": 3,
    "bad-settings": 3,
    "refused": 4,
    "no-quorum": 4,
    "interrupted": 130,
}


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The one object that --json prints; nothing else may stand on standard output."""
        assert self.out.count("\n") == 1, self.out + self.err
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    def result(self) -> dict[str, Any]:
        """The object of a command that succeeded."""
        found = self.json()
        assert self.code == 0, found
        assert "error" not in found
        return found

    def error(self, kind: str) -> str:
        """Message and hint of a failure of this kind, which also decides the exit code."""
        found = self.json()
        assert set(found) == {"error"}, found
        assert set(found["error"]) == {"kind", "message", "hint"}
        assert (found["error"]["kind"], self.code) == (kind, EXIT_CODES[kind]), found
        return f"{found['error']['message']} | {found['error']['hint']}"


Nwp = Callable[..., Done]


def write_corpus(path: Path, users: Mapping[str, list[str]]) -> Path:
    """Messages as JSON lines."""
    rows = [{"user": user, "text": text} for user, texts in users.items() for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(*arguments: object, stdin: str | bytes | None = None, **environment: str) -> Done:
    """`python -m nwp` in a process of its own."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        command(*arguments),
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        timeout=110,
        env=os.environ | environment,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "nwp", *map(str, arguments)]


def reached(folder: Path, number: int, child: subprocess.Popen[str]) -> int:
    """Wait until a run's state tells a round, `number` at least; it is told."""
    state = folder / "run" / "state.json"
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        if state.exists() and (found := json.loads(state.read_text())["round"]) >= number:
            return int(found)
        time.sleep(0.005)
    raise AssertionError(f"round {number} was not reached; the process gave {child.poll()}")


def files_in(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder: its files with their bytes, its folders with None."""
    return dict(sorted(_walk(folder, folder)))


def _walk(folder: Path, root: Path) -> Iterator[tuple[str, bytes | None]]:
    for path in folder.iterdir():
        name = str(path.relative_to(root))
        if path.is_dir():
            yield name, None
            yield from _walk(path, root)
        else:
            yield name, path.read_bytes()


def bundle_bytes(folder: Path) -> dict[str, bytes]:
    """The files of a bundle, without its run."""
    return {name: (folder / name).read_bytes() for name in BUNDLE}
