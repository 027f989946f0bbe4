"""Measuring in several processes at the same time, because cores share memory, caches and clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nwp.errors import NwpError
from nwp.model.lstm import FloatArray
from nwp.temporary import TemporaryFolder
from nwp.workers.engines import Engine

_PATIENCE = 180.0  # seconds: a process may have torch to import first
_AHEAD = 0.05  # seconds from the last one's arrival to the start


def at_once(
    engine: Engine, count: int, function: Callable[..., Any], shared: FloatArray, *task: Any
) -> list[Any]:
    """`function(shared, begin, *task)` in `count` processes of an engine that has as many or more.

    They wait for each other; `begin` is the same moment for all, of time.monotonic(), which on
    Linux all processes share. `function` must be importable by name.
    """
    with TemporaryFolder() as folder:
        tasks = [(function, str(folder.path), count, number, task) for number in range(count)]
        return list(engine.run(_meet, shared, tasks))


def _meet(
    shared: FloatArray,
    function: Callable[..., Any],
    folder: str,
    count: int,
    number: int,
    task: tuple[Any, ...],
) -> Any:
    """In each process: be there, wait for the others, go on when the last one has come."""
    arrival = Path(folder, f"{number}.new")
    arrival.write_text(repr(time.monotonic()), encoding="ascii")
    arrival.rename(arrival.with_suffix(".here"))
    until = time.monotonic() + _PATIENCE
    while len(here := list(Path(folder).glob("*.here"))) < count:
        if time.monotonic() > until:
            raise NwpError(
                f"only {len(here)} of {count} processes began within {_PATIENCE:.0f} s",
                "Is there enough memory? Try fewer --processes.",
            )
        time.sleep(0.005)
    last = max(float(path.read_text(encoding="ascii")) for path in here)
    return function(shared, last + _AHEAD, *task)
