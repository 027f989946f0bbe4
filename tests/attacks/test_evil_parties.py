"""What an evil server might try against owners on machines of their own, over a shared folder.

Each test shows that nothing leaks, that the owner goes on, and that the ledger says what was (`holds`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from meeting import ADA, WORDS, Meeting, a_plan, a_round, at, refusal_in
from owners import SERVER, TRAIN, asking

from nwp.errors import BadInput, BadMessage, Refused
from nwp.evaluation.phases import EVALUATE, VALIDATE
from nwp.federated.local import LocalWork
from nwp.federated.parcel import ArraySpec, Envelope, Parcel, Schema, pack, peek
from nwp.federated.plan import EvaluatePlan, TrainPlan
from nwp.federated.plan_text import plan_digest, plan_text
from nwp.federated.scaffold import SCAFFOLD
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers import consent, datasite
from nwp.workers.adapter import peers
from nwp.workers.channel import Channel
from nwp.workers.consent import Changed
from nwp.workers.describing import describe
from nwp.workers.jobs import request_name
from nwp.workers.offers import (
    HELLO,
    Decision,
    offer_name,
    read_hello,
    write_decision,
    write_hello,
    write_offer,
)
from nwp.workers.parties import Party
from nwp.workers.policy import OWNERS, Policy, fault
from nwp.workers.refusals import Refusal


@pytest.fixture
def plan() -> TrainPlan:
    return a_plan()


# ---------------------------------------------------------------------------------- an evil server


def test_one_user_alone_is_asked_for_in_vain_where_the_rules_want_more(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada = meeting.owners[ADA]
    ada.policy = Policy(min_users=2)
    meeting.offer(plan)
    for users in ([0], [2], [], [0, 7], [-1, 0]):
        said = meeting.ask(plan, TRAIN, 1, asking(weights, users))
        assert refusal_in(said) == Refusal.NOT_ALLOWED
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights, [1, 1]))) is not None
    assert ada.answers == []
    assert "refuse one over fewer than 2" in " ".join(describe(plan, 3, ada.policy))
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights, [0, 2]))) is None


def test_one_user_alone_is_answered_for_where_the_rules_say_so_and_the_owner_was_told(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada = meeting.owners[ADA]
    meeting.offer(plan)
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights, [0]))) is None
    told = " ".join(describe(plan, 3, ada.policy))
    assert "the server sees that person's own update, and your rules allow that" in told
    assert ada.answers[0].norm is not None


def test_users_without_a_word_hide_nobody(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    """Who has one message has none in the part that is trained on."""
    ada = meeting.owners[ADA]
    ada.policy = Policy(min_users=2)
    ada.put({"a": ("the cat sat",) * 20, "b": ("the cat",), "c": ("...",) * 20})
    meeting.offer(plan)
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) == Refusal.NOT_ALLOWED
    just_weights = Parcel(arrays={"weights": weights})
    assert refusal_in(meeting.ask(plan, VALIDATE, 1, just_weights)) == Refusal.NOT_ALLOWED
    assert ada.answers == []


def test_a_validation_on_a_sample_of_one_is_refused_like_any_other_answer_from_one(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    meeting.owners[ADA].policy = Policy(min_users=2)
    just_weights = Parcel(arrays={"weights": weights})
    for validated, reason in ((1, Refusal.NOT_ALLOWED), (0, None)):
        sampled = replace(plan, validate_users=validated)
        meeting.offer(sampled)
        assert refusal_in(meeting.ask(sampled, VALIDATE, 1, just_weights)) == reason


CHANGES: dict[str, Callable[[TrainPlan], TrainPlan]] = {
    "rounds": lambda plan: replace(plan, rounds=30),
    "model": lambda plan: replace(plan, model=replace(plan.model, hidden=4)),
    "vocabulary": lambda plan: replace(plan, words=("the", "cat", "london")),
    "learning rate": lambda plan: replace(plan, local=LocalWork(learning_rate=100.0)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_plan_that_was_approved_is_not_changed_by_another_of_its_name(
    meeting: Meeting,
    plan: TrainPlan,
    weights: FloatArray,
    change: Callable[[TrainPlan], TrainPlan],
) -> None:
    ada, digest, other = meeting.owners[ADA], meeting.offer(plan), change(plan)
    text = np.frombuffer(plan_text(other).encode(), np.uint8)
    schema = Schema(arrays={"plan": ArraySpec("uint8", (None,))})
    forged = pack(Envelope("offer", digest, "offer", 0), Parcel(arrays={"plan": text}), schema)
    assert meeting.send(offer_name(digest) + "0", forged) is None
    assert "not the one it says" in ada.told[-1]
    assert set(ada.consents.all) == {digest}
    assert ada.consents.approved(digest) == plan
    # The other, honestly named, was never approved; the first allows no more than it says.
    other_weights = np.zeros(other.model.parameters, np.float32)
    said = meeting.ask(other, TRAIN, 1, asking(other_weights))
    assert refusal_in(said) == Refusal.NOT_APPROVED
    said = meeting.ask(plan, TRAIN, 30, asking(weights))
    assert refusal_in(said) == Refusal.BAD_REQUEST
    assert ada.answers == []
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) is None


def test_a_plan_swapped_on_the_owners_disk_runs_no_more_and_cannot_be_approved(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada, digest = meeting.owners[ADA], meeting.offer(plan)
    ada.policy = Policy(approve="ask")
    waits = meeting.offer(replace(plan, seed=1))
    evil = plan_text(replace(plan, rounds=9999))
    for known in (digest, waits):
        (ada.home / "plans" / f"{known}.json").write_text(evil)
    said = meeting.ask(plan, TRAIN, 1, asking(weights))
    assert refusal_in(said) == Refusal.NOT_APPROVED
    assert "has changed since it came" in " ".join(ada.told)
    with pytest.raises(Changed):
        ada.consents.decide(waits, Decision.APPROVED, by="owner")
    with pytest.raises(Changed):
        ada.consents.text(waits)
    assert ada.consents.all[waits].decision == Decision.PENDING
    assert ada.answers == []


def offered(text: bytes, digest: str = "") -> bytes:
    """An offer of any bytes, under their own digest if not under another."""
    named = digest or hashlib.sha256(text).hexdigest()
    schema = Schema(arrays={"plan": ArraySpec("uint8", (None,))})
    arrays = {"plan": np.frombuffer(text, np.uint8)}
    return pack(Envelope("offer", named, "offer", 0), Parcel(arrays=arrays), schema)


NO_PLANS: dict[str, Callable[[TrainPlan], bytes]] = {
    "an entry too many": lambda p: offered(
        plan_text(p).replace('"seed":0', '"note":"hi","seed":0').encode()
    ),
    "no text": lambda p: offered(b"\xff\xfe"),
    "nothing": lambda p: offered(b""),
    "60 MB": lambda p: offered(b" " * 60_000_000),
    "another digest": lambda p: offered(plan_text(p).encode(), "0" * 64),
    "another version": lambda p: write_offer(p)[1].replace(b'version\\": 1', b'version\\": 2'),
    "a hello": lambda p: write_hello(3)[1],
    "junk": lambda p: b"junk",
    "a header of a terabyte": lambda p: (10**12).to_bytes(8, "little") + b"{}",
}


def test_what_is_no_plan_is_told_and_forgotten(meeting: Meeting, plan: TrainPlan) -> None:
    ada = meeting.owners[ADA]
    for number, (name, make) in enumerate(NO_PLANS.items()):
        ada.told.clear()
        assert meeting.send(f"offer.{number:016x}", make(plan)) is None, name
        assert "is no plan" in ada.told[0], name
        assert len(ada.told[0]) < 500, name
    assert ada.consents.all == {}
    assert [e.kind for e in ada.site.ledger.entries] == ["hello"]
    assert not (ada.home / "plans").exists()


def test_a_flood_of_plans_fills_no_disk(
    meeting: Meeting, plan: TrainPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "MOST_WAITING", 5)
    ada = meeting.owners[ADA]
    ada.policy = Policy(approve="ask")
    plans = [replace(plan, seed=seed) for seed in range(20)]
    for each in plans:
        meeting.server.send(ADA, offer_name(plan_digest(each)), write_offer(each)[1])
    for _ in range(3):
        ada.look()
    asked = ada.consents.all
    assert len(asked) == len(list((ada.home / "plans").iterdir())) == consent.MOST_WAITING
    assert sum("more plans have come" in line for line in ada.told) == 1
    # Who has decided makes room, and none that was decided is asked about again.
    for digest in asked:
        ada.consents.decide(digest, Decision.DENIED, by="owner")
    for _ in range(2):
        ada.look()
    assert len(ada.consents.all) == 2 * consent.MOST_WAITING
    assert all(ada.consents.all[digest].decision == Decision.DENIED for digest in asked)
    assert len({each.place for each in ada.consents.all.values()}) == len(ada.consents.all)


@pytest.mark.parametrize("rounds", [3, 10**6])
def test_a_flood_of_plans_that_the_rules_decide_leaves_the_last(
    meeting: Meeting, plan: TrainPlan, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    monkeypatch.setattr(consent, "MOST_RULED", 5)
    ada = meeting.owners[ADA]
    digests = [meeting.offer(replace(plan, seed=seed, rounds=rounds)) for seed in range(12)]
    assert list(ada.consents.all) == digests[-5:]
    assert len(list((ada.home / "plans").iterdir())) == 5
    # One that was dropped is none that was approved; it is decided anew when it is offered anew.
    with pytest.raises(BadInput):
        ada.consents.approved(digests[0])


def test_a_decision_is_not_lost_between_two_plans_that_come(
    meeting: Meeting, plan: TrainPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner's own process decides while the worker's writes down what has come."""
    ada, digest = meeting.owners[ADA], meeting.offer(plan)
    held: list[bool] = []
    write = consent.write_atomic

    def slow(path: Path, data: Any, mode: int | None = None) -> None:
        held.append(locked(ada.home / "plans.lock"))
        write(path, data, mode)

    monkeypatch.setattr(consent, "write_atomic", slow)
    meeting.offer(replace(plan, seed=1))
    ada.consents.decide(digest, Decision.REVOKED, by="owner")
    assert held
    assert all(held)


def locked(path: Path) -> bool:
    """Does somebody hold this lock?"""
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def wrong(plan: TrainPlan, weights: FloatArray) -> dict[str, Parcel]:
    """Requests that no server of this kind would make."""
    nan, endless = weights.copy(), weights.copy()
    nan[5], endless[5] = np.nan, np.inf
    return {
        "no number": asking(nan),
        "endless": asking(endless),
        "one weight less": asking(weights[:-1]),
        "none": asking(weights[:0]),
        "doubles": asking(weights.astype(np.float64)),
        "a table": asking(weights[None]),
        "a user too many": asking(weights, [0, 1, 2, 3]),
        "a user below": asking(weights, [-1]),
        "a user twice": asking(weights, [0, 0]),
        "a billion users": asking(weights, [2**62]),
        "numbers of users that are none": Parcel(
            arrays={"weights": weights, "users": np.zeros(3, np.float32)}
        ),
        "a field": Parcel({"more": 1}, asking(weights).arrays),
        "an array more": Parcel(arrays={**asking(weights).arrays, "more": weights}),
        "no users": Parcel(arrays={"weights": weights}),
    }


def test_requests_of_another_shape_are_refused_and_the_right_one_is_answered(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = meeting.owners[ADA]
    meeting.offer(plan)
    for name, parcel in wrong(plan, weights).items():
        envelope = Envelope("ask", plan_digest(plan), "train", 1)
        with monkeypatch.context() as patch:
            patch.setattr("nwp.federated.parcel.Schema.check", lambda *_: None)
            message = pack(envelope, parcel, Schema())
        said = meeting.send(request_name(plan_digest(plan), 1, TRAIN), message)
        assert refusal_in(said) == Refusal.BAD_REQUEST, name
    assert ada.answers == []
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) is None


def test_weights_that_grow_beyond_bounds_come_to_nothing(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    meeting.offer(plan)
    said = meeting.ask(plan, TRAIN, 1, asking(np.full_like(weights, 3e38)))
    assert refusal_in(said) == Refusal.NO_RESULT
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) is None


def test_what_cannot_be_computed_ends_no_owners_work(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan within all rules may still want more memory than there is."""
    ada = meeting.owners[ADA]
    meeting.offer(plan)

    def too_much(*_: Any) -> Any:
        raise MemoryError("you tried to allocate a terabyte")

    with monkeypatch.context() as patch:
        patch.setattr(type(ada.site.engine), "run", too_much)
        said = meeting.ask(plan, TRAIN, 1, asking(weights))
    assert refusal_in(said) == Refusal.NO_RESULT
    assert "can't be computed: you tried to allocate a terabyte" in ada.told[-2]
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) is None


GREEDY: dict[str, Callable[[TrainPlan], TrainPlan]] = {
    "a step of a thousand": lambda p: replace(p, local=LocalWork(learning_rate=1000.0)),
    "over and over": lambda p: replace(p, local=LocalWork(epochs=500)),
    "without an end": lambda p: replace(p, rounds=10**9),
    "enormous": lambda p: replace(p, model=replace(p.model, hidden=10**6)),
    "deep": lambda p: replace(p, model=replace(p.model, layers=10**6)),
    "one person's": lambda p: replace(p, workers={"worker-001": 1}),
    "a cohort of one": lambda p: replace(p, cohort=1),
    "a sentence for a word": lambda p: replace(p, words=("the", "cat", "i love you")),
    "markup for a word": lambda p: replace(p, words=("the", "cat", "<b>")),
    "one of no kind": lambda p: replace(p, aggregation="all of it"),
    "surfaces that tell": lambda p: replace(p, surfaces={"dog": "Dog"}),
}


@pytest.mark.parametrize("greed", GREEDY.values(), ids=GREEDY)
def test_a_plan_made_to_take_the_text_along_is_denied_by_a_new_owners_rules(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, greed: Callable[[TrainPlan], TrainPlan]
) -> None:
    ada, size = (
        meeting.owners[ADA],
        ModelConfig(FIRST_WORD + 3, embedding=3, hidden=3, projection=3),
    )
    ada.policy = OWNERS
    greedy = greed(replace(plan, model=size))
    if greedy.words == plan.words:
        assert fault(OWNERS, plan) is None
    digest = meeting.offer(greedy)
    assert ada.consents.all.get(digest) is None or (
        ada.consents.all[digest].decision == Decision.DENIED
    )
    said = meeting.ask(greedy, TRAIN, 1, asking(weights), schema=TRAIN.request(plan))
    assert refusal_in(said) == Refusal.NOT_APPROVED
    assert ada.answers == []


def test_what_the_rules_allow_of_such_a_plan_is_told() -> None:
    """Steps of one message over one user, with few words: an update is then close to the text."""
    model = ModelConfig(FIRST_WORD + len(WORDS), embedding=3, hidden=3, projection=3)
    plan = TrainPlan(model, WORDS, {}, workers={"worker-001": 9})
    work = LocalWork(batch=1, learning_rate=10.0)
    told = " ".join(describe(replace(plan, local=work), 1, OWNERS))
    for part in (
        "can be guessed",
        "You have one user: the server sees this one person's own update",
        "Each step is over one message alone",
        "With so few words",
        "a learning rate of at most 10",
    ):
        assert part in told
    usual = " ".join(describe(plan, 3, OWNERS))
    assert "one message alone" not in usual


def test_rounds_are_answered_once_each_in_any_order_and_no_more_than_were_approved(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada = meeting.owners[ADA]
    meeting.offer(plan)
    for number in (3, 1, 2, 30, 0, -1, 2**40):
        said = meeting.ask(plan, TRAIN, number, asking(weights))
        answered = said is not None and refusal_in(said) is None  # the last two are no names
        assert answered == (number in (1, 2, 3)), number
    assert sorted(e.round for e in ada.answers) == [1, 2, 3]


def test_rounds_back_and_forth_end_no_owners_work(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    """SCAFFOLD keeps something of each user from round to round, of the last rounds alone."""
    phase = SCAFFOLD.steps[0].phase
    kept = replace(
        plan, aggregation="scaffold", rounds=9, weighting=replace(plan.weighting, by="equal")
    )
    meeting.offer(kept)
    arrays = {
        name: np.zeros(spec.shape, spec.dtype) if None not in spec.shape else np.arange(3)
        for name, spec in phase.request(kept).arrays.items()
    }
    said = {n: refusal_in(meeting.ask(kept, phase, n, Parcel(arrays=arrays))) for n in (1, 7, 9, 2)}
    assert said == {1: None, 7: None, 9: None, 2: Refusal.BAD_REQUEST}


def test_a_request_given_again_brings_the_same_bytes_and_one_that_differs_by_a_bit_brings_none(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada = meeting.owners[ADA]
    meeting.offer(plan)
    first = meeting.ask(plan, TRAIN, 1, asking(weights))
    entries = len(ada.site.ledger.entries)
    assert meeting.ask(plan, TRAIN, 1, asking(weights)) == first
    assert len(ada.site.ledger.entries) == entries
    bit = weights.copy()
    bit.view(np.uint32)[0] ^= 1
    for other in (asking(bit), asking(weights, [0, 1])):
        assert refusal_in(meeting.ask(plan, TRAIN, 1, other)) == Refusal.ALREADY_ANSWERED
    assert len(ada.answers) == 1


def test_after_a_restart_an_answered_round_is_still_answered(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada = meeting.owners[ADA]
    meeting.offer(plan)
    first = meeting.ask(plan, TRAIN, 1, asking(weights))
    ada.begin()
    assert meeting.ask(plan, TRAIN, 1, asking(weights)) == first
    said = meeting.ask(plan, TRAIN, 1, asking(weights, [0]))
    assert refusal_in(said) == Refusal.ALREADY_ANSWERED


def test_requests_outside_hours_are_refused_and_can_be_made_later(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada = meeting.owners[ADA]
    ada.policy, ada.now = Policy(hours="22:00-07:00"), at(12)
    meeting.offer(plan)
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) == Refusal.NOT_ALLOWED
    assert ada.answers == []
    ada.now = at(23)
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) is None


def test_a_days_rounds_are_counted_over_all_plans_and_a_round_has_all_its_phases(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada, other = meeting.owners[ADA], replace(plan, seed=9)
    ada.policy, ada.now = Policy(max_rounds_a_day=2), at(12)
    meeting.offer(plan)
    meeting.offer(other)
    just_weights = Parcel(arrays={"weights": weights})
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) is None
    assert refusal_in(meeting.ask(other, TRAIN, 1, asking(weights))) is None
    assert refusal_in(meeting.ask(plan, VALIDATE, 1, just_weights)) is None
    for each in (plan, other):
        assert refusal_in(meeting.ask(each, TRAIN, 2, asking(weights))) == Refusal.NOT_ALLOWED
    ada.now = at(0, day=1)
    assert refusal_in(meeting.ask(plan, TRAIN, 2, asking(weights))) is None


def test_a_budget_of_privacy_is_spent_once_over_all_plans(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada = meeting.owners[ADA]
    ada.policy = Policy(epsilon_budget=1.0)
    said = []
    for group in (1, 2, 3):
        each = EvaluatePlan(plan.model, WORDS, epsilon=0.4, group=group)
        digest = meeting.offer(each)  # type: ignore[arg-type]
        request = pack(
            Envelope("ask", digest, "evaluate", 1),
            Parcel(arrays={"weights": weights}),
            EVALUATE.request(each),
        )
        said.append(refusal_in(meeting.send(request_name(digest, 1, EVALUATE), request)))
    assert said == [None, None, Refusal.NOT_ALLOWED]
    assert ada.site.ledger.epsilon_spent() == pytest.approx(0.8)


def test_nothing_is_answered_under_a_plan_that_was_taken_back(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    ada, digest = meeting.owners[ADA], meeting.offer(plan)
    first = meeting.ask(plan, TRAIN, 1, asking(weights))
    assert refusal_in(first) is None
    ada.consents.decide(digest, Decision.REVOKED, by="owner")
    for number in (1, 2):  # what was answered before is not given again, either
        said = meeting.ask(plan, TRAIN, number, asking(weights))
        assert refusal_in(said) == Refusal.NOT_APPROVED
    assert len(ada.answers) == 1
    # Offered once more, it stays as the owner has decided.
    meeting.offer(plan)
    assert ada.consents.all[digest].decision == Decision.REVOKED


def test_nothing_leaves_when_the_plan_is_taken_back_while_the_answer_is_computed(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, digest = meeting.owners[ADA], meeting.offer(plan)
    run = type(ada.site.engine).run

    def meanwhile(*args: Any) -> Any:
        ada.consents.decide(digest, Decision.REVOKED, by="owner")
        return run(*args)

    monkeypatch.setattr(type(ada.site.engine), "run", meanwhile)
    said = meeting.ask(plan, TRAIN, 1, asking(weights))
    assert refusal_in(said) == Refusal.NOT_APPROVED
    assert ada.answers == []


@pytest.fixture
def usurper(meeting: Meeting) -> Channel:
    """Another server of the same e-mail with keys of its own, on the same folder: its keys are in the
    place of the true one's."""
    client = meeting.client_of(SERVER, "usurper", owner=False)
    for email in meeting.owners:
        peers.invite(client, email)
    peers.find_peers(client)
    return Channel(client)


def test_a_server_with_another_key_is_answered_by_nobody(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, usurper: Channel
) -> None:
    ada, meant = meeting.owners[ADA], replace(plan, rounds=2)
    usurper.send(ADA, offer_name(plan_digest(meant)), write_offer(meant)[1])
    ada.look()
    assert ada.consents.all == {}
    assert "is not what server@lab.example signed" in ada.told[-1]
    # Under a plan of the true server's, too.
    meeting.offer(plan)
    name = request_name(plan_digest(plan), 1, TRAIN)
    envelope = Envelope("ask", plan_digest(plan), "train", 1)
    usurper.send(ADA, name, pack(envelope, asking(weights), TRAIN.request(plan)))
    ada.look()
    assert ada.answers == []
    # What is said to it is encrypted to the key that the owner knows: it can't even read the refusal.
    peers.find_peers(meeting.client)
    (said,) = (i for n, i in usurper.names(ADA).items() if n == name)
    with pytest.raises(BadMessage):
        usurper.receive(ADA, said)


def test_a_key_that_has_changed_is_seen_when_the_owner_starts_again(
    meeting: Meeting, tmp_path: Path, usurper: Channel
) -> None:
    ada = meeting.owners[ADA]
    known = peers.fingerprint(ada.client, SERVER)
    party = Party(ada.home, ADA, f"folder:{meeting.shared}", SERVER, known)
    again = meeting.client_of(ADA, ADA, owner=True)
    peers.accept(again, SERVER)
    seen = peers.fingerprint(again, SERVER)
    if seen == known:  # what lies in the folder now is not taken for what was accepted before
        assert party.hold_to(seen) == party
    theirs = usurper._keys.public_key.identity_fingerprint()
    assert seen in (known, theirs)
    with pytest.raises(Refused, match="has the fingerprint"):
        party.hold_to(theirs)


STRANGE_NAMES = (HELLO, "decision.0123456789abcdef", "x", "a.1.train", "0" * 16)


@pytest.mark.parametrize("name", STRANGE_NAMES, ids=repr)
def test_a_message_of_a_name_that_no_request_has_is_not_answered(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, name: str
) -> None:
    """Else the refusal would take the place of the owner's own hello, or of a decision."""
    ada = meeting.owners[ADA]
    for message in (write_hello(3)[1], write_decision("0" * 64, Decision.APPROVED)[1], b"junk"):
        assert meeting.send(name, message) is None
    assert [e.kind for e in ada.site.ledger.entries] == ["hello"]
    assert read_hello(meeting.server.find(ADA, HELLO)[0]) == 3  # type: ignore[index]
    assert a_round(meeting, plan, weights).absent == {}


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "a header of a terabyte": lambda m: (10**12).to_bytes(8, "little") + m[8:],
    "a header of 2**64 - 1": lambda m: b"\xff" * 8 + m[8:],
    "an array of a terabyte": lambda m: m.replace(b'"shape":[3]', b'"shape":[1000000000000]'),
    "zeros": lambda m: bytes(10**6),
    "brackets": lambda m: b"[" * 10**6,
    "deep": lambda m: (10**6).to_bytes(8, "little") + b"[" * 10**6,
}


def test_a_bomb_is_refused_in_a_few_bytes(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    digest = meeting.offer(plan)
    good = pack(Envelope("ask", digest, "train", 1), asking(weights), TRAIN.request(plan))
    for name, bomb in BOMBS.items():
        said = meeting.send(request_name(digest, 1, TRAIN), bomb(good))
        assert refusal_in(said) == Refusal.BAD_REQUEST, name
        assert len(said or b"") < 500
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) is None


def test_what_a_refused_request_calls_itself_is_not_echoed_at_length(meeting: Meeting) -> None:
    for envelope in (
        Envelope("ask", "0" * 10**6, "train", 1),
        Envelope("ask", "0" * 64, "x" * 10**6, 1),
        Envelope("ask", "0" * 64, "train", 10**4000),
        Envelope("x" * 10**6, "0" * 64, "train", 1),
    ):
        said = meeting.send("0" * 16 + ".1.train", pack(envelope, Parcel(), Schema()))
        assert said is not None
        assert len(said) < 1000
        assert peek(said).kind == "refuse"
    lines = (meeting.owners[ADA].home / "ledger.jsonl").read_bytes().splitlines()
    assert max(map(len, lines)) < 1500


def test_a_flood_of_junk_fills_no_ledger(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasite, "MOST_REFUSED", 5)
    ada = meeting.owners[ADA]
    said = [meeting.send(f"{number:016x}.1.train", b"junk") for number in range(20)]
    assert sum(each is not None for each in said) == 5
    assert sum(e.kind == "refuse" for e in ada.site.ledger.entries) == 5
    assert "the next are passed over" in " ".join(ada.told)
    meeting.offer(plan)
    assert refusal_in(meeting.ask(plan, TRAIN, 1, asking(weights))) is None
    # The next day it is told again.
    ada.now = lambda: datetime.now(UTC) + timedelta(days=2)
    assert meeting.send("0" * 16 + ".1.train", b"junk") is not None
