"""The server among owners who are somewhere else: messages wait in a shared place until they are read.

It offers plans, asks, waits and takes in as `nwp.workers.simulation` does, and training can't tell
the difference. What differs is time: owners come, go, sleep and come back. A request lies in its
owner's inbox for as long as the server wants its answer; the server takes it away when it doesn't,
and then the owner takes away the answer: nothing piles up, and nothing is sent that nobody wants.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nwp.errors import BadMessage, Interrupted, NoQuorum, TransportError
from nwp.federated.parcel import Envelope, Parcel, pack_each
from nwp.federated.plan import Plan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import FOR_ALL, Phase, Replies, Wait
from nwp.workers.adapter import clients
from nwp.workers.channel import Channel, Tap
from nwp.workers.jobs import Declined, Job, open_answer, request_name
from nwp.workers.members import Member
from nwp.workers.offers import (
    OFFER,
    Decision,
    decision_name,
    offer_name,
    read_decision,
    write_offer,
)
from nwp.workers.pauses import SOONEST, backed_off, longer

_A_SECOND = 1.0
_SILENCE = 10.0  # seconds without an answer that are told
_LEFT = "it has left"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Patience:
    """How long the server waits, in seconds of its own clock.

    For answers: `answer`, then it goes on without the silent ones if `quorum` (a share of those
    asked) is there, and else until it is, `longest` in all. Whoever was silent the last time is
    waited for no longer than `grace` once the others are done. For decisions on a plan: `decision`, or
    `gather` where a quorum has approved, and `fewest` owners or more (all, where there are not so many).
    """

    answer: float = 600.0
    grace: float = 5.0
    longest: float = 24 * 3600.0
    decision: float = 24 * 3600.0
    gather: float = 60.0
    quorum: float = 0.5
    fewest: int = 1

    def least(self, asked: int) -> int:
        """How many of those asked make a quorum."""
        return max(1, math.ceil(self.quorum * asked))


@dataclass
class Network:
    """The server's view: `members` by the names that plans call them. `tell` gets lines of progress.

    `gone` names those who are sent nothing from now on, though the plan of a run that is under way has
    them; `stopped` tells whether to wait no longer.
    """

    client: clients.Client
    members: Mapping[str, Member]
    patience: Patience = field(default_factory=Patience)
    tell: Callable[[str], None] = lambda text: None
    tap: Tap | None = None
    gone: Callable[[], Collection[str]] = lambda: ()
    stopped: Callable[[], bool] = lambda: False
    _silent: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.channel = Channel(self.client, self.tap)

    @property
    def deals(self) -> Mapping[str, Sequence[int]]:
        """Worker name to its users, of whom the server knows nothing but how many they are."""
        return {name: range(member.users) for name, member in self.members.items()}

    def submit(self, plan: Plan, name: str) -> Job:
        """Offer a plan to all members; returns when all have decided, or enough of them and no more
        time is left. Those who decide later take part from then on.

        NoQuorum when too few have approved by then; Interrupted when stopped.
        """
        job = Job(plan, plan_digest(plan), (), {})
        _, message = write_offer(plan)
        gone = self.gone()
        present = {name: member for name, member in self.members.items() if name not in gone}
        emails = [member.email for member in present.values()]
        there = self.reached(self._sent, emails)
        for email in emails:
            self.reached(self._offer, email, job.digest, message, there[email])
        began, pause, said = time.monotonic(), SOONEST, ""
        fewest = min(self.patience.fewest, len(present))
        least = max(fewest, self.patience.least(len(present)))
        while True:
            job = self.reached(self.decisions, job)
            undecided = [m for m in present if m not in job.approved and _open(job, m)]
            passed = time.monotonic() - began
            if not undecided or passed > self.patience.decision:
                break
            if len(job.approved) >= least and passed > self.patience.gather:
                break
            if len(job.approved) + len(undecided) < least:
                break
            if self.stopped():
                raise Interrupted(
                    f"stopped while {', '.join(sorted(undecided))} had not decided yet",
                    "Go on with --resume.",
                )
            line = f"{name}: {len(job.approved)} of {len(present)} owners have approved"
            if line != said and passed > 1:
                self.tell(f"{line}; waiting for {', '.join(sorted(undecided))}")
                said = line
            pause = _rest(pause)
        if len(job.approved) < least:
            reasons = "; ".join(f"{w}: {why}" for w, why in sorted(job.refused.items()))
            raise NoQuorum(
                f"{len(job.approved)} of {len(present)} owners have approved the plan, at "
                f"least {least} must ({reasons})",
                "Ask them to look:  nwp worker requests --all    Then the same command, with --resume.",
            )
        return job

    def _sent(self, emails: Collection[str]) -> dict[str, dict[str, str]]:
        """What lies in members' inboxes."""
        return self.channel.names_of(emails, outgoing=True)

    def _offer(self, email: str, digest: str, message: bytes, there: Mapping[str, str]) -> None:
        """Let the plan lie in a member's inbox, and nothing of before. After a restart it may lie there
        already, and even be answered."""
        if before := [name for name in there if not name.startswith(OFFER)]:
            self.channel.withdraw(email, *before)
        if offer_name(digest) not in there:
            self.channel.send(email, offer_name(digest), message)

    def reached(self, call: Callable[..., _T], *arguments: Any) -> _T:
        """What a call gives; where the way is broken, it is tried again, rarer and rarer. Interrupted when
        stopped meanwhile."""
        began, pause = time.monotonic(), 1.0
        while True:
            try:
                return call(*arguments)
            except TransportError as error:
                if time.monotonic() - began > self.patience.longest:
                    raise
                self.tell(f"{error.message}; trying again in {pause:.0f} s")
                until = time.monotonic() + pause
                while (left := until - time.monotonic()) > 0:
                    if self.stopped():
                        raise Interrupted(
                            f"stopped while the others could not be reached: {error.message}",
                            "Go on with --resume.",
                        ) from error
                    time.sleep(min(left, _A_SECOND))
                pause = backed_off(pause)

    def decisions(self, job: Job) -> Job:
        """The job with what owners have decided by now."""
        gone = set(self.gone()) & set(self.members)
        approved = set(job.approved) - gone
        refused = {**job.refused, **dict.fromkeys(gone, _LEFT)}
        asked = {n: m.email for n, m in self.members.items() if n not in approved and n not in gone}
        called = decision_name(job.digest)
        waiting = self.channel.waiting(asked.values(), called)
        for name, email in asked.items():
            decision = Decision.PENDING
            try:
                ids = waiting.get(email)
                if said := self.channel.find(email, called, ids) if ids else None:
                    decision = read_decision(said[0], job.digest)
            except BadMessage as error:
                refused[name] = error.message
                continue
            if decision == Decision.APPROVED:
                approved.add(name)
                refused.pop(name, None)
            else:
                refused[name] = decision.words
        return Job(job.plan, job.digest, tuple(sorted(approved)), refused)

    def sent_as(self, emails: Collection[str], name: str) -> dict[str, list[str]]:
        """The ids of messages of this name that lie in members' inboxes."""
        return self.channel.waiting(emails, name, outgoing=True)

    def exchange(self, job: Job) -> _Exchange:
        """The way to reach the members under a job."""
        return _Exchange(self, job)

    def close(self, job: Job) -> None:
        """Take the plan away from all members: they tidy up then."""
        self.reached(self.channel.clear, *(member.email for member in self.members.values()))


@dataclass
class _Exchange:
    """Sends the requests of a phase and waits for the answers (`protocol.Exchange`)."""

    network: Network
    job: Job

    def __call__(
        self, phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
    ) -> Replies:
        network, channel = self.network, self.network.channel
        if network.gone() or any(worker not in self.job.approved for worker in requests):
            self.job = network.reached(network.decisions, self.job)
        plan, approved = self.job.plan, self.job.approved
        absent = {w: self.job.refused.get(w, "it is away") for w in requests if w not in approved}
        name = request_name(self.job.digest, number, phase)
        envelope = Envelope("ask", self.job.digest, phase.name, number)
        parcels = {worker: requests[worker] for worker in sorted(set(requests) - set(absent))}
        schema = phase.request(plan)
        down, up, began, pause, told = 0, 0, time.monotonic(), SOONEST, False
        emails = {worker: network.members[worker].email for worker in parcels}
        old = network.reached(network.sent_as, emails.values(), name)
        for worker, message in pack_each(envelope, parcels, schema):
            email = emails[worker]
            down += network.reached(channel.put, email, name, message, old.get(email, ()))
        answers: dict[str, Parcel] = {}
        refused: list[str] = []
        pending = set(parcels)
        while True:
            # One look for all of them: it costs as much as for one alone.
            waiting = network.reached(channel.waiting, [emails[worker] for worker in pending], name)
            for worker in sorted(w for w in pending if emails[w] in waiting):
                email = emails[worker]
                try:
                    found = network.reached(channel.find, email, name, waiting[email])
                    if found is None:
                        continue
                    up += found[1]
                    answer = open_answer(found[0], self.job, phase, number)
                    phase.check(plan, worker, answer)
                    answers[worker] = answer
                except Declined as error:
                    absent[worker] = error.message
                except BadMessage as error:
                    absent[worker] = error.message
                    refused.append(worker)
                    network.tell(f"round {number}: {worker} is left out: {error.message}")
                pending.discard(worker)
                pause = SOONEST
            passed = time.monotonic() - began
            if self._is_over(wait, answers, pending, len(parcels), passed):
                break
            if network.stopped():
                # The requests lie there: what is answered meanwhile is found when the run goes on.
                raise Interrupted(
                    f"stopped in round {number}, waiting for {', '.join(sorted(pending))}",
                    "Go on with --resume: the round begins again, and who has answered need not compute "
                    "anew.",
                )
            if passed > _SILENCE and not told:
                told = True
                network.tell(f"round {number}: waiting for {', '.join(sorted(pending))}")
            pause = _rest(pause)
        network.reached(channel.withdraw_from, emails.values(), name)
        network._silent = (network._silent - set(answers)) | pending
        waited = time.monotonic() - began
        late = tuple(sorted(pending))
        return Replies(answers, absent, down, up, late, waited, tuple(sorted(refused)))

    def _is_over(
        self,
        wait: Wait,
        answers: Mapping[str, Parcel],
        pending: set[str],
        asked: int,
        passed: float,
    ) -> bool:
        patience = self.network.patience
        least = patience.least(asked)
        if not pending or wait.enough(answers) or len(answers) + len(pending) < least:
            return True  # the last: others have refused, and no waiting makes it a quorum
        if wait.limit:
            return passed > wait.limit
        if len(answers) < least:
            return passed > patience.longest
        grace = patience.grace if pending <= self.network._silent else patience.answer
        return passed > grace


def _open(job: Job, worker: str) -> bool:
    """Has its owner not decided yet?"""
    return job.refused.get(worker) == Decision.PENDING.words


def _rest(pause: float) -> float:
    """Sleep, and give the next pause."""
    time.sleep(pause)
    return longer(pause)
