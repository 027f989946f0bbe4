"""Give a bundle an n-gram expert: count on the workers what many share, then learn how much it counts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, NoQuorum
from nwp.evaluation.weighing import WEIGH, expert_sent, weights_from
from nwp.federated.ngrams import NGRAMS, expert_of
from nwp.federated.parcel import Parcel
from nwp.federated.plan import NgramsPlan, plan_digest
from nwp.federated.protocol import Exchange, Phase
from nwp.model.bundle import FILES, Bundle, load_bundle
from nwp.model.expert import SOURCES, Expert
from nwp.tasks.places import check_place, put_bundle
from nwp.tasks.start import weights_of
from nwp.workers.engines import make_engine
from nwp.workers.policy import Policy
from nwp.workers.simulation import Simulation, deal, usual_workers


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
) -> dict[str, Any]:
    """Write the bundle `model` with an n-gram expert to `out`; what `nwp model ngrams --json` prints.

    BadInput when `out` holds something that may not be replaced (`nwp.tasks.places`), BadCorpus when no
    worker has enough users. Stopped at any point, it leaves `out` as it was.
    """
    check_place(out, model, force=force)
    bundle = load_bundle(model)
    began = time.perf_counter()
    expert, plan = _learnt(corpus, bundle, options)
    put_bundle(with_expert(bundle, expert, plan, corpus, command), out)
    return {
        "model": str(out),
        "k": options.k,
        "pairs": len(expert.pairs.words),
        "triples": len(expert.triples.words),
        # Where both contexts were seen most often; where neither was, the model has it all.
        "weights": dict(zip(SOURCES, map(float, expert.weights[-1]), strict=True)),
        "bytes": sum((out / name).stat().st_size for name in FILES),
        "seconds": round(time.perf_counter() - began, 1),
    }


def with_expert(
    bundle: Bundle, expert: Expert, plan: NgramsPlan, corpus: Corpus, command: str
) -> Bundle:
    """The bundle with an expert, which its card tells of."""
    told_of = {
        "corpus": Path(corpus.name).name,
        "k": expert.k,
        "pairs": len(expert.pairs.words),
        "triples": len(expert.triples.words),
        "plan": plan_digest(plan),
        "command": command,
    }
    return replace(bundle, expert=expert, about={**bundle.about, "ngrams": told_of})


def _learnt(corpus: Corpus, bundle: Bundle, options: NgramsOptions) -> tuple[Expert, NgramsPlan]:
    deals = deal(list(corpus.users), options.workers or usual_workers(len(corpus.users)))
    if max(map(len, deals.values())) < options.k:
        raise BadCorpus(
            f"no worker has {options.k} users: nothing that so many share could leave",
            "Deal the users to fewer workers (--workers).",
        )
    plan = NgramsPlan(bundle.config, bundle.vocabulary.words, options.k)
    engine = make_engine(options.processes, name=options.engine, ray_address=options.ray_address)
    try:
        with Simulation(corpus, deals, engine, policy=Policy()) as simulation:
            job = simulation.submit(plan, "ngrams")
            exchange = simulation.exchange(job)
            answers = _asked(exchange, NGRAMS, dict.fromkeys(deals, Parcel()))
            expert = expert_of(plan, answers)
            outputs = bundle.config.outputs
            arrays = plan.downlink.encode("weights", weights_of(bundle))
            request = Parcel(arrays={**arrays, **expert_sent(expert, outputs)})
            answers = _asked(exchange, WEIGH, dict.fromkeys(deals, request))
            simulation.close(job)
    finally:
        engine.close()
    return replace(expert, weights=weights_from(answers)), plan


def _asked(
    exchange: Exchange, phase: Phase, requests: Mapping[str, Parcel]
) -> Mapping[str, Parcel]:
    replies = exchange(phase, 1, requests)
    if not replies.answers:
        reason = next(iter(replies.absent.values()), "no workers")
        raise NoQuorum(f"no worker answered: {reason}", "Ask their owners to approve the plan.")
    return replies.answers
