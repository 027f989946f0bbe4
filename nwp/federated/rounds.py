"""The round loop: draw a cohort, send the model out, collect, take the server's step, validate, keep.

Nothing here knows where the workers are: an `Exchange` carries the messages. A round may come to no
update: nobody was drawn or could be reached, or it was abandoned because too few users answered in
time. Then weights and optimizer stay as they were, and the run goes on.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nwp.errors import NoQuorum
from nwp.federated import optimizers
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.cohort import draw_cohort, wait_for
from nwp.federated.parcel import Parcel
from nwp.federated.plan import TrainPlan
from nwp.federated.protocol import Aggregate, Aggregation, Exchange, Replies, Traffic
from nwp.federated.sizes import find_sizes
from nwp.federated.state import Checkpoint, RoundReport, RunState, after
from nwp.model.lstm import FloatArray

# Given weights and a round's number: the metrics over all users, and what moved to find them.
Validate = Callable[[FloatArray, int], tuple[Mapping[str, Any], Replies]]

MOST_ABANDONED = 10  # rounds in a row, after which a run stops
NO_UPDATE = Aggregate(np.zeros(0, np.float32), words=0, users=0, loss=0.0)


def start(plan: TrainPlan, weights: FloatArray) -> RunState:
    """The state before the first round."""
    carried = {name: np.zeros_like(weights) for name in AGGREGATIONS[plan.aggregation].carried}
    optimizer = optimizers.init(plan.server, len(weights))
    return RunState(0, weights, optimizer, weights, carried=carried)


def train(
    plan: TrainPlan,
    state: RunState,
    exchange: Exchange,
    validate: Validate,
    checkpoint: Checkpoint,
    *,
    measured: bool = False,
) -> Iterator[RunState]:
    """Run the rounds that are left; what `checkpoint` keeps of them is durable before it is given out.

    With `measured`, the model before the first round is validated as well, as that of round 0: where no
    round is better, it is what is kept.

    Stops after `plan.rounds`, or early when `plan.patience` validations in a row brought no new
    best. NoQuorum when too few workers answer, or after `MOST_ABANDONED` abandoned rounds in a row;
    the last durable round stays.
    """
    passing: RunState | None = None
    try:
        for reached in _rounds(plan, state, exchange, validate, checkpoint, measured=measured):
            passing = reached
            if checkpoint.is_due(reached):
                passing = None
                checkpoint.save(reached)
            yield reached
            _still_worth_it(reached)
    finally:
        # What ends early (Ctrl-C, too few workers) ends after its last finished round, too.
        if passing:
            checkpoint.save(passing)


def _rounds(
    plan: TrainPlan,
    state: RunState,
    exchange: Exchange,
    validate: Validate,
    checkpoint: Checkpoint,
    *,
    measured: bool,
) -> Iterator[RunState]:
    """The state after each round that is left."""
    aggregation = AGGREGATIONS[plan.aggregation]
    counted = at_first = Replies({})
    if measured and state.number == 0:
        seen = plan.downlink.through(state.weights)
        found, at_first = validate(seen, 0)
        state = after(state, best_weights=seen, best_valid=dict(found), before=dict(found))
    if plan.participation.by_size and state.number < plan.rounds:
        sizes, counted = find_sizes(plan, exchange, checkpoint.folder)
        plan = replace(plan, sizes=sizes)
    while state.number < plan.rounds and not _patience_over(plan, state):
        began = time.perf_counter()
        number = state.number + 1
        aggregate, traffic = run_round(
            plan, aggregation, number, state.weights, exchange, checkpoint, state.carried
        )
        traffic = traffic.plus(counted).plus(at_first)
        counted = at_first = Replies({})
        weights, optimizer = state.weights, state.optimizer
        if aggregate is not NO_UPDATE:
            rule = plan.serving(number)
            weights, optimizer = optimizers.step(rule, optimizer, weights, aggregate.update)
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
            reached = optimizers.reached(plan.server, optimizer, weights)
            seen = plan.downlink.through(reached)
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
            late=traffic.late,
            waited=round(traffic.waited, 3),
            abandoned=traffic.abandoned,
        )
        state = after(state, history=(*state.history, report))
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
    is what the aggregation of the last round left for this one.

    Gives `NO_UPDATE` itself when nobody was drawn or the round was abandoned. NoQuorum when too few
    of the workers asked are there; late ones are.
    """
    began = time.perf_counter()
    cohort = draw_cohort(plan, number)
    wait, least = wait_for(plan, cohort), plan.participation.minimum
    drawn = wait.asked_of(cohort)
    if drawn < least:
        # Nobody is sent the model for a round that can't count.
        return NO_UPDATE, Traffic(abandoned=f"{drawn} users drawn, at least {least} must be")
    if not drawn and plan.users:
        return NO_UPDATE, Traffic()
    begun = aggregation.begin(plan, number, weights)
    begun = Parcel(begun.fields, {**begun.arrays, **(carried or {})})
    done, state, traffic = checkpoint.load_phase(number) or (0, begun, Traffic())
    before = traffic.seconds
    for index, step in enumerate(aggregation.steps[done:], done + 1):
        requests = step.ask(plan, number, state)
        replies = exchange(step.phase, number, requests, wait)
        if len(replies.answers) + len(replies.late) < max(1, plan.quorum * len(requests)):
            reasons = ", ".join(f"{w}: {why}" for w, why in sorted(replies.absent.items()))
            raise NoQuorum(
                f"round {number}, phase {step.phase.name}: {len(replies.answers)} of "
                f"{len(requests)} workers answered ({reasons or 'nobody was asked'})",
                f"At least {plan.quorum:.0%} must; the last finished round is kept.",
            )
        traffic = traffic.plus(replies, wait)
        answered = wait.asked_of(replies.answers)
        if not replies.answers or answered < least:
            why = f"{answered} of {drawn} users answered in time, at least {max(least, 1)} must"
            return NO_UPDATE, replace(traffic, abandoned=why)
        state = step.collect(plan, state, replies.answers)
        if index < len(aggregation.steps):
            spent = replace(traffic, seconds=before + time.perf_counter() - began)
            checkpoint.save_phase(number, index, state, spent)
    return aggregation.finish(plan, state), traffic


def _still_worth_it(state: RunState) -> None:
    """NoQuorum after too many abandoned rounds in a row. A resumed run may try as many again."""
    row = list(itertools.takewhile(lambda report: report.abandoned, reversed(state.history)))
    if row and len(row) % MOST_ABANDONED == 0:
        raise NoQuorum(
            f"{len(row)} rounds in a row were abandoned; round {state.number}: {row[0].abandoned}",
            "Ask more users, wait longer or be content with fewer, in a new run; or let this one "
            "go on later, when more users can be reached.",
        )


def _better(metrics: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Is the perplexity lower than the best so far? Where nothing can be validated (no user has a
    valid part, or it has no known word), the latest weights are kept; one that was measured stays."""
    found, lowest = metrics.get("perplexity"), best.get("perplexity")
    return lowest is None or (found is not None and found < lowest)


def _patience_over(plan: TrainPlan, state: RunState) -> bool:
    return 0 < plan.patience <= state.validations_since_best
