"""The report: an evaluation as one page of HTML, with style, script and plots inside it.

Names of users and what they wrote are hostile input. The template escapes all it is given; the rows of
the table go to the script as JSON that can't end its element; and a policy in the page's head (CSP)
allows no request to anywhere and no script or style but the page's own, which it knows by their hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwp.files import write_atomic
from nwp.report import words
from nwp.report.data import (
    BASELINES,
    FEW,
    Open,
    Payload,
    baselines,
    clean,
    noise,
    number_of_users,
    over_users,
    part,
    rows,
)
from nwp.report.drawing import TITLES, svg
from nwp.report.plots import figures
from nwp.report.template import environment, policy, safe, style_sheet, text_of
from nwp.report.user_plots import MANY
from nwp.report.user_table import PAGE, blob_of, users_of

if TYPE_CHECKING:
    from markupsafe import Markup

_EXAMPLES = 6  # of them stand open


@dataclass(frozen=True)
class Figure:
    """One of the figures at the top."""

    key: str
    title: str
    kind: str
    better: str
    means: str


_KEY_FIGURES = (
    Figure("perplexity", "Perplexity", "tenth", "lower is better",
           "As unsure as if it chose among so many equally likely words."),
    Figure("top1", "First guess", "percent", "higher is better", "The first guess was the word."),
    Figure("top3", "Among three", "percent", "higher is better",
           "One of three guesses was the word, as above a keyboard."),
    Figure("keystroke_savings", "Keys saved", "percent", "higher is better",
           "Of all letters and spaces, keys that three suggestions spare."),
    Figure("bits_per_character", "Bits a character", "hundredth", "lower is better",
           "What a character costs to tell; compares models of other vocabularies too."),
)  # fmt: skip

_SPREAD = {
    "mean": "Mean of users",
    "std": "Standard deviation",
    "gini": "Gini coefficient",
    "p10": "First decile",
    "p50": "Median user",
    "p90": "Last decile",
    "worst_tenth": "Worst tenth, pooled",
}
_BY = {
    "activity": "By words written",
    "unknown words": "By share of unknown words",
    "trained": "By part in training",
}


def write(payload: Payload, path: Path) -> None:
    """Write the report to `path` in one step. OSError when it may not be written."""
    write_atomic(path, render(payload))


def render(payload: Payload) -> str:
    """The report as a whole HTML document; the same payload gives the same bytes.

    `payload` is what `nwp evaluate --json` prints. Any part of it may be missing, empty or None, and
    has no place in the page then.
    """
    found: Payload = clean(payload)
    users = users_of(found)
    theme, script = text_of("theme.js"), text_of("page.js")
    style = style_sheet()
    return environment().get_template("page.html").render(
        policy=policy(style, theme, script),
        style=safe(style),
        theme=safe(theme),
        script=safe(script),
        title=_title(found),
        headline=words.headline(found),
        lede=words.lede(found),
        hundred=words.of_hundred(found),
        summary=part(found, "summary"),
        about=part(found, "about"),
        key_figures=_key_figures(found),
        plots=_plots(found),
        titles=TITLES,
        spread=_spread(found),
        noise=noise(found),
        number_of_users=number_of_users(found),
        withheld=int(found.get("users_withheld") or 0),
        users=users,
        blob=blob_of(users),
        page_size=PAGE,
        few=FEW,
        many=len(users["rows"]) > MANY,
        groups=_groups(found),
        slices={by: rows(found, "slices", by) for by in ("position", "frequency", "length")},
        examples=_examples(found),
        open_examples=_EXAMPLES,
        baselines=_baselines(found),
        without_ngrams=_without_ngrams(found),
        calibration=part(found, "calibration"),
        traffic=words.traffic(found),
        private="privacy" in found,
        privacy=_privacy(found),
        conventions=_conventions(found),
        settings=_settings(found),
        command=part(found, "about").get("command"),
    ).lstrip()  # fmt: skip


# ------------------------------------------------------------------------------------------- parts


def _title(payload: Payload) -> str:
    about = part(payload, "about")
    return f"Evaluation of {about.get('model') or 'a model'} on {about.get('corpus') or 'a corpus'}"


def _key_figures(payload: Payload) -> list[dict[str, Any]]:
    summary, intervals = part(payload, "summary"), part(payload, "intervals")
    found = []
    for figure in _KEY_FIGURES:
        if (value := summary.get(figure.key)) is None:
            continue
        between = intervals.get(figure.key)
        if not isinstance(between, list) or len(between) != 2 or None in between:
            between = None
        found.append({"figure": figure, "value": value, "interval": between})
    return found


def _plots(payload: Payload) -> dict[str, Markup]:
    """Each plot as SVG, once for wide windows and once for phones."""
    told = words.describe(payload)
    wide, narrow = figures(payload), figures(payload, narrow=True)
    found = {}
    for name, figure in wide.items():
        drawn = svg(figure, told.get(name, ""))
        small = svg(narrow[name], told.get(name, ""))
        if small == drawn:
            found[name] = safe(drawn)
        else:
            found[name] = safe(
                f'<div class="wide">{drawn}</div>\n<div class="narrow">{small}</div>'
            )
    return found


def _spread(payload: Payload) -> list[dict[str, Any]]:
    """Rows of figures over users: a name, and perplexity, top1 and top3 where they are known."""
    over = {key: over_users(payload, key) for key in ("perplexity", "top1", "top3")}
    found = []
    for name, title in _SPREAD.items():
        values = {key: numbers.get(name) for key, numbers in over.items()}
        if any(value is not None for value in values.values()):
            found.append({"key": name, "title": title, **values})
    return found


def _groups(payload: Payload) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Groups of users by what they are grouped by, in the order of the payload."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for group in rows(payload, "groups"):
        found.setdefault(str(group.get("by", "")), []).append(group)
    return [(_BY.get(by, f"By {by}"), groups) for by, groups in found.items()]


def _examples(payload: Payload) -> list[Open]:
    found = []
    for example in rows(payload, "examples"):
        context = example.get("context")
        if isinstance(context, list):
            context = " ".join(map(str, context))
        found.append(Open({**example, "context": context, "guesses": rows(example, "guesses")}))
    return found


def _baselines(payload: Payload) -> list[tuple[str, Mapping[str, Any], bool]]:
    """The model and its baselines by perplexity, best first: name, figures, whether it is the model."""
    summary = part(payload, "summary")
    found = [(name, figure, False) for name, figure in baselines(payload)]
    if not found or summary.get("perplexity") is None:
        return []
    return sorted(
        [("This model", summary, True), *found], key=lambda row: float(row[1]["perplexity"])
    )


def _without_ngrams(payload: Payload) -> str:
    """The baselines that have no n-grams where the model has, by their names for people."""
    told = payload.get("without_ngrams")
    names = told if isinstance(told, list) else []
    return "; ".join(BASELINES[name] for name in BASELINES if name in names)


def _privacy(payload: Payload) -> dict[str, Any] | None:
    """The budget spent, and whatever else is told of it by name; None where there is no budget."""
    told = part(payload, "privacy")
    if told.get("epsilon") is None:
        return None
    rest = [
        (_words(name), words.setting(value))
        for name, value in told.items()
        if name not in {"epsilon", "delta", "unit"}
    ]
    return {**{key: told.get(key) for key in ("epsilon", "delta", "unit")}, "rest": rest}


def _conventions(payload: Payload) -> list[Mapping[str, Any]]:
    """The rules with their values as they are read: rates as percentages, the rest as numbers."""
    return [Open({**rule, "shown": _by_rule(rule)}) for rule in rows(payload, "conventions")]


def _by_rule(rule: Mapping[str, Any]) -> str:
    name, value = str(rule.get("name", "")).lower(), rule.get("value")
    if not isinstance(value, int | float):
        return "–" if value is None else str(value)
    rate = 0 <= value <= 1 and not any(word in name for word in ("perplexity", "bits"))
    return words.percent(value) if rate else words.number(value, 2)


def _settings(payload: Payload) -> list[tuple[str, str]]:
    about = part(payload, "about")
    training = part(about, "training")
    own = [
        (_words(name), words.duration(value) if name == "seconds" else words.setting(value))
        for name, value in about.items()
        if name not in {"command", "training"} and value not in (None, training.get(name))
    ]
    return own + [(_words(name), words.setting(value)) for name, value in training.items()]


def _words(name: str) -> str:
    return name.replace("_", " ")
