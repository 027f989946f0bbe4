"""The phase that asks workers for n-grams, and the expert made of what they say.

A worker counts the pairs and triples of its users' training text and sends those that at least k of
its own users wrote, with their counts summed over users; a worker of fewer than k users sends none.
The threshold holds on each worker, before anything leaves: that the same n-gram is rare here and there
does not make it safe anywhere. It is k-anonymity for n-grams (Sweeney 2002), not differential privacy:
who knows the text of k - 1 users of a worker can tell what the last one added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nwp.errors import BadMessage
from nwp.federated.parcel import AnyArray, ArraySpec, Parcel, Schema
from nwp.federated.plan import NgramsPlan, Plan
from nwp.federated.protocol import Phase, WorkerSide
from nwp.model.expert import SHIFT, Expert, Order, key_of, usual_weights
from nwp.text.contexts import trigrams
from nwp.text.vocabulary import BEGIN, END, FIRST_OUTPUT, Encoded

IntArray = npt.NDArray[np.int64]
# N-grams of one order: contexts' keys, words' ids and counts, (grams,) each, in order of the first two.
Grams = tuple[IntArray, IntArray, IntArray]

ORDERS = ("pairs", "triples")
_MOST = 1 << 40  # of a count, so that sums stay far within 64 bits


def shared_ngrams(users: Sequence[Encoded], size: int, k: int) -> dict[str, Grams]:
    """The pairs and triples that at least k of the users wrote; `size` is the number of ids."""
    found = {}
    for name in ORDERS:
        mine = [_counted(user, size, name) for user in users] if len(users) >= k else []
        found[name] = _at_least(mine, k)
    return found


def _counted(user: Encoded, size: int, name: str) -> Grams:
    """One user's n-grams."""
    before, last, words = trigrams([user], size)
    contexts = key_of(before if name == "triples" else None, last)
    return _summed(contexts, words, np.ones(len(words), np.int64))[:3]


def _at_least(parts: Sequence[Grams], k: int) -> Grams:
    """The sum of several sets of n-grams, without those that fewer than k of them have."""
    joined = [np.concatenate([np.zeros(0, np.int64), *some]) for some in zip(*parts, strict=True)]
    contexts, words, counts, sets = _summed(*(joined or [np.zeros(0, np.int64)] * 3))
    kept = sets >= k
    return contexts[kept], words[kept], counts[kept]


def _summed(
    contexts: IntArray, words: IntArray, counts: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Equal n-grams added up, in order; and how many there were of each."""
    order = np.lexsort((words, contexts))
    contexts, words, counts = contexts[order], words[order], counts[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(contexts) != 0) | (np.diff(words) != 0)
    starts = np.flatnonzero(new)
    if not len(starts):
        return contexts, words, counts, counts
    sums = np.add.reduceat(counts, starts)
    return contexts[new], words[new], sums, np.diff(np.append(starts, len(order)))


def _request(plan: Plan) -> Schema:
    if not isinstance(plan, NgramsPlan):
        raise BadMessage(f"a {plan.kind} plan does not allow to ask for n-grams")
    return Schema()


def _reply(plan: Plan) -> Schema:
    one = ArraySpec("int64", (None,))
    return Schema(
        {"users": int},
        {f"{name}.{part}": one for name in ORDERS for part in ("contexts", "words", "counts")},
    )


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    """On the worker: apply the threshold k here, before anything is sent."""
    plan = worker.plan
    assert isinstance(plan, NgramsPlan)
    found = shared_ngrams(worker.encoded("train"), plan.model.vocabulary, plan.k)
    arrays: dict[str, AnyArray] = {}
    for name, parts in found.items():
        arrays |= {
            f"{name}.{part}": array
            for part, array in zip(("contexts", "words", "counts"), parts, strict=True)
        }
    return Parcel({"users": len(worker.names)}, arrays)


def read_ngrams(plan: NgramsPlan, reply: Parcel) -> dict[str, Grams]:
    """On the server: what one worker said. BadMessage for what can't be n-grams of the vocabulary."""
    found = {}
    size = plan.model.vocabulary
    for name in ORDERS:
        contexts, words, counts = (
            reply.arrays[f"{name}.{part}"] for part in ("contexts", "words", "counts")
        )
        if not len(contexts) == len(words) == len(counts):
            raise BadMessage("n-grams and their counts are not as many")
        last, before = contexts & ((1 << SHIFT) - 1), contexts >> SHIFT
        right = (
            _are_contexts(last, size)
            and (_are_contexts(before, size) if name == "triples" else not before.any())
            and bool(((words >= FIRST_OUTPUT) & (words < size)).all())
            and bool(((counts >= plan.k) & (counts < _MOST)).all())
            and bool(((np.diff(contexts) > 0) | (np.diff(words) > 0)).all())
            and bool((np.diff(contexts) >= 0).all())
        )
        if not right:
            raise BadMessage("a worker reports n-grams that are none of this vocabulary")
        found[name] = contexts, words, counts
    return found


def _are_contexts(ids: IntArray, size: int) -> bool:
    """Are these ids of words that something can follow?"""
    return bool(((ids == BEGIN) | ((ids > END) & (ids < size))).all())


def expert_of(plan: NgramsPlan, answers: Mapping[str, Parcel]) -> Expert:
    """On the server: all workers' n-grams added up, with weights as before any were learnt."""
    said = [read_ngrams(plan, answers[worker]) for worker in sorted(answers)]
    orders = {}
    for name in ORDERS:
        contexts, words, counts = _at_least([each[name] for each in said], 1)
        orders[name] = Order.of(contexts, words - FIRST_OUTPUT, counts)
    return Expert(plan.k, orders["pairs"], orders["triples"], usual_weights())


NGRAMS = Phase(
    "ngrams", _request, _reply, _answer, lambda plan, worker, reply: read_ngrams(plan, reply)
)
