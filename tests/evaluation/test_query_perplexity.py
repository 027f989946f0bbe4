"""A model's perplexity over many users, as a query: what evaluation counts, bounded and summed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from nwp.errors import BadMessage, NoQuorum
from nwp.evaluation.querying import QUERY_MODEL
from nwp.evaluation.scoring import count_users
from nwp.evaluation.weighing import expert_sent
from nwp.federated.ngrams import expert_of, shared_ngrams
from nwp.federated.parcel import Envelope, Parcel, pack, unpack
from nwp.federated.plan import NgramsPlan, SurveyPlan
from nwp.federated.query_plan import QueryPlan
from nwp.federated.querying import FINE, MOST_NATS, describe_query, sum_over
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded, Vocabulary, encode

WORDS = tuple("abcdefgh")
MODEL = ModelConfig(5 + len(WORDS), 4, hidden=5, projection=4)
WEIGHTS = np.random.default_rng(0).normal(0, 0.6, MODEL.parameters).astype(np.float32)
PLAN = QueryPlan("perplexity", "test", words=WORDS, model=MODEL)
STILL = replace(PLAN, epsilon=1e8, per_user=1000)  # bounded, and noise of next to nothing


@dataclass
class Worker:
    plan: QueryPlan
    users: Sequence[Encoded]

    def encoded(self, part: str) -> Sequence[Encoded]:
        assert part == self.plan.part
        return self.users

    def run(self, function: Any, shared: Any, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        return (function(shared, *task) for task in tasks)


def answer(
    plan: QueryPlan, users: Sequence[Encoded], weights: Any = WEIGHTS, **more: Any
) -> Parcel:
    """Through packing and unpacking, as over the wire, and checked as the server does."""
    envelope = Envelope("ask", "job", "query", 1)
    request = Parcel(arrays={"weights": weights, **more})
    asked = unpack(pack(envelope, request, QUERY_MODEL.request(plan)), QUERY_MODEL.request(plan))[1]
    worker: Any = Worker(plan, users)
    reply = QUERY_MODEL.answer(worker, 1, asked)
    back = unpack(pack(envelope, reply, QUERY_MODEL.reply(plan)), QUERY_MODEL.reply(plan))[1]
    QUERY_MODEL.check(plan, "worker-1", back)
    return back


def known_and_nats(reply: Parcel) -> tuple[int, float]:
    known, parts = reply.arrays["counts"].tolist()
    return known, parts / FINE


@pytest.fixture
def users(drawn: Any) -> list[Encoded]:
    return [drawn(i, 3 + 4 * i, MODEL.vocabulary) for i in range(5)]


def unknown_alone() -> Encoded:
    return encode(["zz zz"], Vocabulary.from_lists(WORDS, {}))


def test_it_adds_up_what_evaluation_counts(users: list[Encoded]) -> None:
    rows = count_users(WEIGHTS, MODEL, users)
    reply = answer(PLAN, users)
    assert reply.fields["users"] == 5
    known, nats = known_and_nats(reply)
    assert known == sum(row.known for row in rows)
    assert nats == pytest.approx(sum(row.nll for row in rows), abs=5 / FINE)
    both = sum_over(PLAN, {"one": reply, "two": answer(PLAN, users[:3])})
    assert both.users == 8
    assert both.counts["known"] == known + sum(row.known for row in rows[:3])


def test_the_expert_of_a_bundle_counts_too(users: list[Encoded]) -> None:
    grams = shared_ngrams(users, MODEL.vocabulary, 2)
    arrays = {
        f"{order}.{name}": array
        for order, some in grams.items()
        for name, array in zip(("contexts", "words", "counts"), some, strict=True)
    }
    expert = expert_of(NgramsPlan(MODEL, WORDS, 2), {"one": Parcel({"users": 5}, arrays)})
    mixed = answer(replace(PLAN, ngrams=True), users, **expert_sent(expert, MODEL.outputs))
    rows = count_users(WEIGHTS, MODEL, users)
    known, nats = known_and_nats(mixed)
    assert known == sum(row.known for row in rows)
    assert abs(nats - sum(row.nll for row in rows)) > 1


def test_users_without_a_known_word_are_no_users(users: list[Encoded]) -> None:
    some = [*users[:3], unknown_alone()]
    assert answer(PLAN, some).fields["users"] == 3
    for plan in (PLAN, STILL):
        with pytest.raises(NoQuorum, match="too few users"):
            answer(plan, some[1:])


def test_with_noise_a_user_counts_for_so_many_words_at_their_mean(users: list[Encoded]) -> None:
    rows = count_users(WEIGHTS, MODEL, users)
    for most in (1, 7, 1000):
        known, nats = known_and_nats(answer(replace(STILL, per_user=most), users))
        words = [min(row.known, most) for row in rows]
        assert known == sum(words)
        means = [row.nll / row.known for row in rows]
        expected = sum(n * mean for n, mean in zip(words, means, strict=True))
        assert nats == pytest.approx(expected, abs=5 / FINE)


def test_with_noise_no_model_makes_a_user_count_for_more(users: list[Encoded]) -> None:
    """Weights come from the server: whatever they are, one user changes the sums by the bounds at most."""
    plan = replace(STILL, per_user=4)
    for scale in (0.0, 30.0, 3e4, 1e19):
        for sign in (1, -1):
            weights = (sign * scale * WEIGHTS).astype(np.float32)
            with np.errstate(all="ignore"):
                before, after = (answer(plan, users[:n], weights) for n in (4, 5))
            changed = (after.arrays["counts"] - before.arrays["counts"]).tolist()
            assert 0 <= changed[0] <= 4
            assert 0 <= changed[1] <= 4 * MOST_NATS * FINE


def test_with_noise_a_user_changes_no_bit_of_the_others(users: list[Encoded]) -> None:
    plan = replace(STILL, per_user=50)
    each = [
        answer(replace(plan, min_users=2), [one, users[0]]).arrays["counts"] for one in users[1:]
    ]
    together = answer(plan, users).arrays["counts"]
    alone = sum(each) - 3 * (
        answer(replace(plan, min_users=2), [users[0]] * 2).arrays["counts"] // 2
    )
    assert together.tolist() == alone.tolist()


def test_weights_beyond_bounds_are_refused(users: list[Encoded]) -> None:
    huge = np.full(MODEL.parameters, 3e38, np.float32)
    with np.errstate(all="ignore"), pytest.raises(BadMessage):
        answer(PLAN, users, huge)


def test_two_answers_with_noise_differ(users: list[Encoded]) -> None:
    plan = replace(PLAN, epsilon=0.5, per_user=20)
    one, two = (answer(plan, users).arrays["counts"].tolist() for _ in range(2))
    assert one != two


def test_an_owner_is_told_of_the_model() -> None:
    assert "a model of 8 words" in describe_query(PLAN)


def test_other_plans_do_not_allow_it() -> None:
    for plan in (SurveyPlan(), QueryPlan("size"), NgramsPlan(MODEL, WORDS)):
        with pytest.raises(BadMessage, match="does not allow"):
            QUERY_MODEL.request(plan)
