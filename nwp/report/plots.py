"""Plots of an evaluation: matplotlib figures, drawn without a screen and the same to the byte.

Sizes are in pixels of CSS: one is one point of matplotlib at 72 dots an inch. Each plot can be drawn
for a phone too (`narrow`), because text of a drawing that is only made smaller can't be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nwp.report.colors import LIGHT
from nwp.report.data import Payload, baselines, part, rows
from nwp.report.drawing import (
    HALF,
    PHONE,
    THIRD,
    TITLES,
    WIDE,
    empty,
    note,
    short,
    stacked,
    style,
    whole_ticks,
)
from nwp.report.user_plots import distribution, scatter
from nwp.report.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEAD: dict[str, Any] = {"fontsize": 12, "color": LIGHT["muted"], "loc": "left", "pad": 8}
_FIFTHS = [0, 0.2, 0.4, 0.6, 0.8, 1]
_PERCENT = [f"{100 * share:.0f}%" for share in _FIFTHS]


def figures(payload: Payload, *, narrow: bool = False) -> dict[str, Figure]:
    """All plots that there is something to draw for, by name (the keys of `TITLES`), in that order."""
    draw: dict[str, Callable[[Payload, int], Figure | None]] = {
        "distribution": distribution,
        "scatter": scatter,
        "position": position,
        "frequency": frequency,
        "length": length,
        "baselines": compared,
        "calibration": calibration,
        "learning": learning,
    }
    widths = {"distribution": WIDE, "baselines": WIDE, "learning": WIDE}
    widths |= dict.fromkeys(("position", "frequency", "length"), THIRD)
    found = {
        name: draw[name](payload, PHONE if narrow else widths.get(name, HALF)) for name in TITLES
    }
    return {name: figure for name, figure in found.items() if figure is not None}


# ------------------------------------------------------------------------------------------- plots


def position(payload: Payload, width: int = THIRD) -> Figure | None:
    """Share of words guessed, by their place in the message."""
    return _sliced(payload, "position", width)


def frequency(payload: Payload, width: int = THIRD) -> Figure | None:
    """Share of words guessed, by how frequent the word is."""
    return _sliced(payload, "frequency", width)


def length(payload: Payload, width: int = THIRD) -> Figure | None:
    """Share of words guessed, by how many letters the word has."""
    return _sliced(payload, "length", width)


def compared(payload: Payload, width: int = WIDE) -> Figure | None:
    """Perplexity and hits of the model and of baselines as bars.

    A perplexity that would leave the other bars no room is cut off, and says so.
    """
    model = part(payload, "summary")
    if not (others := list(baselines(payload))) or model.get("perplexity") is None:
        return None
    bars = [("This model", model), *others]
    bars.sort(key=lambda bar: float(bar[1]["perplexity"]), reverse=True)
    colors = [LIGHT["accent" if name == "This model" else "idle"] for name, _ in bars]
    narrow = width < HALF
    size = 26 * len(bars) + 42
    with style():
        figure = empty("baselines", width, size * (2 if narrow else 1))
        left, right = figure.subplots(
            *((2, 1) if narrow else (1, 2)), sharey=not narrow, squeeze=True
        )
        perplexity = [float(found["perplexity"]) for _, found in bars]
        limit = 1.25 * max(p for p in perplexity if p <= 3 * float(model["perplexity"]))
        labels = [number(p, 1) + (" (bar cut off)" if p > limit else "") for p in perplexity]
        _bars(left, bars, [min(p, limit) for p in perplexity], labels, colors)
        for y, value in enumerate(perplexity):
            if value > limit:
                for x in (0.9, 0.92):
                    axis = ([x * limit, (x + 0.02) * limit], [y - 0.42, y + 0.42])
                    left.plot(*axis, color=LIGHT["card"], linewidth=2)
        left.set_title("perplexity" + " (lower is better)" * (not narrow), **_HEAD)
        top3 = [found.get("top3") or 0.0 for _, found in bars]
        labels = ["" if found.get("top3") is None else f"{found['top3']:.1%}" for _, found in bars]
        _bars(right, bars, top3, labels, colors)
        right.set_title("among three" + " guesses (higher is better)" * (not narrow), **_HEAD)
        return figure


def calibration(payload: Payload, width: int = HALF) -> Figure | None:
    """Reliability diagram: of guesses that are so sure, how many were right; and how many there were."""
    bins = [
        b for b in rows(payload, "calibration", "bins")
        if b.get("count") and b.get("confidence") is not None and b.get("accuracy") is not None
    ]  # fmt: skip
    if not bins:
        return None
    sure = [float(b["confidence"]) for b in bins]
    right = [float(b["accuracy"]) for b in bins]
    with style():
        figure, (axes, below) = stacked("calibration", width, 340, (250, 60))
        axes.plot([0, 1], [0, 1], color=LIGHT["muted"], linewidth=1, linestyle=(0, (4, 3)))
        axes.vlines(sure, sure, right, color=LIGHT["warm"], linewidth=2, alpha=0.55)
        axes.plot(sure, right, color=LIGHT["accent"], linewidth=2, marker="o", markersize=5)
        axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="were right")
        axes.set_yticks(_FIFTHS, _PERCENT)
        axes.grid(True)
        axes.tick_params(labelbottom=False)
        note(axes, (0.97, 0.9), "too modest", (-30, 0), "bottom", axes.transData, "right")
        note(axes, (0.97, 0.06), "too sure", (0, 0), "bottom", axes.transData, "right")
        widths = [float(b["to"]) - float(b["from"]) for b in bins]
        below.bar(
            [float(b["from"]) for b in bins], [float(b["count"]) for b in bins], widths,
            align="edge", color=LIGHT["accent-mid"], edgecolor=LIGHT["card"], linewidth=1,
        )  # fmt: skip
        below.set(xlabel="confidence of the first guess", ylabel="words", yticks=[])
        below.set_xticks(_FIFTHS, _PERCENT)
        return figure


def learning(payload: Payload, width: int = WIDE) -> Figure | None:
    """Valid perplexity, and mean loss of training, by round."""
    curve = [row for row in rows(payload, "curve") if row.get("round") is not None]
    valid = [
        (row["round"], row["valid"]["perplexity"])
        for row in curve
        if row.get("valid") and row["valid"].get("perplexity") is not None
    ]
    loss = [(row["round"], row["loss"]) for row in curve if row.get("loss") is not None]
    lines = [
        line
        for line in (
            ("valid perplexity", valid, "accent", ",.1f"),
            ("training loss, nats a word", loss, "warm", ".3f"),
        )
        if len(line[1]) >= 2
    ]
    if not lines:
        return None
    narrow = width < HALF
    with style():
        figure = empty("learning", width, 230 * (len(lines) if narrow else 1))
        shape = (len(lines), 1) if narrow else (1, len(lines))
        every = figure.subplots(*shape, squeeze=False).ravel().tolist()
        for axes, (title, points, color, form) in zip(every, lines, strict=True):
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=LIGHT[color], linewidth=2)
            best = int(np.argmin(y))
            axes.plot(x[best], y[best], "o", color=LIGHT[color], markersize=6)
            late = x[best] > (x[0] + x[-1]) / 2
            note(
                axes, (x[best], y[best]), f"{y[best]:{form}} in round {x[best]:,}",
                (2 if late else -2, 9), "bottom", axes.transData, "right" if late else "left", color,
            )  # fmt: skip
            axes.set_title(title, **_HEAD)
            axes.set_xlabel("round")
            axes.grid(True)
            axes.margins(x=0.02, y=0.12)
            whole_ticks(axes, "x")
        return figure


# ------------------------------------------------------------------------------------------- parts


def _sliced(payload: Payload, by: str, width: int) -> Figure | None:
    """Horizontal bars: hits among three guesses, and of them those of the first guess."""
    found = [row for row in rows(payload, "slices", by) if row.get("top3") is not None]
    if not found:
        return None
    names = [str(row.get("slice", "")) for row in found]
    at = np.arange(len(found))[::-1]
    top3 = np.array([float(row["top3"]) for row in found])
    top1 = np.array([float(row.get("top1") or 0) for row in found])
    with style():
        figure, (axes,) = stacked(by, width, 40 + 25 * len(found))
        axes.barh(at, top3, height=0.66, color=LIGHT["accent-soft"])
        axes.barh(at, top1, height=0.66, color=LIGHT["accent-mid"])
        for y, share in zip(at, top3, strict=True):
            note(axes, (share, y), f"{share:.0%}", (5, 0), "center", axes.transData, color="ink")
        axes.set_yticks(at, [short(name) for name in names])
        axes.set_xlim(0, max(float(top3.max()) * 1.22, 0.02))
        axes.set_xticks([])
        axes.tick_params(axis="y", colors=LIGHT["ink"])
        for side in ("bottom", "left"):
            axes.spines[side].set_visible(False)
        return figure


def _bars(
    axes: Axes,
    bars: Sequence[tuple[str, Mapping[str, Any]]],
    lengths: Sequence[float],
    labels: Sequence[str],
    colors: Sequence[str],
) -> None:
    """Horizontal bars with their values; those that pool everybody's text are hatched."""
    at = list(range(len(bars)))
    drawn = axes.barh(at, lengths, height=0.68, color=colors)
    for patch, (_, found) in zip(drawn.patches, bars, strict=True):
        if found.get("central"):
            patch.set(hatch="////", edgecolor=LIGHT["card"], linewidth=0)
    for y, (end, label, (name, _)) in enumerate(zip(lengths, labels, bars, strict=True)):
        own = name == "This model"
        note(
            axes, (end, y), label, (6, 0), "center", axes.transData,
            color="accent" if own else "ink", weight="bold" if own else "normal",
        )  # fmt: skip
    axes.set_yticks(at, [short(name) for name, _ in bars])
    axes.tick_params(axis="y", colors=LIGHT["ink"])
    axes.set_xticks([])
    axes.set_xlim(
        0, max(*lengths, 1e-9) * (1.35 if all(len(text) < 9 for text in labels) else 1.75)
    )
    for side in ("bottom", "left"):
        axes.spines[side].set_visible(False)
