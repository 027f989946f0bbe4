"""Dealing messages to artificial users, and how unlike each other users are.

Messages are known by their numbers; a label is a topic, or whatever else messages differ by. Of
arrays as long as the corpus there are a few at a time, of 4 or 8 bytes a message.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


def equal_sizes(total: int, users: int) -> Longs:
    """`total` messages for `users` users, int64 (users,): sizes differ by 1 at most."""
    sizes = np.full(users, total // users, np.int64)
    sizes[: total % users] += 1
    return sizes


def skewed_sizes(total: int, users: int, alpha: float, rng: np.random.Generator) -> Longs:
    """Sizes in proportions drawn from Dir(alpha, …, alpha), int64 (users,); each user has one message
    at least, so that there are as many users as were asked for."""
    wanted = draw_shares(np.full(users, alpha), rng) * (total - users)
    sizes: Longs = np.floor(wanted).astype(np.int64)
    missing = total - users - int(sizes.sum())
    sizes[np.argsort(sizes - wanted, kind="stable")[:missing]] += 1  # the largest remainders
    return sizes + 1


def deal(sizes: Longs, rng: np.random.Generator) -> Ints:
    """An owner for each of Σ sizes messages, int32: any message goes to anybody."""
    owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    rng.shuffle(owners)
    return owners


def draw_counts(stock: Longs, sizes: Longs, alpha: float, rng: np.random.Generator) -> Longs:
    """How many messages of each label each user takes, int64 (users, labels).

    Hsu et al. 2019 (arXiv 1909.06335), section 3: user after user draws shares q ~ Dir(alpha·p) of
    the labels, p being the labels' shares of all messages, then `sizes[user]` labels from q, each
    message taken once; when a label's `stock` (labels,) is used up, q is cut down to the others.
    Σ sizes must not be above Σ stock. Users late in the order take what is left: with a small alpha
    the last ones are mixed more than the first.
    """
    left = stock.astype(np.int64)
    counts = np.zeros((len(sizes), len(stock)), np.int64)
    concentration = alpha * (left / left.sum())
    for user in range(len(sizes)):
        shares = draw_shares(concentration, rng)
        missing = int(sizes[user])
        while missing:
            open_shares = np.where(left > 0, shares, 0.0)
            weight = open_shares.sum()
            if not weight > 1e-300:  # all that this user wanted is used up
                open_shares, weight = left.astype(np.float64), float(left.sum())
            taken = np.minimum(rng.multinomial(missing, open_shares / weight), left)
            counts[user] += taken
            left -= taken
            missing -= int(taken.sum())
    return counts


def draw_shares(concentration: npt.NDArray[np.float64], rng: np.random.Generator) -> Any:
    """Shares that sum to 1 from a Dirichlet distribution, float64, for parameters of any size.

    Parameters so small or large that floats can't tell give what they tend to: one label has all,
    or the labels have the shares of their parameters.
    """
    with np.errstate(all="ignore"):
        total = concentration.sum()
        if np.isfinite(total) and total > 1e-300:
            shares = rng.dirichlet(concentration)
            if abs(float(shares.sum()) - 1) < 1e-6:
                return shares
    weights = concentration / concentration.max()
    weights = weights / weights.sum()
    if total > 1:
        return weights
    return rng.multinomial(1, weights).astype(np.float64)


def deal_by_label(labels: Ints, counts: Longs, rng: np.random.Generator) -> Ints:
    """An owner for each message, int32: user u gets `counts[u, l]` messages of label l, any of them."""
    owners = np.empty(len(labels), np.int32)
    users = np.arange(len(counts), dtype=np.int32)
    for label in range(counts.shape[1]):
        mine = np.repeat(users, counts[:, label])
        rng.shuffle(mine)
        owners[labels == label] = mine
    return owners


def rank_within(owners: Ints, times: Longs, known: npt.NDArray[np.bool_]) -> Longs:
    """The place of each message among its owner's, from 0, int64: by time where `known` holds for all
    of the owner's messages, else as they come. Equal times stay as they come."""
    untimed = np.zeros(int(owners.max(initial=-1)) + 1, np.bool_)
    untimed[owners[~known]] = True
    order = np.lexsort((np.where(untimed[owners], 0, times), owners))
    sorted_owners = owners[order]
    first = np.searchsorted(sorted_owners, sorted_owners)
    ranks = np.empty(len(owners), np.int64)
    ranks[order] = np.arange(len(owners)) - first
    return ranks


def divergence(owners: Ints, labels: Ints) -> float:
    """Mean over users of the Jensen-Shannon divergence (nats, 0 to ln 2) of the user's labels from
    everybody's. Message i has `owners[i]` and `labels[i]`; 0.0 without messages."""
    if not len(owners):
        return 0.0
    kinds = int(labels.max()) + 1
    everybody = np.bincount(labels) / len(labels)
    sizes = np.bincount(owners)
    pairs, counts = np.unique(owners.astype(np.int64) * kinds + labels, return_counts=True)
    owner, label = pairs // kinds, pairs % kinds
    p, q = counts / sizes[owner], everybody[label]
    middle = (p + q) / 2
    terms = (p * np.log(p / middle) + q * np.log(q / middle)) / 2
    # A label that a user has not adds half its share times ln 2.
    absent = 1 - np.bincount(owner, q, len(sizes))
    each = np.bincount(owner, terms, len(sizes)) + absent * (math.log(2) / 2)
    return max(0.0, float(each[sizes > 0].mean()))


def gini(sizes: Longs) -> float:
    """The Gini coefficient of sizes: 0 when all are equal, near 1 when one has everything."""
    n, total = len(sizes), int(sizes.sum())
    if not total:
        return 0.0
    place = 2 * np.arange(1, n + 1) - n - 1
    return float((place * np.sort(sizes).astype(np.float64)).sum() / (n * total))


def quantiles(sizes: Longs) -> dict[str, int]:
    """The smallest, the largest and some sizes between; each is a size that there is."""
    at = {"min": 0.0, "p10": 0.1, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9, "max": 1.0}
    found = np.quantile(sizes, list(at.values()), method="inverted_cdf")
    return {name: int(size) for name, size in zip(at, found, strict=True)}
