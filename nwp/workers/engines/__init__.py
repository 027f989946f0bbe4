"""How a worker runs its users: in this process or in several, behind one interface."""

from __future__ import annotations

import os

from nwp.workers.engines.here import InProcess
from nwp.workers.engines.interface import Engine
from nwp.workers.engines.processes import Processes

__all__ = ["Engine", "InProcess", "Processes", "make_engine"]


def make_engine(processes: int, threads: int = 1) -> Engine:
    """The engine for a number of processes (0: one for each core this process may use)."""
    count = processes or len(os.sched_getaffinity(0))
    return InProcess(threads) if count == 1 else Processes(count, threads)
