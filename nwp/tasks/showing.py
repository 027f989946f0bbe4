"""Know a corpus before training on it: its profile, a few of its messages, a smaller corpus of it."""

from __future__ import annotations

import difflib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nwp.corpus.knowing.profile import profile
from nwp.corpus.load import read_messages
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.store import gather
from nwp.corpus.types import Message, Tally, nothing_in, with_text
from nwp.corpus.writing import JsonLinesWriter
from nwp.errors import BadInput, BadSettings
from nwp.model.bundle import default_bundle, load_bundle


def show_corpus(
    source: str,
    *,
    user: str = "",
    model: Path | None = None,
    vocabulary: int = 10_000,
    skip_bad_lines: bool = False,
    form: str = "",
    options: ReadOptions = ReadOptions(),
) -> dict[str, Any]:
    """All that is known of a corpus, as plain data; see `nwp.corpus.knowing.profile` for the figures.

    Beside them: its name, the format found, the span of time, what was skipped and why, remarks,
    and users whose messages stand in the source's order because only some have a time.
    `model` is the bundle whose vocabulary is compared, the shipped one if None. BadSettings for a
    user that is not there.
    """
    bundle = model or default_bundle()
    known = load_bundle(bundle).vocabulary.index
    tally, span = Tally(lenient=skip_bad_lines), _Span()
    with read_messages(source, tally, form=form, options=options) as (found, messages):
        corpus = gather(source, span.watch(messages), tally)
    if user and user not in corpus.users:
        raise _no_user(source, user, corpus.users)
    counted = profile(corpus, known, vocabulary=vocabulary, user=user)
    return {
        "name": source,
        "format": found,
        **counted.as_dict(),
        "time": span.as_dict(),
        "model": bundle.name,
        "vocabulary": vocabulary,
        "skipped": dict(corpus.skipped),
        "remarks": dict(corpus.remarks),
        "unordered": corpus.unordered,
    }


def sample_messages(
    source: str,
    n: int,
    *,
    user: str = "",
    seed: int = 0,
    skip_bad_lines: bool = False,
    form: str = "",
    options: ReadOptions = ReadOptions(),
) -> list[Message]:
    """`n` random messages (of one user, if named), each as likely, in the order of the source.

    BadSettings for a user that is not there.
    """
    tally, draw = Tally(lenient=skip_bad_lines), random.Random(seed)
    kept: list[tuple[int, Message]] = []
    names: dict[str, None] = {}
    seen = 0
    with read_messages(source, tally, form=form, options=options) as (_, messages):
        for message in with_text(messages, tally):
            names[message.user] = None
            if user and message.user != user:
                continue
            # A reservoir: the i-th message gets in with probability n / i, for a random other one.
            place = seen if seen < n else draw.randrange(seen + 1)
            if place < n:
                kept[place : place + 1] = [(seen, message)]
            seen += 1
    if not names:
        raise nothing_in(source, tally)
    if user and user not in names:
        raise _no_user(source, user, names)
    return [message for _, message in sorted(kept, key=lambda pair: pair[0])]


def write_sample(
    source: str,
    out: Path,
    *,
    users: int = 0,
    each: int = 0,
    user: str = "",
    seed: int = 0,
    force: bool = False,
    skip_bad_lines: bool = False,
    form: str = "",
    options: ReadOptions = ReadOptions(),
) -> dict[str, Any]:
    """Write a smaller corpus to `out`: of `users` random users (0: of all), or of `user` alone, at
    most `each` random messages (0: all); names, times and the source's order stay. Returns counts.

    The source is read twice. Equal seeds give equal bytes. BadInput when `out` exists and `force`
    is not given; BadSettings for a user that is not there, or when nothing is asked to be left out.
    """
    if not (users or each or user):
        raise BadSettings(
            "the whole corpus is no sample",
            "Say how much of it with --users, --user or -n; `nwp corpus import` copies all.",
        )
    if user and users:
        raise BadSettings("--user and --users exclude each other", "Use one of them.")
    if out.exists() and not force:
        raise BadInput(f"{out} exists", "Replace it with --force, or choose another name.")
    tally = Tally(lenient=skip_bad_lines)
    with read_messages(source, tally, form=form, options=options) as (_, messages):
        sizes = Counter(message.user for message in with_text(messages, tally))
    if not sizes:
        raise nothing_in(source, tally)
    if user and user not in sizes:
        raise _no_user(source, user, sizes)
    draw = random.Random(seed)
    names = [user] if user else sorted(sizes)
    if users and users < len(names):
        names = sorted(draw.sample(names, users))
    wanted = {
        name: None
        if not each or sizes[name] <= each
        else set(draw.sample(range(sizes[name]), each))
        for name in names
    }
    again = Tally(lenient=skip_bad_lines)
    with (
        JsonLinesWriter(out) as writer,
        read_messages(source, again, form=form, options=options) as (found, messages),
    ):
        for message in _chosen(with_text(messages, again), wanted):
            writer.write(message)
    return {
        "out": str(out),
        "format": found,
        "users": writer.users,
        "messages": writer.messages,
        "skipped": dict(tally.skipped),
    }


def _chosen(
    messages: Iterable[Message], wanted: Mapping[str, set[int] | None]
) -> Iterator[Message]:
    """Of each user the messages of these numbers, counted from 0; of a user with None all."""
    passed: Counter[str] = Counter()
    for message in messages:
        if message.user in wanted:
            numbers = wanted[message.user]
            if numbers is None or passed[message.user] in numbers:
                yield message
            passed[message.user] += 1


@dataclass
class _Span:
    """The first and the last time of messages that pass by, and how many have none."""

    first: datetime | None = None
    last: datetime | None = None
    missing: int = 0

    def watch(self, messages: Iterable[Message]) -> Iterator[Message]:
        for message in messages:
            if not message.text.strip():
                pass  # it will be left out
            elif message.time is not None:
                # One without a zone counts as UTC, as when messages are put in order.
                time = message.time if message.time.tzinfo else message.time.replace(tzinfo=UTC)
                self.first = time if self.first is None else min(self.first, time)
                self.last = time if self.last is None else max(self.last, time)
            else:
                self.missing += 1
            yield message

    def as_dict(self) -> dict[str, Any]:
        first, last = (t and t.isoformat() for t in (self.first, self.last))
        return {"first": first, "last": last, "missing": self.missing}


def _no_user(source: str, name: str, users: Iterable[str]) -> BadSettings:
    names = list(users)
    close = difflib.get_close_matches(name, names, n=3) or sorted(names)[:3]
    return BadSettings(
        f"{source} has no user {name!r}", f"Users are named like {', '.join(close)}."
    )
