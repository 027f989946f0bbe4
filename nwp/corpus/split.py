"""Each user's messages in order of time as train, valid and test; whole users held out."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, overload

from nwp.corpus.types import Corpus
from nwp.errors import BadSettings

PARTS = ("train", "valid", "test")


_T = TypeVar("_T")


def part_of(messages: Sequence[_T], part: str) -> Sequence[_T]:
    """One part of a user's n messages: train the first int(.8 n), valid up to int(.9 n), test the rest.

    "all" gives all of them. BadSettings for any other name.
    """
    n = len(messages)
    borders = {"train": (0, int(0.8 * n)), "valid": (int(0.8 * n), int(0.9 * n))}
    borders |= {"test": (int(0.9 * n), n), "all": (0, n)}
    if part not in borders:
        raise BadSettings(f"no part {part!r}", f"Parts are {', '.join(borders)}.")
    start, stop = borders[part]
    return messages[start:stop]


def named_users(corpus: Corpus, names: str) -> tuple[str, ...]:
    """Users by name, with commas between; BadSettings for one that the corpus does not have."""
    users = tuple(sorted({name.strip() for name in names.split(",") if name.strip()}))
    if missing := [user for user in users if user not in corpus.users]:
        raise BadSettings(
            f"{corpus.name} has no user {missing[0]!r}", _similar(missing[0], corpus.users)
        )
    return users


def chosen_user(corpus: Corpus, name: str) -> str:
    """The one user that a command is about; "" will do where the corpus has one alone.

    BadSettings, with some names, for one that is not there, or none where there are several.
    """
    if name:
        if name in corpus.users:
            return name
        raise BadSettings(f"{corpus.name} has no user {name!r}", _similar(name, corpus.users))
    first, *others = itertools.islice(corpus.users, 4)
    if others:
        names = ", ".join([first, *others][:3])
        raise BadSettings(
            f"{corpus.name} has {len(corpus.users)} users",
            f"Say with --user who you are: {names}{', …' if len(corpus.users) > 3 else ''}.",
        )
    return first


def held_out(corpus: Corpus, wanted: str, seed: int) -> tuple[str, ...]:
    """The users to hold out: a share between 0 and 1 drawn by seed, or names with commas between.

    BadSettings for an unknown user, or when nobody would be left to train on.
    """
    try:
        share = float(wanted)
    except ValueError:
        names = named_users(corpus, wanted)
    else:
        if not 0 <= share < 1:
            raise BadSettings(f"cannot hold out {share:g} of the users", "Give a share below 1.")
        everybody = sorted(corpus.users)
        names = tuple(sorted(random.Random(seed).sample(everybody, round(share * len(everybody)))))
    if len(names) >= len(corpus.users):
        raise BadSettings("all users held out: nobody is left to train on", "Hold out fewer.")
    return names


def only(corpus: Corpus, users: Iterable[str]) -> Corpus:
    """The corpus of these users alone."""
    return replace(corpus, users=Chosen(corpus.users, tuple(sorted(users))))


@dataclass(frozen=True, eq=False)
class Part(Mapping[str, Sequence[str]]):
    """One part of every user's messages, read when it is asked for."""

    every: Mapping[str, Sequence[str]]
    part: str

    def __getitem__(self, user: str) -> Sequence[str]:
        return part_of(self.every[user], self.part)

    def __iter__(self) -> Iterator[str]:
        return iter(self.every)

    def __len__(self) -> int:
        return len(self.every)


@dataclass(frozen=True, eq=False)
class ByPlace(Sequence[Sequence[str]]):
    """The messages of some users of a mapping by the users' places, read when they are asked for."""

    every: Mapping[str, Sequence[str]]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, at: int) -> Sequence[str]: ...

    @overload
    def __getitem__(self, at: slice) -> ByPlace: ...

    def __getitem__(self, at: int | slice) -> Sequence[str] | ByPlace:
        if isinstance(at, slice):
            return ByPlace(self.every, self.names[at])
        return self.every[self.names[at]]


@dataclass(frozen=True, eq=False)
class Chosen(Mapping[str, Sequence[str]]):
    """Some of the users of a mapping, none of whose messages is read before it is asked for."""

    every: Mapping[str, Sequence[str]]
    names: tuple[str, ...]

    def __getitem__(self, user: str) -> Sequence[str]:
        if user not in self._known:
            raise KeyError(user)
        return self.every[user]

    def __contains__(self, user: object) -> bool:
        return user in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @functools.cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)


def _similar(name: str, users: Mapping[str, object]) -> str:
    import difflib

    close = difflib.get_close_matches(name, users, n=3) or sorted(users)[:3]
    return f"Users are named like {', '.join(close)}."
