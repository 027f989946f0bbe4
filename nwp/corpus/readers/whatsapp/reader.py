"""WhatsApp: the text file of "Export chat", from any phone, of any age and in any language.

A file is read twice: once to see what its headers look like, in which order they have the parts of
a date, and who writes; then for its messages.
"""

from __future__ import annotations

import functools
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from nwp.corpus.lines import MAX_LINE, clean, clean_name, read_lines
from nwp.corpus.readers.base import ReadOptions, by_file
from nwp.corpus.readers.signal.texts import is_markdown
from nwp.corpus.readers.whatsapp.headers import Header, Orders, Style, header_of, time_of
from nwp.corpus.readers.whatsapp.notices import PLACES, SYSTEM_PHRASES
from nwp.corpus.readers.whatsapp.texts import part_of, tag_in
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally

_MOST_KEPT = 50_000
"""Names, and words in brackets, that are counted of one file at most."""
_RARE = 10
"""A style of header this much rarer than the file's main one is a quotation from another chat."""
_LONGEST_NAME = 100
_MOST_WORDS = 15
_OFTEN = 10
"""Lines of one writer from which on a name may look as odd as it likes."""

_NAME_END = re.compile(r"\s?:(?:\s|$)")
_QUOTED = re.compile(r"\"[^\"]*\"|[“„][^“”„]*[”“]|«[^«»]*»|»[^«»]*«|「[^」]*」|『[^』]*』")
_QUOTES = re.compile(r"[\"“„«»「『]")


def is_one(entry: Entry, head: bytes) -> bool:
    """Begins with a header of WhatsApp's, or has several, and somebody says something.

    Without marks, a date like 2020-12-31 in brackets is taken for one of Signal's exports.
    """
    ours = "\u200e".encode() in head or entry.name.endswith("_chat.txt")
    lines = (line for line in read_lines(io.BytesIO(head), Tally()) if line.strip())
    found, total, first, said = 0, 0, False, False
    for total, line in enumerate(islice(lines, 400), 1):
        if not ours and is_markdown(line):
            return False
        if header := header_of(line):
            found += 1
            first = first or total == 1
            said = said or _NAME_END.search(header.rest[:_LONGEST_NAME]) is not None
    return (said and (first or (found > 2 and found * 10 > total))) or found > 4


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages in the files' order; lines before the first header are counted as bad."""
    for entry in files:
        survey = _surveyed(entry, options.dates)
        with entry.open() as file:
            yield from _messages(read_lines(file, tally), survey, tally)


@dataclass
class _Seen:
    """What one style of header was found to have."""

    count: int = 0
    orders: Orders = field(default_factory=Orders)
    names: Counter[str] = field(default_factory=Counter)
    longer: Counter[str] = field(default_factory=Counter)
    tight: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)
    varied: set[str] = field(default_factory=set)

    def add(self, header: Header) -> None:
        self.count += 1
        self.orders.add(header)
        rest = header.rest[: 2 * _LONGEST_NAME]
        ends = list(islice(_NAME_END.finditer(rest), 2))
        if ends:
            _count(self.names, _name(rest[: ends[0].start()]))
            if len(ends) > 1:
                longer, said = clean_name(rest[: ends[1].start()]), rest[ends[1].end() :]
                _count(self.longer, longer)
                if longer in self.longer and self.said.setdefault(longer, said) != said:
                    self.varied.add(longer)
        elif tight := _tight(rest):
            _count(self.tight, clean_name(rest[:tight]))


@dataclass(frozen=True)
class _Survey:
    """A file as seen the first time: the order of dates by style, who writes, and what recurs."""

    orders: dict[Style, str]
    names: Counter[str]
    longer: frozenset[str]
    tight: frozenset[str]
    tags: Counter[str]
    rtl: bool


def _surveyed(entry: Entry, dates: str) -> _Survey:
    seen: dict[Style, _Seen] = {}
    tags: Counter[str] = Counter()
    rtl, first = False, None
    with entry.open() as file:
        for line in read_lines(file, Tally()):
            if header := header_of(line):
                first = first or header.style
                seen.setdefault(header.style, _Seen()).add(header)
                rtl = rtl or "\u200f" in line[: len(line) - len(header.rest)]
                if tag := tag_in(header.rest.partition(": ")[2]):
                    _count(tags, tag)
    most = max((found.count for found in seen.values()), default=0)
    used = {
        style: found
        for style, found in seen.items()
        if style == first or found.count * (1 if style.kind == "no year" else _RARE) >= most
    }
    names = sum((found.names for found in used.values()), Counter[str]())
    tight = sum((found.tight for found in used.values()), Counter[str]())
    longer = sum((found.longer for found in used.values()), Counter[str]())
    return _Survey(
        {style: found.orders.best(style, dates) for style, found in used.items()},
        names,
        frozenset(
            name
            for found in used.values()
            for name in found.varied
            if _belongs(name, longer[name], names)
        ),
        frozenset(name for name, count in tight.items() if count > 1 or name in names),
        tags,
        rtl,
    )


def _belongs(longer: str, count: int, names: Counter[str]) -> bool:
    """Whether a name goes on behind its first colon: whenever it is there, before various texts."""
    end = _NAME_END.search(longer)
    short, rest = (longer[: end.start()], longer[end.end() :]) if end else (longer, "")
    numbered = not any(map(str.isalpha, short))  # a telephone's number is a whole name
    return names[short] == count and not numbered and rest.casefold() not in PLACES


def _messages(lines: Iterator[str], survey: _Survey, tally: Tally) -> Iterator[Message]:
    current: Header | None = None
    text, size = [""], 0
    for line in lines:
        header = header_of(line)
        if header and header.style in survey.orders:
            if current:
                yield from _message(current, text, survey, tally)
            current, text, size = header, [], 0
        elif current and size + len(line) <= MAX_LINE:
            text.append(line)
            size += len(line) + 1
        elif line.strip("\ufeff\u200e\u200f \t\r"):
            tally.skip("line too long" if current else "bad line")
    if current:
        yield from _message(current, text, survey, tally)


def _message(header: Header, more: list[str], survey: _Survey, tally: Tally) -> Iterator[Message]:
    """The message of a header and the lines behind it, if it is one; else it is counted."""
    said = _split(header.rest, survey)
    if said is None:
        return tally.skip("system line")
    name, begin = said
    user = _name(name.lstrip("~ \u202f\u00a0")) or _name(name) or (name and "unnamed")
    style = header.style
    own = ("\u200e\u200f" if survey.rtl else "\u200e") if style.bracket else ""
    whole = clean("\n".join([begin, *more]))
    part = part_of(whole, style.bracket and bool(header.mark.strip("\ufeff")), own, survey.tags)
    if part.reason:
        return tally.skip(part.reason)
    if not user:
        return tally.skip("no author")
    time = time_of(header, survey.orders[style])
    if time is None:
        tally.remark("date that makes no sense, or has no year")
    if part.cut:
        tally.remark("notice cut off a text")
    yield Message(user, part.text.strip(), time)


def _split(rest: str, survey: _Survey) -> tuple[str, str] | None:
    """The writer and what is said; None for a line of WhatsApp's own."""
    start = rest[: 2 * _LONGEST_NAME]
    ends = list(islice(_NAME_END.finditer(start), 2))
    if not ends:
        tight = _tight(start)
        if tight and _name(rest[:tight]) in survey.tight:
            return rest[:tight], rest[tight + 1 :]
        return None
    longer = len(ends) > 1 and _name(rest[: ends[1].start()]) in survey.longer
    end = ends[1] if longer else ends[0]
    name = _name(rest[: end.start()])
    if survey.names[name] < _OFTEN and _no_name(name):
        return None
    return rest[: end.start()], rest[end.end() :]


def _no_name(name: str) -> bool:
    """Whether what stands before a colon is a line about a group, with a quotation in it."""
    return (
        len(name) > _LONGEST_NAME
        or len(name.split()) > _MOST_WORDS
        or _QUOTES.search(_QUOTED.sub("", name)) is not None
        or any(phrase in f" {name} ".casefold() for phrase in SYSTEM_PHRASES)
    )


def _tight(rest: str) -> int:
    """Where a name ends that has no space behind its colon; 0 for none."""
    at = rest.find(":")
    return at if 0 < at < _LONGEST_NAME and rest[at + 1 : at + 2] not in "/0123456789" else 0


@functools.lru_cache(maxsize=4096)
def _name(name: str) -> str:
    return clean_name(name)


def _count(counter: Counter[str], key: str) -> None:
    if key in counter or len(counter) < _MOST_KEPT:
        counter[key] += 1


READER = by_file("whatsapp", 'the text (or zip) of WhatsApp\'s "Export chat"', is_one, read_files)
