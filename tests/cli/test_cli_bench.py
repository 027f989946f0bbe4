from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from command_line import Nwp

from nwp.measuring import machine

TINY = (
    *("--users", "6", "--messages", "5", "--vocabulary", "300", "--embedding", "8"),
    *("--hidden", "16", "--rounds", "2"),
)
PARTS = [
    *("products", "recurrence", "softmax", "elementwise", "weights", "copies", "other", "python"),
    *("elsewhere", "between", "waiting"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch):
    """The machine's best is looked for briefly; --processes 1 leaves torch's threads changed."""
    monkeypatch.setattr(machine, "_LOOK", 0.002)
    monkeypatch.setattr(machine, "_MEASURE", 0.002)
    monkeypatch.setattr(machine, "_LARGE", (64,))
    monkeypatch.setattr(machine, "_WORDS", 64)
    monkeypatch.setattr(machine, "_COPIED", 1 << 12)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_json_tells_machine_workload_peak_and_where_time_goes(nwp: Nwp) -> None:
    found = nwp("bench", *TINY, "--processes", 1, "--json").result()

    assert set(found) == {
        *("hardware", "processes", "workload", "model", "peak", "copies", "training", "warnings"),
    }
    assert found["processes"] == 1
    assert found["hardware"]["cores"] >= 1
    assert found["hardware"]["torch"] == torch.__version__
    workload = found["workload"]
    assert (workload["name"], workload["users"], workload["messages"]) == ("standard", 6, 30)
    assert workload["words"] > 60
    assert found["model"]["hidden"] == 16
    assert found["copies"]["together"] > 0
    assert [t["precision"] for t in found["training"]] == ["fp32", "bf16"]
    for training in found["training"]:
        assert found["peak"][training["precision"]]["together"] > 0
        assert training["fastest"] <= training["seconds"] <= training["slowest"]
        assert len(training["rounds"]) == 2
        assert training["share_of_peak"] == pytest.approx(
            training["gflops"] / found["peak"][training["precision"]]["together"],
            rel=0.05,
            abs=1e-4,
        )
        assert [part["part"] for part in training["split"]] == PARTS
        assert sum(part["share"] for part in training["split"]) == pytest.approx(1, abs=1e-9)
        assert training["profile"]["unknown"] == []


def test_the_report_for_people_adds_up_to_a_hundred_and_fits_a_terminal(nwp: Nwp) -> None:
    done = nwp("bench", *TINY, "--processes", 1, "--precision", "bf16")

    assert done.code == 0
    lines = done.out.splitlines()
    (head,) = [i for i, line in enumerate(lines) if line.startswith("where it goes, bf16")]
    end = next(i for i, line in enumerate(lines) if line.startswith("all "))
    shares = [re.findall(r" (\d+)\.(\d)%", line)[0] for line in lines[head + 1 : end]]
    assert len(shares) == len(PARTS)
    assert sum(int(whole + tenth) for whole, tenth in shares) == 1000
    assert "100.0%" in lines[end]
    assert "fp32" not in done.out
    tables = lines[next(i for i, line in enumerate(lines) if not line) :]
    assert max(map(len, tables)) <= 80
    assert "round 2 of 2" in done.err
    assert "round 2 of 2" not in done.out
    assert "USDT" not in done.err


@pytest.mark.slow
def test_a_corpus_is_measured_as_its_users_are(nwp: Nwp, corpus: Path) -> None:
    words = ("--hidden", 16, "--rounds", 1, "--precision", "fp32", "--users", 4, "--messages", 10)

    found = nwp("bench", corpus, *words, "--processes", 2, "--json").result()

    assert found["processes"] == 2
    assert found["workload"]["name"] == "six.jsonl"
    assert (found["workload"]["users"], found["workload"]["messages"]) == (4, 40)
    assert found["model"]["marks"] > 0
    (training,) = found["training"]
    assert sum(part["share"] for part in training["split"]) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--preset", "huge"), "bad-settings"),
        (("--precision", "fp8"), "bad-settings"),
        (("--vocabulary", 4), "bad-settings"),
        (("nowhere.jsonl",), "bad-corpus"),
        (("--rounds", 0), "usage"),
    ],
)
def test_what_cannot_be_measured_is_refused(nwp: Nwp, words: tuple[object, ...], kind: str) -> None:
    assert nwp("bench", *words, "--json").error(kind)
