"""Two models on the same words of the same users: which is better, for how many, and how sure is it.

Both models see the same users, so each user is compared with themselves: how hard somebody's messages
are drops out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nwp.evaluation.counts import COLUMNS, WHOLE, BoolArray, FloatArray, IntArray, Rows, figures
from nwp.evaluation.over_users import FEW, HUGE, in_order, interval, resampled

MOST = 5  # users that are named for gaining or losing most

# What a model has no part in: equal columns are the same targets, as far as counts can tell.
_TARGETS = ("tokens", "ends", "masked_tokens", "first_tokens")
_KNOWN = ("known", "masked_known", "first_known")
_AT_ONCE = 1 << 18  # signs in memory at once: 2 MB
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """A figure pooled over all users, with either model; `difference` is second minus first, and
    `interval` its bounds, None if under two users have the figure."""

    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ByUser:
    """A figure user by user, second model minus first.

    `users` who have it; the `mean` difference, each user counting once; the shares of them who `gain`
    by the second model, `lose`, and stay `equal`; `p`, how probable a pooled difference so far from 0
    would be were it by chance which model's figure is which; and who `gained` and `lost` most, as
    numbers of rows, of users with 50 words or more.
    """

    users: int
    mean: float
    gain: float
    lose: float
    equal: float
    p: float
    gained: tuple[int, ...]
    lost: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """What `compare` finds. `pooled` by figure of `nwp.evaluation.counts.figures`, `by_user` by
    `nats_per_word`, `bits_per_character`, `top1` and `top3`; `measure` is the one of these to go by.

    `same_vocabulary`: each user has as many known words with either model.
    """

    users: int
    same_vocabulary: bool
    measure: str
    pooled: Mapping[str, Difference]
    by_user: Mapping[str, ByUser]

    def as_json(self) -> dict[str, Any]:
        """As plain objects, lists and numbers."""
        found = asdict(self)
        for difference in found["pooled"].values():
            difference["interval"] = difference["interval"] and list(difference["interval"])
        for figure in found["by_user"].values():
            figure |= {"gained": list(figure["gained"]), "lost": list(figure["lost"])}
        return found


def compare(
    rows_a: Rows,
    rows_b: Rows,
    seed: int = 0,
    *,
    draws: int = 2000,
    level: float = 0.95,
    flips: int = 10_000,
) -> Comparison:
    """Compare two models by their counts of the same users, row by row, on the same targets.

    What to go by: nats a known word where both know the same words. Where they don't, a model that
    knows fewer is asked easier ones, and all perplexities are left out; then bits a character decide,
    which charge a model for spelling the words it lacks, if letters were counted with both, and else
    top3, where a word outside the vocabulary is a miss.

    Intervals are those of `nwp.evaluation.over_users.intervals`, from the same draws of users for both
    models. `p` is of a two-sided permutation test: a user's two figures change places or not, `flips`
    times by chance, and p is (1 + times that the pooled difference is as far from 0) / (1 + flips)
    (Phipson and Smyth 2010, "Permutation p-values should never be zero"). Users without words take no
    part; their rows still count in the numbers of rows.

    ValueError when targets differ, or nobody has a word.
    """
    _check(rows_a, rows_b)
    places = np.flatnonzero(rows_a[:, COLUMNS.index("tokens")] > 0)
    both = np.minimum(np.hstack((rows_a, rows_b))[places], HUGE)
    order = in_order(both)
    both, places = both[order], places[order]
    a, b = np.hsplit(both, 2)
    same = all(np.array_equal(_column(a, name), _column(b, name)) for name in _KNOWN)

    own_a, own_b = figures(a), figures(b)
    by_user = _by_user(a, places, own_a, own_b, same=same, seed=seed, flips=flips)
    sum_a, sum_b = figures(a.sum(0)), figures(b.sum(0))
    # The same seed and number of users: the same draws.
    drawn_a, drawn_b = (figures(resampled(rows, seed, draws)) for rows in (a, b))
    pooled = {
        name: Difference(
            float(sum_a[name]),
            float(sum_b[name]),
            float(sum_b[name] - sum_a[name]),
            interval(drawn_b[name] - drawn_a[name], own_b[name] - own_a[name], level),
        )
        for name in own_a
        if name not in WHOLE
        and (same or "perplexity" not in name)
        and not np.isnan(sum_b[name] - sum_a[name])
    }
    return Comparison(len(places), same, next(iter(by_user)), pooled, by_user)


def _check(rows_a: Rows, rows_b: Rows) -> None:
    if rows_a.shape != rows_b.shape:
        raise ValueError(f"rows of {rows_a.shape} and of {rows_b.shape} are not the same users'")
    spelled = all(_column(rows, "letters").any() for rows in (rows_a, rows_b))
    for name in (*_TARGETS, *(("letters",) if spelled else ())):
        a, b = _column(rows_a, name), _column(rows_b, name)
        for i in np.flatnonzero(a != b)[:1]:
            raise ValueError(
                f"{name} of row {i} are {a[i]:.0f} with one model and {b[i]:.0f} with the other: "
                "they were not asked the same words"
            )
    if not _column(rows_a, "tokens").any():
        raise ValueError("nobody has a word that models could be compared by")


def _column(rows: Rows, name: str) -> FloatArray:
    return rows[:, COLUMNS.index(name)]


def _by_user(
    a: Rows,
    places: IntArray,
    own_a: Mapping[str, FloatArray],
    own_b: Mapping[str, FloatArray],
    *,
    same: bool,
    seed: int,
    flips: int,
) -> dict[str, ByUser]:
    """Figures user by user, the one to go by first; without those that nobody has."""
    # Times what it is divided by, a user's difference is their part in the pooled one. That holds for
    # nats, not for perplexities; but the further nats are from 0, the further perplexities are.
    tokens = _column(a, "tokens")
    nats = np.log(own_b["perplexity"]) - np.log(own_a["perplexity"])
    candidates = {
        "nats_per_word": (nats if same else np.full_like(nats, np.nan), _column(a, "known"), -1),
        "bits_per_character": (None, tokens + _column(a, "letters"), -1),
        "top3": (None, tokens, 1),
        "top1": (None, tokens, 1),
    }
    found: dict[str, tuple[FloatArray, FloatArray, int]] = {}
    for name, (given, whole, better) in candidates.items():
        difference = own_b[name] - own_a[name] if given is None else given
        if not np.isnan(difference).all():
            found[name] = difference, whole, better
    parts = np.stack([np.nan_to_num(d * whole) for d, whole, _ in found.values()], axis=1)
    chances = sign_flips(parts, seed, flips)
    enough = tokens >= FEW
    return {
        name: _told(difference, better * difference, enough, places, float(p))
        for (name, (difference, _, better)), p in zip(found.items(), chances, strict=True)
    }


def _told(
    difference: FloatArray, gain: FloatArray, enough: BoolArray, places: IntArray, p: float
) -> ByUser:
    has = ~np.isnan(difference)
    best, worst = np.lexsort((places, -gain)), np.lexsort((places, gain))
    return ByUser(
        users=int(has.sum()),
        mean=float(difference[has].mean()),
        gain=float(np.mean(gain[has] > 0)),
        lose=float(np.mean(gain[has] < 0)),
        equal=float(np.mean(gain[has] == 0)),
        p=p,
        gained=tuple(places[best[(enough & (gain > 0))[best]][:MOST]].tolist()),
        lost=tuple(places[worst[(enough & (gain < 0))[worst]][:MOST]].tolist()),
    )


def sign_flips(parts: FloatArray, seed: int, flips: int) -> FloatArray:
    """The p value of each column's sum, (columns,), from each user's part in it, (users, columns): the
    share of random signs of users (the parts' own among them) with a sum as far from 0."""
    users = len(parts)
    total = parts.sum(0)
    # The same sum, added up in another order, is as far.
    far = np.abs(total) - _ROUNDING * np.abs(parts).sum(0)
    rng = np.random.default_rng([seed, 1])
    width = -(-users // 32) * 4
    times = np.ones(len(total))
    size = max(1, _AT_ONCE // users)
    for start in range(0, flips, size):
        many = min(size, flips - start)
        random = np.frombuffer(rng.bytes(many * width), np.uint8).reshape(many, width)
        kept = np.unpackbits(random, axis=1, count=users).astype(np.float64)
        times += (np.abs(2 * (kept @ parts) - total) >= far).sum(0)
    return times / (1 + flips)
