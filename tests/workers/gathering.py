"""A server and owners who meet over a store in memory, all in one thread, on a clock of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwp.corpus.split import only
from nwp.corpus.types import Corpus
from nwp.federated.averaging import MEAN
from nwp.federated.parcel import Envelope, Parcel, pack
from nwp.federated.plan import Plan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Phase
from nwp.workers.adapter import clients, datasets, peers, stores
from nwp.workers.attending import Attendant
from nwp.workers.channel import Channel
from nwp.workers.consent import Consents
from nwp.workers.datasite import Datasite
from nwp.workers.engines import InProcess
from nwp.workers.jobs import request_name
from nwp.workers.members import Member
from nwp.workers.network import Network, Patience
from nwp.workers.offers import offer_name, write_offer
from nwp.workers.policy import Policy
from nwp.workers.private_text import DATA_FILE, lines_of, mock_of
from nwp.workers.simulation import deal

SERVER = "server@meeting.example"
TRAIN = MEAN.steps[0].phase
ASK = Policy(approve="ask")


@dataclass
class Clock:
    """Stands for the module `time`: nobody sleeps, and `meanwhile` happens instead."""

    now: float = 1000.0
    meanwhile: Callable[[], object] = lambda: None
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)
        self.meanwhile()


class Owner:
    """One owner: a folder, a client, and an attendant that looks when it is told to."""

    def __init__(self, name: str, folder: Path, client: Any, policy: Policy) -> None:
        self.name, self.folder, self.client, self.policy = name, folder, client, policy
        self.email: str = client.email
        self.consents = Consents(folder)
        self.said: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Start, or start again: everything from disk."""
        self.site = Datasite(
            *(self.client, self.folder, SERVER, self.policy, InProcess()),
            keep=self.folder / "sent",
            consents=self.consents,
            tell=self.said.append,
        )
        self.attendant = Attendant(self.site, lambda: self.policy, self.said.append)

    def look(self) -> bool:
        return self.attendant.look()

    @property
    def answers(self) -> list[tuple[str, int]]:
        """Phase and round of the answers in the ledger."""
        return [(e.phase, e.round) for e in self.site.ledger.entries if e.kind == "answer"]

    @property
    def outbox(self) -> set[str]:
        """Names of what this owner has sent and not taken back."""
        return set(self.site.channel.names(SERVER, outgoing=True))


class Gathering:
    """The server's channel and its owners."""

    def __init__(self, root: Path, corpus: Corpus, owners: int, policy: Policy) -> None:
        self.store = stores.new_store()
        self.root = root
        self.server = self.client(SERVER, owner=False)
        self.channel = Channel(self.server)
        self.deals = deal(list(corpus.users), owners)
        clients = {name: self.client(f"{name}@meeting.example") for name in self.deals}
        peers.enrol(self.server, {c.email: c for c in clients.values()})
        self.owners: dict[str, Owner] = {}
        for name, users in self.deals.items():
            private = lines_of(only(corpus, users).users)
            datasets.put_dataset(clients[name], private, mock_of(name), DATA_FILE, SERVER)
            self.owners[name] = Owner(name, root / name, clients[name], policy)

    def client(self, email: str, *, owner: bool = True) -> Any:
        """A client of this e-mail; its keys lie in its folder."""
        box = self.root / email.partition("@")[0] / "box"
        return clients.open_client(email, box, stores.in_memory(email, self.store), owner=owner)

    @property
    def members(self) -> dict[str, Member]:
        return {
            name: Member(name, owner.email, "known", len(self.deals[name]))
            for name, owner in self.owners.items()
        }

    def network(self, patience: Patience | None = None, **more: Any) -> Network:
        return Network(self.server, self.members, patience or Patience(), **more)

    def all_look(self, *names: str) -> None:
        """Owners (all when none is named) look once."""
        for name in names or tuple(self.owners):
            self.owners[name].look()

    def offer(self, name: str, plan: Plan) -> str:
        """Offer a plan to one owner; its digest."""
        digest = plan_digest(plan)
        self.channel.send(self.owners[name].email, offer_name(digest), write_offer(plan)[1])
        return digest

    def ask(self, name: str, plan: Plan, request: Parcel, number: int = 1) -> str:
        """Ask one owner for a round of training; the request's name."""
        called = request_name(plan_digest(plan), number, TRAIN)
        self.channel.send(self.owners[name].email, called, asked(plan, request, number))
        return called

    def answer(self, name: str, called: str) -> bytes | None:
        """The message that waits for the server under this name, if any."""
        email = self.owners[name].email
        file_id = self.channel.names(email).get(called)
        return self.channel.receive(email, file_id)[0] if file_id else None


def asked(plan: Plan, request: Parcel, number: int = 1, phase: Phase = TRAIN) -> bytes:
    """A request as a message."""
    envelope = Envelope("ask", plan_digest(plan), phase.name, number)
    return pack(envelope, request, phase.request(plan))


def training(weights: Any, users: Sequence[int] = (0, 1, 2)) -> Parcel:
    """The content of a request for training."""
    return Parcel(arrays={"weights": weights, "users": np.array(users, np.int64)})


def requests_for(gathering: Gathering, weights: Any) -> Mapping[str, Parcel]:
    """The requests of a round for which all users of all owners are drawn."""
    return {name: training(weights, range(len(users))) for name, users in gathering.deals.items()}


def stop_time(monkeypatch: pytest.MonkeyPatch, *modules: str) -> Clock:
    """Give modules of nwp.workers a clock on which nobody sleeps."""
    clock = Clock()
    for module in modules:
        monkeypatch.setattr(f"nwp.workers.{module}.time", clock)
    return clock
