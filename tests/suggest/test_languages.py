from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from counted import Counting, bundle_of, german_bundle, random_bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from nwp.errors import BadBundle, BadInput, BadSettings
from nwp.files import shipped
from nwp.model.bundle import Bundle, load_bundle
from nwp.model.runtime import FloatArray, Runtime
from nwp.personal.store import Personal
from nwp.personal.suggesting import PersonalSuggester
from nwp.serve.models import models_of
from nwp.suggest.blocking import Blocking
from nwp.suggest.composing import Draft
from nwp.suggest.languages import BETWEEN, SWITCH, Languages, open_suggester
from nwp.suggest.reading import split_typed
from nwp.suggest.session import Session
from nwp.suggest.suggester import Suggester
from nwp.suggest.united import FOREIGN, united
from nwp.text.tokenizer import tokenize
from nwp.text.vocabulary import FIRST_OUTPUT, UNKNOWN, Vocabulary

ENGLISH = ["the", "see", "you", "in", "hand", "we", "go", "so", "it's"]
GERMAN = ["ich", "in", "hand", "und", "wir", "so", "gehen", "zug", "straße"]


def languages(first: Bundle, second: Bundle) -> Languages:
    return Languages(Suggester.from_bundle(first), Suggester.from_bundle(second))


def flat(words: Sequence[str], **surfaces: str) -> Bundle:
    return bundle_of(dict.fromkeys(words, 1.0), surfaces)


def random_pair(seed: int = 0, scale: float = 0.8) -> Languages:
    return languages(random_bundle(ENGLISH, seed, scale), random_bundle(GERMAN, seed + 1, scale))


@pytest.fixture(scope="module")
def both() -> Languages:
    """The model that ships, of English, with German words by how common they are."""
    if not (shipped("models") / "sample").is_dir():
        pytest.skip("no bundle ships with this checkout: models/sample is not there")
    return languages(load_bundle(shipped("models") / "sample"), german_bundle())


# Which language is noticed.


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0.5, 0.5),
        ("see you tomorrow ", 0.95, 1),
        ("wir sehen uns ", 0, 0.05),
        ("Ich habe heute keine Zeit, ", 0, 0.05),
        ("in ", 0.1, 0.9),
        ("are you there? ja, ich bin ", 0, 0.05),
        ("ich bin am Bahnhof, where are you ", 0.95, 1),
        ("Verschlimmbesserung ", 0, 0.4),  # neither knows it: its letters tell
        ("throughoutness ", 0.6, 1),
        ("12:30 ", 0.5, 0.5),
    ],
)
def test_the_language_is_noticed(both: Languages, text: str, least: float, most: float) -> None:
    assert least <= both.share(text) <= most


def test_words_of_the_language_being_written_are_suggested(both: Languages) -> None:
    english = [s.word for s in both.suggest("see you at the ", 5)]
    german = [s.word for s in both.suggest("wir gehen dann ", 5)]

    first, second = (side.vocabulary.index for side in both._pair)
    assert all(word.lower() in first for word in english)
    assert all(word.lower() in second for word in german)


def test_a_language_is_carried_to_the_next_message() -> None:
    found = languages(flat(ENGLISH), flat(GERMAN))

    found.learn("ich und wir gehen")
    assert found.share("") == pytest.approx(BETWEEN, abs=0.02)
    assert found.suggest("", 1)[0].word.lower() in GERMAN
    found.learn("see you")
    assert found.share("") == pytest.approx(1 - BETWEEN, abs=0.02)


def test_off_the_record_nothing_is_carried() -> None:
    found = languages(flat(ENGLISH), flat(GERMAN))
    session = Session(found)

    session.command("/off")
    session.sent("ich und wir gehen", Draft())
    assert found.share("") == 0.5
    session.command("/on")
    session.sent("ich und wir gehen", Draft())
    assert found.share("") < 0.2
    assert session.trouble == ""


@settings(max_examples=60)
@given(
    st.integers(0, 10**6), st.sampled_from([0.3, 1.0, 5.0, 30.0]), st.text("seyoungt ", max_size=12)
)
def test_a_word_that_one_alone_knows_moves_towards_it_whatever_they_say(
    seed: int, scale: float, before: str
) -> None:
    pair = random_pair(seed, scale)
    one, two = (side.read(before + " the").log_p for side in pair._pair)
    words = united(*(side.vocabulary for side in pair._pair))

    for word in set(ENGLISH) - set(GERMAN):
        assert words.compare(word, one, two) > 0
    for word in set(GERMAN) - set(ENGLISH):
        assert words.compare(word, one, two) < 0


def test_the_share_is_the_sum_over_all_ways_to_change_language() -> None:
    pair = random_pair(3)
    message = "we gehen in the zug so you"
    words = tokenize(message).words
    ones, twos = (one.read_through(message) for one in pair._pair)
    told = [pair.united.compare(*of) for of in zip(words, ones, twos, strict=False)]
    seen = [(math.exp(nats), 1.0) for nats in told]
    ways = np.zeros(2)
    for path in itertools.product((0, 1), repeat=len(words) + 1):
        p = 0.5
        for i, state in enumerate(path[:-1]):
            p *= seen[i][state] * (1 - SWITCH if path[i + 1] == state else SWITCH)
        ways[path[-1]] += p

    assert pair.share(message + " ") == pytest.approx(ways[0] / ways.sum(), rel=1e-6)


# What is suggested.


def test_probabilities_of_a_small_mixture() -> None:
    found = languages(bundle_of({"hand": 3, "see": 1}), bundle_of({"hand": 1, "zug": 1}))
    keeps = 1 - FOREIGN
    one = {"hand": keeps * 0.6 + FOREIGN / 2, "see": keeps * 0.2 + FOREIGN / 2}
    two = {"hand": keeps * 0.4 + FOREIGN / 2, "zug": keeps * 0.4 + FOREIGN / 2}
    # What each gives to the one word that it doesn't know: at most FOREIGN / 2 of the unknown's.
    sizes = {word: 0.5 * one.get(word, 0) + 0.5 * two.get(word, 0) for word in (*one, *two)}
    total = sum(sizes.values())

    got = {s.word.lower(): s.probability for s in found.suggest("", 9)}

    assert list(got) == ["hand", "zug", "see"]
    for word, size in sizes.items():
        assert got[word] == pytest.approx(size / total, abs=0.002)


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([*ENGLISH, *GERMAN, "xyz", "7", "wird"]), max_size=6),
    st.integers(0, 99),
)
def test_each_distribution_sums_to_one(words: list[str], seed: int) -> None:
    pair = random_pair(seed, 2.0)
    text = " ".join([*words, ""])

    log_p = pair.read(text).log_p

    assert len(log_p) == len(pair.vocabulary) - FIRST_OUTPUT
    assert np.exp(log_p.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
    for side, own in zip(pair.united.sides, pair._pair, strict=True):
        assert side.spread(own.read(text).log_p).sum() == pytest.approx(1, abs=1e-5)


def test_read_through_agrees_with_reading_each_beginning() -> None:
    pair = random_pair(5)
    message = "We go, und wir gehen so in the Zug."
    ends = [
        message.index(word) + 1 for word in ("We", "go", "und", "wir", "gehen", "so", "in", "Zug")
    ]

    through = pair.read_through(message)

    assert len(through) == len(tokenize(message).words) + 1
    for at, end in zip((0, 1, 2, 3, 4, 5, 6, 8), ends, strict=True):
        np.testing.assert_allclose(through[at], pair.read(message[:end]).log_p, rtol=1e-5)


@pytest.mark.parametrize("text", ["", "see ", "we go i", "Hand in ha", "SO"])
def test_a_model_beside_one_of_the_same_words_and_weights_changes_no_order(text: str) -> None:
    bundle = random_bundle(ENGLISH, 4)

    mixed = languages(bundle, bundle).suggest(text, 50)
    alone = Suggester.from_bundle(bundle).suggest(text, 50)

    assert [s.word for s in mixed] == [s.word for s in alone]
    np.testing.assert_allclose(
        [s.probability for s in mixed], [s.probability for s in alone], atol=FOREIGN
    )


def test_a_word_of_both_is_written_as_in_the_language_being_written() -> None:
    found = languages(flat(ENGLISH), flat(GERMAN, hand="Hand", zug="Zug"))

    assert found.suggest("see you ha", 1)[0].word == "hand"
    assert found.suggest("wir gehen ha", 1)[0].word == "Hand"
    assert found.suggest("see you zu", 1)[0].word == "Zug"
    assert found.suggest("see you HA", 1)[0].word == "HAND"


def test_what_either_blocks_neither_suggests() -> None:
    one, two = flat(ENGLISH), flat(GERMAN)
    found = Languages(
        Suggester(Runtime(one.config, one.tensors), one.vocabulary, Blocking(["zug"])),
        Suggester(Runtime(two.config, two.tensors), two.vocabulary, Blocking(["hand", "see"])),
    )

    words = {s.word.lower() for s in found.suggest("", 99)}

    assert words == (set(ENGLISH) | set(GERMAN)) - {"zug", "hand", "see"}
    assert found.suggest("zug") == []


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one(k: int) -> None:
    with pytest.raises(BadInput):
        random_pair().suggest("see ", k)


PIECES = st.sampled_from(
    [*ENGLISH, *GERMAN, "Hand", "xyz", "12", "İ", "’", "'", " ", " ", ". ", "\n", "-", "_"]
)


@settings(max_examples=80)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)))
def test_any_text(text: str) -> None:
    pair = random_pair()
    found = pair.suggest(text, 50)

    typed = split_typed(text)[1].lower().replace("’", "'")
    assert len({s.word for s in found}) == len(found)
    # What is left out is a slip that explains little.
    assert not found or 0.9 < sum(s.probability for s in found) < 1 + 1e-6
    assert SWITCH - 1e-9 <= pair.share(text) <= 1 - SWITCH + 1e-9
    assert pair.suggest(text, 50) == found

    words = [ENGLISH, GERMAN]
    bundles = [random_bundle(some, seed, 0.8) for seed, some in enumerate(words)]
    exact = Languages(*(Suggester.from_bundle(one, exact=True) for one in bundles))
    assert all(s.word.lower().startswith(typed) for s in exact.suggest(text, 50))


# What a key costs.


def test_a_key_costs_at_most_one_step_of_each_and_typing_is_like_pasting() -> None:
    bundles = random_bundle(ENGLISH), random_bundle(GERMAN, 1)
    runtimes = [Counting(one.config, one.tensors) for one in bundles]
    sides = [Suggester(r, one.vocabulary) for r, one in zip(runtimes, bundles, strict=True)]
    typed = Languages(*sides)
    message = "see you. Ich und wir gehen in the Zug, it's so "

    for end in range(len(message) + 1):
        before = [runtime.steps for runtime in runtimes]
        found = typed.suggest(message[:end], 9)
        assert all(r.steps - b <= 1 for r, b in zip(runtimes, before, strict=True))
        assert found == languages(*bundles).suggest(message[:end], 9)


@pytest.mark.parametrize(
    "text", ["wir gehen so " * 80_000, "y" * 1_000_000], ids=["words", "letters"]
)
def test_a_text_of_a_megabyte_is_answered_soon(text: str) -> None:
    pair = random_pair()
    began = time.perf_counter()
    pair.suggest(text)
    assert time.perf_counter() - began < 20


# Beside others.


def test_personal_learning_goes_with_two_languages() -> None:
    pair = languages(flat(ENGLISH), flat(GERMAN))
    found = PersonalSuggester(pair, Personal.open())
    plain = [s.word for s in pair.suggest("we go ", 5)]
    assert [s.word for s in found.suggest("we go ", 5)] == plain
    assert pair.usual is not None
    assert pair.usual.shape == (len(pair.vocabulary) - FIRST_OUTPUT,)
    assert pair.usual.sum() == pytest.approx(1, abs=1e-5)
    assert (pair.usual > 0).all()

    for _ in range(6):
        found.learn("Wir gehen zu Kajsa")

    assert found.suggest("wir gehen zu ", 1)[0].word == "Kajsa"
    assert pair.share("") < 0.5
    start = pair.share("")
    found.off_the_record = True
    found.learn("see you")
    assert pair.share("") == start


def test_a_phrase_can_be_offered() -> None:
    first = bundle_of({"see": 98.0, "you": 2.0}, end=0.01, unknown=0.01)
    session = Session(languages(first, flat(GERMAN)))

    offer = session.offer("you see ")

    assert session.trouble == ""
    assert offer.words[0] == "see"
    assert offer.phrase[:2] == ("see", "see")


def test_two_models_are_served_as_one() -> None:
    bundles = bundle_of({"see": 2.0, "you": 1.0}), flat(GERMAN)

    served = models_of(*bundles)

    assert list(served) == ["shared", "unigram"]
    assert served["shared"].about.startswith("Two languages at once. Learnt from 8 and 8 people's")
    for one in served.values():
        suggester = one.make()
        assert {s.word for s in suggester.suggest("wir gehen z")} == {"zug"}
        assert {s.word for s in suggester.suggest("see y")} == {"you"}


def test_a_bundle_can_not_stand_beside_itself(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="beside itself") as caught:
        open_suggester(tmp_path, tmp_path / "x" / "..")
    assert "--beside" in caught.value.hint
    with pytest.raises(BadBundle):
        open_suggester(tmp_path / "a", tmp_path / "b")


def test_words_that_neither_knows_are_the_unknown_word() -> None:
    one, two = (Vocabulary.from_lists(words, {}) for words in (["see", "hand"], ["zug", "hand"]))
    words = united(one, two)

    assert words.vocabulary.words == ("see", "hand", "zug")
    log_p: FloatArray = np.log(np.array([0.1, 0.5, 0.2, 0.2], np.float32))
    p = words.sides[0].spread(log_p)
    unknown = UNKNOWN - FIRST_OUTPUT
    assert 0 < p[-1] <= 0.5 * FOREIGN / 2
    assert p[unknown] + p[-1] == pytest.approx(0.5 * (1 - FOREIGN), rel=1e-6)
    assert united(one, two) is words
    assert math.isfinite(words.compare("x" * 10_000, log_p, log_p))


def test_one_strange_word_does_not_outvote_a_message(both: Languages) -> None:
    assert both.share("Ich muss jetzt leider los ") < 0.5
    assert both.share("wir sehen uns im station ") < 0.5
    assert both.share("we are at the Bahnhof ") > 0.5
    assert both.share("wir sehen uns at the station ") > 0.9
