"""Plots of users: how many the model serves how well, and what their words have to do with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nwp.report.colors import LIGHT
from nwp.report.data import FEW, Payload, baselines, counted, over_users, part
from nwp.report.drawing import HALF, WIDE, log_axis, note, short, stacked, style, whole_ticks
from nwp.report.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = 1500  # dots that still can be told apart, and that a page still carries easily


def distribution(payload: Payload, width: int = WIDE) -> Figure | None:
    """How many users the model serves how well: a histogram on a logarithmic axis.

    Pooled figure, median and baselines are marked above it. Where users' rows are withheld, the
    density between deciles takes its place: a tenth of users in each bar.
    """
    known = np.array([row[0] for row in counted(payload, "perplexity")])
    deciles = [over_users(payload, "perplexity").get(f"p{q}") for q in range(10, 100, 10)]
    told = np.array([d for d in deciles if d is not None])
    if len(known) < 2 and len(told) < 9:
        return None
    if len(known) >= 2:
        edges = _log_edges(known, int(np.clip(2 * math.sqrt(len(known)), 8, 36)))
        heights = np.histogram(known, edges)[0].astype(np.float64)
        median, worst = np.quantile(known, [0.5, 0.9])
    else:
        edges = np.maximum.accumulate(told)
        heights = 10 / np.maximum(np.diff(np.log10(edges)), 1e-3)
        median, worst = told[4], told[8]
    marks = [("Median user", float(median), "ink")]
    if (pooled := part(payload, "summary").get("perplexity")) is not None:
        marks.append(("All words pooled", pooled, "accent"))
    marks += [(name, found["perplexity"], "warm") for name, found in baselines(payload)]
    with style():
        strip = 21 * len(marks)
        figure, (above, axes) = stacked("distribution", width, 235 + strip, (strip, 235))
        axes.stairs(heights, edges, fill=True, color=LIGHT["accent-mid"])
        for edge, height in zip(edges[1:-1], np.minimum(heights[1:], heights[:-1]), strict=True):
            axes.plot([edge, edge], [0, height], color=LIGHT["card"], linewidth=1)
        # A model that is far off would leave the users no room.
        reach = edges[-1] * max(edges[-1] / edges[0], 2.0)
        every = [*edges.tolist(), *(value for _, value, _ in marks if value <= reach)]
        log_axis(axes, "x", min(every), max(every), 4 if width < HALF else 9)
        axes.set_xlabel("perplexity (lower is better)")
        axes.set_ylabel("users" if len(known) >= 2 else "users (density)")
        if len(known) < 2:
            axes.set_yticks([])
        else:
            whole_ticks(axes)
        axes.axvspan(worst, edges[-1], color=LIGHT["warm-soft"], zorder=0, linewidth=0)
        if len(known) >= 2:
            axes.annotate(
                "worst tenth",
                (math.sqrt(worst) * math.sqrt(edges[-1]), 1),
                xytext=(0, -5),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                va="top",
                color=LIGHT["warm"],
            )
        _mark(above, axes, marks)
        return figure


def scatter(payload: Payload, width: int = HALF) -> Figure | None:
    """Words against perplexity, a dot a user; for very many users cells that say how many there are."""
    found = [row for row in counted(payload, "tokens", "perplexity") if row[0] > 0]
    if len(found) < 2:
        return None
    words, perplexity = np.array(found).T
    few = words < FEW
    with style():
        figure, (axes,) = stacked("scatter", width, 320)
        most = 4 if width < HALF else 6
        log_axis(axes, "x", words.min(), words.max(), most)
        log_axis(axes, "y", perplexity.min(), perplexity.max(), 6)
        axes.grid(True)
        if len(found) > MANY:
            cells = axes.hexbin(
                words, perplexity, gridsize=28 if width < HALF else 40, xscale="log", yscale="log",
                mincnt=1, linewidths=0,
            )  # fmt: skip
            each = np.sqrt(np.asarray(cells.get_array(), np.float64))
            cells.set_array(None)
            rgb = [int(LIGHT["accent"][i : i + 2], 16) / 255 for i in (1, 3, 5)]
            cells.set_facecolor([(*rgb, 0.15 + 0.85 * s) for s in (each / each.max()).tolist()])
            cells.set_edgecolor("none")
            log_axis(axes, "x", words.min(), words.max(), most)
            log_axis(axes, "y", perplexity.min(), perplexity.max(), 6)
        else:
            dot: dict[str, Any] = {"s": 30 if len(found) < 300 else 12, "linewidths": 1.2}
            axes.scatter(
                words[~few], perplexity[~few], color=LIGHT["accent"], alpha=0.65, zorder=3, **dot
            )
            axes.scatter(
                words[few], perplexity[few], facecolors=LIGHT["card"], edgecolors=LIGHT["accent-mid"],
                zorder=2, **dot,
            )  # fmt: skip
        if few.any():
            left = axes.get_xlim()[0]
            axes.axvspan(left, FEW, color=LIGHT["grid"], zorder=0, linewidth=0, alpha=0.6)
            axes.set_xlim(left)
            note(axes, (left, 1), f"under {FEW} words", (6, -5), "top", axes.get_xaxis_transform())
        if (pooled := part(payload, "summary").get("perplexity")) is not None:
            axes.axhline(pooled, color=LIGHT["ink"], linewidth=1, linestyle=(0, (4, 3)), zorder=4)
            note(axes, (1, pooled), "pooled", (0, 4), "bottom", axes.get_yaxis_transform(), "right")
        axes.set_xlabel("words counted")
        axes.set_ylabel("perplexity")
        return figure


def _mark(above: Axes, axes: Axes, marks: Sequence[tuple[str, float, str]]) -> None:
    """A row for each mark above a histogram, with a dot where it lies and its name beside it."""
    low, high = (math.log(limit) for limit in axes.get_xlim())
    above.set_ylim(-0.5, len(marks) - 0.5)
    above.set_axis_off()
    middle = (low + high) / 2

    # From the bottom: no line crosses the name of another mark, as far as that can be had.
    def order(mark: tuple[str, float, str]) -> tuple[int, float]:
        at = math.log(mark[1])
        return (2, 0.0) if at > high else (0, at) if at > middle else (1, -at)

    for row, (long, value, color) in enumerate(sorted(marks, key=order)):
        name, right = short(long), math.log(value) > middle
        side = "right" if right else "left"
        text, offset = f"{name} {number(value, 1)}", (-9 if right else 9, 0)
        if math.log(value) > high:  # off the axis: named at its end
            end = axes.get_xlim()[1]
            note(above, (end, row), f"{text} →", (0, 0), "center", above.transData, side, color)
            continue
        stem = above.plot([value, value], [-1.05, row], color=LIGHT[color], linewidth=1, alpha=0.55)
        stem[0].set_clip_on(False)
        above.plot(value, row, "o", color=LIGHT[color], markersize=6)
        note(above, (value, row), text, offset, "center", above.transData, side, color)
        axes.axvline(value, color=LIGHT[color], linewidth=1, alpha=0.55)


def _log_edges(values: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.float64]:
    """Borders of bins of one width on a logarithmic axis, around all values."""
    low, high = float(values.min()), float(values.max())
    if high / low < 1.05:
        low, high = low / 1.05, high * 1.05
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    return edges
