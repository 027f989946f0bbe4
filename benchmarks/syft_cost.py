"""What moving a round's messages through PySyft costs, split into its parts, beside bare encryption.

    python benchmarks/syft_cost.py --workers 1 3 10 --types fp32 bf16 --rounds 7

Real datasites, jobs and messages over the store in memory; a model of 4.05 million weights goes out and
an update of its size comes back, but nothing is trained: a worker's answer is ready at once. The parts
are exclusive (what a function calls is not counted twice); where threads work at once they add up to more
than the round. `bf16` sends half as many bytes. `bare` is to encrypt, verify and decrypt the same bytes
with syft's own functions, one after another, and nothing else; `library` is ChaCha20-Poly1305 over them
by the `cryptography` package, for the scale.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import statistics
import string
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from syft.sync.connections.drive.gdrive_transport import GDriveConnection
from syft.sync.peers.peer_store import PeerStore

from nwp.corpus.types import Corpus
from nwp.federated import parcel
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.averaging import MEAN
from nwp.federated.parcel import BF16, ArraySpec, Parcel, Schema
from nwp.federated.plan import TrainPlan
from nwp.federated.protocol import Aggregation, Phase, Step
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers import channel, datasite, jobs, ledger, simulation
from nwp.workers.adapter import clients, stores
from nwp.workers.engines import make_engine

VOCABULARY = 10_004
MODEL = ModelConfig(VOCABULARY, hidden=670, tied=False, marks=0)
TYPES = {"fp32": "float32", "bf16": BF16}
# Part of a round to the functions that make it up. What they call and is named here, too, is not theirs.
PARTS: dict[str, list[tuple[Any, str]]] = {
    "encrypt, sign": [(PeerStore, "encrypt")],
    "verify, decrypt": [(PeerStore, "verify_message"), (PeerStore, "decrypt")],
    "store": [
        (GDriveConnection, "watcher_send_raw_bytes_to_inbox"),
        (GDriveConnection, "owner_write_raw_bytes_to_outbox"),
        (stores._StoreConnection, "read_at_most"),
        (stores._StoreConnection, "delete"),
    ],
    "listing": [(channel.Channel, "names")],
    "packing": [
        (parcel, "_write"),
        *((module, name) for module in (jobs, datasite) for name in ("peek", "unpack")),
    ],
    "checks of values": [(Schema, "check")],
    "job and plan": [(datasite.Datasite, "approved_plan")],
    "private data": [(datasite.Datasite, "_data")],
    "ledger": [(ledger.Ledger, "write")],
    "syft's sync": [(clients, "sync")],
    "waiting": [(Future, "result")],
    "rest": [(simulation._Exchange, "__call__"), (datasite.Datasite, "serve")],
}


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--types", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds, after one that is not")
    parser.add_argument("--processes", type=int, default=2, help="so many workers answer at once")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [
        {"workers": workers, "type": kind, **measure(workers, kind, given.rounds, given.processes)}
        for workers, kind in itertools.product(given.workers, given.types)
    ]
    print(json.dumps(rows, indent=1) if given.json else table(rows))


def measure(workers: int, kind: str, rounds: int, processes: int) -> dict[str, Any]:
    """Median milliseconds of a round and of its parts, of bare encryption; bytes of a round."""
    weights = np.random.default_rng(0).normal(0, 0.1, MODEL.parameters).astype(np.float32)
    array = weights if kind == "fp32" else (weights.view(np.uint32) >> 16).astype(np.uint16)
    phase = moving(TYPES[kind], array)
    AGGREGATIONS["moving"] = Aggregation("moving", MEAN.begin, (Step(phase, *[no] * 2),), no)
    corpus = Corpus("few", {f"u{i:02}": ("a message", "one more") for i in range(2 * workers)})
    deals = simulation.deal(list(corpus.users), workers)
    plan = TrainPlan(
        MODEL,
        words(VOCABULARY - FIRST_WORD),
        {},
        dict.fromkeys(deals, 2),
        aggregation="moving",
        rounds=1 + rounds,
    )
    engine = make_engine(processes)
    requests = {w: Parcel(arrays={"weights": array, "users": np.arange(2)}) for w in deals}
    times: dict[str, list[float]] = defaultdict(list)
    with simulation.Simulation(corpus, deals, engine) as sim:
        began = time.perf_counter()
        exchange = sim.exchange(sim.submit(plan, "train"))
        submitted = time.perf_counter() - began
        for number in range(1, 2 + rounds):
            sim.channel.tap = None
            with clocks() as parts:
                began = time.perf_counter()
                replies = exchange(phase, number, requests)
                times["round"].append(time.perf_counter() - began)
            if len(replies.answers) != workers:
                raise RuntimeError(f"not all workers answered: {replies.absent}")
            del replies
            parts.pop("waiting", 0.0)  # for what the other threads' parts tell
            for part in PARTS.keys() - {"waiting"}:
                times[part].append(parts[part])
            bare(sim, array, times)
    engine.close()
    medians = {name: round(1e3 * statistics.median(t[1:]), 2) for name, t in times.items()}
    return {
        "round_ms": medians.pop("round"),
        "bare_ms": medians.pop("bare"),
        "library_ms": medians.pop("library"),
        "parts_ms": {part: medians[part] for part in PARTS if part in medians},
        "submit_ms": round(1e3 * submitted, 1),
        "bytes": 2 * workers * array.nbytes,
    }


def moving(dtype: str, update: np.ndarray[Any, Any]) -> Phase:
    """A phase of training's form whose answer is there already."""
    size = ArraySpec(dtype, update.shape)
    request = Schema(arrays={"weights": size, "users": ArraySpec("int64", (None,))})
    reply = Schema({"words": int, "users": int, "loss": float}, {"update": size})
    answer = Parcel({"words": 9, "users": 2, "loss": 1.0}, {"update": update})
    return Phase("train", lambda plan: request, lambda plan: reply, lambda *_: answer)


def no(*_: Any) -> Any:
    """In place of the server's work on what comes back."""
    raise NotImplementedError


def words(count: int) -> tuple[str, ...]:
    """So many different words of five letters."""
    letters = itertools.product(string.ascii_lowercase, repeat=5)
    return tuple(map("".join, itertools.islice(letters, count)))


def bare(
    sim: simulation.Simulation, array: np.ndarray[Any, Any], times: dict[str, list[float]]
) -> None:
    """Time encryption, verification and decryption alone, of as many bytes both ways."""
    content, library = array.tobytes(), ChaCha20Poly1305(os.urandom(32))
    server = sim.channel
    began = time.perf_counter()
    for site in sim.datasites.values():
        there = site.channel
        for here, peer in ((server, there), (there, server)):
            sealed = here._keys.encrypt(peer.email, content)
            peer._keys.verify_message(here.email, sealed)
            peer._keys.decrypt(here.email, sealed)
    times["bare"].append(time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(2 * len(sim.datasites)):
        nonce = os.urandom(12)
        library.decrypt(nonce, library.encrypt(nonce, content, None), None)
    times["library"].append(time.perf_counter() - began)


@contextmanager
def clocks() -> Iterator[dict[str, float]]:
    """Time the functions of `PARTS` while this lasts: seconds by part, of all threads together."""
    seconds: dict[str, float] = defaultdict(float)
    lock, local = threading.Lock(), threading.local()

    def clocked(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **more: Any) -> Any:
            outer = getattr(local, "inner", 0.0)
            local.inner = 0.0
            began = time.perf_counter()
            try:
                return function(*args, **more)
            finally:
                whole = time.perf_counter() - began
                with lock:
                    seconds[part] += whole - local.inner
                local.inner = outer + whole

        return call

    kept = [(owner, name, getattr(owner, name)) for fs in PARTS.values() for owner, name in fs]
    try:
        for part, functions in PARTS.items():
            for owner, name in functions:
                setattr(owner, name, clocked(part, getattr(owner, name)))
        yield seconds
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows side by side, in Markdown."""
    heads = [f"{row['workers']} × {row['type']}" for row in rows]
    lines = [f"| ms a round | {' | '.join(heads)} |", "|---" * (1 + len(rows)) + "|"]
    for part in rows[0]["parts_ms"]:
        lines.append(line(part, [row["parts_ms"][part] for row in rows]))
    lines.append(line("**round**", [row["round_ms"] for row in rows]))
    lines.append(line("bare encryption", [row["bare_ms"] for row in rows]))
    ratios = " | ".join(f"{row['round_ms'] / row['bare_ms']:.2f}" for row in rows)
    lines.append(f"| round / bare | {ratios} |")
    lines.append(line("by the library", [row["library_ms"] for row in rows]))
    lines.append(line("submit and approve, once", [row["submit_ms"] for row in rows]))
    return "\n".join(lines)


def line(name: str, values: list[float]) -> str:
    """One line of the table."""
    return f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |"


if __name__ == "__main__":
    main()
