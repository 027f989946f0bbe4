from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors import SafetensorError
from safetensors.numpy import save

from nwp.errors import BadSettings
from nwp.files import shipped
from nwp.model.bundle import load_bundle, save_bundle
from nwp.model.runtime import Runtime
from nwp.model.storage import FORMS, read_weights, stored, write_weights
from nwp.text.vocabulary import BEGIN

MATRICES = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 5)),
    elements=st.floats(-1e6, 1e6, width=32),
)


def test_whole_weights_are_what_safetensors_writes():
    tensors = {"b": np.arange(3, dtype=np.float32), "a": np.ones((2, 2), np.float32)}
    assert write_weights(tensors) == save({name: tensors[name] for name in ("a", "b")})


@given(MATRICES)
def test_half_weights_round_as_torch_does(weights: np.ndarray):
    found = stored({"w": weights}, "bf16")["w"]
    assert (found == torch.from_numpy(weights).bfloat16().float().numpy()).all()


@given(MATRICES)
def test_bytes_are_off_by_half_a_step_of_their_row_at_most(weights: np.ndarray):
    found = stored({"w": weights}, "int8")["w"]
    step = np.abs(weights).max(1, keepdims=True) / 127
    assert (np.abs(found - weights) <= 0.5001 * step + 1e-30).all()


@pytest.mark.parametrize("form", FORMS)
def test_what_was_stored_once_is_stored_again_to_the_same_bytes(form: str):
    rng = np.random.default_rng(1)
    tensors = {
        "w": rng.normal(size=(7, 5)).astype(np.float32),
        "b": rng.normal(size=4).astype("f4"),
    }
    once = write_weights(tensors, form)
    assert write_weights(read_weights(once), form) == once
    assert (read_weights(once)["b"] == tensors["b"]).all()


@pytest.mark.parametrize(("form", "share"), [("bf16", 0.51), ("int8", 0.27)])
def test_a_smaller_bundle_ranks_alike(form: str, share: float, tmp_path: Path):
    bundle = load_bundle(shipped("models") / "sample")
    for name, some in (
        ("whole", replace(bundle, storage="fp32")),
        (form, replace(bundle, storage=form)),
    ):
        save_bundle(some, tmp_path / name)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in (form, "whole")]
    assert sizes[0] < share * sizes[1]
    small = load_bundle(tmp_path / form)
    assert small.storage == form
    whole = Runtime(bundle.config, bundle.tensors)
    other = Runtime(small.config, small.tensors)
    rng = np.random.default_rng(2)
    firsts = thirds = 0
    for _ in range(40):
        states = [whole.start(), other.start()]
        for word in [BEGIN, *rng.integers(5, 400, 4).tolist()]:
            states = [r.step(s, word, 0) for r, s in zip((whole, other), states, strict=True)]
        p, q = (np.exp(r.log_probabilities(s)) for r, s in zip((whole, other), states, strict=True))
        assert np.abs(p - q).sum() < 0.05
        best = [np.argsort(-x, kind="stable")[:3].tolist() for x in (p, q)]
        firsts += best[0][0] == best[1][0]
        thirds += len(set(best[0]) & set(best[1]))
    assert firsts >= 38
    assert thirds >= 114


def test_other_types_and_other_forms_are_refused():
    with pytest.raises(ValueError, match="float64"):
        read_weights(save({"w": np.zeros(3)}))
    with pytest.raises(SafetensorError):
        read_weights(b"junk")
    with pytest.raises(KeyError):
        read_weights(save({"w": np.zeros((3, 2), np.int8)}))
    with pytest.raises(BadSettings, match="fp64"):
        write_weights({}, "fp64")
