"""What a person's own typing has taught: one SQLite file, for its owner alone, on their machine alone.

    words       each word: how often it was used, and its weight, which fades
    surfaces    how it was written
    grams       which word came after one word (`before` is `ANY`), and after two
    credits     how much each source of `nwp.personal.mixing` was right, by kind of context
    blocked     words never to suggest

A use weighs 1 and halves with every `HALF_LIFE` messages. Weights in the file are in units of a use
at message `origin`: a later use adds more, so that fading changes no row. Each message is one durable
transaction; several processes may use one file. Deleted rows are overwritten with zeros.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.errors import BadInput
from nwp.text.tokenizer import Mark, address_flags, normalize, surfaces_of, tokenize

ANY, BEGIN, END = -1, 0, 1  # words of the file have ids from 2 on

HALF_LIFE = 2000.0  # messages
RECENT = 20.0  # the half-life of what has just been the topic
FADED = 0.25  # of a use: what weighs less is forgotten, after two half-lives for one use
AFTER = 3  # uses until a word that the model doesn't know is suggested

_VERSION = 1
_PATIENCE = 5.0  # seconds to wait for another process
_SWEEP = 256  # messages from one sweep of what has faded to the next
_MOST = 512  # followers of a context; the faintest go
_KEPT = 384
_LARGEST = 500.0  # half-lives until weights are written anew: 2^500 is far from what a float holds
_LONGEST = 40  # letters of a word that is learnt
_DIGITS = 4  # a word with so many may be a secret: a code, a card, a telephone
_SENTENCE_ENDS = frozenset({Mark.PERIOD, Mark.QUESTION, Mark.EXCLAMATION, Mark.LINE})
_AMBIGUOUS = 0.01  # a use as the first word of a sentence says little about capitals
_FORM = 1

_SCHEMA = f"""
CREATE TABLE settings (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE words (
    id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE, uses INTEGER NOT NULL,
    weight REAL NOT NULL, recent REAL NOT NULL, changed INTEGER NOT NULL);
CREATE INDEX words_by_change ON words (changed);
CREATE TABLE surfaces (
    word INTEGER NOT NULL, surface TEXT NOT NULL, weight REAL NOT NULL,
    PRIMARY KEY (word, surface)) WITHOUT ROWID;
CREATE TABLE grams (
    before INTEGER NOT NULL, last INTEGER NOT NULL, word INTEGER NOT NULL, weight REAL NOT NULL,
    PRIMARY KEY (before, last, word)) WITHOUT ROWID;
CREATE TABLE credits (
    kind INTEGER NOT NULL, source INTEGER NOT NULL, weight REAL NOT NULL,
    PRIMARY KEY (kind, source)) WITHOUT ROWID;
CREATE TABLE blocked (word TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO settings VALUES
    ('on', 0), ('after', {AFTER}), ('messages', 0), ('origin', 0), ('recent_origin', 0), ('epoch', 0);
INSERT INTO words VALUES ({END}, '', 0, 0, 0, 0);
PRAGMA user_version = {_VERSION};
"""
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


@dataclass(frozen=True)
class Learnt:
    """A word that was learnt: how it is written most, how often it was used, what is left of that."""

    word: str
    surface: str
    uses: int
    weight: float


@dataclass(frozen=True)
class Status:
    """What `Personal` holds: numbers of messages, words, and word pairs and triples."""

    on: bool
    after: int
    messages: int
    words: int
    grams: int
    blocked: int


class Personal:
    """The file, open. May be used from several threads and processes; close it when done."""

    def __init__(self, path: Path | None, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._lock = threading.RLock()
        self._own = 0

    @classmethod
    def open(cls, path: Path | None = None) -> Personal:
        """Open a file, made where it is missing (0600, its folder 0700); None keeps all in memory.

        BadInput when it can't be used, or a later nwp has written it.
        """
        with _told(path):
            if path is not None and not path.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            address = f"{path.absolute().as_uri()}?mode=rw" if path else ":memory:"
            db = sqlite3.connect(
                address, _PATIENCE, isolation_level=None, check_same_thread=False, uri=True
            )
            try:
                db.execute("PRAGMA secure_delete = ON")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                personal = cls(path, db)
                with personal._writing():
                    _prepare(db)
            except BaseException:
                db.close()
                raise
        return personal

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def version(self) -> tuple[int, int]:
        """Another one whenever the file has changed, by this process or another."""
        with self._lock:
            return self._own, int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def settings(self) -> dict[str, float]:
        """on, after, messages, origin, recent_origin, epoch (of deletions)."""
        with self._lock:
            return dict(self._db.execute("SELECT name, value FROM settings").fetchall())

    def set(self, name: str, value: float) -> None:
        """Change `on` or `after`."""
        with self._changing():
            self._set(name, value)

    def learn(self, message: str, credits: Mapping[tuple[int, int], float] | None = None) -> None:
        """Count the words, pairs and triples of a message that was sent, durable when this returns.

        Pieces of addresses, words with four digits or more and words of over 40 letters are not kept,
        nor what follows from them. `credits` (kind, source) are added as they are, weighing what a
        use weighs.
        """
        uses = _uses(message)
        if not any(use is not None for use in uses):
            return
        with self._changing():
            number, unit, recent = self._tick()
            ids = [
                None
                if use is None
                else self._db.execute(_USE, (use[0], unit, recent, number)).fetchone()[0]
                for use in uses
            ]
            ids.append(END)
            self._db.execute(_USE, ("", unit, recent, number)).fetchall()
            for identity, use in zip(ids, uses, strict=False):
                if use is not None:
                    self._db.execute(_ADD_SURFACE, (identity, use[1], unit * use[2]))
            self._add_grams(ids, unit)
            self._db.executemany(
                _ADD_CREDIT, [(*key, value * unit) for key, value in (credits or {}).items()]
            )
            if number % _SWEEP == 0:
                self._sweep(unit * FADED)

    def followers(self, before: int, last: int) -> list[tuple[int, float]]:
        """The words that came after two (`before` may be `ANY`), and their weights as in the file."""
        query = "SELECT word, weight FROM grams WHERE before = ? AND last = ?"
        with self._lock:
            return self._db.execute(query, (before, last)).fetchall()

    def changed_words(self, since: int) -> list[tuple[int, str, int, float, float, int]]:
        """Id, word, uses, weight, recent weight, and the message that last used it: `since` or later."""
        query = "SELECT id, word, uses, weight, recent, changed FROM words WHERE changed >= ?"
        with self._lock:
            return self._db.execute(query, (since,)).fetchall()

    def surface(self, identity: int) -> str:
        """How a word is written most."""
        query = (
            "SELECT surface FROM surfaces WHERE word = ? "
            "ORDER BY weight DESC, surface DESC LIMIT 1"  # of equal ones the small letters
        )
        with self._lock:
            found = self._db.execute(query, (identity,)).fetchone()
        return str(found[0]) if found else ""

    def credits(self) -> list[tuple[int, int, float]]:
        """Kind of context, source, and weight as in the file."""
        with self._lock:
            return self._db.execute("SELECT kind, source, weight FROM credits").fetchall()

    def words(self) -> list[Learnt]:
        """Every word, the weightiest first."""
        with self._lock:
            unit = _units(self.settings())[0]
            rows = self._db.execute(
                "SELECT id, word, uses, weight FROM words WHERE id > ? ORDER BY weight DESC, word",
                (END,),
            ).fetchall()
            return [Learnt(w, self.surface(i), uses, weight / unit) for i, w, uses, weight in rows]

    def status(self) -> Status:
        """How much is there."""
        with self._lock:
            found = self.settings()
            words, grams, blocked = (
                int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
                for table in (f"words WHERE id > {END}", "grams", "blocked")
            )
        counts = int(found["after"]), int(found["messages"]), words, grams, blocked
        return Status(bool(found["on"]), *counts)

    def forget(self, words: Iterable[str]) -> list[str]:
        """Delete words and all that was learnt with them; returns those that were there.

        When this returns, no byte of them is left in the file.
        """
        gone = []
        with self._changing():
            for word in dict.fromkeys(normalize(word) for word in words):
                query = "SELECT id FROM words WHERE word = ? AND id > ?"
                if found := self._db.execute(query, (word, END)).fetchone():
                    self._drop([found[0]])
                    gone.append(word)
        self._scrub()
        return gone

    def forget_all(self) -> None:
        """Delete all that was learnt; settings and blocked words stay."""
        with self._changing():
            for table in ("grams", "surfaces", "credits"):
                self._db.execute(f"DELETE FROM {table}")
            self._db.execute("DELETE FROM words WHERE id > ?", (END,))
            self._db.execute("UPDATE words SET uses = 0, weight = 0, recent = 0, changed = 0")
            for name in ("messages", "origin", "recent_origin"):
                self._set(name, 0)
            self._set("epoch", self.settings()["epoch"] + 1)
        self._scrub()

    def block(self, words: Iterable[str]) -> None:
        """Never suggest these, whatever is learnt."""
        with self._changing():
            self._db.executemany(
                "INSERT OR IGNORE INTO blocked VALUES (?)", [(normalize(word),) for word in words]
            )

    def unblock(self, words: Iterable[str]) -> list[str]:
        """Take words off the person's own list; returns those that were on it."""
        query = "DELETE FROM blocked WHERE word = ? RETURNING word"
        with self._changing():
            asked = [normalize(word) for word in words]
            return [word for word in asked if self._db.execute(query, (word,)).fetchall()]

    def blocked(self) -> list[str]:
        """The person's own list, in order of the alphabet."""
        with self._lock:
            return [w for (w,) in self._db.execute("SELECT word FROM blocked ORDER BY word")]

    def exported(self) -> Iterator[dict[str, Any]]:
        """All that was learnt, an object a line; weights are in uses as of now."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield from self._exported()
            finally:
                self._db.execute("ROLLBACK")

    def import_(self, lines: Iterable[str]) -> int:
        """Take in what `exported` gave, as JSON lines; returns how many lines.

        Each number becomes the greater of what is here and what comes, so that importing twice
        changes nothing. BadInput, and nothing is taken in, when a line is no such object.
        """
        at = 0
        try:
            with self._changing():
                unit, recent = _units(self.settings())
                for at, line in enumerate(lines, 1):
                    self._take(json.loads(line), unit, recent, at)
                self._set("epoch", self.settings()["epoch"] + 1)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise BadInput(
                f"line {at} is not of an export of personal learning: {error}",
                "Give a file that `nwp personal export FILE` wrote.",
            ) from error
        return at

    def _set(self, name: str, value: float) -> None:
        self._db.execute("UPDATE settings SET value = ? WHERE name = ?", (value, name))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock, _told(self.path), self._writing():
            yield
            self._own += 1

    def _tick(self) -> tuple[int, float, float]:
        """Count a message: its number, and what one use weighs in the file from now on."""
        found = self.settings()
        found["messages"] += 1
        self._set("messages", found["messages"])
        for origin, life, tables in (
            ("origin", HALF_LIFE, ("words", "surfaces", "grams", "credits")),
            ("recent_origin", RECENT, ("words",)),
        ):
            passed = found["messages"] - found[origin]
            if passed > _LARGEST * life:
                column = "recent" if origin == "recent_origin" else "weight"
                for table in tables:
                    self._db.execute(
                        f"UPDATE {table} SET {column} = {column} * ?", (2.0 ** (-passed / life),)
                    )
                found[origin] = found["messages"]
                self._set(origin, found[origin])
                self._set("epoch", found["epoch"] + 1)  # what others hold in memory is out of date
        return int(found["messages"]), *_units(found)

    def _add_grams(self, ids: Sequence[int | None], unit: float) -> None:
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
        self._db.executemany(_ADD_GRAM, rows)
        for context in {row[:2] for row in rows}:
            size = "SELECT count(*) FROM grams WHERE before = ? AND last = ?"
            if self._db.execute(size, context).fetchone()[0] > _MOST:
                self._db.execute(
                    "DELETE FROM grams WHERE before = ?1 AND last = ?2 AND word IN (SELECT word FROM "
                    "grams WHERE before = ?1 AND last = ?2 ORDER BY weight DESC, word LIMIT -1 "
                    "OFFSET ?3)",
                    (*context, _KEPT),
                )

    def _sweep(self, least: float) -> None:
        """Delete what weighs less than this."""
        self._db.execute("DELETE FROM grams WHERE weight < ?", (least,))
        query = "SELECT id FROM words WHERE weight < ? AND id > ?"
        if faded := [i for (i,) in self._db.execute(query, (least, END))]:
            self._drop(faded)

    def _drop(self, ids: Sequence[int]) -> None:
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM temp.gone")
        self._db.executemany("INSERT INTO temp.gone VALUES (?)", [(i,) for i in ids])
        gone = "(SELECT id FROM temp.gone)"
        self._db.execute(f"DELETE FROM words WHERE id IN {gone}")
        self._db.execute(f"DELETE FROM surfaces WHERE word IN {gone}")
        self._db.execute(
            f"DELETE FROM grams WHERE word IN {gone} OR last IN {gone} OR before IN {gone}"
        )
        self._set("epoch", self.settings()["epoch"] + 1)

    def _scrub(self) -> None:
        """Write the file anew without what was deleted, and empty its log."""
        if self.path is None:
            return
        with self._lock, _told(self.path):
            self._db.execute("VACUUM")  # pages keep copies of rows that once were moved within them
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise BadInput(
                f"what is forgotten may still be in the log of {self.path}: another nwp reads it",
                "Close that one, then give the same command again.",
            )

    def _exported(self) -> Iterator[dict[str, Any]]:
        found = self.settings()
        unit, recent = _units(found)
        yield {"form": _FORM, "messages": int(found["messages"]), "after": int(found["after"])}
        names: dict[int, str | None] = {BEGIN: None, END: None}
        for identity, word, uses, weight, now, _ in self.changed_words(0):
            shown = self._db.execute(
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
        for before, last, word, weight in self._db.execute("SELECT * FROM grams"):
            context = [names[last]] if before == ANY else [names[before], names[last]]
            yield {"after": context, "word": names[word], "weight": weight / unit}
        for kind, source, weight in self.credits():
            yield {"kind": kind, "source": source, "weight": weight / unit}
        for word in self.blocked():
            yield {"blocked": word}

    def _take(self, row: dict[str, Any], unit: float, recent: float, number: int) -> None:
        """Take in one line of an export."""
        if number == 1:
            if row["form"] != _FORM:
                raise ValueError(f"a newer nwp has written it, form {row['form']}")
            return
        if "blocked" in row:
            self._db.execute("INSERT OR IGNORE INTO blocked VALUES (?)", (_name(row["blocked"]),))
            return
        weight = _number(row["weight"]) * unit
        if "kind" in row:
            self._db.execute(
                "INSERT INTO credits VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET weight = max(weight, excluded.weight)",
                (int(row["kind"]), int(row["source"]), weight),
            )
        elif "after" in row:
            context = [BEGIN if word is None else self._id(word) for word in row["after"]]
            before, last = context if len(context) == 2 else (ANY, *context)
            word = END if row["word"] is None else self._id(row["word"])
            self._db.execute(
                "INSERT INTO grams VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET weight = max(weight, excluded.weight)",
                (before, last, word, weight),
            )
        else:
            word = END if row["word"] is None else self._id(row["word"])
            self._db.execute(
                "UPDATE words SET uses = max(uses, ?), weight = max(weight, ?), "
                "recent = max(recent, ?) WHERE id = ?",
                (int(row["uses"]), weight, _number(row["recent"]) * recent, word),
            )
            for surface, share in row["surfaces"].items():
                if normalize(surface) != row["word"]:
                    raise ValueError(f"{surface!r} is no way to write {row['word']!r}")
                self._db.execute(
                    "INSERT INTO surfaces VALUES (?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET weight = max(weight, excluded.weight)",
                    (word, surface, _number(share) * unit),
                )

    def _id(self, word: object) -> int:
        """The id of a word, which is entered if it is new."""
        entered = (
            "INSERT INTO words (word, uses, weight, recent, changed) VALUES (?, 0, 0, 0, 0) "
            "ON CONFLICT (word) DO UPDATE SET uses = uses RETURNING id"
        )
        return int(self._db.execute(entered, (_name(word),)).fetchone()[0])


def _uses(message: str) -> list[tuple[str, str, float] | None]:
    """Each word, how it is written, and how much that tells; None for what is not to be kept."""
    tokens = tokenize(message)
    surfaces, addresses = surfaces_of(message), address_flags(message)
    found: list[tuple[str, str, float] | None] = []
    for i, word in enumerate(tokens.words):
        digits = sum(map(str.isdigit, word))
        if addresses[i] or digits >= _DIGITS or len(word) > _LONGEST:
            found.append(None)
            continue
        starts = i == 0 or tokens.marks[i] in _SENTENCE_ENDS
        told = _AMBIGUOUS if starts and surfaces[i][1:] == word[1:] else 1.0
        found.append((word, surfaces[i], told))
    return found


def _units(found: Mapping[str, float]) -> tuple[float, float]:
    """What one use of now weighs in the file: in `weight`, in `recent`."""
    now = found["messages"]
    return (
        2.0 ** ((now - found["origin"]) / HALF_LIFE),
        2.0 ** ((now - found["recent_origin"]) / RECENT),
    )


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables where there are none; BadInput for those of a later nwp."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > _VERSION:
        raise BadInput(
            f"a newer nwp has written what was learnt, form {found}",
            "Use that one, or move the file away: a new one is begun.",
        )
    if not found:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)


def _name(word: object) -> str:
    if not isinstance(word, str) or not word or normalize(word) != word:
        raise ValueError(f"{word!r} is no word")
    return word


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise ValueError(f"{value!r} is no weight")
    return float(value)


@contextlib.contextmanager
def _told(path: Path | None) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise BadInput(
            f"what was learnt in {path} can't be used: {error}",
            "If another nwp is not just writing it, move that file away: a new one is begun.",
        ) from error
