"""A plan under way: who approved it, what its messages are called, how its answers are opened."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Protocol

from nwp.errors import BadMessage
from nwp.federated.parcel import Envelope, Parcel, peek, unpack
from nwp.federated.plan import Plan
from nwp.federated.protocol import Exchange, Phase
from nwp.workers.refusals import REFUSED, Refusal


class Declined(BadMessage):
    """A worker says that it does not answer, and why."""


_REQUEST = re.compile(r"[0-9a-f]{16}\.[0-9]{1,12}\.[a-z]{1,40}")


@dataclass(frozen=True)
class Job:
    """A submitted plan: its digest, the workers that approved it, and the others' reasons."""

    plan: Plan
    digest: str
    approved: tuple[str, ...]
    refused: Mapping[str, str]


def request_name(digest: str, number: int, phase: Phase) -> str:
    """The name of a request's message, and of its answer's."""
    return f"{digest[:16]}.{number}.{phase.name}"


def phase_of(name: str) -> str:
    """The phase that a request's message, or its answer's, belongs to, by its name."""
    return name.rpartition(".")[2] if is_request(name) else ""


def is_request(name: str) -> bool:
    """May a message of this name be a request, or its answer?"""
    return _REQUEST.fullmatch(name) is not None


def open_answer(data: bytes, job: Job, phase: Phase, number: int) -> Parcel:
    """An answer's content; Declined for a refusal, BadMessage for an old answer or a damaged one."""
    about = peek(data)
    if about.kind == "refuse":
        _, refusal = unpack(data, REFUSED)
        code = int(refusal.fields["reason"])
        raise Declined(Refusal(code).words if code in list(Refusal) else "it refused")
    if about != Envelope("answer", job.digest, phase.name, number):
        raise BadMessage("its answer belongs to another request")
    return unpack(data, phase.reply(job.plan))[1]


class Federation(Protocol):
    """Workers that can be reached, wherever they are: simulated in this process, or on their owners'
    machines."""

    @property
    def deals(self) -> Mapping[str, Sized]:
        """Worker name to its users, of whom no more may be known than how many they are."""

    def submit(self, plan: Plan, name: str) -> Job:
        """Ask all owners for their approval; returns when enough have decided."""

    def exchange(self, job: Job) -> Exchange:
        """The way to reach the workers under a job."""

    def close(self, job: Job) -> None:
        """Nothing more will be asked under this job."""
