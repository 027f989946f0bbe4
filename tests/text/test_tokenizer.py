from __future__ import annotations

import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nltk.tokenize import TweetTokenizer
from torchtext.data.utils import get_tokenizer

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.text.building import public_order
from nwp.text.tokenizer import (
    MARKS,
    Mark,
    address_flags,
    normalize,
    surfaces_of,
    tokenize,
    words_of,
)
from nwp.text.vocabulary import Vocabulary, encode

# Pieces that meet each other at the edges of the rule, beside any text at all.
PIECES = [
    "a", "B", "don't", "DON’T", "'", "’", "_", "-", ".", "..", "…", ",", "?", "!", ":", "/", "://",
    "http://", "www.", "@", "#", "(", ")", '"', " ", "  ", "\n", "\t", "7", "½", "🙂", "☀\ufe0f",
    "👩🏽‍🔬", ":)", "^^", "é", "e\u0301", "İ", "ΑΣ", "ß", "ǅ", "中", "ก", "\u200d", "\u00a0", "\u2028",
]  # fmt: skip
texts = st.text(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def counted(message: str) -> list[str]:
    """The counting rule as it is written down: what a target is."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", message.lower().replace("’", "'"))


def marks(message: str) -> list[Mark]:
    return [Mark(mark) for mark in tokenize(message).marks]


@given(texts)
@example("İstanbul’s ΑΣ.ΑΣ it’s_they're ''tis rock'n'roll' 3.14 https://a_b.org/?q=1")
def test_words_are_what_the_counting_rule_matches(message: str) -> None:
    assert words_of(message) == counted(message)
    assert tokenize(message).words == counted(message)


@given(texts)
def test_there_is_a_mark_before_each_word_and_one_after_the_last(message: str) -> None:
    tokens = tokenize(message)
    assert len(tokens.marks) == len(tokens.words) + 1
    assert all(0 <= mark < MARKS for mark in tokens.marks)


@pytest.mark.parametrize(("corpus", "targets"), [("ubuntu_irc", 146_498), ("ami", 82_694)])
def test_real_corpora_have_the_published_number_of_targets(
    real_corpora: Path, corpus: str, targets: int
) -> None:
    users = load_corpus(str(real_corpora / f"{corpus}.jsonl.gz")).users
    test = [message for mine in users.values() for message in part_of(mine, "test")]
    assert sum(len(counted(message)) for message in test) == targets
    assert encode(test, Vocabulary.from_lists(["the"], {})).words == targets


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", [Mark.SPACE]),
        ("yes", [Mark.SPACE, Mark.SPACE]),
        ("yes  \t no", [Mark.SPACE] * 3),
        ("yes, no", [Mark.SPACE, Mark.COMMA, Mark.SPACE]),
        ("yes. no.", [Mark.SPACE, Mark.PERIOD, Mark.PERIOD]),
        ("yes? no?!", [Mark.SPACE, Mark.QUESTION, Mark.EXCLAMATION]),
        ("yes! no!", [Mark.SPACE, Mark.EXCLAMATION, Mark.EXCLAMATION]),
        ("yes... no…", [Mark.SPACE, Mark.ELLIPSIS, Mark.ELLIPSIS]),
        ("yes...no…yes", [Mark.SPACE, Mark.ELLIPSIS, Mark.ELLIPSIS, Mark.SPACE]),
        ("yes: no; so", [Mark.SPACE, Mark.COLON, Mark.COLON, Mark.SPACE]),
        ("yes - no – so — or", [Mark.SPACE, Mark.DASH, Mark.DASH, Mark.DASH, Mark.SPACE]),
        ("well-known", [Mark.SPACE, Mark.JOINT, Mark.SPACE]),
        ("example.org", [Mark.SPACE, Mark.JOINT, Mark.SPACE]),
        ("either/or,both_too", [Mark.SPACE, Mark.JOINT, Mark.JOINT, Mark.JOINT, Mark.SPACE]),
        ("10:30", [Mark.SPACE, Mark.JOINT, Mark.SPACE]),
        ("(yes) no", [Mark.OPENING, Mark.CLOSING, Mark.SPACE]),
        ('she "quoted" him', [Mark.SPACE, Mark.OPENING, Mark.CLOSING, Mark.SPACE]),
        ("elle «cite» lui", [Mark.SPACE, Mark.OPENING, Mark.CLOSING, Mark.SPACE]),
        ("the dogs' tails", [Mark.SPACE, Mark.SPACE, Mark.CLOSING, Mark.SPACE]),
        ("'tis *so*", [Mark.OPENING, Mark.OPENING, Mark.CLOSING]),
        ("¿qué? ¡sí!", [Mark.OPENING, Mark.OPENING, Mark.EXCLAMATION]),
        ("是，不 ok", [Mark.SPACE, Mark.JOINT, Mark.SPACE, Mark.SPACE]),
        # Punctuation around a space joins nothing, whatever stands at its outer ends.
        ('he left. "why', [Mark.SPACE, Mark.SPACE, Mark.OPENING, Mark.SPACE]),
        (
            '"yes," (he said) "no"',
            [Mark.OPENING, Mark.OPENING, Mark.SPACE, Mark.OPENING, Mark.CLOSING],
        ),
        ("one) / two", [Mark.SPACE, Mark.OTHER, Mark.SPACE]),
        ("# one $ two", [Mark.OTHER, Mark.OTHER, Mark.SPACE]),
    ],
)
def test_punctuation_is_read_by_its_class(message: str, expected: list[Mark]) -> None:
    assert marks(message) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("see https://example.org", [Mark.SPACE, Mark.SPACE, Mark.URL, Mark.JOINT, Mark.SPACE]),
        ("ann@example.org", [Mark.SPACE, Mark.URL, Mark.JOINT, Mark.SPACE]),
        ("@ann hi", [Mark.MENTION, Mark.SPACE, Mark.SPACE]),
        ("hi, @ann", [Mark.SPACE, Mark.MENTION, Mark.SPACE]),
        # What stands in for masked ones has their marks.
        ("meet @ noon", [Mark.SPACE, Mark.MENTION, Mark.SPACE]),
        ("hi, @ you", [Mark.SPACE, Mark.MENTION, Mark.SPACE]),
        ("@ @ hi", [Mark.MENTION, Mark.SPACE]),
        ("hi @, you", [Mark.SPACE, Mark.COMMA, Mark.SPACE]),
        ("hi!@ you", [Mark.SPACE, Mark.EXCLAMATION, Mark.SPACE]),
        ("write @:// or :// then", [Mark.SPACE, Mark.URL, Mark.URL, Mark.SPACE]),
        ("fine 🙂 you?", [Mark.SPACE, Mark.EMOJI, Mark.QUESTION]),
        ("fine, ❤️", [Mark.SPACE, Mark.EMOJI]),
        ("👩🏽‍🔬 works", [Mark.EMOJI, Mark.SPACE]),
        ("🇳🇱🇳🇱", [Mark.EMOJI]),
        ("1\ufe0f\u20e3 first", [Mark.SPACE, Mark.EMOJI, Mark.SPACE]),
        ("fine :) you :-( him ;) her ^^", [Mark.SPACE] + [Mark.EMOJI] * 4),
    ],
)
def test_addresses_mentions_and_emoji_have_marks(message: str, expected: list[Mark]) -> None:
    assert marks(message) == expected


@pytest.mark.parametrize(
    ("message", "mark"),
    [
        ("one\ntwo", Mark.LINE),
        ("one \n\n two", Mark.LINE),
        ("one\r\ntwo", Mark.LINE),
        ("one.\ntwo", Mark.LINE),
        ('one.\n"two', Mark.LINE),
        ("one\n- two", Mark.LINE),
        ("one...\ntwo", Mark.ELLIPSIS),
        ("one 🙂\ntwo", Mark.EMOJI),
    ],
)
def test_a_line_break_is_read_before_plain_punctuation(message: str, mark: Mark) -> None:
    assert marks(message) == [Mark.SPACE, mark, Mark.SPACE]


@given(texts)
@example("see http://a.b, @c: (d) e...f 🙂g\nh-i 'j' k@l.m")
def test_marks_depend_only_on_what_stands_before_their_word(message: str) -> None:
    text = normalize(message)
    whole = tokenize(text)
    for i, match in enumerate(re.finditer(r"[^\W_]+(?:'[^\W_]+)*", text)):
        typed = text[: match.start()]
        # Whatever word comes next, the marks up to it are the same …
        assert tokenize(typed + "other, word").marks[: i + 1] == whole.marks[: i + 1]
        # … and while nothing comes, the last reads as if a space had been typed.
        so_far = tokenize(typed)
        assert so_far.words == whole.words[:i]
        assert so_far.marks[:i] == whole.marks[:i]
        assert so_far.marks[i] == tokenize(typed + " other").marks[i]


PLAIN = [
    "I'm not sure that we can make it before dinner.",
    "Don't worry, she's already there!",
    "Could you bring the kids' coats, please?",
    "They've said it'd be fine, so let's go.",
    "Where did you put my keys?",
    "The match starts in an hour, and we haven't left.",
    "Thanks for yesterday. It was lovely to see everybody again.",
    "Yes, no, maybe; ask me tomorrow.",
    "Who's there? Nobody, as usual.",
]


def listed(*, contractions: bool) -> list[str]:
    """Common words of plain letters, those with an apostrophe inside or those without."""
    pattern = r"[a-z]+'[a-z]+" if contractions else r"[a-z]{2,}"
    return [word for word in public_order()[:6000] if re.fullmatch(pattern, word)]


@st.composite
def plain_sentences(draw: st.DrawFn, *, contractions: bool) -> str:
    words = st.sampled_from(listed(contractions=False))
    if contractions:
        words = words | st.sampled_from(listed(contractions=True))
    chosen = draw(st.lists(words, min_size=1, max_size=12))
    gaps = draw(st.lists(st.sampled_from([" ", " ", ", ", ". "]), min_size=12, max_size=12))
    body = "".join(w + g for w, g in zip(chosen[:-1], gaps, strict=False)) + chosen[-1]
    return body.capitalize() + draw(st.sampled_from([".", "!", "?"]))


def tweet_words(message: str) -> list[str]:
    tokens = TweetTokenizer(preserve_case=False).tokenize(message)
    return [token for token in tokens if re.search(r"\w", token)]


def basic_words(message: str) -> list[str]:
    tokens: list[str] = get_tokenizer("basic_english")(message)
    return [token for token in tokens if re.search(r"\w", token)]


@pytest.mark.parametrize("message", PLAIN)
def test_plain_sentences_have_the_words_of_nltks_tweet_tokenizer(message: str) -> None:
    assert words_of(message) == tweet_words(message)


@given(plain_sentences(contractions=True))
def test_any_sentence_of_common_words_is_split_as_by_nltks_tweet_tokenizer(message: str) -> None:
    assert words_of(message) == tweet_words(message)


@given(plain_sentences(contractions=False))
def test_sentences_without_apostrophes_are_split_as_by_basic_english(message: str) -> None:
    assert words_of(message) == basic_words(message)


@given(plain_sentences(contractions=True))
def test_basic_english_differs_by_cutting_words_at_apostrophes(message: str) -> None:
    assert [piece for word in words_of(message) for piece in word.split("'")] == basic_words(
        message
    )


def test_a_contraction_is_one_word_where_basic_english_makes_three_tokens() -> None:
    assert words_of("don't") == words_of("DON’T") == tweet_words("don't") == ["don't"]
    assert get_tokenizer("basic_english")("don't") == ["don", "'", "t"]


@given(texts)
def test_surfaces_are_the_words_with_their_capitals(message: str) -> None:
    surfaces = surfaces_of(message)
    assert [surface.lower() for surface in surfaces] == words_of(message)


@given(texts.filter(lambda text: all(len(c.lower()) == 1 for c in text)))
def test_surfaces_stand_in_the_message_in_their_order(message: str) -> None:
    rest = message.replace("’", "'")
    for surface in surfaces_of(message):
        _, found, rest = rest.partition(surface)
        assert found == surface


@pytest.mark.parametrize(
    ("message", "surfaces"),
    [
        ("I'm in London", ["I'm", "in", "London"]),
        ("It’s McDonald’s", ["It's", "McDonald's"]),
        ("snake_CASE, iPhone", ["snake", "CASE", "iPhone"]),
        ("Ich HEISSE Groß", ["Ich", "HEISSE", "Groß"]),
        # Lower-cased, İ is i and a combining dot, which ends a word: the lower-cased ones are given.
        ("Hi İstanbul", ["hi", "i", "stanbul"]),
        ("...", []),
    ],
)
def test_surfaces_by_hand(message: str, surfaces: list[str]) -> None:
    assert surfaces_of(message) == surfaces


@pytest.mark.parametrize(
    ("message", "pieces"),
    [
        ("see https://example.org/a_page?id=7 now", ["https", "example", "org", "a", "page", "id", "7"]),
        ("HTTP://EXAMPLE.ORG", ["http", "example", "org"]),
        ("www.example.org is up", ["www", "example", "org"]),
        ("write to ann.b@example.org, soon", ["ann", "b", "example", "org"]),
        ("two: http://a.b http://c.d", ["http", "a", "b", "http", "c", "d"]),
        ("(http://a.b)c d", ["http", "a", "b", "c"]),
        ("hi @ann, at 10:30 or 3.5", []),
        ("no address here", []),
        ("", []),
    ],
)  # fmt: skip
def test_pieces_of_urls_and_mail_addresses_are_flagged(message: str, pieces: list[str]) -> None:
    flags = address_flags(message)
    assert [w for w, flag in zip(words_of(message), flags, strict=True) if flag] == pieces


@given(texts)
def test_there_is_a_flag_for_each_word_and_none_without_an_address(message: str) -> None:
    flags = address_flags(message)
    assert len(flags) == len(words_of(message))
    if "@" not in message and "://" not in message and "www." not in message.lower():
        assert not any(flags)


def test_a_long_message_without_a_space_is_searched_for_addresses_in_one_go() -> None:
    def stop(*_: object) -> None:
        raise TimeoutError("looked for an address from each letter on")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 20)  # minutes where it should be milliseconds
    try:
        assert address_flags("a" * 200_000 + " a@b.c") == [False, True, True, True]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_values_of_marks_are_fixed_for_they_stand_in_bundles() -> None:
    assert [mark.name for mark in Mark] == [
        "SPACE", "COMMA", "PERIOD", "QUESTION", "EXCLAMATION", "ELLIPSIS", "COLON", "DASH", "JOINT",
        "URL", "MENTION", "EMOJI", "OPENING", "CLOSING", "OTHER", "LINE",
    ]  # fmt: skip
    assert all(b - a == 1 for a, b in pairwise(Mark))
    assert MARKS == 16
