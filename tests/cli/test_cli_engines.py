"""Where a command computes changes nothing in what it writes and says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from command_line import ROUNDS, TINY, Nwp, bundle_bytes, run

without_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray (the extra `ray`) is not installed"
)


def test_the_engine_is_not_in_the_bundle_nor_in_its_card(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--engine", "here", "--json").result()
    assert bundle_bytes(Path("m")) == bundle_bytes(bundle)


def test_a_run_may_be_asked_for_again_with_another_engine(
    nwp: Nwp, corpus: Path, tmp_path: Path
) -> None:
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")
    first = nwp(*words).result()
    assert nwp(*words, "--engine", "here", "--resume").result() == first


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_engines_that_are_none_and_addresses_without_ray_are_refused(
    nwp: Nwp, corpus: Path, bundle: Path, command: str
) -> None:
    place = ("--out", "m") if command == "train" else ("--model", bundle)
    words = (command, corpus, *place, "--json")
    assert "no engine 'spark'" in nwp(*words, "--engine", "spark").error("bad-settings")
    said = nwp(*words, "--ray-address", "head:6379").error("bad-settings")
    assert "--engine ray" in said
    assert not Path("m").exists()


@pytest.mark.slow
@without_ray
def test_ray_writes_the_same_bundle_and_says_nothing_of_its_own(
    corpus: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    words = ("--engine", "ray", "--json")
    done = run("train", corpus, "--out", "m", *TINY, *ROUNDS, *words)
    assert done.result()["rounds"] == 4
    assert "ray" not in done.err.lower()
    assert bundle_bytes(Path("m")) == bundle_bytes(bundle)

    there = run("evaluate", corpus, "--model", "m", "--processes", 1, *words)
    here = run("evaluate", corpus, "--model", "m", "--processes", 1, "--json")
    assert json.loads(there.out) == here.result()
    assert there.err == here.err
