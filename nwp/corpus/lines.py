"""From bytes to clean text: lines of bounded length, encodings, and names as one writes them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import IO

from nwp.corpus.types import Tally

MAX_LINE = 1 << 20
"""Bytes of a line. A longer one is no message, and would fill the memory."""

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def clean(text: str) -> str:
    """Text without control characters (but tabs and line breaks); line breaks as \\n.

    Lone surrogates, which JSON can spell but UTF-8 can't, become U+FFFD.
    """
    if _SURROGATES.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_name(name: str) -> str:
    """A user's name: cleaned, one space for any white space, no marks of writing direction.

    What is left of no visible character is "".
    """
    kept = [c for c in clean(name) if unicodedata.category(c) != "Cf" or c in "\u200d\u200c"]
    name = " ".join("".join(kept).split())
    return name if name.strip("\u200c\u200d\ufe0e\ufe0f ") else ""


def decode(raw: bytes) -> str:
    """UTF-8, or else Windows-1252, in which any byte means something."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace") if _undefined(raw) else raw.decode("cp1252")


def _undefined(raw: bytes) -> bool:
    return any(byte in raw for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D))


def read_lines(file: IO[bytes], tally: Tally) -> Iterator[str]:
    """The lines of a file without their ends: UTF-8, UTF-16 or 32 by byte order mark.

    A line that is no UTF-8 is read as Windows-1252 and counted as a remark; one of more than
    `MAX_LINE` bytes comes as "", counted.
    """
    start = file.read(4)
    encoding, mark = next(((e, len(b)) for b, e in _BOMS if start.startswith(b)), ("utf-8", 0))
    if encoding != "utf-8":
        yield from _wide_lines(file, start[mark:], encoding, tally)
        return
    rest = start[mark:]
    for raw in _raw_lines(file, rest, tally):
        line = raw.rstrip(b"\r\n")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            tally.remark("line that is no UTF-8, read as Windows-1252")
            yield decode(line)


def raw_lines(file: IO[bytes], tally: Tally) -> Iterator[bytes]:
    """The lines of a UTF-8 file as bytes, with their ends, without a byte order mark.

    One of more than `MAX_LINE` bytes comes as b"" (so that lines keep their numbers), counted.
    """
    start = file.read(3)
    return _raw_lines(file, start.removeprefix(_BOMS[0][0]), tally)


def _raw_lines(file: IO[bytes], rest: bytes, tally: Tally) -> Iterator[bytes]:
    """`rest` was read already (and may itself hold line ends)."""
    *whole, rest = rest.split(b"\n")
    yield from (line + b"\n" for line in whole)
    while True:
        piece = file.readline(MAX_LINE + 1 - len(rest))
        line, rest = rest + piece, b""
        if not line:
            return
        if len(line) <= MAX_LINE:
            yield line
            continue
        tally.skip("line too long")
        while piece and not piece.endswith(b"\n"):
            piece = file.readline(MAX_LINE)
        yield b""


def _wide_lines(file: IO[bytes], rest: bytes, encoding: str, tally: Tally) -> Iterator[str]:
    """Lines of UTF-16 or UTF-32, which can't be split as bytes; `MAX_LINE` is in characters here."""
    import codecs

    decoder = codecs.getincrementaldecoder(encoding)("replace")
    kept, dropping = decoder.decode(rest), False
    while True:
        piece = file.read(1 << 16)
        kept += decoder.decode(piece, final=not piece)
        *whole, kept = kept.split("\n")
        for line in whole:
            if len(line) >= MAX_LINE and not dropping:
                tally.skip("line too long")
                dropping = True
            yield "" if dropping else line.rstrip("\r")
            dropping = False
        if len(kept) > MAX_LINE:
            if not dropping:
                tally.skip("line too long")
            kept, dropping = "", True
        if not piece:
            if kept or dropping:
                yield "" if dropping else kept.rstrip("\r")
            return
