"""Evaluate a bundle on a corpus: the text lies on workers, the weights go there, counts come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadMessage, NoQuorum, Refused
from nwp.evaluation.baselines import Parts, local_only, ngram_counts, seeds
from nwp.evaluation.counts import Counts, metrics
from nwp.evaluation.phases import EVALUATE, read_counts
from nwp.evaluation.scoring import chunks, count_users
from nwp.federated.local import LocalWork
from nwp.federated.parcel import Parcel
from nwp.federated.plan import EvaluatePlan
from nwp.model.bundle import Bundle, load_bundle
from nwp.model.lstm import FloatArray
from nwp.tasks.start import start_weights, weights_of
from nwp.text.vocabulary import encode
from nwp.workers.engines import Engine, make_engine
from nwp.workers.policy import Policy
from nwp.workers.simulation import Simulation, deal, usual_workers

LOCAL, UNTRAINED = "local_only", "untrained"
# These pool everybody's text: what federated learning does without.
CENTRAL = ("unigram", "trigram_kn")


@dataclass(frozen=True)
class Evaluation:
    """Counts by user (empty when they are withheld), their sum, and baselines' counts by user."""

    users: Mapping[str, Counts]
    total: Counts
    withheld: int
    baselines: Mapping[str, Mapping[str, Counts]]

    def as_json(self) -> dict[str, Any]:
        """What `nwp evaluate --json` prints."""
        rows = [{"user": user, **metrics(counts)} for user, counts in self.users.items()]
        rows.sort(key=lambda row: str(row["user"]))
        found: dict[str, Any] = {
            "users": rows,
            "users_withheld": self.withheld,
            "summary": metrics(self.total),
        }
        if self.baselines:
            found["baselines"] = {
                name: {**metrics(summed(users)), "central": name in CENTRAL}
                for name, users in self.baselines.items()
            }
        return found


def summed(users: Mapping[str, Counts]) -> Counts:
    """All users' counts added up."""
    return sum(users.values(), Counts())


def evaluate_bundle(
    corpus: Corpus,
    model: Path,
    *,
    part: str = "test",
    workers: int = 0,
    baselines: bool = False,
    processes: int = 0,
    engine: str = "auto",
    ray_address: str = "",
    watch: Callable[[int, int], None] = lambda done, users: None,
) -> Evaluation:
    """Count on `part` of each user's messages; `baselines` (see `nwp.evaluation.baselines`) too.

    Training each user's own model takes longest: `watch` is told how many of all users are done.
    `engine`, `processes` and `ray_address` are those of `nwp.workers.engines.make_engine`.
    Refused when baselines are asked for a corpus that is not the caller's own: they pool its text.
    """
    if baselines and not corpus.own:
        raise Refused(
            "baselines pool everybody's text in one place, and this text is not yours to pool",
            "Leave --baselines out: perplexity per user needs counts alone.",
        )
    bundle = load_bundle(model)
    weights = weights_of(bundle)
    part_of((), part)  # before the workers are set up: is there such a part?
    runs = make_engine(processes, name=engine, ray_address=ray_address)
    try:
        users, withheld, total = _on_workers(corpus, bundle, weights, part, workers, runs)
        others: Mapping[str, Mapping[str, Counts]] = {}
        if baselines:
            others = _baselines(corpus, bundle, part, runs, watch)
    finally:
        runs.close()
    if not total.tokens:
        raise BadCorpus(
            f"the {part} part of {corpus.name} has no words",
            "Users need ten messages or more for a test part; --split all takes everything.",
        )
    return Evaluation(users, total, withheld, others)


def _on_workers(
    corpus: Corpus, bundle: Bundle, weights: FloatArray, part: str, workers: int, engine: Engine
) -> tuple[dict[str, Counts], int, Counts]:
    deals = deal(list(corpus.users), workers or usual_workers(len(corpus.users)))
    policy = Policy(rows=corpus.own)
    with Simulation(corpus, deals, engine, policy=policy) as simulation:
        plan = EvaluatePlan(bundle.config, bundle.vocabulary.words, part=part, rows=corpus.own)
        job = simulation.submit(plan, "evaluate")
        requests = {worker: Parcel(arrays={"weights": weights}) for worker in deals}
        replies = simulation.exchange(job)(EVALUATE, 1, requests)
        simulation.close(job)
    if replies.absent:
        worker, reason = next(iter(replies.absent.items()))
        raise NoQuorum(f"{len(replies.absent)} workers did not answer; {worker}: {reason}")
    users: dict[str, Counts] = {}
    total = Counts()
    for worker, reply in sorted(replies.answers.items()):
        rows = read_counts(plan, reply)
        total = sum(rows, total)
        if plan.rows and len(rows) != len(deals[worker]):
            raise BadMessage(f"{worker} has {len(deals[worker])} users, and counts of {len(rows)}")
        if plan.rows:
            users |= dict(zip(deals[worker], rows, strict=True))
    return users, 0 if plan.rows else len(corpus.users), total


def _baselines(
    corpus: Corpus, bundle: Bundle, part: str, engine: Engine, watch: Callable[[int, int], None]
) -> dict[str, dict[str, Counts]]:
    """Baseline name to counts by user; fitted on train parts, counted on `part`."""
    names = sorted(corpus.users)
    vocabulary = bundle.vocabulary
    users = [
        Parts(*(encode(part_of(corpus.users[n], p), vocabulary) for p in ("train", "valid", part)))
        for n in names
    ]
    found = ngram_counts(users, len(vocabulary))
    training = bundle.about["training"]
    work = LocalWork(
        batch=training["batch"],
        learning_rate=training["learning_rate"],
        clip_norm=training["clip_norm"],
        max_positions=training["max_positions"],
    )
    start = start_weights(bundle.config, bundle.frequencies, training["seed"])
    pairs = list(zip(users, seeds(names, training["seed"]), strict=True))
    tasks = [(bundle.config, work, training["passes"], group) for group in chunks(pairs, 2)]
    found[LOCAL] = []
    for group in engine.run(local_only, start, tasks):
        found[LOCAL] += group
        watch(len(found[LOCAL]), len(users))
    tests = [(bundle.config, [u.test for u in group]) for group in chunks(users, 8)]
    found[UNTRAINED] = [c for group in engine.run(count_users, start, tasks=tests) for c in group]
    return {name: dict(zip(names, counts, strict=True)) for name, counts in found.items()}
