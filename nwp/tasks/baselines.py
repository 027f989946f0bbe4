"""Count what else could have been done with the same text, beside a model: n-grams, and the same LSTM
trained otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.evaluation.baselines import (
    CENTRAL,
    LOCAL,
    PERSONAL,
    TRIGRAM,
    UNIGRAM,
    Parts,
    Tuning,
    count_ngrams,
    own_models,
    seeds,
    tune,
)
from nwp.evaluation.counts import Counts, Rows
from nwp.evaluation.scoring import chunks, count_group, join
from nwp.federated.local import LocalWork
from nwp.federated.turns import turns
from nwp.model.bundle import Bundle
from nwp.model.expert import Expert
from nwp.model.lstm import FloatArray
from nwp.tasks.start import start_weights
from nwp.text.spelling import Speller, spell
from nwp.text.vocabulary import Vocabulary, encode
from nwp.workers.engines import Engine

ByUser = dict[str, Counts]


def count_fitted(
    corpus: Corpus, vocabulary: Vocabulary, part: str, names: Sequence[str], engine: Engine
) -> dict[str, ByUser]:
    """Counts by user of the baselines that are fitted on text alone, `names` of these, over any words."""
    users = _encoded(corpus, vocabulary, part) if names else []
    return {n: _by_user(corpus, _ngrams(n, users, vocabulary, engine)) for n in names}


def count_beside(
    corpus: Corpus,
    bundle: Bundle,
    weights: FloatArray,
    part: str,
    names: Sequence[str],
    engine: Engine,
    watch: Callable[[int, int], None],
) -> dict[str, ByUser]:
    """Baseline name, of `names`, to counts by user: trained on train parts, counted on `part`.

    `weights` are the bundle's, flat; `watch` is told how many users' own models of all are done.
    """
    if not names:
        return {}
    users = _encoded(corpus, bundle.vocabulary, part)
    training = bundle.about["training"]
    work = LocalWork(
        batch=training["batch"],
        learning_rate=training["learning_rate"],
        clip_norm=training["clip_norm"],
        max_positions=training["max_positions"],
    )
    tuning, seed = Tuning(work, passes_over(training, users)), training["seed"]
    start = start_weights(bundle.config, bundle.frequencies, seed)
    pairs = list(zip(users, seeds(sorted(corpus.users), seed), strict=True))

    def own(begin: FloatArray, how: Tuning, expert: Expert | None = None) -> Iterator[Rows]:
        words = bundle.vocabulary.words
        tasks = [(bundle.config, how, words, group, expert) for group in chunks(pairs, 2)]
        done = 0
        for rows in engine.run(own_models, begin, tasks):
            done += len(rows)
            watch(done, len(users))
            yield rows

    found = {}
    for name in names:
        if name in (UNIGRAM, TRIGRAM):
            rows = _ngrams(name, users, bundle.vocabulary, engine)
        elif name == LOCAL:
            rows = np.concatenate(list(own(start, tuning)))
        elif name == PERSONAL:
            rows = np.concatenate(list(own(weights, tuning.gentle(), bundle.expert)))
        else:
            flat = start
            if name == CENTRAL:
                flat = _central(start, users, bundle, tuning, seed, engine)
            rows = _lstm(flat, users, bundle, engine)
        found[name] = _by_user(corpus, rows)
    return found


def passes_over(training: Mapping[str, Any], users: Sequence[Parts]) -> int:
    """How often a message was gone through, on average, if these `users` were the ones trained on.

    The card's `passes` are a user's: users drawn by size bring more messages than the average one, and
    users of whom a round takes only so many bring fewer.
    """
    held = np.array([user.train.messages for user in users], np.float64)
    words = np.array([user.train.words for user in users], np.float64)
    passes: int = training["passes"]
    if not words.sum():
        return passes
    by_size = training.get("participation", {}).get("sampling") == "size"
    draws = words / words.mean() if by_size else np.ones(len(users))
    each = [turns(user.train.messages, training.get("messages", 0)) for user in users]
    taken = held / np.maximum(1, each)
    return max(1, math.ceil(passes * float(draws @ taken / held.sum())))


def _by_user(corpus: Corpus, rows: Rows) -> ByUser:
    return dict(zip(sorted(corpus.users), map(Counts.from_row, rows), strict=True))


def _encoded(corpus: Corpus, vocabulary: Vocabulary, part: str) -> list[Parts]:
    """All users' messages as ids, in order of their names."""
    speller = Speller.of(vocabulary)
    found = []
    for user in sorted(corpus.users):
        messages = corpus.users[user]
        counted = part_of(messages, part)
        train, valid = (encode(part_of(messages, name), vocabulary) for name in ("train", "valid"))
        test = encode(counted, vocabulary)
        found.append(Parts(train, valid, test, spell(counted, test, speller)))
    return found


def _ngrams(name: str, users: Sequence[Parts], vocabulary: Vocabulary, engine: Engine) -> Rows:
    train = [user.train for user in users]
    words, size = vocabulary.words, len(vocabulary)
    share = -(-len(users) // max(1, engine.width))
    tasks = [(name, train, words, size, some) for some in chunks(users, share)]
    nothing = np.zeros(1, np.float32)
    return np.concatenate(list(engine.run(count_ngrams, nothing, tasks)))


def _lstm(flat: FloatArray, users: Sequence[Parts], bundle: Bundle, engine: Engine) -> Rows:
    words = bundle.vocabulary.words
    tasks = [
        (bundle.config, words, [u.test for u in some], [u.letters for u in some])
        for some in chunks(users, 8)
    ]
    return np.concatenate([rows for rows, _ in engine.run(count_group, flat, tasks)])


def _central(
    start: FloatArray,
    users: Sequence[Parts],
    bundle: Bundle,
    tuning: Tuning,
    seed: int,
    engine: Engine,
) -> FloatArray:
    """One model of everybody's train text, which sees as many words as the federated run did."""
    train, valid = join([user.train for user in users]), [user.valid for user in users]
    tasks = [(bundle.config, tuning, rate, train, valid, seed) for rate in tuning.rates]
    best: FloatArray = min(engine.run(tune, start, tasks), key=lambda found: found[0])[1]
    return best
