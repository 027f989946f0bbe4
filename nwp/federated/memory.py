"""What a worker keeps on its own disk: arrays of its users from round to round, and from phase to phase.

Some methods give a user a state of its own: SCAFFOLD a control variate, compression the error made so
far. It never leaves the worker. It is as repeatable as the rounds are: round N reads what rounds
before N wrote, however often it is begun, and what it writes takes the place of what it wrote
before. So a version is kept for each round that may still be begun again, and one more.

    kept-JOB/NAME/USER/ROUND.safetensors   one array of one user, as that round left it
    kept-JOB/written/ROUND                 whose arrays that round wrote
    kept-JOB/oldest                        the oldest round that can still be begun
    memory-JOB-ROUND.safetensors           what one phase of a round left for the next
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nwp.errors import BadInput, BadMessage
from nwp.federated.parcel import ArraySpec, Envelope, Parcel, Schema, pack, unpack, unpack_own
from nwp.files import write_atomic
from nwp.model.lstm import FloatArray

BACK = 2  # rounds that a run may have to go back to, if its last checkpoint is damaged
_ARRAY = Schema(arrays={"array": ArraySpec("float32", (None,))})
_AGAIN = "Train anew into another folder, or with --force."


@dataclass(frozen=True)
class Memory:
    """A job's memory on one worker, as round `number` sees it. Small enough to be sent to another
    process, which then reads and writes by itself.

    `folder` is the worker's own; it is made at the first `keep`, for its owner's eyes alone (0700,
    files 0600). Another job's memory in it is not seen. A user has one file a name; two or more
    while rounds are young that may be begun again.
    """

    folder: Path
    job: str
    number: int

    def keep(self, name: str, user: str, array: FloatArray) -> None:
        """Keep an array, float32 (n,), of a user under a name (letters); later rounds will find it."""
        path = self._path(name, user, self.number)
        private_folder(self.folder)
        self._enter(f"{name}/{path.parent.name}")
        data = pack(self._envelope(name, self.number), Parcel(arrays={"array": array}), _ARRAY)
        write_atomic(path, data, mode=0o600)

    def kept(self, name: str, user: str) -> FloatArray | None:
        """What the last round before this one kept, float32 (n,); None when none did.

        BadInput when its file is damaged.
        """
        folder = self._path(name, user, 0).parent
        before = [number for number in _versions(folder) if number < self.number]
        if not before:
            return None
        path = folder / _file(max(before))
        try:
            envelope, parcel = unpack(path.read_bytes(), _ARRAY)
        except (OSError, BadMessage) as error:
            raise BadInput(f"a worker's memory is damaged: {path}: {error}", _AGAIN) from error
        if envelope != self._envelope(name, max(before)):
            raise BadInput(f"a worker's memory is damaged: {path} is of another job", _AGAIN)
        found: FloatArray = parcel.arrays["array"]
        return found

    def remember(self, parcel: Parcel) -> None:
        """Keep something until a later phase of this round."""
        private_folder(self.folder)
        envelope = Envelope("memory", self.job, "memory", self.number)
        write_atomic(self._between(self.number), pack(envelope, parcel, Schema.of(parcel)), 0o600)

    def recall(self) -> Parcel:
        """What an earlier phase of this round kept; an empty parcel when none did."""
        path = self._between(self.number)
        return unpack_own(path.read_bytes()) if path.exists() else Parcel()

    def begin(self, *, first: bool) -> None:
        """Before a phase of this round: drop what must not be read and what no round can ask for.

        With `first`, the round begins (again): what it wrote goes. What rounds after it wrote goes
        in any case. BadInput when the round lies too far back.
        """
        for path in self.folder.glob(self._between("*").name):
            if first or path != self._between(self.number):
                path.unlink()
        if not self._root.exists():
            return
        if self.number < self._oldest():
            raise BadInput(
                f"a worker's memory goes back to round {self._oldest()}, not to {self.number}",
                _AGAIN,
            )
        oldest = max(1, self.number - BACK)
        for journal in list(_numbered(self._root / "written")):
            number = int(journal.name)
            after = number > self.number or (first and number == self.number)
            if not after and number >= oldest:
                continue
            if not after:
                # First of all: from now on nobody may rely on what is about to go.
                write_atomic(self._root / "oldest", f"{oldest}\n", mode=0o600)
            for line in sorted(set(journal.read_text().split())):
                folder = self._root / line
                if after:
                    (folder / _file(number)).unlink(missing_ok=True)
                    continue
                for old in sorted(n for n in _versions(folder) if n < oldest)[:-1]:
                    (folder / _file(old)).unlink(missing_ok=True)
            journal.unlink()

    def forget(self) -> None:
        """Delete the memory of this job."""
        shutil.rmtree(self._root, ignore_errors=True)
        for path in self.folder.glob(self._between("*").name):
            path.unlink()
        with contextlib.suppress(OSError):  # there is something else in it
            self.folder.rmdir()

    @property
    def _root(self) -> Path:
        return self.folder / f"kept-{self.job[:16]}"

    def _between(self, number: int | str) -> Path:
        return self.folder / f"memory-{self.job[:16]}-{number}.safetensors"

    def _path(self, name: str, user: str, number: int) -> Path:
        # A user's id may hold anything, a slash included, and be longer than a file's name may be.
        digest = hashlib.sha256(user.encode()).hexdigest()
        return self._root / name / digest / _file(number)

    def _envelope(self, name: str, number: int) -> Envelope:
        return Envelope("kept", self.job, name, number)

    def _oldest(self) -> int:
        path = self._root / "oldest"
        return int(path.read_text()) if path.exists() else 1

    def _enter(self, line: str) -> None:
        """Note that this round writes a user's array: in one write, since processes share the file."""
        journal = self._root / "written" / str(self.number)
        journal.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, f"{line}\n".encode())
        finally:
            os.close(handle)


def private_folder(path: Path) -> None:
    """Make a folder that only its owner can look into, if it is not there yet."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _file(number: int) -> str:
    return f"{number}.safetensors"


def _versions(folder: Path) -> list[int]:
    """The rounds that an array is kept of."""
    if not folder.exists():
        return []
    # A name that begins with a dot is a file being written.
    return [int(p.stem) for p in folder.iterdir() if p.stem.isdigit()]


def _numbered(folder: Path) -> Iterator[Path]:
    if folder.exists():
        yield from sorted(folder.iterdir())
