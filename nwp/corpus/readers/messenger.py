"""Facebook Messenger and Instagram: `message_1.json` of a chat, and the end-to-end encrypted ones.

A user is the name that stands there: there are no ids. Files have their newest message first; they
are read from their end. The letters that Facebook garbles (UTF-8 taken for Latin-1) are mended,
text by text, where all of a text reads as UTF-8.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from nwp.corpus.json_stream import json_items
from nwp.corpus.readers.base import ReadOptions, by_file
from nwp.corpus.readers.fields import (
    Found,
    as_name,
    as_text,
    begins_with,
    from_unix,
    made,
    oldest_first,
)
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally

_LIST = re.compile(rb'"messages"\s*:\s*\[')
_SIGNS = (re.compile(rb'"sender_name"\s*:'), re.compile(rb'"timestamp_ms"\s*:'))
_ENCRYPTED_SIGNS = (
    re.compile(rb'"senderName"\s*:'),
    re.compile(rb'"timestamp"\s*:'),
    re.compile(rb'"(?:threadName|isUnsent)"\s*:'),
)
_PART = re.compile(r"message_(\d{1,9})", re.ASCII)
_MEDIA = ("photos", "videos", "audio_files", "gifs", "sticker", "files", "share", "media")
_NAME = "\0"  # no text has it: control characters are taken out
_LONGEST = 500  # characters of what the app writes
_KINDS = {
    "Call": "event",
    "Payment": "event",
    "Plan": "event",
    "Subscribe": "system line",
    "Unsubscribe": "system line",
    "placeholder": "deleted message",
}
# What the apps write in a sender's place: {name} is the sender's, in full or the first of them;
# {any} is whatever stands there. A text is left out only if one of these is all of it.
_WRITTEN_BY_THE_APP = {
    "media": (
        "{name} sent an attachment.",
        "You sent an attachment.",
        "{name} sent a photo.",
        "You sent a photo.",
        "{name} sent a video.",
        "You sent a video.",
        "{name} sent a sticker.",
        "You sent a sticker.",
        "{name} sent a GIF.",
        "You sent a GIF.",
        "{name} sent a voice message.",
        "You sent a voice message.",
        "{name} sent a link.",
        "You sent a link.",
        "{name} sent a location.",
        "You sent a location.",
        "{name} sent a live location.",
        "You sent a live location.",
        "{name} shared a story.",
        "You shared a story.",
        "{name} hat einen Anhang gesendet.",
        "Du hast einen Anhang gesendet.",
        "{name} a envoyé une pièce jointe.",
        "Vous avez envoyé une pièce jointe.",
        "{name} envió un archivo adjunto.",
        "Enviaste un archivo adjunto.",
        "{name} ha inviato un allegato.",
        "Hai inviato un allegato.",
        "{name} enviou um anexo.",
        "Você enviou um anexo.",
        "{name} heeft een bijlage verzonden.",
        "Je hebt een bijlage verzonden.",
        "{name} skickade en bilaga.",
        "Du skickade en bilaga.",
        "Użytkownik {name} wysłał załącznik.",
    ),
    "event": (
        "Liked a message",
        "Reacted {any} to your message",
        "Hat mit {any} auf deine Nachricht reagiert",
        "A aimé un message",
        "A réagi {any} à votre message",
        "Le gustó un mensaje",
        "Reaccionó con {any} a tu mensaje",
        "Ha messo Mi piace a un messaggio",
        "Curtiu uma mensagem",
        "Reagiu com {any} à sua mensagem",
        "{name} called you.",
        "You missed a call from {name}.",
        "You missed a video call from {name}.",
        "You missed an audio call from {name}.",
        "{name} started a call.",
        "{name} started a video chat.",
        "{name} started an audio call.",
        "{name} started a video call.",
        "{name} joined the call.",
        "{name} joined the video call.",
        "{name} joined the video chat.",
        "The call ended.",
        "The video chat ended.",
        "Audio call ended",
        "Video call ended",
        "Video chat ended",
        "{name} waved at you.",
        "{name} mentioned you in their story.",
    ),
    "deleted message": (
        "{name} unsent a message.",
        "You unsent a message.",
    ),
    "system line": (
        "{name} named the group {any}.",
        "You named the group {any}.",
        "{name} created the group.",
        "You created the group.",
        "{name} changed the group photo.",
        "You changed the group photo.",
        "{name} added {any} to the group.",
        "You added {any} to the group.",
        "{name} removed {any} from the group.",
        "You removed {any} from the group.",
        "{name} left the group.",
        "You left the group.",
        "{name} joined the group.",
        "{name} set the nickname for {any} to {any}.",
        "You set the nickname for {any} to {any}.",
        "{name} set your nickname to {any}.",
        "{name} set their own nickname to {any}.",
        "{name} set his own nickname to {any}.",
        "{name} set her own nickname to {any}.",
        "{name} set the emoji to {any}.",
        "You set the emoji to {any}.",
        "{name} set the quick reaction to {any}.",
        "You set the quick reaction to {any}.",
        "{name} changed the theme to {any}.",
        "You changed the theme to {any}.",
        "{name} changed the chat theme.",
        "You changed the chat theme.",
        "{name} pinned a message.",
        "You pinned a message.",
        "{name} created a poll: {any}.",
        "You created a poll: {any}.",
        "You are now connected on Messenger.",
        "Say hi to your new Facebook friend, {name}.",
        "{name} hat die Gruppe {any} genannt.",
        "{name} hat die Gruppe verlassen.",
        "{name} a nommé le groupe {any}.",
        "{name} a quitté le groupe.",
    ),
}


def is_one(entry: Entry, head: bytes) -> bool:
    """Whether its start shows messages as Facebook or Instagram writes them."""
    if not begins_with(head, b"{") or not _LIST.search(head):
        return False
    return any(all(s.search(head) for s in signs) for signs in (_SIGNS, _ENCRYPTED_SIGNS))


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages chat by chat, each from its oldest to its newest."""
    for entry in sorted(files, key=_order):

        def read(counted: Tally, entry: Entry = entry) -> Iterator[Found]:
            return map(_found, json_items(entry, "messages.item", counted))

        yield from oldest_first(read, tally)


def _order(entry: Entry) -> tuple[str, int, str]:
    """By folder; there message_1.json, which has the newest, last."""
    match = _PART.fullmatch(entry.stem)
    number = int(match[1]) if match else 0
    return str(PurePosixPath(entry.name).parent), -number, entry.name


def _found(item: object) -> Found:
    if not isinstance(item, dict):
        return "bad line"
    kind = item.get("type")
    if item.get("is_unsent") is True or item.get("isUnsent") is True:
        return "deleted message"
    if isinstance(kind, str) and kind in _KINDS:
        return _KINDS[kind]
    if "call_duration" in item:
        return "event"
    name, text, time = _parts(item)
    if reason := _by_the_app(name, text.strip()):
        return reason
    shown = kind == "media" or any(item.get(key) for key in _MEDIA)
    return made(name, text, from_unix(time, 1000), "media" if shown else "empty message")


def _parts(item: Mapping[str, Any]) -> tuple[str, str, object]:
    """Name, text and time; only those that are not encrypted have garbled letters."""
    if "senderName" in item:
        name, text, time = (item.get(key) for key in ("senderName", "text", "timestamp"))
        return as_name(name), as_text(text), time
    name, text, time = (item.get(key) for key in ("sender_name", "content", "timestamp_ms"))
    return as_name(_mended(name)), as_text(_mended(text)), time


def _mended(text: object) -> object:
    """UTF-8 that was read as Latin-1 as it was meant; anything else as it is."""
    if not isinstance(text, str) or text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _by_the_app(name: str, text: str) -> str:
    """Why a text that the app wrote is left out; "" for what a person wrote."""
    if len(text) > _LONGEST or "\n" in text:
        return ""
    for one in _without_name(name, text):
        for reason, pattern in _by_reason().items():
            if pattern.fullmatch(one):
                return reason
    return ""


def _without_name(name: str, text: str) -> Iterator[str]:
    """A text as it is, and with a mark in the place of its author's name."""
    yield text
    for called in {name, name.partition(" ")[0]} - {""}:
        if called in text:
            before, _, after = text.partition(called)
            if before:  # at the end, then: its letters may come before
                before, _, after = text.rpartition(called)
            yield f"{before}{_NAME}{after}"


@functools.cache
def _by_reason() -> dict[str, re.Pattern[str]]:
    found = {}
    for reason, templates in _WRITTEN_BY_THE_APP.items():
        patterns = (
            re.escape(template.removesuffix("."))
            .replace(r"\{name\}", _NAME)
            .replace(r"\{any\}", ".+")
            for template in templates
        )
        found[reason] = re.compile(rf"(?:{'|'.join(patterns)})\.?")
    return found


READER = by_file("messenger", "Facebook Messenger and Instagram, JSON", is_one, read_files)
