"""What other commands make of a bundle that has n-grams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import FEW, Nwp, write_corpus

from nwp.model.bundle import load_bundle, save_bundle
from nwp.model.expert import KINDS, Expert, Order

TURNS = ["see you tomorrow at home", "how are you this morning", "come with me to the park"]
NONE = np.zeros(0, np.int64)


@pytest.fixture
def mixed(bundle: Path, own_place: Path) -> Path:
    """The trained bundle with a table of pairs: each word is followed by the one before it in the list."""
    base = load_bundle(bundle)
    words = np.arange(len(base.vocabulary.words)) + 5
    pairs = Order.of(words, words - 3, np.full(len(words), 40))
    weights = np.tile(np.array([0.2, 0.7, 0.1], np.float32), (KINDS, 1))
    expert = Expert(3, pairs, Order.of(NONE, NONE, NONE), weights)
    told = {"k": 3, "pairs": len(words), "triples": 0, "corpus": "x", "plan": "", "command": ""}
    about = {**base.about, "ngrams": told}
    save_bundle(replace(base, expert=expert, about=about), own_place / "mixed")
    return own_place / "mixed"


@pytest.fixture
def own(own_place: Path) -> Path:
    """One user with enough messages to choose by."""
    texts = [TURNS[i * i % 7 % 3] for i in range(110)]
    return write_corpus(own_place / "own.jsonl", {"kajsa": texts})


def test_personalize_tells_what_the_new_bundle_will_suggest_with_its_ngrams(
    nwp: Nwp, own: Path, mixed: Path
) -> None:
    words = ("personalize", own, "--model", mixed, "--passes", 2, "--out", "mine", "--json")
    found = nwp(*words).result()

    assert load_bundle(Path("mine")).expert is not None
    for model, when in ((mixed, "before"), ("mine", "after")):
        words = ("evaluate", own, "--model", model, "--processes", 1, "--json")
        summary = nwp(*words).result()["summary"]
        for name, value in found["test"][when].items():
            assert summary[name] == pytest.approx(value), (model, name)
    assert "| n-grams | those of the bundle it began from:" in Path("mine/README.md").read_text()


def test_evaluate_says_which_baselines_are_without_ngrams(
    nwp: Nwp, corpus: Path, mixed: Path, bundle: Path
) -> None:
    words = ("evaluate", corpus, "--processes", 1, "--with", "unigram,untrained,personal")

    found = nwp(*words, "--model", mixed, "--json").result()
    told = " ".join(nwp(*words, "--model", mixed).out.split())

    assert found["without_ngrams"] == ["untrained"]
    assert "Without n-grams, which this model has: start." in told
    # The model is far off with this table, and so is what each user makes of it.
    plain = nwp(*words, "--model", bundle, "--json").result()
    assert "without_ngrams" not in plain
    before, after = (x["baselines"]["personal"]["perplexity"] for x in (plain, found))
    assert after > 1.5 * before
    assert after < 1.05 * found["summary"]["perplexity"]


def test_compare_says_it_too(nwp: Nwp, corpus: Path, mixed: Path) -> None:
    words = ("compare", corpus, mixed, "--processes", 1, "--with", "untrained")

    assert nwp(*words, "--json").result()["without_ngrams"] == ["untrained"]
    assert "Without n-grams, which mixed has: untrained." in nwp(*words).out


@pytest.mark.parametrize("more", [(), ("--new-words", 5)])
def test_training_on_leaves_ngrams_out_and_says_how_to_make_new_ones(
    nwp: Nwp, corpus: Path, mixed: Path, more: tuple[object, ...]
) -> None:
    on = ("--rounds", 1, "--from", mixed, *more, "--no-record")
    words = ("train", corpus, *FEW, *on, "--out")

    done = nwp(*words, "on")
    found = nwp(*words, "again", "--json").result()

    assert done.code == 0
    assert "nwp model ngrams CORPUS --model on --out DIR" in done.err
    assert load_bundle(Path("on")).expert is None
    assert not Path("on/ngrams.safetensors").exists()
    assert found["ngrams_left_out"] is True
    assert nwp(*words, "again", "--json", "--resume").result() == found


def test_training_from_a_bundle_without_ngrams_says_nothing_of_them(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    words = ("train", corpus, *FEW, "--rounds", 1, "--from", bundle, "--no-record", "--out")

    assert "n-grams" not in nwp(*words, "on").err
    assert nwp(*words, "again", "--json").result()["ngrams_left_out"] is False
