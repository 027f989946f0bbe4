"""Journeys over past runs: train, list, show, compare, draw, forget; killed, resumed, hindered."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import ROUNDS, TINY, Nwp, files_in, write_corpus
from killing import Kill, Runner
from safetensors import safe_open

from nwp.cli.main import execute
from nwp.cli.progress import Rounds
from nwp.federated.state import RunState
from nwp.tasks.past_runs import PastRuns


class Place(NamedTuple):
    """A folder with the runs `first` and `second`, and the folder with their records."""

    folder: Path
    home: Path


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("home"))
    others = ("--seed", "1", "--learning-rate", "2", "--cohort", "3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NWP_HOME", str(place.home))
        patch.chdir(place.folder)
        for name, more in (("first", ()), ("second", others)):
            words = ["train", str(corpus), "--out", name, *TINY, *ROUNDS, *more]
            patch.setattr(sys, "argv", ["nwp", *words])
            assert execute(words) == 0
    yield place


@pytest.fixture
def past(trained: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """As they are after training: not to be changed."""
    monkeypatch.setenv("NWP_HOME", str(trained.home))
    monkeypatch.chdir(trained.folder)
    return trained


def records() -> Path:
    return Path(os.environ["XDG_DATA_HOME"]) / "nwp" / "runs.sqlite"


def result_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run" / "result.json").read_text())
    return found


def history_in(folder: str, number: int) -> list[dict[str, Any]]:
    """The history as the checkpoint has it."""
    with safe_open(f"{folder}/run/round-{number}.safetensors", framework="numpy") as file:
        history: list[dict[str, Any]] = json.loads(file.metadata()["nwp"])["history"]
    return history


def rows_in(folder: str) -> list[dict[str, str]]:
    with Path(folder, "run", "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------------------------- the everyday way


def test_where_nothing_is_recorded_it_says_how_to_begin(nwp: Nwp) -> None:
    listed = nwp("runs", "list")
    assert listed.code == 0
    assert "nwp train sample" in listed.out
    assert nwp("runs", "list", "--json").result() == {"runs": []}
    for words in (("show",), ("compare", "a", "b"), ("plot",), ("forget", "a")):
        assert "nwp train sample" in nwp("runs", *words, "--json").error("bad-input")
    assert not records().parent.exists()


def test_runs_are_listed_the_last_first_with_what_they_came_to(nwp: Nwp, past: Place) -> None:
    second, first = nwp("runs", "list", "--json").result()["runs"]
    for run, name in ((first, "first"), (second, "second")):
        result = result_in(past.folder / name)
        assert (run["out"], run["state"]) == (str(past.folder / name), "finished")
        assert run["corpus"] == "six.jsonl"
        assert (run["rounds"], run["planned"], run["best_round"]) == (4, 4, result["best_round"])
        assert {k: run[k] for k in result["valid"]} == result["valid"]
        assert (run["bytes_up"], run["bytes_down"]) == (result["bytes_up"], result["bytes_down"])

    listed = nwp("runs", "list")
    assert listed.code == 0
    lines = listed.out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[0] == second["id"]
    assert {"second", "finished", "4/4", "six.jsonl"} <= set(lines[1].split())
    assert f"{first['perplexity']:,.1f}" in lines[2]


def test_a_run_is_shown_by_its_id_the_beginning_of_it_its_folder_or_as_the_last(
    nwp: Nwp, past: Place
) -> None:
    second, first = nwp("runs", "list", "--json").result()["runs"]
    for words in ((first["id"],), (first["id"][:4],), ("first",), (past.folder / "first",)):
        assert nwp("runs", "show", *words, "--json").result()["id"] == first["id"]
    last = nwp("runs", "show", "--json").result()
    assert last["id"] == second["id"]
    assert last["settings"]["seed"] == 1
    assert last["settings"]["local.learning_rate"] == 2.0
    assert last["versions"]["nwp"]
    assert last["command"].startswith("nwp train ")
    assert last["result"]["valid"] == result_in(past.folder / "second")["valid"]
    assert [row["round"] for row in last["history"]] == [1, 2, 3, 4]

    shown = nwp("runs", "show", "first").out
    assert f"{first['id']}, finished" in shown
    assert "local.learning_rate = 4.0" in shown


def test_an_unknown_or_unclear_run_is_an_error(
    nwp: Nwp, past: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no run 'zzz'" in nwp("runs", "show", "zzz", "--json").error("bad-input")
    shutil.copy(past.home / "runs.sqlite", tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        db.execute("DELETE FROM rounds")
        db.execute("UPDATE runs SET id = 'abc' || number")
        db.commit()
    monkeypatch.setenv("NWP_HOME", str(tmp_path))
    said = nwp("runs", "show", "abc", "--json").error("bad-input")
    assert "several runs begin with 'abc'" in said
    assert "abc1" in said
    assert nwp("runs", "show", "abc1", "--json").result()["id"] == "abc1"


def test_two_runs_are_compared_by_what_differs(nwp: Nwp, past: Place) -> None:
    found = nwp("runs", "compare", "first", "second", "--json").result()
    assert found["comparable"] is True
    assert found["settings"] == {
        "seed": [0, 1],
        "local.learning_rate": [4.0, 2.0],
        "cohort": [4, 3],
    }
    perplexities = [result_in(past.folder / n)["valid"]["perplexity"] for n in ("first", "second")]
    assert found["results"]["perplexity"] == {
        "values": perplexities,
        "best": perplexities.index(min(perplexities)),
    }
    moved = result_in(past.folder / "first")["bytes_up"]  # one worker's in both: nobody is best
    assert found["results"]["bytes_up"] == {"values": [moved, moved], "best": None}
    assert found["results"]["rounds"] == {"values": [4, 4], "best": None}

    done = nwp("runs", "compare", "first", "second")
    lines = {line.split()[0]: line for line in done.out.splitlines()[1:]}
    assert lines["local.learning_rate"].split()[1:] == ["4.0", "2.0"]
    assert lines["perplexity"].count("*") == 1
    assert "hidden" not in lines
    assert done.err == ""


def test_runs_of_other_words_are_not_held_against_each_other(
    nwp: Nwp, corpus: Path, own_place: Path
) -> None:
    nwp("train", corpus, "--out", "a", *TINY, "--rounds", 1)
    nwp("train", corpus, "--out", "b", *TINY, "--rounds", 1, "--public-words", 100)
    done = nwp("runs", "compare", "a", "b")
    assert "*" not in done.out
    assert "do not compare" in done.err
    found = nwp("runs", "compare", "a", "b", "--json").result()
    assert found["comparable"] is False
    assert {result["best"] for result in found["results"].values()} == {None}


def test_one_run_alone_is_not_compared(nwp: Nwp, past: Place) -> None:
    for words in ((), ("first",), ("first", "first")):
        nwp("runs", "compare", *words, "--json").error("bad-settings")


def test_curves_are_drawn_here(nwp: Nwp, past: Place) -> None:
    done = nwp("runs", "plot", "first", "second")
    lines = done.out.splitlines()
    assert done.code == 0
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[0] == "valid perplexity"
    assert "● " in lines[-1]
    assert "○ " in lines[-1]
    assert lines[-1].count("first") == lines[-1].count("second") == 1
    assert sum(line.count("●") for line in lines[1:-1]) in (1, 2)  # one may lie behind another

    found = nwp("runs", "plot", "first", "--metric", "loss", "--by", "bytes", "--json").result()
    (curve,) = found["curves"]
    history = history_in("first", 4)
    assert [y for _, y in curve["points"]] == [report["loss"] for report in history]
    moved = [report["bytes_up"] + report["bytes_down"] for report in history]
    assert [x for x, _ in curve["points"]] == [sum(moved[: n + 1]) for n in range(4)]


def test_what_cannot_be_drawn_is_said(nwp: Nwp, past: Place, tmp_path: Path) -> None:
    for words in (("--metric", "colour"), ("--by", "phase"), ("--out", tmp_path / "a.gif")):
        nwp("runs", "plot", *words, "--json").error("bad-settings")


def test_curves_are_drawn_into_a_picture(nwp: Nwp, past: Place, tmp_path: Path) -> None:
    found = nwp("runs", "plot", "first", "second", "--out", tmp_path / "c.svg", "--json").result()
    assert found["file"] == str(tmp_path / "c.svg")
    assert b"<svg" in (tmp_path / "c.svg").read_bytes()


def test_a_forgotten_run_is_gone_and_its_model_stays(nwp: Nwp, corpus: Path) -> None:
    nwp("train", corpus, "--out", "m", *TINY, "--rounds", 1)
    before = files_in(Path("m"))
    (run,) = nwp("runs", "list", "--json").result()["runs"]
    assert nwp("runs", "forget", "m", "--json").result()["forgotten"] == run["id"]
    assert nwp("runs", "list", "--json").result() == {"runs": []}
    assert files_in(Path("m")) == before


# ------------------------------------------------------------------ while training, and when it ends


def test_a_run_under_way_is_running_and_cannot_be_forgotten(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(self: Rounds, state: RunState) -> None:
        (run,) = PastRuns().every()
        seen.append((run.state, run.reached, len(rows_in("m"))))
        with pytest.raises(Exception, match="is running"):
            PastRuns().forget(run)

    monkeypatch.setattr(Rounds, "round_done", look)
    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json").result()
    assert seen == [("running", n, n) for n in (1, 2, 3, 4)]
    assert [run.state for run in PastRuns().every()] == ["finished"]


def test_an_interrupted_run_is_stopped_and_going_on_is_the_same_run(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Rounds, state: RunState) -> None:
        if state.number == 2:
            raise KeyboardInterrupt

    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "round_done", stop)
        nwp(*words).error("interrupted")
    (before,) = nwp("runs", "list", "--json").result()["runs"]
    assert (before["state"], before["reason"], before["rounds"]) == ("stopped", "", 2)
    assert nwp("runs", "list").out.splitlines()[1].split()[0] == before["id"]

    nwp(*words, "--resume").result()
    (after,) = nwp("runs", "list", "--json").result()["runs"]
    assert (after["id"], after["state"], after["rounds"]) == (before["id"], "finished", 4)


def test_a_run_that_fails_tells_of_what_kind_and_no_more(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Rounds, state: RunState) -> None:
        raise RuntimeError("user3 wrote: see you tomorrow")

    monkeypatch.setattr(Rounds, "round_done", fail)
    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json").error("internal")
    (run,) = PastRuns().every()
    assert (run.state, run.reason, run.reached) == ("failed", "RuntimeError", 1)
    assert b"tomorrow" not in records().read_bytes()


def test_a_killed_run_is_stopped_and_its_figures_are_those_of_its_history_once_it_is_done(
    nwp: Nwp, forking: Runner, corpus: Path
) -> None:
    words = ("train", str(corpus), "--out", "m", *TINY, *ROUNDS, "--resume", "--json")
    assert forking.run(words, Kill("fsync m/run/.round-3.safetensors")).code < 0
    (killed,) = nwp("runs", "list", "--json").result()["runs"]
    assert (killed["state"], killed["rounds"]) == ("stopped", 2)
    assert [row["round"] for row in rows_in("m")] == ["1", "2"]

    # The third round is durable, and its row not written.
    assert forking.run(words, Kill("open m/run/metrics.csv")).code < 0
    assert json.loads(Path("m/run/state.json").read_text()) == {"round": 3}
    assert [row["round"] for row in rows_in("m")] == ["1", "2"]

    nwp(*words).result()
    (run,) = nwp("runs", "list", "--json").result()["runs"]
    assert (run["id"], run["state"], run["rounds"]) == (killed["id"], "finished", 4)
    history = history_in("m", 4)
    shown = nwp("runs", "show", "m", "--json").result()["history"]
    for report, row, kept in zip(history, rows_in("m"), shown, strict=True):
        told = {
            "round": report["number"],
            "loss": report["loss"],
            "valid_perplexity": (report["valid"] or {}).get("perplexity"),
            "valid_top3": (report["valid"] or {}).get("top3"),
            "best": int(report["kept"]),
            "bytes_up": report["bytes_up"],
            "seconds": report["seconds"],
        }
        assert {name: kept[name] for name in told} == told
        assert {n: float(row[n]) if row[n] else None for n in told} == told


def test_a_run_killed_after_its_result_is_finished(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record could not be told; the folder tells it."""
    with monkeypatch.context() as patch:
        patch.setattr("nwp.runs.records.Recorder.finished", lambda *_: None)
        result = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json").result()
    run = nwp("runs", "show", "--json").result()
    assert run["state"] == "finished"
    assert run["result"]["valid"] == result["valid"]
    assert run["result"]["held_out"] == 0


def test_a_run_whose_folder_is_gone_or_was_taken_by_another_is_stopped(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("nwp.runs.records.Recorder.finished", lambda *_: None)
        nwp("train", corpus, "--out", "m", *TINY, "--rounds", 1)
    nwp("train", corpus, "--out", "m", *TINY, "--rounds", 2, "--force", "--no-record")
    (run,) = PastRuns().every()
    assert (run.state, run.reached) == ("stopped", 1)


# --------------------------------------------------------------------------- what must not be stopped


@pytest.mark.parametrize("hindrance", ["broken", "newer", "locked", "no folder"])
def test_records_that_cannot_be_written_stop_no_training(
    nwp: Nwp, corpus: Path, hindrance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwp.runs.records._PATIENCE", 0.01)
    lock = None
    if hindrance == "no folder":
        Path(os.environ["XDG_DATA_HOME"], "nwp").write_text("a file")
    else:
        records().parent.mkdir()
        if hindrance == "broken":
            records().write_bytes(b"no database" * 500)
        else:
            lock = sqlite3.connect(records(), isolation_level=None)
            lock.execute("PRAGMA user_version = 99" if hindrance == "newer" else "BEGIN EXCLUSIVE")
    try:
        done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")
    finally:
        if lock:
            lock.close()
    assert done.result()["rounds"] == 4
    assert done.err.count("warning:") == 1
    assert "the record of this run" in done.err
    assert len(rows_in("m")) == 4
    if hindrance in ("broken", "newer"):
        assert "move that file away" in nwp("runs", "list", "--json").error("bad-input")


@pytest.mark.parametrize("how", ["option", "environment", "settings"])
def test_nothing_is_recorded_where_it_is_not_wanted(
    nwp: Nwp, corpus: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "environment":
        monkeypatch.setenv("NWP_RUNS", "off")
    if how == "settings":
        Path("nwp.toml").write_text("[train]\nrecord = false\n")
    more = ("--no-record",) if how == "option" else ()
    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, *more, "--json").result()
    assert not records().parent.exists()
    assert len(rows_in("m")) == 4  # the run's own file is always there


def test_no_name_and_no_word_of_anybody_is_recorded(nwp: Nwp) -> None:
    names = ["quirinius", "zenobia", "wilhelmina", "thaddeus", "ottoline"]
    words = ["quokkas", "xylograph", "zanzibar", "flummoxed"]
    text = [f"{words[n % 4]} and {words[(n + 1) % 4]} again" for n in range(12)]
    mail = write_corpus(Path("letters.jsonl"), dict.fromkeys(names, text))
    done = nwp(
        *("train", mail, "--out", "m", *TINY, *ROUNDS, "--k", 1),
        *("--held-out", "zenobia, ottoline", "--me=quirinius", "--json"),
    )
    assert done.result()["held_out"] == ["ottoline", "zenobia"]
    assert b"quokkas" in Path("m/vocabulary.json").read_bytes()  # the model knows it

    kept = records().read_bytes() + Path("m/run/metrics.csv").read_bytes()
    assert b"letters.jsonl" in kept
    assert [word for word in [*names, *words] if word.encode() in kept.lower()] == []
    assert nwp("runs", "show", "--json").result()["settings"]["held_out"] == "2 by name"


# ------------------------------------------------------------------------------------ other trackers


@pytest.mark.parametrize(
    ("option", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")]
)
def test_a_missing_library_is_said_before_anything_is_done(
    nwp: Nwp, corpus: Path, own_place: Path, option: str, module: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, module, None)
    done = nwp("train", corpus, "--out", "m", *TINY, f"--{option}", "board", "--json")
    assert f'pip install "nwp[{option}]"' in done.error("bad-input")
    assert files_in(own_place) == {}
    assert not records().exists()


def test_tensorboard_sees_each_round_once_after_an_interruption(
    nwp: Nwp, corpus: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed: nwp[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def stop(self: Rounds, state: RunState) -> None:
        if state.number == 2:
            raise KeyboardInterrupt

    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--tensorboard", "board", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "round_done", stop)
        nwp(*words).error("interrupted")
    nwp(*words, "--resume").result()

    (folder,) = Path("board").iterdir()
    found = EventAccumulator(str(folder))
    found.Reload()
    assert [event.step for event in found.Scalars("train/loss")] == [1, 2, 3, 4]
    losses = [report["loss"] for report in history_in("m", 4)]
    assert [e.value for e in found.Scalars("train/loss")] == pytest.approx(losses)
    # Who is told of a run changes nothing of the model, its card included.
    for name in ("README.md", "model.safetensors"):
        assert Path("m", name).read_bytes() == (bundle / name).read_bytes()


def test_a_tracker_that_fails_stops_no_training(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        name = "a server far away"

        def __getattr__(self, name: str) -> Any:
            raise ConnectionError("nobody there")

    monkeypatch.setattr("nwp.tasks.tracking.chosen_trackers", lambda **_: [Away()])
    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")
    assert done.result()["rounds"] == 4
    assert done.err.count("a server far away can't be written (nobody there)") == 1


def test_past_runs_are_told_without_loading_what_training_needs() -> None:
    check = "import sys; import nwp.cli.main; import nwp.tasks.past_runs; import nwp.runs.curves; " \
        "print([m for m in ('torch', 'syft', 'matplotlib') if m in sys.modules])"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
