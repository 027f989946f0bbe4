"""Seconds per round of nwp and of other simulators, in turn on one machine, and their ratios.

    python benchmarks/peers.py --peers FOLDER --pfl /envs/pfl/bin/python --regimes standard --repeats 5

Every repeat runs each program once, one after another, so that a slow moment of the machine hits all
alike; what is told is the median over repeats of each one's own median, and ratios are medians of each
repeat's. Results go to a file as they come, so that a run that is stopped has not been for nothing, and
`--table` prints what a file holds. Programs that only bound others take part in fewer repeats
(`--few`): the plain loop, Flower, and nwp with messages sorted across a user's batches, which is another
run of the same algorithm and counts in no ratio.

The limit is the time of the products that a round cannot do without (`nwp.measuring.flops`) at the best
that the machine multiplies with as many processes, measured in the first repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

NWP = ("nwp fp32", "nwp bf16")
COLUMNS = (*NWP, "nwp bf16 sorted", "plain", "pfl", "flower")
REGIMES = ("standard", "small_model", "many_small", "many_standard")


def main() -> None:
    """Parse the command line, run, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True, help="the folder of their scripts")
    parser.add_argument("--plain", help="a Python that has torch: adds the plain loop")
    parser.add_argument("--pfl", help="a Python that has pfl")
    parser.add_argument("--flower", help="a Python that has Flower")
    parser.add_argument("--regimes", nargs="+", choices=REGIMES, default=list(REGIMES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--few", type=int, default=2, help="repeats of plain, sorted and Flower")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each run")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of OUT")
    parser.add_argument("--out", type=Path, default=Path("peers.json"))
    given = parser.parse_args()
    for regime in [] if given.table else given.regimes:
        for repeat in range(given.repeats):
            for name, command in programs(given, regime, repeat).items():
                found = run(command, given.peers)
                record(given.out, {"regime": regime, "repeat": repeat, "name": name, **found})
                print(f"{regime} {name}: {found.get('seconds_per_round')}", file=sys.stderr)
    print(table(given.out))


def programs(given: argparse.Namespace, regime: str, repeat: int) -> dict[str, list[str]]:
    """Name to command: nwp in both precisions, and the others as they are fastest on two cores."""
    here = Path(__file__).parent
    rounds = ["--regime", regime, "--rounds", str(given.rounds)]
    nwp = [sys.executable, str(here / "nwp_round.py"), *rounds]
    peak = ["--peak"] if repeat == 0 else []
    found = {f"nwp {p}": [*nwp, "--precision", p, *peak] for p in ("fp32", "bf16")}
    few = repeat < given.few
    if few:
        found["nwp bf16 sorted"] = [*nwp, "--precision", "bf16", "--batches", "sorted"]
    if given.plain and few:
        found["plain"] = [given.plain, str(given.peers / "naive_torch.py"), *rounds]
    if given.pfl:
        two = ["--processes", "2", "--threads", "1", "--balanced"]
        found["pfl"] = [given.pfl, str(given.peers / "pfl_bench.py"), *rounds, *two]
    if given.flower and few:
        two = ["--actors", "2", "--threads", "1"]
        found["flower"] = [given.flower, str(given.peers / "flower_bench.py"), *rounds, *two]
    return found


def run(command: list[str], peers: Path) -> dict[str, Any]:
    """A program's own JSON object; its last words where it failed."""
    environment = {**os.environ, "NWP_PEERS": str(peers)}
    if "naive_torch.py" not in command[1]:  # one process that takes all cores by its threads
        environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {"failed": done.stderr[-500:]}


def record(path: Path, row: dict[str, Any]) -> None:
    """Add one line to the results."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


Row = dict[str, Any]


def table(path: Path) -> str:
    """Medians, ratios, losses and shares of the limit of all that a file holds, in Markdown."""
    rows: list[Row] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if "seconds_per_round" in row]
    regimes = list(dict.fromkeys(row["regime"] for row in rows))
    seconds = [["regime", *COLUMNS, "pfl / nwp", "Flower / nwp", "pfl / nwp, both fp32", "repeats"]]
    limits = [["regime", "limit fp32", "limit bf16", "share fp32", "share bf16"]]
    losses = [["regime", "round", *COLUMNS]]
    for regime in regimes:
        mine = [row for row in rows if row["regime"] == regime]
        by_name = {name: [r for r in mine if r["name"] == name] for name in COLUMNS}
        median = {n: middle([r["seconds_per_round"] for r in by_name[n]]) for n in COLUMNS}
        best = min((n for n in NWP if median[n]), key=lambda n: median[n] or 0.0, default=NWP[0])
        seconds.append(
            [
                regime,
                *(told(median[name]) for name in COLUMNS),
                told(ratio(by_name["pfl"], by_name[best])),
                told(ratio(by_name["flower"], by_name[best])),
                told(ratio(by_name["pfl"], by_name[NWP[0]])),
                str(len(by_name[NWP[0]])),
            ]
        )
        bounds = [limit(by_name[name]) for name in NWP]
        shares = [
            f"{bound / median[name]:.0%}" if bound and median[name] else ""  # type: ignore[operator]
            for name, bound in zip(NWP, bounds, strict=True)
        ]
        limits.append([regime, *(told(bound) for bound in bounds), *shares])
        after = str(len(mine[0]["rounds"]))
        last = [f"{by_name[n][-1]['loss']:.5f}" if by_name[n] else "" for n in COLUMNS]
        losses.append([regime, after, *last])
    return "\n\n".join(markdown(lines) for lines in (seconds, limits, losses))


def middle(times: list[float]) -> float | None:
    """The median, if there is one."""
    return statistics.median(times) if times else None


def ratio(peer: list[Row], ours: list[Row]) -> float | None:
    """How many times as long the other takes: the median over repeats in which both ran."""
    mine = {row["repeat"]: row["seconds_per_round"] for row in ours}
    shared = [r["seconds_per_round"] / mine[r["repeat"]] for r in peer if r["repeat"] in mine]
    return middle(shared)


def limit(rows: list[Row]) -> float | None:
    """Seconds that a round's products take at the machine's best."""
    peak = max((row["peak_gflops"] for row in rows if "peak_gflops" in row), default=None)
    return rows[0]["gflop"] / peak if peak else None


def told(number: float | None) -> str:
    """Two digits behind the point, or nothing."""
    return "" if number is None else f"{number:.2f}"


def markdown(lines: list[list[str]]) -> str:
    """A table, its first line the head."""
    head, *body = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([head, "|---" * len(lines[0]) + "|", *body])


if __name__ == "__main__":
    main()
