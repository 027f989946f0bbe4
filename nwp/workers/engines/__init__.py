"""How a worker runs its users: in this process, in several, or on a Ray cluster; one interface."""

from __future__ import annotations

import os

from nwp.errors import BadSettings
from nwp.workers.engines.here import InProcess
from nwp.workers.engines.interface import Engine
from nwp.workers.engines.on_ray import ADDRESS, OnRay
from nwp.workers.engines.processes import Processes

__all__ = ["ENGINES", "Engine", "InProcess", "OnRay", "Processes", "make_engine"]

ENGINES = ("auto", "here", "processes", "ray")


def make_engine(
    processes: int = 0, threads: int = 1, *, name: str = "auto", ray_address: str = ""
) -> Engine:
    """The engine of that name for a number of processes (0: one for each core this process may use).

    "auto" is this process where one is enough, else several; never Ray, which takes messages to
    other machines. BadSettings for a name that is none, or settings that contradict it.
    """
    if name not in ENGINES:
        raise BadSettings(f"no engine {name!r}", f"It is one of {', '.join(ENGINES)}.")
    if ray_address and name != "ray":
        raise BadSettings("an address of Ray is for --engine ray", "Give both or neither.")
    count = processes or len(os.sched_getaffinity(0))
    if name == "ray":
        elsewhere = ray_address or os.environ.get(ADDRESS)
        if elsewhere and processes:
            raise BadSettings(
                f"the Ray cluster at {elsewhere} has as many processes as it has CPUs",
                "Leave --processes out.",
            )
        return OnRay(ray_address, count, threads)
    if name == "here" and processes > 1:
        raise BadSettings("--engine here is one process", "Leave --processes out.")
    if name == "here" or (name == "auto" and count == 1):
        return InProcess(threads)
    engine = Processes(count, threads)
    engine.warm_up()
    return engine
