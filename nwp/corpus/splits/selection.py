"""Which messages of a corpus go where before any are dealt anew: steps 1 to 5 of a recipe."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from nwp.corpus.split import held_out
from nwp.corpus.splits.partition import Ints, Longs, rank_within
from nwp.corpus.splits.recipe import Recipe
from nwp.corpus.types import Corpus, Message
from nwp.errors import BadCorpus, BadSettings
from nwp.text.tokenizer import words_of

MAIN, HELD_OUT, LATER, LEFT_OUT = range(4)
NO_TIME = np.iinfo(np.int64).min

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Scan:
    """What is known of each message without its text: 16 bytes a message.

    `users` numbers the names in order of their first message; message i has user `owners[i]`,
    `words[i]` words and `times[i]`, in microseconds since 1970, or `NO_TIME`.
    """

    users: Mapping[str, int]
    owners: Ints
    words: Ints
    times: Longs


@dataclass(frozen=True)
class Selection:
    """Where each message goes (`parts`: MAIN, HELD_OUT, LATER or LEFT_OUT), and whose it is.

    `owners` are numbers of `names`. `left_out` and `remarks` count by reason, as a tally does.
    """

    names: Sequence[str]
    owners: Ints
    parts: npt.NDArray[np.int8]
    left_out: dict[str, int]
    remarks: dict[str, int]


def scan(messages: Iterable[Message]) -> Scan:
    """Read all messages once."""
    users: dict[str, int] = {}
    owners, words, times = array("i"), array("i"), array("q")
    for message in messages:
        owners.append(users.setdefault(message.user, len(users)))
        words.append(len(words_of(message.text)))
        times.append(NO_TIME if message.time is None else ticks(message.time))
    return Scan(
        users,
        np.frombuffer(owners, np.int32) if owners else np.empty(0, np.int32),
        np.frombuffer(words, np.int32) if words else np.empty(0, np.int32),
        np.frombuffer(times, np.int64) if times else np.empty(0, np.int64),
    )


def ticks(time: datetime) -> int:
    """Microseconds since 1970; a time without a zone is taken as UTC."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _TICK


def select(found: Scan, recipe: Recipe, source: str) -> Selection:
    """Steps 1 to 5 of the recipe; `source` is for errors.

    BadSettings for names that the corpus does not have, BadCorpus when no message is left.
    """
    names, owners = _merged(found, recipe.merge, source)
    parts = np.full(len(owners), MAIN, np.int8)
    left_out: dict[str, int] = {}
    remarks: dict[str, int] = {}
    if cut := recipe.cut:
        parts[found.times >= ticks(cut)] = LATER
        if untimed := int((found.times == NO_TIME).sum()):
            remarks["message without a time, taken as early enough"] = untimed
    if recipe.cap_messages:
        main = np.flatnonzero(parts == MAIN)
        times = found.times[main]
        ranks = rank_within(owners[main], times, times != NO_TIME)
        over = main[ranks >= recipe.cap_messages]
        parts[over] = LEFT_OUT
        left_out["message over cap_messages"] = len(over)
    if recipe.min_words or recipe.max_words:
        main = np.flatnonzero(parts == MAIN)
        has = np.bincount(owners[main], found.words[main], len(names))
        bounds = [("user under min_words", has < recipe.min_words)]
        if recipe.max_words:
            bounds.append(("user over max_words", has > recipe.max_words))
        for reason, wrong in bounds:
            which = (parts != LEFT_OUT) & wrong[owners]
            parts[which] = LEFT_OUT
            left_out[reason] = len(np.unique(owners[which]))
            left_out[f"message of a {reason}"] = int(which.sum())
    left_out = {reason: count for reason, count in left_out.items() if count}
    _nobody(parts, source, left_out)
    _hold_out(names, owners, parts, recipe, source)
    return Selection(names, owners, parts, left_out, remarks)


def _merged(found: Scan, merge: Mapping[str, Sequence[str]], source: str) -> tuple[list[str], Ints]:
    """The names after merging, and each message's owner as a number of them."""
    if not merge:
        return list(found.users), found.owners
    becomes = {old: new for new, many in merge.items() for old in many}
    if missing := [old for old in becomes if old not in found.users]:
        raise BadSettings(
            f"{source} has no user {missing[0]!r} to merge", "Name users as the corpus does."
        )
    if taken := [new for new in merge if new in found.users and new not in becomes]:
        raise BadSettings(
            f"{source} has a user {taken[0]!r} already",
            "Add it to the list if it is the same person, or take another name.",
        )
    numbers: dict[str, int] = {}
    moved = [numbers.setdefault(becomes.get(u, u), len(numbers)) for u in found.users]
    return list(numbers), np.array(moved, np.int32)[found.owners]


def _hold_out(
    names: Sequence[str],
    owners: Ints,
    parts: npt.NDArray[np.int8],
    recipe: Recipe,
    source: str,
) -> None:
    if not recipe.held_out:
        return
    present = np.unique(owners[parts == MAIN])
    numbers = {names[i]: int(i) for i in present}
    if isinstance(recipe.held_out, str):
        users = dict.fromkeys(sorted(numbers), ())
        chosen = held_out(Corpus(source, users), recipe.held_out, recipe.seed)
    else:
        chosen = tuple(sorted(set(recipe.held_out)))
        if missing := [name for name in chosen if name not in numbers]:
            raise BadSettings(
                f"{source} has no user {missing[0]!r} to hold out", "Name users as the corpus does."
            )
        if len(chosen) == len(numbers):
            raise BadSettings("all users held out: nobody is left to train on", "Hold out fewer.")
    aside = np.zeros(len(names), np.bool_)
    aside[[numbers[name] for name in chosen]] = True
    parts[(parts == MAIN) & aside[owners]] = HELD_OUT


def _nobody(parts: npt.NDArray[np.int8], source: str, left_out: Mapping[str, int]) -> None:
    if (parts == MAIN).any():
        return
    counts = {"later": int((parts == LATER).sum()), **left_out}
    left = ", ".join(f"{count} x {reason}" for reason, count in counts.items() if count)
    raise BadCorpus(
        f"no messages of {source} are left (left out: {left})",
        "Ask for fewer words, a later date or a larger cap.",
    )
