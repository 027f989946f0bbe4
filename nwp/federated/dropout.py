"""What dropout keeps of a batch, drawn so that it depends neither on the packing nor on who else is in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nwp.federated.device import moved
from nwp.federated.packing import Packed
from nwp.model.config import ModelConfig


@dataclass(frozen=True)
class Draws:
    """Whose dropout is drawn from a generator: so many messages of a batch, behind those before."""

    generator: torch.Generator
    messages: int


def draws_of(generator: torch.Generator | None, batch: Packed) -> list[Draws]:
    """A batch whose messages all draw from one generator, if any."""
    return [] if generator is None else [Draws(generator, batch.shape[0])]


def masks_of(
    batch: Packed, config: ModelConfig, draws: Sequence[Draws]
) -> tuple[Tensor, Tensor] | None:
    """Dropout's factors for embeddings and projections, (P, width): drawn as for each one's messages
    side by side, in the order given, so that they depend neither on the packing nor on who else is
    in the batch."""
    if not draws or config.dropout == 0:
        return None
    lengths = np.bincount(batch.rows, minlength=batch.shape[0])
    firsts = np.cumsum([0, *(one.messages for one in draws)])
    owner = np.repeat(np.arange(len(draws)), np.diff(firsts))
    longest = np.maximum.reduceat(lengths, firsts[:-1])
    bounds = np.cumsum([0, *(longest * np.diff(firsts))])
    by = owner[batch.rows]
    places = torch.from_numpy(
        bounds[by] + (batch.rows - firsts[by]) * longest[by] + batch.positions
    )
    kept = 1 / (1 - config.dropout)

    def draw(width: int) -> Tensor:
        drawn = torch.empty(int(bounds[-1]), width)
        for one, (start, end) in zip(draws, itertools.pairwise(bounds), strict=True):
            torch.rand(end - start, width, generator=one.generator, out=drawn[start:end])
        mask = torch.zeros(len(batch.inputs), width)
        mask[: batch.words] = (drawn[places] >= config.dropout) * kept
        return moved(mask, batch.inputs.device)

    return draw(config.embedding), draw(config.projection)
