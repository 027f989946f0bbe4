"""Words that are never suggested, whatever the model, or the person's own typing, makes of them.

Words are compared by `key`: lower-cased, ’ as ', and compatibility forms (full width, ligatures) as
plain letters. Accents count. A word on a list blocks itself, its plural (-s; -es after s, x, z, ch and
sh; -ies for -y after a consonant), and the possessive of both ('s, s'). Nothing else that begins or
ends with it is blocked: "spices" has nothing to do with any list.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nwp.text.tokenizer import normalize
from nwp.text.vocabulary import Vocabulary

LIST = Path(__file__).with_name("blocked.txt")


class Blocking:
    """Some words and what follows from them by the rule above."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._forms = frozenset(form for word in words for form in _forms(key(word)))

    def __contains__(self, word: str) -> bool:
        return key(word) in self._forms

    def ids(self, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
        """The ids of a vocabulary's words that are blocked, ascending."""
        return np.array([i for word, i in vocabulary.index.items() if word in self], np.int64)


def key(word: str) -> str:
    """What words share that are the same to a list."""
    return normalize(word if word.isascii() else unicodedata.normalize("NFKC", word))


@functools.cache
def default_words() -> tuple[str, ...]:
    """The list that ships; its policy stands at its head."""
    lines = map(str.strip, LIST.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _forms(word: str) -> set[str]:
    if not word:
        return set()
    plural = word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        plural = word[:-1] + "ies"
    return {form + end for form in (word, plural) for end in ("", "'", "'s")}
