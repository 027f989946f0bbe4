"""An owner's side: what is offered is decided once, what is asked is answered once, nothing lies about."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from gathering import ASK, Gathering, stop_time
from owners import SERVER, TRAIN, Owner, asking

from nwp.errors import TransportError
from nwp.federated.parcel import peek, unpack
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.workers import consent
from nwp.workers.adapter import datasets, peers
from nwp.workers.offers import Decision, decision_name, offer_name, read_decision, read_hello
from nwp.workers.parties import plain
from nwp.workers.pauses import SOONEST
from nwp.workers.policy import Policy
from nwp.workers.refusals import REFUSED, Refusal

ONE = "worker-1"
Gather = Callable[..., Gathering]


@pytest.fixture
def meeting(gather: Gather) -> Gathering:
    """Two owners whose rules approve."""
    return gather()


@pytest.fixture
def careful(gather: Gather) -> Gathering:
    """Two owners who want to be asked."""
    return gather(policy=ASK)


def decision(meeting: Gathering, digest: str) -> Decision | None:
    """What the server reads of the first owner's decision."""
    message = meeting.answer(ONE, decision_name(digest))
    return read_decision(message, digest) if message else None


def refusal(message: bytes | None) -> Refusal:
    assert message
    return Refusal(int(unpack(message, REFUSED)[1].fields["reason"]))


# ------------------------------------------------------------------------------------------ plans


def test_the_server_is_told_how_many_users_are_there(meeting: Gathering) -> None:
    meeting.owners[ONE].attendant.greet()

    message = meeting.answer(ONE, "hello")
    assert message
    assert read_hello(message) == 3
    assert [e.kind for e in meeting.owners[ONE].site.ledger.entries] == ["hello"]


def test_a_hello_that_somebody_deletes_is_put_there_again_once_a_minute_at_most(
    meeting: Gathering, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stop_time(monkeypatch, "attending")
    owner = meeting.owners[ONE]
    owner.attendant.greet()
    clock.meanwhile = lambda: owner.site.channel.withdraw(SERVER, "hello")  # whenever it rests

    began = clock.now
    owner.attendant.attend(until=lambda: clock.now > began + 300)
    clock.meanwhile = lambda: None
    clock.now += 100
    owner.look()

    assert meeting.answer(ONE, "hello")
    hellos = [e for e in owner.site.ledger.entries if e.kind == "hello"]
    assert 4 <= len(hellos) <= 6
    assert "is put there again" in owner.told[-1]


@pytest.mark.parametrize(
    ("rules", "expected", "by"),
    [
        (Policy(), Decision.APPROVED, "policy"),
        (ASK, Decision.PENDING, ""),
        (replace(ASK, max_rounds=1), Decision.DENIED, "policy"),
        (Policy(kinds=("survey",)), Decision.DENIED, "policy"),
    ],
    ids=["auto", "ask", "too many rounds", "no training"],
)
def test_an_offer_is_decided_by_the_rules_or_waits(
    gather: Gather, plan: TrainPlan, rules: Policy, expected: Decision, by: str
) -> None:
    meeting = gather(policy=rules)
    digest = meeting.offer(ONE, plan)

    assert meeting.owners[ONE].look()
    assert not meeting.owners[ONE].look()

    assert decision(meeting, digest) == expected
    asked = meeting.owners[ONE].consents.all[digest]
    assert (asked.decision, asked.by) == (expected, by)
    if expected == Decision.DENIED:
        assert asked.reason in " ".join(meeting.owners[ONE].told)


def test_what_is_no_plan_is_told_and_nothing_is_said_to_it(meeting: Gathering) -> None:
    owner = meeting.owners[ONE]
    meeting.channel.send(owner.email, offer_name("0" * 64), b"give me all")

    owner.look()

    assert "is no plan" in owner.told[-1]
    assert owner.consents.all == {}
    assert owner.outbox == set()


def test_a_request_that_is_put_there_anew_while_it_is_read_is_answered_and_not_refused(
    meeting: Gathering, plan: TrainPlan, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a server does that goes on with a run, when an owner comes back at the same moment."""
    owner, digest = meeting.owners[ONE], meeting.offer(ONE, plan)
    owner.look()
    called = meeting.ask(ONE, plan, asking(weights))
    receive = owner.site.channel.receive

    def too_late(*message: Any) -> Any:
        monkeypatch.undo()
        meeting.channel.withdraw(owner.email, called)
        meeting.ask(ONE, plan, asking(weights))
        return receive(*message)

    monkeypatch.setattr(owner.site.channel, "receive", too_late)
    assert not owner.look()
    assert owner.answers == []
    assert meeting.answer(ONE, called) is None

    assert owner.look()
    assert peek(meeting.answer(ONE, called) or b"").kind == "answer"
    assert decision(meeting, digest) == Decision.APPROVED


def test_a_plan_is_decided_by_the_owner_later_and_its_request_waits_so_long(
    careful: Gathering, plan: TrainPlan, weights: Any
) -> None:
    owner, digest = careful.owners[ONE], careful.offer(ONE, plan)
    called = careful.ask(ONE, plan, asking(weights))
    for _ in range(3):
        owner.look()
    assert decision(careful, digest) == Decision.PENDING
    assert careful.answer(ONE, called) is None
    assert "nwp worker approve 1" in owner.told[0]

    consent.Consents(owner.home).decide(digest, Decision.APPROVED, by="owner")
    owner.look()

    assert decision(careful, digest) == Decision.APPROVED
    assert peek(careful.answer(ONE, called) or b"").kind == "answer"
    assert owner.answered == [("train", 1)]


@pytest.mark.parametrize("said", [Decision.DENIED, Decision.REVOKED])
def test_under_a_plan_that_was_denied_or_taken_back_nothing_is_answered(
    meeting: Gathering, plan: TrainPlan, weights: Any, said: Decision
) -> None:
    owner, digest = meeting.owners[ONE], meeting.offer(ONE, plan)
    owner.look()
    owner.consents.decide(digest, said, by="owner")

    called = meeting.ask(ONE, plan, asking(weights))
    owner.look()

    assert decision(meeting, digest) == said
    assert refusal(meeting.answer(ONE, called)) == Refusal.NOT_APPROVED
    assert owner.answered == []


def test_a_plan_that_is_offered_again_later_is_answered_again(
    meeting: Gathering, plan: TrainPlan
) -> None:
    owner, digest = meeting.owners[ONE], meeting.offer(ONE, plan)
    owner.look()
    meeting.channel.clear(owner.email)
    owner.look()
    assert decision(meeting, digest) is None

    meeting.offer(ONE, plan)
    owner.look()

    assert decision(meeting, digest) == Decision.APPROVED
    assert len(owner.consents.all) == 1


@pytest.mark.parametrize(
    ("rules", "expected"), [(Policy(), Decision.APPROVED), (ASK, Decision.PENDING)]
)
def test_after_an_upgrade_a_plan_is_decided_anew_and_its_request_waits(
    gather: Gather,
    plan: TrainPlan,
    weights: Any,
    monkeypatch: pytest.MonkeyPatch,
    rules: Policy,
    expected: Decision,
) -> None:
    meeting = gather(policy=rules)
    owner, digest = meeting.owners[ONE], meeting.offer(ONE, plan)
    owner.look()
    owner.consents.decide(digest, Decision.APPROVED, by="owner")
    owner.look()

    monkeypatch.setattr(consent, "program_digest", lambda: "another version")
    owner.begin()
    called = meeting.ask(ONE, plan, asking(weights))
    owner.look()

    assert "nwp itself has changed" in " ".join(owner.told)
    assert decision(meeting, digest) == expected
    if expected == Decision.PENDING:
        assert meeting.answer(ONE, called) is None
        owner.consents.decide(digest, Decision.APPROVED, by="owner")
        owner.look()
    assert peek(meeting.answer(ONE, called) or b"").kind == "answer"


def test_after_an_upgrade_a_plan_whose_file_is_gone_is_told_and_waits(
    meeting: Gathering, plan: TrainPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, digest = meeting.owners[ONE], meeting.offer(ONE, plan)
    owner.look()
    (owner.home / "plans" / f"{digest}.json").unlink()

    monkeypatch.setattr(consent, "program_digest", lambda: "another version")
    owner.begin()
    owner.attendant._handled |= set(owner.site.channel.names(SERVER).values())
    owner.look()

    assert "is gone" in " ".join(owner.told)
    assert decision(meeting, digest) == Decision.PENDING


# ---------------------------------------------------------------------------------------- requests


@pytest.fixture
def owner(meeting: Gathering, plan: TrainPlan) -> Owner:
    """The first owner, who has approved the plan."""
    meeting.offer(ONE, plan)
    meeting.owners[ONE].look()
    return meeting.owners[ONE]


def test_the_same_request_again_gives_the_same_bytes_and_one_entry(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any
) -> None:
    called = meeting.ask(ONE, plan, asking(weights))
    owner.look()
    first = meeting.answer(ONE, called)
    meeting.channel.withdraw(owner.email, called)
    owner.look()
    owner.begin()  # it was started again meanwhile

    meeting.ask(ONE, plan, asking(weights))
    owner.look()

    assert first
    assert meeting.answer(ONE, called) == first
    assert owner.answered == [("train", 1)]


def test_another_request_for_the_same_round_is_refused(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any
) -> None:
    called = meeting.ask(ONE, plan, asking(weights))
    owner.look()
    meeting.channel.withdraw(owner.email, called)
    owner.look()

    meeting.ask(ONE, plan, asking(weights, [0]))
    owner.look()

    assert refusal(meeting.answer(ONE, called)) == Refusal.ALREADY_ANSWERED
    assert owner.answered == [("train", 1)]


def test_a_lost_answer_of_which_nothing_was_kept_is_not_computed_anew(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any
) -> None:
    called = meeting.ask(ONE, plan, asking(weights))
    owner.look()
    meeting.channel.withdraw(owner.email, called)
    owner.look()
    for kept in (owner.home / "sent").iterdir():
        kept.unlink()

    meeting.ask(ONE, plan, asking(weights))
    owner.look()

    assert refusal(meeting.answer(ONE, called)) == Refusal.ALREADY_ANSWERED


def while_it_computes(
    monkeypatch: pytest.MonkeyPatch, owner: Owner, happens: Callable[[], object]
) -> None:
    """Let something happen while an answer is being computed."""
    run = owner.site.engine.run

    def meanwhile(*arguments: Any) -> Any:
        happens()
        return run(*arguments)

    monkeypatch.setattr(owner.site.engine, "run", meanwhile)


def test_a_request_that_is_withdrawn_before_the_answer_is_ready_leaves_no_trace(
    meeting: Gathering,
    owner: Owner,
    plan: TrainPlan,
    weights: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called = meeting.ask(ONE, plan, asking(weights))
    entries = len(owner.site.ledger.entries)
    while_it_computes(monkeypatch, owner, lambda: meeting.channel.withdraw(owner.email, called))
    owner.look()

    assert "not wanted any more" in owner.told[-1]
    assert meeting.answer(ONE, called) is None
    assert len(owner.site.ledger.entries) == entries
    monkeypatch.undo()
    meeting.ask(ONE, plan, asking(weights, [0]))  # nothing was answered: it may ask otherwise
    owner.look()
    assert peek(meeting.answer(ONE, called) or b"").kind == "answer"


def test_answers_and_decisions_are_taken_back_when_nobody_waits_for_them(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any
) -> None:
    owner.attendant.greet()
    files = len(meeting.store.files)
    for number in (1, 2):
        called = meeting.ask(ONE, plan, asking(weights), number)
        owner.look()
        assert called in owner.outbox
        meeting.channel.withdraw(owner.email, called)
        owner.look()
        assert called not in owner.outbox
        assert len(meeting.store.files) == files
    meeting.channel.clear(owner.email)
    owner.look()

    assert owner.outbox == {"hello"}
    assert owner.attendant._handled == set()
    assert owner.attendant._said == {}


@pytest.mark.parametrize(
    "users", [[0, 1, 2, 3], [-1], [1, 1], [2**40]], ids=["too many", "below", "twice", "beyond"]
)
def test_users_that_are_not_there_are_refused_and_end_no_work(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any, users: list[int]
) -> None:
    called = meeting.ask(ONE, plan, asking(weights, users))
    owner.look()

    assert refusal(meeting.answer(ONE, called)) == Refusal.BAD_REQUEST
    meeting.ask(ONE, plan, asking(weights), 2)
    owner.look()
    assert owner.answered == [("train", 2)]


def test_what_is_damaged_is_refused_and_the_next_is_answered(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any
) -> None:
    meeting.channel.send(owner.email, "nothing.1.train", b"\x00" * 50)
    called = meeting.ask(ONE, plan, asking(weights))
    owner.look()

    assert peek(meeting.answer(ONE, called) or b"").kind == "answer"
    assert owner.answered == [("train", 1)]


def test_rules_that_have_become_stricter_hold_at_the_next_look(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any
) -> None:
    owner.policy = Policy(min_users=4)

    called = meeting.ask(ONE, plan, asking(weights))
    owner.look()

    assert refusal(meeting.answer(ONE, called)) == Refusal.NOT_ALLOWED
    assert "4 or more" in " ".join(owner.told)


@pytest.mark.parametrize("digits", [64, 32], ids=["whole", "as it is shown"])
def test_a_server_that_is_not_trusted_any_more_is_neither_read_nor_answered_until_it_is_again(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any, digits: int
) -> None:
    key = plain(peers.fingerprint(owner.client, SERVER))
    owner.attendant.greet()
    called = meeting.ask(ONE, plan, asking(weights))
    owner.policy = Policy(trust=("0" * 64,))
    entered = len(owner.site.ledger.entries)

    for _ in range(3):
        assert not owner.look()

    assert owner.outbox == set()  # what was not read yet was taken back
    assert len(owner.site.ledger.entries) == entered
    assert sum("do not trust the server's key" in said for said in owner.told) == 1

    owner.policy = Policy(trust=("0" * 64, key[:digits]))
    owner.look()

    assert owner.outbox == {"hello", decision_name(plan_digest(plan)), called}
    assert peek(meeting.answer(ONE, called) or b"").kind == "answer"


def test_trust_that_ends_while_an_answer_is_computed_lets_it_not_leave(
    meeting: Gathering,
    owner: Owner,
    plan: TrainPlan,
    weights: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trust_another() -> None:
        owner.policy = Policy(trust=("0" * 64,))

    while_it_computes(monkeypatch, owner, trust_another)
    meeting.ask(ONE, plan, asking(weights))

    owner.look()
    owner.look()

    assert owner.answered == []
    assert owner.outbox == set()


# --------------------------------------------------------------------------------- what goes wrong


def test_a_transport_that_fails_is_tried_again_after_ever_longer_pauses(
    meeting: Gathering, plan: TrainPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stop_time(monkeypatch, "attending")
    owner, digest = meeting.owners[ONE], meeting.offer(ONE, plan)
    names, fail = owner.site.channel.names, 8

    def unreachable(*arguments: Any, **more: Any) -> dict[str, str]:
        nonlocal fail
        if fail:
            fail -= 1
            raise TransportError("the network is away")
        return names(*arguments, **more)

    monkeypatch.setattr(owner.site.channel, "names", unreachable)
    owner.attendant.attend(until=lambda: len(clock.slept) > 9)

    assert clock.slept[:8] == [2, 4, 8, 16, 32, 60, 60, 60]
    assert "the network is away; trying again in 2 s" in owner.told
    assert decision(meeting, digest) == Decision.APPROVED


def test_looks_become_rarer_while_nothing_comes_and_frequent_again(
    meeting: Gathering, plan: TrainPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stop_time(monkeypatch, "attending")
    owner = meeting.owners[ONE]

    def come() -> None:
        if len(clock.slept) == 30:
            meeting.offer(ONE, plan)

    clock.meanwhile = come
    owner.attendant.attend(until=lambda: len(clock.slept) > 30)

    assert clock.slept[:29] == sorted(clock.slept[:29])
    assert clock.slept[29] == owner.attendant.slowest
    assert clock.slept[30] == SOONEST


def test_on_a_full_disk_nothing_leaves_and_it_is_answered_when_there_is_room(
    meeting: Gathering,
    owner: Owner,
    plan: TrainPlan,
    weights: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called = meeting.ask(ONE, plan, asking(weights))
    before = len(owner.site.ledger.entries)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            owner.look()
    assert meeting.answer(ONE, called) is None
    assert len(owner.site.ledger.entries) == before

    owner.begin()
    owner.look()

    assert peek(meeting.answer(ONE, called) or b"").kind == "answer"
    assert owner.answered == [("train", 1)]


def test_an_answer_that_was_entered_and_not_sent_is_sent_after_a_restart(
    meeting: Gathering,
    owner: Owner,
    plan: TrainPlan,
    weights: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called = meeting.ask(ONE, plan, asking(weights))

    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner.site.channel, "tap", dies)
        with pytest.raises(Killed):
            owner.look()
    assert meeting.answer(ONE, called) is None
    assert owner.answered == [("train", 1)]

    owner.begin()
    owner.look()

    (entry,) = (e for e in owner.site.ledger.entries if e.kind == "answer")
    assert owner.site.ledger.message(entry.n) == meeting.answer(ONE, called)


def test_private_text_that_is_gone_is_told_as_a_number(
    meeting: Gathering, owner: Owner, plan: TrainPlan, weights: Any
) -> None:
    for file in datasets.private_files(owner.client):
        file.unlink()

    called = meeting.ask(ONE, plan, asking(weights))
    owner.look()

    assert refusal(meeting.answer(ONE, called)) == Refusal.NO_DATA
    assert peek(meeting.answer(ONE, called) or b"").phase == TRAIN.name


@pytest.mark.parametrize("fault", [TransportError("away"), OSError(errno.ENOSPC, "full", "ledger")])
def test_what_could_not_be_sent_or_entered_is_sent_at_a_later_look(
    meeting: Gathering,
    owner: Owner,
    plan: TrainPlan,
    weights: Any,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
) -> None:
    clock = stop_time(monkeypatch, "attending")
    called = meeting.ask(ONE, plan, asking(weights))
    on_the_way = isinstance(fault, TransportError)
    place: object = owner.site.channel if on_the_way else owner.site.ledger

    def fails(*_: Any, **__: Any) -> None:
        raise fault

    def mended() -> None:
        if len(clock.slept) == 3:
            patch.undo()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "send" if on_the_way else "write", fails)
        clock.meanwhile = mended
        owner.attendant.attend(until=lambda: len(clock.slept) > 4)

    assert clock.slept[:3] == [2, 4, 8]
    assert peek(meeting.answer(ONE, called) or b"").kind == "answer"
    assert owner.answered == [("train", 1)]
