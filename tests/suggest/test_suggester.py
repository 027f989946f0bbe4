from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from counted import Counting
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nwp.errors import BadInput
from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.model.runtime import FloatArray, Runtime
from nwp.suggest.reading import BLOCK, split_typed
from nwp.suggest.suggester import Suggester
from nwp.text.tokenizer import WORD
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, Vocabulary, encode

# Most probable first where the weights are `skewed`.
LIST = """
the i you hello i'm lovely london don't do done love how he help we're were on in it's its straße
strasse 3 30 3d iphone look a well known
"""
WORDS = LIST.split()
VOCABULARY = Vocabulary.from_lists(
    WORDS, {"i": "I", "i'm": "I'm", "london": "London", "iphone": "iPhone", "3d": "3D"}
)
CONFIG = ModelConfig(FIRST_WORD + len(WORDS), embedding=6, hidden=8, projection=6)


def shapes(config: ModelConfig = CONFIG) -> dict[str, tuple[int, ...]]:
    gates, size = 4 * config.hidden, config.embedding
    return {
        "embed.weight": (config.vocabulary, size),
        "mark.weight": (config.marks, size),
        "lstm.weight_ih_l0": (gates, size),
        "lstm.weight_hh_l0": (gates, config.hidden),
        "lstm.bias_ih_l0": (gates,),
        "lstm.bias_hh_l0": (gates,),
        "proj.weight": (config.projection, config.hidden),
        "proj.bias": (config.projection,),
        "out.bias": (config.outputs,),
    }


def random_weights(seed: int = 0) -> dict[str, FloatArray]:
    draw = np.random.default_rng(seed)
    return {n: draw.normal(0, 0.8, shape).astype(np.float32) for n, shape in shapes().items()}


def skewed_weights() -> dict[str, FloatArray]:
    """Whatever the context: end and unknown most probable, then the words by halves."""
    weights = {n: np.zeros(shape, np.float32) for n, shape in shapes().items()}
    weights["out.bias"] = np.log(0.5) * np.arange(CONFIG.outputs, dtype=np.float32)
    return weights


def suggester(weights: Mapping[str, FloatArray], *, exact: bool = False) -> Suggester:
    share = 1 / CONFIG.outputs
    bundle = Bundle(CONFIG, VOCABULARY, (share,) * CONFIG.outputs, weights, about={})
    return Suggester.from_bundle(bundle, exact=exact)


SKEWED = suggester(skewed_weights())
RANDOM = suggester(random_weights())
EXACT = suggester(random_weights(), exact=True)


def words(text: str, k: int = 3) -> list[str]:
    return [s.word for s in SKEWED.suggest(text, k)]


# What is completed, what follows.


@pytest.mark.parametrize(
    ("text", "before", "typed"),
    [
        ("", "", ""),
        ("hel", "", "hel"),
        ("hello ", "hello ", ""),
        ("hello,", "hello,", ""),
        ("oh don'", "oh ", "don'"),
        ("oh don’t", "oh ", "don’t"),
        ("rock'n'ro", "", "rock'n'ro"),
        ("well-kn", "well-", "kn"),
        ("@ru", "@", "ru"),
        ("a_b", "a_", "b"),
        ("he said '", "he said '", ""),
        ("he''", "he''", ""),
        ("two\nlines", "two\n", "lines"),
        ("42", "", "42"),
    ],
)
def test_split_typed(text: str, before: str, typed: str) -> None:
    assert split_typed(text) == (before, typed)


def test_the_next_word_by_probability_and_never_end_or_unknown() -> None:
    found = SKEWED.suggest("well ", 3)
    assert [s.word for s in found] == ["the", "I", "you"]
    total = sum(0.5**i for i in range(len(WORDS)))
    assert [s.probability for s in found] == pytest.approx([0.5**i / total for i in range(3)])


def test_a_completion_is_the_whole_word_and_conditions_on_what_is_typed() -> None:
    found = SKEWED.suggest("well lo", 9)
    assert [s.word for s in found] == ["lovely", "London", "love", "look"]
    shares = [0.5 ** WORDS.index(w) for w in ("lovely", "london", "love", "look")]
    assert [s.probability for s in found] == pytest.approx([s / sum(shares) for s in shares])


def test_the_typed_word_itself_is_offered() -> None:
    assert words("love") == ["lovely", "love"]
    assert SKEWED.suggest("hello")[0].probability == 1


@pytest.mark.parametrize("text", ["don", "don'", "don’", "DON’", "so don’"])
def test_contractions(text: str) -> None:
    assert "don't" in [w.lower() for w in words(text)]
    assert all("’" not in w for w in words(text))


def test_a_prefix_nobody_knows() -> None:
    assert SKEWED.suggest("xyz") == []
    assert SKEWED.suggest("hello'") == []


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one(k: int) -> None:
    with pytest.raises(BadInput) as caught:
        SKEWED.suggest("hello ", k)
    assert caught.value.hint


def test_k_beyond_the_vocabulary() -> None:
    assert len(SKEWED.suggest("", 10**6)) == len(WORDS)
    assert sum(s.probability for s in SKEWED.suggest("", 10**6)) == pytest.approx(1)


def test_equal_probabilities_come_in_the_order_of_the_vocabulary() -> None:
    flat = suggester({n: np.zeros(shape, np.float32) for n, shape in shapes().items()})
    assert [s.word for s in flat.suggest("well ", 4)] == ["the", "I", "you", "hello"]


# Capitals.


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("", "The"),
        ("  ", "The"),
        ("Hello. ", "The"),
        ("Hello! ", "The"),
        ("Hello?", "The"),
        ("Hello\n", "The"),
        ("hello. Well? ", "The"),
        ("hello. ", "the"),
        ("hello Ruth. ", "the"),
        ("Hello, ", "the"),
        ("Hello… ", "the"),
        ("Hello. l", "Lovely"),
        ("hello. l", "lovely"),
        ("hello. i'", "I'm"),
        ("l", "lovely"),
        ("L", "Lovely"),
        ("Lo", "Lovely"),
        ("lon", "London"),
        ("LON", "LONDON"),
        ("LOn", "LOndon"),
        ("HEL", "HELLO"),
        ("H", "Hello"),
        ("Hello. iph", "iPhone"),
        ("IPH", "IPHONE"),
        ("3", "3"),
        ("I'", "I'm"),
        ("I'M", "I'M"),
        ("STRA", "straße"),
    ],
)
def test_capitals(text: str, best: str) -> None:
    assert words(text)[0] == best


def test_a_long_text_starts_no_message_where_reading_begins() -> None:
    assert words("hello there " * 500)[0] == "the"
    assert words("!" * 3000)[0] == "the"
    assert words("Hello there. " * 500)[0] == "The"


# The same as reading a message from scratch.


@pytest.mark.parametrize(
    "message",
    [
        "Hello, how do you do?\nLovely in London - it's well-known.",
        "@the https://example.org/it's 3 😀 (i'm 42)... 'done' \"he\" we're xyz",
    ],
)
def test_the_context_of_a_word_is_read_as_in_training(message: str) -> None:
    runtime = Runtime(CONFIG, random_weights())
    encoded = encode([message], VOCABULARY)
    state, start = runtime.start(), 0
    lowered = message.lower()
    for i in range(encoded.words):
        state = runtime.step(state, int(encoded.inputs[i]), int(encoded.marks[i]))
        if (target := int(encoded.targets[i])) < FIRST_WORD:
            continue
        word = VOCABULARY.word(target)
        start = lowered.index(word, start)
        typed = message[: start + 1]
        scores = np.exp(runtime.log_probabilities(state).astype(np.float64))
        fits = {w: scores[VOCABULARY.index[w] - FIRST_OUTPUT] for w in WORDS if w[0] == word[0]}
        found = RANDOM.suggest(typed, 99)
        known = {s.word.lower(): s.probability for s in found if s.word.lower() in fits}
        assert known.keys() == fits.keys()
        for one, share in known.items():  # words of the message itself may be among those found
            wanted = fits[one] / sum(fits.values()) * sum(known.values())
            assert share == pytest.approx(wanted, rel=1e-5)
        start += len(word)


def test_punctuation_counts_before_the_space_is_typed() -> None:
    assert RANDOM.suggest("hello,") == RANDOM.suggest("hello, ")
    assert RANDOM.suggest("hello,") != RANDOM.suggest("hello ")


# Any text whatever.

PIECES = st.sampled_from(
    [*WORDS, "Hello", "LON", "don’", " ", " ", "\n", ". ", ", ", "'", "’", "-", "😀", "@", "_", "x"]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))


@settings(deadline=None, max_examples=300, database=None)
@given(TEXTS, st.integers(1, 40))
@example("İstanbul İ", 3)
@example("ΟΔΟΣ. ΟΔΟΣ", 3)
@example("a\u0307b", 3)
def test_properties(text: str, k: int) -> None:
    found = RANDOM.suggest(text, k)
    shares = [s.probability for s in found]
    typed = split_typed(text)[1].lower().replace("’", "'")
    assert len(found) <= k
    assert len({s.word.lower() for s in found}) == len(found)
    assert shares == sorted(shares, reverse=True)
    assert all(0 < share <= 1 for share in shares)
    assert sum(shares) <= 1 + 1e-9
    before = set(WORD.findall(split_typed(text)[0].lower().replace("’", "'")))
    assert all(s.word.lower() in VOCABULARY.index or typed for s in found)
    if typed.isdigit() or len(typed) == 1:
        assert all(s.word.lower().startswith(typed) for s in found if s.word.isascii())
    exact = EXACT.suggest(text, k)
    assert all(s.word.lower().startswith(typed) for s in exact)
    new = [s.word for s in found if s.word.lower() not in VOCABULARY.index]
    assert all(w.lower() in before or w[0].isdigit() for w in new)
    if text and (text[-1].isalnum() or (text[-1] in "'’" and text[-2:-1].isalnum())):
        assert typed
    else:
        assert len(found) == min(k, len(WORDS))


@settings(deadline=None, max_examples=60, database=None)
@given(TEXTS, st.integers(0, 3))
def test_typing_gives_what_reading_from_scratch_gives(text: str, deleted: int) -> None:
    typing = suggester(random_weights())
    whole = [text[:i] for i in range(len(text) + 1)]
    for part in whole + whole[-1 - deleted :]:
        assert typing.suggest(part) == suggester(random_weights()).suggest(part)


@settings(deadline=None, max_examples=100, database=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_key_costs_one_step_at_most_and_going_back_none(text: str) -> None:
    runtime = Counting(CONFIG, random_weights())
    typing = Suggester(runtime, VOCABULARY)
    for i in range(len(text) + 1):
        before = runtime.steps
        typing.suggest(text[:i])
        assert runtime.steps <= before + 1
    before = runtime.steps
    for i in range(len(text), -1, -1):
        typing.suggest(text[:i])
    assert runtime.steps == before


def test_a_long_text_is_read_from_its_last_blocks_only() -> None:
    runtime = Counting(CONFIG, random_weights())
    typing = Suggester(runtime, VOCABULARY)
    text = ("well hello you. " * 7000)[:100_000]
    typing.suggest(text)
    assert runtime.steps <= 2 * BLOCK / 5
    costs = []
    for i, character in enumerate("how do you do in london. " * 50):
        text += character
        before = runtime.steps
        found = typing.suggest(text)
        costs.append(runtime.steps - before)
        if i % 100 == 0:
            assert found == suggester(random_weights()).suggest(text)
    assert sum(cost > 1 for cost in costs) <= len(costs) / BLOCK + 1
    assert max(costs) <= 2 * BLOCK / 5


@pytest.mark.parametrize("text", ["x" * 5000, "a." * 3000, "'" * 5000, "\n" * 5000, "1" * 5000])
def test_long_texts_without_words_or_spaces(text: str) -> None:
    for end in ("", " ", "l"):
        assert RANDOM.suggest(text + end) == suggester(random_weights()).suggest(text + end)


def test_states_that_nobody_will_need_are_forgotten() -> None:
    runtime = Counting(CONFIG, random_weights())
    typing = Suggester(runtime, VOCABULARY)
    texts = [f"{word} " + "a " * 900 for word in WORDS[:9]]
    for text in texts:
        typing.suggest(text)
    steps = runtime.steps
    typing.suggest(texts[-1])
    assert runtime.steps == steps
    typing.suggest(texts[0])
    assert runtime.steps > steps


def test_importing_it_brings_no_torch_and_no_terminal() -> None:
    code = (
        "import sys, nwp.suggest.suggester;"
        "sys.exit(bool({'torch', 'prompt_toolkit', 'safetensors', 'nltk'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
