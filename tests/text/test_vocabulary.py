from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.model.config import ModelConfig
from nwp.text.tokenizer import MARKS, Mark, tokenize, words_of
from nwp.text.vocabulary import (
    BEGIN,
    END,
    FIRST_OUTPUT,
    FIRST_WORD,
    NUMBER,
    PAD,
    UNKNOWN,
    Vocabulary,
    context_ids,
    encode,
)

WORDS = ["the", "cat", "i'm", "2025", "london"]
THE, CAT, IM, YEAR, LONDON = range(FIRST_WORD, FIRST_WORD + 5)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary.from_lists(WORDS, {"i'm": "I'm", "london": "London"})


def test_ids_that_are_no_words_stand_before_the_words_inputs_before_outputs() -> None:
    assert [PAD, BEGIN, NUMBER, END, UNKNOWN] == [0, 1, 2, 3, 4]
    assert (FIRST_OUTPUT, FIRST_WORD) == (END, 5)


def test_a_models_default_sizes_fit_the_ids_and_marks_of_text() -> None:
    config = ModelConfig(vocabulary=9)
    assert (config.first_output, config.marks) == (FIRST_OUTPUT, MARKS)


def test_words_have_ids_in_their_order(vocabulary: Vocabulary) -> None:
    assert [vocabulary.target(word) for word in WORDS] == [THE, CAT, IM, YEAR, LONDON]
    assert [vocabulary.word(i) for i in (THE, CAT, IM, YEAR, LONDON)] == WORDS
    assert [vocabulary.surface(i) for i in (THE, IM, LONDON)] == ["the", "I'm", "London"]
    assert len(vocabulary) == 10


@pytest.mark.parametrize("identity", [PAD, BEGIN, NUMBER, END, UNKNOWN])
def test_ids_below_the_first_word_have_no_word(vocabulary: Vocabulary, identity: int) -> None:
    with pytest.raises(ValueError, match="no word"):
        vocabulary.word(identity)


@pytest.mark.parametrize(
    ("word", "read", "predicted"),
    [
        ("cat", CAT, CAT),
        ("dog", UNKNOWN, UNKNOWN),
        ("7", NUMBER, UNKNOWN),
        ("3rd", NUMBER, UNKNOWN),
        ("٣", NUMBER, UNKNOWN),
        ("2025", YEAR, YEAR),
        ("b12", UNKNOWN, UNKNOWN),
    ],
)
def test_an_unknown_number_is_read_as_a_number_but_predicted_as_unknown(
    vocabulary: Vocabulary, word: str, read: int, predicted: int
) -> None:
    assert vocabulary.input(word) == read
    assert vocabulary.target(word) == predicted


def test_messages_are_laid_end_to_end_each_with_its_end(vocabulary: Vocabulary) -> None:
    found = encode(["The cat, in 7 ways!", "...", "", "mail me@x.org I’m"], vocabulary)
    assert found.offsets.tolist() == [0, 6, 12]
    # the cat in 7 ways END | mail me x org i'm END
    assert found.targets.tolist() == [
        *(THE, CAT, UNKNOWN, UNKNOWN, UNKNOWN, END),
        *(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, IM, END),
    ]
    assert found.inputs.tolist() == [
        *(BEGIN, THE, CAT, UNKNOWN, NUMBER, UNKNOWN),
        *(BEGIN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, IM),
    ]
    space, comma, bang = Mark.SPACE, Mark.COMMA, Mark.EXCLAMATION
    assert found.marks.tolist() == [
        *(space, space, comma, space, space, bang),
        *(space, space, Mark.URL, Mark.JOINT, space, space),
    ]
    assert found.addresses.tolist() == [False] * 6 + [False, True, True, True, False, False]
    assert (found.messages, found.words) == (2, 10)
    types = (found.inputs.dtype, found.marks.dtype, found.targets.dtype, found.offsets.dtype)
    assert types == (np.int32, np.int32, np.int32, np.int64)


@pytest.mark.parametrize("messages", [[], ["", "?!", "🙂"]])
def test_nothing_to_predict_is_an_empty_encoding(
    vocabulary: Vocabulary, messages: list[str]
) -> None:
    found = encode(messages, vocabulary)
    assert (found.messages, found.words, found.offsets.tolist()) == (0, 0, [0])
    assert found.targets.dtype == np.int32


@given(st.lists(st.text("Thecat I'’m7.,@\n🙂", max_size=20), max_size=6))
def test_an_encoding_says_the_same_as_the_messages_one_by_one(messages: list[str]) -> None:
    vocabulary = Vocabulary.from_lists(["the", "cat", "i'm", "a", "7"], {})
    found = encode(messages, vocabulary)
    spoken = [message for message in messages if words_of(message)]
    assert found.messages == len(spoken)
    assert found.words == sum(len(words_of(message)) for message in messages)
    for i, message in enumerate(spoken):
        here = slice(found.offsets[i], found.offsets[i + 1])
        words = words_of(message)
        assert found.targets[here].tolist() == [*map(vocabulary.target, words), END]
        assert found.inputs[here].tolist() == [BEGIN, *map(vocabulary.input, words)]
        assert found.marks[here].tolist() == tokenize(message).marks
        assert len(found.addresses[here]) == len(words) + 1


def test_a_context_is_read_as_the_inputs_of_its_message(vocabulary: Vocabulary) -> None:
    message = "The cat, 7 dogs"
    found = encode([message], vocabulary)
    read = list(zip(found.inputs.tolist(), found.marks.tolist(), strict=True))
    assert context_ids(tokenize(message), vocabulary) == read


def test_as_plain_data_it_survives_json(vocabulary: Vocabulary) -> None:
    data = json.loads(json.dumps(vocabulary.as_dict()))
    assert data == {"words": WORDS, "surfaces": {"i'm": "I'm", "london": "London"}}
    again = Vocabulary.from_lists(data["words"], data["surfaces"])
    assert again == vocabulary
    assert again.index == vocabulary.index


@given(st.lists(st.text(min_size=1, max_size=4).map(str.lower), unique=True), st.data())
def test_any_vocabulary_survives_being_plain_data(words: list[str], data: st.DataObject) -> None:
    capital = {w: w.title() for w in words if w.title() != w and w.title().lower() == w}
    chosen = data.draw(st.sets(st.sampled_from(sorted(capital)))) if capital else set()
    vocabulary = Vocabulary.from_lists(words, {w: capital[w] for w in chosen})
    assert Vocabulary.from_lists(**vocabulary.as_dict()) == vocabulary


@pytest.mark.parametrize(
    ("words", "surfaces", "why"),
    [
        (["a", "b", "a"], {}, "different"),
        (["a", ""], {}, "non-empty"),
        (["a", 7], {}, "strings"),
        (["a", None], {}, "strings"),
        (["a"], {"a": "B"}, "other capitals"),
        (["i'm"], {"i'm": "Im"}, "other capitals"),
    ],
)
def test_words_that_repeat_or_are_none_and_foreign_surfaces_are_refused(
    words: list[str], surfaces: dict[str, str], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Vocabulary.from_lists(words, surfaces)
