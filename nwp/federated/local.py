"""Local training: one user's steps from the weights received, and what changed.

ClientUpdate of FedAvg (McMahan et al. 2017, arXiv 1602.05629, Algorithm 1): some epochs of
minibatch SGD over the user's own messages. `nwp.federated.reference` is the same by hand.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nwp.errors import BadSettings
from nwp.federated.device import here, moved
from nwp.federated.dropout import Draws
from nwp.federated.groups import in_groups
from nwp.federated.kernel import PRECISIONS, Kernel, named_views
from nwp.federated.packing import pack
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import Encoded

ORDERS = ("sorted", "given")
# What is computed as one batch of users of one step: more words make it no faster, but larger.
_MERGED_USERS, _MERGED_WORDS = 64, 4096
_WORTH = 512  # words of such users for which a group is made
_FEW = 16  # messages up to which a user's one step may be merged, where a batch is all of them
_SLICE = 64  # messages of such a batch that are in memory at once


@dataclass(frozen=True)
class LocalWork:
    """What a user does in a round.

    `batch` messages a step (0: all of them, as FedSGD has it, McMahan et al. 2017), `epochs` times
    over the messages, plain SGD with `learning_rate`; of a user who has more, `messages` of them
    (0: all) in each round (`nwp.federated.turns`); messages are cut to `max_positions`. A gradient
    longer than `clip_norm` (L2) is scaled to it (0: never). `order` "sorted" draws batches of
    messages of like length, in random order, so that little is padded; "given" keeps the messages'
    own order. `precision` is what products are computed in (see `nwp.federated.kernel`). With
    `proximal` above 0, half of it times the squared distance from the received weights is added to
    each batch's loss (mu of FedProx, Li et al. 2020, arXiv 1812.06127, Algorithm 2); `clip_norm`
    concerns the gradient without it.
    """

    epochs: int = 1
    batch: int = 16
    learning_rate: float = 0.5
    max_positions: int = 40
    clip_norm: float = 0.0
    order: str = "sorted"
    precision: str = "fp32"
    proximal: float = 0.0
    messages: int = 0

    def __post_init__(self) -> None:
        above = 0 < self.learning_rate < math.inf
        least = min(self.batch, self.messages)
        if min(self.epochs, self.max_positions) < 1 or least < 0 or not above:
            raise BadSettings(
                "epochs, positions and learning rate must be above 0, batch and messages 0 (all) or above",
                f"Given: {self}.",
            )
        if self.precision not in PRECISIONS:
            raise BadSettings(f"no precision {self.precision!r}", f"It is one of {PRECISIONS}.")
        if self.order not in ORDERS or not 0 <= self.clip_norm < math.inf:
            raise BadSettings(f"order must be one of {ORDERS}, clip_norm at least 0")
        if not 0 <= self.proximal < math.inf:
            raise BadSettings("proximal must be a number, 0 or above")


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
    kernel: Kernel, start: Tensor, user: Encoded, work: LocalWork, seed: int
) -> UserUpdate:
    """Train a copy of `start` (float32 (n,)) on one user's messages; `kernel` is scratch space."""
    loss, steps = train_here(kernel, start, user, work, seed)
    words = work.epochs * words_trained(user, work)
    return UserUpdate(delta=kernel.trained() - start, words=words, loss=loss, steps=steps)


def train_here(
    kernel: Kernel,
    start: Tensor,
    user: Encoded,
    work: LocalWork,
    seed: int,
    correction: Tensor | None = None,
) -> tuple[float, int]:
    """Leave the trained weights in the kernel; mean loss over all steps' targets, and the steps.

    `correction`, float32 (n,), is added to each step's gradient (see `Kernel.step`).
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    kernel.load(start)
    if correction is not None:
        correction = moved(correction, kernel.device)
    taken: list[tuple[Tensor, int]] = []
    for epoch in range(work.epochs):
        last = epoch + 1 == work.epochs
        taken += take_steps(kernel, user, work, rng, generator, correction, last=last)
    if not taken:
        return 0.0, 0
    total = 0.0
    # All at once: one by one, each step would wait until the one before is done.
    losses = torch.stack([loss for loss, _ in taken]).cpu().tolist()
    for loss, (_, count) in zip(losses, taken, strict=True):
        total += loss * count
    return total / max(sum(count for _, count in taken), 1), len(taken)


def words_trained(user: Encoded, work: LocalWork) -> int:
    """Words that one epoch trains on: all but those behind `max_positions` of their message."""
    return user.within(work.max_positions)


def take_steps(
    kernel: Kernel,
    user: Encoded,
    work: LocalWork,
    rng: np.random.Generator,
    generator: torch.Generator,
    correction: Tensor | None = None,
    *,
    last: bool = False,
) -> Iterator[tuple[Tensor, int]]:
    """One epoch of steps of SGD from the kernel's weights; gives each batch's mean loss before its
    step (as `Kernel.step` does), and its number of targets. The generator is for dropout. After the
    `last` epoch the kernel is good for no step before another `load`."""
    batches = batch_rows(user, work, rng)
    for i, rows in enumerate(batches):
        size = len(rows) if work.batch else _SLICE
        slices = [rows[at : at + size] for at in range(0, len(rows), size)]
        batch, *more = [pack([(user, some)], work.max_positions) for some in slices]
        loss = kernel.step(
            batch,
            work.learning_rate,
            work.clip_norm,
            generator,
            work.proximal,
            correction,
            more,
            last=last and i + 1 == len(batches),
        )
        yield loss, sum(len(part.targets) for part in (batch, *more))


def batch_rows(
    user: Encoded, work: LocalWork, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """One epoch of a user's messages in batches, by their numbers."""
    lengths = np.minimum(np.diff(user.offsets), work.max_positions)
    order = np.arange(user.messages)
    if work.order == "sorted":
        order = rng.permutation(user.messages)
        order = order[np.argsort(lengths[order], kind="stable")]
    size = work.batch or max(len(order), 1)
    cuts = [order[i : i + size] for i in range(0, len(order), size)]
    if work.order == "sorted":
        cuts = [cuts[i] for i in rng.permutation(len(cuts))]
    return cuts


def make_batches(user: Encoded, work: LocalWork, rng: np.random.Generator) -> Iterator[Batch]:
    """One epoch of a user's messages in batches, side by side."""
    return (pad(user, rows, work.max_positions) for rows in batch_rows(user, work, rng))


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


def takes_one_step(user: Encoded, work: LocalWork) -> bool:
    """Is all that the user does one plain step? Then many can be computed as one: the sum of their
    updates is one gradient at the weights that all received."""
    plain = work.epochs == 1 and work.clip_norm == 0
    return plain and 0 < user.messages <= (work.batch or _FEW)


def deal_groups(
    users: Sequence[tuple[Encoded, int]], work: LocalWork, groups: int
) -> list[list[tuple[Encoded, int]]]:
    """Users (data and seed) in at most so many groups of like cost, each in the order given; in fewer
    where all take one step, so that a group is worth the weights that are made ready for it.

    Which user is in which group depends on the users alone, so that sums by group are the same
    wherever and whenever groups are computed. The longest work first, each to the group that has
    least so far (Graham 1969, "Bounds on multiprocessing timing anomalies").
    """
    costs = [_cost(user, work) for user, _ in users]
    if all(takes_one_step(user, work) for user, _ in users):
        groups = max(1, min(groups, sum(costs) // _WORTH))
    loads, dealt = [0] * groups, [0] * len(users)
    for i in sorted(range(len(users)), key=lambda i: (-costs[i], i)):
        least = min(range(groups), key=loads.__getitem__)
        dealt[i] = least
        loads[least] += costs[i]
    order = sorted(range(groups), key=lambda group: (-loads[group], group))
    found = [
        [user for user, at in zip(users, dealt, strict=True) if at == group] for group in order
    ]
    return [group for group in found if group]


def _cost(user: Encoded, work: LocalWork) -> int:
    """About how long a user takes, in words: a step of its own costs as much as 80 words besides."""
    words = words_trained(user, work)
    if takes_one_step(user, work):
        return words
    return words + 80 * -(-user.messages // (work.batch or _SLICE))


def train_group(
    start: FloatArray,
    config: ModelConfig,
    work: LocalWork,
    users: Sequence[tuple[Encoded, int]],
    weigh: Callable[[Encoded, LocalWork], int] = words_trained,
) -> tuple[FloatArray, int, float]:
    """Train several users from the same weights and add their updates up.

    `users` is data and seed; a user's weight is the words trained on, if `weigh` does not say
    otherwise. Returns Σ weight·delta (float32 (n,)), Σ weight and Σ weight·loss.
    The sum's order is the order given, users of one step before the others.
    """
    kernel, received = scratch(config, work.precision), torch.from_numpy(start)
    alone = [pair for pair in users if not takes_one_step(pair[0], work)]
    together = [pair for pair in users if takes_one_step(pair[0], work)]
    total = torch.zeros(len(start), device=kernel.device)
    weights, loss = 0, 0.0
    for some in in_groups(
        together, _MERGED_USERS, lambda pair: words_trained(pair[0], work), _MERGED_WORDS
    ):
        loss += _one_step_of_all(kernel, received, work, some, weigh, total)
        weights += sum(weigh(user, work) for user, _ in some)
    delta = torch.empty_like(total)
    for user, seed in alone:
        mean, _ = train_here(kernel, received, user, work, seed)
        weight = work.epochs * weigh(user, work)
        total.add_(torch.sub(kernel.flat, kernel.received, out=delta), alpha=weight)
        weights += weight
        loss += weight * mean
    summed: FloatArray = total.cpu().numpy()
    return summed, weights, loss


def _one_step_of_all(
    kernel: Kernel,
    start: Tensor,
    work: LocalWork,
    users: Sequence[tuple[Encoded, int]],
    weigh: Callable[[Encoded, LocalWork], int],
    total: Tensor,
) -> float:
    """Add Σ weight·delta of users (data and seed) who take one step each to `total`, float32 (n,) on
    the kernel's device; Σ weight·loss. Each one's dropout is what it would be alone."""
    kernel.load(start)
    rows = [batch_rows(user, work, np.random.default_rng(seed))[0] for user, seed in users]
    batch = pack(
        [(user, some) for (user, _), some in zip(users, rows, strict=True)], work.max_positions
    )
    draws = [Draws(torch.Generator().manual_seed(seed), user.messages) for user, seed in users]
    owner = np.repeat(np.arange(len(users)), [one.messages for one in draws])[batch.rows]
    weights = np.array([weigh(user, work) for user, _ in users])
    share = weights / np.bincount(owner, minlength=len(users))  # of the mean over a user's targets
    scale = moved(torch.from_numpy(share[owner].astype(np.float32)), kernel.device)
    losses = torch.empty(len(owner), device=kernel.device)
    views = named_views(total, kernel.config)
    for piece in kernel.backward(batch.on(kernel.device), scale, losses, draws):
        piece.add_to(views, kernel.config.first_output, -work.learning_rate)
    return float((losses * scale).sum())


_own = threading.local()  # a kernel is used by one thread


def scratch(config: ModelConfig, precision: str) -> Kernel:
    """A kernel for this shape to work in; making one costs more than a small user's training."""
    key = (config, precision, here())
    if getattr(_own, "key", None) != key:
        _own.key, _own.kernel = key, Kernel(*key)
    kernel: Kernel = _own.kernel
    return kernel
