"""What it costs to spell a word that is not in the vocabulary, letter by letter.

A model that calls every rare word unknown has a low perplexity and tells the reader little. Bits a
character charge it for the letters, too, and so compare models whatever their vocabularies. The
letters' model is fixed by the vocabulary: how often one letter follows another in its words (each word
once), with half a count more for each of the 257 things that can follow: a byte of UTF-8, or the end of
the word (Krichevsky and Trofimov 1981, "The performance of universal encoding"). So every word has a
probability, and those of all words sum to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nwp.text.tokenizer import split_joined
from nwp.text.vocabulary import END, UNKNOWN, Encoded, Vocabulary

_EDGE = 256  # before the first byte of a word, and after its last
_MORE = 0.5
_PRIOR = 20.0


@dataclass(frozen=True)
class Letters:
    """Of each position of some messages: `sizes` letters (characters) of its word target, int64, and
    `nll` nats to spell it if it is not in the vocabulary, float64; both (positions,), 0 elsewhere."""

    sizes: npt.NDArray[np.int64]
    nll: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Speller:
    """-ln of the probability that a byte follows another; float64 (257, 257)."""

    nats: npt.NDArray[np.float64]

    @classmethod
    def of(cls, vocabulary: Vocabulary, prior: Speller | None = None) -> Speller:
        """Count which byte follows which in the vocabulary's words.

        With `prior`, `_PRIOR` counts as it says of what follows each byte take the place of the halves.
        """
        before = _MORE if prior is None else _PRIOR * np.exp(-prior.nats)
        counts = np.full((_EDGE + 1, _EDGE + 1), before)
        for word in vocabulary.words:
            path = _path(word)
            np.add.at(counts, (path[:-1], path[1:]), 1.0)
        return cls(-np.log(counts / counts.sum(1, keepdims=True)))

    def cost(self, word: str) -> float:
        """Nats to spell a word and say that it is over."""
        path = _path(word)
        return float(self.nats[path[:-1], path[1:]].sum())


def _path(word: str) -> npt.NDArray[np.int64]:
    return np.array([_EDGE, *word.encode("utf-8", "replace"), _EDGE], np.int64)


def spell(messages: Sequence[str], encoded: Encoded, speller: Speller) -> Letters:
    """The letters at the positions of `encoded`, which is what the messages were encoded to."""
    words = split_joined(messages)[0]
    at = np.flatnonzero(encoded.targets != END)
    found = Letters(np.zeros(len(encoded.targets), np.int64), np.zeros(len(encoded.targets)))
    found.sizes[at] = [len(word) for word in words]
    for i in np.flatnonzero(encoded.targets[at] == UNKNOWN).tolist():
        found.nll[at[i]] = speller.cost(words[i])
    return found
