from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwp.errors import BadSettings
from nwp.text.building import (
    Survey,
    build_vocabulary,
    grow_vocabulary,
    public_order,
    public_words,
    survey,
    word_frequencies,
)
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import FIRST_WORD, Vocabulary

# Made-up words stand beside words of the public list; the plain text splits at spaces.
TYPED = ["zorbl", "Zorbl", "ZORBL", "quafty", "mimble", "Mimble", "London", "london", "I'm", "the"]
messages = st.lists(st.sampled_from(TYPED), max_size=5).map(" ".join)
users = st.dictionaries(st.sampled_from("abcdefg"), st.lists(messages, max_size=4), max_size=7)
surveys = st.lists(
    st.builds(survey, users, st.just(2)) | st.builds(survey, users, st.just(9)), max_size=3
)


def written(told: dict[str, list[str]]) -> dict[str, Counter[str]]:
    """User to words with their counts, by splitting at spaces."""
    return {u: Counter(w.lower() for m in mine for w in m.split()) for u, mine in told.items()}


@given(users, st.integers(1, 4))
@example({u: ["zorbl zorbl"] for u in "ab"} | {"c": ["quafty"]}, 3)
def test_no_word_leaves_that_fewer_than_k_users_wrote(told: dict[str, list[str]], k: int) -> None:
    by_user = written(told)
    writers = Counter(word for mine in by_user.values() for word in mine)
    total = sum(by_user.values(), Counter[str]())
    said = survey(told, k)
    if len(told) >= k:
        assert said.counts == {w: total[w] for w in total if writers[w] >= k}
        assert not said.listed
    else:
        assert said.counts == {w: total[w] for w in total if w in {"london", "i'm", "the"}}
        assert said.listed
    assert said.words == total.total()
    assert said.messages == sum(bool(m) for mine in told.values() for m in mine)


@given(users, st.integers(1, 4))
@example({u: ["a Zorbl"] for u in "ab"} | {"c": ["a zorbl"]}, 3)
def test_no_surface_leaves_that_fewer_than_k_users_wrote_inside_a_message(
    told: dict[str, list[str]], k: int
) -> None:
    inside = {u: {w for m in mine for w in m.split()[1:]} for u, mine in told.items()}
    writers = Counter(surface for mine in inside.values() for surface in mine)
    for word, surface in survey(told, k).surfaces.items():
        assert writers[surface] >= k
        assert surface.lower() == word != surface


def test_a_name_and_a_contraction_keep_the_capitals_that_k_users_gave_them() -> None:
    told = {name: ["see you in London", "well I'm off", "zorbl"] for name in "abc"}
    assert survey(told, 3).surfaces == {"london": "London", "i'm": "I'm"}
    told["c"] = ["see you in london", "well i'm off"]
    assert survey(told, 3).surfaces == {}
    assert survey(told, 3).counts["london"] == 3


def test_the_first_word_of_a_message_tells_nothing_of_its_capitals() -> None:
    assert survey({name: ["Zorbl zorbl"] for name in "abc"}, 3).surfaces == {}
    assert survey({name: ["Zorbl"] for name in "abc"}, 3).counts == {"zorbl": 3}


def test_of_the_surfaces_that_may_leave_the_most_common_is_shown() -> None:
    told = {name: ["a zorbl Zorbl Zorbl"] for name in "abc"}
    assert survey(told, 3).surfaces == {"zorbl": "Zorbl"}
    # More common still, but two users alone write it so.
    told |= {name: ["a Zorbl ZORBL ZORBL ZORBL ZORBL"] for name in "ab"}
    assert survey(told, 3).surfaces == {"zorbl": "Zorbl"}
    told["c"] += ["a ZORBL"]
    assert survey(told, 3).surfaces == {"zorbl": "ZORBL"}


def test_fewer_users_than_k_speak_of_public_words_alone() -> None:
    said = survey({"a": ["zorbl said the London cat"], "b": ["zorbl"]}, 3)
    assert said == Survey({"said": 1, "the": 1, "london": 1, "cat": 1}, {}, 6, 2, listed=True)


@pytest.mark.parametrize("k", [0, -1])
def test_a_threshold_below_one_is_refused(k: int) -> None:
    with pytest.raises(BadSettings, match="at least one user") as caught:
        survey({"a": ["the"]}, k)
    assert caught.value.hint


def test_the_public_list_has_twenty_thousand_different_words_most_frequent_first() -> None:
    words = public_words()
    assert len(words) == len(set(words)) == 20_000
    assert public_order() == list(words)
    assert {"the", "to", "and", "of"} <= set(public_order()[:6])
    assert public_order().index("house") < public_order().index("postgraduate")


def test_each_public_word_is_one_word_and_shown_with_its_capitals() -> None:
    words = public_words()
    assert all(words_of(surface) == [word] for word, surface in words.items())
    shown = ["I", "I'm", "London", "Monday", "English", "don't", "the"]
    assert [words[surface.lower()] for surface in shown] == shown


def sorted_by_hand(said: list[Survey], size: int, public: int) -> list[str]:
    """Most reported first; of equals, the earlier in the public list, then by alphabet."""
    counts = sum((Counter(s.counts) for s in said), Counter[str]())
    rank = {word: i for i, word in enumerate(public_order()[:public])}
    return sorted({*counts, *rank}, key=lambda w: (-counts[w], rank.get(w, math.inf), w))[:size]


@given(surveys, st.integers(1, 12), st.integers(1, 6))
def test_a_vocabulary_is_in_the_order_of_a_sort_by_hand(
    said: list[Survey], size: int, public: int
) -> None:
    built = build_vocabulary(said, size, public)
    assert list(built.words) == sorted_by_hand(said, size, public)
    assert len(built) == FIRST_WORD + len(built.words)


def test_reported_words_come_first_and_the_public_list_fills_up_by_rank() -> None:
    said = Survey({"zorbl": 2, "quafty": 1, "mimble": 2, "of": 1}, {}, 9, 3)
    first = public_order()[:10]
    built = build_vocabulary([said], 12, 10)
    fill = [word for word in first if word != "of"]
    assert list(built.words) == ["mimble", "zorbl", "of", "quafty", *fill][:12]
    assert len(build_vocabulary([said], 1_000, 10).words) == 3 + 10


def test_counts_of_workers_add_up() -> None:
    one, two = Survey({"zorbl": 3, "quafty": 2}, {}, 5, 1), Survey({"quafty": 2}, {}, 2, 1)
    assert build_vocabulary([one, two], 9, 0).words == ("quafty", "zorbl")
    assert build_vocabulary([one], 9, 0).words == ("zorbl", "quafty")


def test_surfaces_are_the_public_lists_capitals_or_what_most_reports_say() -> None:
    one = Survey({"zorbl": 3, "london": 9, "rose": 2, "i'm": 1}, {"zorbl": "Zorbl"}, 15, 5)
    two = Survey({"zorbl": 2, "rose": 5}, {"rose": "Rose"}, 7, 2)
    three = Survey({"zorbl": 2}, {"zorbl": "ZORBL"}, 2, 1)
    built = build_vocabulary([one, two, three], 50, 40)
    shown = dict(zip(built.words, built.surfaces, strict=True))
    assert [shown[w] for w in ("zorbl", "london", "rose", "i'm")] == [
        *("Zorbl", "London", "Rose", "I'm")
    ]
    assert (shown["i"], shown["the"]) == ("I", "the")  # nobody reported these


@pytest.mark.parametrize(("size", "public"), [(0, 10), (-1, 10), (5, 0)])
def test_a_vocabulary_without_words_is_refused(size: int, public: int) -> None:
    with pytest.raises(BadSettings, match="empty"):
        build_vocabulary([], size, public)


@given(surveys, st.integers(1, 12), st.integers(1, 6))
def test_expected_frequencies_are_a_distribution_over_all_outputs(
    said: list[Survey], size: int, public: int
) -> None:
    vocabulary = build_vocabulary(said, size, public)
    found = word_frequencies(vocabulary, said)
    assert len(found) == 2 + len(vocabulary.words)
    assert all(f > 0 for f in found)
    assert math.isclose(sum(found), 1, rel_tol=1e-9)


def test_what_is_reported_is_expected_as_often() -> None:
    vocabulary = Vocabulary.from_lists(["zorbl", "quafty"], {})
    said = Survey({"zorbl": 30, "quafty": 10}, {}, words=40, messages=10)
    found = word_frequencies(vocabulary, [said])
    # Messages, no unknown word, zorbl, quafty; half a count more for each.
    assert found == pytest.approx([10.5 / 52, 0.5 / 52, 30.5 / 52, 10.5 / 52])


def test_what_was_written_but_not_reported_is_a_tenth_unknown_the_rest_by_rank() -> None:
    vocabulary = Vocabulary.from_lists(["zorbl", "quafty", "mimble"], {})
    said = Survey({"zorbl": 900, "dropped": 50}, {}, words=1_900, messages=100)
    counts = [100, 100, 900, 600, 300]  # quafty twice as often as mimble, Zipf's law
    total = sum(counts) + 2.5
    expected = [(count + 0.5) / total for count in counts]
    assert word_frequencies(vocabulary, [said]) == pytest.approx(expected)
    half = replace(said, counts={"zorbl": 450}, words=950, messages=50)
    assert word_frequencies(vocabulary, [half, half]) == pytest.approx(expected)


def test_clauses_without_spaces_and_pieces_of_words_never_leave_but_count() -> None:
    told = {name: ["see you 明天见 नमस्ते again", "明天见"] for name in "abc"}
    said = survey(told, 3)
    assert said.counts == {"see": 3, "you": 3, "again": 3}
    assert (said.words, said.messages) == (21, 6)  # नमस्ते comes as two pieces
    assert not said.surfaces
    vocabulary = build_vocabulary([said], 3, 0)
    unknown = word_frequencies(vocabulary, [said])[1]
    assert unknown == pytest.approx((0.1 * 12 + 0.5) / (6 + 1.2 + 9 + 5 * 0.5))


def test_words_of_other_scripts_leave_like_any() -> None:
    told = {name: ["добрый день", "좋은 아침", "naïve 🙂 ١٢"] for name in "abc"}
    assert set(survey(told, 3).counts) == {"добрый", "день", "좋은", "아침", "naïve", "١٢"}


def test_a_vocabulary_grows_by_the_words_that_workers_tell_most() -> None:
    old = Vocabulary.from_lists(["the", "i'm"], {"i'm": "I'm"})
    one = Survey({"the": 50, "zorbl": 6, "mimble": 4, "7up": 90}, {"mimble": "Mimble"}, 200, 20)
    two = Survey({"zorbl": 4, "quafty": 10, "london": 1}, {}, 65, 9)

    grown, shares = grow_vocabulary(old, [one, two], 3)

    # Ties by the alphabet; a number is no new word; places stay as they were.
    assert grown.words == ("the", "i'm", "quafty", "zorbl", "mimble")
    assert grown.surfaces == ("the", "I'm", "quafty", "zorbl", "Mimble")
    # Unknown were 6 + 4 + 90 + 4 + 10 + 1, and a tenth of the 100 that nobody may tell, and half a one.
    assert shares == pytest.approx([10 / 125.5, 10 / 125.5, 4 / 125.5])


@given(surveys, st.integers(0, 5))
def test_a_grown_vocabulary_keeps_its_ids_and_leaves_some_of_the_unknown(
    said: list[Survey], most: int
) -> None:
    old = build_vocabulary([], 5, 5)
    grown, shares = grow_vocabulary(old, said, most)

    assert grown.words[: len(old.words)] == old.words
    assert grown.surfaces[: len(old.words)] == old.surfaces
    assert len(grown.words) - len(old.words) == len(shares) <= most
    assert sum(shares) < 1
    assert all(share > 0 for share in shares)
