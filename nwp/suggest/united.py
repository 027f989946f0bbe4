"""The words of two vocabularies as one, and what a model of either says of them.

To compare two models, each must say of every word how probable it is, and find none impossible:

- Its own words keep 1 - `FOREIGN` of its distribution; `FOREIGN` is dealt out to them alike.
- A word of the other vocabulary alone gets the model's probability of the unknown word times that of
  spelling the word by the letters of its own vocabulary (`nwp.text.spelling`), but at most `FOREIGN` /
  (words of the other vocabulary). So it is more probable to the model that knows it, whatever they say.
- The rest of the unknown word's probability stays with words that neither knows.

Each distribution sums to one. Of a word that neither knows, the letters alone are compared: how much a
model leaves to unknown words tells how large its vocabulary is and how it was trained, not which
language is written. Letters are counted in each vocabulary beside a prior of both together: else those
of a small vocabulary would make every word look foreign.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from nwp.model.runtime import FloatArray
from nwp.text.spelling import Speller
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Vocabulary

IntArray = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

FOREIGN = 0.02

_UNKNOWN = UNKNOWN - FIRST_OUTPUT
LONGEST = 64  # letters; what is longer is no word of any language
# Nats that one word may tell: any may be a name, a loan or a slip ("Bus", "los"), and where the language
# has been clear (1 to 99, by `nwp.suggest.languages.SWITCH`) it takes two to outvote all that stood before.
_SURE = 4.5
_LEAST = 1e-300


class United:
    """The words of two vocabularies: those of the first, then those that only the second has."""

    def __init__(self, first: Vocabulary, second: Vocabulary) -> None:
        """A word that both have is written as the first does in `vocabulary`."""
        words = tuple(dict.fromkeys((*first.words, *second.words)))
        surfaces = dict(zip(second.words, second.surfaces, strict=True))
        surfaces |= zip(first.words, first.surfaces, strict=True)
        self.vocabulary = Vocabulary(words, tuple(surfaces[word] for word in words))
        letters = Speller.of(self.vocabulary)
        self.sides = (
            Side(first, self.vocabulary, letters, len(second.words)),
            Side(second, self.vocabulary, letters, len(first.words)),
        )

    def compare(self, word: str, one: FloatArray, two: FloatArray) -> float:
        """How much more probable a word is to the first model than to the second, in nats, within ±4.5.

        `one` and `two` are the models' own log-probabilities (own outputs,) of what comes there. Numbers
        tell nothing: they are the same in all languages, and a matter of which of them a model has met.
        """
        if len(word) > LONGEST or word[:1].isdigit():
            return 0.0
        place = self.vocabulary.target(word) - FIRST_OUTPUT
        first, second = self.sides
        told = first.log_of(word, place, one) - second.log_of(word, place, two)
        return min(max(told, -_SURE), _SURE)


class Side:
    """One of the two models' vocabularies, and its distributions over the words of both."""

    def __init__(self, own: Vocabulary, union: Vocabulary, letters: Speller, others: int) -> None:
        """`letters` are those of the union, `others` is how many words the other vocabulary has."""
        self._speller = Speller.of(own, letters)
        # The union's ids of its own ids; those that are no words are the same.
        self.ids = np.array([*range(FIRST_WORD), *map(union.target, own.words)], np.int64)
        # Of each output of the union: its own output, and what to make of its probability there.
        targets = [*range(FIRST_OUTPUT, FIRST_WORD), *map(own.target, union.words)]
        self._outputs = np.array(targets, np.int64) - FIRST_OUTPUT
        self._times, self._plus = np.ones(len(targets)), np.zeros(len(targets))
        if len(own.words):
            self._times -= FOREIGN
            self._plus[self.ids[FIRST_WORD:] - FIRST_OUTPUT] = FOREIGN / len(own.words)
        strange = np.flatnonzero(self._outputs == _UNKNOWN)
        strange = strange[strange != _UNKNOWN]
        words = [union.word(int(place) + FIRST_OUTPUT) for place in strange]
        shares = [min(math.exp(-self._speller.cost(w)), FOREIGN / others) for w in words]
        self._times[strange] *= shares
        self._times[_UNKNOWN] *= 1 - sum(shares)

    def spread(self, log_p: FloatArray) -> Doubles:
        """The model's log-probabilities (own outputs,) as probabilities over the union's outputs."""
        own: Doubles = np.exp(log_p.astype(np.float64))
        return own[self._outputs] * self._times + self._plus

    def log_of(self, word: str, place: int, log_p: FloatArray) -> float:
        """The logarithm of a word's probability, `place` being the word's among the union's outputs.

        For a word that neither knows, of its letters alone.
        """
        if place == _UNKNOWN:
            return -self._speller.cost(word)
        p = math.exp(float(log_p[self._outputs[place]])) * self._times[place] + self._plus[place]
        return math.log(max(p, _LEAST))


@functools.lru_cache(maxsize=4)
def united(first: Vocabulary, second: Vocabulary) -> United:
    """As `United`, made once for all suggesters of the same two vocabularies."""
    return United(first, second)
