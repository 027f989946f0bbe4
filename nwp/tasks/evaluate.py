"""Evaluate a bundle on a corpus: the text lies on workers, the weights go there, counts come back.

A model of others (`nwp.foreign`) is evaluated here, on the caller's own text alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nwp import __version__
from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadSettings, Refused
from nwp.evaluation.baselines import ALONE, NAMES, POOLED, TRIGRAM, UNIGRAM
from nwp.evaluation.conventions import conventions_json
from nwp.evaluation.counts import COLUMNS, Counts, Rows, metrics
from nwp.evaluation.examples import Example, pick
from nwp.evaluation.over_users import groups, intervals, spread
from nwp.evaluation.slices import Slices, calibration_json, slices_json
from nwp.federated.device import CPU, check
from nwp.foreign.door import kind_of, load_predictor
from nwp.model.bundle import Bundle, load_bundle
from nwp.runs.metrics import read_metrics
from nwp.tasks.baselines import count_beside, count_fitted
from nwp.tasks.counting import count_here, count_on_workers, frequent_words
from nwp.tasks.run_folder import RunFolder, held_out_of
from nwp.tasks.start import weights_of
from nwp.text.vocabulary import Vocabulary
from nwp.workers.engines import make_engine


@dataclass(frozen=True)
class Evaluation:
    """Counts by user (empty when they are withheld), their sum, slices of all users, and baselines'
    counts by user; what was evaluated on what, and how long it took, is in `about`. `noisy` are deciles
    over users whose rows are withheld; `without_ngrams` names the baselines that are an LSTM alone where
    the model has n-grams beside it; `curve` has the rounds of the run that made the model, where that
    lies beside it, and `held_out` are the users whom that run did not train on."""

    users: Mapping[str, Counts]
    total: Counts
    slices: Slices
    withheld: int
    baselines: Mapping[str, Mapping[str, Counts]]
    about: Mapping[str, Any]
    examples: Sequence[Example] = field(default_factory=tuple)
    noisy: Mapping[str, Any] | None = None
    curve: Sequence[Mapping[str, Any]] = ()
    held_out: Sequence[str] = ()
    without_ngrams: Sequence[str] = ()

    @property
    def rows(self) -> Rows:
        """The users' counts, float64 (users, columns), by name."""
        found = [self.users[user].as_row() for user in sorted(self.users)]
        return np.array(found).reshape(-1, len(COLUMNS))

    def as_json(self) -> dict[str, Any]:
        """What `nwp evaluate --json` prints."""
        found: dict[str, Any] = {
            "users": [{"user": user, **metrics(self.users[user])} for user in sorted(self.users)],
            "users_withheld": self.withheld,
            "summary": metrics(self.total),
            "slices": slices_json(self.slices),
            "calibration": calibration_json(self.slices),
            "conventions": conventions_json(self.total),
            "about": dict(self.about),
        }
        if self.users:
            rows = self.rows
            found["intervals"] = intervals(rows)
            found["over_users"] = spread(rows)
            trained = [user not in self.held_out for user in sorted(self.users)]
            # Where nobody was held out, nothing is told: the corpus may be another one altogether.
            found["groups"] = groups(rows, None if all(trained) else trained)
        elif self.noisy:
            found["over_users"] = {"perplexity": dict(self.noisy)}
        if self.about.get("training"):  # of a model of others nobody knows what protects it
            found["privacy"] = found["about"].pop("privacy", None)
        if self.curve:
            found["curve"] = list(self.curve)
        if self.examples:
            found["examples"] = [example.as_json() for example in self.examples]
        if self.baselines:
            found["baselines"] = {
                name: {**metrics(summed(users)), "central": name in POOLED}
                for name, users in self.baselines.items()
            }
        if self.without_ngrams:
            found["without_ngrams"] = list(self.without_ngrams)
        return found


def summed(users: Mapping[str, Counts]) -> Counts:
    """All users' counts added up."""
    return sum(users.values(), Counts())


@dataclass(frozen=True)
class EvaluateOptions:
    """What to evaluate, and where it is computed.

    `epsilon` is what a histogram of users may cost each of them where rows are withheld, 0: none.
    `part` of each user's messages; `workers` 0: about four users a worker; `baselines` names of
    `nwp.evaluation.baselines.NAMES`; `examples` how many places to show at which the model guesses well
    or badly. `engine`, `processes`, `ray_address` and `device` are those of
    `nwp.workers.engines.make_engine`; `device` is of models that nwp has trained, and of those trained
    beside them.
    """

    part: str = "test"
    workers: int = 0
    baselines: Sequence[str] = ()
    examples: int = 0
    epsilon: float = 1.0
    processes: int = 0
    engine: str = "auto"
    ray_address: str = ""
    device: str = CPU

    def __post_init__(self) -> None:
        check(self.device)
        part_of((), self.part)  # is there such a part?
        if unknown := [name for name in self.baselines if name not in NAMES]:
            raise BadSettings(f"no baseline {unknown[0]!r}", f"There are {', '.join(NAMES)}.")


def evaluate_bundle(
    corpus: Corpus,
    model: Path,
    options: EvaluateOptions | None = None,
    watch: Callable[[int, int], None] = lambda done, users: None,
    vocabulary: Vocabulary | None = None,
) -> Evaluation:
    """Evaluate the bundle that lies in the folder `model`, or a model of others: see `evaluate` and
    `evaluate_foreign`, which may need a `vocabulary`."""
    if kind_of(model):
        return evaluate_foreign(corpus, model, options, vocabulary)
    found = evaluate(corpus, load_bundle(model), options, watch, model.name)
    return replace(found, curve=_curve(model), held_out=held_out_of(model))


def evaluate(
    corpus: Corpus,
    bundle: Bundle,
    options: EvaluateOptions | None = None,
    watch: Callable[[int, int], None] = lambda done, users: None,
    name: str = "",
) -> Evaluation:
    """Count on one part of each user's messages; baselines, too, as far as they are asked for.

    Training each user's own model takes longest: `watch` is told how many of all users are done.
    Refused when baselines or examples are asked for a corpus that is not the caller's own: they pool its
    text, or show it.
    """
    options = options or EvaluateOptions()
    if not corpus.own and (options.baselines or options.examples):
        raise Refused(
            "baselines pool everybody's text in one place, and this text is not yours to pool",
            "Leave --baselines out: perplexity per user needs counts alone.",
        )
    weights = weights_of(bundle)
    began = time.perf_counter()
    runs = make_engine(
        options.processes,
        name=options.engine,
        ray_address=options.ray_address,
        device=options.device,
    )
    try:
        users, total, slices, noisy = count_on_workers(
            corpus, bundle, weights, options.part, options.workers, options.epsilon, runs
        )
        _check_words(total, corpus, options)
        seconds = time.perf_counter() - began
        others = count_beside(corpus, bundle, weights, options.part, options.baselines, runs, watch)
    finally:
        runs.close()
    return Evaluation(
        users,
        total,
        slices,
        0 if corpus.own else len(corpus.users),
        others,
        about=_about(corpus, name, bundle, options, seconds),
        examples=pick(corpus, bundle, weights, options.part, options.examples),
        noisy=noisy,
        without_ngrams=[name for name in others if name in ALONE and bundle.expert is not None],
    )


def _curve(model: Path) -> list[dict[str, Any]]:
    """How the model's own run went, round by round."""
    return [
        {
            **{k: row[k] for k in ("round", "loss", "words", "seconds", "bytes_up", "bytes_down")},
            "valid": row["valid_perplexity"]
            and {k: row[f"valid_{k}"] for k in ("perplexity", "top1", "top3")},
        }
        for row in read_metrics(RunFolder(model, "", resume=False).metrics)
    ]


def evaluate_foreign(
    corpus: Corpus,
    model: Path,
    options: EvaluateOptions | None = None,
    vocabulary: Vocabulary | None = None,
) -> Evaluation:
    """Count a model of others (`nwp.foreign.door`), user by user, in this process.

    Refused for a corpus that is not the caller's own: what a worker's owner approves is a plan, and no
    plan holds a model of others. Of baselines there are those that are fitted on text alone
    (BadSettings for others). Examples are shown of bundles alone.

    A model that has no words of its own is evaluated over `vocabulary`, without one over the most
    frequent words of everybody's train parts.
    """
    options = options or EvaluateOptions()
    if not corpus.own:
        raise Refused(
            f"{model.name} is no bundle: no plan holds it that a worker's owner could approve, and the "
            "text does not leave the workers",
            "Evaluate it on text of your own, or train a bundle and evaluate that.",
        )
    if options.device != CPU:
        raise BadSettings(
            f"{model.name} is no bundle: models of others are computed on the processor",
            "Leave --device out.",
        )
    if others := [name for name in options.baselines if name not in (UNIGRAM, TRIGRAM)]:
        raise BadSettings(
            f"the baseline {others[0]!r} is trained as a bundle was, and {model.name} is no bundle",
            f"Beside it there are {UNIGRAM} and {TRIGRAM}: --with {UNIGRAM},{TRIGRAM}.",
        )
    foreign = load_predictor(model, lambda: vocabulary or frequent_words(corpus))
    vocabulary = foreign.vocabulary
    began = time.perf_counter()
    users, total, slices = count_here(corpus, foreign, options.part)
    _check_words(total, corpus, options)
    seconds = time.perf_counter() - began
    found: dict[str, dict[str, Counts]] = {}
    if options.baselines:
        runs = make_engine(options.processes, name=options.engine, ray_address=options.ray_address)
        try:
            found = count_fitted(corpus, vocabulary, options.part, options.baselines, runs)
        finally:
            runs.close()
    about = {
        **_measured(corpus, model.name, vocabulary, options, seconds),
        "parameters": None,
        "rounds": None,
        "training": None,
        **foreign.about,
    }
    return Evaluation(users, total, slices, 0, found, about)


def _check_words(total: Counts, corpus: Corpus, options: EvaluateOptions) -> None:
    if not total.tokens:
        raise BadCorpus(
            f"the {options.part} part of {corpus.name} has no words",
            "Users need ten messages or more for a test part; --split all takes everything.",
        )


def _about(
    corpus: Corpus, name: str, bundle: Bundle, options: EvaluateOptions, seconds: float
) -> dict[str, Any]:
    """What was evaluated, on what; seconds of the model's own counting."""
    return {
        **_measured(corpus, name, bundle.vocabulary, options, seconds),
        "parameters": bundle.config.parameters,
        "rounds": bundle.about.get("best_round"),
        "training": bundle.about.get("training"),
        "privacy": bundle.about.get("privacy"),
    }


def _measured(
    corpus: Corpus, name: str, vocabulary: Vocabulary, options: EvaluateOptions, seconds: float
) -> dict[str, Any]:
    """What is told of any model."""
    return {
        "model": name,
        "corpus": Path(corpus.name).name,
        "part": options.part,
        "vocabulary": len(vocabulary.words),
        "nwp": __version__,
        "seconds": round(seconds, 2),
    }
