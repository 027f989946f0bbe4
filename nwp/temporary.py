"""Folders for temporary files that may hold people's text: closed to others, and gone in the end.

A process that is killed can't tidy up, so the next one does it. Each folder holds a file `lock`; the
process that made the folder keeps it locked by flock(2) for as long as it lives, and the system
unlocks it however the process ends. Whoever gets the lock may delete the folder, and nobody else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import weakref
from pathlib import Path
from typing import Self

LOCK = "lock"
_PREFIX = "nwp-"
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")  # as tempfile names them
_TO_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_TO_LOCK = os.O_RDWR | os.O_NOFOLLOW


class TemporaryFolder:
    """A new folder `path` in `parent` (None: in TMPDIR) that only its owner may enter.

    It is deleted by `cleanup`, else at the end of the process, else by the next process that makes
    one there. Making one deletes those whose process is dead. A context manager.
    """

    def __init__(self, parent: Path | str | None = None) -> None:
        parent = Path(parent or tempfile.gettempdir())
        remove_abandoned(parent)
        self.path, lock = _make(parent)
        self._closing = weakref.finalize(self, _delete_own, self.path, lock, os.getpid())

    def cleanup(self) -> None:
        """Delete the folder and what is in it; a second time, nothing happens."""
        self._closing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()


def remove_abandoned(parent: Path) -> int:
    """Delete the caller's folders in `parent` whose process is dead; returns how many there were.

    Left alone are folders that are in use, another user's or open to one, and all that was not
    made here: what has another name, or a content and no lock.
    """
    removed = 0
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
    for name in names:
        with contextlib.suppress(OSError):  # in use, just gone, or not to be deleted
            removed += _remove_if_abandoned(parent / name)
    return removed


def _make(parent: Path) -> tuple[Path, int]:
    """A new folder and its lock, held."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        try:
            lock = os.open(path / LOCK, _TO_LOCK | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat(os.fstat(lock), (path / LOCK).stat())
        except (BlockingIOError, FileNotFoundError):
            mine = False  # another process was faster and deletes it as abandoned
        except OSError:
            mine = True  # a file system without locks, on which nobody else gets one either
        if mine:
            return path, lock
        os.close(lock)


def _remove_if_abandoned(path: Path) -> bool:
    """Delete a folder if it is one of the caller's and nobody holds its lock; OSError if in use."""
    folder = os.open(path, _TO_FOLDER)
    try:
        about = os.fstat(folder)
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
            return False
        with os.scandir(folder) as entries:
            empty = not any(entries)
        if empty:  # killed before it had a lock, or when it had none any more
            path.rmdir()
            return True
        lock = os.open(LOCK, _TO_LOCK, dir_fd=folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _delete(path, folder)
        finally:
            os.close(lock)
    finally:
        os.close(folder)


def _delete_own(path: Path, lock: int, owner: int) -> None:
    if os.getpid() != owner:  # a forked copy of the process: the folder is not its own
        return
    try:
        folder = os.open(path, _TO_FOLDER)
        try:
            _delete(path, folder)
        finally:
            os.close(folder)
    except OSError:
        pass  # it is gone already
    finally:
        os.close(lock)


def _delete(path: Path, folder: int) -> bool:
    """Delete a folder whose lock is held, the lock last: stopped halfway, it can be gone on with.

    All goes by the open folder, never by its name, which may have come to mean another one.
    """
    with os.scandir(folder) as entries:
        found = [(e.name, e.is_dir(follow_symlinks=False)) for e in entries if e.name != LOCK]
    for name, is_folder in found:
        if is_folder:
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
    if os.listdir(folder) != [LOCK]:
        return False  # something can't be deleted, or is still being written
    os.unlink(LOCK, dir_fd=folder)
    path.rmdir()
    return True
