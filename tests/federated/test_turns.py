"""Which messages of a user a round takes: each as often as any other, in an order of the user's own."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.federated.local import LocalWork
from nwp.federated.plan import TrainPlan
from nwp.federated.turns import in_turn, rows_of, turns
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import FIRST_WORD, Encoded

WORDS = tuple("abcdefghi")
MODEL = ModelConfig(FIRST_WORD + len(WORDS), 4, hidden=5, projection=4)
PLAN = TrainPlan(MODEL, WORDS, {}, {"w": 3}, LocalWork(messages=2), rounds=99, cohort=0, seed=3)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 9), st.integers(0, 5))
def test_each_pass_takes_each_message_once(
    messages: int, most: int, seed: int, number: int
) -> None:
    each = turns(messages, most)
    taken = [rows_of(messages, most, seed, number * each + i) for i in range(each)]
    assert sorted(np.concatenate(taken).tolist()) == list(range(messages))
    assert all(rows.tolist() == sorted(rows.tolist()) for rows in taken)
    sizes = {len(rows) for rows in taken}
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_passes_and_users_have_orders_of_their_own() -> None:
    first, second, other = (
        [tuple(rows_of(12, 3, seed, turn)) for turn in range(start, start + 4)]
        for seed, start in ((1, 0), (1, 4), (2, 0))
    )
    assert first != second
    assert first != other
    assert first == [tuple(rows_of(12, 3, 1, turn)) for turn in range(4)]


@pytest.fixture
def worker(laid: Callable[..., Encoded], memory_worker: Callable[..., Any]) -> Callable[..., Any]:
    """A worker whose users have 5, 2 and 1 messages, each of one word of its own."""

    def make(plan: TrainPlan = PLAN) -> Any:
        users = {
            name: laid([[FIRST_WORD + i] for i in some], 4)
            for name, some in (("a", range(5)), ("b", (5, 6)), ("c", (7,)))
        }
        return memory_worker(plan, {"train": users})

    return make


def words(users: list[Encoded]) -> list[list[int]]:
    """The words of each."""
    return [[int(i) - FIRST_WORD for i in user.targets[::2]] for user in users]


def test_rounds_take_turns_whether_a_round_is_begun_again_or_not(
    worker: Callable[..., Any],
) -> None:
    seen: Counter[int] = Counter()
    first = worker()
    for number in range(1, 7):
        mine = dataclasses.replace(first, number=number)
        once = words(in_turn(mine, PLAN, [0, 1, 2]))
        mine.memory.begin(first=True)
        assert words(in_turn(mine, PLAN, [0, 1, 2])) == once
        assert [len(some) for some in once] == [1 if len(once[0]) == 1 else 2, 2, 1]
        seen.update(once[0])
    assert seen == dict.fromkeys(range(5), 2)  # two passes of three turns


def test_who_is_drawn_twice_has_two_turns(worker: Callable[..., Any]) -> None:
    first, second, third = words(in_turn(worker(), PLAN, [0, 0, 0]))
    assert sorted(first + second + third) == list(range(5))


def test_without_a_bound_all_messages_are_taken_and_nothing_is_kept(
    worker: Callable[..., Any],
) -> None:
    plan = dataclasses.replace(PLAN, local=LocalWork())
    mine = worker(plan)
    assert words(in_turn(mine, plan, [0, 2])) == [[0, 1, 2, 3, 4], [7]]
    assert mine.memory.kept("turns", "") is None


def test_turns_of_other_users_are_not_taken_for_these(worker: Callable[..., Any]) -> None:
    mine = worker()
    mine.memory.keep("turns", "", np.full(2, 7, np.float32))
    later = dataclasses.replace(mine, number=2)
    assert words(in_turn(later, PLAN, [0])) == words(in_turn(worker(), PLAN, [0]))
