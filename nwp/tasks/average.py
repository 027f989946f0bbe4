"""Average the weights of several bundles that began from the same one: "model soups".

Runs that go on from the same weights, with other seeds, rates or orders of users, end in places between
which the loss hardly rises; their mean is often better than each of them, and costs no more to use
(Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time", arXiv 2203.05482, section 2). Of bundles that were trained from
different beginnings the mean is worth nothing, and nobody can tell that from the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nwp import __version__
from nwp.errors import BadInput, BadSettings
from nwp.model.bundle import FILES, Bundle, load_bundle
from nwp.tasks.places import check_place, put_bundle


def average_bundles(
    parts: Sequence[Path],
    out: Path,
    shares: Sequence[float] = (),
    *,
    command: str = "",
    force: bool = False,
) -> dict[str, Any]:
    """Write the mean of the bundles in the folders `parts` to `out`; what `nwp model average --json` prints.

    `shares` say how much each counts, up to a factor; without any, all count alike. BadSettings for
    shares that can't be, BadInput for bundles that do not fit together or when `out` holds something
    that may not be replaced. Stopped at any point, it leaves `out` as it was.
    """
    shares = _checked(shares, len(parts))
    check_place(out, *parts, force=force)
    bundles = [load_bundle(part) for part in parts]
    names = [part.resolve().name for part in parts]
    for bundle, name in zip(bundles, names, strict=True):
        _check_fit(bundles[0], bundle, names[0], name)
    told_of = [{"model": name, "share": share} for name, share in zip(names, shares, strict=True)]
    mean = average_of(bundles, shares)
    about = {**mean.about, "averaged": _averaged(bundles, told_of), "command": command}
    put_bundle(replace(mean, about=about), out)
    return {
        "model": str(out),
        "parts": told_of,
        "parameters": mean.config.parameters,
        "storage": mean.storage,
        "ngrams_left_out": any(bundle.expert is not None for bundle in bundles),
        "bytes": sum((out / name).stat().st_size for name in FILES if (out / name).exists()),
    }


def average_of(bundles: Sequence[Bundle], shares: Sequence[float]) -> Bundle:
    """The mean of bundles that fit together; `shares` sum to one.

    Sizes, words, frequencies and storage are the first one's. N-grams are left out: how much they count
    was learnt beside other weights. Sums are in float64, weights in float32.
    """
    first = bundles[0]
    pairs = list(zip(bundles, shares, strict=True))
    tensors = {
        name: np.sum(
            [share * each.tensors[name].astype(np.float64) for each, share in pairs], axis=0
        ).astype(np.float32)
        for name in first.tensors
    }
    words = [bundle.about["words"] for bundle in bundles]
    about = {
        **{key: value for key, value in first.about.items() if key != "ngrams"},
        "nwp": __version__,
        "corpus": ", ".join(dict.fromkeys(str(bundle.about["corpus"]) for bundle in bundles)),
        # Who is in several of them is not known: as many as in the largest, at least.
        "users": max(bundle.about["users"] for bundle in bundles),
        "workers": max(bundle.about["workers"] for bundle in bundles),
        "words": None if None in words else max(map(int, words)),
        "best_round": None,
        "valid": dict.fromkeys(first.about["valid"]),
    }
    return replace(first, tensors=tensors, about=about, expert=None)


def _averaged(bundles: Sequence[Bundle], told_of: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the card tells of each part."""
    return [
        {
            **told,
            "corpus": bundle.about["corpus"],
            "users": bundle.about["users"],
            "rounds": bundle.about["training"]["rounds"],
            "plan": bundle.about["training"]["plan"],
        }
        for told, bundle in zip(told_of, bundles, strict=True)
    ]


def _checked(shares: Sequence[float], parts: int) -> list[float]:
    """Shares that sum to one."""
    if parts < 2:
        raise BadSettings("one bundle alone has no average", "Name two bundles or more.")
    if not shares:
        return [1 / parts] * parts
    if len(shares) != parts:
        raise BadSettings(
            f"{len(shares)} weights for {parts} bundles", "Give one a bundle, with commas between."
        )
    if not all(math.isfinite(share) and share > 0 for share in shares):
        raise BadSettings(
            f"weights {', '.join(map(str, shares))}: each must be above 0", "For example 0.85,0.15."
        )
    return [share / math.fsum(shares) for share in shares]


def _check_fit(first: Bundle, other: Bundle, first_name: str, name: str) -> None:
    """BadInput when the mean of two bundles can't be, or could not be told of truly."""
    if other.about.get("personalized"):
        raise BadInput(
            f"{name} was fine-tuned on one person's messages",
            "Average what it began from: `nwp personalize` itself looks for the best part of the way.",
        )
    if other.vocabulary.words != first.vocabulary.words:
        raise BadInput(
            f"{first_name} and {name} know other words: their weights speak of different things",
            "Only runs that began from the same bundle can be averaged: nwp train --from BUNDLE.",
        )
    # Dropout is of training alone.
    if replace(other.config, dropout=first.config.dropout) != first.config:
        raise BadInput(
            f"{first_name} and {name} have other sizes",
            "Only runs that began from the same bundle can be averaged: nwp train --from BUNDLE.",
        )
