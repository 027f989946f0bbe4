"""JSON lines: `{"user": str, "text": str, "time": optional RFC 3339}`, one message a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from nwp.corpus.lines import MAX_LINE, raw_lines
from nwp.corpus.readers.base import ReadOptions, by_file
from nwp.corpus.source import Entry, open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_BOM = b"\xef\xbb\xbf"  # some editors begin a UTF-8 file with it; it is no part of the text
_HINT = "Mend the line, or leave such lines out with --skip-bad-lines."


def is_one(entry: Entry, head: bytes) -> bool:
    """Named as JSON lines, or beginning with an object."""
    named = entry.suffix in (".jsonl", ".ndjson")
    return named or head.removeprefix(_BOM).lstrip()[:1] == b"{"


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages in the files' order; BadCorpus names the line that can't be read."""
    for entry in files:
        with entry.open() as file:
            for number, line in enumerate(raw_lines(file, tally), 1):
                if line.isspace():
                    continue
                try:
                    if not line:  # of which no more was read, and which is counted already
                        if tally.lenient:
                            continue
                        raise ValueError(f"over {MAX_LINE:,} bytes long")
                    yield _message(line)
                except ValueError as error:
                    if not tally.lenient:
                        raise BadCorpus(f"{entry.place}, line {number}: {error}", _HINT) from error
                    tally.skip("bad line")


def read(path: Path, tally: Tally) -> Iterator[Message]:
    """The messages of one file."""
    with open_source(path, tally) as source:
        yield from read_files(list(source.entries), tally, ReadOptions())


def _message(line: bytes) -> Message:
    """One line as a message; ValueError says what is wrong with it."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start + 1} of the line)") from error
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(found, dict):
        raise ValueError('not an object like {"user": …, "text": …}')
    for key in ("user", "text"):
        if not isinstance(found.get(key), str):
            raise ValueError(f'"{key}" is missing or no string')
    if not found["user"].strip():
        raise ValueError('"user" is empty')
    time = found.get("time")
    if time is not None and not isinstance(time, str):
        raise ValueError('"time" is no string')
    return Message(
        user=_whole(found["user"]),
        text=_whole(found["text"]),
        time=datetime.fromisoformat(time.upper()) if time else None,
    )


def _whole(text: str) -> str:
    """Lone surrogates, which JSON can spell but UTF-8 can't, become U+FFFD."""
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


READER = by_file("jsonl", "JSON lines of nwp's own form", is_one, read_files)
