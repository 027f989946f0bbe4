"""Slack's export of a workspace: a folder for each channel, in it a JSON file for each day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from nwp.corpus.json_stream import json_items, json_whole
from nwp.corpus.readers.base import Reader, ReadOptions, unique_names
from nwp.corpus.readers.fields import (
    Found,
    as_dict,
    as_id,
    as_list,
    as_name,
    as_text,
    from_unix,
    kept,
    made,
)
from nwp.corpus.source import Entry, Source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.json", re.ASCII)
_PEOPLE = ("users.json", "org_users.json")
_CHANNELS = ("channels.json", "groups.json", "mpims.json")
_LISTS = (*_PEOPLE, *_CHANNELS, "dms.json")
_LOOKED_INTO = 50
"""Days that the format is recognised by, at most: the first ones may be empty."""

_MARKUP = re.compile(r"<([^<>]*)>")
_ESCAPED = re.compile(r"&(amp|lt|gt);")
_PLAIN = {"amp": "&", "lt": "<", "gt": ">"}
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_OF_A_FILE = re.compile(  # what Slack itself wrote around a comment until 2018
    r"\A<@\w+(?:\|[^<>]*)?> (?:uploaded|shared) (?:a file|an image|a post): <[^<>]*>"
    r"(?: and commented:)?|\A<@\w+(?:\|[^<>]*)?> commented on .*? <[^<>]*>:"
)
_OWN_TEXT = ("", "thread_broadcast", "reply_broadcast", "file_share")
_OUT = {
    "me_message": "action",
    "bot_message": "bot",
    "slackbot_response": "bot",
    "tombstone": "deleted message",
    "message_deleted": "deleted message",
    "message_changed": "event",
}
"""Why a message of this subtype is left out; of any other, as "system line"."""


@dataclass
class _Workspace:
    """Who is who: names as people see them, and as users, of whom no two have the same."""

    shown: dict[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    bots: set[str] = field(default_factory=lambda: {"USLACKBOT"})


def plain(text: str, people: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """A message's text as people see it: mentions, channels and links by their names.

    `people` and `channels` map ids to names.
    """
    pieces, end = [], 0
    for found in _MARKUP.finditer(text):
        pieces.append(_unescaped(text[end : found.start()]))
        pieces.append(_spelled(found[0], found[1], people, channels))
        end = found.end()
    return "".join(pieces) + _unescaped(text[end:])


def _spelled(whole: str, inner: str, people: Mapping[str, str], channels: Mapping[str, str]) -> str:
    target, _, label = inner.partition("|")
    label = _unescaped(label)
    if target[:1] == "@":
        return "@" + (people.get(target[1:]) or label or target[1:])
    if target[:1] == "#":
        return "#" + (label or channels.get(target[1:]) or target[1:])
    if target.startswith("!date^"):
        return label
    if target[:1] == "!":
        return label or "@" + target[1:].rpartition("^")[2]
    if not _ADDRESS.match(target):
        return _unescaped(whole)
    return label or _unescaped(re.sub("^(?:mailto|tel):", "", target))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _PLAIN[found[1]], text)


def _recognises(source: Source) -> bool:
    return any(map(_is_day, islice(filter(_named_as_day, source.entries), _LOOKED_INTO)))


def _named_as_day(entry: Entry) -> bool:
    return bool(_DAY.fullmatch(PurePosixPath(entry.name).name))


def _is_day(entry: Entry) -> bool:
    """A list of objects that have a time as Slack writes it; an empty one tells nothing."""
    try:
        head = entry.head()
    except BadCorpus:
        return False
    begins = re.match(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{", head)
    return bool(begins and b'"ts"' in head and (b'"type"' in head or b'"user"' in head))


def _read(source: Source, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """Channel by channel, day by day."""
    days, lists = [], []
    for entry in source.entries:
        if _named_as_day(entry):
            days.append(entry)
        elif PurePosixPath(entry.name).name in _LISTS:
            lists.append(entry)
        else:
            tally.skip("other file")
    days.sort(key=lambda entry: PurePosixPath(entry.name).parts)
    workspace = _workspace(lists, days, tally)
    for entry in days:
        yield from kept(_day(entry, workspace, tally), tally)


def _workspace(lists: list[Entry], days: list[Entry], tally: Tally) -> _Workspace:
    """The names from the lists, and of guests, whom no list has, from their messages."""
    found = _Workspace()
    for entry in lists:
        name = PurePosixPath(entry.name).name
        rows = [] if name == "dms.json" else as_list(json_whole(entry, tally))
        for row in map(as_dict, rows):
            identity = as_id(row.get("id"))
            if identity and name in _PEOPLE:
                found.shown[identity] = _name(row)
                if row.get("is_bot") is True:
                    found.bots.add(identity)
            elif identity:
                found.channels[identity] = as_name(row.get("name"))
    for entry in days:
        for row in map(as_dict, json_items(entry, "item", Tally(lenient=True))):
            identity = as_id(row.get("user"))
            if not found.shown.get(identity):
                found.shown[identity] = _name({"profile": row.get("user_profile")})
    found.shown.pop("", None)
    found.users = unique_names(
        (identity, name or identity) for identity, name in found.shown.items()
    )
    return found


def _name(person: Mapping[str, Any]) -> str:
    """The name that others see: the chosen one, else the real one, else the account's."""
    profile = as_dict(person.get("profile"))
    return (
        as_name(profile.get("display_name"))
        or as_name(profile.get("real_name"))
        or as_name(person.get("real_name"))
        or as_name(person.get("name") or profile.get("name"))
    )


def _day(entry: Entry, workspace: _Workspace, tally: Tally) -> Iterator[Found]:
    for row in json_items(entry, "item", tally):
        found = _message(row, workspace) if isinstance(row, dict) else "event"
        if isinstance(found, Message) and found.time is None:
            tally.remark("time that can't be read")
        yield found


def _message(row: dict[str, Any], workspace: _Workspace) -> Found:
    subtype = as_text(row.get("subtype"))
    identity, text = as_id(row.get("user")), row.get("text")
    if row.get("type", "message") != "message":
        return "event"
    if subtype == "file_comment":
        comment = as_dict(row.get("comment"))
        identity = as_id(comment.get("user")) or identity
        text = comment.get("comment", text)
    elif subtype not in _OWN_TEXT:
        return _OUT.get(subtype, "system line")
    if row.get("bot_id") or identity in workspace.bots:
        return "bot"
    if text is not None and not isinstance(text, str):
        return "no text"
    text = as_text(text)
    if subtype.startswith("file_"):
        text = _OF_A_FILE.sub("", text)
    text = plain(text, workspace.shown, workspace.channels).strip()
    files = any(row.get(key) for key in ("files", "file", "attachments"))
    user = workspace.users.get(identity, identity)
    return made(user, text, from_unix(row.get("ts")), "media" if files else "empty message")


READER = Reader("slack", "Slack's export of a workspace", _recognises, _read)
