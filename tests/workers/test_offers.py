"""What server and owner tell each other before anything is asked: read back as written, or refused."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadMessage
from nwp.federated.parcel import VERSION, Envelope, Parcel, Schema, pack
from nwp.federated.plan import SurveyPlan, TrainPlan
from nwp.federated.plan_text import plan_digest, plan_text
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import FIRST_WORD
from nwp.workers import offers
from nwp.workers.offers import (
    Decision,
    decision_name,
    offer_name,
    read_decision,
    read_hello,
    read_offer,
    write_decision,
    write_hello,
    write_offer,
)

PLAN = TrainPlan(
    model=ModelConfig(FIRST_WORD + 2, embedding=4, hidden=4, projection=4),
    words=("cat", "sat"),
    surfaces={"cat": "Cat"},
    workers={"worker-001": 3},
)
DIGEST = plan_digest(PLAN)
OFFER = write_offer(PLAN)[1]


@pytest.mark.parametrize("users", [0, 1, 999_999])
def test_a_hello_is_read_as_it_was_written(users: int) -> None:
    assert read_hello(write_hello(users)[1]) == users


@pytest.mark.parametrize("users", [-1, 1 << 31, 1 << 60])
def test_a_hello_of_as_many_users_as_there_are_no_people_is_none(users: int) -> None:
    with pytest.raises(BadMessage):
        read_hello(write_hello(users)[1])


def test_another_version_tells_what_to_do() -> None:
    schema = Schema(fields={"users": int, "version": int})
    hello = pack(Envelope("hello", "", "hello", 0), Parcel({"users": 3, "version": 99}), schema)

    with pytest.raises(BadMessage, match=f"version 99 .* version {VERSION}") as told:
        read_hello(hello)

    assert "same version of nwp" in told.value.hint


@pytest.mark.parametrize("plan", [PLAN, SurveyPlan(3), replace(PLAN, rounds=7)])
def test_an_offer_is_read_as_it_was_written(plan: Any) -> None:
    assert read_offer(write_offer(plan)[1]) == (plan_digest(plan), plan_text(plan))


@given(st.integers(0, len(OFFER) - 1), st.integers(1, 255))
def test_an_offer_with_any_byte_changed_is_none(at: int, by: int) -> None:
    damaged = bytearray(OFFER)
    damaged[at] ^= by

    with pytest.raises(BadMessage):
        read_offer(bytes(damaged))


@given(st.integers(0, len(OFFER) - 1))
def test_an_offer_that_was_cut_is_none(size: int) -> None:
    with pytest.raises(BadMessage):
        read_offer(OFFER[:size])


def test_a_plan_under_the_name_of_another_is_none() -> None:
    envelope = replace(write_offer(PLAN)[0], job=plan_digest(SurveyPlan(3)))
    _, parcel = offers.unpack(OFFER, offers._OFFER)

    with pytest.raises(BadMessage, match="not the one it says"):
        read_offer(pack(envelope, parcel, offers._OFFER))


@pytest.mark.parametrize("decision", Decision)
def test_a_decision_is_read_as_it_was_written(decision: Decision) -> None:
    assert read_decision(write_decision(DIGEST, decision)[1], DIGEST) == decision
    assert decision.words


def test_a_decision_on_another_plan_or_none_that_is_known_is_none() -> None:
    with pytest.raises(BadMessage, match="another plan"):
        read_decision(write_decision(plan_digest(SurveyPlan(3)), Decision.APPROVED)[1], DIGEST)
    envelope, _ = write_decision(DIGEST, Decision.APPROVED)
    unknown = pack(envelope, Parcel({"decision": 9}), offers._DECISION)
    with pytest.raises(BadMessage):
        read_decision(unknown, DIGEST)


@given(st.binary(max_size=400))
def test_bytes_of_anybody_are_no_message(raw: bytes) -> None:
    for read in (read_hello, read_offer, lambda data: read_decision(data, DIGEST)):
        with pytest.raises(BadMessage):
            read(raw)  # type: ignore[operator]


@given(st.data())
def test_damage_to_a_short_message_is_a_bad_message_or_another_one(data: st.DataObject) -> None:
    """What a decision says is kept by its signature, not by its form."""
    whole = data.draw(
        st.sampled_from([write_hello(3)[1], write_decision(DIGEST, Decision.DENIED)[1]])
    )
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))

    with contextlib.suppress(BadMessage):
        read_hello(bytes(damaged))
    with contextlib.suppress(BadMessage):
        read_decision(bytes(damaged), DIGEST)


def test_names_of_messages_are_short_and_of_their_plan_alone() -> None:
    assert offer_name(DIGEST) == f"offer.{DIGEST[:16]}"
    assert decision_name(DIGEST) == f"decision.{DIGEST[:16]}"
