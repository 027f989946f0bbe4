"""Rounds of local training with a clock at every task, so that who waited for whom is known."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nwp.federated.local import LocalWork, deal_groups, train_group
from nwp.federated.plan import TrainPlan
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import Encoded
from nwp.workers.engines import Engine

GROUPS = TrainPlan.groups  # as many sums as a plan has if nobody says otherwise


@dataclass(frozen=True)
class Task:
    """One group's training: in which process, from when to when, and for how long on a core."""

    process: int
    began: float
    ended: float
    cpu: float


@dataclass(frozen=True)
class RoundTimes:
    """Seconds of one round by the clock, and of all its processes together: what they spent on
    training (`busy`), how much of that on a core (`cpu`), and from the end of each one's last task
    to the end of the last one's (`waiting`)."""

    seconds: float
    processes: int
    busy: float
    cpu: float
    waiting: float

    @property
    def between(self) -> float:
        """Seconds of all processes for the rest: dealing, handing weights and sums over, adding up."""
        return max(0.0, self.processes * self.seconds - self.busy - self.waiting)


def run_round(
    engine: Engine,
    weights: FloatArray,
    config: ModelConfig,
    work: LocalWork,
    users: Sequence[tuple[Encoded, int]],
) -> tuple[FloatArray, float, RoundTimes]:
    """One round of FedAvg over these users (data and seed), as a worker and its server compute it.

    Gives the new weights, the mean loss in nats and the times.
    """
    began = time.monotonic()
    groups = deal_groups(users, work, GROUPS)
    done: list[Task] = []
    total, words, loss = np.zeros(len(weights)), 0, 0.0
    for summed, count, lost, task in engine.run(
        timed_group, weights, [(config, work, group) for group in groups]
    ):
        total += summed
        words, loss = words + count, loss + lost
        done.append(task)
    weights = (weights + total / words).astype(np.float32)
    return weights, loss / words, times_of(done, began, time.monotonic(), engine.width)


def timed_group(
    start: FloatArray,
    config: ModelConfig,
    work: LocalWork,
    users: Sequence[tuple[Encoded, int]],
) -> tuple[FloatArray, int, float, Task]:
    """`train_group`, and its task."""
    began, cpu = time.monotonic(), time.thread_time()
    summed, weight, loss = train_group(start, config, work, users)
    task = Task(os.getpid(), began, time.monotonic(), time.thread_time() - cpu)
    return summed, weight, loss, task


def times_of(tasks: Sequence[Task], began: float, ended: float, processes: int) -> RoundTimes:
    """A round's times from its tasks'; a process without any has waited from the beginning."""
    lasts: dict[int, float] = {}
    for task in tasks:
        lasts[task.process] = max(task.ended, lasts.get(task.process, task.ended))
    finish = max(lasts.values())
    idle = processes - len(lasts)
    return RoundTimes(
        seconds=ended - began,
        processes=processes,
        busy=sum(task.ended - task.began for task in tasks),
        cpu=sum(task.cpu for task in tasks),
        waiting=sum(finish - last for last in lasts.values()) + idle * (finish - began),
    )
