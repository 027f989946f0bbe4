"""The model for one person who types: a step a word, in numpy, without torch.

Equal to `nwp.model.lstm` within float32 rounding; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nwp.model.config import ModelConfig

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class State:
    """What the model remembers of the words read: per layer h and c, each (hidden,)."""

    h: tuple[FloatArray, ...]
    c: tuple[FloatArray, ...]


class Runtime:
    """Steps through a message and gives the log-probabilities of what comes next."""

    def __init__(self, config: ModelConfig, tensors: Mapping[str, FloatArray]) -> None:
        self.config = config
        embed = tensors["embed.weight"]
        self._embed = embed
        self._mark = tensors["mark.weight"] if config.marks else None
        self._layers = [
            (
                tensors[f"lstm.weight_ih_l{i}"],
                tensors[f"lstm.weight_hh_l{i}"],
                tensors[f"lstm.bias_ih_l{i}"] + tensors[f"lstm.bias_hh_l{i}"],
            )
            for i in range(config.layers)
        ]
        self._proj = (tensors["proj.weight"], tensors["proj.bias"])
        rows = embed[config.first_output :] if config.tied else tensors["out.weight"]
        self._out = (rows, tensors["out.bias"])

    def start(self) -> State:
        """The state before a message."""
        zero = np.zeros(self.config.hidden, np.float32)
        return State((zero,) * self.config.layers, (zero,) * self.config.layers)

    def step(self, state: State, word: int, mark: int) -> State:
        """Read one input id and the mark after it."""
        x = self._embed[word]
        if self._mark is not None:
            x = x + self._mark[mark]
        hs, cs = [], []
        for (ih, hh, bias), h, old in zip(self._layers, state.h, state.c, strict=True):
            i, f, g, o = np.split(ih @ x + hh @ h + bias, 4)  # torch's order of gates
            c = _sigmoid(f) * old + _sigmoid(i) * np.tanh(g)
            x = _sigmoid(o) * np.tanh(c)
            hs.append(x)
            cs.append(c)
        return State(tuple(hs), tuple(cs))

    def log_probabilities(self, state: State) -> FloatArray:
        """Natural logarithms of the probabilities of the output ids, shape (outputs,)."""
        weight, bias = self._proj
        rows, out_bias = self._out
        scores: FloatArray = rows @ (weight @ state.h[-1] + bias) + out_bias
        scores = scores - scores.max()
        normed: FloatArray = scores - np.log(np.exp(scores).sum(dtype=np.float32))
        return normed


def _sigmoid(x: FloatArray) -> FloatArray:
    # Beyond ±30 the sigmoid is 0 or 1 in float32; clipping keeps exp from overflowing.
    value: FloatArray = np.float32(1) / (np.float32(1) + np.exp(-np.clip(x, -30, 30)))
    return value
