"""`nwp server train` and `nwp server query`: what members are asked for."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path
from typing import Annotated

import typer

from nwp.cli.idle import of_beginning, of_query, refuse_idle
from nwp.cli.options import joint, querying, run
from nwp.cli.options.common import Json
from nwp.cli.options.parties import ServerHome
from nwp.cli.output import err, moved, out, print_json, tell_without_ngrams
from nwp.cli.query import tell
from nwp.cli.repeating import repeatable, resuming
from nwp.errors import Interrupted


def home_of(home: Path | None) -> Path:
    """The server's folder: the one that was given, or the usual one."""
    from nwp.tasks.joint import usual_home

    return home or usual_home()


def train(
    context: typer.Context,
    out_folder: joint.Out,
    rounds: run.Rounds = 60,
    cohort: run.Cohort = 0,
    seed: run.Seed = 0,
    base: joint.From = "",
    k: joint.K = 3,
    embedding: joint.Embedding = 96,
    hidden: joint.Hidden = 192,
    public_words: joint.PublicWords = 5_000,
    learning_rate: joint.LearningRate = 4.0,
    epochs: joint.Epochs = 1,
    batch: joint.Batch = 16,
    messages: joint.Messages = 0,
    clip_norm: joint.ClipNorm = 0.5,
    dropout: joint.Dropout = None,
    precision: joint.Precision = "fp32",
    uplink: joint.Uplink = "fp32",
    downlink: joint.Downlink = "fp32",
    server_learning_rate: joint.ServerLearningRate = 0.03,
    server_schedule: joint.ServerSchedule = "constant",
    member_share: joint.MemberShare = 0.5,
    averaging: joint.Averaging = 0.0,
    validate_every: joint.ValidateEvery = 5,
    patience: joint.Patience = 0,
    storage: joint.Storage = "fp32",
    least: joint.Least = 2,
    gather: joint.Gather = 60.0,
    decide: joint.Decide = 3600.0,
    answer: joint.AnswerWithin = 600.0,
    grace: joint.Grace = 5.0,
    quorum: joint.Quorum = 0.5,
    longest: joint.Longest = 86_400.0,
    resume: joint.Resume = False,
    force: joint.Force = False,
    home: ServerHome = None,
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
    from nwp.federated.schedules import Schedule
    from nwp.tasks.joint import base_of, train_jointly
    from nwp.tasks.joint_members import JointOptions
    from nwp.tasks.train_options import TrainOptions
    from nwp.workers.network import Patience

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = base_of(base)
    options = TrainOptions(
        k=k,
        embedding=embedding,
        hidden=hidden,
        public_words=public_words,
        dropout=dropout,
        local=LocalWork(
            epochs,
            batch,
            learning_rate,
            clip_norm=clip_norm,
            precision=precision,
            messages=messages,
        ),
        server=ServerOptimizer("fedadam", learning_rate=server_learning_rate, averaging=averaging),
        server_schedule=Schedule(server_schedule),
        compression=Compression.chosen(downlink, uplink, None),
        rounds=rounds,
        cohort=cohort,
        member_share=member_share,
        validate_every=validate_every,
        patience=patience,
        seed=seed,
        base=start,
        storage=storage,
    )
    refuse_idle(context, of_beginning(not start, "--from none"))
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
                home_of(home),
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
        raise Interrupted(
            "training stopped after its last finished round", f"Go on with:  {resuming()}"
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


def query(
    context: typer.Context,
    what: querying.What,
    model: querying.OfModel = None,
    split: querying.Split = "",
    top: querying.Top = 20,
    k: querying.SharedBy = 3,
    min_users: querying.MinUsers = 3,
    min_workers: querying.MinWorkers = 2,
    epsilon: querying.Epsilon = 0.0,
    per_user: querying.PerUser = 0,
    longest: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for approvals, and for answers.")
    ] = 3600.0,
    home: ServerHome = None,
    as_json: Json = False,
) -> None:
    """Ask all members for one figure: only the sum over them is told. Each owner approves the question.

    Example:  nwp server query size --epsilon 1 --per-user 100
    """
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
    asked = plan_query(options)
    refuse_idle(context, of_query(what))
    answer = query_members(
        home_of(home),
        options,
        asked,
        Patience(answer=longest, longest=longest, decision=longest, gather=longest),
        lambda text: err().print(text),
    )
    tell(answer, top, as_json=as_json)
