"""How a server and an owner come to terms: who is there, what is asked, what was decided.

Each is one message over the channel, named so that it takes the place of an older one:

    hello               owner to server   users of the owner, version of the protocol
    offer.DIGEST        server to owner   a plan, word for word
    decision.DIGEST     owner to server   approved, denied, not decided yet, revoked

Reasons stay with the owner: only a number travels.
"""

from __future__ import annotations

import enum

import numpy as np

from nwp.errors import BadMessage
from nwp.federated.parcel import VERSION, ArraySpec, Envelope, Parcel, Schema, pack, unpack
from nwp.federated.plan import Plan
from nwp.federated.plan_text import plan_digest, plan_text, read_plan

HELLO = "hello"
OFFER, DECISION = "offer.", "decision."
MOST_PLAN = 8 << 20  # bytes: a plan of 100,000 words is about two million
MOST_USERS = 1_000_000  # of one owner: the server draws among all, and each takes it some memory
_HELLO = Schema(fields={"users": int, "version": int})
_OFFER = Schema(arrays={"plan": ArraySpec("uint8", (None,))})
_DECISION = Schema(fields={"decision": int})


class Decision(enum.IntEnum):
    """What an owner says to a plan."""

    PENDING = 0
    APPROVED = 1
    DENIED = 2
    REVOKED = 3

    @property
    def words(self) -> str:
        """The decision as a reason why a worker takes no part."""
        return _WORDS[self]


_WORDS = {
    Decision.PENDING: "its owner has not decided yet",
    Decision.APPROVED: "its owner has approved the plan",
    Decision.DENIED: "its owner does not allow the plan",
    Decision.REVOKED: "its owner has taken the approval back",
}


def offer_name(digest: str) -> str:
    """The name of the message with a plan."""
    return OFFER + digest[:16]


def decision_name(digest: str) -> str:
    """The name of the message that answers it."""
    return DECISION + digest[:16]


def write_hello(users: int) -> tuple[Envelope, bytes]:
    """An owner's message that it is there, with so many users."""
    envelope = Envelope("hello", "", HELLO, 0)
    return envelope, pack(envelope, Parcel({"users": users, "version": VERSION}), _HELLO)


def read_hello(data: bytes) -> int:
    """The users of an owner. BadMessage for another version, or a number that can't be."""
    envelope, parcel = unpack(data, _HELLO)
    version, users = int(parcel.fields["version"]), int(parcel.fields["users"])
    if version != VERSION:
        raise BadMessage(
            f"it speaks version {version} of the protocol, this is version {VERSION}",
            "Bring both to the same version of nwp.",
        )
    if envelope.kind != "hello" or not 0 <= users <= MOST_USERS:
        raise BadMessage("what should say who is there says something else")
    return users


def write_offer(plan: Plan) -> tuple[Envelope, bytes]:
    """A plan as a message."""
    envelope = Envelope("offer", plan_digest(plan), "offer", 0)
    text = np.frombuffer(plan_text(plan).encode(), np.uint8)
    return envelope, pack(envelope, Parcel(arrays={"plan": text}), _OFFER)


def read_offer(data: bytes) -> tuple[str, str]:
    """The digest and the text of a plan. BadMessage when it is none, too long, or not the one it says."""
    if len(data) > MOST_PLAN:
        raise BadMessage(f"a plan of {len(data):,} bytes, at most {MOST_PLAN:,} are read")
    envelope, parcel = unpack(data, _OFFER)
    try:
        text = parcel.arrays["plan"].tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadMessage("a plan that is no text") from error
    if envelope != Envelope("offer", plan_digest(read_plan(text)), "offer", 0):
        raise BadMessage("a plan that is not the one it says it is")
    return envelope.job, text


def write_decision(digest: str, decision: Decision) -> tuple[Envelope, bytes]:
    """What the owner has decided of a plan, as a message."""
    envelope = Envelope("decision", digest, "offer", 0)
    return envelope, pack(envelope, Parcel({"decision": int(decision)}), _DECISION)


def read_decision(data: bytes, digest: str) -> Decision:
    """What an owner says to the plan with this digest. BadMessage when it is of another."""
    envelope, parcel = unpack(data, _DECISION)
    number = int(parcel.fields["decision"])
    if envelope != Envelope("decision", digest, "offer", 0) or number not in list(Decision):
        raise BadMessage("a decision on another plan")
    return Decision(number)
