"""The encoded messages of many users on disk: each user is encoded when first asked for."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nwp.files import read_at, write_at
from nwp.text.vocabulary import Encoded, Vocabulary, encode

_Array = npt.NDArray[Any]
_FIELDS = ("inputs", "marks", "targets", "addresses")


class EncodedUsers(Sequence[Encoded]):
    """Users in order, each as one `Encoded`.

    Who was asked for once lies on disk (in a nameless file, gone with the process): six bytes a
    position with a vocabulary of up to 65,536 ids, ten with a larger one, and four a message. In memory
    stay 24 bytes a user. The file is read, not mapped: what was read once is the system's to forget,
    and no process seems to grow with the corpus. One thread at a time may ask.
    """

    def __init__(self, users: Sequence[Sequence[str]], vocabulary: Vocabulary) -> None:
        """`users` gives each user's messages by place."""
        self._users, self._vocabulary = users, vocabulary
        ids: Any = np.uint16 if len(vocabulary) <= 1 << 16 else np.int32
        self._kinds = [np.dtype(kind) for kind in (ids, np.uint8, ids, np.bool_)]
        with tempfile.TemporaryFile() as file:
            self._handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._handle)
        self._end = 0
        self._starts = np.full(len(users), -1, np.int64)
        self._positions, self._messages = np.zeros((2, len(users)), np.int64)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, at: int) -> Encoded: ...

    @overload
    def __getitem__(self, at: slice) -> list[Encoded]: ...

    def __getitem__(self, at: int | slice) -> Encoded | list[Encoded]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        place = range(len(self))[at]
        return self._written(place) if self._starts[place] < 0 else self._read(place)

    def _written(self, place: int) -> Encoded:
        """Encode a user, and keep it."""
        user = encode(self._users[place], self._vocabulary)
        arrays = [
            getattr(user, name).astype(k) for name, k in zip(_FIELDS, self._kinds, strict=True)
        ]
        lengths = np.diff(user.offsets).astype(np.int32)
        raw = b"".join(array.tobytes() for array in (*arrays, lengths))
        write_at(self._handle, raw, self._end)
        self._positions[place], self._messages[place] = len(user.targets), user.messages
        self._starts[place] = self._end
        self._end += len(raw)
        return user

    def _read(self, place: int) -> Encoded:
        """A user as it was kept."""
        positions, messages = int(self._positions[place]), int(self._messages[place])
        size = positions * sum(kind.itemsize for kind in self._kinds) + 4 * messages
        raw, at = read_at(self._handle, size, int(self._starts[place])), 0
        arrays: list[_Array] = []
        for kind in self._kinds:
            arrays.append(np.frombuffer(raw, kind, positions, at))
            at += positions * kind.itemsize
        inputs, marks, targets, addresses = arrays
        lengths = np.frombuffer(raw, np.int32, messages, at)
        return Encoded(
            inputs=inputs.astype(np.int32),
            marks=marks.astype(np.int32),
            targets=targets.astype(np.int32),
            addresses=addresses.copy(),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        )
