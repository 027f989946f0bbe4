"""Two workers of three users each, and a plan to attack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from meeting import Meeting, holds

from nwp.corpus.types import Corpus
from nwp.federated.plan import TrainPlan
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers import network
from nwp.workers.engines import InProcess
from nwp.workers.simulation import Simulation, deal

WORDS = ("the", "cat", "sat")


@pytest.fixture
def corpus() -> Corpus:
    return Corpus("small", {f"u{i}": ("the cat sat", "the cat", "cat sat") * 4 for i in range(6)})


@pytest.fixture
def simulation(corpus: Corpus) -> Iterator[Simulation]:
    with Simulation(corpus, deal(list(corpus.users), 2), InProcess()) as simulation:
        yield simulation


@pytest.fixture
def plan() -> TrainPlan:
    model = ModelConfig(FIRST_WORD + len(WORDS), embedding=3, hidden=3, projection=3)
    return TrainPlan(model, WORDS, {}, workers={"worker-1": 3, "worker-2": 3}, rounds=3)


@pytest.fixture
def weights(plan: TrainPlan) -> FloatArray:
    return np.random.default_rng(1).normal(0, 0.1, plan.model.parameters).astype(np.float32)


@pytest.fixture
def meeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meeting]:
    """A server and its owners; at the end, every honest owner's ledger holds."""
    found = Meeting(tmp_path)
    monkeypatch.setattr(network, "_rest", found.look)
    yield found
    for owner in found.owners.values():
        if owner.honest:
            holds(owner)
