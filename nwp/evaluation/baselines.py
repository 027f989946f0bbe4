"""What else could have been done with the same text: word counts, a trigram, one central model, each
user alone, and the shared model tuned by each user.

The n-grams and the central model pool everybody's text in one place: they are not federated, and are for
a corpus of the caller's own. A user's own model is federated learning's other end: no averaging at all.
All are scored on the same targets over the same vocabulary as the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nwp.evaluation.counts import COLUMNS, Rows
from nwp.evaluation.ngrams import KneserNey, Unigram
from nwp.evaluation.scoring import Predictor, count_group, count_rows, count_with, join
from nwp.federated.finetuning import FineTuning, tune_at
from nwp.federated.local import LocalWork, seed_for
from nwp.model.config import ModelConfig
from nwp.model.expert import Expert
from nwp.model.lstm import FloatArray
from nwp.text.spelling import Letters
from nwp.text.vocabulary import Encoded

UNIGRAM, TRIGRAM, LOCAL, UNTRAINED = "unigram", "trigram_kn", "local_only", "untrained"
CENTRAL, PERSONAL = "central", "personal"
NAMES = (UNIGRAM, TRIGRAM, LOCAL, UNTRAINED, CENTRAL, PERSONAL)
USUAL = (UNIGRAM, TRIGRAM, LOCAL, UNTRAINED)
# These pool everybody's text: what federated learning does without.
POOLED = (UNIGRAM, TRIGRAM, CENTRAL)
# These are LSTMs alone, also where the model has an n-gram expert beside it: how much that counts was
# learnt beside the model's own weights. `PERSONAL` goes on from those, and has the expert as the model does.
ALONE = (LOCAL, UNTRAINED, CENTRAL)

# Learning rates that are tried, as factors of the federated run's: from the start weights, and on top
# of the shared model, from which a user's few messages should not lead far away.
RATES = (0.5, 1.0, 2.0)
_GENTLE = (0.02, 0.06, 0.2)
_PERSONAL_PASSES = 3


@dataclass(frozen=True)
class Parts:
    """One user's messages as ids, those that are counted with their letters."""

    train: Encoded
    valid: Encoded
    test: Encoded
    letters: Letters


@dataclass(frozen=True)
class Tuning:
    """How models are trained beside the federated one: `passes` over the messages at each of `rates`.

    The best of all rates and passes, and of the start weights, is the one with the least loss on valid
    messages (without any, the start weights stay). A rate is given up after `patience` passes in which
    it found nothing better.
    """

    work: LocalWork
    passes: int
    rates: tuple[float, ...] = RATES
    patience: int = 8

    def gentle(self) -> Tuning:
        """For weights that are good already."""
        return Tuning(self.work, _PERSONAL_PASSES, _GENTLE)


def count_ngrams(
    shared: FloatArray,
    name: str,
    train: Sequence[Encoded],
    words: tuple[str, ...],
    size: int,
    users: Sequence[Parts],
) -> Rows:
    """Counts of each user's test part under n-grams fitted on `train`; `shared` is not used."""
    predictor: Predictor
    predictor = Unigram.fit(train, size) if name == UNIGRAM else KneserNey.fit(train, size)
    return count_with(predictor, words, [u.test for u in users], [u.letters for u in users])[0]


def own_models(
    start: FloatArray,
    config: ModelConfig,
    tuning: Tuning,
    words: tuple[str, ...],
    users: Sequence[tuple[Parts, int]],
    expert: Expert | None = None,
) -> Rows:
    """Counts of each user's own model on their own test part, as good as it can be made from `start`;
    `users` is parts and seed. With an `expert` each is chosen and counted mixed with it."""
    found = [_own(start, config, tuning, words, parts, seed, expert) for parts, seed in users]
    return np.concatenate(found)


def _own(
    start: FloatArray,
    config: ModelConfig,
    tuning: Tuning,
    words: tuple[str, ...],
    parts: Parts,
    seed: int,
    expert: Expert | None,
) -> Rows:
    tuned = [
        tune(start, config, tuning, rate, parts.train, [parts.valid], seed, expert)
        for rate in tuning.rates
    ]
    best = min(tuned, key=lambda found: found[0])[1]
    return count_group(best, config, words, [parts.test], [parts.letters], expert)[0]


def tune(
    start: FloatArray,
    config: ModelConfig,
    tuning: Tuning,
    rate: float,
    train: Encoded,
    valid: Sequence[Encoded],
    seed: int,
    expert: Expert | None = None,
) -> tuple[float, FloatArray]:
    """Train from `start` at one rate; the least loss on valid messages (mean nats a known word, before
    the first pass or after any; mixed with an `expert`, if there is one) and the weights that have it."""
    every = join(valid)
    how = FineTuning(tuning.work, tuning.passes, tuning.patience)
    found = tune_at(
        start,
        config,
        how,
        tuning.work.learning_rate * rate,
        train,
        lambda weights: known_loss(weights, config, every, expert),
        seed,
    )
    return found.loss, found.weights


def known_loss(
    weights: FloatArray, config: ModelConfig, data: Encoded, expert: Expert | None = None
) -> float:
    """Mean nats a known word under flat weights, mixed with an `expert`, if there is one; 0 without any
    such word, so that nothing is better."""
    counts = count_rows(weights, config, [data], expert)[0]
    known, nll = (counts[COLUMNS.index(name)] for name in ("known", "nll"))
    return float(nll / max(known, 1.0))


def seeds(users: Sequence[str], seed: int) -> list[int]:
    """A seed for each user's own model."""
    return [seed_for(seed, "local only", user) for user in users]
