"""A model that learns of new words: what it knew, it predicts as before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nwp.model.bundle import Bundle
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import UNKNOWN, Vocabulary


def grown_bundle(bundle: Bundle, vocabulary: Vocabulary, shares: Sequence[float]) -> Bundle:
    """The bundle for a vocabulary that has more words behind its own; its n-grams are of the old ones.

    A new word is read, and scored, by the weights of the unknown word, which it was so far. Of that word's
    probability each takes its one of `shares` (together less than 1) and the unknown word keeps the rest:
    so nothing else is predicted otherwise than before, and training moves the new words on from there.
    """
    unknown = UNKNOWN - bundle.config.first_output
    taken = np.array(shares, np.float32)
    if len(vocabulary.words) != len(bundle.vocabulary.words) + len(taken) or taken.sum() >= 1:
        raise ValueError("there must be a share for each new word, and some left of the unknown")
    tensors = dict(bundle.tensors)
    tensors["embed.weight"] = _more(tensors["embed.weight"], UNKNOWN, len(taken))
    if "out.weight" in tensors:
        tensors["out.weight"] = _more(tensors["out.weight"], unknown, len(taken))
    bias = _more(tensors["out.bias"], unknown, len(taken))
    bias[len(bias) - len(taken) :] += np.log(taken)
    bias[unknown] += np.log1p(-taken.sum())
    tensors["out.bias"] = bias
    known = bundle.frequencies[unknown]
    frequencies = [*bundle.frequencies, *(known * share for share in taken.tolist())]
    frequencies[unknown] = known * float(1 - taken.sum())
    return replace(
        bundle,
        config=replace(bundle.config, vocabulary=len(vocabulary)),
        vocabulary=vocabulary,
        frequencies=tuple(frequencies),
        tensors=tensors,
    )


def _more(rows: FloatArray, which: int, times: int) -> FloatArray:
    """The rows, (n, …), and behind them one of them so many times, (n + times, …)."""
    return np.concatenate([rows, np.repeat(rows[which : which + 1], times, axis=0)])
