"""What left a worker: an append-only file of JSON lines, each on disk before its message leaves.

Each line holds the SHA-256 of the line before and of itself, so that a line that was changed,
removed, moved or put in breaks the chain from there on (Haber and Stornetta 1991, "How to
time-stamp a digital document", section 5). Two things a chain alone can't show: that its last lines
are gone, and that somebody wrote all of it anew. An owner who writes down the hash of the last line
now and then (`Ledger.head`) sees both.

The order of what happened is that of the lines. Times are the owner's clock as it stood: a clock
that jumps changes them and nothing else.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

from nwp.errors import BadInput
from nwp.federated.parcel import Envelope
from nwp.files import remove_partial, write_atomic
from nwp.workers.entries import (
    NONE_BEFORE,
    Entry,
    broken,
    fault_of,
    line_of,
    read_entries,
    sealed,
)

__all__ = ["Entry", "Ledger"]

_MOST_TOLD = 200  # characters of the job and the phase that a request without an answer names


class Ledger:
    """The ledger in the file `path`, made with its first entry.

    One process writes to it; others may read it meanwhile. `clock` gives the time. With `keep`, a
    folder, each message is kept there as N.parcel, for its owner alone, and the oldest are deleted so
    that there are never more than `most_kept_bytes` in all (a larger one is not kept). BadInput for a
    file whose chain is broken. A last line that was not written whole is no entry (its message never
    left), and the next takes its place.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep: Path | None = None,
        most_kept_bytes: int = 2_000_000_000,
    ) -> None:
        self.path, self.clock = path, clock
        raw = path.read_bytes() if path.exists() else b""
        self._whole, self._size = raw.rfind(b"\n") + 1, len(raw)
        self.entries: list[Entry] = read_entries(raw[: self._whole], path)
        self._answers: dict[tuple[str, str, int], Entry] = {}
        for entry in self.entries:
            self._note(entry)
        self.keep, self.most_kept_bytes = keep, most_kept_bytes
        self._kept: dict[int, int] | None = None  # in order of their numbers

    @property
    def head(self) -> str:
        """The hash of the last entry: what an owner may write down, to know the ledger again by."""
        return self.entries[-1].hash if self.entries else NONE_BEFORE

    def has(self, envelope: Envelope) -> bool:
        """Was this phase of this round of this job answered?"""
        return self.answer_to(envelope) is not None

    def answer_to(self, envelope: Envelope) -> Entry | None:
        """The entry of the answer to this phase of this round of this job; None when there is none.

        A server that lost its answer may be given the same bytes once more (`message`), provided that
        the request's SHA-256 is the entry's `request`: then nothing new leaves.
        """
        return self._answers.get((envelope.job, envelope.phase, envelope.round))

    def write(
        self,
        envelope: Envelope,
        message: bytes,
        *,
        to: str = "",
        request: str = "",
        norm: float | None = None,
        epsilon: float = 0.0,
    ) -> Entry:
        """Enter a message, before it leaves. `envelope` is its own, or that of the request (`ask`) that
        it answers.

        OSError when the disk is full or may not be written: nothing is entered then, and the message may
        not leave. BadInput when the file is not as this process left it.
        """
        kind = "answer" if envelope.kind == "ask" else envelope.kind
        # What is refused may be of anybody's making: it fills no disk.
        most = None if kind == "answer" else _MOST_TOLD
        entry = sealed(
            n=len(self.entries) + 1,
            time=_stamp(self.clock()),
            to=to,
            kind=kind,
            job=envelope.job[:most],
            phase=envelope.phase[:most],
            round=envelope.round,
            bytes=len(message),
            sha256=hashlib.sha256(message).hexdigest(),
            request=request,
            norm=None if norm is None else float(norm),
            epsilon=float(epsilon),
            prev=self.head,
        )
        if fault := fault_of(entry):
            raise ValueError(f"no entry for a ledger: {fault}")
        self._keep(entry.n, message)
        self._append(line_of(entry))
        self.entries.append(entry)
        self._note(entry)
        return entry

    def _append(self, line: bytes) -> None:
        if not self._size and not self.path.exists():
            write_atomic(self.path, b"", mode=0o600)  # the file's name, too, is on disk
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            if os.fstat(handle).st_size != self._size:
                raise BadInput(
                    f"{self.path} is not as this process left it: somebody else writes to it",
                    "Let one worker alone use it, and start that one again.",
                )
            if self._size > self._whole:  # a line that was not written whole
                os.ftruncate(handle, self._whole)
            try:
                left = memoryview(line)
                while left:
                    left = left[os.write(handle, left) :]
                os.fsync(handle)
            except BaseException:
                self._size = os.fstat(handle).st_size  # what was written of it is cut next time
                raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            os.close(handle)
        self._whole = self._size = self._whole + len(line)

    def _note(self, entry: Entry) -> None:
        if entry.kind == "answer":
            self._answers.setdefault((entry.job, entry.phase, entry.round), entry)

    def _keep(self, n: int, message: bytes) -> None:
        """Keep a message, and delete the oldest beyond what may be kept."""
        if self.keep is None:
            return
        if self._kept is None:
            self._kept = self._found_kept(self.keep)
            self._kept_bytes = sum(self._kept.values())
        if n in self._kept:  # of an attempt that came to nothing
            self._drop(self.keep, self._kept, n)
        if len(message) > self.most_kept_bytes:
            return
        while self._kept_bytes + len(message) > self.most_kept_bytes:
            self._drop(self.keep, self._kept, next(iter(self._kept)))
        write_atomic(self.keep / f"{n}.parcel", message, mode=0o600)
        self._kept[n] = len(message)
        self._kept_bytes += len(message)

    def _drop(self, folder: Path, kept: dict[int, int], n: int) -> None:
        (folder / f"{n}.parcel").unlink(missing_ok=True)
        self._kept_bytes -= kept.pop(n)

    def _found_kept(self, folder: Path) -> dict[int, int]:
        """Number to bytes of the messages in the folder; what a killed process left there is deleted."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_partial(folder)
        sizes = {path.name: path.stat().st_size for path in folder.glob("*.parcel")}
        (folder / f"{len(self.entries) + 1}.parcel").unlink(missing_ok=True)  # it never left
        numbers = range(1, len(self.entries) + 1)
        return {n: sizes[f"{n}.parcel"] for n in numbers if f"{n}.parcel" in sizes}

    def message(self, n: int) -> bytes:
        """The bytes of entry n as they left. BadInput when they were not kept, or are others now."""
        if not 1 <= n <= len(self.entries):
            raise BadInput(
                f"{self.path} has no entry {n}", f"Its entries are 1 to {len(self.entries)}."
            )
        path = self.keep / f"{n}.parcel" if self.keep else None
        try:
            if path is None:
                raise FileNotFoundError
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise BadInput(
                f"the message of entry {n} was not kept, or was dropped since",
                "The entry says how long it was and what its SHA-256 is. "
                "Allow more bytes to be kept if messages are dropped too soon.",
            ) from error
        except OSError as error:
            raise BadInput(
                f"{path} can't be read: {error.strerror}", "Allow reading it."
            ) from error
        if hashlib.sha256(data).hexdigest() != self.entries[n - 1].sha256:
            raise BadInput(
                f"{path} is not the message that left: its SHA-256 is another",
                "It is damaged or was changed: delete it. The entry itself tells what left.",
            )
        return data

    def epsilon_spent(self) -> float:
        """The privacy spent by all that left, added up (basic composition)."""
        return math.fsum(entry.epsilon for entry in self.entries)

    def rounds_on(
        self, day: date, zone: tzinfo | None = None, besides: Envelope | None = None
    ) -> int:
        """How many rounds (of any jobs) something was answered in on a day of `zone` (None: this
        machine's); without the one that `besides` belongs to, if given."""
        since = _stamp(_midnight(day, zone))
        until = _stamp(_midnight(day + timedelta(1), zone))
        rounds = {(e.job, e.round) for e in self._answers.values() if since <= e.time < until}
        if besides:
            rounds.discard((besides.job, besides.round))
        return len(rounds)

    def refused_on(self, day: date, zone: tzinfo | None = None) -> int:
        """How many refusals left on a day of `zone` (None: this machine's)."""
        since = _stamp(_midnight(day, zone))
        until = _stamp(_midnight(day + timedelta(1), zone))
        return sum(e.kind == "refuse" and since <= e.time < until for e in self.entries)

    def summary(self, job: str) -> dict[str, Any]:
        """The answers of one job: how many of each phase, and their bytes."""
        mine = [e for e in self.entries if e.job == job and e.kind == "answer"]
        phases = sorted({e.phase for e in mine})
        return {
            "answers": {p: sum(e.phase == p for e in mine) for p in phases},
            "bytes": sum(e.bytes for e in mine),
        }

    def verify(self, known: str = "") -> int:
        """Read the file anew and follow its chain: the number of its entries.

        BadInput names the first line at which it breaks; also when entries that this object knows are
        gone, or when no entry has the hash `known`, a head that its owner wrote down.
        """
        raw = self.path.read_bytes() if self.path.exists() else b""
        found = read_entries(raw[: raw.rfind(b"\n") + 1], self.path)
        for line, (mine, theirs) in enumerate(zip(self.entries, found, strict=False), 1):
            if mine != theirs:
                raise broken(self.path, line, "it is another than it was")
        if len(found) < len(self.entries):
            raise broken(self.path, len(found) + 1, "this line and what followed are gone")
        if known and known not in (NONE_BEFORE, *(entry.hash for entry in found)):
            raise BadInput(
                f"no line of {self.path} has the hash {known}",
                "If it was the last one's once, lines were removed or all was written anew.",
            )
        return len(found)


def _stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, always as long, so that earlier moments are smaller texts."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    return datetime.combine(day, time(), zone)
