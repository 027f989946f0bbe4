"""What a message of a WhatsApp export is: text, or WhatsApp's word on what is not there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nwp.corpus.readers.whatsapp.notices import (
    ATTACHED,
    DELETED,
    DELETED_BY,
    EDITED,
    NOTICES,
    OMITTED,
    PLACES,
    SHARED,
)

_FILE = r"[^\n<>/\\:]{1,200}\.[A-Za-z0-9]{1,5}"
_OWN_NAME = re.compile(
    r"(?:IMG|VID|AUD|PTT|STK|DOC|GIF|PHOTO|VIDEO|AUDIO|STICKER)-\d{8}-WA\d+\S*"
    r"|\d{8}-[^\n<>]+|(?:PHOTO|VIDEO|AUDIO|STICKER|GIF)-\d{4}-[-\d]+\.\w+"
)
_FILE_THEN_WORDS = re.compile(rf"({_FILE}|[^\n<>]+-WA\d+\.?) [(<]([^()<>\n]{{2,40}})[)>]")
_TAG_AT_END = re.compile(r"(?s)(.*?)([\u200e\u200f]?)<([^<>\n]{2,300})>\s*")
_MARKED_END = re.compile(r"(?s)(.*)[\u200e\u200f]([^\u200e\u200f\n]{2,40})")
_ONLY_A_FILE = re.compile(rf"{_FILE}(?: • .{{1,30}})?")
_PLACE = re.compile(r"([^:\n]{2,40}): https?://(?:maps\.google\.com|maps\.apple\.com)/\S*")
_OPTION = re.compile(r"([^:\n]{2,24}): .{0,300}\([^()\n]{0,20}\d[^()\n]{0,20}\)")
_OFTEN = 5  # nobody writes the same words in angle brackets as often as a phone does
_SIGNS = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Part:
    """What was found: text to keep, or the reason to leave a message out.

    `cut` tells that a notice stood beside the text.
    """

    text: str = ""
    reason: str = ""
    cut: bool = False


def part_of(text: str, marked: bool, own: str, tags: Mapping[str, int]) -> Part:
    """Tell what a whole message is.

    `marked`: its line began with a mark, as iPhones put before what is no plain text. `own`: the
    marks that WhatsApp puts before its own words in this file. `tags`: how often a message of the
    file is nothing but this in angle brackets.
    """
    text = text.strip()
    plain = _SIGNS.sub("", text).strip()
    if plain in {"", "null"}:
        return Part(reason="no text")
    first, _, rest = plain.partition("\n")
    if not rest and (_key(first) in DELETED or _key(first).startswith(DELETED_BY)):
        return Part(reason="deleted message")
    if _is_poll(plain):
        return Part(reason="event")
    if _is_file(first, text[:1] in "\u200e\u200f", tags):
        return _caption(rest)
    if (place := _PLACE.fullmatch(plain)) and (_key(place[1]) in PLACES or text[0] in own):
        return Part(reason="media")
    if _key(plain) in OMITTED:
        return Part(reason="media")
    if text[0] in own and not _TAG_AT_END.fullmatch(text):
        return Part(reason="media" if marked else "system line")
    if _key(plain) in SHARED or (not rest and _key(plain).startswith(NOTICES)):
        return Part(reason="system line")
    return _without_tail(text, marked)


def _without_tail(text: str, marked: bool) -> Part:
    """Cut what WhatsApp writes behind a text: that it was changed, or what file came with it."""
    cut = file = False
    while text.endswith(">") and (tag := _TAG_AT_END.fullmatch(text)):
        head, mark, words = tag.groups()
        names_file = ":" in words and bool(mark or _OWN_NAME.search(words))
        if not (mark or names_file or _key(words) in EDITED or _key(words) in OMITTED):
            break
        text, cut = head.rstrip("\u200e\u200f \n\t"), True
        file = file or names_file or _key(words) in OMITTED
    if (end := _MARKED_END.fullmatch(text)) and (_key(end[2]) in OMITTED or (marked and not cut)):
        text, cut, file = end[1].strip("\u200e\u200f \n\t"), True, True
    plain = _SIGNS.sub("", text).strip()
    if file and (not plain or _ONLY_A_FILE.fullmatch(plain)):
        return Part(reason="media")
    return Part(text, cut=cut) if plain else Part(reason="no text")


def _is_file(line: str, signed: bool, tags: Mapping[str, int]) -> bool:
    """Whether a first line names a file, or stands for one."""
    if found := _FILE_THEN_WORDS.fullmatch(line):
        return bool(_key(found[2]) in ATTACHED or signed or _OWN_NAME.fullmatch(found[1]))
    if line[0] == "<" and line[-1] == ">":
        inner = _key(line[1:-1])
        words = " " in inner or not inner.isascii()
        return inner in OMITTED or (words and tags.get(inner, 0) >= _OFTEN)
    return False


def tag_in(line: str) -> str:
    """What a line has in angle brackets, when it has nothing else and they hold words; else ""."""
    line = _SIGNS.sub("", line).strip()
    whole = len(line) < 60 and line[:1] == "<" and line[-1:] == ">"
    inner = _key(line[1:-1]) if whole else ""
    return "" if any(c in inner for c in '<>/="@:') else inner


def _caption(rest: str) -> Part:
    rest = rest.strip()
    if not rest or _ONLY_A_FILE.fullmatch(rest):
        return Part(reason="media")
    cut = _without_tail(rest, False)
    return Part(cut.text, cut.reason, cut=True)


def _is_poll(text: str) -> bool:
    """A question in capitals and two or more options with counts of votes, in whatever language."""
    first, *lines = text.split("\n")
    if not first.endswith(":") or len(first) > 24:
        return False
    labels = [found[1].strip() for line in lines if (found := _OPTION.fullmatch(line.strip()))]
    return len(labels) > 1 and len(set(labels)) == 1 and labels[0] == labels[0].upper()


def _key(words: str) -> str:
    """Words as the tables have them: without marks, case and a last full stop."""
    words = _SIGNS.sub("", words).replace("\u2019", "'").replace("\u00a0", " ")
    return words.strip(" .।。\t").casefold()
