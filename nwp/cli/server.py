"""`nwp server`: train one model with owners on their own machines."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from nwp.cli.options.common import Corpus, Json
from nwp.cli.output import err, figure, megabytes, moved, out, print_json, tell_without_ngrams
from nwp.cli.query import (
    Epsilon,
    MinUsers,
    MinWorkers,
    OfModel,
    PerUser,
    SharedBy,
    Split,
    Top,
    What,
)
from nwp.cli.repeating import repeatable
from nwp.errors import Interrupted

app = typer.Typer(
    help="Train one model with people who keep their text: invite, train, watch, forget.",
    no_args_is_help=True,
)

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", envvar="NWP_SERVER", help="The server's folder, if not the usual."
    ),
]
_WAIT, _LOCAL, _RUN = "How long to wait", "What owners do", "The run"


def _home(home: Path | None) -> Path:
    from nwp.tasks.joint import usual_home

    return home or usual_home()


@app.command("init")
def init(
    email: Annotated[str, typer.Option("--as", metavar="EMAIL", help="What owners call you.")],
    transport: Annotated[
        str, typer.Option(metavar="folder:PATH|drive:TOKENFILE", help="Where messages meet.")
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a server's folder and its keys.

    Example:  nwp server init --as kajsa@lab.example --transport folder:/mnt/us
    """
    from nwp.tasks.joint import init_server

    found = init_server(_home(home), email, transport)
    if as_json:
        print_json(found)
        return
    out().print(f"{found['home']}: made. Your key's fingerprint, for owners to compare:")
    out().print(f"  {found['fingerprint']}")
    out().print("next:  nwp server invite EMAIL...")


@app.command("invite")
def invite(
    emails: Annotated[list[str], typer.Argument(metavar="EMAIL...", help="Of owners.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Invite owners. Tell each of them the command that this prints, over a channel you both trust.

    Example:  nwp server invite ada@home.example grace@home.example
    """
    from nwp.tasks.joint import invite as run

    found = run(_home(home), emails)
    if as_json:
        print_json({"invited": found})
        return
    for each in found:
        out().print(f"{each['name']}  {each['email']}:")
        out().print(f"  {each['command']}")


@app.command("members")
def members(home: Home = None, as_json: Json = False) -> None:
    """Who was invited, who is there, and their keys' fingerprints.

    Example:  nwp server members
    """
    from dataclasses import asdict

    from nwp.tasks.joint import find_members
    from nwp.workers.parties import short

    found = find_members(_home(home), lambda text: err().print(f"warning: {text}"))
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


@app.command("train")
def train(
    out_folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the bundle and its run go.")
    ],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds at most.")] = 60,
    cohort: Annotated[
        int, typer.Option(min=0, help="Users a round; 0: a twentieth, but 8 or more.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Decides all that is drawn.")] = 0,
    base: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="BUNDLE|none",
            help="Start from this bundle and its words, if not from the one that ships; none: from "
            "nothing, and owners with k users and more are asked for the words that these share.",
        ),
    ] = "",
    k: Annotated[int, typer.Option(min=1, help="Users of an owner who must share a word.")] = 3,
    embedding: Annotated[int, typer.Option(min=1, rich_help_panel=_RUN)] = 96,
    hidden: Annotated[int, typer.Option(min=1, rich_help_panel=_RUN)] = 192,
    public_words: Annotated[int, typer.Option(min=0, max=20_000, rich_help_panel=_RUN)] = 5_000,
    learning_rate: Annotated[
        float, typer.Option(rich_help_panel=_LOCAL, help="Of plain SGD.")
    ] = 4.0,
    epochs: Annotated[int, typer.Option(min=1, rich_help_panel=_LOCAL, help="A round.")] = 1,
    batch: Annotated[int, typer.Option(min=0, rich_help_panel=_LOCAL, help="Messages.")] = 16,
    clip_norm: Annotated[
        float, typer.Option(rich_help_panel=_LOCAL, help="Longest gradient; 0: any.")
    ] = 0.5,
    dropout: Annotated[
        float | None,
        typer.Option(min=0, max=0.9, rich_help_panel=_LOCAL, help="Else the bundle's."),
    ] = None,
    precision: Annotated[
        str, typer.Option(metavar="fp32|bf16", rich_help_panel=_LOCAL, help="Of products.")
    ] = "fp32",
    uplink: Annotated[
        str, typer.Option(metavar="fp32|bf16|int8", rich_help_panel=_LOCAL, help="Of updates.")
    ] = "fp32",
    downlink: Annotated[
        str, typer.Option(metavar="fp32|bf16", rich_help_panel=_LOCAL, help="Of weights.")
    ] = "fp32",
    server_learning_rate: Annotated[float, typer.Option(rich_help_panel=_RUN)] = 0.03,
    member_share: Annotated[
        float,
        typer.Option(
            rich_help_panel=_RUN,
            help="Of a round, the most that one of three members or more counts for; 1: no bound.",
        ),
    ] = 0.5,
    averaging: Annotated[
        float,
        typer.Option(min=0, max=0.9999, rich_help_panel=_RUN, help="Of the server's weights."),
    ] = 0.0,
    validate_every: Annotated[int, typer.Option(min=1, rich_help_panel=_RUN)] = 5,
    patience: Annotated[
        int, typer.Option(min=0, rich_help_panel=_RUN, help="Validations without a better one.")
    ] = 0,
    storage: Annotated[
        str, typer.Option(metavar="fp32|bf16|int8", rich_help_panel=_RUN, help="Of the bundle.")
    ] = "fp32",
    least: Annotated[
        int,
        typer.Option(min=1, rich_help_panel=_WAIT, help="Members to begin with, who must approve."),
    ] = 2,
    gather: Annotated[
        float, typer.Option(min=0, rich_help_panel=_WAIT, help="Seconds for the others to come.")
    ] = 60.0,
    decide: Annotated[
        float,
        typer.Option(
            min=0,
            rich_help_panel=_WAIT,
            help="Seconds for owners to decide, if a quorum has approved.",
        ),
    ] = 3600.0,
    answer: Annotated[
        float, typer.Option(min=0, rich_help_panel=_WAIT, help="Seconds for an answer.")
    ] = 600.0,
    grace: Annotated[
        float,
        typer.Option(min=0, rich_help_panel=_WAIT, help="Seconds for who was silent last time."),
    ] = 5.0,
    quorum: Annotated[
        float,
        typer.Option(min=0, max=1, rich_help_panel=_WAIT, help="Share of those asked, at least."),
    ] = 0.5,
    longest: Annotated[
        float, typer.Option(min=0, rich_help_panel=_WAIT, help="Seconds to wait for a quorum.")
    ] = 86_400.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Begin anew where a run exists; owners are asked anew, too."),
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Train with the members who are there. Owners may come, go, sleep and come back.

    Example:  nwp server train --out ours --rounds 100 --uplink bf16 --downlink bf16

    Ctrl-C, or nwp server stop, ends it after its round; --resume goes on, also after the machine died.
    """
    from nwp.cli.progress import how_good, watching
    from nwp.federated.compression import Compression
    from nwp.federated.local import LocalWork
    from nwp.federated.optimizers import ServerOptimizer
    from nwp.tasks.joint import JointOptions, base_of, train_jointly
    from nwp.tasks.train import TrainOptions
    from nwp.workers.network import Patience

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = TrainOptions(
        k=k,
        embedding=embedding,
        hidden=hidden,
        public_words=public_words,
        dropout=dropout,
        local=LocalWork(epochs, batch, learning_rate, clip_norm=clip_norm, precision=precision),
        server=ServerOptimizer("fedadam", learning_rate=server_learning_rate, averaging=averaging),
        compression=Compression.chosen(downlink, uplink, None),
        rounds=rounds,
        cohort=cohort,
        member_share=member_share,
        validate_every=validate_every,
        patience=patience,
        seed=seed,
        base=base_of(base),
        storage=storage,
    )
    wait = Patience(
        answer=answer,
        grace=grace,
        longest=longest,
        decision=longest,
        gather=decide,
        quorum=quorum,
        fewest=least,
    )
    try:
        with watching() as progress:
            result = train_jointly(
                _home(home),
                out_folder,
                options,
                JointOptions(least, gather, wait),
                command=repeatable(),
                resume=resume,
                force=force,
                watcher=progress.watcher(),
                tell=lambda text: err().print(text),
            )
    except KeyboardInterrupt:
        again = shlex.join(["nwp", *sys.argv[1:], *(() if resume else ("--resume",))])
        raise Interrupted(
            "training stopped after its last finished round", f"Go on with:  {again}"
        ) from None
    if as_json:
        print_json(result)
        return
    out().print(
        f"{result['model']}: {result['rounds']} rounds over {result['users']} users of "
        f"{result['workers']} members in {result['seconds']} s\n"
        f"{how_good(result)}\n"
        f"{moved(result)}\n"
        f"next:  {shlex.join(['nwp', 'prompt', '--model', str(out_folder)])}"
    )
    if result.get("ngrams_left_out"):
        tell_without_ngrams(out_folder)


@app.command("query")
def query(
    what: What,
    model: OfModel = None,
    split: Split = "",
    top: Top = 20,
    k: SharedBy = 3,
    min_users: MinUsers = 3,
    min_workers: MinWorkers = 2,
    epsilon: Epsilon = 0.0,
    per_user: PerUser = 0,
    longest: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for approvals, and for answers.")
    ] = 3600.0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask all members for one figure: only the sum over them is told. Each owner approves the question.

    Example:  nwp server query size --epsilon 1 --per-user 100
    """
    from nwp.cli.query import print_answer
    from nwp.tasks.joint import query_members
    from nwp.tasks.query import QueryOptions, plan_query
    from nwp.workers.network import Patience

    options = QueryOptions(
        what=what,
        part=split,
        model=model,
        min_users=min_users,
        min_workers=min_workers,
        k=k,
        epsilon=epsilon,
        per_user=per_user,
    )
    answer = query_members(
        _home(home),
        options,
        plan_query(options),
        Patience(answer=longest, longest=longest, decision=longest, gather=longest),
        lambda text: err().print(text),
    )
    if as_json:
        print_json(answer.as_json(top))
    else:
        print_answer(answer, top)


@app.command("status")
def status(home: Home = None, as_json: Json = False) -> None:
    """What a training under way is doing, and who took part in its last round.

    Example:  nwp server status --json
    """
    from nwp.tasks.joint import read_status

    found = read_status(_home(home))
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
def stop(home: Home = None, as_json: Json = False) -> None:
    """Let a training end: after its round, or at once where that waits for answers. --resume goes on.

    Example:  nwp server stop
    """
    from nwp.tasks.joint import stop as run

    found = run(_home(home))
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
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask a member for nothing more, and tell what of it remains in a model.

    Example:  nwp server forget ada@home.example --model ours

    Weights that a member has helped to make keep its influence: only training anew without it, from
    a bundle of before, makes a model that never saw it.
    """
    from nwp.tasks.joint import forget as run

    found = run(_home(home), member, model)
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
