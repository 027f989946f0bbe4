from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.model.runtime import Runtime


def torch_log_probabilities(
    model: NextWordModel, inputs: list[int], marks: list[int]
) -> np.ndarray:
    with torch.no_grad():
        states = model.hidden(torch.tensor([inputs]), torch.tensor([marks]))
        return model.logits(states).log_softmax(-1)[0].numpy()


def random_message(config: ModelConfig, length: int, seed: int) -> tuple[list[int], list[int]]:
    rng = np.random.default_rng(seed)
    inputs = rng.integers(1, config.vocabulary, length).tolist()
    return inputs, rng.integers(0, max(config.marks, 1), length).tolist()


@pytest.mark.parametrize("length", [1, 2, 30])
def test_each_position_has_the_log_probabilities_of_torch(
    model: NextWordModel, length: int
) -> None:
    inputs, marks = random_message(model.config, length, length)
    expected = torch_log_probabilities(model, inputs, marks)
    runtime = Runtime(model.config, model.tensors())
    state = runtime.start()
    for position, (word, mark) in enumerate(zip(inputs, marks, strict=True)):
        state = runtime.step(state, word, mark)
        found = runtime.log_probabilities(state)
        assert found.shape == (model.config.outputs,)
        assert np.abs(found - expected[position]).max() < 1e-5, position
    assert np.isclose(np.exp(found.astype(np.float64)).sum(), 1, atol=1e-5)


def test_a_model_of_the_usual_size_agrees_too() -> None:
    config = ModelConfig(vocabulary=2_000, layers=2)
    model = NextWordModel(config)
    model.initialize(1)
    inputs, marks = random_message(config, 12, 0)
    runtime = Runtime(config, model.tensors())
    state = runtime.start()
    for word, mark in zip(inputs, marks, strict=True):
        state = runtime.step(state, word, mark)
    expected = torch_log_probabilities(model, inputs, marks)[-1]
    assert np.abs(runtime.log_probabilities(state) - expected).max() < 1e-5


@pytest.mark.parametrize("scale", [30.0, 3_000.0])
def test_large_weights_give_no_overflow_and_still_agree(scale: float) -> None:
    config = ModelConfig(vocabulary=9, embedding=3, hidden=4, projection=3, marks=2)
    model = NextWordModel(config)
    model.initialize(2)
    tensors = model.tensors()
    for name in ("embed.weight", "mark.weight"):
        tensors[name] *= scale
    model.set_tensors(tensors)
    inputs, marks = random_message(config, 10, 4)
    runtime = Runtime(config, model.tensors())
    state = runtime.start()
    for word, mark in zip(inputs, marks, strict=True):
        state = runtime.step(state, word, mark)
    expected = torch_log_probabilities(model, inputs, marks)[-1]
    found = runtime.log_probabilities(state)
    assert np.isfinite(found).all()
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_a_state_is_not_changed_by_the_steps_from_it(model: NextWordModel) -> None:
    runtime = Runtime(model.config, model.tensors())
    state = runtime.step(runtime.start(), 1, 0)
    before = runtime.log_probabilities(state)
    one, two, again = (
        runtime.log_probabilities(runtime.step(state, word, 0)) for word in (5, 6, 5)
    )
    assert np.allclose(runtime.log_probabilities(state), before, atol=1e-6)
    assert np.allclose(one, again, atol=1e-6)
    assert not np.allclose(one, two, atol=1e-3)


def test_everything_stays_in_single_precision(model: NextWordModel) -> None:
    runtime = Runtime(model.config, model.tensors())
    state = runtime.step(runtime.start(), 1, 0)
    arrays = [*state.h, *state.c, runtime.log_probabilities(state)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert len(state.h) == len(state.c) == model.config.layers


def test_dropout_is_only_for_training(model: NextWordModel) -> None:
    plain = Runtime(model.config, model.tensors())
    dropping = Runtime(replace(model.config, dropout=0.5), model.tensors())
    found = [r.log_probabilities(r.step(r.start(), 1, 0)) for r in (plain, dropping, dropping)]
    assert np.allclose(found[0], found[1], atol=1e-6)
    assert np.allclose(found[1], found[2], atol=1e-6)
