from __future__ import annotations

import gzip
import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Nwp

from nwp.corpus.published import PUBLISHED
from nwp.corpus.readers import readers
from nwp.corpus.types import Message


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NWP_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "corpora"


def test_a_split_is_a_corpus_of_its_name(nwp: Nwp, corpus: Path, home: Path) -> None:
    words = ("corpus", "split", corpus, "--name", "uneven", "--by", "quantity", "--users", "3")

    said = nwp(*words, "--seed", "4", "--held-out", "0.2")

    assert said.code == 0
    assert "uneven: 3 users, " in said.out
    assert "uneven.held-out: 1 users, " in said.out
    assert "nwp train uneven" in said.out
    known = {row["name"]: row for row in nwp("corpus", "list", "--json").result()["corpora"]}
    assert known["uneven"]["users"] == 3
    assert known["uneven.held-out"]["available"]
    shown = nwp("corpus", "show", "uneven", "--json").result()
    assert shown["words"] == known["uneven"]["words"]
    assert nwp(*words).code == 3  # it exists
    assert nwp(*words, "--force").code == 0
    assert (home / "uneven.json").exists()


def test_a_split_is_repeated_from_its_manifest_and_verified(
    nwp: Nwp, corpus: Path, home: Path
) -> None:
    made = nwp("corpus", "split", corpus, "--name", "a", "--by", "iid", "--users", "2", "--json")
    again = nwp("corpus", "split", corpus, "--name", "b", "--repeat", home / "a.json", "--json")

    sums = [next(iter(found.result()["parts"].values()))["sha256"] for found in (made, again)]
    assert sums[0] == sums[1]
    assert nwp("corpus", "verify", "b").out == "b: as it was\n"
    assert nwp("corpus", "verify", home / "b.json", "--json").result()["holds"]
    lines = gzip.decompress((home / "b.jsonl.gz").read_bytes())
    (home / "b.jsonl.gz").write_bytes(gzip.compress(lines.replace(b"a", b"b", 1)))
    changed = nwp("corpus", "verify", "b")
    assert changed.code == 3
    assert "b: CHANGED OR MISSING" in changed.out
    told = nwp("corpus", "verify", "b", "--json")
    assert (told.code, told.json()["holds"]) == (3, False)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--by", "luck"), "no way 'luck'"),
        (("--by", "iid"), "makes new users"),
        (("--until", "soon"), "until is no date"),
        (("--merge", "nowhere.json"), "cannot read nowhere.json"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(
    nwp: Nwp, corpus: Path, home: Path, more: tuple[str, ...], message: str
) -> None:
    said = nwp("corpus", "split", corpus, "--name", "x", *more, "--json").error("bad-settings")

    assert message in said
    assert not home.exists()


def test_a_published_corpus_is_made_from_an_archive_or_refused(
    nwp: Nwp, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "plays.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("material-1/readme.txt", "nothing of a play")

    assert "ubuntu_irc" in nwp("corpus", "get", "nothing", "--json").error("bad-corpus")
    nwp("corpus", "get", "shakespeare", "--archive", archive, "--json").error("bad-corpus")
    assert not (home / "shakespeare.jsonl.gz").exists()

    line = b'{"user": "x/ANN", "text": "so be it"}\n'
    tiny = replace(
        PUBLISHED["shakespeare"],
        users=1,
        messages=1,
        words=3,
        sha256=hashlib.sha256(line).hexdigest(),
        rebuild=lambda source: iter([Message("x/ANN", "so be it")]),
    )
    monkeypatch.setitem(PUBLISHED, "shakespeare", tiny)
    found = nwp("corpus", "get", "shakespeare", "--archive", archive, "--json").result()
    assert (found["users"], found["words"], found["licence"]) == (1, 3, "public domain")
    assert gzip.decompress(Path(found["file"]).read_bytes()) == line
    assert "nwp train shakespeare" in nwp("corpus", "get", "shakespeare").out


def test_formats_are_listed_in_the_order_in_which_they_are_tried(nwp: Nwp) -> None:
    found = nwp("corpus", "formats", "--json").result()["formats"]

    assert [row["name"] for row in found] == [reader.name for reader in readers()]
    assert all(row["about"] in nwp("corpus", "formats").out for row in found)
