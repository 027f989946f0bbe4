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


@pytest.fixture
def chat(own_place: Path) -> Path:
    rows = [
        {"user": "Ann Lee", "text": "call 0170 1234567 or ann@example.org"},
        {"user": "Ben", "text": "@Ann Lee yes"},
        {"user": "Ben", "text": "see you"},
    ]
    path = own_place / "chat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_masking_pseudonyms_merging_and_only_me(nwp: Nwp, chat: Path) -> None:
    Path("us.toml").write_text('Benjamin = ["Ben"]\n')
    words = ("corpus", "import", chat, "--out", "mine.jsonl.gz", "--force")

    found = nwp(*words, "--mask", "phone,email", "--pseudonyms", "my.key", "--json").result()
    assert found["masked"] == {"name": 1, "phone": 1, "email": 1}
    assert found["words"] == 3 + 1 + 2
    rows = _rows(Path("mine.jsonl.gz"))
    assert [row["text"] for row in rows] == ["call 0 or @://", "@ yes", "see you"]
    assert all(row["user"].startswith("user-") for row in rows)

    found = nwp(*words, "--only-me", "benjamin", "--merge", "us.toml", "--json").result()
    assert (found["messages"], found["skipped"]) == (2, {"not yours": 1})
    assert found["remarks"] == {"name merged": 2}
    assert {row["user"] for row in _rows(Path("mine.jsonl.gz"))} == {"Benjamin"}


def test_whose_messages_they_are_is_said_once_and_not_beside_json(nwp: Nwp, chat: Path) -> None:
    words = ("corpus", "import", chat, "--out", "mine.jsonl.gz", "--force")

    told = nwp(*words)
    assert told.err.count("\n") == 1
    assert "2 people" in told.err
    assert "--only-me" in told.err
    assert nwp(*words, "--only-me", "Ben").err == ""
    assert nwp(*words, "--pseudonyms", "my.key").err == ""
    assert nwp(*words, "--json").err == ""
    assert nwp("corpus", "import", "sample", "--force").err == ""


def test_names_to_be_merged_that_are_not_there_are_told(nwp: Nwp, chat: Path) -> None:
    Path("us.json").write_text('{"Ann": ["Ann Lee", "Annie"]}')

    told = nwp("corpus", "import", chat, "--out", "a.jsonl", "--merge", "us.json", "--mask", "all")

    assert "not in" in told.err
    assert "Annie" in told.err
    assert "read otherwise: 1 x name merged" in told.out
    assert "masked: 1 x phone" in told.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mask", "names"), "email, handle"),
        (("--columns", "author"), "names no column"),
        (("--columns", "writer=1"), "user, text, time"),
        (("--columns", "user=1,user=2"), "two columns"),
        (("--columns", "user="), "names no column"),
        (("--dates", "dym"), "dmy, mdy, ymd"),
        (("--only-me", "Bob"), "Ben"),
        (("--merge", "nowhere.json"), "cannot read nowhere.json"),
        (("--format", "nothing"), "jsonl"),
    ],
)
def test_options_that_mean_nothing_are_refused_and_nothing_is_written(
    nwp: Nwp, chat: Path, own_place: Path, options: tuple[str, str], message: str
) -> None:
    before = files_in(own_place)

    said = nwp("corpus", "import", chat, *options, "--json").error("bad-settings")

    assert message in said
    assert files_in(own_place) == before


def test_a_key_that_others_may_read_is_refused(nwp: Nwp, chat: Path) -> None:
    Path("my.key").write_text("0" * 64)
    Path("my.key").chmod(0o644)

    said = nwp("corpus", "import", chat, "--pseudonyms", "my.key", "--json").error("bad-input")

    assert "chmod 600 my.key" in said


def test_columns_are_named_or_numbered(nwp: Nwp) -> None:
    Path("table.csv").write_text("author;body;written\nann;see you;01.02.2024\nben;ok;13.02.2024\n")

    nwp(
        *("corpus", "import", "table.csv", "--columns", "user=author, text=2,time=written"),
        *("--dates", "dmy", "--format", "table", "--json"),
    ).result()

    rows = _rows(Path("table.jsonl.gz"))
    assert [(row["user"], row["text"], row["time"][:10]) for row in rows] == [
        ("ann", "see you", "2024-02-01"),
        ("ben", "ok", "2024-02-13"),
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a/My chat.txt", "My chat.jsonl.gz"),
        ("a/b.json.GZ", "b.jsonl.gz"),
        ("a/export.v2.tar.gz", "export.v2.jsonl.gz"),
        ("notes/", "notes.jsonl.gz"),
        ("a/../notes/.", "notes.jsonl.gz"),
        ("sample", "sample.jsonl.gz"),
        ("nltk:chat", "chat.jsonl.gz"),
        ("a/.zip", "corpus.jsonl.gz"),
    ],
)
def test_without_out_the_file_is_named_as_the_source(
    own_place: Path, source: str, expected: str
) -> None:
    from nwp.cli.importing import default_out

    assert default_out(source) == Path(expected)


def test_without_out_the_source_is_never_written_to(nwp: Nwp, chat: Path) -> None:
    assert nwp("corpus", "import", "chat.jsonl", "--json").result()["messages"] == 3
    before = Path("chat.jsonl.gz").read_bytes()

    words = ("corpus", "import", "chat.jsonl.gz", "--json")
    said = nwp(*words, "--force").error("bad-settings")

    assert "--out" in said
    assert Path("chat.jsonl.gz").read_bytes() == before


def test_forgetting_a_user_lasts(nwp: Nwp, chat: Path) -> None:
    words = ("corpus", "import", chat, "--out", "mine.jsonl.gz", "--json")
    nwp(*words).result()
    Path("mine.json").write_text('{"name": "mine", "file": "mine.jsonl.gz"}')

    found = nwp("corpus", "remove", "mine.jsonl.gz", "--user", "Ann Lee", "--json").result()

    assert found == {
        "file": "mine.jsonl.gz",
        "removed": {"users": 1, "messages": 1, "words": 7},
        "left": {"users": 1, "messages": 2, "words": 5},
        "stale": "mine.json",
    }
    again = nwp(*words, "--append").result()
    assert again["skipped"] == {"forgotten user": 1, "already there": 2}
    assert {row["user"] for row in _rows(Path("mine.jsonl.gz"))} == {"Ben"}


def test_what_is_removed_is_told(nwp: Nwp, chat: Path) -> None:
    told = nwp("corpus", "remove", chat, "--user", "Ben")

    assert told.code == 0
    assert "removed: 1 users, 2 messages, 5 words\n" in told.out
    assert "left: 1 users, 1 messages, 7 words\n" in told.out
    assert "checksum" not in told.out


def test_removing_a_stranger_or_everybody_changes_nothing(
    nwp: Nwp, chat: Path, own_place: Path
) -> None:
    before = files_in(own_place)

    said = nwp("corpus", "remove", chat, "--user", "Bem", "--json").error("bad-settings")
    assert "Ben" in said
    everybody = ("--user", "Ben", "--user", "Ann Lee")
    assert "nothing" in nwp("corpus", "remove", chat, *everybody, "--json").error("bad-input")
    assert nwp("corpus", "remove", chat, "--json").error("usage")
    assert files_in(own_place) == before
