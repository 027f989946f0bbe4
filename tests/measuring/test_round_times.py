from __future__ import annotations

import numpy as np
import pytest

from nwp.federated.local import LocalWork, seed_for, train_group
from nwp.measuring.rounds import Task, run_round, times_of
from nwp.measuring.workload import Workload, draw_users
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.workers.engines import InProcess

CONFIG = ModelConfig(vocabulary=60, embedding=6, hidden=8, projection=6, tied=False, marks=0)


def test_every_processes_time_is_told_once() -> None:
    tasks = [
        Task(process=7, began=14.0, ended=18.0, cpu=4.0),
        Task(process=7, began=11.0, ended=13.0, cpu=1.5),
        Task(process=8, began=11.0, ended=15.0, cpu=3.5),
    ]

    found = times_of(tasks, began=10.0, ended=20.0, processes=2)

    assert (found.seconds, found.busy, found.cpu) == (10.0, 10.0, 9.0)
    assert found.waiting == 3.0  # process 8, from 15 to 18
    # Both before 11 and after 18, process 7 between its tasks.
    assert found.between == 2 * 1.0 + 2 * 2.0 + 1.0
    assert found.busy + found.waiting + found.between == 2 * found.seconds


def test_a_process_that_got_no_task_has_waited_for_the_others() -> None:
    found = times_of([Task(1, 11.0, 15.0, 4.0)], began=10.0, ended=16.0, processes=3)

    assert found.waiting == 2 * 5.0
    assert found.busy + found.waiting + found.between == 3 * 6.0


def test_a_round_is_federated_averaging_over_all_users() -> None:
    drawn = draw_users(Workload(users=20, messages=6, vocabulary=60))
    users = [(user, seed_for(i)) for i, user in enumerate(drawn)]
    model = NextWordModel(CONFIG)
    model.initialize(0)
    start, work = model.weights(), LocalWork()

    weights, loss, times = run_round(InProcess(), start, CONFIG, work, users)

    alone = [train_group(start, CONFIG, work, [pair]) for pair in users]
    words = sum(count for _, count, _ in alone)
    mean = sum(summed.astype(np.float64) for summed, _, _ in alone) / words
    assert weights - start == pytest.approx(mean, rel=1e-3, abs=1e-6)
    assert loss == pytest.approx(sum(lost for _, _, lost in alone) / words)
    assert times.processes == 1
    assert 0 < times.busy < times.seconds
    assert times.waiting == 0
