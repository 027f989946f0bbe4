"""A disk that is full in the middle of training: what is durable stays, and what to do is said."""

from __future__ import annotations

import json
import resource
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import ROUNDS, TINY, Nwp, bundle_bytes, command

from nwp.cli.progress import Rounds
from nwp.federated.state import RunState
from nwp.model.bundle import Bundle, save_bundle

LARGEST = 30_000  # bytes: less than a checkpoint, more than anything else that is written


@pytest.fixture
def unlimited() -> Iterator[None]:
    """Whatever a test does to the limit on sizes of files, it ends with the test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("unlimited")
def test_where_a_checkpoint_cannot_be_written_the_one_before_is_gone_on_from(
    nwp: Nwp, corpus: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system itself refuses, in the middle of the file."""
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self: Rounds, state: RunState) -> None:
        if state.number == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, hard))

    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "round_done", fill)
        said = nwp(*words).error("failed")
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "round 3 can't be kept: m/run/round-3.safetensors: File too large" in said
    assert "ulimit -f" in said
    assert "go on with --resume: round 2 is kept" in said
    assert sorted(path.name for path in Path("m/run").iterdir()) == [
        *("fingerprint", "metrics.csv", "round-1.safetensors", "round-2.safetensors", "state.json")
    ]
    assert json.loads(Path("m/run/state.json").read_text()) == {"round": 2}
    assert nwp(*words, "--resume").result()["resumed_from"] == 2
    assert bundle_bytes(Path("m")) == bundle_bytes(bundle)


@pytest.mark.usefixtures("unlimited")
def test_where_the_bundle_cannot_be_written_the_rounds_are_kept(
    nwp: Nwp, corpus: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(bundle: Bundle, folder: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
        save_bundle(bundle, folder)

    with monkeypatch.context() as patch:
        patch.setattr("nwp.tasks.trained.save_bundle", fill)
        said = nwp(*words).error("failed")
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "training is done, but its bundle can't be written: m/model.safetensors" in said
    assert "then --resume writes it" in said
    assert [path.name for path in Path("m").iterdir()] == ["run"]
    assert nwp(*words, "--resume").result()["resumed_from"] == 4
    assert bundle_bytes(Path("m")) == bundle_bytes(bundle)


# A disk of its own, which needs no rights where the system allows namespaces of users.
OWN_DISK = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-e", "-c")


@pytest.mark.slow
def test_a_disk_that_is_really_full(corpus: Path, bundle: Path) -> None:
    Path("disk").mkdir()
    mount = "mount -t tmpfs -o size=120k tmpfs disk"
    if subprocess.run([*OWN_DISK, mount], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let a user mount a disk in a namespace")
    train = shlex.join(command("train", corpus, "--out", "disk/m", *TINY, *ROUNDS, "--json"))
    steps = (
        mount,
        f"{train} > first.json || echo $? > first.code",
        "cp -r disk/m first",
        "mount -o remount,size=50m disk",
        f"{train} --resume > second.json",
        "cp -r disk/m second",
    )
    done = subprocess.run(
        [*OWN_DISK, "\n".join(steps)], capture_output=True, text=True, timeout=110, check=False
    )

    assert done.returncode == 0, done.stderr
    assert Path("first.code").read_text() == "1\n"
    error = json.loads(Path("first.json").read_text())["error"]
    assert error["kind"] == "failed"
    assert error["message"] == (
        "round 3 can't be kept: disk/m/run/round-3.safetensors: No space left on device"
    )
    assert error["hint"] == ("Free some space there, then go on with --resume: round 2 is kept.")
    assert sorted(path.name for path in Path("first/run").iterdir()) == [
        *("fingerprint", "metrics.csv", "round-1.safetensors", "round-2.safetensors", "state.json")
    ]
    assert json.loads(Path("second.json").read_text())["resumed_from"] == 2
    assert bundle_bytes(Path("second")) == bundle_bytes(bundle)


def test_a_disk_that_is_full_elsewhere_is_said_with_what_helps(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/tmp/somewhere")

    monkeypatch.setattr("nwp.tasks.train.Simulation", full)
    said = nwp("train", corpus, "--out", "m", *TINY, "--json").error("failed")
    assert said == (
        "/tmp/somewhere: No space left on device | Free some space there, then try again."
    )
