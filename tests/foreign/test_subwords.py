"""A tiny GPT-2 with a tokenizer of its own, held to the definition: a whole forward pass for each piece."""

from __future__ import annotations

import json
import math
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers", reason="needs nwp[huggingface]")
tokenizers = pytest.importorskip("tokenizers", reason="needs nwp[huggingface]")

from nwp.corpus.types import Corpus  # noqa: E402
from nwp.errors import BadInput, Refused  # noqa: E402
from nwp.evaluation.scoring import score  # noqa: E402
from nwp.files import shipped  # noqa: E402
from nwp.foreign.subwords import Subwords, Trie, load_subwords  # noqa: E402
from nwp.tasks.compare import compare_models  # noqa: E402
from nwp.tasks.evaluate import EvaluateOptions, evaluate_bundle  # noqa: E402
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, Vocabulary, encode  # noqa: E402

TEXTS = ["the cat sat on the mat", "it's a dog, isn't it", "cats and dogs; the cats sat über 70"]
# Some are beginnings of others, in letters and in pieces.
WORDS = ("the", "cat", "cats", "catsup", "a", "an", "and", "it", "it's", "über", "70", "7", "zq")
OPTIONS = EvaluateOptions(processes=1)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "gpt2"
    spaces = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer, inner.decoder = spaces, tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=290,
        initial_alphabet=spaces.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    # Some pieces with a space in front begin no word.
    inner.train_from_iterator([*TEXTS, "the (cat - (dog"] * 10, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )
    torch.manual_seed(3)
    size = {"n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 2}
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, initializer_range=0.5, **size
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.from_lists(WORDS, {})


@pytest.fixture(scope="module")
def model(folder, vocabulary) -> Subwords:
    return load_subwords(folder, vocabulary, least=0.0)


def goes_on(text: str) -> bool:
    return text[0].isalnum() or text[0] in "'’\ufffd"


class Slow:
    """The definition, with the library alone."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        texts = [self.tokenizer.decode([i]) for i in range(len(self.tokenizer))]
        self.begins = [
            i for i, t in enumerate(texts) if t == " " or (t[0] == " " and goes_on(t[1:]))
        ]
        self.ends = [i for i, t in enumerate(texts) if i == 0 or not goes_on(t)]

    def next(self, pieces: list[int]) -> list[float]:
        with torch.no_grad():
            logits = self.model(torch.tensor([[0, *pieces]])).logits[0, -1]
        found: list[float] = torch.softmax(logits.double(), 0).tolist()
        return found

    def distribution(self, context: list[str]) -> list[float]:
        """P of the end, the unknown word and `WORDS`."""
        text = "".join(" " + w for w in context)
        before = self.tokenizer(text)["input_ids"] if text else []
        p = self.next(before)
        total = p[0] + sum(p[i] for i in self.begins)
        words = []
        for w in WORDS:
            product, path = 1.0, list(before)
            for piece in self.tokenizer(" " + w)["input_ids"]:
                product *= self.next(path)[piece]
                path.append(piece)
            after = self.next(path)
            words.append(product * sum(after[i] for i in self.ends))
        return [f / total for f in [p[0], total - p[0] - sum(words), *words]]


@pytest.mark.parametrize(
    "context", [[], ["the"], ["it's", "über", "nobody", "cats"], ["zq", "7"]], ids=len
)
def test_words_have_the_probability_of_the_definition(context, folder, model):
    assert max(len(model.pieces_of(w)) for w in WORDS) > 2
    assert any(piece.startswith("Ġ(") for piece in model.tokenizer.get_vocab())
    pieces = [piece for w in context for piece in model.pieces_of(w)]
    with torch.inference_mode():
        found = model.words(pieces)
    assert found == pytest.approx(Slow(folder).distribution(context), rel=1e-4)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found.min() > 0


def test_messages_are_scored_word_by_word_unknown_ones_read_as_they_are(folder, model, vocabulary):
    messages = ["The cats nobody", "!!!", "it’s"]
    data, slow = encode(messages, vocabulary), Slow(folder)
    found = score(model.reading(messages), data)
    expected = []
    for words in (["the", "cats", "nobody"], ["it's"]):
        expected += [slow.distribution(words[:i]) for i in range(len(words) + 1)]
    assert len(expected) == len(data.targets)
    for i, p in enumerate(expected):
        column = data.targets[i] - FIRST_OUTPUT
        assert found.nll[i] == pytest.approx(-math.log(p[column]), rel=1e-4)
        assert found.rank[i] == sum(q > p[column] for q in p[FIRST_WORD - FIRST_OUTPUT :])
    with pytest.raises(ValueError, match="not the messages"):
        score(model.reading(messages[1:]), data)


def test_what_is_not_followed_shares_alike_and_targets_are_exact(model):
    with torch.inference_mode():
        exact = model.words([])
        rough = replace(model, least=1.0)
        for i, w in enumerate(WORDS):
            p = rough.words([], model.pieces_of(w))
            assert p.sum() == pytest.approx(1)
            assert p[i + 2] == pytest.approx(exact[i + 2], rel=1e-5)
        some = replace(model, least=0.01).words([])
    followed = exact[2:] > 0.01
    assert followed.any()
    assert not followed.all()
    assert some[2:][followed] == pytest.approx(exact[2:][followed], rel=1e-5)
    assert some[0] == pytest.approx(exact[0])


def test_long_messages_keep_their_end(model):
    context = ["catsup", "it's", "zq"] * 9
    pieces = [piece for w in context for piece in model.pieces_of(w)]
    assert len(pieces) > 45
    kept = pieces[-(40 - 1 - model.trie.longest) :]
    with torch.inference_mode():
        assert model.words(pieces) == pytest.approx(model.words(kept))
        # A target that is longer than any word of the vocabulary takes more of the room.
        assert np.isfinite(model.words(pieces, pieces[:20])).all()


def test_the_trie_holds_each_word_once():
    pieces = [(1, 2), (1,), (3,), (1, 2, 4), (1, 2), (5, 6)]
    trie = Trie.of(pieces)
    assert [pieces[i] for i in trie.order] == sorted(pieces)
    assert sorted(trie.order.tolist()) == list(range(6))
    one = trie.root.children[0]
    assert (one.start, one.stop, one.own) == (0, 4, 1)
    assert one.children[0].own == 2
    assert np.array_equal(trie.root.sizes, [4, 1, 1])
    assert trie.longest == 3


def test_evaluating_and_comparing(folder):
    users = {name: [f"{t} {name}" for t in TEXTS] * 4 for name in ("ann", "ben")}
    corpus = Corpus("made up", users)
    found = evaluate_bundle(corpus, folder, OPTIONS)
    assert found.total.tokens > 20
    assert found.about["kind"] == "huggingface"
    assert found.about["parameters"] > 10_000
    plain = "".join(c if c.isalnum() or c in " '" else " " for c in " ".join(TEXTS))
    assert found.about["vocabulary"] == len({*plain.split(), *users})
    json.dumps(found.as_json(), allow_nan=False)
    pair = compare_models(corpus, [shipped("models") / "sample", folder], OPTIONS).as_json()
    assert pair["pairs"][0]["same_vocabulary"]
    with pytest.raises(Refused):
        evaluate_bundle(replace(corpus, own=False), folder, OPTIONS)


def test_nothing_is_fetched(folder, vocabulary, monkeypatch):
    def connect(*_: object) -> None:
        raise AssertionError("it calls somebody")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    load_subwords(folder, vocabulary)


def changed(folder: Path, place: Path, **settings: object) -> Path:
    """A copy of the model with other settings."""
    place.mkdir()
    for path in folder.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    config = json.loads((place / "config.json").read_text()) | settings
    (place / "config.json").write_text(json.dumps(config))
    return place


def test_code_and_pickles_in_the_folder_are_left_alone(folder, vocabulary, tmp_path):
    auto = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    own = changed(folder, tmp_path / "own", model_type="mine", auto_map=auto)
    (own / "evil.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(BadInput, match="can't be loaded"):
        load_subwords(own, vocabulary)
    pickled = changed(folder, tmp_path / "pickled")
    torch.save({"x": torch.zeros(1)}, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="can't be loaded"):
        load_subwords(pickled, vocabulary)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "config.json"])
def test_damaged_folders_are_refused(name, folder, vocabulary, tmp_path):
    broken = changed(folder, tmp_path / "broken")
    (broken / name).write_bytes(b"{}")
    with pytest.raises(BadInput) as caught:
        load_subwords(broken, vocabulary)
    assert caught.value.hint


def test_words_must_fit_into_what_the_model_reads(folder):
    with pytest.raises(BadInput, match="pieces at once"):
        load_subwords(folder, Vocabulary.from_lists(["q" * 60], {}))
