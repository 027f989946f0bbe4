"""What an evil owner, or whoever may write to the folder, might try between parties of their own; and what
clocks and full disks do.

Each test shows that nobody else is stopped, and that the ledgers say what was (`holds`).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from meeting import ADA, GRACE, Meeting, a_plan, a_round, at, refusal_in, to_all
from owners import SERVER, TRAIN, asking
from syft.sync.connections.drive.mock_drive_service import MockDriveFile

from nwp.errors import NoQuorum, NwpError
from nwp.federated.averaging import MEAN
from nwp.federated.bounds import longest_update
from nwp.federated.cohort import draw_cohort
from nwp.federated.local import LocalWork
from nwp.federated.parcel import Envelope, Parcel, Schema, pack, unpack
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Replies
from nwp.federated.rounds import run_round, start, train
from nwp.federated.state import Checkpoint
from nwp.model.lstm import FloatArray
from nwp.tasks.cohorts import COHORTS, Recorded, refused_in
from nwp.workers import attending, ledger, network
from nwp.workers.channel import Channel
from nwp.workers.jobs import Job, request_name
from nwp.workers.offers import (
    HELLO,
    MOST_USERS,
    Decision,
    decision_name,
    offer_name,
    write_decision,
    write_hello,
    write_offer,
)
from nwp.workers.policy import Policy
from nwp.workers.refusals import Refusal


@pytest.fixture
def plan() -> TrainPlan:
    return a_plan()


# ----------------------------------------------------------------------------------- an evil owner


def reply_of(plan: TrainPlan, **changes: Any) -> Callable[[bytes], bytes]:
    """An answer with other fields or arrays, whatever was agreed."""

    def change(message: bytes) -> bytes:
        envelope, parcel = unpack(message, TRAIN.reply(plan))
        fields = {n: changes.get(n, value) for n, value in parcel.fields.items()}
        arrays = {n: changes.get(n, value) for n, value in parcel.arrays.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nwp.federated.parcel.Schema.check", lambda *_: None)
            return pack(envelope, Parcel(fields, arrays), Schema())

    return change


def only_ada_counts(replies: Replies) -> str:
    """The first owner has answered, the second has not, and why."""
    assert set(replies.answers) == {"worker-001"}
    return replies.absent["worker-002"]


def lies(plan: TrainPlan) -> dict[str, tuple[Callable[[bytes], bytes], str]]:
    """What an owner may send in place of its update, and what the server says to it."""
    size = plan.model.parameters
    changed = lambda **changes: reply_of(plan, **changes)  # noqa: E731
    return {
        "no number": (changed(update=np.full(size, np.nan, np.float32)), "no finite numbers"),
        "endless": (changed(update=np.full(size, np.inf, np.float32)), "no finite numbers"),
        "a weight less": (changed(update=np.zeros(size - 1, np.float32)), "agreed is"),
        "a table": (changed(update=np.zeros((size, 1), np.float32)), "agreed is"),
        "doubles": (changed(update=np.zeros(size)), "agreed is"),
        "more users than it has": (changed(users=4), "claims"),
        "fewer than none": (changed(users=-1), "claims"),
        "words below none": (changed(words=-5), "claims -5 words"),
        "users that are no whole number": (changed(users=3.0), "no int"),
        "a loss that is none": (changed(loss=float("nan")), "out of range"),
        "words out of reach": (changed(words=1 << 63), "out of range"),
        "another round's": (lambda m: of_round(plan, m, 1), "belongs to another request"),
        "half": (lambda m: m[: len(m) // 2], "can't be read"),
        "a terabyte": (lambda m: (10**12).to_bytes(8, "little") + m[8:], "no readable header"),
        "a request": (
            lambda m: pack(Envelope("ask", plan_digest(plan), "train", 1), Parcel(), Schema()),
            "belongs to another request",
        ),
        "a hello": (lambda m: write_hello(3)[1], "belongs to another request"),
        "a decision": (
            lambda m: write_decision(plan_digest(plan), Decision.APPROVED)[1],
            "belongs to another request",
        ),
    }


def test_lies_make_their_owner_absent_and_stop_nobody(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, tmp_path: Path
) -> None:
    long = replace(plan, rounds=len(lies(plan)))
    grace, there = meeting.owners[GRACE], meeting.network()
    exchange = there.exchange(there.submit(long, "train"))
    for number, (name, (lie, words)) in enumerate(lies(long).items(), 1):
        grace.lie(lie)
        checkpoint = Checkpoint(tmp_path / str(number), "p")
        aggregate, traffic = run_round(long, MEAN, number, weights, exchange, checkpoint)
        assert aggregate.users == 3, name
        assert np.isfinite(aggregate.update).all()
        assert set(traffic.absent) == {"worker-002"}, name
        assert words in traffic.absent["worker-002"], name


def of_round(plan: TrainPlan, message: bytes, number: int) -> bytes:
    envelope, parcel = unpack(message, TRAIN.reply(plan))
    return pack(replace(envelope, round=number), parcel, TRAIN.reply(plan))


def test_an_update_of_a_length_that_no_training_gives_does_not_swamp_the_average(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, tmp_path: Path
) -> None:
    clipped = replace(plan, local=LocalWork(clip_norm=0.5))
    there = meeting.network()
    exchange = there.exchange(there.submit(clipped, "train"))
    meeting.owners[GRACE].lie(reply_of(clipped, update=np.full_like(weights, 1e9)))
    checkpoint = Checkpoint(tmp_path, "p")
    aggregate, traffic = run_round(clipped, MEAN, 1, weights, exchange, checkpoint)
    assert (aggregate.users, set(traffic.absent)) == (3, {"worker-002"})
    assert "sends an update of length" in traffic.absent["worker-002"]
    assert np.linalg.norm(aggregate.update) <= longest_update(clipped, aggregate.words)


def test_whose_answers_are_not_taken_is_written_down_with_the_reason(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, tmp_path: Path
) -> None:
    there = meeting.network()
    recorded = Recorded(there, tmp_path, resume=False)
    exchange = recorded.exchange(there.submit(plan, "train"))
    meeting.owners[GRACE].lie(reply_of(plan, words=-5))
    for number in (1, 2):
        assert exchange(TRAIN, number, to_all(plan, weights)).refused == ("worker-002",)
    meeting.owners[ADA].policy = Policy(kinds=(), hours="03:00-03:01")
    meeting.owners[ADA].now = at(12)
    assert exchange(TRAIN, 3, to_all(plan, weights)).refused == ("worker-002",)

    found = refused_in(tmp_path / COHORTS)

    assert set(found) == {"worker-002"}  # the other one has said itself that it does not answer
    assert (found["worker-002"]["answers"], found["worker-002"]["round"]) == (3, 3)
    assert "claims -5 words" in found["worker-002"]["why"]


@pytest.mark.parametrize("users", [3, MOST_USERS])
def test_made_up_users_are_no_more_of_a_round_than_an_owners_share(users: int) -> None:
    members = {"worker-001": 3, "worker-002": 2, "worker-003": users}
    shared = replace(a_plan(), workers=members, cohort=8, member_share=0.5)
    for number in (1, 2):
        cohort = draw_cohort(shared, number)
        drawn = [len(cohort[name]) for name in sorted(cohort)]
        assert sum(drawn) == 8
        assert drawn[2] <= 5
    if users > 3:
        assert draw_cohort(shared, 1)["worker-003"] != draw_cohort(shared, 2)["worker-003"]
        assert len(draw_cohort(replace(shared, member_share=1.0), 1)) == 1  # all are its own


def test_one_look_for_all_owners_sees_what_a_look_for_each_does(meeting: Meeting) -> None:
    """And nothing that somebody else has put there, or that lies elsewhere."""
    for email in meeting.owners:
        meeting.server.send(email, "something", b"x")
    outbox = meeting.owners[ADA].site.channel._folder(SERVER, outgoing=True)
    meeting.store.add_file(
        MockDriveFile(
            name="nwp.hello", content=b"", parents=[outbox], owners=[{"emailAddress": GRACE}]
        )
    )
    drive = meeting.server._drive
    for outgoing in (True, False):
        folders = {
            meeting.server._folder(email, outgoing=outgoing): SERVER if outgoing else email
            for email in meeting.owners
        }
        each = {folder: drive.files_of(folder, owner) for folder, owner in folders.items()}
        assert drive.files_of_each(folders) == each
        assert [len(files) for files in each.values()] == [1, 1]


def test_an_answer_of_another_owner_is_none_of_its_own(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner, or whoever writes to the folder, has the others' answers as they have sealed them."""
    there = meeting.network()
    exchange = there.exchange(there.submit(plan, "train"))
    name = request_name(plan_digest(plan), 1, TRAIN)

    def copy_the_other(pause: float = 0.0) -> float:
        meeting.owners[ADA].look()
        copy(meeting, name, ADA, GRACE)
        return pause

    monkeypatch.setattr(network, "_rest", copy_the_other)
    replies = exchange(TRAIN, 1, to_all(plan, weights))
    assert f"is not what {GRACE} signed" in only_ada_counts(replies)


def copy(meeting: Meeting, name: str, source: str, target: str) -> None:
    """Put what one owner has sent into another's outbox, as whoever may write to the folder can."""
    mine = meeting.owners[source].site.channel.names(SERVER, outgoing=True)
    file = meeting.store.get_file(mine[name])
    assert file is not None
    meeting.plant(target, name, file.content)


def test_an_old_answer_given_again_belongs_to_another_request(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    grace, there = meeting.owners[GRACE], meeting.network()
    exchange = there.exchange(there.submit(plan, "train"))
    assert exchange(TRAIN, 1, to_all(plan, weights)).absent == {}
    old = next(m for n, m in grace.sent if n == request_name(plan_digest(plan), 1, TRAIN))
    grace.lie(lambda message: old)
    replies = exchange(TRAIN, 2, to_all(plan, weights))
    assert only_ada_counts(replies) == "its answer belongs to another request"


def test_a_decision_on_another_plan_is_none_on_this_one(meeting: Meeting, plan: TrainPlan) -> None:
    grace, digest = meeting.owners[GRACE], plan_digest(plan)
    grace.policy = Policy(approve="ask")
    there = meeting.network()
    for message in (
        write_decision("0" * 64, Decision.APPROVED)[1],
        write_hello(3)[1],
        b"yes",
        write_decision(digest, Decision.APPROVED)[1].replace(b'decision\\": 1', b'decision\\": 9'),
    ):
        grace.site.channel.put(SERVER, decision_name(digest), message)
        job = there.decisions(Job(plan, digest, (), {}))
        assert job.approved == ()
        assert job.refused["worker-002"] != Decision.PENDING.words
    assert job.refused["worker-001"] == Decision.PENDING.words
    grace.honest = False


@pytest.mark.parametrize("users", [1 << 40, (1 << 31) - 1, 10**7, -1, -(1 << 40)])
def test_an_owner_of_impossibly_many_users_is_not_counted(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, users: int
) -> None:
    grace = meeting.owners[GRACE]
    grace.site.channel.put(SERVER, HELLO, write_hello(users)[1])
    grace.honest = False
    there = meeting.network()
    assert set(there.members) == {"worker-001"}
    assert GRACE in meeting.warned[0]
    alone = replace(plan, workers={"worker-001": 3})
    exchange = there.exchange(there.submit(alone, "train"))
    assert exchange(TRAIN, 1, to_all(alone, weights)).absent == {}


def test_users_that_change_between_rounds_change_no_run_under_way(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    grace, there = meeting.owners[GRACE], meeting.network()
    exchange = there.exchange(there.submit(plan, "train"))
    grace.site.channel.put(SERVER, HELLO, write_hello(1)[1])
    grace.honest = False
    assert exchange(TRAIN, 1, to_all(plan, weights)).absent == {}
    # From the next run on it counts; and there is one hello, not two of which any is read.
    assert meeting.network().members["worker-002"].users == 1
    hellos = grace.site.channel.waiting([SERVER], HELLO, outgoing=True)
    assert len(hellos[SERVER]) == 1


def test_an_answer_of_any_size_is_read_up_to_a_bound(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting.owners[GRACE].lie(lambda message: message + bytes(200_000))
    there = meeting.network()
    exchange = there.exchange(there.submit(plan, "train"))
    monkeypatch.setattr(Channel.receive, "__defaults__", (100_000,))
    assert "more than 10" in only_ada_counts(exchange(TRAIN, 1, to_all(plan, weights))).replace(
        ",", ""
    )


def test_an_owner_that_refuses_everything_stops_nobody(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    grace = meeting.owners[GRACE]
    grace.policy = Policy(hours="00:00-00:01" if datetime.now().hour else "12:00-12:01")
    replies = a_round(meeting, plan, weights)
    assert only_ada_counts(replies) == Refusal.NOT_ALLOWED.words
    grace.policy = Policy(kinds=())
    there = meeting.network()
    job = there.submit(replace(plan, seed=5), "train")
    assert job.approved == ("worker-001",)
    assert job.refused == {"worker-002": Decision.DENIED.words}


def test_all_owners_refusing_is_no_quorum(meeting: Meeting, plan: TrainPlan) -> None:
    for owner in meeting.owners.values():
        owner.policy = Policy(kinds=())
    with pytest.raises(NoQuorum, match="0 of 2 owners have approved"):
        meeting.network().submit(plan, "train")


def test_who_answers_twice_counts_once(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    grace, name = meeting.owners[GRACE], request_name(plan_digest(plan), 1, TRAIN)
    there = meeting.network()
    exchange = there.exchange(there.submit(plan, "train"))

    def rest(pause: float) -> float:
        meeting.look()
        _, message = grace.sent[-1]
        grace.site.channel.send(SERVER, name, reply_of(plan, users=2)(message))
        grace.site.channel.send(SERVER, name, reply_of(plan, users=1)(message))
        grace.honest = False
        return pause

    with monkeypatch.context() as patch:
        patch.setattr(network, "_rest", rest)
        replies = exchange(TRAIN, 1, to_all(plan, weights))
    assert set(replies.answers) == {"worker-001", "worker-002"}
    assert replies.answers["worker-002"].fields["users"] in (1, 2, 3)
    assert exchange(TRAIN, 2, to_all(plan, weights)).absent == {}


# --------------------------------------------------------------------------------- the shared folder


def delete(meeting: Meeting, email: str, name: str, *, sent: bool) -> None:
    """Delete a message to (else from) an owner, as whoever may write to the folder can."""
    channel = meeting.owners[email].site.channel
    for file_id, of in channel._listed([SERVER], outgoing=sent)[SERVER].items():
        if of == name:
            meeting.store.delete_file(file_id)


@pytest.mark.parametrize("sent", [False, True], ids=["the request", "the answer"])
def test_a_message_deleted_while_both_wait_is_lost_for_nobody_else(
    meeting: Meeting,
    plan: TrainPlan,
    weights: FloatArray,
    monkeypatch: pytest.MonkeyPatch,
    sent: bool,
) -> None:
    there, name = meeting.network(), request_name(plan_digest(plan), 1, TRAIN)
    exchange = there.exchange(there.submit(plan, "train"))

    def rest(pause: float) -> float:
        if not sent:
            delete(meeting, GRACE, name, sent=False)
        meeting.look()
        if sent:
            delete(meeting, GRACE, name, sent=True)
        return pause

    with monkeypatch.context() as patch:
        patch.setattr(network, "_rest", rest)
        replies = exchange(TRAIN, 1, to_all(plan, weights))
    assert (set(replies.answers), replies.late) == ({"worker-001"}, ("worker-002",))
    # A server that begins the round again gets what it lost, and the next round is whole.
    assert exchange(TRAIN, 1, to_all(plan, weights)).absent == {}
    assert exchange(TRAIN, 2, to_all(plan, weights)).absent == {}


def test_an_old_hello_put_back_is_of_no_use(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    """It says what the owner has said before: how many users it had. Who asks for users that have gone
    is refused; a server that looks again is told by the owner's next start."""
    grace = meeting.owners[GRACE]
    store = meeting.store
    listed = grace.site.channel._listed([SERVER], outgoing=True)[SERVER]
    old = next(store.get_file(i).content for i, name in listed.items() if name == HELLO)
    grace.put({"u0": ("the cat sat",) * 12, "u1": ("the cat",) * 12})
    grace.begin()
    (new,) = (
        i
        for i, n in grace.site.channel._listed([SERVER], outgoing=True)[SERVER].items()
        if n == HELLO
    )
    store.get_file(new).content = old
    assert meeting.network().members["worker-002"].users == 3
    replies = a_round(meeting, plan, weights)
    assert only_ada_counts(replies) == Refusal.BAD_REQUEST.words
    grace.begin()
    assert meeting.network().members["worker-002"].users == 2


def test_junk_beside_a_hello_or_a_decision_hides_neither(meeting: Meeting, plan: TrainPlan) -> None:
    there = meeting.network()
    for name, source in ((HELLO, GRACE), (decision_name(plan_digest(plan)), GRACE)):
        if name != HELLO:
            meeting.server.send(GRACE, offer_name(plan_digest(plan)), write_offer(plan)[1])
            meeting.owners[GRACE].look()
        for _ in range(4):
            meeting.plant(source, name, b"junk")
    assert set(meeting.network().members) == {"worker-001", "worker-002"}
    job = there.decisions(Job(plan, plan_digest(plan), (), {}))
    assert job.approved == ("worker-002",)


def test_the_folder_shows_no_word_and_no_number_of_anybodys(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    """Whoever takes the folder away has names, times and sizes."""
    there = meeting.network()
    job = there.submit(plan, "train")
    name, seen = request_name(job.digest, 1, TRAIN), b""
    meeting.server.put(
        ADA,
        name,
        pack(Envelope("ask", job.digest, "train", 1), asking(weights), TRAIN.request(plan)),
    )
    meeting.look()
    for path in meeting.shared.rglob("*"):
        seen += path.read_bytes() if path.is_file() else b""
    assert name.encode() in seen
    for secret in (b"cat sat", weights.tobytes(), weights.tobytes()[:64], b'"rounds"', b"words"):
        assert secret not in seen
    for _, message in meeting.owners[ADA].sent:
        assert message[-40:] not in seen


# ------------------------------------------------------------------------ clocks and full disks


@pytest.mark.parametrize("years", [-1, 1])
def test_a_clock_that_is_a_year_off_changes_times_and_nothing_else(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, years: int
) -> None:
    ada = meeting.owners[ADA]
    ada.policy, ada.now = Policy(max_rounds_a_day=2), at(12, day=365 * years)
    meeting.offer(plan)
    said = [refusal_in(meeting.ask(plan, TRAIN, n, asking(weights))) for n in (1, 2, 3)]
    assert said == [None, None, Refusal.NOT_ALLOWED]
    assert [e.n for e in ada.site.ledger.entries] == list(
        range(1, len(ada.site.ledger.entries) + 1)
    )
    assert ada.answers[0].time.startswith(f"{2026 + years}-05-0")


def test_a_clock_that_jumps_begins_a_day_anew_but_gives_no_round_twice(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    """A day's limit is by the owner's own clock: whoever sets it can pass days. Nobody else can."""
    ada, long = meeting.owners[ADA], replace(plan, rounds=9)
    ada.policy, ada.now = Policy(max_rounds_a_day=1), at(12)
    meeting.offer(long)
    ask = lambda number: refusal_in(meeting.ask(long, TRAIN, number, asking(weights)))  # noqa: E731
    assert [ask(1), ask(2)] == [None, Refusal.NOT_ALLOWED]
    ada.now = at(12, day=365)
    assert [ask(2), ask(3)] == [None, Refusal.NOT_ALLOWED]
    ada.now = at(13)  # back on the first day, which has had its round
    assert ask(3) == Refusal.NOT_ALLOWED
    ada.now = at(12, day=-365)
    assert ask(3) is None
    other = asking(weights, [0])
    for number in (1, 2, 3):
        said = meeting.ask(long, TRAIN, number, other)
        assert refusal_in(said) == Refusal.ALREADY_ANSWERED
    assert [e.round for e in ada.answers] == [1, 2, 3]
    ada.site.ledger.verify()


def test_a_full_disk_at_an_owner_lets_nothing_leave_and_goes_on_when_there_is_room(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, digest = meeting.owners[ADA], meeting.offer(plan)
    name = request_name(digest, 1, TRAIN)
    request = pack(Envelope("ask", digest, "train", 1), asking(weights), TRAIN.request(plan))
    meeting.server.put(ADA, name, request)
    before, full, slept = len(ada.sent), [True] * 3, []
    write = os.write

    def no_room(handle: int, data: Any) -> int:
        if full and b'"answer"' in bytes(data):
            full.pop()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    monkeypatch.setattr(ledger.os, "write", no_room)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if full:
            assert len(ada.sent) == before
            assert name not in meeting.server.names(ADA)

    monkeypatch.setattr(attending.time, "sleep", sleep)
    ada.attendant.attend(until=lambda: len(slept) > 5)
    assert sum("No space left on device; trying again" in line for line in ada.told) == 3
    assert name in meeting.server.names(ADA)
    assert [e.round for e in ada.answers] == [1]


def test_a_full_disk_at_the_server_loses_a_round_and_the_run_goes_on_to_the_same_weights(
    meeting: Meeting,
    plan: TrainPlan,
    weights: FloatArray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = meeting.network()
    exchange = there.exchange(there.submit(plan, "train"))

    def run(folder: Path) -> FloatArray:
        checkpoint = Checkpoint(folder, "p")
        begun = checkpoint.load() or start(plan, weights)
        validate = lambda weights, number: ({}, Replies({}))  # noqa: E731
        states = [begun, *train(plan, begun, exchange, validate, checkpoint)]
        return states[-1].weights

    write, save = os.fsync, Checkpoint.save

    def no_room(self: Checkpoint, state: Any) -> None:
        if state.number == 2:
            with monkeypatch.context() as patch:
                patch.setattr("nwp.files.os.fsync", full)
                save(self, state)
        else:
            save(self, state)

    def full(handle: int) -> None:
        write(handle)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", no_room)
        with pytest.raises(NwpError, match="No space left"):
            run(tmp_path / "run")
    entries = [len(owner.site.ledger.entries) for owner in meeting.owners.values()]
    went_on = run(tmp_path / "run")
    # Round 2 was given again, as it was; round 3 is new.
    now = [len(owner.site.ledger.entries) for owner in meeting.owners.values()]
    assert [b - a for a, b in zip(entries, now, strict=True)] == [1, 1]
    assert np.array_equal(went_on, run(tmp_path / "another"))


# ------------------------------------------------------------------------------------- the ledger


def test_all_that_left_is_in_the_ledger_once_in_order_with_its_bytes(
    meeting: Meeting, plan: TrainPlan, weights: FloatArray
) -> None:
    """Hellos, decisions, answers, refusals: as the tap saw each before it was encrypted."""
    ada = meeting.owners[ADA]
    a_round(meeting, plan, weights, 1)
    a_round(meeting, plan, weights, 2)
    denied = replace(plan, rounds=10**6)
    meeting.offer(denied)
    meeting.ask(plan, TRAIN, 99, asking(weights))
    meeting.send("0" * 16 + ".1.train", b"junk")
    entries = ada.site.ledger.entries
    kinds = [e.kind for e in entries]
    assert kinds == ["hello", "decision", "answer", "answer", "decision", "refuse", "refuse"]
    digests = [(len(m), hashlib.sha256(m).hexdigest()) for _, m in ada.sent]
    assert digests == [(e.bytes, e.sha256) for e in entries]
    assert [ada.site.ledger.message(e.n) for e in entries] == [m for _, m in ada.sent]
    assert {e.to for e in entries} == {SERVER}
    # And the server has read no other than these.
    for name, message in ada.sent[:1]:
        assert meeting.server.find(ADA, name)[0] == message  # type: ignore[index]
