"""What is in a corpus, in numbers: one pass over it, a user at a time."""

from __future__ import annotations

import heapq
import random
from array import array
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nwp.corpus.knowing.texts import Repeats, language_of, scripts_of, typical_words
from nwp.corpus.split import PARTS, part_of
from nwp.corpus.types import Corpus
from nwp.text.scripts import fault_of, split_by_marks
from nwp.text.tokenizer import words_of

TYPICAL = 10
"""Typical words told of a user."""
_LARGEST = 3  # users whose typical words are told when none is named
_ASKED = 2_000  # users whose language is looked at, at most
_BINS = 10


@dataclass(frozen=True)
class Profile:
    """A corpus in numbers; shares are between 0 and 1, and None where there is nothing to share.

    `words_per_user` and `messages_per_user` are quantiles. `histogram` has the users by words:
    bin i is from `edges[i]` to just under `edges[i + 1]`. `oov` is the share of words outside the
    vocabulary of a model, and, in the test parts, outside the most frequent of the train parts.
    `languages` are shares of the words, by users' main languages, most first.
    """

    users: int
    messages: int
    words: int
    distinct_words: int
    words_per_message: float
    words_per_user: Mapping[str, float]
    messages_per_user: Mapping[str, float]
    histogram: Mapping[str, list[int]]
    oov: Mapping[str, float | None]
    duplicates: Mapping[str, Any]
    languages: Mapping[str, float]
    scripts: Mapping[str, Any]
    typical: Mapping[str, list[str]]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def profile(
    corpus: Corpus,
    known: Collection[str] | None = None,
    *,
    vocabulary: int = 10_000,
    user: str = "",
    seed: int = 0,
) -> Profile:
    """Count what a corpus holds. `known` are the words of a model, `vocabulary` the size of the
    corpus's own; typical words are `user`'s, or those of the three with most words.

    Memory goes with the different words and by some bytes with messages and users, not with text.
    """
    parts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    languages: Counter[str] = Counter()
    marked: Counter[str] = Counter()
    repeats = Repeats()
    largest: list[tuple[int, int, str, Counter[str]]] = []  # a heap; the number settles draws
    sizes, lengths = array("q"), array("q")
    asked = set(
        random.Random(seed).sample(range(len(corpus.users)), min(_ASKED, len(corpus.users)))
    )
    for number, (name, messages) in enumerate(corpus.users.items()):
        mine: Counter[str] = Counter()
        for part in PARTS:
            into = parts[part]
            for message in part_of(messages, part):
                words = words_of(message)
                mine.update(words)
                into.update(words)
                repeats.add(number, words)
                if not message.isascii():
                    marked.update(split_by_marks(message))
        sizes.append(mine.total())
        lengths.append(len(messages))
        if number in asked:
            languages[language_of(messages)] += sizes[-1]
        if name == user or not user:
            heapq.heappush(largest, (sizes[-1], -number, name, mine))
            if len(largest) > _LARGEST:
                heapq.heappop(largest)
    everybody = parts["train"] + parts["valid"] + parts["test"]
    total = everybody.total()
    return Profile(
        users=len(sizes),
        messages=sum(lengths),
        words=total,
        distinct_words=len(everybody),
        words_per_message=round(total / max(sum(lengths), 1), 2),
        words_per_user=quantiles(sizes),
        messages_per_user=quantiles(lengths),
        histogram=histogram(sizes),
        oov={
            "model": None if known is None else _outside(everybody, known),
            "own_vocabulary": _outside(parts["test"], _frequent(parts["train"], vocabulary)),
        },
        duplicates=repeats.as_dict(),
        languages={n: c / max(languages.total(), 1) for n, c in languages.most_common()},
        scripts=scripts_of(everybody, marked),
        typical={
            name: typical_words(mine, everybody, TYPICAL)
            for _, _, name, mine in sorted(largest, reverse=True)
        },
    )


def quantiles(counts: array[int]) -> dict[str, float]:
    """The least, the most, the mean, and what 10, 25, 50, 75 and 90 % of the counts do not exceed."""
    names = {"min": 0, "p10": 10, "p25": 25, "median": 50, "p75": 75, "p90": 90, "max": 100}
    values = np.asarray(counts)
    found = np.percentile(values, list(names.values()))
    told = dict(zip(names, map(float, found), strict=True)) | {"mean": float(values.mean())}
    return {name: round(value, 1) for name, value in told.items()}


def histogram(counts: array[int]) -> dict[str, list[int]]:
    """Counts in about ten bins at most, between round numbers.

    Bins widen with the numbers (1, 2, 5, 10, 20, …) unless the counts lie close together. Zero has
    a bin of its own.
    """
    values = np.asarray(counts)
    positive = values[values > 0]
    most = int(values.max())
    least = int(positive.min()) if len(positive) else 1
    edges = _steps(least, most) if most < 4 * least else _round_numbers(least, most)
    if len(positive) < len(values):
        edges = [0, 1, *(edge for edge in edges if edge > 1)]
    return {"edges": edges, "counts": np.histogram(values, edges)[0].tolist()}


def _round_numbers(least: int, most: int) -> list[int]:
    """From the last round number not above `least` to the first above `most`."""
    for digits in ((1, 2, 5), (1, 3), (1,)):
        numbers = [d * 10**power for power in range(len(str(most)) + 1) for d in digits]
        start = max(i for i, n in enumerate(numbers) if n <= least)
        stop = min(i for i, n in enumerate(numbers) if n > most)
        if stop - start <= _BINS:
            break
    return numbers[start : stop + 1]


def _steps(least: int, most: int) -> list[int]:
    """Multiples of one round number around the counts."""
    rounds = (d * 10**power for power in range(len(str(most)) + 1) for d in (1, 2, 5))
    step = next(n for n in rounds if most // n - least // n < _BINS)
    return [*range(least // step * step, most + 1, step), (most // step + 1) * step]


def _frequent(counts: Counter[str], size: int) -> set[str]:
    """What would become a vocabulary: the most frequent words, none of scripts that can't be split."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {word for word, _ in [pair for pair in ranked if not fault_of(pair[0])][:size]}


def _outside(counts: Counter[str], known: Collection[str]) -> float | None:
    total = counts.total()
    return sum(c for w, c in counts.items() if w not in known) / total if total else None
