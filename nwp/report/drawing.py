"""How plots are drawn and written: matplotlib without a screen, the same to the byte.

Sizes are in pixels of CSS: one is one point of matplotlib at 72 dots an inch.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from nwp.files import write_atomic
from nwp.report.colors import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "distribution": "Perplexity over users",
    "scatter": "Words and perplexity of each user",
    "position": "By position in the message",
    "frequency": "By frequency of the word",
    "length": "By length of the word",
    "baselines": "The model beside others",
    "calibration": "Confidence and accuracy",
    "learning": "Learning by round",
}
FORMATS = ("png", "svg")
PHONE, THIRD, HALF, WIDE = 320, 290, 500, 930

_SMALL = 11.0
_STRIP = 40  # pixels for a title
_PER_INCH = 72
_SHARP = 144  # dots an inch of PNG files: two a pixel
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_NAMES = {color: name for name, color in LIGHT.items()}
_STYLE = {
    "figure.dpi": _PER_INCH,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": _SMALL,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,  # names may hold a dollar
    "axes.facecolor": "none",
    "axes.edgecolor": LIGHT["line"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.labelsize": _SMALL,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelsize": _SMALL,
    "ytick.labelsize": _SMALL,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 1,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "nwp",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """How all is drawn, whatever a matplotlibrc of the user's says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield


def save(drawn: Mapping[str, Figure], folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write each plot as NAME.FORMAT, with its title above it, in the colours of the day.

    ValueError for a format that is none of `FORMATS`, before anything is written.
    """
    if unknown := [form for form in formats if form not in FORMATS]:
        raise ValueError(f"plots can be saved as {' and '.join(FORMATS)}, not as {unknown[0]}")
    written = []
    for name, figure in drawn.items():
        with style(), _titled(figure, TITLES[name]):
            for form in formats:
                path = folder / f"{name}.{form}"
                write_atomic(path, _bytes(figure, form, LIGHT["card"]))
                written.append(path)
    return written


def svg(figure: Figure, description: str = "") -> str:
    """A plot as an SVG element for a page that defines the colours as CSS variables (`--accent` …).

    No style sheet and no style attribute, so that a page may forbid both; every id begins with the
    plot's name and width. Readers of the screen are told its title and `description`.
    """
    with style():
        _settle(figure)
        root = ET.fromstring(_bytes(figure, "svg", "none"))
    name = str(figure.get_label())
    size = [float(part) for part in root.attrib["viewBox"].split()[2:]]
    prefix = f"{name}-{size[0]:.0f}-"
    used = set(re.findall(r"#(\w+)", " ".join(v for e in root.iter() for v in e.attrib.values())))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{_SVG}metadata", f"{_SVG}style"}:
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib = dict(_attributes(element.attrib, used, prefix))
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {size[0]:g} {size[1]:g}",
        "role": "img",
        "aria-label": f"{TITLES.get(name, name)}. {description}".strip(),
        "stroke-linejoin": "round",
    }
    return ET.tostring(root, encoding="unicode")


def empty(name: str, width: int, height: int) -> Figure:
    """A figure without axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _PER_INCH, height / _PER_INCH), layout="constrained")
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(w_pad=0.06, h_pad=0.04, hspace=0, wspace=0.06)  # type: ignore[call-arg]
    figure.set_label(name)
    return figure


def stacked(
    name: str, width: int, height: int, parts: Sequence[int] = (1,)
) -> tuple[Figure, list[Axes]]:
    """A figure with axes one above the other, as high as `parts` say, over one x axis."""
    figure = empty(name, width, height)
    axes = figure.subplots(len(parts), 1, height_ratios=list(parts), sharex=True, squeeze=False)
    return figure, axes.ravel().tolist()


def log_axis(axes: Axes, which: str, low: float, high: float, most: int) -> None:
    """A logarithmic axis a little wider than its data, with round numbers, at most so many."""
    room = max((high / low) ** 0.05, 1.06)
    low, high = low / room, min(high * room, 1e307)
    ticks: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(np.arange(1, 10, 0.5))):
        powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        finer = [step * 10.0**power for power in powers for step in steps]
        finer = [tick for tick in finer if low <= tick <= high]
        if len(finer) <= most or not ticks:
            ticks = finer
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks([], minor=True)
    axis.set_ticks(ticks[:: -(-len(ticks) // most)] if ticks else [])
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def whole_ticks(axes: Axes, which: str = "y") -> None:
    """Five round whole numbers or fewer on an axis."""
    from matplotlib.ticker import MaxNLocator

    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def note(
    axes: Axes,
    at: tuple[float, float],
    text: str,
    offset: tuple[float, float],
    vertical: str,
    coordinates: Any,
    horizontal: str = "left",
    color: str = "muted",
    weight: str = "normal",
) -> None:
    """Text beside a point."""
    axes.annotate(
        text, at, xytext=offset, xycoords=coordinates, textcoords="offset points",
        ha=horizontal, va=vertical, color=LIGHT[color], fontweight=weight, annotation_clip=False,
    )  # fmt: skip


def short(name: str) -> str:
    """A name as far as a plot has room for it."""
    return name if len(name) < 33 else f"{name[:31]}…"


def _settle(figure: Figure) -> None:
    """Lay out once and for all: each layout begins with the last, and moves things a little again."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.execute(figure)
        figure.set_layout_engine("none")


@contextlib.contextmanager
def _titled(figure: Figure, text: str) -> Iterator[None]:
    """A strip more at the top, with a title in it; in the page, a heading stands there instead."""
    from matplotlib.transforms import Bbox

    _settle(figure)
    width, height = figure.get_size_inches()
    taller = height + _STRIP / _PER_INCH
    places = [(axes, axes.get_position(original=True).frozen()) for axes in figure.axes]

    def scale(by: float) -> None:
        for axes, box in places:
            axes.set_position(Bbox([[box.x0, box.y0 * by], [box.x1, box.y1 * by]]))

    figure.set_size_inches(width, taller)
    scale(height / taller)
    title = figure.text(0.02, 1 - 0.3 * _STRIP / _PER_INCH / taller, text, fontsize=14, va="top")
    try:
        yield
    finally:
        title.remove()
        figure.set_size_inches(width, height)
        scale(1)


def _bytes(figure: Figure, form: str, background: str) -> bytes:
    buffer = io.BytesIO()
    # Neither a date nor the version of matplotlib, which would make other bytes of the same picture.
    unsaid = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    figure.savefig(buffer, format=form, dpi=_SHARP if form == "png" else _PER_INCH,
                   facecolor=background, metadata=unsaid)  # fmt: skip
    return buffer.getvalue()


def _attributes(given: Mapping[str, str], used: set[str], prefix: str) -> Iterator[tuple[str, str]]:
    """An element's attributes: styles as attributes, colours as variables, ids with a prefix."""
    for name, value in given.items():
        if name == "style":
            yield from _styles(value, prefix)
        elif name == "id":
            if value in used:
                yield name, prefix + value
        elif name == _LINK:
            yield "href", value.replace("#", f"#{prefix}")
        elif value.startswith("url(#"):
            yield name, value.replace("#", f"#{prefix}")
        else:
            # A hundredth of a pixel is seen by nobody.
            yield name, _named(re.sub(r"\d+\.\d{3,}", lambda n: f"{float(n[0]):.2f}", value))


def _styles(text: str, prefix: str) -> Iterator[tuple[str, str]]:
    for declaration in text.split(";"):
        name, _, value = (piece.strip() for piece in declaration.partition(":"))
        if name == "font":  # all in one: weight, size, family
            if size := re.search(r"([\d.]+)px", value):
                yield "font-size", size[1]
            if "bold" in value or "700" in value:
                yield "font-weight", "600"
        elif name == "font-size":
            yield name, value.removesuffix("px")
        elif name == "font-weight":
            yield name, "600"
        elif name and name != "font-family":
            yield name, _named(value).replace("url(#", f"url(#{prefix}")


def _named(value: str) -> str:
    """Colours as variables; a colour that has no name is an error of a plot's."""
    return re.sub(r"(?<!\()#[0-9a-f]{6}\b", lambda color: f"var(--{_NAMES[color[0]]})", value)
