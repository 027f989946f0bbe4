"""What a server does with members on machines of their own: begin, invite, look, train, stop, forget.

HOME/members.json    who was invited, and what is known of them
HOME/runs.json       which members, with how many users, each bundle is trained with
HOME/begun.json      how many trainings had begun before each bundle's
HOME/status.json     what a training under way is doing
HOME/stop            put there to end it
OUT/run/cohorts.jsonl, survey.json  who took part in which round, and said which words
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nwp.errors import BadInput, BadSettings, Interrupted
from nwp.federated.parcel import Parcel
from nwp.federated.query_plan import QueryPlan
from nwp.federated.state import RunState
from nwp.files import data_home, write_atomic
from nwp.model.bundle import default_bundle
from nwp.runs.metrics import MetricsFile
from nwp.runs.trackers import Tracker
from nwp.tasks.cohorts import COHORTS, Recorded, took_part
from nwp.tasks.joint_members import (
    STOP,
    JointOptions,
    gathered,
    keep_members,
    keep_run,
    run_of,
    tell_of_large,
)
from nwp.tasks.joint_status import Status, read_status
from nwp.tasks.query import Answer, QueryOptions, query
from nwp.tasks.run_folder import RunFolder
from nwp.tasks.tracking import tracked
from nwp.tasks.train_options import TrainOptions
from nwp.tasks.train_over import train_over
from nwp.tasks.trained import finished_bundle, keep_result, result_of
from nwp.tasks.watching import Started, Watcher, telling_of_the_end, together
from nwp.workers.adapter import clients, peers
from nwp.workers.channel import Channel, Tap
from nwp.workers.members import (
    Member,
    by_name,
    look_for,
    read_members,
    save_members,
    with_invited,
)
from nwp.workers.network import Network, Patience
from nwp.workers.parties import (
    Party,
    alone,
    is_party,
    read_party,
    short,
    split_transport,
)


def usual_home() -> Path:
    """Where a server's folder is when nobody says."""
    return data_home() / "server"


def init_server(home: Path, email: str, transport: str) -> dict[str, Any]:
    """Make a server's folder and its keys. BadInput when there is one already."""
    if is_party(home):
        raise BadInput(
            f"{home} is a server's or a worker's folder already", "Give another one: --home DIR."
        )
    kind, place = split_transport(transport)
    if kind == "folder":
        place.mkdir(parents=True, exist_ok=True)
    party = Party(home, email, f"{kind}:{place.absolute()}")
    party.save()
    return {"home": str(home), "email": email, "fingerprint": _fingerprint(party.connect())}


def invite(home: Path, emails: Sequence[str]) -> list[dict[str, Any]]:
    """Invite owners, or some again; what to tell each of them, over a channel that they trust."""
    party = read_party(home, owner=False)
    client, members = party.connect(), read_members(home)
    told = []
    for email in emails:
        Party(home, party.email, party.transport, email)  # is it an address at all?
        if email == party.email:
            raise BadSettings(f"{email} is the server itself", "Invite owners.")
    for email in emails:
        peers.invite(client, email)
        members = with_invited(members, email)
        words = ["nwp", "worker", "init", "--as", email, "--server", party.email]
        words += ["--transport", party.transport, "--fingerprint", _fingerprint(client)]
        name = next(m.name for m in members if m.email == email)
        told.append({"name": name, "email": email, "command": shlex.join(words)})
    save_members(home, members)
    return told


def find_members(home: Path, warn: Callable[[str], None]) -> tuple[Member, ...]:
    """The members as they are now; what they have said is kept."""
    party = read_party(home, owner=False)
    client = party.connect()
    members = look_for(client, Channel(client), read_members(home), warn)
    save_members(home, members)
    return members


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

    NoQuorum when too few come, approve or answer; Interrupted after `nwp server stop`. Who is taken
    out meanwhile (`forget`) is in the plan of a run that is gone on with, and is sent nothing.
    """
    joint, watcher = joint or JointOptions(), watcher or Watcher()
    party = read_party(home, owner=False)
    with alone(home):
        (home / STOP).unlink(missing_ok=True)
        if not resume:  # before anybody is waited for
            with RunFolder(out, "", resume=False) as run:
                run.check(force=force)
        client = party.connect()
        status = Status(home, tell)
        members, barred = gathered(home, client, out, joint, status, resume=resume)
        network = Network(
            client,
            members,
            joint.patience,
            status.say,
            tap,
            gone=lambda: barred | {m.name for m in read_members(home) if m.left},
            stopped=(home / STOP).exists,
        )
        options = replace(options, run=run_of(home, out, resume=resume))
        marked = _fingerprint_of(options, members)
        with RunFolder(out, marked, resume=resume) as run:
            finished = run.check(force=force)
            if finished is not None:
                return finished
            # Only now: a run that may not begin here takes nothing from the one that is here.
            keep_members(home, out, members)
            status.say("begins", out=str(out.absolute()))
            tell_of_large(members, options.member_share, status)
            track = tracked(
                [MetricsFile(run.metrics), *trackers],
                out=out,
                fingerprint=marked,
                corpus="joint",
                settings=dataclasses.asdict(options),
                command=command,
                warn=watcher.warned,
            )

            def started(found: Started) -> None:
                keep_run(home, out, options.run)
                status.started(found)

            live = Watcher(
                started=started,
                round_done=lambda state: _round_done(home, status, state),
                stopped=status.stopped,
            )
            watcher = together(track, live, watcher)
            with telling_of_the_end(watcher):
                began = time.perf_counter()
                recorded = Recorded(network, run.folder, resume)
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
    party = read_party(home, owner=False)
    with alone(home):
        client = party.connect()
        members = look_for(client, Channel(client), read_members(home), tell)
        save_members(home, members)
        network = Network(client, by_name(members), patience, tell)
        return query(network, *asked, options.min_workers)


def _round_done(home: Path, status: Status, state: RunState) -> None:
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
    if (home / STOP).exists():
        (home / STOP).unlink(missing_ok=True)
        raise Interrupted(
            f"training was stopped after round {report.number}", "Go on with --resume."
        )


def stop(home: Path) -> dict[str, Any]:
    """Let a training end: after its round, or within it where that waits for answers. BadInput when none
    is under way."""
    status = read_status(home)
    if not status["running"]:
        raise BadInput("no training is under way here", "Begin one:  nwp server train")
    write_atomic(home / STOP, "", mode=0o600)
    return {"stopping": True, "round": status.get("round", 0)}


def forget(home: Path, name: str, out: Path | None = None) -> dict[str, Any]:
    """Take a member out: it is asked for nothing from now on. What it has done in the model that lies
    in `out` is told: nothing can take it out of weights that it helped to make but training again.
    """
    read_party(home, owner=False)
    members = read_members(home)
    found = [m for m in members if name in (m.name, m.email)]
    if not found:
        raise BadInput(f"no member {name!r}", "See:  nwp server members")
    member = found[0]
    kept = tuple(replace(m, left=True) if m.name == member.name else m for m in members)
    save_members(home, kept)
    rounds = took_part(out / "run" / COHORTS, member.name) if out else []
    return {
        "member": member.name,
        "email": member.email,
        "rounds": len(rounds),
        "first_round": min(rounds, default=None),
        "influence": bool(rounds),
    }


def base_of(given: str) -> str | None:
    """The bundle that a joint training starts from: the one `given`, "none", or "" for the one that ships."""
    return None if given == "none" else given or str(default_bundle())


def _fingerprint(client: clients.Client) -> str:
    return short(peers.fingerprint(client))


def _fingerprint_of(options: TrainOptions, members: Mapping[str, Member]) -> str:
    """What a joint run is of: its options, and who takes part with how many users."""
    told = {name: [member.email, member.users] for name, member in members.items()}
    text = json.dumps([options.decisive(), told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
