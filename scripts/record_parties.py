"""Record the walk-through of docs/parties.md: two people train a model together, and what they see.

    python scripts/record_parties.py

Runs every command of the page in an empty folder, each person in a folder of their own, and writes
docs/parties/*.svg: terminals with what was typed and what was answered. Takes about two minutes.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from nwp.corpus.load import load_corpus

OUT = Path(__file__).parent.parent / "docs" / "parties"
ROUNDS = "4"
WIDTH = 96


class Person:
    """One person's terminal, in a folder of their own."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.folder = name, root / name
        self.folder.mkdir()
        self.environment = {
            **os.environ,
            "NWP_HOME": str(self.folder / "home"),
            "COLUMNS": str(WIDTH),
        }
        self.lines: list[tuple[bool, str]] = []

    def types(self, command: str) -> str:
        """Run a command as typed; what it printed on both streams."""
        said = self.runs(command)
        self.show(command, said)
        return said

    def runs(self, command: str) -> str:
        """Run a command unseen."""
        words = [sys.executable, "-m", *shlex.split(command)]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
        )
        return done.stderr + done.stdout

    def starts(self, command: str) -> tuple[str, subprocess.Popen[str]]:
        """Start a command that goes on."""
        words = [sys.executable, "-m", *shlex.split(command)]
        log = (self.folder / f"{words[3]}.log").open("w+")
        return command, subprocess.Popen(
            words, cwd=self.folder, env=self.environment, text=True, stdout=log, stderr=log
        )

    def show(self, command: str, said: str) -> None:
        """Put a command and its answer on the screen."""
        self.lines.append((True, f"$ {command}"))
        self.lines += [(False, line) for line in said.rstrip().splitlines()]

    def picture(self, name: str, root: Path) -> None:
        """Write the screen as a picture, and clear it. The recording's own folder is shown as /mnt/us."""
        console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
        for typed, line in self.lines:
            shown = line.replace(str(root / "us"), "/mnt/us").replace(
                str(self.folder / "home"), "~"
            )
            console.print(Text(shown, style="bold" if typed else ""))
        OUT.mkdir(exist_ok=True)
        svg = console.export_svg(
            title=self.name, theme=DIMMED_MONOKAI, unique_id=re.sub(r"\W", "", name)
        )
        # No font from elsewhere: the page works without a network.
        svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
        (OUT / f"{name}.svg").write_text(svg, encoding="utf-8")
        self.lines.clear()


def main() -> None:
    """Play the whole story."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        kajsa, ada = Person("kajsa", root), Person("ada", root)
        texts = load_corpus("sample").users
        most = sorted(texts, key=lambda user: -len(texts[user]))
        for person, user in zip((kajsa, ada), most, strict=False):
            rows = [json.dumps({"user": person.name, "text": text}) for text in texts[user]]
            (person.folder / "messages.jsonl").write_text("\n".join(rows) + "\n")
        place = f"--transport folder:{root / 'us'}"
        kajsa.types(f"nwp server init --as kajsa@lab.example {place}")
        told = kajsa.types("nwp server invite kajsa@home.example ada@home.example")
        kajsa.picture("server", root)
        commands = [line.strip() for line in told.splitlines() if "worker init" in line]
        for person, command in zip((kajsa, ada), commands, strict=True):
            person.types(command)
            person.types("nwp worker add messages.jsonl")
            rules = person.folder / "home" / "worker" / "policy.toml"
            rules.write_text(rules.read_text().replace("min_cohort = 3", "min_cohort = 2"))
        running = [(person, *person.starts("nwp worker run")) for person in (kajsa, ada)]
        training = kajsa.starts(
            f"nwp server train --out ours --rounds {ROUNDS} --uplink bf16 --downlink bf16 --storage bf16"
        )
        for person in (kajsa, ada):
            while "pending" not in person.runs("nwp worker requests"):
                time.sleep(1)
            person.types("nwp worker requests")
            person.types("nwp worker approve 1")
        ada.picture("owner", root)
        command, process = training
        process.wait()
        log = kajsa.folder / "server.log"
        kajsa.lines.clear()
        kajsa.show(command, log.read_text())
        kajsa.types("nwp suggest 'see you ' --model ours")
        kajsa.picture("training", root)
        for _, _, owner in running:
            owner.terminate()
            owner.wait()
        ada.types("nwp worker log")
        ada.types("nwp worker show-sent 4")
        ada.picture("ledger", root)


if __name__ == "__main__":
    main()
