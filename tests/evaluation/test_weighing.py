"""What the sources of the mixture are credited with, against EM one word at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nwp.errors import BadMessage
from nwp.evaluation.scoring import predictor_of, score
from nwp.evaluation.weighing import (
    WEIGH,
    credit,
    expert_received,
    expert_sent,
    source_probabilities,
    weights_from,
)
from nwp.federated.parcel import Parcel
from nwp.federated.plan import NgramsPlan
from nwp.model.config import ModelConfig
from nwp.model.expert import KINDS, PRIOR, SOURCES, STRENGTH, Expert, Order, usual_weights
from nwp.model.lstm import NextWordModel
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Encoded

WORDS = tuple("abcdefgh")
CONFIG = ModelConfig(vocabulary=FIRST_WORD + len(WORDS), embedding=3, hidden=4, projection=3)


@pytest.fixture
def weights() -> np.ndarray:
    model = NextWordModel(CONFIG)
    model.initialize(3)
    return model.weights()


@pytest.fixture
def users(laid: Callable[..., Encoded]) -> list[Encoded]:
    return [laid([[5, 6, 7], [6, 7]]), laid([[8, UNKNOWN, 9, 5, 6]])]


@pytest.fixture
def expert() -> Expert:
    pairs = Order.of(np.array([5, 5, 6]), np.array([3, 4, 4]), np.array([30, 10, 5]))
    triples = Order.of(np.array([5 << 20 | 6]), np.array([4]), np.array([3]))
    return Expert(3, pairs, triples, usual_weights())


def test_credits_are_those_of_em_word_by_word():
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, KINDS, 200)
    each = rng.random((200, len(SOURCES)))
    there = np.stack([np.ones(200, bool), kinds % 5 > 0, kinds >= 5], 1)
    each *= there
    weights = np.tile(PRIOR, (KINDS, 1))
    for _ in range(30):
        credits = np.zeros((KINDS, len(SOURCES)))
        for kind, p, here in zip(kinds, each, there, strict=True):
            w = weights[kind] * here
            credits[kind] += w / w.sum() * p / (w / w.sum() * p).sum()
        weights = credits + STRENGTH * PRIOR
        weights /= weights.sum(1, keepdims=True)
    assert credit(kinds, each, there) == pytest.approx(credits, rel=1e-4, abs=1e-4)


def test_sources_are_asked_for_known_words_and_ends(weights, expert, users):
    kinds, each, there = source_probabilities(weights, CONFIG, expert, users)
    words = sum(len(user.targets) for user in users) - 1  # but the unknown one
    assert len(kinds) == len(each) == len(there) == words
    assert each[each[:, 1] > 0, 1].tolist() == pytest.approx([0.75, 1.0, 1.0, 0.75])
    assert (each[~there] == 0).all()


def test_the_mixed_predictor_scores_what_the_sources_say(weights, expert, users):
    for user in users:
        kinds, each, _ = source_probabilities(weights, CONFIG, expert, [user])
        known = user.targets != UNKNOWN
        found = expert.look(*contexts(user))
        mixed = (each * expert.shares_of(found)[known]).sum(1)
        scored = score(predictor_of(CONFIG, weights, expert), user)
        assert np.exp(-scored.nll[known]) == pytest.approx(mixed, rel=1e-4)
        plain = score(predictor_of(CONFIG, weights), user)
        assert (plain.nll != scored.nll).any()
        assert len(kinds) == known.sum()


def contexts(user):
    before, last = [], []
    for start, stop in zip(user.offsets, user.offsets[1:], strict=False):
        row = [1, 1, *user.targets[start:stop].tolist()]
        before += row[:-2]
        last += row[1:-1]
    return np.array(before), np.array(last)


def test_an_expert_travels_and_one_that_does_not_fit_is_refused(expert):
    outputs = CONFIG.outputs
    sent = expert_sent(expert, outputs)
    plan = NgramsPlan(CONFIG, WORDS)
    request = Parcel(arrays={"weights": np.zeros(CONFIG.parameters, np.float32), **sent})
    WEIGH.request(plan).check(request)
    again = expert_received(request, outputs)
    assert again.pairs.words.tolist() == [3, 4, 4]
    sent["expert.pairs.words"] = sent["expert.pairs.words"] + np.uint16(outputs)
    with pytest.raises(BadMessage, match="fit"):
        expert_received(Parcel(arrays=sent), outputs)


@pytest.mark.parametrize(("words", "scale"), [(10, -1.0), (10, 2.0), (300, 1.0)])
def test_credits_that_can_not_be_are_refused(words, scale):
    credits = np.full((KINDS, len(SOURCES)), 10 / KINDS / len(SOURCES))
    plan = NgramsPlan(CONFIG, WORDS)
    WEIGH.check(plan, "w", Parcel({"words": 10}, {"credits": credits}))
    with pytest.raises(BadMessage):
        WEIGH.check(plan, "w", Parcel({"words": words}, {"credits": credits * scale}))


def test_the_server_adds_credits_up():
    one, other = np.zeros((2, KINDS, len(SOURCES)))
    one[3], other[3] = [100, 0, 20], [30, 50, 0]
    answers = {n: Parcel({"words": 0}, {"credits": c}) for n, c in (("b", one), ("a", other))}
    wanted = (one[3] + other[3] + STRENGTH * PRIOR) / (200 + STRENGTH)
    assert weights_from(answers)[3] == pytest.approx(wanted)
    assert weights_from({})[0] == pytest.approx(PRIOR)
    assert FIRST_OUTPUT == 3
