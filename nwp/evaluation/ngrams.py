"""Two baselines over the targets and the vocabulary of the LSTM: unigram and trigram.

Both count over all users' training text together. A distribution is over the outputs, the ids from
`FIRST_OUTPUT` on: the end of a message and the unknown word have their probability, but only words
are ever guesses (`nwp.evaluation.counts`).

Smoothing is absolute discounting: every count gives up a discount D, and the mass that becomes free
is shared out by a simpler distribution, at the bottom the uniform one over the outputs. The trigram
model is Kneser and Ney (1995, "Improved backing-off for m-gram language modeling"), interpolated,
as in Chen and Goodman (1999, "An empirical study of smoothing techniques for language modeling",
section 3), with one discount an order.

Ranks are exact: bisection in sorted lists tells how many words come before a target by the lowest
level, then, level by level, how many of those with counts do, less how many would without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nwp.evaluation.counts import FloatArray, IntArray, Scored
from nwp.text.vocabulary import BEGIN, FIRST_OUTPUT, FIRST_WORD, Encoded

BoolArray = npt.NDArray[np.bool_]
_USUAL_DISCOUNT = 0.75  # where too little text has no n-gram that counts 1, or none that counts 2


@dataclass(frozen=True)
class Unigram:
    """P(w) = (c(w) - D) / N + D T / N / outputs, whatever the context.

    c(w) of N training targets are w, and T different ones occur. `lowest` is P, (outputs,).
    """

    lowest: FloatArray
    ranking: _Lists

    @classmethod
    def fit(cls, users: Sequence[Encoded], vocabulary_size: int) -> Unigram:
        """Count all users' targets; `vocabulary_size` is the number of ids, outputs or not."""
        _, _, words = _trigrams(users, vocabulary_size)
        counts = np.bincount(words, minlength=vocabulary_size)[FIRST_OUTPUT:]
        lowest = _lowest(counts, _discount(counts))
        return cls(lowest, _rank_all(lowest))

    def distribution(self, context: Sequence[int]) -> FloatArray:
        """P of every output, float64 (outputs,); `context` makes no difference."""
        return self.lowest.copy()

    def score(self, data: Encoded) -> Scored:
        """How the model does at each position: -ln p of the target, and its rank."""
        words = _trigrams([data], FIRST_OUTPUT + len(self.lowest))[2]
        p = self.lowest[words - FIRST_OUTPUT]
        return Scored(_surprise(p), self.ranking.before(np.zeros_like(words), p, words))


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
    ranking: _Lists
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
        u, v, w = _trigrams(users, size)
        keys3, counts3 = np.unique((u * size + v) * size + w, return_counts=True)
        keys2, counts2 = np.unique(keys3 % size**2, return_counts=True)
        counts1 = np.bincount(keys2 % size, minlength=size)[FIRST_OUTPUT:]
        lowest = _lowest(counts1, _discount(counts1, first))
        below = lowest[keys2 % size - FIRST_OUTPUT]
        bigrams = _Level.build(size, keys2, counts2, _discount(counts2, second), below)
        below = bigrams.over(keys3 % size**2, size, lowest[keys3 % size - FIRST_OUTPUT])
        trigrams = _Level.build(size, keys3, counts3, _discount(counts3, third), below)
        return cls(size, lowest, _rank_all(lowest), bigrams, trigrams)

    def distribution(self, context: Sequence[int]) -> FloatArray:
        """P of every output, float64 (outputs,), after the targets so far of a message."""
        u, v = [BEGIN, BEGIN, *context][-2:]
        p = self.lowest.copy()
        for level, key in ((self.bigrams, v), (self.trigrams, u * self.size + v)):
            at = int(_find(level.contexts, np.array([key]))[0])
            these = slice(level.starts[at], level.starts[at + 1])
            p *= level.rest[at]
            p[level.keys[these] % self.size - FIRST_OUTPUT] += level.weights[these]
        return p

    def score(self, data: Encoded) -> Scored:
        """How the model does at each position: -ln p of the target, and its rank."""
        u, v, w = _trigrams([data], self.size)
        keys = (u * self.size + v) * self.size + w
        two, three = self.bigrams, self.trigrams
        # The operations, and their order, are those of `distribution`: equal words stay equal.
        p = two.over(keys % self.size**2, self.size, self.lowest[w - FIRST_OUTPUT])
        p = three.over(keys, self.size, p)
        at2, at3 = _find(two.contexts, v), _find(three.contexts, keys // self.size)
        rest2, rest3 = two.rest[at2], three.rest[at3]
        rank = self.ranking.before(np.zeros_like(w), p, w, rest2, rest3)
        rank += two.now.before(at2, p, w, rest3) - two.otherwise.before(at2, p, w, rest3)
        rank += three.now.before(at3, p, w) - three.otherwise.before(at3, p, w)
        return Scored(_surprise(p), rank)


@dataclass(frozen=True)
class _Level:
    """The n-grams of one order; what follows context i is `starts[i]:starts[i + 1]`.

    P(w | context) = weights + rest P(w | shorter context). `contexts` (contexts,) and `keys`,
    context * size + word, (n-grams,) ascend. The other arrays are longer: what is not found has
    weight 0 and rest 1, and nothing follows. `now` and `otherwise` rank the words that follow a
    context by their probability, and by what they would have as words that do not.
    """

    contexts: IntArray
    starts: IntArray
    rest: FloatArray
    keys: IntArray
    weights: FloatArray
    now: _Lists
    otherwise: _Lists

    @classmethod
    def build(
        cls, size: int, keys: IntArray, counts: IntArray, discount: float, below: FloatArray
    ) -> _Level:
        """From sorted `keys`, `counts` and P(w | shorter context) of n-grams, all (n-grams,)."""
        contexts, at, kinds = np.unique(keys // size, return_inverse=True, return_counts=True)
        totals = np.bincount(at, counts, len(contexts))
        rest = discount * kinds / totals
        weights = (counts - discount) / totals[at]
        otherwise = rest[at] * below
        words = keys % size
        return cls(
            contexts,
            starts=np.concatenate(([0], np.cumsum(kinds), [len(keys)])),
            rest=np.append(rest, 1.0),
            keys=keys,
            weights=np.append(weights, 0.0),
            now=_Lists.build(at, len(contexts), words, otherwise + weights),
            otherwise=_Lists.build(at, len(contexts), words, otherwise),
        )

    def over(self, keys: IntArray, size: int, below: FloatArray) -> FloatArray:
        """P(w | context), where the shorter context gives `below`; all (n-grams,)."""
        rest = self.rest[_find(self.contexts, keys // size)]
        return rest * below + self.weights[_find(self.keys, keys)]


@dataclass(frozen=True)
class _Lists:
    """Lists of guesses, each by falling probability, then id: list i is `starts[i]:starts[i + 1]`.

    `starts` ends with an empty list; `p` and `words` (guesses + 1,) with a filler.
    """

    starts: IntArray
    p: FloatArray
    words: IntArray

    @classmethod
    def build(cls, lists: IntArray, number: int, words: IntArray, p: FloatArray) -> _Lists:
        """From the list, the id and the probability of each; what is no word is left out."""
        order = np.lexsort((words, -p, lists))
        order = order[words[order] >= FIRST_WORD]
        starts = np.searchsorted(lists[order], np.arange(number + 2))
        return cls(starts, np.append(p[order], 0.0), np.append(words[order], 0))

    def before(
        self,
        lists: IntArray,
        p: FloatArray,
        words: IntArray,
        inner: FloatArray | float = 1.0,
        outer: FloatArray | float = 1.0,
    ) -> IntArray:
        """How many guesses of a list come before a word of probability p, (positions,) each.

        A guess comes before with outer * (inner * its p) higher, or equal and a lower id.
        """
        start, stop = self.starts[lists], self.starts[lists + 1]
        equal = _bisect(start, stop, lambda i: outer * (inner * self.p[i]) > p)
        lower = _bisect(equal, stop, lambda i: outer * (inner * self.p[i]) >= p)
        ids = _bisect(equal, lower, lambda i: self.words[i] < words)
        # Ids ascend among equals, unless only the factors made them equal.
        for i in np.flatnonzero((lower > equal) & (self.p[equal] != self.p[lower - 1])):
            ids[i] = equal[i] + np.count_nonzero(self.words[equal[i] : lower[i]] < words[i])
        return ids - start


def _rank_all(p: FloatArray) -> _Lists:
    """One list of all words by p, (outputs,)."""
    words = np.arange(FIRST_OUTPUT, FIRST_OUTPUT + len(p))
    return _Lists.build(np.zeros_like(words), 1, words, p)


def _bisect(start: IntArray, stop: IntArray, holds: Callable[[IntArray], BoolArray]) -> IntArray:
    """The first index of each start:stop where `holds` no more, or stop; it holds until there."""
    low, high = start, stop
    while (going := low < high).any():
        middle = (low + high) // 2
        held = holds(middle)
        low = np.where(going & held, middle + 1, low)
        high = np.where(going & ~held, middle, high)
    return low


def _find(keys: IntArray, wanted: IntArray) -> IntArray:
    """Where each wanted key is among sorted different ones; their number for what is not there."""
    at = np.searchsorted(keys, wanted)
    there = at < len(keys)
    there[there] = keys[at[there]] == wanted[there]
    return np.where(there, at, len(keys))


def _surprise(p: FloatArray) -> FloatArray:
    """-ln p; infinite for 0, which only a discount of 0 can leave."""
    with np.errstate(divide="ignore"):
        return -np.log(p)


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


def _trigrams(users: Sequence[Encoded], size: int) -> tuple[IntArray, IntArray, IntArray]:
    """At each position of all users the two targets before and the target, (positions,) each.

    ValueError for targets that a vocabulary of `size` ids cannot predict.
    """
    none = np.zeros(0, np.int64)
    w = np.concatenate([none, *(user.targets for user in users)])
    if len(w) and not FIRST_OUTPUT <= w.min() <= w.max() < size:
        raise ValueError(f"targets are not between {FIRST_OUTPUT} and {size - 1}")
    u, v = (np.concatenate((np.full(back, BEGIN), w))[: len(w)] for back in (2, 1))
    lengths = np.concatenate([none, *(np.diff(user.offsets) for user in users)])
    starts = np.cumsum(lengths) - lengths
    u[starts] = v[starts] = BEGIN
    u[starts[lengths > 1] + 1] = BEGIN
    return u, v, w
