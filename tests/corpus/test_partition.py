from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.corpus.splits.partition import (
    Ints,
    deal,
    deal_by_label,
    divergence,
    draw_counts,
    draw_shares,
    equal_sizes,
    gini,
    quantiles,
    rank_within,
    skewed_sizes,
)

SEEDS = st.integers(0, 2**63 - 1)
ALPHAS = st.sampled_from([1e-300, 1e-9, 1e-3, 0.1, 1.0, 100.0, 1e9, 1e300])
STOCK = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any)
LN2 = math.log(2)


def ints(*values: int) -> Ints:
    return np.array(values, np.int32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(st.integers(0, 500), st.integers(1, 60))
def test_equal_sizes_add_up_and_differ_by_one_at_most(total: int, users: int) -> None:
    sizes = equal_sizes(total, users)
    assert (len(sizes), sizes.sum()) == (users, total)
    assert sizes.max() - sizes.min() <= 1


def test_equal_sizes_by_hand() -> None:
    assert equal_sizes(11, 4).tolist() == [3, 3, 3, 2]


@given(st.integers(0, 500), st.integers(1, 60), ALPHAS, SEEDS)
def test_skewed_sizes_add_up_and_leave_nobody_without_a_message(
    more: int, users: int, alpha: float, seed: int
) -> None:
    sizes = skewed_sizes(users + more, users, alpha, rng(seed))
    assert (len(sizes), sizes.sum()) == (users, users + more)
    assert sizes.min() >= 1


def test_sizes_are_the_more_unequal_the_smaller_alpha() -> None:
    found = [
        np.mean([gini(skewed_sizes(10_000, 50, alpha, rng(seed))) for seed in range(5)])
        for alpha in (0.01, 0.1, 1, 10, 1000)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9
    # Of exponentially distributed sizes (alpha 1) the coefficient is 1/2.
    assert found[2] == pytest.approx(0.5, abs=0.05)
    assert found[-1] < 0.05


@given(STOCK, ALPHAS, SEEDS)
def test_shares_are_shares_for_any_parameters(stock: list[int], alpha: float, seed: int) -> None:
    concentration = alpha * np.array(stock) / sum(stock)
    shares = draw_shares(concentration, rng(seed))
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert not shares[np.array(stock) == 0].any()


def test_shares_tend_to_one_label_or_to_the_parameters() -> None:
    assert sorted(draw_shares(np.array([1e-300, 1e-310]), rng())) == [0, 1]
    assert sorted(draw_shares(np.array([1e-9, 1e-9, 1e-9]), rng())) == pytest.approx([0, 0, 1])
    assert draw_shares(np.array([1e308, 1e308, 1e308]), rng()) == pytest.approx([1 / 3] * 3)
    mean = np.mean([draw_shares(np.array([1.0, 3.0]), rng(seed)) for seed in range(2_000)], axis=0)
    assert mean == pytest.approx([0.25, 0.75], abs=0.02)


@given(STOCK, st.integers(1, 12), ALPHAS, SEEDS)
def test_every_message_is_taken_once_and_every_user_gets_their_number(
    stock: list[int], users: int, alpha: float, seed: int
) -> None:
    sizes = equal_sizes(sum(stock), users)
    counts = draw_counts(np.array(stock), sizes, alpha, rng(seed))
    assert counts.shape == (users, len(stock))
    assert (counts >= 0).all()
    assert counts.sum(axis=0).tolist() == stock
    assert counts.sum(axis=1).tolist() == sizes.tolist()

    labels = rng(seed).permutation(np.repeat(np.arange(len(stock), dtype=np.int32), stock))
    owners = deal_by_label(labels, counts, rng(seed))
    again = np.zeros_like(counts)
    np.add.at(again, (owners, labels), 1)
    assert again.tolist() == counts.tolist()


def test_not_all_of_the_stock_need_be_taken() -> None:
    counts = draw_counts(np.array([50, 50]), np.array([3, 4]), 1.0, rng())
    assert counts.sum(axis=1).tolist() == [3, 4]


def test_a_tiny_alpha_gives_one_label_as_long_as_there_are_enough_of_it() -> None:
    counts = draw_counts(np.full(10, 100_000), np.full(20, 100), 1e-6, rng())
    assert (counts.max(axis=1) == 100).all()
    assert len(set(counts.argmax(axis=1))) > 3


def test_users_take_labels_as_often_as_the_prior_says() -> None:
    counts = draw_counts(np.array([100_000, 300_000]), np.full(2_000, 10), 1.0, rng())
    assert counts.sum(axis=0) / 20_000 == pytest.approx([0.25, 0.75], abs=0.02)
    # Var q = p (1 - p) / (alpha + 1) for q ~ Beta(alpha p, alpha (1 - p)); then 10 draws of it.
    spread = 0.25 * 0.75 * (1 / 2 + (1 / 2) / 10)
    assert np.var(counts[:, 0] / 10) == pytest.approx(spread, rel=0.1)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=9), SEEDS)
def test_dealing_gives_everybody_their_number(sizes: list[int], seed: int) -> None:
    owners = deal(np.array(sizes), rng(seed))
    assert np.bincount(owners, minlength=len(sizes)).tolist() == sizes
    assert owners.tolist() == deal(np.array(sizes), rng(seed)).tolist()


def test_another_seed_deals_otherwise() -> None:
    sizes = equal_sizes(50, 5)
    assert len({tuple(deal(sizes, rng(seed))) for seed in range(9)}) == 9


def test_divergence_falls_as_alpha_grows_towards_that_of_chance() -> None:
    stock, sizes = np.full(8, 500), equal_sizes(4_000, 40)
    labels = np.repeat(np.arange(8, dtype=np.int32), stock)
    found = []
    for alpha in (0.1, 1, 10, 100, 100_000):
        counts = draw_counts(stock, sizes, alpha, rng(7))
        found.append(divergence(deal_by_label(labels, counts, rng(7)), labels))
    assert found == sorted(found, reverse=True)
    by_chance = divergence(deal(sizes, rng(7)), labels)
    assert found[0] > 0.45
    assert by_chance < found[-1] < 2.5 * by_chance  # the last users take what is left


@pytest.mark.parametrize(
    ("owners", "labels", "expected"),
    [
        ([], [], 0),
        ([0, 0, 1, 1], [0, 1, 0, 1], 0),
        # p = (1, 0) and (0, 1), q = (1/2, 1/2), m = (3/4, 1/4):
        # (ln 4/3 + 1/2 ln 2/3 + 1/2 ln 2) / 2
        ([0, 0, 1, 1], [0, 0, 1, 1], (math.log(4 / 3) + math.log(2 / 3) / 2 + LN2 / 2) / 2),
        # User 3 alone (0 to 2 have no messages, and do not count).
        ([3, 3], [0, 5], 0),
        # p = (1, 0), (1/3, 2/3) of q = (3/5, 2/5): m = (4/5, 1/5), (7/15, 8/15).
        (
            [0, 0, 1, 1, 1],
            [0, 0, 0, 1, 1],
            (
                (math.log(5 / 4) + 0.6 * math.log(3 / 4) + 0.4 * math.log(2)) / 2
                + (
                    math.log(5 / 7) / 3
                    + 2 / 3 * math.log(5 / 4)
                    + 0.6 * math.log(9 / 7)
                    + 0.4 * math.log(3 / 4)
                )
                / 2
            )
            / 2,
        ),
    ],
)
def test_divergence_by_hand(owners: list[int], labels: list[int], expected: float) -> None:
    assert divergence(ints(*owners), ints(*labels)) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_divergence_is_between_0_and_ln_2_and_as_the_dense_formula_says(
    pairs: list[tuple[int, int]],
) -> None:
    owners, labels = (ints(*column) for column in zip(*pairs, strict=True))
    table = np.zeros((6, 6))
    np.add.at(table, (owners, labels), 1)
    whole = table.sum(axis=0) / len(pairs)

    def relative(p: np.ndarray, q: np.ndarray) -> float:
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)

    each = []
    for row in table[table.sum(axis=1) > 0]:
        p = row / row.sum()
        middle = (p + whole) / 2
        each.append((relative(p, middle) + relative(whole, middle)) / 2)
    found = divergence(owners, labels)
    assert found == pytest.approx(np.mean(each), abs=1e-12)
    assert 0 <= found <= LN2


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([5], 0),
        ([0, 0], 0),
        ([3, 3, 3], 0),
        ([0, 0, 0, 8], 3 / 4),
        ([1, 3], 1 / 4),  # |1 - 3| · 2 / (2 · 2² · 2)
        ([4, 1, 1], 1 / 3),  # 4 pairs that differ by 3: 12 / (2 · 3² · 2)
    ],
)
def test_gini_by_hand(sizes: list[int], expected: float) -> None:
    assert gini(np.array(sizes)) == pytest.approx(expected)


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=30))
def test_gini_is_the_mean_difference_over_twice_the_mean(sizes: list[int]) -> None:
    values = np.array(sizes)
    if values.sum():
        expected = np.abs(values[:, None] - values).mean() / (2 * values.mean())
        assert gini(values) == pytest.approx(expected, abs=1e-12)


def test_quantiles_are_sizes_that_there_are() -> None:
    assert quantiles(np.array([7, 1, 3, 9])) == {
        "min": 1, "p10": 1, "p25": 1, "median": 3, "p75": 7, "p90": 9, "max": 9,
    }  # fmt: skip


def test_ranks_are_by_time_only_where_all_have_one() -> None:
    owners = ints(0, 1, 0, 1, 0, 2, 2)
    times = np.array([30, 9, 10, 8, 30, 5, 4])
    known = np.array([True, True, True, False, True, True, True])
    assert rank_within(owners, times, known).tolist() == [1, 0, 0, 1, 2, 1, 0]
    assert rank_within(ints(), np.array([], np.int64), np.array([], np.bool_)).tolist() == []
