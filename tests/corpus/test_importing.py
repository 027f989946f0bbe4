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
from nwp.corpus.writing import JsonLinesWriter
from nwp.errors import BadCorpus, BadInput, BadSettings
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


CHAT = [
    {"user": "Ann Lee", "text": "hi @Ben, call 0170 1234567", "time": "2025-01-01T10:00:00"},
    {"user": "Ben", "text": "ann lee says ok"},
    {"user": "ANN", "text": "see https://example.org/x"},
    {"user": "Ben", "text": "ok"},
    {"user": "Ben", "text": "ok"},
]


@pytest.fixture
def chat(tmp_path: Path) -> str:
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in CHAT))
    return str(path)


def test_texts_are_masked_on_request(chat: str, out: Path) -> None:
    found = import_messages(chat, out, mask=("phone", "url"))
    assert [m.text for m in read(out)][:3] == [
        "hi @Ben, call 0",
        "ann lee says ok",
        "see ://",
    ]
    assert found["masked"] == {"phone": 1, "url": 1}
    assert found["words"] == 4 + 4 + 1 + 1 + 1


def test_names_get_pseudonyms_in_the_users_and_in_the_texts(chat: str, out: Path) -> None:
    key = out.parent / "my.key"
    found = import_messages(chat, out, pseudonyms=key)
    again = import_messages(chat, out.with_name("again.jsonl"), pseudonyms=key)
    assert found == again
    assert found["masked"] == {"name": 2}
    messages = read(out)
    assert [m.text for m in messages][:2] == ["hi @, call 0170 1234567", "@ says ok"]
    assert len({m.user for m in messages}) == found["users"] == 3
    assert all(m.user.startswith("user-") for m in messages)
    assert messages[1].user == messages[3].user
    assert "Ann" not in gzip.decompress(out.read_bytes()).decode()
    assert import_messages(chat, out, pseudonyms=key.with_name("new"), force=True)
    assert {m.user for m in messages}.isdisjoint(m.user for m in read(out))


@pytest.mark.parametrize("name", ["Ben", "ben", "BEN"])
def test_only_ones_own_messages_are_kept(chat: str, out: Path, name: str) -> None:
    found = import_messages(chat, out, only_me=name)
    assert (found["users"], found["messages"]) == (1, 3)
    assert found["skipped"] == {"not yours": 2}
    assert {m.user for m in read(out)} == {"Ben"}


def test_who_is_not_there_is_told_who_is(chat: str, out: Path) -> None:
    with pytest.raises(BadSettings, match="no user 'Ann Le'") as caught:
        import_messages(chat, out, only_me="Ann Le")
    assert "Ann Lee" in caught.value.hint
    assert not out.parent.exists()


def test_a_name_in_other_capitals_of_several_users_is_refused(chat: str, out: Path) -> None:
    rows = [{"user": "ANN", "text": "x"}, {"user": "Ann", "text": "y"}]
    Path(chat).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert import_messages(chat, out, only_me="Ann")["messages"] == 1
    with pytest.raises(BadSettings, match="several users called 'ann'") as caught:
        import_messages(chat, out, only_me="ann", force=True)
    assert "ANN, Ann" in caught.value.hint


def test_names_of_one_person_become_one(chat: str, out: Path) -> None:
    merge = out.with_name("us.json")
    out.parent.mkdir()
    merge.write_text('{"Ann Lee": ["ANN", "Annie"]}')
    found = import_messages(chat, out, merge=merge)
    assert found["users"] == 2
    assert found["remarks"] == {"name merged": 1}
    assert found["not_met"] == ["Annie"]
    assert [m.user for m in read(out)] == ["Ann Lee", "Ben", "Ann Lee", "Ben", "Ben"]
    assert import_messages(chat, out, merge=merge, only_me="ANN", force=True)["messages"] == 2
    key = out.with_name("my.key")
    import_messages(chat, out, merge=merge, pseudonyms=key, force=True)
    assert len({m.user for m in read(out)}) == 2


def test_appending_with_the_same_options_adds_nothing_twice(chat: str, out: Path) -> None:
    def again() -> dict[str, Any]:
        key = out.parent / "my.key"
        return import_messages(chat, out, append=True, mask=("phone",), pseudonyms=key)

    assert again()["messages"] == 5
    before = out.read_bytes()
    assert again()["skipped"] == {"already there": 5}
    assert out.read_bytes() == before


def test_the_same_point_in_time_is_the_same_message_in_any_zone(source: Path, out: Path) -> None:
    def write(*times: str) -> None:
        rows = [{"user": "a", "text": "b", "time": time} for time in times]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    write("2025-03-29T08:10:00+02:00", "0001-01-01T00:30:00+02:00", "9999-12-31T23:30:00-02:00")
    import_messages(str(source), out)
    write("2025-03-29T06:10:00Z", "2025-03-29T06:10:00", "0001-01-01T00:30:00+02:00")
    found = import_messages(str(source), out, append=True)
    assert found["skipped"] == {"already there": 2}
    assert found["messages"] == 1


def test_no_message_is_kept_in_memory(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first message is written before the source's last one is read."""
    source.write_text("".join(json.dumps({"user": "a", "text": str(i)}) + "\n" for i in range(5)))
    steps: list[str] = []
    write = JsonLinesWriter.write

    def watched(self: JsonLinesWriter, message: Message) -> None:
        steps.append(f"wrote {message.text}")
        write(self, message)

    monkeypatch.setattr(JsonLinesWriter, "write", watched)
    monkeypatch.setattr("nwp.tasks.importing._STEP", 1)
    import_messages(str(source), out, progress=lambda number: steps.append(f"read {number}"))
    assert steps[:4] == ["read 1", "wrote 0", "read 2", "wrote 1"]


def test_a_full_disk_is_not_taken_for_a_source_that_cannot_be_read(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonLinesWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        import_messages(str(source), out)
    assert not list(out.parent.iterdir())


def test_a_file_in_the_folder_that_is_read_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "ann.txt").write_text("one\n")
    out = tmp_path / "mine.jsonl"
    assert import_messages(str(tmp_path), out)["messages"] == 1
    found = import_messages(str(tmp_path), out, force=True, form="folder")
    assert found["skipped"] == {"other file": 1}
