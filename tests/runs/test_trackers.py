from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_up import about, round_of, rounds

from nwp.federated.state import RoundReport
from nwp.runs.metrics import COLUMNS
from nwp.runs.trackers import NAMES, About, Trackers, moments


class Listening:
    """Notes what it is told, and fails when it is asked to."""

    name = "the notebook"

    def __init__(self, fails: Callable[[str], bool] = lambda heard: False) -> None:
        self.heard: list[str] = []
        self.tried = 0
        self._fails = fails

    def _hear(self, what: str) -> None:
        self.tried += 1
        if self._fails(what):
            raise RuntimeError("no paper")
        self.heard.append(what)

    def started(self, about: About, history: Sequence[RoundReport]) -> None:
        self._hear(f"started after {len(history)}")

    def progressed(self, history: Sequence[RoundReport]) -> None:
        self._hear(f"round {len(history)}")

    def finished(self, history: Sequence[RoundReport], result: Mapping[str, Any]) -> None:
        self._hear(f"finished after {len(history)}: {result['rounds']}")

    def stopped(self, reason: str) -> None:
        self._hear(f"stopped {reason}")


def run(*trackers: Listening, last: int = 3) -> list[str]:
    """A whole run; what was warned of."""
    warned: list[str] = []
    every = Trackers(trackers, warned.append)
    every.started(about(), ())
    for number in range(1, last + 1):
        every.progressed(rounds(number))
    every.finished({"rounds": last})
    return warned


WHOLE = ["started after 0", "round 1", "round 2", "round 3", "finished after 3: 3"]


def test_all_are_told_all() -> None:
    first, second = Listening(), Listening()
    assert run(first, second) == []
    assert first.heard == second.heard == WHOLE


def test_one_that_fails_is_told_of_once_and_harms_nobody() -> None:
    broken, sound = Listening(lambda what: True), Listening()
    warned = run(broken, sound, last=20)
    assert warned == ["the notebook can't be written (no paper); training goes on"]
    assert len(sound.heard) == 22
    assert broken.tried == 4  # three rounds, and the end


def test_one_that_could_not_begin_begins_when_it_can() -> None:
    times = iter([True, True])
    late = Listening(lambda what: next(times, False))
    run(late)
    assert late.heard == ["started after 2", "round 2", "round 3", "finished after 3: 3"]


def test_one_that_fails_now_and_then_is_kept() -> None:
    shaky = Listening(lambda what: what in {f"round {n}" for n in range(2, 30, 2)})
    run(shaky, last=30)
    assert shaky.heard[-2:] == ["round 30", "finished after 30: 30"]


def test_the_end_is_told_even_to_one_that_was_given_up() -> None:
    broken = Listening(lambda what: what.startswith("round"))
    run(broken, last=9)
    assert broken.heard == ["started after 0", "finished after 9: 9"]


def test_who_was_never_told_of_a_beginning_hears_of_no_end() -> None:
    listening = Listening()
    Trackers([listening], print).stopped("failed")
    assert listening.heard == []


def test_ctrl_c_is_no_failure_of_a_tracker() -> None:
    class Interrupted(Listening):
        def progressed(self, history: Sequence[RoundReport]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted())


def test_rounds_told_later_are_dated_back_by_what_they_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert moments([round_of(n, seconds=10.0 * n) for n in (1, 2, 3)]) == [950.0, 970.0, 1000.0]
    assert moments([]) == []


def test_every_figure_but_the_key_and_the_mark_of_the_best_has_a_name() -> None:
    assert set(NAMES) == set(COLUMNS) - {"round", "best"}
    assert len(set(NAMES.values())) == len(NAMES)


def test_a_run_has_the_same_key_wherever_it_is_asked_for_and_another_elsewhere() -> None:
    mine = about(Path("/models/m"), "abc")
    assert mine.key == about(Path("/models/m"), "abc").key
    assert len({mine.key, about(Path("/models/n"), "abc").key, about(fingerprint="abd").key}) == 3
