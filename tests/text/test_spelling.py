from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.text.spelling import Speller, spell
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import END, UNKNOWN, Vocabulary, encode

VOCABULARY = Vocabulary.from_lists(["see", "you", "soon", "é"], {})
SPELLER = Speller.of(VOCABULARY)


def test_a_word_costs_what_its_letters_cost_after_each_other():
    # In see, you, soon and é: s begins 2 of 4 words; e follows s 1 of 2 times; a word ends after e 1 of 2.
    expected = (2.5 / (4 + 128.5)) * (1.5 / (2 + 128.5)) * (1.5 / (2 + 128.5))
    assert SPELLER.cost("se") == pytest.approx(-math.log(expected))


def test_what_can_follow_a_letter_sums_to_one():
    assert np.exp(-SPELLER.nats).sum(1) == pytest.approx(np.ones(257))


def test_all_words_together_have_no_more_than_one():
    """Words of up to three bytes out of two letters, and all others: what is left is not negative."""
    short = ["".join(w) for n in (1, 2, 3) for w in itertools.product("so", repeat=n)]
    assert 0 < sum(math.exp(-SPELLER.cost(w)) for w in short) < 1


@given(st.lists(st.text("seyou soonzé!🙂", max_size=30), max_size=6))
def test_letters_lie_at_the_positions_of_their_words(messages):
    data = encode(messages, VOCABULARY)
    found = spell(messages, data, SPELLER)
    words = [word for message in messages for word in words_of(message)]
    assert found.sizes[data.targets != END].tolist() == [len(word) for word in words]
    assert not found.sizes[data.targets == END].any()
    unknown = [word for word in words if word not in VOCABULARY.index]
    assert found.nll[data.targets == UNKNOWN] == pytest.approx([SPELLER.cost(w) for w in unknown])
    assert not found.nll[data.targets != UNKNOWN].any()


def test_a_rare_word_costs_more_than_one_like_those_of_the_vocabulary():
    assert SPELLER.cost("soo") < SPELLER.cost("xqz")
