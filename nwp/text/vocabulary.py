"""The words a model knows, their ids, and how each is written.

Ids 0 to 4 are not words. The first three only ever stand in the input: padding, the begin of a
message, and a number that is not in the vocabulary. From `FIRST_OUTPUT` on an id can be predicted:
the end of a message, the unknown word, then the words.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nwp.text.tokenizer import Tokens, split_joined

PAD, BEGIN, NUMBER, END, UNKNOWN, FIRST_WORD = range(6)
FIRST_OUTPUT = END

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Vocabulary:
    """Words (lower-cased, unique) in order of their ids, and the form each is shown in."""

    words: tuple[str, ...]
    surfaces: tuple[str, ...]

    @functools.cached_property
    def index(self) -> dict[str, int]:
        """Word to id."""
        return {word: i for i, word in enumerate(self.words, FIRST_WORD)}

    def __len__(self) -> int:
        """Number of ids, the five that are no words included."""
        return FIRST_WORD + len(self.words)

    def target(self, word: str) -> int:
        """The id to predict for a word."""
        return self.index.get(word, UNKNOWN)

    def input(self, word: str) -> int:
        """The id to read for a word; numbers that are no words of the vocabulary share one."""
        found = self.index.get(word)
        return found if found is not None else (NUMBER if word[0].isdigit() else UNKNOWN)

    def word(self, identity: int) -> str:
        """The word of an id (ValueError for one that is no word)."""
        if identity < FIRST_WORD:
            raise ValueError(f"id {identity} is no word")
        return self.words[identity - FIRST_WORD]

    def surface(self, identity: int) -> str:
        """How the word of an id is written inside a sentence ("i'm" as "I'm")."""
        return self.surfaces[identity - FIRST_WORD]

    def as_dict(self) -> dict[str, Any]:
        """As plain data: the words, and a surface where it differs from its word."""
        shown = {w: s for w, s in zip(self.words, self.surfaces, strict=True) if w != s}
        return {"words": list(self.words), "surfaces": shown}

    @classmethod
    def from_lists(cls, words: Sequence[str], surfaces: dict[str, str]) -> Vocabulary:
        """From words in order and the surfaces that differ from their word.

        ValueError when words repeat, are empty or a surface is not its word's.
        """
        if not all(isinstance(w, str) and w for w in words) or len(set(words)) != len(words):
            raise ValueError("words must be different non-empty strings")
        if any(str(s).lower() != w for w, s in surfaces.items()):
            raise ValueError("a surface must be its word with other capitals")
        return cls(tuple(words), tuple(str(surfaces.get(w, w)) for w in words))


@dataclass(frozen=True)
class Encoded:
    """Messages as ids, laid end to end: message i is positions `offsets[i]:offsets[i + 1]`.

    A message of n words has n + 1 positions. Position j reads `inputs[j]` (the word before, or
    BEGIN) and `marks[j]` (what stands after that word), and predicts `targets[j]` (a word, UNKNOWN
    or, last, END). `addresses[j]` tells that the target is a piece of a URL or e-mail address.
    """

    inputs: Ids
    marks: Ids
    targets: Ids
    addresses: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]

    @property
    def messages(self) -> int:
        """How many messages."""
        return len(self.offsets) - 1

    @property
    def words(self) -> int:
        """How many words: the positions less one end a message."""
        return len(self.targets) - self.messages

    def within(self, most: int) -> int:
        """How many words, of a message `most` at most."""
        return int(np.minimum(np.diff(self.offsets) - 1, most).sum())

    def some(self, rows: npt.NDArray[np.int64]) -> Encoded:
        """The messages of these numbers, int64 (n,), in the order given."""
        starts, lengths = self.offsets[rows], np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        at = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Encoded(
            self.inputs[at], self.marks[at], self.targets[at], self.addresses[at], offsets
        )


def encode(messages: Sequence[str], vocabulary: Vocabulary) -> Encoded:
    """Encode messages; those without any word are left out, for they have nothing to predict."""
    words, packed, addresses = split_joined(messages)
    gaps = np.array(packed, np.int32)
    border = gaps >> 12 > 0
    border[[0, -1]] = True
    targets = np.array([vocabulary.index.get(word, UNKNOWN) for word in words], np.int32)
    inputs = targets.copy()
    for i in np.flatnonzero(targets == UNKNOWN).tolist():
        inputs[i] = vocabulary.input(words[i])
    # Word i is predicted at position i, moved on by one end for each message before its own.
    ends = np.cumsum(border[:-1]) - 1
    at = np.arange(len(words)) + ends
    last = np.flatnonzero(border)[1:]  # the gaps at which messages end, and the words before them
    end_at = last + np.arange(len(last))
    size = len(words) + len(last) if words else 0
    found = Encoded(
        inputs=np.full(size, BEGIN, np.int32),
        marks=np.empty(size, np.int32),
        targets=np.full(size, END, np.int32),
        addresses=np.zeros(size, np.bool_),
        offsets=np.concatenate([[0], end_at + 1] if words else [[0]]).astype(np.int64),
    )
    if words:
        found.targets[at] = targets
        found.inputs[at[1:]] = np.where(border[1:-1], BEGIN, inputs[:-1])
        found.inputs[end_at] = inputs[last - 1]
        found.marks[at] = np.where(border[:-1], gaps[:-1] >> 8 & 15, gaps[:-1] & 15)
        found.marks[end_at] = gaps[last] >> 4 & 15
        if addresses is not None:
            found.addresses[at] = addresses
    return found


def context_ids(tokens: Tokens, vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """What the model reads for a context, position by position: (input id, mark)."""
    inputs = [BEGIN, *(vocabulary.input(word) for word in tokens.words)]
    return list(zip(inputs, tokens.marks, strict=True))
