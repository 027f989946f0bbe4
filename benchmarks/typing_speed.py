"""How long a key waits for its suggestions: in the engine, and for a whole process.

    python benchmarks/typing_speed.py
    python benchmarks/typing_speed.py --model mine --messages 100

Messages of the sample corpus are typed key by key into one suggester, as the prompt does; each key's
time is measured. Then whole processes of `nwp suggest` are started, and beside them Python's own start,
and that of Python with numpy. Modules are compiled by then, as they are where nwp is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nwp.model.threads import one_thread

one_thread()  # as the commands do, before anything imports numpy
if TYPE_CHECKING:
    from nwp.suggest.suggester import Suggester


def main() -> None:
    """Measure and print one JSON object; milliseconds and megabytes."""
    from nwp.corpus.load import load_corpus
    from nwp.corpus.split import part_of
    from nwp.model.bundle import default_bundle, load_bundle
    from nwp.suggest.suggester import Suggester

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=default_bundle())
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--starts", type=int, default=7)
    given = parser.parse_args()
    bundle = load_bundle(given.model)
    began = time.perf_counter()
    suggester = Suggester.from_bundle(bundle)
    made = time.perf_counter() - began
    corpus = load_corpus("sample")
    texts = [part_of(messages, "test")[0] for messages in corpus.users.values()]
    times = keys(suggester, (texts * (1 + given.messages // len(texts)))[: given.messages])
    cuts = statistics.quantiles(times, n=100)
    suggest = ["-m", "nwp", "suggest", "see you ", "--model", str(given.model)]
    programs = {"python": ["-c", "pass"], "numpy": ["-c", "import numpy"], "process": suggest}
    started(suggest)  # which compiles what it imports, if nothing has
    starts = {name: [] for name in programs}
    for _ in range(given.starts):
        for name, words in programs.items():
            starts[name].append(started(words))
    found = {
        "parameters": bundle.config.parameters,
        "keys": len(times),
        "key_ms": {name: round(1000 * cuts[p - 1], 3) for name, p in (("p50", 50), ("p99", 99))},
        "worst_ms": round(1000 * max(times), 2),
        "suggester_made_ms": round(1000 * made, 1),
        **{f"{n}_ms": round(1000 * statistics.median(times)) for n, times in starts.items()},
        # Of this process, which has read a corpus besides.
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(found))


def keys(suggester: Suggester, texts: list[str]) -> list[float]:
    """Seconds of every key of all texts, each text typed from an empty line."""
    times = []
    for text in texts:
        for typed in range(len(text) + 1):
            began = time.perf_counter()
            suggester.suggest(text[:typed], 3)
            times.append(time.perf_counter() - began)
    return times


def started(words: list[str]) -> float:
    """Seconds of a whole process of Python's."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
