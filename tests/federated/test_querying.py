"""One figure over many users: what leaves a worker, what does not, and how much noise it has."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random, SystemRandom
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwp.corpus.split import part_of
from nwp.errors import BadMessage, NoQuorum
from nwp.federated.parcel import Envelope, Parcel, pack, unpack
from nwp.federated.plan import EvaluatePlan, SurveyPlan
from nwp.federated.query_plan import QueryPlan
from nwp.federated.querying import (
    BINS,
    GROUPS,
    QUERY,
    check_answer,
    columns,
    describe_query,
    epsilons,
    errors,
    query_reply,
    sum_over,
    summed_up,
)
from nwp.model.config import ModelConfig
from nwp.text.building import public_order
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import Encoded, encode

Texts = Mapping[str, Sequence[str]]
VOCABULARY = ("cat", "dog", "i'm")
PLANS = {
    "size": QueryPlan("size"),
    "lengths": QueryPlan("lengths"),
    "words": QueryPlan("words"),
    "unknown": QueryPlan("unknown", words=VOCABULARY),
}
each_query = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
NOISY = {name: replace(p, epsilon=1.0, per_user=5) for name, p in PLANS.items() if name != "words"}
each_noisy = pytest.mark.parametrize("plan", NOISY.values(), ids=NOISY)


@dataclass
class Worker:
    """What the phase uses of a worker; `users` is user to messages."""

    plan: QueryPlan
    users: Texts

    @property
    def names(self) -> Sequence[str]:
        return sorted(self.users)

    def messages(self, part: str) -> Texts:
        return {name: part_of(self.users[name], part) for name in self.names}

    def encoded(self, part: str) -> Sequence[Encoded]:
        texts = self.messages(part)
        return [encode(texts[name], self.plan.vocabulary()) for name in self.names]


def answer(plan: QueryPlan, users: Texts) -> Parcel:
    """Through packing and unpacking, as over the wire, and checked as the server does."""
    envelope = Envelope("answer", "job", "query", 1)
    worker: Any = Worker(plan, users)
    reply = QUERY.answer(worker, 1, Parcel())
    back = unpack(pack(envelope, reply, QUERY.reply(plan)), QUERY.reply(plan))[1]
    QUERY.check(plan, "worker-1", back)
    return back


def counts_of(plan: QueryPlan, *workers: Texts) -> dict[str, int]:
    return dict(sum_over(plan, {str(i): answer(plan, w) for i, w in enumerate(workers)}).counts)


def same(message: str, users: int = 3) -> dict[str, list[str]]:
    """Users who all wrote the same."""
    return {f"u{i}": [message] for i in range(users)}


WORD = st.sampled_from(["cat", "dog", "I'm", "Balcony", "zzyzx", "🦔", "a-b", "straße"])
MESSAGE = st.lists(WORD, max_size=70).map(" ".join)
USERS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(MESSAGE, min_size=1, max_size=12), min_size=1
)


# ------------------------------------------------------------------------------------------- exact


@settings(max_examples=40)
@given(USERS, USERS, st.sampled_from(["all", "train", "valid", "test"]))
def test_sums_are_what_counting_by_hand_finds(one: Texts, two: Texts, part: str):
    for plan in (replace(p, part=part, min_users=2, k=2) for p in PLANS.values()):
        told = {}
        expected: Counter[str] = Counter()
        everybody = 0
        for name, users in (("one", one), ("two", two)):
            texts = {u: [words_of(m) for m in part_of(ms, part)] for u, ms in users.items()}
            texts = {u: ms for u, ms in texts.items() if any(ms)}
            if len(texts) < 2:
                with pytest.raises(NoQuorum):
                    answer(plan, users)
                continue
            told[name] = answer(plan, users)
            everybody += len(texts)
            expected.update(by_hand(plan, texts))
        found = sum_over(plan, told)
        assert (found.workers, found.users) == (len(told), everybody)
        counts = Counter({name.lower(): n for name, n in found.counts.items()})
        assert +counts == +expected


def by_hand(plan: QueryPlan, texts: Mapping[str, list[list[str]]]) -> Counter[str]:
    """The counts that may leave."""
    each: list[Counter[str]] = []
    for messages in texts.values():
        words = [word for message in messages for word in message]
        if plan.what == "size":
            each.append(Counter({"messages": len(messages), "words": len(words)}))
        elif plan.what == "words":
            each.append(Counter(words))
        elif plan.what == "unknown":
            each.append(Counter("known" if w in plan.words else "unknown" for w in words))
        else:
            each.append(
                Counter(str(max(b for b in BINS if b <= len(message))) for message in messages)
            )
    wrote = Counter(name for one in each for name in one)
    total = sum(each, Counter())
    return Counter({name: n for name, n in total.items() if wrote[name] >= 2})


def test_a_message_falls_into_the_bin_of_its_words():
    bins = {1: 1, 2: 2, 3: 3, 4: 3, 5: 5, 8: 5, 9: 9, 16: 9, 17: 17, 32: 17, 33: 33, 64: 33}
    for length, bin_ in {**bins, 65: 65, 500: 65}.items():
        counts = counts_of(PLANS["lengths"], same("cat " * length))
        assert {name: n for name, n in counts.items() if n} == {str(bin_): 3}
    emoji = {u: ["🦔", *ms] for u, ms in same("cat").items()}
    assert counts_of(PLANS["lengths"], emoji)["0"] == 3


def test_words_are_shown_as_people_write_them():
    workers = (same("now I'm in Murkelheim"), same("so i'm murkelheim"))
    assert counts_of(PLANS["words"], *workers)["I'm"] == 6
    assert counts_of(PLANS["words"], *workers)["Murkelheim"] == 6


# ----------------------------------------------------------------------------- the minimum of users


@each_query
def test_a_worker_of_too_few_users_with_text_refuses(plan: QueryPlan):
    enough = {**same("cat zzyzx"), "quiet": ["🦔", "…"]}
    assert answer(plan, enough).fields["users"] == 3
    for fewer in (same("cat zzyzx", 2), {**same("cat zzyzx", 2), "quiet": ["🦔"]}):
        with pytest.raises(NoQuorum, match="too few users"):
            answer(plan, fewer)
    with pytest.raises(NoQuorum, match="too few users"):
        answer(replace(plan, min_users=4), enough)


@each_noisy
def test_noise_lets_no_worker_of_too_few_users_answer(plan: QueryPlan):
    with pytest.raises(NoQuorum, match="too few users"):
        answer(plan, same("cat zzyzx", 2))


def test_the_part_decides_who_has_text():
    long = {f"u{i}": ["cat zzyzx"] * 10 for i in range(3)}
    short = {**long, "u2": ["cat zzyzx"]}  # all of it is the test part
    for plan in PLANS.values():
        with pytest.raises(NoQuorum):
            answer(replace(plan, part="train"), short)
        assert answer(replace(plan, part="test"), short).fields["users"] == 3


def test_a_length_that_too_few_users_have_is_left_out():
    users = {**same("cat dog"), "u0": ["cat dog", "cat " * 100], "u1": ["cat dog", "cat " * 99]}
    counts = counts_of(PLANS["lengths"], users)
    assert (counts["2"], counts["65"]) == (3, 0)


def test_what_a_vocabulary_lacks_is_told_only_where_enough_users_wrote_it():
    """Else a vocabulary without one word, or of that word alone, would find whoever wrote it."""
    plan = PLANS["unknown"]
    assert counts_of(plan, same("cat zzyzx zzyzx")) == {"known": 3, "unknown": 6}
    assert counts_of(plan, same("cat")) == {"known": 3, "unknown": 0}
    assert counts_of(plan, {**same("cat"), "u0": ["cat zzyzx"]}) == {"known": 3, "unknown": 0}
    assert counts_of(plan, {**same("zzyzx"), "u0": ["cat zzyzx"]}) == {"known": 0, "unknown": 3}


# ------------------------------------------------------------------------------------------- words


def test_a_word_of_fewer_than_k_users_never_leaves():
    users = {**same("garden kettle"), "u0": ["garden kettle brimblewick brimblewick balcony"] * 9}
    users["u1"] = ["garden kettle clatterpond", "clatterpond"]
    users["u2"] = ["garden kettle clatterpond"]
    for k, expected in [(3, {"garden", "kettle"}), (2, {"garden", "kettle", "clatterpond"})]:
        plan = QueryPlan("words", k=k)
        reply = answer(plan, users)
        assert set(counts_of(plan, users)) == expected
        raw = reply.arrays["lines"].tobytes()
        assert b"brimblewick" not in raw
        assert b"balcony" not in raw


def test_a_higher_k_lets_out_no_word_of_a_single_user():
    """A worker of fewer than k users speaks of the public list, and there too of shared words alone."""
    users = {**same("garden zzyzx"), "u0": ["garden zzyzx balcony"]}
    plan = QueryPlan("words", k=4)
    reply = answer(plan, users)
    assert reply.fields["listed"] == 1
    assert reply.arrays["lines"].size == 0
    assert len(reply.arrays["counts"]) == len(public_order())
    assert counts_of(plan, users) == {"garden": 3}
    assert sum_over(plan, {"a": reply}).listed == 1


# ------------------------------------------------------------------------------------------- noise


def bounded(plan: QueryPlan, rows: list[tuple[int, ...]], seed: int) -> np.ndarray:
    reply = summed_up(plan, rows, Random(seed))
    return np.array([reply.fields["users"], *reply.arrays["counts"].tolist()])


@each_noisy
def test_two_answers_with_noise_differ(plan: QueryPlan):
    users = same("cat zzyzx", 4)
    drawn = {
        (reply.fields["users"], *reply.arrays["counts"].tolist())
        for reply in (answer(replace(plan, epsilon=0.01), users) for _ in range(3))
    }
    assert len(drawn) == 3
    assert isinstance(inspect.signature(summed_up).parameters["rng"].default, SystemRandom)


@each_noisy
def test_noise_has_the_mean_and_scale_it_should(plan: QueryPlan):
    width = len(columns(plan))
    rows = [(1,) * width] * 4
    draws = np.array([bounded(plan, rows, seed) for seed in range(3000)])
    scales = [1 / float(e) for e in epsilons(plan)]
    wanted = [math.sqrt(2 * math.exp(-1 / s)) / (1 - math.exp(-1 / s)) for s in scales]
    assert draws.std(axis=0) == pytest.approx(wanted, rel=0.08)
    assert np.all(abs(draws.mean(axis=0) - 4) < 4 * np.array(wanted) / math.sqrt(3000))
    assert list(errors(plan, 9).values()) == pytest.approx([2 * 3 * w for w in wanted])
    assert list(errors(plan, 1)) == ["users", *columns(plan)]


@each_noisy
def test_shares_of_epsilon_come_to_the_whole(plan: QueryPlan):
    found = epsilons(plan)
    spent, place = found[0], 1
    for names, most in GROUPS[plan.what]:
        (epsilon,) = set(found[place : place + len(names)])
        spent += epsilon * most * plan.per_user
        place += len(names)
    assert spent == Fraction(plan.epsilon)
    assert place == len(found)


@settings(max_examples=50)
@given(USERS, st.lists(MESSAGE, min_size=1, max_size=12), st.integers(1, 6))
def test_one_user_more_changes_no_group_by_more_than_it_is_given_noise_for(
    users: Texts, more: list[str], per_user: int
):
    still = {"min_users": 2, "per_user": per_user, "epsilon": 1000.0 * per_user}
    for plan in (replace(p, **still) for p in NOISY.values()):
        pair = [plainly(plan, users), plainly(plan, {**users, "more": more})]
        change = [abs(b - a) for a, b in zip(*pair, strict=True)]
        assert change[0] <= 1
        place = 1
        for names, most in GROUPS[plan.what]:
            assert sum(change[place : place + len(names)]) <= most * per_user
            place += len(names)


def plainly(plan: QueryPlan, users: Texts) -> list[int]:
    """Users and bounded counts before noise: of a worker with four more users, so that it answers,
    under an epsilon that leaves none."""
    reply = answer(plan, {**users, **{f"x{i}": ["cat"] for i in range(4)}})
    return [int(reply.fields["users"]), *reply.arrays["counts"].tolist()]


def test_each_user_counts_for_the_first_messages_and_words():
    users = {f"u{i}": ["cat", "dog dog", "zzyzx " * 20] for i in range(3)}
    still = {"epsilon": 1e4, "per_user": 2}
    assert counts_of(replace(PLANS["size"], **still), users) == {"messages": 6, "words": 6}
    lengths = counts_of(replace(PLANS["lengths"], **still), users)
    assert {name: n for name, n in lengths.items() if n} == {"1": 3, "2": 3}
    unknown = counts_of(replace(PLANS["unknown"], epsilon=1e4, per_user=4), users)
    assert unknown == {"known": 9, "unknown": 3}


@pytest.mark.parametrize("epsilon", [1e-6, 1e6])
def test_the_least_and_the_most_noise_fit_into_a_message(epsilon: float):
    for what in GROUPS:
        model = ModelConfig(5 + len(VOCABULARY), 4, hidden=4, projection=4)
        more: dict[str, Any] = {"words": VOCABULARY} if what in ("unknown", "perplexity") else {}
        more |= {"model": model} if what == "perplexity" else {}
        plan = QueryPlan(what, epsilon=epsilon, per_user=1_000_000, **more)
        rows = [(5,) * len(columns(plan))] * 3
        for seed in range(20):
            pack(
                Envelope("answer", "job", "query", 1),
                summed_up(plan, rows, Random(seed)),
                query_reply(plan),
            )


# ------------------------------------------------------------------------------------ what can't be


COUNT = st.integers(-(2**63), 2**63 - 1)


@given(st.sampled_from(list(PLANS)), COUNT, st.lists(COUNT, max_size=12), st.booleans())
def test_an_answer_is_as_agreed_or_is_refused(
    what: str, users: int, counts: list[int], noisy: bool
):
    plan = NOISY.get(what, PLANS[what]) if noisy else PLANS[what]
    reply = Parcel({"users": users}, {"counts": np.array(counts, np.int64)})
    try:
        query_reply(plan).check(reply)
        check_answer(plan, "worker-1", reply)
    except BadMessage:
        return
    assert what != "words"
    assert len(counts) == len(columns(plan))
    if not plan.epsilon:
        assert users >= plan.min_users
        assert min(counts) >= 0
    assert sum_over(plan, {"a": reply, "b": reply}).users == 2 * users


def told(users: int, lines: str, counts: list[int], listed: int = 0) -> Parcel:
    return Parcel(
        {"listed": listed, "users": users, "words": 99, "messages": 9},
        {"lines": np.frombuffer(lines.encode(), np.uint8), "counts": np.array(counts, np.int64)},
    )


@pytest.mark.parametrize(
    "reply",
    [
        told(2, "cat\n", [9]),
        told(3, "cat\n", [2]),
        told(3, "cat\n", [-3]),
        told(3, "cat\ncat\n", [3, 3]),
        told(3, "two words\n", [3]),
        told(3, "\x1b]0;x\x07\n", [3]),
        told(3, "", [3] * len(public_order()), listed=1),
        told(5, "cat\n", [2**60]),
    ],
    ids=["users", "count", "negative", "twice", "sentence", "escape", "listed", "huge"],
)
def test_words_that_cannot_be_are_refused(reply: Parcel):
    check_answer(PLANS["words"], "worker-1", told(3, "cat\nDog\n", [3, 4]))
    with pytest.raises(BadMessage):
        check_answer(PLANS["words"], "worker-1", reply)


def test_users_without_a_word_are_no_users():
    reply = Parcel({"users": 3}, {"counts": np.array([3, 2])})
    with pytest.raises(BadMessage, match="without messages or words"):
        check_answer(PLANS["size"], "worker-1", reply)


def test_other_plans_do_not_allow_a_query():
    model = ModelConfig(5 + len(VOCABULARY), 4, hidden=4, projection=4)
    asks_model = QueryPlan("perplexity", words=VOCABULARY, model=model)
    for plan in (SurveyPlan(), EvaluatePlan(model, VOCABULARY), asks_model):
        with pytest.raises(BadMessage, match="does not allow"):
            QUERY.request(plan)


# ------------------------------------------------------------------------------------ in plain words


@each_query
def test_an_owner_is_told_what_is_asked(plan: QueryPlan):
    said = describe_query(replace(plan, min_users=4, k=6, part="test"))
    assert "fewer than 4 users" in said
    assert "the last 10 %" in said
    assert "no noise" in said
    assert ("6 of the worker's users" in said) == (plan.what == "words")
    assert "{" not in said


@each_noisy
def test_an_owner_is_told_what_noise_there_is(plan: QueryPlan):
    said = describe_query(plan)
    assert "at most 5 messages and 5 words" in said
    assert "1-differentially private" in said
    assert "add up" in said
