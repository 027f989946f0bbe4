"""What each choice of the keyboard's recipe brings: the same run with one thing changed at a time.

    python benchmarks/choices.py ubuntu_irc.jsonl.gz --first ami.jsonl.gz

Every row is an `nwp train` from nothing, on about as many words, and its figures on the valid parts of 300
users; `--show` prints the commands instead. The row that begins on other people's text (--first) has the
same vocabulary and trains there for as many rounds before; one of twice the rounds stands beside it. Rows
are run `--at-once` at a time, in one process each; one that is in --out already is not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Options = Mapping[str, str | int | float | None]

ROUNDS = 600
RECIPE: Options = {
    "workers": 1, "cohort": 16, "messages": 4, "sampling": "size", "weights": "words",
    "clip-norm": 0, "learning-rate": 4, "epsilon": 1e-5, "server-learning-rate": 0.006,
    "server-schedule": "cosine", "final-share": 0.05, "averaging": 0.99, "public-words": 10000,
    "embedding": 192, "hidden": 512, "dropout": 0.3, "precision": "bf16", "storage": "bf16",
    "validate-users": 300, "checkpoint-every": 100, "processes": 1, "seed": 1,
}  # fmt: skip
ONCE = ("public-words", "embedding", "hidden", "layers", "untied")  # what --from brings along
# What differs from the recipe; None leaves an option out, and "" is one without a value. Of `rounds` it
# tells how many times the others'.
CHOICES: Mapping[str, Options] = {
    "the recipe": {},
    "256 units, embedding 128": {"hidden": 256, "embedding": 128},
    "a warm-up of 50 rounds": {"warmup": 50},
    "two layers and the warm-up": {"layers": 2, "warmup": 50},
    "not tied": {"untied": ""},
    "no dropout": {"dropout": 0},
    "constant server rate": {"server-schedule": None, "final-share": None},
    "no mean over the rounds": {"averaging": None},
    "FedAvgM": {"server-optimizer": "fedavgm", "epsilon": None, "server-learning-rate": 0.3},
    "64 users, one message each": {"cohort": 64, "messages": 1},
    "8 users, all their messages": {
        "rounds": 0.18, "cohort": 8, "messages": None, "clip-norm": 0.5, "epsilon": None,
        "sampling": None, "server-learning-rate": 0.03,
    },
    "twice the rounds": {"rounds": 2},
}  # fmt: skip


def main() -> None:
    """Train what is not there yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="a file, folder or known name")
    parser.add_argument("--first", help="text of others to begin on")
    parser.add_argument("--out", type=Path, default=Path("choices"))
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin so")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="print the commands")
    given = parser.parse_args()
    rows = dict(commands(given.corpus, given.first, given.rounds, given.out))
    if given.only:
        rows = {name: row for name, row in rows.items() if name.startswith(tuple(given.only))}
    if given.show:
        for name, chain in rows.items():
            print(f"# {name}", *(" ".join(command) for command in chain), sep="\n")
        return
    with ThreadPoolExecutor(given.at_once) as pool:
        made = pool.map(lambda chain: [run(command) for command in chain][-1], rows.values())
        print("| | perplexity | top-1 | top-3 | minutes |\n|---|---|---|---|---|")
        for name, found in zip(rows, made, strict=True):
            valid = found["valid"]
            print(
                f"| {name} | {valid['perplexity']:.1f} | {valid['top1']:.1%} | {valid['top3']:.1%} "
                f"| {found['seconds'] / 60:.1f} |",
                flush=True,
            )


def commands(
    corpus: str, first: str | None, rounds: int, out: Path
) -> Iterator[tuple[str, list[list[str]]]]:
    """Each row's name and the commands that make it, one after the other."""
    for name, changed in CHOICES.items():
        yield name, [command(corpus, {**RECIPE, **changed}, rounds, out / _slug(name))]
    if first:
        begun, met, last = (out / name for name in ("begun", "met", "begun-on-others"))
        # What goes on needs a warm-up: nothing is known yet of the server's second moments.
        later = {**{n: v for n, v in RECIPE.items() if n not in ONCE}, "warmup": 50}
        yield (
            "begun on others' text",
            [
                command(corpus, RECIPE, 1, begun),  # for its vocabulary
                command(first, {**later, "from": str(begun)}, rounds, met),
                command(corpus, {**later, "from": str(met)}, rounds, last),
            ],
        )


def command(corpus: str, options: Options, rounds: int, out: Path) -> list[str]:
    """One `nwp train`."""
    times = float(options.get("rounds") or 1)
    words = ["nwp", "train", corpus, "--out", str(out), "--rounds", str(round(rounds * times))]
    for name, value in {**options, "validate-every": round(rounds * times)}.items():
        if value is not None and name != "rounds":
            words += [f"--{name}", *([str(value)] if value != "" else [])]
    return words


def run(words: list[str]) -> dict[str, Any]:
    """What the command prints with --json; it goes on where it was stopped."""
    out = Path(words[words.index("--out") + 1])
    resumed = ["--resume"] if (out / "run").exists() else []
    options = [*words[1:], *resumed, "--no-record", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", *words[:1], *options],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stderr or done.stdout}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _slug(name: str) -> str:
    return "-".join(part.strip(",") for part in name.split())


if __name__ == "__main__":
    main()
