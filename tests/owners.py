"""An owner who looks at what a server wants when it is told to, in one thread with that server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nwp.federated.averaging import MEAN
from nwp.federated.parcel import Envelope, Parcel, Schema, pack, peek
from nwp.federated.plan import Plan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Phase
from nwp.workers.adapter import datasets
from nwp.workers.attending import Attendant
from nwp.workers.consent import Consents
from nwp.workers.datasite import Datasite
from nwp.workers.engines import InProcess
from nwp.workers.ledger import Entry
from nwp.workers.pauses import LATEST
from nwp.workers.policy import Policy
from nwp.workers.private_text import DATA_FILE, lines_of, mock_of

SERVER = "server@lab.example"
TRAIN = MEAN.steps[0].phase


@dataclass
class Owner:
    """One owner, a peer of the server's: its rules and clock, what it was told, and what it sent before
    encryption. One that `greets` says that it is there whenever it begins, as a process does."""

    client: Any
    home: Path
    users: Mapping[str, Sequence[str]]
    policy: Policy = field(default_factory=Policy)
    greets: bool = True
    slowest: float = LATEST
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    told: list[str] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    honest: bool = True

    def __post_init__(self) -> None:
        self.email: str = self.client.email
        self.put(self.users)
        self.begin()

    def put(self, users: Mapping[str, Sequence[str]]) -> None:
        """Hold these users' messages from now on."""
        private, mock = lines_of(users), mock_of(self.email)
        datasets.put_dataset(self.client, private, mock, DATA_FILE, SERVER)

    def begin(self) -> None:
        """Start, or start again after its process has ended: everything from disk."""
        self.consents = Consents(self.home)
        self.site = Datasite(
            *(self.client, self.home, SERVER, self.policy, InProcess()),
            tap=lambda _, to, name, payload: self.sent.append((name, payload)),
            keep=self.home / "sent",
            consents=self.consents,
            tell=self.told.append,
            clock=lambda: self.now(),  # noqa: PLW0108 (tests set it)
        )
        self.attendant = Attendant(
            self.site, lambda: self.policy, self.told.append, slowest=self.slowest
        )
        if self.greets:
            self.attendant.greet()

    def look(self) -> bool:
        """Look at what has come; did anything have to be done?"""
        return self.attendant.look()

    def lie(self, change: Callable[[bytes], bytes]) -> None:
        """Change each answer on its way out, past all checks of this side's."""
        self.honest, put = False, type(self.site.channel).put

        def evil(peer: str, name: str, message: bytes) -> int:
            lies = peek(message).kind == "answer"
            return put(self.site.channel, peer, name, change(message) if lies else message)

        self.site.channel.put = evil  # type: ignore[method-assign]

    @property
    def answers(self) -> list[Entry]:
        """The ledger's entries of answers."""
        return [e for e in self.site.ledger.entries if e.kind == "answer"]

    @property
    def answered(self) -> list[tuple[str, int]]:
        """Phase and round of each answer."""
        return [(e.phase, e.round) for e in self.answers]

    @property
    def outbox(self) -> set[str]:
        """Names of what this owner has sent and not taken back."""
        return set(self.site.channel.names(SERVER, outgoing=True))


def asking(weights: Any, users: Sequence[int] = (0, 1, 2)) -> Parcel:
    """A request to train some users."""
    return Parcel(arrays={"weights": weights, "users": np.array(users, np.int64)})


def asked(
    plan: Plan,
    request: Parcel,
    number: int = 1,
    phase: Phase = TRAIN,
    *,
    digest: str = "",
    schema: Schema | None = None,
) -> bytes:
    """A request as a message."""
    envelope = Envelope("ask", digest or plan_digest(plan), phase.name, number)
    return pack(envelope, request, schema or phase.request(plan))
