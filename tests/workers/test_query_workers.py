"""Queries over real datasites, and over whatever else reaches workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwp.corpus.types import Corpus
from nwp.errors import BadSettings, NoQuorum
from nwp.evaluation.counts import metrics
from nwp.evaluation.phases import EVALUATE, total
from nwp.federated.parcel import Envelope, Parcel, pack, unpack
from nwp.federated.plan import Plan
from nwp.federated.protocol import FOR_ALL, Phase, Replies, Wait
from nwp.federated.query_plan import QueryPlan
from nwp.federated.querying import BINS, MOST_NATS, QUERY, query_reply
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.tasks.query import Answer, QueryOptions, plan_query, query, query_corpus
from nwp.text.tokenizer import words_of
from nwp.workers.policy import NOTHING, Policy
from nwp.workers.simulation import Simulation

Simulate = Callable[..., Simulation]
SIZE = QueryPlan("size")
WORDS = ("the", "cat", "dog", "sat", "ran", "home", "again")  # as in the corpus here


def words_in(corpus: Corpus) -> Counter[str]:
    return Counter(w for texts in corpus.users.values() for t in texts for w in words_of(t))


# -------------------------------------------------------------------------------------- datasites


def test_the_sum_over_workers_is_that_of_the_corpus(simulation: Simulation, corpus: Corpus) -> None:
    words = words_in(corpus)
    found = query(simulation, SIZE).as_json()
    assert found == {
        "query": "size",
        "part": "all",
        "workers": 2,
        "users": 6,
        "epsilon": 0.0,
        "result": {"messages": 60, "words": words.total()},
        "refused": {},
    }
    shared = query(simulation, QueryPlan("words")).as_json(top=3)["result"]
    assert [(one["word"], one["count"]) for one in shared["words"]] == sorted(
        words.items(), key=lambda pair: (-pair[1], pair[0])
    )[:3]
    assert (shared["shared"], shared["withheld"], shared["listed"]) == (len(words), 0, 0)
    bins = query(simulation, QueryPlan("lengths")).as_json()["result"]["bins"]
    assert sum(one["messages"] for one in bins) == 60
    assert [one["from"] for one in bins] == list(BINS)
    assert (bins[3]["to"], bins[-1]["to"]) == (4, None)
    unknown = query(simulation, QueryPlan("unknown", words=("cat", "home"))).as_json()["result"]
    known = words["cat"] + words["home"]
    assert unknown == {
        "words": words.total(),
        "unknown": words.total() - known,
        "rate": 1 - known / words.total(),
    }


def test_perplexity_is_that_of_an_evaluation(
    simulation: Simulation, model: ModelConfig, weights: FloatArray, evaluation: Any, ask: Any
) -> None:
    replies = ask(simulation, simulation.submit(evaluation, "evaluate"), EVALUATE)
    counts = total(evaluation, replies.answers)
    plan = QueryPlan("perplexity", words=WORDS, model=model)
    found = query(simulation, plan, Parcel(arrays={"weights": weights})).as_json()["result"]
    assert found["words"] == counts.known
    assert found["perplexity"] == pytest.approx(metrics(counts)["perplexity"], rel=1e-4)


def test_a_job_is_closed_behind_a_query(simulation: Simulation) -> None:
    query(simulation, SIZE)
    for datasite in simulation.datasites.values():
        assert [entry.phase for entry in datasite.ledger.entries] == ["query"]


def test_the_same_question_is_answered_once(simulation: Simulation) -> None:
    """So noise can't be averaged away by asking again."""
    plan = replace(SIZE, epsilon=0.5, per_user=9)
    job = simulation.submit(plan, "query")
    asked = dict.fromkeys(simulation.deals, Parcel())
    assert set(simulation.exchange(job)(QUERY, 1, asked).answers) == set(simulation.deals)
    again = simulation.exchange(job)(QUERY, 1, asked)
    assert set(again.absent.values()) == {"it has answered this round already"}


def test_a_worker_of_too_few_users_refuses_and_says_why(simulate: Simulate, corpus: Corpus) -> None:
    more = {**corpus.users, "u7": ("a cat",)}  # workers of 3, 2 and 2 users
    simulation = simulate(3, of=Corpus("more", more))
    with pytest.raises(NoQuorum) as error:
        query(simulation, SIZE)
    assert "1 of 3 workers answered, 2 must" in error.value.message
    assert "worker-2, worker-3: it has too few users with text for that" in error.value.message
    assert error.value.exit_code == 4


def test_who_answers_is_summed_up_and_who_refuses_is_told(
    simulate: Simulate, corpus: Corpus
) -> None:
    found = simulate(3, of=corpus, refusing=frozenset({"worker-3"}))
    plan = replace(SIZE, min_users=2)
    for datasite in found.datasites.values():
        if datasite.policy != NOTHING:
            datasite.policy = Policy(min_query_users=2)
    told = query(found, plan).as_json()
    assert (told["workers"], told["users"]) == (2, 4)
    assert told["refused"] == {"worker-3": "the owner allows no query plan"}


def test_the_owners_policy_limits_queries(simulate: Simulate, model: ModelConfig) -> None:
    simulation = simulate(policy=Policy(min_k=4, min_query_users=5, max_epsilon=0.5, max_layers=1))
    fine = QueryPlan("size", min_users=5)
    deep = replace(model, layers=2)
    plans: dict[str, tuple[QueryPlan, str]] = {
        "users": (replace(fine, min_users=4), "min_users = 4, the owner wants 5 or more"),
        "k": (replace(fine, what="words"), "k = 3, the owner wants 4 or more"),
        "noise": (replace(fine, epsilon=0.6, per_user=3), "epsilon = 0.6, the owner allows 0.5"),
        "model": (
            replace(fine, what="perplexity", words=WORDS, model=deep),
            "2 layers, the owner allows 1",
        ),
    }
    for name, (plan, reason) in plans.items():
        assert set(simulation.submit(plan, name).refused.values()) == {reason}
    allowed = {
        "fine": fine,
        "many": replace(fine, what="words", k=4),
        "little": replace(fine, epsilon=0.5, per_user=3),
        "flat": replace(fine, what="perplexity", words=WORDS, model=model),
    }
    for name, plan in allowed.items():
        assert simulation.submit(plan, name).refused == {}


def test_a_request_with_more_than_agreed_is_refused(simulation: Simulation) -> None:
    job = simulation.submit(SIZE, "query")
    data = pack(
        Envelope("ask", job.digest, "query", 1),
        Parcel({"user": 1}),
        replace(QUERY.request(SIZE), fields={"user": int}),
    )
    simulation.channel.send("worker-1@nwp.example", "odd", data)
    simulation.datasites["worker-1"].serve()
    assert simulation.datasites["worker-1"].ledger.entries == []


@pytest.mark.parametrize(
    "claim",
    [
        {"users": 2},
        {"users": 2**60},
        {"counts": np.array([-1, 9])},
        {"counts": np.array([2, 9])},
        {"counts": np.array([2**60, 9])},
    ],
    ids=str,
)
def test_a_claim_that_cannot_be_makes_its_worker_absent(
    simulation: Simulation, claim: dict[str, Any]
) -> None:
    theirs = simulation.datasites["worker-1"].channel
    send = theirs.send

    def lie(peer: str, name: str, out: bytes) -> int:
        envelope, told = unpack(out, query_reply(SIZE))
        lied = Parcel(
            {n: claim.get(n, v) for n, v in told.fields.items()},
            {n: claim.get(n, v) for n, v in told.arrays.items()},
        )
        return send(peer, name, pack(envelope, lied, query_reply(SIZE)))

    theirs.send = lie  # type: ignore[method-assign]
    with pytest.raises(NoQuorum, match="worker-1: worker-1 claims"):
        query(simulation, SIZE)


# ------------------------------------------------------------------ anything else that reaches workers


@dataclass
class Told:
    """A federation whose workers say what they are told to."""

    says: Mapping[str, Parcel]
    absent: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def deals(self) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys([*self.says, *self.absent], ())

    def submit(self, plan: Plan, name: str) -> str:
        self.asked.append(f"submit {name}")
        return name

    def exchange(self, job: str) -> Any:
        def send(
            phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
        ) -> Replies:
            self.asked.append(f"{phase.name} {number} {sorted(requests)}")
            return Replies(self.says, self.absent)

        return send

    def close(self, job: str) -> None:
        self.asked.append("close")


def said(users: int, *counts: int) -> Parcel:
    return Parcel({"users": users}, {"counts": np.array(counts, np.int64)})


def words_said(users: int, **counts: int) -> Parcel:
    lines = "".join(f"{word}\n" for word in counts).encode()
    return Parcel(
        {"listed": 0, "users": users, "words": 99, "messages": 9},
        {"lines": np.frombuffer(lines, np.uint8), "counts": np.array([*counts.values()], np.int64)},
    )


def test_a_query_needs_no_more_of_a_federation_than_this() -> None:
    told = Told({"a": said(3, 10, 20), "b": said(4, 1, 2)}, {"c": "gone"})
    found = query(told, SIZE)
    assert found.as_json()["result"] == {"messages": 11, "words": 22}
    assert found.as_json()["refused"] == {"c": "gone"}
    assert told.asked[0].startswith("submit query-size-")
    assert told.asked[1:] == ["query 1 ['a', 'b', 'c']", "close"]


def test_too_few_answers_are_told_by_nobody() -> None:
    told = Told({"a": said(3, 10, 20)}, {"b": "too few users", "c": "too few users", "d": "gone"})
    with pytest.raises(NoQuorum) as error:
        query(told, SIZE)
    assert "10" not in error.value.message
    assert error.value.message == ("1 of 4 workers answered, 2 must (b, c: too few users; d: gone)")
    assert told.asked[-1] == "close"
    with pytest.raises(NoQuorum):
        query(Told({"a": said(3, 1, 1), "b": said(3, 1, 1)}), SIZE, min_workers=3)
    with pytest.raises(NoQuorum, match="0 of 0"):
        query(Told({}), SIZE)


@pytest.mark.parametrize("fewest", [1, 0, -1])
def test_one_workers_figure_can_not_even_be_asked_for(fewest: int) -> None:
    with pytest.raises(BadSettings, match="never told"):
        query(Told({"a": said(3, 10, 20)}), SIZE, min_workers=fewest)
    with pytest.raises(BadSettings, match="never told"):
        QueryOptions("size", min_workers=fewest)


def test_a_word_that_one_worker_alone_tells_is_withheld() -> None:
    told = Told(
        {"a": words_said(3, garden=5, secretly=9), "b": words_said(3, garden=4, kettle=3)},
    )
    found = query(told, QueryPlan("words")).as_json()["result"]
    assert found["words"] == [{"word": "garden", "count": 9}]
    assert (found["shared"], found["withheld"]) == (1, 2)


def test_a_length_that_one_worker_alone_tells_is_withheld() -> None:
    told = Told(
        {"a": said(3, 0, 5, 9, *[0] * 6), "b": said(3, 0, 5, 0, *[0] * 6)},
    )
    bins = query(told, QueryPlan("lengths")).as_json()["result"]["bins"]
    assert [one["messages"] for one in bins] == [0, 10, None, 0, 0, 0, 0, 0, 0]


def test_unknown_words_of_one_worker_alone_are_withheld() -> None:
    plan = QueryPlan("unknown", words=("cat",))
    found = answered(plan, said(3, 90, 10), said(3, 90, 0))
    assert (found["unknown"], found["rate"]) == (None, None)
    assert answered(plan, said(3, 90, 0), said(3, 90, 0))["rate"] == 0
    assert answered(plan, said(3, 90, 10), said(3, 90, 10))["rate"] == 0.1


NOISE = partial(QueryPlan, epsilon=1.0, per_user=10)


def answered(plan: QueryPlan, *each: Parcel) -> dict[str, Any]:
    found: Answer = query(Told({str(i): one for i, one in enumerate(each)}), plan)
    return found.as_json()["result"]


def test_noisy_figures_come_with_how_far_they_may_be_off() -> None:
    size = answered(NOISE("size"), said(3, 30, 20), said(5, -40, 20))
    assert (size["messages"], size["words"]) == (-10, 40)
    # Of two workers, with a third of epsilon and up to ten messages a user.
    assert size["error"]["messages"] == pytest.approx(2 * 2 * 30, rel=1e-3)
    assert size["error"]["users"] == pytest.approx(2 * 2 * 3, rel=1e-2)
    lengths = answered(NOISE("lengths"), said(3, *[1] * 9), said(3, *[0] * 9))
    assert [one["messages"] for one in lengths["bins"]] == [1] * 9
    assert set(lengths["error"]) == {"users", "messages"}


def test_noisy_rates_and_perplexities_come_with_a_range() -> None:
    words = NOISE("unknown", words=("cat",))
    found = answered(words, said(3, 9000, 1000), said(3, 9000, 1000))
    assert found["rate"] == 0.1
    assert 0 < found["between"][0] < 0.1 < found["between"][1] < 0.2
    assert set(found["error"]) == {"users", "words", "unknown"}
    nothing = answered(words, said(3, -50, -50), said(3, 0, 1))
    assert nothing["rate"] is None
    model = ModelConfig(6, 4, hidden=4, projection=4)
    asked = NOISE("perplexity", words=("cat",), model=model)
    found = answered(asked, said(3, 9000, 45_000_000), said(3, 9000, 45_000_000))
    assert found["perplexity"] == pytest.approx(np.exp(5))
    low, high = found["between"]
    assert 1 <= low < np.exp(5) < high <= np.exp(MOST_NATS)
    assert answered(asked, said(3, -5, 9), said(3, 0, 9))["perplexity"] is None
    assert answered(asked, said(3, 5, -9), said(3, 0, 0))["perplexity"] == 1.0


# ------------------------------------------------------------------------------------- on a corpus


def test_users_of_a_corpus_are_dealt_to_two_workers_at_least(corpus: Corpus) -> None:
    options = QueryOptions("size")
    assert query_corpus(corpus, options, *plan_query(options)).sum.workers == 2
    single = Corpus("alone", {"u1": corpus.users["u1"]})
    with pytest.raises(NoQuorum, match="too few users"):
        query_corpus(single, options, *plan_query(options))


def test_a_query_of_text_takes_no_model() -> None:
    with pytest.raises(BadSettings, match="a model, to ask for size"):
        plan_query(QueryOptions("size", model=Path("somewhere")))
