"""The n-gram expert: what followed the last word and the last two, mixed with the LSTM.

    p(w | u v) = a LSTM(w) + b c(v w) / c(v .) + c c(u v w) / c(u v .)

An LSTM of a keyboard's size knows what is usual; which words follow "sudo apt-get" it has to squeeze
into its weights, and counts simply have it. The counts are of n-grams that several users wrote
(`nwp.federated.ngrams`), so that a table of them holds nobody's own. The mixture is that of Jelinek and
Mercer (1980, "Interpolated estimation of Markov source parameters from sparse data"): its weights
depend on how often the two contexts were seen (`kind_of`) and are learnt on text that was not counted
(`nwp.evaluation.weighing`). A source that knows nothing of a context leaves its share to the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nwp.text.contexts import find, followers, starts_of

IntArray = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[Any]]

SOURCES = ("model", "pairs", "triples")
EDGES = (0, 10, 50, 250)  # uses of a context up to which it is of the next kind
LEVELS = len(EDGES) + 1
KINDS = LEVELS * LEVELS
# Weights before any were learnt, and how many words they count for.
PRIOR = np.array([0.7, 0.15, 0.15])
STRENGTH = 20.0
SHIFT = 20  # bits of an id in a context's key: vocabularies are smaller than a million words
_ORDERS = ("pairs", "triples")
_PARTS = ("contexts", "uses", "sizes", "words", "shares")


@dataclass(frozen=True)
class Order:
    """What followed the contexts of one length, as `nwp.text.contexts` lays it out.

    `contexts` int64 (contexts,) are ascending keys (`key_of`), `uses` int64 (contexts + 1,) how often each
    was followed, 0 at the end for what was never seen; `starts` int64 (contexts + 2,); `words` int64
    (grams,) are places among the outputs, ascending within a context, and `shares` float32 (grams,)
    sum to one over it.
    """

    contexts: IntArray
    uses: IntArray
    starts: IntArray
    words: IntArray
    shares: npt.NDArray[np.float32]

    @classmethod
    def of(cls, contexts: IntArray, words: IntArray, counts: IntArray) -> Order:
        """From n-grams, (grams,) each, in order of context and word."""
        keys, at, sizes = np.unique(contexts, return_inverse=True, return_counts=True)
        uses = np.bincount(at, counts, len(keys) + 1).astype(np.int64)
        shares = (counts / np.maximum(uses[at], 1)).astype(np.float32)
        return cls(keys, uses, starts_of(sizes), words, shares)


@dataclass(frozen=True)
class Expert:
    """N-grams that at least `k` users of a worker wrote, and the mixture's weights.

    `weights` float32 (KINDS, sources); rows sum to one.
    """

    k: int
    pairs: Order
    triples: Order
    weights: npt.NDArray[np.float32]

    @property
    def grams(self) -> int:
        """How many n-grams there are."""
        return len(self.pairs.words) + len(self.triples.words)

    def look(self, before: IntArray, last: IntArray) -> Contexts:
        """What is known of n contexts, given the ids of the last two words of each, (n,) both."""
        pairs = find(self.pairs.contexts, key_of(None, last))
        triples = find(self.triples.contexts, key_of(before, last))
        kinds = kind_of(self.pairs.uses[pairs], self.triples.uses[triples])
        there = np.ones((len(last), len(SOURCES)), bool)
        there[:, 1] = pairs < len(self.pairs.contexts)
        there[:, 2] = triples < len(self.triples.contexts)
        return Contexts(pairs, triples, kinds, there)

    def shares_of(self, found: Contexts) -> npt.NDArray[np.float32]:
        """How much each source counts in each context, (n, sources); rows sum to one."""
        return available(self.weights[found.kinds], found.there)

    def _places_of(self, found: Contexts) -> Iterator[tuple[int, tuple[Order, IntArray]]]:
        """Each source of n-grams by its number, and where the contexts are in it."""
        return iter(enumerate(((self.pairs, found.pairs), (self.triples, found.triples)), 1))

    def mix(
        self, before: IntArray, last: IntArray, p: npt.NDArray[Any], places: IntArray | None = None
    ) -> None:
        """Turn the model's distributions p (n, outputs) into the mixture's, in place. `places` tells
        the column of each output, where they are not in order."""
        found = self.look(before, last)
        shares = self.shares_of(found)
        p *= shares[:, :1]
        for source, (order, at) in self._places_of(found):
            rows, grams = followers(order.starts, at)
            words = order.words[grams]
            columns = words if places is None else places[words]
            # A word follows a context once: no cell is added to twice.
            p[rows, columns] += shares[rows, source] * order.shares[grams]

    def probabilities(
        self, found: Contexts, words: IntArray, p: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """What each source gives to one word a context, (n, sources); the model gave it p, (n,)."""
        each = np.zeros((len(words), len(SOURCES)))
        each[:, 0] = p
        for source, (order, at) in self._places_of(found):
            rows, grams = followers(order.starts, at)
            same = order.words[grams] == words[rows]
            each[rows[same], source] = order.shares[grams[same]]
        return each


@dataclass(frozen=True)
class Contexts:
    """N contexts: where they are among the pairs' and triples', of which kind, and which sources know
    them, bool (n, sources)."""

    pairs: IntArray
    triples: IntArray
    kinds: IntArray
    there: npt.NDArray[np.bool_]


def key_of(before: IntArray | None, last: IntArray) -> IntArray:
    """One key for the last word's id, or the last two words' ids."""
    last = np.asarray(last, np.int64)
    return last if before is None else (np.asarray(before, np.int64) << SHIFT) | last


def kind_of(pairs: IntArray, triples: IntArray) -> IntArray:
    """The kind of contexts that were seen so often, (n,)."""
    level = [np.searchsorted(EDGES, uses) for uses in (pairs, triples)]
    found: IntArray = level[1] * LEVELS + level[0]
    return found


def available(weights: npt.NDArray[Any], there: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """The weights of sources that are there, (n, sources), so that they sum to one."""
    some = weights * there
    found: npt.NDArray[Any] = some / some.sum(1, keepdims=True)
    return found


def learnt(credits: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Weights (KINDS, sources) from words credited to each source."""
    every = credits + STRENGTH * PRIOR
    found: npt.NDArray[np.float32] = (every / every.sum(1, keepdims=True)).astype(np.float32)
    return found


def usual_weights() -> npt.NDArray[np.float32]:
    """Weights before any were learnt, (KINDS, sources)."""
    return learnt(np.zeros((KINDS, len(SOURCES))))


def as_arrays(expert: Expert, outputs: int) -> Arrays:
    """An expert as arrays by name (`types_of`), for a vocabulary of so many outputs."""
    found: Arrays = {"weights": expert.weights, "k": np.array([expert.k])}
    for name in _ORDERS:
        order: Order = getattr(expert, name)
        found |= {
            f"{name}.contexts": order.contexts,
            f"{name}.uses": order.uses[:-1],
            f"{name}.sizes": np.diff(order.starts)[:-1],
            f"{name}.words": order.words,
            f"{name}.shares": order.shares,
        }
    return {name: found[name].astype(kind) for name, kind in types_of(outputs).items()}


def types_of(outputs: int) -> dict[str, str]:
    """Name to numpy type of an expert's arrays: as small as the vocabulary allows."""
    place = "uint16" if outputs <= 1 << 16 else "uint32"
    types = ("int64", "uint32", place, place, "float16")
    each = {f"{n}.{part}": t for n in _ORDERS for part, t in zip(_PARTS, types, strict=True)}
    return {"weights": "float32", "k": "int64"} | each


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], outputs: int) -> Expert:
    """Inverse of `as_arrays` up to rounding, for a vocabulary of so many outputs.

    ValueError when the arrays are others, or do not fit together.
    """
    if {name: str(array.dtype) for name, array in arrays.items()} != types_of(outputs):
        raise ValueError(f"an n-gram expert of {sorted(arrays)}, or of other types")
    pairs, triples = (
        _order({p: arrays[f"{name}.{p}"] for p in _PARTS}, outputs) for name in _ORDERS
    )
    weights, k = arrays["weights"], arrays["k"]
    if weights.shape != (KINDS, len(SOURCES)) or k.shape != (1,) or k[0] < 1:
        raise ValueError("an n-gram expert with other weights")
    if not (np.isfinite(weights).all() and (weights[:, 0] > 0).all() and (weights >= 0).all()):
        raise ValueError("an n-gram expert whose weights are none")
    return Expert(int(k[0]), pairs, triples, weights / weights.sum(1, keepdims=True))


def _order(parts: Mapping[str, npt.NDArray[Any]], outputs: int) -> Order:
    contexts, uses, words = (parts[n].astype(np.int64) for n in ("contexts", "uses", "words"))
    sizes, shares = parts["sizes"].astype(np.int64), parts["shares"].astype(np.float32)
    starts = starts_of(sizes)
    fits = (
        all(array.ndim == 1 for array in parts.values())
        and len(contexts) == len(uses) == len(sizes)
        and len(words) == len(shares) == starts[-1]
        and (sizes > 0).all()
        and (np.diff(contexts) > 0).all()
        and words.max(initial=0) < outputs
        and np.isfinite(shares).all()
        and (shares >= 0).all()
    )
    if fits:
        rows = np.repeat(np.arange(len(sizes)), sizes)
        cells = rows * outputs + words
        totals = np.bincount(rows, shares, len(sizes))
        fits = bool((np.diff(cells) > 0).all() and (totals > 0).all())
    if not fits:
        raise ValueError("the n-grams of an expert do not fit together")
    shares = (shares / totals[rows]).astype(np.float32)
    return Order(contexts, np.append(uses, 0), starts, words, shares)
