from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.federated.cohort import draw_cohort
from nwp.federated.plan import TrainPlan
from nwp.model.config import ModelConfig


def plan(workers: dict[str, int], cohort: int, seed: int = 0) -> TrainPlan:
    model = ModelConfig(6, embedding=1, hidden=1, projection=1)
    return TrainPlan(model, ("a",), {}, workers, cohort=cohort, seed=seed)


def flat(cohort: dict[str, tuple[int, ...]]) -> list[tuple[str, int]]:
    return [(worker, place) for worker, places in cohort.items() for place in places]


many = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5), min_size=1)


@given(many, st.integers(1, 40), st.integers(0, 2**63 - 1), st.integers(1, 10**6))
def test_a_cohort_has_its_size_and_nobody_twice(workers, size, seed, number):
    cohort = flat(draw_cohort(plan(workers, size, seed), number))
    assert len(cohort) == min(size, sum(workers.values()))
    assert len(set(cohort)) == len(cohort)
    assert all(0 <= place < workers[worker] for worker, place in cohort)


@given(many, st.integers(1, 40))
def test_workers_with_nobody_in_the_cohort_are_left_out(workers, size):
    assert all(draw_cohort(plan(workers, size), 1).values())


def test_cohort_zero_is_everybody():
    assert draw_cohort(plan({"b": 3, "a": 2}, 0), 4) == {"a": (0, 1), "b": (0, 1, 2)}


def test_a_cohort_larger_than_the_users_is_everybody():
    assert draw_cohort(plan({"a": 2, "b": 3}, 100), 1) == {"a": (0, 1), "b": (0, 1, 2)}


def test_places_ascend():
    for number in range(1, 20):
        for places in draw_cohort(plan({"a": 9, "b": 9}, 11), number).values():
            assert list(places) == sorted(places)


def test_seed_and_round_decide():
    workers = {"a": 20, "b": 20}
    first = [draw_cohort(plan(workers, 8, seed=1), n) for n in range(1, 6)]
    assert first == [draw_cohort(plan(workers, 8, seed=1), n) for n in range(1, 6)]
    assert first != [draw_cohort(plan(workers, 8, seed=2), n) for n in range(1, 6)]
    assert len({str(c) for c in first}) == 5


def test_order_in_which_workers_are_named_changes_nothing():
    one, other = plan({"a": 5, "b": 7}, 4), plan({"b": 7, "a": 5}, 4)
    assert draw_cohort(one, 3) == draw_cohort(other, 3)


def test_every_user_is_drawn_about_equally_often():
    rounds, size, workers = 3000, 4, {"a": 1, "b": 6, "c": 3}
    drawn = Counter(
        user for n in range(1, rounds + 1) for user in flat(draw_cohort(plan(workers, size), n))
    )
    p = size / 10
    spread = math.sqrt(rounds * p * (1 - p))
    assert len(drawn) == 10
    for user, times in drawn.items():
        assert abs(times - rounds * p) < 4.5 * spread, user


def test_every_pair_of_users_is_drawn_about_equally_often():
    rounds, pairs = 3000, Counter()
    for n in range(1, rounds + 1):
        pairs[tuple(flat(draw_cohort(plan({"a": 2, "b": 3}, 2), n)))] += 1
    assert len(pairs) == 10
    spread = math.sqrt(rounds * 0.1 * 0.9)
    assert all(abs(times - rounds / 10) < 4.5 * spread for times in pairs.values())


@pytest.mark.parametrize("number", [1, 2, 77])
def test_one_user_is_always_drawn(number):
    assert draw_cohort(plan({"only": 1}, 8), number) == {"only": (0,)}
