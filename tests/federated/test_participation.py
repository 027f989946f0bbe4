"""Rounds that some or all of their users miss: by size, one by one, out of reach, late, abandoned."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwp.errors import BadMessage, BadSettings, NoQuorum
from nwp.federated.averaging import MEAN
from nwp.federated.cohort import draw_cohort, who_trains
from nwp.federated.compression import Compression
from nwp.federated.local import LocalWork, seed_for, train_group, words_trained
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.parcel import Parcel
from nwp.federated.participation import Participation
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import FOR_ALL, Phase, Replies, Wait
from nwp.federated.rounds import MOST_ABANDONED, NO_UPDATE, run_round, start, train
from nwp.federated.sizes import COUNT, SIZES
from nwp.federated.state import Checkpoint, RunState
from nwp.federated.turns import rows_of
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded

WORDS = tuple("abcdefgh")
SIZE = 5 + len(WORDS)
MODEL = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=16)
WORK = LocalWork(batch=3, learning_rate=0.3, max_positions=5)
Users = Mapping[str, Mapping[str, Encoded]]


@pytest.fixture
def users(drawn) -> Users:
    return {
        "one": {name: drawn(i, 3 + 4 * i, SIZE, 16) for i, name in enumerate("abc")},
        "two": {name: drawn(9 + i, 4 + i, SIZE, 16) for i, name in enumerate("de")},
        "three": {"f": drawn(20, 5, SIZE, 16)},
    }


def make_plan(who: Participation, **changes: Any) -> TrainPlan:
    about: dict[str, Any] = {
        "rounds": 4,
        "cohort": 3,
        "seed": 3,
        "local": WORK,
        "server": ServerOptimizer("fedadam", 0.05),
    }
    if who.by_size:
        about["weighting"] = Weighting("equal")
    workers = {"one": 3, "two": 2, "three": 1}
    return TrainPlan(MODEL, WORDS, {}, workers, participation=who, **(about | changes))


def weights_at_start() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, MODEL.parameters).astype(np.float32)


def unmeasured(weights: np.ndarray, number: int) -> tuple[Mapping[str, Any], Replies]:
    return {"perplexity": None}, Replies({}, {}, 100, 10)


def run_all(
    folder: Path, plan: TrainPlan, exchange: Any, state: RunState | None = None
) -> list[RunState]:
    checkpoint = Checkpoint(folder, plan_digest(plan))
    state = state or start(plan, weights_at_start())
    return list(train(plan, state, exchange, unmeasured, checkpoint))


def same(one: RunState, other: RunState) -> bool:
    """Are two states the same to the bit, but for the time they took?"""

    def plain(state: RunState) -> Any:
        history = [dataclasses.replace(report, seconds=0) for report in state.history]
        arrays = (state.weights, state.optimizer.first, state.optimizer.second, state.best_weights)
        return state.number, state.best_number, history, [a.tobytes() for a in arrays]

    return bool(plain(one) == plain(other))


@dataclass
class Clocked:
    """An exchange whose workers answer after so many seconds, one after another."""

    inner: Any
    seconds: Callable[[str, int], float]
    waits: list[Wait] = field(default_factory=list)

    def __call__(
        self, phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
    ) -> Replies:
        self.waits.append(wait)
        answers: dict[str, Parcel] = {}
        absent: dict[str, str] = {}
        late, down, up, now = [], 0, 0, 0.0
        for worker in sorted(requests, key=lambda worker: self.seconds(worker, number)):
            found = self.inner(phase, number, {worker: requests[worker]})
            down += found.bytes_down
            users = sum(wait.users.get(w, 0) for w in answers)
            at = self.seconds(worker, number)
            if (wait.goal and users >= wait.goal) or (wait.limit and at > wait.limit):
                late.append(worker)
                continue
            up, now = up + found.bytes_up, at
            answers.update(found.answers)
            absent.update(found.absent)
        return Replies(answers, absent, down, up, tuple(late), now)


IN_TURN = {"one": 3.0, "two": 2.0, "three": 1.0}


def in_turn(worker: str, number: int) -> float:
    return IN_TURN[worker]


def mean_by_words(plan: TrainPlan, users: Users, who: Mapping[str, tuple[int, ...]], number: int):
    """The average of some users' updates from the start's weights, by words, each alone."""
    total, words = np.zeros(MODEL.parameters), 0
    for worker, places in who.items():
        for place in places:
            name = sorted(users[worker])[place]
            seed = seed_for(plan.seed, number, name)
            summed, n, _ = train_group(
                weights_at_start(), MODEL, plan.local, [(users[worker][name], seed)]
            )
            total, words = total + summed, words + n
    return total / words


# --- late -----------------------------------------------------------------------------------------


def test_a_round_goes_on_when_its_goal_has_answered(tmp_path, in_memory, users):
    plan = make_plan(Participation(over_select=1.0), rounds=1)
    exchange = Clocked(in_memory(plan, users), in_turn)
    cohort = draw_cohort(plan, 1)
    assert cohort == {"one": (0, 1, 2), "two": (0, 1), "three": (0,)}  # all six for a goal of three
    update, traffic = run_round(
        plan, MEAN, 1, weights_at_start(), exchange, Checkpoint(tmp_path, "p")
    )
    assert exchange.waits == [Wait(3, 0.0, {"one": 3, "two": 2, "three": 1})]
    assert (update.users, traffic.late, traffic.waited) == (3, 3, 2.0)
    assert traffic.abandoned == ""
    assert traffic.absent == {}
    expected = mean_by_words(plan, users, {"two": (0, 1), "three": (0,)}, 1)
    assert update.update == pytest.approx(expected, abs=1e-6)


def test_a_late_worker_was_sent_the_model_and_took_in_none_of_its_answer(
    tmp_path, in_memory, users
):
    plan = make_plan(Participation(over_select=1.0), rounds=1, validate_every=9)
    report = run_all(tmp_path, plan, Clocked(in_memory(plan, users), in_turn))[0].history[0]
    size = 4 * MODEL.parameters
    assert 3 * size < report.bytes_down - 100 < 3 * (size + 500)
    assert 2 * size < report.bytes_up - 10 < 2 * (size + 500)


def test_a_time_limit_counts_those_behind_it_as_late(tmp_path, in_memory, users):
    plan = make_plan(Participation(time_limit=1.5), cohort=0, rounds=1)
    (state,) = run_all(tmp_path, plan, Clocked(in_memory(plan, users), in_turn))
    report = state.history[0]
    assert (report.users, report.late, report.abandoned) == (1, 5, "")
    assert not np.array_equal(state.weights, weights_at_start())


def test_late_workers_do_not_break_the_quorum_but_absent_ones_do(tmp_path, in_memory, users):
    plan = make_plan(Participation(time_limit=1.5), cohort=0, rounds=1, quorum=1.0)
    assert run_all(tmp_path / "a", plan, Clocked(in_memory(plan, users), in_turn))
    silent = in_memory(plan, users, silent=lambda worker, phase, number: worker == "three")
    with pytest.raises(NoQuorum, match="0 of 3 workers answered"):
        run_all(tmp_path / "b", plan, Clocked(silent, in_turn))


def test_without_settings_nobody_is_waited_for_less(tmp_path, in_memory, users):
    plan = make_plan(Participation(), cohort=0, rounds=1)
    exchange = Clocked(in_memory(plan, users), in_turn)
    report = run_all(tmp_path, plan, exchange)[0].history[0]
    assert (exchange.waits[0].goal, exchange.waits[0].limit) == (0, 0.0)
    assert (report.users, report.late, report.waited, report.abandoned) == (6, 0, 3.0, "")


# --- abandoned ------------------------------------------------------------------------------------


def test_a_round_with_too_few_answers_in_time_leaves_all_as_it_was(tmp_path, in_memory, users):
    plan = make_plan(Participation(time_limit=1.5, minimum=2), cohort=0)

    def seconds(worker: str, number: int) -> float:
        return IN_TURN[worker] if number == 2 else 0.0

    exchange = Clocked(in_memory(plan, users), seconds)
    first, second, third, _ = run_all(tmp_path, plan, exchange)
    report = second.history[-1]
    assert report.abandoned == "1 of 6 users answered in time, at least 2 must"
    assert (report.users, report.words, report.loss, report.late) == (0, 0, 0.0, 5)
    assert report.bytes_down > 3 * 4 * MODEL.parameters  # it was sent out all the same
    assert np.array_equal(second.weights, first.weights)
    assert np.array_equal(second.optimizer.first, first.optimizer.first)
    assert np.array_equal(second.optimizer.second, first.optimizer.second)
    assert not np.array_equal(third.weights, second.weights)
    assert third.history[-1].abandoned == ""


def test_the_minimum_is_enough(tmp_path, in_memory, users):
    plan = make_plan(Participation(time_limit=2.5, minimum=3), cohort=0, rounds=1)
    report = run_all(tmp_path, plan, Clocked(in_memory(plan, users), in_turn))[0].history[0]
    assert (report.users, report.abandoned) == (3, "")


def test_a_round_that_all_miss_is_abandoned_without_a_minimum_too(tmp_path, in_memory, users):
    plan = make_plan(Participation(time_limit=0.5), cohort=0, rounds=1)
    (state,) = run_all(tmp_path, plan, Clocked(in_memory(plan, users), in_turn))
    assert state.history[0].abandoned == "0 of 6 users answered in time, at least 1 must"
    assert np.array_equal(state.weights, weights_at_start())


def test_absent_workers_may_leave_too_few_as_well(tmp_path, in_memory, users):
    plan = make_plan(Participation(minimum=4), cohort=0, rounds=1, quorum=0.3)
    exchange = in_memory(plan, users, silent=lambda worker, phase, number: worker == "one")
    (state,) = run_all(tmp_path, plan, exchange)
    assert state.history[0].abandoned.startswith("3 of 6 users")
    assert state.history[0].absent == {"one": "it is asleep"}


def test_nobody_is_sent_a_round_that_has_too_few_from_the_start(tmp_path, in_memory, users):
    plan = make_plan(Participation(cycle=6, minimum=2), rounds=2, validate_every=9)
    exchange = in_memory(plan, users)
    states = run_all(tmp_path, plan, exchange)
    assert exchange.calls == []
    report = states[0].history[0]
    assert report.abandoned == "1 users drawn, at least 2 must be"
    assert (report.bytes_down, report.bytes_up, report.late) == (0, 0, 0)


def test_many_abandoned_rounds_in_a_row_end_a_run_that_may_try_as_many_again(
    tmp_path, in_memory, users
):
    plan = make_plan(Participation(time_limit=1.5, minimum=2), cohort=0, rounds=40)
    missing = Clocked(in_memory(plan, users), in_turn)
    checkpoint = Checkpoint(tmp_path, plan_digest(plan))
    for more in (1, 2):
        with pytest.raises(NoQuorum, match=f"{more * MOST_ABANDONED} rounds in a row") as error:
            run_all(tmp_path, plan, missing, checkpoint.load())
        assert "1 of 6 users answered in time" in error.value.message
        assert error.value.hint
        kept = checkpoint.load()
        assert kept is not None
        assert kept.number == more * MOST_ABANDONED
    there = Clocked(in_memory(plan, users), lambda worker, number: 0.0)
    assert run_all(tmp_path, plan, there, kept)[-1].number == 40


def test_a_round_that_counts_begins_the_row_anew(tmp_path, in_memory, users):
    plan = make_plan(Participation(time_limit=1.5, minimum=2), cohort=0, rounds=19)

    def seconds(worker: str, number: int) -> float:
        return 0.0 if number == 10 else IN_TURN[worker]

    states = run_all(tmp_path, plan, Clocked(in_memory(plan, users), seconds))
    assert sum(bool(report.abandoned) for report in states[-1].history) == 18


# --- nobody ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "who", [Participation("poisson"), Participation(availability=0.2)], ids=["poisson", "reach"]
)
def test_a_round_that_draws_nobody_is_a_round_without_an_update(tmp_path, in_memory, users, who):
    plan = make_plan(who, cohort=1, rounds=40)
    exchange = in_memory(plan, users)
    states = run_all(tmp_path, plan, exchange)
    empty = [number for number in range(1, 41) if not draw_cohort(plan, number)]
    assert 5 < len(empty) < 35
    assert [report.number for report in states[-1].history if not report.users] == empty
    assert {number for _, number, _ in exchange.calls}.isdisjoint(empty)
    before = weights_at_start()
    for state in states:
        assert np.array_equal(state.weights, before) == (state.number in empty)
        assert state.history[-1].abandoned == ""
        before = state.weights


# --- the same after a restart ---------------------------------------------------------------------

SCAFFOLD = {"aggregation": "scaffold", "weighting": Weighting("equal")}
TOPK = {"compression": Compression(up="topk", share=0.2)}
EACH = {
    "size": Participation("size"),
    "poisson": Participation("poisson"),
    "reach": Participation(availability=0.4),
    "cycle": Participation(cycle=3),
    "late": Participation(over_select=0.7),
    "missed": Participation(over_select=0.7, time_limit=2.5, minimum=3),
}


@pytest.mark.parametrize(
    ("who", "killed_after", "more"),
    [
        *((who, after, {}) for who in EACH for after in (1, 4)),
        *((who, 2, SCAFFOLD) for who in EACH if who != "size"),
        *((who, 3, TOPK) for who in EACH),
    ],
    ids=str,
)
def test_a_run_goes_on_with_the_same_cohorts_to_the_same_bits(
    tmp_path, in_memory, users, who, killed_after, more
):
    plan = make_plan(EACH[who], rounds=6, **more)
    whole = Clocked(in_memory(plan, users), in_turn)
    states = run_all(tmp_path / "whole", plan, whole)
    cut = Clocked(in_memory(plan, users), in_turn)
    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan))
    going = train(plan, start(plan, weights_at_start()), cut, unmeasured, checkpoint)
    for _ in range(killed_after):
        next(going)
    going.close()
    rest = run_all(tmp_path / "cut", plan, cut, checkpoint.load())
    assert len(rest) == 6 - killed_after
    assert all(same(a, b) for a, b in zip(rest, states[killed_after:], strict=True))
    assert cut.inner.calls == whole.inner.calls  # sizes are asked for once, too


# --- by size --------------------------------------------------------------------------------------


def totals(users: Users) -> dict[str, int]:
    return {w: sum(words_trained(u, WORK) for u in some.values()) for w, some in users.items()}


def test_by_size_the_update_is_the_equal_mean_of_the_draws(tmp_path, in_memory, users):
    """Against each draw trained alone; some users are drawn twice within these rounds."""
    plan = make_plan(Participation("size"), cohort=5, sizes=totals(users))
    twice = 0
    for number in range(1, 7):
        found, _ = run_round(
            plan,
            MEAN,
            number,
            weights_at_start(),
            in_memory(plan, users),
            Checkpoint(tmp_path, "p"),
        )
        updates, losses = [], []
        for worker, draws in draw_cohort(plan, number).items():
            names = sorted(users[worker])
            who = who_trains(
                plan,
                number,
                draws,
                names,
                lambda w=worker, n=names: [words_trained(users[w][name], WORK) for name in n],
            )
            twice += len(who) - len({place for place, _ in who})
            for place, seed in who:
                summed, words, loss = train_group(
                    weights_at_start(), MODEL, WORK, [(users[worker][names[place]], seed)]
                )
                updates.append(summed / words)
                losses.append(loss / words)
        assert len(updates) == 5
        assert found.update == pytest.approx(np.mean(updates, axis=0), abs=1e-6)
        assert found.loss == pytest.approx(np.mean(losses))
        assert (found.users, found.words) == (5, 0)
    assert twice


def test_by_size_draws_of_some_messages_may_count_by_their_words(tmp_path, in_memory, users):
    work = dataclasses.replace(WORK, messages=2)
    plan = make_plan(
        Participation("size"),
        cohort=5,
        sizes=totals(users),
        local=work,
        weighting=Weighting("words"),
    )
    found, _ = run_round(
        plan, MEAN, 1, weights_at_start(), in_memory(plan, users), Checkpoint(tmp_path, "p")
    )
    total, words = np.zeros(MODEL.parameters), 0
    for worker, draws in draw_cohort(plan, 1).items():
        names = sorted(users[worker])
        sizes = [words_trained(users[worker][name], WORK) for name in names]
        had = Counter[int]()
        for place, seed in who_trains(plan, 1, draws, names, lambda s=sizes: s):
            user, order = users[worker][names[place]], seed_for(plan.seed, names[place])
            taken = user.some(rows_of(user.messages, 2, order, had[place]))
            had[place] += 1
            summed, weight, _ = train_group(weights_at_start(), MODEL, work, [(taken, seed)])
            assert taken.messages <= 2
            total += summed
            words += weight
    assert found.update == pytest.approx(total / words, abs=1e-6)
    assert (found.users, found.words) == (5, words)


@pytest.mark.parametrize(("more", "possible"), [(0, True), (1, False)])
def test_nobody_can_train_on_more_words_than_some_messages_hold(more, possible):
    work = dataclasses.replace(WORK, epochs=1, messages=2)
    plan = make_plan(Participation(), local=work, weighting=Weighting("words"))
    update = {"update": np.zeros(MODEL.parameters, np.float32)}
    words = 3 * 2 * work.max_positions + more
    reply = Parcel({"words": words, "users": 3, "loss": 0.0}, update)
    if possible:
        MEAN.steps[0].phase.check(plan, "one", reply)
        return
    with pytest.raises(BadMessage, match="claims"):
        MEAN.steps[0].phase.check(plan, "one", reply)


def test_by_size_the_update_is_on_average_that_of_everybody(tmp_path, in_memory, users):
    """One step a user, so that the seed decides nothing but who is drawn."""
    work = dataclasses.replace(WORK, batch=99, max_positions=99)
    words = {w: sum(u.words for u in some.values()) for w, some in users.items()}
    everybody = make_plan(Participation(), cohort=0, local=work)
    folder = Checkpoint(tmp_path, "p")
    whole, _ = run_round(
        everybody, MEAN, 1, weights_at_start(), in_memory(everybody, users), folder
    )
    plan = make_plan(Participation("size"), cohort=2, local=work, rounds=9999, sizes=words)
    found = np.array(
        [
            run_round(plan, MEAN, n, weights_at_start(), in_memory(plan, users), folder)[0].update
            for n in range(1, 301)
        ]
    )
    spread = found.std(axis=0) / np.sqrt(len(found))
    off = (found.mean(axis=0) - whole.update)[spread > 1e-9] / spread[spread > 1e-9]
    assert np.sqrt(np.mean(off**2)) < 2  # about 1, if only chance is between them
    equally = np.mean(
        [mean_by_words(plan, users, {w: (i,)}, 1) for w in users for i in range(len(users[w]))],
        axis=0,
    )
    wrong = (found.mean(axis=0) - equally)[spread > 1e-9] / spread[spread > 1e-9]
    assert np.sqrt(np.mean(wrong**2)) > 3  # what drawing all users alike would come to


def test_sizes_are_asked_once_and_kept(tmp_path, in_memory, users):
    plan = make_plan(Participation("size"), rounds=2)
    exchange = in_memory(plan, users)
    states = run_all(tmp_path, plan, exchange)
    assert exchange.calls[0] == ("count", 1, ("one", "three", "two"))
    assert [phase for phase, _, _ in exchange.calls] == ["count", "train", "train"]
    kept = json.loads((tmp_path / SIZES).read_text())
    assert kept == {"plan": plan_digest(plan), "words": totals(users)}
    first, second = states[-1].history
    assert first.bytes_up - second.bytes_up > 100  # the count moved something too
    # Another plan's are asked for anew.
    other = dataclasses.replace(plan, seed=4)
    again = in_memory(other, users)
    run_all(tmp_path, other, again)
    assert again.calls[0][0] == "count"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"plan": 1}', '{"words": {"one": "x"}}'])
def test_damaged_sizes_are_asked_for_again(tmp_path, in_memory, users, damage):
    plan = make_plan(Participation("size"), rounds=1)
    (state,) = run_all(tmp_path / "whole", plan, in_memory(plan, users))
    (tmp_path / SIZES).write_text(damage)
    exchange = in_memory(plan, users)
    (again,) = run_all(tmp_path, plan, exchange)
    assert exchange.calls[0][0] == "count"
    assert same(state, again)


def test_a_worker_that_tells_no_size_is_never_drawn(tmp_path, in_memory, users):
    plan = make_plan(Participation("size"), rounds=8)
    exchange = in_memory(plan, users, silent=lambda w, phase, n: (w, phase) == ("one", "count"))
    states = run_all(tmp_path, plan, exchange)
    asked = {w for phase, _, some in exchange.calls if phase == "train" for w in some}
    assert asked == {"two", "three"}
    assert [report.absent for report in states[-1].history][:2] == [{"one": "it is asleep"}, {}]


def test_too_few_sizes_are_no_quorum(tmp_path, in_memory, users):
    plan = make_plan(Participation("size"))
    exchange = in_memory(plan, users, silent=lambda w, phase, n: w != "one")
    with pytest.raises(NoQuorum, match="1 of 3 workers told"):
        run_all(tmp_path, plan, exchange)


def test_nobody_with_a_word_is_no_quorum(tmp_path, in_memory, users, laid):
    plan = make_plan(Participation("size"))
    nothing = {w: dict.fromkeys(some, laid([], 16)) for w, some in users.items()}
    with pytest.raises(NoQuorum, match="3 of 3 workers told how many words they have, 0 in all"):
        run_all(tmp_path, plan, in_memory(plan, nothing))


@pytest.mark.parametrize("words", [-1, 1 << 40, (1 << 63) - 1])
def test_sizes_that_can_not_be_are_refused(words):
    with pytest.raises(BadMessage, match="claims"):
        COUNT.check(make_plan(Participation("size")), "one", Parcel({"words": words}))


def test_sizes_are_told_under_no_other_plan():
    with pytest.raises(BadMessage, match="by size"):
        COUNT.request(make_plan(Participation()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weighting": Weighting("words")}, "weights by words"),
        ({"weighting": Weighting("clipped", 9)}, "weights by clipped"),
        ({"aggregation": "scaffold"}, "SCAFFOLD"),
    ],
    ids=str,
)
def test_by_size_goes_with_equal_weights_and_plain_means_alone(changes, message):
    plan = make_plan(Participation("size"))
    with pytest.raises(BadSettings, match=message):
        dataclasses.replace(plan, **changes)


@pytest.mark.parametrize(("words", "users"), [(0, 4), (1, 3), (0, -1), (-1, 3)])
def test_by_size_a_worker_has_no_more_weight_than_draws(words, users):
    plan = make_plan(Participation("size"), cohort=3)
    update = {"update": np.zeros(MODEL.parameters, np.float32)}
    reply = Parcel({"words": words, "users": users, "loss": 0.0}, update)
    with pytest.raises(BadMessage, match="claims"):
        MEAN.steps[0].phase.check(plan, "three", reply)
    # As many draws as were made may all be of one worker's only user.
    MEAN.steps[0].phase.check(plan, "three", Parcel({"words": 0, "users": 3, "loss": 0.0}, update))


def test_no_answer_tells_how_much_a_user_has_written(memory_worker, users):
    """Two workers of the same names, one with far more text: their answers differ in no number that
    counts words."""
    plan = make_plan(Participation("size"))
    request = Parcel(arrays={"weights": weights_at_start(), "users": np.arange(2, dtype=np.int64)})
    found = []
    for user in (users["one"]["a"], users["one"]["c"]):
        worker = memory_worker(plan, {"train": {"a": user}})
        found.append(MEAN.steps[0].phase.answer(worker, 1, request).fields)
    assert users["one"]["a"].words < users["one"]["c"].words
    assert [(f["words"], f["users"]) for f in found] == [(0, 2), (0, 2)]


def test_a_round_without_an_update_is_told_from_one_that_moves_nothing(tmp_path, in_memory, users):
    plan = make_plan(Participation("poisson"), cohort=1)
    empty = next(n for n in range(1, 99) if not draw_cohort(plan, n))
    found, _ = run_round(
        plan, MEAN, empty, weights_at_start(), in_memory(plan, users), Checkpoint(tmp_path, "p")
    )
    assert found is NO_UPDATE
