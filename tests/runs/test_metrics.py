from __future__ import annotations

import csv
from pathlib import Path

import pytest
from made_up import about, round_of, rounds

from nwp.runs import metrics
from nwp.runs.metrics import COLUMNS, MetricsFile, row_of

HEADER = (
    "round,loss,words,users,valid_perplexity,valid_top1,valid_top3,best,"
    "bytes_down,bytes_up,seconds,waited,late,absent,abandoned"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.csv"


def test_a_round_is_a_row_of_numbers_and_empty_where_nothing_was_measured(path: Path) -> None:
    file = MetricsFile(path)
    file.started(about(), ())
    assert path.read_text() == f"{HEADER}\n"

    first = round_of(1, late=2, waited=1.5, absent={"worker-1": "no plan, thank you"})
    second = round_of(2)
    nobody = round_of(3, users=0, words=0, loss=0.0, abandoned="1 of 4 users answered in time")
    for count in (1, 2, 3):
        file.progressed((first, second, nobody)[:count])

    assert path.read_text().splitlines() == [
        HEADER,
        "1,4.9,1001,4,,,,0,10000,9000,0.25,1.5,2,1,0",
        "2,4.8,1002,4,50.0,0.02,0.04,1,20000,18000,0.5,0.0,0,0,0",
        "3,,0,0,,,,0,30000,27000,0.75,0.0,0,0,1",
    ]


def test_each_column_is_documented_with_its_unit() -> None:
    table = [line for line in (metrics.__doc__ or "").splitlines() if line.startswith("| `")]
    named = [name.strip(" `") for line in table for name in line.split("|")[1].split(",")]
    assert named == list(COLUMNS) == list(row_of(round_of(1)))


def test_numbers_are_read_back_as_they_were(path: Path) -> None:
    loss = 0.1 + 0.2
    MetricsFile(path).started(about(), (round_of(1, loss=loss),))
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["loss"]) == loss


@pytest.mark.parametrize("left", ["", "round,loss\n1,4.9\n", f"{HEADER}\n1,4.9,10", "\x00"])
def test_a_run_that_goes_on_writes_its_own_history_over_what_it_finds(
    path: Path, left: str
) -> None:
    path.write_text(left)
    file = MetricsFile(path)
    file.started(about(), rounds(3))
    file.progressed(rounds(4))

    found = path.read_text().splitlines()
    assert found[0] == HEADER
    assert [line.split(",")[0] for line in found[1:]] == ["1", "2", "3", "4"]


def test_a_round_costs_as_much_to_write_however_many_there_were(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(metrics, "row_of", lambda report: made.append(report) or row_of(report))
    file = MetricsFile(path)
    file.started(about(), ())
    for count in range(1, 101):
        file.progressed(rounds(count))
    assert len(made) == 100


def test_half_a_row_that_a_full_disk_has_left_is_mended_by_the_next_round(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = MetricsFile(path)
    file.started(about(), rounds(1))

    def fill(history: object) -> str:
        with path.open("a") as half:
            half.write("2,4.8,10")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(metrics, "_csv", fill)
        with pytest.raises(OSError, match="No space"):
            file.progressed(rounds(2))
    file.progressed(rounds(3))

    mended = path.read_text()
    file.finished(rounds(3), {})
    assert mended == path.read_text()
    assert mended.count("\n") == 4


def test_a_file_that_was_taken_away_is_written_anew(path: Path) -> None:
    file = MetricsFile(path)
    file.started(about(), rounds(1))
    path.unlink()
    file.progressed(rounds(2))
    assert path.read_text().count("\n") == 3
    path.unlink()
    file.finished(rounds(2), {})
    assert path.read_text().count("\n") == 3
