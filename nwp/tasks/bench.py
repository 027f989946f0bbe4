"""Measure how fast this machine trains, which share of its peak is reached, and where the rest goes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadSettings
from nwp.federated.kernel import PRECISIONS
from nwp.federated.local import LocalWork, deal_groups, seed_for
from nwp.measuring.flops import Products, Size, products, size_of
from nwp.measuring.machine import (
    Copies,
    Hardware,
    Peak,
    Shape,
    hardware,
    measure_copies,
    measure_peak,
    shapes_of,
)
from nwp.measuring.rounds import GROUPS, RoundTimes, run_round
from nwp.measuring.split import PRODUCTS, RECURRENCE, Profile, joined, profile_group, some_of
from nwp.measuring.together import at_once
from nwp.measuring.workload import Workload, draw_users
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.text.building import public_order
from nwp.text.tokenizer import MARKS
from nwp.text.vocabulary import FIRST_WORD, Encoded, Vocabulary, encode
from nwp.workers.engines import Engine, make_engine

ELSEWHERE, BETWEEN, WAITING = "elsewhere", "between", "waiting"
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


@dataclass(frozen=True)
class Part:
    """A share of all processes' time, in thousandths. `flop` a round where it is known."""

    name: str
    thousandths: int
    flop: int = 0


@dataclass(frozen=True)
class Trained:
    """The timed rounds in one precision. `peak` is GFLOP/s of all processes together."""

    precision: str
    times: tuple[RoundTimes, ...]
    size: Size
    products: Products
    peak: Peak
    profile: Profile

    @property
    def seconds(self) -> float:
        """The median round."""
        return statistics.median(t.seconds for t in self.times)

    @property
    def gflops(self) -> float:
        """GFLOP/s of a round's products, over the whole round."""
        return self.products.total / self.seconds / 1e9

    @property
    def share_of_peak(self) -> float:
        """How long the products would take at the machine's peak, of how long the round takes."""
        return self.gflops / self.peak.together

    @property
    def taken_by_others(self) -> float:
        """Which share of the time in which processes trained they were kept from their cores."""
        busy = math.fsum(t.busy for t in self.times)
        return max(0.0, 1 - math.fsum(t.cpu for t in self.times) / busy)

    def split(self) -> list[Part]:
        """Where the time of all processes goes; the parts add up to 1,000."""
        times, profile = self.times, self.profile
        busy = math.fsum(t.busy for t in times)
        computing = busy * (1 - self.taken_by_others)
        seconds = {k: computing * s / profile.seconds for k, s in profile.parts.items()}
        seconds |= {
            ELSEWHERE: busy - computing,
            BETWEEN: math.fsum(t.between for t in times),
            WAITING: math.fsum(t.waiting for t in times),
        }
        flop = {PRODUCTS: self.products.others, RECURRENCE: self.products.recurrence}
        shares = in_thousandths(list(seconds.values()))
        return [
            Part(name, share, flop.get(name, 0))
            for name, share in zip(seconds, shares, strict=True)
        ]

    def part_gflops(self, part: Part) -> float | None:
        """GFLOP/s of all processes while they are in this part; None where that says nothing."""
        if not part.flop or not part.thousandths:
            return None
        inside = statistics.mean(t.seconds for t in self.times) * part.thousandths / 1000
        return part.flop / inside / 1e9

    def as_json(self) -> dict[str, Any]:
        """As `nwp bench --json` prints it."""
        times = [t.seconds for t in self.times]
        return {
            "precision": self.precision,
            "seconds": round(self.seconds, 4),
            "fastest": round(min(times), 4),
            "slowest": round(max(times), 4),
            "rounds": [round(t, 4) for t in times],
            "words_per_second": round(self.size.words / self.seconds, 1),
            "steps_per_second": round(self.size.steps / self.seconds, 2),
            "gflop": round(self.products.total / 1e9, 3),
            "gflops": round(self.gflops, 2),
            "share_of_peak": round(self.share_of_peak, 4),
            "taken_by_others": round(self.taken_by_others, 4),
            "split": [
                {
                    "part": part.name,
                    "share": part.thousandths / 1000,
                    "gflop": round(part.flop / 1e9, 3) or None,
                    "gflops": rounded(self.part_gflops(part)),
                }
                for part in self.split()
            ],
            "profile": {
                "users": self.profile.users,
                "words": self.profile.words,
                "overhead": round(self.profile.overhead, 3),
                "unknown": list(self.profile.unknown),
            },
        }


@dataclass(frozen=True)
class Benchmark:
    """All that was measured."""

    name: str
    hardware: Hardware
    processes: int
    model: ModelConfig
    work: LocalWork
    size: Size
    copies: Copies
    trained: tuple[Trained, ...]
    warnings: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """What `nwp bench --json` prints."""
        return {
            "hardware": asdict(self.hardware) | {"instructions": list(self.hardware.instructions)},
            "processes": self.processes,
            "workload": {"name": self.name, **asdict(self.size)},
            "model": self.model.as_dict() | {"parameters": self.model.parameters},
            "peak": {t.precision: _peak_json(t.peak) for t in self.trained},
            "copies": {
                "one": round(self.copies.one, 2),
                "together": round(self.copies.together, 2),
            },
            "training": [t.as_json() for t in self.trained],
            "warnings": list(self.warnings),
        }


def _peak_json(peak: Peak) -> dict[str, Any]:
    return {
        "one": round(peak.one, 1),
        "together": round(peak.together, 1),
        "shape": _sizes(peak.shape),
        "way": peak.way,
        "shapes": [
            {"name": shape.name, "sizes": _sizes(shape), "gflops": round(rate, 1)}
            for shape, rate in peak.shapes
        ],
    }


def _sizes(shape: Shape) -> list[int]:
    return [shape.rows, shape.inner, shape.columns]


def rounded(value: float | None) -> float | None:
    """To a tenth."""
    return None if value is None else round(value, 1)


def in_thousandths(values: Sequence[float]) -> list[int]:
    """Shares of the sum of values (0 or more, not all 0) that add up to 1,000: by largest remainder."""
    total = math.fsum(values)
    exact = [1000 * value / total for value in values]
    shares = [math.floor(share) for share in exact]
    largest = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    for i in largest[: 1000 - sum(shares)]:
        shares[i] += 1
    return shares


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
    groups = deal_groups(users, work, model, GROUPS)
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
