from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwp.corpus.door.masking import KINDS, mask, read_kinds
from nwp.errors import BadSettings
from nwp.text.tokenizer import Mark, tokenize, words_of

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
PIECES = [
    "a", "B", "don't", "O’", "'", "’", "_", "-", ".", "..", ",", "?", "/", "://", "http://", "www.",
    "@", "@@", "#", "(", ")", '"', " ", "  ", "\n", "7", "0", "00", "+", "+49", "1990", "31.12.2020",
    "5551234", "0170", "(0)", "(555) ", "-1234", "4111 1111 1111 1111", "é", "中", "½", "٣", ":",
    ".com", "co.uk", "u/", "/u/ann", "ann@x.org", "$", "€", ",00", "10:30", "12 345 678",
    "123-45-6789", "978", "mailto:", "2020", "20", "1", "DE89 3704 0044 0532 0130 00",
]  # fmt: skip
texts = st.text(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
kinds = st.lists(st.sampled_from(KINDS), unique=True, min_size=1)


def only(kind: str, text: str) -> str:
    found, counts = mask(text, [kind])
    assert set(counts) <= {kind}
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://example.org/a?b=1, now", "see ://, now"),
        ("(http://a.b/c).", "(://)."),
        ("HTTPS://EXAMPLE.ORG ftp://a.b/c", ":// ://"),
        ("www.example.org's page", ":// page"),
        ("<https://example.org|here>", "<://>"),
        ("example.com: yes", "://: yes"),
        ("t.me/abc, youtu.be/x1!", "://, ://!"),
        ("shop.example.co.uk/a#b", "://"),
        ("what?http://a.b", "what?://"),
        ("and/or he/she 1/2 e.g. this...that", "and/or he/she 1/2 e.g. this...that"),
        ("https:// alone and ://", "https:// alone and ://"),
        ("ann@example.com stays", "ann@example.com stays"),
    ],
)
def test_urls(text: str, expected: str) -> None:
    assert only("url", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann.b+c@example.co.uk, or", "@://, or"),
        ("'o’brien@example.org'", "'@://'"),
        ("<ann@example.org>.", "<@://>."),
        ("mailto:ann@example.org", "@://"),
        ("ann@example.org's desk", "@:// desk"),
        ("a@b.org+c@d.org", "@://"),
        ("ann@localhost, 5@3.50", "ann@localhost, 5@3.50"),
        ("@ann.b hi", "@ann.b hi"),
    ],
)
def test_mail_addresses(text: str, expected: str) -> None:
    assert only("email", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ann hi", "@ hi"),
        ("hi @ann_b's, (@bob)!", "hi @, (@)!"),
        ("@ann@social.example yes", "@ yes"),
        ("@491701234567", "@"),
        ("by /u/some-one and u/Other_1.", "by @ and @."),
        ("and/or u/x you/me", "and/or u/x you/me"),
        ("ann@example, dinner @7 or @19:30, @8pm", "ann@example, dinner @7 or @19:30, @8pm"),
        ("meet @ noon", "meet @ noon"),
    ],
)
def test_handles(text: str, expected: str) -> None:
    assert only("handle", text) == expected


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "3782 822463 10005",
        "6011 0009 9013 9424", "DE89 3704 0044 0532 0130 00", "de89370400440532013000",
        "GB82 WEST 1234 5698 7654 32", "NL91-ABNA-0417-1643-00", "123-45-6789",
    ],
)  # fmt: skip
def test_cards_accounts_and_social_security_numbers(number: str) -> None:
    assert only("card", f"it is {number}, thanks") == "it is 0, thanks"
    assert only("card", f"{number} {number}") == "0 0"


@pytest.mark.parametrize(
    "number",
    ["4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00", "123-456-789", "2020 2021 2022 2023"],
)
def test_numbers_that_fail_their_checks_are_no_cards(number: str) -> None:
    assert only("card", number) == number


@pytest.mark.parametrize(
    "number",
    [
        "+49 170 1234567", "+491701234567", "0049 170 1234567", "+49 (0)170 1234567",
        "+1 (555) 123-4567", "+1-555-123-4567", "(555) 123-4567", "555-1234", "555.123.4567",
        "0170/1234567", "0170 1234567", "06 12 34 56 78", "06.12.34.56.78", "612 345 678",
        "5551234567", "0170.1234567", "030.12.34.56",
        "(+44) 20 7946 0958", "020 7946 0958", "12 34 56 78", "030 / 123 45 67",
    ],
)  # fmt: skip
def test_telephone_numbers(number: str) -> None:
    assert only("phone", f"call {number}.") == "call 0."
    assert only("phone", f"({number}), or") == "(0), or"
    assert only("phone", f"{number}\n{number}") == "0\n0"


@pytest.mark.parametrize(
    "text",
    [
        "2020-12-31", "31.12.2020", "12/31/2020", "31.12.20", "31 12 2020", "20201231", "10:30:15",
        "2020-12-31 10:30", "9.00-17.00", "1999-2005", "2020 2021 2022", "1,234,567.89",
        "1.234.567", "1 234 567", "$1000000", "1000000 €", "1000000 EUR", "1234567,50",
        "192.168.100.210", "255.255.255.0", "10.20.30.40:8080",
        "173.14.12", "1.2.3", "v10.0.19045.2965", "52.520008", "978-3-16-148410-0",
        "9783161484100", "1 2 3 4 5 6 7 8 9", "110", "123456", "abc5551234", "5551234abc",
        "1234567890123456",
    ],
)  # fmt: skip
def test_other_numbers_are_no_telephone_numbers(text: str) -> None:
    assert only("phone", text) == text
    assert only("phone", f"on {text}, yes") == f"on {text}, yes"


def test_telephone_numbers_beside_other_numbers() -> None:
    text = "31.12.2020 0170 1234567 10:30, 555-1234 555-6789 2020-12-31"
    assert only("phone", text) == "31.12.2020 0 10:30, 0 0 2020-12-31"


def test_every_digit_of_a_number_becomes_0_and_the_words_stay_as_many() -> None:
    text = "b2b at 10:30, 3.14 or ٣٤, covid19 ½"
    assert only("number", text) == "b0b at 00:00, 0.00 or 00, covid00 ½"
    assert len(words_of(only("number", text))) == len(words_of(text))


def test_kinds_are_counted_apart() -> None:
    text = "@ann see a.example.org/x www.b.org, mail a@b.org or call 0170 1234567 at 10:30"
    masked, counts = mask(text, KINDS)
    assert masked == "@ see ://, mail @:// or call 0 at 00:00".replace("://,", ":// ://,")
    assert counts == {"handle": 1, "url": 2, "email": 1, "phone": 1, "number": 2}
    assert mask("nothing here", KINDS) == ("nothing here", {})


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("see https://example.org then", Mark.URL),
        ("to ann@example.org then", Mark.URL),
        ("hi @ann then", Mark.MENTION),
        ("by u/some_one then", Mark.MENTION),
    ],
)
def test_what_stands_in_is_no_word_and_has_the_mark_of_what_was_there(
    text: str, mark: Mark
) -> None:
    tokens = tokenize(mask(text, KINDS)[0])
    assert tokens.words == [text.split(maxsplit=1)[0], "then"]
    assert tokens.marks[1] == mark
    if "@" in text or "://" in text:
        assert mark in tokenize(text).marks


def in_order(few: list[str], many: list[str]) -> bool:
    rest = iter(many)
    return all(word in rest for word in few)


@given(texts, kinds)
@example("5551234.example.org 71990123.organn@x.org.+ann@x.org.?", list(KINDS))
@example("1234 (555123456789) 2020 1 +49 (55512345678901) 12345", ["phone"])
def test_words_outside_stay_in_order_and_masking_again_changes_nothing(
    text: str, chosen: list[str]
) -> None:
    masked, counts = mask(text, chosen)
    assert (masked == text) == (not counts)
    assert mask(masked, chosen) == (masked, {})
    before = WORD.findall(text)
    if "number" in chosen:
        before = [re.sub(r"\d", "0", word) for word in before]
    assert in_order([word for word in WORD.findall(masked) if word != "0"], before)


SECRETS = {
    "email": ["ann.lee@mail.example", "x_y+z@a-b.example.org"],
    "url": ["https://example.net/p?q=zzyx", "www.zzyx.example/a"],
    "handle": ["@zzyx_lee", "/u/zzyx-lee"],
    "phone": ["+49 170 9876543", "(555) 987-6543", "0170/9876543"],
    "card": ["4111 1111 1111 1111", "GB82 WEST 1234 5698 7654 32"],
}
secrets = st.sampled_from([(kind, text) for kind, found in SECRETS.items() for text in found])
plain = st.sampled_from(["yes", "I'm", "not", "here", "see", "naïve", "good"])


@given(st.lists(st.tuples(plain, st.sampled_from([" ", ", ", ": ", " (", "\n"]), secrets)))
def test_nothing_is_left_of_what_was_masked(parts: list[tuple[str, str, tuple[str, str]]]) -> None:
    text = "; ".join(word + gap + secret for word, gap, (_, secret) in parts)
    masked, counts = mask(text, KINDS)
    assert not re.search(r"[1-9]|example|zzyx|WEST", masked)
    assert [word for word in WORD.findall(masked) if word != "0"] == [word for word, *_ in parts]
    for kind in SECRETS:
        assert counts[kind] == sum(kind == found for *_, (found, _) in parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        "a", "@", "1", "a@", "a.", "www.", "a://)", "1,", "+1", "u/", "a'", "@a.", "a_", "DE",
    ],
)  # fmt: skip
def test_a_long_text_of_one_pattern_ends(unit: str) -> None:
    masked, _ = mask((unit * 1_000_000)[:1_000_000], KINDS)  # n² steps would take hours
    assert len(masked) <= 1_000_000


@pytest.mark.parametrize(
    ("given_kinds", "expected"),
    [
        ("all", KINDS),
        ("phone,email", ("email", "phone")),
        (" Email , ", ("email",)),
        ("all,url", KINDS),
    ],
)
def test_kinds_are_read_from_a_list(given_kinds: str, expected: tuple[str, ...]) -> None:
    assert read_kinds(given_kinds) == expected


@pytest.mark.parametrize("given_kinds", ["names", "email,fax", ",", " "])
def test_unknown_kinds_are_refused_with_those_there_are(given_kinds: str) -> None:
    with pytest.raises(BadSettings) as caught:
        read_kinds(given_kinds)
    assert all(kind in caught.value.hint for kind in KINDS)
