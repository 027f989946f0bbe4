"""Ask many workers for one figure over all their users: only sums over workers are told.

`query` works with whatever reaches workers under a plan; `query_corpus` deals a corpus to workers of a
simulation and asks these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nwp.corpus.types import Corpus
from nwp.errors import BadSettings, NoQuorum
from nwp.evaluation.weighing import expert_sent
from nwp.federated.parcel import Parcel
from nwp.federated.plan_text import plan_digest
from nwp.federated.query_plan import QueryPlan
from nwp.federated.querying import BINS, FINE, MOST_NATS, Sum, columns, errors, sum_over
from nwp.model.bundle import default_bundle, load_bundle
from nwp.tasks.start import weights_of
from nwp.workers.engines import InProcess, make_engine
from nwp.workers.jobs import Federation
from nwp.workers.simulation import Simulation, deal, usual_workers
from nwp.workers.tasks import phases_of

FEWEST_WORKERS = 2
_LARGEST = 700.0  # exp of more is infinite


@dataclass(frozen=True)
class QueryOptions:
    """What to ask of whom: see `QueryPlan`, and `query` for `min_workers`.

    `part` "": all messages, for a figure of a model its test part. `model` None: the bundle that ships.
    `workers` 0: about four users each, two workers at least. Text alone is counted in this process;
    `processes`, `engine` and `ray_address` are those of `nwp.workers.engines.make_engine`.
    """

    what: str
    part: str = ""
    model: Path | None = None
    min_users: int = 3
    min_workers: int = FEWEST_WORKERS
    k: int = 3
    epsilon: float = 0.0
    per_user: int = 0
    workers: int = 0
    processes: int = 0
    engine: str = "auto"
    ray_address: str = ""

    def __post_init__(self) -> None:
        _check_fewest(self.min_workers)


@dataclass(frozen=True)
class Answer:
    """The sum over workers, and why others are not in it. `shown_by`: a count (without noise) that fewer
    workers have told than that is not shown, for it would be one worker's own."""

    plan: QueryPlan
    sum: Sum
    refused: Mapping[str, str] = field(default_factory=dict)
    shown_by: int = FEWEST_WORKERS

    def as_json(self, top: int = 20) -> dict[str, Any]:
        """What `nwp query --json` prints; `top` words at most."""
        return {
            "query": self.plan.what,
            "part": self.plan.part,
            "workers": self.sum.workers,
            "users": self.sum.users,
            "epsilon": self.plan.epsilon,
            "result": self._result(top),
            "refused": dict(sorted(self.refused.items())),
        }

    def _result(self, top: int) -> dict[str, Any]:
        counts, error = self.sum.counts, self.error
        if self.plan.what == "words":
            return self._words(top)
        if self.plan.what == "lengths":
            found = self._lengths()
            error = {"messages": error[str(BINS[0])]} if error else {}
        elif self.plan.what == "unknown":
            pair = counts["unknown"], counts["known"]
            unknown = self._shown("unknown")
            rate = None if unknown is None else _rate(*pair)
            found = {"words": sum(pair), "unknown": unknown, "rate": rate}
            if error:
                found["between"] = _between(_rate, pair, (error["unknown"], error["known"]))
                error = {"words": sum(error[n] for n in columns(self.plan)), **error}
                del error["known"]
        elif self.plan.what == "perplexity":
            pair = counts["nats"], counts["known"]
            most = MOST_NATS if error else _LARGEST
            found = {"words": pair[1], "perplexity": _perplexity(*pair, most)}
            if error:
                low, high = _between(_perplexity, pair, (error["nats"], error["known"]))
                found["between"] = [low, math.exp(MOST_NATS) if high is None else high]
            error = {"words": error["known"]} if error else {}
        else:
            found = dict(counts)
        if error:
            found["error"] = {"users": self.error["users"], **error}
        return found

    def _shown(self, name: str) -> int | None:
        """A count; None where it would be the count of too few workers."""
        told = self.plan.epsilon or not 0 < self.sum.told_by[name] < self.shown_by
        return self.sum.counts[name] if told else None

    def _lengths(self) -> dict[str, Any]:
        ends = [*(start - 1 for start in BINS[1:]), None]
        bins = zip(BINS, ends, strict=True)
        return {"bins": [{"from": a, "to": b, "messages": self._shown(str(a))} for a, b in bins]}

    def _words(self, top: int) -> dict[str, Any]:
        shown = {word: n for word in self.sum.counts if (n := self._shown(word)) is not None}
        best = sorted(shown, key=lambda word: (-shown[word], word))[:top]
        return {
            "words": [{"word": word, "count": shown[word]} for word in best],
            "shared": len(shown),
            "withheld": len(self.sum.counts) - len(shown),
            "listed": self.sum.listed,
        }

    @property
    def error(self) -> dict[str, float]:
        """How much noise may be off, by name; empty without noise."""
        return errors(self.plan, self.sum.workers) if self.plan.epsilon else {}


def _rate(unknown: float, known: float) -> float | None:
    """The share of unknown words; None where noise has left no words."""
    unknown, known = max(unknown, 0), max(known, 0)
    return unknown / (unknown + known) if unknown + known else None


def _perplexity(parts: float, words: float, most: float = MOST_NATS) -> float | None:
    """From parts of a nat, at most so many nats a word; None where noise has left no words."""
    return math.exp(min(max(parts / FINE / words, 0), most)) if words > 0 else None


def _between(
    figure: Callable[[float, float], float | None],
    counts: tuple[int, int],
    off: tuple[float, float],
) -> list[float | None]:
    """A figure that rises with the first of two counts and falls with the second, with both off by so
    much: as low and as high as it may then be."""
    (first, second), (one, other) = counts, off
    return [figure(first - one, second + other), figure(first + one, second - other)]


def query(
    federation: Federation,
    plan: QueryPlan,
    request: Parcel | None = None,
    min_workers: int = FEWEST_WORKERS,
) -> Answer:
    """Ask all workers, and add up. `request` goes to each of them: a model, where the plan has one.

    NoQuorum when fewer than `min_workers` answered: a sum over one worker is that worker's own figure.
    That minimum is this side's courtesy alone; what workers enforce is in the plan.
    """
    _check_fewest(min_workers)
    job = federation.submit(plan, f"query-{plan.what}-{plan_digest(plan)[:12]}")
    requests = dict.fromkeys(federation.deals, request or Parcel())
    replies = federation.exchange(job)(phases_of(plan)["query"], 1, requests)
    federation.close(job)
    if len(replies.answers) < min_workers:
        raise NoQuorum(
            f"{len(replies.answers)} of {len(requests)} workers answered, {min_workers} must"
            + _reasons(replies.absent),
            "A sum over one worker is its own figure. Ask for what owners allow, of workers who have "
            "users enough.",
        )
    return Answer(plan, sum_over(plan, replies.answers), replies.absent, min_workers)


def _reasons(refused: Mapping[str, str]) -> str:
    """Why workers refused, each reason once."""
    by_reason: dict[str, list[str]] = {}
    for worker, why in sorted(refused.items()):
        by_reason.setdefault(why, []).append(worker)
    said = [f"{', '.join(workers)}: {why}" for why, workers in by_reason.items()]
    return f" ({'; '.join(said)})" if said else ""


def _check_fewest(min_workers: int) -> None:
    if min_workers < FEWEST_WORKERS:
        raise BadSettings(
            f"min_workers = {min_workers}: one worker's figure alone is never told",
            f"Give {FEWEST_WORKERS} or more.",
        )


def plan_query(options: QueryOptions) -> tuple[QueryPlan, Parcel]:
    """What the options ask for, as a plan, and what goes to each worker. BadSettings for what makes no
    sense, BadBundle for a model that can't be read."""
    asked: dict[str, Any] = {
        "what": options.what,
        "part": options.part or "all",
        "min_users": options.min_users,
        "epsilon": options.epsilon,
        "per_user": options.per_user,
    }
    if options.what not in ("unknown", "perplexity"):
        if options.model is not None:
            raise BadSettings(
                f"a model, to ask for {options.what}", "Leave --model out: text alone is counted."
            )
        return QueryPlan(**asked, k=options.k), Parcel()
    bundle = load_bundle(options.model or default_bundle())
    asked |= {"part": options.part or "test", "words": bundle.vocabulary.words}
    if options.what == "unknown":
        return QueryPlan(**asked), Parcel()
    expert = bundle.expert
    plan = QueryPlan(**asked, model=bundle.config, ngrams=expert is not None)
    arrays = plan.downlink.encode("weights", weights_of(bundle))
    if expert is not None:
        arrays = {**arrays, **expert_sent(expert, bundle.config.outputs)}
    return plan, Parcel(arrays=arrays)


def query_corpus(corpus: Corpus, options: QueryOptions, plan: QueryPlan, request: Parcel) -> Answer:
    """Deal the corpus's users to workers, and ask these what `plan_query` made of the options."""
    users = len(corpus.users)
    workers = options.workers or min(users, max(usual_workers(users), options.min_workers))
    deals = deal(list(corpus.users), workers)
    engine = (
        InProcess()
        if plan.model is None
        else make_engine(options.processes, name=options.engine, ray_address=options.ray_address)
    )
    try:
        with Simulation(corpus, deals, engine) as simulation:
            return query(simulation, plan, request, options.min_workers)
    finally:
        engine.close()
