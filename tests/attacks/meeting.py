"""A server and owners who meet in a shared folder, each with a folder of its own, driven by hand.

No threads and no sleeping: whenever the server would rest, the owners look (`Meeting`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from syft.sync.connections.drive.mock_drive_service import MockDriveFile, MockPermission

from nwp.corpus.types import Corpus
from nwp.federated.averaging import MEAN
from nwp.federated.parcel import Envelope, Parcel, Schema, pack, peek, unpack
from nwp.federated.plan import Plan, TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Phase, Replies
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers.adapter import clients, datasets, peers, stores
from nwp.workers.attending import Attendant
from nwp.workers.channel import Channel
from nwp.workers.consent import Consents
from nwp.workers.datasite import Datasite
from nwp.workers.engines import InProcess
from nwp.workers.folder import FolderStore, open_store
from nwp.workers.jobs import request_name
from nwp.workers.members import look_for, with_invited
from nwp.workers.network import Network, Patience
from nwp.workers.offers import offer_name, write_offer
from nwp.workers.policy import Policy
from nwp.workers.private_text import DATA_FILE, lines_of, mock_of
from nwp.workers.refusals import REFUSED, Refusal

SERVER = "server@lab.example"
ADA, GRACE = "ada@home.example", "grace@home.example"
TRAIN = MEAN.steps[0].phase
WORDS = ("the", "cat", "sat")
HASTY = Patience(answer=0.0, grace=0.0, longest=0.3, decision=0.3)
_CORPUS = Corpus("small", {f"u{i}": ("the cat sat", "the cat", "cat sat") * 4 for i in range(3)})


@dataclass
class Owner:
    """One owner: its folder, what it was told, what it sent before encryption, its clock and rules."""

    email: str
    home: Path
    client: Any
    policy: Policy = field(default_factory=Policy)
    corpus: Corpus = _CORPUS
    told: list[str] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    honest: bool = True

    def __post_init__(self) -> None:
        users = self.corpus.users
        datasets.put_dataset(self.client, lines_of(users), mock_of(self.email), DATA_FILE, SERVER)

    def begin(self) -> None:
        """Start, or start again after its process has ended."""
        self.consents = Consents(self.home)
        self.site = Datasite(
            self.client,
            self.home,
            SERVER,
            self.policy,
            InProcess(),
            tap=lambda _, to, name, payload: self.sent.append((name, payload)),
            keep=self.home / "sent",
            consents=self.consents,
            tell=self.told.append,
            clock=lambda: self.now(),  # noqa: PLW0108 (tests set it)
        )
        self.attendant = Attendant(self.site, lambda: self.policy, self.told.append, slowest=0.0)
        self.attendant.greet()

    def lie(self, change: Callable[[bytes], bytes]) -> None:
        """Change each answer on its way out, past all checks of this side's."""
        self.honest, put = False, type(self.site.channel).put

        def evil(peer: str, name: str, message: bytes) -> int:
            lies = peek(message).kind == "answer"
            return put(self.site.channel, peer, name, change(message) if lies else message)

        self.site.channel.put = evil  # type: ignore[method-assign]

    def look(self, times: int = 1) -> None:
        """Look at what has come."""
        for _ in range(times):
            self.attendant.look()

    @property
    def answers(self) -> list[Any]:
        """The ledger's entries of answers."""
        return [e for e in self.site.ledger.entries if e.kind == "answer"]


class Meeting:
    """A server and its owners; `server` is the server's channel: an evil one sends what it likes."""

    def __init__(self, root: Path, emails: Sequence[str] = (ADA, GRACE)) -> None:
        self.root, self.shared = root, root / "shared"
        self.shared.mkdir()
        self.client = self.client_of(SERVER, "server", owner=False)
        self.owners = {e: Owner(e, root / e, self.client_of(e, e, owner=True)) for e in emails}
        peers.enrol(self.client, {e: owner.client for e, owner in self.owners.items()})
        for owner in self.owners.values():
            owner.begin()
        self.server = Channel(self.client)
        self.warned: list[str] = []
        self.members = ()
        for email in emails:
            self.members = with_invited(self.members, email)

    def client_of(self, email: str, place: str, *, owner: bool) -> Any:
        """A participant's client over the shared folder."""
        way = stores.in_folder(email, self.shared)
        return clients.open_client(email, self.root / place / "box", way, owner=owner)

    def network(self, patience: Patience = HASTY) -> Network:
        """The server's view of the members that are there."""
        self.members = look_for(self.client, self.server, self.members, self.warned.append)
        there = {m.name: m for m in self.members if m.is_there}
        return Network(self.client, there, patience)

    def look(self, pause: float = 0.0) -> float:
        """Every owner looks once."""
        for owner in self.owners.values():
            owner.look()
        return pause

    @property
    def store(self) -> FolderStore:
        """The folder as whoever may write to it has it."""
        return open_store(self.shared, MockPermission)

    def plant(self, email: str, name: str, content: bytes) -> None:
        """Put a file among what an owner has sent, in that owner's name."""
        outbox = self.owners[email].site.channel._folder(SERVER, outgoing=True)
        owners = [{"emailAddress": email}]
        self.store.add_file(
            MockDriveFile(name=f"nwp.{name}", content=content, parents=[outbox], owners=owners)
        )

    # ------------------------------------------------------------------------- an evil server

    def offer(self, plan: Plan, to: str = ADA) -> str:
        """Offer a plan to an owner, who looks; its digest."""
        digest = plan_digest(plan)
        self.server.send(to, offer_name(digest), write_offer(plan)[1])
        self.owners[to].look()
        return digest

    def send(self, name: str, message: bytes, to: str = ADA) -> bytes | None:
        """Send any bytes under any name and let the owner look: what it says to that, if anything."""
        already = len(self.owners[to].sent)
        self.server.send(to, name, message)
        self.owners[to].look()
        said = [payload for of, payload in self.owners[to].sent[already:] if of == name]
        self.server.withdraw(to, name)
        self.owners[to].look()
        return said[-1] if said else None

    def ask(
        self,
        plan: Plan,
        phase: Phase,
        number: int,
        request: Parcel,
        *,
        digest: str = "",
        schema: Schema | None = None,
        to: str = ADA,
    ) -> bytes | None:
        """Ask one thing of an owner; the message that it sends back."""
        digest = digest or plan_digest(plan)
        envelope = Envelope("ask", digest, phase.name, number)
        message = pack(envelope, request, schema or phase.request(plan))
        return self.send(request_name(digest, number, phase), message, to)


def refusal_in(message: bytes | None) -> Refusal | None:
    """The reason in a refusal; None for an answer. Fails when nothing was said."""
    assert message is not None
    if peek(message).kind != "refuse":
        return None
    return Refusal(int(unpack(message, REFUSED)[1].fields["reason"]))


def a_plan() -> TrainPlan:
    """A small plan for the two owners."""
    model = ModelConfig(FIRST_WORD + len(WORDS), embedding=3, hidden=3, projection=3)
    return TrainPlan(model, WORDS, {}, workers={"worker-001": 3, "worker-002": 3}, rounds=3)


def asking(weights: FloatArray, users: Any = (0, 1, 2)) -> Parcel:
    """A request to train some users."""
    return Parcel(arrays={"weights": weights, "users": np.array(users, np.int64)})


def to_all(plan: TrainPlan, weights: FloatArray) -> dict[str, Parcel]:
    """A request to train all users of all owners."""
    return {worker: asking(weights) for worker in plan.workers}


def a_round(meeting: Meeting, plan: TrainPlan, weights: FloatArray, number: int = 1) -> Replies:
    """Offer a plan to all and go through the exchange of one round."""
    there = meeting.network()
    exchange = there.exchange(there.submit(plan, "train"))
    return exchange(TRAIN, number, to_all(plan, weights))


def at(hour: int, day: int = 0) -> Callable[[], datetime]:
    """A clock that stands at an hour of this machine's time, so many days after 4 May 2026."""
    moment = datetime(2026, 5, 4, 12, tzinfo=UTC).astimezone()
    moment = moment.replace(hour=hour) + timedelta(day)
    return lambda: moment


def holds(owner: Owner) -> None:
    """The ledger's chain holds, and what left is what it says: as much, the same bytes, and no more."""
    owner.site.ledger.verify()
    entered = {(e.bytes, e.sha256) for e in owner.site.ledger.entries}
    left = {(len(data), hashlib.sha256(data).hexdigest()) for _, data in owner.sent}
    assert left == entered
    answered = [(e.job, e.phase, e.round) for e in owner.answers]
    assert len(set(answered)) == len(answered)
