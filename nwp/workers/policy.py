"""An owner's rules: which plans are approved. What they do not allow is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.plan import EvaluatePlan, NgramsPlan, Plan, SurveyPlan, TrainPlan


@dataclass(frozen=True)
class Policy:
    """Limits within which an owner lets plans run.

    `kinds` of plans allowed; `min_k` users at least must share a word or an n-gram that leaves; `rows`: may
    counts of each user leave, rather than their sum alone; `max_epsilon` a noisy histogram of users
    may cost each of them, in one evaluation.
    """

    kinds: tuple[str, ...] = (
        *(SurveyPlan.kind, TrainPlan.kind),
        *(EvaluatePlan.kind, NgramsPlan.kind),
    )
    min_k: int = 1
    max_rounds: int = 10_000
    max_epochs: int = 100
    max_parameters: int = 100_000_000
    max_layers: int = 8
    rows: bool = False
    max_epsilon: float = 1.0


NOTHING = Policy(kinds=())


def fault(policy: Policy, plan: Plan) -> str | None:
    """Why the policy refuses a plan, in words, or None when it allows it."""
    return next(_faults(policy, plan), None)


def _faults(policy: Policy, plan: Plan) -> Iterator[str]:
    if plan.kind not in policy.kinds:
        yield f"the owner allows no {plan.kind} plan"
    if isinstance(plan, SurveyPlan | NgramsPlan) and plan.k < policy.min_k:
        yield f"k = {plan.k}, the owner wants {policy.min_k} or more"
    if isinstance(plan, SurveyPlan):
        return
    if plan.model.layers > policy.max_layers:
        yield f"{plan.model.layers} layers, the owner allows {policy.max_layers}"
    if plan.model.parameters > policy.max_parameters:
        yield f"a model of more than {policy.max_parameters:,} weights"
    if isinstance(plan, NgramsPlan):
        return
    if isinstance(plan, EvaluatePlan):
        if plan.rows and not policy.rows:
            yield "counts of each user are not given out"
        if plan.epsilon > policy.max_epsilon:
            yield f"epsilon = {plan.epsilon}, the owner allows {policy.max_epsilon}"
        return
    if plan.aggregation not in AGGREGATIONS:
        yield f"an aggregation that is not known here: {plan.aggregation}"
    if plan.rounds > policy.max_rounds:
        yield f"{plan.rounds} rounds, the owner allows {policy.max_rounds}"
    if plan.local.epochs > policy.max_epochs:
        yield f"{plan.local.epochs} local epochs, the owner allows {policy.max_epochs}"
