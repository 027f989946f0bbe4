"""What two languages at once cost where one is written, and bring where both are; and what a key takes.

    python benchmarks/languages.py
    python benchmarks/languages.py --model mine --beside theirs --corpus CORPUS

The first language is the sample corpus's test part with the model that ships. The second is a small
corpus in German that the tests bring: every fourth message is kept for testing, and a model is trained
on the others, in seconds; `--beside` and `--corpus` put another bundle, and the test part of its corpus, in
its place. Each model alone and the mixture are scored over the words of both vocabularies, as
`nwp.suggest.united` has each model say of every word how probable it is: perplexity over targets that
either knows; top-1 and top-3 over all words, where one that neither knows is wrong.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.model.bundle import default_bundle, load_bundle
from nwp.suggest.languages import Languages
from nwp.suggest.suggester import Suggester
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, UNKNOWN

GERMAN = Path(__file__).parents[1] / "tests" / "suggest" / "german.jsonl"
FOURTH = 4
# Words enter when one user wrote them, for the users are made up.
TRAINING = (
    *("--workers", "1", "--k", "1", "--public-words", "0", "--rounds", "60"),
    *("--embedding", "32", "--hidden", "48", "--dropout", "0.3", "--processes", "1", "--no-record"),
)
PLACES = (1, 3)


class Count:
    """Sums over words of how well some distributions did."""

    def __init__(self) -> None:
        self.nats, self.known, self.words = 0.0, 0, 0
        self.hits = dict.fromkeys(PLACES, 0)

    def add(self, p: np.ndarray, target: int) -> None:
        """Count a word: `p` (outputs,) of what was expected, and the output it was."""
        self.words += 1
        if target == UNKNOWN - FIRST_OUTPUT:
            return
        self.known += 1
        self.nats -= float(np.log(p[target]))
        better = int((p[FIRST_WORD - FIRST_OUTPUT :] > p[target]).sum())
        for place in PLACES:
            self.hits[place] += better < place

    def figures(self) -> dict[str, float]:
        """Perplexity, and rates as fractions."""
        rates = {f"top{place}": round(n / self.words, 4) for place, n in self.hits.items()}
        return {"perplexity": round(float(np.exp(self.nats / self.known)), 1), **rates}


def main() -> None:
    """Measure and print one JSON object; milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=default_bundle())
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--corpus", help="of --beside; its test part is used")
    parser.add_argument("--messages", type=int, default=160, help="of each language at most")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        beside = given.beside or trained(Path(folder))
        bundles = load_bundle(given.model), load_bundle(beside)
    first, second = (Suggester.from_bundle(bundle) for bundle in bundles)
    english = spaced(tests("sample"), given.messages)
    german = spaced(tests(given.corpus) if given.corpus else kept(), given.messages)
    pairs = list(zip(english, german, strict=False))
    texts = {
        "first": english,
        "second": german,
        "message by message": [text for pair in pairs for text in pair],
        "within messages": [f"{a} {b}" for a, b in pairs] + [f"{b} {a}" for a, b in pairs],
    }
    found = {
        "parameters": [bundle.config.parameters for bundle in bundles],
        "words": [len(bundle.vocabulary.words) for bundle in bundles],
        "texts": {name: scored(first, second, of) for name, of in texts.items()},
        "key_ms": {
            "first": keys(first, english),
            "second": keys(second, german),
            "both": keys(Languages(first, second), texts["message by message"]),
        },
    }
    print(json.dumps(found, indent=1))


def scored(first: Suggester, second: Suggester, texts: Iterable[str]) -> Mapping[str, object]:
    """Each alone, both with the language carried from message to message, and each message on its own."""
    carried, alone = Languages(first, second), Languages(first, second)
    counts = {name: Count() for name in ("first", "second", "both", "both, each on its own")}
    sides = carried.united.sides
    messages = 0
    for text in texts:
        messages += 1
        spreads = [
            [side.spread(log_p) for log_p in one.read_through(text)]
            for side, one in zip(sides, (first, second), strict=True)
        ]
        mixed = [[np.exp(p.astype(float)) for p in m.read_through(text)] for m in (carried, alone)]
        for name, given in zip(counts, (*spreads, *mixed), strict=True):
            for word, p in zip(words_of(text), given, strict=False):
                counts[name].add(p, carried.vocabulary.target(word) - FIRST_OUTPUT)
        carried.learn(text)
    figures = {name: count.figures() for name, count in counts.items()}
    return {"messages": messages, "words": counts["both"].words, **figures}


def keys(suggester: Suggester | Languages, texts: Sequence[str]) -> dict[str, float]:
    """Milliseconds of a key, each text typed from an empty line as at the prompt."""
    times = []
    for text in texts:
        for typed in range(len(text) + 1):
            began = time.perf_counter()
            suggester.suggest(text[:typed], 3)
            times.append(time.perf_counter() - began)
    cuts = statistics.quantiles(times, n=100)
    return {"keys": len(times), "p50": round(1000 * cuts[49], 3), "p99": round(1000 * cuts[98], 3)}


def trained(folder: Path) -> Path:
    """A bundle of the German messages that are not kept for testing."""
    lines = GERMAN.read_text(encoding="utf-8").splitlines(keepends=True)
    corpus = folder / "german.jsonl"
    rest = (line for i, line in enumerate(lines) if i % FOURTH)
    corpus.write_text("".join(rest), encoding="utf-8")
    out = folder / "german"
    command = [sys.executable, "-m", "nwp", "train", str(corpus), "--out", str(out), *TRAINING]
    subprocess.run(command, check=True, capture_output=True)
    return out


def kept() -> list[str]:
    """The German messages that are kept for testing."""
    lines = GERMAN.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines[::FOURTH]]


def tests(corpus: str) -> list[str]:
    """The test parts of all users."""
    users = load_corpus(corpus).users.values()
    return [text for messages in users for text in part_of(messages, "test") if words_of(text)]


def spaced(texts: Sequence[str], most: int) -> list[str]:
    """So many texts at most, evenly spaced."""
    return [*texts][:: -(-len(texts) // most)]


if __name__ == "__main__":
    main()
