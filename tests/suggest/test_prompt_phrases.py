from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from nwp.suggest.composing import accepts
from nwp.suggest.phrases import phrase
from nwp.suggest.suggester import Suggestion

WORDS = ("ant", "bee", "cat", "doe")


def bigram(seed: int, sharp: float) -> Callable[[str, int], list[Suggestion]]:
    """A model of four words, each following each with a probability drawn at random."""
    draw = random.Random(seed)
    rows = {}
    for before in ("", *WORDS):
        weights = [draw.random() ** sharp for _ in WORDS]
        rows[before] = [weight / sum(weights) for weight in weights]

    def suggest(text: str, k: int) -> list[Suggestion]:
        last = text.rsplit(maxsplit=1)[-1] if text.split() else ""
        found = [Suggestion(w, p) for w, p in zip(WORDS, rows[last], strict=True)]
        return sorted(found, key=lambda one: -one.probability)[:k]

    return suggest


def best_of_all(
    suggest: Callable[[str, int], list[Suggestion]], first: Suggestion, sure: float, longest: int
) -> tuple[str, ...]:
    """By trying every run of words up to the longest."""
    best, found = (first.word,), first.probability
    for length in range(2, longest + 1):
        for rest in itertools.product(WORDS, repeat=length - 1):
            words = (first.word, *rest)
            shares = [first.probability]
            for before, word in itertools.pairwise(words):
                known = {one.word: one.probability for one in suggest(before + " ", 4)}
                shares.append(known[word])
            share = math.prod(shares)
            if share >= sure and (length, share) > (len(best), found):
                best, found = words, share
    return best


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("sharp", "sure"), [(1, 0.02), (1, 0.1), (3, 0.3), (8, 0.3), (8, 0.6)])
def test_the_search_finds_what_trying_everything_finds(
    seed: int, sharp: float, sure: float
) -> None:
    suggest = bigram(seed, sharp)
    for first in suggest("", 4):
        assert phrase(suggest, "", first, sure, 5) == best_of_all(suggest, first, sure, 5)


def test_references_differ_from_taking_the_best_word_each_time() -> None:
    """Else the test above would not tell this search from a greedy one."""

    def greedy(suggest: Callable[[str, int], list[Suggestion]], first: Suggestion) -> list[str]:
        words, share = [first.word], first.probability
        while len(words) < 5:
            one = suggest(words[-1] + " ", 1)[0]
            share *= one.probability
            if share < 0.02:
                break
            words.append(one.word)
        return words

    models = [bigram(seed, 1) for seed in range(12)]
    differ = [
        greedy(suggest, first) != list(best_of_all(suggest, first, 0.02, 5))
        for suggest in models
        for first in suggest("", 4)
    ]
    assert any(differ)


def test_calls_are_bounded_however_many_words_there_are() -> None:
    calls: list[str] = []

    def suggest(text: str, k: int) -> list[Suggestion]:
        calls.append(text)
        return [Suggestion(word, 1 / 4) for word in WORDS][:k]

    words = phrase(suggest, "", Suggestion("ant", 1.0), sure=1 / 16, longest=9)
    assert len(words) == 3
    assert len(calls) <= 9 * 16


def test_a_word_that_is_not_sure_stands_alone_and_asks_nothing() -> None:
    def never(text: str, k: int) -> list[Suggestion]:
        raise AssertionError(text)

    assert phrase(never, "see ", Suggestion("you", 0.29), sure=0.3) == ("you",)


def test_a_phrase_goes_on_from_the_half_typed_word() -> None:
    asked: list[str] = []

    def suggest(text: str, k: int) -> list[Suggestion]:
        asked.append(text)
        return [Suggestion("soon", 1.0)] if len(asked) == 1 else []

    assert phrase(suggest, "see yo", Suggestion("you", 1.0)) == ("you", "soon")
    assert asked == accepts("see yo", ["you", "soon"])[1:]
