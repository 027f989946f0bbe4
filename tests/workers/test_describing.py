"""What an owner reads of a plan has the plan's own figures, and says plainly what it tells of people."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nwp.federated.compression import Compression
from nwp.federated.local import LocalWork
from nwp.federated.parcel import Envelope, Parcel, pack
from nwp.federated.participation import Participation
from nwp.federated.plan import EvaluatePlan, NgramsPlan, SurveyPlan, TrainPlan
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig
from nwp.text.building import public_order
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers.describing import describe, size_text
from nwp.workers.policy import OWNERS, Policy, message_bytes
from nwp.workers.tasks import phases_of

PUBLIC = tuple(public_order()[:2000])


@pytest.fixture
def training() -> TrainPlan:
    """A plan of about half a million weights."""
    return TrainPlan(
        ModelConfig(FIRST_WORD + len(PUBLIC), 64, 256, 64, layers=2),
        PUBLIC,
        {},
        {"a": 3, "b": 1, "c": 36},
        local=LocalWork(epochs=2, batch=8, learning_rate=0.25, max_positions=30),
        rounds=50,
        cohort=10,
        validate_every=5,
    )


def text(plan: Any, own: int = 3, policy: Policy | None = None) -> str:
    return "\n".join(describe(plan, own, policy or Policy()))


def test_figures_of_training_are_the_plans(training: TrainPlan) -> None:
    told = text(training)
    size = size_text(4 * training.model.parameters)
    for part in (
        "in 50 rounds at most",
        "256 LSTM units in 2 layers",
        f"{training.model.parameters:,} weights; {size} each time",
        "2,000 words, all from the public list",
        "twice over all of their messages (8 messages a step, 30 words of a message at most)",
        "learning rate of at most 0.25",
        "up to 100 times in all; about 25 times if the server draws 10 of 40 users a round",
        f"the update), {size} (every number whole)",
        f"In all {size_text(50 * 4 * training.model.parameters)} at most",
        "Sent back every 5 rounds",
        "40 users of 3 owners take part; it cannot be checked",
    ):
        assert part in told, part


def test_how_many_messages_of_a_user_a_round_takes_is_told(training: TrainPlan) -> None:
    some, one = (
        text(replace(training, local=replace(training.local, messages=n))) for n in (12, 1)
    )
    assert "twice over 12 messages at most, others of theirs in each round (8 messages" in some
    assert "one message alone" not in some
    assert "takes one step" not in some  # but one over each 8 of the 12, twice
    single = replace(training.local, messages=8, epochs=1)
    assert "takes one step" in text(replace(training, local=single))
    assert "takes one step" in text(replace(training, local=replace(single, batch=0)))
    assert "over 1 message at most" in one
    assert "one message alone" in one


@pytest.mark.parametrize("up", ["fp32", "bf16", "int8", "topk"])
@pytest.mark.parametrize("aggregation", ["mean", "scaffold"])
def test_the_size_of_an_answer_is_that_of_the_message(
    training: TrainPlan, up: str, aggregation: str
) -> None:
    plan = replace(
        training,
        compression=Compression(up=up),
        aggregation=aggregation,
        weighting=Weighting("equal"),
    )
    reply = phases_of(plan)["train" if aggregation == "mean" else "scaffold"].reply(plan)
    names = ["update"] if aggregation == "mean" else ["update", "variate"]
    arrays: dict[str, Any] = {}
    for name in names:
        arrays |= plan.uplink.encode(name, np.zeros(plan.model.parameters, np.float32))
    fields = {name: kind(0) for name, kind in reply.fields.items()}
    message = pack(Envelope("answer", "0" * 64, "x", 1), Parcel(fields, arrays), reply)
    assert 0 < len(message) - message_bytes(reply) < 1000
    assert f", {size_text(message_bytes(reply))} (" in text(plan)


def test_the_size_of_a_request_follows_the_plan(training: TrainPlan) -> None:
    half = replace(training, compression=Compression(down="bf16"))
    assert f"weights; {size_text(2 * training.model.parameters)} each time" in text(half)


def test_who_is_always_drawn_is_told_so(training: TrainPlan) -> None:
    assert "up to 100 times in all: in every round" in text(replace(training, cohort=0))
    once = replace(training, rounds=1, local=LocalWork(batch=0), cohort=0, validate_every=1)
    told = text(once)
    assert "in 1 round at most" in told
    assert "up to once in all" in told
    assert "all messages in one step" in told
    assert "Sent back each round (the server may ask" in told


def test_draws_by_size_may_all_be_one_user(training: TrainPlan) -> None:
    plan = replace(training, participation=Participation("size"), weighting=Weighting("equal"))
    assert "up to 1,000 times in all, if every one of the 10 draws" in text(plan)
    assert "how many words all your users have together" in text(plan)


def test_it_says_plainly_what_updates_tell(training: TrainPlan) -> None:
    for own in (1, 3):
        assert "there is no differential privacy" in text(training, own)
        assert "words and phrases that your users wrote can be guessed" in text(training, own)
    own = "the server sees this one person's own update"
    assert own in text(training, 1)
    assert own not in text(training, 3)
    assert "one of them alone is drawn" in text(training, 3)
    several = text(training, 3, Policy(min_users=2))
    assert "Your rules refuse one over fewer than 2" in several
    assert "one of them alone" not in several


def test_words_from_elsewhere_are_shown(training: TrainPlan) -> None:
    own = ("zyxwv", "qqzzx", *PUBLIC[2:])
    assert "1,998 from the public list" in text(replace(training, words=own))
    assert "2 that the server has from elsewhere ('zyxwv', 'qqzzx')" in text(
        replace(training, words=own)
    )
    many = (*(f"zz{i}" for i in range(6)), *PUBLIC[6:])
    assert "'zz4', …)" in text(replace(training, words=many))
    ugly = ("\x1b[2J" + "a" * 500, *PUBLIC[1:])
    told = text(replace(training, words=ugly))
    assert "\x1b" not in told
    assert "a" * 50 not in told


def test_an_evaluation_tells_counts_and_what_noise_costs(training: TrainPlan) -> None:
    plan = EvaluatePlan(training.model, PUBLIC)
    told = text(plan)
    assert "the test part of the messages of your 3 users" in told
    assert "sums of counts" in told
    assert "No words leave" in told
    assert "epsilon" not in told
    assert "this one person's counts" in text(plan, 1)
    assert "all messages of your one user" in text(replace(plan, part="all"), 1)
    assert "a row of counts for each of your users" in text(replace(plan, rows=True))
    noisy = text(replace(plan, epsilon=0.5), policy=Policy(epsilon_budget=4))
    assert "it costs each of them epsilon = 0.5. Your rules allow 4 in all" in noisy


def test_ngrams_leave_only_from_enough_users(training: TrainPlan) -> None:
    plan = NgramsPlan(training.model, PUBLIC, k=3)
    assert "summed over your 3 users" in text(plan, 3)
    assert "You have 2 users, fewer than 3: no pair and no triple leaves" in text(plan, 2)
    assert "everything that any of your users wrote leaves" in text(replace(plan, k=1), 1)


def test_a_survey_tells_words_or_counts_of_public_ones() -> None:
    assert "each word that at least 3 of your users wrote" in text(SurveyPlan(3), 3)
    few = text(SurveyPlan(3), 2)
    assert f"each of the {len(public_order()):,} words of the public list" in few
    assert "no other word leaves" in few
    assert "every word that any of them wrote leaves" in text(SurveyPlan(1), 1)


def test_the_last_line_is_what_the_rules_say(training: TrainPlan) -> None:
    assert describe(training, 3, Policy())[-1] == "Your rules approve it without asking you."
    assert describe(training, 3, OWNERS)[-1] == "Your rules allow it, if you approve it."
    refused = describe(training, 3, Policy(max_rounds=49))[-1]
    assert refused == "Your rules refuse it: 50 rounds, the owner allows 49."
    few = describe(training, 1, Policy(min_users=2))[-1]
    assert few.startswith("Your rules refuse every answer: it would be from your one user")


def test_a_kind_without_words_is_told_to_be_one() -> None:
    lines = describe(SimpleNamespace(kind="riddle"), 3, Policy())  # type: ignore[arg-type]
    assert "kind 'riddle'" in lines[0]
    assert "read the plan itself" in lines[0]
    assert lines[-1] == "Your rules refuse it: the owner allows no riddle plan."


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_340_000, "2.3 MB"), (7 * 10**9, "7.0 GB")],
)
def test_sizes_are_read_by_people(size: int, words: str) -> None:
    assert size_text(size) == words
