"""Messages to words by one counting rule, and what stands between the words as marks.

A word is a match of ``[^\\W_]+(?:['’][^\\W_]+)*`` in the lower-cased message, with ’ read as '.
So contractions are one word, and the pieces of URLs and numbers count. Whatever stands between two
words (punctuation, emoji, "://", "@") is never predicted; it becomes one of a few *marks* that the
model reads beside the word before it. A mark is known as soon as its characters are typed, so
reading it is no look into the future.
"""

from __future__ import annotations

import enum
import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Flags = npt.NDArray[np.bool_]

WORD = re.compile(r"([^\W_]+(?:'[^\W_]+)*)")
RAW_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # in a message as it stands
# An e-mail address is looked for only where a run of characters begins: a long one takes no n² steps.
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|(?<![^\s@])[^\s@]+@[^\s@]+\.[^\s@]+")
_FACE = re.compile(r"[:;=]'?-?[)(\]\[/|\\*]|\^_?\^")  # those without letters or digits


class Mark(enum.IntEnum):
    """What stands between two words, as the model reads it. The values are part of a bundle."""

    SPACE = 0
    COMMA = 1
    PERIOD = 2
    QUESTION = 3
    EXCLAMATION = 4
    ELLIPSIS = 5
    COLON = 6
    DASH = 7
    JOINT = 8
    URL = 9
    MENTION = 10
    EMOJI = 11
    OPENING = 12
    CLOSING = 13
    OTHER = 14
    LINE = 15


MARKS = len(Mark)
SENTENCE_ENDS = frozenset({Mark.PERIOD, Mark.QUESTION, Mark.EXCLAMATION, Mark.LINE})

_BY_CHARACTER = {
    ",": Mark.COMMA, "、": Mark.COMMA, "，": Mark.COMMA,
    ".": Mark.PERIOD, "。": Mark.PERIOD,
    "?": Mark.QUESTION, "？": Mark.QUESTION, "¿": Mark.OPENING,
    "!": Mark.EXCLAMATION, "！": Mark.EXCLAMATION, "¡": Mark.OPENING,
    "…": Mark.ELLIPSIS,
    ":": Mark.COLON, ";": Mark.COLON, "：": Mark.COLON, "；": Mark.COLON,
    "-": Mark.DASH, "–": Mark.DASH, "—": Mark.DASH,
}  # fmt: skip


@dataclass(frozen=True)
class Tokens:
    """One message as words and the marks around them.

    `words` are lower-cased; `marks[i]` stands before `words[i]` and the last mark after the last
    word, so there is always one mark more than there are words.
    """

    words: list[str]
    marks: list[int]


def normalize(message: str) -> str:
    """Lower-cased, with the typographic apostrophe read as the plain one."""
    return message.lower().replace("’", "'")


def tokenize(message: str) -> Tokens:
    """Split one message into words and marks."""
    parts = WORD.split(normalize(message))
    gaps = parts[0::2]
    # Start and end read like a space: who is still typing can't know yet that it is the end.
    gaps[0] = " " + gaps[0]
    gaps[-1] += " "
    return Tokens(words=parts[1::2], marks=[mark_of(gap) for gap in gaps])


def words_of(message: str) -> list[str]:
    """The words of one message, lower-cased."""
    return WORD.findall(normalize(message))


def surfaces_of(message: str) -> list[str]:
    """The words as they were typed, one for each of `words_of(message)`, ’ read as '.

    A few characters change their length when lower-cased ("İ"); a message in which that moves the
    words gives the lower-cased ones.
    """
    surfaces: list[str] = RAW_WORD.findall(message)
    if message.isascii():
        return surfaces
    surfaces = [s.replace("’", "'") for s in surfaces]
    words = words_of(message)
    same = len(surfaces) == len(words) and all(
        s.lower() == w for s, w in zip(surfaces, words, strict=True)
    )
    return surfaces if same else words


def address_flags(message: str) -> list[bool]:
    """For each word of the message: is it a piece of a URL or an e-mail address?"""
    text = normalize(message)
    spans = [match.span() for match in _ADDRESS.finditer(text)]
    if not spans:
        return [False] * len(WORD.findall(text))
    return [
        any(start <= match.start() < end for start, end in spans) for match in WORD.finditer(text)
    ]


SEPARATOR = "\x1e"
"""Between messages that are split into words at one go: white space that is no part of a text."""


class _Gaps(dict[str, int]):
    """What stands between two words to its marks, packed into one number; see `split_joined`."""

    def __missing__(self, gap: str) -> int:
        if len(self) >= 1 << 16:
            self.clear()
        before, *_, after = gap.split(SEPARATOR) if SEPARATOR in gap else (gap, gap)
        # Start and end read like a space: who is still typing can't know yet that it is the end.
        packed = mark_of(gap) | mark_of(before + " ") << 4 | mark_of(" " + after) << 8
        self[gap] = packed | (SEPARATOR in gap) << 12
        return self[gap]


_gaps = _Gaps()


def split_joined(messages: Sequence[str]) -> tuple[list[str], list[int], Flags | None]:
    """Split messages at one go, several times as fast as one by one.

    Returns the words of all messages; what stands before each word and, last, behind all, as
    mark | end << 4 | begin << 8 | border << 12, where with `border` (bit 12) the message before it
    ends with the mark `end` and the next begins with the mark `begin`; and for each word whether
    it is a piece of an address (None where none is).
    """
    text = normalize(SEPARATOR.join(m.replace(SEPARATOR, " ") for m in messages))
    parts = WORD.split(text)
    return parts[1::2], list(map(_gaps.__getitem__, parts[0::2])), _addresses(text, parts)


def _addresses(text: str, parts: Sequence[str]) -> Flags | None:
    if "@" not in text and "://" not in text and "www." not in text:
        return None
    spans = [match.span() for match in _ADDRESS.finditer(text)]
    if not spans:
        return None
    import numpy as np  # here, for most of what reads words has no use for it

    begins, ends = np.array(spans).T
    words_at = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))[0:-1:2]
    nearest = np.searchsorted(begins, words_at, side="right") - 1
    inside: Flags = (nearest >= 0) & (words_at < ends[nearest])
    return inside


@functools.lru_cache(maxsize=4096)
def mark_of(gap: str) -> int:
    """The mark of what stands between two words: the class looked for first that is in it.

    Only punctuation without any space joins its words ("well-known", "example.org").
    """
    core = gap.strip()
    if not core:
        return int(Mark.LINE if "\n" in gap else Mark.SPACE)
    if "://" in core or gap == "@":
        return int(Mark.URL)
    if core.endswith("@") and (gap.endswith("@") or core.split()[-1] == "@"):
        return int(Mark.MENTION)  # "@ann", or the lone @ of a masked one
    if _FACE.search(core) or any(_is_emoji(c) for c in core):
        return int(Mark.EMOJI)
    if ".." in core or "…" in core:
        return int(Mark.ELLIPSIS)
    if not any(map(str.isspace, gap)):
        return int(Mark.JOINT)
    if "\n" in gap:
        return int(Mark.LINE)
    if category := _bracket(gap, core):
        return int(category)
    return int(next((_BY_CHARACTER[c] for c in reversed(core) if c in _BY_CHARACTER), Mark.OTHER))


def _bracket(gap: str, core: str) -> Mark | None:
    """Opening or closing when the last character is a bracket; a straight one opens after a space."""
    last = core[-1]
    straight = last in "\"'*_~`"
    spaced = any(map(str.isspace, gap[: gap.rindex(last)]))
    if unicodedata.category(last) in {"Ps", "Pi"} or (straight and spaced):
        return Mark.OPENING
    if unicodedata.category(last) in {"Pe", "Pf"} or straight:
        return Mark.CLOSING
    return None


def _is_emoji(character: str) -> bool:
    """Pictographs, dingbats, flags and skin tones; not digits or plain punctuation."""
    point = ord(character)
    return (
        0x1F000 <= point <= 0x1FAFF
        or 0x2600 <= point <= 0x27BF
        or 0x2B00 <= point <= 0x2BFF
        or point == 0xFE0F
    )
