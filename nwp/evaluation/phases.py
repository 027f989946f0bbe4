"""The phases that evaluate on the workers: weights go out, only counts come back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from nwp.errors import BadMessage
from nwp.evaluation.counts import COLUMNS, Counts, Rows
from nwp.evaluation.scoring import count_rows, in_groups
from nwp.federated.local import seed_for
from nwp.federated.parcel import ArraySpec, Parcel, Schema
from nwp.federated.plan import EvaluatePlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.protocol import Phase, WorkerSide
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import Encoded

_VALIDATED = 256  # users of a training run that are counted as one task, at most
_AT_ONCE = 64  # tasks of one worker that are in memory


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
    if isinstance(plan, TrainPlan):
        users, most, rows = worker.encoded("valid"), _VALIDATED, False
        places = validated(plan, len(users))
    else:
        users, most, rows = worker.encoded(plan.part), plan.group, plan.rows
        places = range(len(users))
    counted = _counted(
        worker, plan.downlink.decode("weights", request.arrays), (users[i] for i in places), most
    )
    if rows:
        counts = np.concatenate(list(counted))
    else:
        counts = np.zeros((1, len(COLUMNS)))
        for some in counted:
            for row in some:
                counts[0] += row
    return Parcel({"users": len(places)}, {"counts": counts})


def _counted(
    worker: WorkerSide, weights: FloatArray, users: Iterable[Encoded], most: int
) -> Iterator[Rows]:
    """Counts of all users in order, some at a time, so that never all of them are in memory."""
    assert not isinstance(worker.plan, SurveyPlan)
    model, groups = worker.plan.model, in_groups(users, most)
    while some := list(itertools.islice(groups, _AT_ONCE)):
        yield from worker.run(count_rows, weights, [(model, group) for group in some])


def validated(plan: TrainPlan, users: int) -> Sequence[int]:
    """Which of a worker's `users` a validation counts, by place: those of a sample that the plan fixes.

    Every worker draws its share of `validate_users`, rounded up, uniformly without replacement, and
    the same in each round: the best round is chosen on the same users.
    """
    everybody = sum(plan.workers.values())
    if plan.validate_users == 0 or plan.validate_users >= everybody:
        return range(users)
    share = min(users, math.ceil(plan.validate_users * users / everybody))
    rng = np.random.default_rng(seed_for(plan.seed, "validate", users))
    drawn: list[int] = sorted(rng.choice(users, share, replace=False).tolist())
    return drawn


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
