"""What else could have been done with the same text: word counts, a trigram, each user alone.

The first two pool everybody's text in one place: they are central, not federated, and are for a
corpus of the caller's own. The third is federated learning's other end: no averaging at all.
All are scored on the same targets over the same vocabulary as the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nwp.evaluation.counts import Counts, Scored, count
from nwp.evaluation.ngrams import KneserNey, Unigram
from nwp.evaluation.scoring import score
from nwp.federated.kernel import Kernel
from nwp.federated.local import LocalWork, seed_for, take_steps
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.text.vocabulary import END, UNKNOWN, Encoded

# Tried for each user's own model, as factors of the federated run's learning rate.
RATES = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Parts:
    """One user's messages as ids."""

    train: Encoded
    valid: Encoded
    test: Encoded


def ngram_counts(users: Sequence[Parts], vocabulary_size: int) -> dict[str, list[Counts]]:
    """Baseline name to counts of each user's test part; fitted on all users' train parts."""
    train = [user.train for user in users]
    models: dict[str, Unigram | KneserNey] = {
        "unigram": Unigram.fit(train, vocabulary_size),
        "trigram_kn": KneserNey.fit(train, vocabulary_size),
    }
    everybody = join([user.test for user in users])
    scored = {name: model.score(everybody) for name, model in models.items()}
    return {
        name: [
            count(s, user.test.targets, user.test.addresses, end=END, unknown=UNKNOWN)
            for s, user in zip(split_scores(found, users), users, strict=True)
        ]
        for name, found in scored.items()
    }


def join(parts: Sequence[Encoded]) -> Encoded:
    """Several users' messages end to end, to be scored in one go."""
    shifts = np.cumsum([0, *(len(p.targets) for p in parts)])
    offsets = [p.offsets[:-1] + shift for p, shift in zip(parts, shifts, strict=False)]
    return Encoded(
        inputs=np.concatenate([p.inputs for p in parts]),
        marks=np.concatenate([p.marks for p in parts]),
        targets=np.concatenate([p.targets for p in parts]),
        addresses=np.concatenate([p.addresses for p in parts]),
        offsets=np.concatenate([*offsets, shifts[-1:]]).astype(np.int64),
    )


def split_scores(scored: Scored, users: Sequence[Parts]) -> Iterator[Scored]:
    """The scores of joined test parts, user by user."""
    start = 0
    for user in users:
        stop = start + len(user.test.targets)
        yield Scored(scored.nll[start:stop], scored.rank[start:stop])
        start = stop


def local_only(
    start: FloatArray,
    config: ModelConfig,
    work: LocalWork,
    passes: int,
    users: Sequence[tuple[Parts, int]],
) -> list[Counts]:
    """Each user's own model on their own test part, as good as it can be made; `users` is parts and
    seed.

    From the same start weights as the federated run, as many passes over the user's messages as
    the user took part in there (`passes`), the best of three learning rates and of all passes by
    the user's own valid part (without one, the start weights stay).
    """
    model, kernel = NextWordModel(config), Kernel(config)
    return [_best_of(model, kernel, start, work, passes, parts, seed) for parts, seed in users]


def _best_of(
    model: NextWordModel,
    kernel: Kernel,
    start: FloatArray,
    work: LocalWork,
    passes: int,
    parts: Parts,
    seed: int,
) -> Counts:
    """One user's own model: of the start and all passes at all rates, the best by valid loss."""
    model.set_weights(start)
    best, best_weights = _valid_loss(model, parts), model.flat.clone()
    for factor in RATES:
        rate = replace(work, learning_rate=work.learning_rate * factor, epochs=1)
        rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        kernel.load(torch.from_numpy(start))
        for _ in range(passes):
            for _ in take_steps(kernel, parts.train, rate, rng, generator):
                pass
            model.set_weights(kernel.flat)
            loss = _valid_loss(model, parts)
            if loss < best:
                best, best_weights = loss, kernel.flat.clone()
    model.set_weights(best_weights)
    return _count(model, parts.test)


def _valid_loss(model: NextWordModel, parts: Parts) -> float:
    """Mean nats a known word of the valid part; 0 without any, so that nothing is better."""
    counts = _count(model, parts.valid)
    return counts.nll / max(counts.known, 1)


def _count(model: NextWordModel, data: Encoded) -> Counts:
    return count(score(model, data), data.targets, data.addresses, end=END, unknown=UNKNOWN)


def seeds(users: Sequence[str], seed: int) -> list[int]:
    """A seed for each user's own model."""
    return [seed_for(seed, "local only", user) for user in users]
