"""When answers arrive, in a simulation: by a clock of its own, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nwp.federated.protocol import Wait

WORDS_A_SECOND = 1000  # that half of the users' devices train, or more


def response_seconds(words: Sequence[int], sigma: float, seed: int) -> float:
    """Simulated seconds until a worker answers: until the slowest of its users is done.

    `words` are those that each user trains on. A user's device is as fast as all others but for a
    factor, drawn for each answer from a log-normal distribution with median 1 and `sigma`.
    """
    factors = np.exp(sigma * np.random.default_rng(seed).standard_normal(len(words)))
    return float(max(np.asarray(words) * factors, default=0.0)) / WORDS_A_SECOND


def take_in(
    seconds: Mapping[str, float],
    wait: Wait,
    lot: Callable[[str], int],
    serve: Callable[[Sequence[str]], set[str]],
) -> tuple[tuple[str, ...], float]:
    """Let workers answer in order of their time until the wait is over.

    `seconds` is worker to time, `lot` decides between equal times, `serve` lets some workers answer
    and gives those whose answers are good. Who would be too late is not served: nothing is computed
    to be thrown away. Returns the late workers and the seconds waited.
    """
    order = sorted(seconds, key=lambda worker: (seconds[worker], lot(worker)))
    coming = [w for w in order if not wait.limit or seconds[w] <= wait.limit]
    good: set[str] = set()
    waited, at = 0.0, 0
    while at < len(coming) and not wait.enough(good):
        begin, hoped = at, set(good)
        while at < len(coming) and not wait.enough(hoped):
            hoped.add(coming[at])
            at += 1
        good |= serve(coming[begin:at])
        waited = seconds[coming[at - 1]]
    late = (*coming[at:], *order[len(coming) :])
    if len(coming) < len(order) and not wait.enough(good):
        waited = wait.limit
    return tuple(sorted(late)), waited
