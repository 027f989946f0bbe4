from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nwp.errors import BadSettings
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.tasks.start import start_bundle, start_weights, weights_of
from nwp.text.vocabulary import END, FIRST_OUTPUT, UNKNOWN, Vocabulary

# Three messages of 5, 3 and 1 positions; targets of 0 are padding.
INPUTS = [[1, 5, 9, 2, 10], [1, 4, 7], [1]]
MARKS = [[0, 1, 3, 2, 0], [0, 0, 2], [1]]
TARGETS = [[5, 9, 4, 10, 3], [4, 7, 3], [3]]


def padded(rows: list[list[int]], filling: int = 0, extra: int = 0) -> Tensor:
    width = max(map(len, rows)) + extra
    return torch.tensor([row + [filling] * (width - len(row)) for row in rows])


def loss_of(model: NextWordModel, extra: int = 0) -> Tensor:
    return model.loss(padded(INPUTS, 0, extra), padded(MARKS, 0, extra), padded(TARGETS, 0, extra))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dot(weights: np.ndarray, x: list[float]) -> list[float]:
    return [math.fsum(float(w) * v for w, v in zip(row, x, strict=True)) for row in weights]


def plus(*vectors: list[float] | np.ndarray) -> list[float]:
    return [math.fsum(map(float, values)) for values in zip(*vectors, strict=True)]


def slow_probabilities(model: NextWordModel, inputs: list[int], marks: list[int]) -> list[float]:
    """The distribution after one message, by the LSTM's equations, number by number."""
    config, w = model.config, model.tensors()
    state = [([0.0] * config.hidden, [0.0] * config.hidden) for _ in range(config.layers)]
    for word, mark in zip(inputs, marks, strict=True):
        x = list(map(float, w["embed.weight"][word]))
        if config.marks:
            x = plus(x, w["mark.weight"][mark])
        for layer, (h, c) in enumerate(state):
            gates = plus(
                dot(w[f"lstm.weight_ih_l{layer}"], x),
                w[f"lstm.bias_ih_l{layer}"],
                dot(w[f"lstm.weight_hh_l{layer}"], h),
                w[f"lstm.bias_hh_l{layer}"],
            )
            size = config.hidden
            i, f, g, o = (gates[n * size : (n + 1) * size] for n in range(4))
            new = [
                sigmoid(f[n]) * c[n] + sigmoid(i[n]) * math.tanh(g[n]) for n in range(config.hidden)
            ]
            x = [sigmoid(o[n]) * math.tanh(new[n]) for n in range(config.hidden)]
            state[layer] = (x, new)
    projected = plus(dot(w["proj.weight"], state[-1][0]), w["proj.bias"])
    rows = w["embed.weight"][config.first_output :] if config.tied else w["out.weight"]
    scores = [math.exp(s) for s in plus(dot(rows, projected), w["out.bias"])]
    return [s / math.fsum(scores) for s in scores]


def test_shapes_are_those_of_torchs_parameters_in_their_order(config: ModelConfig) -> None:
    model = NextWordModel(config)
    named = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert config.shapes() == named
    assert list(config.shapes()) == list(named)
    assert config.parameters == sum(p.numel() for p in model.parameters()) == model.flat.numel()


def test_a_model_of_a_common_size_has_as_many_weights_as_counted_by_hand() -> None:
    config = ModelConfig(vocabulary=10_003)
    lstm = 4 * 256 * (96 + 256 + 2)
    assert config.parameters == 10_003 * 96 + 16 * 96 + lstm + 96 * 256 + 96 + 10_000
    assert replace(config, tied=False).parameters == config.parameters + 10_000 * 96


def test_the_flat_vector_is_the_parameters_end_to_end(model: NextWordModel) -> None:
    flat, start = model.weights(), 0
    for name, shape in model.config.shapes().items():
        stop = start + math.prod(shape)
        assert np.array_equal(model.tensors()[name], flat[start:stop].reshape(shape)), name
        start = stop
    assert start == len(flat)


def test_setting_any_weight_of_the_flat_vector_changes_what_is_predicted(
    model: NextWordModel,
) -> None:
    before, start = loss_of(model).item(), 0
    for name, shape in model.config.shapes().items():
        # The first row of the embedding is padding's: the second is read.
        at = start + (shape[1] if name == "embed.weight" else 0)
        weights = model.weights()
        with torch.no_grad():
            model.flat[at] += 0.5
        assert abs(loss_of(model).item() - before) > 1e-5, name
        model.set_weights(weights)
        assert loss_of(model).item() == pytest.approx(before, abs=1e-6), name
        start += math.prod(shape)


def test_an_optimizers_step_moves_the_flat_vector(model: NextWordModel) -> None:
    before = model.weights()
    loss_of(model).backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])
    assert gradient.shape == model.flat.shape
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert np.allclose(model.weights(), before - 0.1 * gradient.numpy(), atol=1e-6)
    assert np.abs(model.weights() - before).max() > 1e-3


def test_gradients_are_the_slope_of_the_loss(model: NextWordModel) -> None:
    loss_of(model).backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])
    start = torch.from_numpy(model.weights())
    direction = torch.from_numpy(
        np.random.default_rng(3).normal(size=len(start)).astype(np.float32)
    )
    direction /= direction.norm()
    model.set_weights(start + 0.01 * direction)
    above = loss_of(model).item()
    model.set_weights(start - 0.01 * direction)
    slope = (above - loss_of(model).item()) / 0.02
    assert slope == pytest.approx(float(gradient @ direction), rel=0.02, abs=1e-3)


def test_weights_and_tensors_are_copies(model: NextWordModel) -> None:
    before = model.weights()
    model.weights()[:] = 0
    for tensor in model.tensors().values():
        tensor[...] = 0
    assert np.array_equal(model.weights(), before)


def test_weights_travel_between_models_as_vector_and_by_name(model: NextWordModel) -> None:
    by_vector, by_name = NextWordModel(model.config), NextWordModel(model.config)
    by_vector.set_weights(model.weights())
    by_name.set_tensors(model.tensors())
    assert np.array_equal(by_name.weights(), model.weights())
    assert loss_of(by_vector).item() == loss_of(by_name).item() == loss_of(model).item()


def test_weights_of_other_names_or_shapes_are_refused(model: NextWordModel) -> None:
    before, tensors = model.weights(), model.tensors()
    with pytest.raises(ValueError, match="named"):
        model.set_tensors({k: v for k, v in tensors.items() if k != "proj.bias"})
    with pytest.raises(ValueError, match="named"):
        model.set_tensors(tensors | {"other": tensors["proj.bias"]})
    with pytest.raises(ValueError, match="shape"):
        model.set_tensors(tensors | {"proj.bias": tensors["proj.bias"][:1]})
    assert np.array_equal(model.weights(), before)


def test_the_loss_is_the_mean_of_what_the_equations_give(model: NextWordModel) -> None:
    nats = []
    for inputs, marks, targets in zip(INPUTS, MARKS, TARGETS, strict=True):
        for n, target in enumerate(targets, 1):
            p = slow_probabilities(model, inputs[:n], marks[:n])
            nats.append(-math.log(p[target - model.config.first_output]))
    assert len(nats) == 9
    assert loss_of(model).item() == pytest.approx(math.fsum(nats) / len(nats), rel=1e-5)


def test_end_unknown_and_words_share_one_distribution(model: NextWordModel) -> None:
    scores = model.logits(model.hidden(padded(INPUTS), padded(MARKS)))
    assert scores.shape == (3, 5, model.config.outputs)
    assert model.config.outputs == model.config.vocabulary - FIRST_OUTPUT
    p = scores.detach().double().softmax(-1)
    assert torch.allclose(p.sum(-1), torch.ones(3, 5, dtype=torch.float64))
    assert p[..., [END - FIRST_OUTPUT, UNKNOWN - FIRST_OUTPUT]].min() > 0


def test_padding_does_not_change_the_loss(model: NextWordModel) -> None:
    loss = loss_of(model).item()
    assert loss_of(model, extra=6).item() == pytest.approx(loss, rel=1e-6)
    # Whatever is read and "predicted" at padding: nobody looks.
    odd = [padded(rows, n) for rows, n in ((INPUTS, 8), (MARKS, 1 if model.config.marks else 0))]
    for nothing in range(model.config.first_output):
        assert model.loss(*odd, padded(TARGETS, nothing)).item() == pytest.approx(loss, rel=1e-6)


def test_padding_does_not_change_the_gradient(model: NextWordModel) -> None:
    found = []
    for extra in (0, 4):
        model.zero_grad()
        loss_of(model, extra).backward()
        found.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
    assert torch.allclose(found[0], found[1], atol=1e-6)


def test_messages_do_not_read_one_another(model: NextWordModel) -> None:
    together = model.hidden(padded(INPUTS), padded(MARKS))
    for i, (inputs, marks) in enumerate(zip(INPUTS, MARKS, strict=True)):
        alone = model.hidden(torch.tensor([inputs]), torch.tensor([marks]))
        assert torch.allclose(together[i, : len(inputs)], alone[0], atol=1e-6)


def test_a_prediction_does_not_read_what_follows(model: NextWordModel) -> None:
    inputs, marks = torch.tensor(INPUTS[:1]), torch.tensor(MARKS[:1])
    states = model.hidden(inputs, marks)
    inputs[0, 3:] = 6
    marks[0, 3:] = 1
    assert torch.allclose(model.hidden(inputs, marks)[0, :3], states[0, :3], atol=1e-6)
    assert not torch.allclose(model.hidden(inputs, marks)[0, 3], states[0, 3])


def test_marks_are_read_only_where_there_are_any(model: NextWordModel) -> None:
    inputs = padded(INPUTS)
    other = model.hidden(inputs, padded(MARKS).flip(1))
    assert torch.equal(model.hidden(inputs, padded(MARKS)), other) == (model.config.marks == 0)


def test_tied_output_rows_are_the_embeddings() -> None:
    config = ModelConfig(vocabulary=11, embedding=5, hidden=7, projection=5, marks=0)
    model = NextWordModel(config)
    model.initialize(0)
    states = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    expected = states @ model.embed.weight[3:].T + model.out.bias
    assert torch.allclose(model.logits(states), expected, atol=1e-6)
    assert "out.weight" not in model.tensors()
    untied = NextWordModel(replace(config, tied=False))
    before = untied.logits(states)
    nn.init.zeros_(untied.embed.weight)
    assert torch.equal(untied.logits(states), before)


def test_dropout_happens_only_with_a_generator_and_repeats_by_seed(model: NextWordModel) -> None:
    dropping = NextWordModel(replace(model.config, dropout=0.5))
    dropping.set_weights(model.weights())
    batch = padded(INPUTS), padded(MARKS), padded(TARGETS)

    def loss(model: NextWordModel, seed: int) -> float:
        return model.loss(*batch, torch.Generator().manual_seed(seed)).item()

    plain = model.loss(*batch).item()
    assert dropping.loss(*batch).item() == plain == loss(model, 1)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    assert loss(dropping, 1) == loss(dropping, 1)
    assert len({loss(dropping, seed) for seed in range(8)} | {plain}) == 9
    assert torch.equal(torch.random.get_rng_state(), state)  # no draw from torch's own


def test_dropout_zeroes_its_share_and_scales_the_rest() -> None:
    config = ModelConfig(
        vocabulary=6, embedding=4, hidden=4, projection=5_000, tied=False, dropout=0.2
    )
    model = NextWordModel(config)
    model.initialize(0)
    with torch.no_grad():
        model.embed.weight.zero_()  # so that dropout of the embedding has nothing to drop
    read = torch.ones(1, 3, dtype=torch.int64), torch.zeros(1, 3, dtype=torch.int64)
    plain = model.hidden(*read)
    dropped = model.hidden(*read, torch.Generator().manual_seed(0))
    kept = dropped != 0
    assert float(kept.float().mean()) == pytest.approx(0.8, abs=0.02)
    assert torch.allclose(dropped[kept], plain[kept] / 0.8)


def test_dropout_also_falls_on_what_is_read() -> None:
    config = ModelConfig(vocabulary=6, embedding=40, hidden=4, projection=40, dropout=0.5)
    model = NextWordModel(config)
    model.initialize(0)
    with torch.no_grad():
        model.embed.weight.fill_(1.0)
        model.proj.weight.fill_(0.1)
        model.proj.bias.zero_()
    read = torch.ones(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.int64)
    seen = {
        round(model.hidden(*read, torch.Generator().manual_seed(s)).abs().max().item(), 5)
        for s in range(10)
    }
    # All projected values are equal: were only they dropped, but one value could remain.
    assert len(seen) > 5


def test_start_weights_are_drawn_by_seed_alone(config: ModelConfig) -> None:
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(found))
        model = NextWordModel(config)
        model.initialize(seed)
        found.append(model.weights())
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert np.isfinite(found[0]).all()
    assert np.abs(found[0]).max() < 3


def test_before_the_first_round_words_are_expected_as_often_as_surveys_tell(
    config: ModelConfig,
) -> None:
    frequencies = np.arange(1, config.outputs + 1) / np.arange(1, config.outputs + 1).sum()
    weights = start_weights(config, frequencies.tolist(), 3)
    model = NextWordModel(config)
    model.set_weights(weights)
    assert np.allclose(np.exp(model.tensors()["out.bias"]), frequencies, rtol=1e-5)
    with torch.no_grad():
        model.proj.weight.zero_()
        model.proj.bias.zero_()
        expected = -math.log(frequencies[TARGETS[2][0] - 3])
        read = (torch.tensor(rows[2:]) for rows in (INPUTS, MARKS, TARGETS))
        assert model.loss(*read).item() == pytest.approx(expected, rel=1e-5)
    assert np.array_equal(weights, start_weights(config, frequencies.tolist(), 3))


def test_a_start_bundle_holds_the_start_weights(config: ModelConfig) -> None:
    vocabulary = Vocabulary.from_lists(["a", "b", "c", "d", "e", "f"], {})
    bundle = start_bundle(config, vocabulary, [1 / 8] * 8, 3)
    assert np.array_equal(weights_of(bundle), start_weights(config, [1 / 8] * 8, 3))
    assert {n: t.shape for n, t in bundle.tensors.items()} == config.shapes()
    assert bundle.frequencies == (1 / 8,) * 8


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"embedding": 0}, "1 or more"),
        ({"hidden": -1}, "1 or more"),
        ({"layers": 0}, "1 or more"),
        ({"marks": -1}, "1 or more"),
        ({"layers": 1.0}, "whole numbers"),
        ({"hidden": "7"}, "whole numbers"),
        ({"vocabulary": None}, "whole numbers"),
        ({"vocabulary": 3}, "no word"),
        ({"first_output": -1}, "no word"),
        ({"projection": 95}, "projection = embedding"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"dropout": math.nan}, "dropout"),
    ],
)
def test_sizes_that_make_no_model_are_refused(settings: dict[str, int], why: str) -> None:
    with pytest.raises(BadSettings, match=why):
        ModelConfig(**{"vocabulary": 11, **settings})


def test_a_config_survives_being_plain_data(config: ModelConfig) -> None:
    assert ModelConfig(**config.as_dict()) == config
