"""Discord: the JSON that DiscordChatExporter writes of a channel, and one's own data package.

A user is the account's name, unique by its id; all messages of a package are its owner's. Emoji
and mentions by number are read without it: "<:wave:123>" as ":wave:", "<@123>" as "@".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from nwp.corpus.json_stream import json_items, json_whole
from nwp.corpus.lines import MAX_LINE, read_lines
from nwp.corpus.readers.base import Reader, ReadOptions, by_file, unique_names
from nwp.corpus.readers.fields import (
    Found,
    as_dict,
    as_id,
    as_list,
    as_name,
    as_text,
    as_time,
    begins_with,
    kept,
    made,
    oldest_first,
)
from nwp.corpus.source import Entry, Source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_RECENT = 1000  # an exporter that is stopped and goes on repeats its last messages
_LIST = re.compile(rb'"messages"\s*:\s*\[')
_SIGNS = (
    (re.compile(rb'"guild"\s*:\s*\{'), re.compile(rb'"channel"\s*:\s*\{')),
    (re.compile(rb'"author"\s*:\s*\{'), re.compile(rb'"isBot"\s*:')),
)
_OWN = tuple(re.compile(rb'"%s"\s*:' % key) for key in (b"ID", b"Timestamp", b"Contents"))
_TABLE = re.compile(rb"(?:\xef\xbb\xbf)?\"?ID\"?,\"?Timestamp\"?,\"?Contents\"?[,\r\n]")
_SPOKEN = frozenset(("Default", "Reply", "ChatInputCommand", "0", "19", "20"))
_PART = re.compile(r"^(.*?)(?: \[part (\d{1,9})\])?$", re.ASCII | re.DOTALL)
_BY_NUMBER = re.compile(r"<(?:a?(:\w{1,64}:)|(@)[!&]?|(#))\d{5,20}>", re.ASCII)


def is_one(entry: Entry, head: bytes) -> bool:
    """A channel as DiscordChatExporter writes it, or as it is in a data package."""
    if _TABLE.match(head):
        return True
    if begins_with(head, b"["):
        return all(sign.search(head) for sign in _OWN)
    return (
        begins_with(head, b"{")
        and _LIST.search(head) is not None
        and any(all(sign.search(head) for sign in signs) for signs in _SIGNS)
    )


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages in the files' order, each channel's from its oldest to its newest.

    Those of a data package are by `options.me`.
    """
    exports: list[Entry] = []
    own: list[tuple[Entry, bool]] = []
    for entry in files:
        head = entry.head(512)
        if (is_table := _TABLE.match(head) is not None) or begins_with(head, b"["):
            own.append((entry, is_table))
        else:
            exports.append(entry)
    exports.sort(key=_part_order)
    names = _names(exports)
    recent: dict[str, None] = {}
    for entry in exports:
        items = json_items(entry, "messages.item", tally)
        yield from kept((_found(item, names, recent) for item in items), tally)
    me = as_name(options.me) or "me"
    for entry, is_table in own:
        yield from (_own_table if is_table else _own_list)(entry, me, tally)


def _part_order(entry: Entry) -> tuple[str, int]:
    """The parts of a channel by their number."""
    match = _PART.match(entry.name.removesuffix(".json"))
    assert match is not None
    return match[1], int(match[2] or 1)


def _names(exports: list[Entry]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for entry in exports:
        for item in json_items(entry, "messages.item", Tally(lenient=True)):
            author = as_dict(as_dict(item).get("author"))
            if identity := as_id(author.get("id")):
                name = _shown(author)
                if name or identity not in shown:
                    shown[identity] = name
    return unique_names((identity, name or identity) for identity, name in shown.items())


def _shown(author: Mapping[str, object]) -> str:
    return as_name(author.get("name")) or as_name(author.get("nickname"))


def _found(item: object, names: Mapping[str, str], recent: dict[str, None]) -> Found:
    if not isinstance(item, dict):
        return "bad line"
    if (kind := as_id(item.get("type"))) and kind not in _SPOKEN:
        return "event"
    author = as_dict(item.get("author"))
    if author.get("isBot") is True:
        return "bot"
    if (identity := as_id(item.get("id"))) in recent:
        return "duplicate"
    if identity:
        recent[identity] = None
        if len(recent) > _RECENT:
            del recent[next(iter(recent))]
    shown = any(as_list(item.get(key)) for key in ("attachments", "stickers", "embeds"))
    return made(
        names.get(as_id(author.get("id"))) or _shown(author),
        _plain(as_text(item.get("content"))),
        as_time(item.get("timestamp")),
        "media" if shown else "empty message",
    )


def _plain(text: str) -> str:
    """Without the numbers of emoji, people, roles and channels."""
    return _BY_NUMBER.sub(lambda match: match[1] or match[2] or match[3], text)


def _own_list(entry: Entry, me: str, tally: Tally) -> Iterator[Message]:
    """A channel of a data package in JSON."""

    def read(counted: Tally) -> Iterator[Found]:
        for item in json_items(entry, "item", counted):
            row = as_dict(item)
            values = [row.get(key) for key in ("Timestamp", "Contents", "Attachments")]
            yield _own_message(me, *values) if row else "bad line"

    return oldest_first(read, tally)


def _own_table(entry: Entry, me: str, tally: Tally) -> Iterator[Message]:
    """A channel of a data package as a table."""

    def read(counted: Tally) -> Iterator[Found]:
        csv.field_size_limit(MAX_LINE)  # of the whole process: all set the same
        with entry.open() as file:
            rows = csv.reader(f"{line}\n" for line in read_lines(file, counted))
            try:
                for row in islice(rows, 1, None):
                    if row:
                        cells = [*row[1:4], "", "", ""]
                        yield _own_message(me, *cells[:3]) if len(row) > 2 else "bad line"
            except csv.Error as error:
                if not counted.lenient:
                    raise BadCorpus(
                        f"{entry.place}, line {rows.line_num}: {error}",
                        "Mend the table, or keep what can be read with --skip-bad-lines.",
                    ) from error
                counted.skip("half a file")

    return oldest_first(read, tally)


def _own_message(me: str, time: object, text: object, attached: object) -> Found:
    return made(me, _plain(as_text(text)), as_time(time), "media" if attached else "empty message")


def _owner(source: Source) -> str:
    """The name in a data package's account/user.json (whose folder's name is translated)."""
    for entry in source.entries:
        if entry.name.count("/") and entry.stem.lower() == "user" and entry.suffix == ".json":
            head = entry.head()
            if b'"username"' in head and b'"id"' in head:
                account = as_dict(json_whole(entry, Tally(lenient=True)))
                if name := as_name(account.get("username")):
                    return name
    return ""


def _read(source: Source, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    if options.me == ReadOptions().me and (owner := _owner(source)):
        options = replace(options, me=owner)
    return _FILES.read(source, tally, options)


_FILES = by_file(
    "discord", "Discord: DiscordChatExporter's JSON, or a data package", is_one, read_files
)
READER = Reader(_FILES.name, _FILES.about, _FILES.recognises, _read)
