"""How much one worker can do to a round, whatever it sends and claims.

Whoever sends an update can send any numbers, and say that they come of any number of words. Two things
bound what comes of that, and neither believes anybody:

- **How long an update can be.** With gradients clipped to C and a learning rate of η, one step of SGD
  moves the weights by ηC at most, and K steps by KηC. K follows from the plan and the words trained on:
  each message has one or more. A longer update came of no training under this plan.
- **What share of a round is one worker's.** Words claimed are its weight in the average: of too many, as
  many count as make `share` of the sum (`shares.capped`), and its update counts up to the length that so
  many words can give. So a worker does no more than an honest one that has as many words as its share leaves.

Sun et al. 2019, "Can You Really Backdoor Federated Learning?" (arXiv 1911.07963), section 4, bound the
norms of updates as well, by a threshold that has to be chosen. Here the plan gives it.
"""

from __future__ import annotations

import math

import numpy as np

from nwp.federated.plan import TrainPlan
from nwp.model.lstm import FloatArray

# What rounding may add: products and sums in float32 and bf16's 2^-8 of each number; int8 is less than
# 1/127 of the largest of 512 neighbours off, which is √512/127 of their length.
_LONGER = {"fp32": 1.01, "bf16": 1.01, "int8": 1.2}
_ROUNDED = 2.0**-22  # of each weight, in each step: half of float32's last bit, of weights around 4


def most_words(plan: TrainPlan, users: float) -> float:
    """The words that so many users can train on in a round, in all epochs; inf where the plan takes all
    messages of each."""
    work = plan.local
    return users * work.epochs * work.messages * work.max_positions if work.messages else math.inf


def longest_update(plan: TrainPlan, words: int) -> float:
    """The greatest length (L2) of an update, or of a mean of several users', that is trained on so many
    words in all epochs; inf where the plan bounds none.

    None is bounded without clipping; by SCAFFOLD, which adds to clipped gradients; by topk, whose
    updates hold what earlier ones left; and where words are not told.
    """
    work, scheme = plan.local, plan.uplink.scheme
    bounded = work.clip_norm > 0 and plan.aggregation == "mean" and scheme in _LONGER
    # A pull to the weights received shortens the way, unless it is so strong that it throws beyond.
    pulled_back = work.learning_rate * work.proximal <= 2
    if not bounded or not pulled_back or plan.hides_words:
        return math.inf
    batches = -(-words // (work.epochs * work.batch)) if work.batch else min(words, 1)
    steps = work.epochs * batches
    rounding = math.sqrt(plan.model.parameters) * _ROUNDED
    # Every schedule stays at or below the plan's rate.
    return _LONGER[scheme] * steps * work.learning_rate * work.clip_norm + steps * rounding


def length(vector: FloatArray) -> float:
    """The length (L2) of a vector, float32 (n,), the same however many threads there are."""
    wide = vector.astype(np.float64)
    return math.sqrt(float(np.square(wide, out=wide).sum()))


def cut(vector: FloatArray, longest: float) -> FloatArray:
    """A vector, float32 (n,), scaled to a length if it is longer."""
    if longest == math.inf or (found := length(vector)) <= longest:
        return vector
    shorter: FloatArray = (vector * (longest / found)).astype(np.float32)
    return shorter
