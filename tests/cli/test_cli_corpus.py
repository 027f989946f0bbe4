from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from command_line import Nwp, files_in

TEXTS = {"ann": "See you tomorrow.\n\nHow are you?\n", "bob": "don't know yet\n"}


@pytest.fixture
def notes(own_place: Path) -> Path:
    folder = own_place / "notes"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_a_folder_of_text_files_becomes_json_lines(nwp: Nwp, notes: Path) -> None:
    found = nwp("corpus", "import", notes, "--out", "mine.jsonl.gz", "--json").result()

    assert found == {"format": "folder", "users": 2, "messages": 3, "words": 9, "skipped": {}}
    assert _rows(Path("mine.jsonl.gz")) == [
        {"user": "ann", "text": "See you tomorrow."},
        {"user": "ann", "text": "How are you?"},
        {"user": "bob", "text": "don't know yet"},
    ]


def test_the_same_import_gives_the_same_bytes(nwp: Nwp, notes: Path) -> None:
    for name in ("one", "two"):
        nwp("corpus", "import", notes, "--out", f"{name}.jsonl.gz", "--json").result()

    assert Path("one.jsonl.gz").read_bytes() == Path("two.jsonl.gz").read_bytes()


def test_an_imported_file_imports_as_it_is(nwp: Nwp, notes: Path) -> None:
    source = Path("times.jsonl")
    rows = [{"user": "ann", "text": "see you", "time": "2020-01-02T03:04:05+02:00"}]
    rows += [{"user": "zoë", "text": "naïve “quotes”\tand\u2028lines", "time": "2021-01-01"}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    first = nwp("corpus", "import", source, "--out", "one.jsonl.gz", "--json").result()
    again = nwp("corpus", "import", "one.jsonl.gz", "--out", "two.jsonl.gz", "--json").result()

    assert first == again
    assert first["format"] == "jsonl"
    assert [row["text"] for row in _rows(Path("one.jsonl.gz"))] == [row["text"] for row in rows]
    assert Path("one.jsonl.gz").read_bytes() == Path("two.jsonl.gz").read_bytes()


def test_an_existing_file_is_left_alone(nwp: Nwp, notes: Path) -> None:
    Path("mine.jsonl.gz").write_text("mine")

    said = nwp("corpus", "import", notes, "--out", "mine.jsonl.gz", "--json").error("bad-input")

    assert "mine.jsonl.gz exists" in said
    assert "--append" in said
    assert "--force" in said
    assert Path("mine.jsonl.gz").read_text() == "mine"


def test_force_replaces_an_existing_file(nwp: Nwp, notes: Path) -> None:
    Path("mine.jsonl.gz").write_text("mine")

    nwp("corpus", "import", notes, "--out", "mine.jsonl.gz", "--force", "--json").result()

    assert len(_rows(Path("mine.jsonl.gz"))) == 3


def test_append_adds_what_is_new(nwp: Nwp, notes: Path) -> None:
    words = ("corpus", "import", notes, "--out", "mine.jsonl.gz", "--append", "--json")
    assert nwp(*words).result()["messages"] == 3
    (notes / "bob.txt").write_text(TEXTS["bob"] * 2 + "ok\n")

    found = nwp(*words).result()

    assert (found["messages"], found["users"], found["words"]) == (2, 1, 4)
    assert found["skipped"] == {"already there": 3}
    texts = [row["text"] for row in _rows(Path("mine.jsonl.gz"))]
    assert texts[3:] == ["don't know yet", "ok"]


def test_append_to_a_file_that_cannot_be_read_leaves_it(
    nwp: Nwp, notes: Path, own_place: Path
) -> None:
    Path("mine.jsonl.gz").write_text("no json\n")
    before = files_in(own_place)

    said = nwp("corpus", "import", notes, "--out", "mine.jsonl.gz", "--append", "--json").error(
        "bad-corpus"
    )

    assert "mine.jsonl.gz, line 1" in said
    assert files_in(own_place) == before


def test_what_is_left_out_is_counted_by_reason(nwp: Nwp) -> None:
    rows = ['{"user": "ann", "text": "see you"}', '{"user": "ann", "text": "  "}', "no", "[]"]
    Path("mixed.jsonl").write_text("\n".join(rows))
    words = ("corpus", "import", "mixed.jsonl", "--out", "mine.jsonl.gz", "--skip-bad-lines")

    found = nwp(*words, "--json").result()
    told = nwp(*words, "--force")

    assert found["messages"] == 1
    assert found["skipped"] == {"empty message": 1, "bad line": 2}
    assert "left out: 2 x bad line" in told.out
    assert told.out.startswith("mine.jsonl.gz: 1 messages, 2 words of 1 users, read as jsonl\n")


def test_the_sample_corpus_is_listed(nwp: Nwp) -> None:
    found = nwp("corpus", "list", "--json").result()

    sample = next(row for row in found["corpora"] if row["name"] == "sample")
    assert set(sample) == {"name", "users", "words", "source", "available"}
    assert sample["available"] is True
    assert "sample" in nwp("corpus", "list").out


def test_what_is_listed_of_the_sample_is_what_an_import_counts(nwp: Nwp) -> None:
    listed = nwp("corpus", "list", "--json").result()["corpora"][0]

    found = nwp("corpus", "import", "sample", "--out", "sample.jsonl.gz", "--json").result()

    assert (found["users"], found["words"]) == (listed["users"], listed["words"])
    assert found["skipped"] == {}


def test_a_path_goes_before_a_known_name(nwp: Nwp) -> None:
    Path("sample").mkdir()
    Path("sample/ann.txt").write_text("see you\n")

    found = nwp("corpus", "import", "sample", "--out", "mine.jsonl.gz", "--json").result()

    assert (found["format"], found["messages"]) == ("folder", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ami", "shakespeare", "ubuntu_irc"])
def test_a_real_corpus_imports_whole(nwp: Nwp, real_corpora: Path, name: str) -> None:
    source = real_corpora / f"{name}.jsonl.gz"

    found = nwp("corpus", "import", source, "--out", "mine.jsonl.gz", "--json").result()

    with gzip.open(source, "rb") as lines:
        texts = [json.loads(line) for line in lines if line.strip()]
    assert found["messages"] + sum(found["skipped"].values()) == len(texts)
    assert found["users"] == len({row["user"] for row in texts if row["text"].strip()})
