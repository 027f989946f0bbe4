"""Seconds a round by engine and number of processes, in turns, and how many times faster than in one.

    python benchmarks/scaling.py --rounds 5 --processes 1 2
    python benchmarks/scaling.py --engines here processes ray

The workload is seeded and made up: 50 users of uneven sizes, batches of 16 messages. All engines are
there from the beginning and take one round after another in turn, so that a slow moment of the
machine hits all alike; what is told is the median. Every engine must come to the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np

from nwp.federated.local import LocalWork, deal_groups, seed_for, train_group
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.text.vocabulary import Encoded
from nwp.workers.engines import Engine, make_engine

SIZES = {  # vocabulary, embedding, hidden
    "small": (5_004, 64, 256),
    "standard": (10_004, 96, 670),  # of next-word prediction on Stack Overflow in the literature
}


def main() -> None:
    """Time rounds in turns, print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each engine")
    parser.add_argument("--processes", type=int, nargs="+", default=sorted({1, 2, cores}))
    parser.add_argument("--engines", nargs="+", default=["here", "processes"])
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--messages", type=int, default=3_600, help="of all users together")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--groups", type=int, default=16, help="sums that users are added up in")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    vocabulary, embedding, hidden = SIZES[given.size]
    config = ModelConfig(
        vocabulary=vocabulary,
        embedding=embedding,
        hidden=hidden,
        projection=embedding,
        tied=False,
        marks=0,
        first_output=0,
    )
    work = LocalWork(batch=16, learning_rate=0.3, precision=given.precision)
    users = [(user, seed_for("scaling", i)) for i, user in enumerate(made_up(given.messages))]
    tasks = [(config, work, group) for group in deal_groups(users, work, given.groups)]
    model = NextWordModel(config)
    model.initialize(0)
    times = timed(rows(given.engines, given.processes), model.weights(), tasks, given.rounds)
    one = statistics.median(times[next(iter(times))])
    if given.json:
        print(json.dumps({name: [round(t, 4) for t in seconds] for name, seconds in times.items()}))
        return
    print(f"{'engine':<16}{'seconds a round':>16}{'times as fast':>15}")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:<16}{median:>16.3f}{one / median:>15.2f}")


def rows(engines: Sequence[str], processes: Sequence[int]) -> dict[str, Engine]:
    """A name for each engine with each number of processes, and the engine."""
    found = {}
    for name in engines:
        # This process is one, and can be part of one cluster.
        counts = {"here": (1,), "ray": (max(processes),)}.get(name, processes)
        for count in counts:
            found[f"{name}, {count}"] = make_engine(count, name=name)
    return found


def timed(
    engines: dict[str, Engine],
    weights: FloatArray,
    tasks: Sequence[tuple[object, ...]],
    rounds: int,
) -> dict[str, list[float]]:
    """Seconds of each engine's rounds; the first of each, which starts its processes, left out."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    digests = set()
    for number in range(rounds + 1):
        for name, engine in engines.items():
            began = time.perf_counter()
            total, words = np.zeros(len(weights)), 0
            for summed, mine, _ in engine.run(train_group, weights, tasks):
                total += summed
                words += mine
            update = (total / words).astype(np.float32)
            seconds = time.perf_counter() - began
            digests.add(hashlib.sha256(update.tobytes()).hexdigest())
            if number:
                times[name].append(seconds)
                print(f"round {number}, {name}: {seconds:.3f} s", file=sys.stderr)
    for engine in engines.values():
        engine.close()
    if len(digests) != 1:
        raise SystemExit("the engines do not come to the same bytes")
    return times


def made_up(messages: int, users: int = 50) -> list[Encoded]:
    """Users with a lognormal number of messages of 5 to 20 words after Zipf's law."""
    rng = np.random.default_rng(7)
    share = rng.lognormal(0, 0.9, users)
    counts = np.maximum(1, share / share.sum() * messages).astype(int)
    return [made_up_user(rng, count) for count in counts]


def made_up_user(rng: np.random.Generator, messages: int) -> Encoded:
    """One user's messages, as ids below 5,000."""
    lengths = np.clip(4 + rng.geometric(0.18, messages), 5, 20)
    words = np.minimum(3 + rng.zipf(1.2, lengths.sum()), 4_999).astype(np.int32)
    return Encoded(
        inputs=words,
        marks=np.zeros_like(words),
        targets=np.roll(words, -1),
        addresses=np.zeros(len(words), np.bool_),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


if __name__ == "__main__":
    main()
