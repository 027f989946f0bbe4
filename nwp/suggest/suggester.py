"""From what has been typed to ranked words, at most one step of the model a key.

Text that ends in a letter, a digit, or an apostrophe after one, is in the middle of a word: that
word is completed, or what was meant by it where a finger slipped (`nwp.suggest.slips`). Names and
numbers of the text so far that the model does not know are offered when they are begun again
(`nwp.suggest.recent`). Else the next word is suggested. Reading and ranking need neither torch nor a
terminal.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from nwp.errors import BadInput
from nwp.model.mixed import Stepper, runtime_of
from nwp.model.runtime import FloatArray
from nwp.suggest.blocking import Blocking, default_words
from nwp.suggest.memory import Memory
from nwp.suggest.ranking import best
from nwp.suggest.reading import Reading, read_of, split_typed, wants_capital, words_to_read
from nwp.suggest.recent import Recent, recent
from nwp.suggest.slips import Fits, Index, fitting
from nwp.text.tokenizer import tokenize
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Vocabulary, context_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nwp.model.bundle import Bundle
    from nwp.suggest.united import Doubles

# Words that come first in a vocabulary, which is in order of how common they are: slips are mostly of these.
_COMMON = 2000
_JUDGED = 1024  # words of which it is remembered whether they are slips


@dataclass(frozen=True)
class Suggestion:
    """A word as it would be written, and its probability among the words that fit what is typed."""

    word: str
    probability: float


class Suggester:
    """Suggests words for texts; the same text always gets the same answer.

    It remembers the states of the model along the texts it has read. A text with one key more costs
    at most one step, going back costs none. Of a long text only the last 1,000 to 2,000 characters
    before the half-typed word are read; where reading begins moves on in blocks of 1,000, so one
    key in a thousand costs a block's worth of steps. May be used from several threads.
    """

    def __init__(
        self,
        runtime: Stepper,
        vocabulary: Vocabulary,
        blocking: Blocking | None = None,
        *,
        exact: bool = False,
        usual: Sequence[float] | None = None,
    ) -> None:
        """`blocking` are words that are never suggested; by default those on the list that ships.

        `exact`: only words that begin with what is typed, letter by letter. `usual` is how often people
        write each output, for those who learn how often one person does.
        """
        self.vocabulary, self.exact = vocabulary, exact
        self.usual = None if usual is None else np.array(usual)
        self.blocking = blocking or Blocking(default_words())
        allowed = [(word, i) for word, i in vocabulary.index.items() if word not in self.blocking]
        ids = np.array([i for _, i in allowed], np.int64)
        self._index = Index([word for word, _ in allowed], ids)
        self._memory = Memory(runtime)
        self._lock = threading.Lock()
        self._recent: tuple[str, Recent] = ("", recent("", self._is_known))
        self.is_slip = functools.lru_cache(_JUDGED)(self._is_slip)

    @classmethod
    def from_bundle(cls, bundle: Bundle, *, exact: bool = False) -> Self:
        """A suggester with the weights and the words of a bundle; `exact` as above."""
        return cls(runtime_of(bundle), bundle.vocabulary, exact=exact, usual=bundle.frequencies)

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        """At most k different words to complete or follow the text, best first.

        Probabilities are given the text before and what is typed of the word, P(word | text) times
        P(typed | word): they sum to one over the words that fit and are not blocked. Those are the
        vocabulary's that start with what is typed, or do so but for one slip, and, when something is
        typed, unknown words of the text that do. A slip needs three letters, or that no word starts so;
        it takes no place from a word that does, unless it is likely. Fewer than k, or none, when fewer
        words fit. BadInput when k is below 1.
        """
        return ranked(self, text, k)

    def read(self, text: str) -> Reading:
        """Read a text up to its half-typed word, for whoever ranks words in another way."""
        before, typed = split_typed(text)
        tokens, cut = words_to_read(before, bool(typed))
        with self._lock:
            log_p = self._memory.scores(context_ids(tokens, self.vocabulary))
        return Reading(typed, tokens.words, log_p, wants_capital(before, typed, tokens, cut))

    def read_through(self, message: str) -> list[FloatArray]:
        """The model's log-probabilities (outputs,) before each word of a message, and behind it."""
        steps = context_ids(tokenize(message), self.vocabulary)
        with self._lock:
            return [self._memory.scores(steps[: i + 1]) for i in range(len(steps))]

    def fits(self, prefix: str, *others: Index) -> list[Fits]:
        """The vocabulary's words that fit what is typed and are not blocked, by id, and those of others."""
        return fitting([self._index, *others], prefix, self.exact)

    def recent(self, text: str) -> Recent:
        """Unknown words of the text that may be offered again; none while nothing is typed."""
        before = read_of(text)
        if (last := self._recent)[0] != before:  # the letters of one word share what is before it
            self._recent = last = (before, recent(before, self._is_known, self.is_slip))
        return last[1]

    def _is_slip(self, word: str) -> bool:
        """Is a word one slip from a common word of the vocabulary?"""
        return not self.exact and bool((self._index.meant(word) < FIRST_WORD + _COMMON).any())

    def _is_known(self, word: str) -> bool:
        """Is this a word of the vocabulary, or one that is never suggested?"""
        return word in self.vocabulary.index or word in self.blocking

    def shown(self, identity: int, reading: Reading) -> str:
        """How a word of the vocabulary is written at the end of a text."""
        word, surface = self.vocabulary.word(identity), self.vocabulary.surface(identity)
        return written(word, surface, reading)


class Reads(Protocol):
    """What `ranked` ranks words by: the public side of a `Suggester`."""

    vocabulary: Vocabulary
    usual: Doubles | None

    def read(self, text: str) -> Reading: ...  # noqa: D102
    def read_through(self, message: str) -> list[FloatArray]: ...  # noqa: D102
    def fits(self, prefix: str, *others: Index) -> list[Fits]: ...  # noqa: D102
    def recent(self, text: str) -> Recent: ...  # noqa: D102
    def shown(self, identity: int, reading: Reading) -> str: ...  # noqa: D102


def ranked(reads: Reads, text: str, k: int) -> list[Suggestion]:
    """The best words that fit a text, the model's and those of the text; see `Suggester.suggest`."""
    check_k(k)
    reading = reads.read(text)
    # Read even when nobody knows the prefix: else the words would pile up for a later key.
    again = reads.recent(text)
    known, new = reads.fits(reading.prefix, again.index)
    if not len(known.places) + len(new.places):
        return []
    unknown = reading.log_p[UNKNOWN - FIRST_OUTPUT] + np.log(again.shares[new.places])
    logs = np.append(reading.log_p[known.places - FIRST_OUTPUT].astype(np.float64), unknown)
    found = best(np.exp(logs - logs.max()), np.append(known.chances, new.chances), k)
    return [
        Suggestion(
            reads.shown(int(known.places[at]), reading)
            if at < len(known.places)
            else shown_again(again, int(new.places[at - len(known.places)]), reading),
            share,
        )
        for at, share in found
    ]


def written(word: str, surface: str, reading: Reading) -> str:
    """A word as usual (`surface`), with a capital where one is due, or going on as it was begun."""
    typed, shown = reading.typed, surface
    if typed[:1].isupper():
        loud = typed.isupper() and sum(c.isalpha() for c in typed) > 1
        # After a slip nothing of what is typed stays, but its capitals do.
        begun = typed.replace("’", "'") if word.startswith(reading.prefix) else surface[:1].upper()
        rest = surface[len(begun) :]
        shown = begun + (rest.upper() if loud else rest)
    elif reading.capital and surface == word:
        shown = surface[:1].upper() + surface[1:]
    # Some letters have no single capital ("ß"): such a word stays as it is.
    return shown if shown.lower() == word else surface


def shown_again(again: Recent, place: int, reading: Reading) -> str:
    """How an unknown word of the text is written when it is offered again: as the person wrote it."""
    return written(again.words[place], again.surfaces[place], replace(reading, capital=False))


def check_k(k: int) -> None:
    """BadInput when fewer than one suggestion is asked for."""
    if k < 1:
        raise BadInput(f"{k} suggestions were asked for", "Ask for 1 or more.")
