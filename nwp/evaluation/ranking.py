"""Where the target stands among all guesses: of a dense block of scores.

Whatever predicts words gives its scores in blocks of positions; here they become what is counted.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nwp.evaluation.counts import SHOWN, BoolArray, IntArray
from nwp.federated.device import moved
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN

_WORDS = FIRST_WORD - FIRST_OUTPUT  # the first column that is a word
_LONGEST = 24  # letters of a word that are looked at; who types more types it whole


@dataclass(frozen=True)
class Block:
    """What a model says at n positions.

    `where` int64 (n,) are the positions; `scores` (n, outputs), more likely outputs with higher ones: the
    end, the unknown word, then words by id, or in the `order` (words,) of these; `wanted` int64 (n,) the
    column of each target; `nll` float64 (n,) -ln p of it, and `confidence` float64 (n,) the largest
    probability of a word. With `logits` the softmax of the scores is the distribution, else they are it.
    """

    where: IntArray
    scores: Tensor
    wanted: Tensor
    nll: Tensor
    confidence: Tensor
    order: IntArray | None = None
    logits: bool = False

    @property
    def probabilities(self) -> Tensor:
        """The distribution at each position, (n, outputs); each sums to one."""
        return torch.softmax(self.scores, 1) if self.logits else self.scores


def from_logits(
    where: IntArray, logits: Tensor, wanted: Tensor, order: IntArray | None = None
) -> Block:
    """A block of scores whose softmax is the distribution. They may lie on another device; the block
    lies in the CPU's memory, as `wanted` does."""
    log_p = torch.log_softmax(logits, 1)
    nll = -log_p.gather(1, moved(wanted, logits.device)[:, None])[:, 0].double()
    confidence = log_p[:, _WORDS:].amax(1).double().exp()
    return Block(where, logits.cpu(), wanted, nll.cpu(), confidence.cpu(), order, True)


def from_probabilities(
    where: IntArray, p: Tensor, wanted: Tensor, order: IntArray | None = None
) -> Block:
    """A block of probabilities that sum to one; 0 has infinite -ln p."""
    nll = -p.gather(1, wanted[:, None])[:, 0].double().log()
    return Block(where, p, wanted, nll, p[:, _WORDS:].amax(1).double(), order)


@dataclass(frozen=True)
class Prefixes:
    """The words in the order of the alphabet, so that all that begin alike lie side by side.

    `order` int64 (words,) is place to word (by id from `FIRST_WORD` on); `starts` and `stops` int32
    (words, letters) say for a word and a number of its letters from 0 on where those lie that begin
    with them. `sizes` int64 (words,) is the letters of each word.
    """

    order: IntArray
    starts: npt.NDArray[np.int32]
    stops: npt.NDArray[np.int32]
    sizes: IntArray


@functools.lru_cache(maxsize=4)
def prefixes_of(words: tuple[str, ...]) -> Prefixes:
    """Sort a vocabulary's words, as a keyboard that completes them looks them up."""
    order = sorted(range(len(words)), key=lambda i: words[i])
    longest = min(_LONGEST, max(map(len, words), default=0))
    starts = np.zeros((len(words), longest), np.int32)
    stops = np.zeros((len(words), longest), np.int32)
    for letters in range(longest):
        begun = [words[i][:letters] for i in order]
        place = 0
        for _, alike in itertools.groupby(begun):
            stop = place + sum(1 for _ in alike)
            starts[order[place:stop], letters], stops[order[place:stop], letters] = place, stop
            place = stop
    sizes = np.array([len(word) for word in words], np.int64)
    return Prefixes(np.array(order, np.int64), starts, stops, sizes)


def stand(block: Block, prefixes: Prefixes | None) -> tuple[IntArray, IntArray, IntArray]:
    """`rank`, `above` and `typed` of `Scored` for a block, each (n,); without prefixes `typed` is -1.

    Of equal scores the lower id comes first: the end, the unknown word, then words by id.
    """
    # numpy compares and counts eight times as fast as torch does.
    scores, wanted = block.scores.numpy(), block.wanted.numpy()
    words = scores[:, _WORDS:]
    chosen = np.take_along_axis(scores, wanted[:, None], 1)
    is_word = wanted >= _WORDS
    before = words > chosen
    rank = _trues(before)
    equal = words == chosen
    tied = np.flatnonzero(_trues(equal) > is_word)
    if len(tied):
        ids = np.arange(words.shape[1]) if block.order is None else block.order
        mine = np.where(is_word, ids[np.maximum(wanted - _WORDS, 0)], -1)
        before[tied] |= equal[tied] & (ids < mine[tied, None])
        rank[tied] = _trues(before[tied])
    end, unknown = (scores[:, i - FIRST_OUTPUT] for i in (END, UNKNOWN))
    target = chosen[:, 0]
    is_end, is_unknown = (wanted == i - FIRST_OUTPUT for i in (END, UNKNOWN))
    above = (~is_end & (end >= target)).astype(np.int64)
    above += ~is_unknown & np.where(is_end, unknown > target, unknown >= target)
    typed = np.full(len(wanted), -1)
    if prefixes is not None:
        typed[is_word & (rank < SHOWN)] = 0
        more = np.flatnonzero(is_word & (rank >= SHOWN))
        if len(more):
            columns = wanted[more] - _WORDS
            ahead = before[more]
            if block.order is None:
                ahead = np.take(ahead, prefixes.order, axis=1)
            else:
                columns = block.order[columns]
            typed[more] = _typed(ahead, columns, prefixes)
    return rank, above, typed


def _typed(before: BoolArray, words: IntArray, prefixes: Prefixes) -> IntArray:
    """How many letters of each of n words to type until fewer than three words that begin so come
    before it, -1 for more than it has; `before` is (n, words) by the alphabet, true where a word comes
    before it."""
    upto = np.cumsum(before, axis=1, dtype=np.int32)
    rows = np.arange(len(words))[:, None]
    starts, stops = prefixes.starts[words], prefixes.stops[words]
    ahead = upto[rows, stops - 1] - np.where(starts > 0, upto[rows, starts - 1], 0)
    letters = np.arange(ahead.shape[1])
    shown = (ahead < SHOWN) & (letters < prefixes.sizes[words][:, None])
    return np.where(shown.any(1), shown.argmax(1), -1)


def _trues(found: BoolArray) -> IntArray:
    """How many of each row are true."""
    return np.array([np.count_nonzero(row) for row in found], np.int64)
