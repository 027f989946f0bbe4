"""Train over a federation, whoever is in it: survey words, agree on a plan, run the rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nwp.errors import NoQuorum
from nwp.evaluation.counts import metrics
from nwp.evaluation.phases import VALIDATE, total
from nwp.federated.algorithms import algorithm
from nwp.federated.device import kind_of
from nwp.federated.parcel import Parcel
from nwp.federated.plan import SurveyPlan, TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Replies
from nwp.federated.rounds import start, train
from nwp.federated.state import Checkpoint, RunState, after
from nwp.federated.surveying import SURVEY, read_survey
from nwp.model.bundle import Bundle, load_bundle, named_bundle
from nwp.model.config import ModelConfig
from nwp.model.growing import grown_bundle
from nwp.model.lstm import FloatArray
from nwp.tasks.run_folder import RunFolder
from nwp.tasks.start import start_bundle, weights_of
from nwp.tasks.train_options import TrainOptions, usual_cohort
from nwp.tasks.trained import Trained
from nwp.tasks.watching import Started, Watcher
from nwp.text.building import Survey, build_vocabulary, grow_vocabulary, word_frequencies
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers.jobs import Federation

_DROPOUT = 0.2


def train_over(sim: Federation, run: RunFolder, options: TrainOptions, watcher: Watcher) -> Trained:
    """Survey, plan, approval, rounds: everything that the workers take part in."""
    beginning, surveys = _beginning(sim, options)
    plan = _plan(sim, options, beginning)
    checkpoint = Checkpoint(run.folder, plan_digest(plan), options.checkpoint_every)
    kept = checkpoint.load(watcher.warned) if run.resume else None
    state = _computed_on(
        kind_of(options.device), kept or start(plan, weights_of(beginning)), watcher
    )
    resumed_from = state.number
    job = sim.submit(plan, "train")
    if not job.approved:
        raise NoQuorum(
            f"no worker approved the plan: {next(iter(job.refused.values()))}",
            "Change the plan to what the owners' policies allow.",
        )
    run.begin()
    # The workers' folders are new: what an earlier phase had left there is gone.
    checkpoint.forget_phases()
    watcher.started(Started(sim, job, plan, surveys, options.k, state, plan.model.parameters))
    exchange = sim.exchange(job)

    def validate(weights: FloatArray, number: int) -> tuple[Mapping[str, Any], Replies]:
        request = Parcel(arrays=plan.downlink.encode("weights", weights))
        requests = dict.fromkeys(plan.workers, request)
        replies = exchange(VALIDATE, number, requests)
        found = metrics(total(plan, replies.answers))
        if number == 0:
            watcher.measured(found)
        return found, replies

    measured = bool(options.base)  # what begins with nothing predicts nothing
    for reached in train(plan, state, exchange, validate, checkpoint, measured=measured):
        state = reached
        watcher.round_done(state)
    sim.close(job)
    return Trained(plan, beginning, state, resumed_from, options.algorithm)


def _computed_on(device: str, state: RunState, watcher: Watcher) -> RunState:
    """The state of a run that goes on on this kind of device; told when it was another so far."""
    *_, last = (device, *state.devices)
    if last != device:
        watcher.warned(
            f"rounds up to {state.number} were computed on {last}, those to come on {device}: the model will "
            "differ in its last bits from one computed on either alone"
        )
    return (
        state if (device,) == state.devices[-1:] else after(state, devices=(*state.devices, device))
    )


def _beginning(sim: Federation, options: TrainOptions) -> tuple[Bundle, dict[str, Survey]]:
    """The model before the first round, and what workers said of their words if they were asked."""
    base = _base(options.base, options.dropout) if options.base else None
    if base and not options.new_words:
        return base, {}
    surveys = _surveys(sim, options)
    said = list(surveys.values())
    if base:
        return grown_bundle(
            base, *grow_vocabulary(base.vocabulary, said, options.new_words)
        ), surveys
    vocabulary = build_vocabulary(said, options.vocabulary, options.public_words)
    frequencies = word_frequencies(vocabulary, said)
    config = ModelConfig(
        vocabulary=FIRST_WORD + len(vocabulary.words),
        embedding=options.embedding,
        hidden=options.hidden,
        projection=options.embedding,
        layers=options.layers,
        tied=options.tied,
        dropout=_DROPOUT if options.dropout is None else options.dropout,
    )
    return start_bundle(config, vocabulary, frequencies, options.seed), surveys


def _base(name: str, dropout: float | None) -> Bundle:
    """The bundle to start from, with its own dropout or this."""
    base = load_bundle(named_bundle(name))
    if dropout is None:
        return base
    return replace(base, config=replace(base.config, dropout=dropout))


def _surveys(sim: Federation, options: TrainOptions) -> dict[str, Survey]:
    """What each worker says of its words."""
    job = sim.submit(SurveyPlan(options.k, options.run), "survey")
    replies = sim.exchange(job)(SURVEY, 1, {worker: Parcel() for worker in sim.deals})
    if not replies.answers:
        reasons = next(iter(replies.absent.values()), "no workers")
        raise NoQuorum(f"no worker took part in the survey of words: {reasons}")
    surveys = {worker: read_survey(replies.answers[worker]) for worker in sorted(replies.answers)}
    sim.close(job)
    return surveys


def _plan(sim: Federation, options: TrainOptions, bundle: Bundle) -> TrainPlan:
    users = sum(len(users) for users in sim.deals.values())
    shown = bundle.vocabulary.as_dict()["surfaces"]
    return TrainPlan(
        model=bundle.config,
        words=bundle.vocabulary.words,
        surfaces=shown,
        workers={worker: len(users) for worker, users in sim.deals.items()},
        local=options.local,
        server=options.server,
        aggregation=algorithm(options.algorithm).aggregation,
        weighting=options.weighting,
        schedule=options.schedule,
        server_schedule=options.server_schedule,
        compression=options.compression,
        rounds=options.rounds,
        cohort=options.cohort or usual_cohort(users),
        participation=options.participation,
        member_share=options.member_share,
        run=options.run,
        seed=options.seed,
        validate_every=options.validate_every,
        validate_users=options.validate_users,
        patience=options.patience,
    )
