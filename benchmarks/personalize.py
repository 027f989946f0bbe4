"""What fine-tuning on one's own messages is worth to each user, alone and with learning while typing.

    python benchmarks/personalize.py CORPUS --model DIR
    python benchmarks/personalize.py CORPUS --model DIR --every 5 --last 60

Each user's train and valid parts make a model of their own, as `nwp personalize` does; it is counted on
their test part. The online learning of `nwp personal` is counted on top of the bundle and of that model,
as in `benchmarks/personal.py`. Perplexities are over the words of the vocabulary, the same everywhere;
top-1 and top-3 are over all words. `--last` leaves each user only their last messages: somebody who has
just begun.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from personal import SHOWN, count_user

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.evaluation.counts import Rows, figures
from nwp.evaluation.scoring import LstmPredictor
from nwp.model.bundle import Bundle, load_bundle
from nwp.tasks.personalize import Outcome, PersonalizeOptions, fine_tuned
from nwp.tasks.start import weights_of
from nwp.text.tokenizer import words_of

WAYS = ("bundle", "fine_tuned", "online", "both")
GAINS = ("fine_tuned", "online", "both")


@dataclass(frozen=True)
class User:
    """Counts (1, columns) of one user's test part each way, and what fine-tuning came to."""

    rows: tuple[Rows, ...]
    outcome: Outcome
    seconds: float


def measured(bundle: Bundle, messages: Sequence[str]) -> User:
    """One user, each way."""
    began = time.perf_counter()
    outcome = fine_tuned(bundle, messages, PersonalizeOptions())
    seconds = time.perf_counter() - began
    found = [
        count_user(bundle, LstmPredictor(bundle.config, weights), messages, "test")
        for weights in (weights_of(bundle), outcome.weights)
    ]
    (plain, online), (tuned, both) = found
    return User((plain, tuned, online, both), outcome, seconds)


def told(users: Sequence[User]) -> dict[str, object]:
    """Pooled figures each way; deciles over users of what each gains, and shares that do."""
    rows = {
        way: np.concatenate(some)
        for way, some in zip(WAYS, zip(*(user.rows for user in users), strict=True), strict=True)
    }
    before = figures(rows["bundle"])
    gains = {}
    for way in GAINS:
        after = figures(rows[way])
        ratio = after["perplexity"] / before["perplexity"]
        changes = {name: after[name] - before[name] for name in ("top1", "top3")}
        quantiles = {"perplexity_ratio": ratio, **changes}
        gains[way] = {
            "deciles_of_users": {
                name: np.nanquantile(values, np.linspace(0, 1, 11)).round(4).tolist()
                for name, values in quantiles.items()
            },
            "users_who_gain": _shares(ratio < 1, **{n: v > 0 for n, v in changes.items()}),
            "users_who_lose": _shares(ratio > 1, **{n: v < 0 for n, v in changes.items()}),
        }
    return {
        "users": len(users),
        "pooled": {
            way: {name: round(float(figures(counts.sum(0))[name]), 4) for name in SHOWN}
            for way, counts in rows.items()
        },
        "gains": gains,
        "kept_the_bundle": sum(not user.outcome.passes for user in users),
        "careful": sum(not user.outcome.chosen for user in users),
        "seconds_to_tune": round(float(np.median([user.seconds for user in users])), 1),
    }


def _shares(perplexity: np.ndarray, **others: np.ndarray) -> dict[str, float]:
    every = {"perplexity": perplexity, **others}
    return {name: round(float(chosen.mean()), 3) for name, chosen in every.items()}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="a file, a folder or a known name")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th user")
    parser.add_argument("--first", type=int, default=0, help="from this user on")
    parser.add_argument("--last", type=int, default=0, help="only so many last messages; 0: all")
    given = parser.parse_args()
    bundle, corpus = load_bundle(given.model), load_corpus(given.corpus)
    found = []
    for name in sorted(corpus.users)[given.first :: given.every]:
        messages = list(corpus.users[name])[-given.last :]
        if all(any(map(words_of, part_of(messages, part))) for part in ("train", "test")):
            found.append(measured(bundle, messages))
    print(json.dumps(told(found), indent=1))


if __name__ == "__main__":
    main()
