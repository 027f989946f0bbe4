"""N-grams with back-off weights as a predictor, of any order.

P(w | u … v) is what the file says where it has the n-gram u … v w, and else the back-off weight of u … v
(1 where the file has none) times P(w | … v): Katz (1987, "Estimation of probabilities from sparse data
for the language model component of a speech recognizer"), as the ARPA format has it.

A distribution here is over the end, the unknown word and the vocabulary's words, and is divided by its
sum. That takes care of three things at once: files are rounded; words that the tokenizer never makes are
no targets, so what the model gives to them is shared out among the rest in proportion; and a file that
does not sum to one can gain nothing by it. The end or the unknown word, where the file lacks it (or
gives it no probability), is taken for a 1-gram of probability 1 / outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nwp.errors import BadInput
from nwp.evaluation.counts import FloatArray, IntArray
from nwp.evaluation.ranking import Block, from_probabilities
from nwp.evaluation.scoring import at_once
from nwp.foreign.arpa import ZERO, Arpa
from nwp.text.contexts import find, followers, starts_of
from nwp.text.vocabulary import BEGIN, END, FIRST_OUTPUT, UNKNOWN, Encoded

_NOTHING = 0  # before the begin of a message
_LEAST = 1e-300  # no probability is less, so that each has a logarithm
_LARGEST = 1e200  # back-off weights, multiplied over all levels


@dataclass(frozen=True)
class BackOff:
    """A back-off model over `size` ids. `lowest` is P(w) before it is divided by its sum, float64
    (outputs,); `levels` are contexts of one word, two, …"""

    size: int
    lowest: FloatArray
    levels: tuple[_Level, ...]

    @classmethod
    def of(cls, arpa: Arpa) -> BackOff:
        """Lay out a file's n-grams. BadInput, with the line's number, for an n-gram that is there
        twice, and for back-off weights that can't be multiplied."""
        size = len(arpa.vocabulary)
        unigrams = arpa.grams[0]
        log_p = np.full(size, ZERO)
        log_p[unigrams.ids[:, 0]] = unigrams.log_p
        lowest = np.power(10.0, log_p[FIRST_OUTPUT:])
        for identity in (END, UNKNOWN):
            if log_p[identity] <= ZERO:
                lowest[identity - FIRST_OUTPUT] = 1 / len(lowest)
        levels = _levels(arpa, size)
        if sum(np.log10(level.rest.max()) for level in levels) > np.log10(_LARGEST):
            worst = max(arpa.grams, key=lambda some: some.back_off.max(initial=ZERO))
            line = worst.lines[worst.back_off.argmax()]
            raise BadInput(
                f"{arpa.path}, line {line}: no distribution has so large a back-off weight",
                "Write the file again with the program that made it.",
            )
        return cls(size, lowest, levels)

    def distribution(self, context: Sequence[int]) -> FloatArray:
        """P of every output, float64 (outputs,), after the targets so far of a message."""
        most = len(self.levels)
        back = [*reversed(context), BEGIN, *[_NOTHING] * most][:most]
        found: FloatArray = self._after(np.array(back, np.int64).reshape(most, 1))[0]
        return found

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """See `nwp.evaluation.scoring.Predictor`. ValueError for targets of another vocabulary."""
        targets = data.targets.astype(np.int64)
        if len(targets) and not FIRST_OUTPUT <= targets.min() <= targets.max() < self.size:
            raise ValueError(f"targets are not between {FIRST_OUTPUT} and {self.size - 1}")
        back = _histories(data, targets, len(self.levels))
        for some in at_once(len(targets), len(self.lowest)):
            p = torch.from_numpy(self._after(back[:, some]))
            wanted = torch.from_numpy(targets[some] - FIRST_OUTPUT)
            yield from_probabilities(np.arange(len(targets))[some], p, wanted)

    def _after(self, back: IntArray) -> FloatArray:
        """P of every output, (n, outputs), after n histories: `back` (levels, n), last words first."""
        p = np.repeat(self.lowest[None], back.shape[1], axis=0)
        node = np.zeros(back.shape[1], np.int64)
        for level, words in zip(self.levels, back, strict=True):
            node = find(level.keys, node * self.size + words)
            level.over(p, node)
        np.maximum(p, _LEAST, out=p)
        p /= p.sum(1, keepdims=True)
        np.maximum(p, _LEAST, out=p)
        return p


@dataclass(frozen=True)
class _Level:
    """Contexts of one length. Their `keys` (contexts,) ascend: the place of the context without its
    first word among those that are shorter by one, times the number of ids, plus the first word.

    What follows is laid out as `nwp.text.contexts` says, by `starts`: `words`, places among the outputs,
    and `p`. `rest` (contexts + 1,) is the back-off weight, 1 for what is not found.
    """

    keys: IntArray
    starts: IntArray
    rest: FloatArray
    words: IntArray
    p: FloatArray

    def over(self, p: FloatArray, at: IntArray) -> None:
        """Turn P(w | shorter context), (n, outputs), into P(w | context) of n contexts by their
        places, in place."""
        p *= self.rest[at][:, None]
        rows, grams = followers(self.starts, at)
        p[rows, self.words[grams]] = self.p[grams]


def _levels(arpa: Arpa, size: int) -> tuple[_Level, ...]:
    """A level for each length of contexts: those that something follows, those with a weight, and the
    ends of longer ones, whether the file has these or not."""
    highest = len(arpa.grams) - 1
    followed = [gram.ids[:, :-1] for gram in arpa.grams[1:]]  # contexts of length 1, 2, …
    weighted = [gram.ids for gram in arpa.grams[:-1]]
    contexts = [*followed, *weighted]
    nodes = [np.zeros(len(some), np.int64) for some in contexts]
    keys = []
    for depth in range(1, highest + 1):
        deep = [i for i, some in enumerate(contexts) if some.shape[1] >= depth]
        for i in deep:
            nodes[i] = nodes[i] * size + contexts[i][:, -depth]
        keys.append(np.unique(np.concatenate([nodes[i] for i in deep])))
        for i in deep:
            nodes[i] = np.searchsorted(keys[-1], nodes[i])
    return tuple(
        _level(arpa, length, keys[length - 1], nodes[length - 1], nodes[highest + length - 1], size)
        for length in range(1, highest + 1)
    )


def _level(
    arpa: Arpa, length: int, keys: IntArray, at: IntArray, weighted: IntArray, size: int
) -> _Level:
    """The n-grams that follow contexts of one length, whose places are `at`; the contexts at
    `weighted` have back-off weights."""
    follow, own = arpa.grams[length], arpa.grams[length - 1]
    rest = np.ones(len(keys) + 1)
    rest[weighted] = np.power(10.0, own.back_off)
    last = follow.ids[:, -1]
    order = np.lexsort((last, at))
    at, last, lines = at[order], last[order], follow.lines[order]
    twice = np.flatnonzero((at[1:] == at[:-1]) & (last[1:] == last[:-1]))
    if len(twice):
        line = int(lines[twice + 1].min())
        raise BadInput(
            f"{arpa.path}, line {line}: this {length + 1}-gram is there for the second time",
            "Write the file again with the program that made it.",
        )
    target = last >= FIRST_OUTPUT
    counts = np.bincount(at[target], minlength=len(keys))
    return _Level(
        keys,
        starts=starts_of(counts),
        rest=rest,
        words=last[target] - FIRST_OUTPUT,
        p=np.power(10.0, follow.log_p[order][target]),
    )


def _histories(data: Encoded, targets: IntArray, most: int) -> IntArray:
    """At each position the words before it, last ones first, then the begin of the message, then
    nothing: int64 (most, positions)."""
    lengths = np.diff(data.offsets)
    within = np.arange(len(targets)) - np.repeat(data.offsets[:-1], lengths)
    found = np.full((most, len(targets)), _NOTHING, np.int64)
    for i in range(most):
        found[i, i + 1 :] = targets[: max(0, len(targets) - i - 1)]
        found[i, within == i] = BEGIN
        found[i, within < i] = _NOTHING
    return found
