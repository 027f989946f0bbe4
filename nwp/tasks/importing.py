"""Bring messages of any form that nwp reads into its own: JSON lines, gzipped."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from nwp.corpus.door.masking import mask as mask_text
from nwp.corpus.door.merging import read_merge
from nwp.corpus.door.pseudonyms import Names, Pseudonyms, load_key
from nwp.corpus.load import read_messages
from nwp.corpus.readers import jsonl
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.types import Message, Tally, nothing_in, with_text
from nwp.corpus.writing import JsonLinesWriter
from nwp.errors import BadCorpus, BadInput, BadSettings
from nwp.tasks.forgetting import forgotten_of, unknown_user
from nwp.text.tokenizer import words_of

Progress = Callable[[int], None]
"""Told now and then how many messages have been read."""
_STEP = 1000
_T = TypeVar("_T")
_EPOCH = datetime.min


def import_messages(
    source: str,
    out: Path,
    *,
    append: bool = False,
    force: bool = False,
    skip_bad_lines: bool = False,
    form: str = "",
    options: ReadOptions = ReadOptions(),
    mask: Sequence[str] = (),
    pseudonyms: Path | None = None,
    only_me: str = "",
    merge: Path | None = None,
    progress: Progress = lambda messages: None,
) -> dict[str, Any]:
    """Read `source`, write `out`, keep text, names and order as they are; returns the counts.

    On request names of `merge` become one, the messages of all but `only_me` are left out, the kinds
    in `mask` are masked, and names get pseudonyms by the key file `pseudonyms` (then, or to know
    `only_me`, the source is read twice). With `append` the messages that `out` has already (same
    user, time and text, as often, as they would be written) are not added again. Users forgotten of
    `out` are left out. "not_met" in the result names users that `merge` has and the source has not.

    BadInput when `out` exists and neither `append` nor `force` is given.
    """
    if out.exists() and not (append or force):
        raise BadInput(f"{out} exists", "Add to it with --append, or replace it with --force.")
    forgotten = forgotten_of(out)
    tally = Tally(lenient=skip_bad_lines)

    def read(counting: Tally) -> Any:
        return _apart(read_messages(source, counting, form=form, options=options))

    change = _Change(mask, read_merge(merge) if merge else {})
    if pseudonyms or only_me:
        key = load_key(pseudonyms) if pseudonyms else b""
        with read(Tally(lenient=skip_bad_lines)) as (_, messages):
            change.learn(_watched(messages, source, progress), source, only_me, key)
    have: Counter[bytes] = Counter()
    users, words, added = set(), 0, 0
    with read(tally) as (form_found, messages), JsonLinesWriter(out) as writer:
        if append and out.exists():
            for message in jsonl.read(out, Tally()):
                have[_identity(message)] += 1
                writer.write(message)
        for message in change.all(_watched(messages, source, progress), tally):
            if message.user in forgotten:
                tally.skip("forgotten user")
            elif have and _taken(have, message):
                tally.skip("already there")
            else:
                writer.write(message)
                users.add(message.user)
                words += len(words_of(message.text))
                added += 1
        if not writer.messages:
            raise nothing_in(source, tally)
    found: dict[str, Any] = {
        "format": form_found,
        "users": len(users),
        "messages": added,
        "words": words,
        "skipped": dict(tally.skipped),
    }
    if tally.remarks:
        found["remarks"] = dict(tally.remarks)
    if mask or pseudonyms:
        found["masked"] = dict(change.masked)
    if not_met := sorted(set(change.merge) - change.met):
        found["not_met"] = not_met
    return found


@dataclass
class _Change:
    """What becomes of the messages of an import: names, whose are kept, what is masked."""

    kinds: Sequence[str]
    merge: dict[str, str]
    me: str | None = None
    names: Names | None = None
    pseudonyms: Pseudonyms | None = None
    masked: Counter[str] = field(default_factory=Counter)
    met: set[str] = field(default_factory=set)

    def learn(self, messages: Iterable[Message], source: str, only_me: str, key: bytes) -> None:
        """Read whose messages there are. BadSettings when `only_me` is none of them."""
        authors = {message.user for message in messages}
        kept = {self.merge.get(author, author) for author in authors}
        if only_me:
            self.me = _author(self.merge.get(only_me, only_me), source, kept)
        if key:
            self.names = Names([*authors, *kept, *self.merge])
            self.pseudonyms = Pseudonyms(key)
            for name in kept:
                self.pseudonyms.of(name)  # two names with one pseudonym end the import here

    def all(self, messages: Iterable[Message], tally: Tally) -> Iterator[Message]:
        """The messages that are kept, as they are to be written."""
        for message in with_text(messages, tally):
            user, text = message.user, message.text
            if user in self.merge:
                self.met.add(user)
                user = self.merge[user]
                tally.remark("name merged")
            if self.me is not None and user != self.me:
                tally.skip("not yours")
            else:
                if self.names is not None:
                    text, count = self.names.replace(text)
                    if count:
                        self.masked["name"] += count
                if self.kinds:
                    text, counts = mask_text(text, self.kinds)
                    self.masked += counts
                if self.pseudonyms is not None:
                    user = self.pseudonyms.of(user)
                yield Message(user, text, message.time)


def _author(name: str, source: str, authors: set[str]) -> str:
    """That author, or the one whose name differs in its capitals only."""
    if name in authors:
        return name
    close = [author for author in authors if author.casefold() == name.casefold()]
    if len(close) > 1:
        raise BadSettings(
            f"{source} has several users called {name!r}",
            f"Write one of: {', '.join(sorted(close))}.",
        )
    if not close:
        raise unknown_user(source, name, authors)
    return close[0]


@contextmanager
def _apart(reading: AbstractContextManager[_T]) -> Iterator[_T]:
    """The same, but an error of the block (a full disk) is not taken for one of reading."""
    opened = reading.__enter__()
    try:
        yield opened
    finally:
        reading.__exit__(None, None, None)


def _watched(messages: Iterable[Message], source: str, progress: Progress) -> Iterator[Message]:
    number = 0
    try:
        for number, message in enumerate(messages, 1):
            if number % _STEP == 0:
                progress(number)
            yield message
    except OSError as error:
        raise BadCorpus(
            f"cannot read {source} behind message {number}: {error.strerror or error}",
            "Check its permissions, and the disk.",
        ) from error


def _taken(have: Counter[bytes], message: Message) -> bool:
    """Is it there already? Then one fewer is left to be met."""
    identity = _identity(message)
    if have[identity] > 0:
        have[identity] -= 1
        return True
    return False


def _identity(message: Message) -> bytes:
    """16 bytes that are the same for the same user, text and point in time."""
    time = message.time
    when = ""
    if time is not None:
        # As a number: a time near the year 1 or 9999 has no equal in UTC.
        offset = time.utcoffset()
        since = time.replace(tzinfo=None) - _EPOCH
        micro = timedelta(microseconds=1)
        when = f"{since // micro}n" if offset is None else f"{(since // micro) - offset // micro}"
    parts = (message.user, when, message.text)
    whole = "\0".join((*(str(len(part)) for part in parts), *parts))
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).digest()
