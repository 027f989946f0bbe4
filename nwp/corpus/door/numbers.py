"""Finding telephone numbers and numbers of cards and accounts in a text.

A telephone number is 7 to 15 digits in groups with spaces, dots, hyphens, slashes or brackets
between them, from a + or 00 on or without. Not taken for one: dates, times and hours from-to,
amounts with a currency, decimals and thousands, IP addresses, versions with dots, rows of years, a
day as 20201231, ISBN-13, counting (1 2 3 …), and digits glued to letters. Other numbers of that
length (sizes, ids, 100-200 300-400) are: rather one too many is lost than one shown. Numbers side
by side with only a space between them may go as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

Span = tuple[int, int]

# A lone 0 stands in for what was masked: it belongs to no number, so that masking again adds nothing.
_GROUP = r"(?!0(?![^\W_]))\d++(?![^\W_]|[:]\d)"
_RUN = re.compile(
    rf"""(?P<other>
        (?!0[,:.])(?<![^\W_])(?:
          \d{{1,2}}:\d\d(?::\d\d)?(?!\d)                                   # a time
        | (?:[01]?\d|2[0-3])\.[0-5]\d[ ]?[-–][ ]?(?:[01]?\d|2[0-3])\.[0-5]\d(?![\d.])  # from to
        | [1-9]\d{{0,2}}(?:\.(?:0|[1-9]\d{{0,2}})){{3}}(?![\d]|\.\d)         # an IP address
        | 97[89](?:[ -]\d{{1,7}}){{3}}[ -]\d(?![^\W_])                      # an ISBN
        | \d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?!\d) | \d+[,.]\d{{1,2}}(?![\d.]|[ ]\d)     # an amount
        ))
      | (?<![^\W_])(?<![^\W_]['’])
        (?P<run>(?:(?:\(?\+[ (]?|(?=00))(?:(?:00[ ]?)?\d{{1,3}}[ .-]?\(0\)[ .-]?(?=\d))?)?\(?
          {_GROUP}(?:[ \u00a0\u202f.\-–/()]{{1,3}}{_GROUP})*+)""",
    re.VERBOSE,
)
_CARD_RUN = re.compile(
    r"(?<![^\W_])(?<![^\W_]['’])(?!0(?![^\W_]))\d++(?:[ \u00a0-](?!0(?![^\W_]))\d++)*+(?![^\W_])"
)
_SOCIAL = re.compile(r"(?<![^\W_])(?<![^\W_]['’])(?<!\d-)\d{3}([ -])\d\d\1\d{4}(?![^\W_]|-[^\W_])")
_IBAN = re.compile(r"(?<![^\W_])(?<![^\W_]['’])[A-Za-z]{2}\d\d(?=[ -]?[A-Za-z0-9])")
_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[ \u00a0-]?([A-Za-z0-9])")
_IN_WORD = re.compile(r"['’]?[^\W_]")
_SUFFIX = re.compile(r"(?:['’][^\W_]++)*+")
_CURRENCY = "$€£¥₹₽₺₩₪₫₴฿¢"
_CURRENCY_BEFORE = re.compile(rf"[{_CURRENCY}][ \u00a0]?\Z")
_CURRENCY_AFTER = re.compile(rf"[ \u00a0]?(?:[{_CURRENCY}]|(?:EUR|USD|GBP|CHF|euros?|dollars?)\b)")
_IBAN_LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        r"(..)(\d\d)",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18"
        "FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20"
        "LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24"
        "SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20",
    )
}


def card_spans(text: str) -> Iterator[Span]:
    """Where card numbers, IBANs and numbers like a US social security number stand."""
    begin, until = -1, -1
    for start, end in sorted([*_ibans(text), *_cards(text), *_social(text)]):
        if start > until:
            if begin >= 0:
                yield begin, until
            begin = start
        until = max(until, _word_end(text, end))
    if begin >= 0:
        yield begin, until


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        letters, at = match.group(), match.end()
        for _ in range(_IBAN_LENGTHS.get(letters[:2].upper(), 0) - 4):
            if not (step := _LETTER.match(text, at)):
                break
            letters, at = letters + step.group(1), step.end()
        whole = len(letters) == _IBAN_LENGTHS.get(letters[:2].upper())
        if whole and not _IN_WORD.match(text, at) and _is_iban(letters):
            yield match.start(), at


def _is_iban(letters: str) -> bool:
    digits = "".join(str(int(c, 36)) for c in letters[4:] + letters[:4])
    return int(digits) % 97 == 1 and bool(re.search("[1-9]", letters))


def _cards(text: str) -> Iterator[Span]:
    """13 to 19 digits that pass, in one or in groups as cards have them; the most groups first."""
    for run in _CARD_RUN.finditer(text):
        groups = list(_digits(text, run.span()))
        sizes = [match.end() - match.start() for match in groups]
        i = 0
        while i < len(groups):
            for count in _printed(sizes[i : i + 5]):
                if _passes_luhn("".join(match.group() for match in groups[i : i + count])):
                    yield groups[i].start(), groups[i + count - 1].end()
                    i += count - 1
                    break
            i += 1


def _printed(sizes: list[int]) -> Iterator[int]:
    """How many of the first groups may be a card's: by fours, 4-6-5, 4-6-4, 6-7 and more, or one."""
    if sizes[0] == 4:
        for count in range(min(5, len(sizes)), 3, -1):
            *fours, last = sizes[:count]
            if set(fours) == {4} and last <= 4 and 13 <= sum(sizes[:count]) <= 19:
                yield count
        if sizes[1:3] in ([6, 5], [6, 4]):
            yield 3
    elif sizes[0] == 6 and len(sizes) > 1 and 7 <= sizes[1] <= 13:
        yield 2
    elif 13 <= sizes[0] <= 19:
        yield 1


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        total += digit if place % 2 == 0 else sum(divmod(2 * digit, 10))
    return total % 10 == 0 and not _zeros(digits)


def _social(text: str) -> Iterator[Span]:
    found = _SOCIAL.finditer(text)
    return (m.span() for m in found if not _zeros(m.group().replace(m.group(1), "")))


class _Group(NamedTuple):
    """Digits, where they stand, and what stands before them in their run."""

    digits: str
    start: int
    end: int
    before: str


def phone_spans(text: str) -> Iterator[Span]:
    """Where telephone numbers stand."""
    for run in _RUN.finditer(text):
        if run["run"] is None:
            continue
        groups, at = [], run.start()
        for match in _digits(text, run.span()):
            groups.append(
                _Group(match.group(), match.start(), match.end(), text[at : match.start()])
            )
            at = match.end()
        yield from _in_run(text, groups)


def _in_run(text: str, groups: list[_Group]) -> Iterator[Span]:
    dates = {i for i in range(len(groups) - 2) if _is_date(groups, i)}
    i = 0
    while i < len(groups):
        if i in dates:
            i += 3
            continue
        abroad = "+" in groups[i].before or groups[i].digits.startswith("00")
        j, count = i + 1, len(groups[i].digits)
        while j < len(groups) and j not in dates:
            group = groups[j]
            fits = count + len(group.digits) <= 15 or (abroad and j == i + 1)
            trunk = count >= 9 and group.digits.startswith("0") and len(group.digits) >= 3
            # 555-1234 555-6789: a space where there was none before begins another number.
            apart = count >= 7 and not any(" " in g.before for g in groups[i + 1 : j])
            if not fits or ((trunk or apart) and " " in group.before):
                break
            count += len(group.digits)
            j += 1
        mine = groups[i:j]
        if 7 <= count <= 15 + 2 * abroad and _is_phone(text, mine, abroad):
            # An opening bracket or a + belongs to the number, a bracket only where it closes in it.
            inside = text[mine[0].start : mine[-1].end]
            before = mine[0].before if i == 0 else ""
            closes = inside.count(")") > inside.count("(")
            opening = len(before) if closes or "(" not in before else before.count("+")
            yield mine[0].start - opening, _word_end(text, mine[-1].end)
        i = j


def _is_phone(text: str, groups: list[_Group], abroad: bool) -> bool:
    digits = "".join(group.digits for group in groups)
    sizes = [len(group.digits) for group in groups]
    between = [group.before for group in groups[1:]]
    if _zeros(digits):
        return False
    if abroad or ("(" in groups[0].before and any(")" in mark for mark in between)):
        return True
    start = groups[0].start
    if _CURRENCY_BEFORE.search(text, max(0, start - 2), start):
        return False
    if _CURRENCY_AFTER.match(text, groups[-1].end):
        return False
    if len(groups) == 1:
        return not _is_day(digits) and not _is_isbn(digits)
    if all(_is_year(group.digits) for group in groups):
        return False
    if len(digits) < 2 * len(groups):
        return False
    leading = digits.startswith("0")
    if not leading and max(sizes) == 2 and len(set(between)) > 1:
        return False
    if set(between) == {"."} and not (leading and sizes[0] > 1):
        return sizes in ([3, 4], [3, 3, 4], [3, 4, 4], [3, 3, 3], [2] * 5)
    thousands = set(sizes[1:]) == {3} and set(between) in ({"."}, {" "}, {"\u00a0"}, {"\u202f"})
    return leading or not thousands or sizes[0] > 3 or sizes == [3, 3, 3]


def _is_date(groups: list[_Group], i: int) -> bool:
    """A day, a month and a year in any order, two digits of a year only in 31.12.20 and the like."""
    first, second, third = groups[i : i + 3]
    mark = second.before
    if len(second.digits) > 2 or third.before != mark or mark not in ("-", ".", "/", " "):
        return False
    if i + 3 < len(groups) and groups[i + 3].before == mark and mark != " ":
        return False
    parts = [first.digits, second.digits, third.digits]
    if _is_year(parts[0]):
        return _day_and_month(parts[1], parts[2])
    short = len(parts[2]) == 2 and mark != " "
    return (_is_year(parts[2]) or short) and _day_and_month(parts[0], parts[1])


def _day_and_month(one: str, other: str) -> bool:
    if len(one) > 2 or len(other) > 2:
        return False
    low, high = sorted((int(one), int(other)))
    return 1 <= low <= 12 and high <= 31


def _is_year(digits: str) -> bool:
    return len(digits) == 4 and digits[:2] in ("19", "20")


def _is_day(digits: str) -> bool:
    """20201231."""
    return len(digits) == 8 and _is_year(digits[:4]) and _day_and_month(digits[4:6], digits[6:])


def _is_isbn(digits: str) -> bool:
    """9783161484100."""
    weighed = sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(digits))
    return len(digits) == 13 and digits[:3] in ("978", "979") and weighed % 10 == 0


def _zeros(digits: str) -> bool:
    return all(map("0".__eq__, digits))


def _digits(text: str, span: Span) -> Iterator[re.Match[str]]:
    return _DIGITS.finditer(text, *span)


def _word_end(text: str, at: int) -> int:
    """Where the word ends that may go on after an apostrophe."""
    match = _SUFFIX.match(text, at)
    return match.end() if match else at
