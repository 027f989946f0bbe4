"""Train a bundle federatedly on a corpus: enrol, survey words, agree on a plan, run the rounds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nwp import __version__
from nwp.corpus.split import held_out, only, part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadSettings, NoQuorum
from nwp.evaluation.counts import metrics
from nwp.evaluation.phases import VALIDATE, total
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.algorithms import algorithm
from nwp.federated.compression import Compression
from nwp.federated.device import CPU, kind_of
from nwp.federated.device import check as check_device
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.parcel import Parcel
from nwp.federated.participation import Participation
from nwp.federated.plan import SurveyPlan, TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Replies
from nwp.federated.rounds import start, train
from nwp.federated.schedules import Schedule, schedule_text
from nwp.federated.state import Checkpoint, RunState, after
from nwp.federated.surveying import SURVEY, read_survey
from nwp.federated.weighting import Weighting
from nwp.files import told, write_atomic
from nwp.model.bundle import SETTINGS, Bundle, load_bundle, save_bundle
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.model.storage import check_form
from nwp.runs.metrics import MetricsFile
from nwp.runs.trackers import Tracker
from nwp.tasks.run_folder import RunFolder
from nwp.tasks.start import start_bundle, weights_of
from nwp.tasks.tracking import tracked
from nwp.tasks.watching import Started, Watcher, telling_of_the_end, together
from nwp.text.building import Survey, build_vocabulary, word_frequencies
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers.channel import Tap
from nwp.workers.engines import make_engine
from nwp.workers.jobs import Federation
from nwp.workers.simulation import Simulation, deal, usual_workers

_WRITE_IT = "then --resume writes it."
_UNDECISIVE = ("processes", "engine", "ray_address", "device", "checkpoint_every")
_DROPOUT = 0.2
_SHOWN = ("perplexity", "top1", "top3")
_MOST_SPREAD = 10.0  # of users' speeds: at this sigma, one in six is 20,000 times too slow


@dataclass(frozen=True)
class TrainOptions:
    """Everything that decides what comes out of training, and what only decides how it runs.

    `workers` 0: about four users a worker. `cohort` 0: a twentieth of the users, but 8 or more.
    `held_out`: a share or names of users left out whole. `base`: a bundle to start from, whose
    vocabulary and sizes are kept. `dropout` None: 0.2, or the base's. `checkpoint_every`: rounds
    between checkpoints; above 1 only where workers keep nothing from round to round, since theirs
    would be further on than a resumed run's. `member_share`: of a round, the most that one of three
    workers or more counts for; `run`: how many trainings its server has begun before.
    `stragglers`: sigma of the log-normal distribution of the users' simulated speeds, 0: all answers come
    at once. `storage`: what the weights are in the bundle's file (`nwp.model.storage`). `engine`,
    `processes` (0: one a core), `ray_address` and `device` say where it is computed
    (`nwp.workers.engines.make_engine`); a run may go on on another device, which changes last bits, and is
    told of.
    """

    workers: int = 0
    held_out: str = "0"
    k: int = 3
    vocabulary: int = 10_000
    public_words: int = 5_000
    embedding: int = 96
    hidden: int = 192
    layers: int = 1
    tied: bool = True
    dropout: float | None = None
    local: LocalWork = LocalWork(batch=16, learning_rate=4.0, clip_norm=0.5)
    server: ServerOptimizer = ServerOptimizer("fedadam", learning_rate=0.03)
    algorithm: str = "fedavg"
    weighting: Weighting = Weighting()
    schedule: Schedule = Schedule()
    compression: Compression = Compression()
    rounds: int = 60
    cohort: int = 0
    participation: Participation = field(default_factory=Participation)
    member_share: float = 1.0
    run: int = 0
    stragglers: float = 0.0
    validate_every: int = 5
    validate_users: int = 0
    patience: int = 0
    checkpoint_every: int = 1
    seed: int = 0
    base: str | None = None
    storage: str = "fp32"
    refuse: tuple[str, ...] = ()
    processes: int = 0
    engine: str = "auto"
    ray_address: str = ""
    device: str = CPU

    def __post_init__(self) -> None:
        check_device(self.device)
        algorithm(self.algorithm).check(self.local)
        check_form(self.storage)
        if self.checkpoint_every < 1:
            raise BadSettings("rounds between checkpoints must be 1 or more")
        keeps = AGGREGATIONS[algorithm(self.algorithm).aggregation].carried
        if self.checkpoint_every > 1 and (keeps or self.compression.up.startswith("topk")):
            raise BadSettings(
                "workers keep what this method needs for the last round alone",
                "Use --checkpoint-every 1, or neither scaffold nor --topk.",
            )
        if not 0 <= self.stragglers <= _MOST_SPREAD:
            raise BadSettings(f"stragglers = {self.stragglers}: a sigma from 0 to {_MOST_SPREAD}")
        if self.participation.time_limit and not self.stragglers:
            raise BadSettings(
                "a time limit where all answers come at once would do nothing",
                "Let users take simulated time to train: --stragglers 0.5.",
            )

    def decisive(self) -> dict[str, Any]:
        """The options that a resumed run must share with the one it goes on from."""
        return {k: v for k, v in asdict(self).items() if k not in _UNDECISIVE}


def train_bundle(
    corpus: Corpus,
    out: Path,
    options: TrainOptions,
    *,
    command: str,
    resume: bool = False,
    force: bool = False,
    watcher: Watcher | None = None,
    tap: Tap | None = None,
    trackers: Sequence[Tracker] = (),
    deals: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Train and write the bundle to `out`; returns what `nwp train --json` prints.

    `deals` is worker to users, if they are not to be dealt in turn.

    The state of the run is in `out/run`, and there its rounds' figures in `metrics.csv`. `trackers`
    are told the figures, too; none of them can stop training. With `resume`, a run goes on after its
    last durable round and a finished one gives its result again; `force` begins anew. BadInput when
    `out` holds something and neither is asked, or while another process trains into it. NwpError
    when the disk is full or may not be written: what is durable stays.
    """
    watcher = watcher or Watcher()
    held = held_out(corpus, options.held_out, options.seed)
    every = only(corpus, set(corpus.users) - set(held)) if held else corpus
    corpus, words = _with_words(every)
    with RunFolder(out, _fingerprint(corpus, options), resume=resume) as run:
        finished = run.check(force=force)
        if finished is not None:
            return finished
        track = tracked(
            [MetricsFile(run.metrics), *trackers],
            out=out,
            fingerprint=run.fingerprint,
            corpus=Path(corpus.name).name,
            settings=asdict(options),
            command=command,
            warn=watcher.warned,
        )
        # First those who keep what has been reached, then those who show it.
        watcher = together(track, watcher)
        with telling_of_the_end(watcher):
            began = time.perf_counter()
            dealt = deals or deal(
                list(corpus.users), options.workers or usual_workers(len(corpus.users))
            )
            trained = _trained(corpus, dealt, run, options, watcher, tap)
            name = Path(corpus.name).name
            bundle = finished_bundle(name, words, options, trained, command)
            seconds = round(time.perf_counter() - began, 1)
            left = {"held_out": list(held), "without_words": len(every.users) - len(corpus.users)}
            result = {"model": str(out), **result_of(trained, seconds), **left}
            keep_result(run, bundle, result)
            watcher.finished(result)
        return result


def keep_result(run: RunFolder, bundle: Bundle, result: Mapping[str, Any]) -> None:
    """Write the bundle, then what says that the run is finished. NwpError when the disk is full."""
    with told("training is done, but its bundle can't be written", _WRITE_IT):
        save_bundle(bundle, run.out)
        write_atomic(run.result, json.dumps(result) + "\n")


@dataclass(frozen=True)
class Trained:
    """What training leaves: its plan, the model before it, the last state, where it went on from."""

    plan: TrainPlan
    beginning: Bundle
    state: RunState
    resumed_from: int
    algorithm: str


def _trained(
    corpus: Corpus,
    deals: Mapping[str, Sequence[str]],
    run: RunFolder,
    options: TrainOptions,
    watcher: Watcher,
    tap: Tap | None,
) -> Trained:
    """Training over datasites that are there for as long as it takes."""
    engine = make_engine(
        options.processes,
        name=options.engine,
        ray_address=options.ray_address,
        device=options.device,
    )
    simulation = Simulation(
        corpus,
        deals,
        engine,
        refusing=frozenset(options.refuse),
        tap=tap,
        stragglers=options.stragglers,
        memory=run.folder / "workers",
    )
    try:
        with simulation as sim:
            watcher.enrolled(sim)
            return train_over(sim, run, options, watcher)
    finally:
        engine.close()


def train_over(sim: Federation, run: RunFolder, options: TrainOptions, watcher: Watcher) -> Trained:
    """Survey, plan, approval, rounds: everything that the workers take part in."""
    beginning, surveys = _beginning(sim, options)
    plan = _plan(sim, options, beginning)
    checkpoint = Checkpoint(run.folder, plan_digest(plan), options.checkpoint_every)
    kept = checkpoint.load(watcher.warned) if run.resume else None
    state = _computed_on(
        kind_of(options.device), kept or start(plan, weights_of(beginning)), watcher
    )
    resumed_from = state.number
    job = sim.submit(plan, "train")
    if not job.approved:
        raise NoQuorum(
            f"no worker approved the plan: {next(iter(job.refused.values()))}",
            "Change the plan to what the owners' policies allow.",
        )
    run.begin()
    # The workers' folders are new: what an earlier phase had left there is gone.
    checkpoint.forget_phases()
    watcher.started(Started(sim, job, plan, surveys, options.k, state, plan.model.parameters))
    exchange = sim.exchange(job)

    def validate(weights: FloatArray, number: int) -> tuple[Mapping[str, Any], Replies]:
        request = Parcel(arrays=plan.downlink.encode("weights", weights))
        requests = dict.fromkeys(plan.workers, request)
        replies = exchange(VALIDATE, number, requests)
        found = metrics(total(plan, replies.answers))
        if number == 0:
            watcher.measured(found)
        return found, replies

    measured = bool(options.base)  # what begins with nothing predicts nothing
    for reached in train(plan, state, exchange, validate, checkpoint, measured=measured):
        state = reached
        watcher.round_done(state)
    sim.close(job)
    return Trained(plan, beginning, state, resumed_from, options.algorithm)


def _computed_on(device: str, state: RunState, watcher: Watcher) -> RunState:
    """The state of a run that goes on on this kind of device; told when it was another so far."""
    *_, last = (device, *state.devices)
    if last != device:
        watcher.warned(
            f"rounds up to {state.number} were computed on {last}, those to come on {device}: the model will "
            "differ in its last bits from one computed on either alone"
        )
    return (
        state if (device,) == state.devices[-1:] else after(state, devices=(*state.devices, device))
    )


def finished_bundle(
    corpus: str, words: int | None, options: TrainOptions, trained: Trained, command: str
) -> Bundle:
    """The best weights, and all that a reader of the model card wants to know of them: the corpus's
    name, and how many words it has, where that is known.

    N-grams of the bundle it began from are left out: how much they count was learnt beside other weights.
    """
    plan, state = trained.plan, trained.state
    model = NextWordModel(plan.model)
    model.set_weights(state.best_weights)
    about = {
        "nwp": __version__,
        "corpus": corpus,
        "users": plan.users,
        "words": words,
        "workers": len(plan.workers),
        "k": options.k,
        "vocabulary": len(plan.words),
        "best_round": state.best_number,
        "valid": dict(state.best_valid),
        "training": {"algorithm": trained.algorithm, **_training(plan)},
        "from": options.base,
        "command": command,
        **({"devices": list(state.devices)} if set(state.devices) - {CPU} else {}),
    }
    return replace(
        trained.beginning,
        tensors=model.tensors(),
        about=about,
        storage=options.storage,
        expert=None,
    )


def result_of(trained: Trained, seconds: float) -> dict[str, Any]:
    """What `nwp train --json` prints of any training."""
    plan, state = trained.plan, trained.state
    return {
        "algorithm": trained.algorithm,
        "rounds": state.number,
        "resumed_from": trained.resumed_from or None,
        "workers": len(plan.workers),
        "users": sum(plan.workers.values()),
        "seconds": seconds,
        "valid": {key: state.best_valid.get(key) for key in _SHOWN},
        "before": {key: state.before.get(key) for key in _SHOWN} if state.before else None,
        "best_round": state.best_number,
        "parameters": plan.model.parameters,
        "vocabulary": len(plan.words),
        "bytes_up": sum(report.bytes_up for report in state.history),
        "bytes_down": sum(report.bytes_down for report in state.history),
        "absent": dict(state.history[-1].absent) if state.history else {},
        "late": sum(report.late for report in state.history),
        "abandoned": sum(bool(report.abandoned) for report in state.history),
        "waited": round(sum(report.waited for report in state.history), 3),
        "ngrams_left_out": trained.beginning.expert is not None,
    }


def _beginning(sim: Federation, options: TrainOptions) -> tuple[Bundle, dict[str, Survey]]:
    """The model before the first round: the base bundle, or start weights over a new vocabulary."""
    if options.base:
        base = load_bundle(Path(options.base))
        dropout = base.config.dropout if options.dropout is None else options.dropout
        return replace(base, config=replace(base.config, dropout=dropout)), {}
    job = sim.submit(SurveyPlan(options.k, options.run), "survey")
    replies = sim.exchange(job)(SURVEY, 1, {worker: Parcel() for worker in sim.deals})
    if not replies.answers:
        reasons = next(iter(replies.absent.values()), "no workers")
        raise NoQuorum(f"no worker took part in the survey of words: {reasons}")
    surveys = {worker: read_survey(replies.answers[worker]) for worker in sorted(replies.answers)}
    sim.close(job)
    said = list(surveys.values())
    vocabulary = build_vocabulary(said, options.vocabulary, options.public_words)
    frequencies = word_frequencies(vocabulary, said)
    config = ModelConfig(
        vocabulary=FIRST_WORD + len(vocabulary.words),
        embedding=options.embedding,
        hidden=options.hidden,
        projection=options.embedding,
        layers=options.layers,
        tied=options.tied,
        dropout=_DROPOUT if options.dropout is None else options.dropout,
    )
    return start_bundle(config, vocabulary, frequencies, options.seed), surveys


def _plan(sim: Federation, options: TrainOptions, bundle: Bundle) -> TrainPlan:
    users = sum(len(users) for users in sim.deals.values())
    shown = bundle.vocabulary.as_dict()["surfaces"]
    return TrainPlan(
        model=bundle.config,
        words=bundle.vocabulary.words,
        surfaces=shown,
        workers={worker: len(users) for worker, users in sim.deals.items()},
        local=options.local,
        server=options.server,
        aggregation=algorithm(options.algorithm).aggregation,
        weighting=options.weighting,
        schedule=options.schedule,
        compression=options.compression,
        rounds=options.rounds,
        cohort=options.cohort or max(8, users // 20),
        participation=options.participation,
        member_share=options.member_share,
        run=options.run,
        seed=options.seed,
        validate_every=options.validate_every,
        validate_users=options.validate_users,
        patience=options.patience,
    )


def _training(plan: TrainPlan) -> dict[str, Any]:
    users, cohort, who = plan.users, plan.goal, plan.participation
    return {
        "rounds": plan.rounds,
        "cohort": cohort,
        # How often a user's messages were gone through, on average: what one alone may do too.
        "passes": math.ceil(plan.rounds * plan.local.epochs * cohort / users),
        "epochs": plan.local.epochs,
        "batch": plan.local.batch,
        "learning_rate": plan.local.learning_rate,
        "clip_norm": plan.local.clip_norm,
        "max_positions": plan.local.max_positions,
        "proximal": plan.local.proximal,
        "weights": plan.weighting.by,
        "weight_cap": plan.weighting.cap,
        **({"member_share": plan.member_share} if plan.member_share < 1 else {}),
        "schedule": schedule_text(plan.schedule),
        "optimizer": plan.server.name,
        "server_learning_rate": plan.server.learning_rate,
        "averaging": plan.server.averaging,
        "downlink": plan.compression.down,
        "uplink": plan.compression.up,
        "topk": plan.compression.share if plan.uplink.forgets else None,
        "seed": plan.seed,
        "plan": plan_digest(plan),
        **({"participation": asdict(who)} if who != Participation() else {}),
    }


def _with_words(corpus: Corpus) -> tuple[Corpus, int]:
    """The corpus of those who have written a word, and how many words there are to train on.

    BadCorpus when there is nothing to learn from.
    """
    writers, trained = [], 0
    for user, texts in corpus.users.items():
        words = [len(words_of(text)) for text in texts]
        if sum(words):
            writers.append(user)
            trained += sum(part_of(words, "train"))
    if not writers:
        raise BadCorpus(f"no user of {corpus.name} has written a word", "Is it the right corpus?")
    if not trained:
        raise BadCorpus(
            f"no user of {corpus.name} has a message to train on",
            "The first eight of ten are trained on: a user needs two or more.",
        )
    return (corpus if len(writers) == len(corpus.users) else only(corpus, writers)), trained


def _fingerprint(corpus: Corpus, options: TrainOptions) -> str:
    """What a run is of: the text, the options and the bundle to start from, as one digest."""
    digest = hashlib.sha256(json.dumps(options.decisive(), sort_keys=True).encode())
    if options.base:
        with contextlib.suppress(OSError):  # that it can't be read is told when it is
            digest.update(Path(options.base, SETTINGS).read_bytes())
    for user, texts in corpus.users.items():
        digest.update(json.dumps([user, *texts]).encode())
    return digest.hexdigest()
