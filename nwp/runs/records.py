"""Records of past runs: one SQLite file in the user's place for data, for its owner alone.

    runs     a row a run: what it is (`About`), when, its state, what it came to
    rounds   a row a round: the columns of `nwp.runs.metrics`

It holds no text of anybody's and no user's name. Each operation opens the file, does its work in
one transaction and closes it: runs at the same time wait for each other for a moment, and a process
killed in the middle leaves the file as it was before.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwp.errors import BadInput
from nwp.files import data_home
from nwp.runs.metrics import COLUMNS, Row, row_of
from nwp.runs.trackers import About, digest_of

if TYPE_CHECKING:
    from nwp.federated.state import RoundReport

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"

_VERSION = 1
_PATIENCE = 2.0  # seconds to wait for another process
_SHORTEST = 6  # hexadecimal digits of an id
_TYPES = {int: "INTEGER", float: "REAL"}
_FIGURES = ", ".join(f"{name} {_TYPES[kind]}" for name, kind in COLUMNS.items() if name != "round")
_SCHEMA = f"""
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, place TEXT NOT NULL,
    fingerprint TEXT NOT NULL, about TEXT NOT NULL, began TEXT NOT NULL, updated TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, result TEXT);
CREATE INDEX runs_by_place ON runs (place);
CREATE TABLE rounds (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, round INTEGER NOT NULL, {_FIGURES},
    PRIMARY KEY (run, round)) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_REACHED = "(SELECT max(round) FROM rounds WHERE run = id)"
_SPENT = ("seconds", "bytes_down", "bytes_up")


@dataclass(frozen=True)
class Run:
    """A run as it was recorded. Times are ISO 8601 in UTC; `reached` is its last round, `spent` the
    seconds and bytes of all its rounds, `best` the figures of the best one ({} while none was
    validated), `result` None while it has not finished."""

    id: str
    about: About
    began: str
    updated: str
    state: str
    reason: str
    reached: int
    spent: Mapping[str, int | float]
    best: Mapping[str, int | float | None]
    result: Mapping[str, Any] | None


def records_file() -> Path:
    """Where the records are: `runs.sqlite` in NWP_HOME, else in the user's own place for data."""
    return data_home() / "runs.sqlite"


def recording_wanted() -> bool:
    """Unless NWP_RUNS says off, no, false or 0."""
    return os.environ.get("NWP_RUNS", "").strip().lower() not in ("off", "no", "false", "0")


class Records:
    """The records in a file, which need not exist. sqlite3.Error and OSError as they come from writing;
    reading turns them into BadInput."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, about: About, rows: Sequence[Row]) -> str:
        """Enter a run that begins, or goes on after some rounds; returns its id.

        It goes on as the last one recorded of the same fingerprint in the same place, unless that
        has come to rounds and this one begins anew. Whatever else ran in that place runs no longer.
        """
        now, place = _now(), str(about.out)
        with self._writing() as db:
            same = db.execute(
                f"SELECT id, {_REACHED} FROM runs WHERE place = ? AND fingerprint = ? "
                "ORDER BY number DESC",
                (place, about.fingerprint),
            ).fetchall()
            told = _text(asdict(about) | {"out": place})
            if same and (rows or not same[0][1]):
                found: str = same[0][0]
                db.execute(
                    "UPDATE runs SET about = ?, updated = ?, state = ?, reason = '', result = NULL "
                    "WHERE id = ?",
                    (told, now, RUNNING, found),
                )
            else:
                found = _new_id(db, about, len(same))
                db.execute(
                    "INSERT INTO runs (id, place, fingerprint, about, began, updated, state, reason)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, '')",
                    (found, place, about.fingerprint, told, now, now, RUNNING),
                )
            db.execute(
                "UPDATE runs SET state = ? WHERE place = ? AND id != ? AND state = ?",
                (STOPPED, place, found, RUNNING),
            )
            # A damaged round is gone back behind, and done again.
            db.execute("DELETE FROM rounds WHERE run = ? AND round > ?", (found, len(rows)))
            _put(db, found, rows)
        return found

    def add(self, run: str, rows: Sequence[Row]) -> None:
        """Enter rounds of a run; one that is there already is replaced."""
        with self._writing() as db:
            _put(db, run, rows)
            db.execute("UPDATE runs SET updated = ? WHERE id = ?", (_now(), run))

    def end(
        self, run: str, state: str, reason: str = "", result: Mapping[str, Any] | None = None
    ) -> None:
        """Enter how a run has ended."""
        kept = None if result is None else _text(result)
        with self._writing() as db:
            db.execute(
                "UPDATE runs SET updated = ?, state = ?, reason = ?, result = ? WHERE id = ?",
                (_now(), state, reason, kept, run),
            )

    def forget(self, run: str) -> None:
        """Delete the record of a run, and nothing else of it."""
        with self._told(), self._writing() as db:
            db.execute("DELETE FROM runs WHERE id = ?", (run,))

    def every(self) -> list[Run]:
        """All runs, the last begun first."""
        sums = ", ".join(f"sum({name}) AS {name}" for name in _SPENT)
        spent = ", ".join(f"coalesce(s.{name}, 0)" for name in ("round", *_SPENT))
        figures = ", ".join(f"b.{name}" for name in COLUMNS)
        query = (
            f"SELECT id, about, began, updated, state, reason, result, {spent}, {figures} FROM runs "
            f"LEFT JOIN (SELECT run, max(round) AS round, max(round * best) AS top, {sums} "
            "FROM rounds GROUP BY run) s ON s.run = id "
            "LEFT JOIN rounds b ON b.run = id AND b.round = s.top ORDER BY number DESC"
        )
        with self._reading() as db:
            return [_run(row) for row in db.execute(query)] if db else []

    def rounds(self, run: str) -> list[Row]:
        """The rounds of a run, in order."""
        query = f"SELECT {', '.join(COLUMNS)} FROM rounds WHERE run = ? ORDER BY round"
        with self._reading() as db:
            rows = db.execute(query, (run,)).fetchall() if db else []
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            if not _version(db):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
            yield db
            db.execute("COMMIT")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """None where nothing was ever recorded."""
        if not self.path.exists():
            yield None
            return
        with self._told(), self._open() as db:
            db.execute("BEGIN")
            yield db if _version(db) else None

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Not made where it is missing: it would be open to others.
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(address, timeout=_PATIENCE, isolation_level=None, uri=True)
        with contextlib.closing(connection) as db:  # which takes back what was not committed
            db.execute("PRAGMA foreign_keys = ON")
            yield db

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"the records of past runs in {self.path} can't be used: {error}",
                "If another nwp is not just writing them, move that file away: a new one is begun.",
            ) from error


class Recorder:
    """The tracker that keeps a run's record."""

    def __init__(self, records: Records) -> None:
        self.name = f"the record of this run in {records.path}"
        self._records = records
        self._run = ""
        self._kept = 0

    def started(self, about: About, history: Sequence[RoundReport]) -> None:
        """Enter the run."""
        self._run = self._records.begin(about, [row_of(report) for report in history])
        self._kept = len(history)

    def progressed(self, history: Sequence[RoundReport]) -> None:
        """Enter the rounds that are new."""
        self._records.add(self._run, [row_of(report) for report in history[self._kept :]])
        self._kept = len(history)

    def finished(self, history: Sequence[RoundReport], result: Mapping[str, Any]) -> None:
        """Enter what it came to."""
        self.progressed(history)
        self._records.end(self._run, FINISHED, result=result)

    def stopped(self, reason: str) -> None:
        """Enter that it failed, or was stopped."""
        self._records.end(self._run, FAILED if reason else STOPPED, reason)


def _put(db: sqlite3.Connection, run: str, rows: Sequence[Row]) -> None:
    names, marks = ", ".join(COLUMNS), ", ".join("?" * (len(COLUMNS) + 1))
    db.executemany(
        f"INSERT OR REPLACE INTO rounds (run, {names}) VALUES ({marks})",
        [(run, *(row[name] for name in COLUMNS)) for row in rows],
    )


def _new_id(db: sqlite3.Connection, about: About, times: int) -> str:
    """Hexadecimal digits: those of the run's key, unless it was begun before, in that place."""
    digest = digest_of(str(about.out), about.fingerprint, *([str(times)] if times else []))
    length = _SHORTEST
    while db.execute("SELECT 1 FROM runs WHERE id = ?", (digest[:length],)).fetchone():
        length += 1
    return digest[:length]


def _run(row: Sequence[Any]) -> Run:
    run, about, began, updated, state, reason, result, reached, *rest = row
    spent, figures = rest[: len(_SPENT)], rest[len(_SPENT) :]
    best = dict(zip(COLUMNS, figures, strict=True)) if figures[0] is not None else {}
    given = json.loads(about)
    return Run(
        id=run,
        about=About(**given | {"out": Path(given["out"])}),
        began=began,
        updated=updated,
        state=state,
        reason=reason,
        reached=reached,
        spent=dict(zip(_SPENT, spent, strict=True)),
        best=best,
        result=json.loads(result) if result else None,
    )


def _version(db: sqlite3.Connection) -> int:
    """Of the tables that are there, 0 for none; ValueError for those of a later nwp."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > _VERSION:
        raise ValueError(f"a newer nwp has written them, form {found}")
    return found


def _text(found: Mapping[str, Any]) -> str:
    return json.dumps(found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
