"""From a training run to those who track it: what they are told, without anybody's name or text."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nwp import __version__
from nwp.errors import NwpError
from nwp.federated.plan_text import plan_digest
from nwp.runs.nameless import nameless_command, nameless_result, nameless_settings
from nwp.runs.records import Recorder, Records, recording_wanted, records_file
from nwp.runs.to_mlflow import MLflow
from nwp.runs.to_tensorboard import TensorBoard
from nwp.runs.trackers import About, Tracker, Trackers, digest_of
from nwp.tasks.watching import Started, Watcher

_LIBRARIES = ("torch", "numpy", "syft")


def tracked(
    trackers: Sequence[Tracker],
    *,
    out: Path,
    fingerprint: str,
    corpus: str,
    settings: Mapping[str, Any],
    command: str,
    warn: Callable[[str], None],
) -> Watcher:
    """A watcher that tells trackers what a run is, each round's figures and how it ends.

    `settings` may be nested. Users' names in them, in `command` and in the result are not passed on.
    """
    every = Trackers(trackers, warn)

    def started(found: Started) -> None:
        plan = found.plan
        about = About(
            out=out.absolute(),
            fingerprint=fingerprint,
            corpus=corpus,
            command=nameless_command(command),
            settings=nameless_settings(settings),
            versions=_versions(),
            plan=plan_digest(plan),
            words=digest_of(*plan.words),
            vocabulary=len(plan.words),
            parameters=found.parameters,
            workers=len(plan.workers),
            users=plan.users,
            rounds=plan.rounds,
        )
        every.started(about, found.state.history)

    def stopped(error: BaseException) -> None:
        # An error's own words may hold what was read, or a path with a name in it.
        kind = error.kind if isinstance(error, NwpError) else type(error).__name__
        every.stopped(kind if isinstance(error, Exception) else "")

    return Watcher(
        started=started,
        round_done=lambda state: every.progressed(state.history),
        finished=lambda result: every.finished(nameless_result(result)),
        stopped=stopped,
    )


def _versions() -> dict[str, str]:
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"nwp": __version__, "python": platform.python_version(), **libraries}


def chosen_trackers(
    *, record: bool = True, tensorboard: Path | None = None, mlflow: str | None = None
) -> list[Tracker]:
    """Those that were asked for: the user's records (unless NWP_RUNS is off), a folder for
    TensorBoard, an address or folder for MLflow. BadInput where a library for them is missing."""
    found: list[Tracker] = []
    if record and recording_wanted():
        found.append(Recorder(Records(records_file())))
    if tensorboard is not None:
        found.append(TensorBoard(tensorboard))
    if mlflow:
        found.append(MLflow(mlflow))
    return found
