from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import read_as

from nwp.corpus.load import load_corpus
from nwp.corpus.readers import jsonl
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

GOOD = b'{"user": "ann", "text": "hello"}\n'
BAD_LINES = {
    "not JSON": b'{"user": "ann", "text": "hello"',
    "not UTF-8": b'{"user": "ann", "text": "\xff"}',
    "not an object": b'["ann", "hello"]',
    '"user" is missing': b'{"text": "hello"}',
    '"text" is missing': b'{"user": "ann"}',
    '"user" is missing or no string': b'{"user": 7, "text": "hello"}',
    '"text" is missing or no string': b'{"user": "ann", "text": null}',
    '"user" is empty': b'{"user": " ", "text": "hello"}',
    '"time" is no string': b'{"user": "ann", "text": "hello", "time": 1735689600}',
    "isoformat": b'{"user": "ann", "text": "hello", "time": "yesterday"}',
}


def read(path: Path, tally: Tally | None = None) -> list[Message]:
    return list(jsonl.read(path, tally or Tally()))


def lines(*rows: dict[str, str]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture(params=[lambda data: data, gzip.compress], ids=["plain", "gzip"])
def packed(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    found: Callable[[bytes], bytes] = request.param
    return found


def test_messages_come_in_the_files_order(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "any"
    path.write_bytes(
        packed(
            b'{"user": "ben", "text": "caf\xc3\xa9\\n\\u00e9\\ud83d\\ude42", "more": [1]}\n'
            b"\n  \r\n"
            b'{"time": "2025-03-29T08:10:00Z", "text": "", "user": "ann"}\r\n'
            b'{"user": "ben", "text": "no line break at the end", "time": null}'
        )
    )
    assert read_as(path)[0] == "jsonl"
    assert read(path) == [
        Message("ben", "café\né🙂"),
        Message("ann", "", datetime(2025, 3, 29, 8, 10, tzinfo=UTC)),
        Message("ben", "no line break at the end"),
    ]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2025-03-29T08:10:00Z", "2025-03-29T08:10:00+00:00"),
        ("2025-03-29t08:10:00z", "2025-03-29T08:10:00+00:00"),
        ("2025-03-29 08:10:00.5+02:00", "2025-03-29T06:10:00.5+00:00"),
        ("2025-03-29T08:10:00-23:59", "2025-03-30T08:09:00+00:00"),
    ],
)
def test_times_are_read_as_rfc_3339_writes_them(tmp_path: Path, time: str, expected: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines({"user": "ann", "text": "hello", "time": time}))
    assert read(path)[0].time == datetime.fromisoformat(expected)


@pytest.mark.parametrize(("why", "line"), BAD_LINES.items(), ids=list(BAD_LINES))
def test_the_line_that_cannot_be_read_is_named(
    tmp_path: Path, packed: Callable[[bytes], bytes], why: str, line: bytes
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(packed(GOOD + b"\n" + line + b"\n" + GOOD))
    with pytest.raises(BadCorpus, match="line 3: ") as caught:
        read(path)
    assert str(path) in caught.value.message
    assert why in caught.value.message
    assert "--skip-bad-lines" in caught.value.hint


def test_the_byte_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"user": "\xe9"}')
    with pytest.raises(BadCorpus, match="byte 11 of the line"):
        read(path)


def test_bad_lines_can_be_skipped_and_are_counted(
    tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.jsonl"
    bad = [line for line in BAD_LINES.values() for _ in range(2)]
    path.write_bytes(packed(GOOD + b"\n".join(bad) + b"\n" + GOOD))
    tally = Tally(lenient=True)
    assert read(path, tally) == [Message("ann", "hello")] * 2
    assert tally.skipped == {"bad line": len(bad)}


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.jsonl.gz"])
def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it(
    tmp_path: Path, packed: Callable[[bytes], bytes], name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(packed(b"\xef\xbb\xbf" + GOOD + GOOD))
    assert read_as(path)[0] == "jsonl"
    assert read(path) == [Message("ann", "hello")] * 2
    path.write_bytes(packed(b"\xef\xbb\xbf\n" + GOOD))
    assert read(path) == [Message("ann", "hello")]
    path.write_bytes(packed(GOOD + b"\xef\xbb\xbf" + GOOD))
    with pytest.raises(BadCorpus, match="line 2: not JSON"):
        read(path)


@given(st.text(st.characters(), max_size=6))
@example("\ud83dA")
@example("A\udc00\ud83d")
@example("\ufeffA")
def test_what_json_can_spell_but_utf_8_cannot_is_replaced_and_nothing_else(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder_name:
        path = Path(folder_name) / "a.jsonl"
        path.write_text(json.dumps({"user": f"u{text}", "text": text}))
        [message] = read(path)
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in joined)
    assert message == Message(f"u{expected}", expected)
    message.text.encode()


def test_json_too_deep_for_the_parser_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"user": "ann", "text": ' + b"[" * 200_000)
    with pytest.raises(BadCorpus, match="line 1: not JSON"):
        read(path)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a"])
def test_a_truncated_gzip_file_is_damaged_however_lenient_one_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    # Bytes that gzip cannot make smaller, so that some lines come before the damage.
    words = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
    rows = [{"user": "ann", "text": words[i : i + 50]} for i in range(0, len(words), 50)]
    whole = gzip.compress(lines(*rows), mtime=0)
    path.write_bytes(whole[: len(whole) // 2])
    messages = jsonl.read(path, Tally(lenient=True))
    assert next(messages).text == words[:50]
    with pytest.raises(BadCorpus, match="damaged"):
        list(messages)
    with pytest.raises(BadCorpus, match="damaged"):
        load_corpus(str(path))


@pytest.mark.parametrize(
    "data",
    [
        b"\x1f\x8b",
        b"\x1f\x8bjunk",
        gzip.compress(b"", mtime=0)[:10] + b"\xff" * 9,
        gzip.compress(b"", mtime=0)[:-1],
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a"])
def test_a_gzip_file_that_holds_nothing_readable_is_damaged(
    tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadCorpus, match="damaged"):
        load_corpus(str(path))


def as_gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A good file with some bytes cut off, put in or changed."""
    form = draw(st.sampled_from([bytes, as_gzip]))
    data = bytearray(form((GOOD + b'{"user": "b", "text": "x", "time": "2025-01-01"}\n') * 3))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(
    st.binary(max_size=80) | st.binary(max_size=30).map(lambda b: b"\x1f\x8b\x08" + b) | spoilt(),
    st.sampled_from(["a.jsonl", "a.jsonl.gz", "a.bin"]),
    st.booleans(),
)
@example(b"\x1f\x8bjunk", "a.bin", False)
@example(b'{"user": "a", "text": "b", "time": ' + b"9" * 5_000 + b"}", "a.jsonl", False)
def test_whatever_a_file_holds_nothing_but_bad_corpus_is_raised(
    data: bytes, name: str, lenient: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder_name:
        path = Path(folder_name) / name
        path.write_bytes(data)
        try:
            corpus = load_corpus(str(path), skip_bad_lines=lenient)
        except BadCorpus as error:
            assert str(path) in error.message
            assert error.hint
        else:
            assert corpus.messages
            assert all(isinstance(m, str) for mine in corpus.users.values() for m in mine)


@given(st.dictionaries(st.sampled_from(["a.txt", "b.txt", "c/d.txt"]), st.binary(max_size=60)))
@example({"a.txt": b"\xff\xfe"})
def test_whatever_texts_a_folder_holds_nothing_but_bad_corpus_is_raised(
    files: dict[str, bytes],
) -> None:
    with tempfile.TemporaryDirectory() as folder_name:
        for name, data in files.items():
            path = Path(folder_name) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        try:
            assert load_corpus(folder_name).messages
        except BadCorpus as error:
            assert folder_name in error.message
            assert error.hint


def read_folder(path: Path, tally: Tally | None = None) -> list[tuple[str, str]]:
    return [(m.user, m.text) for m in read_as(path, tally)[1]]


def test_a_file_is_a_user_and_a_folder_of_files_is_one(tmp_path: Path) -> None:
    (tmp_path / "zoe" / "2024").mkdir(parents=True)
    (tmp_path / "zoe" / "b.txt").write_text("third\n")
    (tmp_path / "zoe" / "a.txt").write_text("second\n")
    (tmp_path / "zoe" / "2024" / "z.txt").write_text("first\n")
    (tmp_path / "ann.txt").write_text("hello \n\n  world\r\nno line break at the end")
    (tmp_path / "ann.b.txt").write_text("a dot\n")
    (tmp_path / "readme.md").write_text("not read\n")
    (tmp_path / "zoe" / "c.csv").write_text("not read\n")
    (tmp_path / "zoe" / "odd.txt").mkdir()
    assert read_as(tmp_path)[0] == "folder"
    assert read_folder(tmp_path) == [
        ("ann.b", "a dot"),
        ("ann", "hello"),
        ("ann", "world"),
        ("ann", "no line break at the end"),
        ("zoe", "first"),
        ("zoe", "second"),
        ("zoe", "third"),
    ]


def test_a_byte_order_mark_before_a_text_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "ann.txt").write_bytes(b"\xef\xbb\xbfhello\n")
    assert read_folder(tmp_path) == [("ann", "hello")]


def test_a_line_of_a_text_that_is_not_utf_8_is_read_as_windows_1252(tmp_path: Path) -> None:
    (tmp_path / "ann.txt").write_bytes(b"one\ncaf\xe9\nthree\n\xff\n")
    tally = Tally()
    assert [text for _, text in read_folder(tmp_path, tally)] == ["one", "café", "three", "ÿ"]
    assert tally.remarks == {"line that is no UTF-8, read as Windows-1252": 2}


def test_names_of_files_that_are_not_utf_8_stay_different_users(tmp_path: Path) -> None:
    try:
        for name in (b"jos\xe9.txt", b"jos\xe8.txt"):
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("hello")
    except OSError:
        pytest.skip("this file system takes only names of UTF-8")
    users = [user for user, _ in read_folder(tmp_path)]
    assert len(set(users)) == 2
    assert all(user.encode().startswith(b"jos") for user in users)
