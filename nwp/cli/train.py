"""`nwp train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nwp.cli.options.common import Corpus, Json
from nwp.cli.options.computing import Device, EngineName, Processes, RayAddress, Workers
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.options.tracking import MLflowAddress, Record, TensorBoardFolder
from nwp.cli.output import err, megabytes, out, print_json, tell_without_ngrams
from nwp.cli.reading import read_corpus
from nwp.errors import Interrupted

_RUN, _MODEL, _LOCAL, _SERVER = "Run", "Model", "Local training", "Server"
_MESSAGES = "Messages"
_WHO = "Who takes part in a round"
# What decides only how or where a model is made, and who is told.
_FLAGS_OF_RUNNING = ("--json", "--resume", "--force", "--record", "--no-record")
_OPTIONS_OF_RUNNING = (
    *("--out", "--processes", "--engine", "--ray-address", "--device"),
    *("--tensorboard", "--mlflow", "--checkpoint-every"),
)


def train(
    corpus: Corpus,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            envvar="NWP_TRAIN_OUT",
            help="Where the bundle and its run go; else a folder named after the corpus.",
        ),
    ] = None,
    workers: Workers = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds at most.")] = 60,
    cohort: Annotated[
        int, typer.Option(min=0, help="Users a round; 0: a twentieth, but 8 or more.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Decides all that is drawn.")] = 0,
    base: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="BUNDLE",
            envvar="NWP_TRAIN_FROM",
            help="Go on from this bundle's weights.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last round of an interrupted run.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin anew where a run exists.")] = False,
    held_out: Annotated[
        str, typer.Option(metavar="SHARE|NAMES", help="Users to leave out whole.")
    ] = "0",
    validate_every: Annotated[
        int, typer.Option(min=1, rich_help_panel=_RUN, help="Rounds between validations.")
    ] = 5,
    validate_users: Annotated[
        int,
        typer.Option(min=0, rich_help_panel=_RUN, help="Users to validate on, drawn once; 0: all."),
    ] = 0,
    patience: Annotated[
        int,
        typer.Option(min=0, rich_help_panel=_RUN, help="Stop after so many without a better one."),
    ] = 0,
    checkpoint_every: Annotated[
        int,
        typer.Option(
            min=1,
            rich_help_panel=_RUN,
            help="Rounds between checkpoints: what a killed run may have to do again.",
        ),
    ] = 1,
    processes: Processes = 0,
    engine: EngineName = "auto",
    ray_address: RayAddress = "",
    device: Device = "cpu",
    refuse: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORKER", rich_help_panel=_RUN, help="Let this worker's owner refuse the plan."
        ),
    ] = None,
    sampling: Annotated[
        str,
        typer.Option(
            metavar="uniform|size|poisson",
            rich_help_panel=_WHO,
            help="Users are drawn alike; by their words; or each by itself.",
        ),
    ] = "uniform",
    availability: Annotated[
        float,
        typer.Option(rich_help_panel=_WHO, help="Chance that a user can be reached in a round."),
    ] = 1.0,
    cycle: Annotated[
        int,
        typer.Option(
            min=1, rich_help_panel=_WHO, help="Each user can be reached every so many rounds."
        ),
    ] = 1,
    over_select: Annotated[
        float,
        typer.Option(
            min=0,
            rich_help_panel=_WHO,
            help="Ask this share more users, and go on once the cohort's number has answered.",
        ),
    ] = 0.0,
    time_limit: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            rich_help_panel=_WHO,
            help="Wait no longer, in simulated seconds; 0: for all.",
        ),
    ] = 0.0,
    minimum: Annotated[
        int,
        typer.Option(min=0, rich_help_panel=_WHO, help="Users below which a round is abandoned."),
    ] = 0,
    stragglers: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SIGMA",
            rich_help_panel=_WHO,
            help="Spread of the users' simulated speeds (log-normal); 0: all answer at once.",
        ),
    ] = 0.0,
    k: Annotated[
        int,
        typer.Option(
            rich_help_panel=_MODEL,
            help="Users of one worker that must have written a word before it may leave.",
        ),
    ] = 3,
    vocabulary: Annotated[
        int, typer.Option(min=1, rich_help_panel=_MODEL, help="Words at most.")
    ] = 10_000,
    public_words: Annotated[
        int,
        typer.Option(
            min=0, max=20_000, rich_help_panel=_MODEL, help="Of the public list, always known."
        ),
    ] = 5_000,
    embedding: Annotated[int, typer.Option(min=1, rich_help_panel=_MODEL)] = 96,
    hidden: Annotated[int, typer.Option(min=1, rich_help_panel=_MODEL)] = 192,
    layers: Annotated[int, typer.Option(min=1, rich_help_panel=_MODEL)] = 1,
    tied: Annotated[
        bool,
        typer.Option(
            "--tied/--untied", rich_help_panel=_MODEL, help="Output rows are the embedding's."
        ),
    ] = True,
    dropout: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.9,
            rich_help_panel=_MODEL,
            help="Else 0.2, or as the bundle of --from has it.",
        ),
    ] = None,
    algorithm: Annotated[
        str,
        typer.Option(
            metavar="fedavg|fedsgd|scaffold",
            rich_help_panel=_LOCAL,
            help="What users do and what is added up; the server's step is chosen apart.",
        ),
    ] = "fedavg",
    epochs: Annotated[int, typer.Option(min=1, rich_help_panel=_LOCAL, help="A round.")] = 1,
    batch: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=_LOCAL,
            help="Messages a step; 0: all of a user's. Else 16, with fedsgd 0.",
        ),
    ] = None,
    learning_rate: Annotated[
        float, typer.Option(rich_help_panel=_LOCAL, help="Of plain SGD.")
    ] = 4.0,
    clip_norm: Annotated[
        float, typer.Option(min=0, rich_help_panel=_LOCAL, help="L2 bound of a step's gradient.")
    ] = 0.5,
    max_positions: Annotated[
        int, typer.Option(min=2, rich_help_panel=_LOCAL, help="Words trained on a message.")
    ] = 40,
    proximal: Annotated[
        float,
        typer.Option(
            min=0, rich_help_panel=_LOCAL, help="FedProx's mu: a pull to the received weights."
        ),
    ] = 0.0,
    schedule: Annotated[
        str,
        typer.Option(
            metavar="constant|linear|cosine|step|inverse-sqrt",
            rich_help_panel=_LOCAL,
            help="How the learning rate falls from round to round.",
        ),
    ] = "constant",
    warmup: Annotated[
        int,
        typer.Option(min=0, rich_help_panel=_LOCAL, help="Rounds in which it rises before that."),
    ] = 0,
    final_share: Annotated[
        float,
        typer.Option(
            rich_help_panel=_LOCAL, help="Left of the rate in the last round (linear, cosine)."
        ),
    ] = 0.1,
    step_rounds: Annotated[
        int, typer.Option(min=1, rich_help_panel=_LOCAL, help="From one step to the next (step).")
    ] = 10,
    step_factor: Annotated[
        float, typer.Option(rich_help_panel=_LOCAL, help="Of the rate, at each step (step).")
    ] = 0.5,
    precision: Annotated[
        str,
        typer.Option(
            metavar="fp32|bf16", rich_help_panel=_LOCAL, help="Of products; sums stay fp32."
        ),
    ] = "fp32",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="words|messages|equal|clipped",
            rich_help_panel=_SERVER,
            help="What a user counts by. Else words, with scaffold equal.",
        ),
    ] = None,
    weight_cap: Annotated[
        int,
        typer.Option(min=0, rich_help_panel=_SERVER, help="Words a user counts for (clipped)."),
    ] = 0,
    server_optimizer: Annotated[
        str,
        typer.Option(
            rich_help_panel=_SERVER, help="fedavg, fedavgm, fedadagrad, fedadam or fedyogi."
        ),
    ] = "fedadam",
    server_learning_rate: Annotated[float, typer.Option(rich_help_panel=_SERVER)] = 0.03,
    momentum: Annotated[
        float,
        typer.Option(rich_help_panel=_SERVER, help="Of FedAvgM; beta 1 of the adaptive ones."),
    ] = 0.9,
    beta2: Annotated[float, typer.Option(rich_help_panel=_SERVER)] = 0.99,
    epsilon: Annotated[float, typer.Option(rich_help_panel=_SERVER)] = 1e-3,
    averaging: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=_SERVER,
            help="Keep the mean of the weights over the rounds, which keeps this share of itself each "
            "round (0.99: about the last hundred); 0: the last weights.",
        ),
    ] = 0.0,
    downlink: Annotated[
        str,
        typer.Option(
            metavar="fp32|bf16", rich_help_panel=_MESSAGES, help="What weights travel as."
        ),
    ] = "fp32",
    uplink: Annotated[
        str,
        typer.Option(
            metavar="fp32|bf16|int8|topk",
            rich_help_panel=_MESSAGES,
            help="What updates travel as.",
        ),
    ] = "fp32",
    topk: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=_MESSAGES,
            help="Of an update that topk sends a round; else 0.01.",
        ),
    ] = None,
    storage: Annotated[
        str,
        typer.Option(
            metavar="fp32|bf16|int8",
            rich_help_panel=_MODEL,
            help="What weights are in the bundle's file: whole, half or a quarter of the size.",
        ),
    ] = "fp32",
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

    Example:  nwp train sample --algorithm scaffold --cohort 32

    Example:  nwp train sample --weights clipped --weight-cap 200 --warmup 5

    CORPUS may be any export that `nwp corpus formats` lists, as it is.

    DIR/run/metrics.csv has a row of figures a round; `nwp runs` lists, compares and draws past runs.

    Ctrl-C stops after the last finished round; the same command with --resume goes on from there
    and gives the same bytes.
    """
    from nwp.cli.progress import how_good, watching
    from nwp.corpus.load import plain_name
    from nwp.federated.algorithms import algorithm as algorithm_of
    from nwp.federated.compression import Compression
    from nwp.federated.local import LocalWork
    from nwp.federated.optimizers import ServerOptimizer
    from nwp.federated.participation import Participation
    from nwp.federated.schedules import Schedule
    from nwp.federated.weighting import Weighting
    from nwp.tasks.tracking import chosen_trackers
    from nwp.tasks.train import TrainOptions, train_bundle

    usual = algorithm_of(algorithm)
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
        schedule=Schedule(schedule, warmup, final_share, step_rounds, step_factor),
        compression=Compression.chosen(downlink, uplink, topk),
        rounds=rounds,
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
        refuse=tuple(refuse or ()),
        processes=processes,
        engine=engine,
        ray_address=ray_address,
        device=device,
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
                trackers=trackers,
            )
    except KeyboardInterrupt:
        again = shlex.join(["nwp", *_without(sys.argv[1:], "--force", "--resume"), "--resume"])
        raise Interrupted(
            "training stopped after its last finished round", f"Go on with:  {again}"
        ) from None
    if as_json:
        print_json(result)
        return
    if result["without_words"]:
        err().print(f"left out: {result['without_words']} users who have written no word")
    out().print(
        f"{result['model']}: {result['rounds']} rounds over {result['users']} users in "
        f"{result['seconds']} s\n"
        f"{how_good(result)}\n"
        f"moved: {megabytes(result['bytes_down'])} of weights down, "
        f"{megabytes(result['bytes_up'])} of updates and counts up, no message\n"
        f"{_waited_for(result)}"
        f"next:  {shlex.join(['nwp', 'evaluate', corpus, '--model', str(out_folder)])}    "
        f"{shlex.join(['nwp', 'prompt', '--model', str(out_folder)])}"
    )
    if result.get("ngrams_left_out"):
        tell_without_ngrams(out_folder)


def _waited_for(result: dict[str, Any]) -> str:
    """A line on late answers, abandoned rounds and the simulated time, where there were any."""
    told = {
        "answers of {} users came too late": result["late"],
        "{} rounds were abandoned": result["abandoned"],
        "{:.1f} simulated seconds waited": result["waited"],
    }
    some = [text.format(number) for text, number in told.items() if number]
    return f"{'; '.join(some)}\n" if some else ""


def _without(words: list[str], *flags: str) -> list[str]:
    return [word for word in words if word not in flags]


def repeatable() -> str:
    """The command line for the model card: without what decides nothing of the model, so that equal
    models have equal cards."""
    words = iter(_without(sys.argv[1:], *_FLAGS_OF_RUNNING))
    kept: list[str] = []
    for word in words:
        name, _, value = word.partition("=")
        if name in _OPTIONS_OF_RUNNING:
            if not value:
                next(words, None)
            continue
        kept.append(word)
    return shlex.join(["nwp", *kept, "--out", "DIR"])
