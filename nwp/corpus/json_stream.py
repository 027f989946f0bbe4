"""JSON of any size, value by value: an export of a whole account does not fit the memory."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import ijson

from nwp.corpus.source import Entry
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

MAX_STRING = 16 << 20
"""Bytes from one end of a string to the next: more are no message."""
MAX_WHOLE = 256 << 20
"""Bytes of a file that is read as one value."""

MAX_DEPTH = 500
"""Lists and objects within each other. The parser notes the path of each: its memory grows with the
square of the depth, so that a file of 100 KB could take all there is.
"""
_NO_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# Behind no backslash but such as are escaped themselves; only from the first of many on, for speed.
_HALVES = re.compile(rb"(?<!\\)((?:\\\\)*)(?:%b(%b)?|%b)" % (_HIGH, _LOW, _LOW))
_UNSURE = re.compile(rb"(%b)?(\\(?:u[0-9a-fA-F]{0,3})?)?\Z" % _HIGH)
_LONGEST_UNSURE = 11
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def json_items(entry: Entry, prefix: str, tally: Tally) -> Iterator[Any]:
    """The values at an ijson prefix ("messages.item" for the list under "messages"), in order.

    BadCorpus for what is no JSON; when the tally is lenient, what comes before the damage is kept
    and the rest counted as "half a file".
    """
    return _streamed(ijson.items, entry, prefix, tally)


def json_pairs(entry: Entry, prefix: str, tally: Tally) -> Iterator[tuple[str, Any]]:
    """The keys and values of the object at a prefix, in order; damage as in `json_items`."""
    return _streamed(ijson.kvitems, entry, prefix, tally)


def _streamed(
    parse: Callable[..., Iterator[Any]], entry: Entry, prefix: str, tally: Tally
) -> Iterator[Any]:
    with entry.open() as file:
        try:
            yield from parse(_Bounded(file, entry.place), prefix, use_float=True)
        except (ijson.JSONError, UnicodeDecodeError, ValueError, RecursionError) as error:
            if not tally.lenient:
                raise _no_json(entry, error) from error
            tally.skip("half a file")


def json_whole(entry: Entry, tally: Tally) -> Any:
    """A file as one value, for the small ones of an export; None, counted, when it can't be read and
    the tally is lenient. BadCorpus otherwise."""
    try:
        with entry.open() as file:
            raw = file.read(MAX_WHOLE + 1)
        if len(raw) > MAX_WHOLE:
            raise ValueError(f"over {MAX_WHOLE >> 20} MiB")
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if not tally.lenient:
            raise _no_json(entry, error) from error
        tally.skip("half a file")
        return None


def _no_json(entry: Entry, error: Exception) -> BadCorpus:
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)
    text = " ".join(text.split())[:200]
    return BadCorpus(
        f"{entry.place} is no JSON, or only half of it: {text}",
        "Export it again, or keep what can be read with --skip-bad-lines.",
    )


class _Bounded:
    """A stream for ijson that holds no endless string and no endless nesting: the parser would keep it
    all in memory. Halves of UTF-16 pairs in it, of which the parser makes what nobody wrote, are
    spelled U+FFFD.
    """

    def __init__(self, file: io.BufferedReader, place: str) -> None:
        self._file, self._place, self._since, self._first = file, place, 0, True
        self._held = b""
        self._escape, self._quoted, self._depth = b"", False, 0

    def read(self, size: int = -1) -> bytes:
        piece = self._next(size)
        if self._first and piece:
            piece, self._first = piece.removeprefix(b"\xef\xbb\xbf"), False
        data = self._without_escapes(piece)
        at = data.rfind(b'"')
        self._since = self._since + len(data) if at < 0 else len(data) - at - 1
        if self._since > MAX_STRING:
            raise BadCorpus(
                f"{self._place} holds a string of over {MAX_STRING >> 20} MiB",
                "That is no message: is it the right file?",
            )
        if self._deepest(data) > MAX_DEPTH:
            raise BadCorpus(
                f"{self._place} nests lists or objects over {MAX_DEPTH} deep",
                "No export does: is it the right file?",
            )
        return piece

    def _next(self, size: int) -> bytes:
        """What comes next, up to where a pair of escapes may go on; b"" only at the end."""
        while piece := self._file.read(size):
            data = self._held + piece
            cut = _sure(data)
            data, self._held = data[:cut], data[cut:]
            if data:
                return _HALVES.sub(_spelled, data)
        rest, self._held = self._held, b""
        return _HALVES.sub(_spelled, rest)

    def _without_escapes(self, piece: bytes) -> bytes:
        """As many bytes, in which every quotation mark begins or ends a string."""
        data = self._escape + piece
        cut = len(data) - (len(data) - len(data.rstrip(b"\\"))) % 2
        data, self._escape = data[:cut], data[cut:]
        return data.replace(b"\\\\", b"__").replace(b'\\"', b"__")

    def _deepest(self, data: bytes) -> int:
        """How deep it goes, brackets in strings not counted."""
        pieces = data.translate(None, _NO_STRUCTURE).split(b'"')
        plain = b"".join(pieces[self._quoted :: 2])
        self._quoted ^= len(pieces) % 2 == 0
        levels = list(accumulate(map(_STEP.__getitem__, plain), initial=self._depth))
        self._depth = levels[-1]
        return max(levels)


def _spelled(escapes: re.Match[bytes]) -> bytes:
    """Both halves as they are, one alone as U+FFFD."""
    return escapes[0] if escapes[2] else escapes[1] + rb"\ufffd"


def _sure(data: bytes) -> int:
    """Up to where no escape, and no pair of them, is cut."""
    end = _UNSURE.search(data, max(0, len(data) - _LONGEST_UNSURE))
    if end is None:
        return len(data)
    before = data[: end.start()]
    if (len(before) - len(before.rstrip(b"\\"))) % 2:  # it is itself escaped
        return end.start(2) if end[1] and end[2] else len(data)
    return end.start()
