"""Users are dealt out, owners may refuse, and how many workers there are changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.corpus.types import Corpus
from nwp.errors import BadSettings, NoQuorum, Refused
from nwp.evaluation.phases import EVALUATE, VALIDATE, read_counts, total
from nwp.federated.averaging import MEAN
from nwp.federated.parcel import Parcel
from nwp.federated.plan import EvaluatePlan, SurveyPlan, TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Replies
from nwp.federated.rounds import run_round, start, train
from nwp.federated.state import Checkpoint, RunState
from nwp.federated.surveying import SURVEY, read_survey
from nwp.model.lstm import FloatArray
from nwp.text.building import public_order
from nwp.text.tokenizer import words_of
from nwp.workers.adapter import datasets, plan_jobs
from nwp.workers.engines import InProcess
from nwp.workers.policy import Policy
from nwp.workers.simulation import SERVER, Simulation, deal, usual_workers

TRAIN = MEAN.steps[0].phase
Simulate = Callable[..., Simulation]


# ------------------------------------------------------------------------------------------- deals


@given(st.sets(st.text(min_size=1), min_size=1, max_size=60), st.data())
def test_users_are_dealt_out_evenly_to_named_workers(users: set[str], data: st.DataObject) -> None:
    workers = data.draw(st.integers(1, len(users)))
    order = data.draw(st.permutations(sorted(users)))
    dealt = deal(order, workers)
    assert len(dealt) == workers
    assert sorted(u for some in dealt.values() for u in some) == sorted(users)
    sizes = {len(some) for some in dealt.values()}
    assert max(sizes) - min(sizes) <= 1
    assert all(list(some) == sorted(some) for some in dealt.values())
    assert list(dealt) == sorted(dealt)  # worker-02 before worker-10
    assert dealt == deal(sorted(users), workers)


def test_users_are_dealt_in_turn() -> None:
    assert deal(["d", "a", "c", "b", "e"], 2) == {
        "worker-1": ("a", "c", "e"),
        "worker-2": ("b", "d"),
    }
    assert list(deal([str(i) for i in range(12)], 12))[:2] == ["worker-01", "worker-02"]


@pytest.mark.parametrize("workers", [0, -1, 4])
def test_there_is_no_worker_without_a_user(workers: int) -> None:
    with pytest.raises(BadSettings, match="for 3 users") as error:
        deal(["a", "b", "c"], workers)
    assert "between 1 and 3" in error.value.hint


def test_usually_about_four_users_share_a_worker() -> None:
    assert [usual_workers(n) for n in (1, 3, 4, 8, 31, 32, 1000)] == [1, 1, 1, 2, 7, 8, 8]


# ---------------------------------------------------------------------------------------- refusing


def test_a_refusing_worker_takes_no_part_and_says_so(
    simulate: Simulate, plan: TrainPlan, ask: Any
) -> None:
    told: list[tuple[str, str]] = []
    simulation = simulate(
        workers=3,
        refusing=frozenset({"worker-2"}),
        tap=lambda sender, receiver, name, payload: told.append((sender, receiver)),
    )
    plan = replace(plan, workers=dict.fromkeys(simulation.deals, 2))
    job = simulation.submit(plan, "train")
    assert job.approved == ("worker-1", "worker-3")
    assert job.refused == {"worker-2": "the owner allows no train plan"}
    replies = ask(simulation, job)
    assert set(replies.answers) == {"worker-1", "worker-3"}
    assert replies.absent == job.refused
    assert not any("worker-2@nwp.example" in way for way in told)
    assert simulation.datasites["worker-2"].ledger.entries == []
    simulation.close(job)
    statuses = {j.datasite_owner_email: j.status for j in plan_jobs.jobs(simulation.server)}
    assert statuses == {
        "worker-1@nwp.example": "done",
        "worker-2@nwp.example": "rejected",
        "worker-3@nwp.example": "done",
    }


def test_a_refusing_worker_refuses_surveys_and_evaluations_too(
    simulate: Simulate, evaluation: EvaluatePlan
) -> None:
    simulation = simulate(refusing=frozenset({"worker-1"}))
    for plan in (SurveyPlan(1), evaluation):
        assert simulation.submit(plan, plan.kind).approved == ("worker-2",)


def test_a_worker_that_is_none_cannot_refuse(simulate: Simulate) -> None:
    with pytest.raises(BadSettings, match="no worker 'worker-9'") as error:
        simulate(refusing=frozenset({"worker-9"}))
    assert error.value.hint == "Workers: worker-1, worker-2."


# ------------------------------------------------------------------------------------ what is alike


def one_round(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, folder: Path
) -> RunState:
    """The state after a round and its validation."""
    job = simulation.submit(plan, "train")
    exchange = simulation.exchange(job)

    def validate(found: FloatArray, number: int) -> tuple[dict[str, Any], Replies]:
        requests = {w: Parcel(arrays={"weights": found}) for w in plan.workers}
        replies = exchange(VALIDATE, number, requests)
        counts = total(plan, replies.answers)
        return {"perplexity": float(np.exp(counts.nll / counts.known))}, replies

    state = start(plan, weights)
    checkpoint = Checkpoint(folder, plan_digest(plan))
    *_, state = train(replace(plan, rounds=1), state, exchange, validate, checkpoint)
    return state


def test_the_number_of_workers_changes_nothing_when_all_take_part(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray, tmp_path: Path
) -> None:
    found = {}
    for workers in (1, 2, 5):
        simulation = simulate(workers=workers)
        own = replace(plan, workers={w: len(u) for w, u in simulation.deals.items()})
        found[workers] = one_round(simulation, own, weights, tmp_path / str(workers))
    first = found.pop(1)
    assert np.abs(first.weights - weights).max() > 1e-3
    assert first.history[0].users == 6
    for state in found.values():
        np.testing.assert_allclose(state.weights, first.weights, rtol=0, atol=1e-6)
        assert state.history[0].words == first.history[0].words
        assert state.history[0].loss == pytest.approx(first.history[0].loss, abs=1e-6)
        valid = state.best_valid["perplexity"]
        assert valid == pytest.approx(first.best_valid["perplexity"], rel=1e-5)


def test_the_same_run_again_gives_the_same_bytes(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray, ask: Any
) -> None:
    first, second = (
        ask(simulation, simulation.submit(plan, "train")) for simulation in (simulate(), simulate())
    )
    assert first.answers.keys() == second.answers.keys()
    for worker, answer in first.answers.items():
        again = second.answers[worker]
        assert answer.fields == again.fields
        assert answer.arrays["update"].tobytes() == again.arrays["update"].tobytes()


def test_counts_add_up_to_the_same_with_rows_or_without(
    simulate: Simulate, evaluation: EvaluatePlan, ask: Any
) -> None:
    simulation = simulate(policy=Policy(rows=True))
    by_row = replace(evaluation, rows=True)
    rows = ask(simulation, simulation.submit(by_row, "rows"), phase=EVALUATE)
    sums = ask(simulation, simulation.submit(evaluation, "sums"), phase=EVALUATE)
    assert [len(read_counts(by_row, rows.answers[w])) for w in simulation.deals] == [3, 3]
    assert [len(read_counts(evaluation, sums.answers[w])) for w in simulation.deals] == [1, 1]
    one, other = total(by_row, rows.answers), total(evaluation, sums.answers)
    assert one.tokens == other.tokens > 0
    np.testing.assert_allclose(one.as_row(), other.as_row(), rtol=1e-12)


def test_the_survey_counts_what_the_users_wrote(
    simulate: Simulate, corpus: Corpus, ask: Any
) -> None:
    simulation = simulate()
    job = simulation.submit(SurveyPlan(3), "survey")
    replies = ask(simulation, job, SURVEY)
    for worker, users in simulation.deals.items():
        said = read_survey(replies.answers[worker])
        texts = [text for user in users for text in corpus.users[user][:8]]
        written = [word for text in texts for word in words_of(text)]
        assert (said.messages, said.words) == (len(texts), len(written))
        writers = {
            word: sum(any(word in words_of(t) for t in corpus.users[u][:8]) for u in users)
            for word in written
        }
        expected = {w: written.count(w) for w, n in writers.items() if n == 3}
        assert said.counts == expected


# ------------------------------------------------------------------------------------------ quorum


def rounds(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, folder: Path
) -> tuple[Any, Any]:
    """One round under a job of its own."""
    job = simulation.submit(plan, f"train-{plan_digest(plan)[:8]}")
    checkpoint = Checkpoint(folder, job.digest)
    return run_round(plan, MEAN, 1, weights, simulation.exchange(job), checkpoint)


def test_a_round_needs_its_quorum(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray, tmp_path: Path
) -> None:
    """Of four workers one refuses and one has lost its data."""
    simulation = simulate(workers=4, refusing=frozenset({"worker-1"}))
    for path in datasets.private_files(simulation.datasites["worker-3"].client):
        path.unlink()
    sizes = {w: len(u) for w, u in simulation.deals.items()}
    plan = replace(plan, workers=sizes)
    for enough in (1 / 3, 0.5):
        aggregate, traffic = rounds(simulation, replace(plan, quorum=enough), weights, tmp_path)
        assert aggregate.users == sizes["worker-2"] + sizes["worker-4"]
        assert set(traffic.absent) == {"worker-1", "worker-3"}
    with pytest.raises(NoQuorum, match="2 of 4 workers answered") as error:
        rounds(simulation, replace(plan, quorum=0.67), weights, tmp_path)
    assert "worker-1: the owner allows no train plan" in error.value.message
    assert "worker-3: its private data is gone" in error.value.message
    assert "67% must" in error.value.hint
    assert isinstance(error.value, Refused)


def test_no_quorum_without_anybody(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray, tmp_path: Path
) -> None:
    simulation = simulate(refusing=frozenset({"worker-1", "worker-2"}))
    with pytest.raises(NoQuorum, match="0 of 2 workers answered"):
        rounds(simulation, replace(plan, quorum=0.01), weights, tmp_path)


def test_the_last_finished_round_stays_when_the_quorum_is_lost(
    simulate: Simulate, plan: TrainPlan, weights: FloatArray, tmp_path: Path
) -> None:
    simulation = simulate()
    plan = replace(plan, quorum=1.0)
    job = simulation.submit(plan, "train")
    checkpoint = Checkpoint(tmp_path, job.digest)

    def validate(found: FloatArray, number: int) -> tuple[dict[str, Any], Replies]:
        return {"perplexity": 1.0 / number}, Replies({})

    running = train(plan, start(plan, weights), simulation.exchange(job), validate, checkpoint)
    first = next(running)
    simulation.datasites["worker-2"].revoke(job.digest)
    with pytest.raises(NoQuorum):
        next(running)
    kept = checkpoint.load()
    assert kept is not None
    assert kept.number == 1
    assert kept.weights.tobytes() == first.weights.tobytes()


# ------------------------------------------------------------------------------------------- around


def test_boxes_are_deleted_at_the_end(corpus: Corpus) -> None:
    with Simulation(corpus, deal(list(corpus.users), 2), InProcess()) as simulation:
        folder = simulation.server.syftbox_folder.parent.parent
        assert folder.is_dir()
    assert not folder.exists()


def test_boxes_are_deleted_after_a_failure_too(corpus: Corpus) -> None:
    folder = None
    with (
        pytest.raises(ZeroDivisionError),
        Simulation(corpus, deal(list(corpus.users), 2), InProcess()) as simulation,
    ):
        folder = simulation.server.syftbox_folder.parent.parent
        raise ZeroDivisionError
    assert folder is not None
    assert not folder.exists()


def test_mocks_are_of_the_same_form_and_of_public_words_alone(simulation: Simulation) -> None:
    common = set(public_order()[:500])
    for worker in simulation.deals:
        (path,) = datasets.mock_files(simulation.server, f"{worker}@nwp.example")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert {row["user"] for row in rows} == {"mock-1", "mock-2", "mock-3"}
        assert {word for row in rows for word in words_of(row["text"])} <= common
        assert simulation.mock_line(worker) == rows[0]["text"]
    assert simulation.mock_line("worker-1") != simulation.mock_line("worker-2")


def test_the_tap_sees_both_ways_before_encryption(
    simulate: Simulate, plan: TrainPlan, ask: Any
) -> None:
    seen: list[tuple[str, str, str, bytes]] = []
    simulation = simulate(tap=lambda *message: seen.append(message))
    job = simulation.submit(plan, "train")
    ask(simulation, job)
    owners = [f"{worker}@nwp.example" for worker in simulation.deals]
    assert [(sender, receiver) for sender, receiver, _, _ in seen] == [
        *((SERVER, owner) for owner in owners),
        *((owner, SERVER) for owner in owners),
    ]
    assert {name for _, _, name, _ in seen} == {f"{job.digest[:16]}.1.train"}
    assert all(b"__metadata__" in payload[:40] for _, _, _, payload in seen)


def test_users_keep_their_text_whatever_is_in_it(simulate: Simulate, ask: Any) -> None:
    """Line separators, quotes, surrogates' replacements and emoji survive the way to the worker."""
    odd = ("a\u2028b", 'say "hi"', "tab\tand\\slash", "🦔🏽 ok", "x\x85y", "nul\x00l", "ﬁ İ ’")
    corpus = Corpus("odd", {"u1": odd * 3, "u2": odd * 3})
    simulation = simulate(workers=1, of=corpus)
    datasite = simulation.datasites["worker-1"]
    assert datasite._data().users == corpus.users
