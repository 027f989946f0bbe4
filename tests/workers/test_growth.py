"""What training keeps in memory: by users little, by rounds next to nothing."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nwp.corpus.store import store
from nwp.corpus.types import Corpus, Message
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.state import RunState
from nwp.tasks.train import train_bundle
from nwp.tasks.train_options import TrainOptions
from nwp.tasks.watching import Started, Watcher
from nwp.workers.adapter import stores

SMALL = TrainOptions(
    workers=2,
    k=1,
    public_words=0,
    embedding=4,
    hidden=4,
    dropout=0.0,
    local=LocalWork(batch=4, learning_rate=0.5),
    server=ServerOptimizer("fedavg", learning_rate=1.0),
    rounds=2,
    cohort=10,
    validate_every=1,
    validate_users=10,
    processes=1,
)


def corpus_of(users: int, messages: int = 10) -> Corpus:
    """Users with messages of thirty words, from twenty."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{chr(97 + i)}" for i in range(20)])
    rows = (
        Message(f"u{user:06}", " ".join(rng.choice(words, 30)))
        for user in range(users)
        for _ in range(messages)
    )
    return Corpus("made up", store(rows)[0])


def train(corpus: Corpus, folder: Path, options: TrainOptions, watcher: Watcher) -> None:
    train_bundle(corpus, folder, options, command="test", watcher=watcher)


@pytest.mark.slow
def test_memory_hardly_grows_with_the_users_when_the_cohort_stays(tmp_path: Path) -> None:
    peaks = []
    train(corpus_of(20), tmp_path / "first", SMALL, Watcher())  # what is made once
    for users in (200, 2_200):
        corpus = corpus_of(users)
        gc.collect()
        tracemalloc.start()
        train(corpus, tmp_path / str(users), SMALL, Watcher())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    text = 10 * 30 * 3  # bytes of a user
    assert (peaks[1] - peaks[0]) / 2_000 < 2 * text


@pytest.mark.slow
def test_rounds_leave_nothing_behind_but_their_reports(tmp_path: Path) -> None:
    """Fifty rounds: as many files and messages as after ten, and a few objects a round."""
    begun: list[Started] = []
    seen: dict[int, tuple[int, int, int, int]] = {}

    def look(state: RunState) -> None:
        if state.number in (10, 50):
            simulation = begun[0].federation
            store_of = stores.stored_bytes(simulation.store)
            boxes = simulation.datasites["worker-1"].folder.parent
            files = [path for path in boxes.rglob("*") if path.is_file()]
            gc.collect()
            sizes = sum(map(len, store_of.values()))
            seen[state.number] = (len(store_of), sizes, len(files), len(gc.get_objects()))

    options = replace(SMALL, rounds=50, validate_every=10)
    train(corpus_of(20), tmp_path, options, Watcher(started=begun.append, round_done=look))
    assert seen[50][:3] == seen[10][:3]
    assert seen[50][3] - seen[10][3] < 40 * 30
