"""What each way to write weights and updates costs and saves: bytes a round, and validation perplexity
after as many rounds, on a corpus.

    python benchmarks/compression.py                      # the sample corpus
    python benchmarks/compression.py CORPUS --rounds 30 --workers 8 --seeds 3
    python benchmarks/compression.py --codes              # time and error of the codes alone

The runs differ in nothing else: users, cohorts, seeds and the order of batches are the same. Bytes are
those of the stored messages, encrypted and signed; perplexity is the mean over seeds, and the spread
the largest less the smallest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nwp.corpus.load import load_corpus
from nwp.federated.compression import Code, Compression
from nwp.tasks.train import train_bundle
from nwp.tasks.train_options import TrainOptions

CODES = (
    Compression(),
    Compression("bf16", "fp32"),
    Compression("fp32", "bf16"),
    Compression("fp32", "int8"),
    Compression("fp32", "topk", 0.1),
    Compression("fp32", "topk", 0.01),
    Compression("bf16", "int8"),
    Compression("bf16", "topk", 0.01),
)


def main() -> None:
    """Print a table and, as the last line, a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", default="sample")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=0, help="0: about four users each")
    parser.add_argument("--cohort", type=int, default=0, help="users a round; 0: as `nwp train`")
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="rows of the table, from 0")
    parser.add_argument("--codes", action="store_true", help="time the codes on 4 million numbers")
    args = parser.parse_args()
    if args.codes:
        rows = [time_of(code) for code in CODES if code.down == "fp32"]
        table(("up", "encode ms", "decode ms", "bits each", "error"), rows)
        return
    options = TrainOptions(
        rounds=args.rounds,
        workers=args.workers,
        cohort=args.cohort,
        hidden=args.hidden,
        validate_every=args.rounds,
        processes=args.processes,
    )
    codes = [CODES[i] for i in args.only] if args.only else CODES
    rows = [row_of(args.corpus, options, code, args.seeds) for code in codes]
    table(("down", "up", "kB down", "kB up", "perplexity", "spread"), rows)
    print(json.dumps({"corpus": args.corpus, "rounds": args.rounds, "rows": rows}))


def row_of(
    corpus: str, options: TrainOptions, code: Compression, seeds: int
) -> tuple[str, str, int, int, float, float]:
    """One line: bytes are of a round without its validation, on average, in thousands."""
    found: list[float] = []
    down = up = 0
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            loaded, out = load_corpus(corpus), Path(folder, "model")
            chosen = replace(options, compression=code, seed=seed)
            result = train_bundle(loaded, out, chosen, command="")
            found.append(result["valid"]["perplexity"])
            history = history_of(out)[:-1]  # the last round is the one that is validated
            down += sum(report["bytes_down"] for report in history)
            up += sum(report["bytes_up"] for report in history)
    rounds = 1000 * seeds * (options.rounds - 1)
    spread = max(found) - min(found)
    mean = statistics.mean(found)
    return code.down, name_of(code), round(down / rounds), round(up / rounds), mean, spread


def history_of(out: Path) -> list[dict[str, Any]]:
    """The reports of a finished run's rounds."""
    data = next((out / "run").glob("round-*.safetensors")).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: list[dict[str, Any]] = json.loads(header["__metadata__"]["nwp"])["history"]
    return found


def time_of(compression: Compression) -> tuple[str, float, float, float, float]:
    """The best of five times, in milliseconds, and the error's length as a share of the update's."""
    torch.set_num_threads(1)
    values = np.random.default_rng(0).normal(0, 1e-3, 4_050_000).astype(np.float32)
    code = Code(compression.up, len(values), compression.share)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        arrays = code.encode("update", values, 1)
        written = time.perf_counter()
        back = code.decode("update", arrays)
        times.append((written - began, time.perf_counter() - written))
    encode, decode = (1000 * min(column) for column in zip(*times, strict=True))
    bits = 8 * sum(array.nbytes for array in arrays.values()) / len(values)
    error = float(np.linalg.norm(back - values) / np.linalg.norm(values))
    return name_of(compression), round(encode, 1), round(decode, 1), round(bits, 3), round(error, 4)


def name_of(code: Compression) -> str:
    """What goes up, for a table."""
    return f"topk {code.share}" if code.up == "topk" else code.up


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        cells = [
            f"{cell:.2f}"
            if isinstance(cell, float)
            else f"{cell:,}"
            if isinstance(cell, int)
            else cell
            for cell in row
        ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
