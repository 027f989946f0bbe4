"""Event files, read by TensorBoard's own reader."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from made_up import about, round_of, rounds

from nwp.errors import BadInput
from nwp.runs.to_tensorboard import TensorBoard


def test_without_the_library_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BadInput) as caught:
        TensorBoard(tmp_path)
    assert 'pip install "nwp[tensorboard]"' in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.fixture
def board(tmp_path: Path) -> Path:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed: nwp[tensorboard]")
    return tmp_path / "board"


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (run,) = folder.iterdir()
    found = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def steps(found: Any, name: str) -> list[int]:
    return [event.step for event in found.Scalars(name)]


def test_each_figure_is_a_curve_by_round(board: Path) -> None:
    tracker = TensorBoard(board)
    tracker.started(about(), ())
    for number in range(1, 5):
        tracker.progressed(rounds(number))
    tracker.finished(rounds(4), {"rounds": 4})

    found = read(board)
    assert steps(found, "train/loss") == [1, 2, 3, 4]
    assert [e.value for e in found.Scalars("train/loss")] == pytest.approx([4.9, 4.8, 4.7, 4.6])
    assert steps(found, "valid/perplexity") == [2, 4]
    assert [e.value for e in found.Scalars("valid/perplexity")] == [50.0, 25.0]
    assert [e.value for e in found.Scalars("traffic/bytes_up")] == [9e3, 18e3, 27e3, 36e3]


def test_settings_and_result_are_texts(board: Path) -> None:
    tracker = TensorBoard(board)
    tracker.started(about(), ())
    tracker.finished((), {"rounds": 0})
    found = read(board)
    text = {
        name: found.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode()
        for name in ("settings", "run", "result")
    }
    assert "| local.batch | `16` |" in text["settings"]
    assert "| corpus | `letters.jsonl` |" in text["run"]
    assert "| rounds | `0` |" in text["result"]


def test_a_run_that_goes_on_has_each_step_once_and_none_missing(board: Path) -> None:
    killed = TensorBoard(board)
    killed.started(about(), ())
    killed.progressed(rounds(3))  # and no end
    again = TensorBoard(board)
    again.started(about(), rounds(2))  # the third was damaged
    again.progressed(rounds(3))
    again.stopped("")
    found = read(board)
    assert steps(found, "train/loss") == [1, 2, 3]
    times = [event.wall_time for event in found.Scalars("train/loss")]
    assert times == sorted(times)
    assert len(list(board.rglob("events.*"))) == 1  # for readers that know of no taking back, too
    killed.stopped("")


def test_one_that_began_without_it_has_its_first_rounds_too(board: Path) -> None:
    tracker = TensorBoard(board)
    tracker.started(about(), [round_of(n, seconds=60.0) for n in (1, 2, 3)])
    tracker.stopped("failed")
    first, second, third = (event.wall_time for event in read(board).Scalars("train/loss"))
    assert (second - first, third - second) == pytest.approx((60, 60), abs=0.01)


def test_runs_have_folders_of_their_own(board: Path) -> None:
    for where in ("/a/m", "/b/m"):
        tracker = TensorBoard(board)
        tracker.started(about(where), rounds(1))
        tracker.stopped("")
    assert len({path.name for path in board.iterdir()}) == 2
    assert all(path.name.startswith("m-") for path in board.iterdir())
