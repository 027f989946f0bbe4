"""A run's settings, figures and result as a run of MLflow's."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwp.errors import BadInput
from nwp.runs.metrics import row_of
from nwp.runs.trackers import NAMES, About, moments

if TYPE_CHECKING:
    from nwp.federated.state import RoundReport

_EXPERIMENT = "nwp"  # unless MLFLOW_EXPERIMENT_NAME names another
_KEY = "nwp.run"
_SETTINGS, _ROUNDS = (
    100,
    50,
)  # that go into one message: MLflow takes 100 settings and 1,000 figures
_ALWAYS = "seconds"  # a figure that every round has
# A server that is away must not hold up training for minutes; and nobody else is told of a run.
_USUAL = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where results go
}


class MLflow:
    """A tracker that logs to a server, or into a folder.

    A run that goes on does so as the same run of MLflow's, and logs no round twice. BadInput where
    `mlflow` is not installed.
    """

    def __init__(self, address: str) -> None:
        for name, value in _USUAL.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Metric, Param
        except ImportError as error:
            raise BadInput(
                "--mlflow needs MLflow, which is not installed",
                'Install it: pip install "nwp[mlflow]".',
            ) from error
        self.name = "the run of MLflow"
        self._address = tracking_uri(address)
        if self._address.startswith("file:"):
            # MLflow keeps folders going without developing them, and wants that to be said.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._connect: Any = MlflowClient
        self._metric: Any = Metric
        self._param: Any = Param
        self._client: Any = None
        self._run = ""
        self._kept = 0

    def started(self, about: About, history: Sequence[RoundReport]) -> None:
        """Begin a run, or find the one to go on with."""
        self._client = self._connect(tracking_uri=self._address)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        there = self._client.get_experiment_by_name(name)
        experiment = there.experiment_id if there else self._client.create_experiment(name)
        self._kept = 0
        if history and (found := self._earlier(experiment, about.key)):
            self._run = found
            self._client.update_run(found, status="RUNNING")
            logged = self._client.get_metric_history(found, NAMES[_ALWAYS])
            self._kept = max((metric.step for metric in logged), default=0)
        else:
            tags = {_KEY: about.key, "nwp.corpus": about.corpus, "nwp.command": about.command}
            tags |= {f"nwp.version.{library}": number for library, number in about.versions.items()}
            tags |= {"nwp.out": str(about.out), "nwp.plan": about.plan}
            run = self._client.create_run(experiment, run_name=about.out.name, tags=tags)
            self._run = run.info.run_id
            params = iter([self._param(key, str(v)) for key, v in about.settings.items()])
            while some := list(islice(params, _SETTINGS)):
                self._client.log_batch(self._run, params=some)
        self.progressed(history)

    def progressed(self, history: Sequence[RoundReport]) -> None:
        """Log the rounds that are new."""
        while new := history[self._kept : self._kept + _ROUNDS]:
            self._client.log_batch(self._run, metrics=list(self._figures(new)))
            self._kept += len(new)

    def finished(self, history: Sequence[RoundReport], result: Mapping[str, Any]) -> None:
        """Log what it came to."""
        self.progressed(history)
        for name, value in _numbers(result):
            self._client.log_metric(self._run, f"result/{name}", value, step=len(history))
        self._client.set_terminated(self._run, "FINISHED")

    def stopped(self, reason: str) -> None:
        """Mark the run as failed, or as stopped."""
        self._client.set_terminated(self._run, "FAILED" if reason else "KILLED")

    def _earlier(self, experiment: str, key: str) -> str | None:
        found = self._client.search_runs(
            [experiment],
            f"tags.`{_KEY}` = '{key}'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        return found[0].info.run_id if found else None

    def _figures(self, reports: Sequence[RoundReport]) -> Iterator[Any]:
        for report, moment in zip(reports, moments(reports), strict=True):
            row = row_of(report)
            for column, name in NAMES.items():
                if (value := row[column]) is not None:
                    yield self._metric(name, value, int(moment * 1000), report.number)


def tracking_uri(address: str) -> str:
    """An address as MLflow wants it; what is no address is a folder."""
    if ":" in address or address.startswith("databricks"):
        return address
    return Path(address).absolute().as_uri()


def _numbers(result: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    for name, value in result.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{before}{name}_")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield f"{before}{name}", float(value)
