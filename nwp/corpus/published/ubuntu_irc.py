"""#ubuntu's regulars, from the raw logs in jkkummerfeld/irc-disentanglement.

The recipe:

- The files are `data/{train,dev,test}/*.raw.txt`, in order of their own names, which begin with
  their date.
- Only lines `[HH:MM] <nick> text` are kept, with a nick without spaces. Users are nicks without
  regard to case. Any white space becomes one space.
- An addressee at the start ("nick:", "nick,", "nick :", whatever the number of marks) is stripped
  when somebody of that nick speaks anywhere in the logs.
- What then is empty, or one word that begins with "!" (it makes a bot speak), is dropped; so are
  the bots.
- A user has the spelling of most of the kept messages, the first one of equally many. Users come
  in order of their names in lower case; those with fewer than 200 words are dropped. Here a word
  is a piece between spaces with a letter or digit in it.

Who is addressed can only be told when all speakers are known, so the logs are read twice. The
messages of a user lie all over them, so the second time all of them are kept: 15 MB of text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from nwp.corpus.lines import read_lines
from nwp.corpus.published.archive import Found, enough_words, found_in
from nwp.corpus.source import Source
from nwp.corpus.types import Message, Tally

FILE = re.compile(r"(?:^|/)data/(?:train|dev|test)/([^/]+\.raw\.txt)$")

_LINE = re.compile(r"\[\d\d:\d\d\] <([^>\s]+)> (.*)", re.DOTALL)
_BOT = re.compile(r"ubotu|ubottu|ubot\d|floodbot\d*|ubuntulog\d*")
_ADDRESSEE = re.compile(r"(\S{1,64}?) ?[:,]+(?: |$)")


@dataclass
class _User:
    """The kept messages of one nick, and in how many of them it is spelt in which way."""

    texts: list[str] = field(default_factory=list)
    spellings: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        return self.spellings.most_common(1)[0][0]


def rebuild(source: Source) -> Iterator[Message]:
    """The messages as the recipe above has them."""
    files = sorted(
        found_in(source, FILE, "data/{train,dev,test}/*.raw.txt"), key=lambda file: file.parts
    )
    speakers = {nick.lower() for nick, _ in _lines(files)}
    users: dict[str, _User] = {}
    for nick, line in _lines(files):
        text = _text(line, speakers)
        if text and not _BOT.fullmatch(nick.lower()):
            user = users.setdefault(nick.lower(), _User())
            user.texts.append(text)
            user.spellings[nick] += 1
    for _, user in sorted(users.items()):
        if enough_words(user.texts):
            yield from (Message(user.name, text) for text in user.texts)


def _lines(files: list[Found]) -> Iterator[tuple[str, str]]:
    """Nick and text of every line that somebody wrote."""
    for file in files:
        with file.entry.open() as log:
            for line in read_lines(log, Tally()):
                if match := _LINE.match(line):
                    yield match[1], match[2]


def _text(line: str, speakers: set[str]) -> str:
    """What a line says, to whomever it is said; "" for what only makes a bot speak."""
    text = " ".join(line.split())
    addressee = _ADDRESSEE.match(text)
    if addressee and addressee[1].lower() in speakers:
        text = text[addressee.end() :]
    return "" if text.startswith("!") and " " not in text else text
