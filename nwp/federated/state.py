"""The state of a training run, and its checkpoint on disk.

A run's folder has `round-N.safetensors` for the last durable round and `state.json` = {"round": N},
which is replaced after it. While a round of several phases is under way, `phase.safetensors` has
what the finished phases left. A process killed at any point leaves a run that goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nwp.errors import BadInput
from nwp.federated.optimizers import OptimizerState
from nwp.federated.parcel import Parcel
from nwp.files import write_atomic
from nwp.model.lstm import FloatArray

STATE = "state.json"
PHASE = "phase.safetensors"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, SafetensorError)


@dataclass(frozen=True)
class RoundReport:
    """One round in figures. `loss` is the mean training loss in nats; `valid` is None between
    validations; `absent` is worker to reason; `kept` tells a new best.

    `users` are those whose updates count: 0 in a round without an update; `words` is 0 too where
    workers do not tell it. `late` users were asked and their answers, later than the round waited,
    were dropped; it waited `waited` seconds, simulated ones in a simulation. `abandoned` is why no
    update came of a round that should have had one, or empty."""

    number: int
    loss: float
    words: int
    users: int
    bytes_down: int
    bytes_up: int
    seconds: float
    valid: Mapping[str, Any] | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    kept: bool = False
    late: int = 0
    waited: float = 0.0
    abandoned: str = ""


@dataclass(frozen=True)
class RunState:
    """All that the server needs to go on after round `number`: weights are float32 (n,)."""

    number: int
    weights: FloatArray
    optimizer: OptimizerState
    best_weights: FloatArray
    best_number: int = 0
    best_valid: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[RoundReport, ...] = ()

    @property
    def validations_since_best(self) -> int:
        """How many validations have passed since the best one."""
        return sum(r.valid is not None and r.number > self.best_number for r in self.history)


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept, and the digest of its plan: another plan can't go on from it."""

    folder: Path
    plan: str

    def save(self, state: RunState) -> None:
        """Make a round durable; only then forget the one before and the phases of this one."""
        arrays = {
            "weights": state.weights,
            "best": state.best_weights,
            "first": state.optimizer.first,
            "second": state.optimizer.second,
        }
        about = {
            "plan": self.plan,
            "number": state.number,
            "best_number": state.best_number,
            "best_valid": dict(state.best_valid),
            "history": [asdict(report) for report in state.history],
        }
        data = save(arrays, metadata={"nwp": json.dumps(about)})
        write_atomic(self._round(state.number), data)
        write_atomic(self.folder / STATE, json.dumps({"round": state.number}) + "\n")
        (self.folder / PHASE).unlink(missing_ok=True)
        for old in self.folder.glob("round-*.safetensors"):
            if old != self._round(state.number):
                old.unlink()

    def load(self) -> RunState | None:
        """The last durable round; None when there is none. BadInput for a damaged file or another
        plan's run."""
        if not (self.folder / STATE).exists():
            return None
        try:
            number = int(json.loads((self.folder / STATE).read_text())["round"])
            about, arrays = _read(self._round(number))
            mine = about["plan"] == self.plan
            state = RunState(
                number=about["number"],
                weights=arrays["weights"],
                optimizer=OptimizerState(arrays["first"], arrays["second"]),
                best_weights=arrays["best"],
                best_number=about["best_number"],
                best_valid=about["best_valid"],
                history=tuple(RoundReport(**report) for report in about["history"]),
            )
        except _UNREADABLE as error:
            raise BadInput(
                f"the checkpoint in {self.folder} is damaged: {error}",
                "Train anew into another folder, or with --force.",
            ) from error
        if not mine:
            raise BadInput(
                f"the run in {self.folder} has another plan (other settings, seed or users)",
                "Resume with exactly the settings it was started with, or train anew with --force.",
            )
        return state

    def save_phase(self, number: int, done: int, state: Parcel) -> None:
        """Keep what the first `done` phases of round `number` left."""
        about = {"plan": self.plan, "number": number, "done": done, "fields": dict(state.fields)}
        data = save(dict(state.arrays), metadata={"nwp": json.dumps(about)})
        write_atomic(self.folder / PHASE, data)

    def load_phase(self, number: int) -> tuple[int, Parcel] | None:
        """Phases done in round `number` and what they left; None when there is nothing usable."""
        path = self.folder / PHASE
        if not path.exists():
            return None
        try:
            about, arrays = _read(path)
            if about["plan"] != self.plan or about["number"] != number:
                return None
            return int(about["done"]), Parcel(about["fields"], arrays)
        except _UNREADABLE:
            return None  # the round begins again, which is always right

    def _round(self, number: int) -> Path:
        return self.folder / f"round-{number}.safetensors"


def after(state: RunState, **changes: Any) -> RunState:
    """The state with some entries changed."""
    return replace(state, **changes)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metadata and arrays of a safetensors file."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about: dict[str, Any] = json.loads(file.metadata()["nwp"])
    return about, arrays
