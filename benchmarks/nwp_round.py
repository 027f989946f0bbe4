"""One federated round of the standard next-word workload, by nwp: the counterpart of other simulators'
scripts (`naive_torch.py`, `pfl_bench.py`, `flower_bench.py`), with the same arguments and output.

    NWP_PEERS=FOLDER python benchmarks/nwp_round.py --regime standard --precision bf16

`workload.py` and `model.py` (same data, same start weights, same loss) are read from the folder that
NWP_PEERS names, else from beside this file. `--batches peer` takes 16 sentences in the client's own
order, as all of them do; `sorted` sorts a client's sentences by length before they are cut into
batches, which is another run of the same algorithm with less to compute.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

T0 = time.perf_counter()
sys.path.insert(0, os.environ.get("NWP_PEERS") or str(Path(__file__).parent / "peers"))

import numpy as np
import torch
from model import NWP, eval_loss, save_weights, start_model  # type: ignore[import-not-found]
from workload import (  # type: ignore[import-not-found]
    add_arguments,
    describe,
    make_clients,
    spec_from,
)

from nwp.federated.local import LocalWork, deal_groups, train_group
from nwp.federated.weighting import Weighting
from nwp.measuring.flops import products, size_of
from nwp.measuring.machine import measure_peak, shapes_of
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded
from nwp.workers.engines import make_engine


def main() -> None:
    """Time rounds and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batches", choices=("peer", "sorted"), default="peer")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="torch threads a process")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (with --processes 1)")
    parser.add_argument("--groups", type=int, default=16, help="sums that users are added up in")
    parser.add_argument("--peak", action="store_true", help="measure this machine's best, too")
    args = parser.parse_args()
    spec = spec_from(args)
    config = ModelConfig(
        vocabulary=spec.vocab,
        embedding=spec.embed,
        hidden=spec.hidden,
        projection=spec.embed,
        tied=spec.tied,
        marks=0,
        first_output=0,
    )
    work = LocalWork(
        epochs=spec.epochs,
        batch=spec.batch,
        learning_rate=spec.lr,
        max_positions=spec.max_len,
        order="given" if args.batches == "peer" else "sorted",
        precision=args.precision,
    )
    users = [encoded(client) for client in make_clients(spec)]
    torch.set_num_threads(args.threads)
    model = start_model(spec)
    weights = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()
    engine = make_engine(args.processes, args.threads, device=args.device)
    groups = deal_groups([(user, 0) for user in users], work, args.groups)
    # A client's weight in the average is its sentences, as with all the others.
    tasks = [(config, work, group, Weighting("messages")) for group in groups]
    times = []
    for number in range(args.warmup + args.rounds):
        began = time.perf_counter()
        total, weight = np.zeros(len(weights)), 0.0
        for summed, mine, _ in engine.run(train_group, weights, tasks):
            total += summed
            weight += mine
        weights = (weights + total / weight).astype(np.float32)
        times.append(time.perf_counter() - began)
        if number == 0 and args.save_weights:
            save_weights(args.save_weights, named(model, weights))
    model.load_state_dict(named(model, weights))
    found = report(args, spec, model, times)
    size = size_of(users, work)
    found["gflop"] = round(products(config, size.words, size.messages).total / 1e9, 1)
    if args.peak:
        peak = measure_peak(engine, args.precision, shapes_of(config, spec.batch))
        found["peak_gflops"] = round(peak.together, 1)
    engine.close()
    print(json.dumps(found))


def report(
    args: argparse.Namespace, spec: Any, model: NWP, times: Sequence[float]
) -> dict[str, Any]:
    """What the others print, and how this was run."""
    return {
        "peer": "nwp",
        "seconds_per_round": round(statistics.median(times[args.warmup :]), 4),
        "loss": round(eval_loss(model, spec), 5),
        "rounds": [round(t, 4) for t in times],
        "warmup": args.warmup,
        "precision": args.precision,
        "batches": args.batches,
        "processes": args.processes,
        "threads": args.threads,
        "device": args.device,
        "process_seconds": round(time.perf_counter() - T0, 2),
        "torch": torch.__version__,
        "regime": args.regime,
        **describe(spec),
    }


def encoded(client: Any) -> Encoded:
    """A client of the workload in nwp's own form: its real targets, end to end."""
    real = client.y != 0
    inputs = client.x[real].astype(np.int32)
    return Encoded(
        inputs=inputs,
        marks=np.zeros_like(inputs),
        targets=client.y[real].astype(np.int32),
        addresses=np.zeros(len(inputs), np.bool_),
        offsets=np.concatenate([[0], np.cumsum(client.lengths)]).astype(np.int64),
    )


def named(model: NWP, flat: np.ndarray[Any, Any]) -> dict[str, torch.Tensor]:
    """A flat vector as the model's weights by name."""
    parts = torch.split(torch.from_numpy(flat), [p.numel() for p in model.parameters()])
    pairs = zip(model.named_parameters(), parts, strict=True)
    return {name: part.view(p.shape) for (name, p), part in pairs}


if __name__ == "__main__":
    main()
