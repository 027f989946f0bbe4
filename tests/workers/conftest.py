"""A small corpus, plans over it, and simulations that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gathering import Gathering

from nwp.corpus.types import Corpus
from nwp.federated.averaging import MEAN
from nwp.federated.local import LocalWork
from nwp.federated.parcel import Parcel
from nwp.federated.plan import EvaluatePlan, SurveyPlan, TrainPlan
from nwp.federated.protocol import Phase, Replies
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers.engines import InProcess
from nwp.workers.policy import Policy
from nwp.workers.simulation import Job, Simulation, deal

WORDS = ("the", "cat", "dog", "sat", "ran", "home", "again")
TRAIN = MEAN.steps[0].phase

Simulate = Callable[..., Simulation]
Ask = Callable[..., Replies]


@pytest.fixture
def corpus() -> Corpus:
    """Six users with ten short messages each."""
    rng = np.random.default_rng(5)
    users = {
        f"u{user}": tuple(" ".join(rng.choice(WORDS, rng.integers(3, 7))) for _ in range(10))
        for user in range(1, 7)
    }
    return Corpus("small", users)


@pytest.fixture
def model() -> ModelConfig:
    """A model of a few hundred weights."""
    return ModelConfig(FIRST_WORD + len(WORDS), embedding=4, hidden=4, projection=4)


@pytest.fixture
def plan(model: ModelConfig) -> TrainPlan:
    """Two rounds of training on two workers of three users each."""
    return TrainPlan(
        model=model,
        words=WORDS,
        surfaces={},
        workers={"worker-1": 3, "worker-2": 3},
        local=LocalWork(batch=4, learning_rate=0.5),
        rounds=2,
    )


@pytest.fixture
def evaluation(model: ModelConfig) -> EvaluatePlan:
    return EvaluatePlan(model, WORDS, part="all")


@pytest.fixture
def weights(model: ModelConfig) -> FloatArray:
    """Start weights, small and at random."""
    return np.random.default_rng(3).normal(0, 0.1, model.parameters).astype(np.float32)


@pytest.fixture
def simulate(corpus: Corpus) -> Iterator[Simulate]:
    """Opens simulations, over two workers and the small corpus unless told otherwise."""
    with ExitStack() as stack:

        def begin(workers: int = 2, of: Corpus = corpus, **more: Any) -> Simulation:
            deals = deal(list(of.users), workers)
            return stack.enter_context(Simulation(of, deals, InProcess(), **more))

        yield begin


@pytest.fixture
def simulation(simulate: Simulate) -> Simulation:
    """Two workers of three users each."""
    return simulate()


@pytest.fixture
def ask(weights: FloatArray) -> Ask:
    """Asks every worker of a job for one phase of one round; all its users where users matter."""

    def send(
        simulation: Simulation,
        job: Job,
        phase: Phase = TRAIN,
        number: int = 1,
        users: Mapping[str, Sequence[int]] | None = None,
    ) -> Replies:
        wanted = users or {w: range(len(u)) for w, u in simulation.deals.items()}
        requests = {}
        for worker in simulation.deals:
            arrays: dict[str, Any] = {}
            if not isinstance(job.plan, SurveyPlan):
                arrays["weights"] = weights
            if phase is TRAIN:
                arrays["users"] = np.array(wanted[worker], np.int64)
            requests[worker] = Parcel(arrays=arrays)
        return simulation.exchange(job)(phase, number, requests)

    return send


@pytest.fixture
def gather(tmp_path: Path, corpus: Corpus) -> Callable[..., Gathering]:
    """Brings a server and owners together, two of three users each unless told otherwise."""

    def begin(owners: int = 2, policy: Policy | None = None, of: Corpus = corpus) -> Gathering:
        return Gathering(tmp_path, of, owners, policy or Policy())

    return begin
