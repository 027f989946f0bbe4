from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from command_line import Nwp

from nwp.personal import personal_file
from nwp.personal.store import Personal


@pytest.fixture
def learnt(own_place: Path) -> Path:
    """A file that knows "Kajsa", at the usual place."""
    personal = Personal.open(personal_file())
    for _ in range(4):
        personal.learn("the cat sat on Kajsa")
    personal.close()
    return personal_file()


def test_it_is_off_until_one_says_so(nwp: Nwp, bundle: Path) -> None:
    suggest = ("suggest", "the ", "--personal", "--model", bundle, "--json")
    assert "nwp personal on" in nwp(*suggest).error("refused")
    assert not personal_file().exists()

    said = nwp("personal", "on")
    assert (said.code, str(personal_file()) in said.out) == (0, True)
    found = nwp("personal", "on", "--after", "2", "--json").result()
    assert (found["on"], found["after"]) == (True, 2)
    assert len(nwp(*suggest).result()["suggestions"]) == 3

    assert nwp("personal", "off", "--json").result()["on"] is False
    nwp(*suggest).error("refused")


def test_what_was_learnt_is_suggested_with_personal_alone(
    nwp: Nwp, bundle: Path, learnt: Path
) -> None:
    nwp("personal", "on")
    text = ("suggest", "sat on K", "--model", bundle, "--json")
    own = [row["word"] for row in nwp(*text, "--personal").result()["suggestions"]]
    plain = [row["word"] for row in nwp(*text).result()["suggestions"]]
    assert "Kajsa" in own
    assert "Kajsa" not in plain

    nwp("personal", "block", "kajsa")
    blocked = nwp(*text, "--personal").result()["suggestions"]
    assert "Kajsa" not in [row["word"] for row in blocked]


def test_list_and_forget(nwp: Nwp, learnt: Path) -> None:
    found = nwp("personal", "list", "--json").result()
    words = {row["word"]: row for row in found["words"]}
    assert words["kajsa"]["surface"] == "Kajsa"
    assert words["kajsa"]["uses"] == 4
    assert "Kajsa" in nwp("personal", "list").out

    gone = nwp("personal", "forget", "Kajsa", "nobody", "--json").result()
    assert gone == {"forgotten": 1, "words": ["kajsa"]}
    assert b"kajsa" not in learnt.read_bytes().lower()
    assert nwp("personal", "forget", "--all", "--json").result() == {"forgotten": 4}
    assert nwp("personal", "status", "--json").result()["words"] == 0
    assert "nothing" in nwp("personal", "list").out


@pytest.mark.parametrize("arguments", [(), ("word", "--all")])
def test_forget_wants_words_or_all(nwp: Nwp, learnt: Path, arguments: tuple[str, ...]) -> None:
    nwp("personal", "forget", *arguments, "--json").error("bad-input")
    assert nwp("personal", "status", "--json").result()["words"] == 5


def test_export_forget_and_import_bring_it_back(nwp: Nwp, learnt: Path) -> None:
    before = nwp("personal", "list", "--json").result()
    printed = [json.loads(line) for line in nwp("personal", "export").out.splitlines()]
    found = nwp("personal", "export", "mine.jsonl", "--json").result()
    assert found == {"file": "mine.jsonl", "lines": len(printed)}
    assert stat.S_IMODE(Path("mine.jsonl").stat().st_mode) == 0o600
    nwp("personal", "forget", "--all")

    assert nwp("personal", "import", "mine.jsonl", "--json").result()["lines"] == len(printed)
    assert nwp("personal", "list", "--json").result() == before


def test_a_bad_import_is_told(nwp: Nwp) -> None:
    Path("bad.jsonl").write_text("no\n", encoding="utf-8")
    assert "line 1" in nwp("personal", "import", "bad.jsonl", "--json").error("bad-input")
    nwp("personal", "import", "missing.jsonl", "--json").error("bad-input")


def test_block_and_unblock(nwp: Nwp) -> None:
    assert nwp("personal", "block", "Dead", "line", "--json").result()["blocked"] == [
        "dead",
        "line",
    ]
    nwp("personal", "block", "two words", "--json").error("bad-input")
    found = nwp("personal", "unblock", "DEAD", "other", "--json").result()
    assert found == {"unblocked": ["dead"], "blocked": ["line"]}
    assert "line" in nwp("personal", "list").out
