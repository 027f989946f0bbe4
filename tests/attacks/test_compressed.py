"""Weights and updates written in fewer bytes, through real boxes, by those who mean no good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwp.federated.averaging import MEAN
from nwp.federated.compression import Compression
from nwp.federated.parcel import Parcel, pack, unpack
from nwp.federated.plan import TrainPlan
from nwp.federated.rounds import run_round
from nwp.federated.state import Checkpoint
from nwp.model.lstm import FloatArray
from nwp.workers.refusals import Refusal
from nwp.workers.simulation import Simulation

TRAIN = MEAN.steps[0].phase
Change = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def put(at: int, value: Any) -> Change:
    def change(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        array = array.copy()
        array[at] = value
        return array

    return change


# Of the agreed type and length, or the sender's own check would stop them: scheme, array, change, words.
EVIL = {
    "no number in bf16": ("bf16", "update", put(0, 0x7FC0), "no finite numbers"),
    "infinite scale": ("int8", "update_scales", put(0, np.inf), "no finite numbers"),
    "negative scale": ("int8", "update_scales", put(0, -1), "that nobody writes"),
    "scale beyond bounds": ("int8", "update_scales", put(0, 3e38), "do not allow"),
    "numbers without a scale": ("int8", "update_scales", put(0, 0), "do not allow"),
    "number below the steps": ("int8", "update", put(3, -128), "that nobody writes"),
    "no places": ("topk", "update_places", np.zeros_like, "as many places as agreed"),
    "all places": ("topk", "update_places", lambda a: np.full_like(a, 255), "as agreed"),
}


@pytest.mark.parametrize(("scheme", "name", "change", "words"), EVIL.values(), ids=EVIL.keys())
def test_a_worker_that_writes_what_nobody_writes_is_absent(
    simulation: Simulation,
    plan: TrainPlan,
    weights: FloatArray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    name: str,
    change: Change,
    words: str,
) -> None:
    plan = replace(plan, compression=Compression("bf16", scheme, 0.1))
    theirs = simulation.datasites["worker-1"].channel
    send = theirs.send

    def evil(peer: str, message: str, out: bytes) -> int:
        envelope, parcel = unpack(out, TRAIN.reply(plan))
        arrays = {**parcel.arrays, name: change(parcel.arrays[name])}
        with monkeypatch.context() as patch:
            patch.setattr("nwp.federated.parcel.Schema.check", lambda *_: None)
            out = pack(envelope, Parcel(parcel.fields, arrays), TRAIN.reply(plan))
        return send(peer, message, out)

    monkeypatch.setattr(theirs, "send", evil)
    exchange = simulation.exchange(simulation.submit(plan, "train"))
    aggregate, traffic = run_round(plan, MEAN, 1, weights, exchange, Checkpoint(tmp_path, "p"))

    assert aggregate.users == 3
    assert np.isfinite(aggregate.update).all()
    assert set(traffic.absent or {}) == {"worker-1"}
    assert words in (traffic.absent or {})["worker-1"]


@pytest.mark.parametrize("scheme", ["bf16", "int8", "topk"])
def test_an_update_beyond_bounds_is_refused_as_such_and_the_round_can_be_asked_for_anew(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, scheme: str
) -> None:
    plan = replace(plan, compression=Compression("fp32", scheme, 0.1))
    exchange = simulation.exchange(simulation.submit(plan, "train"))

    def ask(values: FloatArray) -> Any:
        request = Parcel(arrays={"weights": values, "users": np.arange(3)})
        return exchange(TRAIN, 1, dict.fromkeys(plan.workers, request))

    assert set(ask(np.full_like(weights, 3e38)).absent.values()) == {Refusal.NO_RESULT.words}
    assert ask(weights).absent == {}
