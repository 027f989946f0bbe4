"""The words before each word, as n-grams read them."""

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
