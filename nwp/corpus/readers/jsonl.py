"""JSON lines: `{"user": str, "text": str, "time": optional RFC 3339}`, one message a line, maybe gzipped."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"  # some editors begin a UTF-8 file with it; it is no part of the text
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
_HINT = "Mend the line, or leave such lines out with --skip-bad-lines."


def recognises(path: Path) -> bool:
    """A file whose name says JSON lines, or whose first character opens an object."""
    if not path.is_file():
        return False
    if path.name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
        return True
    try:
        with _binary(path) as file:
            return file.read(64).removeprefix(_BOM).lstrip()[:1] == b"{"
    except _DAMAGED:
        return True  # reading it says what is wrong


def read(path: Path, tally: Tally) -> Iterator[Message]:
    """The messages in the file's order; BadCorpus names the line that can't be read."""
    number = 0
    try:
        with _binary(path) as file:
            for number, raw in enumerate(file, 1):
                line = raw.removeprefix(_BOM) if number == 1 else raw
                if not line.strip():
                    continue
                try:
                    yield _message(line)
                except ValueError as error:
                    if not tally.lenient:
                        raise BadCorpus(f"{path}, line {number}: {error}", _HINT) from error
                    tally.skip("bad line")
    except _DAMAGED as error:
        raise BadCorpus(
            f"{path}, after line {number}: the gzip file is damaged ({error})",
            "Fetch or make it again.",
        ) from error


@contextmanager
def _binary(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The file's bytes, unpacked when it is gzipped."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        if packed:
            with gzip.open(raw) as unpacked:
                yield unpacked
        else:
            yield raw


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
        user=_clean(found["user"]),
        text=_clean(found["text"]),
        time=datetime.fromisoformat(time.upper()) if time else None,
    )


def _clean(text: str) -> str:
    """Lone surrogates, which JSON can spell but UTF-8 can't, become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
