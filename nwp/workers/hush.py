"""Keep one thread from printing while others go on."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO


class _Hushed:
    """A stream that drops what one thread writes; for all else it is the stream behind it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._silent = threading.get_ident()

    def write(self, text: str) -> int:
        """Write, or only count, characters."""
        if threading.get_ident() == self._silent:
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """What this thread prints meanwhile is lost. For one thread at a time: the stream is the process's."""
    before = sys.stdout
    sys.stdout = _Hushed(before)
    try:
        yield
    finally:
        sys.stdout = before
