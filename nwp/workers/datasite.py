"""A worker: a PySyft datasite that holds its users' text and runs only what its owner approved."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nwp.errors import BadInput, BadMessage, Gone, NoQuorum, NwpError
from nwp.evaluation.phases import VALIDATE
from nwp.federated.memory import Memory
from nwp.federated.parcel import Envelope, Parcel, pack, peek, unpack
from nwp.federated.plan import Plan, TrainPlan
from nwp.federated.plan_text import plan_digest, read_plan
from nwp.federated.protocol import Phase, WorkerSide
from nwp.files import write_atomic
from nwp.workers.adapter import clients, plan_jobs
from nwp.workers.channel import Channel, Tap
from nwp.workers.consent import Changed, Consents
from nwp.workers.engines import Engine
from nwp.workers.ledger import Ledger
from nwp.workers.policy import Policy, cost_of, fault, request_fault
from nwp.workers.private_text import Private, Side, read_private
from nwp.workers.refusals import REFUSED, Refusal, Refuse, reason_of
from nwp.workers.tasks import phases_of

MOST_REFUSED = 1000  # messages a day that are told so; the ledger has a line for each
_MOST_ECHOED = 200  # characters of what a request that is refused calls itself


@dataclass
class Datasite:
    """One owner's side. Boxes, pins and the ledger lie in `folder`, which only the owner can read.

    The pins (approved job to digests) and the ledger of answers lie outside the synced box: a
    job's recorded state proves nothing, and a request may be sent twice. What is kept for later
    phases and rounds goes to the folder `memory`, else to `folder` too. With a folder `keep` the messages
    that left are kept there, and the ledger tells how large each update was. `clock` gives the time that
    the owner's rules go by, and the ledger.
    """

    client: clients.Client
    folder: Path
    server: str
    policy: Policy
    engine: Engine
    tap: Tap | None = None
    memory: Path | None = None
    keep: Path | None = None
    consents: Consents | None = None
    tell: Callable[[str], None] = lambda text: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    pins: dict[str, dict[str, str]] = field(default_factory=dict)
    _plans: dict[str, Plan] = field(default_factory=dict)
    _private: Private | None = None

    def __post_init__(self) -> None:
        self.channel = Channel(self.client, self.tap)
        self.ledger = Ledger(self.folder / "ledger.jsonl", self.clock, self.keep)

    def review(self) -> dict[str, str]:
        """Approve or reject each pending job by the policy; job name to the reason of a refusal.

        Where the owner wants to be asked, what the policy allows goes on waiting.
        """
        refused = {}
        clients.sync(self.client)
        for job in plan_jobs.jobs(self.client):
            if job.status != "pending":
                continue
            reason, plan = self._judge(job)
            if reason or plan is None:
                refused[job.name] = reason or "not a plan"
                plan_jobs.reject(job, refused[job.name])
                continue
            if self.policy.approve != "auto":
                continue
            # The pin comes first: what changes after it is noticed before the next use.
            self._pin(plan_digest(plan), job.name, plan_jobs.job_digest(job))
            plan_jobs.approve(job, self.server)
        clients.sync(self.client)
        return refused

    def _judge(self, job: Any) -> tuple[str | None, Plan | None]:
        if job.submitted_by != self.server:
            return "unknown submitter", None
        if reason := plan_jobs.job_files_fault(job):
            return reason, None
        try:
            plan = read_plan(plan_jobs.job_plan(job))
        except (BadMessage, UnicodeDecodeError) as error:
            return f"not a plan: {error}", None
        return fault(self.policy, plan), plan

    def _pin(self, plan: str, job: str, digest: str) -> None:
        self.pins[plan] = {"job": job, "digest": digest}
        write_atomic(self.folder / "pins.json", json.dumps(self.pins), mode=0o600)

    def revoke(self, plan: str) -> None:
        """Take back the approval of a plan, by its digest: from now on its requests are refused."""
        self.pins.pop(plan, None)
        write_atomic(self.folder / "pins.json", json.dumps(self.pins), mode=0o600)

    def approved_plan(self, digest: str) -> Plan:
        """The plan of an approved job, if it still is byte for byte what was approved."""
        if self.consents:
            try:
                return self.consents.approved(digest)
            except (BadInput, BadMessage, Changed) as error:
                self.tell(f"{error.message}. {error.hint}")
                raise Refuse(Refusal.NOT_APPROVED) from error
        pin = self.pins.get(digest)
        job = plan_jobs.find_job(self.client, self.server, pin["job"]) if pin else None
        if not pin or not job or job.status != "approved":
            raise Refuse(Refusal.NOT_APPROVED)
        if plan_jobs.job_digest(job) != pin["digest"]:
            raise Refuse(Refusal.NOT_APPROVED)
        if digest not in self._plans:
            self._plans[digest] = read_plan(plan_jobs.job_plan(job))
        return self._plans[digest]

    def serve(self) -> None:
        """Answer or refuse every message that waits, once each.

        Several datasites may serve in threads of one process; the adapter and the channel let one
        of them at a time use syft.
        """
        for name, file_id in self.channel.names(self.server).items():
            with contextlib.suppress(Gone):
                if message := self.reply(name, file_id):
                    self.channel.send(self.server, name, message)

    def reply(
        self, name: str, file_id: str, wanted: Callable[[], bool] = lambda: True
    ) -> bytes | None:
        """The answer to one message that waits, or a refusal, ready to be sent; it is in the ledger then.

        None, and not entered, when the server does not want it any more, or too many were refused. A
        server that has lost an answer gets the same bytes again, where they were kept and the request is
        the same. Gone when it can't be read any more: a refusal would be taken for one of the request that
        the server may have put in its place.
        """
        envelope = Envelope("ask", "", name, 0)
        try:
            data, _ = self.channel.receive(self.server, file_id)
            envelope = peek(data)
            digest = hashlib.sha256(data).hexdigest()
            if again := self._given(envelope, digest):
                return again
            phase, side, request = self._accept(envelope, data)
            reply = self._answered(phase, side, envelope, request)
            out = _packed(envelope, reply, phase, side)
            if not wanted():
                self.tell(
                    f"{envelope.phase} of round {envelope.round}: the answer is not wanted any more"
                )
                return None
            if self.consents:  # it may have been taken back while this was computed
                self.approved_plan(envelope.job)
            self.ledger.write(  # first: a crash never allows a second answer
                envelope,
                out,
                to=self.server,
                request=digest,
                norm=_norm(side.plan, reply) if self.keep else None,
                epsilon=cost_of(side.plan),
            )
        except Gone:
            raise
        except (Refuse, BadMessage, NoQuorum) as error:
            if self.consents and self._refused_enough():
                return None
            job, named = envelope.job[:_MOST_ECHOED], envelope.phase[:_MOST_ECHOED]
            refusal = replace(envelope, kind="refuse", job=job, phase=named)
            out = pack(refusal, Parcel({"reason": int(reason_of(error))}), REFUSED)
            if self.consents:
                self.ledger.write(refusal, out, to=self.server)
        return out

    def _refused_enough(self) -> bool:
        """Were there so many refusals today that more would only fill the ledger?"""
        refused = self.ledger.refused_on(self.clock().astimezone().date())
        if refused == MOST_REFUSED:
            self.tell(f"{refused} messages were refused today; the next are passed over")
        return refused >= MOST_REFUSED

    def _given(self, envelope: Envelope, digest: str) -> bytes | None:
        """The message that was given to this very request before, if it was kept."""
        entry = self.ledger.answer_to(envelope)
        if self.keep is None or entry is None or entry.request != digest:
            return None
        self.approved_plan(envelope.job)
        try:
            return self.ledger.message(entry.n)
        except BadInput:
            return None

    @property
    def users(self) -> Sequence[str]:
        """The users of this worker. BadInput when the private data can't be read."""
        return self._data().users.names

    def _accept(self, envelope: Envelope, data: bytes) -> tuple[Phase, WorkerSide, Parcel]:
        """Hold a request against the approved plan, the ledger, the owner's rules and the phase's
        schema."""
        plan = self.approved_plan(envelope.job)
        phases = phases_of(plan)
        phase = phases.get(envelope.phase)
        rounds = getattr(plan, "rounds", 1)
        # Round 0 is before the first: the model that training starts from is validated.
        first = 0 if phase is VALIDATE and isinstance(plan, TrainPlan) else 1
        if phase is None or envelope.kind != "ask" or not first <= envelope.round <= rounds:
            raise Refuse(Refusal.BAD_REQUEST)
        if self.ledger.has(envelope):
            raise Refuse(Refusal.ALREADY_ANSWERED)
        _, request = unpack(data, phase.request(plan))
        try:
            private = self._data()
        except (BadInput, OSError) as error:
            raise Refuse(Refusal.NO_DATA) from error
        memory = self._memory_of(envelope.job, envelope.round)
        side = Side(plan, private, self.engine, memory)
        if reason := self._rules_against(envelope, side, request, len(data)):
            self.tell(f"{envelope.phase} of round {envelope.round} is refused: {reason}")
            raise Refuse(Refusal.NOT_ALLOWED)
        try:
            memory.begin(first=phase.name == next(iter(phases)))
        except BadInput as error:  # a round that lies too far back
            raise Refuse(Refusal.BAD_REQUEST) from error
        return phase, side, request

    def _rules_against(
        self, envelope: Envelope, side: Side, request: Parcel, size: int
    ) -> str | None:
        """What the owner's rules have against a request at this moment, if anything."""
        now = self.clock().astimezone()
        limited, alone = self.policy.max_rounds_a_day, self.policy.min_users <= 1
        return request_fault(
            self.policy,
            side.plan,
            users_asked=len(side.names) if alone else side.with_text(envelope.phase, request),
            now=now,
            rounds_today=self.ledger.rounds_on(now.date(), besides=envelope) if limited else 0,
            epsilon_spent=self.ledger.epsilon_spent(),
            request_bytes=size,
        )

    def _answered(
        self, phase: Phase, side: WorkerSide, envelope: Envelope, request: Parcel
    ) -> Parcel:
        """What the phase makes of a request. A plan within all limits may still be one that can't be
        computed here (memory, numbers beyond what torch can count): that ends no owner's work."""
        try:
            return phase.answer(side, envelope.round, request)
        except (NwpError, OSError, BrokenExecutor):  # of the machine or the engine, not of the plan
            raise
        except Exception as error:
            if not self.consents:
                raise
            self.tell(f"{envelope.phase} of round {envelope.round} can't be computed: {error}")
            raise Refuse(Refusal.NO_RESULT) from error

    def _memory_of(self, job: str, number: int) -> Memory:
        return Memory(self.memory or self.folder, job, number)

    def _data(self) -> Private:
        """The users' messages, from what the private dataset points to at this moment."""
        self._private = read_private(self.client, self._private)
        return self._private

    def receipt(self, plan: str) -> None:
        """Close the plan's job: what was answered, and how many bytes of answers, as its result.

        What was kept for its later rounds is deleted: there are none.
        """
        self._memory_of(plan, 0).forget()
        try:
            self.approved_plan(plan)
        except Refuse:
            return
        mine = (self.server, self.pins[plan]["job"])
        job = next(j for j in plan_jobs.jobs(self.client) if (j.submitted_by, j.name) == mine)
        summary = json.dumps(self.ledger.summary(plan), sort_keys=True)
        plan_jobs.deposit(self.client, job, summary, "receipt.json")


def _packed(envelope: Envelope, reply: Parcel, phase: Phase, side: WorkerSide) -> bytes:
    """The answer to a request as a message. Refuses where the work has come to nothing that may be
    sent: weights may grow beyond bounds."""
    try:
        return pack(replace(envelope, kind="answer"), reply, phase.reply(side.plan))
    except BadMessage as error:
        raise Refuse(Refusal.NO_RESULT) from error


def _norm(plan: Plan, reply: Parcel) -> float | None:
    """The L2 norm of the update in a reply as its reader will see it; None when there is none."""
    if not isinstance(plan, TrainPlan) or "update" not in reply.arrays:
        return None
    return float(np.linalg.norm(plan.uplink.decode("update", reply.arrays).astype(np.float64)))
