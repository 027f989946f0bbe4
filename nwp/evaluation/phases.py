"""The phases that evaluate on the workers: weights go out, only counts come back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nwp.errors import BadMessage
from nwp.evaluation.counts import COLUMNS, Counts
from nwp.evaluation.scoring import chunks, count_users
from nwp.federated.parcel import ArraySpec, Parcel, Schema
from nwp.federated.plan import EvaluatePlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.protocol import Phase, WorkerSide

_VALIDATED = 4  # users of a training run that are counted as one task


def _request(plan: Plan) -> Schema:
    if isinstance(plan, SurveyPlan):
        raise BadMessage("a survey plan does not allow evaluation")
    return Schema(arrays=plan.downlink.specs("weights"))


def _reply(plan: Plan) -> Schema:
    """A row of counts a user, in order of their ids, or one for their sum; float64 (rows, columns)."""
    return Schema(
        fields={"users": int}, arrays={"counts": ArraySpec("float64", (None, len(COLUMNS)))}
    )


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    plan = worker.plan
    assert not isinstance(plan, SurveyPlan)
    part, rows = ("valid", False) if isinstance(plan, TrainPlan) else (plan.part, plan.rows)
    users = worker.encoded(part)
    size = plan.group if isinstance(plan, EvaluatePlan) else _VALIDATED
    tasks = [(plan.model, group) for group in chunks(users, size)]
    weights = plan.downlink.decode("weights", request.arrays)
    counts = [c for found in worker.run(count_users, weights, tasks) for c in found]
    if not rows:
        counts = [sum(counts, Counts())]
    return Parcel({"users": len(users)}, {"counts": np.stack([c.as_row() for c in counts])})


def read_counts(plan: TrainPlan | EvaluatePlan, reply: Parcel) -> list[Counts]:
    """On the server: the rows of one worker. BadMessage when they are not as many as agreed."""
    rows = reply.arrays["counts"]
    wanted = reply.fields["users"] if isinstance(plan, EvaluatePlan) and plan.rows else 1
    if len(rows) != wanted or (rows < 0).any():
        raise BadMessage(f"{len(rows)} rows of counts, or negative ones; agreed are {wanted}")
    return [Counts.from_row(row) for row in rows]


def total(plan: TrainPlan | EvaluatePlan, answers: Mapping[str, Parcel]) -> Counts:
    """The sum over all workers, in order of their names."""
    return sum(
        (c for worker in sorted(answers) for c in read_counts(plan, answers[worker])), Counts()
    )


def _check(plan: TrainPlan | EvaluatePlan, worker: str, reply: Parcel) -> None:
    read_counts(plan, reply)


VALIDATE = Phase("validate", _request, _reply, _answer, _check)
EVALUATE = Phase("evaluate", _request, _reply, _answer, _check)
