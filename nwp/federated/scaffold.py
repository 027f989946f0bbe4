"""SCAFFOLD: local training without drift, by control variates.

Algorithm 1 of Karimireddy et al. 2020 (arXiv 1910.06378), option II. Every user i keeps a guess c_i of
the gradient of their own text, the server one of the mean over all, c. A user of the cohort takes
K local steps

    y ← y - η (∇ loss(y; batch) - c_i + c)        from y = x, the weights received,

and then takes the mean gradient seen for the new guess: c_i⁺ = c_i - c + (x - y) / (K η). With N users
in all and S in the cohort, x moves by the mean of y - x over the cohort, times the server's rate;
c moves by S/N times the mean of c_i⁺ - c_i.

c_i never leaves its worker: it lies in the worker's memory and is zero until its user first takes
part. The server sees sums over a worker's users of the cohort, as in plain averaging; but two of them.

What `clip_norm` bounds is the gradient of a batch, before c - c_i is added: so c_i is the mean of clipped
gradients, and a single step may be longer than the bound. N counts users without words too.
If a worker's answer is lost after its users moved their c_i, c is no longer their exact mean until
these users take part again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from nwp.federated.averaging import (
    asked_users,
    check,
    finish,
    mean_of,
    reply_fields,
    told_of,
    training,
    written,
)
from nwp.federated.cohort import draw_cohort
from nwp.federated.local import LocalWork, deal_groups, scratch, train_here
from nwp.federated.memory import Memory
from nwp.federated.parcel import ArraySpec, Parcel, Schema
from nwp.federated.plan import Plan, TrainPlan
from nwp.federated.protocol import Aggregate, Aggregation, Phase, Step, WorkerSide
from nwp.federated.turns import in_turn
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import Encoded

VARIATE = "variate"


def _request(plan: Plan) -> Schema:
    vectors = training(plan).downlink.specs("weights", VARIATE)
    return Schema(arrays={**vectors, "users": ArraySpec("int64", (None,))})


def _reply(plan: Plan) -> Schema:
    """`update` and `variate` are the means of y - x and of c_i⁺ - c_i over the worker's users."""
    return Schema(reply_fields(training(plan)), training(plan).uplink.specs("update", VARIATE))


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    """On the worker: train the users asked for, each with their own control variate."""
    plan = training(worker.plan)
    weights, server = (plan.downlink.decode(n, request.arrays) for n in ("weights", VARIATE))
    names, work = worker.names, plan.work(number)
    seeds = dict(asked_users(worker, number, request))
    asked = list(seeds)
    users = in_turn(worker, plan, asked)
    dealt = list(zip(users, asked, strict=True))
    groups = deal_groups(dealt, work, plan.groups)
    tasks = []
    for group in groups:
        mine = [(user, seeds[i], names[i]) for user, i in group]
        tasks.append((plan.model, work, mine, worker.memory))
    shared = np.concatenate([weights, server])
    sums, loss = np.zeros((2, len(weights)), np.float64), 0.0
    for moved, changed, group_loss in worker.run(train_corrected, shared, tasks):
        sums[0] += moved
        sums[1] += changed
        loss += group_loss
    update, variate = (sums / max(len(asked), 1)).astype(np.float32)
    fields = told_of(plan, users, len(asked), loss)
    arrays = written(worker, number, "update", update, asked)
    return Parcel(fields, {**arrays, **written(worker, number, VARIATE, variate, asked)})


def train_corrected(
    shared: FloatArray,
    config: ModelConfig,
    work: LocalWork,
    users: Sequence[tuple[Encoded, int, str]],
    memory: Memory,
) -> tuple[FloatArray, FloatArray, float]:
    """Train several users, given by data, seed and id, from the same weights.

    `shared` is weights, then c, float32 (2n,). Each user's c_i is read from and written to
    `memory`. Returns Σ (y - x) and Σ (c_i⁺ - c_i), float32 (n,), and Σ mean loss.
    """
    start, server = torch.from_numpy(shared).chunk(2)
    kernel = scratch(config, work.precision)
    moved, changed, losses = torch.zeros_like(start), torch.zeros_like(start), 0.0
    for user, seed, name in users:
        kept = memory.kept(VARIATE, name)
        own = torch.zeros_like(start) if kept is None else torch.from_numpy(kept)
        correction = server - own
        loss, steps = train_here(kernel, start, user, work, seed, correction)
        delta = kernel.trained() - start
        change = torch.sub(-server, delta, alpha=1 / (steps * work.learning_rate))
        if bool(
            torch.isfinite(change).all()
        ):  # else nothing may leave, and the round counts for nought
            memory.keep(VARIATE, name, (own + change).numpy())
        moved += delta
        changed += change
        losses += loss
    return moved.numpy(), changed.numpy(), losses


def _check(plan: TrainPlan, worker: str, reply: Parcel) -> None:
    check(plan, worker, reply)
    for name in ("update", VARIATE):
        plan.uplink.decode(name, reply.arrays)


def _begin(plan: TrainPlan, number: int, weights: FloatArray) -> Parcel:
    return Parcel(arrays={"weights": weights})


def _ask(plan: TrainPlan, number: int, state: Parcel) -> Mapping[str, Parcel]:
    """The model, the server's control variate, and for each worker which of its users take part."""
    weights = plan.downlink.encode("weights", state.arrays["weights"])
    vectors = {**weights, **plan.downlink.encode(VARIATE, state.arrays[VARIATE])}
    return {
        worker: Parcel(arrays={**vectors, "users": np.array(users, np.int64)})
        for worker, users in draw_cohort(plan, number).items()
    }


def _collect(plan: TrainPlan, state: Parcel, answers: Mapping[str, Parcel]) -> Parcel:
    size = len(state.arrays["weights"])
    update, told = mean_of(plan, "update", size, answers)
    change, _ = mean_of(plan, VARIATE, size, answers)
    share = int(told["users"]) / sum(plan.workers.values())
    variate = state.arrays[VARIATE] + np.float32(share) * change
    return Parcel(told, {"update": update, VARIATE: variate})


def _finish(plan: TrainPlan, state: Parcel) -> Aggregate:
    return replace(finish(plan, state), carried={VARIATE: state.arrays[VARIATE]})


SCAFFOLD = Aggregation(
    name="scaffold",
    begin=_begin,
    steps=(Step(Phase("scaffold", _request, _reply, _answer, _check), _ask, _collect),),
    finish=_finish,
    carried=(VARIATE,),
)
