from __future__ import annotations

import json
import math
import random
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwp.corpus.knowing.profile import Profile, histogram, profile, quantiles
from nwp.corpus.knowing.texts import Repeats, language_of, typical_words
from nwp.corpus.types import Corpus

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox"]
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
corpora = st.dictionaries(
    st.sampled_from("abcde"), st.lists(texts, min_size=1, max_size=12), min_size=1
)


def of(users: Mapping[str, list[str]], **options: object) -> Profile:
    told = {name: tuple(users[name]) for name in sorted(users)}
    return profile(Corpus("made up", told), **options)  # type: ignore[arg-type]


@given(corpora)
def test_sizes_are_those_of_a_count_by_hand(users: dict[str, list[str]]) -> None:
    found = of(users)
    words = Counter(w for mine in users.values() for m in mine for w in m.split())
    sizes = sorted(sum(len(m.split()) for m in mine) for mine in users.values())
    assert (found.users, found.messages) == (len(users), sum(map(len, users.values())))
    assert (found.words, found.distinct_words) == (words.total(), len(words))
    assert found.words_per_user["min"] == sizes[0]
    assert found.words_per_user["max"] == sizes[-1]
    assert found.words_per_user["mean"] == pytest.approx(words.total() / len(users), abs=0.06)
    assert found.messages_per_user["max"] == max(map(len, users.values()))
    assert sum(found.histogram["counts"]) == len(users)
    json.dumps(found.as_dict())


@given(corpora, st.integers(1, 6), st.sets(st.sampled_from(WORDS)))
def test_unknown_words_are_those_outside_either_vocabulary(
    users: dict[str, list[str]], size: int, known: set[str]
) -> None:
    found = of(users, known=known, vocabulary=size)
    everything = [w for mine in users.values() for m in mine for w in m.split()]
    train: Counter[str] = Counter()
    test: list[str] = []
    for mine in users.values():
        train.update(w for m in mine[: int(0.8 * len(mine))] for w in m.split())
        test += [w for m in mine[int(0.9 * len(mine)) :] for w in m.split()]
    own = sorted(train, key=lambda w: (-train[w], w))[:size]
    share = sum(w not in known for w in everything) / len(everything) if everything else None
    assert found.oov["model"] == pytest.approx(share)
    share = sum(w not in own for w in test) / len(test) if test else None
    assert found.oov["own_vocabulary"] == pytest.approx(share)


def test_without_a_model_nothing_is_unknown_to_it() -> None:
    assert of({"a": ["ant bee"]}).oov == {"model": None, "own_vocabulary": 1.0}


def test_what_nwp_cannot_split_is_in_no_vocabulary() -> None:
    found = of({"a": ["明天见 明天见 ant"] * 10}, vocabulary=5)
    assert found.oov["own_vocabulary"] == pytest.approx(2 / 3)


@given(corpora)
@example({"a": ["ant bee cat dog"] * 3, "b": ["Ant bee, cat dog!", "fox"], "c": ["ant bee cat"]})
def test_repeats_are_told_apart_by_who_had_the_message_first(users: dict[str, list[str]]) -> None:
    looked = same = other = 0
    writers: dict[tuple[str, ...], set[str]] = {}
    for name in sorted(users):
        for message in users[name]:
            words = tuple("".join(c for c in message.lower() if c not in ",!").split())
            if len(words) < 4:
                continue
            looked += 1
            had = writers.setdefault(words, set())
            same += name in had
            other += bool(had) and name not in had
            had.add(name)
    assert of(users).duplicates == {
        "messages": looked,
        "by_the_same": same,
        "by_another": other,
        "share": (same + other) / looked if looked else 0.0,
    }


def test_no_message_is_no_repeat() -> None:
    assert Repeats().as_dict()["share"] == 0.0


@given(st.lists(st.integers(0, 10**7) | st.integers(0, 30), min_size=1, max_size=30))
@example([0])
@example([0, 99_999])
@example([999, 1_000])
@example([10**12, 1])
def test_bins_hold_every_user_once_between_rising_edges(sizes: list[int]) -> None:
    found = histogram(array("q", sizes))
    edges, counts = found["edges"], found["counts"]
    assert len(edges) == len(counts) + 1 <= 14
    assert all(low < high for low, high in pairwise(edges))
    expected = [sum(low <= s < high for s in sizes) for low, high in pairwise(edges)]
    assert counts == expected
    assert sum(counts) == len(sizes)


def test_bins_widen_unless_the_counts_lie_close_together() -> None:
    assert histogram(array("q", [3, 70, 900]))["edges"] == [2, 5, 10, 20, 50, 100, 200, 500, 1000]
    assert histogram(array("q", [120, 260]))["edges"] == [
        120,
        140,
        160,
        180,
        200,
        220,
        240,
        260,
        280,
    ]
    assert histogram(array("q", [0, 3, 4]))["edges"] == [0, 1, 3, 4, 5]


def test_quantiles_of_a_plain_row() -> None:
    found = quantiles(array("q", range(101)))
    assert found == {
        **{"min": 0, "p10": 10, "p25": 25, "median": 50, "p75": 75, "p90": 90, "max": 100},
        "mean": 50,
    }


ENGLISH = "see you tomorrow at the station, and please bring the old umbrella"
GERMAN = "wir sehen uns morgen am Bahnhof, und bring bitte den alten Regenschirm mit"
FRENCH = "on se voit demain à la gare, et apporte le vieux parapluie s'il te plaît"


def test_languages_are_told_by_user_and_weighed_by_words() -> None:
    found = of({"ann": [ENGLISH] * 6, "uli": [GERMAN] * 3, "luc": ["ok", "😂"]}).languages
    words = {"en": 6 * 12, "de": 3 * 13, "unknown": 1}
    assert list(found) == ["en", "de", "unknown"]
    assert found == pytest.approx({code: n / sum(words.values()) for code, n in words.items()})


def test_a_language_is_told_by_messages_from_all_of_a_users_time() -> None:
    assert language_of([FRENCH]) == "fr"
    assert language_of([ENGLISH] * 100 + [GERMAN] * 900) == "de"


@pytest.mark.parametrize(
    "messages", [[], ["ok"], ["https://example.org/a/long/path/that/says/nothing"], ["12 34"] * 50]
)
def test_too_little_text_tells_no_language(messages: list[str]) -> None:
    assert language_of(messages) == "unknown"


def test_no_more_than_two_thousand_users_are_asked_for_their_language() -> None:
    users = {f"{i:04}": [ENGLISH if i % 4 else GERMAN] for i in range(2_100)}
    found = of(users).languages
    assert sum(found.values()) == pytest.approx(1)
    assert found["en"] == pytest.approx(0.735, abs=0.03)
    assert found == of(users).languages


def test_scripts_that_cannot_be_split_are_told_with_their_share() -> None:
    found = of({"mei": ["明天见 ok", "明天见"], "asha": ["नमस्ते"], "lior": ["שָׁלוֹם"]}).scripts
    assert found == {
        "no spaces": {"words": 2, "share": 0.25, "scripts": {"Han": 2}},
        "cut up": {"words": 2, "share": 0.25, "scripts": {"Devanagari": 2}},
        "marks apart": {"Hebrew": 2},
    }


def z_score(word: str, mine: Counter[str], others: Counter[str]) -> float:
    """Monroe et al. 2008, equations 16, 19, 20 and 22, with a prior of 500 words."""
    both = mine + others
    alpha0 = 500
    alpha = alpha0 * both[word] / both.total()

    def omega(counts: Counter[str]) -> float:
        y = counts[word] + alpha
        return y / (counts.total() + alpha0 - y)

    delta = math.log(omega(mine)) - math.log(omega(others))
    variance = 1 / (mine[word] + alpha) + 1 / (others[word] + alpha)
    return delta / math.sqrt(variance)


@given(st.integers(0, 50))
def test_typical_words_are_in_the_order_of_their_scores(seed: int) -> None:
    draw = random.Random(seed)
    mine = Counter(draw.choices(WORDS, draw.choices(range(1, 9), k=6), k=60))
    others = Counter(draw.choices(WORDS, draw.choices(range(1, 9), k=6), k=300))
    scores = {w: z_score(w, mine, others) for w in mine if mine[w] > 1}
    expected = [w for w in sorted(scores, key=lambda w: (-scores[w], w)) if scores[w] > 0]
    assert typical_words(mine, mine + others, 3) == expected[:3]


def test_a_users_own_word_goes_before_one_that_all_use() -> None:
    users = {name: ["the cat sat on the mat"] * 20 for name in "abc"}
    users["d"] = ["the otter sat on the mat"] * 20
    found = of(users, user="d").typical
    assert list(found) == ["d"]
    assert found["d"][0] == "otter"
    assert "cat" not in found["d"]


def test_once_is_not_typical_and_a_number_or_a_piece_is_no_word() -> None:
    users = {"a": ["ant bee"] * 9, "b": ["ant bee"] * 9 + ["42 42 42 明天 明天 fox", "cat cat"]}
    assert of(users, user="b").typical["b"] == ["cat"]


def test_typical_words_are_of_the_three_users_with_most_words() -> None:
    users = {
        name: [f"ant {name}{name}"] * n for name, n in zip("abcde", (3, 9, 5, 9, 1), strict=True)
    }
    assert of(users).typical == {"b": ["bb"], "d": ["dd"], "c": ["cc"]}


@pytest.mark.parametrize("users", [{"a": ["ant ant bee"]}, {"a": ["ant ant"], "b": ["ant ant"]}])
def test_nobody_else_or_no_other_word_means_nothing_is_typical(users: dict[str, list[str]]) -> None:
    assert set(map(tuple, of(users).typical.values())) == {()}


def test_a_corpus_without_any_word_has_a_profile() -> None:
    found = of({"a": ["😂"], "b": ["!!", "?"]}, known={"ant"})
    assert (found.words, found.distinct_words, found.words_per_message) == (0, 0, 0)
    assert found.oov == {"model": None, "own_vocabulary": None}
    assert found.histogram == {"edges": [0, 1], "counts": [2]}
    assert found.languages == {"unknown": 0.0}


class Lazy(Mapping[str, list[str]]):
    """Users that are made when they are asked for, and told who was."""

    def __init__(self, users: int) -> None:
        self.users, self.asked = users, Counter[str]()

    def __getitem__(self, name: str) -> list[str]:
        self.asked[name] += 1
        return [f"ant bee cat {name} {i}" for i in range(10)]

    def __iter__(self) -> Iterator[str]:
        return (f"u{i:03}" for i in range(self.users))

    def __len__(self) -> int:
        return self.users


def test_each_user_is_read_once() -> None:
    users = Lazy(40)
    assert profile(Corpus("lazy", users)).messages == 400
    assert users.asked == dict.fromkeys(users, 1)
