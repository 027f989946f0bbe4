"""A run's checkpoint: what is damaged is noticed, what can't be written harms nothing, and any round
is as good as any other to go on from."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwp.errors import BadInput, NwpError
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import NAMES, ServerOptimizer
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import Replies
from nwp.federated.rounds import start, train
from nwp.federated.state import STATE, Checkpoint, RunState, _sealed
from nwp.model.config import ModelConfig

WORDS = tuple("abcdefgh")
SIZE = 5 + len(WORDS)
MODEL = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=16)
ROUNDS = 3
LAST, BEFORE = f"round-{ROUNDS}.safetensors", f"round-{ROUNDS - 1}.safetensors"


def make_plan(**changes: Any) -> TrainPlan:
    server = ServerOptimizer("fedadam", learning_rate=0.05)
    about = {"server": server, "local": LocalWork(batch=3, learning_rate=0.3), "validate_every": 2}
    return TrainPlan(
        *(MODEL, WORDS, {}, {"one": 3, "two": 2}),
        **{"rounds": ROUNDS, "cohort": 3, "seed": 3} | about | changes,
    )


PLAN = make_plan()


def beginning() -> RunState:
    weights = np.random.default_rng(0).normal(0, 0.3, MODEL.parameters).astype(np.float32)
    return start(PLAN, weights)


def validate(weights: np.ndarray, number: int) -> tuple[dict[str, Any], Replies]:
    """Better and worse in turn, by the weights alone: a resumed run must find the same."""
    return {"perplexity": 5 + float(np.abs(weights[::7]).mean())}, Replies({}, {}, 100, 10)


def deep(state: RunState | None) -> dict[str, Any]:
    """A state as plain data to the last bit, without the time it took."""
    assert state is not None
    return {
        **{f.name: getattr(state, f.name) for f in dataclasses.fields(state)},
        "weights": state.weights.tobytes(),
        "optimizer": (state.optimizer.first.tobytes(), state.optimizer.second.tobytes()),
        "best_weights": state.best_weights.tobytes(),
        "history": [dataclasses.asdict(r) | {"seconds": 0} for r in state.history],
    }


Go = Callable[..., list[RunState]]


@pytest.fixture
def go(drawn: Any, in_memory: Any) -> Go:
    """Trains what is left of a run."""
    users = {
        "one": {name: drawn(i, 3 + i, SIZE, 16) for i, name in enumerate("abc")},
        "two": {name: drawn(9 + i, 4 + i, SIZE, 16) for i, name in enumerate("de")},
    }

    def going(checkpoint: Checkpoint, plan: TrainPlan = PLAN) -> Iterator[RunState]:
        state = checkpoint.load() or beginning()
        yield from train(plan, state, in_memory(plan, users), validate, checkpoint)

    return going


@pytest.fixture
def saved(tmp_path: Path, go: Go) -> tuple[Checkpoint, list[RunState]]:
    """A finished run and its states."""
    checkpoint = Checkpoint(tmp_path / "run", plan_digest(PLAN))
    return checkpoint, list(go(checkpoint))


# ----------------------------------------------------------------------------------------- damage


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda old: None,
    "empty": lambda old: b"",
    "half": lambda old: old[: len(old) // 2],
    "without its last byte": lambda old: old[:-1],
    "longer": lambda old: old + b"\0",
    "other bytes": lambda old: b"hello" * 100,
    "arrays renamed": lambda old: old.replace(b'"best"', b'"bust"'),
    "arrays exchanged": lambda old: (
        old.replace(b'"best"', b'"x"')
        .replace(b'"weights"', b'"best"')
        .replace(b'"x"', b'"weights"')
    ),
    "report renamed": lambda old: old.replace(b"bytes_up", b"bytes_in"),
    "figures changed": lambda old: old.replace(b"best_number", b"best_numbed"),
    "plan renamed": lambda old: old.replace(b"plan", b"plot"),
    "metadata renamed": lambda old: old.replace(b'"nwp"', b'"pwn"'),
    "checksum gone": lambda old: old.replace(b"sha256", b"sha257"),
    "nested beyond reading": lambda old: (50_000).to_bytes(8, "little") + b"[" * 50_000,
}
BAD_STATES: dict[str, bytes] = {
    "empty": b"",
    "half": b'{"rou',
    "another form": b"[2]",
    "without a round": b"{}",
    "no number": b'{"round": "two"}',
    "no finite number": b'{"round": Infinity}',
    "another round": b'{"round": 7}',
    "not text": b"\xff\xfe\x00",
}


def damage(path: Path, how: Callable[[bytes], bytes | None]) -> None:
    old = path.read_bytes()
    if (new := how(old)) is None:
        path.unlink()
    else:
        assert new != old
        path.write_bytes(new)


@pytest.mark.parametrize("how", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_last_round_is_told_and_the_one_before_leads_to_the_same_end(
    saved: tuple[Checkpoint, list[RunState]], go: Go, how: Callable[[bytes], bytes | None]
) -> None:
    checkpoint, whole = saved
    damage(checkpoint.folder / LAST, how)
    told: list[str] = []

    assert deep(checkpoint.load(told.append)) == deep(whole[-2])

    assert len(told) == 1
    assert f"{LAST} is damaged" in told[0]
    assert f"going on after round {ROUNDS - 1}" in told[0]
    (again,) = go(checkpoint)
    assert deep(again) == deep(whole[-1])
    assert deep(checkpoint.load(told.append)) == deep(whole[-1])
    assert len(told) == 1
    assert sorted(path.name for path in checkpoint.folder.iterdir()) == [BEFORE, LAST, STATE]


@pytest.mark.parametrize("how", DAMAGE.values(), ids=DAMAGE.keys())
def test_when_no_round_is_good_the_run_is_refused_with_a_hint(
    saved: tuple[Checkpoint, list[RunState]], how: Callable[[bytes], bytes | None]
) -> None:
    checkpoint, _ = saved
    damage(checkpoint.folder / LAST, how)
    damage(checkpoint.folder / BEFORE, how)
    with pytest.raises(BadInput, match="damaged") as error:
        checkpoint.load()
    assert LAST in error.value.message
    assert "--force" in error.value.hint


@pytest.mark.parametrize("state", BAD_STATES.values(), ids=BAD_STATES.keys())
def test_a_damaged_state_file_is_told_and_the_rounds_speak_for_themselves(
    saved: tuple[Checkpoint, list[RunState]], state: bytes
) -> None:
    checkpoint, whole = saved
    (checkpoint.folder / STATE).write_bytes(state)
    told: list[str] = []
    assert deep(checkpoint.load(told.append)) == deep(whole[-1])
    assert len(told) == 1
    assert "damaged" in told[0]
    (checkpoint.folder / LAST).unlink()
    (checkpoint.folder / BEFORE).unlink()
    with pytest.raises(BadInput, match="damaged"):
        checkpoint.load()


def test_a_round_under_anothers_name_is_not_taken_for_it(
    saved: tuple[Checkpoint, list[RunState]],
) -> None:
    checkpoint, whole = saved
    shutil.copy(checkpoint.folder / BEFORE, checkpoint.folder / LAST)
    assert deep(checkpoint.load()) == deep(whole[-2])


def test_a_round_that_was_never_durable_is_not_gone_on_from(
    saved: tuple[Checkpoint, list[RunState]],
) -> None:
    checkpoint, whole = saved
    (checkpoint.folder / STATE).write_text(json.dumps({"round": ROUNDS - 1}))
    assert deep(checkpoint.load()) == deep(whole[-2])
    (checkpoint.folder / STATE).unlink()
    assert checkpoint.load() is None


def test_every_flipped_bit_and_every_truncation_is_noticed(
    saved: tuple[Checkpoint, list[RunState]],
) -> None:
    checkpoint, whole = saved
    path, before = checkpoint.folder / LAST, deep(whole[-2])
    data, rng = path.read_bytes(), random.Random(1)
    header = 8 + int.from_bytes(data[:8], "little")
    # Every byte of the header, where what is changed might still be read; and a share of the rest.
    for at in [*range(header), *range(header, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
        assert checkpoint.load().number == ROUNDS - 1, at
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        assert checkpoint.load().number == ROUNDS - 1, length
    assert deep(checkpoint.load()) == before
    path.write_bytes(data)
    assert deep(checkpoint.load()) == deep(whole[-1])


def test_another_plans_rounds_are_refused_even_beside_a_damaged_one(
    saved: tuple[Checkpoint, list[RunState]],
) -> None:
    checkpoint, _ = saved
    (checkpoint.folder / LAST).write_bytes(b"")
    other = Checkpoint(checkpoint.folder, plan_digest(dataclasses.replace(PLAN, seed=4)))
    with pytest.raises(BadInput, match="another plan"):
        other.load()


def test_the_state_file_names_the_round_and_nothing_else(
    saved: tuple[Checkpoint, list[RunState]],
) -> None:
    assert json.loads((saved[0].folder / STATE).read_text()) == {"round": ROUNDS}


# ------------------------------------------------------------------------------ any round will do


@pytest.mark.parametrize("patience", [0, 1])
@pytest.mark.parametrize("optimizer", NAMES)
def test_a_run_resumed_at_each_of_its_rounds_takes_the_same_way(
    tmp_path: Path, go: Go, optimizer: str, patience: int
) -> None:
    """Nothing that decides what comes next is anywhere but in the checkpoint and the plan."""
    server = ServerOptimizer(optimizer, learning_rate=0.05)
    plan = make_plan(server=server, rounds=6, cohort=2, patience=patience)
    checkpoint = Checkpoint(tmp_path / "whole", plan_digest(plan))
    whole = []
    for state in go(checkpoint, plan):
        whole.append(state)
        shutil.copytree(checkpoint.folder, tmp_path / str(state.number))
    assert patience or len(whole) == 6
    for number in range(1, len(whole) + 1):
        resumed = Checkpoint(tmp_path / str(number), plan_digest(plan))
        assert deep(resumed.load()) == deep(whole[number - 1])
        rest = list(go(resumed, plan))
        assert [deep(state) for state in rest] == [deep(state) for state in whole[number:]]
        assert deep(resumed.load()) == deep(whole[-1])


# ------------------------------------------------------------------------------------ a full disk


class Full:
    """From the `number`-th call of one kind on, the disk says no."""

    def __init__(self, kind: str, number: int, code: int, patch: pytest.MonkeyPatch) -> None:
        self.error, self.left, self.hit = OSError(code, os.strerror(code)), number, False
        module, name = CALLS[kind]
        real = getattr(module, name)

        def act(*arguments: Any, **more: Any) -> Any:
            if kind == "write":
                file = real(*arguments, **more)
                if self._is_full():
                    file.close()
                    return _FullFile(self.error)
                return file
            if self._is_full():
                raise self.error
            return real(*arguments, **more)

        patch.setattr(module, name, act)

    def _is_full(self) -> bool:
        self.left -= 1
        self.hit = self.hit or self.left < 0
        return self.hit


class _FullFile:
    def __init__(self, error: OSError) -> None:
        self.error = error

    def __enter__(self) -> _FullFile:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, data: bytes) -> int:
        raise self.error


CALLS: dict[str, tuple[Any, str]] = {
    "create": (tempfile, "mkstemp"),
    "write": (os, "fdopen"),
    "sync": (os, "fsync"),
    "rename": (Path, "replace"),
}
FILES = {"create": 2, "write": 2, "sync": 4, "rename": 2}  # calls that saving one round makes
CODES = [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EIO]


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize(
    ("kind", "at"), [(kind, at) for kind, calls in FILES.items() for at in range(calls)]
)
def test_a_full_disk_keeps_the_last_round_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: Go, kind: str, at: int, code: int
) -> None:
    whole = list(go(Checkpoint(tmp_path / "whole", plan_digest(PLAN))))
    checkpoint = Checkpoint(tmp_path / "run", plan_digest(PLAN))
    going = go(checkpoint)
    next(going)
    before = {path.name: path.read_bytes() for path in checkpoint.folder.iterdir()}
    with monkeypatch.context() as patch:
        full = Full(kind, at, code, patch)
        with pytest.raises(NwpError) as error:
            next(going)
        assert full.hit

    assert type(error.value) is NwpError
    assert error.value.exit_code == 1
    assert "round 2 can't be kept" in error.value.message
    assert os.strerror(code) in error.value.message
    assert (STATE if at >= FILES[kind] / 2 else "round-2.safetensors") in error.value.message
    assert "--resume" in error.value.hint
    assert ("Free some space" in error.value.hint) == (code in (errno.ENOSPC, errno.EDQUOT))
    there = {path.name: path.read_bytes() for path in checkpoint.folder.iterdir()}
    assert not any(name.startswith(".") for name in there)
    # Only where the last thing of all has failed, the round may be durable after all.
    if (kind, at) != ("sync", 3):
        assert there.items() >= before.items()
        assert deep(checkpoint.load()) == deep(whole[0])
    assert [deep(state) for state in go(checkpoint)][-1] == deep(whole[-1])


@pytest.mark.parametrize("kind", FILES)
def test_the_calls_that_may_fail_are_all_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: Go, kind: str
) -> None:
    going = go(Checkpoint(tmp_path, plan_digest(PLAN)))
    next(going)
    with monkeypatch.context() as patch:
        full = Full(kind, 100, errno.ENOSPC, patch)
        next(going)
    assert 100 - full.left == FILES[kind]


def test_a_checkpoint_remembers_the_devices_and_older_ones_are_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path, plan_digest(PLAN))
    devices = ("cuda, Abacus 1", "cpu")
    checkpoint.save(dataclasses.replace(beginning(), number=1, devices=devices))
    kept = checkpoint.load()
    assert kept is not None
    assert kept.devices == devices

    older = lambda arrays, about: _sealed(arrays, {k: about[k] for k in about if k != "devices"})  # noqa: E731
    monkeypatch.setattr("nwp.federated.state._sealed", older)
    checkpoint.save(dataclasses.replace(beginning(), number=2))
    kept = checkpoint.load()
    assert kept is not None
    assert (kept.number, kept.devices) == (2, ("cpu",))
