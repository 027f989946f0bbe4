"""Weights by words, messages, alike and clipped: against the readable FedAvg, and as claims."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from nwp.errors import BadMessage, BadSettings
from nwp.federated.averaging import MEAN
from nwp.federated.local import LocalWork, seed_for, words_trained
from nwp.federated.parcel import Parcel
from nwp.federated.plan import TrainPlan
from nwp.federated.reference import federated_averaging
from nwp.federated.rounds import run_round
from nwp.federated.state import Checkpoint
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded

WORDS = tuple("abcdefgh")
SIZE = 5 + len(WORDS)
MODEL = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=16)
SIZES = {"one": 3, "two": 2}

BY_HAND: dict[str, tuple[Weighting, Callable[[Encoded, LocalWork], int]]] = {
    "words": (Weighting(), words_trained),
    "messages": (Weighting("messages"), lambda user, work: len(user.offsets) - 1),
    "equal": (Weighting("equal"), lambda user, work: 1),
    "clipped": (Weighting("clipped", 12), lambda user, work: min(12, words_trained(user, work))),
}


@pytest.fixture
def users(drawn) -> dict[str, dict[str, Encoded]]:
    return {
        "one": {name: drawn(i, 2 + 4 * i, SIZE, 16) for i, name in enumerate("abc")},
        "two": {"d": drawn(8, 1, SIZE, 16), "e": drawn(9, 9, SIZE, 16)},
    }


def start_weights() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.5, MODEL.parameters).astype(np.float32)


def named(flat: np.ndarray) -> dict[str, torch.Tensor]:
    shapes = MODEL.shapes()
    parts = np.split(flat, np.cumsum([np.prod(shape) for shape in shapes.values()])[:-1])
    return {n: torch.tensor(p.reshape(s)) for (n, s), p in zip(shapes.items(), parts, strict=True)}


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize(("weighting", "weigh"), BY_HAND.values(), ids=BY_HAND)
def test_the_average_is_that_of_the_readable_fedavg(
    tmp_path, in_memory, users, weighting, weigh, epochs
):
    work = LocalWork(epochs, 3, 0.3, max_positions=5)
    plan = TrainPlan(MODEL, WORDS, {}, SIZES, work, weighting=weighting, groups=2, seed=4)
    start = start_weights()
    aggregate, _ = run_round(
        plan, MEAN, 1, start, in_memory(plan, users), Checkpoint(tmp_path, "none")
    )
    everybody = [(name, user) for worker in users.values() for name, user in worker.items()]
    cohort = {k: seed_for(plan.seed, 1, name) for k, (name, _) in enumerate(everybody)}
    texts = [user for _, user in everybody]
    expected = federated_averaging(named(start), MODEL, work, [cohort], texts, weigh)
    flat = np.concatenate([tensor.numpy().reshape(-1) for tensor in expected.values()])
    assert start + aggregate.update == pytest.approx(flat, abs=2e-6)
    # Whatever the weights, what is reported are words and users.
    assert aggregate.users == 5
    assert aggregate.words == epochs * sum(words_trained(user, work) for user in texts)


def test_the_four_weightings_differ(tmp_path, in_memory, users):
    found = []
    for weighting, _ in BY_HAND.values():
        plan = TrainPlan(
            MODEL, WORDS, {}, SIZES, LocalWork(batch=3, learning_rate=0.3), weighting=weighting
        )
        exchange = in_memory(plan, users)
        aggregate, _ = run_round(
            plan, MEAN, 1, start_weights(), exchange, Checkpoint(tmp_path, "none")
        )
        found.append(aggregate.update)
    for i, one in enumerate(found):
        assert all(np.abs(one - other).max() > 1e-3 for other in found[:i])


def test_users_of_one_step_are_weighted_alike_merged_or_not(tmp_path, in_memory, users):
    """Merged (one step each, computed as one batch) against a bound that keeps them apart."""
    for weighting, _ in BY_HAND.values():
        merged, apart = (
            run_round(
                plan,
                MEAN,
                1,
                start_weights(),
                in_memory(plan, users),
                Checkpoint(tmp_path, "none"),
            )[0]
            for clip in (0.0, 1e6)
            for plan in [
                TrainPlan(
                    MODEL,
                    WORDS,
                    {},
                    SIZES,
                    LocalWork(batch=16, learning_rate=0.3, clip_norm=clip),
                    weighting=weighting,
                )
            ]
        )
        assert merged.update == pytest.approx(apart.update, abs=1e-6)
        assert merged.loss == pytest.approx(apart.loss, abs=1e-6)


def test_a_weight_is_told_only_where_it_is_not_told_anyway():
    for name, (weighting, _) in BY_HAND.items():
        plan = TrainPlan(MODEL, WORDS, {}, SIZES, weighting=weighting)
        fields = set(MEAN.steps[0].phase.reply(plan).fields)
        more = {"weight"} if name in ("messages", "clipped") else set()
        assert fields == {"words", "users", "loss"} | more


CLIPPED = Weighting("clipped", 100)


@pytest.mark.parametrize(
    ("weighting", "fields", "believed"),
    [
        (CLIPPED, {"words": 1000, "users": 2, "weight": 400}, True),  # two epochs
        (CLIPPED, {"words": 1000, "users": 2, "weight": 401}, False),
        (CLIPPED, {"words": 399, "users": 2, "weight": 400}, False),
        (CLIPPED, {"words": 1000, "users": 0, "weight": 1}, False),
        (CLIPPED, {"words": 1000, "users": 2, "weight": -1}, False),
        (Weighting("messages"), {"words": 10, "users": 2, "weight": -1}, False),
        (Weighting("messages"), {"words": 10, "users": 2, "weight": 5}, True),
        (Weighting("equal"), {"words": 10, "users": 3}, True),
        (Weighting("equal"), {"words": 10, "users": 4}, False),
        (Weighting("equal"), {"words": -1, "users": 2}, False),
    ],
)
def test_a_claim_of_more_than_users_can_weigh_is_refused(weighting, fields, believed):
    plan = TrainPlan(MODEL, WORDS, {}, {"w": 3}, LocalWork(epochs=2, batch=4), weighting=weighting)
    answer = Parcel({"loss": 0.0, **fields}, {"update": np.zeros(2, np.float32)})
    state = Parcel(arrays={"weights": np.zeros(2, np.float32)})
    if believed:
        MEAN.steps[0].phase.check(plan, "w", answer)
        MEAN.steps[0].collect(plan, state, {"w": answer})
        return
    with pytest.raises(BadMessage, match="w claims"):
        MEAN.steps[0].phase.check(plan, "w", answer)
    with pytest.raises(BadMessage, match="w claims"):
        MEAN.steps[0].collect(plan, state, {"w": answer})


@pytest.mark.parametrize(
    ("by", "cap"), [("letters", 0), ("words", 5), ("equal", 1), ("clipped", 0), ("clipped", -5)]
)
def test_weights_that_make_no_sense_are_refused(by, cap):
    with pytest.raises(BadSettings):
        Weighting(by, cap)
