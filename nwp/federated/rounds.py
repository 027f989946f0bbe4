"""The round loop: draw a cohort, send the model out, collect, take the server's step, validate, keep.

Nothing here knows where the workers are: an `Exchange` carries the messages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nwp.errors import NoQuorum
from nwp.federated import optimizers
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.parcel import Parcel
from nwp.federated.plan import TrainPlan
from nwp.federated.protocol import Aggregate, Aggregation, Exchange, Replies, Traffic
from nwp.federated.state import Checkpoint, RoundReport, RunState, after
from nwp.model.lstm import FloatArray

# Given weights and a round's number: the metrics over all users, and what moved to find them.
Validate = Callable[[FloatArray, int], tuple[Mapping[str, Any], Replies]]


def start(plan: TrainPlan, weights: FloatArray) -> RunState:
    """The state before the first round."""
    carried = {name: np.zeros_like(weights) for name in AGGREGATIONS[plan.aggregation].carried}
    optimizer = optimizers.init(plan.server, len(weights))
    return RunState(0, weights, optimizer, weights, carried=carried)


def train(
    plan: TrainPlan, state: RunState, exchange: Exchange, validate: Validate, checkpoint: Checkpoint
) -> Iterator[RunState]:
    """Run the rounds that are left; each state is durable before it is given out.

    Stops after `plan.rounds`, or early when `plan.patience` validations in a row brought no new
    best. NoQuorum when too few workers answer; the last durable round stays.
    """
    aggregation = AGGREGATIONS[plan.aggregation]
    while state.number < plan.rounds and not _patience_over(plan, state):
        began = time.perf_counter()
        number = state.number + 1
        aggregate, traffic = run_round(
            plan, aggregation, number, state.weights, exchange, checkpoint, state.carried
        )
        weights, optimizer = optimizers.step(
            plan.server, state.optimizer, state.weights, aggregate.update
        )
        state = after(
            state,
            number=number,
            weights=weights,
            optimizer=optimizer,
            carried={**state.carried, **aggregate.carried},
        )
        metrics: Mapping[str, Any] | None = None
        if number % plan.validate_every == 0 or number == plan.rounds:
            # What the workers see is measured, and what was measured is kept.
            seen = plan.downlink.through(weights)
            metrics, replies = validate(seen, number)
            traffic = traffic.plus(replies)
            if _better(metrics, state.best_valid):
                state = after(
                    state, best_weights=seen, best_number=number, best_valid=dict(metrics)
                )
        report = RoundReport(
            number=number,
            loss=aggregate.loss,
            words=aggregate.words,
            users=aggregate.users,
            bytes_down=traffic.bytes_down,
            bytes_up=traffic.bytes_up,
            seconds=round(traffic.seconds + time.perf_counter() - began, 3),
            valid=metrics,
            absent=dict(traffic.absent),
            kept=state.best_number == number,
        )
        state = after(state, history=(*state.history, report))
        checkpoint.save(state)
        yield state


def run_round(
    plan: TrainPlan,
    aggregation: Aggregation,
    number: int,
    weights: FloatArray,
    exchange: Exchange,
    checkpoint: Checkpoint,
    carried: Mapping[str, FloatArray] | None = None,
) -> tuple[Aggregate, Traffic]:
    """All phases of one round's aggregation, going on after those that are already done. `carried`
    is what the aggregation of the last round left for this one."""
    began = time.perf_counter()
    begun = aggregation.begin(plan, number, weights)
    begun = Parcel(begun.fields, {**begun.arrays, **(carried or {})})
    done, state, traffic = checkpoint.load_phase(number) or (0, begun, Traffic())
    before = traffic.seconds
    for index, step in enumerate(aggregation.steps[done:], done + 1):
        requests = step.ask(plan, number, state)
        replies = exchange(step.phase, number, requests)
        if len(replies.answers) < max(1, plan.quorum * len(requests)):
            reasons = ", ".join(f"{w}: {why}" for w, why in sorted(replies.absent.items()))
            raise NoQuorum(
                f"round {number}, phase {step.phase.name}: {len(replies.answers)} of "
                f"{len(requests)} workers answered ({reasons or 'nobody was asked'})",
                f"At least {plan.quorum:.0%} must; the last finished round is kept.",
            )
        state = step.collect(plan, state, replies.answers)
        traffic = traffic.plus(replies)
        if index < len(aggregation.steps):
            spent = replace(traffic, seconds=before + time.perf_counter() - began)
            checkpoint.save_phase(number, index, state, spent)
    return aggregation.finish(plan, state), traffic


def _better(metrics: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Is the perplexity lower than the best so far? Where nothing can be validated (no user has a
    valid part, or it has no known word), the latest weights are kept; one that was measured stays."""
    found, lowest = metrics.get("perplexity"), best.get("perplexity")
    return lowest is None or (found is not None and found < lowest)


def _patience_over(plan: TrainPlan, state: RunState) -> bool:
    return 0 < plan.patience <= state.validations_since_best
