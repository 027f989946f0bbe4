"""The phase that learns how much the n-gram expert and the model count, on the workers.

Each worker runs EM (Dempster, Laird and Rubin 1977; for mixtures of language models Jelinek and Mercer
1980) over its users' valid parts, on which nothing was counted or trained: the words that each source
is credited with, kind of context by kind, are all that comes back. The server adds credits up. That is
the pooled text's EM where workers are alike; where they are not, it is the mean of what each found best,
by words, as in federated averaging.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from nwp.errors import BadMessage
from nwp.evaluation.scoring import LstmPredictor, join
from nwp.federated.groups import in_groups
from nwp.federated.parcel import AnyArray, ArraySpec, Parcel, Schema
from nwp.federated.plan import NgramsPlan, Plan
from nwp.federated.protocol import Phase, WorkerSide
from nwp.model.config import ModelConfig
from nwp.model.expert import (
    KINDS,
    SOURCES,
    Expert,
    as_arrays,
    available,
    from_arrays,
    learnt,
    types_of,
    usual_weights,
)
from nwp.model.lstm import FloatArray
from nwp.text.contexts import trigrams
from nwp.text.vocabulary import FIRST_OUTPUT, UNKNOWN, Encoded

Credits = npt.NDArray[np.float64]
EXPERT = "expert."  # begins the names of an expert's arrays in a message
_TIMES = 30
_GROUP = 64  # users that are scored as one task, at most


def expert_specs(outputs: int) -> dict[str, ArraySpec]:
    """What an expert is as part of a message."""
    shapes = {"weights": (KINDS, len(SOURCES)), "k": (1,)}
    return {
        f"{EXPERT}{name}": ArraySpec(kind, shapes.get(name, (None,)))
        for name, kind in types_of(outputs).items()
    }


def expert_sent(expert: Expert, outputs: int) -> dict[str, AnyArray]:
    """An expert as arrays of a message."""
    return {f"{EXPERT}{name}": array for name, array in as_arrays(expert, outputs).items()}


def expert_received(request: Parcel, outputs: int) -> Expert:
    """The expert of a message. BadMessage when it does not fit together."""
    mine = {n.removeprefix(EXPERT): a for n, a in request.arrays.items() if n.startswith(EXPERT)}
    try:
        return from_arrays(mine, outputs)
    except ValueError as error:
        raise BadMessage(str(error)) from error


def _request(plan: Plan) -> Schema:
    if not isinstance(plan, NgramsPlan):
        raise BadMessage(f"a {plan.kind} plan does not allow to weigh n-grams")
    arrays = plan.downlink.specs("weights") | expert_specs(plan.model.outputs)
    return Schema(arrays=arrays)


def _reply(plan: Plan) -> Schema:
    return Schema({"words": int}, {"credits": ArraySpec("float64", (KINDS, len(SOURCES)))})


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    """On the worker: what each source is credited with; nothing where too few users are."""
    plan = worker.plan
    assert isinstance(plan, NgramsPlan)
    users = worker.encoded("valid")
    if len(users) < plan.k:
        return Parcel({"words": 0}, {"credits": np.zeros((KINDS, len(SOURCES)))})
    expert = expert_received(request, plan.model.outputs)
    weights = plan.downlink.decode("weights", request.arrays)
    groups = in_groups(users, _GROUP, lambda user: len(user.targets))
    tasks = [(plan.model, expert, group) for group in groups]
    scored = list(worker.run(source_probabilities, weights, tasks))
    kinds = np.concatenate([np.zeros(0, np.int64), *(kinds for kinds, _, _ in scored)])
    each = np.concatenate([np.zeros((0, len(SOURCES))), *(each for _, each, _ in scored)])
    there = np.concatenate([np.zeros((0, len(SOURCES)), bool), *(there for _, _, there in scored)])
    return Parcel({"words": len(kinds)}, {"credits": credit(kinds, each, there)})


def source_probabilities(
    weights: FloatArray, config: ModelConfig, expert: Expert, users: Sequence[Encoded]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """At each target that is a known word or an end: the context's kind, what each source gives it
    (n, sources), and which sources know the context."""
    data = join(users)
    before, last, words = trigrams([data], config.vocabulary)
    p = np.zeros(len(words))
    with torch.inference_mode():
        for block in LstmPredictor(config, weights).blocks(data):
            p[block.where] = np.exp(-block.nll.numpy())
    found = expert.look(before, last)
    each = expert.probabilities(found, words - FIRST_OUTPUT, p)
    known = words != UNKNOWN
    return found.kinds[known], each[known], found.there[known]


def credit(
    kinds: npt.NDArray[np.int64], each: npt.NDArray[np.float64], there: npt.NDArray[np.bool_]
) -> Credits:
    """EM over n words: how many of them each source is credited with at the end, (KINDS, sources)."""
    credits = np.zeros((KINDS, len(SOURCES)))
    weights = usual_weights()
    for _ in range(_TIMES):
        shares = each * available(weights[kinds], there)
        shares /= np.maximum(shares.sum(1, keepdims=True), np.finfo(np.float64).tiny)
        for source in range(len(SOURCES)):
            credits[:, source] = np.bincount(kinds, shares[:, source], KINDS)
        weights = learnt(credits)
    return credits


def weights_from(answers: Mapping[str, Parcel]) -> npt.NDArray[np.float32]:
    """On the server: the mixture's weights from all workers' credits, in order of their names."""
    credits = np.zeros((KINDS, len(SOURCES)))
    for worker in sorted(answers):
        credits += answers[worker].arrays["credits"]
    return learnt(credits)


def _check(plan: NgramsPlan, worker: str, reply: Parcel) -> None:
    credits, words = reply.arrays["credits"], reply.fields["words"]
    if (credits < 0).any() or not -1e-6 <= words - credits.sum() <= 1 + 1e-6 * words:
        raise BadMessage(f"{worker} credits {credits.sum()} of {words} words")


WEIGH = Phase("weigh", _request, _reply, _answer, _check)
