"""The page's table of users: its columns, its rows, and what of it the script is handed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nwp.report.data import FEW, Payload, counted, rows
from nwp.report.template import safe

if TYPE_CHECKING:
    from markupsafe import Markup

PAGE = 100  # rows of the table at a time; so many are there without the script, too


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


def users_of(payload: Payload) -> dict[str, Any]:
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


def blob_of(users: Mapping[str, Any]) -> Markup | None:
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
    return safe(text)


def _rounded(value: Any) -> Any:
    """A figure to six digits: more are never shown, and make the page larger."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
