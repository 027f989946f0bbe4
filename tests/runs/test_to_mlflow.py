"""What MLflow's client is asked for, by a stand-in of it, and by itself where it is installed."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from made_up import about, round_of, rounds

from nwp.errors import BadInput
from nwp.runs.to_mlflow import MLflow, tracking_uri


@dataclass
class Kept:
    """A run as the stand-in of a server has it."""

    experiment: str
    name: str
    tags: dict[str, str]
    status: str = "RUNNING"
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)


class Server:
    """As much of `MlflowClient` as is asked for."""

    def __init__(self) -> None:
        self.runs: dict[str, Kept] = {}
        self.experiments: dict[str, str] = {}
        self.addresses: list[str] = []
        self.away = False

    def client(self, tracking_uri: str) -> Server:
        if self.away:
            raise ConnectionError("nobody there")
        self.addresses.append(tracking_uri)
        return self

    def get_experiment_by_name(self, name: str) -> Any:
        if name in self.experiments:
            return types.SimpleNamespace(experiment_id=self.experiments[name])
        return None

    def create_experiment(self, name: str) -> str:
        self.experiments[name] = str(len(self.experiments))
        return self.experiments[name]

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        key = f"run{len(self.runs)}"
        self.runs[key] = Kept(experiment, run_name, tags)
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=key))

    def search_runs(
        self, experiments: list[str], wanted: str, max_results: int, order_by: list[str]
    ) -> list[Any]:
        assert order_by == ["attributes.start_time DESC"]
        found = [
            types.SimpleNamespace(info=types.SimpleNamespace(run_id=key))
            for key, run in reversed(self.runs.items())
            if run.experiment in experiments
            and wanted == f"tags.`nwp.run` = '{run.tags['nwp.run']}'"
        ]
        return found[:max_results]

    def update_run(self, run: str, status: str) -> None:
        self.runs[run].status = status

    set_terminated = update_run

    def get_metric_history(self, run: str, name: str) -> list[Any]:
        return [types.SimpleNamespace(step=s) for n, _, s in self.runs[run].metrics if n == name]

    def log_batch(self, run: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(metrics) <= 1000
        assert len(params) <= 100
        self.runs[run].metrics += [(m.key, m.value, m.step) for m in metrics]
        self.runs[run].params |= {p.key: p.value for p in params}

    def log_metric(self, run: str, name: str, value: float, step: int) -> None:
        self.runs[run].metrics.append((name, value, step))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    mlflow, entities = types.ModuleType("mlflow"), types.ModuleType("mlflow.entities")

    def metric(key: str, value: float, timestamp: int, step: int) -> Any:
        assert isinstance(timestamp, int)
        return types.SimpleNamespace(key=key, value=value, step=step)

    mlflow.MlflowClient = found.client  # type: ignore[attr-defined]
    entities.Metric = metric  # type: ignore[attr-defined]
    entities.Param = lambda key, value: types.SimpleNamespace(key=key, value=value)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    return found


def steps(run: Kept, name: str) -> list[int]:
    return [step for key, _, step in run.metrics if key == name]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(BadInput) as caught:
        MLflow("http://localhost:5000")
    assert 'pip install "nwp[mlflow]"' in caught.value.hint


def test_a_run_has_settings_figures_result_and_tags(server: Server) -> None:
    tracker = MLflow("http://host:5000")
    tracker.started(about(), ())
    for number in (1, 2):
        tracker.progressed(rounds(number))
    tracker.finished(
        rounds(2),
        {"rounds": 2, "model": "m", "valid": {"perplexity": 50.0, "top1": None}, "resumed": None},
    )

    (run,) = server.runs.values()
    assert server.addresses == ["http://host:5000"]
    assert server.experiments == {"nwp": run.experiment}
    assert run.status == "FINISHED"
    assert run.name == "m"
    assert run.params == {"rounds": "8", "local.batch": "16", "base": "None", "tied": "True"}
    assert run.tags["nwp.corpus"] == "letters.jsonl"
    assert run.tags["nwp.version.torch"] == "2.13"
    assert steps(run, "train/loss") == [1, 2]
    assert ("valid/perplexity", 50.0, 2) in run.metrics
    assert steps(run, "valid/perplexity") == [2]
    results = [metric for metric in run.metrics if metric[0].startswith("result/")]
    assert results == [("result/rounds", 2.0, 2), ("result/valid_perplexity", 50.0, 2)]


def test_a_run_that_goes_on_is_the_same_run_and_no_round_is_there_twice(server: Server) -> None:
    killed = MLflow("folder")
    killed.started(about(), ())
    killed.progressed(rounds(3))
    again = MLflow("folder")
    again.started(about(), rounds(2))  # the third was damaged, and comes to the same again
    again.progressed(rounds(3))
    again.progressed(rounds(4))
    again.stopped("")

    (run,) = server.runs.values()
    assert steps(run, "train/loss") == [1, 2, 3, 4]
    assert run.status == "KILLED"


def test_one_that_began_without_it_has_its_first_rounds_too(server: Server) -> None:
    tracker = MLflow("folder")
    tracker.started(about(), rounds(150))
    (run,) = server.runs.values()
    assert steps(run, "train/loss") == list(range(1, 151))


def test_a_run_begun_anew_is_another(server: Server) -> None:
    for _ in range(2):
        tracker = MLflow("folder")
        tracker.started(about(), ())
        tracker.progressed(rounds(1))
        tracker.stopped("no-quorum")
    assert [run.status for run in server.runs.values()] == ["FAILED", "FAILED"]


def test_the_experiment_is_the_one_that_the_environment_names(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "keyboards")
    MLflow("folder").started(about(), ())
    assert list(server.experiments) == ["keyboards"]


def test_rounds_without_an_update_can_be_told_too(server: Server) -> None:
    tracker = MLflow("folder")
    tracker.started(about(), ())
    tracker.progressed([round_of(1, users=0, loss=0.0)])
    (run,) = server.runs.values()
    assert steps(run, "train/loss") == []
    assert steps(run, "time/seconds") == [1]


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("http://host:5000", "http://host:5000"),
        ("sqlite:///runs.db", "sqlite:///runs.db"),
        ("databricks", "databricks"),
        ("/data/ml runs", "file:///data/ml%20runs"),
    ],
)
def test_what_is_no_address_is_a_folder(given: str, uri: str) -> None:
    assert tracking_uri(given) == uri


def test_a_folder_of_here_is_named_whole() -> None:
    assert tracking_uri("mlruns") == (Path.cwd() / "mlruns").as_uri()


def test_mlflow_itself_reads_back_what_was_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: nwp[mlflow]")
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    folder = str(tmp_path / "mlruns")
    first = MLflow(folder)
    first.started(about(), ())
    first.progressed(rounds(2))
    second = MLflow(folder)
    second.started(about(), rounds(2))
    second.progressed(rounds(4))
    second.finished(rounds(4), {"rounds": 4})

    client = MlflowClient(tracking_uri=tracking_uri(folder))
    experiment = client.get_experiment_by_name("nwp")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["local.batch"] == "16"
    logged = client.get_metric_history(run.info.run_id, "train/loss")
    assert sorted(metric.step for metric in logged) == [1, 2, 3, 4]
    assert run.data.metrics["valid/perplexity"] == 25.0
