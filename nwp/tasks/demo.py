"""The demonstration: train on the sample corpus and hold the average against each alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.corpus.load import load_corpus
from nwp.corpus.types import Corpus
from nwp.evaluation.baselines import USUAL
from nwp.evaluation.counts import metrics
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.tasks.evaluate import EvaluateOptions, Evaluation, evaluate_bundle, summed
from nwp.tasks.train import train_bundle
from nwp.tasks.train_options import TrainOptions
from nwp.tasks.watching import Watcher

# Small enough for two minutes on two cores, and the average still beats a trigram.
OPTIONS = TrainOptions(
    workers=4,
    embedding=64,
    hidden=128,
    dropout=0.1,
    rounds=40,
    cohort=8,
    validate_every=6,
    local=LocalWork(batch=16, learning_rate=3.0, clip_norm=0.5),
    server=ServerOptimizer("fedadam", learning_rate=0.04),
    seed=1,
)
CORPUS = "sample"
BASELINES = ("unigram", "trigram", "local_only", "untrained")


@dataclass(frozen=True)
class Demonstration:
    """What came out: the training's result, the evaluation, and the seconds of both."""

    corpus: Corpus
    result: dict[str, Any]
    evaluation: Evaluation
    seconds: float

    def gains(self, baseline: str) -> list[str]:
        """Users for whom the average has a lower perplexity than the baseline."""
        theirs = self.evaluation.baselines[baseline]
        return [
            user
            for user, counts in self.evaluation.users.items()
            if counts.known and counts.nll < theirs[user].nll
        ]

    def as_json(self) -> dict[str, Any]:
        """What `nwp demo` prints last when nobody watches; baselines are perplexities."""
        summary = metrics(self.evaluation.total)
        names = dict(zip(BASELINES, USUAL, strict=True))
        baselines = {
            name: metrics(summed(self.evaluation.baselines[key]))["perplexity"]
            for name, key in names.items()
        }
        return {
            "seconds": round(self.seconds, 1),
            "users": self.result["users"],
            "workers": self.result["workers"],
            "rounds": self.result["rounds"],
            "bytes_up": self.result["bytes_up"],
            "bytes_down": self.result["bytes_down"],
            "test": {k: summary[k] for k in ("perplexity", "top1", "top3")} | baselines,
        }


@dataclass(frozen=True)
class Learnt:
    """What training left: the corpus, the result, and the seconds it took."""

    corpus: Corpus
    result: dict[str, Any]
    seconds: float


def learn(out: Path, watcher: Watcher) -> Learnt:
    """Train anew into `out`."""
    began = time.perf_counter()
    corpus = load_corpus(CORPUS)
    result = train_bundle(corpus, out, OPTIONS, command="nwp demo", force=True, watcher=watcher)
    return Learnt(corpus, result, time.perf_counter() - began)


def compare(learnt: Learnt, out: Path, watch: Callable[[int, int], None]) -> Demonstration:
    """Evaluate what was learnt, with all baselines beside it."""
    began = time.perf_counter()
    options = EvaluateOptions(workers=OPTIONS.workers, baselines=USUAL)
    evaluation = evaluate_bundle(learnt.corpus, out, options, watch)
    seconds = learnt.seconds + time.perf_counter() - began
    return Demonstration(learnt.corpus, learnt.result, evaluation, seconds)
