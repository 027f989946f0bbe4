"""Text files: a file is a user, a folder of files is one too; a line is a message."""

from __future__ import annotations

import os
from collections.abc import Iterator

from nwp.corpus.lines import clean, clean_name, read_lines
from nwp.corpus.readers.base import Reader, ReadOptions
from nwp.corpus.source import Entry, Source
from nwp.corpus.types import Message, Tally


def _recognises(source: Source) -> bool:
    """Any folder or archive that has text files; a single one only by its name."""
    return any(map(_is_text, source.entries)) or source.kind == "folder"


def _read(source: Source, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """`NAME.txt` is the user NAME; so are the files of a folder NAME, in order of their names."""
    for entry in source.entries:
        if not _is_text(entry):
            tally.skip("other file")
            continue
        top, _, below = entry.name.partition("/")
        user = _named(top if below else entry.stem)
        with entry.open() as file:
            for line in read_lines(file, tally):
                if text := clean(line).strip():
                    yield Message(user, text)


def _is_text(entry: Entry) -> bool:
    return entry.suffix == ".txt"


def _named(name: str) -> str:
    """A file's name as text, bytes that are no UTF-8 spelled out (no two users become one)."""
    return clean_name(os.fsencode(name).decode("utf-8", "backslashreplace")) or "unnamed"


READER = Reader("folder", "text files: a file or a folder of them is a user", _recognises, _read)
