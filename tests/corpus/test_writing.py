from __future__ import annotations

import gzip
import hashlib
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.corpus.readers import jsonl
from nwp.corpus.types import Message, Tally
from nwp.corpus.writing import JsonLinesWriter, json_line

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
MESSAGES = st.lists(
    st.builds(Message, TEXTS, TEXTS, st.none() | st.datetimes(timezones=st.none() | st.just(UTC))),
    max_size=6,
)
TWO = [Message("ann", "hello"), Message("bo", "hé 🙂\n", datetime(2025, 1, 2, tzinfo=UTC))]


def write(path: Path, messages: list[Message]) -> JsonLinesWriter:
    with JsonLinesWriter(path) as writer:
        for message in messages:
            writer.write(message)
    return writer


def test_a_line_is_a_message_of_nwps_own_form() -> None:
    assert [json_line(m).decode() for m in TWO] == [
        '{"user": "ann", "text": "hello"}\n',
        '{"user": "bo", "text": "hé 🙂\\n", "time": "2025-01-02T00:00:00+00:00"}\n',
    ]


@given(MESSAGES, st.sampled_from(["a.jsonl", "a.jsonl.gz"]))
def test_what_is_written_reads_back_and_is_counted(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Message], name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "new" / name
    writer = write(path, messages)
    assert list(jsonl.read(path, Tally())) == messages
    assert writer.messages == len(messages)
    assert writer.users == len({m.user for m in messages})
    plain = path.read_bytes() if name == "a.jsonl" else gzip.decompress(path.read_bytes())
    assert writer.sha256 == hashlib.sha256(plain).hexdigest()


def test_equal_messages_give_equal_bytes_under_any_name(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl.gz", TWO)
    write(tmp_path / "bb.jsonl.gz", TWO)
    packed = (tmp_path / "a.jsonl.gz").read_bytes()
    assert packed == (tmp_path / "bb.jsonl.gz").read_bytes()
    assert packed[3:8] == bytes(5)  # no name, no time of day


def test_nobody_sees_the_file_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    with JsonLinesWriter(path) as writer:
        writer.write(TWO[0])
        writer.finish()
        writer.finish()
        assert path.read_text() == "old"
    assert list(jsonl.read(path, Tally())) == TWO[:1]
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it_as_far_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "a.jsonl", TWO)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.jsonl").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("finished", [True, False])
def test_an_error_or_a_discard_leaves_what_was_there(
    tmp_path: Path, name: str, finished: bool
) -> None:
    path = tmp_path / name
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), JsonLinesWriter(path) as writer:
        writer.write(TWO[0])
        if finished:
            writer.finish()
        raise KeyboardInterrupt
    with JsonLinesWriter(path) as writer:
        writer.write(TWO[0])
        writer.discard()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    path = tmp_path / name
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OSError, match="No space"):
        write(path, TWO)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
