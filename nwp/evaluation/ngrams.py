"""Two baselines over the targets and the vocabulary of the LSTM: unigram and trigram.

Both count over all users' training text together. A distribution is over the outputs, the ids from
`FIRST_OUTPUT` on: the end of a message and the unknown word have their probability, but only words
are ever guesses (`nwp.evaluation.counts`). Both are predictors (`nwp.evaluation.scoring`).

Smoothing is absolute discounting: every count gives up a discount D, and the mass that becomes free
is shared out by a simpler distribution, at the bottom the uniform one over the outputs. The trigram
model is Kneser and Ney (1995, "Improved backing-off for m-gram language modeling"), interpolated,
as in Chen and Goodman (1999, "An empirical study of smoothing techniques for language modeling",
section 3), with one discount an order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nwp.evaluation.counts import FloatArray, IntArray
from nwp.evaluation.ranking import Block, from_probabilities
from nwp.evaluation.scoring import at_once
from nwp.text.contexts import find, followers, starts_of, trigrams
from nwp.text.vocabulary import BEGIN, FIRST_OUTPUT, Encoded

_USUAL_DISCOUNT = 0.75  # where too little text has no n-gram that counts 1, or none that counts 2


@dataclass(frozen=True)
class Unigram:
    """P(w) = (c(w) - D) / N + D T / N / outputs, whatever the context.

    c(w) of N training targets are w, and T different ones occur. `lowest` is P, (outputs,).
    """

    lowest: FloatArray

    @classmethod
    def fit(cls, users: Sequence[Encoded], vocabulary_size: int) -> Unigram:
        """Count all users' targets; `vocabulary_size` is the number of ids, outputs or not."""
        _, _, words = trigrams(users, vocabulary_size)
        counts = np.bincount(words, minlength=vocabulary_size)[FIRST_OUTPUT:]
        return cls(_lowest(counts, _discount(counts)))

    def distribution(self, context: Sequence[int]) -> FloatArray:
        """P of every output, float64 (outputs,); `context` makes no difference."""
        return self.lowest.copy()

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """See `nwp.evaluation.scoring.Predictor`."""
        words = trigrams([data], FIRST_OUTPUT + len(self.lowest))[2] - FIRST_OUTPUT
        for some in at_once(len(words), len(self.lowest)):
            wanted = torch.from_numpy(words[some])
            p = torch.from_numpy(self.lowest).expand(len(wanted), -1)
            yield from_probabilities(np.arange(len(words))[some], p, wanted)


@dataclass(frozen=True)
class KneserNey:
    """P(w | u v), and after a history that was never seen, P(w | v) or P(w).

    P(w | u v) = (c(u v w) - D) / c(u v) + D T(u v) / c(u v) P(w | v), where c counts and T(u v) is
    how many different w follow. P(w | v) is the same over continuations: c(v w) becomes the number
    of different u before v w. Lowest, P(w) is over the number of different v before w, and the
    uniform distribution takes the free mass. u and v are targets, or `BEGIN` before the message.
    Every message begins alike, so any (BEGIN w) has one continuation. `size` is the number of ids.
    """

    size: int
    lowest: FloatArray
    bigrams: _Level
    trigrams: _Level

    @classmethod
    def fit(
        cls,
        users: Sequence[Encoded],
        vocabulary_size: int,
        discounts: tuple[float, float, float] | None = None,
    ) -> KneserNey:
        """Count all users' targets; `vocabulary_size` is the number of ids, outputs or not.

        `discounts` are those of unigrams, bigrams and trigrams, from 0 to 1 (else ValueError). By
        default n1 / (n1 + 2 n2), where n1 and n2 are how many n-grams of the order count 1 and 2.
        """
        size = vocabulary_size
        first, second, third = discounts or (None, None, None)
        u, v, w = trigrams(users, size)
        keys3, counts3 = np.unique((u * size + v) * size + w, return_counts=True)
        keys2, counts2 = np.unique(keys3 % size**2, return_counts=True)
        counts1 = np.bincount(keys2 % size, minlength=size)[FIRST_OUTPUT:]
        return cls(
            size,
            _lowest(counts1, _discount(counts1, first)),
            _Level.build(size, keys2, counts2, _discount(counts2, second)),
            _Level.build(size, keys3, counts3, _discount(counts3, third)),
        )

    def distribution(self, context: Sequence[int]) -> FloatArray:
        """P of every output, float64 (outputs,), after the targets so far of a message."""
        u, v = [BEGIN, BEGIN, *context][-2:]
        found: FloatArray = self._after(np.array([u]), np.array([v]))[0]
        return found

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """See `nwp.evaluation.scoring.Predictor`."""
        u, v, w = trigrams([data], self.size)
        for some in at_once(len(w), len(self.lowest)):
            p = torch.from_numpy(self._after(u[some], v[some]))
            wanted = torch.from_numpy(w[some] - FIRST_OUTPUT)
            yield from_probabilities(np.arange(len(w))[some], p, wanted)

    def _after(self, u: IntArray, v: IntArray) -> FloatArray:
        """P of every output after n pairs of targets, (n,) each, as (n, outputs)."""
        p = np.repeat(self.lowest[None], len(u), axis=0)
        self.bigrams.over(p, v)
        self.trigrams.over(p, u * self.size + v)
        return p


@dataclass(frozen=True)
class _Level:
    """The n-grams of one order, as `nwp.text.contexts` lays them out by `contexts` and `starts`.

    P(w | context) = weights + rest P(w | shorter context). `words` are places among the outputs,
    (n-grams,); `rest` is longer than `contexts` by one: what was never seen has rest 1.
    """

    contexts: IntArray
    starts: IntArray
    rest: FloatArray
    words: IntArray
    weights: FloatArray

    @classmethod
    def build(cls, size: int, keys: IntArray, counts: IntArray, discount: float) -> _Level:
        """From sorted keys, context * size + word, and counts of n-grams, (n-grams,) both."""
        contexts, at, kinds = np.unique(keys // size, return_inverse=True, return_counts=True)
        totals = np.bincount(at, counts, len(contexts))
        return cls(
            contexts,
            starts=starts_of(kinds),
            rest=np.append(discount * kinds / totals, 1.0),
            words=keys % size - FIRST_OUTPUT,
            weights=(counts - discount) / totals[at],
        )

    def over(self, p: FloatArray, contexts: IntArray) -> None:
        """Turn P(w | shorter context), (n, outputs), into P(w | context) for n contexts, in place."""
        at = find(self.contexts, contexts)
        p *= self.rest[at][:, None]
        rows, grams = followers(self.starts, at)
        p[rows, self.words[grams]] += self.weights[grams]


def _lowest(counts: IntArray, discount: float) -> FloatArray:
    """Discounted counts, the free mass uniform: (outputs,) like `counts`."""
    uniform = np.full(len(counts), 1 / len(counts))
    if not counts.any():
        return uniform
    kept: FloatArray = np.maximum(counts - discount, 0)
    return (kept + discount * np.count_nonzero(counts) * uniform) / int(counts.sum())


def _discount(counts: IntArray, given: float | None = None) -> float:
    """The discount given, or n1 / (n1 + 2 n2): how many counts are 1, and how many 2."""
    if given is not None:
        if not 0 <= given <= 1:
            raise ValueError(f"discount {given} is not between 0 and 1")
        return given
    once, twice = (int(np.count_nonzero(counts == k)) for k in (1, 2))
    return once / (once + 2 * twice) if once and twice else _USUAL_DISCOUNT
