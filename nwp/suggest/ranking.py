"""The best of the words that fit what is typed, whichever list they come from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# A word that takes a slip to explain what is typed competes with those that begin so when its share is
# LIKELY or more; below that it comes in only where there is room, and below POSSIBLE not at all.
LIKELY, POSSIBLE = 0.1, 0.01


def best(p: FloatArray, chances: FloatArray, k: int) -> list[tuple[int, float]]:
    """The places of the k best words, best first, and their shares of all; equal ones in order of place.

    `p` (n,) are the words' probabilities given the context, up to a factor; `chances` (n,) are of what is
    typed given the word, 1 where it begins so. A word with a lower chance whose share is below `LIKELY`
    comes in only where there would be fewer than k, and below `POSSIBLE` never.
    """
    shares = p * chances
    shares /= shares.sum()
    weak = (chances < 1) & (shares < LIKELY)
    if not weak.any():
        return [(int(i), float(shares[i])) for i in _largest(shares, k)]
    strong = np.flatnonzero(~weak)
    top = strong[_largest(shares[strong], k)]
    if len(top) < k:
        others = np.flatnonzero(weak & (shares >= POSSIBLE))
        top = np.sort(np.append(top, others[_largest(shares[others], k - len(top))]))
        top = top[np.argsort(-shares[top], kind="stable")]
    return [(int(i), float(shares[i])) for i in top]


def _largest(shares: FloatArray, k: int) -> npt.NDArray[np.int64]:
    """The places of the k largest, largest first; equal ones in order of place."""
    k = min(k, len(shares))
    if not k:
        return np.zeros(0, np.int64)
    least = np.partition(shares, -k)[-k]
    top = np.flatnonzero(shares >= least)
    return top[np.argsort(-shares[top], kind="stable")][:k]
