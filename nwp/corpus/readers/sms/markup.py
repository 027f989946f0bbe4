"""From the bytes of an SMS backup to XML that a parser takes, and that fits the memory.

The app writes an emoji as two character references, one for each half of a UTF-16 pair, which XML
does not allow; and the pictures of an MMS as attributes of many megabytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

from nwp.errors import BadCorpus

MAX_TAG = 4 << 20
"""Bytes of a tag with its attributes, but for those left out: no message is as long."""
PIECE = 256 << 10
"""Bytes that are read at once."""

_REFERENCE = re.compile(rb"&#(?:([0-9]{1,8})|[xX]([0-9a-fA-F]{1,8}));")
_REFERENCES = re.compile(rb"(?:&#(?:[0-9]{1,8}|[xX][0-9a-fA-F]{1,8});)+")
_END = re.compile(rb"(&#[xX]?[0-9a-fA-F]{1,8};)?(&(?:#[xX]?[0-9a-fA-F]{0,8})?)?\Z")
_LONGEST = 32  # more bytes than the two references have that _END looks for
_UNKNOWN = 0xFFFD

_IN_TAG = re.compile(rb"(\sdata\s?=\s?)?[\"']|>")
_NAME = 16  # more bytes than _IN_TAG looks for
_OTHERS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_BEGIN = 9  # bytes that tell which of these begins


def whole_characters(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes with the references to two halves of a character made one, and what XML can't spell
    made U+FFFD; references to control characters are left out.
    """
    held = b""
    for piece in pieces:
        data = held + piece
        end = _END.search(data, max(0, len(data) - _LONGEST))
        cut = len(data)
        if end and end[1] and _is_first(_number(end[1])):
            cut = end.start(1)
        elif end and end[2]:
            cut = end.start(2)
        held = data[cut:]
        yield _REFERENCES.sub(_spelled, data[:cut])
    yield _REFERENCES.sub(_spelled, held)


def _spelled(run: re.Match[bytes]) -> bytes:
    """References that follow each other, the halves among them joined."""
    out: list[int] = []
    waiting = 0  # a first half
    for reference in _REFERENCE.findall(run[0]):
        number = int(reference[0] or reference[1], 10 if reference[0] else 16)
        if waiting and 0xDC00 <= number < 0xE000:
            out[-1] = 0x10000 + ((waiting - 0xD800) << 10) + number - 0xDC00
            waiting = 0
            continue
        waiting = number if _is_first(number) else 0
        if number >= 0x20 or number in (9, 10, 13):
            surrogate = 0xD800 <= number < 0xE000
            valid = not surrogate and number < 0x110000 and number not in (0xFFFE, 0xFFFF)
            out.append(number if valid else _UNKNOWN)
    return b"".join(b"&#%d;" % number for number in out)


def _number(reference: bytes) -> int:
    found = _REFERENCE.fullmatch(reference)
    return int(found[1] or found[2], 10 if found[1] else 16) if found else 0


def _is_first(number: int) -> bool:
    return 0xD800 <= number < 0xDC00


class Slim:
    """XML without what attributes named "data" hold, fed piece by piece, wherever a piece ends.

    BadCorpus for a tag of over `MAX_TAG` bytes without these.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._rest = b""
        self._until = b""  # what ends the value, or the comment, that we are in
        self._in_tag = self._dropping = False
        self._size = 0
        self._out: list[bytes] = []

    def pieces(self, file: io.BufferedReader) -> Iterator[bytes]:
        """All of a file."""
        while piece := file.read(PIECE):
            yield self.feed(piece)
        yield self._rest

    def feed(self, piece: bytes) -> bytes:
        """What comes next, as far as it is clear how to read it."""
        data, at, before = self._rest + piece, 0, -1
        self._out = []
        while at > before:
            step = self._inside if self._until else self._tag if self._in_tag else self._outside
            before, at = at, step(data, at)
        self._rest = data[at:]
        return b"".join(self._out)

    def _outside(self, data: bytes, at: int) -> int:
        start = data.find(b"<", at)
        if start < 0 or len(data) - start < _BEGIN:
            end = len(data) if start < 0 else start
            self._out.append(data[at:end])
            return end
        begin = next((begin for begin in _OTHERS if data.startswith(begin, start)), b"<")
        self._in_tag, self._until = begin == b"<", _OTHERS.get(begin, b"")
        self._size = 0
        self._out.append(data[at : start + len(begin)])
        return start + len(begin)

    def _tag(self, data: bytes, at: int) -> int:
        """Up to a value, or to the end of the tag."""
        found = _IN_TAG.search(data, at)
        if not found:
            return self._keep(data, at, max(at, len(data) - _NAME))
        if found[0] == b">":
            self._in_tag = False
        else:
            self._until, self._dropping = found[0][-1:], found[1] is not None
        return self._keep(data, at, found.end())

    def _inside(self, data: bytes, at: int) -> int:
        """Up to the end of the value or comment, and over it."""
        end = data.find(self._until, at)
        stop = end if end >= 0 else max(at, len(data) - len(self._until) + 1)
        if not self._dropping:
            self._keep(data, at, stop)
        if end < 0:
            return stop
        stop = end + len(self._until)
        self._until, self._dropping = b"", False
        return self._keep(data, end, stop)

    def _keep(self, data: bytes, start: int, end: int) -> int:
        self._size += end - start
        if self._size > MAX_TAG:
            raise BadCorpus(
                f"{self._place} holds a tag of over {MAX_TAG >> 20} MiB",
                "That is no message: is it the right file?",
            )
        self._out.append(data[start:end])
        return end
