"""Writing exports in JSON as apps and people's tools spell them, spoiling them, and reading them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import strategies as st
from reading import said

from nwp.corpus.lines import clean, clean_name
from nwp.corpus.readers import discord, matrix, messenger, telegram
from nwp.corpus.readers.base import Reader, ReadOptions
from nwp.corpus.source import Source, open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import NwpError

READERS = (discord.READER, matrix.READER, messenger.READER, telegram.READER)

Place: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""


def _turned(value: Any) -> Any:
    """The same with the keys of all objects the other way round."""
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(item) for item in value] if isinstance(value, list) else value


def _indented(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def _minified(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


SPELLINGS: dict[str, Callable[[Any], bytes]] = {
    "indented": _indented,
    "minified": _minified,
    "other order of keys": lambda value: _indented(_turned(value)),
    "escaped letters": lambda value: json.dumps(value).encode(),
    "byte order mark": lambda value: b"\xef\xbb\xbf" + _indented(value),
    "line ends of Windows": lambda value: _indented(value).replace(b"\n", b"\r\n"),
}
spelt = st.sampled_from(list(SPELLINGS.values()))

_letters = st.characters(codec="utf-8") | st.sampled_from("aBé🙂 \n\t\"\\/<>&@#:*'[{")
names = st.text(_letters, min_size=1, max_size=12).map(clean_name).filter(bool)
texts = st.text(_letters, min_size=1, max_size=30).map(clean).filter(str.strip)

# Halves of UTF-16 pairs too, which JSON can spell.
_any_text = st.text(st.characters(exclude_categories=()) | _letters, max_size=8)
# No NaN, and few of over 64 bits: at those the parser ends, and nothing else would be tried.
_numbers = (
    st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 1 << 31, 1 << 63, 1e300])
)
_any_json = st.recursive(
    st.none() | st.booleans() | _numbers | _any_text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_any_text | st.sampled_from(["text", "type", "id"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def _opened(data: bytes | dict[str, bytes], tally: Tally, use: Callable[[Source], Any]) -> Any:
    """What `use` makes of a file, or of a folder of files by their paths."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "export")
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            path.mkdir()
            for name, content in data.items():
                file = path / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        with open_source(path, tally) as source:
            return use(source)


def read(
    reader: Reader, data: bytes | dict[str, bytes], tally: Tally | None = None, **options: Any
) -> list[Message]:
    """All messages of a file, or of a folder of files."""
    counted = Tally() if tally is None else tally
    chosen = ReadOptions(**options)
    found: list[Message] = _opened(
        data, counted, lambda source: list(reader.read(source, counted, chosen))
    )
    return found


def recognised(data: bytes | dict[str, bytes]) -> list[str]:
    """The names of those readers that take a file, or a folder of files, for theirs."""
    found: list[str] = _opened(
        data, Tally(), lambda source: [r.name for r in READERS if r.recognises(source)]
    )
    return found


def check_read(
    reader: Reader,
    spelling: str,
    value: Any,
    expected: list[tuple[str, str]],
    skipped: dict[str, int],
) -> Tally:
    """An export in this spelling is known, read, and what is left out is counted, in what is returned."""
    data, tally = SPELLINGS[spelling](value), Tally()
    assert recognised(data) == [reader.name]
    assert said(read(reader, data, tally)) == expected
    assert tally.skipped == skipped
    return tally


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where all values in a value are, its own place first."""
    yield place
    for key in _keys(value):
        yield from _places(value[key], (*place, key))


def _keys(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value
    return range(len(value)) if isinstance(value, list) else ()


def _at(value: Any, place: Place) -> Any:
    for key in place:
        value = value[key]
    return value


def _put(value: Any, place: Place, new: Any) -> Any:
    """A copy with something else in a place; as it was where that place is gone."""
    if not place:
        return new
    key, *rest = place
    if key not in _keys(value):
        return value
    copy = value.copy()
    copy[key] = _put(value[key], tuple(rest), new)
    return copy


@st.composite
def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """An export in which other values stand in some places: any at all, or from elsewhere in it."""
    places = list(_places(value))
    parts = [_at(value, place) for place in places]
    for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=4)):
        value = _put(value, place, draw(_any_json | st.sampled_from(parts)))
    return value


def _said_in(value: Any) -> Iterator[str]:
    """All texts of a value: its strings, and those of each list as one (Telegram's pieces)."""
    if isinstance(value, str):
        yield _paired(value)
    elif isinstance(value, list):
        pieces = (item.get("text") if isinstance(item, dict) else item for item in value)
        yield "".join(_paired(piece) for piece in pieces if isinstance(piece, str))
    for key in _keys(value):
        yield from _said_in(value[key])


def _paired(text: str) -> str:
    """A string as the parser gives it: U+FFFD for half a UTF-16 pair."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check_spoilt(reader: Reader, value: Any, as_read: Callable[[str], str] = clean) -> None:
    """Whatever stands in an export: nothing but NwpError comes, and no text that is not in it.

    `as_read` makes of a string in it what the reader should.
    """
    data = json.dumps(value).encode()
    there = {clean(as_read(text)) for text in _said_in(value)}
    recognised(data)
    for lenient in (False, True):
        try:
            found = read(reader, data, Tally(lenient))
        except NwpError as error:
            assert error.hint
            continue
        for message in found:
            assert message.user
            assert message.text.strip()
            assert message.text in there


def check_cut(reader: Reader, data: bytes, newest_first: bool = False) -> None:
    """Of a file cut anywhere a lenient reader gives what is whole, and any other an error."""
    whole = read(reader, data)
    seen = set()
    for end in range(0, len(data) - 1, max(1, len(data) // 200)):
        tally = Tally(lenient=True)
        found = read(reader, data[:end], tally)
        part = whole[len(whole) - len(found) :] if newest_first else whole[: len(found)]
        assert said(found) == said(part)
        assert tally.skipped["half a file"] == 1
        seen.add(len(found))
        with pytest.raises(NwpError):
            read(reader, data[:end])
    assert seen == set(range(len(whole))) or seen == set(range(len(whole) + 1))


def check_bytes(reader: Reader, data: bytes, lenient: bool) -> None:
    """Of random bytes nothing but NwpError comes."""
    with suppress(NwpError):  # a packed file that is damaged
        recognised(data)
    try:
        read(reader, data, Tally(lenient))
    except NwpError as error:
        assert error.hint


_COUNT_AND_GROWTH = """
import importlib, resource, sys
from pathlib import Path
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.source import open_source
from nwp.corpus.types import Tally

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

reader = importlib.import_module(f"nwp.corpus.readers.{sys.argv[1]}").READER
before = peak()
with open_source(Path(sys.argv[2]), Tally()) as source:
    assert reader.recognises(source)
    count = sum(1 for _ in reader.read(source, Tally(), ReadOptions()))
print(count, (peak() - before) // (1024 if sys.platform == "darwin" else 1))
"""


def check_memory(reader: Reader, path: Path, count: int, at_most: int = 30 << 10) -> None:
    """A file of many messages is read in little memory: in so many KiB more than before."""
    command = [sys.executable, "-c", _COUNT_AND_GROWTH, reader.name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, growth = map(int, done.stdout.split())
    assert found == count
    assert growth < at_most, growth


def real(name: str) -> Path:
    """A real export of the folder that NWP_SHARED names."""
    if "NWP_SHARED" not in os.environ:
        pytest.skip("NWP_SHARED names no folder with real exports")
    return Path(os.environ["NWP_SHARED"], "formats", name)
