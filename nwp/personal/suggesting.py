"""Suggestions for one person: the model's and their own words, mixed."""

from __future__ import annotations

import threading

import numpy as np

from nwp.personal.mixing import PersonalModel, as_given
from nwp.personal.store import Personal
from nwp.suggest.blocking import Blocking, default_words
from nwp.suggest.ranking import best
from nwp.suggest.reading import Reading
from nwp.suggest.session import Learns
from nwp.suggest.slips import Index
from nwp.suggest.suggester import Reads, Suggestion, check_k, shown_again, written
from nwp.text.vocabulary import FIRST_OUTPUT, UNKNOWN


class PersonalSuggester:
    """A suggester that also knows what `Personal` holds, and learns from messages that are sent.

    While `off_the_record` nothing is learnt: `learn` does not touch the file. No blocked word is
    suggested, whichever list it is on and wherever it comes from. May be used from several threads.
    """

    def __init__(self, suggester: Reads, personal: Personal) -> None:
        self.off_the_record = False
        self._suggester = suggester
        self._personal = personal
        self._model = PersonalModel(personal, suggester.vocabulary, suggester.usual)
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._own_list: list[str] | None = None
        self._first = len(suggester.vocabulary) - FIRST_OUTPUT  # the place of the first learnt word
        self._index: Index | None = None
        self._indexed: list[str] = []
        self._block()

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        """As `Suggester.suggest`, among the vocabulary's words, the learnt ones and those of the text.

        A learnt word is written as the person writes it most. BadInput when k is below 1.
        """
        check_k(k)
        reading, again = self._suggester.read(text), self._suggester.recent(text)
        with self._lock:
            self._block()
            p = self._model.mix(reading.words, as_given(reading.log_p))
            known, own, new = self._suggester.fits(reading.prefix, self._learnt(), again.index)
            free = ~np.isin(known.places, self._blocked_ids)
            fresh = np.array([self._is_new(again.words[i]) for i in new.places], np.bool_)
            # Places of outputs, of learnt words behind them, and of words of the text behind these.
            end = len(p)
            places = np.concatenate(
                [known.places[free] - FIRST_OUTPUT, own.places, end + new.places[fresh]]
            )
            if not len(places):
                return []
            chances = np.concatenate([known.chances[free], own.chances, new.chances[fresh]])
            p = np.append(p, p[UNKNOWN - FIRST_OUTPUT] * again.shares)
            return [
                Suggestion(
                    shown_again(again, int(places[at]) - end, reading)
                    if places[at] >= end
                    else self._shown(int(places[at]), reading),
                    share,
                )
                for at, share in best(p[places], chances, k)
            ]

    def learn(self, message: str) -> None:
        """Learn from a message that was sent; durable when this returns. Nothing off the record."""
        if self.off_the_record:
            return
        given = [as_given(log_p) for log_p in self._suggester.read_through(message)]
        with self._lock:
            self._model.learn(message, given)
            self._model.refresh()  # now rather than at the next key
        if isinstance(self._suggester, Learns):
            self._suggester.learn(message)

    def close(self) -> None:
        """Close the file."""
        self._personal.close()

    def _shown(self, place: int, reading: Reading) -> str:
        """How the word of an output, or a learnt one, is written at the end of a text."""
        if place < self._first:
            return self._suggester.shown(place + FIRST_OUTPUT, reading)
        own = self._model.extras[place - self._first]
        return written(own, self._model.surface(own), reading)

    def _learnt(self) -> Index:
        """The learnt words that may be suggested, told by their places."""
        extras = self._model.extras  # another list whenever it changes
        if self._index is None or self._indexed is not extras:
            free = [i for i, word in enumerate(extras) if word not in self._blocking]
            places = self._first + np.array(free, np.int64)
            self._index, self._indexed = Index([extras[i] for i in free], places), extras
        return self._index

    def _is_new(self, word: str) -> bool:
        """May this word be offered because it stands in the text, and for no other reason?"""
        return self._model.place(word) == UNKNOWN - FIRST_OUTPUT and word not in self._blocking

    def _block(self) -> None:
        """Read the person's own list again when the file has changed."""
        if (version := self._personal.version()) != self._version:
            self._version = version
            if (own := self._personal.blocked()) != self._own_list:
                self._own_list = own
                self._blocking = Blocking([*default_words(), *own])
                self._blocked_ids = self._blocking.ids(self._suggester.vocabulary)
                self._index = None
