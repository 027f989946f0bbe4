"""Masking what tells who is who: addresses, numbers and handles, by what stands in for them.

What stands in is no word of the corpus, but keeps the class of the mark that the model reads
(`nwp.text.tokenizer`), so that what is learnt around it stays true:

    kind     what it is                                                     what stands in for it
    url      a scheme and "://", "www.", or a name with a well-known end    ://
    email    name@host.domain                                               @://
    handle   @name, @name@host, /u/name, u/name                             @
    card     card numbers (Luhn), IBANs (mod 97), 3-2-4 like a US SSN       0
    phone    see `nwp.corpus.door.numbers`                                       0
    number   every digit                                                    0 for each digit

Only whole words go: what is masked ends where a word does. Masking twice changes nothing more.

Limits. What people spell out ("ann at example dot org", "oh seven one") is not seen, nor is
user@host without a dot, nor a bare domain under an end that is not listed, nor digits glued to
letters (but by "number"). In a script without spaces, a run that holds an address goes whole. What
only looks like an address goes as well ("ASP.NET", "3@shop.open").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from nwp.corpus.door.numbers import Span, card_spans, phone_spans
from nwp.errors import BadSettings

# Every search begins where a run of its characters does and takes runs whole (++ gives nothing
# back), so that a long message takes steps in proportion to its length.
_REST = r"""(?:[^\s<>"]*[^\s<>"'’”».,;:!?)\]}*~`…])"""
_SUFFIX = r"(?:['’][^\W_]++)*+"
_URL = re.compile(
    rf"""(?<![\w+.'’-])[\w+.'’-]++://{_REST}
       | (?<![\w+.'’@-])www\d?\.{_REST}
       | (?<![\w+.'’@-])(?:[\w-]++\.)+
         (?:(?:com|org|net|edu|gov|io|dev|info|biz|(?:co|com|org|ac|gov)\.[a-z]{{2}})(?![\w@-]|\.\w)
           |[a-z]{{2}}(?=/[^\s/]))
         (?:[/:?\#]{_REST})?{_SUFFIX}""",
    re.VERBOSE | re.IGNORECASE,
)
_AT_HOST = (
    r"@++(?:[\w-]++@++)*+(?=[\d.]*+[^\W\d])[\w-]++(?:\.[\w-]++)++"
    rf"(?:@[\w-]++(?:\.[\w-]++)*+)*+{_SUFFIX}"
)
_EMAIL = re.compile(
    rf"(?<![\w+.%'’@-])[.'’+%-]*+"
    rf"(?P<address>(?:[Mm]ailto:)?[\w+.%'’-]++{_AT_HOST}(?:[\w+.%'’-]++{_AT_HOST})*+)"
)
_HANDLE = re.compile(
    r"(?<!@)(?:(?<![^\W_])@|@@)@*+(?!\d\d?(?:[:.]\d\d)?(?:[ap]m|h)?(?!\w))"  # no hour: @5pm
    r"\w++(?:(?:[.'’-]|@++)\w++)*+"
    rf"|(?<![\w/@])(?<![^\W_]['’])/?[uU]/(?=\d*[^\W\d])[\w-]{{3,}}+{_SUFFIX}(?!['’]*[/@])"
)
_PASSES = 5
_DIGITS = re.compile(r"\d+")
_SHOWS = re.compile(r"[\d@./]")


def _found_by(pattern: re.Pattern[str], group: int | str = 0) -> Callable[[str], Iterator[Span]]:
    return lambda text: (match.span(group) for match in pattern.finditer(text))


# In the order in which they are masked: an address may hold a number, but no number an address.
_KINDS: dict[str, tuple[Callable[[str], Iterator[Span]], str]] = {
    "url": (_found_by(_URL), "://"),
    "email": (_found_by(_EMAIL, "address"), "@://"),
    "handle": (_found_by(_HANDLE), "@"),
    "card": (card_spans, "0"),
    "phone": (phone_spans, "0"),
}
KINDS = (*_KINDS, "number")
"""What can be masked."""


def read_kinds(given: str) -> tuple[str, ...]:
    """The kinds in "all", or in a list with commas. BadSettings for an unknown one."""
    named = {name.strip().lower() for name in given.split(",") if name.strip()}
    if unknown := sorted(named - {*KINDS, "all"}):
        raise BadSettings(f"nothing called {unknown[0]!r} can be masked", _KNOWN)
    if not named:
        raise BadSettings("nothing is named to be masked", _KNOWN)
    return tuple(kind for kind in KINDS if kind in named or "all" in named)


_KNOWN = f"Kinds: {', '.join(KINDS)}; or all of them: all."


def mask(text: str, kinds: Sequence[str]) -> tuple[str, Counter[str]]:
    """The text with these kinds masked, and how many there were of each that it has."""
    counts: Counter[str] = Counter()
    # What is masked may leave another beside it bare ("5551234.example.org"): a few times are enough.
    for _ in range(_PASSES):
        if not _SHOWS.search(text):
            break
        text, found = _masked_once(text, kinds)
        counts += found
        if not found:
            break
    return text, counts


def _masked_once(text: str, kinds: Sequence[str]) -> tuple[str, Counter[str]]:
    counts: Counter[str] = Counter()
    for kind, (find, stand_in) in _KINDS.items():
        if kind in kinds:
            text, found = replace_spans(text, find(text), stand_in)
            if found:
                counts[kind] = found
    if "number" in kinds:
        numbers = sum(set(digits) != {"0"} for digits in _DIGITS.findall(text))
        if numbers:
            counts["number"] = numbers
            text = re.sub(r"\d", "0", text)
    return text, counts


def replace_spans(text: str, spans: Iterator[Span], stand_in: str) -> tuple[str, int]:
    """The text with `stand_in` for each span (in order, none within another), and their number."""
    pieces, at, count = [], 0, 0
    for start, end in spans:
        pieces += [text[at:start], stand_in]
        at, count = end, count + 1
    return "".join(pieces) + text[at:] if count else text, count
