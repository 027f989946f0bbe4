"""A corpus larger than people expect a laptop to take: what loading, encoding and training cost.

    python benchmarks/corpus_scale.py --users 100000 --words 1000

writes invented messages of many users (interleaved, as a busy chat is: the order that costs most to
put right), then runs each stage as a process of its own and prints, as one JSON object, words a
second and the peak of its memory. `--speed` measures the tokenizer and the encoder alone instead,
beside `str.split`, on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nwp.text.building import public_order

WORDS_A_MESSAGE = 10
_LOAD = "from nwp.corpus.load import load_corpus; corpus = load_corpus({path!r})"
_ENCODE = """
from nwp.text.building import public_order
from nwp.text.encoded_users import EncodedUsers
from nwp.text.vocabulary import Vocabulary
from nwp.corpus.split import ByPlace, Part
began = time.perf_counter()
words = sorted({{w.lower(): None for w in public_order()[:10_000]}})
texts = ByPlace(Part(corpus.users, "train"), list(corpus.users))
for user in EncodedUsers(texts, Vocabulary.from_lists(words, {{}})):
    pass
"""
_REPORT = """
import resource, json, sys
print(json.dumps({{"seconds": time.perf_counter() - began,
                   "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}}))
"""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=1_000, help="of each user")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the corpus goes (else it is deleted)")
    parser.add_argument("--speed", type=Path, metavar="FILE.jsonl.gz", help="measure speed alone")
    given = parser.parse_args()
    if given.speed:
        print(json.dumps(speed(given.speed), indent=1))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        print(json.dumps(scale(folder, given.users, given.words, given.rounds), indent=1))


def scale(folder: Path, users: int, words: int, rounds: int) -> dict[str, Any]:
    """Write the corpus if it is not there, then load, encode and train it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scale-{users}-{words}.jsonl"
    if not path.exists():
        with path.open("w", encoding="utf-8") as file:
            file.writelines(invented(users, words))
    total = users * words
    load = _LOAD.format(path=str(path))
    found = {"users": users, "words": total, "bytes": path.stat().st_size}
    stages = {
        "load": (
            total,
            ["-c", f"import time; began = time.perf_counter(); {load}\n{_REPORT.format()}"],
        ),
        "encode": (
            int(0.8 * total),
            ["-c", f"import time; {load}\n{_ENCODE.format()}\n{_REPORT.format()}"],
        ),
    }
    for name, (count, command) in stages.items():
        _say(f"{name} …")
        said = json.loads(subprocess.check_output([sys.executable, *command]))
        found[name] = {**_rounded(said), "words_per_second": round(count / said["seconds"])}
    _say("train …")
    found["train"] = _train(path, folder, rounds)
    return found


def _train(path: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """`nwp train` with a small model: what is measured is the handling of the text."""
    sizes = "--embedding 16 --hidden 16 --vocabulary 2000 --public-words 0 --cohort 100"
    run = f"--workers 8 --rounds {rounds} --validate-every {rounds} --processes 1 --json --force"
    command = ["-m", "nwp", "train", str(path), "--out", str(folder / "model")]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command, *sizes.split(), *run.split()], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"training failed with status {status}")
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "peak_mib": usage.ru_maxrss >> 10,
        "rounds": said["rounds"],
        "valid_perplexity": round(said["valid"]["perplexity"], 1),
    }


def invented(users: int, words: int) -> Iterator[str]:
    """JSON lines: message by message, everybody in turn; words by Zipf's law from the public list."""
    rng, known = np.random.default_rng(0), np.array(public_order())
    chances = 1 / np.arange(1, len(known) + 1)
    chances /= chances.sum()
    block = 10_000
    for _ in range(max(1, words // WORDS_A_MESSAGE)):
        for start in range(0, users, block):
            many = min(block, users - start)
            drawn = known[rng.choice(len(known), (many, WORDS_A_MESSAGE), p=chances)]
            for user, row in enumerate(drawn.tolist(), start):
                yield f'{{"user": "user-{user:06}", "text": {json.dumps(" ".join(row))}}}\n'


def speed(path: Path) -> dict[str, Any]:
    """Words a second on one core, best of five: the encoder beside what it is made of."""
    from nwp.corpus.load import load_corpus
    from nwp.text.building import survey
    from nwp.text.encoded_users import EncodedUsers
    from nwp.text.tokenizer import tokenize, words_of
    from nwp.text.vocabulary import Vocabulary

    users = dict(load_corpus(str(path)).users)
    listed = sorted({w.lower(): None for w in public_order()[:10_000]})
    vocabulary = Vocabulary.from_lists(listed, {})
    words = sum(len(words_of(text)) for texts in users.values() for text in texts)

    def each(function: Callable[[str], object]) -> Callable[[], object]:
        return lambda: [function(text) for texts in users.values() for text in texts]

    stages: dict[str, Callable[[], object]] = {
        "str.split": each(str.split),
        "words_of (the rule alone)": each(words_of),
        "tokenize (words and marks)": each(tokenize),
        "encode (ids on disk)": lambda: list(EncodedUsers([*users.values()], vocabulary)),
        "survey (counts for the vocabulary)": lambda: survey(users, 3),
    }
    best = dict.fromkeys(stages, float("inf"))
    for _ in range(5):  # in turn, so that a slow moment of the machine hits all alike
        for name, run in stages.items():
            began = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - began)
    return {"words": words, **{name: round(words / seconds) for name, seconds in best.items()}}


def _rounded(said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "seconds": round(said["seconds"], 1)}


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
