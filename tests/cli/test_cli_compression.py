from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import MANY, ROUNDS, TINY, Nwp, bundle_bytes, reached

FEWER = ("--downlink", "bf16", "--uplink", "topk", "--topk", "0.05")


def test_fewer_bytes_move_and_a_model_comes_of_it(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS)

    result = nwp(*words, *FEWER, "--json").result()

    plain = json.loads((bundle / "run" / "result.json").read_text())
    # All six users are on one worker: four rounds and two validations of it.
    size = result["parameters"]
    down = size * 2 * (4 + 2)
    up = size * (4 - 0.05 * (16 + 6.3) / 8) * 4
    assert plain["bytes_down"] - result["bytes_down"] == pytest.approx(down, rel=0.02)
    assert plain["bytes_up"] - result["bytes_up"] == pytest.approx(up, rel=0.02)
    assert 1 < result["valid"]["perplexity"] < 2 * plain["valid"]["perplexity"]
    training = json.loads(Path("m/settings.json").read_text())["about"]["training"]
    assert (training["downlink"], training["uplink"], training["topk"]) == ("bf16", "topk", 0.05)
    card = Path("m/README.md").read_text()
    assert "weights went down as bf16, updates up as topk (a share of 0.05 a round)" in card
    assert len(nwp("suggest", "see you ", "--model", "m", "--json").result()["suggestions"]) == 3


def test_a_card_says_nothing_of_what_is_not_done(bundle: Path) -> None:
    assert "went down" not in (bundle / "README.md").read_text()


def test_validation_is_of_the_weights_in_the_bundle(nwp: Nwp, corpus: Path) -> None:
    """They went down rounded, and rounded they are kept: the same figure comes out again."""
    words = ("train", corpus, "--out", "m", *TINY, *ROUNDS, "--downlink", "bf16", "--json")
    result = nwp(*words).result()

    options = ("--model", "m", "--split", "valid", "--processes", 1, "--json")
    found = nwp("evaluate", corpus, *options).result()["summary"]

    # Other batches, and words scored in another order, round otherwise; bf16 would differ by 1e-3.
    assert found["perplexity"] == pytest.approx(result["valid"]["perplexity"], rel=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--uplink", "fp16"), "fp32, bf16, int8, topk"),
        (("--downlink", "topk"), "fp32, bf16"),
        (("--uplink", "topk", "--topk", "0"), "share of 0"),
        (("--uplink", "topk", "--topk", "2"), "share of 2"),
        (("--uplink", "int8", "--topk", "0.1"), "sent whole, as int8"),
    ],
    ids=str,
)
def test_what_there_is_not_is_refused_before_anything_begins(
    nwp: Nwp, corpus: Path, wrong: tuple[str, ...], said: str
) -> None:
    done = nwp("train", corpus, "--out", "m", *TINY, *ROUNDS, *wrong, "--json")

    assert said in done.error("bad-settings")
    assert not Path("m").exists()


@pytest.mark.slow
def test_a_killed_run_with_topk_resumes_to_the_bytes_of_one_that_was_not(
    nwp: Nwp, corpus: Path
) -> None:
    """What workers owe outlives the process, and is what it was when the lost round began."""
    words = ("train", corpus, *TINY, *MANY, *FEWER, "--workers", 2, "--json")
    whole = nwp(*words, "--out", "whole").result()
    command = [sys.executable, "-m", "nwp", *map(str, words), "--out", "m"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        reached(Path("m"), 2, child)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    kept = list(Path("m/run/workers").rglob("unsent-update/*/*.safetensors"))
    assert {path.relative_to("m/run/workers").parts[0] for path in kept} == {"worker-1", "worker-2"}

    result = nwp(*words, "--out", "m", "--resume").result()

    assert 2 <= result["resumed_from"] < 18
    assert result["valid"] == whole["valid"]
    assert bundle_bytes(Path("m")) == bundle_bytes(Path("whole"))


@pytest.mark.slow
def test_the_number_of_processes_does_not_change_how_int8_rounds(nwp: Nwp, corpus: Path) -> None:
    words = ("train", corpus, *TINY, *ROUNDS, "--uplink", "int8", "--workers", 2, "--json")
    for name, processes in (("one", 1), ("two", 2)):
        nwp(*words, "--out", name, "--processes", processes).result()

    assert bundle_bytes(Path("one")) == bundle_bytes(Path("two"))
