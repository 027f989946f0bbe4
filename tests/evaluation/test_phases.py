from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from nwp.errors import BadMessage, BadSettings
from nwp.evaluation import phases
from nwp.evaluation.counts import COLUMNS, Counts
from nwp.evaluation.noisy import BINS
from nwp.evaluation.phases import (
    EVALUATE,
    VALIDATE,
    read_counts,
    read_histogram,
    read_slices,
    total,
    validated,
)
from nwp.evaluation.scoring import count_users
from nwp.federated.parcel import Envelope, Parcel, pack, unpack
from nwp.federated.plan import EvaluatePlan, Plan, SurveyPlan, TrainPlan
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import FIRST_WORD, Encoded

WORDS = tuple("abcdefgh")
MODEL = ModelConfig(5 + len(WORDS), 4, hidden=5, projection=4)
WEIGHTS = np.random.default_rng(0).normal(0, 0.6, MODEL.parameters).astype(np.float32)


@dataclass
class Worker:
    """What the phases use of a worker; `users` is part to each user's text."""

    plan: Plan
    users: Mapping[str, Sequence[Encoded]]

    def encoded(self, part: str) -> Sequence[Encoded]:
        return self.users[part]

    @property
    def names(self) -> Sequence[str]:
        return [str(i) for i in range(len(self.encoded(getattr(self.plan, "part", "valid"))))]

    def messages(self, part: str) -> Mapping[str, Sequence[str]]:
        """Text that is encoded to what `users` holds."""
        return {
            name: [" ".join(written(user, i)) for i in range(user.messages)]
            for name, user in zip(self.names, self.users[part], strict=True)
        }

    def run(self, function: Any, shared: Any, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        return (function(shared, *task) for task in tasks)


def written(user: Encoded, message: int) -> list[str]:
    """The words of a message; one that is not in the vocabulary is "zz"."""
    targets = user.targets[user.offsets[message] : user.offsets[message + 1] - 1]
    return [WORDS[t - FIRST_WORD] if t >= FIRST_WORD else "zz" for t in targets.tolist()]


def typed(user: Encoded) -> list[str]:
    return [word for i in range(user.messages) for word in written(user, i)]


@pytest.fixture
def parts(drawn) -> dict[str, list[Encoded]]:
    """Three users; every part has other messages."""
    size = MODEL.vocabulary
    return {
        part: [drawn(10 * i + j, 3 + j, size) for j in range(3)]
        for i, part in enumerate(["train", "valid", "test", "all"])
    }


def train_plan(**more: Any) -> TrainPlan:
    return TrainPlan(MODEL, WORDS, {}, {"one": 3, "two": 3}, **more)


def answer(plan: Plan, phase: Any, users: Mapping[str, Sequence[Encoded]]) -> Parcel:
    """Through packing and unpacking, as over the wire."""
    envelope = Envelope("ask", "job", phase.name, 1)
    sent = pack(envelope, Parcel(arrays={"weights": WEIGHTS}), phase.request(plan))
    reply = phase.answer(Worker(plan, users), 1, unpack(sent, phase.request(plan))[1])
    return unpack(pack(envelope, reply, phase.reply(plan)), phase.reply(plan))[1]


def assert_counts(found: Counts, expected: Mapping[str, float]) -> None:
    assert found.as_row() == pytest.approx([expected[name] for name in COLUMNS], rel=1e-5)


@pytest.mark.parametrize("part", ["train", "valid", "test", "all"])
@pytest.mark.parametrize("group", [1, 2, 9])
def test_rows_are_one_a_user_in_their_order_and_as_by_definition(parts, slowly, part, group):
    plan = EvaluatePlan(MODEL, WORDS, part, rows=True, group=group)
    rows = read_counts(plan, answer(plan, EVALUATE, parts))
    assert len(rows) == 3
    for row, user in zip(rows, parts[part], strict=True):
        assert_counts(row, slowly(WEIGHTS, MODEL, user, WORDS, typed(user)))


def test_without_rows_only_the_sum_leaves_the_worker(parts, slowly):
    plan = EvaluatePlan(MODEL, WORDS, "test", rows=False)
    reply = answer(plan, EVALUATE, parts)
    assert reply.arrays["counts"].shape == (1, len(COLUMNS))
    assert dict(reply.fields) == {"users": 3}
    slow = [slowly(WEIGHTS, MODEL, user, WORDS, typed(user)) for user in parts["test"]]
    (row,) = read_counts(plan, reply)
    assert_counts(row, {name: sum(s[name] for s in slow) for name in COLUMNS})


def test_with_a_price_a_noisy_histogram_of_users_leaves_the_worker(parts, monkeypatch):
    plan = EvaluatePlan(MODEL, WORDS, "test", epsilon=0.5)
    asked = []

    def noisy(counts: np.ndarray, epsilon: float) -> np.ndarray:
        asked.append((counts.sum(), epsilon))
        return counts - 1

    monkeypatch.setattr("nwp.federated.noise.noisy", noisy)
    reply = answer(plan, EVALUATE, parts)
    assert asked == [(3, 0.5)]
    assert reply.arrays["counts"].shape == (1, len(COLUMNS))
    assert reply.arrays["histogram"].sum() == 3 - BINS  # what left is what the noise made of it
    told = read_histogram(plan, {"one": reply, "two": reply})
    assert (told["noisy"], told["epsilon"]) == (True, 0.5)


def test_without_a_price_no_histogram_leaves_the_worker(parts):
    for rows in (True, False):
        reply = answer(EvaluatePlan(MODEL, WORDS, "test", rows=rows), EVALUATE, parts)
        assert set(reply.arrays) == {"counts", "slices", "bins"}
    with pytest.raises(BadSettings, match="rows of all users"):
        EvaluatePlan(MODEL, WORDS, rows=True, epsilon=1.0)


def test_the_noise_is_drawn_anew_each_time(parts):
    plan = EvaluatePlan(MODEL, WORDS, "test", epsilon=0.1)
    one, two = (answer(plan, EVALUATE, parts).arrays["histogram"] for _ in range(2))
    assert not np.array_equal(one, two)


def test_slices_are_the_same_with_rows_and_without_and_add_up(parts):
    sums, rows = (EvaluatePlan(MODEL, WORDS, rows=rows) for rows in (False, True))
    one, two = (answer(plan, EVALUATE, parts) for plan in (sums, rows))
    for name in ("slices", "bins"):
        assert np.array_equal(one.arrays[name], two.arrays[name])
    both = read_slices({"a": one, "b": two})
    assert both.table == pytest.approx(2 * one.arrays["slices"])
    assert both.bins[:, 0].sum() == 2 * sum(len(user.targets) for user in parts["test"])


def test_validation_counts_the_valid_parts_and_gives_their_sum(parts):
    plan = train_plan()
    reply = answer(plan, VALIDATE, parts)
    (row,) = read_counts(plan, reply)
    assert row == sum(count_users(WEIGHTS, MODEL, parts["valid"]), Counts())


def sampled(drawn, **more: Any) -> tuple[TrainPlan, list[Encoded], Counts]:
    """A plan over 40 users of worker "one" and 10 of "two", the users of "one", and what it says."""
    users = [drawn(seed, 2, MODEL.vocabulary) for seed in range(40)]
    plan = TrainPlan(MODEL, WORDS, {}, {"one": 40, "two": 10}, **more)
    reply = answer(plan, VALIDATE, {"valid": users})
    (counts,) = read_counts(plan, reply)
    assert reply.fields["users"] == len(validated(plan, 40))
    return plan, users, counts


@pytest.mark.parametrize(("wanted", "share"), [(1, 1), (10, 8), (11, 9), (49, 40)])
def test_a_sample_is_the_workers_share_rounded_up(drawn, wanted, share):
    plan, users, counts = sampled(drawn, validate_users=wanted)
    places = validated(plan, 40)
    assert len(places) == len(set(places)) == share
    some = sum(count_users(WEIGHTS, MODEL, [users[i] for i in places]), Counts())
    assert counts.as_row() == pytest.approx(some.as_row())
    assert counts.tokens == some.tokens


@pytest.mark.parametrize("wanted", [0, 50, 1000])
def test_everybody_is_counted_without_a_sample_or_with_one_as_large(drawn, wanted):
    _, users, counts = sampled(drawn, validate_users=wanted)
    assert counts.tokens == sum(user.words for user in users)


def test_a_sample_is_fixed_by_the_plans_seed_and_every_user_may_be_in_it():
    plans = [
        TrainPlan(MODEL, WORDS, {}, {"one": 40, "two": 10}, validate_users=10, seed=seed)
        for seed in range(60)
    ]
    samples = [tuple(validated(plan, 40)) for plan in plans]
    assert samples == [tuple(validated(plan, 40)) for plan in plans]
    assert len(set(samples)) == len(samples)
    often = Counter(place for sample in samples for place in sample)
    assert set(often) == set(range(40))
    assert max(often.values()) < 30  # each has a chance of 8 in 40, 60 times


def test_validation_reads_only_whom_it_counts_and_some_at_a_time(drawn, monkeypatch):
    user, alive, most, read = drawn(1, 2, MODEL.vocabulary), 0, 0, set()

    class Users(Sequence[Encoded]):
        def __len__(self) -> int:
            return 40

        def __getitem__(self, at: Any) -> Any:
            nonlocal alive, most
            read.add(at)
            alive, most = alive + 1, max(most, alive + 1)
            one = replace(user)
            weakref.finalize(one, gone)
            return one

    def gone() -> None:
        nonlocal alive
        alive -= 1

    monkeypatch.setattr(phases, "_AT_ONCE", 2)
    monkeypatch.setattr(phases, "_VALIDATED", 3)
    plan = TrainPlan(MODEL, WORDS, {}, {"one": 40}, validate_users=30)
    reply = answer(plan, VALIDATE, {"valid": Users()})
    assert reply.fields["users"] == len(read) == 30
    assert read == set(validated(plan, 40))
    assert most <= 2 * 2 * 3 + 1  # those of one run, and those of the next as they are read


def test_the_total_is_the_sum_over_workers(parts):
    plan = train_plan()
    answers = {
        "two": answer(plan, VALIDATE, {"valid": parts["test"]}),
        "one": answer(plan, VALIDATE, {"valid": parts["train"]}),
    }
    found = total(plan, answers)
    expected = sum(count_users(WEIGHTS, MODEL, [*parts["train"], *parts["test"]]), Counts())
    assert found.as_row() == pytest.approx(expected.as_row())
    assert (found.tokens, found.hits1) == (expected.tokens, expected.hits1)
    assert total(plan, dict(reversed(answers.items()))) == found
    assert total(plan, {}) == Counts()


def test_the_total_of_rows_is_that_of_their_sums(parts):
    sums = EvaluatePlan(MODEL, WORDS, rows=False)
    rows = EvaluatePlan(MODEL, WORDS, rows=True)
    one = total(sums, {"w": answer(sums, EVALUATE, parts)})
    assert one == total(rows, {"w": answer(rows, EVALUATE, parts)})


def test_users_without_words_have_rows_of_zeros(parts, laid):
    plan = EvaluatePlan(MODEL, WORDS, rows=True)
    users = {"test": [laid([]), parts["test"][0], laid([])]}
    rows = read_counts(plan, answer(plan, EVALUATE, users))
    assert rows[0] == rows[2] == Counts()
    assert rows[1].tokens > 0


@pytest.mark.parametrize("rows", [0, 2, 4])
def test_a_worker_that_sends_another_number_of_rows_is_refused(rows):
    counts = np.zeros((rows, len(COLUMNS)))
    for plan in (EvaluatePlan(MODEL, WORDS, rows=True), EvaluatePlan(MODEL, WORDS), train_plan()):
        with pytest.raises(BadMessage, match="rows of counts"):
            read_counts(plan, Parcel({"users": 3}, {"counts": counts}))


def test_a_survey_plan_allows_neither_phase():
    for phase in (VALIDATE, EVALUATE):
        with pytest.raises(BadMessage, match="does not allow evaluation"):
            phase.request(SurveyPlan())


@pytest.mark.parametrize(
    "counts",
    [
        np.zeros((1, len(COLUMNS) + 1)),
        np.zeros((1, len(COLUMNS) - 1)),
        np.zeros(len(COLUMNS)),
        np.zeros((1, len(COLUMNS)), np.float32),
        np.full((1, len(COLUMNS)), np.nan),
    ],
    ids=["wide", "narrow", "flat", "float32", "nan"],
)
def test_counts_of_another_form_are_no_reply(counts):
    plan = EvaluatePlan(MODEL, WORDS)
    with pytest.raises(BadMessage):
        EVALUATE.reply(plan).check(Parcel({"users": 1}, {"counts": counts}))
