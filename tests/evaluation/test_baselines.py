from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from nwp.evaluation.baselines import RATES, Parts, Tuning, count_ngrams, own_models, seeds, tune
from nwp.evaluation.counts import COLUMNS, Counts, count
from nwp.evaluation.ngrams import KneserNey, Unigram
from nwp.evaluation.scoring import count_users, join, score
from nwp.federated.kernel import Kernel
from nwp.federated.local import LocalWork, train_user
from nwp.model.config import ModelConfig
from nwp.model.expert import Expert, Order, usual_weights
from nwp.tasks.baselines import passes_over
from nwp.text.spelling import Letters
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Encoded

SIZE = FIRST_WORD + 9
CONFIG = ModelConfig(SIZE, 4, hidden=5, projection=4)
WORK = LocalWork(batch=4, learning_rate=0.5, order="given")
FAST = LocalWork(batch=2, learning_rate=0.8, clip_norm=1.0)
START = np.random.default_rng(0).normal(0, 0.3, CONFIG.parameters).astype(np.float32)

WORDS = tuple("abcdefghi")
# Columns that need no letters: the models here have none.
NAMES = COLUMNS[: COLUMNS.index("letters")]
ONE, OTHER = [6, 7, 8] * 2, [11, 12, 13] * 2  # two ways to talk that share no word


def parts_of(train: Encoded, valid: Encoded, test: Encoded) -> Parts:
    size = len(test.targets)
    return Parts(train, valid, test, Letters(np.zeros(size, np.int64), np.zeros(size)))


def with_test(parts: Parts, test: Encoded) -> Parts:
    return parts_of(parts.train, parts.valid, test)


def local_only(start, config, work, passes, pairs) -> list[Counts]:
    return plainly(own_models(start, config, Tuning(work, passes, patience=passes), WORDS, pairs))


def ngram_counts(users: list[Parts], size: int) -> dict[str, list[Counts]]:
    train, nothing = [user.train for user in users], np.zeros(1, np.float32)
    return {
        name: plainly(count_ngrams(nothing, name, train, WORDS, size, users))
        for name in ("unigram", "trigram_kn")
    }


def plainly(rows: np.ndarray) -> list[Counts]:
    """Counts without the columns of letters."""
    return [Counts.from_row(np.append(row[: len(NAMES)], [0] * 4)) for row in rows]


@pytest.fixture
def users(drawn) -> list[Parts]:
    return [
        parts_of(*(drawn(10 * i + j, n + i, SIZE) for j, n in enumerate([8, 3, 4])))
        for i in range(3)
    ]


@pytest.fixture
def speakers(laid) -> list[Parts]:
    """Users with words of their own that come back in all parts, and noise that does not."""

    def some(rng: np.random.Generator, own: list[int], number: int) -> Encoded:
        common = [rng.choice(own, 4).tolist() for _ in range(number)]
        return laid([[*m, int(rng.integers(UNKNOWN, SIZE))] for m in common])

    return [
        parts_of(*(some(np.random.default_rng(10 * i + j), [6 + i, 8 + i], n)
                for j, n in enumerate([5, 4, 4])))
        for i in range(4)
    ]  # fmt: skip


def columns(counts: Counts) -> list[float]:
    return [getattr(counts, name) for name in NAMES]


# --- each user alone ------------------------------------------------------------------------------


def candidates(parts: Parts, base: LocalWork, passes: int, seed: int) -> list[np.ndarray]:
    """The start, and what k passes at each rate give: each trained anew from the start."""
    kernel, found = Kernel(CONFIG), [START]
    for factor in RATES:
        for k in range(1, passes + 1):
            work = dataclasses.replace(base, epochs=k, learning_rate=base.learning_rate * factor)
            update = train_user(kernel, torch.from_numpy(START), parts.train, work, seed)
            found.append(START + update.delta.numpy())
    return found


def test_a_users_own_model_is_the_best_of_all_rates_and_passes_by_the_valid_part(speakers, slowly):
    passes = 6
    found = local_only(START, CONFIG, FAST, passes, [(u, i) for i, u in enumerate(speakers)])
    chosen = []
    for i, (counts, parts) in enumerate(zip(found, speakers, strict=True)):
        weights = candidates(parts, FAST, passes, i)
        valid = [slowly(w, CONFIG, parts.valid) for w in weights]
        best = min(range(len(weights)), key=lambda k: valid[k]["nll"] / valid[k]["known"])
        expected = slowly(weights[best], CONFIG, parts.test)
        assert columns(counts) == pytest.approx([expected[n] for n in NAMES], rel=1e-5)
        chosen.append(best)
    assert len(set(chosen)) > 1
    assert any(k % passes for k in chosen)  # not only after the last pass


def test_a_rate_that_finds_nothing_better_is_given_up_and_the_best_is_kept(laid):
    parts = parts_of(laid([ONE] * 8), laid([ONE]), laid([ONE]))
    steps: list[float] = []

    class Counted(Kernel):
        def step(self, *given, **named):
            steps.append(1.0)
            return super().step(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nwp.federated.finetuning.Kernel", Counted)
        hopeless = Tuning(dataclasses.replace(WORK, learning_rate=1e4), 50, (1.0,), patience=3)
        loss, best = tune(START, CONFIG, hopeless, 1.0, parts.train, [parts.valid], 1)
    assert len(steps) == 3 * 2  # two batches a pass
    assert np.array_equal(best, START)
    (start,) = count_users(START, CONFIG, [parts.valid])
    assert loss == pytest.approx(start.nll / start.known)


def test_more_passes_are_never_worse_on_the_valid_part(speakers):
    parts = with_test(speakers[0], speakers[0].valid)
    losses = []
    for passes in (0, 1, 2, 4, 8):
        (counts,) = local_only(START, CONFIG, FAST, passes, [(parts, 1)])
        losses.append(counts.nll / counts.known)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[1] - 0.1
    assert [columns(c) for c in count_users(START, CONFIG, [parts.test])] == [
        columns(local_only(START, CONFIG, FAST, 0, [(parts, 1)])[0])
    ]


def test_where_training_helps_on_the_valid_part_it_is_kept_though_it_hurts_on_the_test_part(laid):
    parts = parts_of(train=laid([ONE] * 4), valid=laid([ONE]), test=laid([OTHER] * 2))
    (start,) = count_users(START, CONFIG, [parts.test])
    (found,) = local_only(START, CONFIG, WORK, 5, [(parts, 1)])
    assert found.nll > start.nll + 1


def test_where_training_hurts_on_the_valid_part_the_start_is_kept_though_the_test_part_would_gain(
    laid,
):
    parts = parts_of(train=laid([ONE] * 4), valid=laid([OTHER]), test=laid([ONE] * 2))
    (start,) = count_users(START, CONFIG, [parts.test])
    (found,) = local_only(START, CONFIG, WORK, 5, [(parts, 1)])
    assert found == start
    (helped,) = local_only(
        START, CONFIG, WORK, 5, [(dataclasses.replace(parts, valid=parts.train), 1)]
    )
    assert helped.nll < start.nll - 1


def test_the_choice_is_the_same_whatever_the_test_part(speakers, drawn):
    """Counted on two test parts apart and together: one model was chosen for all three."""
    first, second = drawn(77, 4, SIZE), drawn(78, 6, SIZE)
    both = join([first, second])
    for parts in speakers:
        counts = [
            local_only(START, CONFIG, FAST, 3, [(with_test(parts, t), 5)])[0]
            for t in (first, second, both)
        ]
        assert columns(counts[0] + counts[1]) == pytest.approx(columns(counts[2]), rel=1e-6)


def test_a_user_without_a_valid_part_keeps_the_start(users, laid):
    for valid in (laid([]), laid([[UNKNOWN, UNKNOWN]])):
        parts = parts_of(users[0].train, valid, users[0].test)
        (start,) = count_users(START, CONFIG, [parts.test])
        assert local_only(START, CONFIG, WORK, 3, [(parts, 1)]) == [start]


def test_a_user_without_a_test_part_has_zeros(users, laid):
    parts = with_test(users[0], laid([]))
    assert local_only(START, CONFIG, WORK, 2, [(parts, 1)]) == [Counts()]


def test_users_do_not_learn_from_one_another(users):
    alone = [local_only(START, CONFIG, WORK, 2, [(u, 3)])[0] for u in users]
    assert local_only(START, CONFIG, WORK, 2, [(u, 3) for u in users]) == alone
    assert local_only(START, CONFIG, WORK, 2, [(u, 3) for u in users[::-1]]) == alone[::-1]


def test_with_an_expert_the_mixture_is_chosen_and_counted(laid):
    parts = parts_of(train=laid([ONE] * 4), valid=laid([ONE]), test=laid([ONE] * 2))
    last, words = np.array([6, 7, 8]), np.array([7, 8, 6]) - FIRST_OUTPUT
    none = np.zeros(0, np.int64)
    pairs = Order.of(last, words, np.full(3, 9))
    expert = Expert(3, pairs, Order.of(none, none, none), usual_weights())
    tuning = Tuning(WORK, 0)

    (alone,) = plainly(own_models(START, CONFIG, tuning, WORDS, [(parts, 1)]))
    (mixed,) = plainly(own_models(START, CONFIG, tuning, WORDS, [(parts, 1)], expert))

    assert [columns(mixed)] == [
        columns(each) for each in count_users(START, CONFIG, [parts.test], expert)
    ]
    assert mixed.nll < alone.nll - 1
    loss, best = tune(START, CONFIG, Tuning(WORK, 3), 1.0, parts.train, [parts.valid], 1, expert)
    (found,) = count_users(best, CONFIG, [parts.valid], expert)
    assert loss == pytest.approx(found.nll / found.known)


def test_the_start_weights_are_left_alone(users):
    before = START.copy()
    local_only(START, CONFIG, WORK, 2, [(users[0], 1)])
    assert np.array_equal(START, before)


def test_the_number_of_epochs_of_the_federated_run_has_no_part_in_a_pass(users):
    one, many = WORK, dataclasses.replace(WORK, epochs=7)
    assert local_only(START, CONFIG, one, 2, [(users[0], 1)]) == local_only(
        START, CONFIG, many, 2, [(users[0], 1)]
    )


def test_each_user_has_a_seed_of_their_own():
    found = seeds(["a", "b", "c"], 1)
    assert len(set(found)) == 3
    assert seeds(["c", "a"], 1) == [found[2], found[0]]
    assert not set(found) & set(seeds(["a", "b", "c"], 2))


# --- word counts and trigrams ---------------------------------------------------------------------


def fitted(users: list[Parts]) -> dict[str, Unigram | KneserNey]:
    train = [u.train for u in users]
    return {"unigram": Unigram.fit(train, SIZE), "trigram_kn": KneserNey.fit(train, SIZE)}


def test_each_users_counts_are_those_of_the_pooled_model_on_their_test_part(users):
    found = ngram_counts(users, SIZE)
    assert set(found) == {"unigram", "trigram_kn"}
    for name, model in fitted(users).items():
        for counts, user in zip(found[name], users, strict=True):
            expected = count(score(model, user.test), user.test)
            assert columns(counts) == pytest.approx(columns(expected), rel=1e-12)


def test_the_counts_of_all_users_add_up_to_those_of_the_pooled_text(users, laid):
    users = [*users, with_test(users[0], laid([]))]
    pooled = join([u.test for u in users])
    for name, model in fitted(users).items():
        whole = count(score(model, pooled), pooled)
        summed = sum(ngram_counts(users, SIZE)[name], Counts())
        assert columns(summed) == pytest.approx(columns(whole), rel=1e-12)


@pytest.mark.parametrize("name", ["unigram", "trigram_kn"])
def test_word_by_word_the_counts_are_those_of_the_distributions(users, name):
    model = fitted(users)[name]
    for counts, user in zip(ngram_counts(users, SIZE)[name], users, strict=True):
        tokens = known = hits1 = hits3 = 0
        nll, end_nll = 0.0, 0.0
        for start, stop in zip(user.test.offsets[:-1], user.test.offsets[1:], strict=True):
            message = user.test.targets[start:stop].tolist()
            for j, target in enumerate(message):
                p = model.distribution(message[:j])
                surprise = -math.log(p[target - FIRST_OUTPUT])
                if target == END:
                    end_nll += surprise
                    continue
                tokens += 1
                if target == UNKNOWN:
                    continue
                guesses = sorted(range(FIRST_WORD, SIZE), key=lambda w: (-p[w - FIRST_OUTPUT], w))
                known, nll = known + 1, nll + surprise
                hits1 += target == guesses[0]
                hits3 += target in guesses[:3]
        assert (counts.tokens, counts.known) == (tokens, known)
        assert (counts.hits1, counts.hits3) == (hits1, hits3)
        assert (counts.nll, counts.end_nll) == pytest.approx((nll, end_nll))


def test_ngrams_read_neither_valid_nor_test_parts_when_they_are_fitted(users, drawn):
    other = [parts_of(u.train, drawn(50 + i, 9, SIZE), users[0].test) for i, u in enumerate(users)]
    mixed = [with_test(u, users[0].test) for u in users]
    found = ngram_counts(other, SIZE)
    assert found == ngram_counts(mixed, SIZE)
    assert all(counts == found[name][0] for name in found for counts in found[name])


def test_text_joined_is_every_users_messages_end_to_end(users, laid):
    tests = [users[0].test, laid([]), users[1].test]
    both = join(tests)
    assert both.messages == sum(t.messages for t in tests)
    assert both.offsets.dtype == np.int64
    messages = [
        (part.inputs[a:b].tolist(), part.marks[a:b].tolist(), part.targets[a:b].tolist(),
         part.addresses[a:b].tolist())
        for part in tests
        for a, b in zip(part.offsets[:-1], part.offsets[1:], strict=True)
    ]  # fmt: skip
    assert messages == [
        (both.inputs[a:b].tolist(), both.marks[a:b].tolist(), both.targets[a:b].tolist(),
         both.addresses[a:b].tolist())
        for a, b in zip(both.offsets[:-1], both.offsets[1:], strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("training", "passes"),
    [
        ({}, 6),
        ({"messages": 2}, 3),  # of 1 and 7 messages 1 and 2: three eighths of 6
        ({"participation": {"sampling": "size"}}, 10),  # drawn 0.25 and 1.75 times: 12.5 of 8
        ({"participation": {"sampling": "size"}, "messages": 2}, 3),  # 3.75 of 8
        ({"participation": {"sampling": "poisson"}, "messages": 7}, 6),
    ],
)
def test_text_is_gone_through_as_often_as_in_the_run_itself(
    laid, training: dict[str, object], passes: int
) -> None:
    none = laid([])
    few, many = (parts_of(laid([[6, 7]] * n), none, none) for n in (1, 7))

    assert passes_over({"passes": 6, **training}, [few, many]) == passes
    assert passes_over({"passes": 6, **training}, [parts_of(none, none, none)]) == 6
