"""Tasks on a Ray cluster: this machine's cores, or several machines' (the extra `ray`).

The shared array is put into Ray's object store once, however many workers' runs share it. A task that is
lost, with its process or with its whole node, is computed again by Ray, in another place.

Tasks carry their users' messages, encoded, to wherever they are computed: this is for simulations by
somebody who holds all of the data, on machines of one kind. A node of another kind of processor, or
with other versions, is refused: its bits would differ.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import platform
import secrets
import socket
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import nwp
from nwp.errors import BadSettings, NwpError
from nwp.model.lstm import FloatArray
from nwp.temporary import TemporaryFolder
from nwp.workers.engines.computing import keep_memory, set_threads
from nwp.workers.engines.interface import TRIES

ADDRESS = "RAY_ADDRESS"
"""The environment variable in which Ray itself looks for a cluster."""
_MOST_CALLERS = (
    32  # threads here that encode text and add up results, which is one thread's work a time
)
_LONGEST_PARENT = 24  # characters; Ray's sockets below it may have names of 107 in all
# Whoever may talk to a cluster may run anything on it, and Ray listens on all of a machine's addresses.
_TOKEN = secrets.token_hex(32)


@dataclass(frozen=True)
class _Kind:
    """What bits depend on besides the task; equal on all nodes."""

    nwp: str
    torch: str
    numpy: str
    processor: str


class OnRay:
    """Tasks on the cluster at `address`, or on one of this machine alone that ends with the engine.

    `address` is HOST:PORT of a cluster that this machine is a node of (`ray start`); without one,
    RAY_ADDRESS counts, and without that a cluster of `count` CPUs is started here. Each task takes
    as many CPUs as it has threads.
    """

    def __init__(self, address: str = "", count: int = 1, threads: int = 1) -> None:
        """NwpError without Ray, or when the cluster can't be reached or is of another kind."""
        self._ray = _ray()
        self._lock = threading.Lock()
        self._put: tuple[bytes, Any] = (b"", None)
        self._threads, self._kind = threads, kind_of_node()
        with contextlib.ExitStack() as stack:
            if not self._ray.is_initialized():  # else it is the caller's, who also ends it
                stack.enter_context(_connected(self._ray, address, count))
            task = self._ray.remote(_call)
            self._task = task.options(
                num_cpus=threads, max_retries=TRIES - 1, scheduling_strategy="SPREAD"
            )
            self._check_nodes(task)
            self.width = min(self._cpus(), _MOST_CALLERS)
            self._held = stack.pop_all()

    def run(
        self, function: Callable[..., Any], shared: FloatArray, tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """See `Engine`. NwpError for a task whose process or node is lost again and again."""
        if not tasks:
            return
        key, held = self._shared(shared)
        waiting = deque(self._submit(self._task, function, held, key, task) for task in tasks)
        try:
            while waiting:
                found = self._result(waiting[0])
                waiting.popleft()
                yield found
        finally:
            if self._ray.is_initialized():
                for reference in waiting:  # what nobody fetches need not be computed
                    self._ray.cancel(reference)

    def close(self) -> None:
        """Let go of the cluster; one that was started here ends."""
        self._put = (b"", None)
        self._held.close()

    def _submit(self, remote: Any, function: Any, shared: Any, key: bytes, task: Any) -> Any:
        return remote.remote(function, shared, key, task, self._threads, self._kind)

    def _shared(self, shared: FloatArray) -> tuple[bytes, Any]:
        """An array in the object store. All workers of a round get equal weights: once is enough."""
        key = hashlib.sha256(np.ascontiguousarray(shared).data).digest()
        with self._lock:
            if key != self._put[0]:
                self._put = (key, self._ray.put(shared))
            return self._put

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return _owned(self._ray.get(reference))
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:
            raise NwpError(
                f"a task was lost {TRIES} times on the Ray cluster: {_first_line(error)}",
                "Is there enough memory on each of its nodes? Fewer CPUs a node need less.",
            ) from error

    def _check_nodes(self, task: Any) -> None:
        """Run nothing on each node with CPUs, and see whether nwp is there and alike."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = {}
        for node in self._ray.nodes():
            if node["Alive"] and node["Resources"].get("CPU", 0) >= self._threads:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                pinned = task.options(num_cpus=0, max_retries=0, scheduling_strategy=there)
                reference = self._submit(pinned, _nothing, np.zeros(0, np.float32), b"", ())
                asked[reference] = node["NodeManagerAddress"]
        if not asked:
            raise NwpError(
                f"no node of the Ray cluster has {self._threads} CPUs", "See `ray status`."
            )
        for reference, place in asked.items():
            try:
                self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, NwpError):
                    raise error.cause from error
                raise NwpError(
                    f"nwp can't run on the cluster's node {place}: {_last_line(error.cause)}",
                    f'Install the same there: pip install "nwp[ray]=={self._kind.nwp}".',
                ) from error
            except self._ray.exceptions.RayError:
                continue  # the node has gone in the meantime

    def _cpus(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))


def kind_of_node() -> _Kind:
    """What bits depend on, on the machine that this is called on."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    processor = f"{_processor_name() or platform.machine()}, {capability}"
    return _Kind(nwp.__version__, torch.__version__, np.__version__, processor)


def _processor_name() -> str:
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "")
    return ""


def _ray() -> ModuleType:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise BadSettings(
            "the engine ray needs Ray, which is not installed",
            'Install it: pip install "nwp[ray]"; or compute here: --engine processes.',
        ) from error
    found: ModuleType = ray
    return found


@contextlib.contextmanager
def _connected(ray: ModuleType, address: str, count: int) -> Iterator[None]:
    """Ray, connected and quiet: no dashboard, no report of usage, not a word on the terminal."""
    address = address or os.environ.get(ADDRESS, "")
    if "://" in address:
        raise BadSettings(
            f"{address} is the address for Ray's client, which nwp does not use",
            "Make this machine a node (ray start --address=HOST:6379) and give HOST:6379.",
        )
    with contextlib.ExitStack() as stack:
        settings: dict[str, Any] = {"address": address}
        if address:
            _check_reachable(address)
        else:
            stack.enter_context(_environment(RAY_AUTH_TOKEN=_TOKEN))
            system = tempfile.gettempdir()
            parent = system if len(system) <= _LONGEST_PARENT else "/tmp"
            folder = stack.enter_context(TemporaryFolder(parent)).path
            settings = {
                "address": "local",
                "num_cpus": count,
                "include_dashboard": False,
                "_temp_dir": str(folder / "ray"),  # which Ray opens to everybody
                "_system_config": {"task_oom_retries": TRIES - 1},  # endless, if nobody says
            }
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
        stack.enter_context(_environment(**quiet))
        stack.enter_context(_silence(ray))
        stack.callback(ray.shutdown)
        try:
            with _no_standard_error():  # to which its library writes that it will write nothing
                ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **settings)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise NwpError(
                f"no Ray cluster at {address or 'this machine'}: {_first_line(error)}",
                "Is it running, is this machine one of its nodes (ray start --address=HOST:6379), and "
                "are Python and Ray the same everywhere?",
            ) from error
        yield


def _check_reachable(address: str) -> None:
    """NwpError where nobody answers: Ray itself would take minutes to say so."""
    host, _, port = address.rpartition(":")
    if address == "auto":  # Ray looks for a cluster on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise NwpError(
            f"no Ray cluster answers at {address}: {error}",
            "Give HOST:PORT of a running one (ray start --head --port=6379), or no address.",
        ) from error


@contextlib.contextmanager
def _silence(ray: ModuleType) -> Iterator[None]:
    """Keep Ray from printing, to standard output, what became of processes: it is in its logs."""
    worker = ray._private.worker  # there is no public switch for what the listener prints
    before, worker._worker_logs_enabled = worker._worker_logs_enabled, False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


@contextlib.contextmanager
def _no_standard_error() -> Iterator[None]:
    """Drop what is written to standard error, by libraries of C++ too."""
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        kept = os.dup(2)
        stack.callback(os.close, kept)
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        stack.callback(os.dup2, kept, 2)
        yield


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Environment variables for Ray, which inherits them; those that are set already stay."""
    mine = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _last_line(error: BaseException) -> str:
    """The reason, at the end of a traceback that was sent as text."""
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)


def _owned(result: Any) -> Any:
    """A result whose arrays are the caller's own, as with every engine: those in the object store can't be
    written, and stay there as long as somebody looks at them."""
    if isinstance(result, tuple):
        return tuple(map(_owned, result))
    if isinstance(result, np.ndarray) and not result.flags.writeable:
        return result.copy()
    return result


def _nothing(shared: FloatArray) -> None:
    """What is asked of a node to see whether it can do anything."""


_cached: tuple[bytes, FloatArray] = (b"", np.zeros(0, np.float32))


def _call(
    function: Callable[..., Any],
    shared: FloatArray,
    key: bytes,
    task: tuple[Any, ...],
    threads: int,
    kind: _Kind,
) -> Any:
    """In a process of the cluster: run one task."""
    global _cached  # noqa: PLW0603 (one shared array a process, kept between its tasks)
    _begin(threads, kind)
    if _cached[0] != key:
        _cached = (key, shared.copy())
    return function(_cached[1], *task)


@functools.cache
def _begin(threads: int, kind: _Kind) -> None:
    """In a process of the cluster, first: does it compute the same bits as where it was sent from?"""
    if (mine := kind_of_node()) != kind:
        raise NwpError(
            f"the cluster's node {platform.node()} would compute other bits: {mine}, here {kind}",
            "Keep to nodes of one kind, with the same versions.",
        )
    set_threads(threads)
    keep_memory()
