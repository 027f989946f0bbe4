"""What real parties cost over the simulation: seconds and bytes a round, and what stays on the disk.

    python benchmarks/parties.py --owners 5 20 50 --sizes 1M 4M --rounds 6

Owners with one user of a few words each, so that next to nothing is trained, meet a server in a folder;
the same plan is then simulated with as many workers. The owners are dealt to `--processes` processes,
where they look in turn (one for each would need 340 MB apiece). Per row: the median round (of all but
the first) of both, their difference an owner, bytes a round, and the bytes and files in the shared
folder after the first round and after the last.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from nwp.corpus.split import only
from nwp.corpus.types import Corpus
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.tasks import joint, owner
from nwp.tasks.joint_members import JointOptions
from nwp.tasks.train import train_bundle
from nwp.tasks.train_options import TrainOptions
from nwp.tasks.watching import Watcher
from nwp.workers.network import Patience

SIZES = {"1M": (96, 360), "4M": (192, 512)}  # embedding, units
WORDS = {"1M": 5_000, "4M": 10_000}
TEXTS = ["see you at the station", "the train is late again", "where are you now", "at home"] * 3


def main() -> None:
    """Measure and print a row of JSON for each size and number of owners."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--owners", type=int, nargs="+", default=[5])
    parser.add_argument("--sizes", nargs="+", default=["1M"], choices=SIZES)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--processes", type=int, default=4)
    arguments = parser.parse_args()
    for size in arguments.sizes:
        for owners in arguments.owners:
            row = measure(size, owners, arguments.rounds, arguments.processes)
            print(json.dumps(row), flush=True)


def measure(size: str, owners: int, rounds: int, processes: int) -> dict[str, Any]:
    """One row."""
    root = Path(tempfile.mkdtemp(prefix="parties-"))
    try:
        return _measure(root, size, owners, rounds, processes)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _measure(root: Path, size: str, owners: int, rounds: int, processes: int) -> dict[str, Any]:
    embedding, hidden = SIZES[size]
    options = TrainOptions(
        rounds=rounds,
        cohort=owners,
        validate_every=rounds,
        public_words=WORDS[size],
        embedding=embedding,
        hidden=hidden,
        local=LocalWork(batch=16, learning_rate=1.0),
        server=ServerOptimizer("fedadam"),
        processes=1,
    )
    names = [f"worker-{i + 1:03}" for i in range(owners)]
    corpus = Corpus("small", {f"user-{name}": TEXTS for name in names})
    transport, server = f"folder:{root / 'shared'}", root / "server"
    joint.init_server(server, "server@nwp.example", transport)
    emails = [f"{name}@nwp.example" for name in names]
    joint.invite(server, emails)
    for name, email in zip(names, emails, strict=True):
        home = root / name
        owner.init_owner(home, email, "server@nwp.example", transport)
        rules = home / owner.POLICY
        rules.write_text(rules.read_text().replace('approve = "ask"', 'approve = "auto"'))
        owner.add_corpus(home, only(corpus, [f"user-{name}"]))
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    shares = [names[i::processes] for i in range(processes)]
    running = [
        context.Process(target=_owners, args=(root, share, over)) for share in shares if share
    ]
    for process in running:
        process.start()
    left: list[tuple[int, int]] = []

    def look(state: Any) -> None:
        left.append(_in_folder(root / "shared"))

    began = time.perf_counter()
    wait = JointOptions(owners, 3600, Patience(grace=60, longest=3600, quorum=1.0))
    joint.train_jointly(
        server, root / "joint", options, wait, command="", watcher=Watcher(round_done=look)
    )
    whole = time.perf_counter() - began
    over.set()
    for process in running:
        process.join()
    rows = [json.loads(line) for line in (root / "joint/run/cohorts.jsonl").open()]
    real = [row for row in rows if row["phase"] == "train"]
    deals = {name: [f"user-{name}"] for name in names}
    train_bundle(corpus, root / "simulated", options, command="", deals=deals)
    metrics = (root / "simulated/run/metrics.csv").read_text().splitlines()
    column = metrics[0].split(",").index("seconds")
    simulated = [float(line.split(",")[column]) for line in metrics[1:-1]]
    same = [(root / each / "model.safetensors").read_bytes() for each in ("joint", "simulated")]
    round_, plain = (
        statistics.median(r["seconds"] for r in real[1:]),
        statistics.median(simulated[1:]),
    )
    return {
        "size": size,
        "owners": owners,
        "round_s": round(round_, 3),
        "simulated_round_s": round(plain, 3),
        "overhead_s_an_owner": round((round_ - plain) / owners, 4),
        "bytes_a_round": int(statistics.median(r["bytes_down"] + r["bytes_up"] for r in real)),
        "folder_after_first": left[0],
        "folder_after_last": left[-1],
        "seconds_with_enrolment": round(whole, 1),
        "same": same[0] == same[1],
    }


def _owners(root: Path, names: list[str], over: Event) -> None:
    """Some owners, who look in turn."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with ExitStack() as stack:
        found = [stack.enter_context(owner.at_work(root / name)) for name in names]
        attendants = [attendant for attendant in found if attendant]
        while not over.is_set():
            busy = [attendant.look() for attendant in attendants]  # all look, busy or not
            if not any(busy):
                time.sleep(0.02)


def _in_folder(folder: Path) -> tuple[int, int]:
    """Bytes and files in the shared folder."""
    sizes = [entry.stat().st_size for entry in os.scandir(folder) if entry.is_file()]
    return sum(sizes), len(sizes)


if __name__ == "__main__":
    main()
