from __future__ import annotations

import itertools
import math
import statistics
import tracemalloc
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.evaluation import over_users
from nwp.evaluation.counts import COLUMNS, WHOLE, Counts, figures, metrics
from nwp.evaluation.over_users import (
    few,
    gini,
    groups,
    intervals,
    resampled,
    spread,
    worst_tenth,
)

Rows = np.ndarray


def rows_of(*users: Counts) -> Rows:
    return np.stack([user.as_row() for user in users])


def drawn_rows(seed: int, users: int, most: float = 400.0) -> Rows:
    """Users of very different sizes and luck; some have no word, some none that is known."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(users):
        tokens = int(most ** rng.random()) - 1
        known = int(rng.binomial(tokens, rng.beta(9, 1)))
        hits3 = int(rng.binomial(known, rng.beta(3, 6)))
        first = int(rng.binomial(tokens, 0.1))
        first_known = min(first, known)
        found.append(
            Counts(
                tokens=tokens,
                known=known,
                hits3=hits3,
                hits1=int(rng.binomial(hits3, 0.5)),
                nll=known * float(rng.gamma(20, 0.25)),
                ends=int(tokens > 0) + first,
                end_nll=float(rng.gamma(2, 1)) * tokens,
                first_tokens=first,
                first_known=first_known,
                first_nll=first_known * 5.0,
                unknown_nll=(tokens - known) * 2.5,
                letters=4 * tokens,
                keys=3 * tokens,
                keys_spaced=2 * tokens,
            )
        )
    return rows_of(*found)


def decile_slowly(ordered: list[float], decile: int) -> float:
    place = Fraction(decile, 100) * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + float(place - low) * (ordered[high] - ordered[low])


def gini_slowly(values: list[float]) -> float:
    differences = [abs(x - y) for x in values for y in values]
    return sum(differences) / (2 * len(values) * sum(values))


def spread_slowly(rows: Rows) -> dict[str, dict[str, float]]:
    users = [Counts.from_row(row) for row in rows]
    able = [user for user in users if user.known]
    able.sort(
        key=lambda u: (
            -(u.nll / u.known),
            Fraction(u.hits3, u.tokens),
            Fraction(u.hits1, u.tokens),
            -u.tokens,
            -u.known,
        )
    )
    worst = sum(able[: math.ceil(len(able) / 10)], Counts())
    words = [user for user in users if user.tokens]
    values = {
        "perplexity": [math.exp(u.nll / u.known) for u in able],
        "top1": [u.hits1 / u.tokens for u in words],
        "top3": [u.hits3 / u.tokens for u in words],
    }
    amounts = values | {"perplexity": [u.nll / u.known for u in able]}
    return {
        name: {
            "mean": statistics.fmean(own),
            "std": statistics.pstdev(own),
            "gini": gini_slowly(amounts[name]),
            **{f"p{d}": decile_slowly(sorted(own), d) for d in range(10, 100, 10)},
            "worst_tenth": metrics(worst)[name],
        }
        for name, own in values.items()
    }


@pytest.mark.parametrize(("seed", "users"), [(0, 5), (1, 10), (2, 11), (3, 97)])
def test_spread_is_that_of_its_definition(seed: int, users: int):
    rows = drawn_rows(seed, users)
    found, wanted = spread(rows), spread_slowly(rows)
    assert list(found) == ["perplexity", "top1", "top3"]
    for name, summary in wanted.items():
        assert found[name] == pytest.approx(summary, rel=1e-12)
        assert set(found[name]) == set(summary)


def test_spread_by_hand():
    users = [
        Counts(tokens=2, known=2, hits1=1, hits3=2, nll=2 * math.log(10)),
        Counts(tokens=4, known=2, hits1=0, hits3=1, nll=2 * math.log(1000)),
        Counts(tokens=1),  # no word that is known: no perplexity
        Counts(),  # no word: nothing at all
    ]
    found = spread(rows_of(*users))
    assert found["perplexity"]["mean"] == pytest.approx(505)
    assert found["perplexity"]["std"] == pytest.approx(495)
    assert found["perplexity"]["gini"] == pytest.approx(1 / 4)  # of 1 and 3 nats
    assert found["perplexity"]["p10"] == pytest.approx(109)
    assert found["perplexity"]["worst_tenth"] == pytest.approx(1000)
    assert found["top1"]["mean"] == pytest.approx(0.5 / 3)
    assert found["top1"]["worst_tenth"] == 0
    assert found["top3"]["mean"] == pytest.approx(1.25 / 3)
    assert found["top3"]["p50"] == 0.25
    assert found["top3"]["worst_tenth"] == 0.25


def test_nothing_to_tell_is_told_as_nothing():
    for rows in (np.zeros((0, len(COLUMNS))), rows_of(Counts(), Counts())):
        found = spread(rows)
        assert all(value is None for summary in found.values() for value in summary.values())
        assert groups(rows) == [] == groups(rows, [False] * len(rows))
        assert set(intervals(rows).values()) == {None}
        assert few(rows) == 0
    found = spread(rows_of(Counts(tokens=3, known=3, nll=1.0)))
    assert found["perplexity"]["std"] == 0
    assert found["perplexity"]["gini"] == 0
    assert found["top1"]["mean"] == 0
    assert found["top1"]["gini"] is None  # nobody has a share of nothing


def test_a_hopeless_model_still_has_a_finite_spread():
    lost = Counts(tokens=5, known=5, nll=math.inf)
    rows = rows_of(lost, *(Counts(tokens=5, known=5, nll=5.0) for _ in range(3)))
    found = spread(rows)["perplexity"]
    assert all(math.isfinite(value) for value in found.values())
    assert found["mean"] == pytest.approx(math.exp(700) / 4)
    assert found["std"] == pytest.approx(math.sqrt(3) / 4 * math.exp(700))
    low, high = intervals(rows)["perplexity"]
    assert (low, high) == pytest.approx((math.e, math.exp(700)))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([7.0, 7.0, 7.0], 0.0),
        ([0.0, 0.0, 0.0, 5.0], 0.75),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 4 / 15),
        ([3.0, 1.0], 0.25),
        ([2.0], 0.0),
        ([0.0, 0.0], None),
        ([], None),
    ],
)
def test_gini_of_known_amounts(values: list[float], wanted: float | None):
    assert gini(np.array(values)) == (wanted if wanted is None else pytest.approx(wanted))


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=30), st.floats(0.001, 1000))
def test_gini_is_the_mean_difference_and_knows_no_unit(values: list[float], unit: float):
    found = gini(np.array(values))
    assert found == pytest.approx(gini_slowly(values), abs=1e-9)
    assert gini(np.array(values) * unit) == pytest.approx(found, abs=1e-9)


def test_the_worst_tenth_is_rounded_up_and_ties_are_broken_by_what_users_have():
    def user(nats: float, hits3: int, hits1: int = 0, words: int = 10) -> Counts:
        return Counts(tokens=words, known=words, nll=nats * words, hits3=hits3, hits1=hits1)

    ordered = [
        user(4.0, 9),
        user(3.0, 1),
        user(3.0, 2, 0),
        user(3.0, 4, 2, words=20),
        user(3.0, 2, 1),
        user(3.0, 3),
        Counts(tokens=10, known=5, nll=15.0, hits3=3),
        *(user(2.0, 5) for _ in range(63)),
    ]
    everybody = [*ordered, Counts(tokens=50)]  # the last has no perplexity
    shuffled = [everybody[i] for i in np.random.default_rng(0).permutation(len(everybody))]
    worst = [Counts.from_row(row) for row in worst_tenth(rows_of(*shuffled))]
    assert worst == ordered[:7]
    for users, chosen in ((1, 1), (10, 1), (11, 2), (20, 2), (21, 3)):
        assert len(worst_tenth(rows_of(*ordered[:users]))) == chosen


def test_the_order_of_users_changes_no_bit():
    rows = drawn_rows(5, 60)
    rows[10] = rows[20]
    trained = [i % 3 == 0 for i in range(60)]
    for seed in range(3):
        mixed = np.random.default_rng(seed).permutation(60)
        flags = [trained[i] for i in mixed]
        assert spread(rows[mixed]) == spread(rows)
        assert groups(rows[mixed], flags) == groups(rows, trained)
        assert intervals(rows[mixed], 7, 300) == intervals(rows, 7, 300)
        assert few(rows[mixed]) == few(rows)


def test_groups_have_round_borders_and_each_border_its_side():
    words = [1, 49, 50, 99, 100, 299, 300, 2999, 3000, 99_999, 100_000, 10**7, 0]
    found = groups(rows_of(*(Counts(tokens=n, known=n, nll=1.0) for n in words)))
    assert [(g["group"], g["users"]) for g in found if g["by"] == "activity"] == [
        ("under 50 words", 2),
        ("50 to 99 words", 2),
        ("100 to 299 words", 2),
        ("300 to 999 words", 1),
        ("1,000 to 2,999 words", 1),
        ("3,000 to 9,999 words", 1),
        ("30,000 to 99,999 words", 1),
        ("100,000 words or more", 2),
    ]
    thousands = [0, 20, 21, 50, 51, 100, 101, 200, 201, 1000]
    found = groups(rows_of(*(Counts(tokens=1000, known=1000 - n, nll=1.0) for n in thousands)))
    assert [(g["group"], g["users"]) for g in found if g["by"] == "unknown words"] == [
        ("0 to 2 %", 2),
        ("2 to 5 %", 2),
        ("5 to 10 %", 2),
        ("10 to 20 %", 2),
        ("over 20 %", 2),
    ]


def test_a_share_on_a_border_is_below_it_whatever_it_is_a_share_of():
    for percent in (2, 5, 10, 20):
        for words in range(100 // percent, 1500, 100 // percent):
            user = Counts(tokens=words, known=words - words * percent // 100, nll=1.0)
            (found,) = (g for g in groups(rows_of(user)) if g["by"] == "unknown words")
            assert found["group"].endswith(f"to {percent} %")


def test_groups_are_whoever_was_in_training_if_it_is_told():
    users = [Counts(tokens=i, known=i, hits1=i, nll=1.0 * i) for i in range(1, 6)]
    flags = [True, False, True, False, False]
    assert {g["by"] for g in groups(rows_of(*users))} == {"activity", "unknown words"}
    found = [g for g in groups(rows_of(*users), flags) if g["by"] == "trained"]
    assert [(g["group"], g["users"], g["tokens"]) for g in found] == [
        ("not in training", 3, 11),
        ("in training", 2, 4),
    ]
    with pytest.raises(ValueError, match="5 users, but 4"):
        groups(rows_of(*users), flags[:4])


@pytest.mark.parametrize("seed", range(3))
def test_groups_add_up_to_everybody(seed: int):
    rows = drawn_rows(seed, 80, most=30_000)
    flags = np.random.default_rng(seed).random(80) < 0.4
    found = groups(rows, flags.tolist())
    whole = metrics(Counts.from_row(rows.sum(0)))
    assert [by for by, _ in itertools.groupby(found, lambda g: g["by"])] == [
        "activity",
        "unknown words",
        "trained",
    ]
    for by in ("activity", "unknown words", "trained"):
        some = [group for group in found if group["by"] == by]
        assert len(some) > 1
        assert sum(group["users"] for group in some) == np.count_nonzero(rows[:, 0])
        assert sum(group["messages"] for group in some) == whole["messages"]
        assert sum(group["tokens"] for group in some) == whole["tokens"]
        for name in ("top1", "top3", "oov_rate", "bits_per_character"):
            parts = sum(group[name] * group["tokens"] for group in some)
            assert parts / whole["tokens"] == pytest.approx(whole[name])
        known = [group["tokens"] * (1 - group["oov_rate"]) for group in some]
        nats = sum(n * math.log(g["perplexity"]) for n, g in zip(known, some, strict=True) if n)
        assert nats / sum(known) == pytest.approx(math.log(whole["perplexity"]))


def test_few_are_those_who_have_words_but_not_enough_of_them():
    rows = rows_of(*(Counts(tokens=n) for n in (0, 1, 49, 50, 51)))
    assert few(rows) == 2
    assert few(rows, 51) == 3
    assert few(rows, 1) == 0


def test_draws_are_of_as_many_users_as_there_are_each_as_likely():
    draws = 20_000
    found = Counter(map(tuple, resampled(np.eye(3), 1, draws).tolist()))
    statistic, cells = 0.0, 0
    for times in itertools.product(range(4), repeat=3):
        if sum(times) != 3:
            assert times not in found
            continue
        wanted = draws * 6 / math.prod(map(math.factorial, times)) / 27
        statistic += (found[times] - wanted) ** 2 / wanted
        cells += 1
    assert sum(found.values()) == draws
    assert cells == 10
    assert statistic < 27.9  # chi-square with 9 degrees of freedom: one in a thousand


def test_how_many_draws_are_in_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    whole = np.random.default_rng(0).integers(0, 100, (37, 5)).astype(np.float64)
    wanted = resampled(whole, 3, 50)
    for size in (1, 3, 16, 49):
        monkeypatch.setattr(over_users, "_AT_ONCE", 1)
        monkeypatch.setattr(over_users, "_DRAWS_AT_ONCE", size)
        assert np.array_equal(resampled(whole, 3, 50), wanted)


def test_memory_does_not_grow_with_draws():
    rows = np.ones((30_000, len(COLUMNS)))
    peaks = []
    for draws in (20, 200):
        tracemalloc.start()
        resampled(rows, 0, draws)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1e5
    assert peaks[1] < 4 * rows.nbytes


def test_intervals_are_as_wide_as_the_ratio_of_sums_is_uncertain():
    rng = np.random.default_rng(4)
    users = 2000
    tokens = rng.integers(20, 200, users)
    hits = rng.binomial(tokens, rng.beta(20, 80, users))
    rows = rows_of(
        *(
            Counts(tokens=int(n), known=int(n), hits1=int(k), nll=float(n * x))
            for n, k, x in zip(tokens, hits, rng.gamma(50, 0.1, users), strict=True)
        )
    )
    found = intervals(rows, draws=4000)
    pooled = figures(rows.sum(0))
    for name, part in (("top1", rows[:, COLUMNS.index("hits1")]), ("perplexity", rows[:, 4])):
        whole = tokens.astype(np.float64)
        rate = part.sum() / whole.sum()
        # The delta method (Cochran 1977, "Sampling techniques", section 6.4).
        error = math.sqrt(((part - rate * whole) ** 2).sum()) / whole.sum()
        if name == "perplexity":
            error *= math.exp(rate)
        low, high = found[name]
        assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.05)
        assert (high + low) / 2 == pytest.approx(float(pooled[name]), abs=0.2 * error)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(9)
    held, trials = 0, 300
    for trial in range(trials):
        tokens = rng.integers(20, 60, 60)
        hits = rng.binomial(tokens, rng.beta(3, 7, 60))
        rows = rows_of(
            *(Counts(tokens=int(n), hits1=int(k)) for n, k in zip(tokens, hits, strict=True))
        )
        low, high = intervals(rows, seed=trial, draws=400, level=0.9)["top1"]
        held += low <= 0.3 <= high
    assert 0.84 < held / trials < 0.95


@pytest.mark.parametrize("users", [2, 3, 8, 50])
def test_intervals_contain_the_pooled_figures(users: int):
    for seed in range(5):
        rows = drawn_rows(seed, users + 5, most=5000)
        rows = rows[rows[:, 1] > 0][:users]
        pooled = metrics(Counts.from_row(rows.sum(0)))
        narrow = intervals(rows, seed, draws=1000, level=0.5)
        for name, bounds in intervals(rows, seed, draws=1000).items():
            if bounds is not None:
                slack = 1e-12 * abs(pooled[name])
                assert bounds[0] - slack <= pooled[name] <= bounds[1] + slack
                assert bounds[0] <= narrow[name][0] <= narrow[name][1] <= bounds[1]


def test_a_figure_that_one_user_has_gets_no_interval():
    one = Counts(tokens=5, known=5, hits1=1, nll=4.0, letters=20, keys=9, ends=1)
    other = Counts(tokens=9, known=8, hits1=3, nll=30.0, ends=1)
    assert set(intervals(rows_of(one)).values()) == {None}
    assert set(intervals(rows_of(one, Counts(), Counts())).values()) == {None}
    found = intervals(rows_of(one, other))
    assert found["keystroke_savings"] is None
    assert found["bits_per_character"] is None
    assert found["first_top3"] is None
    assert found["top1"] == (0.2, 1 / 3)
    assert set(found) == set(metrics(one)) - set(WHOLE)


def test_draws_without_anybody_who_has_a_figure_are_left_out():
    first = [Counts(tokens=2, known=2, nll=2.0, first_tokens=1, first_hits3=i) for i in (0, 1)]
    rest = [Counts(tokens=2, known=2, nll=2.0) for _ in range(20)]
    assert intervals(rows_of(*first, *rest))["first_top3"] == (0.0, 1.0)


def test_users_without_counts_and_another_seed():
    rows = drawn_rows(3, 30)
    more = np.concatenate([rows, np.zeros((10, rows.shape[1]))])
    assert intervals(more, 1, 200) == intervals(rows, 1, 200)
    assert intervals(rows, 2, 200) != intervals(rows, 1, 200)
