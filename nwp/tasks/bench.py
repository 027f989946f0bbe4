"""Measure how fast this machine trains, which share of its peak is reached, and where the rest goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadSettings
from nwp.federated.kernel import PRECISIONS
from nwp.federated.local import LocalWork, deal_groups, seed_for
from nwp.measuring.flops import products, size_of
from nwp.measuring.machine import (
    Hardware,
    hardware,
    measure_copies,
    measure_peak,
    shapes_of,
)
from nwp.measuring.rounds import GROUPS, run_round
from nwp.measuring.split import joined, profile_group, some_of
from nwp.measuring.together import at_once
from nwp.measuring.workload import Workload, draw_users
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.tasks.bench_found import Benchmark, Trained
from nwp.text.building import public_order
from nwp.text.tokenizer import MARKS
from nwp.text.vocabulary import FIRST_WORD, Encoded, Vocabulary, encode
from nwp.workers.engines import Engine, make_engine

_DISTURBED = 0.03  # share of the time taken by others from which figures say little


@dataclass(frozen=True)
class Preset:
    """A workload's sizes and its model's."""

    users: int
    messages: int
    vocabulary: int
    embedding: int
    hidden: int


# The model of Reddi et al. 2020 (arXiv 2003.00295, appendix C.3; after Hard et al. 2018), a smaller one,
# and the first for many users with few messages, who take one step each.
PRESETS: Mapping[str, Preset] = {
    "standard": Preset(users=50, messages=72, vocabulary=10_004, embedding=96, hidden=670),
    "small": Preset(users=50, messages=72, vocabulary=5_000, embedding=64, hidden=256),
    "many": Preset(users=1_000, messages=5, vocabulary=10_004, embedding=96, hidden=670),
}


@dataclass(frozen=True)
class BenchOptions:
    """What is measured. A size of 0 is the preset's; `users` and `messages` are how many there are and
    how many each writes on average, with a corpus how many there are at most. `precision` "both"
    measures each; `processes` 0: one a core.
    """

    preset: str = "standard"
    users: int = 0
    messages: int = 0
    vocabulary: int = 0
    embedding: int = 0
    hidden: int = 0
    batch: int = 16
    clip_norm: float = 0.0
    dropout: float = 0.0
    precision: str = "both"
    processes: int = 0
    rounds: int = 3
    seed: int = 1

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise BadSettings(f"no preset {self.preset!r}", f"Presets: {', '.join(PRESETS)}.")
        if self.precision not in (*PRECISIONS, "both"):
            raise BadSettings(
                f"no precision {self.precision!r}", f"One of {', '.join(PRECISIONS)}, both."
            )
        if self.rounds < 1:
            raise BadSettings("at least one round must be timed", "Use --rounds 3.")

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those to measure."""
        return PRECISIONS if self.precision == "both" else (self.precision,)

    def size(self, name: str) -> int:
        """A size as given, or the preset's."""
        given: int = getattr(self, name) or getattr(PRESETS[self.preset], name)
        return given


def bench(
    options: BenchOptions,
    corpus: Corpus | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Benchmark:
    """Measure products, copies and rounds over made-up users, or over a corpus's, on this machine.

    A corpus's words are looked up in the public list of words, so that nobody's text is pooled;
    no more than a twentieth of its users, or 8, take part if `options.users` does not say. `tell`
    hears what is being done.
    """
    found = hardware()  # first: its load is that of others
    model = _model(options, marks=MARKS if corpus else 0)
    users = _from_corpus(corpus, options) if corpus else _drawn(options)
    works = [_work(options, precision) for precision in options.precisions]
    size = size_of([user for user, _ in users], works[0])
    engine = make_engine(options.processes)
    try:
        if found.busy(engine.width):
            tell(f"other programs keep {found.load:.1f} of {found.cores} cores busy")
        tell(f"copies of memory, {engine.width} processes")
        copies = measure_copies(engine)
        trained = [_train(engine, options, model, work, users, tell) for work in works]
    finally:
        engine.close()
    return Benchmark(
        name=Path(corpus.name).name if corpus else options.preset,
        hardware=found,
        processes=engine.width,
        model=model,
        work=works[0],
        size=size,
        copies=copies,
        trained=tuple(trained),
        warnings=tuple(_warnings(found, engine.width, trained)),
    )


def _train(
    engine: Engine,
    options: BenchOptions,
    model: ModelConfig,
    work: LocalWork,
    users: Sequence[tuple[Encoded, int]],
    tell: Callable[[str], None],
) -> Trained:
    """The machine's peak in one precision, rounds after one that is not timed, and their split."""
    precision = work.precision
    tell(f"{precision}: matrix products")
    peak = measure_peak(engine, precision, shapes_of(model, work.batch))
    weights, times = _start(model, options.seed), []
    for number in range(options.rounds + 1):
        weights, loss, spent = run_round(engine, weights, model, work, users)
        what = f"round {number} of {options.rounds}" if number else "a round to warm up"
        tell(f"{precision}: {what}, {spent.seconds:.2f} s")
        if not math.isfinite(loss):
            raise BadSettings("training does not converge on this workload: its loss is no number")
        if number:
            times.append(spent)
    tell(f"{precision}: where the time goes")
    groups = deal_groups(users, work, GROUPS)
    some = some_of(groups[len(groups) // 2])
    profiles = at_once(engine, engine.width, profile_group, weights, model, work, some)
    size = size_of([user for user, _ in users], work)
    return Trained(
        precision=precision,
        times=tuple(times),
        size=size,
        products=products(model, size.words, size.messages),
        peak=peak,
        profile=joined(profiles),
    )


def _warnings(found: Hardware, processes: int, trained: Sequence[Trained]) -> list[str]:
    told = []
    if found.busy(processes):
        told.append(
            f"the load was {found.load:.1f} on {found.cores} cores before measuring began: "
            "other programs slow these figures"
        )
    for t in trained:
        if t.taken_by_others > _DISTURBED:
            told.append(
                f"{t.precision}: other programs held the cores for {t.taken_by_others:.0%} of the "
                "time in training"
            )
        if t.share_of_peak > 1:
            told.append(f"{t.precision}: products were slower when the peak was measured")
    return told


def _model(options: BenchOptions, marks: int) -> ModelConfig:
    embedding = options.size("embedding")
    return ModelConfig(
        vocabulary=options.size("vocabulary"),
        embedding=embedding,
        hidden=options.size("hidden"),
        projection=embedding,
        tied=False,
        marks=marks,
        dropout=options.dropout,
    )


def _work(options: BenchOptions, precision: str) -> LocalWork:
    return LocalWork(
        batch=options.batch,
        learning_rate=0.3,
        clip_norm=options.clip_norm,
        precision=precision,
    )


def _start(model: ModelConfig, seed: int) -> FloatArray:
    network = NextWordModel(model)
    network.initialize(seed)
    return network.weights()


def _drawn(options: BenchOptions) -> list[tuple[Encoded, int]]:
    workload = Workload(
        users=options.size("users"),
        messages=options.size("messages"),
        vocabulary=options.size("vocabulary"),
        seed=options.seed,
    )
    return [(user, seed_for(options.seed, i)) for i, user in enumerate(draw_users(workload))]


def _from_corpus(corpus: Corpus, options: BenchOptions) -> list[tuple[Encoded, int]]:
    """Users (data and seed) evenly from the corpus's list of ids."""
    names = list(corpus.users)
    count = min(options.users or max(8, len(names) // 20), len(names))
    words = public_order()[: options.size("vocabulary") - FIRST_WORD]
    vocabulary = Vocabulary.from_lists(words, {})
    found = []
    for name in (names[i * len(names) // count] for i in range(count)):
        texts = list(islice(corpus.users[name], options.messages or None))
        if texts and (encoded := encode(texts, vocabulary)).words:
            found.append((encoded, seed_for(options.seed, name)))
    if not found:
        raise BadCorpus(f"the users taken of {corpus.name} have written no word")
    return found
