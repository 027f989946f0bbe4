"""Local training: one user's steps from the weights received, and what changed.

ClientUpdate of FedAvg (McMahan et al. 2017, arXiv 1602.05629, Algorithm 1): some epochs of
minibatch SGD over the user's own messages. `nwp.federated.reference` is the same by hand.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nwp.errors import BadSettings
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.text.vocabulary import Encoded

ORDERS = ("sorted", "given")


@dataclass(frozen=True)
class LocalWork:
    """What a user does in a round.

    `batch` messages a step, `epochs` times over the messages, plain SGD with `learning_rate`;
    messages are cut to `max_positions`. A gradient longer than `clip_norm` (L2) is scaled to it
    (0: never). `order` "sorted" draws batches of messages of like length, in random order, so that
    little is padded; "given" keeps the messages' own order.
    """

    epochs: int = 1
    batch: int = 16
    learning_rate: float = 0.5
    max_positions: int = 40
    clip_norm: float = 0.0
    order: str = "sorted"

    def __post_init__(self) -> None:
        above = 0 < self.learning_rate < math.inf
        if min(self.epochs, self.batch, self.max_positions) < 1 or not above:
            raise BadSettings(
                "epochs, batch, positions and learning rate must be above 0", f"Given: {self}."
            )
        if self.order not in ORDERS or not 0 <= self.clip_norm < math.inf:
            raise BadSettings(f"order must be one of {ORDERS}, clip_norm at least 0")


@dataclass(frozen=True)
class UserUpdate:
    """What local training gives: `delta` = trained minus received weights, float32 (n,).

    `words` trained on (the weight in the average), `loss` the mean over all steps' targets in nats
    (of the weights as they were at each step), `steps` taken.
    """

    delta: Tensor
    words: int
    loss: float
    steps: int


@dataclass(frozen=True)
class Batch:
    """Some messages side by side, int64 (B, T), padded at the end with 0."""

    inputs: Tensor
    marks: Tensor
    targets: Tensor


def seed_for(*parts: object) -> int:
    """A seed of 63 bits from anything with a stable text: equal parts, equal seed, on any machine."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def train_user(
    model: NextWordModel, start: Tensor, user: Encoded, work: LocalWork, seed: int
) -> UserUpdate:
    """Train a copy of `start` (float32 (n,)) on one user's messages; `model` is scratch space."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    model.set_weights(start)
    total, targets, steps = 0.0, 0, 0
    for _ in range(work.epochs):
        for loss, count in take_steps(model, make_batches(user, work, rng), work, generator):
            total, targets, steps = total + loss * count, targets + count, steps + 1
    return UserUpdate(
        delta=model.flat - start,
        words=work.epochs * words_trained(user, work),
        loss=total / max(targets, 1),
        steps=steps,
    )


def words_trained(user: Encoded, work: LocalWork) -> int:
    """Words that one epoch trains on: all but those behind `max_positions` of their message."""
    positions = np.diff(user.offsets)
    return int(np.minimum(positions - 1, work.max_positions).sum())


def take_steps(
    model: NextWordModel, batches: Iterable[Batch], work: LocalWork, generator: torch.Generator
) -> Iterator[tuple[float, int]]:
    """One step of SGD a batch, as `model` is; gives each batch's mean loss before its step, and its
    number of targets. The generator is for dropout."""
    parameters: list[Tensor] = list(model.parameters())
    for batch in batches:
        loss = model.loss(batch.inputs, batch.marks, batch.targets, generator)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            scale = work.learning_rate * _clip_scale(gradients, work.clip_norm)
            torch._foreach_add_(parameters, gradients, alpha=-scale)
        yield loss.item(), int((batch.targets > 0).sum())


def make_batches(user: Encoded, work: LocalWork, rng: np.random.Generator) -> Iterator[Batch]:
    """One epoch of a user's messages in batches."""
    lengths = np.minimum(np.diff(user.offsets), work.max_positions)
    order = np.arange(user.messages)
    if work.order == "sorted":
        order = rng.permutation(user.messages)
        order = order[np.argsort(lengths[order], kind="stable")]
    cuts = [order[i : i + work.batch] for i in range(0, len(order), work.batch)]
    if work.order == "sorted":
        cuts = [cuts[i] for i in rng.permutation(len(cuts))]
    for rows in cuts:
        yield pad(user, rows, work.max_positions)


def pad(user: Encoded, rows: npt.NDArray[np.int64], max_positions: int) -> Batch:
    """The messages `rows` of a user side by side, cut to `max_positions` and padded with 0."""
    starts = user.offsets[rows]
    lengths = np.minimum(user.offsets[rows + 1] - starts, max_positions)
    position = np.arange(lengths.max())
    real = position < lengths[:, None]
    where = np.where(real, starts[:, None] + position, 0)

    def gather(values: npt.NDArray[np.int32]) -> Tensor:
        return torch.from_numpy(np.where(real, values[where], 0).astype(np.int64))

    return Batch(gather(user.inputs), gather(user.marks), gather(user.targets))


def train_group(
    start: FloatArray,
    config: ModelConfig,
    work: LocalWork,
    users: Sequence[tuple[Encoded, int]],
) -> tuple[FloatArray, int, float]:
    """Train several users from the same weights, one after another, and add their updates up.

    `users` is data and seed. Returns Σ words·delta (float32 (n,), added in float64), Σ words and
    Σ words·loss. The sum's order is the order given.
    """
    model, received = _scratch(config), torch.from_numpy(start)
    total = torch.zeros(len(start), dtype=torch.float64)
    words, loss = 0, 0.0
    for data, seed in users:
        update = train_user(model, received, data, work, seed)
        total.add_(update.delta, alpha=update.words)
        words += update.words
        loss += update.words * update.loss
    summed: FloatArray = total.to(torch.float32).numpy()
    return summed, words, loss


_models: dict[ModelConfig, NextWordModel] = {}


def _scratch(config: ModelConfig) -> NextWordModel:
    """A model of this shape to work in; making one costs more than a small user's training."""
    if config not in _models:
        _models.clear()
        _models[config] = NextWordModel(config)
    return _models[config]


def _clip_scale(gradients: Sequence[Tensor], bound: float) -> float:
    """The factor that brings the gradients' joint L2 norm down to the bound."""
    if bound == 0:
        return 1.0
    norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients)))))
    return min(1.0, bound / (norm + 1e-12))
