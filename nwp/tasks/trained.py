"""What training leaves: the bundle with its card, and what is told of the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nwp import __version__
from nwp.federated.device import CPU
from nwp.federated.participation import Participation
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.schedules import schedule_text
from nwp.federated.state import RunState
from nwp.files import told, write_atomic
from nwp.model.bundle import Bundle, save_bundle
from nwp.model.lstm import NextWordModel
from nwp.tasks.run_folder import RunFolder
from nwp.tasks.train_options import TrainOptions

_WRITE_IT = "then --resume writes it."
_SHOWN = ("perplexity", "top1", "top3")


@dataclass(frozen=True)
class Trained:
    """What training leaves: its plan, the model before it, the last state, where it went on from."""

    plan: TrainPlan
    beginning: Bundle
    state: RunState
    resumed_from: int
    algorithm: str


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


def _training(plan: TrainPlan) -> dict[str, Any]:
    users, cohort, who = plan.users, plan.goal, plan.participation
    return {
        "rounds": plan.rounds,
        "cohort": cohort,
        # How often a user took part, on average: how often messages were gone through, unless users were
        # drawn by size or a round took only some of a user's, which only those know who have the text.
        "passes": math.ceil(plan.rounds * plan.local.epochs * cohort / users),
        "epochs": plan.local.epochs,
        "batch": plan.local.batch,
        "messages": plan.local.messages,
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
        "server_schedule": schedule_text(plan.server_schedule),
        "averaging": plan.server.averaging,
        "downlink": plan.compression.down,
        "uplink": plan.compression.up,
        "topk": plan.compression.share if plan.uplink.forgets else None,
        "seed": plan.seed,
        "plan": plan_digest(plan),
        **({"participation": asdict(who)} if who != Participation() else {}),
    }


def keep_result(run: RunFolder, bundle: Bundle, result: Mapping[str, Any]) -> None:
    """Write the bundle, then what says that the run is finished. NwpError when the disk is full."""
    with told("training is done, but its bundle can't be written", _WRITE_IT):
        save_bundle(bundle, run.out)
        write_atomic(run.result, json.dumps(result) + "\n")
