"""Past runs: which there were, what they came to, how they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nwp.errors import BadInput, BadSettings
from nwp.runs.curves import Curve, curve_of
from nwp.runs.nameless import nameless_result
from nwp.runs.records import FINISHED, RUNNING, STOPPED, Records, Run, records_file
from nwp.runs.trackers import Setting
from nwp.tasks.run_folder import result_in, under_way

_NONE = "no run has been recorded yet"
FIRST = "Make a first one:  nwp train sample --out my-model --rounds 20"
# What runs are compared by, and what is better: less, more or (None) neither.
RESULTS: Mapping[str, Callable[..., Any] | None] = {
    "perplexity": min,
    "top1": max,
    "top3": max,
    "best_round": None,
    "rounds": None,
    "seconds": min,
    "bytes_down": min,
    "bytes_up": min,
}
_OF_CORPUS = ("perplexity", "top1", "top3")


class PastRuns:
    """The recorded runs, the last begun first; those that were killed are stopped.

    BadInput when the records can't be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._records = Records(path or records_file())

    def every(self) -> list[Run]:
        """All runs."""
        found, places = [], set()
        for run in self._records.every():
            found.append(_settled(run, newest=run.about.out not in places))
            places.add(run.about.out)
        return found

    def find(self, wanted: str = "") -> Run:
        """A run by its id, the beginning of it or its folder (the last one there); "" for the last.

        BadInput when there is none, or more than one.
        """
        every = self.every()
        if not every:
            raise BadInput(_NONE, FIRST)
        if not wanted:
            return every[0]
        found = [run for run in every if run.id.startswith(wanted)]
        exact = [run for run in found if run.id == wanted]
        here = [run for run in every if run.about.out == Path(wanted).absolute()][:1]
        if len(found) > 1 and not exact and not here:
            some = ", ".join(run.id for run in found)
            raise BadInput(f"several runs begin with {wanted!r}", f"Say more of it: {some}.")
        if not (chosen := exact or here or found):
            raise BadInput(f"no run {wanted!r}", "`nwp runs list` tells those that there are.")
        return chosen[0]

    def find_all(self, wanted: Sequence[str]) -> list[Run]:
        """Each of several, once."""
        found = {run.id: run for run in map(self.find, wanted or [""])}
        return list(found.values())

    def details(self, run: Run) -> dict[str, Any]:
        """All that is known of a run, its rounds too, as JSON can say it."""
        return {**summary(run), **_what(run), "history": self._records.rounds(run.id)}

    def curves(self, runs: Sequence[Run], metric: str, axis: str) -> list[Curve]:
        """A curve of each. BadSettings when there is nothing to draw."""
        found = []
        for run in runs:
            rows = self._records.rounds(run.id)
            if axis == "words" and rows and not any(row["words"] for row in rows):
                raise BadSettings(
                    f"the workers of {run.id} do not tell words", "Draw it --by round."
                )
            found.append(curve_of(f"{run.id} {run.about.out.name}", rows, metric, axis))
        if not any(curve.points for curve in found):
            raise BadSettings(
                f"no {metric} to draw yet",
                "It is there from the first validation on; --metric loss from the first round on.",
            )
        return found

    def forget(self, run: Run) -> None:
        """Delete the record; the run's folder stays. BadInput while it trains."""
        if run.state == RUNNING:
            raise BadInput(f"{run.id} is running", "Wait for its end, or stop it first.")
        self._records.forget(run.id)


def _settled(run: Run, *, newest: bool) -> Run:
    """With the state that it really is in: who was killed could not tell."""
    if run.state == FINISHED:
        return run
    out, fingerprint = run.about.out, run.about.fingerprint
    if newest and under_way(out, fingerprint):
        return replace(run, state=RUNNING, reason="")
    if newest and (result := result_in(out, fingerprint)):
        return replace(run, state=FINISHED, reason="", result=nameless_result(result))
    return replace(run, state=STOPPED) if run.state == RUNNING else run


def results_of(run: Run) -> dict[str, Any]:
    """What a run came to, or has come to so far, by the names of `RESULTS`."""
    valid = {name: run.best.get(f"valid_{name}") for name in _OF_CORPUS}
    return {**valid, "best_round": run.best.get("round"), "rounds": run.reached, **run.spent}


def summary(run: Run) -> dict[str, Any]:
    """A run in a line."""
    return {
        "id": run.id,
        "out": str(run.about.out),
        "corpus": run.about.corpus,
        "state": run.state,
        "reason": run.reason,
        "began": run.began,
        "updated": run.updated,
        "planned": run.about.rounds,
        **results_of(run),
    }


def side_by_side(runs: Sequence[Run]) -> dict[str, Any]:
    """Which settings differ, and what each came to; `best` is the place of the best run.

    Runs of other corpora, users or words are not `comparable`: no figure of theirs is best.
    """
    if len(runs) < 2:
        raise BadSettings("there is nothing to compare one run with", "Name two runs or more.")
    every: dict[str, list[Setting]] = {"corpus": [run.about.corpus for run in runs]}
    every |= {"users": [run.about.users for run in runs]}
    every |= {"workers": [run.about.workers for run in runs]}
    for library in runs[0].about.versions:
        every[f"version of {library}"] = [run.about.versions.get(library) for run in runs]
    names = dict.fromkeys(name for run in runs for name in run.about.settings)
    every |= {name: [run.about.settings.get(name) for run in runs] for name in names}
    alike = {(run.about.corpus, run.about.users, run.about.words) for run in runs}
    found = [results_of(run) for run in runs]
    return {
        "runs": [summary(run) for run in runs],
        "comparable": len(alike) == 1,
        "settings": {name: values for name, values in every.items() if len(set(values)) > 1},
        "results": {
            name: _row([one[name] for one in found], better if len(alike) == 1 else None)
            for name, better in RESULTS.items()
        },
    }


def _row(values: list[Any], better: Callable[..., Any] | None) -> dict[str, Any]:
    known = [(value, place) for place, value in enumerate(values) if value is not None]
    best = None
    if better and len({value for value, _ in known}) > 1:
        best = better(known, key=lambda one: one[0])[1]
    return {"values": values, "best": best}


def _what(run: Run) -> dict[str, Any]:
    about = asdict(run.about)
    names = ("command", "plan", "workers", "users", "vocabulary", "parameters")
    return {
        **{name: about[name] for name in names},
        "settings": about["settings"],
        "versions": about["versions"],
        "result": run.result,
    }
