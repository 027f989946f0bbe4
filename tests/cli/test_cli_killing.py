"""A run that is killed, however often and at whatever moment, comes to the bytes of one that was not,
and leaves no text of anybody behind."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import TINY, bundle_bytes
from killing import Kill, Ran, Runner
from safetensors import safe_open

KILLED = -signal.SIGKILL
SHORT = ("--rounds", "2", "--validate-every", "1")
USUAL = ("--rounds", "4", "--validate-every", "2")
Train = Callable[..., Ran]


@pytest.fixture
def train(forking: Runner, corpus: Path) -> Train:
    """Trains into `m`; what is killed can be resumed."""

    def run(rounds: tuple[str, ...], kill: Kill | None = None, **more: Any) -> Ran:
        extra = ("--processes", str(more.pop("processes", 1)), "--resume", "--json")
        words = ("train", str(corpus), "--out", "m", *TINY, "--workers", "2", *rounds, *extra)
        return forking.run(words, kill, **more)

    return run


@pytest.fixture
def left_by(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What a run that nobody kills leaves; the changes it made on disk."""

    def whole(rounds: tuple[str, ...], **more: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
        for name in ("first", "whole"):  # the first makes the folder of past runs, too
            place = tmp_path / name
            place.mkdir()
            with monkeypatch.context() as patch:
                patch.chdir(place)
                ran = train(rounds, **more)
                assert ran.code == 0, ran.err
                found = everything(ran), ran.changes
        return found

    return whole


def everything(ran: Ran) -> dict[str, Any]:
    """All that a finished run has left in `m` and has said, but how long it took and whence it came."""
    result = json.loads(ran.out)
    assert json.loads(Path("m/run/result.json").read_text()) == result
    assert list(Path(os.environ["TMPDIR"]).iterdir()) == []
    return {
        "bundle": bundle_bytes(Path("m")),
        "files": sorted(str(path) for path in Path("m").rglob("*")),
        "rounds": {path.name: _state(path) for path in Path("m/run").glob("round-*")},
        "state": Path("m/run/state.json").read_text(),
        "result": result | {"seconds": 0, "resumed_from": 0},
    }


def _state(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["nwp"])
    history = [report | {"seconds": 0} for report in about.pop("history")]
    return arrays | about | {"sha256": "", "history": history}


# Each in a run that goes on after the kill before.
MOMENTS = (
    "mkdir",  # nothing is there yet
    "worker-2",  # the datasites are being set up
    "users.jsonl",  # people's text lies in the folder for temporary files
    "rename m/run/fingerprint",
    "open m/run/.round-1.safetensors",
    "rename m/run/state.json",  # the first round is there, and not yet named
    "fsync m/run/.round-2.safetensors",
    "remove m/run/phase.safetensors",  # the second round is durable
    "remove m/run/round-1.safetensors",
    "rename m/run/round-4.safetensors",
    "rename m/vocabulary.json",
    "rename m/settings.json",
    "rename m/run/result.json",  # the bundle is whole
)


@pytest.mark.parametrize(
    "moments", [MOMENTS[1::3], pytest.param(MOMENTS, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_run_killed_at_one_moment_after_the_other_comes_to_the_same_bytes(
    train: Train, left_by: Callable[..., Any], moments: tuple[str, ...]
) -> None:
    whole, changes = left_by(USUAL)
    for moment in moments:
        assert any(moment in change for change in changes), moment
        ran = train(USUAL, Kill(moment))
        assert ran.code == KILLED, (moment, ran)
        if moment == "open m/run/.round-1.safetensors":
            (left,) = Path(os.environ["TMPDIR"]).iterdir()
            assert list(left.rglob("users.jsonl"))
    assert everything(train(USUAL)) == whole


@pytest.mark.slow
def test_a_kill_of_the_parent_alone_ends_its_workers_and_of_a_worker_alone_ends_nothing(
    train: Train, left_by: Callable[..., Any]
) -> None:
    whole, _ = left_by(USUAL)
    # The runner waits for the whole group: a worker process that went on would be seen.
    ran = train(USUAL, Kill("rename m/run/round-1.safetensors", "parent"), processes=2)
    assert ran.code == KILLED
    ran = train(USUAL, Kill("rename m/run/round-2.safetensors", "worker"), processes=2)
    assert ran.code == 0, ran.err
    assert everything(ran) == whole


def test_a_kill_between_the_phases_of_a_round_lets_it_begin_again(
    train: Train, left_by: Callable[..., Any]
) -> None:
    whole, changes = left_by(USUAL, two_phases=True)
    assert sum(change == "rename m/run/phase.safetensors" for change in changes) == 4
    for moment in ("rename m/run/phase.safetensors", "fsync m/run/.round-2.safetensors"):
        assert train(USUAL, Kill(moment), two_phases=True).code == KILLED
    assert Path("m/run/phase.safetensors").exists()
    assert everything(train(USUAL, two_phases=True)) == whole


@pytest.mark.slow
@pytest.mark.parametrize("two_phases", [False, True])
def test_a_kill_before_every_single_change_to_the_run_and_the_bundle(
    train: Train, left_by: Callable[..., Any], two_phases: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, changes = left_by(SHORT, two_phases=two_phases)
    about = "m/run/" if two_phases else "m/"  # the bundle is written alike
    mine = [at for at, change in enumerate(changes) if change.split()[-1].startswith(about)]
    if two_phases:
        mine = [at for at in mine if "phase" in changes[at] or "round-" in changes[at]]
    # What has a number for a name is a file that has been opened and is about to be written.
    mine += [at + 1 for at in mine if changes[at].startswith("open") and "open m/" in changes[at]]
    assert len(set(mine)) > (15 if two_phases else 40)
    for at in sorted(set(mine)):
        place = Path(f"at-{at}")
        place.mkdir()
        with monkeypatch.context() as patch:
            patch.chdir(place)
            assert train(SHORT, Kill(at), two_phases=two_phases).code == KILLED, changes[at]
            assert everything(train(SHORT, two_phases=two_phases)) == whole, changes[at]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("NWP_KILLED_RUNS", "12"))))
def test_kills_at_random_moments(train: Train, left_by: Callable[..., Any], seed: int) -> None:
    rng = random.Random(seed)
    two_phases = rng.random() < 0.3
    whole, changes = left_by(USUAL, two_phases=two_phases)
    killed, processes = 0, 1 + seed % 2
    for _ in range(12):
        whom = rng.choice(("group", "parent", "worker") if processes > 1 else ("group", "parent"))
        # Now exactly at a change, now anywhere in the computing or starting that follows it.
        delay = rng.choice((0.0, rng.uniform(0, 0.02), rng.uniform(0, 0.5)))
        kill = Kill(rng.randrange(len(changes)), whom, delay)
        ran = train(USUAL, kill, processes=processes, two_phases=two_phases)
        assert ran.code in (KILLED, 0), (kill, ran)
        killed += ran.code == KILLED
        if ran.code == 0 or killed == 4:
            break
    if ran.code:
        ran = train(USUAL, processes=processes, two_phases=two_phases)
    assert ran.code == 0, ran.err
    assert everything(ran) == whole
