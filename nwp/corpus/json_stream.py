"""JSON of any size, value by value: an export of a whole account does not fit the memory."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import ijson

from nwp.corpus.source import Entry
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

MAX_STRING = 16 << 20
"""Bytes without a quotation mark: more in a row are no message."""
MAX_WHOLE = 256 << 20
"""Bytes of a file that is read as one value."""


def json_items(entry: Entry, prefix: str, tally: Tally) -> Iterator[Any]:
    """The values at an ijson prefix ("messages.item" for the list under "messages"), in order.

    BadCorpus for what is no JSON; when the tally is lenient, what comes before the damage is kept
    and the rest counted as "half a file".
    """
    with entry.open() as file:
        try:
            yield from ijson.items(_Bounded(file, entry.place), prefix, use_float=True)
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
    text = " ".join(str(error).split())[:200]
    return BadCorpus(
        f"{entry.place} is no JSON, or only half of it: {text}",
        "Export it again, or keep what can be read with --skip-bad-lines.",
    )


class _Bounded:
    """A stream for ijson that holds no endless string: the parser would keep it all in memory."""

    def __init__(self, file: io.BufferedReader, place: str) -> None:
        self._file, self._place, self._since, self._first = file, place, 0, True

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        if self._first and piece:
            piece, self._first = piece.removeprefix(b"\xef\xbb\xbf"), False
        at = piece.rfind(b'"')
        self._since = self._since + len(piece) if at < 0 else len(piece) - at - 1
        if self._since > MAX_STRING:
            raise BadCorpus(
                f"{self._place} holds a string of over {MAX_STRING >> 20} MiB",
                "That is no message: is it the right file?",
            )
        return piece
