"""Progress of training on standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from nwp.cli.output import err, figure, megabytes, percent

if TYPE_CHECKING:
    from nwp.federated.state import RoundReport, RunState
    from nwp.tasks.watching import Started, Watcher
    from nwp.workers.simulation import Simulation


class Rounds:
    """Tells how training goes; made by `watching`."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Any = None
        self._task: Any = None
        self._began = 0.0
        self._first = 0
        self._rounds = 0
        self._said: set[tuple[str, str]] = set()

    def enrolled(self, simulation: Simulation) -> None:
        """The datasites are ready."""
        users = sum(len(users) for users in simulation.deals.values())
        self._say(f"{users} users on {len(simulation.deals)} workers; keys exchanged")

    def started(self, started: Started) -> None:
        """The plan is approved; training begins."""
        job, plan = started.job, started.plan
        for worker, reason in job.refused.items():
            self._said.add((worker, reason))
            self._say(f"{worker} takes no part: {reason}")
        self._say(
            f"plan {job.digest[:12]} approved by {len(job.approved)} of {len(plan.workers)} owners: "
            f"{len(plan.words):,} words, {started.parameters:,} weights, {plan.rounds} rounds"
        )
        if started.state.number:
            self._say(f"going on after round {started.state.number}")
        self._began, self._first = time.monotonic(), started.state.number
        self._rounds = plan.rounds
        if self._live is not None:
            self._task = self._live.add_task("", total=plan.rounds, completed=self._first)

    def measured(self, valid: Mapping[str, Any]) -> None:
        """How good the model is that training starts from."""
        self._say(f"before training: {_figures(valid)}")

    def round_done(self, state: RunState) -> None:
        """One more round is durable."""
        report = state.history[-1]
        valid = next((r.valid for r in reversed(state.history) if r.valid), None)
        figures = "not validated yet"
        if valid:
            figures = _figures(valid)
        moved = megabytes(report.bytes_down + report.bytes_up)
        line = f"{figures}; {_took_part(report)}, {moved} moved"
        for worker, reason in set(report.absent.items()) - self._said:
            self._said.add((worker, reason))
            self._say(f"round {report.number}: {worker} took no part: {reason}")
        if self._live is not None:
            self._live.update(self._task, completed=report.number, description=line)
        else:
            self._say(f"round {report.number}/{self._rounds}: {line}; {self._left(report.number)}")

    def warned(self, text: str) -> None:
        """Something is not as it should be, and training goes on."""
        err().print(f"warning: {text}")

    def _left(self, number: int) -> str:
        spent = time.monotonic() - self._began
        left = spent / (number - self._first) * (self._rounds - number)
        return f"{left:.0f} s left"

    def _say(self, text: str) -> None:
        if not self._quiet:
            err().print(text)

    def watcher(self) -> Watcher:
        """As training wants it."""
        from nwp.tasks.watching import Watcher

        return Watcher(
            self.enrolled, self.started, self.round_done, self.warned, measured=self.measured
        )


def _figures(valid: Mapping[str, Any]) -> str:
    return f"valid perplexity {figure(valid['perplexity'])}, top-1 {percent(valid['top1'])}"


def how_good(result: Mapping[str, Any]) -> str:
    """What training has brought, from what it began with, and in which round."""
    valid, before, best = result["valid"], result.get("before"), result["best_round"]
    since = f"from {figure(before['perplexity'])} to " if before else ""
    text = (
        f"valid perplexity {since}{figure(valid['perplexity'])}, top-1 {percent(valid['top1'])}, "
        f"top-3 {percent(valid['top3'])}"
    )
    if before and best == 0:
        return (
            f"{text}\nno round was better than the model before training, whose weights are kept: try a "
            "lower --learning-rate"
        )
    return f"{text} (best: round {best})"


def _took_part(report: RoundReport) -> str:
    """How many users a round is of, how many came too late, and why it is of none."""
    if report.abandoned:
        return f"abandoned: {report.abandoned}"
    users = f"{report.users} users" if report.users else "nobody could take part, no update"
    return f"{users}, {report.late} late" if report.late else users


@contextmanager
def own_models() -> Iterator[Callable[[int, int], None]]:
    """Show how many users' own models are trained, while the block runs."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("users' own models"),
        MofNCompleteColumn(),
        BarColumn(bar_width=16),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=err(), disable=not err().is_terminal) as live:
        task = live.add_task("", total=None, visible=False)

        def watch(done: int, users: int) -> None:
            live.update(task, completed=done, total=users, visible=True)
            if not err().is_terminal and done % max(users // 4, 1) == 0:
                err().print(f"users' own models: {done} of {users}")

        yield watch


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[Rounds]:
    """Show progress while the block runs."""
    rounds = Rounds(quiet)
    if quiet or not err().is_terminal:
        yield rounds
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("round"),
        MofNCompleteColumn(),
        BarColumn(bar_width=16),
        TextColumn("{task.description}"),
        TimeRemainingColumn(compact=True),
    )
    # Redirected output stays what was asked for, even while a bar is shown.
    with Progress(*columns, console=err(), redirect_stdout=sys.stdout.isatty()) as live:
        rounds._live = live
        yield rounds


@contextmanager
def fine_tuning() -> Iterator[Callable[[float, int, float | None], None]]:
    """Show how each pass over a person's messages goes, while the block runs."""
    with err().status("fine-tuning") if err().is_terminal else nullcontext() as live:

        def watch(rate: float, passes: int, perplexity: float | None) -> None:
            told = "no valid words" if perplexity is None else figure(perplexity)
            line = f"learning rate {rate:g}, pass {passes}: valid perplexity {told}"
            if live is not None:
                live.update(line)
            else:
                err().print(line)

        yield watch


@contextmanager
def answering() -> Iterator[Callable[[str, int, int], None]]:
    """Show how many workers have answered, while the block runs."""
    with err().status("asking the workers") if err().is_terminal else nullcontext() as live:

        def watch(doing: str, done: int, workers: int) -> None:
            line = f"{doing}: {done} of {workers} workers have answered"
            if live is not None:
                live.update(line)
            elif done and (done == workers or done % max(workers // 4, 1) == 0):
                err().print(line)

        yield watch
