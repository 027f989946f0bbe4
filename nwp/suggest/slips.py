"""One slip of the finger: words that were meant, though what is typed is not how they begin.

What is typed is taken for the word that was meant, sent through a noisy channel (Kernighan, Church and
Gale 1990, "A spelling correction program based on a noisy channel model"):

    P(word | context, typed) ~ P(word | context) P(typed | word)

The channel here makes one slip at most: a neighbouring key, two letters swapped, a letter left out, a
letter too many (the kinds of Damerau 1964, "A technique for computer detection and correction of spelling
errors"). It does so with what is typed so far, so that half a word is enough. On the first letter slips are
rarer (Yannakoudakis and Fawthrop 1983, "The rules of spelling errors"). The rates are our own round
numbers, a slip on about two letters of a hundred; benchmarks/slips.py tells what they come to.
"""

from __future__ import annotations

import bisect
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

# P of each slip at a letter. A neighbour's and an extra key's are shared by the neighbouring keys.
NEIGHBOUR, SWAPPED, MISSING, EXTRA, DOUBLED = 0.01, 0.003, 0.005, 0.002, 0.002
FIRST = 0.3  # times that much on the first letter
# P that an apostrophe is left out: a habit more than a slip. In Ubuntu IRC "dont" and twelve of its kind
# make up 27 of 100 uses.
APOSTROPHE = 0.25
ENOUGH = 3  # letters, to look for slips where words begin with what is typed

_LAST = "\U0010ffff"
_NOWHERE = (0, 0)
_BRANCHES = (
    128  # letters looked at in one place; scripts with more of them have no slips of letters
)
_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))  # keys in rows, each set off


def _near() -> dict[str, str]:
    """The keys beside each key: those whose middles are less than 1.3 keys apart."""
    at = {key: (x + start, y) for y, (row, start) in enumerate(_ROWS) for x, key in enumerate(row)}
    return {
        key: "".join(
            other
            for other, (u, v) in at.items()
            if other != key and (x - u) ** 2 + (y - v) ** 2 < 1.3**2
        )
        for key, (x, y) in at.items()
    }


NEAR = _near()


class Allowed(enum.Enum):
    """Which slips are thought of."""

    NONE = 0
    APOSTROPHES = 1
    ALL = 2


@dataclass(frozen=True)
class Fits:
    """The words that fit what is typed: their `places` int64 (n,), ascending, and `chances` float64 (n,)
    of what is typed given that the word was meant, 1 for those that begin so."""

    places: IntArray
    chances: FloatArray


class Index:
    """Words in the order of the alphabet, so that all that begin alike lie side by side."""

    def __init__(self, words: Sequence[str], places: IntArray | None = None) -> None:
        """`places` are the numbers by which words are told, (words,); by default those of the list."""
        order = sorted(range(len(words)), key=words.__getitem__)
        self._words = [words[i] for i in order]
        numbers = np.arange(len(words)) if places is None else places
        self._places = numbers[np.array(order, np.int64)]

    def has(self, prefix: str) -> bool:
        """Does any word begin so?"""
        start, stop = self._span(prefix, 0, len(self._words))
        return start < stop

    def fits(self, prefix: str, allowed: Allowed) -> Fits:
        """The words that begin with a prefix, and those of which it may be a slip."""
        start, stop = self._span(prefix, 0, len(self._words))
        slips = [
            (*span, chance)
            for stem, low, high, chance in self._slips(prefix, allowed)
            if (span := self._span(stem, low, high)) != _NOWHERE
        ]
        if not slips:
            places = np.sort(self._places[start:stop])
            return Fits(places, np.ones(len(places)))
        chances = np.zeros(len(self._words))
        for first, last, chance in slips:  # of a word that two slips explain, the likelier counts
            np.maximum(chances[first:last], chance, out=chances[first:last])
        chances[start:stop] = 1
        found = np.flatnonzero(chances)
        places, chances = self._places[found], chances[found]
        order = np.argsort(places)
        return Fits(places[order], chances[order])

    def _span(self, prefix: str, low: int, high: int) -> tuple[int, int]:
        """Where the words lie that begin with a prefix, of those from `low` to `high`."""
        start = bisect.bisect_left(self._words, prefix, low, high)
        if start == high or not self._words[start].startswith(prefix):
            return _NOWHERE
        return start, bisect.bisect_left(self._words, prefix + _LAST, start, high)

    def meant(self, typed: str) -> IntArray:
        """The places, int64 (n,), of the words that one slip turns into what is typed, whole words both."""
        found = []
        for word, low, high, _ in self._slips(typed, allowed_for(typed, True)):
            at = bisect.bisect_left(self._words, word, low, high)
            if at < high and self._words[at] == word:
                found.append(at)
        return self._places[np.array(found, np.int64)]

    def _slips(self, typed: str, allowed: Allowed) -> Iterator[tuple[str, int, int, float]]:
        """What one slip made begin as typed: how it begins, words between which it would lie, and the
        chance of that slip.

        The word and what is typed agree up to the slip. So it is enough to go down the letters typed as
        long as words agree, and to look at each place what else comes next.
        """
        words, low, high = self._words, 0, len(self._words)
        for i, letter in enumerate(typed if allowed != Allowed.NONE else ""):
            head, rest = typed[:i], typed[i + 1 :]
            share = FIRST if i == 0 else 1.0
            if allowed == Allowed.ALL and (extra := share * _extra(typed, i)):
                yield head + rest, low, high, extra
            following = (low, low)
            # The word that ends here, if there is one, comes first.
            at = low + (low < high and len(words[low]) == i)
            for _ in range(_BRANCHES):
                if at == high:
                    break
                other = words[at][i]
                stem = head + other
                stop = bisect.bisect_left(words, stem + _LAST, at, high)
                if other == letter:
                    following = (at, stop)
                elif other == "'":
                    yield stem + letter + rest, at, stop, APOSTROPHE
                elif allowed == Allowed.ALL:
                    yield stem + letter + rest, at, stop, share * MISSING
                    if letter in (near := NEAR.get(other, "")):
                        yield stem + rest, at, stop, share * NEIGHBOUR / len(near)
                    if rest[:1] == other:
                        yield stem + letter + rest[1:], at, stop, share * SWAPPED
                at = stop
            low, high = following
            if low == high:
                return


def _extra(typed: str, i: int) -> float:
    """The chance that the letter in this place is one too many: it was struck twice, or with another."""
    letter, before, after = typed[i], typed[i - 1 : i], typed[i + 1 : i + 2]
    if len(typed) == 1:
        return 0.0
    if letter == before:
        return DOUBLED
    return max(
        (EXTRA / len(NEAR[c]) for c in (before, after) if letter in NEAR.get(c, "")), default=0.0
    )


def allowed_for(typed: str, known: bool) -> Allowed:
    """Which slips to think of: `known` says whether any word begins with what is typed.

    Where one does, slips take `ENOUGH` letters; apostrophes that are left out take two ("im"), as do slips
    where none does. Digits are no slips.
    """
    if len(typed) < 2 or not all(c.isalpha() or c == "'" for c in typed):
        return Allowed.NONE
    return Allowed.ALL if not known or len(typed) >= ENOUGH else Allowed.APOSTROPHES


def fitting(indices: Sequence[Index], typed: str, exact: bool = False) -> list[Fits]:
    """The words of each of several indices that fit what is typed; `exact`: without slips."""
    known = any(index.has(typed) for index in indices)
    allowed = Allowed.NONE if exact else allowed_for(typed, known)
    return [index.fits(typed, allowed) for index in indices]
