"""How many words each worker has in all: what sampling by size draws workers by.

Asked once, before the first round, and kept beside the checkpoint. A worker tells one number for
all its users together; how it is made up does not leave it, and other owners do not learn it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nwp.errors import BadMessage, NoQuorum
from nwp.federated.parcel import Parcel, Schema
from nwp.federated.plan import Plan, TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Exchange, Phase, Replies, WorkerSide
from nwp.files import write_atomic

SIZES = "sizes.json"
_MOST = 1 << 40  # words of one worker, so that sums stay far within 64 bits


def _request(plan: Plan) -> Schema:
    if not isinstance(plan, TrainPlan) or not plan.participation.by_size:
        raise BadMessage("only a training plan that samples by size allows to ask for sizes")
    return Schema()


def _reply(plan: Plan) -> Schema:
    return Schema(fields={"words": int})


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    """On the worker: the words that an epoch of all its users trains on."""
    assert isinstance(worker.plan, TrainPlan)
    sizes = worker.words("train", worker.plan.local.max_positions)
    return Parcel({"words": int(sizes.sum())})


def _check(plan: TrainPlan, worker: str, reply: Parcel) -> None:
    if not 0 <= reply.fields["words"] < _MOST:
        raise BadMessage(f"{worker} claims {reply.fields['words']} words")


COUNT = Phase("count", _request, _reply, _answer, _check)


def find_sizes(
    plan: TrainPlan, exchange: Exchange, folder: Path
) -> tuple[Mapping[str, int], Replies]:
    """Worker to words, and what moved to learn it: nothing when `folder` has them from before.

    A worker that does not answer is never drawn. NoQuorum when too few answer, or none has a word.
    """
    path, digest = folder / SIZES, plan_digest(plan)
    if (kept := _kept(path, digest)) is not None:
        return kept, Replies({})
    replies = exchange(COUNT, 1, dict.fromkeys(plan.workers, Parcel()))
    words = {w: int(replies.answers[w].fields["words"]) for w in sorted(replies.answers)}
    if len(words) < plan.quorum * len(plan.workers) or not any(words.values()):
        raise NoQuorum(
            f"{len(words)} of {len(plan.workers)} workers told how many words they have, "
            f"{sum(words.values())} in all: nobody can be drawn by size",
            f"At least {plan.quorum:.0%} of the workers must; or sample uniformly.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({"plan": digest, "words": words}) + "\n")
    return words, replies


def _kept(path: Path, digest: str) -> dict[str, int] | None:
    """What this plan's run asked for before; None when it did not, or the file is damaged."""
    try:
        found = json.loads(path.read_text())
        words = {str(worker): int(n) for worker, n in found["words"].items()}
        return words if found["plan"] == digest else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
