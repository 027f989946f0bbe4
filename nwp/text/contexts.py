"""The words before each word, as n-grams read them, and what follows contexts that were counted.

N-grams of one order lie in order of their contexts. `keys` (contexts,), ascending, tell the contexts, and
what follows context i are the n-grams `starts[i]:starts[i + 1]`. `starts` (contexts + 2,) has one more for
the place behind the last context, which stands for all that were never seen: nothing follows there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nwp.text.vocabulary import BEGIN, FIRST_OUTPUT, Encoded

IntArray = npt.NDArray[np.int64]


def trigrams(users: Sequence[Encoded], size: int) -> tuple[IntArray, IntArray, IntArray]:
    """At each position of all users the two targets before and the target, (positions,) each.

    Before a message stands `BEGIN`. ValueError for targets that a vocabulary of `size` ids cannot
    predict.
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


def find(keys: IntArray, wanted: IntArray) -> IntArray:
    """Where each wanted key is among ascending ones, (n,); the place behind the last if it is not there."""
    at: IntArray = np.searchsorted(keys, wanted)
    if not len(keys):
        return at
    there = keys[np.minimum(at, len(keys) - 1)] == wanted
    return np.where(there, at, len(keys))


def starts_of(sizes: IntArray) -> IntArray:
    """Where the n-grams of each context begin, (contexts + 2,), from how many follow each."""
    ends = np.cumsum(sizes)
    return np.concatenate([[0], ends, ends[-1:] if len(ends) else [0]]).astype(np.int64)


def followers(starts: IntArray, at: IntArray) -> tuple[IntArray, IntArray]:
    """All that follows n contexts, whose places `find` gave: which of them each is after, and which
    n-gram it is, (followers,) both."""
    first = starts[at]
    sizes = starts[at + 1] - first
    rows = np.repeat(np.arange(len(at)), sizes)
    return rows, np.arange(len(rows)) + np.repeat(first - np.cumsum(sizes) + sizes, sizes)
