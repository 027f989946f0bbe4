"""What training costs as users, cohort, words and processes grow: seconds, and memory by process.

    python benchmarks/scale.py run --users 1000,10000,100000 --out users.json
    python benchmarks/scale.py plot users.json cohort.json words.json processes.json --out docs/scale

`run` writes invented messages to a file that is deleted afterwards, trains on them through PySyft
datasites (`nwp.tasks.train`) in a process of its own for each setting, and watches the memory of that
process and of its worker processes from outside. One option may be a list; the rest stay as they are.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from threading import Thread
from typing import Any

from corpus_scale import invented

_PAUSE = 0.05  # seconds between two looks at the memory
# What is told of a process: its resident memory, of it what no file backs, and its share of all pages.
_KINDS = {"Rss": "rss", "Anonymous": "anonymous", "Pss": "pss"}


@dataclass(frozen=True)
class Setting:
    """One training run. `words` are each user's, in messages of ten; `validate_users` 0: all."""

    users: int = 10_000
    words: int = 100
    cohort: int = 1_000
    processes: int = 2
    rounds: int = 3
    workers: int = 8
    validate_users: int = 0
    vocabulary: int = 5_000
    embedding: int = 32
    hidden: int = 64
    seed: int = 0


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run")
    for option in fields(Setting):
        flag = f"--{option.name.replace('_', '-')}"
        run.add_argument(flag, type=_numbers, default=(option.default,), metavar="N[,N…]")
    run.add_argument("--out", type=Path, help="where the figures go, as JSON")
    run.set_defaults(call=run_all)
    plot = commands.add_parser("plot")
    plot.add_argument("figures", type=Path, nargs="+", help="JSON files of `run`")
    plot.add_argument("--out", type=Path, required=True, help="folder for the SVG files")
    plot.set_defaults(call=plot_all)
    child = commands.add_parser("child", help="(run in a process of its own)")
    child.add_argument("setting")
    child.add_argument("corpus", type=Path)
    child.set_defaults(call=lambda given: train(Setting(**json.loads(given.setting)), given.corpus))
    given = parser.parse_args()
    given.call(given)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def run_all(given: argparse.Namespace) -> None:
    """Measure each setting; a table to the terminal, all figures to a file."""
    found = []
    for setting in settings(given):
        with tempfile.TemporaryDirectory() as temporary:
            corpus = Path(temporary, "corpus.jsonl")
            with corpus.open("w", encoding="utf-8") as file:
                file.writelines(invented(setting.users, setting.words))
            found.append(measure(setting, corpus))
        print(line(found[-1]), file=sys.stderr)
        if given.out:
            given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1) if not given.out else "\n".join(map(line, found)))


def settings(given: argparse.Namespace) -> list[Setting]:
    """A setting for each value of the one option that is a list."""
    lists = {o.name: getattr(given, o.name) for o in fields(Setting)}
    several = [name for name, values in lists.items() if len(values) > 1]
    if len(several) > 1:
        raise SystemExit(f"one option may be a list, not {' and '.join(several)}")
    base = Setting(**{name: values[0] for name, values in lists.items()})
    vary = several[0] if several else "users"
    return [replace(base, **{vary: value}) for value in lists[vary]]


def line(found: Mapping[str, Any]) -> str:
    """One setting's figures for a person."""
    asked, took, peak = found["setting"], found["seconds"], found["peak_mib"]
    return (
        f"{asked['users']:7,} users x {asked['words']:4} words, cohort {asked['cohort']:5,}, "
        f"{asked['processes']} processes: load {took['load']:.1f} s, start {took['start']:.1f} s, "
        f"first round {took['first_round']:.2f} s, round {took['round']:.2f} s, "
        f"validation {took['validation']:.2f} s; memory, parent {peak['parent']['anonymous']} MiB "
        f"(rss {peak['parent']['rss']}), a worker process {peak['process']['anonymous']} MiB "
        f"(rss {peak['process']['rss']}), all {peak['all']} MiB"
    )


# --------------------------------------------------------------------------- the process measured


def train(setting: Setting, path: Path) -> None:
    """Load and train, telling the time of each stage as a line of JSON."""
    from nwp.corpus.load import load_corpus
    from nwp.federated.local import LocalWork
    from nwp.federated.optimizers import ServerOptimizer
    from nwp.tasks.train import train_bundle
    from nwp.tasks.train_options import TrainOptions
    from nwp.tasks.watching import Watcher

    validating: list[float] = []

    def tap(sender: str, receiver: str, name: str, payload: bytes) -> None:
        if name.endswith(".validate") and sender.startswith("server@"):
            validating.append(time.perf_counter())

    def round_done(state: Any) -> None:
        found = time.perf_counter() - validating[0] if validating else 0.0
        validating.clear()
        report = state.history[-1]
        say(f"round {state.number + 1}", seconds=report.seconds - found, validation=found)

    say("load")
    corpus = load_corpus(str(path))
    say("start")
    options = TrainOptions(
        workers=setting.workers,
        cohort=setting.cohort,
        rounds=setting.rounds,
        validate_every=setting.rounds,
        processes=setting.processes,
        vocabulary=setting.vocabulary,
        public_words=setting.vocabulary,  # a model of one size, whatever the workers may tell
        embedding=setting.embedding,
        hidden=setting.hidden,
        seed=setting.seed,
        dropout=0.0,
        local=LocalWork(batch=16, learning_rate=0.5),
        server=ServerOptimizer("fedavg", learning_rate=1.0),
    )
    if setting.validate_users:
        options = replace(options, validate_users=setting.validate_users)
    watcher = Watcher(
        enrolled=lambda simulation: say("survey"),
        started=lambda started: say("round 1"),
        round_done=round_done,
    )
    result = train_bundle(
        corpus, path.with_name("model"), options, command="scale", watcher=watcher, tap=tap
    )
    say("done", perplexity=result["valid"]["perplexity"], parameters=result["parameters"])


def say(stage: str, **more: Any) -> None:
    """Tell what begins, and when."""
    print(json.dumps({"stage": stage, "at": time.perf_counter(), **more}), flush=True)


# ------------------------------------------------------------------------------------ from outside


def measure(setting: Setting, corpus: Path) -> dict[str, Any]:
    """Run one setting and watch it: seconds by stage, peaks of memory in MiB."""
    command = [sys.executable, __file__, "child", json.dumps(asdict(setting)), str(corpus)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stages: list[dict[str, Any]] = []
    reader = Thread(target=_follow, args=(process, stages))
    reader.start()
    watched = Watched()
    while process.poll() is None:
        watched.look(process.pid, stages[-1]["stage"] if stages else "imports")
        time.sleep(_PAUSE)
    reader.join()
    if process.returncode:
        raise SystemExit(f"training failed with status {process.returncode}")
    at = {stage["stage"]: stage["at"] for stage in stages}
    rounds = [stage for stage in stages if "seconds" in stage]
    later = [r["seconds"] for r in rounds[1:]] or [rounds[0]["seconds"]]
    return {
        "setting": asdict(setting),
        "seconds": {
            "load": round(at["start"] - at["load"], 2),
            "start": round(at["round 1"] - at["start"], 2),
            "enrol": round(at["survey"] - at["start"], 2),
            "survey": round(at["round 1"] - at["survey"], 2),
            "first_round": round(rounds[0]["seconds"], 3),
            "round": round(statistics.median(later), 3),
            "validation": round(sum(r["validation"] for r in rounds), 3),
        },
        "peak_mib": watched.peaks(),
        "perplexity": stages[-1]["perplexity"],
        "parameters": stages[-1]["parameters"],
    }


def _follow(process: subprocess.Popen[str], stages: list[dict[str, Any]]) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        stages.append(json.loads(said))


class Watched:
    """The highest that was seen of a process and of those that it started, in KiB."""

    def __init__(self) -> None:
        self.parent: dict[str, int] = defaultdict(int)
        self.process: dict[str, int] = defaultdict(int)
        self.stages: dict[str, int] = defaultdict(int)
        self.all = 0

    def look(self, pid: int, stage: str) -> None:
        """Look once. Shared pages count once in `all`, which adds up each process's share of them."""
        parent = memory(pid)
        children = [memory(child) for child in descendants(pid)]
        for seen, kept in [(parent, self.parent), *((child, self.process) for child in children)]:
            for kind, kib in seen.items():
                kept[kind] = max(kept[kind], kib)
        self.stages[stage] = max(self.stages[stage], parent.get("anonymous", 0))
        self.all = max(self.all, sum(seen.get("pss", 0) for seen in [parent, *children]))

    def peaks(self) -> dict[str, Any]:
        """In MiB: by kind for the parent and the largest worker process, and for all together."""
        return {
            "parent": {kind: self.parent[kind] >> 10 for kind in _KINDS.values()},
            "process": {kind: self.process[kind] >> 10 for kind in _KINDS.values()},
            "all": self.all >> 10,
            "parent_by_stage": {stage: kib >> 10 for stage, kib in self.stages.items()},
        }


def memory(pid: int) -> dict[str, int]:
    """Kind to KiB of one process, now; nothing when it is gone."""
    found = {}
    with contextlib.suppress(OSError):
        for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = row.partition(":")
            if name in _KINDS:
                found[_KINDS[name]] = int(rest.split()[0])
    return found


def descendants(pid: int) -> Iterator[int]:
    """The processes that a process started, and those that they started."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


# ------------------------------------------------------------------------------------------- plots


def plot_all(given: argparse.Namespace) -> None:
    """One SVG a file of figures: seconds and, where users were varied, memory above them."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "nwp", "svg.fonttype": "none", "font.size": 9})
    given.out.mkdir(parents=True, exist_ok=True)
    for path in given.figures:
        found = json.loads(path.read_text())
        varied = _varied(found)
        curves = _CURVES | (_MEMORY if varied == "users" else {})
        panes = list(dict.fromkeys(unit for unit, _ in curves.values()))
        figure, axes = pyplot.subplots(
            1, len(panes), figsize=(4 * len(panes), 2.8), layout="constrained", squeeze=False
        )
        at = [one["setting"][varied] for one in found]
        for label, (unit, keys) in curves.items():
            axis = axes[0, panes.index(unit)]
            axis.plot(at, [_under(one, keys) for one in found], marker="o", label=label)
        for unit, axis in zip(panes, axes[0], strict=True):
            axis.set(xlabel=_NAMED.get(varied, varied), ylabel=unit, xscale="log")
            axis.set_ylim(0, 1.1 * axis.dataLim.y1)
            axis.set_xticks(at, [f"{value:,}" for value in at], minor=False)
            axis.minorticks_off()
            axis.grid(color="0.9")
            axis.legend(frameon=False)
        figure.savefig(given.out / f"{varied}.svg", metadata={"Date": None})
        pyplot.close(figure)


# Label to unit and where the figure stands.
_CURVES = {
    "a round": ("seconds", ("seconds", "round")),
    "a validation": ("seconds", ("seconds", "validation")),
}
_MEMORY = {
    "the parent process": ("MiB, no file behind", ("peak_mib", "parent", "anonymous")),
    "a worker process": ("MiB, no file behind", ("peak_mib", "process", "anonymous")),
}
_NAMED = {
    "cohort": "users a round",
    "words": "words a user",
    "validate_users": "users validated on",
}


def _varied(found: Sequence[Mapping[str, Any]]) -> str:
    names = [n for n in found[0]["setting"] if len({one["setting"][n] for one in found}) > 1]
    return names[0] if names else "users"


def _under(one: Any, keys: Sequence[str]) -> float:
    for key in keys:
        one = one[key]
    return float(one)


if __name__ == "__main__":
    main()
