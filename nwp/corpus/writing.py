"""Writing nwp's own form, JSON lines, message by message: nobody meets a half-written file."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nwp.corpus.types import Message


def json_line(message: Message) -> bytes:
    """One message as a line of nwp's own form, with its line end: equal messages, equal bytes."""
    row = {"user": message.user, "text": message.text}
    if message.time is not None:
        row["time"] = message.time.isoformat()
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()


class JsonLinesWriter:
    """Writes messages to a file, gzipped when its name ends in ".gz"; use it in a `with` block.

    The file has its name only when the block ends well, and replaces what had it; when the block
    ends with an error, or after `discard`, nothing is left of it. Equal messages give equal bytes.
    `messages` and `users` count what was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages = 0
        self._names: set[str] = set()
        self._sum = hashlib.sha256()
        self._kept = True

    @property
    def users(self) -> int:
        """How many users have a message in it."""
        return len(self._names)

    @property
    def sha256(self) -> str:
        """The checksum of the lines so far, as they are before they are packed."""
        return self._sum.hexdigest()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}")
        self._raw: io.BufferedWriter = self._temporary.open("xb")
        self._lines: Any = self._raw
        if self.path.suffix == ".gz":  # no name and no time of day in it: equal text, equal bytes
            self._lines = gzip.GzipFile("", "wb", compresslevel=6, fileobj=self._raw, mtime=0)
        return self

    def write(self, message: Message) -> None:
        """Add one message."""
        line = json_line(message)
        self._lines.write(line)
        self._sum.update(line)
        self._names.add(message.user)
        self.messages += 1

    def finish(self) -> None:
        """Bring everything to the disk, still under no name; the end of the block does it, too.

        Who writes several files calls it for all of them first: a full disk then changes none.
        """
        if self._raw.closed:
            return
        if self._lines is not self._raw:
            self._lines.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()

    def discard(self) -> None:
        """Leave no file when the block ends; one that had the name before stays."""
        self._kept = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._kept:
                self.finish()
                self._temporary.replace(self.path)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Close and remove what is still there under the temporary name."""
        try:
            for file in (self._lines, self._raw):
                with suppress(OSError):  # a full disk, again: nobody wants this file any more
                    file.close()
        finally:
            self._temporary.unlink(missing_ok=True)
