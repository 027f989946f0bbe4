from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadMessage, BadSettings
from nwp.federated import cohort as cohort_module
from nwp.federated.cohort import draw_cohort, reachable, wait_for, who_trains
from nwp.federated.local import seed_for
from nwp.federated.participation import Participation
from nwp.federated.plan import TrainPlan
from nwp.federated.protocol import Wait
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig


def plan(
    workers: dict[str, int],
    cohort: int,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    **who: Any,
) -> TrainPlan:
    model = ModelConfig(6, embedding=1, hidden=1, projection=1)
    return TrainPlan(
        model,
        ("a",),
        {},
        workers,
        cohort=cohort,
        seed=seed,
        participation=Participation(**who),
        weighting=Weighting("equal" if who.get("sampling") == "size" else "words"),
        sizes=sizes or {},
    )


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


def as_first_written(workers: Mapping[str, int], size: int, seed: int, number: int) -> dict:
    """Uniform sampling, draw by draw: what runs that were begun long ago must still be given."""
    everybody = [(worker, i) for worker in sorted(workers) for i in range(workers[worker])]
    rng = np.random.default_rng([seed, number])
    found: dict[str, tuple[int, ...]] = {}
    for at in sorted(rng.choice(len(everybody), min(size, len(everybody)), replace=False)):
        worker, place = everybody[at]
        found[worker] = (*found.get(worker, ()), place)
    return found


@given(many, st.integers(1, 40), st.integers(0, 2**63 - 1), st.integers(1, 10**6))
def test_uniform_draws_are_those_of_always(workers, size, seed, number):
    assert draw_cohort(plan(workers, size, seed), number) == as_first_written(
        workers, size, seed, number
    )


def test_some_cohorts_of_long_ago():
    old = plan({"b": 5, "a": 4, "c": 0, "d": 3}, 6, seed=2**40 + 7)
    assert [draw_cohort(old, number) for number in (1, 2, 3)] == [
        {"a": (1, 2, 3), "b": (1, 3, 4)},
        {"a": (0, 2, 3), "b": (0, 1), "d": (1,)},
        {"a": (0, 1, 3), "b": (0, 2), "d": (0,)},
    ]


# --- by size --------------------------------------------------------------------------------------

SIZES = {"one": [5, 0, 1], "two": [2, 4], "zero": [0, 0]}  # worker to its users' words


def by_size(cohort: int, seed: int = 0, **who: Any) -> TrainPlan:
    workers = {worker: len(words) for worker, words in SIZES.items()}
    sizes = {worker: sum(words) for worker, words in SIZES.items()}
    return plan(workers, cohort, seed, sizes, sampling="size", **who)


def drawn_by(found: TrainPlan, number: int, worker: str, asked: Sequence[int]) -> list[str]:
    """Who trains on a worker for some draws: names like one0, repeated as often as drawn."""
    names = [f"{worker}{i}" for i in range(len(SIZES[worker]))]
    who = who_trains(found, number, asked, names, lambda: SIZES[worker])
    return [names[place] for place, _ in who]


class Every:
    """Instead of a generator: each of the equally likely numbers once."""

    def integers(self, high: int, size: int) -> np.ndarray:
        assert size == high
        return np.arange(high)


def test_by_size_each_word_is_as_likely_to_bring_its_writer_in(monkeypatch):
    """All outcomes counted: a worker is drawn once for each of its words, and a user of it too."""
    monkeypatch.setattr(cohort_module.np.random, "default_rng", lambda seed: Every())
    total = sum(sum(words) for words in SIZES.values())
    found = by_size(total)
    cohort = draw_cohort(found, 1)
    assert {w: len(draws) for w, draws in cohort.items()} == {"one": 6, "two": 6}
    users = Counter(
        user for worker, draws in cohort.items() for user in drawn_by(found, 1, worker, draws)
    )
    assert users == {"one0": 5, "one2": 1, "two0": 2, "two1": 4}


def chi_square(counts: Mapping[Any, int], expected: Mapping[Any, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts.get(key, 0) - e) ** 2 / e for key, e in expected.items())


def test_draws_by_size_are_independent_and_follow_the_words():
    """Pairs of draws of many rounds against the product of the users' shares of words."""
    rounds, pairs = 12_000, Counter()
    found = by_size(2, seed=5)
    for number in range(1, rounds + 1):
        drawn = [
            user
            for worker, draws in draw_cohort(found, number).items()
            for user in drawn_by(found, number, worker, draws)
        ]
        pairs[tuple(sorted(drawn))] += 1
    share = {"one0": 5 / 12, "one2": 1 / 12, "two0": 2 / 12, "two1": 4 / 12}
    users = sorted(share)
    expected = {
        (a, b): rounds * share[a] * share[b] * (1 if a == b else 2)
        for i, a in enumerate(users)
        for b in users[i:]
    }
    assert len(expected) == 10
    assert chi_square(pairs, expected) < 27.9  # 9 degrees of freedom, one chance in a thousand


class Scripted:
    """Instead of a generator: gives the numbers that it is told."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers

    def integers(self, high: int, size: int) -> np.ndarray:
        assert size == len(self.numbers)
        assert all(0 <= n < high for n in self.numbers)
        return np.array(self.numbers)


def test_the_equal_average_of_two_draws_is_in_expectation_the_average_by_words(monkeypatch):
    """Scheme I of Li et al. 2020 is unbiased (their lemma 4): here by going through each outcome."""
    values = {"one0": 3.0, "one1": 99.0, "one2": -1.0, "two0": 0.5, "two1": 2.0}
    whole = (5 * 3.0 - 1.0 + 2 * 0.5 + 4 * 2.0) / 12
    found, told = by_size(2), Scripted(())
    monkeypatch.setattr(cohort_module.np.random, "default_rng", lambda seed: told)
    expected, outcomes = 0.0, 0.0
    for words in itertools.product(range(12), repeat=2):
        told.numbers = words
        cohort = draw_cohort(found, 1)
        each = [
            (worker, list(itertools.product(range(sum(SIZES[worker])), repeat=len(draws))))
            for worker, draws in cohort.items()
        ]
        for chosen in itertools.product(*(outcomes_of for _, outcomes_of in each)):
            drawn = []
            for (worker, _), numbers in zip(each, chosen, strict=True):
                told.numbers = numbers
                drawn += drawn_by(found, 1, worker, cohort[worker])
            probability = 1 / 144 / math.prod(len(outcomes_of) for _, outcomes_of in each)
            expected += probability * sum(values[user] for user in drawn) / len(drawn)
            outcomes += probability
    assert outcomes == pytest.approx(1)
    assert expected == pytest.approx(whole, abs=1e-12)


def test_by_size_a_cohort_has_its_draws_and_may_be_larger_than_the_users():
    for number in range(1, 30):
        cohort = draw_cohort(by_size(9), number)
        assert sum(len(draws) for draws in cohort.values()) == 9
        assert all(draws == tuple(range(len(draws))) for draws in cohort.values())


def test_seed_and_round_and_names_decide_who_is_drawn_by_size():
    words = [3] * 50
    names = [f"u{i}" for i in range(50)]
    others = [f"v{i}" for i in range(50)]

    def drawn(seed: int, number: int, names: list[str]) -> list[int]:
        found = by_size(20, seed)
        return [i for i, _ in who_trains(found, number, range(20), names, lambda: words)]

    assert drawn(0, 1, names) == drawn(0, 1, names)
    assert (
        len(
            {
                tuple(drawn(*a))
                for a in ((0, 1, names), (1, 1, names), (0, 2, names), (0, 1, others))
            }
        )
        == 4
    )


def test_who_is_drawn_again_trains_again_with_another_seed():
    found = by_size(4, seed=9)
    who = who_trains(found, 3, range(4), ["only"], lambda: [7])
    assert [place for place, _ in who] == [0] * 4
    assert who[0][1] == seed_for(9, 3, "only")  # as it would in any other sampling
    assert len({seed for _, seed in who}) == 4


@pytest.mark.parametrize("asked", [[0, 0], [1], [0, 2], [1, 0], [0, 1, 2], [-1]])
def test_draws_that_the_server_cannot_have_made_are_refused(asked):
    with pytest.raises(BadMessage, match="other draws"):
        who_trains(by_size(2), 1, asked, ["a", "b"], lambda: [1, 1])


def test_nobody_is_drawn_by_size_where_nobody_has_a_word():
    with pytest.raises(BadMessage, match="without a word"):
        who_trains(by_size(2), 1, [0], ["a", "b"], lambda: [0, 0])
    with pytest.raises(BadMessage, match="without a word"):
        who_trains(by_size(2), 1, [0], [], list)


def test_without_sizes_there_is_no_drawing_by_them():
    for sizes in ({}, {"a": 0}):
        with pytest.raises(BadSettings, match="numbers of words"):
            draw_cohort(plan({"a": 2}, 1, sizes=sizes, sampling="size"), 1)


@pytest.mark.parametrize("asked", [[0, 0], [2], [-1], [0, 1, 2]])
def test_places_that_a_worker_does_not_have_are_refused(asked):
    with pytest.raises(BadMessage, match="does not have"):
        who_trains(plan({"w": 2}, 2), 1, asked, ["a", "b"], lambda: [1, 1])


def test_places_that_it_has_train_in_their_order_with_their_seeds():
    who = who_trains(plan({"w": 3}, 2, seed=4), 5, [2, 0], ["a", "b", "c"], lambda: [1, 1, 1])
    assert who == [(0, seed_for(4, 5, "a")), (2, seed_for(4, 5, "c"))]


# --- each by itself -------------------------------------------------------------------------------


def test_poisson_draws_each_by_itself_with_the_cohorts_chance():
    """How often each set of four users is drawn, against the product of their chances."""
    rounds, sets = 8000, Counter()
    found = plan({"a": 1, "b": 3}, 1, seed=2, sampling="poisson")
    for number in range(1, rounds + 1):
        sets[tuple(flat(draw_cohort(found, number)))] += 1
    everybody = [("a", 0), ("b", 0), ("b", 1), ("b", 2)]
    expected = {}
    for mask in range(16):
        some = tuple(user for i, user in enumerate(everybody) if mask >> i & 1)
        expected[some] = rounds * 0.25 ** len(some) * 0.75 ** (4 - len(some))
    assert chi_square(sets, expected) < 37.7  # 15 degrees of freedom, one chance in a thousand
    assert sets[()] > 0


def test_poisson_with_a_cohort_of_all_is_everybody():
    found = plan({"a": 2, "b": 1}, 3, sampling="poisson")
    assert all(draw_cohort(found, n) == {"a": (0, 1), "b": (0,)} for n in range(1, 50))


# --- who can be reached ---------------------------------------------------------------------------


def test_each_user_can_be_reached_with_its_chance_and_by_itself():
    rounds, sets = 8000, Counter()
    found = plan({"a": 1, "b": 2}, 0, seed=3, availability=0.3)
    for number in range(1, rounds + 1):
        sets[tuple(reachable(found, number).tolist())] += 1
    expected = {
        (a, b, c): rounds * math.prod(0.3 if x else 0.7 for x in (a, b, c))
        for a in (False, True)
        for b in (False, True)
        for c in (False, True)
    }
    assert chi_square(sets, expected) < 24.4  # 7 degrees of freedom, one chance in a thousand


@pytest.mark.parametrize("sampling", ["uniform", "poisson"])
@pytest.mark.parametrize(
    "who", [{"availability": 0.4}, {"cycle": 3}, {"availability": 0.7, "cycle": 2}]
)
def test_only_who_can_be_reached_is_drawn(sampling, who):
    found = plan({"a": 9, "b": 6}, 4, sampling=sampling, **who)
    for number in range(1, 60):
        near = reachable(found, number)
        drawn = [(0 if w == "a" else 9) + place for w, place in flat(draw_cohort(found, number))]
        assert all(near[drawn])
        if sampling == "uniform":
            assert len(drawn) == min(4, near.sum())


def test_among_the_reachable_all_are_drawn_alike():
    drawn, near = Counter(), Counter()
    found = plan({"a": 5}, 2, availability=0.6)
    for number in range(1, 4001):
        near.update(np.flatnonzero(reachable(found, number)).tolist())
        drawn.update(place for _, place in flat(draw_cohort(found, number)))
    shares = [drawn[i] / near[i] for i in range(5)]
    assert max(shares) - min(shares) < 0.06


def test_the_chance_to_be_drawn_does_not_depend_on_the_chance_to_be_reached():
    """Separate draws: everybody who is drawn by Poisson and can be reached takes part."""
    alone = plan({"a": 400}, 200, sampling="poisson")
    both = plan({"a": 400}, 200, sampling="poisson", availability=0.5)
    for number in range(1, 10):
        drawn = set(draw_cohort(alone, number)["a"])
        near = set(np.flatnonzero(reachable(both, number)).tolist())
        assert set(draw_cohort(both, number)["a"]) == drawn & near
        assert 50 < len(drawn & near) < 150  # 100 if they are independent, 0 or 200 if the same


@pytest.mark.parametrize(("users", "groups"), [(12, 3), (13, 4), (5, 5), (7, 1)])
def test_in_a_cycle_everybody_can_be_reached_once_in_so_many_rounds(users, groups):
    found = plan({"a": users - 2, "b": 2}, 0, seed=1, cycle=groups)
    turns = np.array([reachable(found, number) for number in range(1, 2 * groups + 1)])
    assert (turns[:groups].sum(axis=0) == 1).all()
    assert (turns[:groups] == turns[groups:]).all()
    sizes = turns[:groups].sum(axis=1)
    assert sizes.max() - sizes.min() <= 1


def test_the_groups_of_a_cycle_are_dealt_by_seed():
    groups = {reachable(plan({"a": 20}, 0, seed=seed, cycle=2), 1).tobytes() for seed in range(8)}
    assert len(groups) == 8


def test_nobody_may_be_reachable():
    found = plan({"a": 2}, 1, availability=0.01)
    assert {} in [draw_cohort(found, number) for number in range(1, 5)]


# --- whom to ask more, and how long to wait -------------------------------------------------------


@pytest.mark.parametrize(
    ("cohort", "over", "asked"),
    [
        (10, 0.3, 13),
        (10, 0.1, 11),
        (30, 0.1, 33),
        (7, 0.3, 10),
        (1, 0.01, 2),
        (90, 0.3, 100),
        (10, 0.0, 10),
    ],
)
def test_over_selection_asks_so_many_more(cohort, over, asked):
    found = plan({"a": 60, "b": 40}, cohort, over_select=over)
    drawn = draw_cohort(found, 1)
    assert len(flat(drawn)) == asked
    goal = cohort if over else 0
    assert wait_for(found, drawn) == Wait(goal, 0.0, {w: len(p) for w, p in drawn.items()})


def test_over_selection_by_size_draws_more():
    assert sum(map(len, draw_cohort(by_size(10, over_select=0.5), 1).values())) == 15


def test_poisson_over_selects_on_average():
    found = plan({"a": 1000}, 100, sampling="poisson", over_select=0.5)
    sizes = [len(flat(draw_cohort(found, number))) for number in range(1, 200)]
    assert np.mean(sizes) == pytest.approx(150, abs=3.5)


def test_a_wait_is_over_when_the_goals_users_have_answered():
    wait = Wait(5, 0.0, {"a": 3, "b": 2, "c": 1})
    assert not wait.enough([])
    assert not wait.enough(["a", "c"])
    assert not wait.enough(["a", "stranger"])
    assert wait.enough(["a", "b"])
    assert wait.enough(["a", "b", "c"])
    assert not Wait(0, 0.0, {"a": 3}).enough(["a"])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"sampling": "random"}, "no sampling 'random'"),
    ({"availability": 0.0}, "availability"),
    ({"availability": 1.5}, "availability"),
    ({"availability": math.nan}, "availability"),
    ({"cycle": 0}, "cycle"),
    ({"minimum": -1}, "minimum"),
    ({"minimum": 3}, "3 users at least in a round of 2"),
    ({"over_select": -0.1}, "over-selection"),
    ({"over_select": math.inf}, "over-selection"),
    ({"time_limit": math.nan}, "time limit"),
    ({"time_limit": -1}, "time limit"),
    ({"cycle": 5}, "can't be dealt to 5 groups"),
    ({"sampling": "size", "availability": 0.5}, "within reach"),
    ({"sampling": "size", "cycle": 2}, "within reach"),
]


@pytest.mark.parametrize(("who", "message"), BAD, ids=str)
def test_settings_that_can_not_be(who, message):
    with pytest.raises(BadSettings, match=message):
        plan({"a": 4}, 2, **who)


def test_everybody_can_not_be_over_selected():
    with pytest.raises(BadSettings, match="nobody more to ask"):
        plan({"a": 4}, 0, over_select=0.3)
