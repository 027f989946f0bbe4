"""What one message adds to the tables: words, how they are written, pairs and triples, credits."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from nwp.personal.tables import ANY, BEGIN, END, drop
from nwp.text.tokenizer import SENTENCE_ENDS, address_flags, surfaces_of, tokenize

Use = tuple[str, str, float]

_MOST = 512  # followers of a context; the faintest go
_KEPT = 384
_LONGEST = 40  # letters of a word that is learnt
_DIGITS = 4  # a word with so many may be a secret: a code, a card, a telephone
_AMBIGUOUS = 0.01  # a use as the first word of a sentence says little about capitals

_USE = (
    "INSERT INTO words (word, uses, weight, recent, changed) VALUES (?, 1, ?, ?, ?) "
    "ON CONFLICT (word) DO UPDATE SET uses = uses + 1, weight = weight + excluded.weight, "
    "recent = recent + excluded.recent, changed = excluded.changed RETURNING id"
)
_ADD_SURFACE = (
    "INSERT INTO surfaces VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET weight = weight + excluded.weight"
)
_ADD_GRAM = (
    "INSERT INTO grams VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET weight = weight + excluded.weight"
)
_ADD_CREDIT = (
    "INSERT INTO credits VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET weight = weight + excluded.weight"
)


def uses_of(message: str) -> list[Use | None]:
    """Each word, how it is written, and how much that tells; None for what is not to be kept."""
    tokens = tokenize(message)
    surfaces, addresses = surfaces_of(message), address_flags(message)
    found: list[Use | None] = []
    for i, word in enumerate(tokens.words):
        digits = sum(map(str.isdigit, word))
        if addresses[i] or digits >= _DIGITS or len(word) > _LONGEST:
            found.append(None)
            continue
        starts = i == 0 or tokens.marks[i] in SENTENCE_ENDS
        told = _AMBIGUOUS if starts and surfaces[i][1:] == word[1:] else 1.0
        found.append((word, surfaces[i], told))
    return found


def count(
    db: sqlite3.Connection,
    uses: Sequence[Use | None],
    credits: Mapping[tuple[int, int], float],
    number: int,
    unit: float,
    recent: float,
) -> None:
    """Add the uses of message `number`, each weighing `unit` (and `recent`) in the file, and credits."""
    ids = [
        None if use is None else db.execute(_USE, (use[0], unit, recent, number)).fetchone()[0]
        for use in uses
    ]
    ids.append(END)
    db.execute(_USE, ("", unit, recent, number)).fetchall()
    for identity, use in zip(ids, uses, strict=False):
        if use is not None:
            db.execute(_ADD_SURFACE, (identity, use[1], unit * use[2]))
    _add_grams(db, ids, unit)
    db.executemany(_ADD_CREDIT, [(*key, value * unit) for key, value in credits.items()])


def _add_grams(db: sqlite3.Connection, ids: Sequence[int | None], unit: float) -> None:
    """Pairs and triples, over the begin and with the end; none across a word that isn't kept."""
    rows = []
    before: int | None = None
    last: int | None = BEGIN
    for word in ids:
        if word is not None and last is not None:
            rows.append((ANY, last, word, unit))
            if before is not None:
                rows.append((before, last, word, unit))
        before, last = last, word
    db.executemany(_ADD_GRAM, rows)
    for context in {row[:2] for row in rows}:
        size = "SELECT count(*) FROM grams WHERE before = ? AND last = ?"
        if db.execute(size, context).fetchone()[0] > _MOST:
            db.execute(
                "DELETE FROM grams WHERE before = ? AND last = ? AND word IN (SELECT word FROM "
                "grams WHERE before = ? AND last = ? ORDER BY weight DESC, word LIMIT -1 "
                "OFFSET ?)",
                (*context, *context, _KEPT),
            )


def sweep(db: sqlite3.Connection, least: float) -> None:
    """Delete what weighs less than this."""
    db.execute("DELETE FROM grams WHERE weight < ?", (least,))
    query = "SELECT id FROM words WHERE weight < ? AND id > ?"
    if faded := [i for (i,) in db.execute(query, (least, END))]:
        drop(db, faded)
