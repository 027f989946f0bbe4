from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwp.errors import BadInput
from nwp.personal.mixing import FloatArray, PersonalModel
from nwp.personal.priors import PRIOR, SOURCES
from nwp.personal.store import Personal
from nwp.text.vocabulary import END, FIRST_OUTPUT, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary.from_lists(["the", "a", "see", "you", "we", "go"], {})
OUTPUTS = len(VOCABULARY) - FIRST_OUTPUT
EVEN = np.full(OUTPUTS, 1 / OUTPUTS)
WORDS = st.sampled_from(["the", "a", "see", "you", "kajsa", "fika", "ok", "1234"])
MESSAGES = st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), max_size=12)


def some(seed: int) -> FloatArray:
    return np.random.default_rng(seed).dirichlet(np.full(OUTPUTS, 0.3))


def model(personal: Personal | None = None) -> PersonalModel:
    found = PersonalModel(personal or Personal.open(), VOCABULARY)
    found.refresh()
    return found


def learn(found: PersonalModel, message: str, by: FloatArray = EVEN) -> None:
    found.learn(message, [by] * 20)


def test_with_nothing_learnt_it_is_the_model() -> None:
    p = some(1)
    np.testing.assert_allclose(model().mix(["see"], p), p, rtol=1e-12)


def test_priors_are_distributions() -> None:
    assert PRIOR.shape == (36, len(SOURCES))  # six levels of what is known of two words, six of one
    np.testing.assert_allclose(PRIOR.sum(1), 1)
    assert (PRIOR > 0).all()


@given(MESSAGES, st.lists(WORDS, max_size=4), st.integers(0, 99))
@settings(max_examples=60)
def test_every_mixture_sums_to_one(messages: list[str], words: list[str], seed: int) -> None:
    found = model()
    for message in messages:
        learn(found, message, some(seed))
    p = found.mix(words, some(seed + 1))
    assert p.shape == (found.size,)
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1, abs=1e-9)


@given(MESSAGES, st.lists(WORDS, max_size=3), WORDS, st.integers(0, 99))
@settings(max_examples=60)
def test_credits_are_shares_of_the_mixture(
    messages: list[str], words: list[str], word: str, seed: int
) -> None:
    found = model()
    for message in messages:
        learn(found, message)
    credits = found.credit(words, word, some(seed))
    if found.place(word) == UNKNOWN - FIRST_OUTPUT:
        assert credits == {}
    else:
        assert sum(credits.values()) == pytest.approx(1)
        assert len({kind for kind, _ in credits}) == 1


def test_the_mixture_is_what_its_formula_says() -> None:
    """Against sums by hand: one message of words of the vocabulary, no fading in it."""
    personal, p = Personal.open(), some(3)
    personal.learn("see you")
    personal.learn("see the")
    found = model(personal)
    mixed = found.mix(["see"], p)

    half = 0.5 ** (1 / 2000)
    recent = 0.5 ** (1 / 20)
    words = {"see": half + 1, "you": half, "the": 1.0, "": half + 1}
    lately = {"see": recent + 1, "you": recent, "the": 1.0, "": recent + 1}
    after = {"you": half, "the": 1.0}  # both after "see", and after the begin and "see"

    def place(word: str) -> int:
        return VOCABULARY.index[word] - FIRST_OUTPUT if word else END - FIRST_OUTPUT

    prior = PRIOR[2 * 6 + 2]  # both contexts were seen about twice
    expected = prior[0] * p
    for weight, counts in zip(prior[1:], (words, lately, after, after), strict=True):
        for word, count in counts.items():
            expected[place(word)] += weight * count / sum(counts.values())
    np.testing.assert_allclose(mixed, expected, rtol=1e-9)


def test_weights_move_to_the_source_that_is_right() -> None:
    """A model that says what is typed keeps its weight; one that never does loses nearly all."""
    right, wrong = model(), model()
    rng = random.Random(1)
    sure = np.full(OUTPUTS, 0.02 / (OUTPUTS - 1))
    sure[VOCABULARY.index["go"] - FIRST_OUTPUT] = 0.98
    for _ in range(150):
        right.learn("go", [sure, sure])
        wrong.learn(rng.choice(["see you", "we see"]), [sure] * 3)

    def own(found: PersonalModel, words: list[str], other: str) -> float:
        """What is left of a word that the model alone expects, or the sources alone don't."""
        lone = np.zeros(OUTPUTS)
        lone[VOCABULARY.index[other] - FIRST_OUTPUT] = 1
        return float(found.mix(words, lone)[VOCABULARY.index[other] - FIRST_OUTPUT])

    assert own(wrong, ["see"], "a") < 0.15
    # What begins this person's messages is right as often as the model, and shares with it.
    assert own(right, [], "a") > 0.9 * PRIOR[-1, 0]


def test_weights_come_to_those_that_drew_the_words() -> None:
    """Words drawn from 0.3 of one source and 0.7 of another: credits find that, as EM does."""
    personal, rng = Personal.open(), np.random.default_rng(5)
    for _ in range(30):
        personal.learn("see")
    given_ = np.zeros(OUTPUTS)
    given_[VOCABULARY.index["the"] - FIRST_OUTPUT] = 1
    found = model(personal)
    for word in rng.choice(["the", "you", "see"], 800, p=[0.3, 0.0, 0.7]):
        # Only credits are written, so that what the sources say stays as it is.
        credits = found.credit(["we"], str(word), given_)
        with personal._changing():
            personal._db.executemany(
                "INSERT INTO credits VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET weight = weight + excluded.weight",
                [(*key, value) for key, value in credits.items()],
            )
        found.refresh()
    # "we" was never seen: the sources are the model and the two over words, half of which are ends.
    p = found.mix(["we"], given_)
    assert p[VOCABULARY.index["the"] - FIRST_OUTPUT] == pytest.approx(0.3, abs=0.04)


def test_credits_of_another_division_of_contexts_do_not_count() -> None:
    """Kinds were numbered from 0 on when there were sixteen of them."""
    personal = Personal.open()
    personal.learn("see you", {(kind, 0): 1000.0 for kind in range(16)})
    plain = Personal.open()
    plain.learn("see you")
    np.testing.assert_array_equal(
        model(personal).mix(["see"], EVEN), model(plain).mix(["see"], EVEN)
    )


@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_new_word_is_learnt_after_so_many_uses(after: int) -> None:
    personal = Personal.open()
    personal.set("after", after)
    found = model(personal)
    for times in range(1, 6):
        learn(found, "see kajsa")
        found.refresh()
        assert found.extras == (["kajsa"] if times >= after else [])
        assert (found.place("kajsa") == OUTPUTS) == (times >= after)
    p = found.mix(["see"], EVEN)
    assert p[OUTPUTS] > EVEN[0]


def test_a_learnt_word_gets_a_part_of_the_unknown_words_probability() -> None:
    personal = Personal.open()
    for _ in range(3):
        personal.learn("kajsa")
    found = model(personal)
    low, high = some(1), some(1)
    low[UNKNOWN - FIRST_OUTPUT], high[UNKNOWN - FIRST_OUTPUT] = 0.0, 0.9
    low, high = low / low.sum(), high / high.sum()
    assert found.mix(["we"], high)[OUTPUTS] > found.mix(["we"], low)[OUTPUTS]


def test_a_learnt_word_is_forgotten_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwp.personal.store.HALF_LIFE", 10.0)
    found = model()
    for _ in range(3):
        learn(found, "kajsa")
    found.refresh()
    assert found.extras == ["kajsa"]
    for _ in range(40):  # 3 uses * 2^-4 is less than a quarter
        learn(found, "see you")
    found.refresh()
    assert found.extras == []


def test_it_follows_what_another_connection_does(tmp_path) -> None:  # type: ignore[no-untyped-def]
    one, two = Personal.open(tmp_path / "p.sqlite"), Personal.open(tmp_path / "p.sqlite")
    found = model(one)
    for _ in range(3):
        two.learn("see kajsa", {(0, 0): 1.0})
    fresh = model(two)
    np.testing.assert_array_equal(found.mix(["see"], EVEN), fresh.mix(["see"], EVEN))
    two.forget(["kajsa"])
    found.mix(["see"], EVEN)
    assert found.extras == []
    two.forget_all()
    two.learn("go")
    np.testing.assert_array_equal(found.mix(["see"], EVEN), model(two).mix(["see"], EVEN))


def test_a_follower_that_was_learnt_in_between_is_passed_over() -> None:
    personal = Personal.open()
    personal.learn("see you")
    found = model(personal)
    personal.learn("see novel")
    # As if another process had committed between reading words and reading followers.
    _, pairs, _ = found._context(["see"])
    assert pairs.shares.sum() == pytest.approx(1)


def test_too_few_distributions_are_refused() -> None:
    with pytest.raises(BadInput, match="1 distributions"):
        model().learn("see you", [EVEN])
