from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.text.scripts import (
    _RANGES,
    CUT_UP,
    NO_SPACES,
    WORKS,
    fault_of,
    fault_of_script,
    in_words,
    script_faults,
    script_of,
    split_by_marks,
    warn_of_scripts,
)
from nwp.text.tokenizer import words_of

# What the word rule makes of two words (or a clause) of each script.
WHOLE = {
    "Latin": "schöne grüße",
    "Greek": "καλή μέρα",
    "Cyrillic": "добрый день",
    "Arabic": "صباح الخير",
    "Hebrew": "בוקר טוב",
    "Armenian": "բարի լույս",
    "Georgian": "დილა მშვიდობისა",
    "Hangul": "좋은 아침",
    "Ethiopic": "እንደምን አደርክ",
    "Syriac": "ܨܦܪܐ ܛܒܐ",
    "Mongolian": "ᠰᠠᠢᠨ ᠪᠠᠶᠢᠨᠠ",
    "Cherokee": "ꭳꮟᏺ ᏹꮧꮲ",
    "Tifinagh": "ⴰⵣⵓⵍ ⴼⵍⵍⴰⵡ",
    "Canadian Aboriginal": "ᐅᓪᓛᒃᑯᑦ ᐊᑎ",
    "Vai": "ꕙꔤ ꕞꔀ",
    "Ol Chiki": "ᱥᱟᱱᱛᱟᱲᱤ ᱯᱟᱹᱨᱥᱤ",
}
CLAUSES = {
    "Han": ("我们明天见面吧", 1),
    "Hiragana": ("おはようございます", 1),
    "Katakana": ("スーパーマーケット", 1),
    "Bopomofo": ("ㄅㄛㄆㄛ", 1),
    "Yi": ("ꆈꌠꁱꂷ", 1),
    "Javanese": ("ꦗꦮ", 1),
    "Buginese": ("ᨅᨔ", 1),
    "Thai": ("พรุ่งนี้เจอกัน", 4),
    "Lao": ("ສະບາຍດີ", 1),
    "Khmer": ("អរុណសួស្តី", 4),
    "Myanmar": ("မင်္ဂလာပါ", 3),
    "Tibetan": ("བཀྲ་ཤིས", 3),
}
PIECES = {
    "Devanagari": ("नमस्ते हिन्दी", 5),
    "Bengali": ("শুভ সকাল", 4),
    "Gurmukhi": ("ਸਤਿ ਸ੍ਰੀ", 3),
    "Gujarati": ("નમસ્તે", 2),
    "Odia": ("ନମସ୍କାର", 3),
    "Tamil": ("காலை வணக்கம்", 4),
    "Telugu": ("నమస్కారం", 3),
    "Kannada": ("ನಮಸ್ಕಾರ", 3),
    "Malayalam": ("നമസ്കാരം", 3),
    "Sinhala": ("ආයුබෝවන්", 3),
    "Thaana": ("ދިވެހި", 3),
    "N'Ko": ("ߓߊ߬ߡߊߣߊ߲", 2),
    "Adlam": ("𞤆𞤵𞤤𞤢𞥄𞤪", 2),
    "Meetei Mayek": ("ꯃꯤꯇꯩ", 2),
    "Chakma": ("𑄌𑄋𑄴𑄟𑄳𑄦", 3),
}


@pytest.mark.parametrize(("script", "text"), WHOLE.items())
def test_the_rule_keeps_words_of_these_scripts_whole(script: str, text: str) -> None:
    words = words_of(text)
    assert words == text.split()
    assert [(script_of(w), fault_of(w)) for w in words] == [(script, None)] * 2
    assert fault_of_script(script) is None


@pytest.mark.parametrize(
    ("script", "text", "words"),
    [(s, t, n) for cases in (CLAUSES, PIECES) for s, (t, n) in cases.items()],
)
def test_the_rule_does_not_find_the_words_of_these(script: str, text: str, words: int) -> None:
    found = words_of(text)
    assert len(found) == words
    fault = NO_SPACES if script in CLAUSES else CUT_UP
    assert {(script_of(w), fault_of(w)) for w in found} == {(script, fault)}
    assert fault_of_script(script) == fault


def test_a_word_is_of_its_first_letter_that_has_a_fault() -> None:
    assert (script_of("linux版"), fault_of("linux版")) == ("Han", NO_SPACES)
    assert (script_of("версияक"), fault_of("версияक")) == ("Devanagari", CUT_UP)
    assert script_of("кiт") == "Cyrillic"


@pytest.mark.parametrize("word", ["word", "42", "i'm", "१२३", "๔๒", "٤٢", "½"])
def test_ascii_words_and_numbers_have_no_fault(word: str) -> None:
    assert fault_of(word) is None


def test_what_is_in_no_living_script_is_other() -> None:
    assert script_of("𓀀𓀁") == "other"
    assert script_of("²") == "other"
    assert fault_of("𓀀𓀁") is None


def test_ranges_are_in_order_and_apart() -> None:
    ends = [end for first, last, _ in _RANGES for end in (first, last)]
    assert ends == sorted(ends)
    assert all(last < first for (_, last, _), (first, _, _) in pairwise(_RANGES))


@given(st.text())
def test_any_word_has_a_script_and_its_fault(text: str) -> None:
    for word in words_of(text):
        assert fault_of(word) == fault_of_script(script_of(word))


@pytest.mark.parametrize(
    ("message", "script", "cut"),
    [
        ("שָׁלוֹם", "Hebrew", 2),
        ("مَرْحَبًا", "Arabic", 4),
        (unicodedata.normalize("NFD", "naïve Grüße"), "Latin", 2),
        (unicodedata.normalize("NFD", "мой"), "Cyrillic", 1),
    ],
)
def test_marks_apart_from_letters_are_seen_in_the_message(
    message: str, script: str, cut: int
) -> None:
    assert split_by_marks(message) == {script: cut}


@pytest.mark.parametrize("message", ["plain words", "naïve Grüße", "שלום", "1️⃣ 👍🏽 ❤️", "नमस्ते"])
def test_other_messages_have_none(message: str) -> None:
    assert not split_by_marks(message)


def test_words_are_counted_by_what_the_rule_makes_of_them() -> None:
    found = script_faults(["see you", "我们见面", "नमस्ते"])
    assert found == {WORKS: 2, NO_SPACES: 1, CUT_UP: 2}
    assert script_faults([]) == {}


def test_a_corpus_in_served_scripts_gives_no_warning() -> None:
    assert warn_of_scripts({"ann": ["see you", "Grüße"], "ivan": ["добрый день"]}) == []
    assert warn_of_scripts({"ann": ["👍"]}) == []
    assert warn_of_scripts({}) == []


def test_one_line_warns_of_all_scripts_most_first() -> None:
    users = {"ann": ["see you tomorrow"] * 3, "mei": ["明天见"] * 2, "asha": ["नमस्ते"] * 2}
    (line,) = warn_of_scripts(users)
    assert "40 % of the words are in Devanagari and Han" in line


def test_up_to_one_in_a_hundred_words_is_no_reason_to_warn() -> None:
    users = {str(i): ["see you"] * 5 for i in range(9)} | {
        "z": ["see you there now friend", "again"]
    }
    assert sum(len(words_of(m)) for mine in users.values() for m in mine) == 96
    assert warn_of_scripts(users | {"y": ["to be or 明天"]}) == []
    assert warn_of_scripts(users | {"y": ["to 是 or 明天"]}) != []


def test_a_warning_looks_at_a_drawn_part_of_a_large_corpus() -> None:
    read: list[str] = []

    class Watched(dict[str, list[str]]):
        def __getitem__(self, user: str) -> list[str]:
            read.append(user)
            return super().__getitem__(user)

    # Who comes last by name writes otherwise: a look at the first alone would miss it.
    users = {f"{i:05}": ["see you" if i < 4_000 else "明天见"] * 50 for i in range(5_000)}
    assert len(warn_of_scripts(Watched(users))) == 1
    assert len(read) <= 500


def test_a_warning_looks_at_all_of_a_users_time() -> None:
    assert len(warn_of_scripts({"ann": ["see you"] * 40_000 + ["明天见"] * 10_000})) == 1


def test_a_fault_reads_as_a_sentence() -> None:
    assert in_words(NO_SPACES, ["Thai"]) == (
        "Thai, which puts no spaces between words: nwp can't learn them yet"
    )
    assert in_words(NO_SPACES, ["Han", "Thai", "Lao"]).startswith("Han, Thai and Lao, which put ")
    assert "vowel signs" in in_words(CUT_UP, ["Tamil"])
