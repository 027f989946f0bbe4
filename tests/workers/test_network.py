"""The server waits: for decisions, for answers, for who sleeps, and never longer than it was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from gathering import ASK, Clock, Gathering, requests_for, stop_time
from owners import SERVER, TRAIN, asking

from nwp.errors import Interrupted, NoQuorum, TransportError
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.averaging import MEAN
from nwp.federated.parcel import Parcel
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Wait
from nwp.workers.jobs import Job, request_name
from nwp.workers.network import Network, Patience
from nwp.workers.offers import Decision, decision_name, write_decision
from nwp.workers.policy import Policy

Gather = Callable[..., Gathering]
ALL = ("worker-1", "worker-2", "worker-3")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of server and owners, on which nobody sleeps."""
    return stop_time(monkeypatch, "network", "attending")


@pytest.fixture
def plan(plan: TrainPlan) -> TrainPlan:
    """Two rounds on three workers of two users each."""
    return replace(plan, workers=dict.fromkeys(ALL, 2))


@pytest.fixture
def meeting(gather: Gather, clock: Clock) -> Gathering:
    """Three owners whose rules approve, and who look whenever the server rests."""
    meeting = gather(3)
    clock.meanwhile = meeting.all_look
    return meeting


def ready(meeting: Gathering, plan: TrainPlan, **more: Any) -> tuple[Network, Job]:
    """A network with a job that all owners have approved."""
    network = meeting.network(**more)
    return network, network.submit(plan, "train")


def later(clock: Clock, meeting: Gathering, when: Mapping[str, float]) -> None:
    """Let each owner look only from its time on, in seconds from now; others never."""
    began = clock.now

    def look() -> None:
        meeting.all_look(*(n for n, after in when.items() if clock.now >= began + after))

    clock.meanwhile = look


# --------------------------------------------------------------------------------------- decisions


def test_an_offer_is_approved_by_all(meeting: Gathering, plan: TrainPlan, clock: Clock) -> None:
    _, job = ready(meeting, plan)

    assert job.approved == ALL
    assert job.refused == {}
    assert sum(clock.slept) < 1


def test_the_server_waits_for_owners_who_have_not_decided_and_tells(
    gather: Gather, plan: TrainPlan, clock: Clock
) -> None:
    meeting = gather(3, policy=ASK)
    began, digest = clock.now, plan_digest(plan)

    def decide() -> None:
        meeting.all_look()
        if clock.now > began + 100:
            for owner in meeting.owners.values():
                if owner.consents.all[digest].decision == Decision.PENDING:
                    owner.consents.decide(digest, Decision.APPROVED, by="owner")

    clock.meanwhile = decide
    told: list[str] = []
    _, job = ready(meeting, plan, tell=told.append)

    assert job.approved == ALL
    assert 100 < clock.now - began < 110
    assert told == ["train: 0 of 3 owners have approved; waiting for worker-1, worker-2, worker-3"]


def test_with_enough_approvals_the_others_are_waited_for_a_minute_and_take_part_later(
    meeting: Gathering, plan: TrainPlan, clock: Clock, weights: Any
) -> None:
    began = clock.now
    later(clock, meeting, {"worker-1": 0, "worker-2": 0})
    network, job = ready(meeting, plan)
    assert job.approved == ALL[:2]
    assert job.refused == {"worker-3": Decision.PENDING.words}
    assert 60 < clock.now - began < 63

    exchange = network.exchange(job)
    replies = exchange(TRAIN, 1, requests_for(meeting, weights))
    assert sorted(replies.answers) == ["worker-1", "worker-2"]
    assert replies.absent == {"worker-3": Decision.PENDING.words}

    clock.meanwhile = meeting.all_look
    meeting.all_look()
    replies = exchange(TRAIN, 2, requests_for(meeting, weights))
    assert sorted(replies.answers) == list(ALL)
    assert replies.absent == {}


def test_too_few_approvals_end_it_at_once_when_no_more_can_come(
    meeting: Gathering, plan: TrainPlan, clock: Clock
) -> None:
    began = clock.now
    for name in ALL[:2]:
        meeting.owners[name].policy = Policy(kinds=("survey",))

    with pytest.raises(NoQuorum, match="1 of 3 owners have approved the plan, at least 2") as told:
        meeting.network().submit(plan, "train")

    assert Decision.DENIED.words in told.value.message
    assert "nwp worker requests" in told.value.hint
    assert clock.now - began < 1


def test_nobody_is_waited_for_longer_than_told(
    gather: Gather, plan: TrainPlan, clock: Clock
) -> None:
    began = clock.now

    with pytest.raises(NoQuorum, match="0 of 3"):
        gather(3).network(Patience(decision=500)).submit(plan, "train")

    assert 500 < clock.now - began < 503


def test_waiting_for_decisions_can_be_stopped(
    gather: Gather, plan: TrainPlan, clock: Clock
) -> None:
    began = clock.now

    with pytest.raises(Interrupted, match="worker-1, worker-2, worker-3 had not decided"):
        gather(3).network(stopped=lambda: clock.now > began + 5).submit(plan, "train")

    assert clock.now - began < 8


def test_a_decision_that_is_damaged_is_none(gather: Gather, plan: TrainPlan, clock: Clock) -> None:
    meeting = gather(3)
    digest = plan_digest(plan)
    said = {
        "worker-1": b"yes, yes",
        "worker-2": write_decision("0" * 64, Decision.APPROVED)[1],
        "worker-3": write_decision(digest, Decision.APPROVED)[1],
    }
    for name, message in said.items():
        meeting.owners[name].site.channel.send(SERVER, decision_name(digest), message)

    with pytest.raises(NoQuorum, match="1 of 3") as told:
        meeting.network().submit(plan, "train")

    assert "worker-2: a decision on another plan" in told.value.message


def test_a_server_that_begins_again_finds_its_offer_and_the_decisions(
    meeting: Gathering, plan: TrainPlan, clock: Clock
) -> None:
    ready(meeting, plan)
    files, slept = set(meeting.store.files), len(clock.slept)

    _, job = ready(meeting, plan)

    assert job.approved == ALL
    assert set(meeting.store.files) == files
    assert len(clock.slept) == slept


# ----------------------------------------------------------------------------------------- answers


def test_all_answers_are_taken_in_and_nothing_is_left(
    meeting: Gathering, plan: TrainPlan, weights: Any
) -> None:
    network, job = ready(meeting, plan)
    files = set(meeting.store.files)

    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    assert sorted(replies.answers) == list(ALL)
    assert (replies.absent, replies.late) == ({}, ())
    assert replies.bytes_down > 3 * weights.nbytes
    assert replies.bytes_up > 3 * weights.nbytes
    meeting.all_look()
    assert set(meeting.store.files) == files

    network.close(job)
    meeting.all_look()
    assert all(owner.outbox <= {"hello"} for owner in meeting.owners.values())


def test_who_is_silent_is_waited_for_as_told_and_the_next_time_for_the_grace_alone(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    told: list[str] = []
    network, job = ready(meeting, plan, patience=Patience(answer=100, grace=7), tell=told.append)
    exchange = network.exchange(job)
    later(clock, meeting, dict.fromkeys(ALL[:2], 0))

    first = exchange(TRAIN, 1, requests_for(meeting, weights))
    second = exchange(TRAIN, 2, requests_for(meeting, weights))

    assert sorted(first.answers) == sorted(second.answers) == list(ALL[:2])
    assert first.late == second.late == ("worker-3",)
    assert 100 < first.waited < 103
    assert 7 < second.waited < 10
    assert told == ["round 1: waiting for worker-3"]
    assert network._silent == {"worker-3"}


def test_who_was_silent_and_answers_again_is_waited_for_as_anybody(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    network, job = ready(meeting, plan, patience=Patience(answer=100, grace=7))
    later(clock, meeting, dict.fromkeys(ALL[:2], 0))
    network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    clock.meanwhile = meeting.all_look
    replies = network.exchange(job)(TRAIN, 2, requests_for(meeting, weights))

    assert sorted(replies.answers) == list(ALL)
    assert network._silent == set()


def test_without_a_quorum_it_waits_on_until_there_is_one(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    network, job = ready(meeting, plan, patience=Patience(answer=10, longest=10_000))
    later(clock, meeting, {"worker-1": 0, "worker-2": 3000})

    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    assert sorted(replies.answers) == list(ALL[:2])
    assert 3000 < replies.waited < 3010


def test_without_a_quorum_it_ends_at_the_longest(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    network, job = ready(meeting, plan, patience=Patience(answer=10, longest=2000))
    later(clock, meeting, {"worker-1": 0})

    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    assert list(replies.answers) == ["worker-1"]
    assert replies.late == ALL[1:]
    assert 2000 < replies.waited < 2003


def test_a_turn_of_waiting_looks_at_the_store_once_for_all_owners(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, job = ready(meeting, plan, patience=Patience(answer=10, longest=100))
    drive, looks = network.channel._drive, 0
    each = type(drive).files_of_each

    def counted(self: Any, folders: Mapping[str, str]) -> dict[str, dict[str, str]]:
        nonlocal looks
        looks += self is drive
        return each(self, folders)

    monkeypatch.setattr(type(drive), "files_of_each", counted)
    clock.meanwhile = lambda: None
    clock.slept.clear()

    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    assert replies.late == ALL
    turns = len(clock.slept) + 1
    assert looks == turns + 2  # and one before requests are sent, one before they are taken away


def test_waiting_for_a_quorum_can_be_stopped_and_gone_on_with(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    began = clock.now
    network, job = ready(
        meeting, plan, patience=Patience(answer=10), stopped=lambda: clock.now > began + 100
    )
    later(clock, meeting, {"worker-1": 0})

    with pytest.raises(Interrupted, match="round 1, waiting for worker-2, worker-3"):
        network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    assert 100 < clock.now - began < 102.1
    clock.meanwhile = meeting.all_look
    meeting.all_look()  # who comes now answers what lies there
    network, job = ready(meeting, plan)
    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))
    assert sorted(replies.answers) == list(ALL)
    assert all(owner.answered == [("train", 1)] for owner in meeting.owners.values())


def test_waiting_for_a_way_to_the_others_can_be_stopped(
    meeting: Gathering, plan: TrainPlan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TransportError("the share is not mounted")

    began = clock.now
    network = meeting.network(stopped=lambda: clock.now > began + 100)
    monkeypatch.setattr(network.channel, "_listed", broken)

    with pytest.raises(Interrupted, match="the share is not mounted"):
        network.submit(plan, "train")

    assert 100 < clock.now - began < 102.1


def test_a_quorum_that_refusals_have_made_impossible_is_not_waited_for(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    network, job = ready(meeting, plan)
    for name in ALL[:2]:
        meeting.owners[name].policy = Policy(min_users=3)
    later(clock, meeting, dict.fromkeys(ALL[:2], 0))

    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    assert replies.answers == {}
    assert set(replies.absent) == set(ALL[:2])
    assert "rules do not allow" in replies.absent["worker-1"]
    assert replies.waited < 1


def test_a_time_limit_of_the_plan_holds(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    network, job = ready(meeting, plan)
    later(clock, meeting, {"worker-1": 0})

    wait = Wait(limit=20, users=dict.fromkeys(ALL, 2))
    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights), wait)

    assert list(replies.answers) == ["worker-1"]
    assert 20 < replies.waited < 23


def test_no_more_are_waited_for_than_the_goal_asks(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    network, job = ready(meeting, plan)
    later(clock, meeting, {"worker-1": 0, "worker-2": 30})

    wait = Wait(goal=4, users=dict.fromkeys(ALL, 2))
    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights), wait)

    assert sorted(replies.answers) == list(ALL[:2])
    assert replies.late == ("worker-3",)
    assert 30 < replies.waited < 40


def test_an_answer_that_comes_too_late_counts_nowhere(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    network, job = ready(meeting, plan, patience=Patience(answer=10, grace=1))
    exchange = network.exchange(job)
    later(clock, meeting, dict.fromkeys(ALL[:2], 0))
    owner = meeting.owners["worker-3"]
    send = owner.site.channel.send
    exchange(TRAIN, 1, requests_for(meeting, weights))
    # It had read the request before it was withdrawn, and sends its answer now, under both names.
    answer = meeting.owners["worker-1"].site.ledger
    message = answer.message(next(e.n for e in answer.entries if e.kind == "answer"))
    for number in (1, 2):
        send(SERVER, request_name(job.digest, number, TRAIN), message)

    replies = exchange(TRAIN, 2, requests_for(meeting, weights))

    assert sorted(replies.answers) == list(ALL[:2])
    assert replies.absent == {"worker-3": "its answer belongs to another request"}


def test_a_claim_that_can_not_be_true_is_not_counted(
    meeting: Gathering, plan: TrainPlan, weights: Any
) -> None:
    network, job = ready(meeting, plan)
    lying = replace(
        TRAIN,
        answer=lambda side, number, request: Parcel(
            {"words": 5, "users": 99, "loss": 0.0}, {"update": weights}
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        step = replace(MEAN.steps[0], phase=lying)
        patch.setitem(AGGREGATIONS, "mean", replace(MEAN, steps=(step,)))
        replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    assert replies.answers == {}
    assert "claims 5 words of 99 users" in replies.absent["worker-1"]


def test_an_approval_that_is_taken_back_makes_its_owner_absent(
    meeting: Gathering, plan: TrainPlan, weights: Any
) -> None:
    network, job = ready(meeting, plan)
    meeting.owners["worker-2"].consents.decide(job.digest, Decision.REVOKED, by="owner")

    replies = network.exchange(job)(TRAIN, 1, requests_for(meeting, weights))

    assert sorted(replies.answers) == ["worker-1", "worker-3"]
    assert list(replies.absent) == ["worker-2"]


def test_a_server_that_begins_again_finds_the_answers_that_lie_there(
    meeting: Gathering, plan: TrainPlan, weights: Any, clock: Clock
) -> None:
    network, job = ready(meeting, plan)
    requests = requests_for(meeting, weights)

    class Killed(BaseException):
        pass

    def answer_and_die() -> None:
        meeting.all_look()
        raise Killed

    clock.meanwhile = answer_and_die
    with pytest.raises(Killed):
        network.exchange(job)(TRAIN, 1, requests)

    def nobody() -> None:
        raise AssertionError("it need not wait for anybody")

    clock.meanwhile = nobody
    network, job = ready(meeting, plan)
    replies = network.exchange(job)(TRAIN, 1, requests)

    assert sorted(replies.answers) == list(ALL)


# ----------------------------------------------------------------------------- who was taken out


def test_who_was_taken_out_is_sent_nothing(
    meeting: Gathering, plan: TrainPlan, weights: Any
) -> None:
    gone: set[str] = set()
    network, job = ready(meeting, plan, gone=lambda: gone)
    exchange = network.exchange(job)
    exchange(TRAIN, 1, requests_for(meeting, weights))
    gone.add("worker-2")
    sent: list[str] = []
    network.channel.tap = lambda sender, to, name, payload: sent.append(to)

    replies = exchange(TRAIN, 2, requests_for(meeting, weights))

    assert sorted(replies.answers) == ["worker-1", "worker-3"]
    assert replies.absent == {"worker-2": "it has left"}
    assert meeting.owners["worker-2"].email not in sent


def test_who_was_taken_out_is_offered_nothing_and_counts_for_no_quorum(
    meeting: Gathering, plan: TrainPlan
) -> None:
    network, job = ready(meeting, plan, gone=lambda: {"worker-2", "worker-3"})

    assert job.approved == ("worker-1",)
    assert job.refused == dict.fromkeys(ALL[1:], "it has left")
    assert network.channel.names(meeting.owners["worker-2"].email, outgoing=True) == {}
    assert network.deals == {name: range(2) for name in ALL}


def test_a_request_is_only_for_who_is_asked(
    meeting: Gathering, plan: TrainPlan, weights: Any
) -> None:
    network, job = ready(meeting, plan)

    replies = network.exchange(job)(TRAIN, 1, {"worker-2": asking(weights, [0])})

    assert list(replies.answers) == ["worker-2"]
    assert meeting.owners["worker-1"].answered == []


def test_a_round_for_nobody_is_over_at_once(
    meeting: Gathering, plan: TrainPlan, clock: Clock
) -> None:
    network, job = ready(meeting, plan)
    slept = len(clock.slept)

    assert network.exchange(job)(TRAIN, 1, {}).answers == {}
    assert len(clock.slept) == slept
