"""Two languages at once: two models beside each other, mixed by which of them is being written.

    p(w) = share p_1(w) + (1 - share) p_2(w)        over the words of both vocabularies

`share` is the probability that the next word is of the first language, given the words so far. It is
the forward algorithm of a hidden Markov model with two states, the languages, whose emissions are the
models' probabilities of the words (Rabiner 1989, "A tutorial on hidden Markov models and selected
applications in speech recognition", section III.A). A writer changes the language from one word to
the next with probability `SWITCH`, from one message to the next with `BETWEEN`. How the words of two
vocabularies are compared says `nwp.suggest.united`.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nwp.errors import BadSettings
from nwp.model.bundle import Bundle, load_bundle
from nwp.model.runtime import FloatArray
from nwp.suggest.reading import BLOCK, Reading, read_of, split_typed
from nwp.suggest.recent import Recent, recent
from nwp.suggest.slips import Fits, Index, fitting
from nwp.suggest.suggester import Suggester, Suggestion, ranked
from nwp.suggest.united import LONGEST, Doubles, united
from nwp.text.tokenizer import RAW_WORD, normalize, tokenize

SWITCH = 0.01
BETWEEN = 0.1

# Only words of the last 250 to 500 characters tell the language: those before have long been outvoted.
WINDOW = 250
_KEPT = 512  # words in their places, of which it is remembered what they tell
_LEAST = 1e-30  # what float32 can still tell from nothing


@dataclass(frozen=True)
class Shared(Reading):
    """A text as both models have read it; `share`: P that the next word is of the first language."""

    share: float


@dataclass(frozen=True)
class _Mixed:
    """The last mixture, and what it was made of."""

    one: FloatArray
    two: FloatArray
    share: float
    log_p: FloatArray


class Languages:
    """Suggests words of two languages; to be used like a `Suggester`, whose interface it has.

    A key costs at most one step of each model. Answers depend on the text and, once `learn` is told of
    messages, on the language of the last one. May be used from several threads.
    """

    def __init__(self, first: Suggester, second: Suggester) -> None:
        """What either of the two never suggests is never suggested."""
        self.off_the_record = False
        self._pair = (first, second)
        self.united = united(first.vocabulary, second.vocabulary)
        self.vocabulary = self.united.vocabulary
        self.usual = self._usual()
        index = self.vocabulary.index
        allowed = [word for word in index if not any(word in one.blocking for one in self._pair)]
        self._index = Index(allowed, np.array([index[word] for word in allowed], np.int64))
        self._recent: tuple[str, Recent] = ("", recent("", self._is_known))
        self._start = 0.5
        self._told: OrderedDict[tuple[int, str, str], float] = OrderedDict()
        self._mixed: _Mixed | None = None
        self._lock = threading.Lock()

    def _usual(self) -> Doubles | None:
        """How often people write each output who write both languages as much, if it is known of both."""
        one, two = (suggester.usual for suggester in self._pair)
        if one is None or two is None:
            return None
        first, second = self.united.sides
        logs = [np.log(usual).astype(np.float32) for usual in (one, two)]
        found: Doubles = (first.spread(logs[0]) + second.spread(logs[1])) / 2
        return found

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        """The k most probable words of both languages, as `Suggester.suggest` gives those of one."""
        return ranked(self, text, k)

    def read(self, text: str) -> Shared:
        """As `Suggester.read`; `log_p` is the mixture's, over the outputs of `vocabulary`."""
        share = self.share(text)
        one, two = (suggester.read(text) for suggester in self._pair)
        log_p = self._mix(one.log_p, two.log_p, share)
        return Shared(one.typed, one.words, log_p, one.capital, share)

    def read_through(self, message: str) -> list[FloatArray]:
        """The mixture's log-probabilities (outputs,) before each word of a message, and behind it."""
        ones, twos = (suggester.read_through(message) for suggester in self._pair)
        share = self._start
        found = [self._mix(ones[0], twos[0], share)]
        for i, word in enumerate(tokenize(message).words):
            share = _after(share, self.united.compare(word, ones[i], twos[i]))
            found.append(self._mix(ones[i + 1], twos[i + 1], share))
        return found

    def share(self, text: str) -> float:
        """P that the word at the end of a text, half-typed or next, is of the first language."""
        before = split_typed(text)[0]
        start = max(len(before) // WINDOW - 1, 0) * WINDOW
        share = self._start
        for found in RAW_WORD.finditer(before, start):
            share = _after(share, self._tells(before[: found.end()]))
        return share

    def learn(self, message: str) -> None:
        """Take the next message to begin in the language that this one ended in, most likely.

        One number is kept, in memory alone; nothing while `off_the_record`.
        """
        if not self.off_the_record:
            self._start = _passed(self.share(message + " "), BETWEEN)

    def fits(self, prefix: str, *others: Index) -> list[Fits]:
        """The words of both that fit what is typed and are not blocked, by id, and those of others."""
        return fitting([self._index, *others], prefix, self._pair[0].exact)

    def recent(self, text: str) -> Recent:
        """Words of the text that neither knows and that may be offered again, as `Suggester.recent`."""
        before = read_of(text)
        if (last := self._recent)[0] != before:
            self._recent = last = (before, recent(before, self._is_known, self._is_slip))
        return last[1]

    def _is_slip(self, word: str) -> bool:
        return any(one.is_slip(word) for one in self._pair)

    def _is_known(self, word: str) -> bool:
        return word in self.vocabulary.index or any(word in one.blocking for one in self._pair)

    def shown(self, identity: int, reading: Reading) -> str:
        """How a word is written at the end of a text, in the likelier of the languages that know it."""
        word = self.vocabulary.word(identity)
        second = isinstance(reading, Shared) and reading.share < 0.5
        knowing = [one for one in self._pair if word in one.vocabulary.index]
        suggester = knowing[-1 if second else 0]
        return suggester.shown(suggester.vocabulary.index[word], reading)

    def _mix(self, one: FloatArray, two: FloatArray, share: float) -> FloatArray:
        """Log-probabilities of the mixture, (outputs,); the letters of one word share them."""
        last = self._mixed
        if last and last.one is one and last.two is two and last.share == share:
            return last.log_p
        first, second = self.united.sides
        p: Doubles = share * first.spread(one) + (1 - share) * second.spread(two)
        log_p: FloatArray = np.log(np.maximum(p, _LEAST)).astype(np.float32)
        self._mixed = _Mixed(one, two, share, log_p)
        return log_p

    def _tells(self, text: str) -> float:
        """How much the last word of a text tells for the first language, in nats."""
        before, word = split_typed(text)
        if len(word) > LONGEST:
            return 0.0
        key = (len(before), before[-2 * BLOCK :], word)  # all that the models' answers depend on
        with self._lock:
            if key in self._told:
                self._told.move_to_end(key)
                return self._told[key]
        one, two = (suggester.read(text).log_p for suggester in self._pair)
        found = self.united.compare(normalize(word), one, two)
        with self._lock:
            self._told[key] = found
            if len(self._told) > _KEPT:
                self._told.popitem(last=False)
        return found


def _passed(share: float, change: float) -> float:
    """The first language's share where the language may just have changed."""
    return share + change * (1 - 2 * share)


def _after(share: float, told: float) -> float:
    """The share before the next word, when a word has told so many nats for the first language."""
    return _passed(1 / (1 + (1 - share) / share * math.exp(-told)), SWITCH)


def load_bundles(model: Path, beside: Path | None = None) -> tuple[Bundle, ...]:
    """A bundle and, where one is named, that of another language.

    BadBundle for what is none, BadSettings when both are the same.
    """
    if beside is None:
        return (load_bundle(model),)
    if model.resolve() == beside.resolve():
        raise BadSettings(
            f"the bundle {beside} can't stand beside itself",
            "Give --beside a bundle of another language, or leave it out.",
        )
    return (load_bundle(model), load_bundle(beside))


def suggester_of(*suggesters: Suggester) -> Suggester | Languages:
    """The one suggester, or the mixture of two."""
    return Languages(*suggesters) if len(suggesters) > 1 else suggesters[0]


def open_suggester(
    model: Path, beside: Path | None = None, *, exact: bool = False
) -> Suggester | Languages:
    """The suggester of a bundle, or of two; errors as `load_bundles`. `exact` as for `Suggester`."""
    bundles = load_bundles(model, beside)
    return suggester_of(*(Suggester.from_bundle(one, exact=exact) for one in bundles))
