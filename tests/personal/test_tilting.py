"""The model's distribution tilted towards what one person writes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwp.personal.expecting import FloatArray, key_of
from nwp.personal.mixing import PersonalModel
from nwp.personal.store import HALF_LIFE, Personal
from nwp.personal.tilting import BACKED, SHARE, tilt_of, tilted
from nwp.text.vocabulary import END, FIRST_OUTPUT, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary.from_lists(["the", "a", "see", "you", "we", "go"], {})
OUTPUTS = len(VOCABULARY) - FIRST_OUTPUT
USUAL = np.array([0.2, 0.1, 0.3, 0.1, 0.1, 0.1, 0.05, 0.05])
EVEN = np.full(OUTPUTS, 1 / OUTPUTS)
KEY = key_of(VOCABULARY)
COUNTS = st.lists(st.floats(0, 1e6), min_size=OUTPUTS, max_size=OUTPUTS).map(np.array)


def place(word: str) -> int:
    return VOCABULARY.index[word] - FIRST_OUTPUT


def model(*messages: str, usual: FloatArray | None = USUAL) -> PersonalModel:
    """One that has counted messages, without having been asked about them."""
    personal = Personal.open()
    for message in messages:
        personal.learn(message)
    found = PersonalModel(personal, VOCABULARY, usual)
    found.refresh()
    return found


def test_a_tilt_is_what_its_formula_says() -> None:
    own = np.array([30.0, 0, 50, 20, 0, 0, 100, 0])
    expected = np.array([20.0, 10, 40, 30, 5, 5, 40, 0])  # 150 of 200
    found = tilt_of(own, expected, USUAL)
    for i in range(OUTPUTS):
        seen = expected[i] + (50 + BACKED) * USUAL[i]
        assert found[i] == pytest.approx((own[i] + BACKED * USUAL[i]) / seen)


@given(COUNTS, COUNTS, st.integers(0, 99))
@settings(max_examples=60)
def test_what_is_tilted_sums_to_one_and_is_half_the_model(
    own: FloatArray, expected: FloatArray, seed: int
) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(OUTPUTS, 0.3))
    found = tilted(p, tilt_of(own, expected, USUAL))
    assert (found >= (1 - SHARE) * p).all()
    assert found.sum() == pytest.approx(1)


@given(COUNTS)
def test_who_writes_as_was_expected_is_given_what_the_model_says(own: FloatArray) -> None:
    np.testing.assert_allclose(tilt_of(own, own, USUAL), 1)
    np.testing.assert_allclose(tilt_of(own.sum() * USUAL, None, USUAL), 1)


def test_with_nothing_learnt_the_model_is_as_it_was() -> None:
    np.testing.assert_allclose(model().mix(["see"], EVEN), EVEN, rtol=1e-12)


def test_what_a_person_writes_more_than_people_do_gains_where_they_never_wrote_it() -> None:
    messages = ["go the"] * 200
    plain, found = model(*messages, usual=None), model(*messages)
    before, after = plain.mix(["we"], EVEN), found.mix(["we"], EVEN)
    assert after[place("go")] > before[place("go")]  # a third of theirs, a twentieth of others'
    assert after[place("see")] < before[place("see")]
    assert after.sum() == pytest.approx(1)


def test_what_the_model_expected_anyway_gains_nothing() -> None:
    knowing, surprised = model(), model()
    sure = [np.eye(OUTPUTS)[i] for i in (place("go"), place("the"), END - FIRST_OUTPUT)]
    for _ in range(200):
        knowing.learn("go the", sure)
        surprised.learn("go the", [EVEN] * 3)
    spread = [found._spread(EVEN)[place("go")] for found in (knowing, surprised)]
    assert spread[0] == pytest.approx(1 / OUTPUTS)
    assert spread[1] > 1.2 / OUTPUTS


def test_words_that_the_model_does_not_know_count_as_the_unknown_word() -> None:
    messages = ["go kajsa fika", "go kajsa"] * 200
    plain, found = model(*messages, usual=None), model(*messages)
    lone = np.zeros(OUTPUTS)
    lone[[UNKNOWN - FIRST_OUTPUT, END - FIRST_OUTPUT]] = 0.5
    kajsa = found.place("kajsa")
    assert kajsa >= OUTPUTS
    assert found.mix(["we"], lone)[kajsa] > plain.mix(["we"], lone)[kajsa]


def test_what_is_expected_is_summed_over_what_is_counted_and_fades_with_it() -> None:
    found, steps = model(), np.random.default_rng(3).dirichlet(np.ones(OUTPUTS), 4)
    found.learn("see 123456 go", list(steps))  # a number of six digits is not kept
    summed = found.personal.expected(KEY)
    assert summed is not None
    np.testing.assert_allclose(summed, steps[0] + steps[2] + steps[3], rtol=1e-6)
    found.learn("go", list(steps))
    faded = (steps[0] + steps[2] + steps[3]) * 0.5 ** (1 / HALF_LIFE)
    later = found.personal.expected(KEY)
    assert later is not None
    np.testing.assert_allclose(later, faded + steps[0] + steps[1], rtol=1e-6)
    assert found.personal.expected(key_of(Vocabulary.from_lists(["other"], {}))) is None


def test_what_was_expected_is_forgotten_with_any_word() -> None:
    found = model()
    found.learn("see you", [EVEN] * 3)
    found.personal.forget(["nobody"])
    assert found.personal.expected(KEY) is not None
    found.personal.forget(["you"])
    assert found.personal.expected(KEY) is None
    found.learn("see you", [EVEN] * 3)
    found.personal.forget_all()
    assert found.personal.expected(KEY) is None


def test_few_vocabularies_are_kept() -> None:
    personal = Personal.open()
    for i in range(9):
        personal.learn("see", expected=(f"v{i}", EVEN))
    assert [f"v{i}" for i in range(9) if personal.expected(f"v{i}") is not None] == [
        "v5", "v6", "v7", "v8",
    ]  # fmt: skip
