"""What a server does with members on machines of their own: begin, invite, look, train, stop, forget.

HOME/members.json    who was invited, and what is known of them
HOME/runs.json       which members, with how many users, each bundle is trained with
HOME/status.json     what a training under way is doing
HOME/stop            put there to end it after its round
OUT/run/cohorts.jsonl  who took part in which round
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nwp.errors import BadInput, Interrupted, NoQuorum, TransportError
from nwp.federated.parcel import Parcel
from nwp.federated.plan import QueryPlan, TrainPlan
from nwp.federated.protocol import FOR_ALL, Exchange, Phase, Replies, Wait
from nwp.federated.state import RunState
from nwp.files import data_home, shipped, write_atomic
from nwp.runs.metrics import MetricsFile
from nwp.runs.trackers import Tracker
from nwp.tasks.query import Answer, QueryOptions, query
from nwp.tasks.run_folder import RunFolder
from nwp.tasks.tracking import tracked
from nwp.tasks.train import (
    TrainOptions,
    finished_bundle,
    keep_result,
    result_of,
    train_over,
)
from nwp.tasks.watching import Started, Watcher, telling_of_the_end, together
from nwp.workers import adapter
from nwp.workers.channel import Channel, Tap
from nwp.workers.jobs import Job
from nwp.workers.members import (
    Member,
    by_name,
    look_for,
    read_members,
    save_members,
    with_invited,
)
from nwp.workers.network import Network, Patience
from nwp.workers.parties import Party, alone, read_party, short, split_transport

_RUNS, _STATUS, _STOP, _COHORTS = "runs.json", "status.json", "stop", "cohorts.jsonl"
_BETWEEN_LOOKS = 1.0  # seconds, while members are awaited
_AFTER_A_FAULT = 10.0


def usual_home() -> Path:
    """Where a server's folder is when nobody says."""
    return data_home() / "server"


def init_server(home: Path, email: str, transport: str) -> dict[str, Any]:
    """Make a server's folder and its keys. BadInput when there is one already."""
    if (home / "party.json").exists():
        raise BadInput(f"{home} is a server's folder already", "Give another one: --home DIR.")
    kind, place = split_transport(transport)
    if kind == "folder":
        place.mkdir(parents=True, exist_ok=True)
    party = Party(home, email, f"{kind}:{place.absolute()}")
    party.save()
    return {"home": str(home), "email": email, "fingerprint": _fingerprint(party.connect())}


def invite(home: Path, emails: Sequence[str]) -> list[dict[str, Any]]:
    """Invite owners, or some again; what to tell each of them, over a channel that they trust."""
    party = read_party(home)
    client, members = party.connect(), read_members(home)
    told = []
    for email in emails:
        Party(home, party.email, party.transport, email)  # is it an address at all?
        adapter.invite(client, email)
        members = with_invited(members, email)
        words = ["nwp", "worker", "init", "--as", email, "--server", party.email]
        words += ["--transport", party.transport, "--fingerprint", _fingerprint(client)]
        name = next(m.name for m in members if m.email == email)
        told.append({"name": name, "email": email, "command": shlex.join(words)})
    save_members(home, members)
    return told


def find_members(home: Path, warn: Callable[[str], None]) -> tuple[Member, ...]:
    """The members as they are now; what they have said is kept."""
    party = read_party(home)
    client = party.connect()
    members = look_for(client, Channel(client), read_members(home), warn)
    save_members(home, members)
    return members


@dataclass(frozen=True)
class JointOptions:
    """How long to wait for members before the first plan: until `least` are there (and all that were
    invited, for `gather` seconds more), and how long for their answers (`Patience`)."""

    least: int = 2
    gather: float = 60.0
    patience: Patience = field(default_factory=Patience)


def train_jointly(
    home: Path,
    out: Path,
    options: TrainOptions,
    joint: JointOptions | None = None,
    *,
    command: str,
    resume: bool = False,
    force: bool = False,
    watcher: Watcher | None = None,
    tell: Callable[[str], None] = lambda text: None,
    trackers: Sequence[Tracker] = (),
    tap: Tap | None = None,
) -> dict[str, Any]:
    """Train with the members who are there, and write the bundle to `out`; the result is that of
    `nwp train --json`. A run that was stopped or killed goes on with `resume`, under the same plan:
    with the same members as before.

    NoQuorum when too few come, approve or answer; Interrupted after `nwp server stop`.
    """
    joint, watcher = joint or JointOptions(), watcher or Watcher()
    party = read_party(home)
    with alone(home):
        (home / _STOP).unlink(missing_ok=True)
        client = party.connect()
        status = _Status(home, tell)
        members = _gathered(home, client, out, joint, status, resume=resume)
        network = Network(client, members, joint.patience, status.say, tap)
        # The bundle that all may start from: owners with few users could say no word of their own.
        marked = _fingerprint_of(options, members)
        with RunFolder(out, marked, resume=resume) as run:
            finished = run.check(force=force)
            if finished is not None:
                return finished
            track = tracked(
                [MetricsFile(run.metrics), *trackers],
                out=out,
                fingerprint=marked,
                corpus="joint",
                settings=dataclasses.asdict(options),
                command=command,
                warn=watcher.warned,
            )
            live = Watcher(
                started=status.started, round_done=lambda state: _round_done(home, status, state)
            )
            watcher = together(track, live, watcher)
            with telling_of_the_end(watcher):
                began = time.perf_counter()
                recorded = _Recorded(network, run.folder / _COHORTS)
                watcher.enrolled(network)
                trained = train_over(recorded, run, options, watcher)
                bundle = finished_bundle("joint", None, options, trained, command)
                result = {
                    "model": str(out),
                    **result_of(trained, round(time.perf_counter() - began, 1)),
                    "members": sorted(members),
                }
                keep_result(run, bundle, result)
                watcher.finished(result)
            status.say("done", done=True)
            return result


def query_members(
    home: Path,
    options: QueryOptions,
    asked: tuple[QueryPlan, Parcel],
    patience: Patience,
    tell: Callable[[str], None] = lambda text: None,
) -> Answer:
    """Ask the members who are there what `nwp.tasks.query.plan_query` made of the options.

    NoQuorum when fewer than the options want approve and answer.
    """
    party = read_party(home)
    with alone(home):
        client = party.connect()
        members = look_for(client, Channel(client), read_members(home), tell)
        save_members(home, members)
        network = Network(client, by_name(members), patience, tell)
        return query(network, *asked, options.min_workers)


def _gathered(
    home: Path,
    client: adapter.Client,
    out: Path,
    joint: JointOptions,
    status: _Status,
    *,
    resume: bool,
) -> Mapping[str, Member]:
    """The members to train with: those of the run that is gone on with, or all that come in time."""
    channel, began = Channel(client), time.monotonic()
    runs = _runs(home)
    if resume and (names := runs.get(str(out.absolute()))):
        # Under the same plan, which tells how many users each has: nobody is waited for here.
        known = {m.name: m for m in look_for(client, channel, read_members(home), status.warn)}
        return {
            name: replace(known[name], users=users)
            for name, users in names.items()
            if name in known and not known[name].left
        }
    while True:
        try:
            members = look_for(client, channel, read_members(home), status.warn)
        except TransportError as error:
            status.say(f"{error.message}; trying again")
            time.sleep(_AFTER_A_FAULT)
            continue
        save_members(home, members)
        found, invited = by_name(members), [m for m in members if not m.left]
        passed = time.monotonic() - began
        if found and len(found) == len(invited) and len(found) >= joint.least:
            break
        if len(found) >= joint.least and passed > joint.gather:
            break
        if (home / _STOP).exists() or passed > joint.patience.longest:
            raise NoQuorum(
                f"{len(found)} of {len(invited)} members are there, at least {joint.least} must be",
                "Owners begin with:  nwp worker run    Invite more:  nwp server invite EMAIL",
            )
        away = ", ".join(m.email for m in invited if m.name not in found)
        status.say(f"{len(found)} of {len(invited)} members are there; waiting for {away}")
        time.sleep(_BETWEEN_LOOKS)
    runs[str(out.absolute())] = {member.name: member.users for member in found.values()}
    write_atomic(home / _RUNS, json.dumps(runs, indent=1) + "\n", mode=0o600)
    return found


def _runs(home: Path) -> dict[str, dict[str, int]]:
    """Where bundles are trained to, with which members of how many users."""
    try:
        found: dict[str, dict[str, int]] = json.loads((home / _RUNS).read_bytes())
        return found
    except (OSError, ValueError):
        return {}


def _round_done(home: Path, status: _Status, state: RunState) -> None:
    report = state.history[-1]
    valid = next((r.valid for r in reversed(state.history) if r.valid), None)
    status.say(
        f"round {report.number} done",
        round=report.number,
        seconds=report.seconds,
        users=report.users,
        late=report.late,
        absent=dict(report.absent),
        perplexity=(valid or {}).get("perplexity"),
    )
    if (home / _STOP).exists():
        (home / _STOP).unlink(missing_ok=True)
        raise Interrupted(
            f"training was stopped after round {report.number}", "Go on with --resume."
        )


@dataclass
class _Recorded:
    """A network whose rounds are written down: who was asked, who answered, who was late or away."""

    network: Network
    path: Path

    @property
    def deals(self) -> Mapping[str, Sequence[int]]:
        return self.network.deals

    def submit(self, plan: Any, name: str) -> Job:
        return self.network.submit(plan, name)

    def close(self, job: Job) -> None:
        self.network.close(job)

    def exchange(self, job: Job) -> Exchange:
        inner = self.network.exchange(job)

        def ask(
            phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
        ) -> Replies:
            replies = inner(phase, number, requests, wait)
            row = {
                "job": job.digest,
                "round": number,
                "phase": phase.name,
                "answered": sorted(replies.answers),
                "late": list(replies.late),
                "absent": dict(replies.absent),
                "seconds": round(replies.waited, 3),
                "bytes_down": replies.bytes_down,
                "bytes_up": replies.bytes_up,
            }
            if isinstance(job.plan, TrainPlan):  # before it, the run has no folder yet
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            return replies

        return ask


class _Status:
    """What a training under way is doing, for whoever asks (`nwp server status`)."""

    def __init__(self, home: Path, tell: Callable[[str], None]) -> None:
        self._path, self._tell, self._last = home / _STATUS, tell, ""
        self._about: dict[str, Any] = {}
        self._warned: set[str] = set()

    def say(self, text: str, *, done: bool = False, **about: Any) -> None:
        """Tell something new, and keep it with what is known."""
        self._about |= {**about, "doing": text, "pid": None if done else os.getpid()}
        with contextlib.suppress(OSError):  # a status that can't be written stops no training
            write_atomic(self._path, json.dumps(self._about) + "\n", mode=0o600)
        if text != self._last and not about:
            self._tell(text)
        self._last = text

    def warn(self, text: str) -> None:
        """Tell something that is not right, once."""
        if text not in self._warned:
            self._warned.add(text)
            self._tell(f"warning: {text}")

    def started(self, started: Started) -> None:
        """The plan is approved."""
        self.say("training", rounds=started.plan.rounds, plan=started.job.digest)


def read_status(home: Path) -> dict[str, Any]:
    """What a server is doing, its members and their last rounds. `running` tells whether the process is
    there."""
    party = read_party(home)
    about: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        about = json.loads((home / _STATUS).read_text(encoding="utf-8"))
    try:
        with alone(home):
            running = False
    except BadInput:
        running = True
    rows = [dataclasses.asdict(member) for member in read_members(home)]
    return {"email": party.email, "running": running, **about, "members": rows}


def stop(home: Path) -> dict[str, Any]:
    """Let a training end after its round. BadInput when none is under way."""
    status = read_status(home)
    if not status["running"]:
        raise BadInput("no training is under way here", "Begin one:  nwp server train")
    write_atomic(home / _STOP, "", mode=0o600)
    return {"stopping": True, "round": status.get("round", 0)}


def forget(home: Path, name: str, out: Path | None = None) -> dict[str, Any]:
    """Take a member out: it is asked for nothing from now on. What it has done in the model that lies
    in `out` is told: nothing can take it out of weights that it helped to make but training again.
    """
    members = read_members(home)
    found = [m for m in members if name in (m.name, m.email)]
    if not found:
        raise BadInput(f"no member {name!r}", "See:  nwp server members")
    member = found[0]
    kept = tuple(replace(m, left=True) if m.name == member.name else m for m in members)
    save_members(home, kept)
    rounds = _took_part(out / "run" / _COHORTS, member.name) if out else []
    return {
        "member": member.name,
        "email": member.email,
        "rounds": len(rounds),
        "first_round": min(rounds, default=None),
        "influence": bool(rounds),
    }


def _took_part(path: Path, name: str) -> list[int]:
    """The rounds of training in which a member's update counted."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return []
    return sorted({r["round"] for r in rows if r["phase"] == "train" and name in r["answered"]})


def default_base() -> str:
    """The bundle that a joint training starts from when nobody says."""
    return str(shipped("models") / "chat")


def _fingerprint(client: adapter.Client) -> str:
    return short(adapter.fingerprint(client))


def _fingerprint_of(options: TrainOptions, members: Mapping[str, Member]) -> str:
    """What a joint run is of: its options, and who takes part with how many users."""
    told = {name: [member.email, member.users] for name, member in members.items()}
    text = json.dumps([options.decisive(), told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
