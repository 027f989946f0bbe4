"""What every engine is: a function mapped over tasks, the results in order.

Each task is computed alike everywhere, so that the engine changes nothing in what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from nwp.model.lstm import FloatArray

TRIES = 3
"""How often a task is computed that kills the process it runs in, before it is given up."""


class Engine(Protocol):
    """Runs `function(shared, *task)` for each task, results in order.

    `width` tells how many callers it serves at once: with 1, only one thread may use it.
    """

    width: int

    def run(
        self, function: Callable[..., Any], shared: FloatArray, tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """`function` must be importable by name; `shared` is read, never written."""

    def close(self) -> None:
        """Free what the engine holds."""
