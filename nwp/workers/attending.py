"""An owner's side while it attends: read what the server wants, decide, answer, tidy up.

All that is read or sent are messages over the channel. Nothing of PySyft's file exchange runs on an
owner's machine: a message is what the server has signed, or it is nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nwp.errors import BadInput, BadMessage, Gone, TransportError
from nwp.federated.parcel import Envelope
from nwp.federated.plan_text import read_plan
from nwp.files import reason
from nwp.workers.adapter import peers
from nwp.workers.consent import BY_POLICY, Consents
from nwp.workers.datasite import Datasite
from nwp.workers.jobs import is_request
from nwp.workers.offers import (
    DECISION,
    HELLO,
    OFFER,
    Decision,
    decision_name,
    offer_name,
    read_offer,
    write_decision,
    write_hello,
)
from nwp.workers.parties import plain
from nwp.workers.pauses import LATEST, SOONEST, backed_off, longer
from nwp.workers.policy import Policy, fault, trusted

_BETWEEN_HELLOS = 60.0  # seconds at least, when one is gone


@dataclass
class Attendant:
    """Works for one datasite that keeps what its owner decides (`Datasite.consents`). `rules` gives the
    owner's rules as they are now, `tell` gets lines for the owner; `slowest` is the longest time between
    two looks, in seconds."""

    site: Datasite
    rules: Callable[[], Policy]
    tell: Callable[[str], None] = lambda text: None
    slowest: float = LATEST
    _handled: set[str] = field(default_factory=set)
    _crowded: bool = False
    _said: dict[str, Decision] = field(default_factory=dict)
    _silent: bool = False
    _greeted: float | None = None
    _trusting: tuple[Policy, bool] | None = None

    @property
    def consents(self) -> Consents:
        """What the owner has decided of which plans."""
        assert self.site.consents is not None
        return self.site.consents

    def greet(self) -> None:
        """Tell the server that this owner is there, with how many users."""
        envelope, message = write_hello(len(self.site.users))
        self._send(HELLO, envelope, message)
        self._greeted = time.monotonic()

    def attend(self, until: Callable[[], bool] = lambda: False) -> None:
        """Look, answer and rest until told to stop. A transport that fails is tried again, and so is a disk
        that is full: nothing leaves that can't be entered in the ledger."""
        pause = SOONEST
        back_off = self.slowest
        while not until():
            try:
                came = self.look()
                back_off = self.slowest
            except (TransportError, OSError) as error:
                why = error.message if isinstance(error, TransportError) else reason(error)
                self.tell(f"{why}; trying again in {back_off:.0f} s")
                time.sleep(back_off)
                back_off = backed_off(back_off)
                continue
            pause = SOONEST if came else longer(pause, self.slowest)
            time.sleep(pause)

    def look(self) -> bool:
        """One look at what has come; did anything have to be done?"""
        if not self._trusts():
            self._fall_silent()
            return False
        if self._silent:
            self.tell("your rules trust the server again")
            self.greet()
            self._silent = False
        waiting = self.site.channel.names(self.site.server)
        busy = False
        for name, file_id in waiting.items():
            if name.startswith(OFFER) and file_id not in self._handled:
                busy |= self._consider(name, file_id)
        busy |= self._decisions(waiting)
        for name, file_id in waiting.items():
            if not name.startswith(OFFER) and file_id not in self._handled:
                if is_request(name):
                    busy |= self._request(name, file_id)
                else:  # an answer to it might take the place of a message of another kind
                    self._handled.add(file_id)
                    self.tell(f"what came as {name[:40]!r} is no request")
        self._tidy(set(waiting))
        self._handled &= set(waiting.values())
        return busy

    def _trusts(self) -> bool:
        """Do the owner's rules, as they are now, trust the key that the server signs with?"""
        self.site.policy = policy = self.rules()
        if self._trusting is None or self._trusting[0] is not policy:
            seen = peers.fingerprint(self.site.client, self.site.server)
            self._trusting = policy, trusted(policy, plain(seen))
        return self._trusting[1]

    def _fall_silent(self) -> None:
        """Read nothing more of a server that is not trusted any more, and take back what it has not read."""
        if self._silent:
            return
        self.tell("your rules do not trust the server's key any more: nothing is read or answered")
        self.site.channel.clear(self.site.server)
        self._said.clear()
        self._handled.clear()
        self._silent = True

    def _consider(self, name: str, file_id: str) -> bool:
        """A plan has come: keep it, and decide by the owner's rules where they decide. False when it waits
        outside: too many are undecided."""
        known = any(offer_name(digest) == name for digest in self.consents.all)
        if self.consents.full and not known:
            if not self._crowded:
                self.tell("more plans have come than can wait: decide those that do, or deny them")
            self._crowded = True
            return False
        self._crowded = False
        try:
            data, _ = self.site.channel.receive(self.site.server, file_id)
            digest, text = read_offer(data)
        except Gone:
            return False
        except BadMessage as error:
            self._handled.add(file_id)
            self.tell(f"what came as {name[:40]!r} is no plan: {error.message[:300]}")
            return True
        asked = self.consents.came(digest, text)
        self._handled.add(file_id)
        if asked.decision == Decision.PENDING:
            self._decide(digest, text)
        return True

    def _decide(self, digest: str, text: str) -> None:
        """Let the owner's rules decide, where they do."""
        plan, policy = read_plan(text), self.site.policy
        if against := fault(policy, plan):
            self.consents.decide(digest, Decision.DENIED, by=BY_POLICY, reason=against)
            self.tell(f"a {plan.kind} plan {digest[:12]} was denied by your rules: {against}")
        elif policy.approve == "auto":
            self.consents.decide(digest, Decision.APPROVED, by=BY_POLICY)
            self.tell(f"a {plan.kind} plan {digest[:12]} was approved by your rules")
        else:
            place = self.consents.all[digest].place
            self.tell(
                f"a {plan.kind} plan {digest[:12]} waits for you:  nwp worker requests    "
                f"nwp worker approve {place}"
            )

    def _decisions(self, waiting: dict[str, str]) -> bool:
        """Tell the server what was decided, of plans that it still offers."""
        busy = False
        for digest, asked in self.consents.all.items():
            if offer_name(digest) not in waiting or self._said.get(digest) == asked.decision:
                continue
            decision = asked.decision
            if digest not in self._said and self.consents.lapsed(digest):
                decision = self._decided_anew(digest)
            envelope, message = write_decision(digest, decision)
            self._send(decision_name(digest), envelope, message)
            self._said[digest] = decision
            busy = True
        # One that is offered again later is answered again: the first answer was taken back.
        self._said = {d: said for d, said in self._said.items() if offer_name(d) in waiting}
        return busy

    def _decided_anew(self, digest: str) -> Decision:
        """A plan that was approved under another version of nwp: it waits for a decision again, and its
        requests with it, rather than that they are refused."""
        self.tell(f"nwp itself has changed since the plan {digest[:12]} was approved")
        self.consents.decide(digest, Decision.PENDING, by="", reason="nwp has changed")
        try:
            self._decide(digest, self.consents.text(digest))
        except (BadInput, BadMessage) as error:  # its file is gone, or damaged
            self.tell(error.message)
        return self.consents.all[digest].decision

    def _request(self, name: str, file_id: str) -> bool:
        """A request has come; one under a plan that is not decided yet waits. One that has gone meanwhile
        is looked for again: a server that goes on with a run puts its requests there anew."""
        for digest, asked in self.consents.all.items():
            if name.startswith(digest[:16]) and asked.decision == Decision.PENDING:
                return False
        began = time.perf_counter()
        server, channel = self.site.server, self.site.channel
        try:
            message = self.site.reply(
                name, file_id, lambda: self._trusts() and name in channel.names(server)
            )
        except Gone:
            return False
        if message:  # one that can't be sent now is given again, as it was
            size = channel.put(server, name, message)
            took = time.perf_counter() - began
            self.tell(f"{_in_words(name)}: {size:,} bytes sent after {took:.1f} s")
        self._handled.add(file_id)
        return True

    def _send(self, name: str, envelope: Envelope, message: bytes) -> None:
        self.site.ledger.write(envelope, message, to=self.site.server)
        self.site.channel.put(self.site.server, name, message)

    def _tidy(self, waiting: set[str]) -> None:
        """Take back what the server does not wait for any more; put the hello there again where somebody
        has deleted it, but not so often that whoever does that fills the ledger."""
        sent = self.site.channel.names(self.site.server, outgoing=True)
        since = 0.0 if self._greeted is None else time.monotonic() - self._greeted
        if HELLO not in sent and since > _BETWEEN_HELLOS:
            self.tell(
                "the hello by which the server knows this worker is gone: it is put there again"
            )
            self.greet()
        stale = [
            name
            for name in sent
            if name != HELLO
            and name not in waiting
            and not (name.startswith(DECISION) and OFFER + name[len(DECISION) :] in waiting)
        ]
        if stale:
            self.site.channel.withdraw(self.site.server, *stale)


def _in_words(name: str) -> str:
    """The name of a request for people."""
    _, number, phase = name.split(".")
    return f"round {number}, {phase}"
