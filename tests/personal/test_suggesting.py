from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwp.errors import BadInput, Refused
from nwp.model.config import ModelConfig
from nwp.model.runtime import FloatArray, Runtime
from nwp.personal import load, require
from nwp.personal.store import Personal
from nwp.personal.suggesting import PersonalSuggester
from nwp.suggest.blocking import Blocking, default_words
from nwp.suggest.suggester import Suggester
from nwp.text.vocabulary import FIRST_WORD, Vocabulary

WORDS = [
    "the",
    "a",
    "see",
    "you",
    "we",
    "go",
    "party",
    "parties",
    "well",
    "we'll",
    "spices",
    "faggot",
]


def suggester(words: list[str] = WORDS, seed: int = 0, *, exact: bool = False) -> Suggester:
    vocabulary = Vocabulary.from_lists(words, {})
    config = ModelConfig(FIRST_WORD + len(words), embedding=6, hidden=8, projection=6)
    draw = np.random.default_rng(seed)
    gates = 4 * config.hidden
    shapes = {
        "embed.weight": (config.vocabulary, 6), "mark.weight": (config.marks, 6),
        "lstm.weight_ih_l0": (gates, 6), "lstm.weight_hh_l0": (gates, 8),
        "lstm.bias_ih_l0": (gates,), "lstm.bias_hh_l0": (gates,),
        "proj.weight": (6, 8), "proj.bias": (6,), "out.bias": (config.outputs,),
    }  # fmt: skip
    tensors: dict[str, FloatArray] = {
        name: draw.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()
    }
    return Suggester(Runtime(config, tensors), vocabulary, exact=exact)


PLAIN = suggester()


def personal_suggester(personal: Personal | None = None) -> PersonalSuggester:
    return PersonalSuggester(PLAIN, personal or Personal.open())


def shown(found: PersonalSuggester | Suggester, text: str, k: int = 50) -> list[str]:
    return [s.word for s in found.suggest(text, k)]


@pytest.mark.parametrize("text", ["", "see ", "see y", "Hello. ", "We go t", "SEE YO"])
def test_with_nothing_learnt_it_suggests_as_the_model(text: str) -> None:
    mine, plain = personal_suggester().suggest(text, 50), PLAIN.suggest(text, 50)
    assert [s.word for s in mine] == [s.word for s in plain]
    np.testing.assert_allclose(
        [s.probability for s in mine], [s.probability for s in plain], rtol=1e-5
    )


def test_what_is_sent_comes_first_next_time() -> None:
    found = personal_suggester()
    for _ in range(6):
        found.learn("see you at Kajsa's, we go to fika")
    assert shown(found, "see ", 1) == ["you"]
    assert shown(found, "see you at ", 1) == ["Kajsa's"]
    assert shown(found, "we go to f", 1) == ["fika"]
    assert shown(found, "We go to F", 1) == ["Fika"]
    assert shown(found, "FI", 1) == ["FIKA"]
    total = sum(s.probability for s in found.suggest("see ", 50))
    assert total == pytest.approx(1)


def test_a_slip_is_forgiven_in_words_of_either_kind() -> None:
    found = personal_suggester()
    for _ in range(6):
        found.learn("see Kajsa at the party")
    assert shown(found, "see kasj", 1) == ["Kajsa"]
    assert shown(found, "see the prat", 1) == ["party"]
    assert shown(found, "see the partt", 1) == ["party"]
    assert PersonalSuggester(suggester(exact=True), Personal.open()).suggest("see prat") == []


def test_words_of_the_text_are_offered_beside_learnt_ones_and_once() -> None:
    found = personal_suggester()
    assert shown(found, "see Kajsa. k") == ["Kajsa"]
    assert shown(found, "see Kajsa. kasj") == ["Kajsa"]
    assert shown(found, "at 14:30. 1") == ["14:30"]
    for _ in range(6):
        found.learn("see kajsa")
    assert shown(found, "see Kajsa. k") == ["kajsa"]
    total = sum(s.probability for s in found.suggest("Kim, kajsa. k", 50))
    assert total == pytest.approx(1)


def test_off_the_record_leaves_no_byte(tmp_path: Path) -> None:
    found = personal_suggester(Personal.open(tmp_path / "p.sqlite"))
    found.learn("hello there")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    found.off_the_record = True
    found.learn("zyxomma zyxomma")
    found.suggest("zyxomma ")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {n: raw for n, raw in before.items() if not n.endswith("-shm")} == {
        n: raw for n, raw in after.items() if not n.endswith("-shm")
    }
    assert b"zyxomma" not in b"".join(after.values())
    found.off_the_record = False
    found.learn("zyxomma")
    assert b"zyxomma" in b"".join(path.read_bytes() for path in tmp_path.iterdir())


CANDIDATES = [
    *WORDS,
    "kajsa",
    "kajsas",
    "kajsa's",
    "fika",
    "Faggots",
    "NIGGER",
    "box",
    "boxes",
    "ﬁka",
]


@given(
    st.lists(st.lists(st.sampled_from(CANDIDATES), min_size=1, max_size=4), max_size=8),
    st.lists(st.sampled_from(CANDIDATES), max_size=3),
    st.sampled_from(
        [
            *("", "see ", "k", "f", "b", "the p", "F", "we w", "n", "kasj", "fgag", "prat", "boxs"),
            *("Kajsa's k", "faggots NIGGER kajsa f", "nigger n", "fika, boxes, fik", "Nigger nig"),
        ]
    ),
)
@settings(max_examples=60)
def test_a_blocked_word_is_never_suggested(
    messages: list[list[str]], blocked: list[str], text: str
) -> None:
    personal = Personal.open()
    personal.set("after", 1)
    found = personal_suggester(personal)
    for message in messages:
        found.learn(" ".join(message))
    personal.block(blocked)
    blocking = Blocking([*default_words(), *blocked])
    for word in shown(found, text):
        assert word not in blocking
        assert word.lower() not in {b.lower() for b in blocked} | {"faggot", "faggots", "nigger"}


def test_blocking_and_unblocking_take_effect_at_once() -> None:
    personal = Personal.open()
    found = personal_suggester(personal)
    assert "party" in shown(found, "p")
    personal.block(["Party"])
    assert not {"party", "parties"} & set(shown(found, "p"))
    assert personal.unblock(["PARTY", "go"]) == ["party"]
    assert {"party", "parties"} <= set(shown(found, "p"))


def test_the_model_alone_suggests_nothing_from_the_list() -> None:
    assert shown(PLAIN, "fag") == []
    assert "spices" in shown(PLAIN, "sp")


@pytest.mark.parametrize(
    ("listed", "word", "blocked"),
    [
        ("party", "PARTY", True), ("party", "parties", True), ("party", "party’s", True),
        ("toy", "toys", True), ("toy", "toies", False), ("box", "boxes", True),
        ("box", "boxs", False), ("kid", "kids'", True), ("spic", "spices", False),
        ("ill", "I'll", False), ("schon", "schön", False), ("fika", "ﬁka", True),
        ("ass", "class", False), ("ass", "assess", False),
    ],
)  # fmt: skip
def test_the_rule_of_the_list(listed: str, word: str, blocked: bool) -> None:
    assert (word in Blocking([listed])) == blocked


def test_the_list_that_ships_is_small_plain_and_sorted() -> None:
    words = list(default_words())
    assert words == sorted(set(words))
    assert all(word.isascii() and word.islower() for word in words)
    assert len(words) < 100


def test_no_suggestions_is_bad_input() -> None:
    with pytest.raises(BadInput):
        personal_suggester().suggest("see ", 0)


def test_it_is_off_until_it_is_turned_on(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    assert load(PLAIN, path) is None
    assert not path.exists()
    with pytest.raises(Refused, match="off"):
        require(PLAIN, path)
    personal = Personal.open(path)
    assert load(PLAIN, path) is None
    personal.set("on", 1)
    assert load(PLAIN, path) is not None


def test_neither_torch_nor_a_prompt_is_imported() -> None:
    code = (
        "import sys, nwp.personal.suggesting, nwp.personal; "
        "sys.exit(bool({'torch', 'prompt_toolkit', 'safetensors', 'nltk'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_a_key_stays_fast_after_many_messages(tmp_path: Path) -> None:
    words = [f"w{i:x}" for i in range(9000)]
    words = [w for w in words if sum(map(str.isdigit, w)) < 4]
    draw = np.random.default_rng(0)
    personal = Personal.open()
    shares = 1 / np.arange(1, len(words) + 1)
    for row in draw.choice(len(words), (100_000, 8), p=shares / shares.sum()):
        personal.learn(" ".join(words[i] for i in row))
    found = PersonalSuggester(suggester(words[:8000]), personal)
    times = []
    for i in range(300):
        text = f"{words[i]} {words[i % 7]} "
        began = time.perf_counter()
        found.suggest(text)
        times.append(time.perf_counter() - began)
    assert sorted(times)[150] < 0.002
