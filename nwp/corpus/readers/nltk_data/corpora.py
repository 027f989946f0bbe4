"""Corpora of NLTK by name, from its data packages: folders or zips in `corpora` of its data path.

The packages are read here and not by NLTK's own readers: those unpack and parse whatever a file
holds. NLTK is asked only to fetch a package that is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from html import unescape
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath

from nwp.corpus.lines import MAX_LINE, clean, clean_name, raw_lines, read_lines
from nwp.corpus.published.markup import elements
from nwp.corpus.published.shakespeare import EVERYBODY, speeches
from nwp.corpus.readers.fields import as_dict, as_name, as_text
from nwp.corpus.readers.nltk_data.packages import available, find
from nwp.corpus.source import Entry, Source, open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

__all__ = ["KNOWN", "available", "read"]

KNOWN: dict[str, str] = {
    "brown": "a text is a user (ca01), a sentence a message",
    "gutenberg": "an author is a user, a paragraph a message",
    "inaugural": "a president is a user, a paragraph a message",
    "nps_chat": "a person in a chat room is a user, a post a message",
    "shakespeare": "a character of a play is a user, a speech a message",
    "state_union": "a president is a user, a paragraph a message",
    "switchboard": "a caller is a user (call and letter), a turn a message",
    "twitter_samples": "an account is a user, a tweet a message",
    "webtext": "a file is a user, a line a message",
}
"""Name to what its users and messages are. Others are read as plain text: a file is a user."""

_WRAPPED = 100  # characters: no line of a text that was wrapped is longer
_TERM = 8  # years from a president's address to the same one's next, at most
_NO_TEXT = ("readme", "license", "licence", "copying", "contents", "cats.", "categories.")
_DATE = re.compile(r"[A-Z][a-z]+ \d{1,2}, \d{4}\.?")
_TURN = re.compile(r"(\w+)\.\d+: ?(.*)")
_NOISE = re.compile(r"<[^<>]*>|(?<!\S)[-+](?!\S)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TWEETED = re.compile(r"\w+ (\w+) (\d\d) (\d\d:\d\d:\d\d) \+0000 (\d{4})", re.ASCII)
_TO_THE_LEFT = re.compile(r" ([,.;:?!)\]]|n't\b|'(?:s|re|ve|ll|d|m)\b)")
_TO_THE_RIGHT = re.compile(r"([(\[]) ")


@dataclass(frozen=True)
class _File:
    """A file of a package: its path below the package's folder, and how to read it."""

    name: str
    entry: Entry

    @property
    def user(self) -> str:
        """The user when a file is one: its path without ".txt"."""
        return clean_name(self.name.removesuffix(".txt")) or "unnamed"


def read(name: str, tally: Tally, *, download: bool = True) -> Iterator[Message]:
    """The messages of a corpus, file by file, in the package's order.

    A package that is not here is fetched by NLTK when `download` allows it. BadCorpus when it is
    not to be had, or damaged.
    """
    return _messages(name, find(name, download=download), tally)


def _messages(name: str, place: Path, tally: Tally) -> Iterator[Message]:
    parse = _PARSERS.get(name, _plain)
    try:
        with open_source(place, tally) as source:
            yield from parse(_files(name, source), tally)
    except OSError as error:
        raise BadCorpus(
            f"cannot read {place}: {error.strerror or error}", "Check its permissions."
        ) from error


def _files(name: str, source: Source) -> list[_File]:
    """The package's files; in a zip they lie below a folder of the package's name."""
    return [_File(entry.name.removeprefix(f"{name}/"), entry) for entry in source.entries]


def _of_kind(files: list[_File], kind: str, tally: Tally) -> Iterator[_File]:
    """The files whose name the pattern matches; others are counted."""
    for file in files:
        if re.fullmatch(kind, file.name):
            yield file
        else:
            tally.skip("other file")


def _message(user: str, text: str, tally: Tally, time: datetime | None = None) -> Iterator[Message]:
    """One message, or none when it has no text or no author."""
    text, user = clean(text).strip(), clean_name(user)
    if text and user:
        yield Message(user, text, time)
    else:
        tally.skip("no author" if text else "empty message")


def _lines(file: _File, tally: Tally) -> Iterator[str]:
    with file.entry.open() as lines:
        yield from read_lines(lines, tally)


def _paragraphs(file: _File, tally: Tally) -> Iterator[str]:
    """What lies between blank lines, its own lines joined by spaces; what never ends, in pieces."""
    kept: list[str] = []
    size = 0
    for line in chain(_lines(file, tally), [""]):
        words = " ".join(line.split())
        if kept and (not words or size > MAX_LINE):
            yield " ".join(kept)
            kept, size = [], 0
        if words:
            kept.append(words)
            size += len(words)


def _unit_of(file: _File) -> Callable[[_File, Tally], Iterator[str]]:
    """Paragraphs where the first lines are wrapped and some are blank; else lines."""
    lines = file.entry.head().decode("utf-8", "replace").split("\n")
    blank = any(not line.strip() for line in lines[:-1])
    return _paragraphs if blank and max(map(len, lines)) <= _WRAPPED else _lines


def _plain(files: list[_File], tally: Tally, by_line: bool = False) -> Iterator[Message]:
    """Any plain text: a file is a user."""
    for file in files:
        base = PurePosixPath(file.name).name.lower()
        named = PurePosixPath(base).suffix in ("", ".txt") and not base.startswith(_NO_TEXT)
        if not named or b"\0" in file.entry.head():
            tally.skip("other file")
            continue
        unit = _lines if by_line else _unit_of(file)
        for text in unit(file, tally):
            if text.strip():
                yield from _message(file.user, text, tally)


def _gutenberg(files: list[_File], tally: Tally) -> Iterator[Message]:
    """`AUTHOR-TITLE.txt`; the first paragraph is "[TITLE by AUTHOR YEAR]"."""
    for file in _of_kind(files, r".+\.txt", tally):
        for number, text in enumerate(_paragraphs(file, tally)):
            if number == 0 and text.startswith("[") and text.endswith("]"):
                tally.skip("system line")
            else:
                yield from _message(file.user.partition("-")[0], text, tally)


def _presidents(files: list[_File], tally: Tally) -> Iterator[Message]:
    """`YEAR-NAME.txt`; lines before the address in capitals, or with its date, are no part of it."""
    speeches = list(_of_kind(files, r"\d{4}-\w+.*\.txt", tally))
    users = _by_term([file.name for file in speeches])
    for file in speeches:
        head = True
        for line in filter(str.strip, _lines(file, tally)):
            head = head and (line.isupper() or bool(_DATE.fullmatch(line.strip())))
            if head:
                tally.skip("system line")
            else:
                yield from _message(users[file.name], line, tally)


def _by_term(names: list[str]) -> dict[str, str]:
    """File name to president: one surname, long after, is somebody else, who gets the year, too."""
    terms: dict[str, list[int]] = {}
    for year, surname in sorted(_year_and_name(name) for name in names):
        terms.setdefault(surname, []).append(year)
    users = {}
    for name in names:
        year, surname = _year_and_name(name)
        years = terms[surname]
        later = (y for before, y in pairwise(years) if y - before > _TERM)
        first = [years[0], *later]
        mine = max(y for y in first if y <= year)
        users[name] = surname if len(first) == 1 else f"{surname} ({mine})"
    return users


def _year_and_name(name: str) -> tuple[int, str]:
    year, surname, *_ = re.split(r"\W+", name)
    return int(year), surname


def _brown(files: list[_File], tally: Tally) -> Iterator[Message]:
    """Lines of `word/tag`: a sentence each."""
    for file in _of_kind(files, r"c[a-z]\d\d", tally):
        for line in filter(str.strip, _lines(file, tally)):
            yield from _message(file.user, _untagged(line, tally), tally)


def _untagged(line: str, tally: Tally) -> str:
    """Words and their tags as text."""
    tally.remark("words with tags, joined to a text")
    text = " ".join(word.rpartition("/")[0] or word for word in line.split())
    text = text.replace("`` ", '"').replace(" ''", '"').replace("''", '"')
    return _TO_THE_RIGHT.sub(r"\1", _TO_THE_LEFT.sub(r"\1", text))


def _switchboard(files: list[_File], tally: Tally) -> Iterator[Message]:
    """Lines `A.1: text`, a blank line after each call: as transcribed, or else word by word.

    Noises ("<laughter>") and marks of interruption are no words.
    """
    names = {file.name for file in files}
    tagged = "transcript" not in names
    call, talking = 0, False
    for file in _of_kind(files, "tagged" if tagged else "transcript", tally):
        for line in _lines(file, tally):
            if not line.strip():
                talking = False
            elif match := _TURN.match(line):
                call, talking = call if talking else call + 1, True
                text = _untagged(match[2], tally) if tagged else _NOISE.sub(" ", match[2])
                yield from _message(f"{call}.{match[1]}", " ".join(text.split()), tally)
            else:
                tally.skip("bad line")


def _nps_chat(files: list[_File], tally: Tally) -> Iterator[Message]:
    """`<Post class user>text<terminals>…`; ids hold the room's date and age group."""
    for file in _of_kind(files, r".+\.xml", tally):
        for post in elements(file.entry, "Post", tally):
            text = post.text or ""
            if text.lstrip().startswith(".ACTION"):
                tally.skip("action")
            elif post.get("class") == "System":
                tally.skip("system line")
            else:
                yield from _message(post.get("user") or "", text, tally)


def _shakespeare(files: list[_File], tally: Tally) -> Iterator[Message]:
    """Plays in Bosak's markup; what all say together is nobody's."""
    for file in _of_kind(files, r".+\.xml", tally):
        for speaker, text in speeches(file.entry, tally):
            nobody = not speaker or EVERYBODY.match(speaker)
            user = "" if nobody else f"{file.name.removesuffix('.xml')}/{speaker}"
            yield from _message(user, text, tally)


def _tweets(files: list[_File], tally: Tally) -> Iterator[Message]:
    """A tweet a line, as Twitter's interface gave it; what others wrote is no text of the user's."""
    for file in _of_kind(files, r".+\.json", tally):
        with file.entry.open() as lines:
            for number, line in enumerate(raw_lines(lines, tally), 1):
                if not line.strip():
                    continue
                try:
                    tweet = as_dict(json.loads(line))
                except (ValueError, RecursionError) as error:
                    if not tally.lenient:
                        raise BadCorpus(
                            f"{file.entry.place}, line {number}: not JSON ({error})",
                            "Fetch it again, or leave such lines out with --skip-bad-lines.",
                        ) from error
                    tally.skip("bad line")
                    continue
                if as_dict(tweet.get("retweeted_status")):
                    tally.skip("retweet")
                    continue
                user = as_name(as_dict(tweet.get("user")).get("screen_name"))
                text = as_text(tweet.get("full_text")) or as_text(tweet.get("text"))
                yield from _message(user, unescape(text), tally, _tweeted(tweet.get("created_at")))


def _tweeted(when: object) -> datetime | None:
    """The time in "Thu Apr 30 21:34:06 +0000 2015", whatever language this machine has."""
    match = _TWEETED.fullmatch(when) if isinstance(when, str) else None
    try:
        if match is None:
            return None
        month, day, clock, year = match.groups()
        return datetime.fromisoformat(f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{clock}+00:00")
    except ValueError:
        return None


_PARSERS: dict[str, Callable[[list[_File], Tally], Iterator[Message]]] = {
    "brown": _brown,
    "gutenberg": _gutenberg,
    "inaugural": _presidents,
    "nps_chat": _nps_chat,
    "shakespeare": _shakespeare,
    "state_union": _presidents,
    "switchboard": _switchboard,
    "twitter_samples": _tweets,
    "webtext": partial(_plain, by_line=True),
}
