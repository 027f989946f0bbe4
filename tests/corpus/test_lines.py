from __future__ import annotations

import codecs
import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwp.corpus import lines
from nwp.corpus.lines import MAX_LINE, clean, clean_name, decode, raw_lines, read_lines
from nwp.corpus.types import Tally

MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
WIDE = [name for name in MARKS if name != "utf-8"]
texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\0é🙂 "), max_size=40
)


class Trickle(io.RawIOBase):
    """Gives at most so many bytes at once."""

    def __init__(self, data: bytes, most: int) -> None:
        self._inner, self._most = io.BytesIO(data), most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        piece = self._inner.read(min(self._most, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def trickled(data: bytes, most: int) -> io.BufferedReader:
    return io.BufferedReader(Trickle(data, most), max(most, 1))


def read(data: bytes, tally: Tally | None = None) -> list[str]:
    return list(read_lines(io.BytesIO(data), tally or Tally()))


def raw(data: bytes, tally: Tally | None = None) -> list[bytes]:
    return list(raw_lines(io.BytesIO(data), tally or Tally()))


# Encodings


@given(texts, st.integers(1, 9))
@example("\ufeffa", 2)
@example("a\r\nb\rc\n\n", 1)
def test_raw_lines_put_together_are_the_file(text: str, most: int) -> None:
    data, tally = text.encode(), Tally()
    found = list(raw_lines(trickled(data, most), tally))
    assert b"".join(found) == data.removeprefix(codecs.BOM_UTF8)
    assert found == data.removeprefix(codecs.BOM_UTF8).splitlines(keepends=True) or b"\r" in data
    assert all(line.count(b"\n") == line.endswith(b"\n") for line in found)
    assert not tally.skipped


@given(texts.filter(lambda text: not text.startswith("\ufeff")), st.sampled_from(sorted(MARKS)))
@example("é\r\n\r\nz", "utf-16-be")
@example("\0a", "utf-16-le")
def test_a_byte_order_mark_tells_how_the_file_is_written(text: str, encoding: str) -> None:
    if encoding == "utf-16-le" and text.startswith("\0"):
        return  # is spelled as UTF-32 is
    tally = Tally()
    found = read(MARKS[encoding] + text.encode(encoding), tally)
    expected = [line.rstrip("\r") for line in text.split("\n")]
    assert found == (expected if text[-1:] not in ("", "\n") else expected[:-1])
    assert not tally.skipped
    assert not tally.remarks


@pytest.mark.parametrize("encoding", [*MARKS, "none"])
def test_line_ends_and_what_comes_of_them(encoding: str) -> None:
    text = "one\r\ntwo\n\n \nthr\ree\nfour\0\nlast"
    mark = MARKS.get(encoding, b"")
    data = mark + text.encode(encoding if mark else "utf-8")
    assert read(data) == ["one", "two", "", " ", "thr\ree", "four\0", "last"]
    assert read(data + "\r\n".encode(encoding if mark else "utf-8"))[-1] == "last"


@pytest.mark.parametrize("mark", MARKS.values(), ids=list(MARKS))
def test_a_file_of_a_mark_or_less_has_no_lines(mark: bytes) -> None:
    assert read(b"") == raw(b"") == []
    assert read(mark) == []
    for size in range(1, len(mark)):
        assert all(isinstance(line, str) for line in read(mark[:size]))


@pytest.mark.parametrize("size", range(6))
def test_the_shortest_files(size: int) -> None:
    assert read(b"abcdef"[:size]) == [b"abcdef"[:size].decode()] * bool(size)
    assert read(b"\n" * size) == [""] * size
    assert raw(b"\n" * size) == [b"\n"] * size
    assert read(b"a\n" * size) == ["a"] * size
    assert read(b"\n\na\n"[:size]) == ["", "", "a"][: min(size, 3)]


def test_each_line_that_is_no_utf_8_is_read_as_windows_1252() -> None:
    tally = Tally()
    data = b"caf\xc3\xa9\ncaf\xe9\n\x93quoted\x94\n\xf0\x9f\x99\x82\ncut \xf0\x9f\n\x81\x8d\xff\nok"
    found = read(data, tally)
    assert found == ["café", "café", "“quoted”", "🙂", "cut ðŸ", "\ufffd\ufffdÿ", "ok"]
    assert tally.remarks == {"line that is no UTF-8, read as Windows-1252": 4}


@given(st.binary(max_size=40), st.sampled_from([b"", *MARKS.values()]))
def test_whatever_the_bytes_lines_are_text_without_line_feeds(data: bytes, mark: bytes) -> None:
    found = read(mark + data)
    assert all("\n" not in line for line in found)
    "".join(found).encode()  # no half of a pair in it
    assert decode(data).encode() is not None


@pytest.mark.parametrize("encoding", WIDE)
def test_a_wide_file_that_ends_in_the_middle_of_a_character_is_read_up_to_there(
    encoding: str,
) -> None:
    data = MARKS[encoding] + "one\ntwo".encode(encoding)
    assert read(data[:-1]) == ["one", "tw\ufffd"]


# Lines that are too long

LONG = 20


@pytest.fixture(params=[LONG, MAX_LINE], ids=["20", "MAX_LINE"])
def most(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(lines, "MAX_LINE", request.param)
    found: int = request.param
    return found


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("over", [-1, 0, 1, 2, 3, 4, 5, 1_000])
@pytest.mark.parametrize("before", [b"", b"\n", b"a\n", b"one\ntwo\n"])
def test_a_line_of_the_greatest_length_is_read_and_a_longer_one_counted(
    most: int, before: bytes, over: int, end: bytes
) -> None:
    tally = Tally()
    line = b"x" * (most + over - len(end)) + end
    found = raw(before + line, tally)
    assert found == [*before.splitlines(keepends=True), line if over <= 0 else b""]
    assert tally.skipped == ({"line too long": 1} if over > 0 else {})


@pytest.mark.parametrize("times", [1, 2, 3, 10])
@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("encoding", ["none", *MARKS])
@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_a_line_that_is_too_long_is_counted_once_and_lines_keep_their_numbers(
    most: int, encoding: str, place: str, end: str, times: int
) -> None:
    if most == MAX_LINE and times > 3:
        return
    mark = MARKS.get(encoding, b"")
    rows = ["one", "two", "three"]
    rows.insert({"start": 0, "middle": 1, "end": 3}[place], "é" * (most * times + 1))
    tally = Tally()
    found = read(mark + ("\n".join(rows) + end).encode(encoding if mark else "utf-8"), tally)
    assert found == [row if len(row) < 9 else "" for row in rows]
    assert tally.skipped == {"line too long": 1}
    assert not tally.remarks


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_greatest_length_of_a_wide_line_is_in_characters(
    most: int, encoding: str, end: str
) -> None:
    for over in (-1, 0, 1, 2):
        tally = Tally()
        line = "é" * (most + over - len(end))
        found = read(MARKS[encoding] + (line + end).encode(encoding), tally)
        assert found == [line if over <= 0 else ""]
        assert bool(tally.skipped) == (over > 0)


def test_many_lines_that_are_too_long_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", LONG)
    tally = Tally()
    found = raw(b"".join(b"x" * n + b"\n" for n in range(50)), tally)
    assert [len(line) for line in found] == [*range(1, LONG + 1), *[0] * (50 - LONG)]
    assert tally.skipped == {"line too long": 50 - LONG}


def test_the_numbers_of_lines_are_those_of_an_editor(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbfa\n\n" + b"x" * (MAX_LINE + 1) + b"\nb\n"
    numbered = dict(enumerate(raw(data), 1))
    assert numbered == {1: b"a\n", 2: b"\n", 3: b"", 4: b"b\n"}


# Clean text and names

any_text = st.text(st.characters(), max_size=20) | st.text(
    st.sampled_from(
        "a \r\n\t\0\x1b\x7f\x85\u200d\u200e\u202e\u2066\ufeff\ud83d\ude42\ud800é🙂\xa0"
    ),
    max_size=20,
)


@given(any_text)
@example("\ud83d\r\n\ude42")
@example("\r\0\n")
@example("\ud83d\0\ude42")
def test_clean_text_has_no_controls_and_no_halves_and_stays_as_it_is(text: str) -> None:
    found = clean(text)
    found.encode()
    assert clean(found) == found
    assert not any(c < " " and c not in "\t\n" for c in found)
    assert "\r" not in found
    assert "\x7f" not in found


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20))
def test_text_without_controls_is_left_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\tb", "a\tb"),
        ("\x1b[31mred\x1b[0m\x07", "[31mred[0m"),
        ("\ud83d\ude42", "🙂"),
        ("\ud83d!", "\ufffd!"),
        ("\ufeffa", "\ufeffa"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("\u200fשלום\u200e", "\u200fשלום\u200e"),
        ("a\x85b\x9fc", "a\x85bc"),
    ],
)
def test_what_is_cleaned(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(any_text)
@example("\u200d \u200d")
@example("\u202e\r\u202e\n")
def test_a_clean_name_is_one_line_of_visible_characters(name: str) -> None:
    found = clean_name(name)
    found.encode()
    assert clean_name(found) == found
    assert found == " ".join(found.split())
    assert all(unicodedata.category(c) not in ("Cc", "Cf") or c in "\u200d\u200c" for c in found)
    assert not found or any(unicodedata.category(c) not in ("Cf", "Zs") for c in found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("  Ann\t\n W. ", "Ann W."),
        ("\u202aAnn\u202c", "Ann"),
        ("\u200eAnn\xa0W.\u200f", "Ann W."),
        ("\ufeffAnn\u2069", "Ann"),
        ("Ann 👩🏽\u200d🔬", "Ann 👩🏽\u200d🔬"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\u200d", ""),
        ("\u200b\u2060 \u200c\u200d\ufe0f", ""),
        ("\x00\x07", ""),
        ("", ""),
        ("\ud800", "\ufffd"),
        ("🙂", "🙂"),
    ],
)
def test_how_names_are_cleaned(name: str, expected: str) -> None:
    assert clean_name(name) == expected
