from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nwp.tasks.demo import OPTIONS

Run = Callable[..., subprocess.CompletedProcess[str]]

DIARIES = {
    "ann": "See you tomorrow at the park. | How are you? | I don't know yet. | Good morning! | ok",
    "ben": "how are we going to get home | see you tomorrow | good night | what time is it",
    "cleo": "Are you home? | see you tomorrow then | what time are we going to the park | yes",
    "dan": "I don't know what time it is. | See you! | Are we going home? | how are you | hm",
}


@pytest.fixture
def nwp(tmp_path: Path) -> Run:
    """The command as a person has it: a process of its own, a home that knows nothing yet."""
    home = tmp_path / "home"
    home.mkdir()
    kept = ("PATH", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}

    def run(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nwp", *map(str, words)],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            **options,
        )

    return run


def _object(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """One JSON object alone on standard output of a command that went well."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1
    assert "Warning" not in done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_from_a_folder_of_texts_to_suggestions(nwp: Run, tmp_path: Path) -> None:
    notes = tmp_path / "home" / "notes"
    notes.mkdir()
    for name, text in DIARIES.items():
        (notes / f"{name}.txt").write_text("\n".join(text.split(" | ") * 5), encoding="utf-8")

    imported = _object(nwp("corpus", "import", "notes", "--out", "mine.jsonl.gz", "--json"))
    assert (imported["format"], imported["users"]) == ("folder", 4)

    tiny = ("--embedding", 8, "--hidden", 8, "--public-words", 200, "--rounds", 3, "--cohort", 4)
    trained = _object(nwp("train", "mine.jsonl.gz", "--out", "my-model", *tiny, "--json"))
    assert (trained["users"], trained["rounds"]) == (4, 3)

    options = ("--model", "my-model", "--processes", 1)
    evaluated = _object(nwp("evaluate", "mine.jsonl.gz", *options, "--baselines", "--json"))
    assert [row["user"] for row in evaluated["users"]] == sorted(DIARIES)
    assert set(evaluated["baselines"]) == {"unigram", "trigram_kn", "local_only", "untrained"}

    (run,) = _object(nwp("runs", "list", "--json"))["runs"]
    assert (run["state"], run["rounds"], run["perplexity"]) == (
        *("finished", 3),
        trained["valid"]["perplexity"],
    )

    suggested = _object(nwp("suggest", "see you tom", "--model", "my-model", "--json"))
    assert suggested["suggestions"][0]["word"] == "tomorrow"

    lost = nwp("suggest", "see", "--model", "no-model", "--json")
    assert lost.returncode == 3
    assert json.loads(lost.stdout)["error"]["kind"] == "bad-bundle"
    assert {path.name for path in (tmp_path / "home").iterdir()} == {
        *("notes", "mine.jsonl.gz", "my-model", ".local")
    }
    kept = [path for path in (tmp_path / "home" / ".local").rglob("*") if path.is_file()]
    assert [str(path.relative_to(tmp_path / "home")) for path in kept] == [
        ".local/share/nwp/runs.sqlite"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.slow
def test_the_demonstration_ends_with_figures_to_read_by_machine(nwp: Run, tmp_path: Path) -> None:
    done = nwp("demo")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["users"], found["workers"]) == (32, 4)
    assert found["rounds"] == OPTIONS.rounds
    assert found["seconds"] > 0
    assert found["bytes_up"] > 0
    assert found["bytes_down"] > 0
    test = found["test"]
    assert 0 < test["top1"] < test["top3"] < 1
    assert test["perplexity"] < test["untrained"]
    assert test["perplexity"] < test["unigram"]
    assert test["perplexity"] < test["trigram"]
    assert test["perplexity"] < test["local_only"]
    model = tmp_path / "home" / ".cache" / "nwp" / "demo"
    suggested = _object(nwp("suggest", "see you ", "--model", model, "--json"))
    assert len(suggested["suggestions"]) == 3
