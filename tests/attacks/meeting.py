"""A server and owners who meet in a shared folder, each with a folder of its own, driven by hand.

No threads and no sleeping: whenever the server would rest, the owners look (`Meeting`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from owners import SERVER, TRAIN, Owner, asked, asking
from syft.sync.connections.drive.mock_drive_service import MockDriveFile, MockPermission

from nwp.federated.parcel import Parcel, Schema, peek, unpack
from nwp.federated.plan import Plan, TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Phase, Replies
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers.adapter import clients, peers, stores
from nwp.workers.channel import Channel
from nwp.workers.folder import FolderStore, open_store
from nwp.workers.jobs import request_name
from nwp.workers.members import look_for, with_invited
from nwp.workers.network import Network, Patience
from nwp.workers.offers import offer_name, write_offer
from nwp.workers.refusals import REFUSED, Refusal

ADA, GRACE = "ada@home.example", "grace@home.example"
WORDS = ("the", "cat", "sat")
HASTY = Patience(answer=0.0, grace=0.0, longest=0.3, decision=0.3)
_USERS = {f"u{i}": ("the cat sat", "the cat", "cat sat") * 4 for i in range(3)}


class Meeting:
    """A server and its owners; `server` is the server's channel: an evil one sends what it likes."""

    def __init__(self, root: Path, emails: Sequence[str] = (ADA, GRACE)) -> None:
        self.root, self.shared = root, root / "shared"
        self.shared.mkdir()
        self.client = self.client_of(SERVER, "server", owner=False)
        clients_of = {email: self.client_of(email, email, owner=True) for email in emails}
        peers.enrol(self.client, clients_of)
        self.owners = {
            email: Owner(client, root / email, _USERS, slowest=0.0)
            for email, client in clients_of.items()
        }
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
        message = asked(plan, request, number, phase, digest=digest, schema=schema)
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
