"""Messages of many users on disk, read a user at a time: a corpus may be larger than the memory.

The files are nameless (in the folder for temporary files, unlinked at once): nobody else can open
them, and they are gone with the process, however it ends. In memory stay four bytes a message, 24 a
user, and the users' names at their length in UTF-8.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import IO, NoReturn, overload

import numpy as np
import numpy.typing as npt

from nwp.corpus.types import Corpus, Message, Tally, nothing_in, with_text
from nwp.files import read_at

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Longs = npt.NDArray[np.int64]


class Names(Sequence[str]):
    """Different names in order, in far less memory than a string each; found by halving."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names` come sorted, and sorted they are in UTF-8, too."""
        # A name may be half a surrogate pair, which JSON can write.
        raws = [name.encode("utf-8", "surrogatepass") for name in names]
        self._bytes = b"".join(raws)
        self._bounds = array("q", accumulate(map(len, raws), initial=0))

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return self._raw(range(len(self))[at]).decode("utf-8", "surrogatepass")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._place(name) is not None

    def index(self, name: str, *_: int) -> int:
        """The place of a name; ValueError when it is not there."""
        if (place := self._place(name)) is None:
            raise ValueError(f"no name {name!r}")
        return place

    def _place(self, name: str) -> int | None:
        raw = name.encode("utf-8", "surrogatepass")
        place = bisect_left(range(len(self)), raw, key=self._raw)
        return place if place < len(self) and self._raw(place) == raw else None

    def _raw(self, place: int) -> bytes:
        return self._bytes[self._bounds[place] : self._bounds[place + 1]]


class StoredUsers(Mapping[str, tuple[str, ...]]):
    """User id to messages, users in order of their ids. Each look-up reads from disk."""

    def __init__(
        self, file: IO[bytes], names: list[str], lengths: npt.NDArray[np.int32], counts: _Longs
    ) -> None:
        """`lengths` are of all messages in bytes, end to end in `file`; `counts` messages a user has."""
        file.flush()
        self._handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._handle)
        self.names = Names(names)
        self._lengths = lengths
        self._first = _bounds(counts)
        self._byte = _bounds(lengths.astype(np.int64))[self._first]

    def __getitem__(self, user: str) -> tuple[str, ...]:
        try:
            at = self.names.index(user)
        except ValueError:
            raise KeyError(user) from None
        start, stop = int(self._byte[at]), int(self._byte[at + 1])
        raw = read_at(self._handle, stop - start, start)
        ends = np.cumsum(self._lengths[self._first[at] : self._first[at + 1]]).tolist()
        borders = pairwise([0, *ends])
        if raw.isascii():
            text = raw.decode()
            return tuple(text[a:b] for a, b in borders)
        return tuple(raw[a:b].decode() for a, b in borders)

    def __contains__(self, user: object) -> bool:
        return user in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def messages(self) -> int:
        """How many messages all users have."""
        return len(self._lengths)

    def __reduce__(self) -> NoReturn:
        """In another process the file's number is another file's, or none."""
        raise TypeError(
            "stored users stay in their process: hand over some users' messages instead"
        )


def gather(name: str, messages: Iterable[Message], tally: Tally) -> Corpus:
    """Put messages into a corpus: by user, stably by time where all of a user's have one.

    A user of whose messages only some have a time keeps the source's order and is counted in
    `unordered`. Messages of white space only are skipped and counted. BadCorpus when nothing is
    left.
    """
    users, unordered = store(with_text(messages, tally))
    if not users:
        raise nothing_in(name, tally)
    return Corpus(name, users, dict(tally.skipped), dict(tally.remarks), unordered)


def store(messages: Iterable[Message]) -> tuple[StoredUsers, int]:
    """Lay messages out by user, each user's stably by time where all of them have one.

    Also returns how many users have a time for some messages only, and so keep the given order.
    """
    numbers: dict[str, int] = {}
    users, lengths, times = array("i"), array("i"), array("d")
    with tempfile.TemporaryFile() as spool:
        for message in messages:
            raw = message.text.encode(errors="replace")
            spool.write(raw)
            users.append(numbers.setdefault(message.user, len(numbers)))
            lengths.append(len(raw))
            times.append(_seconds(message.time))
        names = sorted(numbers)
        ranks = np.empty(len(names), np.int32)
        ranks[[numbers[name] for name in names]] = np.arange(len(names))
        rank = ranks[np.frombuffer(users, np.int32)]
        counts = np.bincount(rank, minlength=len(names))
        time, unordered = _comparable(np.frombuffer(times, np.float64), rank, counts)
        order = np.lexsort((time, rank))
        sizes = np.frombuffer(lengths, np.int32)
        if (np.diff(order) == 1).all():
            return StoredUsers(spool, names, sizes, counts), unordered
        del users, times, time, rank
        spool.flush()
        with tempfile.TemporaryFile() as sorted_file:
            _copy(spool.fileno(), sorted_file, order, _bounds(sizes.astype(np.int64)))
            return StoredUsers(sorted_file, names, sizes[order], counts), unordered


def _comparable(
    times: npt.NDArray[np.float64], rank: npt.NDArray[np.int32], counts: _Longs
) -> tuple[npt.NDArray[np.float64], int]:
    """Times to sort by, 0 for users who do not have one for all; how many have it for some only."""
    timed = np.bincount(rank[~np.isnan(times)], minlength=len(counts))
    return np.where((timed == counts)[rank], times, 0.0), int(
        ((timed > 0) & (timed < counts)).sum()
    )


def _copy(spool: int, out: IO[bytes], order: npt.NDArray[np.intp], starts: _Longs) -> None:
    """Copy messages in a new order, runs that stay together at one go."""
    heads = np.flatnonzero(np.diff(order, prepend=-2) != 1)
    firsts, lasts = order[heads], order[np.append(heads[1:], len(order)) - 1]
    for start, stop in zip(starts[firsts], starts[lasts + 1], strict=True):
        out.write(read_at(spool, int(stop - start), int(start)))


def _bounds(counts: npt.NDArray[np.int64]) -> _Longs:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _seconds(time: datetime | None) -> float:
    """Seconds since 1970, for a time without a zone as if it were in UTC; NaN for none."""
    if time is None:
        return float("nan")
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH).total_seconds()
