"""Plots are drawn from the figures, the same to the byte, in colours that a page can change."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from nwp.report.colors import LIGHT
from nwp.report.drawing import TITLES, save, svg
from nwp.report.plots import figures

Payload = dict[str, Any]


@pytest.mark.parametrize("narrow", [False, True])
def test_svg_has_variables_for_colours_text_as_text_and_ids_of_its_own(
    payload: Payload, narrow: bool
) -> None:
    payload["baselines"]["$odd <name>$"] = payload["baselines"]["unigram"]
    drawn = figures(payload, narrow=narrow)
    assert list(drawn) == list(TITLES)
    ids: list[str] = []
    for name, figure in drawn.items():
        text = svg(figure, "Told <so> & so.")
        assert not re.search(r"#[0-9a-fA-F]{6}\b|rgb\(", text), name
        assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= set(LIGHT)
        assert "style" not in text
        assert "font-family" not in text
        assert "<?xml" not in text
        root = ET.fromstring(text)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == f"{TITLES[name]}. Told <so> & so."
        assert any(element.tag.endswith("text") for element in root.iter())
        ids += [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        for target in re.findall(r'(?:href="#|url\(#)([\w-]+)', text):
            assert target in ids
        assert "nan" not in text.lower()
    assert ids
    assert len(ids) == len(set(ids))


def test_wide_and_narrow_ids_differ(payload: Payload) -> None:
    wide, narrow = (
        {
            i
            for f in figures(payload, narrow=n).values()
            for i in re.findall(r' id="([^"]+)"', svg(f))
        }
        for n in (False, True)
    )
    third = {i for i in wide if i.split("-")[0] in {"position", "frequency", "length"}}
    assert wide & narrow <= third


@pytest.mark.slow
def test_same_figures_same_bytes(payload: Payload, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        save(figures(payload), tmp_path / folder)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_plots_are_saved_with_titles_in_both_formats(payload: Payload, tmp_path: Path) -> None:
    drawn = figures(payload)
    before = {name: svg(figure) for name, figure in drawn.items()}
    written = save(drawn, tmp_path / "plots")
    assert [path.name for path in written] == [f"{n}.{f}" for n in drawn for f in ("png", "svg")]
    for path in written:
        raw = path.read_bytes()
        if path.suffix == ".png":
            assert raw.startswith(b"\x89PNG")
            assert b"Software" not in raw
        else:
            assert TITLES[path.stem] in raw.decode()
            assert "var(--" not in raw.decode()
            assert LIGHT["accent"][1:] in raw.decode() or path.stem not in {"learning", "scatter"}
    assert {name: svg(figure) for name, figure in drawn.items()} == before
    only = save({"learning": drawn["learning"]}, tmp_path / "svg", ["svg"])
    assert [path.name for path in only] == ["learning.svg"]
    with pytest.raises(ValueError, match="not as gif"):
        save(drawn, tmp_path / "gif", ["svg", "gif"])
    assert not (tmp_path / "gif").exists()


def test_what_is_not_known_is_not_drawn(payload: Payload) -> None:
    assert figures({}) == {}
    for name, part in {
        "calibration": "calibration", "learning": "curve", "baselines": "baselines",
        "position": "slices",
    }.items():  # fmt: skip
        assert name in figures(payload)
        assert name not in figures({**payload, part: None})
    short = {**payload, "curve": payload["curve"][:1]}
    assert "learning" not in figures(short)
    no_loss = {**payload, "curve": [{**row, "loss": None} for row in payload["curve"]]}
    assert len(figures(no_loss)["learning"].axes) == 1
    assert len(figures(payload)["learning"].axes) == 2
    for user in payload["users"]:
        user["perplexity"] = None
    payload["over_users"] = {}
    assert not {"distribution", "scatter"} & set(figures(payload))


def test_histogram_counts_every_user_once(payload: Payload) -> None:
    axes = figures(payload)["distribution"].axes[1]
    heights, edges, _ = axes.patches[0].get_data()
    known = [user["perplexity"] for user in payload["users"]]
    assert heights.sum() == len(known)
    assert edges[0] == min(known)
    assert edges[-1] == max(known)
    for low, high, height in zip(edges[:-2], edges[1:-1], heights[:-1], strict=True):
        assert height == sum(low <= p < high for p in known)
    widths = np.diff(np.log(edges))
    assert widths == pytest.approx(np.full(len(widths), widths[0]))


def test_marks_stand_where_their_figures_are(payload: Payload) -> None:
    above, axes = figures(payload)["distribution"].axes
    told = {text.get_text(): text.xy[0] for text in above.texts}
    median = float(np.median([user["perplexity"] for user in payload["users"]]))
    expected = {
        f"Median user {median:,.1f}": median,
        "All words pooled 208.4": 208.4,
        "Trigram of all text 235.2": 235.2,
        "Word counts of all text 517.0": 517.0,
        "Each user’s own model 496.9": 496.9,
    }
    low, high = above.get_xlim()
    assert told == pytest.approx(expected | {"Untrained model 9,012.5 →": high})
    assert all(low < value < high for value in expected.values())
    lines = sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_ydata()[0] == 0)
    assert set(expected.values()) <= set(lines)


def test_density_of_deciles_gives_each_tenth_the_same_area(payload: Payload) -> None:
    payload["users"] = []
    axes = figures(payload)["distribution"].axes[1]
    heights, edges, _ = axes.patches[0].get_data()
    assert edges.tolist() == [
        payload["over_users"]["perplexity"][f"p{q}"] for q in range(10, 100, 10)
    ]
    areas = heights * np.diff(np.log10(edges))
    assert areas == pytest.approx(np.full(8, areas[0]))


def test_scatter_shows_each_user_or_cells_of_them(
    payload: Payload, make: Callable[..., Payload]
) -> None:
    axes = figures(payload)["scatter"].axes[0]
    many, few = (np.asarray(dots.get_offsets()) for dots in axes.collections[:2])
    drawn = sorted(map(tuple, [*many.tolist(), *few.tolist()]))
    assert drawn == sorted((u["tokens"], u["perplexity"]) for u in payload["users"])
    assert (few[:, 0] < 50).all()
    assert (many[:, 0] >= 50).all()
    thousands = svg(figures(make(3000))["scatter"])
    assert len(thousands) < 250_000
    assert "NaN" not in thousands


def test_reliability_diagram_has_its_bins(payload: Payload) -> None:
    payload["calibration"]["bins"][4]["count"] = 0
    axes, below = figures(payload)["calibration"].axes
    line = axes.lines[1]
    bins = [b for b in payload["calibration"]["bins"] if b["count"]]
    assert line.get_xdata().tolist() == [b["confidence"] for b in bins]
    assert line.get_ydata().tolist() == [b["accuracy"] for b in bins]
    assert [bar.get_height() for bar in below.patches] == [b["count"] for b in bins]


def test_curve_leaves_out_rounds_that_were_not_validated(payload: Payload) -> None:
    valid, loss = figures(payload)["learning"].axes
    assert valid.lines[0].get_xdata().tolist() == list(range(2, 61, 2))
    assert loss.lines[0].get_xdata().tolist() == list(range(1, 61))
    best = min(r["valid"]["perplexity"] for r in payload["curve"] if r["valid"])
    assert f"{best:,.1f} in round" in valid.texts[0].get_text()


def test_slices_and_baselines_are_bars_of_their_shares(payload: Payload) -> None:
    drawn = figures(payload)
    bars = [bar.get_width() for bar in drawn["position"].axes[0].patches]
    rows = payload["slices"]["position"]
    assert bars == [row["top3"] for row in rows] + [row["top1"] for row in rows]
    perplexity, top3 = drawn["baselines"].axes
    names = [label.get_text() for label in perplexity.get_yticklabels()]
    assert names == [
        "Untrained model", "Word counts of all text", "Each user’s own model",
        "Trigram of all text", "This model",
    ]  # fmt: skip
    told = [text.get_text() for text in perplexity.texts]
    assert told == ["9,012.5 (bar cut off)", "517.0", "496.9", "235.2", "208.4"]
    widths = [bar.get_width() for bar in perplexity.patches]
    assert widths[1:] == [517.0, 496.9, 235.2, 208.4]
    assert 517.0 < widths[0] < 9012.5
    hatched = [bool(bar.get_hatch()) for bar in perplexity.patches]
    assert hatched == [False, True, False, True, False]
    assert top3.patches[4].get_width() == payload["summary"]["top3"]
    assert perplexity.get_title("left") == "perplexity (lower is better)"
    # A phone has no room for more.
    narrow = figures(payload, narrow=True)["baselines"].axes
    assert [axes.get_title("left") for axes in narrow] == ["perplexity", "among three"]


@pytest.mark.parametrize("value", [1.0, 1.0000001, 1e300, 12.5])
def test_users_who_are_all_alike_can_be_drawn(payload: Payload, value: float) -> None:
    for user in payload["users"]:
        user["perplexity"] = value
        user["tokens"] = 100
    payload["summary"]["perplexity"] = value
    payload["over_users"] = {}
    for figure in figures(payload).values():
        text = svg(figure)
        assert "nan" not in text.lower()
        assert not re.search(r"\binf\b", text)


def test_a_matplotlibrc_of_the_users_changes_nothing(payload: Payload) -> None:
    import matplotlib as mpl

    before = svg(figures(payload)["learning"])
    with mpl.rc_context({"axes.linewidth": 9, "axes.labelpad": 30, "font.size": 30}):
        assert svg(figures(payload)["learning"]) == before
        assert mpl.rcParams["font.size"] == 30


def test_matplotlib_is_loaded_when_something_is_drawn_and_pyplot_never() -> None:
    code = (
        "import sys, nwp.report.plots as p, nwp.report.page as q; "
        "assert 'matplotlib' not in sys.modules and 'jinja2' not in sys.modules; "
        "q.render({'curve': [{'round': 1, 'loss': 2.0}, {'round': 2, 'loss': 1.0}]}); "
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    run([sys.executable, "-c", code], check=True)
