from __future__ import annotations

import gzip
import json
import os
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.corpus.load import load_corpus
from nwp.corpus.readers import jsonl
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, BadInput
from nwp.tasks.importing import import_messages

ROWS: list[dict[str, Any]] = [
    {"user": "ben", "text": "It’s “late”…\nisn't it?", "time": "2025-03-29T08:10:00.5+02:00"},
    {"user": "ann", "text": "yes 🙂 a\u2028b"},
    {"user": "ann", "text": "yes 🙂 a\u2028b"},
    {"user": "ann", "text": " \t"},
    {"user": "ben", "text": "  two words  ", "time": "2025-03-29T08:00:00"},
]


ZONES = st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "source.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "corpus.jsonl.gz"


def read(path: Path) -> list[Message]:
    return list(jsonl.read(path, Tally()))


def test_what_is_written_reads_back_as_it_was(source: Path, out: Path) -> None:
    import_messages(str(source), out)
    assert read(out) == [message for message in read(source) if message.text.strip()]
    assert load_corpus(str(out)).users == load_corpus(str(source)).users
    rows = [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]
    assert [sorted(row) for row in rows] == [
        ["text", "time", "user"],
        ["text", "user"],
        ["text", "user"],
        ["text", "time", "user"],
    ]


def test_the_counts_are_of_what_was_added(source: Path, out: Path) -> None:
    assert import_messages(str(source), out) == {
        "format": "jsonl",
        "users": 2,
        "messages": 4,
        "words": 4 + 3 + 3 + 2,
        "skipped": {"empty message": 1},
    }


def test_equal_text_gives_equal_bytes_packed_only_when_the_name_says_so(
    source: Path, out: Path
) -> None:
    plain, again = out.with_name("plain.jsonl"), out.with_name("again.jsonl.gz")
    for path in (plain, out, again):
        import_messages(str(source), path)
    assert out.read_bytes() == again.read_bytes()
    assert out.read_bytes()[4:8] == bytes(4)  # gzip's place for the time of day
    assert gzip.decompress(out.read_bytes()) == plain.read_bytes()


def test_a_folder_of_texts_becomes_json_lines(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "zoe.txt").write_text("one two\n")
    (folder / "ann.txt").write_text("three\n")
    found = import_messages(str(folder), out)
    assert (found["format"], found["users"], found["words"]) == ("folder", 2, 3)
    assert read(out) == [Message("ann", "three"), Message("zoe", "one two")]


def test_an_existing_file_is_not_overwritten(source: Path, out: Path) -> None:
    out.parent.mkdir()
    out.write_bytes(b"precious")
    with pytest.raises(BadInput, match="exists") as caught:
        import_messages(str(source), out)
    assert "--append" in caught.value.hint
    assert "--force" in caught.value.hint
    assert out.read_bytes() == b"precious"


def test_force_replaces(source: Path, out: Path) -> None:
    out.parent.mkdir()
    out.write_bytes(b"precious")
    import_messages(str(source), out, force=True)
    assert len(read(out)) == 4


def test_appending_adds_nothing_twice(source: Path, out: Path) -> None:
    import_messages(str(source), out)
    before = out.read_bytes()
    found = import_messages(str(source), out, append=True)
    assert out.read_bytes() == before
    assert (found["messages"], found["users"], found["words"]) == (0, 0, 0)
    assert found["skipped"] == {"empty message": 1, "already there": 4}
    assert import_messages(str(out), out, append=True)["skipped"] == {"already there": 4}


def test_appending_adds_what_is_new_behind_what_is_there(source: Path, out: Path) -> None:
    import_messages(str(source), out)
    old = read(out)
    # Another user, another time, and once more what was said twice already.
    rows = [
        {"user": "cleo", "text": ROWS[1]["text"]},
        {**ROWS[1], "time": "2025-01-01T00:00:00Z"},
        *(ROWS[1], ROWS[1], ROWS[1]),
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = import_messages(str(source), out, append=True)
    assert (found["messages"], found["users"]) == (3, 2)
    assert found["skipped"] == {"already there": 2}
    assert read(out)[:4] == old
    assert [m.user for m in read(out)[4:]] == ["cleo", "ann", "ann"]


def test_appending_to_nothing_is_importing(source: Path, out: Path) -> None:
    import_messages(str(source), out, append=True)
    assert len(read(out)) == 4


@given(
    st.lists(
        st.builds(
            Message,
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
            st.none() | st.datetimes(timezones=st.none() | ZONES),
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 5),
)
def test_any_messages_survive_and_appending_halves_gives_the_whole(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Message], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    source, out = folder / "a.jsonl", folder / "b.jsonl.gz"

    def write(some: list[Message]) -> str:
        rows = [
            {"user": m.user, "text": m.text, "time": m.time and m.time.isoformat()} for m in some
        ]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(source)

    whole = read(Path(write(messages)))
    if first := messages[:cut]:
        import_messages(write(first), out)
    import_messages(write(messages), out, append=True)
    assert read(out) == whole
    assert [(m.user, m.text, m.time) for m in whole] == [(m.user, m.text, m.time) for m in messages]


def test_bad_lines_fail_the_import_or_are_counted(source: Path, out: Path) -> None:
    source.write_text(source.read_text() + "{\n")
    with pytest.raises(BadCorpus, match="line 6"):
        import_messages(str(source), out)
    assert not out.exists()
    found = import_messages(str(source), out, skip_bad_lines=True)
    assert found["skipped"] == {"empty message": 1, "bad line": 1}


@pytest.mark.parametrize("flag", ["append", "force"])
def test_an_import_that_fails_leaves_the_old_file_and_nothing_else(
    source: Path, out: Path, flag: str
) -> None:
    import_messages(str(source), out)
    before = out.read_bytes()
    source.write_text(json.dumps({"user": "new", "text": "new"}) + "\n{\n")
    with pytest.raises(BadCorpus, match="line 2"):
        import_messages(str(source), out, **{flag: True})
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_leaves_the_old_file_and_nothing_else(
    source: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
) -> None:
    import_messages(str(source), out)
    before = out.read_bytes()
    source.write_text(json.dumps({"user": "new", "text": "new"}) + "\n")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(type(error)):
        import_messages(str(source), out, append=True)
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def test_nothing_to_import_is_refused_and_writes_nothing(source: Path, out: Path) -> None:
    source.write_text(json.dumps({"user": "ann", "text": "  "}) + "\n")
    with pytest.raises(BadCorpus, match="has no messages"):
        import_messages(str(source), out)
    assert not out.exists()


def test_appending_to_a_file_that_cannot_be_read_changes_nothing(source: Path, out: Path) -> None:
    out.parent.mkdir()
    out.write_bytes(b"precious\n")
    with pytest.raises(BadCorpus, match="line 1"):
        import_messages(str(source), out, append=True)
    assert out.read_bytes() == b"precious\n"
