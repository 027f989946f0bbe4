"""Where a command computes changes nothing in what it writes and says; another device would be told of."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from command_line import ROUNDS, TINY, Nwp, bundle_bytes, run

from nwp.federated.state import Checkpoint, RunState

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


def test_the_processor_is_the_usual_device(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, "--device", "cpu", "--json").result()
    assert bundle_bytes(Path("m")) == bundle_bytes(bundle)


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cuda", "--device cpu"),
        ("cuda:1", "--device cpu"),
        ("gpu", "no device 'gpu'"),
        ("cuda:one", "cuda:1 for the second"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(
    nwp: Nwp, monkeypatch: pytest.MonkeyPatch, command: str, name: str, said: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    place = ("--out", "m") if command == "train" else ()
    words = (command, "no-such-corpus", *place, "--device", name, "--json")
    assert said in nwp(*words).error("bad-settings")
    assert not Path("m").exists()


def test_models_of_others_are_computed_on_the_processor(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwp.tasks.evaluate.check", lambda name: None)
    Path("model.arpa").write_text("\\data\\\nngram 1=1\n\n\\1-grams:\n-1.0\ta\n\n\\end\\\n")
    words = ("evaluate", corpus, "--model", "model.arpa", "--device", "cuda", "--json")
    assert "computed on the processor" in nwp(*words).error("bad-settings")


def test_a_run_that_goes_on_on_another_device_is_told_of_and_its_card_says_so(
    nwp: Nwp, corpus: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU is made up: the rounds are the processor's, and so the weights are those of one run."""
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--json")
    save = Checkpoint.save

    def stop_after_two(self: Checkpoint, state: RunState) -> None:
        save(self, state)
        if state.number == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nwp.tasks.train_over.kind_of", lambda name: "cuda, Abacus 1")
        patch.setattr(Checkpoint, "save", stop_after_two)
        assert nwp(*words).code == 130

    done = nwp(*words, "--resume")

    assert done.result()["resumed_from"] == 2
    assert "rounds up to 2 were computed on cuda, Abacus 1, those to come on cpu" in done.err
    assert "- computed on cuda, Abacus 1, then cpu\n" in Path("m/README.md").read_text()
    weights = "model.safetensors"
    assert bundle_bytes(Path("m"))[weights] == bundle_bytes(bundle)[weights]


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
    found, expected = there.result(), here.result()
    for told in (found, expected):
        for passing in ("seconds", "date", "command"):
            del told["about"][passing]
    assert found == expected
    assert there.err == here.err
