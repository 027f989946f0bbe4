"""Messages laid out by position, so that nothing padded is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nwp.text.vocabulary import Encoded


@dataclass(frozen=True)
class Packed:
    """Messages by position: `inputs`, `marks`, `targets` are int64 (N,) over N real words.

    `sizes[t]` messages have a position t; message order is longest first and the same at each
    position. `rows[i]` is the message (in the order given) of word i, `shape` their number and the
    longest one's length.
    """

    inputs: Tensor
    marks: Tensor
    targets: Tensor
    sizes: tuple[int, ...]
    rows: npt.NDArray[np.int64]
    shape: tuple[int, int]

    @property
    def before(self) -> Tensor:
        """For each word that is not its message's first, in order, where the word before it is."""
        sizes = np.array(self.sizes)
        first = self.sizes[0]
        found = np.arange(first, len(self.rows)) - np.repeat(sizes[:-1], sizes[1:])
        return torch.from_numpy(found)

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Where each word would stand in messages side by side, flattened: row times length + position."""
        positions = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return self.rows * self.shape[1] + positions


def pack(users: Sequence[tuple[Encoded, npt.NDArray[np.int64]]], max_positions: int) -> Packed:
    """Pack the messages (by number) of one user or several, cut to `max_positions`."""
    starts = np.concatenate([user.offsets[rows] for user, rows in users])
    ends = np.concatenate([user.offsets[rows + 1] for user, rows in users])
    lengths = np.minimum(ends - starts, max_positions)
    if len(users) > 1:
        bounds = np.cumsum([0, *(len(user.targets) for user, _ in users)])
        starts = starts + np.repeat(bounds[:-1], [len(rows) for _, rows in users])
    order = np.argsort(-lengths, kind="stable")
    position = np.arange(lengths.max())
    real = lengths[order] > position[:, None]
    where = (starts[order] + position[:, None])[real]

    def gather(name: str) -> Tensor:
        arrays = [getattr(user, name) for user, _ in users]
        values = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return torch.from_numpy(values[where].astype(np.int64))

    return Packed(
        inputs=gather("inputs"),
        marks=gather("marks"),
        targets=gather("targets"),
        sizes=tuple(real.sum(axis=1).tolist()),
        rows=np.broadcast_to(order, real.shape)[real],
        shape=(len(order), int(lengths.max())),
    )
