"""How users fare whose figures stay with their owners: a histogram with noise leaves, no row does.

Each worker counts its users by perplexity and adds noise to every count before it leaves; the server
adds the histograms up and reads the deciles from the sum. Adding or removing one user changes one count
of one worker by 1, so what leaves is epsilon-differentially private for users, all of it together
(changing a user's messages moves them from one bin to another: twice epsilon).
"""

from __future__ import annotations

import math

import numpy as np

from nwp.evaluation.counts import FloatArray, IntArray, Rows, figures
from nwp.federated.noise import variance

_A_DECADE = 24
_DECADES = 5
BINS = _A_DECADE * _DECADES
# Perplexities from 1 to 100,000, each border 10 % above the last; float64 (bins + 1,).
BORDERS: FloatArray = 10 ** (np.arange(BINS + 1) / _A_DECADE)
DECILES = tuple(range(10, 100, 10))
MOST_ERROR = 0.1


def histogram(rows: Rows) -> IntArray:
    """How many users have a perplexity between each two `BORDERS`, int64 (bins,).

    The lower border belongs to the bin; the last bin has all who are above, too. Users without a known
    word are in none.
    """
    perplexity = figures(rows)["perplexity"]
    places = np.searchsorted(BORDERS, perplexity[~np.isnan(perplexity)], side="right") - 1
    return np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS).astype(np.int64)


def quantiles(
    counts: IntArray, epsilon: float, workers: int | None = None
) -> dict[str, float | int | bool | None]:
    """Deciles of perplexity over users from the sum of noisy histograms, (bins,): `p10` to `p90`, None
    when noise leaves no user; `noisy`, the `epsilon` they were made with, and about how many `users`.

    Where it is told how many `workers`' histograms are added up, the `error`, too: twice the standard
    deviation of the noise in all counts together, as a share of users. With 0.04 the median is most
    likely between the true percentiles 46 and 54. Deciles are None where it is over `MOST_ERROR`, for
    each might then be its neighbour. More users, fewer workers and a higher epsilon make it smaller.

    Numbers of users up to each border can only rise. With noise they don't, so the rising numbers
    nearest to them are taken (least squares: isotonic regression). Setting negative counts to 0 would
    leave only the noise that adds users, most of it in bins where nobody is, and drive deciles apart.
    Within a bin users are taken to be spread evenly over the logarithm of perplexity, so without noise
    a decile is at most 10 % off; it can't be above the last border.

    ValueError when there are not `BINS` counts.
    """
    if counts.shape != (BINS,):
        raise ValueError(f"counts of shape {counts.shape} are no histogram of {BINS} bins")
    upto = np.concatenate(([0.0], np.maximum(_rising(np.cumsum(counts, dtype=np.float64)), 0)))
    users = round(float(upto[-1]))
    found: dict[str, float | int | bool | None] = {
        "noisy": True,
        "epsilon": epsilon,
        "users": users,
    }
    told = users > 0
    if workers is not None:
        noise = 2 * math.sqrt(BINS * workers * variance(epsilon))
        found["error"] = noise / users if users else None
        told = told and noise <= MOST_ERROR * users
    return {f"p{d}": _reached(upto, d / 100) if told else None for d in DECILES} | found


def _reached(upto: FloatArray, share: float) -> float:
    """The perplexity that this share of users are up to; `upto` of all borders, (bins + 1,)."""
    wanted = share * upto[-1]
    i = int(np.searchsorted(upto, wanted))
    within = (wanted - upto[i - 1]) / (upto[i] - upto[i - 1])
    return float(BORDERS[i - 1] * (BORDERS[i] / BORDERS[i - 1]) ** within)


def _rising(values: FloatArray) -> FloatArray:
    """The nearest numbers that never fall (pool adjacent violators: Ayer et al. 1955, "An empirical
    distribution function for sampling with incomplete information")."""
    blocks: list[tuple[float, int]] = []  # mean and length
    for value in values.tolist():
        mean, length = value, 1
        while blocks and blocks[-1][0] >= mean:
            before, many = blocks.pop()
            mean = (before * many + mean * length) / (many + length)
            length += many
        blocks.append((mean, length))
    return np.repeat([mean for mean, _ in blocks], [length for _, length in blocks])
