from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from nwp.errors import BadSettings
from nwp.measuring.workload import Workload, draw_users
from nwp.text.vocabulary import BEGIN, END, FIRST_WORD, Encoded

MANY = Workload(users=100, messages=40, vocabulary=2_000)


def lengths(users: list[Encoded]) -> np.ndarray:
    return np.concatenate([np.diff(user.offsets) - 1 for user in users])


def words(users: list[Encoded]) -> np.ndarray:
    targets = np.concatenate([user.targets for user in users])
    return targets[targets >= FIRST_WORD] - FIRST_WORD


def test_equal_seeds_draw_equal_users_and_others_others() -> None:
    first, again = draw_users(MANY), draw_users(MANY)
    other = draw_users(dataclasses.replace(MANY, seed=2))

    for mine, same in zip(first, again, strict=True):
        for field in dataclasses.fields(Encoded):
            assert np.array_equal(getattr(mine, field.name), getattr(same, field.name))
    assert not np.array_equal(words(first)[:50], words(other)[:50])


def test_there_are_as_many_users_and_messages_as_asked_for() -> None:
    users = draw_users(MANY)
    counts = [user.messages for user in users]

    assert len(users) == 100
    assert sum(counts) == 100 * 40
    assert min(counts) >= 1
    assert np.median(counts) < np.mean(counts) < max(counts) / 3  # uneven: a few write much
    assert {u.messages for u in draw_users(dataclasses.replace(MANY, spread=0.0))} == {40}
    assert {u.messages for u in draw_users(dataclasses.replace(MANY, messages=1))} == {1}


def test_messages_are_laid_out_as_encoding_lays_them() -> None:
    for user in draw_users(Workload(users=3, messages=5, vocabulary=30)):
        for begin, end in pairwise(user.offsets):
            inputs, targets = user.inputs[begin:end], user.targets[begin:end]
            assert inputs[0] == BEGIN
            assert targets[-1] == END
            assert np.array_equal(inputs[1:], targets[:-1])
            assert FIRST_WORD <= targets[:-1].min() <= targets[:-1].max() < 30


def test_lengths_are_those_of_chat_short_ones_most_and_none_longer_than_allowed() -> None:
    found = lengths(draw_users(MANY))

    assert found.min() == 1
    assert found.max() == 19
    # A geometric law of mean 9, cut at 19: 9 (1 - (8/9)^19).
    assert found.mean() == pytest.approx(9 * (1 - (8 / 9) ** 19), rel=0.03)
    counts = np.bincount(found)
    assert counts[2] / counts[1] == pytest.approx(8 / 9, abs=0.15)


def test_words_follow_zipfs_law() -> None:
    found = np.bincount(words(draw_users(MANY)), minlength=2_000 - FIRST_WORD)
    ranks = np.arange(1, len(found) + 1)
    expected = found.sum() * ranks**-1.05 / (ranks**-1.05).sum()

    for few in (1, 10, 100, 1_000):
        assert found[:few].sum() == pytest.approx(expected[:few].sum(), rel=0.05)
    assert found[-1] <= found[0] / 50


@pytest.mark.parametrize(
    "given", [{"users": 0}, {"messages": 0}, {"words": 0.5}, {"longest": 0}, {"vocabulary": 5}]
)
def test_workloads_without_words_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(BadSettings):
        Workload(**given)
