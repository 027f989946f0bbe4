"""Reading any export in a test, as a command would or by one reader."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nwp.corpus.load import read_messages
from nwp.corpus.readers.base import Reader, ReadOptions
from nwp.corpus.source import open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, NwpError


def read_as(
    path: Path, tally: Tally | None = None, form: str = "", **options: object
) -> tuple[str, list[Message]]:
    """The format that was found (or `form`), and all messages in order."""
    chosen = ReadOptions(**options)  # type: ignore[arg-type]
    with read_messages(str(path), tally or Tally(), form=form, options=chosen) as (name, messages):
        return name, list(messages)


def read_with(
    reader: Reader, path: Path, tally: Tally | None = None, **options: Any
) -> list[Message]:
    """All messages of a file, or of a folder of files, as this reader gives them."""
    tally = tally or Tally()
    with open_source(path, tally) as source:
        return list(reader.read(source, tally, ReadOptions(**options)))


def takes(reader: Reader, path: Path) -> bool:
    """Does this reader take a file, or a folder of files, for its own?"""
    with open_source(path, Tally()) as source:
        return reader.recognises(source)


def said(messages: Iterable[Message]) -> list[tuple[str, str]]:
    """Who said what."""
    return [(message.user, message.text) for message in messages]


def check_damaged(reader: Reader, path: Path) -> None:
    """Of a damaged file come messages, or BadCorpus that names it, and nothing else."""
    for lenient in (False, True):
        try:
            found = read_with(reader, path, Tally(lenient=lenient))
        except NwpError as error:
            assert isinstance(error, BadCorpus) and str(path) in error.message and error.hint
        else:
            assert all(m.user and m.text.strip() for m in found)
