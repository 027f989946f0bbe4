"""Which phases each kind of plan allows on a worker: the whole of what a server can ask for."""

from __future__ import annotations

from nwp.evaluation.phases import EVALUATE, VALIDATE
from nwp.evaluation.querying import QUERY_MODEL
from nwp.evaluation.weighing import WEIGH
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.ngrams import NGRAMS
from nwp.federated.plan import EvaluatePlan, NgramsPlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.protocol import Phase
from nwp.federated.query_plan import QueryPlan
from nwp.federated.querying import QUERY
from nwp.federated.sizes import COUNT
from nwp.federated.surveying import SURVEY


def phases_of(plan: Plan) -> dict[str, Phase]:
    """Phase name to phase, for those that a plan allows."""
    found: tuple[Phase, ...] = ()
    if isinstance(plan, SurveyPlan):
        found = (SURVEY,)
    elif isinstance(plan, EvaluatePlan):
        found = (EVALUATE,)
    elif isinstance(plan, NgramsPlan):
        found = (NGRAMS, WEIGH)
    elif isinstance(plan, QueryPlan):
        found = (QUERY if plan.model is None else QUERY_MODEL,)
    elif isinstance(plan, TrainPlan) and plan.aggregation in AGGREGATIONS:
        steps = AGGREGATIONS[plan.aggregation].steps
        found = (*(step.phase for step in steps), VALIDATE)
        if plan.participation.by_size:
            found = (*found, COUNT)
    return {phase.name: phase for phase in found}
