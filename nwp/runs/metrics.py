"""The figures of each round, under the names that they have everywhere, and the file `metrics.csv`.

| column | unit | what |
|---|---|---|
| `round` | – | its number, from 1 |
| `loss` | nats a word | mean training loss of the users whose updates count; empty where none does |
| `words` | words | trained on; 0 where workers do not tell it |
| `users` | users | whose updates count |
| `valid_perplexity` | – | on the users' valid parts; empty between validations |
| `valid_top1`, `valid_top3` | fraction of words | guessed first, or among the first three; empty as above |
| `best` | 0 or 1 | the lowest perplexity so far: these weights are kept |
| `bytes_down`, `bytes_up` | bytes | to the workers and back, encrypted, validation included |
| `seconds` | seconds | of computing, validation included |
| `waited` | simulated seconds | for the users' answers |
| `late` | users | whose answers came too late |
| `absent` | workers | that refused or failed |
| `abandoned` | 0 or 1 | no update, because too few users answered in time |
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwp.files import write_atomic

if TYPE_CHECKING:
    from nwp.federated.state import RoundReport
    from nwp.runs.trackers import About

Row = dict[str, int | float | None]

# Each column and its kind; `round` is the key.
COLUMNS: Mapping[str, type] = {
    "round": int,
    "loss": float,
    "words": int,
    "users": int,
    "valid_perplexity": float,
    "valid_top1": float,
    "valid_top3": float,
    "best": int,
    "bytes_down": int,
    "bytes_up": int,
    "seconds": float,
    "waited": float,
    "late": int,
    "absent": int,
    "abandoned": int,
}


def row_of(report: RoundReport) -> Row:
    """A round's figures by column; None where there is nothing to tell."""
    valid = report.valid or {}
    return {
        "round": report.number,
        "loss": report.loss if report.users else None,
        "words": report.words,
        "users": report.users,
        "valid_perplexity": valid.get("perplexity"),
        "valid_top1": valid.get("top1"),
        "valid_top3": valid.get("top3"),
        "best": int(report.kept),
        "bytes_down": report.bytes_down,
        "bytes_up": report.bytes_up,
        "seconds": report.seconds,
        "waited": report.waited,
        "late": report.late,
        "absent": len(report.absent),
        "abandoned": int(bool(report.abandoned)),
    }


class MetricsFile:
    """A tracker that keeps the rounds as CSV, a row a round, by appending.

    What a killed process left is written anew from the run's own history when the run goes on, and
    the file is put in place whole, synced, when training is done.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._written = 0
        self._torn = False

    def started(self, about: About, history: Sequence[RoundReport]) -> None:
        """Write what there is so far."""
        self._write_whole(history)

    def progressed(self, history: Sequence[RoundReport]) -> None:
        """Append the rounds that are new; where the last time failed, write all anew."""
        if self._torn or not self._path.exists():
            self._write_whole(history)
            return
        self._torn = True
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(_csv(history[self._written :]))
        self._written, self._torn = len(history), False

    def finished(self, history: Sequence[RoundReport], result: Mapping[str, Any]) -> None:
        """Put the whole file in place."""
        self._write_whole(history)

    def stopped(self, reason: str) -> None:
        """Nothing: each row is there already."""

    def _write_whole(self, history: Sequence[RoundReport]) -> None:
        write_atomic(self._path, ",".join(COLUMNS) + "\n" + _csv(history))
        self._written, self._torn = len(history), False


def read_metrics(path: Path) -> list[Row]:
    """The rows of such a file, empty cells as None; none where there is no file, or no such one."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                {name: kind(row[name]) if row[name] else None for name, kind in COLUMNS.items()}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _csv(history: Sequence[RoundReport]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(row_of(r).values() for r in history)
    return text.getvalue()
