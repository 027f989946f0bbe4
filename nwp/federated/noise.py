"""Noise for whole numbers that leave a worker: drawn exactly, from the operating system's randomness."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from fractions import Fraction
from random import Random

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

LEAST_EPSILON = 1e-6  # with less, noise might not fit into 64 bits
SYSTEM = secrets.SystemRandom()


def noisy(counts: IntArray, epsilon: float, rng: Random = SYSTEM) -> IntArray:
    """Add two-sided geometric noise to each count, int64 (bins,): k with probability proportional to
    exp(-epsilon |k|).

    Of all mechanisms with the same epsilon it serves every reader of one count best (Ghosh,
    Roughgarden and Sundararajan 2009, "Universally utility-maximizing privacy mechanisms"). It is drawn
    exactly, from whole random numbers: noise made of floating-point numbers gives counts away by its
    last bits (Mironov 2012, "On significance of the least significant bits for differential privacy").
    A noisy count may be negative; sums over workers need it so, or they would be too high. `rng` is the
    operating system's, whose numbers nobody can foretell; another one is for tests alone.

    ValueError when epsilon is no number or under `LEAST_EPSILON`.
    """
    if not LEAST_EPSILON <= epsilon < math.inf:
        raise ValueError(f"epsilon {epsilon} is not a number of {LEAST_EPSILON} or more")
    exact = Fraction(epsilon)
    return np.array(noisy_each(counts.tolist(), [exact] * len(counts), rng), np.int64)


def noisy_each(
    counts: Sequence[int], epsilons: Sequence[Fraction], rng: Random = SYSTEM
) -> list[int]:
    """The same for counts that have an epsilon each, above 0. The noise of one is about 1 / epsilon in
    size, and practically never 50 times that."""
    return [count + _noise(exact, rng) for count, exact in zip(counts, epsilons, strict=True)]


def _noise(epsilon: Fraction, rng: Random) -> int:
    """Algorithm 2 of Canonne, Kamath and Steinke (2020, "The discrete Gaussian for differential
    privacy"): a geometric number of steps of epsilon, and a sign."""
    s, t = epsilon.numerator, epsilon.denominator
    while True:
        rest = rng.randrange(t)
        if not _happens(rest, t, rng):
            continue
        whole = 0
        while _happens(1, 1, rng):
            whole += 1
        size = (rest + t * whole) // s
        negative = rng.randrange(2) == 1
        if size or not negative:  # else 0 would come twice as often, once with either sign
            return -size if negative else size


def _happens(numerator: int, denominator: int, rng: Random) -> bool:
    """True with probability exp(-numerator / denominator), which is at most 1: Algorithm 1 there."""
    k = 1
    while rng.randrange(k * denominator) < numerator:
        k += 1
    return k % 2 == 1


def variance(epsilon: float) -> float:
    """Of two-sided geometric noise."""
    return 2 * math.exp(-epsilon) / math.expm1(-epsilon) ** 2
