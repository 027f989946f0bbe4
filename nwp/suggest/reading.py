"""What of a text the model reads: the words before the half-typed one, of a long text the last of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nwp.model.runtime import FloatArray
from nwp.text.tokenizer import RAW_WORD, SENTENCE_ENDS, Tokens, normalize, surfaces_of, tokenize

# Only the last one to two blocks of characters (about 200 to 350 words) are read.
BLOCK = 1000

_SPACE = re.compile(r"\s")
# Looked for from the end backwards, so that a long text costs no more than its last word.
_WORD_REVERSED = re.compile(rf"['’]?{RAW_WORD.pattern}")


@dataclass(frozen=True)
class Reading:
    """A text as the model has read it.

    `typed` is the half-typed word ("" where the next word is asked), `words` those before it (of a long
    text the last ones), `log_p` the model's log-probabilities (outputs,) of what comes after them, and
    `capital` whether a sentence starts here that asks for one.
    """

    typed: str
    words: list[str]
    log_p: FloatArray
    capital: bool

    @property
    def prefix(self) -> str:
        """What a word must begin with to complete the text."""
        return normalize(self.typed)


def split_typed(text: str) -> tuple[str, str]:
    """The text before the half-typed word, and that word ("" where the next word is asked)."""
    found = _WORD_REVERSED.match(text[::-1])
    cut = len(text) - (found.end() if found else 0)
    return text[:cut], text[cut:]


def read_of(text: str) -> str:
    """What is read of a text before its half-typed word; nothing where no word is begun."""
    before, typed = split_typed(text)
    return before[_beginning(before) :] if typed else ""


def words_to_read(before: str, half: bool) -> tuple[Tokens, int]:
    """The words and marks to read of the text before the half-typed word, and where they begin."""
    cut = _beginning(before)
    if not half:
        return tokenize(before[cut:]), cut
    # A letter in place of the half-typed word: what stands before it is all there, as in training
    # ("well-known" is joined, "well- " is not).
    tokens = tokenize(before[cut:] + "x")
    return Tokens(tokens.words[:-1], tokens.marks[:-1]), cut


def _beginning(before: str) -> int:
    """Where reading begins: at the start of a short text, else at a space one block or two back."""
    if len(before) < 2 * BLOCK:
        return 0
    cut = (len(before) // BLOCK - 1) * BLOCK
    space = _SPACE.search(before, cut)
    return space.start() if space else cut


def wants_capital(before: str, typed: str, tokens: Tokens, cut: int) -> bool:
    """Does a sentence start here, and does the person begin sentences with a capital?

    Who has not typed anything yet is taken to; who has, does when one sentence in what is read
    starts with a capital.
    """
    if not typed and not before.strip():
        return True
    first = not cut
    if not tokens.words or tokens.marks[-1] not in SENTENCE_ENDS:
        return False
    starts = [first, *(mark in SENTENCE_ENDS for mark in tokens.marks[1:-1])]
    surfaces = surfaces_of(before[cut:])
    return any(s and w[0].isupper() for s, w in zip(starts, surfaces, strict=True))
