"""What accepting a suggestion does to a text, and what it saves; apart from any terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nwp.suggest.reading import split_typed
from nwp.text.tokenizer import normalize

# After these a word can't go on without a space; after others ("@", "(", "-") it can.
_NEEDS_SPACE = frozenset(",.;:!?…)]}»”、。")

# Typed right after an accepted word, these take the place of the space that came with it.
TIGHT = ",.!?"


def accept(text: str, word: str) -> str:
    """The text with a suggested word in place of the half-typed one, or after it, and a space."""
    before, typed = split_typed(text)
    gap = "" if typed or not before else _gap(before[-1])
    return f"{before}{gap}{word} "


def accepts(text: str, words: Sequence[str]) -> list[str]:
    """The text before and after each of several words is accepted, one behind the other."""
    texts = [text]
    for word in words:
        texts.append(accept(texts[-1], word))
    return texts


def goes_on(text: str, word: str) -> bool:
    """Does a suggested word go on with what is typed? One that mends a slip does not."""
    return normalize(word).startswith(normalize(split_typed(text)[1]))


def ghost(text: str, words: Sequence[str]) -> str:
    """What to show in grey behind the text: the rest of the first word, and those after it.

    Nothing where the first word takes the place of what is typed.
    """
    if not words or not goes_on(text, words[0]):
        return ""
    return accepts(text, words)[-1][len(text) :].rstrip(" ")


def tighten(text: str, mark: str) -> str:
    """The text with its last space replaced by a punctuation mark: "hello " to "hello,"."""
    return text.removesuffix(" ") + mark


def _gap(last: str) -> str:
    """The space that is missing between punctuation or an emoji and the next word."""
    return " " if last in _NEEDS_SPACE or unicodedata.category(last) == "So" else ""


@dataclass(frozen=True)
class Accept:
    """One accepted word: the text before and after; `more` when one key brought the word before too."""

    before: str
    after: str
    more: bool = False

    @property
    def inserted(self) -> int:
        """How many characters it added."""
        return len(self.after) - len(self.before)


@dataclass(frozen=True)
class Draft:
    """The message being typed: the accepts that still stand, and the keys spent on accepting.

    Keys stay spent when their word is undone, deleted or changed; its characters no longer count.
    """

    accepts: tuple[Accept, ...] = ()
    keys: int = 0

    @property
    def inserted(self) -> int:
        """How many characters of the text were put there by accepting."""
        return sum(accepted.inserted for accepted in self.accepts)

    def last(self, text: str) -> Accept | None:
        """All that the last key accepted, when nothing has been typed since."""
        if not self.accepts or self.accepts[-1].after != text:
            return None
        return Accept(self.accepts[self._begun()].before, text)

    def accepted(self, *texts: str) -> Draft:
        """With the words of one key more: the text before them and after each of them."""
        new = [
            Accept(before, after, number > 0)
            for number, (before, after) in enumerate(pairwise(texts))
        ]
        return Draft((*self.accepts, *new), self.keys + 1)

    def undone(self) -> Draft:
        """Without what the last key accepted; undoing is a key too."""
        return Draft(self.accepts[: self._begun()], self.keys + 1)

    def _begun(self) -> int:
        """Where the words of the last key begin."""
        start = len(self.accepts) - 1
        while start > 0 and self.accepts[start].more:
            start -= 1
        return start

    def spent(self) -> Draft:
        """With one key more that brought nothing."""
        return Draft(self.accepts, self.keys + 1)

    def edited(self, text: str) -> Draft:
        """With the accepts only whose word still stands in the text, as do all words before it."""
        kept = []
        for one in self.accepts:
            after = one.after if text.startswith(one.after) else one.after.removesuffix(" ")
            if not text.startswith(after):
                break
            kept.append(replace(one, after=after))
        return Draft(tuple(kept), self.keys)


@dataclass(frozen=True)
class Savings:
    """Characters in all, those of them that accepting inserted, and the keys spent on accepting."""

    characters: int = 0
    inserted: int = 0
    keys: int = 0

    def plus(self, text: str, draft: Draft) -> Savings:
        """With one message more."""
        return Savings(
            self.characters + len(text),
            self.inserted + draft.inserted,
            self.keys + draft.keys,
        )

    @property
    def saved(self) -> int:
        """Keystrokes saved: below zero when accepting cost more than it brought."""
        return self.inserted - self.keys

    @property
    def share(self) -> float:
        """Keystrokes saved of all characters."""
        return self.saved / self.characters if self.characters else 0.0
