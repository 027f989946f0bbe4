"""For whom the model works: how figures differ from user to user, and how sure the pooled ones are.

Users are compared by their rows of counts (`nwp.evaluation.counts`). Nothing here depends on the order
of the rows, down to the last bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nwp.evaluation.counts import COLUMNS, WHOLE, FloatArray, Rows, figures, plain

FEW = 50  # words of a user; figures over fewer are mostly chance
DECILES = tuple(range(10, 100, 10))
# Users are grouped by their words, from each border to just below the next ...
WORDS = (FEW, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
# ... and by the percentage of these that the vocabulary lacks, each border being in the lower group.
UNKNOWN_PERCENT = (2, 5, 10, 20)

_TOKENS, _KNOWN = COLUMNS.index("tokens"), COLUMNS.index("known")
# Weights of users that the bootstrap has in memory at once: 2 MB, and as much twice again for drawing.
# With many users it takes some draws at once all the same, for each time it reads all rows; products
# of 16 and more such long draws are shared out among threads, which is slower on a busy machine.
_AT_ONCE = 1 << 18
_DRAWS_AT_ONCE = 8
# In the place of infinity, which times no user is not a number; far beyond what `figures` tells apart.
HUGE = 1e200


def spread(rows: Rows) -> dict[str, dict[str, float | None]]:
    """How perplexity, top1 and top3 are distributed over users, each user counting once.

    `mean` and `std` (of these users, not an estimate for others: divided by their number), `gini`,
    `p10` to `p90` (deciles, numpy's linear ones: definition 7 of Hyndman and Fan 1996, "Sample
    quantiles in statistical packages"), and `worst_tenth`, the figure pooled over `worst_tenth`, which
    Li et al. (2020, "Fair resource allocation in federated learning", section 4) report beside the
    spread of accuracies. Users for whom a figure has nothing to divide by are left out of it; all is
    None when nobody is left.

    The Gini index of perplexity is taken over users' nats a known word, its logarithm. The index is
    meant for amounts that add up and begin at zero: nats do, and are 0 for a model that knows every
    word, while perplexities don't, and one user with few rare words may have more perplexity than all
    others together. The base of the logarithm makes no difference.
    """
    found = figures(rows)
    worst = plain(figures(worst_tenth(rows).sum(0)))
    summaries = {}
    for name in ("perplexity", "top1", "top3"):
        values = np.sort(found[name][~np.isnan(found[name])])
        amounts = np.log(values) if name == "perplexity" else values
        summaries[name] = {**_summary(values), "gini": gini(amounts), "worst_tenth": worst[name]}
    return summaries


def _summary(values: FloatArray) -> dict[str, float | None]:
    names = ("mean", "std", *(f"p{decile}" for decile in DECILES))
    if not len(values):
        return dict.fromkeys(names)
    scale = float(values.max()) or 1.0  # the square of a hopeless perplexity would be infinite
    scaled = values / scale
    found = (scaled.mean(), scaled.std(), *np.quantile(scaled, np.array(DECILES) / 100))
    return {name: float(value) * scale for name, value in zip(names, found, strict=True)}


def gini(values: FloatArray) -> float | None:
    """The Gini index of amounts of 0 or more, (users,): 0 when all have the same, 1 - 1/n when one of n
    has everything.

    Half the mean difference of two users drawn with replacement, in units of the mean (Gini 1912,
    "Variabilità e mutabilità"), without a correction for few users. None without users, or when none
    has anything.
    """
    total = float(values.sum())
    if not total:
        return None
    ordered, n = np.sort(values), len(values)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered) / (n * total)


def worst_tenth(rows: Rows) -> Rows:
    """The tenth of users, rounded up, with the highest perplexity.

    Of equal ones the user with the lower top3 comes first, then with the lower top1, more words, more
    known words; who is equal in all of these is the same to every figure of `spread`. Users without a
    known word have no perplexity and are not among them.
    """
    rows = rows[rows[:, _KNOWN] > 0]
    found = figures(rows)
    keys = (-rows[:, _KNOWN], -rows[:, _TOKENS], found["top1"], found["top3"], -found["perplexity"])
    return rows[np.lexsort(keys)[: -(-len(rows) // 10)]]


def few(rows: Rows, words: int = FEW) -> int:
    """How many users have words, but fewer than so many."""
    tokens = rows[:, _TOKENS]
    return int(np.count_nonzero((tokens > 0) & (tokens < words)))


def groups(rows: Rows, trained: Sequence[bool] | None = None) -> list[dict[str, Any]]:
    """Users with at least one word, in groups: `by` what, the `group`, its `users`, and their pooled
    figures.

    By `activity` (`WORDS`), by share of `unknown words` (`UNKNOWN_PERCENT`), and, where it is told of
    each row, by whether the user was `trained` on. Every user with a word is in one group of each;
    groups without users are left out. ValueError when `trained` has another length than `rows`.
    """
    order = in_order(rows)
    order = order[rows[order, _TOKENS] > 0]
    ordered = rows[order]
    shares = figures(ordered)["oov_rate"]
    divisions: list[tuple[str, Sequence[str], npt.NDArray[np.intp]]] = [
        ("activity", _by_words(), np.searchsorted(WORDS, ordered[:, _TOKENS], side="right")),
        # A share is rounded as the border is, so that one in fifty is just 2 %.
        ("unknown words", _by_unknown(), np.searchsorted(np.array(UNKNOWN_PERCENT) / 100, shares)),
    ]
    if trained is not None:
        if len(trained) != len(rows):
            raise ValueError(f"{len(rows)} users, but {len(trained)} are told to be trained or not")
        seen = np.asarray(trained, np.bool_)[order]
        divisions.append(("trained", ("not in training", "in training"), seen.astype(np.intp)))
    return [
        {"by": by, "group": name, "users": len(members), **plain(figures(members.sum(0)))}
        for by, names, places in divisions
        for place, name in enumerate(names)
        if len(members := ordered[places == place])
    ]


def _by_words() -> list[str]:
    between = [f"{low:,} to {high - 1:,} words" for low, high in itertools.pairwise(WORDS)]
    return [f"under {WORDS[0]:,} words", *between, f"{WORDS[-1]:,} words or more"]


def _by_unknown() -> list[str]:
    between = [f"{low} to {high} %" for low, high in itertools.pairwise((0, *UNKNOWN_PERCENT))]
    return [*between, f"over {UNKNOWN_PERCENT[-1]} %"]


def intervals(
    rows: Rows, seed: int = 0, draws: int = 2000, level: float = 0.95
) -> dict[str, tuple[float, float] | None]:
    """Between what bounds the pooled rates lie if other users like these had been asked.

    Bootstrap over users by the percentile method (Efron and Tibshirani 1993, "An introduction to the
    bootstrap", chapter 13): what differs is who writes, and a user's words stay together. Users without
    any count are no part of it. None for a figure that fewer than two users have; draws of users none
    of whom have it are left out. Numbers of words and messages (`WHOLE`) get no interval.
    """
    rows = rows[rows.any(1)]
    rows = rows[in_order(rows)]
    own = figures(rows)
    names = [name for name in own if name not in WHOLE]
    if not len(rows):
        return dict.fromkeys(names)
    drawn = figures(resampled(rows, seed, draws))
    return {name: interval(drawn[name], own[name], level) for name in names}


def resampled(rows: FloatArray, seed: int, draws: int) -> FloatArray:
    """The sums over as many users as there are, drawn with replacement: float64 (draws, columns) from
    (users, columns), users 1 or more.

    What is in memory at once does not grow with the draws. Infinite counts are taken as very large.
    """
    users = len(rows)
    rows = np.minimum(rows, HUGE)
    rng = np.random.default_rng([seed, 0])
    sums = np.empty((draws, rows.shape[1]))
    size = max(_DRAWS_AT_ONCE, _AT_ONCE // users)
    for start in range(0, draws, size):
        many = min(size, draws - start)
        drawn = rng.integers(0, users, (many, users))
        drawn += users * np.arange(many)[:, None]
        # Counting who was drawn is several times as fast as drawing each one's binomial count.
        weights = np.bincount(drawn.ravel(), minlength=many * users).reshape(many, users)
        sums[start : start + many] = weights.astype(np.float64) @ rows
    return sums


def interval(drawn: FloatArray, own: FloatArray, level: float) -> tuple[float, float] | None:
    """The middle `level` of the draws, (draws,), of a figure; None if under two users have it, (users,)."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn) or np.count_nonzero(~np.isnan(own)) < 2:
        return None
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


def in_order(rows: FloatArray) -> npt.NDArray[np.intp]:
    """Places of rows from low to high, by their first column, then the next: the same whatever the order
    in which users come, so that sums are rounded alike and draws fall to the same."""
    return np.lexsort(rows.T[::-1])
