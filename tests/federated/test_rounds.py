from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwp.errors import BadInput, NoQuorum, NwpError
from nwp.federated import aggregations, averaging
from nwp.federated import state as state_module
from nwp.federated.local import LocalWork, seed_for, train_group
from nwp.federated.optimizers import NAMES, ServerOptimizer
from nwp.federated.parcel import ArraySpec, Parcel, Schema
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Aggregate, Aggregation, Phase, Replies, Step, Traffic, Wait
from nwp.federated.rounds import run_round, start, train
from nwp.federated.schedules import Schedule
from nwp.federated.state import PHASE, STATE, Checkpoint, RunState
from nwp.federated.turns import rows_of
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded

WORDS = tuple("abcdefgh")
SIZE = 5 + len(WORDS)
MODEL = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=16)
WORK = LocalWork(batch=3, learning_rate=0.3)
ADAM = ServerOptimizer("fedadam", learning_rate=0.05)
Users = Mapping[str, Mapping[str, Encoded]]


@pytest.fixture
def users(drawn) -> Users:
    return {
        "one": {name: drawn(i, 3 + i, SIZE, 16) for i, name in enumerate("abc")},
        "two": {name: drawn(9 + i, 4 + i, SIZE, 16) for i, name in enumerate("de")},
        "three": {"f": drawn(20, 5, SIZE, 16)},
    }


def make_plan(**changes: Any) -> TrainPlan:
    about = {"rounds": 4, "cohort": 4, "seed": 3, "local": WORK} | changes
    return TrainPlan(MODEL, WORDS, {}, {"one": 3, "two": 2, "three": 1}, **about)


def weights_at_start() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, MODEL.parameters).astype(np.float32)


class Perplexities:
    """Validation that says what it is told, round after round; None: no known targets."""

    def __init__(self, *values: float | None) -> None:
        self.values = values
        self.seen: list[tuple[int, bytes]] = []

    def __call__(self, weights: np.ndarray, number: int) -> tuple[Mapping[str, Any], Replies]:
        self.seen.append((number, weights.tobytes()))
        return {"perplexity": self.values[number - 1]}, Replies({}, {}, 100, 10)


def deep(state: RunState) -> dict[str, Any]:
    """A state as plain data to the last bit, without the time it took."""
    return {
        "number": state.number,
        "weights": state.weights.tobytes(),
        "first": state.optimizer.first.tobytes(),
        "second": state.optimizer.second.tobytes(),
        "best": state.best_weights.tobytes(),
        "best_number": state.best_number,
        "best_valid": dict(state.best_valid),
        "history": [dataclasses.asdict(r) | {"seconds": 0} for r in state.history],
    }


def run_all(
    folder: Path, plan: TrainPlan, exchange: Any, validate: Any = None
) -> tuple[list[RunState], Checkpoint]:
    checkpoint = Checkpoint(folder, plan_digest(plan))
    validate = validate or Perplexities(*range(100, 0, -1))
    states = list(train(plan, start(plan, weights_at_start()), exchange, validate, checkpoint))
    return states, checkpoint


# --- the loop -------------------------------------------------------------------------------------


def test_plain_averaging_end_to_end(tmp_path, in_memory, users):
    plan = make_plan(cohort=0, rounds=3)
    exchange = in_memory(plan, users)
    states, _ = run_all(tmp_path, plan, exchange)
    weights = weights_at_start().astype(np.float64)
    for number, state in enumerate(states, 1):
        received, total, words, loss = weights.astype(np.float32), 0.0, 0, 0.0
        for name, user in sorted((n, u) for worker in users.values() for n, u in worker.items()):
            summed, n, nats = train_group(
                received, MODEL, WORK, [(user, seed_for(plan.seed, number, name))]
            )
            total, words, loss = total + summed.astype(np.float64), words + n, loss + nats
        weights = weights + total / words
        assert state.number == number
        assert state.weights == pytest.approx(weights, abs=1e-6)
        report = state.history[-1]
        assert (report.number, report.words, report.users) == (number, words, 6)
        assert report.loss == pytest.approx(loss / words)
        assert report.absent == {}
    assert len(states) == 3
    assert states[-1].history[0].loss > states[-1].history[-1].loss
    assert exchange.calls == [("train", n, ("one", "three", "two")) for n in (1, 2, 3)]


@pytest.mark.parametrize("aggregation", ["mean", "scaffold"])
def test_a_round_takes_no_more_of_a_users_messages_than_the_plan_says(
    tmp_path, in_memory, users, aggregation
):
    """It is the round of users who have no others, and tells the words of these alone."""
    weights = Weighting("equal") if aggregation == "scaffold" else Weighting()
    few, all_ = (
        make_plan(
            cohort=0,
            rounds=1,
            local=dataclasses.replace(WORK, messages=messages),
            aggregation=aggregation,
            weighting=weights,
        )
        for messages in (2, 0)
    )
    left = {
        worker: {
            name: user.some(rows_of(user.messages, 2, seed_for(few.seed, name), 0))
            for name, user in of.items()
        }
        for worker, of in users.items()
    }
    mine, theirs = (
        run_all(tmp_path / str(plan.local.messages), plan, in_memory(plan, those))[0][0]
        for plan, those in ((few, users), (all_, left))
    )
    assert mine.weights.tobytes() == theirs.weights.tobytes()
    assert mine.history[0].words == theirs.history[0].words
    assert all(user.messages <= 2 for of in left.values() for user in of.values())
    assert any(user.messages > 2 for of in users.values() for user in of.values())


def test_only_workers_with_users_in_the_cohort_are_asked(tmp_path, in_memory, users):
    plan = make_plan(cohort=1, rounds=12)
    exchange = in_memory(plan, users)
    states, _ = run_all(tmp_path, plan, exchange)
    assert all(len(asked) == 1 for _, _, asked in exchange.calls)
    assert {asked for _, _, asked in exchange.calls} == {("one",), ("two",), ("three",)}
    assert [r.users for r in states[-1].history] == [1] * 12


def test_the_server_optimizer_turns_the_update_into_a_step(tmp_path, in_memory, users):
    plain, faster = (
        make_plan(rounds=1, server=ServerOptimizer(learning_rate=rate)) for rate in (1.0, 2.5)
    )
    one = run_all(tmp_path / "a", plain, in_memory(plain, users))[0][0].weights
    other = run_all(tmp_path / "b", faster, in_memory(faster, users))[0][0].weights
    assert other - weights_at_start() == pytest.approx(2.5 * (one - weights_at_start()), abs=1e-6)


def test_the_optimizers_moments_are_carried_from_round_to_round(tmp_path, in_memory, users):
    """FedAdam in float64 over the average updates that the same plan gives round by round."""
    plan = make_plan(rounds=4, server=ADAM)
    states, _ = run_all(tmp_path / "run", plan, in_memory(plan, users))
    m, v = np.zeros(MODEL.parameters), np.full(MODEL.parameters, ADAM.epsilon**2)
    received = weights_at_start()
    for state in states:
        aggregate, _ = run_round(
            plan,
            averaging.MEAN,
            state.number,
            received,
            in_memory(plan, users),
            Checkpoint(tmp_path / "x", "p"),
        )
        delta = aggregate.update.astype(np.float64)
        m = ADAM.momentum * m + (1 - ADAM.momentum) * delta
        v = ADAM.beta2 * v + (1 - ADAM.beta2) * delta**2
        expected = received + ADAM.learning_rate * m / (np.sqrt(v) + ADAM.epsilon)
        assert state.weights == pytest.approx(expected, abs=1e-6)
        received = state.weights


def test_each_round_is_trained_at_its_own_rate(tmp_path, in_memory, users):
    """Two rounds of a warm-up of three are rounds at a third and at two thirds of the rate."""
    plan = make_plan(rounds=3, schedule=Schedule(warmup=3))
    states, _ = run_all(tmp_path, plan, in_memory(plan, users))
    received = weights_at_start()
    for state, rate in zip(states, (0.1, 0.2, 0.3), strict=True):
        fixed = make_plan(local=dataclasses.replace(WORK, learning_rate=rate))
        checkpoint = Checkpoint(tmp_path / "x", "p")
        aggregate, _ = run_round(
            fixed, averaging.MEAN, state.number, received, in_memory(fixed, users), checkpoint
        )
        received = received + aggregate.update
        assert state.weights == pytest.approx(received, abs=1e-6)


def test_the_servers_rate_falls_from_round_to_round(tmp_path, in_memory, users):
    """FedAvg with a server rate of 1, a half and a quarter is so much of each round's average update."""
    plan = make_plan(rounds=3, server_schedule=Schedule("step", every=1, factor=0.5))
    states, _ = run_all(tmp_path, plan, in_memory(plan, users))
    received = weights_at_start()
    for state, rate in zip(states, (1.0, 0.5, 0.25), strict=True):
        checkpoint = Checkpoint(tmp_path / "x", "p")
        aggregate, _ = run_round(
            plan, averaging.MEAN, state.number, received, in_memory(plan, users), checkpoint
        )
        received = received + np.float32(rate) * aggregate.update
        assert state.weights == pytest.approx(received, abs=1e-6)


def test_validation_comes_every_so_many_rounds_and_after_the_last(tmp_path, in_memory, users):
    plan = make_plan(rounds=5, validate_every=2)
    validate = Perplexities(*[9, 8, 7, 6, 5])
    states, _ = run_all(tmp_path, plan, in_memory(plan, users), validate)
    assert [number for number, _ in validate.seen] == [2, 4, 5]
    assert all(weights == states[n - 1].weights.tobytes() for n, weights in validate.seen)
    valid = [r.valid and r.valid["perplexity"] for r in states[-1].history]
    assert valid == [None, 8, None, 6, 5]


def test_the_best_weights_are_kept(tmp_path, in_memory, users):
    plan = make_plan(rounds=5)
    states, _ = run_all(tmp_path, plan, in_memory(plan, users), Perplexities(9, 7, 8, 7, 7.5))
    assert [s.best_number for s in states] == [1, 2, 2, 2, 2]
    assert [r.kept for r in states[-1].history] == [True, True, False, False, False]
    last = states[-1]
    assert last.best_valid == {"perplexity": 7}
    assert np.array_equal(last.best_weights, states[1].weights)
    assert not np.array_equal(last.best_weights, last.weights)


def test_where_nothing_is_measured_the_latest_weights_are_kept(tmp_path, in_memory, users):
    plan = make_plan(rounds=3)
    validate = Perplexities(None, None, None)
    states, _ = run_all(tmp_path, plan, in_memory(plan, users), validate)
    assert [s.best_number for s in states] == [1, 2, 3]
    assert np.array_equal(states[-1].best_weights, states[-1].weights)


def test_weights_once_measured_give_way_to_better_ones_alone(tmp_path, in_memory, users):
    plan = make_plan(rounds=5)
    validate = Perplexities(None, 5.0, None, 6.0, 4.0)
    states, _ = run_all(tmp_path, plan, in_memory(plan, users), validate)
    assert [s.best_number for s in states] == [1, 2, 2, 2, 5]
    assert states[3].best_valid == {"perplexity": 5.0}
    assert np.array_equal(states[3].best_weights, states[1].weights)


def test_patience_ends_a_run_that_no_longer_gets_better(tmp_path, in_memory, users):
    falling_then_flat = [9, 8, 8, 8.5, 7, 7, 7, 7, 1, 1]
    for patience, last in ((1, 3), (2, 4), (3, 8), (0, 10)):
        plan = make_plan(rounds=10, patience=patience)
        states, _ = run_all(
            tmp_path / str(patience), plan, in_memory(plan, users), Perplexities(*falling_then_flat)
        )
        assert states[-1].number == last


def test_patience_counts_validations_not_rounds(tmp_path, in_memory, users):
    plan = make_plan(rounds=12, patience=2, validate_every=3)
    validate = Perplexities(*[9] * 12)
    states, _ = run_all(tmp_path, plan, in_memory(plan, users), validate)
    assert [number for number, _ in validate.seen] == [3, 6, 9]
    assert states[-1].number == 9


def test_a_run_whose_patience_is_over_does_not_go_on_when_resumed(tmp_path, in_memory, users):
    plan = make_plan(rounds=10, patience=1)
    _, checkpoint = run_all(tmp_path, plan, in_memory(plan, users), Perplexities(*[5] * 10))
    state = checkpoint.load()
    assert state.number == 2
    exchange = in_memory(plan, users)
    assert list(train(plan, state, exchange, Perplexities(*[1] * 10), checkpoint)) == []
    assert exchange.calls == []


def test_bytes_moved_are_those_of_the_round_and_its_validation(tmp_path, in_memory, users):
    plan = make_plan(rounds=2, validate_every=2)
    exchange = in_memory(plan, users)
    states, _ = run_all(tmp_path, plan, exchange)
    first, second = states[-1].history
    size = 4 * MODEL.parameters
    asked = len(exchange.calls[0][2])
    assert size * asked < first.bytes_up < (size + 500) * asked
    assert size * asked < first.bytes_down < (size + 500) * asked
    asked = len(exchange.calls[1][2])
    assert size * asked + 10 < second.bytes_up < (size + 500) * asked + 10
    assert size * asked + 100 < second.bytes_down < (size + 500) * asked + 100


# --- who does not answer --------------------------------------------------------------------------


def test_an_absent_worker_is_named_and_the_others_are_averaged(tmp_path, in_memory, users):
    plan = make_plan(cohort=0, rounds=2)
    exchange = in_memory(plan, users, silent=lambda w, phase, n: (w, n) == ("two", 1))
    states, _ = run_all(tmp_path / "a", plan, exchange)
    assert [r.absent for r in states[-1].history] == [{"two": "it is asleep"}, {}]
    assert [r.users for r in states[-1].history] == [4, 6]
    without = dataclasses.replace(plan, workers={"one": 3, "three": 1}, rounds=1)
    rest = {w: u for w, u in users.items() if w != "two"}
    alone = run_all(tmp_path / "b", without, in_memory(without, rest))[0][0]
    assert np.array_equal(states[0].weights, alone.weights)


@pytest.mark.parametrize(
    ("quorum", "silent", "enough"),
    [
        (0.5, ["one"], True),
        (0.5, ["one", "two"], False),
        (0.3, ["one", "two"], True),
        (0.34, ["one", "two"], False),
        (1.0, [], True),
        (1.0, ["three"], False),
        (0.01, ["one", "two", "three"], False),
    ],
)
def test_a_round_needs_answers_of_a_quorum(tmp_path, in_memory, users, quorum, silent, enough):
    plan = make_plan(cohort=0, rounds=1, quorum=quorum)
    exchange = in_memory(plan, users, silent=lambda worker, phase, number: worker in silent)
    if enough:
        assert run_all(tmp_path, plan, exchange)[0][0].number == 1
        return
    with pytest.raises(NoQuorum, match="round 1, phase train") as error:
        run_all(tmp_path, plan, exchange)
    assert all(f"{worker}: it is asleep" in error.value.message for worker in silent)
    assert error.value.hint


def test_after_too_few_answers_the_last_round_is_there_to_go_on_from(tmp_path, in_memory, users):
    plan = make_plan(server=ADAM)
    whole, _ = run_all(tmp_path / "whole", plan, in_memory(plan, users))
    asleep = in_memory(plan, users, silent=lambda worker, phase, number: number == 3)
    with pytest.raises(NoQuorum, match="round 3"):
        run_all(tmp_path / "cut", plan, asleep)
    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan))
    state = checkpoint.load()
    assert deep(state) == deep(whole[1])
    validate = Perplexities(*range(100, 0, -1))
    *_, last = train(plan, state, in_memory(plan, users), validate, checkpoint)
    assert deep(last) == deep(whole[-1])


def test_nobody_asked_is_no_quorum(tmp_path, in_memory):
    plan = TrainPlan(MODEL, WORDS, {}, {})
    with pytest.raises(NoQuorum, match="nobody was asked"):
        run_all(tmp_path, plan, in_memory(plan, {}))


# --- going on -------------------------------------------------------------------------------------


def test_each_state_is_durable_before_it_is_given_out(tmp_path, in_memory, users):
    plan = make_plan()
    checkpoint = Checkpoint(tmp_path, plan_digest(plan))
    begun = start(plan, weights_at_start())
    assert checkpoint.load() is None
    validate = Perplexities(9, 8, 8.5, 7)
    for state in train(plan, begun, in_memory(plan, users), validate, checkpoint):
        assert deep(checkpoint.load()) == deep(state)
        assert {p.name for p in tmp_path.iterdir()} == {
            *(f"round-{n}.safetensors" for n in (state.number - 1, state.number) if n),
            STATE,
        }


def test_every_third_state_is_durable_and_one_that_was_stopped_after(tmp_path, in_memory, users):
    plan = make_plan(rounds=9, validate_every=5)
    validate = Perplexities(*range(9, 0, -1))
    whole, _ = run_all(tmp_path / "whole", plan, in_memory(plan, users), validate)
    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan), every=3)
    begun = start(plan, weights_at_start())
    going = train(plan, begun, in_memory(plan, users), validate, checkpoint)
    durable = []
    for state in itertools.islice(going, 8):
        kept = checkpoint.load()
        durable.append((state.number, kept.number if kept else 0))
    assert durable == [(1, 0), (2, 0), (3, 3), (4, 3), (5, 5), (6, 6), (7, 6), (8, 6)]
    going.close()
    state = checkpoint.load()
    assert deep(state) == deep(whole[7])
    *_, last = train(plan, state, in_memory(plan, users), validate, checkpoint)
    assert deep(last) == deep(whole[-1])


def test_a_run_stopped_at_a_full_disk_is_not_written_again(tmp_path, in_memory, users, monkeypatch):
    plan = make_plan(rounds=9, validate_every=9)
    checkpoint, tried = Checkpoint(tmp_path, plan_digest(plan), every=2), []

    def full(self, state):
        tried.append(state.number)
        raise NwpError("the disk is full", "Make room.")

    monkeypatch.setattr(Checkpoint, "save", full)
    begun = start(plan, weights_at_start())
    with pytest.raises(NwpError, match="full"):
        list(train(plan, begun, in_memory(plan, users), Perplexities(9), checkpoint))
    assert tried == [2]


@pytest.mark.parametrize("optimizer", NAMES)
@pytest.mark.parametrize("killed_after", [1, 2, 4, 5])
def test_a_run_killed_after_any_round_goes_on_to_the_same_bits(
    tmp_path, in_memory, users, optimizer, killed_after
):
    server = dataclasses.replace(ADAM, name=optimizer)
    plan = make_plan(rounds=5, validate_every=2, server=server)
    values = (9, 8, 7.5, 8.5, 8.2)
    whole, _ = run_all(tmp_path / "whole", plan, in_memory(plan, users), Perplexities(*values))
    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan))
    going = train(
        plan,
        start(plan, weights_at_start()),
        in_memory(plan, users),
        Perplexities(*values),
        checkpoint,
    )
    for _ in range(killed_after):
        next(going)
    going.close()

    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan))  # as another process would
    state = checkpoint.load()
    assert deep(state) == deep(whole[killed_after - 1])
    rest = list(train(plan, state, in_memory(plan, users), Perplexities(*values), checkpoint))
    assert [deep(s) for s in rest] == [deep(s) for s in whole[killed_after:]]
    assert deep(checkpoint.load()) == deep(whole[-1])


class Killed(Exception):
    pass


SAVING = ["the round's file", "the state", "the phase's end", "the old round's end"]


@pytest.mark.parametrize("at", range(4), ids=SAVING)
def test_a_crash_at_any_point_of_saving_leaves_a_run_that_goes_on(
    tmp_path, monkeypatch, in_memory, users, at
):
    """The k-th change on disk of the third round's saving does not happen any more."""
    plan = make_plan(server=ADAM)
    whole, _ = run_all(tmp_path / "whole", plan, in_memory(plan, users))
    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan))
    going = train(
        plan,
        start(plan, weights_at_start()),
        in_memory(plan, users),
        Perplexities(*range(100, 0, -1)),
        checkpoint,
    )
    next(going), next(going)
    with monkeypatch.context() as patched:
        left = iter(range(at))

        def counted(act: Callable[..., Any]) -> Callable[..., Any]:
            def acting(*arguments: Any, **more: Any) -> Any:
                if next(left, None) is None:
                    raise Killed
                return act(*arguments, **more)

            return acting

        patched.setattr(state_module, "write_atomic", counted(state_module.write_atomic))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        with pytest.raises(Killed):
            next(going)
    state = checkpoint.load()
    assert deep(state) == deep(whole[2 if at >= 2 else 1])
    validate = Perplexities(*range(100, 0, -1))
    *_, last = train(plan, state, in_memory(plan, users), validate, checkpoint)
    assert deep(last) == deep(whole[-1])
    kept = ["round-3.safetensors", "round-4.safetensors", STATE]
    assert sorted(p.name for p in checkpoint.folder.iterdir()) == kept


def test_a_checkpoint_of_another_plan_is_refused(tmp_path, in_memory, users):
    plan = make_plan()
    run_all(tmp_path, plan, in_memory(plan, users))
    other = Checkpoint(tmp_path, plan_digest(dataclasses.replace(plan, seed=4)))
    with pytest.raises(BadInput, match="another plan") as error:
        other.load()
    assert "--force" in error.value.hint


def test_no_checkpoint_is_none(tmp_path):
    assert Checkpoint(tmp_path / "nothing", "plan").load() is None
    assert Checkpoint(tmp_path, "plan").load_phase(1) is None


# --- an aggregation of two phases: clip each worker's update to the median norm --------------------


def norm_request(plan: TrainPlan) -> Schema:
    return Schema(arrays={"weights": ArraySpec("float32", (plan.model.parameters,))})


def norm_answer(worker: Any, number: int, request: Parcel) -> Parcel:
    weights = request.arrays["weights"]
    pairs = [
        (user, seed_for(worker.plan.seed, number, name))
        for name, user in zip(worker.names, worker.encoded("train"), strict=True)
    ]
    tasks = [(worker.plan.model, worker.plan.local, pairs)]
    summed, words, _ = next(worker.run(train_group, weights, tasks))
    update = summed / np.float32(words)
    worker.remember(Parcel({"words": words}, {"update": update}))
    return Parcel({"norm": float(np.linalg.norm(update)), "words": words})


def clip_answer(worker: Any, number: int, request: Parcel) -> Parcel:
    kept = worker.recall().arrays["update"]
    bound, norm = float(request.fields["bound"]), float(np.linalg.norm(kept))
    return Parcel(arrays={"update": kept * np.float32(min(1, bound / norm))})


def norm_ask(plan: TrainPlan, number: int, state: Parcel) -> Mapping[str, Parcel]:
    return dict.fromkeys(plan.workers, Parcel(arrays={"weights": state.arrays["weights"]}))


def norm_collect(plan: TrainPlan, state: Parcel, answers: Mapping[str, Parcel]) -> Parcel:
    names = sorted(answers)
    norms = [float(answers[n].fields["norm"]) for n in names]
    places = np.array([sorted(plan.workers).index(n) for n in names], np.int64)
    words = sum(int(answers[n].fields["words"]) for n in names)
    return Parcel(
        {"median": float(np.median(norms)), "words": words},
        {"weights": state.arrays["weights"], "answered": places},
    )


def clip_ask(plan: TrainPlan, number: int, state: Parcel) -> Mapping[str, Parcel]:
    names = [sorted(plan.workers)[i] for i in state.arrays["answered"]]
    return dict.fromkeys(names, Parcel({"bound": state.fields["median"]}))


def clip_collect(plan: TrainPlan, state: Parcel, answers: Mapping[str, Parcel]) -> Parcel:
    updates = [answers[name].arrays["update"] for name in sorted(answers)]
    return Parcel(state.fields, {"update": np.mean(updates, axis=0, dtype=np.float64)})


CLIPPED = Aggregation(
    name="clipped",
    begin=lambda plan, number, weights: Parcel(arrays={"weights": weights}),
    steps=(
        Step(
            Phase(
                "norm", norm_request, lambda p: Schema({"norm": float, "words": int}), norm_answer
            ),
            norm_ask,
            norm_collect,
        ),
        Step(
            Phase(
                "clip",
                lambda plan: Schema({"bound": float}),
                lambda plan: Schema(
                    arrays={"update": ArraySpec("float32", (plan.model.parameters,))}
                ),
                clip_answer,
            ),
            clip_ask,
            clip_collect,
        ),
    ),
    finish=lambda plan, state: Aggregate(
        state.arrays["update"].astype(np.float32), int(state.fields["words"]), 0, 0.0
    ),
)


@pytest.fixture
def two_phases(monkeypatch) -> Iterator[TrainPlan]:
    monkeypatch.setitem(aggregations.AGGREGATIONS, "clipped", CLIPPED)
    return make_plan(aggregation="clipped", rounds=3, server=ADAM)


def clipped_directly(plan: TrainPlan, users: Users, number: int, weights: np.ndarray) -> np.ndarray:
    """The average of the workers' updates, none longer than their median: no phases."""
    updates = []
    for worker in sorted(users):
        pairs = [(u, seed_for(plan.seed, number, n)) for n, u in sorted(users[worker].items())]
        summed, words, _ = train_group(weights, MODEL, WORK, pairs)
        updates.append(summed.astype(np.float64) / words)
    norms = [float(np.linalg.norm(u)) for u in updates]
    clipped = [u * min(1, np.median(norms) / n) for u, n in zip(updates, norms, strict=True)]
    return np.mean(clipped, axis=0)


def test_two_phases_give_what_a_direct_computation_gives(tmp_path, in_memory, users, two_phases):
    exchange = in_memory(two_phases, users)
    aggregate, _ = run_round(
        two_phases, CLIPPED, 1, weights_at_start(), exchange, Checkpoint(tmp_path, "p")
    )
    expected = clipped_directly(two_phases, users, 1, weights_at_start())
    assert aggregate.update == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected).max() > 0.01
    everybody = ("one", "three", "two")
    assert exchange.calls == [("norm", 1, everybody), ("clip", 1, everybody)]


def test_both_phases_traffic_and_absences_are_reported(tmp_path, in_memory, users, two_phases):
    def silent(worker: str, phase: str, number: int) -> bool:
        return (worker, phase) in {("one", "clip"), ("two", "norm")}

    plan = dataclasses.replace(two_phases, rounds=1)
    exchange = in_memory(plan, users, silent=silent)
    states, _ = run_all(tmp_path, plan, exchange)
    report = states[0].history[0]
    assert report.absent == {"one": "it is asleep", "two": "it is asleep"}
    assert report.bytes_down > 2 * 4 * MODEL.parameters  # the weights to two workers
    assert report.bytes_up > 4 * MODEL.parameters  # one update
    assert exchange.calls[1] == ("clip", 1, ("one", "three"))


def test_a_crash_between_the_phases_goes_on_with_the_second(tmp_path, in_memory, users, two_phases):
    plan, values = two_phases, (9, 8, 7)
    whole, _ = run_all(tmp_path / "whole", plan, in_memory(plan, users), Perplexities(*values))
    exchange = in_memory(plan, users)  # the workers, who do not crash, remember their updates

    def killed_before_clip(
        phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait
    ) -> Replies:
        if (phase.name, number) == ("clip", 2):
            raise Killed
        return exchange(phase, number, requests)

    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan))
    going = train(
        plan,
        start(plan, weights_at_start()),
        killed_before_clip,
        Perplexities(*values),
        checkpoint,
    )
    next(going)
    with pytest.raises(Killed):
        next(going)
    assert (checkpoint.folder / PHASE).exists()
    exchange.calls.clear()

    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan))
    state = checkpoint.load()
    assert deep(state) == deep(whole[0])
    rest = list(train(plan, state, exchange, Perplexities(*values), checkpoint))
    assert [(phase, number) for phase, number, _ in exchange.calls] == [
        ("clip", 2),
        ("norm", 3),
        ("clip", 3),
    ]
    # What moved before the crash is told, too.
    assert [deep(state) for state in rest] == [deep(state) for state in whole[1:]]
    weights = whole[0].weights
    direct = clipped_directly(plan, users, 2, weights)
    aggregate, _ = run_round(
        plan, CLIPPED, 2, weights, in_memory(plan, users), Checkpoint(tmp_path / "x", "p")
    )
    assert aggregate.update == pytest.approx(direct, abs=1e-6)
    assert not (checkpoint.folder / PHASE).exists()


def test_too_few_answers_in_the_second_phase_keep_the_first(tmp_path, in_memory, users, two_phases):
    exchange = in_memory(two_phases, users, silent=lambda worker, phase, number: phase == "clip")
    checkpoint = Checkpoint(tmp_path, "p")
    with pytest.raises(NoQuorum, match="round 1, phase clip"):
        run_round(two_phases, CLIPPED, 1, weights_at_start(), exchange, checkpoint)
    awake = dataclasses.replace(exchange, silent=lambda worker, phase, number: False, calls=[])
    aggregate, _ = run_round(two_phases, CLIPPED, 1, weights_at_start(), awake, checkpoint)
    assert [phase for phase, _, _ in awake.calls] == ["clip"]
    expected = clipped_directly(two_phases, users, 1, weights_at_start())
    assert aggregate.update == pytest.approx(expected, abs=1e-6)


STATE_BETWEEN = Parcel({"median": 0.1 + 0.2, "words": 12345678901}, {"x": np.arange(3.0)})
MOVED = Traffic(bytes_down=3, bytes_up=5, absent={"one": "it is asleep"}, seconds=0.1)


def test_a_phases_state_comes_back_as_it_was(tmp_path):
    checkpoint = Checkpoint(tmp_path, "p")
    checkpoint.save_phase(3, 1, STATE_BETWEEN, MOVED)
    done, back, moved = checkpoint.load_phase(3)
    assert done == 1
    assert moved == MOVED
    assert dict(back.fields) == dict(STATE_BETWEEN.fields)
    assert type(back.fields["words"]) is int
    assert back.arrays["x"].tobytes() == STATE_BETWEEN.arrays["x"].tobytes()
    assert back.arrays["x"].dtype == np.float64


def test_a_phase_of_another_round_or_plan_is_not_used(tmp_path):
    Checkpoint(tmp_path, "p").save_phase(3, 1, STATE_BETWEEN, MOVED)
    assert Checkpoint(tmp_path, "p").load_phase(2) is None
    assert Checkpoint(tmp_path, "p").load_phase(4) is None
    assert Checkpoint(tmp_path, "q").load_phase(3) is None


def test_a_damaged_phase_lets_the_round_begin_again(tmp_path, in_memory, users, two_phases):
    checkpoint = Checkpoint(tmp_path, "p")
    checkpoint.save_phase(1, 1, STATE_BETWEEN, MOVED)
    data = (tmp_path / PHASE).read_bytes()
    flipped = bytes([*data[:-1], data[-1] ^ 1])
    cut = (b"", data[: len(data) // 2], data[:-1])
    for damaged in (*cut, flipped, b"hello", data.replace(b"nwp", b"pwn")):
        (tmp_path / PHASE).write_bytes(damaged)
        assert checkpoint.load_phase(1) is None
    exchange = in_memory(two_phases, users)
    run_round(two_phases, CLIPPED, 1, weights_at_start(), exchange, checkpoint)
    assert [phase for phase, _, _ in exchange.calls] == ["norm", "clip"]


def test_a_round_of_one_phase_leaves_nothing_between(tmp_path, in_memory, users):
    plan = make_plan()
    run_round(
        plan,
        averaging.MEAN,
        1,
        weights_at_start(),
        in_memory(plan, users),
        Checkpoint(tmp_path, "p"),
    )
    assert list(tmp_path.iterdir()) == []
