"""The page's template: how it writes figures, its style sheet, and the policy that guards it."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwp.report import words
from nwp.report.colors import DARK, LIGHT, variables
from nwp.wording import many

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

_DIGITS = {"whole": 0, "tenth": 1, "hundredth": 2}


@functools.cache
def text_of(name: str) -> str:
    """A file that lies beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@functools.cache
def environment() -> jinja2.Environment:
    """What knows the templates beside this file, and escapes all that they are given."""
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
    made.globals["plural"] = many
    return made


def figure(value: Any, kind: str) -> str:
    """A figure of the table as the script writes it, too."""
    if value is None:
        return "–"
    if kind == "percent":
        return words.percent(value)
    return str(value) if kind == "name" else words.number(value, _DIGITS[kind])


def place(value: float | None, scale: list[float]) -> float | None:
    """Where a perplexity lies between the lowest and the highest, 0 to 1 on a logarithmic scale."""
    if value is None:
        return None
    low, high = math.log(scale[0]), math.log(scale[2])
    return (math.log(value) - low) / (high - low)


def safe(text: str) -> Markup:
    """Text that is not escaped: it is the page's own, or fit to stand in it."""
    from markupsafe import Markup

    return Markup(text)


@functools.cache
def style_sheet() -> str:
    """The style sheet: colours by day and by night, on screen and on paper."""
    day, night = variables(LIGHT), variables(DARK)
    return "\n".join(
        (
            f":root{{{day}color-scheme:light}}",
            f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{night}"
            "color-scheme:dark}}",
            f":root[data-theme=dark]{{{night}color-scheme:dark}}",
            text_of("page.css"),
            f"@media print{{:root:root:root{{{day}color-scheme:light}}}}",
        )
    )


def policy(style: str, *scripts: str) -> str:
    """The page's policy (CSP): no request to anywhere; of styles and scripts these alone, by their hashes."""

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
