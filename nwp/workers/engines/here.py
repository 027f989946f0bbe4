"""Tasks in this process, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nwp.model.lstm import FloatArray
from nwp.workers.engines.computing import keep_memory, set_device, set_threads


class InProcess:
    """One task after another, here, on a device."""

    def __init__(self, threads: int = 1, device: str = "cpu") -> None:
        self.width = 1
        set_threads(threads)
        set_device(device)
        keep_memory()

    def run(
        self, function: Callable[..., Any], shared: FloatArray, tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """See `Engine`."""
        return (function(shared, *task) for task in tasks)

    def close(self) -> None:
        """Whatever this process computes next, it does on the CPU again."""
        set_device("cpu")
