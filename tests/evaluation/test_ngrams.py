from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from nltk.lm.models import KneserNeyInterpolated
from nltk.util import everygrams

from nwp.evaluation.ngrams import KneserNey, Unigram
from nwp.evaluation.scoring import score
from nwp.text.vocabulary import (
    BEGIN,
    END,
    FIRST_OUTPUT,
    FIRST_WORD,
    NUMBER,
    UNKNOWN,
    Encoded,
    Vocabulary,
    encode,
)

TEXT = [
    "the cat sat on the mat",
    "the cat ate the fish",
    "a dog sat on the cat",
    "the dog ate",
    "yes",
    "yes the dog sat on a mat",
    "the cat sat",
]
WORDS = ["the", "cat", "sat", "on", "a", "dog", "mat", "ate", "yes", "never", "nowhere"]


def laid(messages: list[list[int]]) -> Encoded:
    """Messages of target ids; the inputs are what no n-gram should read."""
    targets = [t for message in messages for t in [*message, END]]
    return Encoded(
        inputs=np.full(len(targets), NUMBER, np.int32),
        marks=np.zeros(len(targets), np.int32),
        targets=np.array(targets, np.int32),
        addresses=np.zeros(len(targets), np.bool_),
        offsets=np.cumsum([0, *(len(m) + 1 for m in messages)]).astype(np.int64),
    )


def random_messages(rng: np.random.Generator, number: int, size: int) -> list[list[int]]:
    """Few words are frequent, as in language; the last ids are rare or never drawn."""
    p = 1 / np.arange(1, size - UNKNOWN + 1) ** 1.3
    lengths = rng.integers(1, 7, number)
    return [(UNKNOWN + rng.choice(len(p), n, p=p / p.sum())).tolist() for n in lengths]


def in_vocabulary(texts: list[str]) -> tuple[Vocabulary, Encoded]:
    vocabulary = Vocabulary.from_lists(WORDS, {})
    return vocabulary, encode(texts, vocabulary)


def assert_scores_as_distribution(model: Unigram | KneserNey, data: Encoded) -> None:
    scored = score(model, data)
    assert scored.nll.dtype == np.float64
    assert scored.rank.dtype == np.int64
    assert scored.nll.shape == scored.rank.shape == data.targets.shape
    for start, stop in zip(data.offsets[:-1], data.offsets[1:], strict=True):
        for i in range(start, stop):
            p = model.distribution(data.targets[start:i].tolist())
            target = int(data.targets[i])
            mine = p[target - FIRST_OUTPUT]
            expected = -math.log(mine) if mine else math.inf
            assert scored.nll[i] == pytest.approx(expected, abs=1e-12)
            ids = np.arange(FIRST_WORD, FIRST_OUTPUT + len(p))
            words = p[FIRST_WORD - FIRST_OUTPUT :]
            before = (words > mine) | ((words == mine) & (ids < target))
            assert scored.rank[i] == before.sum()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("discounts", [None, (0.75, 0.75, 0.75), (0.0, 0.5, 1.0), (1.0, 0.0, 0.3)])
def test_distributions_sum_to_one(seed, discounts):
    rng = np.random.default_rng(seed)
    size = 30
    users = [laid(random_messages(rng, 20, size)) for _ in range(3)]
    models = [Unigram.fit(users, size), KneserNey.fit(users, size, discounts)]
    contexts = [[], [UNKNOWN], [size - 1], [size - 1, size - 1]]
    contexts += [rng.integers(UNKNOWN, size, rng.integers(1, 5)).tolist() for _ in range(60)]
    for model in models:
        for context in contexts:
            p = model.distribution(context)
            assert p.shape == (size - FIRST_OUTPUT,)
            assert p.dtype == np.float64
            assert abs(p.sum() - 1) < 1e-12
            assert p.min() >= 0


# Discounts of 0 and 1 make ties between words that the counts tell apart.
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "discounts",
    [None, (0.75, 0.75, 0.75), (0.5, 1.0, 1.0), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0), (0.0, 0.0, 0.0)],
)
def test_scores_are_those_of_the_distribution(seed, discounts):
    rng = np.random.default_rng(seed)
    size = 40
    users = [laid(random_messages(rng, 30, size)) for _ in range(4)]
    data = laid([*random_messages(rng, 60, size), [size - 1] * 4, [UNKNOWN]])
    assert_scores_as_distribution(Unigram.fit(users, size), data)
    assert_scores_as_distribution(KneserNey.fit(users, size, discounts), data)


def test_ties_are_by_id_and_rank_counts_words_only():
    size = FIRST_WORD + 4
    six = FIRST_WORD + 1
    # END and UNKNOWN are the likeliest, and no guess comes after them.
    users = [laid([[UNKNOWN, six], [UNKNOWN], [UNKNOWN]])]
    data = laid([[FIRST_WORD, six, FIRST_WORD + 2, FIRST_WORD + 3]])
    model = Unigram.fit(users, size)
    p = model.distribution([])
    assert p[:2].min() > p[2:].max()
    assert score(model, data).rank[:4].tolist() == [1, 0, 2, 3]
    assert_scores_as_distribution(model, data)
    assert_scores_as_distribution(KneserNey.fit(users, size), data)


def test_scores_do_not_depend_on_how_messages_are_cut_into_users():
    rng = np.random.default_rng(5)
    messages = random_messages(rng, 40, 20)
    whole = KneserNey.fit([laid(messages)], 20)
    parts = KneserNey.fit([laid(messages[:7]), laid([]), laid(messages[7:])], 20)
    data = laid(messages)
    assert np.array_equal(score(whole, data).nll, score(parts, data).nll)
    assert np.array_equal(score(whole, data).rank, score(parts, data).rank)


# nltk's definition is the same but for three things.
# 1. Its unigrams are continuation counts without discount: nothing goes to the uniform
#    distribution, and unseen words get 0. That is ours with a discount of 0 at the lowest order.
# 2. Its usual padding makes n-grams that end with "<s>" (one, "<s> <s>") or with a second "</s>".
#    They are types of the bigram counts, so they count in the total of the unigrams, and "<s> <s>"
#    counts among what follows "<s>" but not in the total of that context: with it, nltk's
#    distribution after "<s>" does not sum to one. We count n-grams that end at a target only; here
#    nltk is given just those.
# 3. Its distribution is over its vocabulary, where "<s>" is a word, of probability 0 then.
# What is left has to agree at every order: the backing off, continuation counts and discounts.
@pytest.mark.parametrize("discount", [0.1, 0.5, 0.75])
def test_agrees_with_nltk(discount):
    vocabulary, data = in_vocabulary([*TEXT, "zzz sat on the zzz", "the zzz"])
    outputs = list(range(FIRST_OUTPUT, len(vocabulary)))
    names = {BEGIN: "<s>", END: "</s>", UNKNOWN: "<UNK>"}
    names |= {i: vocabulary.word(i) for i in range(FIRST_WORD, len(vocabulary))}
    grams = []
    for start, stop in zip(data.offsets[:-1], data.offsets[1:], strict=True):
        padded = ["<s>", "<s>", *(names[int(t)] for t in data.targets[start:stop])]
        grams.append([g for g in everygrams(padded, max_len=3) if g[-1] != "<s>"])
    theirs = KneserNeyInterpolated(3, discount=discount)
    theirs.fit(grams, names.values())
    ours = KneserNey.fit([data], len(vocabulary), (0.0, discount, discount))
    # "never" follows nothing and nothing follows it: after it P(w) is all there is, and with it
    # before another word, P(w | v). Every other pair is a trigram's history, seen or not.
    histories = [(u, v) for u in [BEGIN, *outputs] for v in outputs if END not in (u, v)]
    for history in [(BEGIN, BEGIN), *histories]:
        p = ours.distribution([t for t in history if t != BEGIN])
        expected = [theirs.score(names[w], [names[t] for t in history]) for w in outputs]
        assert p == pytest.approx(expected, abs=1e-9)


def test_unigram_by_hand():
    vocabulary, data = in_vocabulary(["the cat the", "the dog dog zzz"])
    # the 3, dog 2, END 2, cat 1, UNKNOWN 1 of 9; two count 1 and two count 2: D = 2 / 6.
    discount = Fraction(1, 3)
    free = 5 * discount / 9 / (len(vocabulary) - FIRST_OUTPUT)
    p = Unigram.fit([data], len(vocabulary)).distribution(["never looked at"])
    counts = {END: 2, UNKNOWN: 1}
    counts |= {vocabulary.target(w): c for w, c in {"the": 3, "dog": 2, "cat": 1}.items()}
    for i in range(FIRST_OUTPUT, len(vocabulary)):
        expected = (counts[i] - discount) / 9 + free if i in counts else free
        assert p[i - FIRST_OUTPUT] == pytest.approx(float(expected), abs=1e-15)
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_kneser_ney_by_hand():
    a, b, size = FIRST_WORD, FIRST_WORD + 1, FIRST_WORD + 3
    model = KneserNey.fit([laid([[a, b], [a, b], [b]])], size, (0.5, 0.5, 0.5))
    d, outputs = Fraction(1, 2), 5
    # What precedes: a after BEGIN; b after BEGIN and a; END after b. Four kinds of pairs.
    lowest = {a: Fraction(1, 4), b: Fraction(2, 4), END: Fraction(1, 4)}
    lowest = {
        w: lowest.get(w, 0) - (d / 4 if w in lowest else 0) + 3 * d / 4 / outputs
        for w in range(FIRST_OUTPUT, size)
    }
    # END after b: with a before (twice), with BEGIN before (once); so two continuations, one kind.
    after_b = {w: Fraction(w == END) * (2 - d) / 2 + d / 2 * p for w, p in lowest.items()}
    after_ab = {w: Fraction(w == END) * (2 - d) / 2 + d / 2 * p for w, p in after_b.items()}
    after_begin_b = {w: Fraction(w == END) * (1 - d) + d * p for w, p in after_b.items()}
    # A message begins with a twice and with b once; both have one continuation.
    begin = {w: Fraction(w in (a, b)) * (1 - d) / 2 + d * p for w, p in lowest.items()}
    begin = {w: ((w == a) * (2 - d) + (w == b) * (1 - d)) / 3 + 2 * d / 3 * begin[w] for w in begin}
    unseen = size - 1
    for context, expected in (
        ([], begin),
        ([a, b], after_ab),
        ([b, a, b], after_ab),
        ([b], after_begin_b),
        ([b, b], after_b),
        ([unseen], lowest),
        ([a, unseen], lowest),
    ):
        assert sum(expected.values()) == 1
        wanted = [float(expected[w]) for w in range(FIRST_OUTPUT, size)]
        assert model.distribution(context) == pytest.approx(wanted, abs=1e-15)


def test_discounts_by_default():
    a, b, c, size = FIRST_WORD, FIRST_WORD + 1, FIRST_WORD + 2, FIRST_WORD + 9
    users = [laid([[a, b], [a, b], [b], [c, a]])]
    # Trigrams: ..a 2, .ab 2, abE 2, ..b 1, .bE 1, ..c 1, .ca 1, caE 1.
    # Bigrams by what precedes: bE 2; .a ab .b .c ca aE 1. Unigrams: a 2, b 2, E 2, c 1.
    expected = KneserNey.fit(users, size, (1 / 7, 6 / 8, 5 / 11))
    model = KneserNey.fit(users, size)
    for context in ([], [a], [a, b], [b], [c, a], [size - 1]):
        assert model.distribution(context) == pytest.approx(expected.distribution(context))
    # No pair or trigram counts 2 here, so the usual 0.75 stands in; unigrams are E 2, a b c 1.
    once = [laid([[a], [b, c]])]
    usual = KneserNey.fit(once, size, (3 / 5, 0.75, 0.75))
    assert KneserNey.fit(once, size).distribution([a]) == pytest.approx(usual.distribution([a]))


def test_unseen_words_are_possible():
    vocabulary, data = in_vocabulary(TEXT)
    never = vocabulary.target("never")
    unigram, trigram = Unigram.fit([data], len(vocabulary)), KneserNey.fit([data], len(vocabulary))
    for model in (unigram, trigram):
        for context in ([], [vocabulary.target("the")], [never, never], [UNKNOWN]):
            assert model.distribution(context).min() > 0
        assert np.isfinite(score(model, laid([[never, never]])).nll).all()
    # And after a context it knows, a trigram model does better than a unigram model.
    assert score(trigram, data).nll.sum() < score(unigram, data).nll.sum()


@pytest.mark.parametrize("users", [[], [laid([])]])
def test_no_training_text_gives_the_uniform_distribution(users):
    size = FIRST_WORD + 6
    data = laid([[FIRST_WORD + 2, UNKNOWN], [FIRST_WORD]])
    for model in (Unigram.fit(users, size), KneserNey.fit(users, size)):
        assert model.distribution([FIRST_WORD]) == pytest.approx(np.full(8, 1 / 8), abs=1e-15)
        assert score(model, data).rank[[0, 3]].tolist() == [2, 0]
        assert_scores_as_distribution(model, data)
        assert len(score(model, laid([])).nll) == 0


def test_history_is_the_targets_before():
    vocabulary, data = in_vocabulary(["7 cats", "zzz cats", "the 7 mat"])
    assert NUMBER in data.inputs
    model = KneserNey.fit([data], len(vocabulary))
    assert_scores_as_distribution(model, data)
    assert np.array_equal(score(model, data).nll[:3], score(model, data).nll[3:6])


def test_refuses_what_makes_no_sense():
    data = laid([[FIRST_WORD, FIRST_WORD + 3]])
    with pytest.raises(ValueError, match="between 3 and 7"):
        KneserNey.fit([data], FIRST_WORD + 3)
    with pytest.raises(ValueError, match="between 3 and 7"):
        score(Unigram.fit([], FIRST_WORD + 3), data)
    with pytest.raises(ValueError, match=r"discount 1\.5"):
        KneserNey.fit([data], FIRST_WORD + 4, (0.5, 1.5, 0.5))
