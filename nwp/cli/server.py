"""`nwp server`: train one model with owners on their own machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nwp.cli import asking
from nwp.cli.asking import home_of
from nwp.cli.options.common import Corpus, Json
from nwp.cli.options.parties import ServerHome, Transport
from nwp.cli.output import err, figure, megabytes, out, print_json

app = typer.Typer(
    help="Train one model with people who keep their text: invite, train, watch, forget.",
    no_args_is_help=True,
)


@app.command("init")
def init(
    email: Annotated[str, typer.Option("--as", metavar="EMAIL", help="What owners call you.")],
    transport: Transport,
    home: ServerHome = None,
    as_json: Json = False,
) -> None:
    """Make a server's folder and its keys.

    Example:  nwp server init --as kajsa@lab.example --transport folder:/mnt/us
    """
    from nwp.tasks.joint import init_server

    found = init_server(home_of(home), email, transport)
    if as_json:
        print_json(found)
        return
    out().print(f"{found['home']}: made. Your key's fingerprint, for owners to compare:")
    out().print(f"  {found['fingerprint']}")
    out().print("next:  nwp server invite EMAIL...")


@app.command("invite")
def invite(
    emails: Annotated[list[str], typer.Argument(metavar="EMAIL...", help="Of owners.")],
    home: ServerHome = None,
    as_json: Json = False,
) -> None:
    """Invite owners. Tell each of them the command that this prints, over a channel you both trust.

    Example:  nwp server invite ada@home.example grace@home.example
    """
    from nwp.tasks.joint import invite as run

    found = run(home_of(home), emails)
    if as_json:
        print_json({"invited": found})
        return
    for each in found:
        out().print(f"{each['name']}  {each['email']}:")
        out().print(f"  {each['command']}")


@app.command("members")
def members(home: ServerHome = None, as_json: Json = False) -> None:
    """Who was invited, who is there, and their keys' fingerprints.

    Example:  nwp server members
    """
    from dataclasses import asdict

    from nwp.tasks.joint import find_members
    from nwp.workers.parties import short

    found = find_members(home_of(home), lambda text: err().print(f"warning: {text}"))
    if as_json:
        print_json({"members": [{**asdict(m), "there": m.is_there} for m in found]})
        return
    if not found:
        out().print("nobody was invited yet:  nwp server invite EMAIL...")
    for member in found:
        state = "has left" if member.left else "there" if member.is_there else "not there yet"
        users = f"{member.users} users" if member.users else ""
        out().print(f"{member.name}  {member.email}  {state}  {users}".rstrip())
        if member.fingerprint:
            out().print(f"    {short(member.fingerprint)}")


app.command("train")(asking.train)
app.command("query")(asking.query)


@app.command("status")
def status(home: ServerHome = None, as_json: Json = False) -> None:
    """What a training under way is doing, and who took part in its last round.

    Example:  nwp server status --json
    """
    from nwp.tasks.joint_status import read_status

    found = read_status(home_of(home))
    if as_json:
        print_json(found)
        return
    state = "at work" if found["running"] else "not running"
    out().print(f"{found['email']}: {state}; {found.get('doing', 'nothing was trained yet')}")
    if found.get("round"):
        out().print(
            f"round {found['round']} of {found.get('rounds', '?')}: {found['users']} users in "
            f"{found['seconds']} s, valid perplexity {figure(found.get('perplexity'))}"
        )
    for member in found["members"]:
        away = (found.get("absent") or {}).get(member["name"], "")
        if bad := (found.get("refused") or {}).get(member["name"]):
            answers = "1 answer was" if bad["answers"] == 1 else f"{bad['answers']} answers were"
            away = f"{answers} not taken, the last in round {bad['round']}: {bad['why']}"
        out().print(
            f"  {member['name']}  {member['email']}  {member['users']} users  {away}".rstrip()
        )


@app.command("stop")
def stop(home: ServerHome = None, as_json: Json = False) -> None:
    """Let a training end: after its round, or at once where that waits for answers. --resume goes on.

    Example:  nwp server stop
    """
    from nwp.tasks.joint import stop as run

    found = run(home_of(home))
    if as_json:
        print_json(found)
        return
    out().print(f"it stops in round {found['round'] + 1}, or after it;  --resume goes on")


@app.command("forget")
def forget(
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="Its name or e-mail.")],
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A bundle that it may have helped to train.")
    ] = None,
    home: ServerHome = None,
    as_json: Json = False,
) -> None:
    """Ask a member for nothing more, and tell what of it remains in a model.

    Example:  nwp server forget ada@home.example --model ours

    Weights that a member has helped to make keep its influence: only training anew without it, from
    a bundle of before, makes a model that never saw it.
    """
    from nwp.tasks.joint import forget as run

    found = run(home_of(home), member, model)
    if as_json:
        print_json(found)
        return
    out().print(f"{found['member']} ({found['email']}) is asked for nothing more")
    if found["influence"]:
        out().print(
            f"its updates are in {model}: {found['rounds']} rounds, the first {found['first_round']}. "
            "That can't be taken out.\nA model without it:  nwp server train --out NEW   "
            "then delete the old one wherever it went"
        )
    elif model:
        out().print(f"no update of it is in {model}")


@app.command("rehearse")
def rehearse(
    corpus: Corpus,
    owners: Annotated[
        int, typer.Option(min=2, help="Processes, each with its share of users.")
    ] = 5,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    cohort: Annotated[int, typer.Option(min=0)] = 0,
    seed: Annotated[int, typer.Option()] = 0,
    base: Annotated[
        str, typer.Option("--from", metavar="BUNDLE|none", help="If not the one that ships.")
    ] = "",
    embedding: Annotated[int, typer.Option(min=1)] = 32,
    hidden: Annotated[int, typer.Option(min=1)] = 64,
    kill: Annotated[
        int, typer.Option(min=0, help="Kill and restart an owner, or the server, so many times.")
    ] = 0,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Leave all folders there, to look at.")
    ] = None,
    as_json: Json = False,
) -> None:
    """A server and owners as separate processes over a folder on this machine, held against the
    simulation: the same weights, bit for bit.

    Example:  nwp server rehearse sample --owners 5 --rounds 5 --from none
    """
    from nwp.cli.reading import read_corpus
    from nwp.tasks.rehearsal import RehearsalOptions
    from nwp.tasks.rehearsal import rehearse as run

    found = read_corpus(corpus, "", "", "", "me", skip_bad_lines=False)
    options = RehearsalOptions(owners, rounds, cohort, seed, base, embedding, hidden, kill)
    result = run(found, options, keep, tell=lambda text: err().print(text))
    if as_json:
        print_json(result)
        return
    same = "the same, bit for bit" if result["same"] else "NOT the same"
    out().print(
        f"{owners} owners and a server, {result['rounds']} rounds in {result['seconds']} s "
        f"(the simulation alone: {result['simulation_seconds']} s)\n"
        f"weights: {same}\n"
        f"a round: {result['round_seconds']} s, {megabytes(result['round_bytes'])}; "
        f"left in the shared folder: {megabytes(result['shared_bytes'])} in "
        f"{result['shared_files']} files"
    )
