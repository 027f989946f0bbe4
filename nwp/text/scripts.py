"""Which scripts nwp's word rule serves, by what it makes of real words (Unicode 14, Python 3.11).

    what it makes of them      scripts
    one word each              Latin, Greek, Cyrillic, Arabic, Hebrew, Armenian, Georgian, Hangul,
                               Ethiopic, Syriac, Mongolian, Cherokee, Tifinagh, Vai, Ol Chiki, …
    a clause as one word       Han, Hiragana, Katakana, Bopomofo, Thai, Lao, Khmer, Myanmar,
    ("no spaces")              Tibetan, Yi, Javanese, Balinese, Batak, Buginese, Rejang, Tai scripts
    a word in pieces           Devanagari, Bengali, Gurmukhi, Gujarati, Odia, Tamil, Telugu,
    ("cut up")                 Kannada, Malayalam, Sinhala, Thaana, Meetei Mayek, Sundanese, Cham,
                               Chakma, Lepcha, Limbu, Baybayin, N'Ko, Adlam, Hanifi Rohingya, Miao, …

Pieces arise because the rule keeps letters and digits alone, while these scripts write vowels (N'Ko
tones, Adlam lengths) as combining marks: नमस्ते becomes नमस and त. Thai, Lao, Khmer, Myanmar and
Tibetan suffer both. The same befalls scripts that serve well otherwise where a text spells marks
apart from letters: pointed Hebrew and Arabic, and Latin accents taken off their letters (Unicode's
form NFD). No piece tells that it is one, so only whole messages show it (`split_by_marks`).
"""

from __future__ import annotations

import bisect
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from nwp.text.tokenizer import words_of

WORKS, NO_SPACES, CUT_UP = "works", "no spaces", "cut up"

# First and last code point of a run of letters, and its script; in order.
_LETTERS = """
0041 02FF Latin|0370 03FF Greek|0400 052F Cyrillic|0531 058F Armenian|05D0 05F4 Hebrew
0620 06FF Arabic|0700 074F Syriac|0750 077F Arabic|0780 07BF Thaana|07C0 07FF N'Ko
0840 085F Mandaic|0860 086F Syriac|0870 08FF Arabic|0900 097F Devanagari|0980 09FF Bengali
0A00 0A7F Gurmukhi|0A80 0AFF Gujarati|0B00 0B7F Odia|0B80 0BFF Tamil|0C00 0C7F Telugu
0C80 0CFF Kannada|0D00 0D7F Malayalam|0D80 0DFF Sinhala|0E00 0E7F Thai|0E80 0EFF Lao
0F00 0FFF Tibetan|1000 109F Myanmar|10A0 10FF Georgian|1100 11FF Hangul|1200 139F Ethiopic
13A0 13FF Cherokee|1400 167F Canadian Aboriginal|1680 169F Ogham|16A0 16FF Runic
1700 171F Baybayin|1720 173F Hanunoo|1740 175F Buhid|1760 177F Tagbanwa|1780 17FF Khmer
1800 18AF Mongolian|18B0 18FF Canadian Aboriginal|1900 194F Limbu|1950 197F Tai Le
1980 19DF New Tai Lue|1A00 1A1F Buginese|1A20 1AAF Tai Tham|1B00 1B7F Balinese|1B80 1BBF Sundanese
1BC0 1BFF Batak|1C00 1C4F Lepcha|1C50 1C7F Ol Chiki|1C80 1C8F Cyrillic|1C90 1CBF Georgian
1CC0 1CCF Sundanese|1D00 1DBF Latin|1E00 1EFF Latin|1F00 1FFF Greek|2070 209F Latin
2C00 2C5F Glagolitic|2C60 2C7F Latin|2C80 2CFF Coptic|2D00 2D2F Georgian|2D30 2D7F Tifinagh
2D80 2DDF Ethiopic|3005 3007 Han|3021 3029 Han|3031 303C Han|3041 309F Hiragana|30A0 30FF Katakana
3100 312F Bopomofo|3130 318F Hangul|31A0 31BF Bopomofo|31F0 31FF Katakana|3400 4DBF Han
4E00 9FFF Han|A000 A4CF Yi|A4D0 A4FF Lisu|A500 A63F Vai|A640 A69F Cyrillic|A6A0 A6FF Bamum
A720 A7FF Latin|A800 A82F Syloti Nagri|A840 A87F Phags-pa|A880 A8DF Saurashtra
A8E0 A8FF Devanagari|A900 A92F Kayah Li|A930 A95F Rejang|A960 A97F Hangul|A980 A9DF Javanese
A9E0 A9FF Myanmar|AA00 AA5F Cham|AA60 AA7F Myanmar|AA80 AADF Tai Viet|AAE0 AAFF Meetei Mayek
AB00 AB2F Ethiopic|AB30 AB6F Latin|AB70 ABBF Cherokee|ABC0 ABFF Meetei Mayek|AC00 D7FF Hangul
F900 FAFF Han|FB00 FB06 Latin|FB13 FB17 Armenian|FB1D FB4F Hebrew|FB50 FDFF Arabic
FE70 FEFC Arabic|FF21 FF5A Latin|FF66 FF9F Katakana|FFA0 FFDC Hangul|10330 1034F Gothic
10400 1044F Deseret|10450 1047F Shavian|10480 104AF Osmanya|104B0 104FF Osage|10780 107BF Latin
10D00 10D3F Hanifi Rohingya|11100 1114F Chakma|11400 1147F Newa|11480 114DF Tirhuta
11600 1165F Modi|11680 116CF Takri|118A0 118FF Warang Citi|11D00 11D5F Masaram Gondi
11D60 11DAF Gunjala Gondi|16800 16A3F Bamum|16B00 16B8F Pahawh Hmong|16F00 16F9F Miao
17000 18CFF Tangut|1AFF0 1B0FF Katakana|1B100 1B11F Hiragana|1B120 1B12F Katakana
1E100 1E14F Nyiakeng Puachue Hmong|1E2C0 1E2FF Wancho|1E7E0 1E7FF Ethiopic|1E900 1E95F Adlam
20000 3FFFF Han
"""
_BY_FAULT = {
    NO_SPACES: "Han, Hiragana, Katakana, Bopomofo, Thai, Lao, Khmer, Myanmar, Tibetan, Yi, Javanese, "
    "Balinese, Batak, Buginese, Rejang, Tai Le, New Tai Lue, Tai Tham, Tai Viet, Tangut",
    CUT_UP: "Devanagari, Bengali, Gurmukhi, Gujarati, Odia, Tamil, Telugu, Kannada, Malayalam, Sinhala, "
    "Thaana, Meetei Mayek, Sundanese, Cham, Chakma, Lepcha, Limbu, Saurashtra, Syloti Nagri, "
    "Baybayin, Hanunoo, Buhid, Tagbanwa, Newa, Tirhuta, Modi, Takri, Masaram Gondi, Gunjala Gondi, "
    "N'Ko, Adlam, Hanifi Rohingya, Kayah Li, Miao, Pahawh Hmong",
}
_RANGES = [
    (int(first, 16), int(last, 16), script)
    for first, last, script in (
        run.split(maxsplit=2) for line in _LETTERS.split("\n") if line for run in line.split("|")
    )
]
_STARTS = [first for first, _, _ in _RANGES]
_FAULTS = {script: fault for fault, names in _BY_FAULT.items() for script in names.split(", ")}
_FAULTY = re.compile(
    "[" + "".join(f"{chr(a)}-{chr(b)}" for a, b, script in _RANGES if script in _FAULTS) + "]"
)
# A letter with marks behind it, in scripts that do without: accents, Cyrillic, Hebrew, Arabic, Syriac.
_MARKED = re.compile(
    "[^\\W_][\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
    "\u0730-\u074a]+"
)

_SAMPLE = 5_000  # messages that a warning looks at, about
_USERS = 500  # that they are of, at most
_WORTH_SAYING = 0.01  # share of the words


def script_of(word: str) -> str:
    """The script of a word: of its first letter that nwp can't serve, else of its first letter.

    ASCII words, numbers too, are "Latin"; what is in none of the living scripts is "other".
    """
    if word.isascii():
        return "Latin"
    letter = _faulty(word) or next(filter(str.isalpha, word), "")
    return _script(letter) if letter else "other"


def fault_of(word: str) -> str | None:
    """What is wrong with a word found by nwp's rule: `NO_SPACES`, `CUT_UP`, or None if it is a word."""
    if word.isascii():
        return None
    letter = _faulty(word)
    return _FAULTS[_script(letter)] if letter else None


def fault_of_script(script: str) -> str | None:
    """The fault of all words of a script."""
    return _FAULTS.get(script)


def split_by_marks(message: str) -> Counter[str]:
    """Pieces of words after which a mark that is spelt apart was left out, by script.

    Of scripts that serve otherwise: pointed Hebrew or Arabic, accents apart from their letters.
    """
    if message.isascii():
        return Counter()
    return Counter(_script(found[0]) for found in _MARKED.findall(message))


def script_faults(messages: Iterable[str]) -> Counter[str]:
    """How many words of the messages are `WORKS`, `NO_SPACES` and `CUT_UP`."""
    found: Counter[str] = Counter()
    for script, count in _scripts(messages).items():
        found[_FAULTS.get(script, WORKS)] += count
    return found


def warn_of_scripts(users: Mapping[str, Sequence[str]], seed: int = 0) -> list[str]:
    """A line to warn with when over 1 % of the words are in scripts that nwp can't split, or none.

    Looks at about 5,000 messages at most, of 500 users drawn by `seed`, spread over all of theirs.
    """
    # Users are numbered, not listed by name: there may be many.
    drawn = set(random.Random(seed).sample(range(len(users)), min(_USERS, len(users))))
    each = _SAMPLE // max(len(drawn), 1)
    mine = (users[user] for number, user in enumerate(users) if number in drawn)
    found = _scripts(m for messages in mine for m in messages[:: len(messages) // each + 1])
    total = found.total()
    faulty = Counter({s: c for s, c in found.items() if s in _FAULTS})
    if not total or faulty.total() <= _WORTH_SAYING * total:
        return []
    names = [script for script, _ in faulty.most_common(3)]
    return [
        f"about {100 * faulty.total() / total:.0f} % of the words are in {_listed(names)}, which nwp "
        "can't split into words yet: they are left out of the vocabulary and count as unknown"
    ]


def in_words(fault: str, scripts: Sequence[str]) -> str:
    """What is wrong with scripts, to go on after "words are in": one sentence for people."""
    one = len(scripts) == 1
    if fault == NO_SPACES:
        verb = "puts" if one else "put"
        return f"{_listed(scripts)}, which {verb} no spaces between words: nwp can't learn them yet"
    return (
        f"{_listed(scripts)}, whose vowel signs nwp's rule leaves out, so that words fall to pieces: "
        "nwp can't learn them yet"
    )


def _scripts(messages: Iterable[str]) -> Counter[str]:
    words: Counter[str] = Counter()
    for message in messages:
        words.update(words_of(message))
    found: Counter[str] = Counter()
    for word, count in words.items():
        found[script_of(word)] += count
    return found


def _faulty(word: str) -> str | None:
    """The first letter with a fault. Digits have none: १२ is a number like any."""
    return next(filter(str.isalpha, _FAULTY.findall(word)), None)


def _script(letter: str) -> str:
    point = ord(letter)
    _, last, script = _RANGES[bisect.bisect_right(_STARTS, point) - 1]
    return script if point <= last else "other"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
