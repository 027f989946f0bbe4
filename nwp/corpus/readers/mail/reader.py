"""Mail: mbox files, and single mails as files (.eml, .emlx, the folders of Maildir)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import IO

from nwp.corpus.lines import clean, clean_name
from nwp.corpus.readers.base import ReadOptions, by_file
from nwp.corpus.readers.mail.parts import Part, in_charset, read_part, text_of
from nwp.corpus.readers.mail.replies import own_words
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally

MAX_MAIL = 32 << 20
"""Bytes of a mail; what follows, of a large attachment say, is not kept."""
_PIECE = 1 << 20
_AHEAD = 1024  # bytes by which a separator is told from a line of text
_BOM = b"\xef\xbb\xbf"

_KNOWN = re.compile(
    rb"(?:From|To|Cc|Bcc|Date|Subject|Sender|Reply-To|Return-Path|Received|Delivered-To|Message-ID"
    rb"|In-Reply-To|References|MIME-Version|Content-[\w-]+|Status|List-[\w-]+|Envelope-To|DKIM-\w+"
    rb"|ARC-[\w-]+|X-[\w-]+|Precedence|User-Agent|Authentication-Results)[ \t]*:",
    re.IGNORECASE,
)
_HEADER = re.compile(rb">?From |[!-9;-~]{1,76}:[ \t\r\n]")
_MONTHS = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATED = re.compile(
    rb"From (?:\S.{0,300}? |)(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +"
    rb"(?:" + _MONTHS + rb" +\d{1,2}|\d{1,2} +" + _MONTHS + rb"(?: +\d{4})?) +\d{1,2}:\d\d"
)
_UNDATED = re.compile(rb"From (?:-|\S+@\S+|MAILER-DAEMON)[ \t]*")
_ESCAPED = re.compile(rb"(?<=\n)>+From ")
_COUNTED = re.compile(rb"[ \t]*(\d{1,10})[ \t]*\r?\n")

_NAMED = re.compile(r"<\s*([^<>\s]+@[^<>\s]+)\s*>")
_BARE = re.compile(r"[^\s<>()\[\],;:\"]+@[^\s<>()\[\],;:\"]+")
_SPELT = re.compile(r"(\S+) at (\S+\.\S+)")  # as some archives of lists hide it
_ASIDE = re.compile(r'"(?:[^"\\]|\\.)*+"|\([^()]*+\)')
_MACHINE = re.compile(r"postmaster@|[^@]*(?:mailer-daemon|(?:no|do[-_.]?not)[-_.]?reply[^@]*@)")


def is_one(entry: Entry, head: bytes) -> bool:
    """A separator and a header; or the headers of one mail, of which some are in every mail."""
    start = head.removeprefix(_BOM).lstrip(b"\r\n")
    if start.startswith(b"From "):
        return _separates(start, 0)
    if counted := _COUNTED.match(start):
        start = start[counted.end() :]
    if not _KNOWN.match(start):
        return False
    headers = read_part(start).headers
    others = (
        "message-id",
        "received",
        "subject",
        "to",
        "mime-version",
        "delivered-to",
        "return-path",
    )
    return (
        bool(_address(headers.get("from", "")))
        and "date" in headers
        and any(name in headers for name in others)
    )


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The mails of the files in their order, each once; the user is the address it is from."""
    seen: set[int] = set()
    for entry in files:
        with entry.open() as file:
            for raw in split(file, tally):
                if message := _message(read_part(raw), tally, seen):
                    yield message


def split(file: IO[bytes], tally: Tally) -> Iterator[bytes]:
    """The mails of an mbox file, without separators and escapes; any other file is one mail."""
    held = file.read(_PIECE).removeprefix(_BOM).lstrip(b"\r\n")
    many = held.startswith(b"From ") and _separates(held, 0)
    counted = None if many else _COUNTED.match(held)
    held = held[counted.end() :] if counted else held
    mail, at, last = bytearray(), 0, False
    while not last:
        piece = file.read(_PIECE)
        last = not piece
        held += piece
        end = len(held) if last else max(at, len(held) - _AHEAD)
        for cut in [*_separators(held, at, end)] if many else ():
            mail += held[at : min(cut, at + max(0, MAX_MAIL - len(mail)))]
            yield _unescaped(_counted(mail, tally))
            mail, at = bytearray(), cut
        mail += held[at : min(end, at + max(0, MAX_MAIL - len(mail)))]
        behind = max(0, end - 4)
        held, at = held[behind:], end - behind
    if mail:
        raw = _counted(mail, tally)
        yield _unescaped(raw) if many else raw[: int(counted[1])] if counted else raw


def _separators(held: bytes, start: int, end: int) -> Iterator[int]:
    at = held.find(b"\nFrom ", max(0, start - 1), end + 4)
    while at >= 0:
        if _separates(held, at + 1):
            yield at + 1
        at = held.find(b"\nFrom ", at + 1, end + 4)


def _separates(data: bytes, at: int) -> bool:
    """Whether a line that begins with "From " parts two mails: a header must follow.

    It ends in a date, and may then lack the empty line before it if that header is a known one. Or
    it is nothing but a sender.
    """
    end = data.find(b"\n", at, at + 600)
    if end < 0:
        return False
    line, following = data[at:end].rstrip(b"\r"), data[end + 1 : end + 300]
    blank = at == 0 or data[max(0, at - 3) : at].endswith((b"\n\n", b"\n\r\n"))
    if _DATED.match(line):
        return bool((_HEADER if blank else _KNOWN).match(following))
    return blank and bool(_UNDATED.fullmatch(line)) and bool(_KNOWN.match(following))


def _counted(mail: bytearray, tally: Tally) -> bytes:
    if len(mail) >= MAX_MAIL:
        tally.remark(f"mail of over {MAX_MAIL >> 20} MiB, its end not read")
    return bytes(mail)


def _unescaped(mail: bytes) -> bytes:
    """A mail without its separator. One ">" less before "From ", but not in the midst of a quote."""
    raw = mail[mail.find(b"\n") + 1 :]

    def plain(found: re.Match[bytes]) -> bytes:
        before = raw.rfind(b"\n", 0, found.start() - 1) + 1
        after = raw.find(b"\n", found.end()) + 1
        quoted = raw.startswith(b">", before) or (after and raw.startswith(b">", after))
        return found[0] if quoted and found[0] == b">From " else found[0][1:]

    return _ESCAPED.sub(plain, raw)


def _message(mail: Part, tally: Tally, seen: set[int]) -> Message | None:
    """What someone wrote; None, counted, for a mail that says nothing or that no person sent."""
    author = _address(mail.headers.get("from", ""))
    if not author:
        tally.skip("no author")
        return None
    if _is_automatic(author, mail.headers):
        tally.skip("bot")
        return None
    text = own_words(text_of(mail))
    if not text:
        tally.skip("no text")
        return None
    if number := mail.headers.get("message-id"):
        told = "\0".join((number, author, text)).encode()
        key = int.from_bytes(blake2b(told, digest_size=8).digest())
        if key in seen:
            tally.skip("duplicate")
            return None
        seen.add(key)
    return Message(author, text, _time(mail.headers.get("date", "")))


def _address(value: str) -> str:
    """The first address of a header, lower-cased; or its text, where it has none."""
    value = value[:1000]
    for attempt in (value, _words(value)):
        plain = _ASIDE.sub("", attempt)
        if found := _NAMED.search(plain) or _BARE.search(plain):
            return clean_name(found[found.lastindex or 0].lower().strip("'"))
        if found := _SPELT.match(plain):
            return clean_name(f"{found[1]}@{found[2]}".lower())
    return clean_name(_words(value).lower())


def _words(value: str) -> str:
    """A header with its encoded words read."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except (MessageError, ValueError):
        return value
    return clean("".join(_word(piece, charset) for piece, charset in pieces))


def _word(piece: bytes | str, charset: str | None) -> str:
    return piece if isinstance(piece, str) else in_charset(piece, charset or "")


def _is_automatic(author: str, headers: Mapping[str, str]) -> bool:
    """Whether a program sent it: an answering machine, a bounce, an address that takes no answer."""
    submitted = headers.get("auto-submitted", "no").lower().split(";")[0].strip()
    bulk = headers.get("precedence", "").lower() in ("bulk", "junk", "auto_reply")
    return bool(
        submitted not in ("no", "")
        or (bulk and "list-id" not in headers)
        or headers.get("return-path") == "<>"
        or any(name in headers for name in ("x-autoreply", "x-autorespond"))
        or headers.get("content-type", "").lower().startswith("multipart/report")
        or _MACHINE.match(author)
    )


def _time(value: str) -> datetime | None:
    """A Date header; None for one that is no date, or none of a mail."""
    try:
        time = parsedate_to_datetime(value[:200])
    except (IndexError, OverflowError, TypeError, ValueError):
        return None
    if not 1970 <= time.year <= 2100:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)  # "-0000": UTC, its own zone unknown


READER = by_file("mbox", "mail: mbox files, .eml files, Maildir folders", is_one, read_files)
