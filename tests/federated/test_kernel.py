"""The kernel against autograd over the model, and its merged steps against one user at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwp.errors import BadSettings
from nwp.federated import products
from nwp.federated.kernel import Kernel, named_views
from nwp.federated.local import LocalWork, pad, takes_one_step, train_group, train_user
from nwp.federated.packing import pack
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.text.vocabulary import Encoded

Drawn = Callable[..., Encoded]
SIZE = 50


def drawn_model(config: ModelConfig, seed: int = 1) -> NextWordModel:
    """Large weights, so that every gate is somewhere else."""
    model, generator = NextWordModel(config), torch.Generator().manual_seed(seed)
    model.set_weights(0.3 * torch.randn(config.parameters, generator=generator))
    return model


def by_autograd(
    model: NextWordModel, user: Encoded, rows: np.ndarray, cut: int, clip: float, drops: int
) -> tuple[float, torch.Tensor]:
    """The loss, and the weights after one step of SGD with rate 0.5."""
    batch, generator = pad(user, rows, cut), torch.Generator().manual_seed(drops)
    parameters = list(model.parameters())
    loss = model.loss(batch.inputs, batch.marks, batch.targets, generator)
    gradients = torch.autograd.grad(loss, parameters)
    norm = float(torch.cat([g.reshape(-1) for g in gradients]).norm())
    scale = min(1.0, clip / norm) if clip else 1.0
    stepped = [p.detach() - 0.5 * scale * g for p, g in zip(parameters, gradients, strict=True)]
    return loss.item(), torch.cat([p.reshape(-1) for p in stepped])


CONFIGS = [
    ModelConfig(SIZE, 8, 12, 8 if tied else 6, layers, tied, marks, 3, dropout)
    for layers, tied, marks, dropout in product((1, 2), (True, False), (0, 4), (0.0, 0.3))
]


@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_step_is_that_of_autograd(drawn: Drawn, config: ModelConfig, clip: float) -> None:
    user, rows = drawn(1, 9, SIZE, 4), np.array([3, 1, 5, 0, 8])
    kernel, model = Kernel(config), drawn_model(config)
    kernel.load(model.flat)
    loss, expected = by_autograd(model, user, rows, 10, clip, 5)
    generator = torch.Generator().manual_seed(5)
    assert kernel.step(pack([(user, rows)], 10), 0.5, clip, generator) == pytest.approx(loss, 1e-5)
    assert kernel.flat.numpy() == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-6)


@given(st.data(), st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_messages_in_any_order_give_the_step_of_autograd(
    drawn: Drawn, data: st.DataObject, messages: int, cut: int
) -> None:
    config, user = CONFIGS[3], drawn(messages, messages, SIZE, 4)
    some = st.lists(st.integers(0, messages - 1), min_size=1, unique=True)
    rows = np.array(data.draw(some))
    kernel, model = Kernel(config), drawn_model(config)
    kernel.load(model.flat)
    loss, expected = by_autograd(model, user, rows, cut, 0.0, 7)
    generator = torch.Generator().manual_seed(7)
    assert kernel.step(pack([(user, rows)], cut), 0.5, 0.0, generator) == pytest.approx(loss, 1e-5)
    assert kernel.flat.numpy() == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-6)


def test_fedprox_pulls_towards_the_weights_received(drawn: Drawn) -> None:
    """Li et al. 2020: the further the pull, the nearer the update stays; the first step is free."""
    user, start = drawn(1, 12, SIZE, 4), drawn_model(CONFIGS[0]).flat
    lengths = []
    for mu in (0.0, 0.5, 2.0):
        work = LocalWork(3, batch=4, learning_rate=0.3, proximal=mu)
        lengths.append(float(train_user(Kernel(CONFIGS[0]), start, user, work, 3).delta.norm()))
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[2] < 0.8 * lengths[0]
    one = [LocalWork(batch=12, proximal=mu) for mu in (0.0, 2.0)]
    free, pulled = (train_user(Kernel(CONFIGS[0]), start, user, work, 3).delta for work in one)
    assert torch.equal(free, pulled)


@pytest.mark.parametrize("config", CONFIGS[::3], ids=str)
def test_bf16_is_near_fp32(drawn: Drawn, config: ModelConfig) -> None:
    """The stated bound: an update differs by at most two hundredths of its length."""
    user, work = drawn(2, 40, SIZE, 4), LocalWork(batch=8, learning_rate=0.2)
    start = drawn_model(config).flat
    exact, near = (train_user(Kernel(config, p), start, user, work, 3) for p in ("fp32", "bf16"))
    assert float((near.delta - exact.delta).norm() / exact.delta.norm()) < 0.02
    assert near.loss == pytest.approx(exact.loss, rel=1e-2)


@pytest.mark.parametrize(
    "bound", ["", "kernel._BLOCK", "local._MERGED_USERS", "local._MERGED_WORDS"]
)
@pytest.mark.parametrize("config", CONFIGS[2:4], ids=["plain", "dropout"])
def test_users_of_one_step_are_computed_together(
    drawn: Drawn, bound: str, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bound:
        monkeypatch.setattr(f"nwp.federated.{bound}", 2 if "USERS" in bound else 7)
    work = LocalWork(batch=6, learning_rate=0.5, max_positions=9)
    start = drawn_model(config).flat
    users = [(drawn(seed, seed, SIZE, 4), seed) for seed in (1, 8, 4, 6, 2)]
    assert [takes_one_step(u, work) for u, _ in users] == [True, False, True, True, True]
    summed, words, loss = train_group(start.numpy(), config, work, users)
    singles = [train_user(Kernel(config), start, user, work, seed) for user, seed in users]
    expected = sum(u.words * u.delta.double().numpy() for u in singles)
    assert summed == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert words == sum(u.words for u in singles)
    assert loss == pytest.approx(sum(u.words * u.loss for u in singles), rel=1e-5)


def test_nobody_takes_one_step_where_steps_depend_on_each_user(drawn: Drawn) -> None:
    user = drawn(1, 3, SIZE, 4)
    assert takes_one_step(user, LocalWork())
    assert not takes_one_step(user, LocalWork(clip_norm=1.0))
    assert not takes_one_step(user, LocalWork(epochs=2))
    assert not takes_one_step(user, LocalWork(batch=2))


def test_packing_keeps_every_word_once(laid: Callable[..., Encoded]) -> None:
    user = laid([[6], [7, 8, 9], [10, 11]], 4)
    packed = pack([(user, np.array([0, 2, 1]))], 40)
    assert packed.sizes == (3, 3, 2, 1)
    assert packed.rows.tolist() == [2, 1, 0, 2, 1, 0, 2, 1, 2]
    assert packed.shape == (3, 4)
    side = pad(user, np.array([0, 2, 1]), 40)
    places = torch.from_numpy(packed.rows * packed.shape[1] + packed.positions)
    for name in ("inputs", "marks", "targets"):
        flat = getattr(side, name).reshape(-1)
        found = getattr(packed, name)
        assert torch.equal(flat[places], found[: packed.words])
        assert not found[packed.words :].any()


def test_few_shapes_of_products_occur(drawn: Drawn) -> None:
    user = drawn(1, 200, SIZE, 12)
    packs = [pack([(user, np.arange(n))], 40) for n in range(1, 200)]
    assert len({p.words for p in packs}) > 150
    assert len({len(p.inputs) for p in packs}) < 100
    assert all(
        0 <= len(p.inputs) - p.words < 16 and len(p.before) == len(p.inputs) - p.sizes[0]
        for p in packs
    )


def test_views_cover_the_vector() -> None:
    flat = torch.arange(CONFIGS[0].parameters, dtype=torch.float32)
    assert torch.equal(
        torch.cat([v.reshape(-1) for v in named_views(flat, CONFIGS[0]).values()]), flat
    )


def test_torchs_own_products_give_the_same(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    user, start, work = drawn(2, 20, SIZE, 4), drawn_model(CONFIGS[0]).flat, LocalWork(batch=8)
    found = []
    for onednn in (products._ONEDNN, False):
        monkeypatch.setattr(products, "_ONEDNN", onednn)
        found.append(train_user(Kernel(CONFIGS[0]), start, user, work, 3).delta.numpy())
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(BadSettings, match="fp8"):
        Kernel(CONFIGS[0], "fp8")
    with pytest.raises(BadSettings, match="fp8"):
        LocalWork(precision="fp8")
