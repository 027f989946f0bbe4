"""Seconds per round of nwp and of other simulators, in turn on one machine, and their ratios.

    python benchmarks/peers.py --peers FOLDER --pfl /envs/pfl/bin/python --regimes standard --repeats 5

Every repeat runs each program once, one after another, so that a slow moment of the machine hits all
alike; what is told is the median over repeats of each one's own median. Results go to a file as they
come, so that a run that is stopped has not been for nothing.
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

COLUMNS = ("nwp fp32", "nwp bf16", "pfl", "flower")
REGIMES = ("standard", "small_model", "many_small", "many_standard")


def main() -> None:
    """Parse the command line, run, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True, help="the folder of their scripts")
    parser.add_argument("--pfl", help="a Python that has pfl")
    parser.add_argument("--flower", help="a Python that has Flower")
    parser.add_argument("--regimes", nargs="+", choices=REGIMES, default=list(REGIMES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each run")
    parser.add_argument("--out", type=Path, default=Path("peers.json"))
    given = parser.parse_args()
    for regime in given.regimes:
        for repeat in range(given.repeats):
            for name, command in programs(given, regime).items():
                found = run(command, given.peers)
                record(given.out, {"regime": regime, "repeat": repeat, "name": name, **found})
                print(f"{regime} {name}: {found.get('seconds_per_round')}", file=sys.stderr)
    print(table(given.out))


def programs(given: argparse.Namespace, regime: str) -> dict[str, list[str]]:
    """Name to command: nwp in both precisions, and the others as they are fastest on two cores."""
    here = Path(__file__).parent
    rounds = ["--regime", regime, "--rounds", str(given.rounds)]
    nwp = [sys.executable, str(here / "nwp_round.py"), *rounds]
    found = {f"nwp {p}": [*nwp, "--precision", p] for p in ("fp32", "bf16")}
    if given.pfl:
        two = ["--processes", "2", "--threads", "1", "--balanced"]
        found["pfl"] = [given.pfl, str(given.peers / "pfl_bench.py"), *rounds, *two]
    if given.flower:
        two = ["--actors", "2", "--threads", "1"]
        found["flower"] = [given.flower, str(given.peers / "flower_bench.py"), *rounds, *two]
    return found


def run(command: list[str], peers: Path) -> dict[str, Any]:
    """A program's own JSON object; its last words where it failed."""
    environment = {**os.environ, "NWP_PEERS": str(peers), "OMP_NUM_THREADS": "1"}
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


def table(path: Path) -> str:
    """Medians and ratios of all that a file of results holds, in Markdown."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [
        "| regime | nwp fp32 | nwp bf16 | pfl | Flower | pfl / nwp | Flower / nwp | pfl / nwp fp32 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for regime in dict.fromkeys(row["regime"] for row in rows):
        median: dict[str, float] = {}
        for name in COLUMNS:
            times = [
                row["seconds_per_round"]
                for row in rows
                if (row["regime"], row["name"]) == (regime, name) and "seconds_per_round" in row
            ]
            if times:
                median[name] = statistics.median(times)
        best = min((median[n] for n in COLUMNS[:2] if n in median), default=None)
        cells = [f"{median[n]:.2f}" if n in median else "" for n in COLUMNS]
        cells += [ratio(median.get("pfl"), best), ratio(median.get("flower"), best)]
        cells.append(ratio(median.get("pfl"), median.get("nwp fp32")))
        lines.append(f"| {regime} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(peer: float | None, ours: float | None) -> str:
    """How many times as long the other takes."""
    return f"{peer / ours:.2f}" if peer and ours else ""


if __name__ == "__main__":
    main()
