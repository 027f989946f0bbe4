"""The folder of a training run, `OUT/run`: may a run begin or go on there, and is one under way?"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.errors import BadInput
from nwp.files import remove_partial, told, write_atomic
from nwp.model.bundle import SETTINGS, WEIGHTS

_RUN, _MARK, _RESULT = "run", "fingerprint", "result.json"
_A_MOMENT = 0.05  # seconds


@dataclass
class RunFolder:
    """The folder of a run, `out/run`. Nothing is written before `begin`: a run that can't begin
    leaves no trace, and no harm to the one that it was to replace.

    A context manager: from `check` or `begin` on the folder is locked, until the process ends.
    """

    out: Path
    fingerprint: str
    resume: bool
    _lock: int | None = None

    @property
    def folder(self) -> Path:
        """Where the state of the run is kept."""
        return self.out / _RUN

    @property
    def result(self) -> Path:
        """What a finished run came to."""
        return self.folder / _RESULT

    @property
    def metrics(self) -> Path:
        """The figures of each round (`nwp.runs.metrics`)."""
        return self.folder / "metrics.csv"

    @property
    def _mark(self) -> Path:
        return self.folder / _MARK

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def check(self, *, force: bool) -> dict[str, Any] | None:
        """Can this run begin in `out`, or go on there? The result, if it is finished already."""
        if self.out.exists() and not self.out.is_dir():
            raise BadInput(f"{self.out} is a file", "Give --out a folder.")
        there = {path.name for path in self.out.iterdir()} if self.out.exists() else set()
        bundled = {WEIGHTS, SETTINGS} <= there
        begun = self._mark.exists() or (there == {self.folder.name} and self._is_empty())
        if there and not (begun or bundled):
            raise BadInput(
                f"{self.out} already holds something, and no training run",
                "Give --out a folder that is new or empty.",
            )
        if there and not (self.resume or force):
            raise BadInput(
                f"{self.out} already holds a training run",
                "Go on with --resume, begin anew with --force, or give another --out.",
            )
        if self.folder.is_dir():
            self._take()
        if not self.resume:
            return None
        if self._mark.exists() and self._mark.read_bytes().strip() != self.fingerprint.encode():
            raise BadInput(
                f"the run in {self.out} has other settings, or the corpus has changed",
                "Resume with exactly the settings it was started with, or begin anew with --force.",
            )
        if bundled and not self._mark.exists():
            raise BadInput(
                f"{self.out} holds a model without the run that made it",
                "Go on from its weights with --from and another --out, or begin anew with --force.",
            )
        finished = self._finished() if bundled else None
        if finished is not None:  # of others `begin` does so
            with contextlib.suppress(OSError):
                remove_partial(self.out)
        return finished

    def _is_empty(self) -> bool:
        """Does the folder hold nothing but what a killed beginning leaves?"""
        return all(path.name.startswith(f".{self._mark.name}.") for path in self.folder.iterdir())

    def _finished(self) -> dict[str, Any] | None:
        """The result of a run that has come to its end; None when it is not there, or damaged."""
        return _read_result(self.result)

    def begin(self) -> None:
        """Make the folder of the run; an older run's content goes, unless this one goes on from it.

        Killed at any point, it leaves the older run, or one that has not begun.
        """
        from nwp.federated.state import STATE  # not for those who only ask about a run: torch

        with told(f"no run can begin in {self.out}", "then give the same command again."):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take()
            for folder in (self.folder, self.out):
                remove_partial(folder)
            if not self.resume:
                for path in (self.result, self.folder / STATE):
                    path.unlink(missing_ok=True)
            write_atomic(self._mark, self.fingerprint + "\n")
            if not self.resume:
                for path in self.folder.iterdir():
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    elif path != self._mark:
                        path.unlink()

    def _take(self) -> None:
        """Lock the folder: two processes in one would delete each other's files."""
        if self._lock is not None:
            return
        self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        if not _try_lock(self._lock):
            time.sleep(_A_MOMENT)  # it may be one who only asks whether a run is under way
            if not _try_lock(self._lock):
                raise BadInput(
                    f"another process is training into {self.out}",
                    "Wait for its end, or give another --out.",
                )


def under_way(out: Path, fingerprint: str) -> bool:
    """Is a process training the run of that fingerprint into `out` now?

    False, too, where the file system has no locks: nothing can tell there.
    """
    if not _is_of(out, fingerprint):
        return False
    try:
        handle = os.open(out / _RUN, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def result_in(out: Path, fingerprint: str) -> dict[str, Any] | None:
    """What the run of that fingerprint in `out` came to; None while it has not, or is no longer there."""
    return _read_result(out / _RUN / _RESULT) if _is_of(out, fingerprint) else None


def held_out_of(out: Path) -> tuple[str, ...]:
    """The users whom the run in `out` has held out whole, as far as it tells."""
    found = _read_result(out / _RUN / _RESULT) or {}
    return tuple(str(user) for user in found.get("held_out") or ())


def _is_of(out: Path, fingerprint: str) -> bool:
    try:
        return (out / _RUN / _MARK).read_bytes().strip() == fingerprint.encode()
    except OSError:
        return False


def _read_result(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _try_lock(handle: int) -> bool:
    """Lock a folder; False while another process has it. Where there are no locks, people see to it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
