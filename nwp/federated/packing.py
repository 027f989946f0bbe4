"""Messages laid out by position, so that next to nothing padded is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nwp.federated.device import moved
from nwp.text.vocabulary import Encoded

_ROUND = 16  # rows: a product of a shape not seen before costs as much again as a small one itself


@dataclass(frozen=True)
class Packed:
    """Messages by position: `targets` is int64 (N,) over N real words.

    `inputs` and `marks` are int64 (P,): N rounded up, so that few shapes of products occur; what is
    behind the words is 0 and belongs to no message. `sizes[t]` messages have a position t; message
    order is longest first and the same at each position. `rows[i]` is the message (in the order
    given) of word i, `shape` their number and the longest one's length.
    """

    inputs: Tensor
    marks: Tensor
    targets: Tensor
    sizes: tuple[int, ...]
    rows: npt.NDArray[np.int64]
    shape: tuple[int, int]

    @property
    def words(self) -> int:
        """N."""
        return len(self.targets)

    @property
    def before(self) -> Tensor:
        """For each row behind the messages' first words, in order, where the word before it is;
        somewhere for a row of no message: (P - sizes[0],)."""
        sizes = np.array(self.sizes)
        found = np.zeros(len(self.inputs) - self.sizes[0], np.int64)
        later = np.arange(self.sizes[0], self.words)
        found[: len(later)] = later - np.repeat(sizes[:-1], sizes[1:])
        return moved(torch.from_numpy(found), self.inputs.device)

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """The place of each word in its message: (N,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def on(self, device: torch.device) -> Packed:
        """The same with its tensors on a device."""
        if self.inputs.device == device:
            return self
        inputs, marks, targets = (moved(v, device) for v in (self.inputs, self.marks, self.targets))
        return replace(self, inputs=inputs, marks=marks, targets=targets)


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

    rounded = -(-len(where) // _ROUND) * _ROUND

    def gather(name: str, size: int) -> Tensor:
        arrays = [getattr(user, name) for user, _ in users]
        values = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        found = np.zeros(size, np.int64)
        found[: len(where)] = values[where]
        return torch.from_numpy(found)

    return Packed(
        inputs=gather("inputs", rounded),
        marks=gather("marks", rounded),
        targets=gather("targets", len(where)),
        sizes=tuple(real.sum(axis=1).tolist()),
        rows=np.broadcast_to(order, real.shape)[real],
        shape=(len(order), int(lengths.max())),
    )
