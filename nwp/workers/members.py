"""Who takes part, as the server knows it: names, keys, how many users each has.

    HOME/members.json   in the order of invitation

A member's name is what plans and rounds call it: other members read the plan, and no address.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nwp.errors import BadInput, BadMessage
from nwp.files import write_atomic
from nwp.workers.adapter import clients, peers
from nwp.workers.channel import Channel
from nwp.workers.offers import HELLO, read_hello
from nwp.workers.parties import short

_MEMBERS = "members.json"


@dataclass(frozen=True)
class Member:
    """One owner: `users` as it said itself (0: not yet), the `fingerprint` of its key as first seen.

    Who `left` is asked for nothing more.
    """

    name: str
    email: str
    fingerprint: str = ""
    users: int = 0
    left: bool = False

    @property
    def is_there(self) -> bool:
        """Can it be asked: its key is known, and it has users?"""
        return bool(self.fingerprint and self.users and not self.left)


def read_members(folder: Path) -> tuple[Member, ...]:
    """The members in a server's folder. BadInput when the file is damaged."""
    path = folder / _MEMBERS
    try:
        return tuple(Member(**row) for row in json.loads(path.read_bytes()))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"{path} can't be read: {error}", "Restore it, or begin anew.") from error


def save_members(folder: Path, members: Sequence[Member]) -> None:
    """Write the members to a server's folder."""
    rows = [asdict(member) for member in members]
    write_atomic(folder / _MEMBERS, json.dumps(rows, indent=1) + "\n", mode=0o600)


def with_invited(members: Sequence[Member], email: str) -> tuple[Member, ...]:
    """The members with one more, or one that comes back: as anybody new, whose key is not known yet."""
    if any(member.email == email for member in members):
        return tuple(Member(m.name, email) if m.email == email and m.left else m for m in members)
    return (*members, Member(f"worker-{len(members) + 1:03}", email))


def look_for(
    client: clients.Client,
    channel: Channel,
    members: Sequence[Member],
    warn: Callable[[str], None] = lambda text: None,
) -> tuple[Member, ...]:
    """The members as they show themselves now. Who says nothing that can be believed stays as it was;
    `warn` is told, and a member whose key was replaced is asked for nothing."""
    peers.find_peers(client)
    hellos = channel.waiting([member.email for member in members], HELLO)
    found = []
    for member in members:
        seen = peers.fingerprint(client, member.email)
        if member.left or not seen:
            found.append(member)
            continue
        if member.fingerprint and seen != member.fingerprint:
            warn(
                f"{member.email} has another key than before ({short(seen)}): it is asked for "
                f"nothing; if that is right, forget it and invite it under another address"
            )
            found.append(replace(member, users=0))
            continue
        known = replace(member, fingerprint=seen)
        try:
            ids = hellos.get(member.email)
            said = channel.find(member.email, HELLO, ids) if ids else None
            users = read_hello(said[0]) if said else known.users
            found.append(replace(known, users=users))
        except BadMessage as error:
            warn(f"{member.email}: {error}")
            found.append(known)
    return tuple(found)


def by_name(members: Sequence[Member]) -> Mapping[str, Member]:
    """The members that can be asked, by name."""
    return {member.name: member for member in members if member.is_there}
