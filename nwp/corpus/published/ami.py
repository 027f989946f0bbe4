"""The AMI meetings, per speaker, from the transcripts in gcunhase/AMICorpusXML.

The recipe:

- The files are `data/ami-transcripts-speaker/MEETING.LETTER.transcript.txt`, in order of user and
  then of name, which within a series is the order of its meetings.
- In the scenario series (ES, IS, TS) four people hold meetings a to d and keep their letters: the
  user is series and letter (`ES2003.B`). In three of them (ES2002, IS1001, IS1003) the letters
  change hands; there, and in all other meetings, the user is meeting and letter (`EN2001a.A`).
- "_" marks a spelt letter. One that stands alone just loses it ("L_" -> "L"); in a spelt word it
  becomes a space ("X_M_L_" -> "X M L ").
- A message is a sentence: up to a ".", "?" or "!" before white space. What has no letter and no
  digit is dropped, and a last sentence needs no mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from nwp.corpus.published.archive import Found, found_in, whole_text
from nwp.corpus.source import Source
from nwp.corpus.types import Message

FILE = re.compile(r"(?:^|/)data/ami-transcripts-speaker/(\w+)\.([A-Z])\.transcript\.txt$")

_SERIES = re.compile(r"((?:ES|IS|TS)\d+)[a-z]$")
_LETTERS_CHANGE_HANDS = frozenset({"ES2002", "IS1001", "IS1003"})
_LONE_LETTER = re.compile(r"\b([A-Za-z])_(?!\w)")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.?!])\s+")


def rebuild(source: Source) -> Iterator[Message]:
    """The messages as the recipe above has them."""
    files = sorted(found_in(source, FILE, "data/ami-transcripts-speaker/*.txt"), key=_user_and_name)
    for user, mine in groupby(files, key=_user):
        for file in mine:
            for text in _sentences(whole_text(file.entry)):
                yield Message(user, text)


def _user(file: Found) -> str:
    meeting, letter = file.parts
    series = _SERIES.match(meeting)
    if series and series[1] not in _LETTERS_CHANGE_HANDS:
        meeting = series[1]
    return f"{meeting}.{letter}"


def _user_and_name(file: Found) -> tuple[str, str]:
    return _user(file), file.entry.name


def _sentences(text: str) -> Iterator[str]:
    text = _LONE_LETTER.sub(r"\1", text).replace("_", " ")
    for sentence in _BETWEEN_SENTENCES.split(text):
        if any(map(str.isalnum, sentence)):
            yield sentence.strip()
