from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nwp.model.config import ModelConfig
from nwp.model.runtime import Runtime
from nwp.suggest.blocking import Blocking
from nwp.suggest.ranking import LIKELY, POSSIBLE, best
from nwp.suggest.slips import (
    APOSTROPHE,
    DOUBLED,
    EXTRA,
    FIRST,
    MISSING,
    NEAR,
    NEIGHBOUR,
    SWAPPED,
    Allowed,
    Index,
    allowed_for,
)
from nwp.suggest.suggester import Suggester, Suggestion
from nwp.text.vocabulary import FIRST_WORD, Vocabulary

LIST = """
the they hello help world work don't can't i'm from form formal formula forms you your zebra tehran
we'll well will grotesque quarter tomorrow 2026 été
"""
WORDS = LIST.split()


def make(
    words: list[str] = WORDS,
    *,
    common: str = "",
    factor: float = 100,
    exact: bool = False,
    blocking: Blocking | None = None,
) -> Suggester:
    """Whatever the context, all words are as probable, `common` one by a factor more."""
    vocabulary = Vocabulary.from_lists(words, {"i'm": "I'm"} if "i'm" in words else {})
    config = ModelConfig(FIRST_WORD + len(words), embedding=2, hidden=2, projection=2)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in config.shapes().items()}
    tensors["out.bias"][2:] = [np.log(factor) if word == common else 0 for word in words]
    return Suggester(Runtime(config, tensors), vocabulary, blocking, exact=exact)


FLAT = make()


def words(found: list[Suggestion]) -> list[str]:
    return [one.word for one in found]


# The channel, made forwards.


def slips(word: str) -> Iterator[tuple[str, float]]:
    """All that is typed of a word with one slip in it, and the chance of that slip."""
    for i in range(len(word) + 1):
        head, rest, share = word[:i], word[i:], FIRST if i == 0 else 1.0
        for beside in (head[-1:], rest[:1]):
            for other in NEAR.get(beside, ""):
                yield head + other + rest, share * EXTRA / len(NEAR[beside])
        if head:
            yield head + head[-1] + rest, DOUBLED
    for i, letter in enumerate(word):
        head, rest, share = word[:i], word[i + 1 :], FIRST if i == 0 else 1.0
        yield head + rest, APOSTROPHE if letter == "'" else share * MISSING
        for other in NEAR.get(letter, ""):
            yield head + other + rest, share * NEIGHBOUR / len(NEAR[letter])
        if rest and letter != "'":
            yield head + rest[0] + letter + rest[1:], share * SWAPPED


def chance(typed: str, word: str) -> float:
    """P of what is typed so far, given the word that is meant."""
    if word.startswith(typed):
        return 1.0
    begun = {word[:n] for n in range(len(typed) - 1, len(typed) + 2)}
    return max((p for part in begun for whole, p in slips(part) if whole == typed), default=0.0)


@settings(deadline=None, max_examples=300, database=None)
@given(
    st.lists(st.text("aeqwsl'é", min_size=1, max_size=6), max_size=30, unique=True),
    st.text("aeqwsl'", min_size=2, max_size=6),
)
@example(["hello", "hell", "help"], "hlelo")
@example(["aal"], "al")
@example(["a"], "aa")
@example(["ea", "ae"], "ea")
def test_the_search_finds_what_the_channel_makes(vocabulary: list[str], typed: str) -> None:
    found = Index(vocabulary).fits(typed, Allowed.ALL)
    wanted = {i: p for i, word in enumerate(vocabulary) if (p := chance(typed, word))}
    assert found.places.tolist() == sorted(wanted)
    assert found.chances.tolist() == pytest.approx([wanted[i] for i in sorted(wanted)])


def test_keys_lie_beside_each_other_both_ways() -> None:
    assert set(NEAR["s"]) == set("awedxz")
    assert set(NEAR["q"]) == set("wa")
    assert set(NEAR["p"]) == set("ol")
    assert all(a in NEAR[b] for a, near in NEAR.items() for b in near)


@pytest.mark.parametrize(
    ("typed", "known", "allowed"),
    [
        ("", True, Allowed.NONE),
        ("h", False, Allowed.NONE),
        ("hw", True, Allowed.APOSTROPHES),
        ("hw", False, Allowed.ALL),
        ("hwl", True, Allowed.ALL),
        ("2025", False, Allowed.NONE),
        ("h3l", False, Allowed.NONE),
        ("don'", True, Allowed.ALL),
    ],
)
def test_when_slips_are_thought_of(typed: str, known: bool, allowed: Allowed) -> None:
    assert allowed_for(typed, known) == allowed


# What is suggested.


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("hwllo", "hello"),
        ("hlelo", "hello"),
        ("helllo", "hello"),
        ("helo", "hello"),
        ("jello", "hello"),
        ("ello", "hello"),
        ("hw", "hello"),
        ("wprl", "world"),
        ("tommorrow", "tomorrow"),
        ("tomorow", "tomorrow"),
        ("dont", "don't"),
        ("im", "I'm"),
        ("Dont", "Don't"),
        ("DONT", "DON'T"),
        ("Hwl", "Hello"),
        ("HWL", "HELLO"),
        ("so hwl", "hello"),
    ],
)
def test_one_slip_is_forgiven(typed: str, word: str) -> None:
    assert words(FLAT.suggest(typed))[0] == word


@pytest.mark.parametrize("typed", ["hwklo", "xyz", "2025", "2o26", "h", "hellp'"])
def test_two_slips_digits_and_other_keys_are_not(typed: str) -> None:
    assert "hello" not in words(FLAT.suggest(typed)) or "hello".startswith(typed)
    assert "2026" not in words(FLAT.suggest(typed))


def test_what_begins_as_typed_is_not_pushed_out_by_an_unlikely_slip() -> None:
    assert words(FLAT.suggest("form")) == ["form", "formal", "formula"]
    assert words(FLAT.suggest("teh")) == ["tehran"]


def test_a_slip_comes_in_by_how_likely_it_is() -> None:
    few = ["the", "tehran", "teha", "tehb", "tehc"]
    assert words(make(few, common="the").suggest("teh")) == ["tehran", "teha", "tehb"]
    assert words(make(few, common="the", factor=300).suggest("teh")) == ["tehran", "teha", "tehb"]
    assert words(make(few, common="the", factor=400).suggest("teh"))[:2] == ["the", "tehran"]
    assert "the" not in words(make(few, common="the", factor=10_000).suggest("te"))


def test_probabilities_are_those_of_the_word_times_the_slip() -> None:
    found = {one.word: one.probability for one in make(common="the").suggest("teh", 9)}
    both = 100 * SWAPPED
    total = both + SWAPPED + 1  # they, tehran
    assert found["the"] == pytest.approx(both / total)
    assert found["tehran"] == pytest.approx(1 / total)
    assert "they" not in found


def test_exact_forgives_nothing() -> None:
    exact = make(exact=True)
    assert [exact.suggest(t) for t in ("hwllo", "dont", "im", "wprl")] == [[], [], [], []]
    assert words(exact.suggest("hel")) == ["hello", "help"]


def test_blocked_words_are_not_reached_by_a_slip() -> None:
    blocked = make(blocking=Blocking(["hello"]))
    for typed in ("hwllo", "helo", "hlelo", "hell", "hello", "helllo"):
        assert "hello" not in words(blocked.suggest(typed))


def test_other_scripts_have_their_words_and_cost_little() -> None:
    many = [chr(0x4E00 + i) + chr(0x4E00 + i // 7) for i in range(3000)]
    found = Index([*many, "hello"]).fits(many[5], Allowed.ALL)
    assert found.places[found.chances == 1].tolist() == [5]
    assert Index(["привет"]).fits("првиет", Allowed.ALL).places.tolist() == [0]


# The best of both kinds.


def test_a_weak_slip_only_fills_what_is_left() -> None:
    p, chances = np.array([0.5, 0.3, 0.15, 0.05]), np.array([1.0, 1, 0.5, 1])
    assert [place for place, _ in best(p, chances, 2)] == [0, 1]
    assert LIKELY > 0.15 * 0.5
    assert [place for place, _ in best(p, chances, 3)] == [0, 1, 3]
    assert [place for place, _ in best(p, chances, 4)] == [0, 1, 2, 3]
    assert sum(share for _, share in best(p, chances, 4)) == pytest.approx(1)


def test_a_hopeless_slip_fills_nothing() -> None:
    p, chances = np.array([0.5, 0.5]), np.array([1.0, POSSIBLE / 2])
    assert [place for place, _ in best(p, chances, 3)] == [0]
    assert [place for place, _ in best(p, chances * np.array([0.5, 1]), 1)] == [0]


@given(
    st.lists(st.tuples(st.floats(1e-6, 1), st.sampled_from([1.0, 0.25, 0.001])), min_size=1),
    st.integers(1, 9),
)
def test_best_is_in_order_and_never_a_slip_for_a_word_that_is_likelier(
    rows: list[tuple[float, float]], k: int
) -> None:
    p, chances = (np.array(column) for column in zip(*rows, strict=True))
    found = best(p, chances, k)
    shares = p * chances / (p * chances).sum()
    assert [share for _, share in found] == sorted((shares[i] for i, _ in found), reverse=True)
    assert len({place for place, _ in found}) == len(found) <= k
    shown = [place for place, _ in found]
    out = [i for i in range(len(rows)) if chances[i] == 1 and i not in shown]
    for i in out:
        assert all(shares[j] >= shares[i] for j in shown)
        assert all(chances[j] == 1 or shares[j] >= LIKELY for j in shown)
