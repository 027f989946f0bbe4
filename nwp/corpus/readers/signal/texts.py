"""Signal's chats as text: what the programs signal-export and sigtop write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain, pairwise

from nwp.corpus.lines import MAX_LINE, clean, clean_name, read_lines
from nwp.corpus.readers.base import ReadOptions, unique_names
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally

MARKDOWN = re.compile(r"\[(\d{4}-\d\d-\d\d),? (\d\d:\d\d(?::\d\d)?)\] (.*?):(?: (.*)|()$)")
SHORT = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d) (.*?):(?: (.*)|()$)")
_TYPE = re.compile(r"Type: ([a-z][a-z0-9-]{2,40})")
_LONGEST = 300  # characters of a name and a number
_PERSON = re.compile(r"(.*?)(?: \(([^()]*)\))?")
_FIELD = re.compile(r"(Sent|Received|Attachment|Reaction|Edited): (.*)")

_QUOTE = re.compile(r"\s*\n((?:> ?.*\n?)+)(?:\n|$)")
_REACTIONS = re.compile(r"(?m)^\(- [^\n]{0,2000}? -\)")
_STICKER = re.compile(
    r"(?m)^\(\( .{0,80}? \)\)|!?\[[^\n]{0,300}?\]\(\.\./exported_stickers/[^\n]{0,300}?\)(?=  |$)"
)
_FILE = re.compile(r"(?m)!?\[[^\n]{0,300}?\]\((?:\./)?media/[^\n]{0,300}?\)(?=  |!?\[|\s*$)")
_NOT_THERE = re.compile(r"\((?:media|attachment) not exported\)(?=  |\s*$)")
_CALL = re.compile(r"(?:Incoming|Outgoing|Missed) (?:voice |video |\w+ )?call(?: \(.*\))?")
_DELETED = "(This message was deleted)"
_BRACKETS = re.compile(r"\[([^\[\]]*)\](?: |$)")
_DETAIL = re.compile(r"reply to .+ on [\d: -]+|edited|\d+ attachments?|[a-z0-9-]+ message")


def is_markdown(line: str) -> bool:
    """A first line of signal-export's; WhatsApp has a comma before a time with seconds."""
    found = MARKDOWN.match(line)
    return found is not None and not (len(found[2]) == 8 and line[11] == ",")


def markdown(entry: Entry, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages of signal-export's `chat.md`; its "Me" is the owner."""
    with entry.open() as file:
        for found, lines in _blocks(read_lines(file, tally), MARKDOWN.match, tally):
            name = clean_name(found[3])
            text, reason = _unmarked(clean("\n".join([found[4] or "", *lines])))
            if name in {"", "No-Sender"} or reason:
                tally.skip(reason or "no author")
                continue
            time = _time(f"{found[1]} {found[2]}", tally)
            yield Message(options.me if name == "Me" else name, text, time)


def _unmarked(text: str) -> tuple[str, str]:
    """The text without quotation, reactions and files, and why there is none."""
    if (quote := _QUOTE.match(text)) and not text.split("\n", 1)[0].strip():
        text = text[quote.end() :]
    text = _REACTIONS.sub("", text)
    bare = _NOT_THERE.sub("", _FILE.sub("", _STICKER.sub("", text)))
    had_file, bare = bare != text, bare.strip()
    if bare == _DELETED:
        return "", "deleted message"
    if _CALL.fullmatch(bare):
        return "", "event"
    return bare, "" if bare else "media" if had_file else "no text"


def short(entry: Entry, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages of sigtop's short text; its "You" is the owner."""
    with entry.open() as file:
        for found, lines in _blocks(read_lines(file, tally), SHORT.match, tally):
            text, details = clean("\n".join([found[4] or "", *lines])), ""
            if (noted := _BRACKETS.match(text)) and all(
                _DETAIL.fullmatch(part) for part in noted[1].split(", ")
            ):
                text, details = text[noted.end() :], noted[1]
            name = clean_name(found[3])
            if details.endswith("message") or not name:
                tally.skip("event" if name else "no author")
            elif text.strip():
                time = _time(f"{found[1]} {found[2]}", tally)
                yield Message(options.me if name == "You" else name, text.strip(), time)
            else:
                tally.skip("media" if "attachment" in details else "no text")


def is_fields(lines: list[str]) -> bool:
    """The begin of sigtop's long text: a conversation's name, and fields."""
    lines = [line for line in lines[:40] if line.strip()]
    if lines and lines[0].startswith("Conversation: "):
        return any(_TYPE.fullmatch(line) for line in lines[1:3])
    return any(
        a.startswith("From: ") and _TYPE.fullmatch(b) is not None for a, b in pairwise(lines[:2])
    )


def fields(entry: Entry, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages of sigtop's long text; who has a name that another has too keeps a number."""
    with entry.open() as file:
        people = {
            clean_name(line[6:]): (clean_name(found[2] or line[6:]), clean_name(found[1]))
            for line, after in _pairs(read_lines(file, Tally()))
            if line.startswith("From: ") and len(line) < _LONGEST and _TYPE.fullmatch(after)
            if (found := _PERSON.fullmatch(line[6:]))
        }
    people.pop("You", None)
    unique = unique_names(people.values())
    names = {person: unique[identity] for person, (identity, _) in people.items()}
    with entry.open() as file:
        for block in _field_blocks(read_lines(file, tally), tally):
            yield from _of_fields(block, names, tally, options)


def _field_blocks(lines: Iterable[str], tally: Tally) -> Iterator[list[str]]:
    block: list[str] | None = None
    size = 0
    for line, after in _pairs(lines):
        begins = line.startswith("From: ") and _TYPE.fullmatch(after)
        alone = _TYPE.fullmatch(line) and after.startswith(("Sent: ", "Received: "))
        if begins or (alone and not (block and len(block) == 1)):
            if block:
                yield block
            block, size = [], 0
        if block is not None and size <= MAX_LINE:
            block.append(line)
            size += len(line) + 1
        elif block is not None:
            tally.skip("line too long")
    if block:
        yield block


def _of_fields(
    block: list[str], names: dict[str, str], tally: Tally, options: ReadOptions
) -> Iterator[Message]:
    person = clean_name(block.pop(0)[6:]) if block[0].startswith("From: ") else ""
    kind, sent, files, at = block[0][6:], "", False, 1
    while at < len(block) and (field := _FIELD.fullmatch(block[at])):
        sent = field[2] if field[1] == "Sent" else sent
        files = files or field[1] == "Attachment"
        at += 1
    body = block[at:]
    if len(body) > 1 and not body[0] and body[1].startswith("| Version: "):
        body, files = _newest(body[1:], files)
    if len(body) > 1 and not body[0] and body[1].startswith("> From: "):
        end = next((n for n, line in enumerate(body[1:], 1) if not line.startswith(">")), len(body))
        body = body[end:]
    text = clean("\n".join(body)).strip()
    if kind not in {"incoming", "outgoing"}:
        tally.skip("event")
    elif not person:
        tally.skip("no author")
    elif text:
        user = options.me if kind == "outgoing" else names.get(person, person)
        yield Message(user, text, _mail_time(sent, tally))
    else:
        tally.skip("media" if files else "no text")


def _newest(lines: list[str], files: bool) -> tuple[list[str], bool]:
    """The lines of an edited message's newest version, which comes first, without their bar."""
    bare = [line[2:] for line in lines if line.startswith("|")]
    end = next((n for n, line in enumerate(bare[1:], 1) if line.startswith("Version: ")), len(bare))
    at = 1
    while at < end and (field := _FIELD.fullmatch(bare[at])):
        files = files or field[1] == "Attachment"
        at += 1
    return bare[at:end], files


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each line and the one after it."""
    yield from pairwise(chain(lines, [""]))


def _blocks(
    lines: Iterable[str], begins: Callable[[str], re.Match[str] | None], tally: Tally
) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Each line that begins a message, and the lines up to the next."""
    current: re.Match[str] | None = None
    more: list[str] = []
    size = 0
    for line in lines:
        if found := begins(line):
            if current:
                yield current, more
            current, more, size = found, [], 0
        elif current and size <= MAX_LINE:
            more.append(line)
            size += len(line) + 1
        elif line.strip():
            tally.skip("line too long" if current else "bad line")
    if current:
        yield current, more


def _time(text: str, tally: Tally) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        tally.remark("date that makes no sense, or has no year")
        return None


def _mail_time(text: str, tally: Tally) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        tally.remark("date that makes no sense, or has no year")
        return None
