"""Curves of runs, drawn with letters on a terminal or by matplotlib into a file."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nwp.errors import BadSettings
from nwp.files import write_atomic
from nwp.runs.metrics import Row

Point = tuple[float, float]

METRICS: Mapping[str, str] = {
    "perplexity": "valid perplexity",
    "top1": "valid top-1",
    "top3": "valid top-3",
    "loss": "training loss, nats a word",
    "bytes": "bytes moved a round",
}
AXES: Mapping[str, str] = {
    "round": "round",
    "words": "words trained on",
    "bytes": "bytes moved",
    "seconds": "seconds of computing",
}
MARKS = "●○▲△■□◆◇"
FORMATS = (".svg", ".png")
_PIXELS, _SHARP = (760, 420), 144  # of a picture; dots an inch of PNG, two a pixel


@dataclass(frozen=True)
class Curve:
    """What it is of, and its points in order of rounds; there may be none."""

    name: str
    points: tuple[Point, ...]


def curve_of(name: str, rows: Sequence[Row], metric: str, axis: str) -> Curve:
    """One figure of a run by rounds, or by what had been spent by then.

    BadSettings for a metric or an axis that is not in `METRICS` or `AXES`.
    """
    for known, given in ((METRICS, metric), (AXES, axis)):
        if given not in known:
            raise BadSettings(f"no curve of or by {given!r}", f"There are {', '.join(known)}.")
    points, spent = [], 0.0
    for row in rows:
        spent = float(row["round"] or 0) if axis == "round" else spent + (_figure(row, axis) or 0)
        value = _figure(row, metric)
        if value is not None and math.isfinite(value):
            points.append((spent, value))
    return Curve(name, tuple(points))


def _figure(row: Row, name: str) -> float | None:
    if name == "bytes":
        return float(row["bytes_down"] or 0) + float(row["bytes_up"] or 0)
    return row[f"valid_{name}"] if f"valid_{name}" in row else row[name]


def draw(curves: Sequence[Curve], width: int, height: int = 16) -> list[str]:
    """Lines of text: the curves, each with a mark of its own, values to the left and below.

    `width` characters at most, as long as that is 40 or more. BadSettings for more curves than marks.
    """
    _not_too_many(curves)
    every = [point for curve in curves for point in curve.points]
    left, right = _range([x for x, _ in every])
    low, high = _range([y for _, y in every])
    labels = [_short(high - (high - low) * row / (height - 1)) for row in range(height)]
    margin = max(len(label) for label in labels)
    across = max(width, 40) - margin - 2
    grid = [[" "] * across for _ in range(height)]
    for curve, mark in zip(curves, MARKS, strict=False):
        placed = [
            (
                (x - left) / (right - left) * (across - 1),
                (high - y) / (high - low) * (height - 1),
            )
            for x, y in curve.points
        ]
        for (x, y), (to_x, to_y) in pairwise(placed):
            for column in range(round(x) + 1, round(to_x)):
                row = round(y + (to_y - y) * (column - x) / (to_x - x))
                grid[row][column] = "·" if grid[row][column] == " " else grid[row][column]
        for x, y in placed:
            grid[round(y)][round(x)] = mark
    lines = [
        f"{label if row % 5 == 0 else '':>{margin}} │{''.join(cells)}".rstrip()
        for row, (label, cells) in enumerate(zip(labels, grid, strict=True))
    ]
    first, last = _short(left), _short(right)
    lines.append(f"{'':>{margin}} └{'─' * across}")
    lines.append(f"{'':>{margin}}  {first}{last:>{across - len(first)}}")
    return lines


def save(curves: Sequence[Curve], path: Path, metric: str, axis: str) -> None:
    """Write a picture, SVG or PNG by the name of the file; the same curves give the same bytes.

    BadSettings for another form.
    """
    if path.suffix.lower() not in FORMATS:
        raise BadSettings(f"{path} is no picture", f"Name it with {' or '.join(FORMATS)}.")
    from nwp.report.drawing import stacked, style

    form = path.suffix.lower().removeprefix(".")
    with style():
        figure, (axes,) = stacked("runs", *_PIXELS)
        for curve in curves:
            x, y = zip(*curve.points, strict=True) if curve.points else ((), ())
            axes.plot(x, y, marker=".", label=curve.name)
        axes.set_xlabel(AXES[axis])
        axes.set_ylabel(METRICS[metric])
        axes.legend()
        drawn = io.BytesIO()
        # Neither a date nor the version of matplotlib: other bytes of the same picture.
        unsaid = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        figure.savefig(drawn, format=form, dpi=_SHARP, metadata=unsaid)
    write_atomic(path, drawn.getvalue())


def _not_too_many(curves: Sequence[Curve]) -> None:
    if len(curves) > len(MARKS):
        raise BadSettings(
            f"{len(curves)} curves can't be told apart here",
            f"Name {len(MARKS)} runs at most, or write a picture with --out curves.svg.",
        )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the largest, and wider than nothing."""
    low, high = min(values), max(values)
    if low < high:
        return low, high
    more = abs(low) / 2 or 1.0
    return low - more, high + more


def _short(value: float) -> str:
    """Four digits or so: 12,345,678 as 12.3M."""
    for least, size, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{value / size:.1f}{unit}"
    return f"{value:.4g}"
