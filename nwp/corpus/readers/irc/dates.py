"""The days of a log: from lines that tell them, from its name, and by a clock that goes back."""

from __future__ import annotations

import functools
import re
from datetime import date, datetime, time, timedelta, timezone

from nwp.corpus.readers.irc.styles import Stamp

_MONTHS = """
january february march april may june july august september october november december
januar februar märz april mai juni juli august september oktober november dezember
janvier février mars avril mai juin juillet août septembre octobre novembre décembre
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
januari februari maart april mei juni juli augustus september oktober november december
januari februari mars april maj juni juli augusti september oktober november december
januar februar marts april maj juni juli august september oktober november december
tammikuu helmikuu maaliskuu huhtikuu toukokuu kesäkuu
heinäkuu elokuu syyskuu lokakuu marraskuu joulukuu
stycznia lutego marca kwietnia maja czerwca
lipca sierpnia września października listopada grudnia
января февраля марта апреля мая июня июля августа сентября октября ноября декабря
"""
_NAMES = [(name, at % 12 + 1) for at, name in enumerate(re.findall(r"\S+", _MONTHS))] + [
    ("mrz", 3),
    ("mrt", 3),
    ("fevr", 2),
    ("aout", 8),
    ("май", 5),
]

_TOLD = re.compile(
    r"(?:-{3,} |\*{4,} |Session (?:Start|Time|Close): |IRC log (?:started|ended) "
    r"|Log ?(?:file)? ?(?:started|opened|closed)|Conversation with \S+ at )"
)
_CLOCKED = re.compile(r"\[\d\d:\d\d\] (?=--- )")  # Eggdrop tells a new day so
_MAX_WORDS = 6  # of a line that tells a day; a topic has more
_PLAIN = re.compile(r"[\w\s:.,/+-]*")
_TOKEN = re.compile(r"\d+(?::\d+)+|\d+|[^\W\d_]+")
_ISO = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_./]?)(\d\d)\2(\d\d)(?!\d)")
_SPELT = re.compile(r"(?<!\d)(\d{1,2})([A-Za-z]{3})((?:19|20)\d\d)(?!\d)")
_BACK = timedelta(hours=2)
"""A clock that goes back by more has passed midnight; one that does by less was set back."""


@functools.lru_cache(4096)
def month(name: str) -> int:
    """The number of a month: by digits, a name or its first letters in some language; 0 for none."""
    if name.isdecimal():
        return int(name)
    name = name.casefold().rstrip(".")
    if len(name) < 3:
        return 0
    return next((number for full, number in _NAMES if full.startswith(name)), 0)


def told_date(line: str) -> date | None:
    """The day in a line by which a log says that it begins, ends or passes midnight."""
    clocked = _CLOCKED.match(line)
    start = clocked.end() if clocked else 0
    told = _TOLD.match(line, start)
    if not told or len(line) > 160:
        return None
    rest = line[told.end() :].partition(" on ")[0]
    words = len(re.findall(r"[^\W\d_]+", rest))
    if not _PLAIN.fullmatch(rest) or words > (2 if clocked else _MAX_WORDS):
        return None  # a topic or the like, which may name any day
    return _date_in(rest)


def named_date(name: str) -> date | None:
    """The day in a file's path: its last one."""
    for year, _, number, day in reversed(_ISO.findall(name)):
        if found := _date(int(year), int(number), int(day)):
            return found
    for day, spelt, year in reversed(_SPELT.findall(name)):
        if found := _date(int(year), month(spelt), int(day)):
            return found
    return None


def _date_in(text: str) -> date | None:
    if iso := _ISO.search(text):
        return _date(int(iso[1]), int(iso[3]), int(iso[4]))
    tokens = _TOKEN.findall(text)
    months = [month(token) for token in tokens if token.isalpha() and month(token)]
    days = [int(token) for token in tokens if token.isascii() and re.fullmatch(r"\d\d?", token)]
    years = [int(token) for token in tokens if re.fullmatch(r"(?:19|20)[0-9]{2}", token)]
    # "mar" is also a Tuesday: the month comes after the day of the week.
    return _date(years[-1], months[-1], days[0]) if years and months and days else None


def _date(year: int, number: int, day: int) -> date | None:
    try:
        return date(year, number, day)
    except ValueError:
        return None


class Calendar:
    """Which day it is as a log goes on. Without any word of it there is no date."""

    def __init__(self, day: date | None) -> None:
        self._day = day
        self._last: datetime | None = None

    def turn(self, day: date) -> None:
        """The log says which day it is."""
        self._day, self._last = day, None

    def when(self, stamp: Stamp) -> datetime | None:
        """The time of a line; None where its day is unknown or there is no such time."""
        try:
            clock = time(stamp.hour, stamp.minute, stamp.second)
            if stamp.year is not None:
                day = date(stamp.year, month(stamp.month), stamp.day)
                zone = None if stamp.zone is None else timezone(timedelta(minutes=stamp.zone))
                return datetime.combine(day, clock, zone)
        except ValueError:
            return None
        if stamp.month:
            return self._in_year(stamp, clock)
        if self._day is None:
            return None
        found = datetime.combine(self._day, clock)
        if self._last and self._last - found > _BACK and self._day < date(9999, 12, 31):
            self._day += timedelta(days=1)
            found = datetime.combine(self._day, clock)
        self._last = found
        return found

    def _in_year(self, stamp: Stamp, clock: time) -> datetime | None:
        """A line that tells month and day: the year is the one last told, or the one after."""
        number = month(stamp.month)
        if self._day is None or not number:
            return None
        year = self._day.year + (number < self._day.month - 6)
        if (day := _date(year, number, stamp.day)) is None:
            return None
        self._day = day
        return datetime.combine(day, clock)
