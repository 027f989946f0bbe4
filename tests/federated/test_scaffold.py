"""SCAFFOLD as it runs against the readable one, its invariants, and what it is for: no drift."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nwp.errors import BadMessage
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.cohort import draw_cohort
from nwp.federated.kernel import Kernel
from nwp.federated.local import LocalWork, seed_for, train_here
from nwp.federated.memory import Memory
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.parcel import Parcel
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Replies
from nwp.federated.reference import scaffold
from nwp.federated.rounds import start, train
from nwp.federated.scaffold import SCAFFOLD, VARIATE
from nwp.federated.schedules import Schedule
from nwp.federated.state import Checkpoint, RunState
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded

WORDS = tuple("abcdefgh")
SIZE = 5 + len(WORDS)
MODEL = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=16)
SIZES = {"one": 3, "two": 2}
Users = dict[str, dict[str, Encoded]]


@pytest.fixture
def users(drawn) -> Users:
    return {
        "one": {name: drawn(i, 3 + 2 * i, SIZE, 16) for i, name in enumerate("abc")},
        "two": {"d": drawn(8, 1, SIZE, 16), "e": drawn(9, 7, SIZE, 16)},
    }


def make_plan(**changes: Any) -> TrainPlan:
    about = {
        "local": LocalWork(2, 3, 0.3),
        "rounds": 4,
        "cohort": 3,
        "seed": 9,
        "groups": 2,
        "aggregation": "scaffold",
        "weighting": Weighting("equal"),
    } | changes
    return TrainPlan(MODEL, WORDS, {}, SIZES, **about)


def weights_at_start() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.5, MODEL.parameters).astype(np.float32)


def run_all(folder: Path, plan: TrainPlan, exchange: Any, **more: Any) -> list[RunState]:
    checkpoint = Checkpoint(folder, plan_digest(plan))
    state = more.get("state") or start(plan, weights_at_start())
    return list(
        train(plan, state, exchange, lambda w, n: ({"perplexity": 9 - n}, Replies({})), checkpoint)
    )


def named(flat: np.ndarray) -> dict[str, torch.Tensor]:
    shapes = MODEL.shapes()
    parts = np.split(flat, np.cumsum([np.prod(shape) for shape in shapes.values()])[:-1])
    return {n: torch.tensor(p.reshape(s)) for (n, s), p in zip(shapes.items(), parts, strict=True)}


def flat_of(weights: dict[str, torch.Tensor]) -> np.ndarray:
    return np.concatenate([tensor.numpy().reshape(-1) for tensor in weights.values()])


def everybody(users: Users) -> list[tuple[str, str]]:
    return [(worker, name) for worker in sorted(users) for name in sorted(users[worker])]


def own_variates(folder: Path, users: Users, number: int) -> list[np.ndarray | None]:
    """What every user's control variate is before a round."""
    return [Memory(folder / w, "job", number).kept(VARIATE, n) for w, n in everybody(users)]


WORK = {
    "minibatches": LocalWork(2, 3, 0.3),
    "clipped": LocalWork(1, 3, 0.3, clip_norm=0.2),
    "proximal": LocalWork(2, 3, 0.3, proximal=0.4),
    "whole": LocalWork(1, 0, 0.3),
    "one step each": LocalWork(1, 64, 0.3),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
@pytest.mark.parametrize(("cohort", "rate"), [(0, 1.0), (3, 1.0), (2, 0.5)])
def test_rounds_give_weights_and_variates_of_the_readable_scaffold(
    tmp_path, in_memory, users, work, cohort, rate
):
    plan = make_plan(local=work, cohort=cohort, server=ServerOptimizer(learning_rate=rate))
    exchange = in_memory(plan, users, folder=tmp_path / "workers")
    states = run_all(tmp_path / "run", plan, exchange)
    people = everybody(users)
    rounds = []
    for number in range(1, plan.rounds + 1):
        drawn = draw_cohort(plan, number)
        chosen = {(w, sorted(users[w])[i]) for w, places in drawn.items() for i in places}
        rounds.append(
            {k: seed_for(plan.seed, number, p[1]) for k, p in enumerate(people) if p in chosen}
        )
    texts = [users[w][name] for w, name in people]
    expected, c, own = scaffold(named(weights_at_start()), MODEL, work, rounds, texts, rate)
    assert states[-1].weights == pytest.approx(flat_of(expected), abs=5e-6)
    assert states[-1].carried[VARIATE] == pytest.approx(flat_of(c), abs=2e-5)
    for mine, theirs in zip(own_variates(tmp_path / "workers", users, 5), own, strict=True):
        if mine is None:
            assert not flat_of(theirs).any()
        else:
            assert mine == pytest.approx(flat_of(theirs), abs=2e-5)
    assert np.abs(flat_of(c)).max() > 0.01
    assert [r.users for r in states[-1].history] == [cohort or 5] * 4


def test_the_servers_variate_is_the_mean_of_all_users_after_every_round(tmp_path, in_memory, users):
    plan = make_plan(rounds=6, cohort=2)
    exchange = in_memory(plan, users, folder=tmp_path / "workers")
    for state in run_all(tmp_path / "run", plan, exchange)[-3:]:
        known = own_variates(tmp_path / "workers", users, state.number + 1)
        mean = sum(v for v in known if v is not None) / 5
        assert state.carried[VARIATE] == pytest.approx(mean, abs=1e-5)
    assert any(np.abs(v - mean).max() > 0.01 for v in known if v is not None)


def test_first_steps_are_those_of_plain_averaging_as_all_variates_are_zero(
    tmp_path, in_memory, users
):
    plan = make_plan(rounds=1)
    plain = dataclasses.replace(plan, aggregation="mean")
    one = run_all(tmp_path / "a", plan, in_memory(plan, users))[0]
    other = run_all(tmp_path / "b", plain, in_memory(plain, users))[0]
    assert one.weights == pytest.approx(other.weights, abs=1e-6)
    mine, theirs = one.history[0], other.history[0]
    assert (mine.words, mine.users) == (theirs.words, theirs.users)
    assert mine.loss == pytest.approx(theirs.loss)


def test_with_variates_that_are_full_gradients_a_user_goes_the_way_of_all(drawn):
    """Section 5 of the paper: if c_i is the gradient at x, the first step is down that of all."""
    both = [drawn(seed, 4, SIZE, 16) for seed in (1, 2)]
    received = torch.from_numpy(weights_at_start())
    kernel, work = Kernel(MODEL), LocalWork(batch=9, learning_rate=0.1)
    gradients = []
    for user in both:
        train_here(kernel, received, user, work, 0)
        gradients.append((received - kernel.flat) / 0.1)
    mean = (gradients[0] + gradients[1]) / 2
    for user, own in zip(both, gradients, strict=True):
        train_here(kernel, received, user, work, 0, mean - own)
        step = (received - kernel.flat).numpy()
        assert step == pytest.approx(0.1 * mean.numpy(), abs=1e-6)


def test_corrected_users_go_where_the_texts_of_all_would_lead_uncorrected_ones_drift(drawn):
    """Five users alone, ten steps each, beside ten steps down the gradient of all (the paper's figure
    2): each corrected one ends at least twice as near to these, and their mean nearby."""
    some = [drawn(seed, 6, SIZE, 16) for seed in range(5)]
    received, kernel, rate = torch.from_numpy(weights_at_start()), Kernel(MODEL), 0.05

    def moved(work: LocalWork, x: torch.Tensor, ways: list[torch.Tensor | None]) -> list:
        found = []
        for user, way in zip(some, ways, strict=True):
            train_here(kernel, x, user, work, 0, way)
            found.append(kernel.flat - x)
        return found

    plain: list[torch.Tensor | None] = [None] * 5
    x = received
    for _ in range(10):
        x = x + sum(moved(LocalWork(1, 0, rate), x, plain)) / 5
    ideal = x - received
    gradients = [-move / rate for move in moved(LocalWork(1, 0, rate), received, plain)]
    ways = [sum(gradients) / 5 - own for own in gradients]
    ten = LocalWork(10, 0, rate)
    alone, corrected = moved(ten, received, plain), moved(ten, received, ways)
    for one, other in zip(alone, corrected, strict=True):
        assert float((other - ideal).norm()) < 0.5 * float((one - ideal).norm())
    assert float((sum(corrected) / 5 - ideal).norm()) < 0.05 * float(ideal.norm())


def test_the_schedules_rate_is_the_one_that_the_variates_are_made_with(tmp_path, in_memory, users):
    """A round at a quarter of the rate is a round of a plan with that rate."""
    plan = make_plan(rounds=4, schedule=Schedule(warmup=4))
    slow = make_plan(rounds=4, local=LocalWork(2, 3, 0.3 / 4))
    one = run_all(tmp_path / "a", plan, in_memory(plan, users))[0]
    other = run_all(tmp_path / "b", slow, in_memory(slow, users))[0]
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.carried[VARIATE].tobytes() == other.carried[VARIATE].tobytes()


# --- going on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("killed_after", [0, 1, 3])
@pytest.mark.parametrize("where", ["before the round", "after the workers' answers"])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, in_memory, users, killed_after, where):
    plan = make_plan(server=ServerOptimizer("fedadam", learning_rate=0.05), rounds=5)
    whole = run_all(tmp_path / "whole", plan, in_memory(plan, users))
    folder = tmp_path / "workers"
    cut = tmp_path / "cut"
    exchange = in_memory(plan, users, folder=folder)
    going = train(
        plan,
        start(plan, weights_at_start()),
        exchange,
        lambda w, n: ({"perplexity": 9 - n}, Replies({})),
        Checkpoint(cut, plan_digest(plan)),
    )
    for _ in range(killed_after):
        next(going)
    going.close()
    checkpoint = Checkpoint(cut, plan_digest(plan))
    state = checkpoint.load() or start(plan, weights_at_start())
    if where == "after the workers' answers":  # which the server did not live to see
        step = SCAFFOLD.steps[0]
        begun = SCAFFOLD.begin(plan, state.number + 1, state.weights)
        begun = Parcel(arrays={**begun.arrays, **state.carried})
        exchange(step.phase, state.number + 1, step.ask(plan, state.number + 1, begun))
    rest = run_all(cut, plan, in_memory(plan, users, folder=folder), state=state)
    assert len(rest) == 5 - killed_after
    for mine, theirs in zip(rest, whole[killed_after:], strict=True):
        assert mine.weights.tobytes() == theirs.weights.tobytes()
        assert mine.carried[VARIATE].tobytes() == theirs.carried[VARIATE].tobytes()
    loaded = checkpoint.load()
    assert loaded.carried[VARIATE].tobytes() == whole[-1].carried[VARIATE].tobytes()


def test_grouping_changes_nothing_but_rounding(tmp_path, in_memory, users):
    one, *others = (
        run_all(tmp_path / str(g), plan, in_memory(plan, users))[-1]
        for g in (1, 2, 16)
        for plan in [make_plan(groups=g)]
    )
    for other in others:
        assert other.weights == pytest.approx(one.weights, abs=1e-6)


def test_a_run_of_plain_averaging_carries_nothing(tmp_path, in_memory, users):
    plan = make_plan(aggregation="mean")
    folder = tmp_path / "workers"
    state = run_all(tmp_path / "run", plan, in_memory(plan, users, folder=folder))[-1]
    assert state.carried == {}
    assert Checkpoint(tmp_path / "run", plan_digest(plan)).load().carried == {}
    assert not folder.exists()


# --- what passes ----------------------------------------------------------------------------------


def test_a_worker_without_words_in_the_cohort_moves_nothing(laid, memory_worker):
    plan = TrainPlan(
        MODEL, WORDS, {}, {"w": 1}, aggregation="scaffold", weighting=Weighting("equal")
    )
    worker = memory_worker(plan, {"train": {"a": laid([], 16)}})
    weights = weights_at_start()
    request = Parcel(arrays={"weights": weights, VARIATE: weights, "users": np.array([0])})
    found = SCAFFOLD.steps[0].phase.answer(worker, 1, request)
    assert found.fields == {"words": 0, "users": 0, "loss": 0.0}
    assert not found.arrays["update"].any()
    assert not found.arrays[VARIATE].any()


@pytest.mark.parametrize("fields", [{"words": -1}, {"users": -1}, {"users": 4}])
def test_a_worker_that_claims_impossible_numbers_is_refused(fields):
    plan, zeros = make_plan(), np.zeros(MODEL.parameters, np.float32)
    answer = Parcel(
        {"words": 1, "users": 1, "loss": 0.0, **fields}, {"update": zeros, VARIATE: zeros}
    )
    state = Parcel(arrays={"weights": zeros, VARIATE: zeros})
    with pytest.raises(BadMessage, match="one claims"):
        SCAFFOLD.steps[0].collect(plan, state, {"one": answer})


def test_the_plan_names_it():
    assert AGGREGATIONS["scaffold"] is SCAFFOLD
