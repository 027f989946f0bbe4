"""ARPA files written and read by the definition: slow, one n-gram at a time."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nwp.evaluation.ngrams import KneserNey
from nwp.text.vocabulary import BEGIN, END, FIRST_OUTPUT, UNKNOWN, Vocabulary

Gram = tuple[str, ...]


@dataclass
class Slow:
    """A back-off model as a table: log10 P and log10 back-off weight by n-gram."""

    order: int
    table: Mapping[Gram, tuple[float, float]] = field(default_factory=dict)

    def text(self, digits: int = 17, before: str = "") -> str:
        """The ARPA file."""
        by_order = [[g for g in self.table if len(g) == n] for n in range(1, self.order + 1)]
        lines = [before, "\\data\\"]
        lines += [f"ngram {n}={len(grams)}" for n, grams in enumerate(by_order, 1)]
        for n, grams in enumerate(by_order, 1):
            lines += ["", f"\\{n}-grams:"]
            for gram in grams:
                p, rest = self.table[gram]
                end = f"\t{rest:.{digits}g}" if rest and n < self.order else ""
                lines.append(f"{p:.{digits}g}\t{' '.join(gram)}{end}")
        return "\n".join([*lines, "", "\\end\\", ""])

    def p(self, history: Sequence[str], word: str) -> float:
        """P(word | history) by the definition of the format."""
        gram = (
            (*history[max(0, len(history) - self.order + 1) :], word) if self.order > 1 else (word,)
        )
        if gram in self.table:
            return float(10 ** self.table[gram][0])
        if len(gram) == 1:
            return 0.0
        rest = 10 ** self.table.get(gram[:-1], (0.0, 0.0))[1]
        return float(rest * self.p(gram[1:-1], word))

    def over(self, outputs: Sequence[str], words: Sequence[str]) -> list[float]:
        """P of all outputs after the words of a message, divided by its sum."""
        history = ["<s>"] * (("<s>",) in self.table) + list(words)
        found = [self.p(history, word) for word in outputs]
        return [p / sum(found) for p in found]


def drawn(seed: int, order: int, share: float = 0.5) -> Slow:
    """Random n-grams over few words, some of which no tokenizer makes; contexts may be missing."""
    rng = random.Random(seed)
    words = ["<s>", "</s>", "<unk>", "a", "it's", "über", "7", ",", "The", "<num>"]
    rng.shuffle(words)
    model = Slow(order, table := {})
    for n in range(1, order + 1):
        for gram in itertools.product(words, repeat=n):
            if n == 1 or rng.random() < share / n:
                table[gram] = (-rng.uniform(0.1, 3), rng.choice([0.0, -1.5, -0.3, 0.2]))
    return model


def kneser_ney(model: KneserNey, vocabulary: Vocabulary) -> Slow:
    """The same distributions as back-off n-grams; a message has one begin in an ARPA file."""
    names = {BEGIN: "<s>", END: "</s>", UNKNOWN: "<unk>"}
    names |= dict(enumerate(vocabulary.words, UNKNOWN + 1))
    size = len(vocabulary)
    table: dict[Gram, tuple[float, float]] = {("<s>",): (-99.0, 0.0)}

    def follow(level: object, key: int) -> tuple[list[int], float]:
        """Which words follow a context, and how much is left for all others."""
        contexts = level.contexts.tolist()  # type: ignore[attr-defined]
        if key not in contexts:
            return [], 1.0
        i = contexts.index(key)
        words = level.words[level.starts[i] : level.starts[i + 1]]  # type: ignore[attr-defined]
        return (words + FIRST_OUTPUT).tolist(), float(level.rest[i])  # type: ignore[attr-defined]

    for w in range(FIRST_OUTPUT, size):
        rest = follow(model.bigrams, w)[1]
        table[(names[w],)] = (math.log10(model.lowest[w - FIRST_OUTPUT]), math.log10(rest))
    for v in [BEGIN, *range(FIRST_OUTPUT, size)]:
        words, rest = follow(model.bigrams, v)
        first, more = follow(model.trigrams, BEGIN * size + BEGIN) if v == BEGIN else ([], 1.0)
        p = model.distribution([]) if v == BEGIN else bigram(model, v)
        if v == BEGIN:
            table[("<s>",)] = (-99.0, math.log10(rest * more))
        for w in sorted({*words, *first}):
            left = follow(model.trigrams, v * size + w)[1]
            table[names[v], names[w]] = (math.log10(p[w - FIRST_OUTPUT]), math.log10(left))
    for key in model.trigrams.contexts.tolist():
        u, v = divmod(key, size)
        if v == BEGIN:
            continue
        p = model.distribution([v] if u == BEGIN else [u, v])
        for w in follow(model.trigrams, key)[0]:
            table[names[u], names[v], names[w]] = (math.log10(p[w - FIRST_OUTPUT]), 0.0)
    return Slow(3, table)


def bigram(model: KneserNey, v: int) -> Sequence[float]:
    """P(w | v) of every output: the model's distribution after a pair that it has never seen."""
    p = model.lowest[None].copy()
    import numpy as np

    model.bigrams.over(p, np.array([v]))
    found: Sequence[float] = p[0].tolist()
    return found


@pytest.fixture
def draw() -> Callable[..., Slow]:
    return drawn


@pytest.fixture
def as_arpa() -> Callable[[KneserNey, Vocabulary], Slow]:
    return kneser_ney


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a text to model.arpa."""

    def write(text: str) -> Path:
        path = tmp_path / "model.arpa"
        path.write_text(text, encoding="utf-8")
        return path

    return write
