"""The JSON of LEAF, a benchmark of federated learning, and of data sets in its form.

{"users": […], "num_samples": […], "user_data": {user: {"x": […], "y": […]}}}, where x holds texts;
or comments as windows of words (Reddit); or tweets as rows of columns (Sent140); or windows of 80
characters, each one further, that follow a text through (Shakespeare).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Any

from nwp.corpus.json_stream import json_pairs
from nwp.corpus.lines import clean
from nwp.corpus.readers.base import ReadOptions, by_file
from nwp.corpus.readers.fields import (
    Found,
    as_dict,
    as_list,
    as_name,
    as_text,
    kept,
    made,
)
from nwp.corpus.source import HEAD, Entry
from nwp.corpus.types import Message, Tally

_BEGIN = re.compile(
    rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:(user_data)"\s*:\s*\{|'
    rb'(?:users|num_samples|hierarchies)"\s*:\s*\[\s*(?:["\]]|-?\d))'
)
_NO_WORDS = frozenset(("<BOS>", "<EOS>", "<PAD>", "<UNK>"))
_DATE = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}", re.ASCII)
_TWEET = 5  # columns: id, date, query, user, text
_WINDOW = 80  # characters, as LEAF cuts Shakespeare
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_PARTS = {"train": 1, "val": 2, "validation": 2, "test": 3}
_STEPS = ("all_data", "sampled_data", "rem_user_data")
"""Folders in which LEAF's scripts leave what they later split into train and test."""


def is_one(entry: Entry, head: bytes) -> bool:
    """An object that begins with LEAF's keys."""
    begin = _BEGIN.match(head)
    if not begin or begin[1]:
        return bool(begin)
    return b'"user_data"' in head or b'"num_samples"' in head or len(head) >= HEAD


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """User by user; what is for training comes before what is for testing."""
    split = any(_part(entry) for entry in files)
    for entry in sorted(files, key=_part):
        if split and not _part(entry) and PurePosixPath(entry.name).parent.name in _STEPS:
            tally.skip("duplicate")
            continue
        for key, data in json_pairs(entry, "user_data", tally):
            user = as_name(key)
            yield from kept((_named(one, user) for one in _user(as_dict(data), tally)), tally)


def _part(entry: Entry) -> int:
    """Of a split, in order; 0 for what is in no folder of one."""
    return _PARTS.get(PurePosixPath(entry.name).parent.name, 0)


def _named(found: Found, user: str) -> Found:
    if isinstance(found, str):
        return found
    return made(user, found.text, found.time)


def _user(data: dict[str, Any], tally: Tally) -> Iterator[Found]:
    """What a user's samples say, under no name."""
    x, y = as_list(data.get("x")), as_list(data.get("y"))
    if _are_windows(x, y):
        yield from _followed(x, y, tally)
        return
    yield from map(_sample, x)


def _sample(sample: object) -> Found:
    if isinstance(sample, str):
        return made("-", clean(sample).strip(), None)
    row = as_list(sample)
    if len(row) >= _TWEET and isinstance(row[1], str) and _DATE.fullmatch(row[1]):
        text = clean(html.unescape(as_text(row[_TWEET - 1]))).strip()
        return made("-", text, _tweeted(row[1]), "no text")
    words = [word for word in _words(row) if word not in _NO_WORDS]
    return made("-", clean(" ".join(words)).strip(), None, "no text")


def _words(row: list[Any]) -> Iterator[str]:
    """The words of a list, or of the lists in it."""
    for one in row:
        yield from (word for word in (one if isinstance(one, list) else [one]) if as_text(word))


def _tweeted(date: str) -> datetime | None:
    try:
        return parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None


def _are_windows(x: list[Any], y: list[Any]) -> bool:
    """Texts of one length, each with the character that comes next; of 80, or with a next window."""
    if not x or len(x) != len(y) or not all(isinstance(one, str) for one in (*x, *y)):
        return False
    if any(len(one) != len(x[0]) for one in x) or any(len(one) != 1 for one in y):
        return False
    follows = any(_follows(x, y, at) for at in range(len(x) - 1))
    return len(x[0]) == _WINDOW or (len(x[0]) > 1 and follows)


def _follows(x: list[str], y: list[str], at: int) -> bool:
    return x[at + 1] == x[at][1:] + y[at]


def _followed(x: list[str], y: list[str], tally: Tally) -> Iterator[Found]:
    """The text that the windows were cut from, sentence by sentence."""
    start = 0
    for at in range(len(x)):
        if at + 1 < len(x) and _follows(x, y, at):
            continue
        text = clean(x[start] + "".join(y[start : at + 1]))
        for line in text.split("\n"):
            for sentence in _SENTENCE_END.split(line):
                if sentence.strip():
                    yield Message("-", sentence.strip())
        start = at + 1
        if start < len(x):
            tally.remark("gap in a text")


READER = by_file("leaf", "LEAF's JSON of users and their samples", is_one, read_files)
