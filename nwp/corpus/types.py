"""A corpus: the messages of many users, each user's in order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nwp.errors import BadCorpus


@dataclass(frozen=True)
class Message:
    """One message as its source has it; `time` is None where the source has none."""

    user: str
    text: str
    time: datetime | None = None


@dataclass(frozen=True)
class Corpus:
    """User id to messages, users in order of their ids; `skipped` counts by reason.

    `name` says where it came from, `own` that the caller may see rows per user and pool its text.
    `remarks` counts what was read, but not as it stood.
    """

    name: str
    users: Mapping[str, Sequence[str]]
    skipped: Mapping[str, int] = field(default_factory=dict)
    remarks: Mapping[str, int] = field(default_factory=dict)
    unordered: int = 0
    own: bool = True

    @property
    def messages(self) -> int:
        """How many messages all users have."""
        return sum(map(len, self.users.values()))


@dataclass
class Tally:
    """What a reader leaves out, and what it reads otherwise than it stands, by reason.

    `lenient` goes on after what can't be read, which else ends reading with an error.
    """

    lenient: bool = False
    skipped: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count what is left out."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def remark(self, reason: str, count: int = 1) -> None:
        """Count what is kept, but read otherwise than it stands."""
        self.remarks[reason] = self.remarks.get(reason, 0) + count


def with_text(messages: Iterable[Message], tally: Tally) -> Iterator[Message]:
    """The messages but for those of white space only, which are counted."""
    for message in messages:
        if message.text.strip():
            yield message
        else:
            tally.skip("empty message")


def nothing_in(name: str, tally: Tally) -> BadCorpus:
    """The error that a source has no messages, with what it had instead."""
    left = ", ".join(f"{count} x {reason}" for reason, count in tally.skipped.items())
    return BadCorpus(
        f"{name} has no messages" + (f" (left out: {left})" if left else ""),
        "Is it the right file, and has it any text?",
    )
