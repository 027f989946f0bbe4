"""How a worker runs its users: in this process, in several, or on a Ray cluster; one interface."""

from __future__ import annotations

import os

from nwp.errors import BadSettings
from nwp.federated.device import CPU, check
from nwp.workers.engines.here import InProcess
from nwp.workers.engines.interface import Engine
from nwp.workers.engines.on_ray import ADDRESS, OnRay
from nwp.workers.engines.processes import Processes

__all__ = ["ENGINES", "Engine", "InProcess", "OnRay", "Processes", "make_engine"]

ENGINES = ("auto", "here", "processes", "ray")


def make_engine(
    processes: int = 0,
    threads: int = 1,
    *,
    name: str = "auto",
    ray_address: str = "",
    device: str = "cpu",
) -> Engine:
    """The engine of that name for a number of processes (0: one for each core this process may use, or
    one in all on a `device` that is not the CPU: each would take its memory anew).

    "auto" is this process where one is enough, else several; never Ray, which takes messages to
    other machines. BadSettings for a name that is none, settings that contradict it, or a device that
    is not there (`nwp.federated.device.check`).
    """
    on_cpu = check(device).type == CPU
    if name not in ENGINES:
        raise BadSettings(f"no engine {name!r}", f"It is one of {', '.join(ENGINES)}.")
    if ray_address and name != "ray":
        raise BadSettings("an address of Ray is for --engine ray", "Give both or neither.")
    count = processes or (len(os.sched_getaffinity(0)) if on_cpu else 1)
    if name == "ray":
        if not on_cpu:
            raise BadSettings(
                f"--engine ray computes on processors, not on {device}",
                "Leave --engine out to compute on this machine's GPU.",
            )
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
        return InProcess(threads, device)
    engine = Processes(count, threads, device)
    engine.warm_up()
    return engine
