from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nwp.evaluation import scoring
from nwp.evaluation.counts import COLUMNS, Counts, metrics
from nwp.evaluation.scoring import LstmPredictor, count_users, score
from nwp.federated.groups import in_groups
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import (
    END,
    FIRST_OUTPUT,
    FIRST_WORD,
    UNKNOWN,
    Encoded,
    Vocabulary,
    encode,
)

SIZE = FIRST_WORD + 12
CONFIGS = {
    "tied": ModelConfig(SIZE, 6, hidden=7, projection=6),
    "untied": ModelConfig(SIZE, 6, hidden=7, projection=5, tied=False),
    "two layers": ModelConfig(SIZE, 6, hidden=7, projection=6, layers=2),
    "no marks": ModelConfig(SIZE, 6, hidden=7, projection=6, marks=0),
    "dropout": ModelConfig(SIZE, 6, hidden=7, projection=6, dropout=0.5),
}
CONFIG = CONFIGS["tied"]


def random_weights(config: ModelConfig, seed: int = 0, scale: float = 0.6) -> np.ndarray:
    draw = np.random.default_rng(seed).normal(0, scale, config.parameters)
    return draw.astype(np.float32)


def biased(config: ModelConfig, bias: dict[int, float]) -> np.ndarray:
    """A model whose scores are these biases of output ids (else 0), whatever it reads."""
    weights = np.zeros(config.parameters, np.float32)
    for identity, value in bias.items():
        weights[len(weights) - config.outputs + identity - FIRST_OUTPUT] = value
    return weights


def positions(user: Encoded) -> int:
    return len(user.targets)


def assert_same(found: Counts, expected: dict[str, float]) -> None:
    """Counts equal, nats and all figures to 1e-5."""
    assert set(expected) == set(COLUMNS)
    for name, value in expected.items():
        if name.endswith("nll"):
            assert getattr(found, name) == pytest.approx(value, rel=1e-5, abs=1e-5), name
        else:
            assert getattr(found, name) == value, name
    tokens, known = expected["tokens"], expected["known"]
    figures = metrics(found)
    if known:
        perplexity = np.exp(expected["nll"] / known)
        assert figures["perplexity"] == pytest.approx(perplexity, rel=1e-5)
        assert figures["top1"] == pytest.approx(expected["hits1"] / tokens, rel=1e-5)
        assert figures["top3"] == pytest.approx(expected["hits3"] / tokens, rel=1e-5)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_every_users_figures_are_those_of_the_definitions(drawn, slowly, config):
    users = [drawn(seed, messages, SIZE) for seed, messages in enumerate([1, 3, 8, 20])]
    weights = random_weights(config)
    found = count_users(weights, config, users)
    assert len(found) == len(users)
    assert 0 < found[-1].hits1 < found[-1].hits3 < found[-1].known < found[-1].tokens
    assert found[-1].masked_tokens < found[-1].tokens
    for counts, user in zip(found, users, strict=True):
        assert_same(counts, slowly(weights, config, user))


def test_each_position_has_the_surprise_and_rank_of_the_definitions(drawn, softmaxes):
    user, weights = drawn(1, 30, SIZE), random_weights(CONFIG)
    found = score(LstmPredictor(CONFIG, weights), user)
    assert found.nll.dtype == np.float64
    assert found.nll.shape == found.rank.shape == user.targets.shape
    for j, p in enumerate(softmaxes(weights, CONFIG, user)):
        target = int(user.targets[j])
        assert found.nll[j] == pytest.approx(-np.log(p[target - FIRST_OUTPUT]), abs=1e-5)
        if target >= FIRST_WORD:
            words = p[FIRST_WORD - FIRST_OUTPUT :]
            assert found.rank[j] == int((words > p[target - FIRST_OUTPUT]).sum())


def test_many_messages_are_scored_in_the_order_they_came(drawn, slowly):
    user, weights = drawn(2, 700, SIZE, longest=4), random_weights(CONFIG)
    (found,) = count_users(weights, CONFIG, [user])
    assert_same(found, slowly(weights, CONFIG, user))


def test_a_message_of_thousands_of_words_is_read_whole(drawn, laid, slowly):
    rng, weights = np.random.default_rng(4), random_weights(CONFIG)
    user = laid([[6, 7], rng.integers(UNKNOWN, SIZE, 2500).tolist(), [8]])
    (found,) = count_users(weights, CONFIG, [user])
    assert found.tokens == 2503
    assert_same(found, slowly(weights, CONFIG, user))


def test_the_size_of_batches_changes_nothing(drawn, monkeypatch):
    user, weights = drawn(3, 40, SIZE), random_weights(CONFIG)
    whole = score(LstmPredictor(CONFIG, weights), user)
    for positions, scores in ((1, 1), (7, 100), (50, 1 << 19)):
        monkeypatch.setattr(scoring, "_POSITIONS", positions)
        monkeypatch.setattr(scoring, "_SCORES", scores)
        parts = score(LstmPredictor(CONFIG, weights), user)
        assert parts.nll == pytest.approx(whole.nll, abs=1e-5)
        assert np.array_equal(parts.rank, whole.rank)


def test_the_company_of_other_messages_changes_nothing(drawn, laid):
    user, weights = drawn(5, 12, SIZE), random_weights(CONFIG)
    model = LstmPredictor(CONFIG, weights)
    whole = score(model, user)
    for start, stop in zip(user.offsets[:-1], user.offsets[1:], strict=True):
        alone = Encoded(
            user.inputs[start:stop],
            user.marks[start:stop],
            user.targets[start:stop],
            user.addresses[start:stop],
            np.array([0, stop - start]),
        )
        assert score(model, alone).nll == pytest.approx(whole.nll[start:stop], abs=1e-5)


def test_users_without_words_have_zeros_wherever_they_stand(drawn, laid):
    user, nobody = drawn(1, 3, SIZE), laid([])
    found = count_users(random_weights(CONFIG), CONFIG, [nobody, user, nobody])
    assert found[0] == found[2] == Counts()
    assert found[1].tokens > 0


# --- guesses --------------------------------------------------------------------------------------


def test_neither_the_end_nor_the_unknown_word_is_ever_a_guess(laid):
    user = laid([[6, 7, 8, 9]])
    order = {6: 4.0, 7: 3.0, 8: 2.0, 9: 1.0}
    without = count_users(biased(CONFIG, order), CONFIG, [user])[0]
    tempting = {**order, END: 50.0, UNKNOWN: 40.0, 6: 4.0}
    found = count_users(biased(CONFIG, tempting), CONFIG, [user])[0]
    assert (found.hits1, found.hits3) == (without.hits1, without.hits3) == (1, 3)
    assert found.nll > without.nll + 100  # they do have their share of the probability


def test_an_unknown_target_is_wrong_even_where_the_model_expects_it(laid):
    user = laid([[UNKNOWN, UNKNOWN, 6]])
    (found,) = count_users(biased(CONFIG, {UNKNOWN: 9.0}), CONFIG, [user])
    assert (found.tokens, found.known, found.hits1, found.hits3) == (3, 1, 0, 1)
    assert found.nll == pytest.approx(np.log(np.exp(9.0) + SIZE - FIRST_OUTPUT - 1), rel=1e-5)


def test_ends_have_their_own_column(laid):
    (found,) = count_users(biased(CONFIG, {END: 2.0}), CONFIG, [laid([[6], [7]])])
    others = SIZE - FIRST_OUTPUT - 1
    assert found.ends == 2
    assert found.end_nll == pytest.approx(2 * (np.log(np.exp(2) + others) - 2), rel=1e-5)


def test_of_equal_words_the_lower_id_comes_first(laid, slowly):
    words = list(range(FIRST_WORD, SIZE))
    user, weights = laid([[word] for word in words]), biased(CONFIG, {})
    found = score(LstmPredictor(CONFIG, weights), user)
    ranks = [int(r) for r, t in zip(found.rank, user.targets, strict=True) if t != END]
    assert ranks == list(range(len(words)))
    (counts,) = count_users(weights, CONFIG, [user])
    assert (counts.hits1, counts.hits3) == (1, 3)
    assert_same(counts, slowly(weights, CONFIG, user))


def test_ties_below_a_better_word_are_counted_after_it(laid, slowly):
    weights = biased(CONFIG, {10: 3.0, 8: 1.0, 12: 1.0, 14: 1.0, UNKNOWN: 1.0, END: 3.0})
    user = laid([[10, 8, 12, 14, 6]])
    found = score(LstmPredictor(CONFIG, weights), user)
    assert found.rank[:5].tolist() == [0, 1, 2, 3, 5]
    assert_same(count_users(weights, CONFIG, [user])[0], slowly(weights, CONFIG, user))


def test_masked_columns_leave_out_the_pieces_of_addresses_alone():
    vocabulary = Vocabulary.from_lists(["see", "www", "example", "com", "now", "at", "me"], {})
    text = "see www.example.com/now now, mail me@example.com"
    config = ModelConfig(len(vocabulary), 4, hidden=4, projection=4)
    user = encode([text], vocabulary)
    (found,) = count_users(biased(config, {vocabulary.target("see"): 1.0}), config, [user])
    words = re.findall(r"\w+", text)
    assert (found.tokens, found.masked_tokens) == (len(words), 3) == (10, 3)
    assert (found.known, found.masked_known) == (9, 2)  # "mail" is no word of the vocabulary
    assert (found.hits1, found.masked_hits1) == (1, 1)
    # The guesses are always see, www, example.
    assert (found.hits3, found.masked_hits3) == (4, 1)


def test_other_weights_and_repeated_words_agree_too(laid, slowly):
    user = laid([[6, 7, 6, 7], [7, 7, 6], [UNKNOWN, UNKNOWN]])
    for seed in range(5):
        weights = random_weights(CONFIG, seed, scale=2.0)
        assert_same(count_users(weights, CONFIG, [user])[0], slowly(weights, CONFIG, user))


@pytest.mark.parametrize("name", ["ami", "shakespeare", "ubuntu_irc"])
def test_figures_on_real_messages_are_those_of_the_definitions(real_corpora: Path, slowly, name):
    texts: dict[str, list[str]] = {}
    with gzip.open(real_corpora / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            texts.setdefault(row["user"], [])
            if len(texts[row["user"]]) < 15:
                texts[row["user"]].append(row["text"])
            if len(texts) > 3:
                break
    plain = Counter(w for ms in texts.values() for m in ms for w in re.findall("[a-z]+", m.lower()))
    vocabulary = Vocabulary.from_lists([word for word, _ in plain.most_common(60)], {})
    config = ModelConfig(len(vocabulary), 6, hidden=8, projection=6)
    users = [encode(messages, vocabulary) for messages in texts.values()]
    weights = random_weights(config)
    for counts, user in zip(count_users(weights, config, users), users, strict=True):
        assert_same(counts, slowly(weights, config, user))


def test_groups_are_of_few_users_or_few_positions_in_order(drawn, laid):
    users = [laid([[6] * n]) for n in (3, 3, 3, 30, 1, 1, 1, 1)] + [laid([])]  # and n ends
    groups = list(in_groups(iter(users), 3, positions, 10))
    assert [user for group in groups for user in group] == users
    assert [len(group) for group in groups] == [2, 1, 1, 3, 2]
    assert list(in_groups(iter([]), 3, positions)) == []


def test_groups_are_made_when_they_are_asked_for(laid):
    read = []

    def users():
        for at in range(100):
            read.append(at)
            yield laid([[6]])

    groups = in_groups(users(), 5, positions)
    next(groups)
    assert len(read) <= 6
