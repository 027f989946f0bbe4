"""A folder of text files: a file is a user, or a folder of files is one; a line is a message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_HINT = "Save the file as UTF-8, or leave such lines out with --skip-bad-lines."


def recognises(path: Path) -> bool:
    """Any folder."""
    return path.is_dir()


def read(path: Path, tally: Tally) -> Iterator[Message]:
    """Each `NAME.txt` is the user NAME; the files of a folder NAME, in order of name, are one user."""
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            for file in sorted(entry.rglob("*.txt")):
                if not file.is_dir():
                    yield from _lines(file, _named(entry.name), tally)
        elif entry.suffix == ".txt":
            yield from _lines(entry, _named(entry.stem), tally)


def _named(name: str) -> str:
    """A file's name as text, bytes that are no UTF-8 spelled out (no two users become one)."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _lines(file: Path, user: str, tally: Tally) -> Iterator[Message]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                if not tally.lenient:
                    raise BadCorpus(f"{file}, line {number}: not UTF-8", _HINT) from error
                tally.skip("bad line")
                continue
            if text:
                yield Message(user=user, text=text)
