"""All that was learnt as JSON objects, a line each, and taking in what another file gave."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from nwp.errors import BadInput
from nwp.personal.tables import ANY, BEGIN, END, settings_of, words_since
from nwp.text.tokenizer import normalize

_FORM = 1


def export_rows(db: sqlite3.Connection, unit: float, recent: float) -> Iterator[dict[str, Any]]:
    """The objects; a use weighs `unit`, and `recent`, in the file, and 1 in what is given."""
    found = settings_of(db)
    yield {"form": _FORM, "messages": int(found["messages"]), "after": int(found["after"])}
    names: dict[int, str | None] = {BEGIN: None, END: None}
    for identity, word, uses, weight, now, _ in words_since(db, 0):
        shown = db.execute(
            "SELECT surface, weight FROM surfaces WHERE word = ? ORDER BY surface", (identity,)
        )
        names.setdefault(identity, word)
        yield {
            "word": names[identity],
            "uses": uses,
            "weight": weight / unit,
            "recent": now / recent,
            "surfaces": {surface: share / unit for surface, share in shown},
        }
    for before, last, word, weight in db.execute("SELECT * FROM grams"):
        context = [names[last]] if before == ANY else [names[before], names[last]]
        yield {"after": context, "word": names[word], "weight": weight / unit}
    for kind, source, weight in db.execute("SELECT kind, source, weight FROM credits").fetchall():
        yield {"kind": kind, "source": source, "weight": weight / unit}
    for (word,) in db.execute("SELECT word FROM blocked ORDER BY word").fetchall():
        yield {"blocked": word}


def take_in(db: sqlite3.Connection, lines: Iterable[str], unit: float, recent: float) -> int:
    """Take in objects as JSON lines; returns how many lines. BadInput at the first that is none."""
    at = 0
    try:
        for at, line in enumerate(lines, 1):
            _take(db, json.loads(line), unit, recent, at)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BadInput(
            f"line {at} is not of an export of personal learning: {error}",
            "Give a file that `nwp personal export FILE` wrote.",
        ) from error
    return at


def _take(
    db: sqlite3.Connection, row: dict[str, Any], unit: float, recent: float, number: int
) -> None:
    """Take in one line of an export."""
    if number == 1:
        if row["form"] != _FORM:
            raise ValueError(f"a newer nwp has written it, form {row['form']}")
        return
    if "blocked" in row:
        db.execute("INSERT OR IGNORE INTO blocked VALUES (?)", (_name(row["blocked"]),))
        return
    weight = _number(row["weight"]) * unit
    if "kind" in row:
        db.execute(
            "INSERT INTO credits VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET weight = max(weight, excluded.weight)",
            (int(row["kind"]), int(row["source"]), weight),
        )
    elif "after" in row:
        context = [BEGIN if word is None else _id(db, word) for word in row["after"]]
        before, last = context if len(context) == 2 else (ANY, *context)
        word = END if row["word"] is None else _id(db, row["word"])
        db.execute(
            "INSERT INTO grams VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET weight = max(weight, excluded.weight)",
            (before, last, word, weight),
        )
    else:
        word = END if row["word"] is None else _id(db, row["word"])
        db.execute(
            "UPDATE words SET uses = max(uses, ?), weight = max(weight, ?), "
            "recent = max(recent, ?) WHERE id = ?",
            (int(row["uses"]), weight, _number(row["recent"]) * recent, word),
        )
        for surface, share in row["surfaces"].items():
            if normalize(surface) != row["word"]:
                raise ValueError(f"{surface!r} is no way to write {row['word']!r}")
            db.execute(
                "INSERT INTO surfaces VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET weight = max(weight, excluded.weight)",
                (word, surface, _number(share) * unit),
            )


def _id(db: sqlite3.Connection, word: object) -> int:
    """The id of a word, which is entered if it is new."""
    entered = (
        "INSERT INTO words (word, uses, weight, recent, changed) VALUES (?, 0, 0, 0, 0) "
        "ON CONFLICT (word) DO UPDATE SET uses = uses RETURNING id"
    )
    return int(db.execute(entered, (_name(word),)).fetchone()[0])


def _name(word: object) -> str:
    if not isinstance(word, str) or not word or normalize(word) != word:
        raise ValueError(f"{word!r} is no word")
    return word


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise ValueError(f"{value!r} is no weight")
    return float(value)
