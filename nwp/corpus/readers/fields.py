"""Values of a JSON export, whatever they turn out to be; and messages put into order of time."""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeAlias

from nwp.corpus.lines import clean, clean_name
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally

BLOCK = 50_000
"""Messages held at once of a file that has its newest first."""

Found: TypeAlias = Message | str
"""A message, or the reason why an entry of an export is left out."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,9})?", re.ASCII)


def as_text(value: object) -> str:
    """A string, cleaned; "" for anything else."""
    return clean(value) if isinstance(value, str) else ""


def as_name(value: object) -> str:
    """A string as a user's name; "" for anything else."""
    return _named(value) if isinstance(value, str) else ""


def as_id(value: object) -> str:
    """A string or a whole number, as a name without white space at its ends; "" for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value:
        return value  # as nearly all are; each is another, so that remembering them is no use
    return as_name(value)


def as_dict(value: object) -> dict[str, Any]:
    """An object; {} for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """A list; [] for anything else."""
    return value if isinstance(value, list) else []


def as_time(value: object) -> datetime | None:
    """A date and time of ISO 8601; None for anything else."""
    try:
        return datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def from_unix(value: object, per_second: int = 1) -> datetime | None:
    """The time so long after the start of 1970, in UTC: a number or its digits; `per_second` is 1000
    for milliseconds. None for anything else and beyond the years 1 to 9999.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return _EPOCH + timedelta(microseconds=value * (1_000_000 // per_second))
    except (OverflowError, ValueError):
        return None


def made(user: str, text: str, time: datetime | None, without_text: str = "empty message") -> Found:
    """A message; or why it is none: it has no text, or no author."""
    if not text.strip():
        return without_text
    return Message(user, text, time) if user else "no author"


def kept(found: Iterable[Found], tally: Tally) -> Iterator[Message]:
    """The messages; what is left out is counted."""
    for one in found:
        if isinstance(one, str):
            tally.skip(one)
        else:
            yield one


def begins_with(head: bytes, *signs: bytes) -> bool:
    """Whether one of these is the first sign of a file that is no white space."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(signs)


def mentions(entry: Entry, word: bytes) -> bool:
    """Whether a file has these bytes anywhere. That is found out far faster than it is parsed."""
    with entry.open() as file:
        tail = b""
        while piece := file.read(1 << 20):
            if word in tail + piece:
                return True
            tail = piece[1 - len(word) :]
    return False


def oldest_first(
    read: Callable[[Tally], Iterable[Found]],
    tally: Tally,
    newest_first: bool = True,
    block: int = BLOCK,
) -> Iterator[Message]:
    """The messages of a file from its oldest to its newest, with `block` of them in memory.

    `read` reads it from the start, as often as needed. `newest_first` says which way round it is;
    times that only rise, or only fall, win over that.
    """
    last: deque[Message] = deque(maxlen=block)
    count, rises, falls, before = 0, False, False, None
    for message in kept(read(tally), tally):
        last.append(message)
        count += 1
        if (now := _utc(message.time)) is not None:
            if before is not None:
                rises, falls = rises or now > before, falls or now < before
            before = now
    if (falls or not rises) if newest_first else (falls and not rises):
        yield from reversed(last)
        end = count - len(last)
        last.clear()
        while end > 0:
            again = kept(read(Tally(lenient=True)), Tally())
            yield from reversed(list(islice(again, max(0, end - block), end)))
            end -= block
    elif count <= block:
        yield from last
    else:
        last.clear()
        yield from kept(read(Tally(lenient=True)), Tally())


def _utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time and not time.tzinfo else time


@functools.lru_cache(1 << 12)
def _named(name: str) -> str:
    return clean_name(name)
