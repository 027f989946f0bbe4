"""Hold several models against each other on the same words of the same users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nwp.corpus.types import Corpus
from nwp.errors import BadSettings, Refused
from nwp.evaluation.counts import Counts, Rows, metrics
from nwp.evaluation.over_users import intervals, spread
from nwp.evaluation.paired import Comparison, compare
from nwp.foreign.door import kind_of
from nwp.model.bundle import load_bundle
from nwp.tasks.evaluate import EvaluateOptions, evaluate_bundle


@dataclass(frozen=True)
class Compared:
    """Each model's counts by user, by its name, and each but the first held against the first.

    `without_ngrams` as for `Evaluation`."""

    users: Sequence[str]
    models: Mapping[str, Rows]
    pairs: Mapping[str, Comparison]
    without_ngrams: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """What `nwp compare --json` prints; users who gain or lose most are told by name."""
        names = list(self.users)
        first = next(iter(self.models))
        return {
            "users": len(names),
            "models": [
                {
                    "model": name,
                    **metrics(Counts.from_row(rows.sum(0))),
                    "intervals": intervals(rows),
                    "over_users": spread(rows),
                }
                for name, rows in self.models.items()
            ],
            "pairs": [
                {"first": first, "second": name, **_named(pair.as_json(), names)}
                for name, pair in self.pairs.items()
            ],
            **({"without_ngrams": list(self.without_ngrams)} if self.without_ngrams else {}),
        }


def _named(pair: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    for figure in pair["by_user"].values():
        for key in ("gained", "lost"):
            figure[key] = [names[i] for i in figure[key]]
    return pair


def compare_models(
    corpus: Corpus,
    models: Sequence[Path],
    options: EvaluateOptions,
    watch: Callable[[int, int], None] = lambda done, users: None,
) -> Compared:
    """Evaluate each model, bundle or not, and the first one's baselines, user by user.

    BadSettings when there is only one model and no baseline. Refused where rows of users are withheld:
    without them nobody can be compared with themselves.
    """
    if len(models) + len(options.baselines) < 2:
        raise BadSettings(
            "one model alone can't be compared",
            "Name another model, or baselines: --with unigram,trigram_kn.",
        )
    if not corpus.own:
        raise Refused(
            "models are compared user by user, and these users' rows are not yours to see",
            "Evaluate each model by itself: nwp evaluate.",
        )
    # Models without words of their own choose among those of the first bundle.
    bundle = next((model for model in models if not kind_of(model)), None)
    words = load_bundle(bundle).vocabulary if bundle else None
    rows: dict[str, Rows] = {}
    without: Sequence[str] = ()
    users = sorted(corpus.users)
    for i, model in enumerate(models):
        found = evaluate_bundle(
            corpus, model, options if i == 0 else replace(options, baselines=()), watch, words
        )
        rows[_unused(model.name or str(model), rows)] = found.rows
        without = without or found.without_ngrams
        for name, counts in found.baselines.items():
            rows[name] = np.array([counts[user].as_row() for user in users])
    first = next(iter(rows.values()))
    pairs = {name: compare(first, mine) for name, mine in list(rows.items())[1:]}
    return Compared(users, rows, pairs, without)


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    """The name, or with a number behind it."""
    number = 2
    found = name
    while found in taken:
        found, number = f"{name} {number}", number + 1
    return found
