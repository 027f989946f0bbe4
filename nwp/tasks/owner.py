"""What an owner does with a worker of its own: begin, add text, look, decide, attend, read the ledger."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.corpus.readers import jsonl
from nwp.corpus.store import store
from nwp.corpus.types import Corpus, Tally, with_text
from nwp.errors import BadCorpus, BadInput, BadSettings, NwpError, Refused, TransportError
from nwp.federated.plan_text import read_plan
from nwp.files import data_home, told, write_atomic
from nwp.wording import many
from nwp.workers.adapter import clients, datasets, peers
from nwp.workers.attending import Attendant
from nwp.workers.consent import BY_OWNER, Asked, Consents
from nwp.workers.datasite import Datasite
from nwp.workers.describing import describe
from nwp.workers.engines import make_engine
from nwp.workers.ledger import Entry, Ledger
from nwp.workers.offers import Decision
from nwp.workers.parties import (
    Party,
    alone,
    is_party,
    plain,
    read_party,
    same_fingerprint,
    short,
    split_transport,
)
from nwp.workers.policy import Policy, fault, policy_text, read_policy, trusted
from nwp.workers.private_text import DATA_FILE, lines_of, mock_of

POLICY, LEDGER, SENT = "policy.toml", "ledger.jsonl", "sent"
_AFTER_THAT = "then do the same again."


def usual_home() -> Path:
    """Where a worker's folder is when nobody says."""
    return data_home() / "worker"


def init_owner(home: Path, email: str, server: str, transport: str, fingerprint: str = "") -> Party:
    """Make a worker's folder: identity, transport, rules. Nothing is sent.

    BadInput when there is one already; BadSettings for what can't be a name or a transport.
    """
    if (home / POLICY).exists():
        raise BadInput(
            f"{home} is a worker's folder already",
            f"Give another one: --home DIR. To change the rules, edit {home / POLICY}.",
        )
    if not server:
        raise BadSettings("a worker works for a server", "Give --server, as the invitation says.")
    if is_party(home):  # one of a worker may be of a beginning that came to nothing
        read_party(home, owner=True)
    kind, place = split_transport(transport)
    if fingerprint and len(plain(fingerprint)) < 32:
        raise BadSettings("a fingerprint has 32 digits or more", "Copy it from the invitation.")
    party = Party(home, email, f"{kind}:{place.absolute()}", server, fingerprint)
    party.save()
    with told("the rules can't be written", _AFTER_THAT):
        write_atomic(home / POLICY, policy_text(), mode=0o600)
    return party


def add_corpus(home: Path, corpus: Corpus, *, replace: bool = False) -> dict[str, Any]:
    """Put the users of a corpus into the worker's private dataset, which stays on this machine.

    BadInput when a user is there already and is not to be replaced.
    """
    party = read_party(home, owner=True)
    client = party.connect()
    there: Mapping[str, Any] = _users(client)
    twice = sorted(set(there) & set(corpus.users))
    if twice and not replace:
        raise BadInput(
            f"{len(twice)} of these users are there already: {', '.join(twice[:3])}",
            "Replace what they have written with --replace.",
        )
    users = {**there, **corpus.users}
    if not users:
        raise BadCorpus("there is no user in it", "Is it the right corpus?")
    with told("the messages can't be kept", _AFTER_THAT):
        datasets.put_dataset(client, lines_of(users), mock_of(party.email), DATA_FILE, party.server)
    return {
        "home": str(home),
        "users": len(users),
        "messages": sum(len(texts) for texts in users.values()),
        "added": len(corpus.users) - len(twice),
        "replaced": len(twice),
    }


def _users(client: clients.Client) -> Mapping[str, Any]:
    """The users in the private dataset; none when there is no dataset yet."""
    try:
        files = datasets.private_files(client)
    except FileNotFoundError:
        return {}
    if not files:
        return {}
    found, _ = store(with_text(jsonl.read(files[0], tally := Tally()), tally))
    return found


@dataclass(frozen=True)
class Request:
    """A plan that was asked for: its digest, its kind, what is known of it, and what it means in words."""

    digest: str
    kind: str
    asked: Asked
    words: tuple[str, ...]


def requests(home: Path, *, every: bool = False) -> list[Request]:
    """The plans that wait for the owner; with `every`, also those that are decided."""
    party = read_party(home, owner=True)
    consents, policy = Consents(home), read_policy(home / POLICY)
    own = len(_users(party.connect()))
    found = []
    for digest, asked in consents.all.items():
        if every or asked.decision == Decision.PENDING:
            try:
                plan = read_plan(consents.text(digest))
            except NwpError as error:
                # Its file was changed or is gone: the others are told all the same.
                found.append(Request(digest, "unreadable", asked, (error.message,)))
                continue
            found.append(Request(digest, plan.kind, asked, tuple(describe(plan, own, policy))))
    return found


def decide(
    home: Path, name: str, decision: Decision, reason: str = "", *, anyway: bool = False
) -> Request:
    """Write down the owner's decision on a plan, by its number or the beginning of its digest.

    Refused for an approval that the owner's rules forbid, if it is not to be given `anyway`.
    """
    read_party(home, owner=True)
    consents = Consents(home)
    digest = consents.find(name)
    if decision == Decision.REVOKED and consents.all[digest].decision != Decision.APPROVED:
        raise BadInput(f"the plan {digest[:12]} is not approved: there is nothing to take back")
    kind, against = "unreadable", None
    with contextlib.suppress(NwpError):
        plan = read_plan(consents.text(digest))
        kind, against = plan.kind, fault(read_policy(home / POLICY), plan)
    if decision == Decision.APPROVED and against and not anyway:
        raise Refused(
            f"your rules are against it: {against}",
            f"Change them in {home / POLICY}, or approve it --anyway.",
        )
    asked = consents.decide(digest, decision, by=BY_OWNER, reason=reason)
    return Request(digest, kind, asked, ())


def open_ledger(home: Path) -> Ledger:
    """The worker's ledger, checked from its first line to its last. BadInput where it is broken."""
    read_party(home, owner=True)
    return Ledger(home / LEDGER, keep=home / SENT)


def sent_entry(home: Path, number: int) -> tuple[Entry, bytes]:
    """One entry of the ledger, and the message that left. BadInput when there is none."""
    ledger = open_ledger(home)
    if not 1 <= number <= len(ledger.entries):
        raise BadInput(f"the ledger has no entry {number}", "See:  nwp worker log")
    return ledger.entries[number - 1], ledger.message(number)


def attend(
    home: Path,
    *,
    processes: int = 1,
    tell: Callable[[str], None] = lambda text: None,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Work for the server until told to stop: enrol, then decide and answer.

    BadInput when another process does, or there is no text yet; Refused when the server's key is not
    the one that the invitation told, or not one that the rules trust.
    """
    with at_work(home, processes=processes, tell=tell, until=until) as attendant:
        if attendant:
            tell("waiting for plans and rounds; Ctrl-C stops, and nothing is lost")
            attendant.attend(until)


@contextlib.contextmanager
def at_work(
    home: Path,
    *,
    processes: int = 1,
    tell: Callable[[str], None] = lambda text: None,
    until: Callable[[], bool] = lambda: False,
) -> Iterator[Attendant | None]:
    """Enrol and greet; what `attend` does then can be done look by look. None when told to stop before
    the server has come. Errors as from `attend`."""
    party = read_party(home, owner=True)
    with alone(home):
        policy = read_policy(home / POLICY)
        client = party.connect()
        users = _users(client)
        if not users:
            raise BadInput("this worker has no text yet", "Add some:  nwp worker add CORPUS")
        tell(f"{party.email}: {many(len(users), 'user')}; the key's fingerprint is")
        tell(f"  {short(peers.fingerprint(client))}")
        party = _enrolled(party, policy, client, tell, until)
        if until():
            yield None
            return
        tell(f"the key of {party.server} has the fingerprint")
        tell(f"  {short(party.fingerprint)}")
        engine = make_engine(processes)
        try:
            site = Datasite(
                client,
                home,
                party.server,
                policy,
                engine,
                keep=home / SENT,
                consents=Consents(home),
                tell=tell,
            )
            attendant = Attendant(site, _rules(home / POLICY, policy, tell), tell)
            attendant.greet()
            yield attendant
        finally:
            engine.close()


def _accepted(client: clients.Client, server: str, tell: Callable[[str], None]) -> bool:
    try:
        return peers.accept(client, server)
    except TransportError as error:
        tell(f"{error.message}; trying again")
        return False


def _rules(path: Path, policy: Policy, tell: Callable[[str], None]) -> Callable[[], Policy]:
    """The owner's rules as they are at each look; those of before where they can't be read now."""
    last, stamp = policy, _stamp(path)

    def now() -> Policy:
        nonlocal last, stamp
        if (changed := _stamp(path)) != stamp:
            stamp = changed
            try:
                last = read_policy(path)
                tell("your rules have changed, and hold from now on")
            except BadInput as error:
                tell(f"your rules of before hold on: {error.message}")
        return last

    return now


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
        return stat.st_mtime_ns, stat.st_ino
    except OSError:
        return 0, 0


def _enrolled(
    party: Party,
    policy: Policy,
    client: clients.Client,
    tell: Callable[[str], None],
    until: Callable[[], bool],
) -> Party:
    """The party once the server has asked and its key is the right one."""
    pause, said = 0.1, False
    while not _accepted(client, party.server, tell):
        if until():
            return party
        if not said:
            said = True
            tell(f"waiting for an invitation by {party.server} in {party.transport}")
        threading.Event().wait(pause)
        pause = min(5.0, pause * 1.5)
    seen = peers.fingerprint(client, party.server)
    if not trusted(policy, plain(seen)):
        raise Refused(
            f"your rules do not trust the key {short(seen)} of {party.server}",
            f'If they should, add "{plain(short(seen))}" to trust in {party.folder / POLICY}.',
        )
    if party.fingerprint and same_fingerprint(party.fingerprint, seen):
        return party
    return party.hold_to(seen)
