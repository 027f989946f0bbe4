"""Suggestions for one person: the model's and their own words, mixed."""

from __future__ import annotations

import threading

import numpy as np

from nwp.personal.mixing import PersonalModel, as_given
from nwp.personal.store import Personal
from nwp.suggest.blocking import Blocking, default_words
from nwp.suggest.session import Learns, Reads
from nwp.suggest.suggester import Suggestion, best, check_k, written
from nwp.text.vocabulary import FIRST_OUTPUT


class PersonalSuggester:
    """A suggester that also knows what `Personal` holds, and learns from messages that are sent.

    While `off_the_record` nothing is learnt: `learn` does not touch the file. No blocked word is
    suggested, whichever list it is on and wherever it comes from. May be used from several threads.
    """

    def __init__(self, suggester: Reads, personal: Personal) -> None:
        self.off_the_record = False
        self._suggester = suggester
        self._personal = personal
        self._model = PersonalModel(personal, suggester.vocabulary)
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._own_list: list[str] | None = None
        self._block()

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        """As `Suggester.suggest`, among the vocabulary's words and the learnt ones.

        A learnt word is written as the person writes it most. BadInput when k is below 1.
        """
        check_k(k)
        reading = self._suggester.read(text)
        with self._lock:
            self._block()
            p = self._model.mix(reading.words, as_given(reading.log_p))
            first = len(self._suggester.vocabulary) - FIRST_OUTPUT
            learnt = [
                first + i
                for i, word in enumerate(self._model.extras)
                if word.startswith(reading.prefix) and word not in self._blocking
            ]
            known = self._suggester.with_prefix(reading.prefix)
            known = known[~np.isin(known, self._blocked_ids)] - FIRST_OUTPUT
            places = np.append(known, np.array(learnt, np.int64))
            if not len(places):
                return []
            shown = []
            for at, share in best(p[places], k):
                place = int(places[at])
                if place < first:
                    word = self._suggester.shown(place + FIRST_OUTPUT, reading)
                else:
                    own = self._model.extras[place - first]
                    word = written(own, self._model.surface(own), reading)
                shown.append(Suggestion(word, share))
            return shown

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

    def _block(self) -> None:
        """Read the person's own list again when the file has changed."""
        if (version := self._personal.version()) != self._version:
            self._version = version
            if (own := self._personal.blocked()) != self._own_list:
                self._own_list = own
                self._blocking = Blocking([*default_words(), *own])
                self._blocked_ids = self._blocking.ids(self._suggester.vocabulary)
