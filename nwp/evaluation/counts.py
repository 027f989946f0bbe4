"""What evaluation counts of one user: the table from which every figure is derived.

A target is a word of a message (`nwp.text.tokenizer`). Each distribution sums to one over the words
of the vocabulary, the unknown word and the end of the message. Only words are guesses: neither the
unknown word nor the end takes a place among the top k. A target outside the vocabulary is wrong
in top-k and left out of the perplexity. Other conventions are in `nwp.evaluation.conventions`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nwp.text.spelling import Letters
from nwp.text.vocabulary import END, UNKNOWN, Encoded

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
# Counts of some users, float64 (users, columns), columns as in `COLUMNS`.
Rows = FloatArray

SHOWN = 3  # suggestions on the screen, for keystroke savings
_LARGEST = 700.0  # exp of more is infinite


@dataclass(frozen=True)
class Counts:
    """Sums over some targets. All add up over users, messages and workers.

    `tokens` word targets; `known` of them in the vocabulary; `hits1`, `hits3`, `hits5`, `hits10` and
    `hits100` with the target among so many first guesses; `nll` the sum of -ln p over known targets.
    The columns with `masked` are the same without the pieces of URLs and e-mail addresses, those with
    `first` over first words of messages alone. `ends` messages, and `end_nll` the sum of -ln p of
    their ends; `unknown_nll` the same over targets outside the vocabulary, which the unknown word
    stands for. `reciprocal` sums 1 / rank over known targets.

    `open_hits1`, `open_unknown1` and `open_end1` are targets (known words, unknown words, ends) that
    have the highest score of all outputs, where the unknown word and the end may be guessed, too.

    `letters` of the word targets; `spelling_nll` nats to spell those outside the vocabulary
    (`nwp.text.spelling`); `keys` and `keys_spaced` keys pressed to type all word targets with three
    suggestions, a choice bringing the space or not. All four are 0 where letters were not counted.
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
    hits5: int = 0
    hits10: int = 0
    hits100: int = 0
    reciprocal: float = 0.0
    first_tokens: int = 0
    first_known: int = 0
    first_hits1: int = 0
    first_hits3: int = 0
    first_nll: float = 0.0
    unknown_nll: float = 0.0
    open_hits1: int = 0
    open_unknown1: int = 0
    open_end1: int = 0
    letters: int = 0
    spelling_nll: float = 0.0
    keys: int = 0
    keys_spaced: int = 0

    def __add__(self, other: Self) -> Counts:
        return Counts(*(getattr(self, n) + getattr(other, n) for n in COLUMNS))

    def as_row(self) -> FloatArray:
        """As float64 (columns,), in the order of `COLUMNS`; counts are exact up to 2**53."""
        return np.array([getattr(self, name) for name in COLUMNS], np.float64)

    @classmethod
    def from_row(cls, row: FloatArray) -> Counts:
        """Inverse of `as_row`."""
        values: list[Any] = [
            float(value) if name in SUMS else int(value)
            for name, value in zip(COLUMNS, row, strict=True)
        ]
        return cls(*values)


COLUMNS = tuple(field.name for field in fields(Counts))
SUMS = frozenset(n for n in COLUMNS if n.endswith("nll") or n == "reciprocal")  # no whole numbers


@dataclass(frozen=True)
class Scored:
    """How a model did at each position of some messages, in their order; all of shape (positions,).

    `nll` is -ln p of the target; `rank` how many words were guessed before it (for a target that is no
    word: how many have a higher score); `above` how many of the two other outputs, unknown word and
    end, come before it. `confidence` is the probability of the first guess. `typed` is how many of its
    letters must be typed until the target is among the first three words that begin with them, -1 if
    that is never so.
    """

    nll: FloatArray
    rank: IntArray
    above: IntArray
    confidence: FloatArray
    typed: IntArray


def count(scored: Scored, data: Encoded, letters: Letters | None = None) -> Counts:
    """Add up the scores of some messages."""
    return Counts.from_row(count_each(scored, data, [len(data.targets)], letters)[0])


def count_each(
    scored: Scored, data: Encoded, sizes: Sequence[int], letters: Letters | None = None
) -> Rows:
    """The same for users whose positions lie end to end: so many of each; a row a user."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    targets = data.targets
    word = targets != END
    unknown = targets == UNKNOWN
    known = word & ~unknown
    first = np.zeros(len(targets), np.bool_)
    first[data.offsets[:-1]] = True
    best = scored.rank + scored.above == 0
    hits = {k: known & (scored.rank < k) for k in (1, 3, 5, 10, 100)}

    def add(chosen: BoolArray, values: FloatArray | None = None) -> FloatArray:
        weights = None if values is None else values[chosen]
        return np.bincount(owner[chosen], weights, len(sizes)).astype(np.float64)

    columns = {
        "tokens": add(word),
        "known": add(known),
        "nll": add(known, scored.nll),
        **{f"hits{k}": add(hit) for k, hit in hits.items()},
        "reciprocal": add(known, 1 / (scored.rank + 1)),
        "ends": add(~word),
        "end_nll": add(~word, scored.nll),
        "unknown_nll": add(unknown, scored.nll),
        "open_hits1": add(known & best),
        "open_unknown1": add(unknown & best),
        "open_end1": add(~word & best),
    }
    for name, among in (("masked", ~data.addresses), ("first", first)):
        columns[f"{name}_tokens"] = add(word & among)
        columns[f"{name}_known"] = add(known & among)
        columns[f"{name}_hits1"] = add(hits[1] & among)
        columns[f"{name}_hits3"] = add(hits[3] & among)
        columns[f"{name}_nll"] = add(known & among, scored.nll)
    if letters is not None:
        chosen = known & (scored.typed >= 0)
        # A word that is typed whole costs its letters and the space; one that is chosen the letters so
        # far and the choice, which brings the space or does not.
        for name, space in (("keys", 0), ("keys_spaced", 1)):
            keys = np.where(chosen, scored.typed + 1 + space, letters.sizes + 1)
            columns[name] = add(word, np.minimum(keys, letters.sizes + 1).astype(np.float64))
        columns["letters"] = add(word, letters.sizes.astype(np.float64))
        columns["spelling_nll"] = add(unknown, letters.nll)
    nothing = np.zeros(len(sizes))
    return np.stack([columns.get(name, nothing) for name in COLUMNS], axis=1)


# Figures that are whole numbers.
WHOLE = ("tokens", "masked_tokens", "messages")


def figures(rows: Rows) -> dict[str, FloatArray]:
    """The figures derived from rows (…, columns), each of shape (…,); NaN where there is nothing to
    divide by.

    Perplexity is exp of the mean of -ln p over known targets; rates are fractions of all targets. Bits
    a character spread all that a reader needs to know the text (-log2 p of words, unknown words, ends,
    and the spelling of unknown words) over letters and one space or end a word; so they compare models
    of different vocabularies. Keystroke savings are 1 - keys / (letters + spaces), as Trnka and McCoy
    (2008, "Evaluating word prediction: framing keystroke savings") with a list of three whose choice is
    one key.
    """
    c = {name: rows[..., i] for i, name in enumerate(COLUMNS)}

    def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(whole > 0, part / whole, np.nan)

    def perplexity(nll: FloatArray, known: FloatArray) -> FloatArray:
        return np.exp(np.minimum(ratio(nll, known), _LARGEST))

    all_nll = c["nll"] + c["unknown_nll"] + c["end_nll"] + c["spelling_nll"]
    spelled = c["letters"] > 0
    characters = np.where(spelled, c["letters"] + c["tokens"], 0.0)
    return {
        "tokens": c["tokens"],
        "perplexity": perplexity(c["nll"], c["known"]),
        "top1": ratio(c["hits1"], c["tokens"]),
        "top3": ratio(c["hits3"], c["tokens"]),
        "top5": ratio(c["hits5"], c["tokens"]),
        "mrr": ratio(c["reciprocal"], c["tokens"]),
        "oov_rate": ratio(c["tokens"] - c["known"], c["tokens"]),
        "bits_per_character": ratio(all_nll / math.log(2), characters),
        "keystroke_savings": 1 - ratio(c["keys"], characters),
        "keystroke_savings_spaced": 1 - ratio(c["keys_spaced"], characters),
        "first_perplexity": perplexity(c["first_nll"], c["first_known"]),
        "first_top3": ratio(c["first_hits3"], c["first_tokens"]),
        "masked_tokens": c["masked_tokens"],
        "masked_perplexity": perplexity(c["masked_nll"], c["masked_known"]),
        "masked_top1": ratio(c["masked_hits1"], c["masked_tokens"]),
        "masked_top3": ratio(c["masked_hits3"], c["masked_tokens"]),
        "messages": c["ends"],
    }


def metrics(counts: Counts) -> dict[str, float | int | None]:
    """`figures` of one row as plain numbers; None where there is nothing to divide by."""
    return plain(figures(counts.as_row()))


def plain(found: Mapping[str, FloatArray]) -> dict[str, float | int | None]:
    """Figures of shape () as numbers of Python."""

    def number(name: str, value: float) -> float | int | None:
        if math.isnan(value):
            return None
        return int(value) if name in WHOLE else value

    return {name: number(name, float(value)) for name, value in found.items()}
