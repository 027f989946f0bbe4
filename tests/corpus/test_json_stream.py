from __future__ import annotations

import io
import json
import tracemalloc
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwp.corpus import json_stream
from nwp.corpus.json_stream import MAX_DEPTH, MAX_STRING, json_items, json_whole
from nwp.corpus.source import Entry
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

WHOLE = b'{"name": "us", "messages": [{"a": 1}, {"a": 2}, {"a": [3, "x"]}], "more": null}'


class Repeated(io.RawIOBase):
    """A beginning, then one piece over and over, then an end: as large a file as one likes."""

    def __init__(self, start: bytes, piece: bytes, times: int, end: bytes) -> None:
        self._parts = (start, piece, times, end)
        self._left, self._rest, self._at = iter(()), b"", 0
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        assert (offset, whence) == (0, 0)  # back to the start is all that is asked
        start, piece, times, end = self._parts
        self._left, self._rest, self._at = chain([start], repeat(piece, times), [end]), b"", 0
        return 0

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._rest = self._rest or next(self._left, b"")
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def entry(data: bytes) -> Entry:
    return Entry("a.json", "place/a.json", len(data), lambda: io.BytesIO(data))


def large(start: bytes, piece: bytes, times: int, end: bytes) -> Entry:
    size = len(start) + len(piece) * times + len(end)
    return Entry(
        "a.json",
        "place/a.json",
        size,
        lambda: io.BufferedReader(Repeated(start, piece, times, end)),
    )


def items(data: bytes, prefix: str = "item", tally: Tally | None = None) -> list[Any]:
    return list(json_items(entry(data), prefix, tally or Tally()))


def refused(data: bytes | Entry, prefix: str = "item") -> str:
    """What is said of it."""
    found = entry(data) if isinstance(data, bytes) else data
    with pytest.raises(BadCorpus, match=r"place/a\.json") as caught:
        list(json_items(found, prefix, Tally()))
    assert caught.value.hint
    return caught.value.message


# Values


def test_the_values_at_a_place_come_in_order() -> None:
    assert items(WHOLE, "messages.item") == [{"a": 1}, {"a": 2}, {"a": [3, "x"]}]
    assert items(WHOLE, "name") == ["us"]
    assert items(WHOLE, "messages.item.a.item") == [3, "x"]
    assert items(WHOLE, "nothing.item") == []
    assert items(WHOLE, "") == [json.loads(WHOLE)]
    assert json_whole(entry(WHOLE), Tally()) == json.loads(WHOLE)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
    | st.text(st.sampled_from('"\\u[]{}d8\ud83d\ude42🙂 '), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def whole_characters(value: Any) -> Any:
    """Halves of pairs as U+FFFD, and pairs of halves as one character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {whole_characters(key): whole_characters(one) for key, one in value.items()}
    return [whole_characters(one) for one in value] if isinstance(value, list) else value


@given(st.lists(values, max_size=4), st.booleans(), st.sampled_from([None, 1]))
@example(['\\"[{', "\\\\ud83d", "\ud83d\\", "\ud83d", "\\\ud83d\ude42", '"\\"'], True, None)
@example([0.1, -0.0, 1e300, 2**63 - 1], True, None)
def test_what_json_can_say_is_read_as_it_was_written(
    found: list[Any], as_ascii: bool, indent: int | None
) -> None:
    text = json.dumps(found, ensure_ascii=as_ascii, indent=indent)
    if not as_ascii:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert items(text.encode()) == [whole_characters(value) for value in found]


@pytest.mark.parametrize("size", range(64 * 1024 - 14, 64 * 1024 + 3))
def test_escapes_across_the_parsers_pieces_stay_whole(size: int) -> None:
    runs = ["\\" * times + half for times in (1, 2, 50, 99) for half in ("\ud83d", "ud83d", "")]
    for text in ("\ud83d\ude42", "\ud83d!", "\ud83d\ud83d\ude42", '\\"', *runs):
        data = json.dumps(["x" * size, text, "[[[]]]"]).encode()
        assert items(data)[1:] == [whole_characters(text), "[[[]]]"]


def test_halves_of_pairs_become_a_mark() -> None:
    assert items(rb'["\ud83d", "a\ude42b", "\ud83d\ude42", "\ude42\ud83d", "\\ud83d"]') == [
        *("\ufffd", "a\ufffdb", "🙂", "\ufffd\ufffd", "\\ud83d"),
    ]
    assert items(rb'["\uD83D\uDE42", "\ud83d\u0041", "\u00e9"]') == ["🙂", "\ufffdA", "é"]


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert items(b'[{"a": 1, "a": 2}]') == [{"a": 2}]
    assert json_whole(entry(b'{"a": 1, "a": 2}'), Tally()) == {"a": 2}


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    assert items(b"\xef\xbb\xbf[1]") == [1]
    assert json_whole(entry(b"\xef\xbb\xbf[1]"), Tally()) == [1]


def test_whole_numbers_of_64_bits_and_others() -> None:
    assert items(b"[9223372036854775807, -9223372036854775807, 0, -1]") == [
        *(2**63 - 1, 1 - 2**63, 0, -1),
    ]
    assert "overflow" in refused(b"[9223372036854775808]")
    assert json_whole(entry(b"[9223372036854775808]"), Tally()) == [2**63]


# What is no JSON


NO_JSON = {
    "empty": b"",
    "space": b" \n\t ",
    "text": b"hello",
    "half": b'[1, {"a": "b',
    "half an escape": b'["a\\',
    "half a pair": b'["\\ud83d\\u',
    "wrong nesting": b'[{"a": [1}]]',
    "closed twice": b"[1]]",
    "more behind it": b"[1] x",
    "two values": b"[1] [2]",
    "comma": b"[1,]",
    "NaN": b"[NaN]",
    "infinity": b"[-Infinity]",
    "too large": b"[1e400]",
    "too long": b"[" + b"9" * 5_000 + b"]",
    "leading zero": b"[01]",
    "single quotes": b"['a']",
    "line in a string": b'["a\nb"]',
    "control in a string": b'["a\0b"]',
    "no UTF-8": b'["\xff"]',
    "half a character": b'["\xf0\x9f"]',
    "a pair in UTF-8": b'["\xed\xa0\x80"]',
    "no such escape": b'["\\x41"]',
    "UTF-16": '["a"]'.encode("utf-16"),
    "two marks": b"\xef\xbb\xbf\xef\xbb\xbf[1]",
    "key without quotes": b"[{a: 1}]",
    "number as key": b"[{1: 1}]",
    "zeros": bytes(1_000),
}


@pytest.mark.parametrize("data", NO_JSON.values(), ids=list(NO_JSON))
def test_what_is_no_json_is_refused_or_counted(data: bytes) -> None:
    assert "is no JSON, or only half of it" in refused(data)
    tally = Tally(lenient=True)
    assert all(one in (0, 1, {"a": [1]}) for one in items(data, "item", tally))
    assert tally.skipped == {"half a file": 1}
    message = refused(data)
    assert "\n" not in message
    assert "b'" not in message.removeprefix("place/a.json is no JSON, or only half of it: ")[:2]


@pytest.mark.parametrize(
    "data",
    [*(NO_JSON[name] for name in NO_JSON if name not in ("NaN", "infinity", "too large"))],
)
def test_a_small_file_that_is_no_json_is_refused_or_counted(data: bytes) -> None:
    with pytest.raises(BadCorpus, match=r"place/a\.json is no JSON"):
        json_whole(entry(data), Tally())
    tally = Tally(lenient=True)
    assert json_whole(entry(data), tally) is None
    assert tally.skipped == {"half a file": 1}


@pytest.mark.parametrize("at", range(1, len(WHOLE)))
def test_of_half_a_file_what_comes_before_the_damage_is_kept(at: int) -> None:
    tally = Tally(lenient=True)
    found = items(WHOLE[:at], "messages.item", tally)
    assert found == json.loads(WHOLE)["messages"][: len(found)]
    assert len(found) == sum(WHOLE[:at].count(end) for end in (b"1}", b"2}", b"]}"))
    assert tally.skipped == {"half a file": 1}
    assert "half of it" in refused(WHOLE[:at], "messages.item")


@given(
    st.binary(max_size=40)
    | st.text(st.sampled_from('[]{}",:\\u0d8e1 \n'), max_size=40).map(str.encode),
    st.sampled_from(["", "item", "a.item", "item.a"]),
    st.booleans(),
)
def test_whatever_a_file_holds_nothing_but_bad_corpus_is_raised(
    data: bytes, prefix: str, lenient: bool
) -> None:
    tally = Tally(lenient=lenient)
    try:
        json_whole(entry(data), tally)
        items(data, prefix, tally)
    except BadCorpus as error:
        assert not lenient or "damaged" in error.message
        assert "place/a.json" in error.message


# What would fill the memory


@pytest.mark.parametrize("brackets", [b"[", b'{"a":', b'[{"a":'])
def test_deep_nesting_is_refused(brackets: bytes) -> None:
    assert "deep" in refused(brackets * 100_000)
    with pytest.raises(BadCorpus):
        json_whole(entry(brackets * 100_000), Tally())


def test_nesting_is_read_up_to_a_depth_and_not_what_looks_like_it() -> None:
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert items(deep, "")
    assert "deep" in refused(b"[" + deep + b"]")
    flat = [["[" * 999, "{" * 999, '"[' * 999, "\\[" * 999, '\\"' * 99 + "[" * 999]] * 9
    assert items(json.dumps(flat).encode()) == flat
    assert items(b"[" + b",".join([b"[[]]"] * 50_000) + b"]") == [[[]]] * 50_000


MIB = b"x" * (1 << 20)


@pytest.mark.slow
def test_a_string_of_16_mebibytes_is_read_and_a_longer_one_refused() -> None:
    times = MAX_STRING >> 20
    [found] = json_items(large(b'["', MIB, times - 1, b'"]'), "item", Tally())
    assert len(found) == (times - 1) << 20
    assert "a string of over 16 MiB" in refused(large(b'["', MIB, times + 1, b'"]'))


@pytest.mark.parametrize("piece", [b'\\"' * 4_096, b"\\\\" * 4_096, b'\\\\\\"', rb"\u0022" * 999])
def test_a_string_of_escapes_is_bounded_as_well(
    monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.setattr(json_stream, "MAX_STRING", 1 << 20)
    piece *= max(1, 8_192 // len(piece))
    assert "a string of over 1 MiB" in refused(large(b'["', piece, 200, b'"]'))
    [found] = json_items(large(b'["', piece, 100, b'"]'), "item", Tally())
    assert found == json.loads(b'"' + piece + b'"') * 100


@pytest.mark.parametrize("piece", [b"9" * 8_192, b" " * 8_192, b"1," * 4_096])
def test_what_never_comes_to_a_string_is_refused(
    monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.setattr(json_stream, "MAX_STRING", 1 << 20)
    assert "a string of over 1 MiB" in refused(large(b"[", piece, 200, b"1]"))


@pytest.mark.slow
def test_many_values_take_the_memory_of_one() -> None:
    message = json.dumps({"from": "ann", "text": 'some words \\ of " hers ' * 40}).encode() + b","
    source = large(b'{"messages": [', message * 64, 100, b"1]}")
    assert source.packed > 5 << 20
    tracemalloc.start()
    try:
        count = sum(1 for _ in json_items(source, "messages.item", Tally()))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 64 * 100 + 1
    assert most < 3 << 20


def test_a_small_file_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_WHOLE", 1 << 20)
    data = b'["' + b"x" * ((1 << 20) - 4) + b'"]'
    assert json_whole(entry(data), Tally())
    with pytest.raises(BadCorpus, match="over 1 MiB"):
        json_whole(entry(data + b" "), Tally())
