"""Which n-grams leave a worker, against counting by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadMessage, BadSettings
from nwp.federated.ngrams import NGRAMS, ORDERS, expert_of, read_ngrams, shared_ngrams
from nwp.federated.parcel import Parcel
from nwp.federated.plan import NgramsPlan
from nwp.model.config import ModelConfig
from nwp.model.expert import SHIFT
from nwp.text.vocabulary import BEGIN, END, FIRST_OUTPUT, FIRST_WORD, Encoded

WORDS = ("a", "b", "c")
SIZE = FIRST_WORD + len(WORDS)
PLAN = NgramsPlan(ModelConfig(vocabulary=SIZE, embedding=2, hidden=2, projection=2), WORDS, k=2)
USERS = st.lists(
    st.lists(st.lists(st.integers(4, SIZE - 1), min_size=1, max_size=5), max_size=4), max_size=4
)


def laid(messages: list[list[int]]) -> Encoded:
    lengths = [len(message) + 1 for message in messages]
    targets = np.array([t for m in messages for t in [*m, END]], np.int32)
    zeros = np.zeros(len(targets), np.int32)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    return Encoded(zeros, zeros, targets, zeros.astype(bool), offsets)


def by_hand(users: list[list[list[int]]], k: int, order: int) -> dict[tuple[int, int], int]:
    counts: Counter[tuple[int, int]] = Counter()
    writers: Counter[tuple[int, int]] = Counter()
    for messages in users:
        mine: Counter[tuple[int, int]] = Counter()
        for message in messages:
            row = [BEGIN, BEGIN, *message, END]
            for i in range(2, len(row)):
                context = row[i - 1] if order == 1 else row[i - 2] << SHIFT | row[i - 1]
                mine[context, row[i]] += 1
        counts += mine
        writers.update(mine.keys())
    return {gram: n for gram, n in counts.items() if writers[gram] >= k and len(users) >= k}


def said(users: list[list[list[int]]], k: int) -> Parcel:
    """A worker's answer."""
    found = shared_ngrams([laid(messages) for messages in users], SIZE, k)
    parts = ("contexts", "words", "counts")
    arrays = {f"{n}.{p}": a for n in ORDERS for p, a in zip(parts, found[n], strict=True)}
    return Parcel({"users": len(users)}, arrays)


@given(USERS, st.integers(1, 3))
def test_only_what_k_users_wrote_leaves_and_all_of_it(users, k):
    found = shared_ngrams([laid(messages) for messages in users], SIZE, k)
    for order, name in enumerate(ORDERS, 1):
        contexts, words, counts = found[name]
        grams = dict(
            zip(zip(contexts.tolist(), words.tolist(), strict=True), counts.tolist(), strict=True)
        )
        assert grams == by_hand(users, k, order)
        assert len(grams) == len(contexts)


@given(USERS, USERS)
def test_the_server_adds_workers_up(first, second):
    answers = {"worker-2": said(second, 2), "worker-1": said(first, 2)}
    for reply in answers.values():
        NGRAMS.reply(PLAN).check(reply)
        NGRAMS.check(PLAN, "worker-1", reply)
    expert = expert_of(PLAN, answers)
    for number, (name, order) in enumerate(
        (("pairs", expert.pairs), ("triples", expert.triples)), 1
    ):
        wanted = Counter(by_hand(first, 2, number)) + Counter(by_hand(second, 2, number))
        totals: Counter[int] = Counter()
        for (context, _), count in wanted.items():
            totals[context] += count
        rows = np.repeat(order.contexts, np.diff(order.starts)[:-1]).tolist()
        shares = {
            (c, w + FIRST_OUTPUT): s
            for c, w, s in zip(rows, order.words.tolist(), order.shares.tolist(), strict=True)
        }
        assert shares == pytest.approx({g: n / totals[g[0]] for g, n in wanted.items()}), name
        assert dict(zip(order.contexts.tolist(), order.uses[:-1].tolist(), strict=True)) == totals


REPLY = said([[[5, 6], [6, 7]], [[5, 6, 7]]], 2)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("pairs.words", [0, 0, 0, 0, 0]),
        ("pairs.words", [SIZE] * 5),
        ("pairs.counts", [1] * 5),  # fewer than k
        ("pairs.counts", [1 << 41] * 5),
        ("pairs.contexts", [1, 1, 1, 1, 1]),
        ("pairs.contexts", [-1, 5, 6, 6, 7]),
        ("pairs.contexts", [END, 5, 6, 6, 7]),
        ("pairs.contexts", [1 | 5 << SHIFT, 2 | 5 << SHIFT, 5 << SHIFT, 6 << SHIFT, 7 << SHIFT]),
        ("triples.contexts", [9 << SHIFT]),
        ("pairs.counts", []),
    ],
)
def test_what_can_be_no_ngrams_is_refused(name, values):
    arrays = {**REPLY.arrays, name: np.array(values, np.int64)}
    read_ngrams(PLAN, REPLY)
    with pytest.raises(BadMessage):
        read_ngrams(PLAN, Parcel({"users": 2}, arrays))


def test_a_plan_asks_for_one_user_at_least():
    with pytest.raises(BadSettings, match="k = 0"):
        replace(PLAN, k=0)
