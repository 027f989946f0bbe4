"""One small module a format, behind one registry: a reader turns a path into messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nwp.corpus.readers import folder, jsonl
from nwp.corpus.types import Message, Tally


@dataclass(frozen=True)
class Reader:
    """A format: does this path hold it, and its messages."""

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Tally], Iterator[Message]]


READERS: tuple[Reader, ...] = (
    Reader("folder", folder.recognises, folder.read),
    Reader("jsonl", jsonl.recognises, jsonl.read),
)
