"""Telegram Desktop: `result.json` of one chat or of a whole account, and `messages.html`.

A user is the name shown for an id. Forwarded texts are somebody else's, posts of a channel nobody's.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from nwp.corpus.json_stream import json_items
from nwp.corpus.lines import clean, clean_name, decode
from nwp.corpus.readers.base import ReadOptions, by_file, unique_names
from nwp.corpus.readers.fields import (
    Found,
    as_dict,
    as_id,
    as_list,
    as_name,
    as_text,
    as_time,
    begins_with,
    from_unix,
    kept,
    made,
    mentions,
)
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_SINGLE = "messages.item"
_MAX_PAGE = 64 << 20  # Telegram begins a new page every thousand messages
_SIGNS = (
    re.compile(rb'"messages"\s*:\s*\['),
    re.compile(rb'"type"\s*:\s*"(?:message|service)"'),
    re.compile(rb'"(?:from|actor)"\s*:'),
    re.compile(rb'"date(?:_unixtime)?"\s*:'),
)
_ACCOUNT = re.compile(rb'"personal_information"\s*:\s*\{[^{}]*"user_id"\s*:')
_PAGE = re.compile(rb'class="message (?:default|service)')
_EVENTS = (
    "poll",
    "todo_list",
    "location_information",
    "contact_information",
    "game_title",
    "invoice_information",
)
_MEDIA = ("media_type", "photo", "file", "sticker_emoji")
_NO_PEOPLE = {
    "bot_chat": "bot",
    "verification_codes": "bot",
    "public_channel": "channel post",
    "private_channel": "channel post",
}
_TELEGRAM_ITSELF = 777000  # writes of log-ins and news to everybody
_IDENTITY = re.compile(r"(user)?(\d+)", re.ASCII)
_VIA_BOT = re.compile(r" via @\w+$")
_STAMP = re.compile(r"(\d\d)\.(\d\d)\.(\d{4}) (\d\d:\d\d:\d\d)(?: UTC([+-]\d\d:\d\d))?", re.ASCII)


def is_one(entry: Entry, head: bytes) -> bool:
    """Whether its start shows messages as Telegram writes them, or an account's first lines."""
    if _is_page(head):
        return b'class="history"' in head and _PAGE.search(head) is not None
    if not begins_with(head, b"{"):
        return False
    return all(sign.search(head) for sign in _SIGNS) or _ACCOUNT.search(head) is not None


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages in the files' order; pages of what is there as JSON too are not read."""
    exports: list[Entry] = []
    pages: list[Entry] = []
    for entry in files:
        (pages if _is_page(entry.head(512)) else exports).append(entry)
    lists = [(entry, prefix) for entry in exports for prefix in _prefixes(entry)]
    names = _names(lists)
    for entry, prefix in lists:
        others = _no_people(entry, prefix)
        # A broken file breaks at the same place each time: that is counted once.
        counted = tally if prefix == _SINGLE else Tally(tally.lenient)
        found = (_found(item, names, others) for item in json_items(entry, prefix, counted))
        yield from kept(found, tally)
    folders = {PurePosixPath(entry.name).parent for entry in exports}
    yield from _read_pages(pages, folders, tally)


def _is_page(head: bytes) -> bool:
    return begins_with(head, b"<")


def _prefixes(entry: Entry) -> Iterator[str]:
    yield _SINGLE
    for key in ("chats", "left_chats"):
        if mentions(entry, b'"%s"' % key.encode()):
            yield f"{key}.list.item.{_SINGLE}"


def _names(lists: list[tuple[Entry, str]]) -> dict[str, str]:
    """Id to name, each id's last; who has deleted the account has none, and goes by the id."""
    shown: dict[str, str] = {}
    for entry, prefix in lists:
        for item in map(as_dict, json_items(entry, prefix, Tally(lenient=True))):
            if identity := as_id(item.get("from_id")):
                name = as_name(item.get("from"))
                if name or identity not in shown:
                    shown[identity] = name
    return unique_names((identity, name or identity) for identity, name in shown.items())


def _no_people(entry: Entry, prefix: str) -> Mapping[int, str]:
    """The numbers of those authors that are known to be no people, and what each is."""
    known = {_TELEGRAM_ITSELF: "bot"}
    if not any(mentions(entry, word) for word in (b'bot_chat"', b'_channel"', b'_codes"')):
        return known
    chat = prefix.removesuffix(_SINGLE)
    most = None if chat else 1

    def values(key: str) -> list[Any]:
        found = json_items(entry, chat + key, Tally(lenient=True))
        return list(islice(found, most))

    kinds, numbers = values("type"), values("id")
    if len(kinds) != len(numbers):  # then no telling whose is whose
        return known
    return known | {
        number: _NO_PEOPLE[kind]
        for kind, number in zip(kinds, numbers, strict=True)
        if isinstance(kind, str) and kind in _NO_PEOPLE and isinstance(number, int)
    }


def _found(item: object, names: Mapping[str, str], others: Mapping[int, str]) -> Found:
    if not isinstance(item, dict):
        return "bad line"
    kind = item.get("type")
    if kind == "service":
        return "system line"
    if kind not in (None, "message"):
        return "event"
    if "forwarded_from" in item or "saved_from" in item:
        return "forwarded"
    if "via_bot" in item:
        return "bot"
    identity = as_id(item.get("from_id"))
    if reason := _nobody(identity, others):
        return reason
    text = _joined(item.get("text")) or _joined(item.get("text_entities"))
    without_text = "empty message"
    if any(key in item for key in _EVENTS):
        without_text = "event"
    elif any(key in item for key in _MEDIA):
        without_text = "media"
    time = from_unix(item.get("date_unixtime")) or as_time(item.get("date"))
    return made(names.get(identity) or as_name(item.get("from")), text, time, without_text)


def _nobody(identity: str, others: Mapping[int, str]) -> str:
    """What an author is who is no person; "" for a person."""
    if identity.startswith("channel"):
        return "channel post"
    if (match := _IDENTITY.fullmatch(identity)) and len(identity) < 30:
        number = int(match[2])
        if match[1]:
            return others.get(number, "")
        # Old exports add the kind of an id above its 32 bits.
        return next((others[n] for n in others if not (number - n) % (1 << 32)), "")
    return ""


def _joined(text: object) -> str:
    """A text, or its pieces (strings, and objects that have a text) as they stand."""
    if isinstance(text, str):
        return as_text(text)
    pieces = (as_dict(p).get("text") if isinstance(p, dict) else p for p in as_list(text))
    return clean("".join(piece for piece in pieces if isinstance(piece, str)))


def _read_pages(pages: list[Entry], folders: set[PurePosixPath], tally: Tally) -> Iterator[Message]:
    """The messages of HTML pages, chat by chat; "joined" ones are by the author before."""
    chat, author = None, ""
    for entry in sorted(pages, key=_page_order):
        place = PurePosixPath(entry.name)
        if folders & {place.parent, *place.parents}:
            tally.skip("other file")
            continue
        if place.parent != chat:
            chat, author = place.parent, ""
        for node in _page(entry).css("div.message"):
            if "joined" not in _classes(node):
                author = _author(node)
            found = _on_page(node, author)
            yield from kept([found], tally)


def _page_order(entry: Entry) -> tuple[str, int]:
    """messages.html, messages2.html, …, messages10.html."""
    number = re.search(r"\d{1,9}$", entry.stem, re.ASCII)
    return str(PurePosixPath(entry.name).parent), int(number[0]) if number else 1


def _page(entry: Entry) -> Any:
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    with entry.open() as file:
        raw = file.read(_MAX_PAGE + 1)
    if len(raw) > _MAX_PAGE:
        raise BadCorpus(
            f"{entry.place} is a page of over {_MAX_PAGE >> 20} MiB",
            "Export it again as JSON.",
        )
    try:
        return LexborHTMLParser(decode(raw.removeprefix(b"\xef\xbb\xbf")))
    except SelectolaxError as error:
        raise BadCorpus(f"{entry.place} is no HTML: {error}", "Export it again.") from error


def _classes(node: Any) -> list[str]:
    return (node.attributes.get("class") or "").split()


def _part(node: Any, name: str) -> Any | None:
    """The part of a message of that class, which is no part of what is quoted in it."""
    body = next((child for child in node.iter() if "body" in _classes(child)), None)
    if body is None:
        return None
    return next((child for child in body.iter() if name in _classes(child)), None)


def _author(node: Any) -> str:
    name = _part(node, "from_name")
    return "" if name is None else clean_name(name.text())


def _on_page(node: Any, author: str) -> Found:
    if "default" not in _classes(node):
        return "system line"
    if _part(node, "forwarded") is not None:
        return "forwarded"
    if _VIA_BOT.search(author):
        return "bot"
    media = _part(node, "media_wrap")
    without_text = "empty message"
    if media is not None:
        without_text = "event" if media.css_first(".media_poll, .media_contact") else "media"
    text, date = _part(node, "text"), _part(node, "date")
    return made(
        author,
        "" if text is None else _shown(text),
        None if date is None else _stamp(date.attributes.get("title") or ""),
        without_text,
    )


def _shown(node: Any) -> str:
    """The text of a part as a browser shows it."""
    pieces = (
        "\n" if piece.tag == "br" else re.sub(r"[ \t]*\n\s*", " ", piece.text_content or "")
        for piece in node.traverse(include_text=True)
        if piece.tag in ("br", "-text")
    )
    return re.sub(r" ?\n ?", "\n", clean("".join(pieces)).strip())


@functools.lru_cache(1 << 10)
def _stamp(title: str) -> datetime | None:
    """The time of "31.12.2024 23:59:59 UTC+01:00", whose last part older pages lack."""
    match = _STAMP.match(title)
    if not match:
        return None
    day, month, year, clock, zone = match.groups()
    return as_time(f"{year}-{month}-{day}T{clock}{zone or ''}")


READER = by_file("telegram", "Telegram Desktop's export, JSON or HTML", is_one, read_files)
