"""The model's distribution mixed with what a person's own words say, by weights learnt online.

    p(w) = sum over sources s of weight(s | kind) p_s(w)

Sources are the model, tilted towards the person's words (`nwp.personal.tilting`), these words
themselves (unigrams), those of the last few dozen messages, and what followed the last word and the
last two. The mixture over orders is that of Jelinek and Mercer
(1980, "Interpolated estimation of Markov source parameters from sparse data"); a cache beside a
model is Kuhn and De Mori's (1990, "A cache-based natural language model for speech recognition"),
and with a neural model Grave, Joulin and Usunier's (2017, "Improving neural language models with a
continuous cache"), of which this is the one over words, not over states.

The weights of a kind of context (how much is known of it) start from `nwp.personal.priors` and are
learnt by online EM: a word that was typed credits each source with its share of the probability that
the mixture gave it. Credits are given before the word is counted, so no source is judged by what it
has seen, and fade as uses do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nwp.errors import BadInput
from nwp.personal.counting import uses_of
from nwp.personal.expecting import key_of
from nwp.personal.priors import PRIOR, STRENGTH
from nwp.personal.store import FADED, Personal, units
from nwp.personal.tables import ANY, BEGIN
from nwp.personal.tilting import tilt_of, tilted
from nwp.text.tokenizer import tokenize
from nwp.text.vocabulary import END, FIRST_OUTPUT, UNKNOWN, Vocabulary

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Credits = dict[tuple[int, int], float]

_TRIPLES = (0.0, 1.5, 3.5, 8.0)  # uses of the last two words: never, about once, a few times, often
_PAIRS = (0.0, 1.5, 6.0, 20.0, 60.0)  # uses of the last word
_FIRST_KIND = 16  # kinds of smaller numbers, in files from before, were another division
_END, _UNKNOWN = END - FIRST_OUTPUT, UNKNOWN - FIRST_OUTPUT
_CACHED = 4096  # contexts whose followers are kept in memory


@dataclass(frozen=True)
class Followers:
    """What came after a context: places among the outputs, shares that sum to one, and uses in all."""

    places: IntArray
    shares: FloatArray
    uses: float


_NONE = Followers(np.zeros(0, np.int64), np.zeros(0), 0.0)


@dataclass(frozen=True)
class Said:
    """What each source says of one word: the probability it gives, and whether it knows anything here,
    (sources,) each. `kind` is the context's."""

    kind: int
    probabilities: FloatArray
    there: npt.NDArray[np.bool_]


class PersonalModel:
    """What `Personal` holds as distributions over a vocabulary's outputs and, behind them, learnt words.

    It keeps in memory what it has looked at, and follows every change of the file, whoever makes it.
    Not for several threads at once.
    """

    def __init__(
        self, personal: Personal, vocabulary: Vocabulary, usual: FloatArray | None = None
    ) -> None:
        """`usual` is the share of each output in what people write, (outputs,), each above 0; without
        it, what the model says is taken as it is."""
        self.personal = personal
        self._usual, self._key = usual, key_of(vocabulary) if usual is not None else ""
        self._vocabulary = vocabulary
        self._outputs = len(vocabulary) - FIRST_OUTPUT
        self._seen: tuple[int, int] | None = None
        self._epoch = -1.0
        self._since = 0
        self._forget()
        self._followers: dict[tuple[int, int], Followers] = {}
        self.extras: list[str] = []  # learnt words in order of their places, from `outputs` on

    @property
    def size(self) -> int:
        """Outputs and learnt words: the length of every distribution."""
        return self._outputs + len(self.extras)

    def refresh(self) -> None:
        """Read again what has changed in the file."""
        if (version := self.personal.version()) == self._seen:
            return
        self._seen = version
        setting = self.personal.settings()
        if setting["epoch"] != self._epoch:
            self._forget()
            self._epoch = setting["epoch"]
        self._take(self.personal.changed_words(self._since))
        self._unit, self._recent_unit = units(setting)
        self._lay_out(int(setting["after"]))
        self._followers.clear()
        credits = np.zeros_like(PRIOR)
        for number, source, weight in self.personal.credits():
            kind = number - _FIRST_KIND
            if 0 <= kind < len(PRIOR) and 0 <= source < PRIOR.shape[1]:
                credits[kind, source] = weight / self._unit
        credits += STRENGTH * PRIOR
        self._weights: FloatArray = credits / credits.sum(1, keepdims=True)

    def mix(self, words: Sequence[str], given: FloatArray) -> FloatArray:
        """P of every output and learnt word after the words of a message, (size,); it sums to one.

        `given` is the model's own, (outputs,) summing to one.
        """
        self.refresh()
        kind, pairs, triples = self._context(words)
        weights = _shared_out(self._weights[kind], self._there(pairs, triples))
        spread = self._spread(given)
        p: FloatArray = weights[0] * spread + weights[1] * self._own + weights[2] * self._now
        for weight, found in ((weights[3], pairs), (weights[4], triples)):
            np.add.at(p, found.places, weight * found.shares)
        return p

    def credit(self, words: Sequence[str], word: str, given: FloatArray) -> Credits:
        """Whom a word that was typed after others credits, by (kind, source); they sum to one.

        Nobody for a word that is neither in the vocabulary nor learnt.
        """
        if (said := self.said(words, word, given)) is None:
            return {}
        shares = _shared_out(self._weights[said.kind], said.there) * said.probabilities
        number, total = said.kind + _FIRST_KIND, shares.sum()
        return {(number, source): float(s / total) for source, s in enumerate(shares) if s}

    def said(self, words: Sequence[str], word: str, given: FloatArray) -> Said | None:
        """What the sources say of a word after others of its message; None for a word that is neither
        in the vocabulary nor learnt."""
        self.refresh()
        place = self.place(word)
        if place == _UNKNOWN:
            return None
        kind, pairs, triples = self._context(words)
        found = (
            self._spread(given)[place],
            self._own[place],
            self._now[place],
            pairs.shares[pairs.places == place].sum(),
            triples.shares[triples.places == place].sum(),
        )
        return Said(kind, np.array(found), self._there(pairs, triples))

    def learn(self, message: str, given: Sequence[FloatArray]) -> None:
        """Credit the sources by each word of a message, then count it; `given` is the model's own
        distribution before each word, and behind the last. Durable when this returns."""
        words = tokenize(message).words
        if len(given) <= len(words):
            raise BadInput(
                f"{len(given)} distributions were given for {len(words)} words and an end"
            )
        credits: Credits = {}
        for i, word in enumerate(words):
            for key, value in self.credit(words[:i], word, given[i]).items():
                credits[key] = credits.get(key, 0.0) + value
        self.personal.learn(message, credits, self.expected(message, given))

    def expected(self, message: str, given: Sequence[FloatArray]) -> tuple[str, FloatArray] | None:
        """What the model expected in sum where words of a message are counted, and at its end, as
        `Personal.learn` takes it; None where nothing is known of what is usual."""
        if self._usual is None:
            return None
        uses = uses_of(message)
        total = np.array(given[len(uses)], np.float64)
        for p in (given[i] for i, use in enumerate(uses) if use is not None):
            total += p
        return self._key, total

    def place(self, word: str) -> int:
        """Where a word stands among the outputs and learnt words; the unknown word's for others."""
        known = self._vocabulary.index.get(word)
        if known is not None:
            return known - FIRST_OUTPUT
        identity = self._ids.get(word)
        return _UNKNOWN if identity is None else int(self._places[self._slots[identity]])

    def surface(self, word: str) -> str:
        """How the person writes a learnt word most."""
        return self.personal.surface(self._ids[word])

    def _forget(self) -> None:
        """Begin anew: nothing of the file has been read."""
        self._since = 0
        self._words: list[str] = []
        self._slots: dict[int, int] = {}  # by the file's ids; all below are in the order of slots
        self._ids: dict[str, int] = {}
        self._homes = np.zeros(0, np.int64)  # places of what the model knows, -1 for other words
        self._figures = np.zeros((0, 3))  # uses, weight, recent weight

    def _take(self, rows: Sequence[tuple[int, str, int, float, float, int]]) -> None:
        """Take in words of the file that are new or have changed."""
        homes = []
        for identity, word, *_, changed in rows:
            self._since = max(self._since, changed)
            if identity not in self._slots:
                self._slots[identity] = len(self._words)
                self._words.append(word)
                self._ids[word] = identity
                known = self._vocabulary.index.get(word) if word else END
                homes.append(-1 if known is None else known - FIRST_OUTPUT)
        if homes:
            self._homes = np.append(self._homes, homes)
            self._figures = np.append(self._figures, np.zeros((len(homes), 3)), axis=0)
        if rows:
            self._figures[[self._slots[row[0]] for row in rows]] = [row[2:5] for row in rows]

    def _lay_out(self, after: int) -> None:
        """Give learnt words their places, and make distributions of the words' weights."""
        uses, weights, recent = self._figures.T
        weights, recent = weights / self._unit, recent / self._recent_unit
        foreign = self._homes < 0
        learnt = np.flatnonzero(foreign & (uses >= after) & (weights >= FADED))
        self._places = np.where(foreign, _UNKNOWN, self._homes)
        if self._usual is not None:
            own = np.bincount(self._places, weights, self._outputs).astype(np.float64)
            self._tilt = tilt_of(own, self.personal.expected(self._key), self._usual)
        self._places[learnt] = self._outputs + np.arange(len(learnt))
        self.extras = [self._words[slot] for slot in learnt]
        self._own, self._now = self._summed(weights), self._summed(recent)
        # Of the unknown word's probability each learnt word gets its share of the words that the model
        # doesn't know; so many are left to others as have been new (Witten and Bell 1991, method C).
        self._shares = weights[learnt] / max(weights[foreign].sum() + foreign.sum(), 1.0)

    def _summed(self, weights: FloatArray) -> FloatArray:
        """Weights of words as a distribution, (size,); zeros where nothing weighs anything."""
        found: FloatArray = np.bincount(self._places, weights, self.size).astype(np.float64)
        total = found.sum()
        return found / total if total > 0 else found

    def _spread(self, given: FloatArray) -> FloatArray:
        """The model's distribution, tilted, with the unknown word's part shared by the learnt words."""
        if self._usual is not None:
            given = tilted(given, self._tilt)
        found = np.zeros(self.size)
        found[: self._outputs] = given
        found[self._outputs :] = given[_UNKNOWN] * self._shares
        found[_UNKNOWN] *= 1 - self._shares.sum()
        return found

    def _context(self, words: Sequence[str]) -> tuple[int, Followers, Followers]:
        """The kind of context that the last words are, and what came after the last one and two."""
        last = self._ids.get(words[-1]) if words else BEGIN
        pairs = _NONE if last is None else self._after(ANY, last)
        triples = _NONE
        if words and last is not None:
            before = self._ids.get(words[-2]) if len(words) > 1 else BEGIN
            triples = _NONE if before is None else self._after(before, last)
        # A message's first word, where two words can't be known, is told from words that come too rarely.
        two = _level(triples.uses, _TRIPLES) if words else len(_TRIPLES) + 1
        return two * (len(_PAIRS) + 1) + _level(pairs.uses, _PAIRS), pairs, triples

    def _after(self, before: int, last: int) -> Followers:
        found = self._followers.get((before, last))
        if found is None:
            if len(self._followers) >= _CACHED:
                self._followers.clear()
            rows = self.personal.followers(before, last)
            found = _NONE
            # What another process has learnt since `refresh` is for the next one.
            if rows := [row for row in rows if row[0] in self._slots]:
                places = self._places[[self._slots[word] for word, _ in rows]]
                shares = np.array([weight for _, weight in rows])
                total = shares.sum()
                found = Followers(places, shares / total, float(total / self._unit))
            self._followers[before, last] = found
        return found

    def _there(self, pairs: Followers, triples: Followers) -> npt.NDArray[np.bool_]:
        """Which sources know anything here, (sources,)."""
        return np.array([True, self._own.any(), self._now.any(), pairs.uses > 0, triples.uses > 0])


def _shared_out(weights: FloatArray, there: npt.NDArray[np.bool_]) -> FloatArray:
    """A kind's weights, with those of sources that know nothing here shared by the others."""
    found: FloatArray = weights * there
    found /= found.sum()
    return found


def _level(uses: float, edges: Sequence[float]) -> int:
    return sum(uses > edge for edge in edges)


def as_given(log_p: npt.NDArray[np.float32]) -> FloatArray:
    """Log-probabilities in float32 as probabilities in float64 that sum to one."""
    p = np.exp(np.asarray(log_p, np.float64))
    found: FloatArray = p / p.sum()
    return found
