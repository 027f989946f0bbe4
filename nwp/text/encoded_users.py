"""The encoded messages of many users, memory-mapped: a user's arrays are made when asked for."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Sequence
from typing import IO, Any, overload

import numpy as np
import numpy.typing as npt

from nwp.text.vocabulary import Encoded, Vocabulary, encode

_Array = npt.NDArray[Any]
_FIELDS = ("inputs", "marks", "targets", "addresses")


class EncodedUsers(Sequence[Encoded]):
    """Users in order, each as one `Encoded`.

    On disk (nameless files, gone with the process) a position takes six bytes with a vocabulary of
    up to 65,536 ids, ten with a larger one; in memory stays the place of each user.
    """

    def __init__(self, users: Iterable[Sequence[str]], vocabulary: Vocabulary) -> None:
        """Encode each user's messages."""
        ids: Any = np.uint16 if len(vocabulary) <= 1 << 16 else np.int32
        kinds = dict(zip(_FIELDS, (ids, np.uint8, ids, np.bool_), strict=True))
        positions, messages = [0], [0]
        files = {n: tempfile.TemporaryFile() for n in (*_FIELDS, "lengths")}  # noqa: SIM115 (closed below)
        try:
            for texts in users:
                user = encode(texts, vocabulary)
                for name, kind in kinds.items():
                    files[name].write(getattr(user, name).astype(kind).data)
                files["lengths"].write(np.diff(user.offsets).astype(np.int32).data)
                positions.append(positions[-1] + len(user.targets))
                messages.append(messages[-1] + user.messages)
            self._arrays = {name: _mapped(files[name], kind) for name, kind in kinds.items()}
            self._lengths = _mapped(files["lengths"], np.int32)
        finally:
            for file in files.values():
                file.close()
        self._positions, self._messages = np.array(positions), np.array(messages)

    def __len__(self) -> int:
        return len(self._positions) - 1

    @overload
    def __getitem__(self, at: int) -> Encoded: ...

    @overload
    def __getitem__(self, at: slice) -> list[Encoded]: ...

    def __getitem__(self, at: int | slice) -> Encoded | list[Encoded]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        place = range(len(self))[at]
        start, stop = self._positions[place : place + 2].tolist()
        first, last = self._messages[place : place + 2].tolist()
        arrays = {name: self._arrays[name][start:stop] for name in _FIELDS}
        return Encoded(
            inputs=arrays["inputs"].astype(np.int32),
            marks=arrays["marks"].astype(np.int32),
            targets=arrays["targets"].astype(np.int32),
            addresses=arrays["addresses"].copy(),
            offsets=np.concatenate([[0], np.cumsum(self._lengths[first:last])]).astype(np.int64),
        )


def _mapped(file: IO[bytes], kind: Any) -> _Array:
    """What a file holds, mapped into memory (which can't be done with an empty one)."""
    file.flush()
    if not file.tell():
        return np.zeros(0, kind)
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), kind)
