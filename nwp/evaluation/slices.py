"""Where a model errs: the same counts by place in the message, by frequency and by length of the word;
and whether it knows how sure it may be.

Both are sums over all users together, so that they say nothing of one user when many are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from nwp.evaluation.counts import BoolArray, FloatArray, IntArray, Scored
from nwp.text.spelling import Letters
from nwp.text.vocabulary import END, FIRST_WORD, UNKNOWN, Encoded

# The least of each slice and how it is called; the last has no end.
_PLACES: Sequence[tuple[int, str]] = (
    (0, "1st word"),
    (1, "2nd"),
    (2, "3rd"),
    (3, "4th and 5th"),
    (5, "6th to 10th"),
    (10, "11th to 20th"),
    (20, "later"),
)
_FREQUENCY: Sequence[tuple[int, str]] = (
    (0, "10 most frequent"),
    (10, "to 100"),
    (100, "to 1,000"),
    (1000, "to 5,000"),
    (5000, "rarer"),
    (-1, "not in the vocabulary"),
)
_LENGTHS: Sequence[tuple[int, str]] = (
    (1, "1 letter"),
    (2, "2"),
    (3, "3"),
    (4, "4"),
    (5, "5"),
    (6, "6 and 7"),
    (8, "8 to 10"),
    (11, "longer"),
)
KINDS = {"position": _PLACES, "frequency": _FREQUENCY, "length": _LENGTHS}
COLUMNS = ("tokens", "known", "hits1", "hits3", "nll")
ROWS = sum(map(len, KINDS.values()))
BINS = 15  # of probabilities, as Guo et al. (2017, "On calibration of modern neural networks")


@dataclass(frozen=True)
class Slices:
    """Sums over some users' targets; all add up.

    `table` float64 (`ROWS`, columns): for each slice of each kind word targets, how many are in the
    vocabulary, hits, and the sum of -ln p over known ones. `bins` float64 (`BINS`, 3): for first
    guesses of like probability how many, the sum of their probabilities, and how many were right. A
    first guess is made at every position, before the end of a message, too.
    """

    table: FloatArray
    bins: FloatArray

    def __add__(self, other: Self) -> Slices:
        return Slices(self.table + other.table, self.bins + other.bins)

    @classmethod
    def none(cls) -> Slices:
        """Of no targets."""
        return cls(np.zeros((ROWS, len(COLUMNS))), np.zeros((BINS, 3)))


def slice_up(scored: Scored, data: Encoded, letters: Letters | None) -> Slices:
    """Count some messages; without letters nothing is counted by length."""
    lengths = np.diff(data.offsets)
    place = np.arange(len(data.targets)) - np.repeat(data.offsets[:-1], lengths)
    word = data.targets != END
    unknown = data.targets == UNKNOWN
    values: dict[str, IntArray] = {
        "position": place,
        "frequency": np.where(unknown, -1, data.targets - FIRST_WORD),
    }
    if letters is not None:
        values["length"] = letters.sizes
    table, begin = np.zeros((ROWS, len(COLUMNS))), 0
    for kind, slices in KINDS.items():
        if kind in values:
            least = np.array([low for low, _ in slices if low >= 0])
            which = np.searchsorted(least, values[kind], "right") - 1
            which = np.where(which < 0, len(slices) - 1, which)
            table[begin : begin + len(slices)] = _sums(which, len(slices), scored, word, unknown)
        begin += len(slices)
    right = (scored.rank == 0) & word & ~unknown
    which = np.minimum((scored.confidence * BINS).astype(np.int64), BINS - 1)
    columns = [np.bincount(which, w, BINS) for w in (None, scored.confidence, right)]
    return Slices(table, np.stack(columns, axis=1).astype(np.float64))


def _sums(
    which: IntArray, size: int, scored: Scored, word: BoolArray, unknown: BoolArray
) -> FloatArray:
    known = word & ~unknown

    def add(chosen: BoolArray, weights: FloatArray | None = None) -> FloatArray:
        return np.bincount(which[chosen], weights, size).astype(np.float64)

    hits = [add(known & (scored.rank < k)) for k in (1, 3)]
    return np.stack([add(word), add(known), *hits, add(known, scored.nll[known])], axis=1)


def slices_json(found: Slices) -> dict[str, list[dict[str, Any]]]:
    """Kind to its slices that have words, in order, with their figures."""
    told: dict[str, list[dict[str, Any]]] = {}
    begin = 0
    for kind, slices in KINDS.items():
        told[kind] = []
        for (_, name), row in zip(slices, found.table[begin : begin + len(slices)], strict=True):
            tokens, known, hits1, hits3, nll = row.tolist()
            if tokens:
                told[kind].append(
                    {
                        "slice": name,
                        "tokens": int(tokens),
                        "known": int(known),
                        "top1": hits1 / tokens,
                        "top3": hits3 / tokens,
                        "perplexity": float(np.exp(min(nll / known, 700.0))) if known else None,
                    }
                )
        begin += len(slices)
    return told


def calibration_json(found: Slices) -> dict[str, Any]:
    """The expected calibration error, and the bins that have guesses.

    The error is the mean over guesses of |share that was right - mean probability| of their bin (Naeini
    et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning"); None for no guesses.
    """
    every = found.bins[:, 0].sum()
    bins = [
        {
            "from": i / BINS,
            "to": (i + 1) / BINS,
            "count": int(count),
            "confidence": confidence / count,
            "accuracy": right / count,
        }
        for i, (count, confidence, right) in enumerate(found.bins.tolist())
        if count
    ]
    gaps = np.abs(found.bins[:, 1] - found.bins[:, 2])
    return {"error": float(gaps.sum() / every) if every else None, "bins": bins}
