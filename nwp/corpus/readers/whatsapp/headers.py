"""How WhatsApp begins a message: a date and a time in whatever way a phone writes them.

Nothing says which part of a date is the day. That is found out over a whole file (`Orders`), for
each style of header on its own, since files get put together from several exports.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from nwp.corpus.readers.whatsapp.words import HALVES, JOINERS, MONTHS

MARKS = "\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
"""Characters that say only which way to write (or nothing): anywhere in a header."""

_M = f"[{MARKS}]*"
_SEP = rf"{_M}(?P<sep>\. ?|[/\-\u2010-\u2013]|[년年] ?){_M}"
_SEP2 = rf"{_M}(?:\. ?|[/\-\u2010-\u2013]|[월月] ?){_M}"
_YEAR = r"(?:[RHrh]|令和|平成)?\d{1,4}"
_NUMBERS = (
    rf"(?P<a>\d{{4}}|\d{{1,2}}){_SEP}(?P<b>\d{{1,2}}){_SEP2}(?P<c>{_YEAR})(?:\.|日|일| ?г\.?| ?BE)?"
)
_DAY_MONTH = rf"(?P<a>\d{{1,2}}){_M}(?P<sep>[./]){_M}(?P<b>\d{{1,2}})\.?"
_WORD = r"[^\W\d_]{3,12}"
_SPELLED = (
    rf"(?:(?P<a>\d{{1,2}})\.? (?:de )?(?P<word>{_WORD})\.?(?:(?: de)?,? (?P<c>\d{{4}}))?"
    rf"|(?P<word2>{_WORD})\.? (?P<b>\d{{1,2}})(?:,? (?P<d>\d{{4}}))?)"
)
_TIME = rf"(?P<hour>\d{{1,2}}){_M}[:.٫]{_M}(?P<minute>\d{{2}})(?:{_M}[:.٫]{_M}(?P<second>\d{{2}}))?"
_BETWEEN = r"(?P<before>[^\d\[\]:<>]{1,30}?)"
_BEHIND = r"(?P<after>[^\d\[\]:<>]{0,30}?)"
_END = rf"{_M}(?:(?P<close>\]){_M} ?|\s(?P<dash>[-\u2013]){_M}\s|(?P<colon>:)\s)"


def _pattern(date: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<mark>{_M})(?P<open>\[?){_M}{date}{_M}{_BETWEEN}{_M}{_TIME}{_BEHIND}{_END}"
    )


def _time_first(date: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<mark>{_M})(?P<open>\[?){_M}{_TIME}(?P<before>[^\d\[\]:<>]{{0,20}}?)"
        rf"[,،]\s{_M}{date}(?P<after>){_END}"
    )


_PATTERNS = (
    ("date", _pattern(_NUMBERS)),
    ("time first", _time_first(_NUMBERS)),
    ("no year", _pattern(_DAY_MONTH)),
    ("spelled", _pattern(_SPELLED)),
    ("spelled, time first", _time_first(_SPELLED)),
)
_LONGEST = 120  # characters of a header
_FIRST_YEAR = 2009  # of WhatsApp
_THIS_YEAR = datetime.now(UTC).year
_BUDDHIST = 543


class Style(NamedTuple):
    """What all headers of one export have in common."""

    kind: str
    bracket: bool
    end: str
    separator: str
    long_year: str
    seconds: bool
    halves: str


@dataclass(frozen=True)
class Header:
    """The begin of a message: its style, the parts of its date and time, and what follows them.

    `mark` holds the marks before it, `half` is "am", "pm", "noon", "night" or "".
    """

    style: Style
    mark: str
    date: tuple[str, str, str]
    clock: tuple[int, int, int]
    half: str
    rest: str


def header_of(line: str) -> Header | None:
    """The header that a line begins with, if it does."""
    start = line[:_LONGEST]
    if not any(map(str.isdecimal, start[:24])):
        return None
    for kind, pattern in _PATTERNS:
        if (match := pattern.match(start)) and bool(match["open"]) == bool(match["close"]):
            return _header(kind, match, line)
    return None


def _header(kind: str, match: re.Match[str], line: str) -> Header | None:
    found = match.groupdict()
    words = [_bare(found["before"]), _bare(found["after"])]
    half = next((HALVES[word] for word in words if word in HALVES), "")
    known = all(word in HALVES or word in JOINERS for word in words)
    if found.get("word") or found.get("word2"):
        month = MONTHS.get(_bare(found["word"] or found["word2"] or ""), 0)
        day = found["a"] or found["b"] or ""
        date = (day, str(month), found["c"] or found["d"] or "")
        if not month and not (found["c"] or found["d"]):
            return None  # "3 apples, 12:30 - ": no date at all
    else:
        date = (found["a"] or "", found["b"] or "", found.get("c") or "")
    style = Style(
        kind,
        bool(found["open"]),
        found["close"] or found["dash"] or found["colon"] or "",
        (found.get("sep") or "").strip(),
        "first" if len(date[0]) == 4 else "last" if len(date[2]) == 4 else "",
        found["second"] is not None,
        ("12" if half else "24") if known else "unknown",
    )
    if (kind == "no year" and not style.bracket) or (style.end == ":" and not known):
        return None
    clock = (int(found["hour"]), int(found["minute"]), int(found["second"] or 0))
    return Header(style, found["mark"], date, clock, half, line[match.end() :])


@functools.lru_cache(maxsize=4096)
def _bare(word: str) -> str:
    """A word without case, dots and spaces: "p. m." as "pm"."""
    return re.sub(rf"[\s_.,،'’״\"·{MARKS}\u200c\-]", "", word).casefold()


Moment = tuple[int, int, int, int, int, int]
_READINGS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1), "ymd": (0, 1, 2)}


@dataclass
class Orders:
    """How well each order of a date's parts fits the headers of one style seen so far."""

    impossible: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_READINGS, 0))
    backwards: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_READINGS, 0))
    last: dict[str, Moment] = field(default_factory=dict)

    def add(self, header: Header) -> None:
        """Take one more header into account."""
        for order in _READINGS:
            moment = _moment(header, order)
            if moment is None or not _FIRST_YEAR <= moment[0] <= _THIS_YEAR + 1:
                self.impossible[order] += 1
            else:
                self.backwards[order] += moment < self.last.get(order, moment)
                self.last[order] = moment

    def best(self, style: Style, wanted: str = "") -> str:
        """The order that fits: `wanted` if there is one, but a year of four digits shows itself."""
        if style.long_year == "first":
            return "ymd"
        usual = (
            ["mdy", "dmy"] if style.separator == "/" and style.halves == "12" else ["dmy", "mdy"]
        )
        if style.long_year != "last":
            usual.append("ymd")
        if wanted in usual:
            return wanted
        return min(usual, key=lambda order: (self.impossible[order], self.backwards[order]))


def time_of(header: Header, order: str) -> datetime | None:
    """The time of a header without a zone; None where it makes no sense, or has no year."""
    moment = _moment(header, order)
    return datetime(*moment) if moment else None


def _moment(header: Header, order: str) -> Moment | None:
    """A header's date and time as numbers that are one."""
    if header.style.kind.startswith("spelled"):
        order = "dmy"
    year, month, day = (header.date[at] for at in _READINGS[order])
    hour = _hour(header.clock[0], header.half)
    if hour is None or header.style.halves == "unknown":
        return None
    try:
        moment = (_year(year), int(month), int(day), hour, *header.clock[1:])
        datetime(*moment)
    except ValueError:
        return None
    return moment if moment[0] >= _FIRST_YEAR - 20 else None


def _hour(hour: int, half: str) -> int | None:
    if hour > 12:
        return None if half == "am" or hour > 23 else hour
    if half == "noon":
        return hour + 12 if hour < 7 else hour
    if half == "night":
        half = "pm" if 6 <= hour < 12 else "am"
    if half == "pm":
        return hour % 12 + 12
    return hour % 12 if half == "am" else hour


@functools.lru_cache(maxsize=4096)
def _year(year: str) -> int:
    """A year of the common era, from one of two digits, of the Buddhist era or a Japanese one."""
    number = int(re.sub(r"\D", "", year) or "-1")
    if not year[:1].isdecimal():
        if number < 1:
            raise ValueError(year)
        return number + (2018 if year[0] in "Rr令" else 1988)
    if len(year) == 4:
        return number - _BUDDHIST if 2500 <= number < 2700 else number
    if len(year) != 2:
        raise ValueError(year)
    number += 2000
    return number + 500 - _BUDDHIST if number > _THIS_YEAR + 10 and number >= 2052 else number
