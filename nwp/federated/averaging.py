"""Plain averaging: each worker trains its users of the cohort and sends one weighted mean back.

Steps 3 to 8 of FedAvg's server loop (McMahan et al. 2017, Algorithm 1), in one phase. The weight of
a user is the number of words trained on; where users are drawn by their words, all draws count
alike. A worker adds its users up, so that the server sees one update a worker and none of a user,
unless the worker has one user alone in the cohort.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nwp.errors import BadMessage
from nwp.federated.cohort import alike, draw_cohort, who_trains
from nwp.federated.local import deal_groups, train_group, words_trained
from nwp.federated.parcel import ArraySpec, Parcel, Schema
from nwp.federated.plan import Plan, TrainPlan
from nwp.federated.protocol import Aggregate, Aggregation, Phase, Step, WorkerSide
from nwp.model.lstm import FloatArray


def _training(plan: Plan) -> TrainPlan:
    if not isinstance(plan, TrainPlan):
        raise BadMessage(f"a {plan.kind} plan does not allow training")
    return plan


def _request(plan: Plan) -> Schema:
    size = _training(plan).model.parameters
    return Schema(
        arrays={"weights": ArraySpec("float32", (size,)), "users": ArraySpec("int64", (None,))}
    )


def _reply(plan: Plan) -> Schema:
    size = _training(plan).model.parameters
    return Schema(
        fields={"words": int, "users": int, "loss": float},
        arrays={"update": ArraySpec("float32", (size,))},
    )


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    """On the worker: train the users asked for and average their updates, by weight.

    By size, `words` is the weight, which is that of draws: how many words were drawn is not told.
    """
    plan, weights = _training(worker.plan), request.arrays["weights"]
    data, names = worker.encoded("train"), worker.names
    asked = request.arrays["users"].tolist()
    drawn = who_trains(plan, number, asked, names, lambda i: words_trained(data[i], plan.local))
    users = [(data[i], seed) for i, seed in drawn]
    users = [(encoded, seed) for encoded, seed in users if encoded.words]
    groups = deal_groups(users, plan.local, plan.model, plan.groups)
    weigh = alike if plan.participation.by_size else words_trained
    tasks = [(plan.model, plan.local, group, weigh) for group in groups]
    total = np.zeros(len(weights), np.float64)
    words, loss = 0, 0.0
    for summed, group_words, group_loss in worker.run(train_group, weights, tasks):
        total += summed
        words += group_words
        loss += group_loss
    update = (total / max(words, 1)).astype(np.float32)
    return Parcel(
        {"words": words, "users": len(users), "loss": loss / max(words, 1)}, {"update": update}
    )


def _check(plan: TrainPlan, worker: str, reply: Parcel) -> None:
    """On the server: could a worker have trained so many users on so many words?"""
    words, users = reply.fields["words"], reply.fields["users"]
    by_size = plan.participation.by_size
    most = plan.asked if by_size else plan.workers[worker]
    if words < 0 or not 0 <= users <= most or (by_size and words != users * plan.local.epochs):
        raise BadMessage(f"{worker} claims {words} words of {users} users")


def _begin(plan: TrainPlan, number: int, weights: FloatArray) -> Parcel:
    return Parcel(arrays={"weights": weights})


def _ask(plan: TrainPlan, number: int, state: Parcel) -> Mapping[str, Parcel]:
    """The model, and for each worker which of its users take part."""
    weights = state.arrays["weights"]
    return {
        worker: Parcel(arrays={"weights": weights, "users": np.array(users, np.int64)})
        for worker, users in draw_cohort(plan, number).items()
    }


def _collect(plan: TrainPlan, state: Parcel, answers: Mapping[str, Parcel]) -> Parcel:
    """Average the workers' updates, in order of their names, weighted by words."""
    total = np.zeros(len(state.arrays["weights"]), np.float64)
    words, users, loss = 0, 0, 0.0
    for worker in sorted(answers):
        _check(plan, worker, answers[worker])
        fields = answers[worker].fields
        mine = int(fields["words"])
        total += answers[worker].arrays["update"].astype(np.float64) * mine
        words += mine
        users += int(fields["users"])
        loss += mine * float(fields["loss"])
    update = (total / max(words, 1)).astype(np.float32)
    return Parcel(
        {"words": words, "users": users, "loss": loss / max(words, 1)}, {"update": update}
    )


def _finish(plan: TrainPlan, state: Parcel) -> Aggregate:
    return Aggregate(
        update=state.arrays["update"],
        words=0 if plan.participation.by_size else int(state.fields["words"]),
        users=int(state.fields["users"]),
        loss=float(state.fields["loss"]),
    )


MEAN = Aggregation(
    name="mean",
    begin=_begin,
    steps=(Step(Phase("train", _request, _reply, _answer, _check), _ask, _collect),),
    finish=_finish,
)

AGGREGATIONS: dict[str, Aggregation] = {MEAN.name: MEAN}
