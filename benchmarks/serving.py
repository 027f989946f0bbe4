"""How long a key waits for `nwp serve`: one client, or several, typing key by key over loopback.

python benchmarks/serving.py --typists 1 4 --messages 12

Each typist types messages of one user of the sample corpus, on a connection that stays open, and asks again
as soon as there is an answer. Prints JSON: milliseconds a key over HTTP (the median, the 99th percentile),
those of them computing, seconds until a new server answers, and its memory in MB.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

CORPUS = Path(__file__).parent.parent / "corpora" / "sample.jsonl"


def main() -> None:
    """Measure, and print what was found."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--typists", type=int, nargs="+", default=[1, 4])
    options.add_argument("--messages", type=int, default=12, help="of each typist")
    given = options.parse_args()
    for typists in given.typists:
        print(json.dumps(measure(typists, given.messages)), flush=True)


def measure(typists: int, messages: int) -> dict[str, float]:
    """A new server, and so many clients at once."""
    texts = defaultdict(list)
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts[row["user"]].append(row["text"])
    command = [sys.executable, "-m", "nwp", "serve", "--port", "0", "--json"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout
            address = urlsplit(json.loads(child.stdout.readline())["url"]).netloc
            ask(http.client.HTTPConnection(address), "", "first")
            cold = time.perf_counter() - start
            found: list[tuple[float, float]] = []
            threads = [
                threading.Thread(target=type_all, args=(address, user, mine[:messages], found))
                for user, mine in list(texts.items())[:typists]
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
        finally:
            child.terminate()
    memory = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM"))
    waits, computing = zip(*found, strict=True)
    return {
        "typists": typists,
        "keys": len(found),
        "p50_ms": round(statistics.median(waits), 2),
        "p99_ms": round(statistics.quantiles(waits, n=100)[98], 2),
        "computing_p50_ms": round(statistics.median(computing), 2),
        "computing_p99_ms": round(statistics.quantiles(computing, n=100)[98], 2),
        "cold_start_s": round(cold, 2),
        "memory_mb": round(memory / 1024),
    }


def type_all(address: str, user: str, texts: list[str], found: list[tuple[float, float]]) -> None:
    """Type messages key by key; enter (milliseconds over HTTP, of computing) a key."""
    connection = http.client.HTTPConnection(address)
    for text in texts:
        for end in range(len(text) + 1):
            start = time.perf_counter()
            computing = ask(connection, text[:end], user)
            found.append((1000 * (time.perf_counter() - start), computing))


def ask(connection: http.client.HTTPConnection, text: str, session: str) -> float:
    """One request; the milliseconds that the server computed."""
    body = json.dumps({"text": text, "session": session})
    connection.request("POST", "/v1/suggest", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = json.load(answer)
    assert answer.status == 200, content
    return float(content["milliseconds"])


if __name__ == "__main__":
    main()
