"""Fine-tune a model on one user's messages, as far as messages that were held back say it helps.

Personalization by local fine-tuning (Wang et al. 2019, "Federated Evaluation of On-device
Personalization", arXiv 1910.10252, section 3): plain SGD from the shared weights, the same steps as a
user's part of a federated round (`nwp.federated.local`), and the result is kept only where it does
better on messages that were not trained on. After each pass, weights on the straight line from the shared
ones to the trained ones are tried, too (WiSE-FT, Wortsman et al. 2022, "Robust fine-tuning of zero-shot
models", arXiv 2109.01903, section 3): what a few messages have led too far, a part of the way mends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nwp.errors import BadSettings
from nwp.federated.kernel import Kernel
from nwp.federated.local import LocalWork, take_steps
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import Encoded

Measure = Callable[[FloatArray], float]
"""Flat weights, float32 (n,), to what is to be small: mean nats a word on messages held back."""


@dataclass(frozen=True)
class Tuned:
    """Weights, flat, and their loss: a `share` of the way from those given to those after so many passes
    at a learning rate. No pass: those given."""

    loss: float
    weights: FloatArray
    passes: int = 0
    learning_rate: float = 0.0
    share: float = 0.0


Watch = Callable[[float, int, float], None]
"""Told after each pass: the learning rate, how many passes at it, the least loss now."""


@dataclass(frozen=True)
class FineTuning:
    """How weights for one user are looked for: up to `passes` over the messages at a learning rate.

    `work` says what a step is; its own learning rate and epochs are not used. After each pass these
    `shares` of the way are tried. A rate is given up after `patience` passes in which it found nothing
    better.
    """

    work: LocalWork
    passes: int
    patience: int
    shares: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.passes < 0 or self.patience < 0:
            raise BadSettings(
                f"{self.passes} passes, patience {self.patience}: both must be 0 or more"
            )
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise BadSettings(f"shares {self.shares} of the way must be above 0, and 1 at most")


def fine_tune(
    start: FloatArray,
    config: ModelConfig,
    how: FineTuning,
    rates: Sequence[float],
    train: Encoded,
    measure: Measure,
    seed: int,
    watch: Watch = lambda rate, passes, loss: None,
) -> Tuned:
    """The weights with the least loss among `start`, float32 (n,), and all that are tried after every
    pass at each of `rates`. Of equal ones the earlier stay, so that `start` does where none is better."""
    best = Tuned(measure(start), start)
    for rate in rates:
        found = tune_at(start, config, how, rate, train, measure, seed, watch)
        if found.loss < best.loss:
            best = found
    return best


def tune_at(
    start: FloatArray,
    config: ModelConfig,
    how: FineTuning,
    rate: float,
    train: Encoded,
    measure: Measure,
    seed: int,
    watch: Watch = lambda rate, passes, loss: None,
) -> Tuned:
    """The same at one rate alone."""
    best = Tuned(measure(start), start)
    steps = each_pass(start, config, replace(how.work, learning_rate=rate), train, seed)
    for number, trained in zip(range(1, how.passes + 1), steps, strict=False):
        least = math.inf
        for share in how.shares:
            weights = part_of_way(start, trained, share)
            loss = measure(weights)
            least = min(least, loss)
            if loss < best.loss:  # never so where the weights have left all bounds
                best = Tuned(loss, weights.copy(), number, rate, share)
        watch(rate, number, least)
        if number - best.passes >= how.patience:
            break
    return best


def each_pass(
    start: FloatArray, config: ModelConfig, work: LocalWork, train: Encoded, seed: int
) -> Iterator[FloatArray]:
    """Weights, float32 (n,), after each pass over the messages, without end: one array that changes."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    kernel = Kernel(config)
    kernel.load(torch.from_numpy(start))
    while True:
        for _ in take_steps(kernel, train, work, rng, generator):
            pass
        yield kernel.trained().numpy()


def part_of_way(start: FloatArray, trained: FloatArray, share: float) -> FloatArray:
    """Weights on the line from `start` (0) to `trained` (1), all float32 (n,)."""
    return trained if share == 1 else start + np.float32(share) * (trained - start)
