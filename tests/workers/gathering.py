"""A server and owners who meet over a store in memory, all in one thread, on a clock of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from owners import SERVER, TRAIN, Owner, asked, asking

from nwp.corpus.split import only
from nwp.corpus.types import Corpus
from nwp.federated.parcel import Parcel
from nwp.federated.plan import Plan
from nwp.federated.plan_text import plan_digest
from nwp.workers.adapter import clients, peers, stores
from nwp.workers.channel import Channel
from nwp.workers.jobs import request_name
from nwp.workers.members import Member
from nwp.workers.network import Network, Patience
from nwp.workers.offers import offer_name, write_offer
from nwp.workers.policy import Policy
from nwp.workers.simulation import deal

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


class Gathering:
    """The server's channel and its owners."""

    def __init__(self, root: Path, corpus: Corpus, owners: int, policy: Policy) -> None:
        self.store = stores.new_store()
        self.root = root
        self.server = self.client(SERVER, owner=False)
        self.channel = Channel(self.server)
        self.deals = deal(list(corpus.users), owners)
        clients_of = {name: self.client(f"{name}@meeting.example") for name in self.deals}
        peers.enrol(self.server, {c.email: c for c in clients_of.values()})
        self.owners: dict[str, Owner] = {}
        for name, users in self.deals.items():
            texts = only(corpus, users).users
            self.owners[name] = Owner(clients_of[name], root / name, texts, policy, greets=False)

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


def requests_for(gathering: Gathering, weights: Any) -> Mapping[str, Parcel]:
    """The requests of a round for which all users of all owners are drawn."""
    return {name: asking(weights, range(len(users))) for name, users in gathering.deals.items()}


def stop_time(monkeypatch: pytest.MonkeyPatch, *modules: str) -> Clock:
    """Give modules of nwp.workers a clock on which nobody sleeps."""
    clock = Clock()
    for module in modules:
        monkeypatch.setattr(f"nwp.workers.{module}.time", clock)
    return clock
