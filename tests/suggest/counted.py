"""Models for tests that need two: words by how common they are, whatever the context, or at random."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.model.runtime import Runtime, State
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import FIRST_WORD, Vocabulary

GERMAN = Path(__file__).with_name("german.jsonl")


class Counting(Runtime):
    """How many steps the model has taken."""

    steps = 0

    def step(self, state: State, word: int, mark: int) -> State:
        self.steps += 1
        return super().step(state, word, mark)


def german() -> list[str]:
    """The messages of a small corpus in German, written for these tests."""
    return [json.loads(line)["text"] for line in GERMAN.read_text(encoding="utf-8").splitlines()]


def bundle_of(
    frequencies: Mapping[str, float],
    surfaces: Mapping[str, str] | None = None,
    *,
    end: float = 0.1,
    unknown: float = 0.1,
) -> Bundle:
    """Words with these frequencies, whatever stands before; the two others are of the whole."""
    vocabulary = Vocabulary.from_lists(list(frequencies), dict(surfaces or {}))
    total = sum(frequencies.values()) / (1 - end - unknown)
    p = (end, unknown, *(value / total for value in frequencies.values()))
    config = _config(len(frequencies), 1)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in config.shapes().items()}
    tensors["out.bias"] = np.log(np.array(p, np.float32))
    return Bundle(config, vocabulary, p, tensors, {"users": 8})


def random_bundle(words: Sequence[str], seed: int = 0, scale: float = 0.8) -> Bundle:
    """A model of these words that says anything, and is the surer of it the larger the scale."""
    config, draw = _config(len(words), 6), np.random.default_rng(seed)
    tensors = {
        name: draw.normal(0, scale, shape).astype(np.float32)
        for name, shape in config.shapes().items()
    }
    share = 1 / config.outputs
    vocabulary = Vocabulary.from_lists(words, {})
    return Bundle(config, vocabulary, (share,) * config.outputs, tensors, {"users": 3})


def german_bundle() -> Bundle:
    """The words that the German messages have twice or more, by how common they are."""
    counts = Counter(word for text in german() for word in words_of(text))
    often = {word: float(count) for word, count in counts.most_common() if count > 1}
    nouns = {"zug": "Zug", "haus": "Haus", "uhr": "Uhr", "zeit": "Zeit", "arbeit": "Arbeit"}
    return bundle_of(often, nouns)


def _config(words: int, size: int) -> ModelConfig:
    return ModelConfig(FIRST_WORD + words, embedding=size, hidden=size, projection=size)
