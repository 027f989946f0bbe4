from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadSettings
from nwp.federated.optimizers import NAMES, OptimizerState, ServerOptimizer, init, reached, step


def run(
    optimizer: ServerOptimizer, weights: np.ndarray, updates: list[np.ndarray]
) -> tuple[np.ndarray, OptimizerState]:
    state = init(optimizer, len(weights))
    for update in updates:
        weights, state = step(optimizer, state, weights, update)
    return weights, state


def by_definition(
    optimizer: ServerOptimizer, weights: np.ndarray, updates: list[np.ndarray]
) -> list[float]:
    """One weight at a time, in float64, straight from the papers."""
    found = []
    for k, start in enumerate(weights.tolist()):
        x, m, v = start, 0.0, optimizer.epsilon**2
        for update in updates:
            delta = float(update[k])
            if optimizer.name == "fedavg":
                x += optimizer.learning_rate * delta
            elif optimizer.name == "fedavgm":
                m = optimizer.momentum * m + delta
                move = delta + optimizer.momentum * m if optimizer.nesterov else m
                x += optimizer.learning_rate * move
            else:  # Reddi et al. 2020, Algorithm 2
                m = optimizer.momentum * m + (1 - optimizer.momentum) * delta
                if optimizer.name == "fedadagrad":
                    v += delta**2
                elif optimizer.name == "fedyogi":
                    v -= (1 - optimizer.beta2) * delta**2 * np.sign(v - delta**2)
                else:
                    v = optimizer.beta2 * v + (1 - optimizer.beta2) * delta**2
                x += optimizer.learning_rate * m / (math.sqrt(v) + optimizer.epsilon)
        found.append(x)
    return found


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_fedavg_with_rate_one_adds_the_update():
    weights, state = run(ServerOptimizer(), f32(1, -2, 3), [f32(0.5, 0.25, -4)])
    assert weights.tolist() == [1.5, -1.75, -1]
    assert state.first.size == state.second.size == 0


def test_fedavg_scales_the_update_by_its_rate():
    weights, _ = run(ServerOptimizer(learning_rate=0.5), f32(1, -2), [f32(0.5, 4), f32(1, 1)])
    assert weights.tolist() == [1.75, 0.5]


def test_fedavgm_by_hand():
    optimizer = ServerOptimizer("fedavgm", learning_rate=1.0, momentum=0.5)
    weights, state = run(optimizer, f32(0), [f32(4), f32(2), f32(-8)])
    # m = 4, then 2 + 2 = 4, then 2 - 8 = -6; x = 4 + 4 - 6.
    assert weights.tolist() == [2]
    assert state.first.tolist() == [-6]
    assert state.second.size == 0


def test_nesterov_fedavgm_by_hand():
    optimizer = ServerOptimizer("fedavgm", learning_rate=2.0, momentum=0.5, nesterov=True)
    weights, state = run(optimizer, f32(0), [f32(4), f32(2), f32(-8)])
    # m as above; each move is the update + m / 2: 6, 4, -11; x = 2 (6 + 4 - 11).
    assert weights.tolist() == [-2]
    assert state.first.tolist() == [-6]


def test_fedadam_by_hand():
    optimizer = ServerOptimizer("fedadam", 1.0, momentum=0.5, beta2=0.75, epsilon=1.0)
    weights, state = run(optimizer, f32(0), [f32(1)])
    # v starts at epsilon squared = 1: m = 1/2, v = 3/4 + 1/4 = 1, x = (1/2) / (1 + 1).
    assert weights.tolist() == [0.25]
    assert (state.first.tolist(), state.second.tolist()) == ([0.5], [1.0])


def test_fedadagrad_by_hand():
    optimizer = ServerOptimizer("fedadagrad", 1.0, momentum=0.0, epsilon=1.0)
    weights, state = run(optimizer, f32(0), [f32(2), f32(2)])
    # v = 1 + 4 = 5, then 9; x = 2 / (sqrt 5 + 1) + 2 / (3 + 1).
    assert state.second.tolist() == [9.0]
    assert weights.tolist() == pytest.approx([2 / (math.sqrt(5) + 1) + 0.5])


def test_fedyogi_by_hand():
    optimizer = ServerOptimizer("fedyogi", 1.0, momentum=0.0, beta2=0.75, epsilon=1.0)
    _, state = run(optimizer, f32(0, 0), [f32(2, 0.5)])
    # The square above v moves it up by a quarter of itself, the one below moves it down so.
    assert state.second.tolist() == [1 + 4 / 4, 1 - 0.25 / 4]


def test_fedadam_starts_its_second_moment_at_epsilon_squared():
    state = init(ServerOptimizer("fedadam", epsilon=0.5), 3)
    assert state.second.tolist() == [0.25] * 3
    assert state.first.tolist() == [0] * 3


@pytest.mark.parametrize("name", [*NAMES, "nesterov"])
@given(
    seed=st.integers(0, 2**32),
    rate=st.floats(0.01, 2),
    momentum=st.floats(0, 0.95),
    beta2=st.floats(0.5, 0.999),
    epsilon=st.sampled_from([1e-4, 1e-3, 1e-1]),
    rounds=st.integers(1, 6),
)
def test_several_steps_equal_the_definition_in_float64(
    name, seed, rate, momentum, beta2, epsilon, rounds
):
    kind = "fedavgm" if name == "nesterov" else name
    optimizer = ServerOptimizer(kind, rate, momentum, beta2, epsilon, nesterov=name == "nesterov")
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 1, 5).astype(np.float32)
    updates = [rng.normal(0, 0.1, 5).astype(np.float32) for _ in range(rounds)]
    found, _ = run(optimizer, weights, updates)
    expected = by_definition(optimizer, weights, updates)
    moved = max(1.0, *np.abs(np.array(expected) - weights))
    assert found == pytest.approx(expected, abs=1e-5 * moved)


@pytest.mark.parametrize("name", NAMES)
def test_steps_stay_in_float32_and_change_nothing_in_place(name):
    optimizer = ServerOptimizer(name)
    weights, update = f32(1, 2), f32(0.5, -0.5)
    state = init(optimizer, 2)
    kept = [a.copy() for a in (weights, update, state.first, state.second)]
    new, after = step(optimizer, state, weights, update)
    assert {a.dtype for a in (new, after.first, after.second)} == {np.dtype(np.float32)}
    for before, now in zip(kept, (weights, update, state.first, state.second), strict=True):
        assert np.array_equal(before, now)
    assert not np.shares_memory(new, weights)


@pytest.mark.parametrize("name", NAMES)
def test_no_update_at_the_start_moves_nothing(name):
    weights, _ = run(ServerOptimizer(name), f32(1, 2), [f32(0, 0)])
    assert weights.tolist() == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "sgd"},
        {"name": "FedAvg"},
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"momentum": math.nan},
        {"beta2": 1.0},
        {"beta2": -0.1},
        {"beta2": math.nan},
        {"epsilon": 0.0},
        {"epsilon": -1.0},
        {"epsilon": math.nan},
        {"epsilon": math.inf},
    ],
    ids=str,
)
def test_constants_that_make_no_sense_are_refused(wrong):
    with pytest.raises(BadSettings):
        ServerOptimizer(**wrong)


def test_an_unknown_optimizer_is_refused_with_the_names_there_are():
    with pytest.raises(BadSettings, match="adamw") as error:
        ServerOptimizer("adamw")
    assert "fedadam" in error.value.hint


def test_the_mean_of_the_weights_is_plain_at_first_and_then_forgets():
    optimizer = ServerOptimizer(averaging=0.75)
    weights, state, seen, expected = f32(1, -1), init(optimizer, 2), [], None
    for i in range(12):
        weights, state = step(optimizer, state, weights, f32(0.5 + i, -1))
        seen.append(weights)
        expected = np.mean(seen, 0) if i < 4 else 0.75 * expected + 0.25 * weights
        assert reached(optimizer, state, weights) == pytest.approx(expected, rel=1e-6), i


def test_averaging_changes_no_step_and_without_it_the_last_weights_are_kept():
    updates = [f32(0.5, -1), f32(1, 2), f32(-3, 0.25)]
    for name in NAMES:
        plain, state = run(ServerOptimizer(name), f32(1, 2), updates)
        with_mean, _ = run(ServerOptimizer(name, averaging=0.9), f32(1, 2), updates)
        assert (plain == with_mean).all()
        assert reached(ServerOptimizer(name), state, plain) is plain
        assert state.mean.size == 0


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(share: float):
    with pytest.raises(BadSettings, match="averaging"):
        ServerOptimizer(averaging=share)
