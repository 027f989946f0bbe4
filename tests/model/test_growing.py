from __future__ import annotations

import numpy as np
import pytest
import torch

from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.model.growing import grown_bundle
from nwp.model.lstm import NextWordModel
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Vocabulary

OLD = Vocabulary.from_lists(["the", "cat", "sat"], {})
NEW = Vocabulary.from_lists(["the", "cat", "sat", "nwp", "gboard"], {"nwp": "NWP"})
UNKNOWN_OUT = UNKNOWN - FIRST_OUTPUT


def _bundle(*, tied: bool) -> Bundle:
    config = ModelConfig(len(OLD), embedding=6, hidden=5, projection=6, tied=tied, dropout=0.3)
    model = NextWordModel(config)
    model.initialize(3)
    model.set_weights(model.weights() * 7)  # far from a model that knows nothing
    return Bundle(config, OLD, (0.1, 0.2, 0.3, 0.25, 0.15), model.tensors(), {"nwp": "1"})


def _after(bundle: Bundle, ids: list[int]) -> np.ndarray:
    """What comes after each of the words, as probabilities: (T, outputs)."""
    model = NextWordModel(bundle.config)
    model.set_tensors(bundle.tensors)
    inputs = torch.tensor([ids])
    with torch.no_grad():
        found = model.logits(model.hidden(inputs, torch.zeros_like(inputs))).double()
    return np.asarray(torch.softmax(found, -1)[0].numpy())


@pytest.mark.parametrize("tied", [True, False])
def test_new_words_share_the_unknown_words_probability_and_nothing_else_changes(
    tied: bool,
) -> None:
    bundle = _bundle(tied=tied)
    grown = grown_bundle(bundle, NEW, [0.5, 0.125])
    read = [UNKNOWN, FIRST_WORD, FIRST_WORD + 2, UNKNOWN, FIRST_WORD + 1]

    before, after = _after(bundle, read), _after(grown, read)

    same = [i for i in range(len(OLD) - FIRST_OUTPUT) if i != UNKNOWN_OUT]
    np.testing.assert_allclose(after[:, same], before[:, same], rtol=1e-5)
    shares = after[:, [-2, -1, UNKNOWN_OUT]] / before[:, [UNKNOWN_OUT]]
    np.testing.assert_allclose(shares, [[0.5, 0.125, 0.375]] * len(read), rtol=1e-5)


def test_a_new_word_is_read_like_the_unknown_one() -> None:
    grown = grown_bundle(_bundle(tied=True), NEW, [0.5, 0.125])
    words = [FIRST_WORD, FIRST_WORD + 3, FIRST_WORD + 4, FIRST_WORD]
    unread = [FIRST_WORD, UNKNOWN, UNKNOWN, FIRST_WORD]

    np.testing.assert_array_equal(_after(grown, words), _after(grown, unread))


def test_all_else_of_the_bundle_fits_its_new_size() -> None:
    grown = grown_bundle(_bundle(tied=False), NEW, [0.5, 0.125])

    assert grown.vocabulary == NEW
    assert {name: t.shape for name, t in grown.tensors.items()} == grown.config.shapes()
    assert grown.config.dropout == 0.3
    assert grown.frequencies == pytest.approx((0.1, 0.075, 0.3, 0.25, 0.15, 0.1, 0.025))


def test_no_new_word_changes_nothing() -> None:
    bundle = _bundle(tied=True)
    grown = grown_bundle(bundle, OLD, [])

    assert all(np.array_equal(grown.tensors[name], t) for name, t in bundle.tensors.items())


@pytest.mark.parametrize("shares", [[0.5], [0.9, 0.2]])
def test_shares_that_do_not_fit_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="a share for each new word"):
        grown_bundle(_bundle(tied=True), NEW, shares)
