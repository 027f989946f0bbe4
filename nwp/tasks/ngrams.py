"""Give a bundle an n-gram expert: count on the workers what many share, then learn how much it counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, NoQuorum
from nwp.evaluation.weighing import WEIGH, expert_sent, weights_from
from nwp.federated.ngrams import NGRAMS, expert_of
from nwp.federated.parcel import Parcel
from nwp.federated.plan import NgramsPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Exchange, Phase
from nwp.model.bundle import FILES, Bundle, load_bundle
from nwp.model.expert import SOURCES, Expert
from nwp.tasks.places import check_place, put_bundle
from nwp.tasks.start import weights_of
from nwp.workers.channel import Tap
from nwp.workers.engines import make_engine
from nwp.workers.jobs import phase_of
from nwp.workers.policy import Policy
from nwp.workers.simulation import SERVER, Simulation, deal, usual_workers

Watch = Callable[[str, int, int], None]
"""Told what the workers do, how many of them have answered, and how many there are."""

_DOING = {NGRAMS.name: "counting n-grams", WEIGH.name: "learning how much they count"}


@dataclass(frozen=True)
class NgramsOptions:
    """`k` users of a worker must have written an n-gram before it may leave; `workers` 0: about four
    users each; the rest is where it is computed (`nwp.workers.engines.make_engine`)."""

    k: int = 3
    workers: int = 0
    processes: int = 0
    engine: str = "auto"
    ray_address: str = ""


def add_ngrams(
    corpus: Corpus,
    model: Path,
    out: Path,
    options: NgramsOptions,
    *,
    command: str = "",
    force: bool = False,
    watch: Watch = lambda doing, done, workers: None,
) -> dict[str, Any]:
    """Write the bundle `model` with an n-gram expert to `out`; what `nwp model ngrams --json` prints.

    Workers that do not answer are left out, and told with their reasons ("absent").
    BadInput when `out` holds something that may not be replaced (`nwp.tasks.places`), BadCorpus when no
    worker has enough users. Stopped at any point, it leaves `out` as it was.
    """
    check_place(out, model, force=force)
    bundle = load_bundle(model)
    began = time.perf_counter()
    expert, plan, absent = _learnt(corpus, bundle, options, watch)
    put_bundle(with_expert(bundle, expert, plan, corpus, command, len(absent)), out)
    return {
        "model": str(out),
        "k": options.k,
        "pairs": len(expert.pairs.words),
        "triples": len(expert.triples.words),
        # Where both contexts were seen most often; where neither was, the model has it all.
        "weights": dict(zip(SOURCES, map(float, expert.weights[-1]), strict=True)),
        "absent": absent,
        "bytes": sum((out / name).stat().st_size for name in FILES),
        "seconds": round(time.perf_counter() - began, 1),
    }


def with_expert(
    bundle: Bundle,
    expert: Expert,
    plan: NgramsPlan,
    corpus: Corpus,
    command: str,
    absent: int = 0,
) -> Bundle:
    """The bundle with an expert, which its card tells of; `absent`: workers that did not answer."""
    told_of = {
        "corpus": Path(corpus.name).name,
        "k": expert.k,
        "pairs": len(expert.pairs.words),
        "triples": len(expert.triples.words),
        "plan": plan_digest(plan),
        "command": command,
        **({"absent": absent} if absent else {}),
    }
    return replace(bundle, expert=expert, about={**bundle.about, "ngrams": told_of})


def _learnt(
    corpus: Corpus, bundle: Bundle, options: NgramsOptions, watch: Watch
) -> tuple[Expert, NgramsPlan, dict[str, str]]:
    """The expert, the plan it was asked for under, and why workers are not in it, by name."""
    deals = deal(list(corpus.users), options.workers or usual_workers(len(corpus.users)))
    if max(map(len, deals.values())) < options.k:
        raise BadCorpus(
            f"no worker has {options.k} users: nothing that so many share could leave",
            "Deal the users to fewer workers (--workers).",
        )
    plan = NgramsPlan(bundle.config, bundle.vocabulary.words, options.k)
    engine = make_engine(options.processes, name=options.engine, ray_address=options.ray_address)
    absent: dict[str, str] = {}
    try:
        with Simulation(
            corpus, deals, engine, policy=Policy(), tap=_counting(watch, len(deals))
        ) as simulation:
            job = simulation.submit(plan, "ngrams")
            exchange = simulation.exchange(job)
            answers = _asked(exchange, NGRAMS, dict.fromkeys(deals, Parcel()), absent)
            expert = expert_of(plan, answers)
            outputs = bundle.config.outputs
            arrays = plan.downlink.encode("weights", weights_of(bundle))
            request = Parcel(arrays={**arrays, **expert_sent(expert, outputs)})
            answers = _asked(exchange, WEIGH, dict.fromkeys(deals, request), absent)
            simulation.close(job)
    finally:
        engine.close()
    return replace(expert, weights=weights_from(answers)), plan, dict(sorted(absent.items()))


def _asked(
    exchange: Exchange, phase: Phase, requests: Mapping[str, Parcel], absent: dict[str, str]
) -> Mapping[str, Parcel]:
    """The answers there are; `absent` is told who gave none, and why."""
    replies = exchange(phase, 1, requests)
    for worker, reason in replies.absent.items():
        absent.setdefault(worker, reason)
    if not replies.answers:
        reason = next(iter(replies.absent.values()), "no workers")
        raise NoQuorum(f"no worker answered: {reason}", "Ask their owners to approve the plan.")
    return replies.answers


def _counting(watch: Watch, workers: int) -> Tap:
    """Sees the messages pass, and tells how many workers have answered in each phase."""
    answered: dict[str, set[str]] = {phase: set() for phase in _DOING}

    def tap(sender: str, receiver: str, name: str, payload: bytes) -> None:
        phase = phase_of(name)
        if phase not in answered:
            return
        answered[phase] |= {sender} - {SERVER}
        watch(_DOING[phase], len(answered[phase]), workers)

    return tap
