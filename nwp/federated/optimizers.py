"""Server optimizers: how the average update changes the model.

The average update is treated as a pseudo-gradient (Reddi et al. 2020, arXiv 2003.00295, Algorithm
2): FedAvg adds it (times a learning rate; 1 is McMahan's FedAvg), FedAvgM gives it momentum (Hsu et
al. 2019, arXiv 1909.06335; with `nesterov` as in Hard et al. 2018). FedAdagrad, FedAdam and FedYogi
scale each weight by its own second moment, without bias correction, as in Reddi's Algorithm 2: a
sum, a running mean, and one that forgets no faster than it learns.

What is kept may be the running mean of the weights over the rounds instead of the last ones (Polyak and
Juditsky 1992, "Acceleration of stochastic approximation by averaging"): the users of one round pull
the weights to and fro, and their mean lies where the pulls cancel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nwp.errors import BadSettings
from nwp.model.lstm import FloatArray

# What each of them reads, beside its learning rate.
CONSTANTS: Mapping[str, tuple[str, ...]] = {
    "fedavg": (),
    "fedavgm": ("momentum",),
    "fedadagrad": ("momentum", "epsilon"),
    "fedadam": ("momentum", "beta2", "epsilon"),
    "fedyogi": ("momentum", "beta2", "epsilon"),
}
NAMES = tuple(CONSTANTS)
_ADAPTIVE = tuple(name for name, reads in CONSTANTS.items() if "epsilon" in reads)


@dataclass(frozen=True)
class ServerOptimizer:
    """Which optimizer, and its constants. `epsilon` is of the adaptive ones (tau in the paper), `beta2`
    of FedAdam and FedYogi. `averaging` is the share that the mean of the weights keeps of itself each
    round (0: no mean, the last weights are kept)."""

    name: str = "fedavg"
    learning_rate: float = 1.0
    momentum: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-3
    nesterov: bool = False
    averaging: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise BadSettings(
                f"no server optimizer {self.name!r}", f"There are {', '.join(NAMES)}."
            )
        if not (0 < self.learning_rate < math.inf and 0 < self.epsilon < math.inf):
            raise BadSettings("server learning rate and epsilon must be numbers above 0")
        if not (0 <= self.momentum < 1 and 0 <= self.beta2 < 1):
            raise BadSettings("momentum and beta2 must be in [0, 1)")
        if not 0 <= self.averaging < 1:
            raise BadSettings(
                f"averaging = {self.averaging}: it must be in [0, 1)",
                "0.99 averages over about the last hundred rounds.",
            )


@dataclass(frozen=True)
class OptimizerState:
    """First and second moment of the update and the mean of the weights so far, float32 (n,) each,
    empty where not used; the `steps` taken."""

    first: FloatArray
    second: FloatArray
    mean: FloatArray
    steps: int = 0


def init(optimizer: ServerOptimizer, size: int) -> OptimizerState:
    """The state before the first round, for `size` weights.

    The second moment starts at epsilon squared, as in Reddi et al.: steps are small until it knows.
    """
    empty = np.zeros(0, np.float32)
    first = empty if optimizer.name == "fedavg" else np.zeros(size, np.float32)
    adaptive = optimizer.name in _ADAPTIVE
    second = np.full(size, optimizer.epsilon**2, np.float32) if adaptive else empty
    mean = np.zeros(size, np.float32) if optimizer.averaging else empty
    return OptimizerState(first, second, mean)


def step(
    optimizer: ServerOptimizer, state: OptimizerState, weights: FloatArray, update: FloatArray
) -> tuple[FloatArray, OptimizerState]:
    """New weights and state after an average update; all float32 (n,)."""
    moved, first, second = _moved(optimizer, state, weights, update)
    mean, steps = state.mean, state.steps + 1
    if optimizer.averaging:
        # While few weights were seen, their plain mean: what they began with is soon forgotten.
        mean = _mix(np.float32(min(optimizer.averaging, 1 - 1 / steps)), mean, moved)
    return moved, OptimizerState(first, second, mean, steps)


def reached(optimizer: ServerOptimizer, state: OptimizerState, weights: FloatArray) -> FloatArray:
    """The weights that training has come to, float32 (n,): their mean over the rounds, or the last."""
    return state.mean if optimizer.averaging and state.steps else weights


def _moved(
    optimizer: ServerOptimizer, state: OptimizerState, weights: FloatArray, update: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The new weights, and the new first and second moment."""
    rate = np.float32(optimizer.learning_rate)
    if optimizer.name == "fedavg":
        return weights + rate * update, state.first, state.second
    if optimizer.name == "fedavgm":
        beta = np.float32(optimizer.momentum)
        momentum: FloatArray = beta * state.first + update
        along = beta * momentum + update if optimizer.nesterov else momentum
        return weights + rate * along, momentum, state.second
    first: FloatArray = _mix(np.float32(optimizer.momentum), state.first, update)
    second = _second_moment(optimizer, state.second, update * update)
    scale = np.sqrt(second, dtype=np.float32) + np.float32(optimizer.epsilon)
    move: FloatArray = np.divide(first, scale, dtype=np.float32)
    return weights + rate * move, first, second


def _second_moment(optimizer: ServerOptimizer, old: FloatArray, square: FloatArray) -> FloatArray:
    beta = np.float32(optimizer.beta2)
    if optimizer.name == "fedadagrad":
        return old + square
    if optimizer.name == "fedyogi":
        moved: FloatArray = (np.float32(1) - beta) * square * np.sign(old - square)
        return old - moved
    return _mix(beta, old, square)


def _mix(beta: np.float32, old: FloatArray, new: FloatArray) -> FloatArray:
    """A running mean: beta of the old, the rest of the new."""
    mixed: FloatArray = beta * old + (np.float32(1) - beta) * new
    return mixed
