"""The SQLite file of what was learnt: its tables, opening it, and what all that change it do alike.

    words       each word: how often it was used, and its weight, which fades
    surfaces    how it was written
    grams       which word came after one word (`before` is `ANY`), and after two
    credits     how much each source of `nwp.personal.mixing` was right, by kind of context
    expected    how often a model expected each of its words (`nwp.personal.expecting`)
    blocked     words never to suggest

Deleted rows are overwritten with zeros.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from nwp.errors import BadInput

ANY, BEGIN, END = -1, 0, 1  # words of the file have ids from 2 on

AFTER = 3  # uses until a word that the model doesn't know is suggested

_VERSION = 2
_PATIENCE = 5.0  # seconds to wait for another process

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
"""
_SINCE_2 = """
CREATE TABLE expected (
    vocabulary TEXT PRIMARY KEY, changed INTEGER NOT NULL, counts BLOB NOT NULL);
"""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open the file, made where it is missing (0600, its folder 0700); None keeps all in memory.

    BadInput when it can't be used, or a later nwp has written it.
    """
    with told(path):
        if path is not None and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        address = f"{path.absolute().as_uri()}?mode=rw" if path else ":memory:"
        db = sqlite3.connect(
            address, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            with writing(db):
                _prepare(db)
        except BaseException:
            db.close()
            raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables that are missing; BadInput for those of a later nwp."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > _VERSION:
        raise BadInput(
            f"a newer nwp has written what was learnt, form {found}",
            "Use that one, or move the file away: a new one is begun.",
        )
    missing = [schema for version, schema in ((1, _SCHEMA), (2, _SINCE_2)) if version > found]
    for statement in filter(str.strip, ";".join(missing).split(";")):
        db.execute(statement)
    if missing:
        db.execute(f"PRAGMA user_version = {_VERSION}")


@contextlib.contextmanager
def writing(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction: all that is done within, or nothing when it fails."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def told(path: Path | None) -> Iterator[None]:
    """BadInput for whatever keeps the file from being used."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise BadInput(
            f"what was learnt in {path} can't be used: {error}",
            "If another nwp is not just writing it, move that file away: a new one is begun.",
        ) from error


def settings_of(db: sqlite3.Connection) -> dict[str, float]:
    """on, after, messages, origin, recent_origin, epoch (of deletions)."""
    return dict(db.execute("SELECT name, value FROM settings").fetchall())


def set_value(db: sqlite3.Connection, name: str, value: float) -> None:
    """Change one of the settings."""
    db.execute("UPDATE settings SET value = ? WHERE name = ?", (value, name))


def words_since(
    db: sqlite3.Connection, since: int
) -> list[tuple[int, str, int, float, float, int]]:
    """Id, word, uses, weight, recent weight, and the message that last used it: `since` or later."""
    query = "SELECT id, word, uses, weight, recent, changed FROM words WHERE changed >= ?"
    return db.execute(query, (since,)).fetchall()


def begin_epoch(db: sqlite3.Connection) -> None:
    """Tell others that what they hold of the file in memory is out of date."""
    set_value(db, "epoch", settings_of(db)["epoch"] + 1)


def drop(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Delete words, and every row in which one of them stands."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY)")
    db.execute("DELETE FROM temp.gone")
    db.executemany("INSERT INTO temp.gone VALUES (?)", [(i,) for i in ids])
    gone = "(SELECT id FROM temp.gone)"
    db.execute(f"DELETE FROM words WHERE id IN {gone}")
    db.execute(f"DELETE FROM surfaces WHERE word IN {gone}")
    db.execute(f"DELETE FROM grams WHERE word IN {gone} OR last IN {gone} OR before IN {gone}")
    begin_epoch(db)
