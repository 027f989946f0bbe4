"""Tasks for engines: they must be importable by name in a fresh process."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import numpy as np
import torch

from nwp.model.lstm import FloatArray


def add(shared: FloatArray, number: int) -> tuple[int, float, int, int]:
    """The number, the shared array's sum, and which process with how many threads."""
    return number, float(shared.sum()), os.getpid(), torch.get_num_threads()


def large(shared: FloatArray, number: int) -> tuple[int, FloatArray, tuple[FloatArray, str]]:
    """Arrays on both sides of the size from which they travel by file."""
    if number < 0:
        raise ValueError("no such number")
    many = np.full((1_000, 700), number, np.float32)
    return number, many, (many[:2].astype(np.float64), "by name")


def slow_when_even(shared: FloatArray, number: int) -> int:
    """Even numbers take some work, odd ones none: results come out of order."""
    if number % 2 == 0:
        np.linalg.svd(np.ones((50, 50)))
    return number


def die_once(shared: FloatArray, number: int, mark: str) -> tuple[int, float]:
    """The first time at number 1, kill the process one is in."""
    if number == 1 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number, float(shared[number])


def die(shared: FloatArray, log: str) -> None:
    """Note the attempt and kill the process one is in."""
    with Path(log).open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def fail(shared: FloatArray, number: int) -> int:
    """A mistake at number 2."""
    if number == 2:
        raise KeyError("a mistake of the task's own")
    return number


def meet(shared: FloatArray, number: int, pipe: str) -> int:
    """Return when two processes are at work: the ends of a pipe open together or not at all."""
    signal.alarm(60)
    with Path(pipe).open(("rb", "wb")[number]):
        signal.alarm(0)
    return os.getpid()


def hold(shared: FloatArray, number: int, folder: str, home: str) -> tuple[int, FloatArray]:
    """On a cluster of two nodes: the node that is not `home` finishes one task and stops at its
    second; `home` stops at its first. Each goes on when somebody opens the other end of a pipe."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    log = Path(folder, "log")
    with log.open("a") as file:
        file.write(f"{number} {node}\n")
    earlier = sum(line.split()[1] == node for line in log.read_text().splitlines()) - 1
    signal.alarm(120)
    if (node == home and earlier == 0) or (node != home and earlier == 1):
        with Path(folder, "home" if node == home else "away").open("rb"):
            pass
    signal.alarm(0)
    return number, np.full((1_000, 700), number, np.float32)


def ended(pid: int, seconds: float = 0) -> bool:
    """Has a process ended, or does it within so many seconds?"""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(process):
        return bool(select.select([process], [], [], seconds)[0])
