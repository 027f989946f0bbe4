"""What a person's own typing has taught: one SQLite file, for its owner alone, on their machine alone.

A use weighs 1 and halves with every `HALF_LIFE` messages. Weights in the file are in units of a use
at message `origin`: a later use adds more, so that fading changes no row. Each message is one durable
transaction; several processes may use one file (`nwp.personal.tables` has what it looks like).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.errors import BadInput
from nwp.personal import expecting
from nwp.personal.counting import count, sweep, uses_of
from nwp.personal.exports import export_rows, take_in
from nwp.personal.tables import (
    END,
    begin_epoch,
    connect,
    drop,
    set_value,
    settings_of,
    told,
    words_since,
    writing,
)
from nwp.text.tokenizer import normalize

HALF_LIFE = 2000.0  # messages
RECENT = 20.0  # the half-life of what has just been the topic
FADED = 0.25  # of a use: what weighs less is forgotten, after two half-lives for one use
_SWEEP = 256  # messages from one sweep of what has faded to the next
_LARGEST = 500.0  # half-lives until weights are written anew: 2^500 is far from what a float holds


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
        return cls(path, connect(path))

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
            return settings_of(self._db)

    def set(self, name: str, value: float) -> None:
        """Change `on` or `after`."""
        with self._changing():
            set_value(self._db, name, value)

    def learn(
        self,
        message: str,
        credits: Mapping[tuple[int, int], float] | None = None,
        expected: tuple[str, expecting.FloatArray] | None = None,
    ) -> None:
        """Count the words, pairs and triples of a message that was sent, durable when this returns.

        Pieces of addresses, words with four digits or more and words of over 40 letters are not kept,
        nor what follows from them. `credits` (kind, source) are added as they are, weighing what a
        use weighs; so is what was `expected`: a vocabulary's key, and a number for each of its outputs.
        """
        uses = uses_of(message)
        if not any(use is not None for use in uses):
            return
        with self._changing():
            number, unit, recent = self._tick()
            count(self._db, uses, credits or {}, number, unit, recent)
            if expected is not None:
                expecting.add(self._db, *expected, number, HALF_LIFE)
            if number % _SWEEP == 0:
                sweep(self._db, unit * FADED)

    def followers(self, before: int, last: int) -> list[tuple[int, float]]:
        """The words that came after two (`before` may be `ANY`), and their weights as in the file."""
        query = "SELECT word, weight FROM grams WHERE before = ? AND last = ?"
        with self._lock:
            return self._db.execute(query, (before, last)).fetchall()

    def changed_words(self, since: int) -> list[tuple[int, str, int, float, float, int]]:
        """Id, word, uses, weight, recent weight, and the message that last used it: `since` or later."""
        with self._lock:
            return words_since(self._db, since)

    def surface(self, identity: int) -> str:
        """How a word is written most."""
        query = (
            "SELECT surface FROM surfaces WHERE word = ? "
            "ORDER BY weight DESC, surface DESC LIMIT 1"  # of equal ones the small letters
        )
        with self._lock:
            found = self._db.execute(query, (identity,)).fetchone()
        return str(found[0]) if found else ""

    def expected(self, key: str) -> expecting.FloatArray | None:
        """How often each output of the vocabulary of this key was expected, in uses as of now."""
        with self._lock:
            now = settings_of(self._db)["messages"]
            return expecting.read(self._db, key, now, HALF_LIFE)

    def credits(self) -> list[tuple[int, int, float]]:
        """Kind of context, source, and weight as in the file."""
        with self._lock:
            return self._db.execute("SELECT kind, source, weight FROM credits").fetchall()

    def words(self) -> list[Learnt]:
        """Every word, the weightiest first."""
        with self._lock:
            unit = units(self.settings())[0]
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
                    drop(self._db, [found[0]])
                    gone.append(word)
            if gone:
                expecting.clear(self._db)  # these words were among what it was expected after
        self._scrub()
        return gone

    def forget_all(self) -> None:
        """Delete all that was learnt; settings and blocked words stay."""
        with self._changing():
            for table in ("grams", "surfaces", "credits", "expected"):
                self._db.execute(f"DELETE FROM {table}")
            self._db.execute("DELETE FROM words WHERE id > ?", (END,))
            self._db.execute("UPDATE words SET uses = 0, weight = 0, recent = 0, changed = 0")
            for name in ("messages", "origin", "recent_origin"):
                set_value(self._db, name, 0)
            begin_epoch(self._db)
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
                yield from export_rows(self._db, *units(self.settings()))
            finally:
                self._db.execute("ROLLBACK")

    def import_(self, lines: Iterable[str]) -> int:
        """Take in what `exported` gave, as JSON lines; returns how many lines.

        Each number becomes the greater of what is here and what comes, so that importing twice
        changes nothing. BadInput, and nothing is taken in, when a line is no such object.
        """
        with self._changing():
            taken = take_in(self._db, lines, *units(self.settings()))
            begin_epoch(self._db)
        return taken

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock, told(self.path), writing(self._db):
            yield
            self._own += 1

    def _tick(self) -> tuple[int, float, float]:
        """Count a message: its number, and what one use weighs in the file from now on."""
        found = self.settings()
        found["messages"] += 1
        set_value(self._db, "messages", found["messages"])
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
                set_value(self._db, origin, found[origin])
                begin_epoch(self._db)
        return int(found["messages"]), *units(found)

    def _scrub(self) -> None:
        """Write the file anew without what was deleted, and empty its log."""
        if self.path is None:
            return
        with self._lock, told(self.path):
            self._db.execute("VACUUM")  # pages keep copies of rows that once were moved within them
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise BadInput(
                f"what is forgotten may still be in the log of {self.path}: another nwp reads it",
                "Close that one, then give the same command again.",
            )


def units(found: Mapping[str, float]) -> tuple[float, float]:
    """What one use of now weighs in the file: in `weight`, in `recent`."""
    now = found["messages"]
    return (
        2.0 ** ((now - found["origin"]) / HALF_LIFE),
        2.0 ** ((now - found["recent_origin"]) / RECENT),
    )
