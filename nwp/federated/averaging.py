"""Plain averaging: each worker trains its users of the cohort and sends one weighted mean back.

Steps 3 to 8 of FedAvg's server loop (McMahan et al. 2017, Algorithm 1), in one phase. The weight of
a user is the number of words trained on, if the plan does not say otherwise. A worker adds its
users up, so that the server sees one update a worker and none of a user, unless the worker has one
user alone in the cohort.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nwp.errors import BadMessage
from nwp.federated.bounds import cut, length, longest_update, most_words
from nwp.federated.cohort import draw_cohort, who_trains
from nwp.federated.local import deal_groups, seed_for, train_group, words_trained
from nwp.federated.parcel import AnyArray, ArraySpec, Parcel, Schema
from nwp.federated.plan import Plan, TrainPlan
from nwp.federated.protocol import Aggregate, Aggregation, Phase, Step, WorkerSide
from nwp.federated.shares import capped
from nwp.federated.turns import in_turn
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import Encoded


def training(plan: Plan) -> TrainPlan:
    """The plan, if it is one to train by; else BadMessage."""
    if not isinstance(plan, TrainPlan):
        raise BadMessage(f"a {plan.kind} plan does not allow training")
    return plan


def _request(plan: Plan) -> Schema:
    weights = training(plan).downlink.specs("weights")
    return Schema(arrays={**weights, "users": ArraySpec("int64", (None,))})


def _reply(plan: Plan) -> Schema:
    return Schema(reply_fields(training(plan)), training(plan).uplink.specs("update"))


def reply_fields(plan: TrainPlan) -> dict[str, type]:
    """What a worker tells of its users: `words` trained on (0 where the plan hides them), how
    many `users` (draws, by size), their mean `loss`; and the sum of their weights, if it is neither
    of these."""
    return {"words": int, "users": int, "loss": float, plan.weighting.told: int}


def asked_users(worker: WorkerSide, number: int, request: Parcel) -> list[tuple[int, int]]:
    """On the worker: place and seed of each user of a request who has words, in order of places.
    BadMessage for users that this worker does not have, or one twice."""
    plan, data = training(worker.plan), worker.encoded("train")
    asked = request.arrays["users"].tolist()
    most = plan.local.max_positions
    there = who_trains(plan, number, asked, worker.names, lambda: worker.words("train", most))
    return [(i, seed) for i, seed in there if data[i].words]


def told_of(
    plan: TrainPlan, users: Sequence[Encoded], weight: int, loss: float
) -> dict[str, int | float]:
    """On the worker: `reply_fields` filled in, given the sums of weights and of weight times loss."""
    words = plan.local.epochs * sum(words_trained(user, plan.local) for user in users)
    words = 0 if plan.hides_words else words
    told = {"words": words, "users": len(users), "loss": loss / max(weight, 1)}
    return {"weight": weight, **told} if plan.weighting.told == "weight" else told


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    """On the worker: train the users asked for and average their updates, by their weights."""
    plan = training(worker.plan)
    weights = plan.downlink.decode("weights", request.arrays)
    work, asked = plan.work(number), asked_users(worker, number, request)
    mine = in_turn(worker, plan, [i for i, _ in asked])
    users = [(user, seed) for user, (_, seed) in zip(mine, asked, strict=True)]
    groups = deal_groups(users, work, plan.groups)
    tasks = [(plan.model, work, group, plan.weighting) for group in groups]
    total = np.zeros(len(weights), np.float64)
    weight, loss = 0, 0.0
    for summed, group_weight, group_loss in worker.run(train_group, weights, tasks):
        total += summed
        weight += group_weight
        loss += group_loss
    update = (total / max(weight, 1)).astype(np.float32)
    fields = told_of(plan, [user for user, _ in users], weight, loss)
    return Parcel(fields, written(worker, number, "update", update, [i for i, _ in asked]))


def written(
    worker: WorkerSide, number: int, name: str, mean: FloatArray, users: Sequence[int]
) -> dict[str, AnyArray]:
    """On the worker: the mean of some users' vectors, float32 (n,), as arrays on their way up.

    What the plan's code would forget is kept, and added to the next mean of that name that this
    worker sends (see `nwp.federated.compression`). One of no users has no weight on the server:
    neither is anything of it lost, nor may it take along what is kept.
    """
    plan = training(worker.plan)
    code, kept = plan.uplink, f"unsent-{name}"
    if not code.forgets or not users:
        seed = seed_for(plan.seed, number, f"rounding {name}", *(worker.names[i] for i in users))
        return code.encode(name, mean, seed)
    left = worker.memory.kept(kept, "")
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = mean if left is None else mean + left
        arrays = code.encode(name, wanted)
        unsent = wanted - code.decode(name, arrays)
    if np.isfinite(unsent).all():  # else nothing may be sent, and the round may be asked for anew
        worker.memory.keep(kept, "", unsent)
    return arrays


def check(plan: TrainPlan, worker: str, reply: Parcel) -> None:
    """On the server: could a worker have trained so many users on so many words, of this weight?"""
    words, users = reply.fields["words"], reply.fields["users"]
    most = plan.asked if plan.participation.by_size else plan.workers[worker]
    possible = 0 <= words <= most_words(plan, users)
    if not possible or not 0 <= users <= most or (plan.hides_words and words):
        raise BadMessage(f"{worker} claims {words} words of {users} users")
    weight = int(reply.fields[plan.weighting.told])
    if not plan.weighting.possible(weight, int(users), int(words), plan.local.epochs):
        raise BadMessage(f"{worker} claims a weight of {weight} for {words} words of {users} users")


def _check(plan: TrainPlan, worker: str, reply: Parcel) -> None:
    check(plan, worker, reply)
    update, words = plan.uplink.decode("update", reply.arrays), int(reply.fields["words"])
    longest = longest_update(plan, words)
    if longest < math.inf and (found := length(update)) > longest:
        raise BadMessage(
            f"{worker} sends an update of length {found:.4g}, where training on {words} words gives one "
            f"of {longest:.4g} at most"
        )


def _begin(plan: TrainPlan, number: int, weights: FloatArray) -> Parcel:
    return Parcel(arrays={"weights": weights})


def _ask(plan: TrainPlan, number: int, state: Parcel) -> Mapping[str, Parcel]:
    """The model, and for each worker which of its users take part."""
    weights = plan.downlink.encode("weights", state.arrays["weights"])
    return {
        worker: Parcel(arrays={**weights, "users": np.array(users, np.int64)})
        for worker, users in draw_cohort(plan, number).items()
    }


def mean_of(
    plan: TrainPlan, name: str, size: int, answers: Mapping[str, Parcel]
) -> tuple[FloatArray, dict[str, int | float]]:
    """On the server: the mean of the workers' arrays of that name, float32 (size,), by their weights
    and in order of their names; and `words`, `users` and mean `loss` of all. BadMessage for claims
    that can't be true. Where the plan bounds a worker's share, who claims more counts for that, with an
    update no longer than so many words can give."""
    total = np.zeros(size, np.float64)
    weight, words, users, loss = 0, 0, 0, 0.0
    weights, trained = (
        {worker: int(answers[worker].fields[told]) for worker in answers}
        for told in (plan.weighting.told, "words")
    )
    counted, believed = capped(weights, plan.share), capped(trained, plan.share)
    for worker in sorted(answers):
        check(plan, worker, answers[worker])
        fields = answers[worker].fields
        mine = counted[worker]
        vector = plan.uplink.decode(name, answers[worker].arrays)
        if believed[worker] < trained[worker]:
            vector = cut(vector, longest_update(plan, believed[worker]))
        total += vector.astype(np.float64) * mine
        weight += mine
        words += int(fields["words"])
        users += int(fields["users"])
        loss += mine * float(fields["loss"])
    mean = (total / max(weight, 1)).astype(np.float32)
    return mean, {"words": words, "users": users, "loss": loss / max(weight, 1)}


def _collect(plan: TrainPlan, state: Parcel, answers: Mapping[str, Parcel]) -> Parcel:
    """Average the workers' updates."""
    update, told = mean_of(plan, "update", len(state.arrays["weights"]), answers)
    return Parcel(told, {"update": update})


def finish(plan: TrainPlan, state: Parcel) -> Aggregate:
    """What a round comes to, when its answers are averaged."""
    return Aggregate(
        update=state.arrays["update"],
        words=int(state.fields["words"]),
        users=int(state.fields["users"]),
        loss=float(state.fields["loss"]),
    )


MEAN = Aggregation(
    name="mean",
    begin=_begin,
    steps=(Step(Phase("train", _request, _reply, _answer, _check), _ask, _collect),),
    finish=finish,
)
