"""Signal's chats as JSON: its own export, and what signal-cli, signal-export and sigtop write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nwp.corpus.json_stream import json_items
from nwp.corpus.lines import clean, clean_name, raw_lines
from nwp.corpus.readers.base import ReadOptions, unique_names
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_HINT = "Mend the line, or leave such lines out with --skip-bad-lines."


@dataclass(frozen=True)
class Said:
    """One thing in an export: by whom ("" for the owner), what and when, or why it is no text."""

    who: str = ""
    text: str = ""
    time: object = None
    reason: str = ""


def form_of(value: object) -> str:
    """Which of the forms an export's first object is of; "" for none."""
    if not isinstance(value, dict):
        return ""
    if {"source", "timestamp"} & _dict(_envelope(value)).keys():
        return "cli"
    if "conversationId" in value and {"sent_at", "received_at"} & value.keys():
        return "desktop"
    if {"date", "sender", "body", "reactions", "attachments"} <= value.keys():
        return "export"
    return "own" if "backupTimeMs" in value and "version" in value else ""


def read(entry: Entry, form: str, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages of a file of such a form; read twice, for the names come at any place."""
    people: dict[str, str] = {}
    owner = options.me
    for value in _values(entry, Tally(lenient=True)):
        if form == "own" and isinstance(account := value.get("account"), dict):
            given = _joined(account, "givenName", "familyName")
            owner = given if options.me == ReadOptions().me and given else owner
        who, name = _PEOPLE[form](value)
        if who and (name or who not in people):
            people[who] = name
    names = unique_names((who, name or who) for who, name in people.items())
    for value in _values(entry, tally):
        said = _SAID[form](value)
        if said is None:
            continue
        reason = said.reason or ("" if said.text.strip() else "no text")
        user = names.get(said.who, said.who) if said.who else owner
        if reason or not user:
            tally.skip(reason or "no author")
        else:
            yield Message(user, clean(said.text).strip(), _time(said.time, tally))


def _values(entry: Entry, tally: Tally) -> Iterator[dict[str, Any]]:
    """The objects of a list, or of lines."""
    found: Iterator[Any]
    if entry.head(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        found = json_items(entry, "item", tally)
    else:
        found = _json_lines(entry, tally)
    for value in found:
        if isinstance(value, dict):
            yield value
        else:
            tally.skip("bad line")


def _json_lines(entry: Entry, tally: Tally) -> Iterator[Any]:
    with entry.open() as file:
        for number, line in enumerate(raw_lines(file, tally), 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                if not tally.lenient:
                    text = " ".join(str(error).split())[:200]
                    raise BadCorpus(f"{entry.place}, line {number}: {text}", _HINT) from error
                tally.skip("bad line")
            else:
                yield value


def _envelope(value: dict[str, Any]) -> Any:
    """signal-cli's envelope, be it bare or in a call of JSON-RPC."""
    params = value.get("params")
    return value.get("envelope") or (params.get("envelope") if isinstance(params, dict) else None)


def _cli_person(value: dict[str, Any]) -> tuple[str, str]:
    envelope = _dict(_envelope(value))
    return _first(envelope, "sourceUuid", "source", "sourceNumber"), _name(envelope, "sourceName")


def _cli(value: dict[str, Any]) -> Said | None:
    envelope = _dict(_envelope(value))
    data = envelope.get("dataMessage")
    who = _cli_person(value)[0]
    if not isinstance(data, dict):
        data, mine = _dict(envelope.get("syncMessage")).get("sentMessage"), True
    else:
        mine = False
    if not isinstance(data, dict):
        return Said(reason="event")
    text = _str(data.get("message"))
    if data.get("remoteDelete"):
        return Said(reason="deleted message")
    if not text:
        files = data.get("attachments") or data.get("sticker") or data.get("contacts")
        return Said(reason="media" if files else "action" if data.get("reaction") else "no text")
    if not (mine or who):
        return Said(reason="no author")
    return Said("" if mine else who, text, data.get("timestamp") or envelope.get("timestamp"))


def _desktop_person(value: dict[str, Any]) -> tuple[str, str]:
    if value.get("type") != "incoming":
        return "", ""
    who = _first(value, "sourceServiceId", "sourceUuid", "source", "conversationId")
    return who, _name(value, "source")


def _desktop(value: dict[str, Any]) -> Said | None:
    kind = value.get("type")
    if kind not in ("incoming", "outgoing"):
        return Said(reason="event")
    if value.get("deletedForEveryone") or value.get("isErased"):
        return Said(reason="deleted message")
    text = _str(value.get("body"))
    if not text:
        files = value.get("attachments") or value.get("hasAttachments") or value.get("sticker")
        return Said(reason="media" if files else "no text")
    who = _desktop_person(value)[0]
    if kind == "incoming" and not who:
        return Said(reason="no author")
    return Said(who, text, value.get("sent_at") or value.get("timestamp"))


def _export_person(value: dict[str, Any]) -> tuple[str, str]:
    name = _name(value, "sender")
    return ("", "") if name in {"Me", "No-Sender"} else (name, name)


def _export(value: dict[str, Any]) -> Said | None:
    sender, text = _name(value, "sender"), _str(value.get("body"))
    if value.get("deleted"):
        return Said(reason="deleted message")
    if value.get("call"):
        return Said(reason="event")
    if not text.strip():
        files = value.get("attachments") or value.get("sticker")
        return Said(reason="media" if files else "no text")
    if sender in {"", "No-Sender"}:
        return Said(reason="no author")
    return Said("" if sender == "Me" else sender, text, value.get("date"))


def _own_person(value: dict[str, Any]) -> tuple[str, str]:
    recipient = _dict(value.get("recipient"))
    contact = _dict(recipient.get("contact"))
    if not contact:
        return "", ""
    nickname = _dict(contact.get("nickname"))
    name = (
        _joined(nickname, "given", "family")
        or _joined(contact, "systemGivenName", "systemFamilyName")
        or _joined(contact, "profileGivenName", "profileFamilyName")
        or _first(contact, "username", "e164")
    )
    return _str(recipient.get("id")), name


def _own(value: dict[str, Any]) -> Said | None:
    item = value.get("chatItem")
    if not isinstance(item, dict):
        return None
    for kind, reason in _NO_TEXT.items():
        if kind in item:
            return Said(reason=reason)
    message = _dict(item.get("standardMessage"))
    story = _dict(_dict(item.get("directStoryReplyMessage")).get("textReply"))
    text = _str(_dict((message or story).get("text")).get("body"))
    if not text:
        return Said(reason="media" if message.get("attachments") else "no text")
    who = "" if "outgoing" in item else _str(item.get("authorId"))
    if not who and "outgoing" not in item:
        return Said(reason="no author")
    return Said(who, text, item.get("dateSent"))


_NO_TEXT = {
    "updateMessage": "event",
    "poll": "event",
    "remoteDeletedMessage": "deleted message",
    "adminDeletedMessage": "deleted message",
    "stickerMessage": "media",
    "contactMessage": "media",
    "viewOnceMessage": "media",
    "paymentNotification": "event",
    "giftBadge": "event",
}
_PEOPLE: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "cli": _cli_person,
    "desktop": _desktop_person,
    "export": _export_person,
    "own": _own_person,
}
_SAID: dict[str, Callable[[dict[str, Any]], Said | None]] = {
    "cli": _cli,
    "desktop": _desktop,
    "export": _export,
    "own": _own,
}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""


def _first(value: dict[str, Any], *keys: str) -> str:
    return next((found for key in keys if (found := _name(value, key))), "")


def _joined(value: dict[str, Any], *keys: str) -> str:
    return " ".join(filter(None, (_name(value, key) for key in keys)))


def _name(value: dict[str, Any], key: str) -> str:
    return clean_name(_str(value.get(key)))


def _time(value: object, tally: Tally) -> datetime | None:
    """Milliseconds since 1970 as a number or in digits, or a date as ISO 8601 writes it."""
    try:
        if isinstance(value, str) and not value.isdecimal():
            return datetime.fromisoformat(value)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    tally.remark("date that makes no sense, or has no year")
    return None
