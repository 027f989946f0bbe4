"""Who answers in time, by a simulated clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nwp.errors import BadMessage
from nwp.federated.averaging import MEAN
from nwp.federated.cohort import draw_cohort, who_trains
from nwp.federated.local import words_trained
from nwp.federated.parcel import Parcel
from nwp.federated.participation import Participation
from nwp.federated.plan import TrainPlan
from nwp.federated.protocol import FOR_ALL, Replies, Wait
from nwp.federated.sizes import COUNT
from nwp.federated.weighting import Weighting
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import encode
from nwp.workers.arrivals import WORDS_A_SECOND, response_seconds, take_in
from nwp.workers.simulation import Job, Simulation

TRAIN = MEAN.steps[0].phase
BY_SIZE: dict[str, Any] = {
    "participation": Participation("size"),
    "weighting": Weighting("equal"),
}
Simulate = Callable[..., Simulation]


# ------------------------------------------------------------------------------------- how long


def test_at_equal_speed_the_longest_text_decides() -> None:
    assert response_seconds([100, 700, 300], 0.0, 1) == 700 / WORDS_A_SECOND
    assert response_seconds([], 0.5, 1) == 0.0


def test_seconds_follow_the_words_and_are_drawn_by_seed() -> None:
    assert response_seconds([500], 0.7, 3) == response_seconds([500], 0.7, 3)
    assert response_seconds([1000], 0.7, 3) == pytest.approx(2 * response_seconds([500], 0.7, 3))
    assert response_seconds([500], 0.7, 3) != response_seconds([500], 0.7, 4)


def test_speeds_are_log_normal() -> None:
    logs = np.log([response_seconds([WORDS_A_SECOND], 0.8, seed) for seed in range(4000)])
    assert np.mean(logs) == pytest.approx(0, abs=4 * 0.8 / math.sqrt(4000))
    assert np.std(logs) == pytest.approx(0.8, rel=0.05)
    assert np.mean(logs > 0.8) == pytest.approx(0.1587, abs=0.025)  # one sigma above the median


def test_the_slowest_of_several_users_is_that_of_independent_ones() -> None:
    """P(max <= 1) of three is 1/8 where each is below its median half of the time."""
    inside = [response_seconds([WORDS_A_SECOND] * 3, 0.8, seed) <= 1 for seed in range(4000)]
    assert np.mean(inside) == pytest.approx(1 / 8, abs=0.022)


# ---------------------------------------------------------------------------------- who is in time


def taken(
    seconds: dict[str, float], wait: Wait, failing: Sequence[str] = ()
) -> tuple[list[list[str]], tuple[str, ...], float]:
    """Which workers were served in which order, who was late, how long was waited."""
    served: list[list[str]] = []

    def serve(workers: Sequence[str]) -> set[str]:
        served.append(list(workers))
        return {w for some in served for w in some if w not in failing}

    late, waited = take_in(seconds, wait, lambda worker: -ord(worker), serve)
    return served, late, waited


SECONDS = {"a": 4.0, "b": 2.0, "c": 3.0, "d": 1.0}
ONE_EACH = dict.fromkeys("abcd", 1)


@pytest.mark.parametrize(
    ("wait", "served", "late", "waited"),
    [
        (FOR_ALL, [["d", "b", "c", "a"]], (), 4.0),
        (Wait(0, 0.0, ONE_EACH), [["d", "b", "c", "a"]], (), 4.0),
        (Wait(1, 0.0, ONE_EACH), [["d"]], ("a", "b", "c"), 1.0),
        (Wait(3, 0.0, ONE_EACH), [["d", "b", "c"]], ("a",), 3.0),
        (Wait(9, 0.0, ONE_EACH), [["d", "b", "c", "a"]], (), 4.0),
        (Wait(3, 0.0, {**ONE_EACH, "b": 2}), [["d", "b"]], ("a", "c"), 2.0),
        (Wait(2, 0.0, {**ONE_EACH, "d": 5}), [["d"]], ("a", "b", "c"), 1.0),
        (Wait(0, 2.0, ONE_EACH), [["d", "b"]], ("a", "c"), 2.0),
        (Wait(0, 2.5, ONE_EACH), [["d", "b"]], ("a", "c"), 2.5),
        (Wait(0, 0.5, ONE_EACH), [], ("a", "b", "c", "d"), 0.5),
        (Wait(1, 2.5, ONE_EACH), [["d"]], ("a", "b", "c"), 1.0),
        (Wait(3, 2.5, ONE_EACH), [["d", "b"]], ("a", "c"), 2.5),
        (Wait(4, 4.0, ONE_EACH), [["d", "b", "c", "a"]], (), 4.0),
    ],
    ids=str,
)
def test_answers_are_taken_in_until_the_goal_or_the_limit(
    wait: Wait, served: list[list[str]], late: tuple[str, ...], waited: float
) -> None:
    assert taken(SECONDS, wait) == (served, late, waited)


def test_who_fails_is_made_up_for_by_who_comes_next() -> None:
    wait = Wait(2, 0.0, ONE_EACH)
    assert taken(SECONDS, wait, failing="b") == ([["d", "b"], ["c"]], ("a",), 3.0)
    assert taken(SECONDS, wait, failing="bcd") == ([["d", "b"], ["c", "a"]], (), 4.0)


def test_a_lot_decides_between_those_who_answer_at_once() -> None:
    seconds = dict.fromkeys("abcd", 0.0)
    assert taken(seconds, Wait(2, 0.0, ONE_EACH)) == ([["d", "c"]], ("a", "b"), 0.0)


def test_nobody_asked_is_nobody_waited_for() -> None:
    assert taken({}, Wait(1, 1.0, {})) == ([], (), 0.0)


# ------------------------------------------------------------------------------- in the simulation


def asking(
    simulation: Simulation, job: Job, number: int, weights: FloatArray, wait: Wait = FOR_ALL
) -> Replies:
    """One round's training of everybody whom the plan draws."""
    plan = job.plan
    assert isinstance(plan, TrainPlan)
    requests = {
        worker: Parcel(arrays={"weights": weights, "users": np.array(users, np.int64)})
        for worker, users in draw_cohort(plan, number).items()
    }
    return simulation.exchange(job)(TRAIN, number, requests, wait)


def test_a_simulated_answer_takes_as_long_as_the_words_that_are_trained_on(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray
) -> None:
    plan = replace(plan, local=replace(plan.local, epochs=3, max_positions=4))
    simulation = simulate(stragglers=1e-9)
    users = simulation.corpus.users
    for worker, names in simulation.deals.items():
        for asked in ([0], [1, 2], [0, 1, 2]):
            request = Parcel(arrays={"users": np.array(asked, np.int64)})
            longest = max(
                words_trained(encode(users[names[i]][:8], plan.vocabulary()), plan.local)
                for i in asked
            )
            found = simulation.seconds(plan, worker, 1, request)
            assert found == pytest.approx(3 * longest / WORDS_A_SECOND, rel=1e-6)


def test_the_clock_runs_for_no_more_messages_than_a_round_takes(
    simulate: Simulate, plan: TrainPlan
) -> None:
    plan = replace(plan, local=replace(plan.local, messages=2))
    simulation = simulate(stragglers=1e-9)
    names = simulation.deals["worker-1"]
    request = Parcel(arrays={"users": np.array([1], np.int64)})
    user = encode(simulation.corpus.users[names[1]][:8], plan.vocabulary())
    words = round(words_trained(user, plan.local) / 4)  # of eight messages, two in a turn
    assert words
    seconds = simulation.seconds(plan, "worker-1", 1, request)
    assert seconds == pytest.approx(words / WORDS_A_SECOND, rel=1e-6)


def test_by_size_the_clock_runs_for_those_that_the_worker_draws(
    simulate: Simulate, plan: TrainPlan
) -> None:
    plan = replace(plan, **BY_SIZE, cohort=2)
    simulation = simulate(stragglers=1e-9)
    names = simulation.deals["worker-1"]
    words = [
        words_trained(encode(simulation.corpus.users[n][:8], plan.vocabulary()), plan.local)
        for n in names
    ]
    assert len(set(words)) == 3
    for number in range(1, 20):
        request = Parcel(arrays={"users": np.arange(1, dtype=np.int64)})
        ((place, _),) = who_trains(plan, number, [0], names, lambda: words)
        found = simulation.seconds(plan, "worker-1", number, request)
        assert found == pytest.approx(words[place] / WORDS_A_SECOND, rel=1e-6)


def test_without_stragglers_and_without_training_all_answer_at_once(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray
) -> None:
    users = Parcel(arrays={"users": np.array([0], np.int64)})
    assert simulate().seconds(plan, "worker-1", 1, users) == 0.0
    slow = simulate(stragglers=1.0)
    assert slow.seconds(plan, "worker-1", 1, Parcel(arrays={"weights": weights})) == 0.0
    assert slow.seconds(plan, "worker-1", 1, users) > 0.0


def test_a_late_worker_gets_the_model_and_computes_nothing(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray
) -> None:
    sent: list[tuple[str, str]] = []
    simulation = simulate(
        stragglers=0.5, tap=lambda sender, receiver, name, payload: sent.append((sender, receiver))
    )
    job = simulation.submit(plan, "train")
    seconds = {
        w: simulation.seconds(plan, w, 1, Parcel(arrays={"users": np.array([0, 1, 2], np.int64)}))
        for w in simulation.deals
    }
    first, last = sorted(seconds, key=lambda worker: seconds[worker])
    replies = asking(simulation, job, 1, weights, Wait(3, 0.0, {first: 3, last: 3}))
    assert set(replies.answers) == {first}
    assert (replies.late, replies.waited) == ((last,), seconds[first])
    assert replies.absent == {}
    assert simulation.datasites[last].ledger.entries == []
    assert not any(sender.startswith(last) for sender, _ in sent)
    # Nothing of this round is left for the next one, in which both are in time.
    again = asking(simulation, job, 2, weights)
    assert set(again.answers) == {first, last}
    assert again.late == ()
    assert again.waited > 0
    assert replies.bytes_down == pytest.approx(again.bytes_down, rel=0.01)
    assert 2 * replies.bytes_up == pytest.approx(again.bytes_up, rel=0.01)


def test_the_late_of_a_tie_change_from_round_to_round(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray
) -> None:
    """Where all answer at once, no worker is always the one that is dropped."""
    simulation = simulate(workers=6)
    workers = dict.fromkeys(simulation.deals, 1)
    plan = replace(plan, workers=workers, rounds=8)
    job = simulation.submit(plan, "train")
    late = [
        asking(simulation, job, number, weights, Wait(3, 0.0, workers)).late
        for number in range(1, 9)
    ]
    assert all(len(some) == 3 for some in late)
    assert {worker for some in late for worker in some} == set(workers)


def test_a_worker_that_refuses_is_made_up_for(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray
) -> None:
    simulation = simulate(workers=3, stragglers=0.5)
    plan = replace(plan, workers=dict.fromkeys(simulation.deals, 2))
    job = simulation.submit(plan, "train")
    users = Parcel(arrays={"users": np.array([0, 1], np.int64)})
    seconds = {w: simulation.seconds(plan, w, 1, users) for w in simulation.deals}
    first, second, third = sorted(seconds, key=lambda worker: seconds[worker])
    simulation.datasites[first].revoke(job.digest)
    replies = asking(simulation, job, 1, weights, Wait(2, 0.0, dict.fromkeys(seconds, 2)))
    assert set(replies.answers) == {second}
    assert replies.absent == {first: "its owner has not approved this plan"}
    assert (replies.late, replies.waited) == ((third,), seconds[second])


# ------------------------------------------------------------------------------------------- sizes


def test_a_worker_tells_its_words_in_all_under_a_plan_that_samples_by_size(
    simulate: Simulate, plan: TrainPlan
) -> None:
    payloads: list[bytes] = []
    simulation = simulate(tap=lambda sender, receiver, name, payload: payloads.append(payload))
    by_size = replace(plan, **BY_SIZE, cohort=2)
    job = simulation.submit(by_size, "train")
    requests = dict.fromkeys(simulation.deals, Parcel())
    replies = simulation.exchange(job)(COUNT, 1, requests)
    for worker, names in simulation.deals.items():
        words = sum(
            words_trained(encode(simulation.corpus.users[n][:8], plan.vocabulary()), plan.local)
            for n in names
        )
        assert replies.answers[worker].fields == {"words": words}
    assert all(len(payload) < 400 for payload in payloads)
    # Once only, as everything else.
    again = simulation.exchange(job)(COUNT, 1, requests)
    assert set(again.absent.values()) == {"it has answered this round already"}


def test_a_worker_tells_no_size_under_another_plan(simulate: Simulate, plan: TrainPlan) -> None:
    simulation = simulate()
    job = simulation.submit(plan, "train")
    anyway = replace(COUNT, request=_nothing, reply=_words)
    replies = simulation.exchange(job)(anyway, 1, dict.fromkeys(simulation.deals, Parcel()))
    assert set(replies.absent.values()) == {"the request was damaged or not as agreed"}


def _nothing(plan: Any) -> Any:
    return COUNT.request(replace(plan, **BY_SIZE))


def _words(plan: Any) -> Any:
    return COUNT.reply(plan)


def test_more_draws_than_the_plan_has_are_refused(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray
) -> None:
    simulation = simulate()
    job = simulation.submit(replace(plan, **BY_SIZE, cohort=2), "train")
    users = np.arange(3, dtype=np.int64)
    requests = {
        worker: Parcel(arrays={"weights": weights, "users": users}) for worker in simulation.deals
    }
    replies = simulation.exchange(job)(TRAIN, 1, requests)
    assert set(replies.absent.values()) == {"the request was damaged or not as agreed"}
    with pytest.raises(BadMessage):
        who_trains(job.plan, 1, [0, 1, 2], ["a"], lambda: [1])  # type: ignore[arg-type]
