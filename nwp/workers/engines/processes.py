"""Tasks in several processes of this machine, with one thread each."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nwp.errors import NwpError
from nwp.model.lstm import FloatArray
from nwp.temporary import TemporaryFolder
from nwp.workers.engines.computing import keep_memory, set_device, set_threads
from nwp.workers.engines.interface import TRIES

_LARGE = 1 << 20  # bytes
_Call = tuple[Callable[..., Any], str, tuple[Any, ...]]


class Processes:
    """A pool of worker processes; a task whose process is killed is computed again."""

    def __init__(self, count: int, threads: int = 1, device: str = "cpu") -> None:
        self.width, self._threads, self._device = count, threads, device
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._folder = TemporaryFolder()
        self._version = 0

    def warm_up(self) -> None:
        """Start the processes now, without waiting: they import for seconds what they need, and the
        caller has other things to do before the first task."""
        for _ in range(self.width):
            self._submit((_nothing, "", ()))

    def run(
        self, function: Callable[..., Any], shared: FloatArray, tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """See `Engine`. The shared array is written once and read by each process once."""
        if not tasks:
            return
        with self._lock:
            self._version += 1
            folder = self._folder.path / str(self._version)
        folder.mkdir()
        path = folder / "shared.f32"
        shared.tofile(path)
        calls = [(function, str(path), task) for task in tasks]
        try:
            futures = [self._submit(call) for call in calls]
            for call, (future, pool) in zip(calls, futures, strict=True):
                yield self._result(call, future, pool)
        finally:
            # With results that nobody fetched. Tasks that are still at work find the folder no more.
            shutil.rmtree(folder.rename(folder.with_name(f"{folder.name}.gone")))

    def _submit(self, call: _Call) -> tuple[Future[Any], ProcessPoolExecutor]:
        """Hand out one task; also tells to which pool, for several threads may see one break."""
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self.width,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_begin,
                    initargs=(self._threads, self._device),
                )
            pool = self._pool
        try:
            with _uninterrupted():
                return pool.submit(_call, *call), pool
        except BrokenProcessPool:
            self._drop(pool)
            return self._submit(call)

    def _result(self, call: _Call, future: Future[Any], pool: ProcessPoolExecutor) -> Any:
        """A task's result. When one process is killed its pool breaks whole: on to another pool."""
        for left in reversed(range(TRIES)):
            try:
                return _read_back(future.result())
            except (BrokenProcessPool, CancelledError):
                self._drop(pool)
            if left:
                future, pool = self._submit(call)
        raise NwpError(
            f"a worker process was killed {TRIES} times at the same work",
            "Is there enough memory? --processes 1 needs least.",
        )

    def _drop(self, pool: ProcessPoolExecutor | None) -> None:
        """Give up a pool, unless another thread already has."""
        with self._lock:
            if pool is self._pool:
                self._pool = None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End the processes."""
        self._drop(self._pool)
        self._folder.cleanup()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back from this thread, and for good from processes that it starts meanwhile: until
    such a one has come to `_begin`, it would print a traceback about a module half imported."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_cached: tuple[str, FloatArray] = ("", np.zeros(0, np.float32))


def _nothing(shared: FloatArray) -> None:
    """A task that has a process started."""


def _call(function: Callable[..., Any], path: str, task: tuple[Any, ...]) -> Any:
    """In a worker process: run one task."""
    global _cached  # noqa: PLW0603 (one shared array a process, kept between its tasks)
    if not path:
        return function(_cached[1], *task)
    if _cached[0] != path:
        _cached = (path, np.fromfile(path, np.float32))
    return _written(function(_cached[1], *task), Path(path).parent)


@dataclass(frozen=True)
class _Array:
    """A large array on its way between processes: by a file, since a pipe copies it in small pieces."""

    path: str
    type: str
    shape: tuple[int, ...]


def _written(result: Any, folder: Path) -> Any:
    """A result with its large arrays in files."""
    if isinstance(result, tuple):
        return tuple(_written(part, folder) for part in result)
    if not isinstance(result, np.ndarray) or result.nbytes < _LARGE:
        return result
    handle, path = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        result.tofile(file)
    return _Array(path, result.dtype.str, result.shape)


def _read_back(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(map(_read_back, result))
    if not isinstance(result, _Array):
        return result
    found = np.fromfile(result.path, result.type).reshape(result.shape)
    Path(result.path).unlink()
    return found


def _begin(threads: int, device: str) -> None:
    """In a worker process, first: Ctrl-C is the parent's to handle; without a parent, end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_threads(threads)
    set_device(device)
    keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
