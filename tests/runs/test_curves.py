from __future__ import annotations

import math
from pathlib import Path

import pytest
from made_up import round_of, rounds

from nwp.errors import BadSettings
from nwp.runs.curves import MARKS, Curve, curve_of, draw, save
from nwp.runs.metrics import row_of

ROWS = [row_of(report) for report in rounds(4)]


@pytest.mark.parametrize(
    ("metric", "axis", "points"),
    [
        ("perplexity", "round", ((2, 50.0), (4, 25.0))),
        ("top1", "round", ((2, 0.02), (4, 0.04))),
        ("top3", "words", ((2003, 0.04), (4010, 0.08))),
        ("loss", "seconds", ((0.25, 4.9), (0.75, 4.8), (1.5, 4.7), (2.5, 4.6))),
        ("perplexity", "bytes", ((57_000, 50.0), (190_000, 25.0))),
        ("bytes", "round", ((1, 19_000), (2, 38_000), (3, 57_000), (4, 76_000))),
    ],
)
def test_a_curve_is_of_a_figure_by_what_had_been_spent(
    metric: str, axis: str, points: tuple[tuple[float, float], ...]
) -> None:
    found = curve_of("m", ROWS, metric, axis).points
    assert [y for _, y in found] == pytest.approx([y for _, y in points])
    assert [x for x, _ in found] == pytest.approx([x for x, _ in points])


def test_what_is_no_number_is_left_out() -> None:
    rows = [row_of(round_of(1, loss=math.nan)), row_of(round_of(2, users=0)), row_of(round_of(3))]
    assert curve_of("m", rows, "loss", "round").points == ((3.0, 4.7),)


@pytest.mark.parametrize(("metric", "axis"), [("colour", "round"), ("loss", "phase"), ("", "")])
def test_unknown_figures_are_refused(metric: str, axis: str) -> None:
    with pytest.raises(BadSettings, match="no curve"):
        curve_of("m", ROWS, metric, axis)


def test_a_drawing_puts_each_point_where_it_belongs() -> None:
    lines = draw([Curve("a", ((1, 0.0), (2, 5.0), (3, 10.0)))], width=48, height=11)
    assert all(len(line) <= 48 for line in lines)
    cells = [line.split("│")[1] if "│" in line else "" for line in lines]
    width = len(lines[11].split("└")[1])
    assert len(cells[0]) == width
    assert cells[0].endswith(MARKS[0])  # the last point, at the top to the right
    assert cells[10].startswith(MARKS[0])
    assert abs(cells[5].index(MARKS[0]) - (width - 1) / 2) <= 0.5
    assert sum(line.count(MARKS[0]) for line in lines) == 3
    assert lines[0].split("│")[0].strip() == "10"
    assert lines[10].split("│")[0].strip() == "0"
    assert lines[12].split() == ["1", "3"]


def test_curves_have_marks_of_their_own_and_lines_between_their_points() -> None:
    first, second = Curve("a", ((1, 1.0), (9, 9.0))), Curve("b", ((1, 9.0), (9, 1.0)))
    text = "\n".join(draw([first, second], width=60))
    assert text.count(MARKS[0]) == text.count(MARKS[1]) == 2
    assert text.count("·") > 30


@pytest.mark.parametrize("points", [((5.0, 7.0),), ((5.0, 0.0),), ((1.0, 3.0), (2.0, 3.0))])
def test_one_point_or_a_level_line_can_be_drawn(points: tuple[tuple[float, float], ...]) -> None:
    text = "\n".join(draw([Curve("a", points), Curve("none", ())], width=50))
    assert text.count(MARKS[0]) == len(points)


def test_more_curves_than_can_be_told_apart_are_refused() -> None:
    many = [Curve(str(n), ((1, 1.0),)) for n in range(len(MARKS) + 1)]
    assert draw(many[:-1], width=50)
    with pytest.raises(BadSettings, match="told apart"):
        draw(many, width=50)


def test_large_values_are_short(tmp_path: Path) -> None:
    lines = draw([Curve("a", ((12_345_678, 45_600.0), (3_456_789_012, 0.123456)))], width=60)
    text = "\n".join(lines)
    assert "45.6k" in text
    assert "12.3M" in lines[-1]
    assert "3.5G" in lines[-1]
    assert "0.1235" in text


def test_a_picture_is_the_same_each_time(tmp_path: Path) -> None:
    curves = [curve_of("first", ROWS, "loss", "round"), curve_of("second", ROWS, "loss", "round")]
    for name in ("a.svg", "b.svg", "c.png"):
        save(curves, tmp_path / name, "loss", "round")
    drawn = (tmp_path / "a.svg").read_bytes()
    assert drawn == (tmp_path / "b.svg").read_bytes()
    assert b"<svg" in drawn
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_no_known_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="is no picture"):
        save([], tmp_path / "curves.gif", "loss", "round")
    assert not list(tmp_path.iterdir())
