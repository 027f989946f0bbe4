"""Trackers: who keeps or shows the figures of a run while it trains. None may stop the run."""

from __future__ import annotations

import hashlib
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nwp.federated.state import RoundReport

Setting = str | int | float | bool | None

_TRIES = 3  # rounds in a row that a tracker may fail in before it is left alone
_LONGEST = 200  # characters of what an error says


@dataclass(frozen=True)
class About:
    """What a run is: no text of anybody's in it, and no user's name.

    `out` is absolute. `fingerprint` is the digest that a resumed run shares with the one it goes on
    from, `plan` and `words` are the digests of the plan and of the words that the model knows.
    `settings` are flat, by dotted name; `rounds` are those planned.
    """

    out: Path
    fingerprint: str
    corpus: str
    command: str
    settings: Mapping[str, Setting]
    versions: Mapping[str, str]
    plan: str
    words: str
    vocabulary: int
    parameters: int
    workers: int
    users: int
    rounds: int

    @property
    def key(self) -> str:
        """A few hexadecimal digits that are the same whenever this run goes on where it is."""
        return digest_of(str(self.out), self.fingerprint)[:6]


class Tracker(Protocol):
    """Is told the whole history each time: what it has failed to keep, it can keep the next time.

    Any of these may raise what it likes.
    """

    name: str

    def started(self, about: About, history: Sequence[RoundReport]) -> None:
        """A run begins, or goes on after the rounds of `history`."""

    def progressed(self, history: Sequence[RoundReport]) -> None:
        """One more round is durable."""

    def finished(self, history: Sequence[RoundReport], result: Mapping[str, Any]) -> None:
        """Training is done, and its bundle written."""

    def stopped(self, reason: str) -> None:
        """Training has failed for a reason, or (none) was stopped on request."""


class Trackers:
    """Several trackers as one that never raises: `warn` is told, once of each, what went wrong."""

    def __init__(self, trackers: Sequence[Tracker], warn: Callable[[str], None]) -> None:
        self._guarded = [_Guarded(tracker, warn) for tracker in trackers]
        self._history: Sequence[RoundReport] = ()

    def started(self, about: About, history: Sequence[RoundReport]) -> None:
        """As `Tracker`."""
        self._history = history
        for guarded in self._guarded:
            guarded.begin(about, history)

    def progressed(self, history: Sequence[RoundReport]) -> None:
        """As `Tracker`."""
        self._history = history
        for guarded in self._guarded:
            guarded.tell(lambda tracker: tracker.progressed(history), history)

    def finished(self, result: Mapping[str, Any]) -> None:
        """As `Tracker`, after the rounds told before."""
        for guarded in self._guarded:
            guarded.last(lambda tracker: tracker.finished(self._history, result), self._history)

    def stopped(self, reason: str) -> None:
        """As `Tracker`."""
        for guarded in self._guarded:
            guarded.last(lambda tracker: tracker.stopped(reason), self._history)


class _Guarded:
    """A tracker whose failures are told and survived."""

    def __init__(self, tracker: Tracker, warn: Callable[[str], None]) -> None:
        self._tracker, self._warn = tracker, warn
        self._about: About | None = None
        self._begun = self._warned = False
        self._failed = 0

    def begin(self, about: About, history: Sequence[RoundReport]) -> None:
        self._about = about
        self.tell(lambda tracker: None, history)

    def tell(self, what: Callable[[Tracker], None], history: Sequence[RoundReport]) -> None:
        """Unless it has failed too often; one whose beginning failed begins first."""
        if self._about is None or self._failed >= _TRIES:
            return
        try:
            if not self._begun:
                self._tracker.started(self._about, history)
                self._begun = True
            what(self._tracker)
            self._failed = 0
        except Exception as error:
            self._failed += 1
            if not self._warned:
                self._warned = True
                why = textwrap.shorten(str(error), _LONGEST, placeholder=" …")
                self._warn(f"{self._tracker.name} can't be written ({why}); training goes on")

    def last(self, what: Callable[[Tracker], None], history: Sequence[RoundReport]) -> None:
        """Once more, however often it has failed."""
        self._failed = min(self._failed, _TRIES - 1)
        self.tell(what, history)


def digest_of(*parts: str) -> str:
    """SHA-256 of some texts, none of which holds a NUL, in hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def moments(reports: Sequence[RoundReport]) -> list[float]:
    """When rounds ended, in seconds since 1970, if the last of them has ended now."""
    ends, now = [], time.time()
    for report in reversed(reports):
        ends.append(now)
        now -= report.seconds
    return ends[::-1]


# What the figures are called where they are grouped by what stands before the slash.
NAMES: Mapping[str, str] = {
    "loss": "train/loss",
    "words": "train/words",
    "users": "train/users",
    "valid_perplexity": "valid/perplexity",
    "valid_top1": "valid/top1",
    "valid_top3": "valid/top3",
    "bytes_down": "traffic/bytes_down",
    "bytes_up": "traffic/bytes_up",
    "seconds": "time/seconds",
    "waited": "time/waited",
    "late": "rounds/late",
    "absent": "rounds/absent",
    "abandoned": "rounds/abandoned",
}
