"""Matrix: the JSON that Element exports of a room, and lists of events as a server gives them.

A user is the name shown for an id such as "@ann:example.org". Of an edited message the last edit
is read, where that stands; quotations before a reply are taken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nwp.corpus.json_stream import json_items
from nwp.corpus.readers.base import ReadOptions, by_file, unique_names
from nwp.corpus.readers.fields import (
    Found,
    as_dict,
    as_id,
    as_name,
    as_text,
    begins_with,
    from_unix,
    made,
    oldest_first,
)
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally

_SIGNS = (
    re.compile(rb'"type"\s*:\s*"m\.[a-z_.]+"'),
    re.compile(rb'"sender"\s*:\s*"@'),
    re.compile(rb'"(?:event_id|origin_server_ts)"\s*:'),
)
_LISTS = ("messages", "chunk")
_QUOTED = re.compile(r"> (?:\* )?<@[^>\n]*>")
_MEDIA = frozenset(("m.image", "m.video", "m.audio", "m.file"))
_LEFT_OUT = {
    "m.emote": "action",
    "m.notice": "notice",
    "m.location": "event",
    "m.bad.encrypted": "event",
}


@dataclass(frozen=True)
class _Room:
    """What is to know of all events before one of them is read."""

    names: Mapping[str, str]
    edits: Mapping[tuple[str, str], tuple[float, str]]
    """(Message, author) to (time, event) of its last edit."""


def is_one(entry: Entry, head: bytes) -> bool:
    """Whether its start shows events of Matrix."""
    return begins_with(head, b"{", b"[") and all(sign.search(head) for sign in _SIGNS)


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages in the files' order, turned round where the times only fall."""
    lists = [(entry, _prefix(entry)) for entry in files]
    room = _room(lists)
    for entry, prefix in lists:

        def read(counted: Tally, entry: Entry = entry, prefix: str = prefix) -> Iterator[Found]:
            return (_found(item, room) for item in json_items(entry, prefix, counted))

        yield from oldest_first(read, tally, newest_first=False)


def _prefix(entry: Entry) -> str:
    """Where the events are: the file is a list of them, or has one."""
    head = entry.head()
    if begins_with(head, b"["):
        return "item"
    key = next((k for k in _LISTS if re.search(rb'"%s"\s*:\s*\[' % k.encode(), head)), _LISTS[0])
    return f"{key}.item"


def _room(lists: list[tuple[Entry, str]]) -> _Room:
    shown: dict[str, tuple[float, str]] = {}
    edits: dict[tuple[str, str], tuple[float, str]] = {}
    for entry, prefix in lists:
        for event in map(as_dict, json_items(entry, prefix, Tally(lenient=True))):
            sender, content = as_id(event.get("sender")), as_dict(event.get("content"))
            time = _number(event.get("origin_server_ts"))
            shown.setdefault(sender, (-1.0, ""))
            if event.get("type") == "m.room.member":
                whose = as_id(event.get("state_key")) or sender
                name = as_name(content.get("displayname"))
                if name and time >= shown.get(whose, (-1.0, ""))[0]:
                    shown[whose] = (time, name)
            elif edited := _edited(content):
                key = (edited, sender)
                edits[key] = max(edits.get(key, (-1.0, "")), (time, _event_id(event)))
    pairs = ((sender, name or sender) for sender, (_, name) in shown.items())
    return _Room(unique_names(pairs), edits)


def _number(value: object) -> float:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18
    return float(value) if ok else 0.0  # type: ignore[arg-type]


def _event_id(event: Mapping[str, Any]) -> str:
    return as_id(event.get("event_id"))


def _edited(content: Mapping[str, Any]) -> str:
    """The message that this one takes the place of; "" if it is no edit."""
    relation = as_dict(content.get("m.relates_to"))
    if relation.get("rel_type") != "m.replace" or not as_dict(content.get("m.new_content")):
        return ""
    return as_id(relation.get("event_id"))


def _found(event: object, room: _Room) -> Found:
    if not isinstance(event, dict):
        return "bad line"
    kind, content = event.get("type"), as_dict(event.get("content"))
    if kind == "m.sticker":
        return "media"
    if kind != "m.room.message":
        return "event"
    if "redacted_because" in as_dict(event.get("unsigned")) or "body" not in content:
        return "deleted message"
    sender, own = as_id(event.get("sender")), _event_id(event)
    if edited := _edited(content):
        if room.edits.get((edited, sender), (0.0, own))[1] != own:
            return "earlier version"
        content = as_dict(content["m.new_content"])
    elif own and (own, sender) in room.edits:
        return "earlier version"
    sort = content.get("msgtype")
    if isinstance(sort, str) and sort in _LEFT_OUT:
        return _LEFT_OUT[sort]
    text = as_text(content.get("body"))
    if isinstance(sort, str) and sort in _MEDIA:
        name = content.get("filename")
        if not isinstance(name, str) or name == content.get("body"):
            return "media"  # else what stands there is not the file's name, but a text below it
    if "m.in_reply_to" in as_dict(content.get("m.relates_to")):
        text = _without_quotation(text)
    time = from_unix(event.get("origin_server_ts"), 1000)
    return made(room.names.get(sender, ""), text, time)


def _without_quotation(text: str) -> str:
    """A reply without the lines before it that repeat what it replies to."""
    if not _QUOTED.match(text):
        return text
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if not line.startswith(">")), len(lines))
    return "\n".join(lines[start:]).removeprefix("\n")


READER = by_file("matrix", "Matrix: Element's export, or events as JSON", is_one, read_files)
