from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nwp.evaluation.ranking import from_logits, from_probabilities, prefixes_of, stand
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN

word = st.text("abc'é", min_size=1, max_size=6)


@given(st.lists(word, min_size=1, max_size=30, unique=True))
def test_prefixes_find_the_words_that_begin_so(words):
    found = prefixes_of(tuple(words))
    for i, mine in enumerate(words):
        assert found.sizes[i] == len(mine)
        for letters in range(len(mine)):
            start, stop = int(found.starts[i, letters]), int(found.stops[i, letters])
            side_by_side = {words[j] for j in found.order[start:stop].tolist()}
            assert side_by_side == {w for w in words if w.startswith(mine[:letters])}


@given(st.lists(word, min_size=1, max_size=30, unique=True), st.integers(0, 2**32), st.booleans())
def test_where_each_output_stands_is_found_by_sorting(words, seed, ties):
    rng = np.random.default_rng(seed)
    outputs = len(words) + FIRST_WORD - FIRST_OUTPUT
    logits = rng.normal(size=(12, outputs)).astype(np.float32)
    if ties:
        logits = logits.round()
    wanted = rng.integers(0, outputs, 12)
    block = from_logits(np.arange(12), torch.from_numpy(logits), torch.from_numpy(wanted))
    rank, above, typed = stand(block, prefixes_of(tuple(words)))
    for i, target in enumerate(wanted.tolist()):
        order = sorted(range(outputs), key=lambda o: (-logits[i, o], o))
        guesses = [o for o in order if o >= FIRST_WORD - FIRST_OUTPUT]
        ahead = order[: order.index(target)]
        if target in guesses:
            assert rank[i] == guesses.index(target)
            assert above[i] == len(ahead) - guesses.index(target)
            mine = words[target - FIRST_WORD + FIRST_OUTPUT]
            names = [words[o - FIRST_WORD + FIRST_OUTPUT] for o in guesses]
            shown = [
                n
                for n in range(len(mine))
                if mine in [name for name in names if name.startswith(mine[:n])][:3]
            ]
            assert typed[i] == (shown[0] if shown else -1)
        else:
            assert rank[i] + above[i] == len(ahead)
            assert typed[i] == -1


def test_without_prefixes_nothing_is_typed():
    block = from_logits(np.arange(1), torch.tensor([[0.0, 0.0, 1.0, 2.0]]), torch.tensor([3]))
    rank, above, typed = stand(block, None)
    assert (int(rank[0]), int(above[0]), int(typed[0])) == (0, 0, -1)


def test_probabilities_and_logits_of_them_stand_alike():
    p = np.random.default_rng(0).dirichlet(np.ones(9), 20)
    wanted = torch.arange(20) % 9
    one = from_probabilities(np.arange(20), torch.from_numpy(p), wanted)
    two = from_logits(np.arange(20), torch.from_numpy(np.log(p) + 3), wanted)
    assert one.nll.numpy() == pytest.approx(two.nll.numpy())
    assert one.confidence.numpy() == pytest.approx(two.confidence.numpy())
    words = tuple("abcdefg")
    for mine, theirs in zip(
        stand(one, prefixes_of(words)), stand(two, prefixes_of(words)), strict=True
    ):
        assert mine.tolist() == theirs.tolist()


def test_the_end_and_the_unknown_word_come_before_a_word_of_the_same_score():
    zero = torch.zeros(3, 5)
    block = from_logits(np.arange(3), zero, torch.tensor([END, UNKNOWN, FIRST_WORD]) - FIRST_OUTPUT)
    rank, above, _ = stand(block, None)
    assert rank.tolist() == [0, 0, 0]
    assert above.tolist() == [0, 1, 2]
