"""What forgiving a slip brings where a finger slipped, and what it costs where none did.

    python benchmarks/slips.py
    python benchmarks/slips.py CORPUS --model DIR --part test --share 0.2 --every 4

The messages of a part are typed key by key, each word behind the text as it was written. In a share of
the words of the vocabulary (three letters or more) one slip is made, drawn by the channel of
`nwp.suggest.slips`: `found` is how many of these are among three suggestions before they are complete,
`found_after` how many of those that were not there before the slip, and `found_whole` how many of these
when all of the word is typed, too. Then every word is typed without
any slip: keystroke savings as `nwp evaluate` counts them, a choice being one key that brings the space.
All of it by a suggester that forgives slips, by one that does not (`exact`), and by one that forgives
but knows no names and numbers from the text so far (`forgetful`).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.model.bundle import default_bundle, load_bundle
from nwp.suggest.recent import Recent
from nwp.suggest.slips import (
    APOSTROPHE,
    DOUBLED,
    ENOUGH,
    EXTRA,
    FIRST,
    MISSING,
    NEAR,
    NEIGHBOUR,
    SWAPPED,
)
from nwp.suggest.suggester import Suggester
from nwp.text.tokenizer import normalize

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Forgetful(Suggester):
    """Knows no words from the text so far."""

    def recent(self, text: str) -> Recent:
        """Those of no text."""
        return super().recent("")


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", default="sample", help="a file, folder or known name")
    parser.add_argument("--model", type=Path, default=default_bundle())
    parser.add_argument("--part", choices=("valid", "test"), default="valid")
    parser.add_argument("--share", type=float, default=0.2, help="of words, with a slip")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th message")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.perf_counter()
    bundle = load_bundle(given.model)
    suggesters = {
        "exact": Suggester.from_bundle(bundle, exact=True),
        "forgiving": Suggester.from_bundle(bundle),
        "forgetful": Forgetful.from_bundle(bundle),
    }
    corpus = load_corpus(given.corpus)
    texts = [t for user in sorted(corpus.users) for t in part_of(corpus.users[user], given.part)]
    draw = random.Random(given.seed)
    totals: Counter[str] = Counter()
    found = {name: Counter[str]() for name in suggesters}
    times: dict[str, list[float]] = {name: [] for name in suggesters}
    for before, word in words_of(texts[:: given.every]):
        totals["words"] += 1
        totals["characters"] += len(word) + 1
        slip = None
        known = normalize(word) in bundle.vocabulary.index
        if known and len(word) >= ENOUGH and draw.random() < given.share:
            slip = drawn(word, draw)
        if slip is not None:
            totals["slips"] += 1
            totals[slip[0]] += 1
        for name, suggester in suggesters.items():
            seconds, mine = times[name], found[name]
            at = first_key(suggester, before, word, word, seconds)
            mine["keys"] += len(word) + 1 if at is None else at + 1
            if slip is None:
                continue
            kind, place, typed = slip
            if at is not None and at <= place:  # there before the slip
                mine["found"] += 1
                mine[kind] += 1
                continue
            mine["left"] += 1
            at = first_key(suggester, before, typed + " ", word, seconds, place + 1)
            mine["whole"] += at is not None
            if at is not None and at < len(typed):
                mine["found"] += 1
                mine["after"] += 1
                mine[kind] += 1
    told = {
        name: {
            "found": share(mine["found"], totals["slips"]),
            "found_after": share(mine["after"], mine["left"]),
            "found_whole": share(mine["whole"], mine["left"]),
            "found_of": {kind: share(mine[kind], totals[kind]) for kind in KINDS},
            "keystroke_savings": round(1 - mine["keys"] / totals["characters"], 4),
            "key_ms": {
                label: round(1000 * statistics.quantiles(times[name], n=100)[p - 1], 3)
                for label, p in (("p50", 50), ("p99", 99))
            },
        }
        for name, mine in found.items()
    }
    kinds = {kind: totals[kind] for kind in KINDS}
    shown = {"words": totals["words"], "slips": totals["slips"], "kinds": kinds} | told
    print(json.dumps(shown | {"seconds": round(time.perf_counter() - began, 1)}, indent=1))


KINDS = ("neighbour", "swapped", "missing", "extra", "apostrophe")


def words_of(texts: list[str]) -> Iterator[tuple[str, str]]:
    """Each word as it was written, and the text before it."""
    for text in texts:
        for match in _WORD.finditer(text):
            yield text[: match.start()], match[0]


def first_key(
    suggester: Suggester, before: str, typed: str, word: str, seconds: list[float], start: int = 0
) -> int | None:
    """How many letters are typed, from `start` to all but the last, when the word is first among three
    suggestions; None for never."""
    for i in range(start, len(typed)):
        began = time.perf_counter()
        shown = suggester.suggest(before + typed[:i])
        seconds.append(time.perf_counter() - began)
        if any(normalize(one.word) == normalize(word) for one in shown):
            return i
    return None


def drawn(word: str, draw: random.Random) -> tuple[str, int, str] | None:
    """One slip of a word by the channel: its kind, the place of its letter, and what is typed."""
    slips = [one for one in slips_of(normalize(word)) if not normalize(word).startswith(one[2])]
    if not slips:
        return None
    kind, place, typed, _ = draw.choices(slips, [one[3] for one in slips])[0]
    return kind, place, typed


def slips_of(word: str) -> Iterator[tuple[str, int, str, float]]:
    """All slips of a word: kind, place, what is typed, and the chance of it."""
    for i, letter in enumerate(word):
        head, rest, scale = word[:i], word[i + 1 :], FIRST if i == 0 else 1.0
        if letter == "'":
            yield "apostrophe", i, head + rest, APOSTROPHE
            continue
        near = NEAR.get(letter, "")
        yield "missing", i, head + rest, scale * MISSING
        yield "extra", i, head + letter + letter + rest, DOUBLED
        for other in near:
            yield "neighbour", i, head + other + rest, scale * NEIGHBOUR / len(near)
            yield "extra", i, head + other + letter + rest, scale * EXTRA / len(near)
        if rest and rest[0] not in (letter, "'"):
            yield "swapped", i, head + rest[0] + letter + rest[1:], scale * SWAPPED


def share(part: int, whole: int) -> float | None:
    """Part of the whole; None of nothing."""
    return round(part / whole, 4) if whole else None


if __name__ == "__main__":
    main()
