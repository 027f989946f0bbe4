"""Score messages with whatever predicts words: batches over all users, a task a group of users.

A `Predictor` is the one thing that a model must be to be evaluated: it gives, block by block, scores of
all outputs at each position. The LSTM (here), n-grams (`nwp.evaluation.ngrams`) and foreign models are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch

from nwp.evaluation.counts import Counts, IntArray, Rows, Scored, count_each
from nwp.evaluation.ranking import (
    Block,
    Prefixes,
    from_logits,
    from_probabilities,
    prefixes_of,
    stand,
)
from nwp.evaluation.slices import Slices, slice_up
from nwp.federated.device import moved
from nwp.federated.kernel import Kernel
from nwp.federated.packing import pack
from nwp.federated.products import linear, reordered
from nwp.model.config import ModelConfig
from nwp.model.expert import Expert
from nwp.model.lstm import FloatArray
from nwp.text.contexts import trigrams
from nwp.text.spelling import Letters
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, Encoded

_T = TypeVar("_T")

# Positions that are read side by side.
_POSITIONS = 2048
# Scores over the vocabulary that are in memory at once: 2 MB, which stay in a core's cache.
_SCORES = 1 << 19


class Predictor(Protocol):
    """What gives every output, the ids from `FIRST_OUTPUT` on, a score at each position."""

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """All positions once, in any order, some at a time; every message from its beginning."""


def score(predictor: Predictor, data: Encoded, prefixes: Prefixes | None = None) -> Scored:
    """How a model does at each position; without `prefixes` no letters are typed."""
    size = len(data.targets)
    nll, confidence = np.zeros(size), np.zeros(size)
    rank, above, typed = np.zeros((3, size), np.int64)
    with torch.inference_mode():
        for block in predictor.blocks(data):
            at = block.where
            rank[at], above[at], typed[at] = stand(block, prefixes)
            nll[at], confidence[at] = block.nll.numpy(), block.confidence.numpy()
    return Scored(nll, rank, above, confidence, typed)


class LstmPredictor:
    """The LSTM as a predictor: messages of like length are read side by side."""

    def __init__(
        self, config: ModelConfig, weights: FloatArray, prefixes: Prefixes | None = None
    ) -> None:
        """`weights` is flat, float32 (n,). With `prefixes` words are scored in their order, so that
        nothing need be sorted later."""
        self._kernel = Kernel(config)
        self._kernel.load(torch.from_numpy(weights))
        read = self._kernel.weights
        rows, self._bias = (
            read["embed.weight"][config.first_output :] if config.tied else read["out.weight"],
            read["out.bias"],
        )
        self._order = None if prefixes is None else prefixes.order
        self._places = torch.arange(config.outputs)
        if self._order is not None:
            first = FIRST_WORD - FIRST_OUTPUT
            columns = torch.from_numpy(np.concatenate([np.arange(first), first + self._order]))
            self._places[columns] = torch.arange(config.outputs)
            columns = moved(columns, rows.device)
            rows, self._bias = rows[columns], self._bias[columns]
        self._rows, self._outputs = reordered(rows), config.outputs

    @property
    def places(self) -> IntArray:
        """The column of each output, int64 (outputs,)."""
        found: IntArray = self._places.numpy()
        return found

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """See `Predictor`."""
        lengths = np.diff(data.offsets)
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            size = max(1, _POSITIONS // int(lengths[order[min(start + 255, len(order) - 1)]]))
            rows = order[start : start + min(size, 256)]
            start += len(rows)
            yield from self._batch(data, rows)

    def _batch(self, data: Encoded, rows: IntArray) -> Iterator[Block]:
        """The positions of some messages, first words first."""
        batch = pack([(data, rows)], int(np.diff(data.offsets)[rows].max()))
        steps = np.repeat(np.arange(len(batch.sizes)), batch.sizes)
        where = data.offsets[rows[batch.rows]] + steps
        projected = self._kernel.project(batch)
        targets = self._places[batch.targets - FIRST_OUTPUT]
        for some in at_once(len(where), self._outputs):
            logits = linear(projected[some], self._rows, self._bias)
            yield from_logits(where[some], logits, targets[some], self._order)


class MixedPredictor:
    """The LSTM mixed with an n-gram expert, as a predictor."""

    def __init__(
        self,
        config: ModelConfig,
        weights: FloatArray,
        expert: Expert,
        prefixes: Prefixes | None = None,
    ) -> None:
        """As for `LstmPredictor`."""
        self._lstm, self._expert = LstmPredictor(config, weights, prefixes), expert
        self._size = config.vocabulary

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """See `Predictor`."""
        before, last, _ = trigrams([data], self._size)
        for block in self._lstm.blocks(data):
            p = block.probabilities
            at = block.where
            self._expert.mix(before[at], last[at], p.numpy(), self._lstm.places)
            yield from_probabilities(at, p, block.wanted, block.order)


def predictor_of(
    config: ModelConfig,
    weights: FloatArray,
    expert: Expert | None = None,
    prefixes: Prefixes | None = None,
) -> LstmPredictor | MixedPredictor:
    """A bundle's model as a predictor: with its n-gram expert, if it has one."""
    if expert is None:
        return LstmPredictor(config, weights, prefixes)
    return MixedPredictor(config, weights, expert, prefixes)


def at_once(positions: int, outputs: int) -> Iterator[slice]:
    """So many positions at a time that their scores stay in a core's cache."""
    size = max(1, _SCORES // outputs)
    return (slice(start, start + size) for start in range(0, positions, size))


def count_group(
    weights: FloatArray,
    config: ModelConfig,
    words: tuple[str, ...],
    users: Sequence[Encoded],
    letters: Sequence[Letters],
    expert: Expert | None = None,
) -> tuple[Rows, Slices]:
    """All that is counted of some users under flat weights: a row each, and slices of all.

    `words` are the vocabulary's, for what is completed as it is typed. Messages of all users share
    batches. With an `expert` it is of the mixture.
    """
    predictor = predictor_of(config, weights, expert, prefixes_of(words))
    return count_with(predictor, words, users, letters)


def count_with(
    predictor: Predictor,
    words: tuple[str, ...],
    users: Sequence[Encoded],
    letters: Sequence[Letters],
) -> tuple[Rows, Slices]:
    """The same with any model over these words."""
    every = join(users)
    spelled = Letters(
        np.concatenate([one.sizes for one in letters]), np.concatenate([one.nll for one in letters])
    )
    scored = score(predictor, every, prefixes_of(words))
    rows = count_each(scored, every, [len(user.targets) for user in users], spelled)
    return rows, slice_up(scored, every, spelled)


def count_rows(
    weights: FloatArray,
    config: ModelConfig,
    users: Sequence[Encoded],
    expert: Expert | None = None,
) -> Rows:
    """The counts of each user but those of letters, float64 (users, columns); zeros for no words."""
    every = join(users)
    scored = score(predictor_of(config, weights, expert), every)
    return count_each(scored, every, [len(user.targets) for user in users])


def count_users(
    weights: FloatArray,
    config: ModelConfig,
    users: Sequence[Encoded],
    expert: Expert | None = None,
) -> list[Counts]:
    """The same as one `Counts` a user."""
    return [Counts.from_row(row) for row in count_rows(weights, config, users, expert)]


def join(users: Sequence[Encoded]) -> Encoded:
    """The messages of several users, end to end."""
    fields = ("inputs", "marks", "targets", "addresses")
    arrays = {name: np.concatenate([getattr(user, name) for user in users]) for name in fields}
    lengths = np.concatenate([np.diff(user.offsets) for user in users])
    return Encoded(**arrays, offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def chunks(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    """Consecutive groups of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]
