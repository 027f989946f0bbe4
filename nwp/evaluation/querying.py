"""The query for a model's perplexity: weights go out, two counts over many users come back.

It counts as validation does (`nwp.evaluation.phases`); users' rows are bounded and added up as in
`nwp.federated.querying`. Sums of -ln p are rounded to thousandths of a nat for each user.
"""

from __future__ import annotations

import math

from nwp.errors import BadMessage
from nwp.evaluation.counts import COLUMNS, FloatArray
from nwp.evaluation.phases import run_some
from nwp.evaluation.scoring import count_rows
from nwp.evaluation.weighing import expert_received, expert_specs
from nwp.federated.groups import in_groups
from nwp.federated.parcel import Parcel, Schema
from nwp.federated.plan import Plan
from nwp.federated.protocol import Phase, WorkerSide
from nwp.federated.query_plan import QueryPlan
from nwp.federated.querying import (
    FINE,
    MOST_NATS,
    check_answer,
    query_reply,
    summed_up,
    too_few_users,
)
from nwp.text.vocabulary import FIRST_WORD

_GROUP = 64  # users that are counted as one task, at most
_MOST = 1e12  # nats of a user: far beyond what a model can be that is of use
_KNOWN, _NLL = COLUMNS.index("known"), COLUMNS.index("nll")


def _request(plan: Plan) -> Schema:
    if not isinstance(plan, QueryPlan) or plan.model is None:
        raise BadMessage(f"a {plan.kind} plan does not allow to ask for a perplexity")
    arrays = plan.downlink.specs("weights")
    if plan.ngrams:
        arrays = arrays | expert_specs(plan.model.outputs)
    return Schema(arrays=arrays)


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    """On the worker. Who has no word that the model knows is left out, and too few others refuse."""
    plan = worker.plan
    assert isinstance(plan, QueryPlan)
    assert plan.model is not None
    users = worker.encoded(plan.part)
    known = [i for i, user in enumerate(users) if (user.targets >= FIRST_WORD).any()]
    if len(known) < plan.min_users:
        raise too_few_users()
    expert = expert_received(request, plan.model.outputs) if plan.ngrams else None
    # Users in one batch may change each other's last bits, which noise for one user would not hide.
    most = 1 if plan.epsilon else _GROUP
    groups = in_groups((users[i] for i in known), most, lambda user: len(user.targets))
    tasks = ((plan.model, group, expert) for group in groups)
    weights = plan.downlink.decode("weights", request.arrays)
    rows = (row for some in run_some(worker, count_rows, weights, tasks) for row in some)
    return summed_up(plan, (_bounded(plan, row) for row in rows))


def _bounded(plan: QueryPlan, row: FloatArray) -> tuple[int, int]:
    """A user's known words and their -ln p; with noise, of no more words than the plan's bound, at the
    mean of all of them, which is bounded, too. BadMessage for what is no number, without noise."""
    words, nats = int(row[_KNOWN]), float(row[_NLL])
    if plan.epsilon:
        mean = MOST_NATS if math.isnan(nats) else min(nats / words, MOST_NATS)
        words = min(words, plan.per_user)
        nats = words * mean
    elif not nats < _MOST:  # NaN, too
        raise BadMessage("a model whose figures are no numbers")
    return words, round(max(nats, 0.0) * FINE)  # rounding may have made a probability more than 1


QUERY_MODEL = Phase("query", _request, query_reply, _answer, check_answer)
