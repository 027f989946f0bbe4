"""What evaluation counts of one user: the table from which every figure is derived.

A target is a word of a message (`nwp.text.tokenizer`). Each distribution sums to one over the words
of the vocabulary, the unknown word and the end of the message. Only words are guesses: neither the
unknown word nor the end takes a place among the top k. A target outside the vocabulary is wrong
in top-k and left out of the perplexity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
# Counts of some users, float64 (users, columns), columns as in `COLUMNS`.
Rows = FloatArray


@dataclass(frozen=True)
class Counts:
    """Sums over some targets. All add up over users, messages and workers.

    `tokens` word targets; `known` of them in the vocabulary; `hits1` and `hits3` with the target
    first or among the first three guesses; `nll` the sum of -ln p over known targets; the columns
    with `masked` are the same without the pieces of URLs and e-mail addresses; `ends` messages, and
    `end_nll` the sum of -ln p of their ends.
    """

    tokens: int = 0
    known: int = 0
    hits1: int = 0
    hits3: int = 0
    nll: float = 0.0
    masked_tokens: int = 0
    masked_known: int = 0
    masked_hits1: int = 0
    masked_hits3: int = 0
    masked_nll: float = 0.0
    ends: int = 0
    end_nll: float = 0.0

    def __add__(self, other: Self) -> Counts:
        return Counts(*(getattr(self, n) + getattr(other, n) for n in COLUMNS))

    def as_row(self) -> FloatArray:
        """As float64 (columns,), in the order of `COLUMNS`; counts are exact up to 2**53."""
        return np.array([getattr(self, name) for name in COLUMNS], np.float64)

    @classmethod
    def from_row(cls, row: FloatArray) -> Counts:
        """Inverse of `as_row`."""
        values: list[Any] = [
            float(value) if name.endswith("nll") else int(value)
            for name, value in zip(COLUMNS, row, strict=True)
        ]
        return cls(*values)


COLUMNS = tuple(field.name for field in fields(Counts))


@dataclass(frozen=True)
class Scored:
    """How a model did at each position of some messages, in their order.

    `nll` is -ln p of the target; `rank` how many words were guessed before it (of no meaning where
    the target is no word). Both have shape (positions,).
    """

    nll: FloatArray
    rank: IntArray


def count(
    scored: Scored,
    targets: npt.NDArray[np.int32],
    addresses: npt.NDArray[np.bool_],
    *,
    end: int,
    unknown: int,
) -> Counts:
    """Add up the scores of some positions; arrays are (positions,)."""
    rows = count_each(scored, targets, addresses, [len(targets)], end=end, unknown=unknown)
    return Counts.from_row(rows[0])


def count_each(
    scored: Scored,
    targets: npt.NDArray[np.int32],
    addresses: npt.NDArray[np.bool_],
    sizes: Sequence[int],
    *,
    end: int,
    unknown: int,
) -> Rows:
    """The same for users whose positions lie end to end: so many of each; a row a user."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    word = targets != end
    known = word & (targets != unknown)
    plain = ~addresses
    hits = [known & (scored.rank < k) for k in (1, 3)]

    def add(chosen: npt.NDArray[np.bool_], values: FloatArray | None = None) -> FloatArray:
        weights = None if values is None else values[chosen]
        return np.bincount(owner[chosen], weights, len(sizes)).astype(np.float64)

    columns = {
        "tokens": add(word),
        "known": add(known),
        "hits1": add(hits[0]),
        "hits3": add(hits[1]),
        "nll": add(known, scored.nll),
        "masked_tokens": add(word & plain),
        "masked_known": add(known & plain),
        "masked_hits1": add(hits[0] & plain),
        "masked_hits3": add(hits[1] & plain),
        "masked_nll": add(known & plain, scored.nll),
        "ends": add(~word),
        "end_nll": add(~word, scored.nll),
    }
    return np.stack([columns[name] for name in COLUMNS], axis=1)


def metrics(counts: Counts) -> dict[str, float | int | None]:
    """The figures that commands print; None where there is nothing to divide by.

    Perplexity is exp of the mean of -ln p over known targets; rates are fractions of all targets.
    """

    def ratio(part: float, whole: int) -> float | None:
        return part / whole if whole else None

    def perplexity(nll: float, known: int) -> float | None:
        return float(np.exp(min(nll / known, 700.0))) if known else None

    return {
        "tokens": counts.tokens,
        "perplexity": perplexity(counts.nll, counts.known),
        "top1": ratio(counts.hits1, counts.tokens),
        "top3": ratio(counts.hits3, counts.tokens),
        "oov_rate": ratio(counts.tokens - counts.known, counts.tokens),
        "masked_tokens": counts.masked_tokens,
        "masked_perplexity": perplexity(counts.masked_nll, counts.masked_known),
        "masked_top1": ratio(counts.masked_hits1, counts.masked_tokens),
        "masked_top3": ratio(counts.masked_hits3, counts.masked_tokens),
        "messages": counts.ends,
    }
