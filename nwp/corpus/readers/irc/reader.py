"""Logs of IRC: what irssi, WeeChat, ZNC, XChat, HexChat, mIRC, bots and archives write."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice

from nwp.corpus.lines import clean, clean_name, read_lines
from nwp.corpus.readers.base import ReadOptions, by_file
from nwp.corpus.readers.irc.dates import Calendar, named_date, told_date
from nwp.corpus.readers.irc.styles import EVENT, MESSAGE, OTHER, Line, is_pidgin, read_line
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally

_LOOKED_AT = 50  # lines by which a log is recognised


def is_one(entry: Entry, head: bytes) -> bool:
    """Two thirds of the first lines are such as IRC logs have, and one of them is a message."""
    lines = [*islice(_texts(head), _LOOKED_AT)]
    pidgin = bool(lines) and is_pidgin(lines[0])
    read = [Line(EVENT) if told_date(line) else read_line(line, pidgin) for line in lines]
    if not any(line and line.kind == MESSAGE for line in read):
        return False
    if "\t" in lines[0] and read[0] is None:  # a table with a head
        return False
    return 3 * sum(line is not None for line in read) >= 2 * len(read)


def _texts(head: bytes) -> Iterator[str]:
    """The whole lines of a file's beginning, without empty ones."""
    lines = list(read_lines(io.BytesIO(head), Tally()))
    if len(lines) > 1 and not head.endswith(b"\n"):
        lines.pop()
    return (line for line in lines if line.strip())


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """What was said in the logs; the user is the nick, whose case does not matter."""
    nicks: dict[str, str] = {}
    shown: dict[str, str] = {}
    for entry in files:
        calendar = Calendar(named_date(entry.name))
        with entry.open() as file:
            pidgin = False
            for number, line in enumerate(read_lines(file, tally)):
                pidgin = is_pidgin(line) if number == 0 else pidgin
                if not line.strip():
                    continue
                if day := told_date(line):
                    calendar.turn(day)
                    tally.skip(EVENT)
                    continue
                read = read_line(line, pidgin) or Line(OTHER)
                time = calendar.when(read.stamp) if read.stamp else None
                if (nick := shown.get(read.nick)) is None:
                    nick = clean_name(read.nick)
                    nick = shown[read.nick] = nicks.setdefault(nick.casefold(), nick)
                text = clean(read.text).strip()
                if read.kind == MESSAGE and nick and text:
                    yield Message(nick, text, time)
                elif read.kind == MESSAGE:
                    tally.skip("empty message" if nick else OTHER)
                else:
                    tally.skip(read.kind)


READER = by_file("irc", "logs of IRC channels", is_one, read_files)
