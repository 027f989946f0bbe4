"""The state of a training run, and its checkpoint on disk.

A run's folder has `round-N.safetensors` for the last two durable rounds and `state.json` =
{"round": N}, which is replaced after each. While a round of several phases is under way,
`phase.safetensors` has what the finished phases left. A process killed at any point leaves a run
that goes on, and so does damage to the last round: each file holds a digest of itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

from nwp.errors import BadInput
from nwp.federated.device import CPU
from nwp.federated.optimizers import OptimizerState
from nwp.federated.parcel import Parcel
from nwp.federated.protocol import Traffic
from nwp.files import told, write_atomic
from nwp.model.lstm import FloatArray

STATE = "state.json"
PHASE = "phase.safetensors"
ROUNDS = "round-*.safetensors"
CARRIED = "carried."  # begins the names of what an aggregation carries on
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError),
    SafetensorError,
)
_BLANK = "0" * 64  # stands for the digest while it is computed


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
    """All that the server needs to go on after round `number`: weights are float32 (n,), and so is
    what the aggregation carries on (`Aggregation.carried`), by name. `devices` are the kinds of device
    that rounds were computed on (`nwp.federated.device.kind_of`), one after another. `before` is how good
    the model was before the first round, where that was measured; empty else."""

    number: int
    weights: FloatArray
    optimizer: OptimizerState
    best_weights: FloatArray
    best_number: int = 0
    best_valid: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[RoundReport, ...] = ()
    carried: Mapping[str, FloatArray] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)

    @property
    def validations_since_best(self) -> int:
        """How many validations have passed since the best one."""
        return sum(r.valid is not None and r.number > self.best_number for r in self.history)


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept, and the digest of its plan: another plan can't go on from it.

    A run makes every `every`th round durable, those it validates, and the one it stops after."""

    folder: Path
    plan: str
    every: int = 1

    def is_due(self, state: RunState) -> bool:
        """Is this state to be made durable?"""
        validated = bool(state.history) and state.history[-1].valid is not None
        return validated or state.number % self.every == 0

    def save(self, state: RunState) -> None:
        """Make a round durable; only then forget the one before the last and the phases of this one.

        NwpError when the disk is full or may not be written: the last durable round stays.
        """
        arrays = {
            "weights": state.weights,
            "best": state.best_weights,
            "first": state.optimizer.first,
            "second": state.optimizer.second,
            "mean": state.optimizer.mean,
            **{f"{CARRIED}{name}": array for name, array in state.carried.items()},
        }
        about = {
            "plan": self.plan,
            "number": state.number,
            "steps": state.optimizer.steps,
            "best_number": state.best_number,
            "best_valid": dict(state.best_valid),
            "before": dict(state.before),
            "history": [asdict(report) for report in state.history],
            "devices": list(state.devices),
        }
        data = _sealed(arrays, about)
        with self._told(state.number):
            write_atomic(self._round(state.number), data)
            write_atomic(self.folder / STATE, json.dumps({"round": state.number}) + "\n")
        with contextlib.suppress(OSError):  # nothing is lost if something too much stays
            self.forget_phases()
            kept = (self._round(state.number), self._round(state.number - 1))
            for old in self.folder.glob(ROUNDS):
                if old not in kept:
                    old.unlink()

    def load(self, warn: Callable[[str], None] = lambda text: None) -> RunState | None:
        """The last durable round; None when there is none.

        Where it is damaged, `warn` is told and the one before is taken. BadInput when that is no
        better, or for another plan's run.
        """
        if not (self.folder / STATE).exists():
            return None
        faults: list[str] = []
        for number in self._numbers(faults):
            path = self._round(number)
            try:
                about, arrays = _read(path)
                state = _state(about, arrays, number)
            except _UNREADABLE as error:
                faults.append(f"{path.name} is damaged ({error})")
                continue
            if about["plan"] != self.plan:
                raise BadInput(
                    f"the run in {self.folder} has another plan (other settings, seed or users)",
                    "Resume with exactly the settings it was started with, or train anew with "
                    "--force.",
                )
            if faults:
                warn(f"in {self.folder}: {'; '.join(faults)}; going on after round {number}")
            return state
        raise BadInput(
            f"the checkpoint in {self.folder} is damaged: {'; '.join(faults)}",
            "Train anew into another folder, or with --force.",
        )

    def save_phase(self, number: int, done: int, state: Parcel, traffic: Traffic) -> None:
        """Keep what the first `done` phases of round `number` left, and what they moved.

        NwpError as from `save`.
        """
        about = {
            "plan": self.plan,
            "number": number,
            "done": done,
            "fields": dict(state.fields),
            "traffic": asdict(traffic),
        }
        data = _sealed(state.arrays, about)
        with self._told(number):
            write_atomic(self.folder / PHASE, data)

    def load_phase(self, number: int) -> tuple[int, Parcel, Traffic] | None:
        """Phases done in round `number`, what they left and moved; None when nothing is usable."""
        path = self.folder / PHASE
        if not path.exists():
            return None
        try:
            about, arrays = _read(path)
            if about["plan"] != self.plan or about["number"] != number:
                return None
            return int(about["done"]), Parcel(about["fields"], arrays), Traffic(**about["traffic"])
        except _UNREADABLE:
            return None  # the round begins again, which is always right

    def forget_phases(self) -> None:
        """Let a round that is under way begin again."""
        (self.folder / PHASE).unlink(missing_ok=True)

    def _numbers(self, faults: list[str]) -> list[int]:
        """The rounds that may be gone on from, the last durable one first."""
        there = [path.stem.removeprefix("round-") for path in self.folder.glob(ROUNDS)]
        numbers = sorted((int(number) for number in there if number.isdecimal()), reverse=True)
        try:
            last = int(json.loads((self.folder / STATE).read_text())["round"])
        except _UNREADABLE as error:
            faults.append(f"{STATE} is damaged ({error})")
            return numbers
        return [last, *(number for number in numbers if number < last)]

    def _round(self, number: int) -> Path:
        return self.folder / f"round-{number}.safetensors"

    def _told(self, number: int) -> contextlib.AbstractContextManager[None]:
        kept = f"round {number - 1} is kept" if number > 1 else "it begins with round 1"
        return told(f"round {number} can't be kept", f"then go on with --resume: {kept}.")


def after(state: RunState, **changes: Any) -> RunState:
    """The state with some entries changed."""
    return replace(state, **changes)


def _state(about: Mapping[str, Any], arrays: Mapping[str, Any], number: int) -> RunState:
    if about["number"] != number:
        raise ValueError(f"it is of round {about['number']}")
    return RunState(
        number=number,
        weights=arrays["weights"],
        optimizer=OptimizerState(arrays["first"], arrays["second"], arrays["mean"], about["steps"]),
        best_weights=arrays["best"],
        best_number=about["best_number"],
        best_valid=about["best_valid"],
        history=tuple(RoundReport(**report) for report in about["history"]),
        carried={
            name.removeprefix(CARRIED): array
            for name, array in arrays.items()
            if name.startswith(CARRIED)
        },
        devices=tuple(map(str, about.get("devices", (CPU,)))),  # older ones know of no other
        before=about.get("before", {}),
    )


def _sealed(arrays: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    """A safetensors file whose metadata holds the SHA-256 of the whole file, with zeros in its place."""
    metadata = {"nwp": json.dumps({"sha256": _BLANK, **about})}
    data: bytes = save(dict(arrays), metadata=metadata)
    return data.replace(_BLANK.encode(), _digest(data).encode(), 1)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metadata and arrays of a sealed file; ValueError when it is not what was written."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about: dict[str, Any] = json.loads(header["__metadata__"]["nwp"])
    seal = about["sha256"].encode()
    if _digest(data.replace(seal, _BLANK.encode(), 1)).encode() != seal:
        raise ValueError("its checksum is another")
    return about, load(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
