"""`nwp train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import typer

from nwp.cli.idle import of_beginning, of_optimizer, of_schedules, of_words, refuse_idle
from nwp.cli.options import learning, network, run
from nwp.cli.options.common import Corpus, Json
from nwp.cli.options.computing import Device, EngineName, Processes, RayAddress, Workers
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.options.tracking import MLflowAddress, Record, TensorBoardFolder
from nwp.cli.output import err, moved, out, print_json, tell_without_ngrams
from nwp.cli.reading import read_corpus
from nwp.cli.repeating import repeatable, resuming
from nwp.errors import Interrupted


def train(
    context: typer.Context,
    corpus: Corpus,
    out_folder: run.Out = None,
    workers: Workers = 0,
    recipe: run.Recipe = None,
    rounds: run.RoundsOrPasses = 60,
    cohort: run.Cohort = 0,
    seed: run.Seed = 0,
    base: run.From = None,
    new_words: run.NewWords = 0,
    resume: run.Resume = False,
    force: run.Force = False,
    held_out: run.HeldOut = "0",
    validate_every: run.ValidateEvery = 5,
    validate_users: run.ValidateUsers = 0,
    patience: run.Patience = 0,
    checkpoint_every: run.CheckpointEvery = 1,
    processes: Processes = 0,
    engine: EngineName = "auto",
    ray_address: RayAddress = "",
    device: Device = "cpu",
    refuse: run.Refuse = None,
    sampling: run.Sampling = "uniform",
    availability: run.Availability = 1.0,
    cycle: run.Cycle = 1,
    over_select: run.OverSelect = 0.0,
    time_limit: run.TimeLimit = 0.0,
    minimum: run.Minimum = 0,
    stragglers: run.Stragglers = 0.0,
    k: network.K = 3,
    vocabulary: network.Vocabulary = 10_000,
    public_words: network.PublicWords = 5_000,
    embedding: network.Embedding = 96,
    hidden: network.Hidden = 192,
    layers: network.Layers = 1,
    tied: network.Tied = True,
    dropout: network.Dropout = None,
    algorithm: learning.Algorithm = "fedavg",
    epochs: learning.Epochs = 1,
    batch: learning.Batch = None,
    messages: learning.Messages = 0,
    learning_rate: learning.LearningRate = 4.0,
    clip_norm: learning.ClipNorm = 0.5,
    max_positions: learning.MaxPositions = 40,
    proximal: learning.Proximal = 0.0,
    schedule: learning.Schedule = "constant",
    warmup: learning.Warmup = 0,
    final_share: learning.FinalShare = 0.1,
    step_rounds: learning.StepRounds = 10,
    step_factor: learning.StepFactor = 0.5,
    precision: learning.Precision = "fp32",
    weights: learning.Weights = None,
    weight_cap: learning.WeightCap = 0,
    server_optimizer: learning.ServerOptimizer = "fedadam",
    server_learning_rate: learning.ServerLearningRate = 0.03,
    server_schedule: learning.ServerSchedule = "constant",
    momentum: learning.Momentum = 0.9,
    beta2: learning.Beta2 = 0.99,
    epsilon: learning.Epsilon = 1e-3,
    averaging: learning.Averaging = 0.0,
    downlink: learning.Downlink = "fp32",
    uplink: learning.Uplink = "fp32",
    topk: learning.TopK = None,
    storage: network.Storage = "fp32",
    record: Record = True,
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowAddress = None,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Train a model federatedly: the users' text is dealt to PySyft workers and stays there.

    Example:  nwp train sample --out my-model --rounds 60

    Example:  nwp train mine.jsonl.gz --recipe adapt --out ours

    Example:  nwp train sample --algorithm scaffold --cohort 32

    Example:  nwp train sample --weights clipped --weight-cap 200 --warmup 5

    CORPUS may be any export that `nwp corpus formats` lists, as it is.

    DIR/run/metrics.csv has a row of figures a round; `nwp runs` lists, compares and draws past runs.

    Ctrl-C stops after the last finished round; the same command with --resume goes on from there
    and gives the same bytes.
    """
    from nwp.cli.progress import watching
    from nwp.corpus.load import plain_name
    from nwp.federated.algorithms import algorithm as algorithm_of
    from nwp.federated.compression import Compression
    from nwp.federated.local import LocalWork
    from nwp.federated.optimizers import ServerOptimizer
    from nwp.federated.participation import Participation
    from nwp.federated.schedules import Schedule
    from nwp.federated.weighting import Weighting
    from nwp.tasks.passes import Passes
    from nwp.tasks.tracking import chosen_trackers
    from nwp.tasks.train import train_bundle
    from nwp.tasks.train_options import TrainOptions

    usual = algorithm_of(algorithm)
    falls = (warmup, final_share, step_rounds, step_factor)
    options = TrainOptions(
        workers=workers,
        held_out=held_out,
        k=k,
        vocabulary=vocabulary,
        public_words=public_words,
        embedding=embedding,
        hidden=hidden,
        layers=layers,
        tied=tied,
        dropout=dropout,
        local=LocalWork(
            epochs,
            usual.batch if batch is None else batch,
            learning_rate,
            max_positions,
            clip_norm,
            precision=precision,
            proximal=proximal,
            messages=messages,
        ),
        server=ServerOptimizer(
            server_optimizer,
            server_learning_rate,
            momentum,
            beta2,
            epsilon,
            averaging=averaging,
        ),
        storage=storage,
        algorithm=algorithm,
        weighting=Weighting(
            weights or ("equal" if sampling == "size" else usual.weights), weight_cap
        ),
        schedule=Schedule(schedule, *falls),
        # A rate that stays is told of by no plan: its warm-up and the like would be of nothing.
        server_schedule=Schedule()
        if server_schedule == "constant"
        else Schedule(server_schedule, *falls),
        compression=Compression.chosen(downlink, uplink, topk),
        rounds=1 if isinstance(rounds, Passes) else rounds,
        cohort=cohort,
        participation=Participation(
            sampling, availability, cycle, over_select, time_limit, minimum
        ),
        stragglers=stragglers,
        validate_every=validate_every,
        validate_users=validate_users,
        patience=patience,
        checkpoint_every=checkpoint_every,
        seed=seed,
        base=base,
        new_words=new_words,
        refuse=tuple(refuse or ()),
        processes=processes,
        engine=engine,
        ray_address=ray_address,
        device=device,
    )
    refuse_idle(
        context,
        {
            **of_beginning(base is None, "without --from"),
            **of_words(base is None, new_words),
            **of_schedules(schedule, server_schedule),
            **of_optimizer(server_optimizer),
        },
    )
    trackers = chosen_trackers(record=record, tensorboard=tensorboard, mlflow=mlflow)
    out_folder = out_folder or Path(f"{plain_name(corpus)}-model")
    found = read_corpus(corpus, form, columns, dates, me, skip_bad_lines=skip_bad_lines)
    try:
        with watching() as progress:
            result = train_bundle(
                found,
                out_folder,
                options,
                command=repeatable(),
                resume=resume,
                force=force,
                watcher=progress.watcher(),
                passes=rounds if isinstance(rounds, Passes) else None,
                trackers=trackers,
            )
    except KeyboardInterrupt:
        raise Interrupted(
            "training stopped after its last finished round", f"Go on with:  {resuming()}"
        ) from None
    if as_json:
        print_json(result)
    else:
        _tell(result, corpus, out_folder)


def _tell(result: dict[str, Any], corpus: str, folder: Path) -> None:
    """What training came to, and what to do with the bundle."""
    from nwp.cli.progress import how_good

    if result["without_words"]:
        err().print(f"left out: {result['without_words']} users who have written no word")
    out().print(
        f"{result['model']}: {result['rounds']} rounds over {result['users']} users in "
        f"{result['seconds']} s\n"
        f"{how_good(result)}\n"
        f"{moved(result)}\n"
        f"{_waited_for(result)}"
        f"next:  {shlex.join(['nwp', 'evaluate', corpus, '--model', str(folder)])}    "
        f"{shlex.join(['nwp', 'prompt', '--model', str(folder)])}"
    )
    if result.get("ngrams_left_out"):
        tell_without_ngrams(folder)


def _waited_for(result: dict[str, Any]) -> str:
    """A line on late answers, abandoned rounds and the simulated time, where there were any."""
    told = {
        "answers of {} users came too late": result["late"],
        "{} rounds were abandoned": result["abandoned"],
        "{:.1f} simulated seconds waited": result["waited"],
    }
    some = [text.format(number) for text, number in told.items() if number]
    return f"{'; '.join(some)}\n" if some else ""
