"""What a caller is told while training runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nwp.federated.plan import TrainPlan
from nwp.federated.state import RunState
from nwp.text.building import Survey
from nwp.workers.jobs import Federation, Job


@dataclass(frozen=True)
class Started:
    """Told before the first round: who takes part under which plan, and what the survey of words,
    with its threshold `k`, has brought."""

    federation: Federation
    job: Job
    plan: TrainPlan
    surveys: Mapping[str, Survey]
    k: int
    state: RunState
    parameters: int


@dataclass
class Watcher:
    """What a caller may be told while training runs; every function may be left as it is.

    `measured` gets how good the model that training starts from is, before the first round.
    `finished` gets the result once the bundle is written, `stopped` whatever has ended training
    before (KeyboardInterrupt too), which is then raised.
    """

    enrolled: Callable[[Any], None] = lambda federation: None
    started: Callable[[Started], None] = lambda started: None
    round_done: Callable[[RunState], None] = lambda state: None
    warned: Callable[[str], None] = lambda text: None
    finished: Callable[[Mapping[str, Any]], None] = lambda result: None
    stopped: Callable[[BaseException], None] = lambda error: None
    measured: Callable[[Mapping[str, Any]], None] = lambda valid: None


def together(*watchers: Watcher) -> Watcher:
    """One watcher that tells all of them, in order."""

    def all_of(name: str) -> Callable[[Any], None]:
        def tell(what: Any) -> None:
            for watcher in watchers:
                getattr(watcher, name)(what)

        return tell

    names = ("enrolled", "started", "round_done", "warned", "finished", "stopped", "measured")
    return Watcher(*map(all_of, names))


@contextlib.contextmanager
def telling_of_the_end(watcher: Watcher) -> Iterator[None]:
    """Tell the watcher what ends the block too early."""
    try:
        yield
    except BaseException as error:
        watcher.stopped(error)
        raise
