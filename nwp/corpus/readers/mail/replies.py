"""What a mail's writer wrote themselves: without quotes, signatures and what lists append.

How mail programs introduce a quote in many languages comes from mail-parser-reply. Its tables are
used line by line, not its parser: that takes lists for signatures, and all below a "Thanks," too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from itertools import islice

_MAX_INTRO = 300  # characters of "On …, … wrote:", which may go over some lines
_MAX_INTRO_LINES = 4
_MAX_INTROS = 500  # looked at in a mail: each may take a thousandth of a second
_MAX_HEADERS = 8
_MAX_FOOTER = 10

_ARMOUR = re.compile(
    r"^-----BEGIN PGP (?!SIGNED)([A-Z ]+)-----.*?(?:^-----END PGP \1-----[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_SIGNED = re.compile(r"^-----BEGIN PGP SIGNED MESSAGE-----[ \t]*\n(?:\w+: .*\n)*\n?", re.MULTILINE)
_ESCAPED = re.compile(r"^- (?=-)", re.MULTILINE)  # within what PGP has signed
_QUOTED = re.compile(r" {0,3}>(?![_.]<|:?[(/])")  # but no face like >:( or >_<
_PARTED = re.compile(r"\s*[-_]{5,}\s*")
_ORIGINAL = re.compile(
    r"\s*-{2,} ?(?:Original[ -]Message|Original Appointment|Forwarded [Mm]essage(?: from .*)?"
    r"|Ursprüngliche Nachricht|Originalnachricht|Message d'origine|Mensaje original"
    r"|Messaggio originale|Oorspronkelijk bericht|Mensagem original) ?-{2,}\s*",
    re.IGNORECASE,
)
_ENTITLED = re.compile(r"\s*-{3,} ?[^\W\d_][^-]{2,60} ?-{3,}:?\s*")
_FORWARDED = re.compile(
    r"(?:Begin forwarded message|Anfang der weitergeleiteten (?:Nachricht|E-Mail)"
    r"|Début du message (?:réexpédié|transféré)|Inizio (?:del )?messaggio inoltrato"
    r"|Inicio del mensaje reenviado|Begin doorgestuurd bericht) ?:\s*",
    re.IGNORECASE,
)
_HEADER = re.compile(r"[*_ ]{0,3}[^\W\d_][\w ]{0,20}[* ]{0,3}:[* ]{0,3}\S")
_MORE_HEADERS = (  # languages that the library has no words for
    r"(?:^[* ]*(?:De|Enviad[ao](?: em)?|Para|Assunto|Data|Cc)[* ]*:.*(?:\n|$)){3,}",
    r"(?:^[* ]*(?:От|Отправлено|Кому|Тема|Дата|Копия)[* ]*:.*(?:\n|$)){3,}",
)
_ADDRESS = re.compile(r"[<(\[](?:mailto:)?[^\s<>()]+@[^\s<>()]+[>)\]]")
_CLOCK = re.compile(r"(?<!\d)\d{1,2}[:.h]\d\d(?!\d)")
_DATE = re.compile(r"(?<!\d)(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}|(?:19|20)\d\d)(?!\d)")
_SAID = re.compile(
    r"\b(?:wrote|writes|said|says|schrieb|schreibt|a écrit|escribió|escribe|escreveu|ha scritto"
    r"|schreef|skrev|kirjoitti|napsal|napisał|написал|пише|пишет|yazdı|írta|a scris|έγραψε)"
    r"\b.{0,80}$|^Quoting .+$",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"--[ \xa0]?")
_SENT_FROM = (
    "Sent (?:via|with|using) ",
    "Sent from (?:Mail|Outlook|Yahoo|Samsung|Gmail|Proton)",
    "Von meinem .{1,40} gesendet",
    "Envoyé (?:de|à partir de|par) ",
    "Enviado (?:do meu|pelo|desde) ",
    "Inviato dal ",
    "Отправлено (?:с|из) ",
    "Lähetetty ",
)
_UNSUBSCRIBE = re.compile(
    r"to (?:unsubscribe|post to this list|subscribe or unsubscribe)\b|unsubscribe(?::| here| at )"
    r"|for additional commands, e-?mail|you received this message because"
    r"|pour (?:vous|se) désabonner|(?:um|zum) .{0,60}(?:abmelden|abzumelden|abbestellen)",
    re.IGNORECASE,
)
_RULED = re.compile(r"\s*(?:[-_=*~#] ?){2,}\s*")
_LISTED = re.compile(r"mailing list|list(?:info|s\.|serv)|unsubscribe|https?://", re.IGNORECASE)
_GAPS = re.compile(r"\n(?:[ \t]*+\n){2,}")


def own_words(text: str) -> str:
    """A mail's text without what others wrote and what programs put under it.

    Answers between quotes stay, in their order.
    """
    text, signed = _SIGNED.subn("", _ARMOUR.sub("", _GAPS.sub("\n\n", text)))
    if signed:
        text = _ESCAPED.sub("", text)
    blocks = _unquoted(text.split("\n"))
    kept = ("\n".join(line.rstrip() for line in _unsigned(block)).strip("\n") for block in blocks)
    return _GAPS.sub("\n\n", "\n\n".join(filter(str.strip, kept))).strip()


def _unquoted(lines: Sequence[str]) -> list[list[str]]:
    """The lines that are nobody else's, parted where a quote was."""
    blocks: list[list[str]] = [[]]
    ends = (at for at, line in enumerate(lines) if line.rstrip()[-1:] in (":", "："))
    colons = set(islice(ends, _MAX_INTROS))
    at = 0
    while at < len(lines):
        if _QUOTED.match(lines[at]):
            length = 1
        elif length := _original(lines, at):
            if not _quote_follows(lines, at + length):
                break
        elif length := _introduction(lines, at, colons):
            follows = _quote_follows(lines, at + length)
            said = _joined(lines[at : at + length])
            if follows is False:
                if _is_dated(said):
                    break
                blocks[-1].extend(lines[at : at + length])
                at += length
                continue
        else:
            blocks[-1].append(lines[at])
            at += 1
            continue
        at += length
        if blocks[-1]:
            blocks.append([])
    return blocks


def _quote_follows(lines: Sequence[str], at: int) -> bool | None:
    """Whether the next line that is not empty is a quote's; None at the end."""
    while at < len(lines):
        if lines[at].strip():
            return bool(_QUOTED.match(lines[at]))
        at += 1
    return None


def _original(lines: Sequence[str], at: int) -> int:
    """How many lines from here are the head of a mail that is put below, unquoted; 0 for none."""
    line, start = lines[at], at
    parted = len(line) <= 200 and any(
        form.fullmatch(line) for form in (_ORIGINAL, _PARTED, _ENTITLED, _FORWARDED)
    )
    if parted:
        start += 1
        while start < min(len(lines), at + 3) and not lines[start].strip():
            start += 1
    certain = parted and bool(_ORIGINAL.fullmatch(line))
    if start < len(lines) and _HEADER.match(lines[start][:60].replace("\xa0", " ")):
        block = []
        for header in lines[start : start + _MAX_HEADERS]:
            if not header.strip():
                break
            block.append(header[:_MAX_INTRO].replace("\xa0", " "))
        needed = 2 if parted else 3
        if sum(bool(_HEADER.match(header)) for header in block) >= needed:
            text = "\n".join(block)
            found = (form.match(text) for form in _header_forms())
            if any(m and m[0].count("\n") + 1 >= needed for m in found) and (
                "@" in text or _DATE.search(text) or _CLOCK.search(text)
            ):
                return start - at + len(block)
    return start - at if certain else 0


def _introduction(lines: Sequence[str], at: int, colons: set[int]) -> int:
    """How many lines from here introduce a quote ("On …, … wrote:"); 0 for none."""
    if not lines[at].strip():
        return 0
    if at in colons and _FORWARDED.fullmatch(lines[at]):
        return 1
    for length in range(1, _MAX_INTRO_LINES + 1):
        end = at + length - 1
        if end >= len(lines) or not lines[end].strip() or _QUOTED.match(lines[end]):
            return 0
        if end not in colons:
            continue
        said = _joined(lines[at : end + 1])
        if len(said) > _MAX_INTRO:
            return 0
        if _intro_form().fullmatch(said):
            return length
        if _names_who(said) and not _names_who(_joined(lines[at + 1 : end + 1])):
            return length
        if length == 1 and _SAID.search(said[:-1]) and _quote_follows(lines, end + 1):
            return 1
    return 0


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines).replace("\xa0", " ")


def _names_who(said: str) -> bool:
    """Whether it names, in whatever language, who wrote when."""
    return bool(_ADDRESS.search(said) and (_CLOCK.search(said) or _DATE.search(said)))


def _is_dated(said: str) -> bool:
    """Whether only a mail program writes so, so that what follows is a quote without marks."""
    return bool(_ADDRESS.search(said) or _CLOCK.search(said) or _DATE.search(said))


def _unsigned(block: list[str]) -> list[str]:
    """Lines between two quotes without signature and footer."""
    end = next(
        (at for at in range(len(block)) if _is_signature(block, at) or _is_footer(block, at)),
        len(block),
    )
    while end and (not block[end - 1].strip() or _sent_from(block[end - 1])):
        end -= 1
    return block[:end]


def _is_signature(block: Sequence[str], at: int) -> bool:
    """A line "-- "; one without the space only where not much follows: it may part a text too."""
    line = block[at]
    if not _SIGNATURE.fullmatch(line.rstrip("\r")):
        return False
    return len(line) == 3 or _left(block, at) <= _MAX_FOOTER


def _is_footer(block: Sequence[str], at: int) -> bool:
    """The first line of what a mailing list puts below."""
    line = block[at]
    if len(line) > 200 or not line.strip():
        return False
    if _UNSUBSCRIBE.match(line.strip()):
        return _left(block, at) <= _MAX_FOOTER
    if not _RULED.fullmatch(line) or _left(block, at) > _MAX_FOOTER:
        return False
    below = [other[:200] for other in block[at + 1 :] if other.strip()]
    return bool(below) and (
        bool(_UNSUBSCRIBE.match(below[0].strip()))
        or (len(line.strip()) >= 20 and any(map(_LISTED.search, below)))
    )


def _left(block: Sequence[str], at: int) -> int:
    """How many lines with text follow, counted no further than matters."""
    return sum(bool(line.strip()) for line in block[at + 1 : at + 3 * _MAX_FOOTER]) + max(
        0, len(block) - at - 3 * _MAX_FOOTER
    )


def _sent_from(line: str) -> bool:
    """The line that a telephone signs with."""
    return len(line) <= 80 and bool(_sent_form().fullmatch(line.strip().replace("\xa0", " ")))


@functools.cache
def _intro_form() -> re.Pattern[str]:
    return re.compile("|".join(_words("wrote_header")), re.IGNORECASE | re.MULTILINE)


@functools.cache
def _header_forms() -> tuple[re.Pattern[str], ...]:
    forms = (*_words("from_header"), *_MORE_HEADERS)
    return tuple(re.compile(form, re.IGNORECASE | re.MULTILINE) for form in forms)


@functools.cache
def _sent_form() -> re.Pattern[str]:
    forms = "|".join((*_words("sent_from"), *_SENT_FROM))
    return re.compile(rf"(?:{forms})[\w.,:/<>()'’ -]*", re.IGNORECASE)


def _words(which: str) -> list[str]:
    """What the library knows of this kind, in each of its languages."""
    from mailparser_reply.constants import MAIL_LANGUAGES

    return [
        forms[which]
        for language, forms in MAIL_LANGUAGES.items()
        if forms.get(which) and language != "david"
    ]
