"""How many floating-point operations the matrix products of a round are: what cannot be left out.

A product of (m, k) and (k, n) is 2 m k n operations, a multiplication and an addition each. Each matrix
of the model takes part in three products a word: forward, back to what came in, and its own gradient.
With N words (the end of a message is predicted like a word, and counts as one), M messages, embedding E,
hidden H, projection P, V words that can be predicted, L layers and I(l) what layer l reads (E, then H):

    6 [ N (sum over l of 4 H I(l)  +  P H  +  V P)  +  (N - M) L 4 H H ]

The last term is the recurrence: the first word of a message has no state before it, so nothing to
multiply. Only real words count, as in `nwp.federated.kernel`: who pads computes more for the same result.
Sums, biases, gates, the softmax and the embedding's rows are no products and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nwp.federated.local import LocalWork
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded


@dataclass(frozen=True)
class Products:
    """Floating-point operations of matrix products, by whether they wait for each other.

    `recurrence` are the LSTM's from one position to the next, forward and back, which have as many
    rows as messages go on; `others` have as many as there are words.
    """

    recurrence: int
    others: int

    @property
    def total(self) -> int:
        """Both."""
        return self.recurrence + self.others


@dataclass(frozen=True)
class Size:
    """How much is trained on: users, their messages, words (ends of messages included), steps of SGD."""

    users: int
    messages: int
    words: int
    steps: int


def products(config: ModelConfig, words: int, messages: int) -> Products:
    """What training once on so many words in so many messages multiplies (the formula above)."""
    gates = 4 * config.hidden
    reads = config.embedding + (config.layers - 1) * config.hidden
    dense = gates * reads + config.projection * (config.hidden + config.outputs)
    recurrent = 2 * (words - messages) * config.layers * gates * config.hidden
    return Products(recurrence=2 * recurrent, others=6 * words * dense + recurrent)


def size_of(users: Iterable[Encoded], work: LocalWork) -> Size:
    """What one round of local work on these users comes to, all epochs together."""
    people, messages, words, steps = 0, 0, 0, 0
    for user in users:
        people += 1
        messages += work.epochs * user.messages
        words += work.epochs * int(np.minimum(np.diff(user.offsets), work.max_positions).sum())
        steps += work.epochs * -(-user.messages // (work.batch or max(user.messages, 1)))
    return Size(people, messages, words, steps)
