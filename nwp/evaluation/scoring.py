"""Score messages with the LSTM: batches of like length over all users, in torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

from nwp.evaluation.counts import Counts, Rows, Scored, count_each
from nwp.federated.local import pad
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Encoded

_T = TypeVar("_T")

# Positions that are read side by side.
_POSITIONS = 2048
# Scores over the vocabulary that are in memory at once: 2 MB, which stay in a core's cache.
_SCORES = 1 << 19
# Positions of several users that are scored as one task.
_GROUPED = 4096


def score(model: NextWordModel, data: Encoded) -> Scored:
    """How the model does at each position; every message is read whole, from a fresh state."""
    lengths = np.diff(data.offsets)
    nll = np.zeros(len(data.targets), np.float64)
    rank = np.zeros(len(data.targets), np.int64)
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, _POSITIONS // int(lengths[order[min(start + 255, len(order) - 1)]]))
        rows = order[start : start + min(size, 256)]
        start += len(rows)
        where = np.concatenate([np.arange(data.offsets[r], data.offsets[r + 1]) for r in rows])
        nll[where], rank[where] = _score_batch(model, data, rows)
    return Scored(nll, rank)


@torch.inference_mode()
def _score_batch(
    model: NextWordModel, data: Encoded, rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.int64]]
]:
    """-ln p and rank of the real positions of some messages, message after message."""
    longest = int((data.offsets[rows + 1] - data.offsets[rows]).max())
    batch = pad(data, rows, longest)
    real = batch.targets >= FIRST_OUTPUT
    states = model.hidden(batch.inputs, batch.marks)[real]
    targets = batch.targets[real] - FIRST_OUTPUT
    nlls, ranks = [], []
    size = max(1, _SCORES // model.config.outputs)
    for start in range(0, len(states), size):
        part, wanted = states[start : start + size], targets[start : start + size]
        logits = model.logits(part)
        chosen = logits.gather(1, wanted[:, None])
        nlls.append((torch.logsumexp(logits, 1) - chosen[:, 0]).double())
        ranks.append(_ranks(logits[:, FIRST_WORD - FIRST_OUTPUT :], chosen, wanted))
    return torch.cat(nlls).numpy(), torch.cat(ranks).numpy()


def _ranks(words: torch.Tensor, chosen: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """How many words come before the target: those with a higher score, or an equal one and a
    lower id."""
    before = _trues(words > chosen)
    equal = words == chosen
    tied = _trues(equal) > 1
    if tied.any():
        ids = torch.arange(words.shape[1]) + FIRST_WORD - FIRST_OUTPUT
        before = before + _trues(equal & (ids < wanted[:, None]))
    return before


def _trues(found: torch.Tensor) -> torch.Tensor:
    """How many of a row are true; torch adds up bytes many times as fast as it does truths."""
    return found.view(torch.uint8).sum(1, dtype=torch.int32)


def count_rows(weights: FloatArray, config: ModelConfig, users: Sequence[Encoded]) -> Rows:
    """The counts of each user under flat weights, float64 (users, columns); zeros for no words.

    Messages of all users share batches.
    """
    model = NextWordModel(config)
    model.set_weights(weights)
    every = join(users)
    return count_each(
        score(model, every),
        every.targets,
        every.addresses,
        [len(user.targets) for user in users],
        end=END,
        unknown=UNKNOWN,
    )


def count_users(weights: FloatArray, config: ModelConfig, users: Sequence[Encoded]) -> list[Counts]:
    """The same as one `Counts` a user."""
    return [Counts.from_row(row) for row in count_rows(weights, config, users)]


def join(users: Sequence[Encoded]) -> Encoded:
    """The messages of several users, end to end."""
    fields = ("inputs", "marks", "targets", "addresses")
    arrays = {name: np.concatenate([getattr(user, name) for user in users]) for name in fields}
    lengths = np.concatenate([np.diff(user.offsets) for user in users])
    return Encoded(**arrays, offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def in_groups(users: Iterable[Encoded], most: int) -> Iterator[list[Encoded]]:
    """Consecutive groups of at most `most` users, with few positions or one user; read as needed."""
    group: list[Encoded] = []
    positions = 0
    for user in users:
        if group and (len(group) == most or positions + len(user.targets) > _GROUPED):
            yield group
            group, positions = [], 0
        group.append(user)
        positions += len(user.targets)
    if group:
        yield group


def chunks(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    """Consecutive groups of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]
