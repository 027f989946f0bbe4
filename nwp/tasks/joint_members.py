"""With which members a joint training is done: those who come in time, or those of the run it goes on with.

HOME/runs.json    for each bundle, the members that it is trained with and how many users each had
HOME/begun.json   for each bundle, how many trainings had begun before it
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nwp.errors import Interrupted, NoQuorum, TransportError
from nwp.federated.shares import capped
from nwp.files import write_atomic
from nwp.tasks.joint_status import Status
from nwp.workers.adapter import clients
from nwp.workers.channel import Channel
from nwp.workers.members import Member, by_name, look_for, read_members, save_members
from nwp.workers.network import Patience

STOP = "stop"
_RUNS, _BEGUN = "runs.json", "begun.json"
_BETWEEN_LOOKS = 1.0  # seconds, while members are awaited
_AFTER_A_FAULT = 10.0


@dataclass(frozen=True)
class JointOptions:
    """How long to wait for members before the first plan: until `least` are there (and all that were
    invited, for `gather` seconds more), and how long for their answers (`Patience`)."""

    least: int = 2
    gather: float = 60.0
    patience: Patience = field(default_factory=Patience)


def gathered(
    home: Path,
    client: clients.Client,
    out: Path,
    joint: JointOptions,
    status: Status,
    *,
    resume: bool,
) -> tuple[Mapping[str, Member], frozenset[str]]:
    """The members to train with: those of the run that is gone on with, or all that come in time. And
    the names of those among them whose key can't be trusted now."""
    channel, began = Channel(client), time.monotonic()
    if resume and (names := _runs(home).get(str(out.absolute()))):
        return _same_again(
            look_for(client, channel, read_members(home), status.warn), names, status
        )
    while True:
        try:
            members = look_for(client, channel, read_members(home), status.warn)
        except TransportError as error:
            status.say(f"{error.message}; trying again")
            until = time.monotonic() + _AFTER_A_FAULT
            while time.monotonic() < until:
                if (home / STOP).exists():
                    raise Interrupted(
                        f"stopped while there was no way to the members: {error.message}"
                    ) from error
                time.sleep(_BETWEEN_LOOKS)
            continue
        save_members(home, members)
        found, invited = by_name(members), [m for m in members if not m.left]
        passed = time.monotonic() - began
        if len(invited) < joint.least:
            raise NoQuorum(
                f"{len(invited)} members are invited, at least {joint.least} must be there",
                "Invite owners:  nwp server invite EMAIL...    Or begin with fewer:  --least 1",
            )
        if found and len(found) == len(invited) and len(found) >= joint.least:
            break
        if len(found) >= joint.least and passed > joint.gather:
            break
        if (home / STOP).exists():
            raise Interrupted(f"stopped while {len(found)} of {len(invited)} members were there")
        if passed > joint.patience.longest:
            raise NoQuorum(
                f"{len(found)} of {len(invited)} members are there, at least {joint.least} must be",
                "Owners begin with:  nwp worker run    Invite more:  nwp server invite EMAIL",
            )
        away = ", ".join(m.email for m in invited if m.name not in found)
        status.say(f"{len(found)} of {len(invited)} members are there; waiting for {away}")
        time.sleep(_BETWEEN_LOOKS)
    return found, frozenset()


def _same_again(
    members: Sequence[Member], names: Mapping[str, int], status: Status
) -> tuple[Mapping[str, Member], frozenset[str]]:
    """The members of a run that is gone on with, as its plan has them; and whose key was replaced."""
    found, barred = {}, set()
    for member in members:
        if member.name not in names:
            continue
        begun_with = names[member.name]
        if not member.left and not member.users:
            barred.add(member.name)
        elif not member.left and member.users != begun_with:
            status.warn(
                f"{member.email} has {member.users} users now, and the run was begun with "
                f"{begun_with}: its answers may not count. To train with all of them, begin anew"
            )
        found[member.name] = replace(member, users=begun_with)
    return {name: found[name] for name in names if name in found}, frozenset(barred)


def keep_members(home: Path, out: Path, members: Mapping[str, Member]) -> None:
    """Write down whom the bundle in `out` is trained with: a resumed run has the same plan."""
    runs = _runs(home)
    runs[str(out.absolute())] = {name: member.users for name, member in members.items()}
    write_atomic(home / _RUNS, json.dumps(runs, indent=1) + "\n", mode=0o600)


def run_of(home: Path, out: Path, *, resume: bool) -> int:
    """The number of a training, by which its plan differs from those of all that have begun before: to a
    plan that owners have answered under, they give no other answers. One that goes on keeps its own."""
    begun = _numbers(home / _BEGUN)
    if resume and (number := begun.get(str(out.absolute()))) is not None:
        return number
    return 1 + max(begun.values(), default=-1)


def keep_run(home: Path, out: Path, number: int) -> None:
    """Write down that a training has begun under this number."""
    begun = {**_numbers(home / _BEGUN), str(out.absolute()): number}
    write_atomic(home / _BEGUN, json.dumps(begun, indent=1) + "\n", mode=0o600)


def _numbers(path: Path) -> dict[str, int]:
    try:
        return {str(name): int(number) for name, number in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def tell_of_large(members: Mapping[str, Member], share: float, status: Status) -> None:
    """Who has more users than may be drawn from it in a round: the server knows the number from
    nobody else."""
    users = {name: member.users for name, member in members.items()}
    most = capped(users, share) if len(users) > 2 else users
    for name in sorted(users):
        if most[name] < users[name]:
            status.warn(
                f"{members[name].email} says that it has {users[name]:,} of all {sum(users.values()):,} "
                f"users: a round draws {most[name]:,} of them at most (--member-share)"
            )


def _runs(home: Path) -> dict[str, dict[str, int]]:
    """Where bundles are trained to, with which members of how many users."""
    try:
        found: dict[str, dict[str, int]] = json.loads((home / _RUNS).read_bytes())
        return found
    except (OSError, ValueError):
        return {}
