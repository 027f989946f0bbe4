"""The phases that evaluate on the workers: weights go out, only counts come back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nwp.errors import BadMessage
from nwp.evaluation import noisy
from nwp.evaluation.counts import COLUMNS, Counts, Rows
from nwp.evaluation.scoring import count_group, count_rows
from nwp.evaluation.slices import BINS, ROWS, Slices
from nwp.evaluation.slices import COLUMNS as SLICE_COLUMNS
from nwp.evaluation.weighing import expert_received, expert_specs
from nwp.federated import noise
from nwp.federated.groups import in_groups
from nwp.federated.local import seed_for
from nwp.federated.parcel import ArraySpec, Parcel, Schema
from nwp.federated.plan import EvaluatePlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.protocol import Phase, WorkerSide
from nwp.model.lstm import FloatArray
from nwp.text.spelling import Speller, spell

_VALIDATED = 256  # users of a training run that are counted as one task, at most
_AT_ONCE = 64  # tasks of one worker that are in memory


def _request(plan: Plan) -> Schema:
    if isinstance(plan, SurveyPlan):
        raise BadMessage("a survey plan does not allow evaluation")
    arrays = plan.downlink.specs("weights")
    if isinstance(plan, EvaluatePlan) and plan.ngrams:
        arrays = arrays | expert_specs(plan.model.outputs)
    return Schema(arrays=arrays)


_COUNTS = ArraySpec("float64", (None, len(COLUMNS)))


def _reply(plan: Plan) -> Schema:
    """One row of counts, the sum of the users'; float64 (1, columns)."""
    return Schema(fields={"users": int}, arrays={"counts": _COUNTS})


def _full_reply(plan: Plan) -> Schema:
    """A row of counts a user, in order of their ids, or one for their sum; slices of all users; and how
    many of them have which perplexity, with noise, where the plan says so."""
    assert isinstance(plan, EvaluatePlan)
    arrays = {
        "counts": _COUNTS,
        "slices": ArraySpec("float64", (ROWS, len(SLICE_COLUMNS))),
        "bins": ArraySpec("float64", (BINS, 3)),
    }
    if plan.epsilon:
        arrays["histogram"] = ArraySpec("int64", (noisy.BINS,))
    return Schema(fields={"users": int}, arrays=arrays)


def _validate(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    plan = worker.plan
    assert isinstance(plan, TrainPlan)
    users = worker.encoded("valid")
    places = validated(plan, len(users))
    weights = plan.downlink.decode("weights", request.arrays)
    groups = in_groups((users[i] for i in places), _VALIDATED, lambda user: len(user.targets))
    counts = np.zeros((1, len(COLUMNS)))
    for rows in run_some(worker, count_rows, weights, ((plan.model, group) for group in groups)):
        for row in rows:
            counts[0] += row
    return Parcel({"users": len(places)}, {"counts": counts})


def _evaluate(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    plan = worker.plan
    assert isinstance(plan, EvaluatePlan)
    users, texts = worker.encoded(plan.part), worker.messages(plan.part)
    speller = Speller.of(plan.vocabulary())
    pairs = (
        (user, spell(texts[name], user, speller))
        for name, user in zip(worker.names, users, strict=True)
    )
    groups = in_groups(pairs, plan.group, lambda pair: len(pair[0].targets))
    expert = expert_received(request, plan.model.outputs) if plan.ngrams else None
    tasks = ((plan.model, plan.words, *zip(*group, strict=True), expert) for group in groups)
    weights = plan.downlink.decode("weights", request.arrays)
    every, slices = [np.zeros((0, len(COLUMNS)))], Slices.none()
    for rows, some in run_some(worker, count_group, weights, tasks):
        every.append(rows)
        slices += some
    counts = np.concatenate(every)
    arrays: dict[str, Any] = {"slices": slices.table, "bins": slices.bins}
    if plan.epsilon:
        arrays["histogram"] = noise.noisy(noisy.histogram(counts), plan.epsilon)
    arrays["counts"] = counts if plan.rows else _sum(counts)[None]
    return Parcel({"users": len(users)}, arrays)


def run_some(
    worker: WorkerSide,
    function: Callable[..., Any],
    weights: FloatArray,
    tasks: Iterator[tuple[Any, ...]],
) -> Iterator[Any]:
    """`function` of all tasks in order, some at a time, so that never all of them are in memory."""
    while some := list(itertools.islice(tasks, _AT_ONCE)):
        yield from worker.run(function, weights, some)


def _sum(rows: Rows) -> Rows:
    """The sum of rows, one after another: the same bits however they are cut into tasks."""
    total = np.zeros(rows.shape[1])
    for row in rows:
        total += row
    return total


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


def read_slices(answers: Mapping[str, Parcel]) -> Slices:
    """The sum of all workers' slices, in order of their names."""
    found = [answers[worker].arrays for worker in sorted(answers)]
    return sum((Slices(arrays["slices"], arrays["bins"]) for arrays in found), Slices.none())


def read_histogram(plan: EvaluatePlan, answers: Mapping[str, Parcel]) -> dict[str, Any]:
    """Deciles of perplexity over all workers' users, from what they sent with noise."""
    counts = np.sum([reply.arrays["histogram"] for reply in answers.values()], axis=0)
    return noisy.quantiles(counts, plan.epsilon, len(answers))


def _check(plan: TrainPlan | EvaluatePlan, worker: str, reply: Parcel) -> None:
    read_counts(plan, reply)
    if any((reply.arrays[n] < 0).any() for n in ("slices", "bins") if n in reply.arrays):
        raise BadMessage("negative counts")


VALIDATE = Phase("validate", _request, _reply, _validate, _check)
EVALUATE = Phase("evaluate", _request, _full_reply, _evaluate, _check)
