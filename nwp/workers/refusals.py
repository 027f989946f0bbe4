"""Why a worker does not answer, as it travels and in words."""

from __future__ import annotations

import enum

from nwp.errors import NoQuorum, NwpError
from nwp.federated.parcel import Schema


class Refusal(enum.IntEnum):
    """Why a worker does not answer. Only the number travels; the words are the reader's own."""

    NOT_APPROVED = 1
    NO_DATA = 2
    BAD_REQUEST = 3
    ALREADY_ANSWERED = 4
    NO_RESULT = 5
    TOO_FEW_USERS = 6
    NOT_ALLOWED = 7

    @property
    def words(self) -> str:
        """The reason in words."""
        return _REASONS[self]


_REASONS = {
    Refusal.NOT_APPROVED: "its owner has not approved this plan",
    Refusal.NO_DATA: "its private data is gone or can't be read",
    Refusal.BAD_REQUEST: "the request was damaged or not as agreed",
    Refusal.ALREADY_ANSWERED: "it has answered this round already",
    Refusal.NO_RESULT: "what it computed is no finite number",
    Refusal.TOO_FEW_USERS: "it has too few users with text for that",
    Refusal.NOT_ALLOWED: "its owner's rules do not allow this request now",
}

REFUSED = Schema(fields={"reason": int})


class Refuse(NwpError):
    """There is no answer, for this reason."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.words)
        self.reason = reason


def reason_of(error: NwpError) -> Refusal:
    """Why there is no answer, by what was raised while finding one."""
    if isinstance(error, NoQuorum):
        return Refusal.TOO_FEW_USERS
    return error.reason if isinstance(error, Refuse) else Refusal.BAD_REQUEST
