"""Finding and reading the files that a recipe takes from a published archive."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nwp.corpus.source import Entry, Source
from nwp.errors import BadCorpus

LEAST_WORDS = 200
"""Of a user who stays in: pieces between spaces with at least one letter or digit."""
MAX_FILE = 64 << 20
"""Bytes of one text: the longest published one has two million."""


@dataclass(frozen=True)
class Found:
    """A file that matched, and the groups of the match."""

    entry: Entry
    parts: tuple[str, ...]


def found_in(source: Source, pattern: re.Pattern[str], shown: str) -> list[Found]:
    """The files whose path matches; `shown` says in an error which those are.

    An archive of GitHub has a top folder of its own, so a pattern begins at any folder. BadCorpus
    when there is no such file.
    """
    found = [
        Found(entry, match.groups())
        for entry in source.entries
        if (match := pattern.search(entry.name))
    ]
    if not found:
        raise BadCorpus(
            f"{source.path} holds no {shown}", "Is it the archive that this corpus is made from?"
        )
    return found


def whole_text(entry: Entry) -> str:
    """A file as text. BadCorpus when it is no UTF-8, or far too long."""
    with entry.open() as file:
        raw = file.read(MAX_FILE + 1)
    try:
        if len(raw) > MAX_FILE:
            raise ValueError(f"over {MAX_FILE >> 20} MiB")
        return raw.decode("utf-8")
    except ValueError as error:
        raise BadCorpus(
            f"{entry.place} is no text as it was published: {error}",
            "Is it the archive that this corpus is made from?",
        ) from error


def enough_words(texts: Iterable[str]) -> bool:
    """Has somebody who wrote these texts `LEAST_WORDS` words?"""
    pieces = (piece for text in texts for piece in text.split())
    return sum(any(map(str.isalnum, piece)) for piece in pieces) >= LEAST_WORDS
