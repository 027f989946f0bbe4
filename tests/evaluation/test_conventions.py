"""Each convention against its source's own definition, computed anew from dense distributions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from nwp.evaluation.conventions import CONVENTIONS, conventions_json
from nwp.evaluation.counts import Counts, count
from nwp.evaluation.ranking import Block, from_probabilities
from nwp.evaluation.scoring import score
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Encoded

SIZE = FIRST_WORD + 6


class Given:
    """A model that says what it is told to say."""

    def __init__(self, p: np.ndarray) -> None:
        self.p = p

    def blocks(self, data: Encoded) -> Iterator[Block]:
        wanted = torch.from_numpy(data.targets.astype(np.int64) - FIRST_OUTPUT)
        yield from_probabilities(np.arange(len(wanted)), torch.from_numpy(self.p), wanted)


def case(drawn, seed: int) -> tuple[Encoded, np.ndarray, Counts]:
    """Messages, a distribution at each position (the target often the likeliest), and its counts."""
    rng = np.random.default_rng(seed)
    user = drawn(seed, 40, SIZE)
    p = rng.dirichlet(np.full(SIZE - FIRST_OUTPUT, 0.3), len(user.targets))
    right = rng.random(len(p)) < 0.4
    p[right, user.targets[right] - FIRST_OUTPUT] += 1
    p = (p + 1e-6) / (p + 1e-6).sum(1, keepdims=True)
    return user, p, count(score(Given(p), user), user)


def value(counts: Counts, name: str, source: str) -> float:
    (found,) = (
        row["value"]
        for row in conventions_json(counts)
        if row["name"] == name and source in row["source"]
    )
    return found


# In words: the targets, what is guessed, and the -ln p, as the sources have them in arrays.
def arrays(user: Encoded, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    targets = user.targets
    guess = p.argmax(1) + FIRST_OUTPUT
    nll = -np.log(p[np.arange(len(p)), targets - FIRST_OUTPUT])
    return targets, guess, nll


@pytest.mark.parametrize("seed", range(4))
def test_tensorflow_federated(drawn, seed):
    """A metric masks tokens by the target alone: pad; pad and OOV; pad, OOV and end of sentence."""
    user, p, counts = case(drawn, seed)
    y_true, y_pred, _ = arrays(user, p)
    for name, masked in (
        ("accuracy", []),
        ("accuracy_without_out_of_vocab", [UNKNOWN]),
        ("accuracy_without_out_of_vocab_or_end_of_sentence", [UNKNOWN, END]),
    ):
        mask = ~np.isin(y_true, masked)
        expected = ((y_true == y_pred) & mask).sum() / mask.sum()
        assert value(counts, name, "TensorFlow Federated") == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_fedjax(drawn, seed):
    """in_vocab masks the logits of OOV and end, and the targets that are end, but not OOV targets."""
    user, p, counts = case(drawn, seed)
    targets, guess, nll = arrays(user, p)
    weights = (targets != END).astype(float)
    logits = np.log(p)
    logits[:, [END - FIRST_OUTPUT, UNKNOWN - FIRST_OUTPUT]] = -np.inf
    right = logits.argmax(1) + FIRST_OUTPUT == targets
    assert value(counts, "top1", "accuracy_in_vocab") == pytest.approx(
        (right * weights).sum() / weights.sum()
    )
    assert value(counts, "accuracy_no_eos", "FedJAX") == pytest.approx(
        ((guess == targets) * weights).sum() / weights.sum()
    )
    assert value(counts, "perplexity", "FedJAX") == pytest.approx(np.exp(nll.mean()))
    assert value(counts, "token_oov_rate", "FedJAX") == pytest.approx((targets == UNKNOWN).mean())


@pytest.mark.parametrize("seed", range(4))
def test_leaf(drawn, seed):
    """All that is right, less what is right with the unknown symbol, over all tokens."""
    user, p, counts = case(drawn, seed)
    targets, guess, _ = arrays(user, p)
    correct, unknown = guess == targets, (guess == targets) & (guess == UNKNOWN)
    expected = (correct.sum() - unknown.sum()) / len(targets)
    assert value(counts, "accuracy", "LEAF") == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_flute(drawn, seed):
    """A guess of the unknown word is rejected even where it is right; its data has no ends."""
    user, p, counts = case(drawn, seed)
    targets, guess, _ = arrays(user, p)
    words = targets != END
    expected = ((guess == targets) & (guess != UNKNOWN))[words].mean()
    assert value(counts, "acc", "FLUTE") == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_pfl(drawn, seed):
    """Loss and accuracy over all but padding, and over all but padding and unknown targets."""
    user, p, counts = case(drawn, seed)
    targets, guess, nll = arrays(user, p)
    known = targets != UNKNOWN
    right = guess == targets
    assert value(counts, "accuracy", "pfl") == pytest.approx(right.mean())
    assert value(counts, "accuracy wo unk", "pfl") == pytest.approx(right[known].mean())
    assert value(counts, "perplexity", "pfl") == pytest.approx(np.exp(nll.mean()))
    assert value(counts, "perplexity wo unk", "pfl") == pytest.approx(np.exp(nll[known].mean()))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [1, 3])
def test_gboard(drawn, seed, k):
    """Of the words typed, those that were among the k that the strip shows: words, never marks."""
    user, p, counts = case(drawn, seed)
    targets, _, _ = arrays(user, p)
    shown = np.argsort(-p[:, FIRST_WORD - FIRST_OUTPUT :], axis=1)[:, :k] + FIRST_WORD
    typed = targets != END
    expected = (shown == targets[:, None]).any(1)[typed].mean()
    assert value(counts, f"top-{k} recall", "Gboard") == pytest.approx(expected)


def test_by_hand_where_they_differ():
    """Two words, one of them unknown, and an end: the model always says "unknown"."""
    counts = Counts(tokens=2, known=1, ends=1, open_unknown1=1)
    assert value(counts, "accuracy", "TensorFlow") == pytest.approx(1 / 3)
    assert value(counts, "accuracy_without_out_of_vocab", "TensorFlow") == 0
    assert value(counts, "accuracy", "LEAF") == 0
    assert value(counts, "accuracy_no_eos", "FedJAX") == 0.5
    assert value(counts, "acc", "FLUTE") == 0


def test_nothing_to_divide_by_is_told_as_none():
    assert all(row["value"] is None for row in conventions_json(Counts()))


def test_every_figure_says_whose_it_is_and_what_it_counts():
    keys = {(c.name, c.source) for c in CONVENTIONS}
    assert len(keys) == len(CONVENTIONS)
    assert all(c.source and c.counts for c in CONVENTIONS)
