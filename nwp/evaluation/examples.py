"""Places at which a model guesses well or badly, with their words: for a corpus of the caller's own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.evaluation.scoring import Predictor, predictor_of
from nwp.model.bundle import Bundle
from nwp.model.lstm import FloatArray
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN, encode

_MESSAGES = 300  # that are looked at for examples
_GUESSES = 3


@dataclass(frozen=True)
class Example:
    """A word that `user` wrote after `context`: its probability (of all outputs), how many words were
    guessed before it, and the first guesses with theirs."""

    user: str
    context: str
    target: str
    probability: float
    rank: int
    guesses: tuple[tuple[str, float], ...]

    def as_json(self) -> dict[str, Any]:
        """As plain data; rank 1 is the first guess."""
        guesses = [{"word": word, "probability": p} for word, p in self.guesses]
        return {
            "user": self.user,
            "context": self.context,
            "target": self.target,
            "probability": self.probability,
            "rank": self.rank + 1,
            "guesses": guesses,
        }


def pick(
    corpus: Corpus, bundle: Bundle, weights: FloatArray, part: str, most: int, seed: int = 0
) -> list[Example]:
    """Up to `most` places of messages drawn by seed, at most one a message: half of them those that
    surprise the model most, half those at which it is right with a word that is rare."""
    if not most:
        return []
    drawn = random.Random(seed)
    users = [user for user in corpus.users if part_of(corpus.users[user], part)]
    some = drawn.sample(users, min(len(users), _MESSAGES))
    every = [(user, text) for user in some for text in part_of(corpus.users[user], part)]
    picked = drawn.sample(every, min(len(every), _MESSAGES))
    predictor = predictor_of(bundle.config, weights, bundle.expert)
    found = []
    for user, text in picked:
        found += _of_message(predictor, bundle, user, text)
    worst = sorted(found, key=lambda e: (e.probability, e.user, e.context))
    usual = np.array(bundle.frequencies)
    index = bundle.vocabulary.index

    def gain(example: Example) -> float:
        return example.probability / max(float(usual[index[example.target] - FIRST_OUTPUT]), 1e-9)

    right = sorted((e for e in found if e.rank == 0), key=lambda e: (-gain(e), e.user, e.context))
    return _different(worst, most - most // 2) + _different(right, most // 2)


def _different(examples: Sequence[Example], most: int) -> list[Example]:
    """The first `most` of different words."""
    kept: dict[str, Example] = {}
    for example in examples:
        kept.setdefault(example.target, example)
    return list(kept.values())[:most]


def _of_message(predictor: Predictor, bundle: Bundle, user: str, text: str) -> list[Example]:
    """One example for each known word of a message."""
    words = words_of(text)
    if not words:
        return []
    data = encode([text], bundle.vocabulary)
    first = FIRST_WORD - FIRST_OUTPUT
    found = []
    with torch.inference_mode():
        for block in predictor.blocks(data):
            p = block.probabilities
            best = p[:, first:].topk(min(_GUESSES, p.shape[1] - first))
            for i, place in enumerate(block.where.tolist()):
                target = int(data.targets[place])
                if target in (END, UNKNOWN):
                    continue
                mine = float(p[i, target - FIRST_OUTPUT])
                names = [bundle.vocabulary.word(int(w) + FIRST_WORD) for w in best.indices[i]]
                guesses = tuple(zip(names, best.values[i].tolist(), strict=True))
                rank = int((p[i, first:] > mine).sum())
                context = " ".join(words[:place])
                found.append(Example(user, context, words[place], mine, rank, guesses))
    return found
