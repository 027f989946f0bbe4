"""Temporary folders that no killed run leaves behind for good.

Who makes one holds a lock on it (flock), which the system takes back when the process ends, however it
ends. So a folder without a lock has no owner any more, and the next run that needs one deletes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

_PREFIX = "nwp-run-"


class ScratchFolder:
    """A new folder for this process alone, at `path`: deleted by `cleanup` or at the end of a `with`."""

    def __init__(self, parent: str | None = None) -> None:
        """Make it in `parent` (the system's folder for temporary files), after those whose owner is gone
        are deleted there."""
        parent = parent or tempfile.gettempdir()
        _delete_orphans(Path(parent))
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            try:
                self._handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            with contextlib.suppress(OSError):  # some network file systems know no such locks
                fcntl.flock(self._handle, fcntl.LOCK_EX)
            if _is_there(self.path, self._handle):
                return
            os.close(self._handle)  # another run took it for an orphan before it was locked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Delete the folder and all in it; again is no mistake."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _delete_orphans(parent: Path) -> None:
    """Delete this user's folders that nobody holds a lock on."""
    for path in parent.glob(f"{_PREFIX}*"):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        with contextlib.suppress(OSError):
            if os.fstat(handle).st_uid == os.geteuid():
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def _is_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
