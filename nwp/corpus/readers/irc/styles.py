"""The lines of IRC logs as the usual programs write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

MESSAGE, ACTION, NOTICE, EVENT, OTHER = "message", "action", "notice", "event", "other line"


@dataclass(frozen=True)
class Stamp:
    """When a line says it was, unchecked: a clock, and a day if it has one, perhaps without the year.

    `month` is digits or a name; `zone` is minutes east of UTC.
    """

    hour: int
    minute: int
    second: int = 0
    year: int | None = None
    month: str = ""
    day: int = 0
    zone: int | None = None


@dataclass(frozen=True)
class Line:
    """What a line is; who says what in it where it is a message."""

    kind: str
    nick: str = ""
    text: str = ""
    stamp: Stamp | None = None


_STAMP = re.compile(
    r"""\s{0,2}(?P<open>[\[(]?)
    (?:(?P<year>\d{4})[-/.](?P<number>\d\d)[-/.](?P<iso_day>\d\d)[T\s_]
      |(?:[^\W\d_]{2,4}\.?\s)?(?P<slash_day>\d{1,2})/(?P<slash_month>[^\W\d_]{3,5})/(?P<slash_year>\d{4})\s
      |(?P<month>[^\W\d_]{3,12})\.?\s{1,2}(?P<day>\d{1,2})\s)?
    (?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d{1,6})?)?
    (?:\s?(?P<half>[AaPp])\.?[Mm]\.?(?![^\W_]))?
    (?:\s?(?P<zone>Z|[+-]\d\d:?\d\d))?
    (?P<close>[\])]?)(?=[\s<]|$)[ ]?""",
    re.VERBOSE,
)
_SAID = re.compile(r"\s*<([^<>\t\r\n]{1,64})>(?:\s(.*))?", re.DOTALL)
_NOTICE = re.compile(r"\s*-(?![-!])[^\s<>]{1,80}-(?:\s|$)")
_ACTION = re.compile(r"\s*(?:\*\s+\S|Action: \S|•\s\S)")
_EVENT = re.compile(
    r"\s*(?:\*{3}|-!-|===|-{2,3}(?:>|\s|$)|<-{1,3}(?:\s|$)|<->|={2,3}>|!|→|←|↔|[|]\s)"
)
_SERVER = re.compile(
    r"\b(?:has (?:joined|left|quit|changed|set|been kicked)|(?:joined|left|quit) (?:irc|[#&]|the room)"
    r"|(?:joins|parts|quits)(?=:)|is now known as|sets? (?:the )?(?:mode|topic)|set by"
    r"|now talking (?:on|in)|topic (?:for|is)|gives? (?:voice|channel operator)|mode change|nick change"
    r"|was kicked|entered the room|disconnected|rejoined|you are now)\b",
    re.IGNORECASE,
)
_BARE_EVENT = re.compile(
    r"\s*(?:\*{3,}|={3}|-!-)(?:\s|$)|-{3,}>?\s|<-{2,3}\s|\*{4,}|Session (?:Start|Time|Close|Ident): "
    r"|IRC log (?:started|ended)|Conversation with "
)
_TABBED = re.compile(
    r"(?P<stamp>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?)\t(?P<who>[^\t]{0,80})\t(?P<text>.*)",
    re.DOTALL,
)
_NAME = re.compile(r"\w|[\\^`{}|\[\]]")
_CHANNEL = re.compile(r"[:/][#&+!].*")  # "nick:#channel"
_COLONED = re.compile(r"([^\s:<>*()]{1,64}): (.*)", re.DOTALL)
_PIDGIN = re.compile(r"Conversation with \S+ at .+ on \S+ \(irc\)$")
_MARKS = re.compile(r"[\s@+%&~!]+")
_CODES = re.compile(
    r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?"
    r"|\x1b\[[0-9;]*[A-Za-z]|[\x02\x0f\x11\x12\x13\x15\x16\x17\x1d\x1e\x1f]"
)


def is_pidgin(line: str) -> bool:
    """The first line of a log that Pidgin wrote of a channel, whose messages are "(12:00:00) nick: …"."""
    return bool(_PIDGIN.match(line))


def read_line(line: str, pidgin: bool = False) -> Line | None:
    """A line of a log; None for one in no style that is known."""
    if not line.isprintable():
        line = _CODES.sub("", line)
    if tabbed := _TABBED.fullmatch(line):
        return _tabbed(tabbed)
    found = _STAMP.match(line)
    if not found or bool(found["open"]) != bool(found["close"]):
        return Line(EVENT) if _BARE_EVENT.match(line) else None
    rest, stamp = line[found.end() :], _stamp(found)
    if _EVENT.match(rest):
        return Line(EVENT, stamp=stamp)
    if said := _SAID.fullmatch(rest):
        nick = _bare(said[1])
        return Line(MESSAGE, nick, said[2] or "", stamp) if nick else None
    if pidgin and (said := _COLONED.fullmatch(rest)):
        return Line(MESSAGE, said[1], said[2], stamp)
    if _NOTICE.match(rest):
        return Line(NOTICE, stamp=stamp)
    if _SERVER.search(rest):
        return Line(EVENT, stamp=stamp)
    return Line(ACTION, stamp=stamp) if _ACTION.match(rest) else None


def _tabbed(found: re.Match[str]) -> Line | None:
    """WeeChat's: a nick, or a sign of what else it is, between tabs."""
    who, at = found["who"].strip(), _STAMP.match(found["stamp"])
    if who == "*":
        return Line(ACTION)
    if not _NAME.search(who):
        return Line(NOTICE if found["text"].startswith("Notice(") else EVENT)
    if at is None or not (nick := _bare(who.removeprefix("<").removesuffix(">"))) or " " in nick:
        return None
    return Line(MESSAGE, nick, found["text"], _stamp(at))


def _bare(nick: str) -> str:
    """A nick without the marks of what its owner may do in the channel; "" for what is none."""
    marks = _MARKS.match(nick)
    nick = _CHANNEL.sub("", nick[marks.end() :] if marks else nick).strip()
    return nick if _NAME.search(nick) else ""


def _stamp(found: re.Match[str]) -> Stamp:
    hour = int(found["hour"])
    if half := found["half"]:
        hour = hour % 12 + 12 * (half in "Pp") if 1 <= hour <= 12 else 99
    zone = None
    if found["zone"]:
        digits = found["zone"].lstrip("+-Z").replace(":", "")
        zone = int(digits[:2]) * 60 + int(digits[2:]) if digits else 0
        zone = -zone if found["zone"].startswith("-") else zone
    return Stamp(
        hour=hour,
        minute=int(found["minute"]),
        second=int(found["second"] or 0),
        year=int(year) if (year := found["year"] or found["slash_year"]) else None,
        month=found["number"] or found["slash_month"] or found["month"] or "",
        day=int(found["iso_day"] or found["slash_day"] or found["day"] or 0),
        zone=zone,
    )
