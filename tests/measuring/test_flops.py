"""The formula, against what torch counts in the same model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from nwp.federated.local import LocalWork
from nwp.measuring.flops import Size, products, size_of
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.text.vocabulary import Encoded

CONFIG = ModelConfig(vocabulary=50, embedding=6, hidden=7, projection=5, tied=False, marks=0)
DEEP = ModelConfig(vocabulary=40, embedding=4, hidden=9, projection=4, layers=3, marks=2)


def user(*lengths: int) -> Encoded:
    """Messages of so many positions."""
    total = sum(lengths)
    return Encoded(
        inputs=np.ones(total, np.int32),
        marks=np.zeros(total, np.int32),
        targets=np.full(total, 4, np.int32),
        addresses=np.zeros(total, np.bool_),
        offsets=np.cumsum([0, *lengths]).astype(np.int64),
    )


def counted_one_by_one(config: ModelConfig, lengths: list[int]) -> int:
    """Multiplications and additions of autograd's products, a message at a time, nothing padded: an
    LSTM of plain operators which multiplies no state before there is one."""
    model = NextWordModel(config)
    weights = dict(model.named_parameters())
    counter = FlopCounterMode(display=False)
    with counter:
        for length in lengths:
            ids = torch.arange(length) % config.vocabulary
            read = list(functional.embedding(ids, weights["embed.weight"]).split(1))
            for layer in range(config.layers):
                read = layer_of(weights, layer, read)
            states = torch.cat(read)
            projected = functional.linear(states, weights["proj.weight"])
            rows = weights.get("out.weight", weights["embed.weight"][config.first_output :])
            functional.linear(projected, rows).sum().backward()
    return counter.get_total_flops()


def layer_of(weights, layer: int, read: list[torch.Tensor]) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    cell = None
    for x in read:
        gates = functional.linear(x, weights[f"lstm.weight_ih_l{layer}"])
        if found:
            gates = gates + functional.linear(found[-1], weights[f"lstm.weight_hh_l{layer}"])
        i, f, g, o = gates.sigmoid().chunk(4, 1)
        cell = i * g if cell is None else f * cell + i * g
        found.append(o * cell.tanh())
    return found


@pytest.mark.parametrize("config", [CONFIG, DEEP], ids=["one layer", "three layers, tied"])
@pytest.mark.parametrize("lengths", [[5], [1], [3, 1, 8]], ids=str)
def test_formula_is_what_torch_counts_of_unpadded_messages(
    config: ModelConfig, lengths: list[int]
) -> None:
    found = products(config, sum(lengths), len(lengths))

    assert found.total == counted_one_by_one(config, lengths)


@pytest.fixture
def no_onednn():
    """Its LSTM is one operator, in which torch counts no product."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    yield
    torch._C._set_mkldnn_enabled(before)


@pytest.mark.usefixtures("no_onednn")
def test_the_model_itself_multiplies_no_more_than_its_first_states_of_zeros() -> None:
    messages, length = 3, 6
    model = NextWordModel(CONFIG)
    inputs = torch.ones(messages, length, dtype=torch.int64)
    counter = FlopCounterMode(display=False)
    with counter:
        model.logits(model.hidden(inputs, torch.zeros_like(inputs))).sum().backward()

    # Forward and for the weight's gradient; nothing flows back to states that are given.
    zeros = 2 * messages * 2 * 4 * CONFIG.hidden**2
    assert counter.get_total_flops() == products(CONFIG, 18, 3).total + zeros


def test_recurrence_is_forward_and_back_through_each_state_but_a_messages_last() -> None:
    found = products(DEEP, words=20, messages=4)

    one = 2 * (4 * 9) * 9
    assert found.recurrence == 2 * 3 * 16 * one
    assert found.total == found.recurrence + found.others
    assert products(DEEP, words=4, messages=4).recurrence == 0


def test_size_counts_words_that_are_trained_on_and_steps() -> None:
    users = [user(3, 9, 2), user(*[4] * 5)]

    assert size_of(users, LocalWork(batch=2, max_positions=5)) == Size(2, 8, 3 + 5 + 2 + 20, 2 + 3)
    assert size_of(users, LocalWork(batch=16, epochs=3)) == Size(2, 24, 3 * 34, 3 * 2)
    assert size_of(users, LocalWork(batch=0)).steps == 2
    assert size_of([], LocalWork()) == Size(0, 0, 0, 0)
