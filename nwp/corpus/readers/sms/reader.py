"""The backup that the app SMS Backup & Restore writes: XML, an element for each SMS and MMS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree.ElementTree import ParseError

from nwp.corpus.lines import MAX_LINE, clean
from nwp.corpus.readers.base import ReadOptions, by_file
from nwp.corpus.readers.fields import Found, as_name, from_unix, kept, made
from nwp.corpus.readers.sms.markup import Slim, whole_characters
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*)")
_MAX_DEPTH = 20
_MS_DIGITS = 12  # a time of fewer is one in seconds: in milliseconds it would be before 1974
_NO_NAME = ("", "null", "(unknown)")
_MINE, _THEIRS = "2", "1"
_UNSENT = ("3", "4", "5", "6")
_FROM = "137"  # of the types of an address: who the message is from
_OWNER = "insert-address-token"  # what phones write for their own number


@dataclass
class _Item:
    """An <sms> or <mms> as it stands; of an MMS also its texts and who sent it."""

    kind: str
    values: Mapping[str, str]
    texts: list[str] = field(default_factory=list)
    size: int = 0
    files: int = 0
    sender: str = ""

    def add(self, text: str) -> None:
        """One more text, unless there is too much already: then it is no message."""
        if self.size <= MAX_LINE and text != "null":
            self.texts.append(text)
            self.size += len(text)


class _Items:
    """What the parser tells its findings to: whole items, one after the other."""

    def __init__(self) -> None:
        self.found: list[_Item] = []
        self._item: _Item | None = None
        self._depth = 0

    def start(self, tag: str, values: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and tag != "smses":
            raise ParseError(f"a backup begins with <smses>, not <{tag[:40]}>")
        if self._depth > _MAX_DEPTH:
            raise ParseError("elements within elements, too many")
        if tag in ("sms", "mms"):
            self._item = _Item(tag, values)
        elif self._item and tag == "part":
            if values.get("ct") == "text/plain":
                self._item.add(values.get("text", ""))
            elif values.get("ct") != "application/smil":
                self._item.files += 1
        elif self._item and tag == "addr" and values.get("type") == _FROM:
            self._item.sender = values.get("address", "")

    def end(self, tag: str) -> None:
        self._depth -= 1
        if self._item and tag == self._item.kind:
            self.found.append(self._item)
            self._item = None

    def close(self) -> None:
        """Nothing is left to do."""


@dataclass
class _Book:
    """Whose number is whose: contacts' names by number, and how a number was written first."""

    me: str
    contacts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)

    def note(self, item: _Item) -> None:
        """Learn from an item, if it is of one person and not of a group."""
        address = _value(item, "address")
        if "~" not in address:
            self.name(address)
            if contact := _contact(item):
                self.contacts.setdefault(_key(address), contact)
        if item.sender and item.sender != _OWNER:
            self.name(item.sender)

    def name(self, address: str) -> str:
        """The user of a number. The phone's owner stays another, whatever name a contact has."""
        address = as_name(address)
        number = self.numbers.setdefault(_key(address), address)
        name = self.contacts.get(_key(address), number)
        return name if name.casefold() != self.me.casefold() else f"{name} ({number})"


def is_one(entry: Entry, head: bytes) -> bool:
    """XML whose first element is that of a backup, of messages or of calls."""
    return _root(head) in (b"smses", b"calls")


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages in the files' order. BadCorpus for a backup of calls alone."""
    backups = [entry for entry in files if _root(entry.head()) != b"calls"]
    if files and not backups:
        raise BadCorpus(
            f"{files[0].place} holds calls, no messages",
            "The app writes messages to a file of their own: its name begins with sms.",
        )
    if len(backups) < len(files):
        tally.skip("other file", len(files) - len(backups))
    book = _Book(options.me)
    for entry in backups:
        for item in _items(entry, Tally(lenient=True)):
            book.note(item)
    for entry in backups:
        yield from kept(_found(entry, book, tally), tally)


def _root(head: bytes) -> bytes:
    """The name of the first element."""
    found = _ROOT.search(head) if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else None
    return found[1] if found else b""


def _items(entry: Entry, tally: Tally) -> Iterator[_Item]:
    """All items of a file. What comes before the damage is kept when the tally is lenient."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    items = _Items()
    parser = DefusedXMLParser(target=items, forbid_dtd=True)
    with entry.open() as file:
        try:
            for piece in whole_characters(Slim(entry.place).pieces(file)):
                parser.feed(piece)
                yield from items.found
                items.found.clear()
            parser.close()
            yield from items.found  # newer parsers put off what they were given last
        except DefusedXmlException as error:
            raise BadCorpus(
                f"{entry.place} declares types or entities of its own, which no backup does",
                "Is it the right file?",
            ) from error
        except (ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
            yield from items.found
            if not tally.lenient:
                raise BadCorpus(
                    f"{entry.place} is no XML, or only half of it: {error}",
                    "Back up again, or keep what can be read with --skip-bad-lines.",
                ) from error
            tally.skip("half a file")


def _found(entry: Entry, book: _Book, tally: Tally) -> Iterator[Found]:
    for item in _items(entry, tally):
        found = _message(item, book)
        if isinstance(found, Message) and found.time is None:
            tally.remark("time that can't be read")
        yield found


def _message(item: _Item, book: _Book) -> Found:
    box = _value(item, "type" if item.kind == "sms" else "msg_box")
    if box in _UNSENT:
        return "unsent"
    if box not in (_MINE, _THEIRS):
        return "event"
    if item.kind == "sms":
        item.add(_value(item, "body"))
    if item.size > MAX_LINE:
        return "line too long"
    text = "\n".join(clean(text).strip() for text in item.texts).strip()
    user = book.me if box == _MINE else _sender(item, book)
    return made(user, text, _time(item), "media" if item.files else "no text")


def _sender(item: _Item, book: _Book) -> str:
    """Who a received item is from; in a group the contact's name is that of the whole group."""
    if item.sender and item.sender != _OWNER:
        return book.name(item.sender)
    address = _value(item, "address")
    return book.name(address) if "~" not in address and address != "null" else ""


def _contact(item: _Item) -> str:
    name = as_name(item.values.get("contact_name", ""))
    return "" if name.casefold() in _NO_NAME else name


def _key(address: str) -> str:
    """The end of a number, which is the same with and without the country's; a name as it is."""
    digits = "".join(c for c in address if c in "0123456789")
    return digits[-9:] if digits and not any(map(str.isalpha, address)) else address.casefold()


def _time(item: _Item) -> datetime | None:
    """Milliseconds since 1970; some phones write an MMS's in seconds."""
    date = _value(item, "date")
    return from_unix(date, 1 if len(date.lstrip("0")) < _MS_DIGITS else 1000)


def _value(item: _Item, name: str) -> str:
    return item.values.get(name, "")


READER = by_file("sms", "the XML of SMS Backup & Restore", is_one, read_files)
