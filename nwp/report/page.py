"""The report: an evaluation as one page of HTML, with style, script and plots inside it.

Names of users and what they wrote are hostile input. The template escapes all it is given; the rows of
the table go to the script as JSON that can't end its element; and a policy in the page's head (CSP)
allows no request to anywhere and no script or style but the page's own, which it knows by their hashes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwp.files import write_atomic
from nwp.report import words
from nwp.report.colors import DARK, LIGHT, variables
from nwp.report.data import (
    BASELINES,
    FEW,
    Open,
    Payload,
    baselines,
    clean,
    counted,
    noise,
    number_of_users,
    over_users,
    part,
    rows,
)
from nwp.report.drawing import TITLES, svg
from nwp.report.plots import figures
from nwp.report.user_plots import MANY

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

PAGE = 100  # rows of the table at a time; so many are there without the script, too
_EXAMPLES = 6  # of them stand open


@dataclass(frozen=True)
class Column:
    """A column of the table of users; `kind` says how its figures are written."""

    key: str
    title: str
    kind: str
    help: str


_COLUMNS = (
    Column("user", "User", "name", "Who wrote the words"),
    Column("tokens", "Words", "whole", "Words that were to be guessed"),
    Column("perplexity", "Perplexity", "tenth", "Lower is better"),
    Column("top1", "First", "percent", "The first guess was the word"),
    Column("top3", "Of three", "percent", "The word was among three guesses"),
    Column("keystroke_savings", "Keys saved", "percent", "Keys that three suggestions spare"),
    Column("bits_per_character", "Bits/char.", "hundredth", "Lower is better"),
    Column("oov_rate", "Unknown", "percent", "Words outside the vocabulary"),
)


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
    users = _users(found)
    theme, script = _text("theme.js"), _text("page.js")
    style = _style()
    return _environment().get_template("page.html").render(
        policy=_policy(style, theme, script),
        style=_safe(style),
        theme=_safe(theme),
        script=_safe(script),
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
        blob=_blob(users),
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
            found[name] = _safe(drawn)
        else:
            found[name] = _safe(
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


def _users(payload: Payload) -> dict[str, Any]:
    """The table of users, best first: columns that have a figure at all, and rows of plain values."""
    every = rows(payload, "users")
    columns = [c for c in _COLUMNS if any(user.get(c.key) is not None for user in every)]
    table = [[_rounded(user.get(c.key)) for c in columns] for user in every]
    keys = [c.key for c in columns]
    if "perplexity" in keys:
        at = keys.index("perplexity")
        table.sort(key=lambda row: (row[at] is None, row[at], str(row[0])))
    known = [row[0] for row in counted(payload, "perplexity")]
    few = sum(1 for user in every if (user.get("tokens") or 0) < FEW)
    return {
        "columns": columns,
        "rows": table,
        "scale": _scale(known),
        "few": few,
        "words": keys.index("tokens") if "tokens" in keys else None,
        "sorted": "perplexity" if "perplexity" in keys else None,
    }


def _scale(known: list[float]) -> list[float] | None:
    """Lowest, middle and highest perplexity; None where no two users differ."""
    if not known or min(known) == max(known):
        return None
    ordered = sorted(known)
    middle = (ordered[(len(known) - 1) // 2] + ordered[len(known) // 2]) / 2
    return [_rounded(value) for value in (ordered[0], middle, ordered[-1])]


def _blob(users: Mapping[str, Any]) -> Markup | None:
    """The table for the script: JSON in which nothing can end the element that it stands in."""
    if not users["rows"]:
        return None
    data = {
        "columns": [{"key": c.key, "kind": c.kind} for c in users["columns"]],
        "rows": users["rows"],
        "scale": users["scale"],
        "words": users["words"],
        "few": FEW,
        "page": PAGE,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return _safe(text)


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


def _rounded(value: Any) -> Any:
    """A figure to six digits: more are never shown, and make the page larger."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


# ---------------------------------------------------------------------------------------- template


@functools.cache
def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": words.percent,
        "number": words.number,
        "size": words.size,
        "duration": words.duration,
        "setting": words.setting,
        "figure": figure,
        "place": place,
    }
    made.globals |= {"plural": words.plural, "page_size": PAGE}
    return made


def figure(value: Any, kind: str) -> str:
    """A figure of the table as the script writes it, too."""
    if value is None:
        return "–"
    if kind == "percent":
        return words.percent(value)
    return str(value) if kind == "name" else words.number(value, _DIGITS[kind])


_DIGITS = {"whole": 0, "tenth": 1, "hundredth": 2}


def place(value: float | None, scale: list[float]) -> float | None:
    """Where a perplexity lies between the lowest and the highest, 0 to 1 on a logarithmic scale."""
    if value is None:
        return None
    low, high = math.log(scale[0]), math.log(scale[2])
    return (math.log(value) - low) / (high - low)


def _safe(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)


@functools.cache
def _style() -> str:
    """The style sheet: colours by day and by night, on screen and on paper."""
    day, night = variables(LIGHT), variables(DARK)
    return "\n".join(
        (
            f":root{{{day}color-scheme:light}}",
            f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{night}"
            "color-scheme:dark}}",
            f":root[data-theme=dark]{{{night}color-scheme:dark}}",
            _text("page.css"),
            f"@media print{{:root:root:root{{{day}color-scheme:light}}}}",
        )
    )


def _policy(style: str, *scripts: str) -> str:
    def hashed(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {hashed(style)}",
            f"script-src {' '.join(map(hashed, scripts))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
