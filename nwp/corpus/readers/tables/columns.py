"""Which columns of a table hold the user, the text and the time, and a row of it as a message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from email.utils import parsedate_to_datetime

from nwp.corpus.lines import clean
from nwp.corpus.readers.fields import Found, as_dict, as_id, as_time, from_unix, made
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus, BadSettings

_USER = tuple(
    tuple(names.split())
    for names in (
        "userid authorid senderid fromid speakerid memberid accountid",  # no two people share one
        "user author username sender speaker screenname nick nickname handle member poster "
        "fromuser writer account participant from",
        "name authorname sendername userscreenname displayname authorfullname",
    )
)
_TEXT = (
    ("text", "message", "body", "content", "comment", "tweet", "utterance", "post", "msg"),
    ("fulltext", "messagetext", "tweettext", "commenttext", "posttext", "commentbody", "selftext"),
    ("sentence", "line", "reply", "review", "reviewtext", "description", "contents"),
)
_TIME = (
    ("timestamp", "datetime", "createdat", "createdutc", "sentat", "postedat", "dateutc"),
    ("created", "sent", "ts", "senttime", "sendtime", "time", "date", "sentdate", "posted"),
    ("createdtime", "creationdate", "publishedat", "messagedate", "day"),
)
_WANTED = {"user": _USER, "text": _TEXT}

_DELETED_USER = "[deleted]"
_DELETED = ("[deleted]", "[removed]")
_IDS = ("id_str", "id", "username", "screen_name", "name")  # of a user that is an object itself

_ZONE = re.compile(r"\s*(?:UTC|GMT|([+-]\d\d:?\d\d))\Z", re.ASCII)
_DATE = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:,?[ T]+(\S.*))?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*([AaPp]\.?[Mm]\.?)?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Columns:
    """Names of columns; `time` may be none, or two: a date and a time of day."""

    user: str
    text: str
    time: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return (self.user, self.text, *self.time)


def choose(names: Sequence[str], wanted: Mapping[str, str], place: str) -> Columns:
    """The columns that were asked for (by name, or by number from 1), and by usual names the others.

    BadCorpus when one is missing, or it is not clear which one it is; BadSettings when more was
    asked for than there is in a message.
    """
    if unknown := ", ".join(sorted(set(wanted) - {"user", "text", "time"})):
        raise BadSettings(
            f"a message has no {unknown}", "Columns are user=…, text=… and, if you like, time=…."
        )
    found = {kind: _named(names, column, place) for kind, column in wanted.items()}
    free = [name for name in names if name not in found.values()]
    for kind, usual in _WANTED.items():
        if kind not in found:
            fitting = _usual(free, usual)
            if len(fitting) != 1:
                several = f"several may be the {kind}: {', '.join(map(repr, fitting))}"
                raise _unclear(names, place, several if fitting else f"none seems to be the {kind}")
            found[kind] = fitting[0]
    if "time" in found:
        return Columns(found["user"], found["text"], (found["time"],))
    return Columns(found["user"], found["text"], _times(free))


def guess(names: Sequence[str]) -> Columns | None:
    """The columns by usual names alone; None when that is not clear."""
    try:
        return choose(names, {}, "")
    except BadCorpus:
        return None


def could_be_messages(names: Sequence[str]) -> bool:
    """Whether there is at least one column that may be a user, and one that may be a text."""
    return all(_usual(names, usual) for usual in _WANTED.values())


def _named(names: Sequence[str], column: str, place: str) -> str:
    """A column as it is called, whatever its case; or its number; or what is in it ("user.name")."""
    for name in (column, column.partition(".")[0]):
        for found in (*(n for n in names if n == name), *(n for n in names if _same(n, name))):
            return found + column[len(name) :]
    if column.isdecimal() and 1 <= int(column[:6]) <= len(names):
        return names[int(column) - 1]
    raise _unclear(names, place, f"there is no column {column!r}")


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _usual(names: Sequence[str], usual: Sequence[Sequence[str]]) -> list[str]:
    """The names of the first tier that has any of them."""
    for tier in usual:
        if found := [name for name in names if _plain(name) in tier]:
            return found
    return []


def _times(names: Sequence[str]) -> tuple[str, ...]:
    plain = {_plain(name): name for name in reversed(names)}
    first = next((plain[name] for name in _TIME[0] if name in plain), None)
    if first is None and "date" in plain and "time" in plain:
        return plain["date"], plain["time"]
    return (first,) if first is not None else tuple(_usual(names, _TIME)[:1])


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _unclear(names: Sequence[str], place: str, why: str) -> BadCorpus:
    shown = ", ".join(repr(name[:40]) for name in names[:40]) or "none"
    return BadCorpus(
        f"{place}: {why}; columns are {shown}",
        "Say which ones they are: --columns user=…,text=…[,time=…].",
    )


def row_message(row: Mapping[str, object], columns: Columns, dates: str, tally: Tally) -> Found:
    """A row as a message; `dates` is the order of a date's parts, as in `ReadOptions`."""
    user, text = _user(_value(row, columns.user)), _value(row, columns.text)
    if user == _DELETED_USER:
        user = ""
    text = clean(text).strip() if isinstance(text, str) else ""
    if text in _DELETED:
        return "deleted message"
    values = [_value(row, name) for name in columns.time]
    time = _when(values, dates)
    found = made(user, text, time, "no text")
    if time is None and not isinstance(found, str) and any(v not in (None, "") for v in values):
        tally.remark("time that can't be read")
    return found


def _value(row: Mapping[str, object], name: str) -> object:
    if name in row or "." not in name:
        return row.get(name)
    outer, _, inner = name.partition(".")
    return _value(as_dict(row.get(outer)), inner)


def _user(value: object) -> str:
    if isinstance(value, dict):
        value = next((value[key] for key in _IDS if value.get(key) is not None), None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as tables spell whole numbers in a column that has gaps
    return as_id(value)


def _when(values: list[object], dates: str) -> datetime | None:
    """The time that the values of one or two columns tell."""
    if len(values) == 2:
        day, hour = values
        if isinstance(day, date) and isinstance(hour, time):
            return datetime.combine(day, hour)
        if isinstance(day, str) and isinstance(hour, str):
            values = [f"{day} {hour}", hour, day]
    return next((found for one in values if (found := read_time(one, dates))), None)


def read_time(value: object, dates: str = "") -> datetime | None:
    """A time as tables write it: ISO 8601, RFC 2822, or seconds to nanoseconds since 1970.

    `dates` ("dmy", "mdy") is how to read 1/2/2024. None for what is no time.
    """
    if isinstance(value, date):
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    if isinstance(value, int | float):
        return _since_1970(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text) and len(text) != len("20240131"):
        return _since_1970(float(text) if "." in text else int(text))
    if found := as_time(_ZONE.sub(lambda zone: zone[1] or "+00:00", text).upper()):
        return found
    parts = _DATE.fullmatch(text)
    return _in_order(parts, dates) if parts else _of_mail(text)


def _since_1970(value: float) -> datetime | None:
    if isinstance(value, bool):
        return None
    size = abs(value)
    if size < 10**11:
        return from_unix(value)
    if size < 10**14:
        return from_unix(value, 10**3)
    return from_unix(value if size < 10**17 else value // 1000, 10**6)


def _in_order(parts: re.Match[str], dates: str) -> datetime | None:
    """A date of numbers alone; None where its order is not known."""
    numbers = [int(parts[1]), int(parts[3]), int(parts[4])]
    order = "ymd" if len(parts[1]) == 4 else dates
    clock = _CLOCK.fullmatch(parts[5] or "0:00")
    if not clock or sorted(order) != sorted("ymd"):
        return None
    named = dict(zip(order, numbers, strict=True))
    if len(parts[1 + 3 * (order[-1] == "y")]) <= 2:
        named["y"] += 2000 if named["y"] < 70 else 1900
    hour = int(clock[1])
    if clock[4]:
        hour = hour % 12 + 12 * (clock[4][0] in "pP")
    try:
        return datetime(named["y"], named["m"], named["d"], hour, int(clock[2]), int(clock[3] or 0))
    except ValueError:
        return None


def _of_mail(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if ":" in text and len(text) < 80 else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
