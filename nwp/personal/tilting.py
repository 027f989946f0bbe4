"""How much more, or less, often a person writes each word than the model expects.

A shared model knows what fits a context, not who writes. What it says is tilted towards the person:

    tilted(w | h) = model(w | h) (own(w) + K usual(w)) / (expected(w) + K usual(w)) / Z(h)

own(w) is how often the person wrote the word, and expected(w) how often the model thought so, in sum over
the same places (`nwp.personal.expecting`). K words more are taken to have been written as usual by both:
of who has written little, little is known. Half of it is the model as it was (`SHARE`).

It is the adaptation by marginals of Kneser, Peters and Klakow (1997, "Language model adaptation using
dynamic marginals", Eurospeech), who have the usual share in the place of what was expected, and a root
over the factor. Where contexts tell the model who writes, that would count twice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

BACKED = 1000.0  # K, words
SHARE = 0.5  # of the tilted distribution


def tilt_of(own: FloatArray, expected: FloatArray | None, usual: FloatArray) -> FloatArray:
    """A factor for each output, (outputs,).

    Of what was written without the model's having been asked, as much is taken to have been expected as
    is usual: where `own` has more in all than `expected`, or that is None.
    """
    shares = usual / usual.sum()
    seen = np.zeros_like(shares) if expected is None else expected
    unseen = max(own.sum() - seen.sum(), 0.0)
    factors: FloatArray = (own + BACKED * shares) / (seen + (unseen + BACKED) * shares)
    return factors


def tilted(given: FloatArray, factors: FloatArray) -> FloatArray:
    """A distribution over the outputs, (outputs,), tilted; it sums to what it did."""
    found = given * factors
    found *= SHARE * given.sum() / found.sum()
    found += (1 - SHARE) * given
    return found
