from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from pathlib import Path

import pytest
from made_up import about, rounds

from nwp.errors import BadInput
from nwp.runs import records as module
from nwp.runs.metrics import row_of
from nwp.runs.records import Recorder, Records, recording_wanted, records_file
from nwp.runs.trackers import Trackers

ROWS = [row_of(report) for report in rounds(6)]


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "home" / "runs.sqlite")


def test_nothing_is_there_and_nothing_is_made_before_something_is_kept(records: Records) -> None:
    assert records.every() == []
    assert records.rounds("abc") == []
    assert not records.path.parent.exists()


def test_what_is_kept_is_found_again(records: Records) -> None:
    run = records.begin(about(), [])
    records.add(run, ROWS[:3])
    records.add(run, ROWS[3:5])

    (found,) = records.every()
    assert found.id == run == about().key
    assert found.about == about()
    assert (found.state, found.reason, found.reached, found.result) == ("running", "", 5, None)
    assert found.spent == {"seconds": 3.75, "bytes_down": 150_000, "bytes_up": 135_000}
    assert found.best == ROWS[3]
    assert records.rounds(run) == ROWS[:5]

    records.end(run, "finished", result={"rounds": 4, "valid": {"top1": 0.5}})
    (found,) = records.every()
    assert found.state == "finished"
    assert found.result == {"rounds": 4, "valid": {"top1": 0.5}}
    assert found.began <= found.updated


def test_only_its_owner_may_read_it(records: Records) -> None:
    records.begin(about(), ROWS)
    assert stat.S_IMODE(records.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(records.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in records.path.parent.iterdir()] == ["runs.sqlite"]


def test_a_run_that_goes_on_is_the_same_run(records: Records) -> None:
    run = records.begin(about(), [])
    records.add(run, ROWS[:4])
    records.end(run, "stopped")

    again = records.begin(about(workers=3), ROWS[:3])  # its last round was damaged

    assert again == run
    (found,) = records.every()
    assert (found.state, found.reached, found.about.workers) == ("running", 3, 3)
    assert records.rounds(run) == ROWS[:3]


def test_a_run_that_had_come_to_no_round_is_begun_again_as_the_same(records: Records) -> None:
    assert records.begin(about(), []) == records.begin(about(), [])
    assert len(records.every()) == 1


def test_a_run_begun_anew_is_another_and_the_one_before_stays(records: Records) -> None:
    first = records.begin(about(), [])
    records.add(first, ROWS)
    second = records.begin(about(), [])
    records.add(second, ROWS[:1])
    third = records.begin(about(), [])

    assert len({first, second, third}) == 3
    assert [run.id for run in records.every()] == [third, second, first]
    assert [run.reached for run in records.every()] == [0, 1, 6]
    assert [run.state for run in records.every()] == ["running", "stopped", "stopped"]
    assert records.begin(about(), ROWS[:2]) == third


def test_other_settings_or_another_folder_make_another_run(records: Records) -> None:
    here = records.begin(about(), ROWS)
    assert records.begin(about(fingerprint="e" * 64), ROWS) != here
    assert records.begin(about(out="/elsewhere/m"), ROWS) != here
    assert {run.id: run.state for run in records.every()}[here] == "stopped"


def test_rounds_told_where_none_was_recorded_are_all_kept(records: Records) -> None:
    """It was begun with recording off."""
    run = records.begin(about(), ROWS[:5])
    assert records.rounds(run) == ROWS[:5]


def test_ids_that_would_be_the_same_grow(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "digest_of", lambda *parts: f"aaaaaa{len(parts[0])}bbbb")
    assert records.begin(about("/a"), ROWS) == "aaaaaa"
    assert records.begin(about("/ab"), ROWS) == "aaaaaa3"


def test_a_forgotten_run_is_gone_with_its_rounds(records: Records) -> None:
    first, second = records.begin(about("/a"), ROWS), records.begin(about("/b"), ROWS)
    records.forget(first)
    assert [run.id for run in records.every()] == [second]
    assert records.rounds(first) == []
    assert records.rounds(second) == ROWS


def _write(path: Path, name: str) -> None:
    tracker, warned = Recorder(Records(path)), []
    every = Trackers([tracker], warned.append)
    every.started(about(f"/{name}"), ())
    for number in range(1, 31):
        every.progressed(rounds(number))
    every.finished({"rounds": 30})
    assert not warned, warned


def test_runs_at_the_same_time_lose_nothing(records: Records) -> None:
    """The first of them make the file at the same moment."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(records.path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert {
        run.about.out.name: (run.state, run.reached) for run in records.every()
    } == dict.fromkeys("abc", ("finished", 30))


def break_it(path: Path) -> None:
    path.write_bytes(b"This is no database, and was one perhaps." * 100)


def cut_it(path: Path) -> None:
    Records(path).begin(about(), ROWS)
    path.write_bytes(path.read_bytes()[:5000])


def make_it_newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def make_it_a_folder(path: Path) -> None:
    path.mkdir()


def make_it_another(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1")
        db.execute("CREATE TABLE runs (name TEXT)")
    db.close()


BREAKS = (break_it, cut_it, make_it_newer, make_it_a_folder, make_it_another)


@pytest.mark.parametrize("harm", BREAKS, ids=lambda harm: harm.__name__)
def test_what_cannot_be_used_stops_no_run_and_is_said_to_who_wants_to_read(
    records: Records, harm: object
) -> None:
    records.path.parent.mkdir()
    harm(records.path)  # type: ignore[operator]
    warned: list[str] = []
    every = Trackers([Recorder(records)], warned.append)
    every.started(about("/b"), ())
    every.progressed(rounds(1))
    every.finished({})

    assert len(warned) == 1
    assert str(records.path) in warned[0]
    with pytest.raises(BadInput, match="can't be used") as caught:
        records.every()
    assert "move that file away" in caught.value.hint


def test_a_locked_file_is_waited_for_and_then_left(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    run = records.begin(about("/a"), ROWS[:1])
    warned: list[str] = []
    every = Trackers([Recorder(records)], warned.append)
    other = sqlite3.connect(records.path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        every.started(about("/a"), rounds(1))
        every.progressed(rounds(2))
        other.execute("COMMIT")
    finally:
        other.close()
    every.progressed(rounds(3))

    assert len(warned) == 1
    assert "database is locked" in warned[0]
    assert records.rounds(run) == ROWS[:3]  # what it had missed is there


def test_a_folder_that_cannot_be_made_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    warned: list[str] = []
    every = Trackers([Recorder(Records(tmp_path / "file" / "runs.sqlite"))], warned.append)
    every.started(about(), ())
    every.stopped("")
    assert len(warned) == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("how", ["finished", "stopped", "failed"])
def test_how_a_run_ended_is_kept(records: Records, how: str) -> None:
    recorder = Recorder(records)
    recorder.started(about(), ())
    recorder.progressed(rounds(2))
    if how == "finished":
        recorder.finished(rounds(3), {"rounds": 3})
    else:
        recorder.stopped("no-quorum" if how == "failed" else "")
    (found,) = records.every()
    assert found.state == how
    assert found.reason == ("no-quorum" if how == "failed" else "")
    assert found.reached == (3 if how == "finished" else 2)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("off", False), (" OFF", False), ("no", False), ("0", False), ("", True), ("on", True)],
)
def test_the_environment_turns_records_off(
    monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool
) -> None:
    monkeypatch.setenv("NWP_RUNS", value)
    assert recording_wanted() is wanted


def test_they_lie_where_everything_of_the_user_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NWP_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert records_file() == tmp_path / "data" / "nwp" / "runs.sqlite"
    monkeypatch.setenv("NWP_HOME", str(tmp_path / "home"))
    assert records_file() == tmp_path / "home" / "runs.sqlite"
