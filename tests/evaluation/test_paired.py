from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.evaluation import paired
from nwp.evaluation.counts import COLUMNS, WHOLE, Counts, figures
from nwp.evaluation.over_users import intervals
from nwp.evaluation.paired import Comparison, compare, sign_flips

Rows = np.ndarray


def rows_of(*users: Counts) -> Rows:
    return np.stack([user.as_row() for user in users])


def column(rows: Rows, name: str) -> Rows:
    return rows[:, COLUMNS.index(name)]


def change(rows: Rows, **columns: Rows | float) -> Rows:
    changed = rows.copy()
    for name, values in columns.items():
        changed[:, COLUMNS.index(name)] = values
    return changed


def two_models(seed: int, users: int, better: float = 0.1, words: int = 400) -> tuple[Rows, Rows]:
    """Counts of a model, and of a second that saves `better` nats a word, more or less."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, words, users)
    known = rng.binomial(tokens, rng.uniform(0.4, 1, users))
    nats = rng.gamma(50, 0.1, users)
    hits3 = rng.binomial(known, 0.3)
    base = np.zeros((users, len(COLUMNS)))
    same = {
        "tokens": tokens,
        "known": known,
        "ends": 1 + tokens // 10,
        "letters": rng.integers(2, 9, users) * tokens,
    }
    same |= {"masked_tokens": tokens, "masked_known": known, "masked_nll": nats * known}
    a = change(base, **same, nll=nats * known, hits3=hits3, hits1=hits3 // 2, keys=3 * tokens)
    changed = np.maximum(nats + rng.normal(-better, 0.2, users), 0)
    moved = np.clip(hits3 + rng.integers(-2, 4, users), 0, known)
    b = change(a, nll=changed * known, hits3=moved, hits1=moved // 3, masked_nll=changed * known)
    return a, b


def exact(parts: list[float]) -> float:
    """The p value over all signs."""
    observed = abs(math.fsum(parts))
    sums = [
        abs(math.fsum(sign * part for sign, part in zip(signs, parts, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(parts))
    ]
    return sum(found >= observed - 1e-9 for found in sums) / len(sums)


def test_two_models_by_hand():
    def user(nll: float, hits1: int, hits3: int) -> Counts:
        return Counts(tokens=100, known=50, nll=nll, hits1=hits1, hits3=hits3, ends=3)

    a = rows_of(user(100, 10, 20), user(150, 10, 20), user(200, 10, 20), Counts())
    b = rows_of(user(50, 12, 20), user(175, 10, 30), user(200, 10, 20), Counts())
    found = compare(a, b)
    assert (found.users, found.same_vocabulary, found.measure) == (3, True, "nats_per_word")
    assert list(found.by_user) == ["nats_per_word", "top3", "top1"]
    nats = found.by_user["nats_per_word"]
    assert nats.users == 3
    assert nats.mean == pytest.approx((-1 + 0.5) / 3)
    assert (nats.gain, nats.lose, nats.equal) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (nats.gained, nats.lost) == ((0,), (1,))
    top3 = found.by_user["top3"]
    assert top3.mean == pytest.approx(0.1 / 3)
    assert (top3.gain, top3.lose, top3.equal) == pytest.approx((1 / 3, 0, 2 / 3))
    assert (top3.gained, top3.lost) == ((1,), ())
    assert found.by_user["top1"].gained == (0,)
    assert found.pooled["perplexity"].first == pytest.approx(math.exp(3))
    assert found.pooled["perplexity"].second == pytest.approx(math.exp(425 / 150))
    assert found.pooled["perplexity"].difference == pytest.approx(math.exp(425 / 150) - math.exp(3))
    assert found.pooled["top3"].difference == pytest.approx(10 / 300)
    assert "bits_per_character" not in found.pooled
    assert "first_top3" not in found.pooled
    assert nats.p == pytest.approx(exact([-50, 25, 0]), abs=0.02)


def test_everything_is_told_as_json():
    a, b = two_models(0, 9)
    found = compare(a, b, draws=50, flips=50).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == {"users", "same_vocabulary", "measure", "pooled", "by_user"}
    assert set(found["pooled"]["top1"]) == {"first", "second", "difference", "interval"}
    assert len(found["pooled"]["top1"]["interval"]) == 2
    assert not set(found["pooled"]) & set(WHOLE)
    one = compare(a[:1], b[:1]).as_json()
    assert one["pooled"]["top1"]["interval"] is None


@pytest.mark.parametrize("seed", range(4))
def test_p_is_the_share_of_all_signs(seed: int):
    rng = np.random.default_rng(seed)
    parts = np.stack(
        [rng.integers(-3, 6, 9), rng.normal(0.5, 1, 9), np.r_[rng.normal(1, 1, 3), np.zeros(6)]], 1
    ).astype(np.float64)
    flips = 20_000
    found = sign_flips(parts, seed, flips)
    for i in range(parts.shape[1]):
        wanted = exact(parts[:, i].tolist())
        deviation = math.sqrt(wanted * (1 - wanted) / flips)
        assert found[i] == pytest.approx(wanted, abs=4 * deviation + 1 / flips)


@pytest.mark.parametrize("seed", [0, 1])
def test_p_of_a_comparison_is_the_share_of_all_swaps_of_rows(seed: int):
    a, b = two_models(seed, 8, better=0.05)
    found = compare(a, b, flips=20_000)
    names = {"nats_per_word": "perplexity", "top1": "top1", "top3": "top3"}
    names |= {"bits_per_character": "bits_per_character"}
    assert set(names) == set(found.by_user)

    def apart(name: str, first: Rows, second: Rows) -> float:
        return abs(float(figures(second.sum(0))[name] - figures(first.sum(0))[name]))

    for measure, name in names.items():
        observed = apart(name, a, b)
        times = 0
        for swapped in itertools.product((False, True), repeat=8):
            chosen = np.array(swapped)[:, None]
            swapped_a, swapped_b = np.where(chosen, b, a), np.where(chosen, a, b)
            times += apart(name, swapped_a, swapped_b) >= observed * (1 - 1e-9)
        assert times < 2**8
        assert found.by_user[measure].p == pytest.approx(times / 2**8, abs=0.015)


def test_p_is_never_0_and_1_where_nothing_differs():
    assert sign_flips(np.ones((200, 1)), 0, 99).tolist() == [0.01]
    assert sign_flips(np.zeros((5, 2)), 0, 99).tolist() == [1.0, 1.0]
    assert sign_flips(np.array([[3.0, -2.0]]), 0, 99).tolist() == [1.0, 1.0]
    # Sums of tenths that are rounded differently are equal sums nevertheless.
    tenths = np.array([[0.1], [0.2], [0.3], [-0.6]])
    assert sign_flips(tenths, 0, 999).tolist() == [1.0]


def test_p_is_low_by_chance_as_often_as_it_says():
    rng = np.random.default_rng(1)
    values = [
        sign_flips(rng.normal(0, rng.gamma(1, 1, (40, 1))), seed, 199)[0] for seed in range(400)
    ]
    assert 0.02 < np.mean(np.array(values) <= 0.05) < 0.09
    assert 0.42 < np.mean(np.array(values) <= 0.5) < 0.58


def test_how_many_signs_are_in_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    parts = np.random.default_rng(0).integers(-5, 9, (45, 3)).astype(np.float64)
    wanted = sign_flips(parts, 5, 500)
    for size in (1, 45 * 7, 10**6):
        monkeypatch.setattr(paired, "_AT_ONCE", size)
        assert np.array_equal(sign_flips(parts, 5, 500), wanted)


def test_a_model_beside_itself():
    a, _ = two_models(1, 30)
    a[3] = Counts(tokens=20).as_row()  # who has no nats to be compared by
    found = compare(a, a)
    assert found.by_user["nats_per_word"].users == 29
    for figure in found.by_user.values():
        assert (figure.mean, figure.gain, figure.lose, figure.equal, figure.p) == (0, 0, 0, 1, 1)
        assert figure.gained == figure.lost == ()
    for difference in found.pooled.values():
        assert difference.difference == 0
        assert difference.interval == (0, 0)


@given(st.integers(0, 10**6), st.integers(10, 40), st.floats(0.01, 3), st.booleans())
def test_a_worse_model_loses(seed: int, users: int, worse: float, first: bool):
    a, _ = two_models(seed, users)
    rng = np.random.default_rng(seed)
    hits1, hits3 = column(a, "hits1"), column(a, "hits3")
    a = change(a, hits1=hits1 + 1, hits3=hits3 + 2)
    nll = column(a, "nll") + worse * column(a, "known") * (0.1 + rng.random(users))
    b = change(a, nll=nll, hits1=hits1, hits3=hits3)
    a, b = (b, a) if first else (a, b)
    sign = -1 if first else 1
    found = compare(a, b, draws=200, flips=500)
    for name, figure in found.by_user.items():
        worsened = (figure.gain, figure.lose) if first else (figure.lose, figure.gain)
        if name in ("top1", "top3"):
            assert worsened == (1, 0)
            assert sign * figure.mean < 0
        else:
            known = np.mean(column(a, "known") > 0) if name == "nats_per_word" else 1
            assert figure.users == round(known * users)
            assert worsened[1] == 0
            assert sign * figure.mean > 0
        assert figure.p <= 0.02
    low, high = sorted(sign * bound for bound in found.pooled["perplexity"].interval)
    assert 0 < low < high
    low, high = sorted(sign * bound for bound in found.pooled["top3"].interval)
    assert low < high < 0


def test_the_other_way_round_everything_is_the_opposite():
    a, b = two_models(2, 80, better=0.02)
    found, other = compare(a, b), compare(b, a)
    for name, figure in found.by_user.items():
        opposite = other.by_user[name]
        assert opposite.mean == pytest.approx(-figure.mean)
        assert (opposite.gain, opposite.lose) == (figure.lose, figure.gain)
        assert (opposite.gained, opposite.lost) == (figure.lost, figure.gained)
        assert opposite.p == pytest.approx(figure.p, abs=0.03)
    for name, difference in found.pooled.items():
        opposite = other.pooled[name]
        swapped = (difference.second, difference.first)
        assert (opposite.first, opposite.second) == pytest.approx(swapped)
        width = difference.interval[1] - difference.interval[0]
        assert opposite.interval == pytest.approx(
            (-difference.interval[1], -difference.interval[0]), abs=0.15 * width + 1e-12
        )


def test_the_order_of_users_changes_nothing_but_their_numbers():
    a, b = two_models(6, 50)
    a[7], b[7] = 0, 0
    wanted = compare(a, b, 3, draws=200, flips=300)
    mixed = np.random.default_rng(0).permutation(50)
    found = compare(a[mixed], b[mixed], 3, draws=200, flips=300)
    assert found.pooled == wanted.pooled
    for name, figure in found.by_user.items():
        other = wanted.by_user[name]
        for field in ("users", "mean", "gain", "lose", "equal", "p"):
            assert getattr(figure, field) == getattr(other, field)
    gained = found.by_user["nats_per_word"].gained
    assert tuple(int(mixed[i]) for i in gained) == wanted.by_user["nats_per_word"].gained


def test_intervals_of_differences_are_of_the_same_draws_of_users():
    a, b = two_models(8, 1500, better=0.05)
    found = compare(a, b, draws=3000)
    words = column(a, "tokens")
    for name, hits in (("top3", "hits3"), ("top1", "hits1")):
        part = column(b, hits) - column(a, hits)
        rate = part.sum() / words.sum()
        error = math.sqrt(((part - rate * words) ** 2).sum()) / words.sum()
        low, high = found.pooled[name].interval
        assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.06)
        assert low < found.pooled[name].difference < high
    # Hard messages are hard for both: a difference is surer than either figure.
    alone = intervals(a, draws=1000)["perplexity"]
    low, high = found.pooled["perplexity"].interval
    assert high - low < 0.7 * (alone[1] - alone[0])


def test_models_of_other_vocabularies_are_compared_by_what_they_are_asked_alike():
    a, b = two_models(4, 30)
    fewer = change(b, known=np.maximum(column(b, "known") - 1, 0), spelling_nll=40.0)
    found = compare(a, fewer)
    assert not found.same_vocabulary
    assert found.measure == "bits_per_character"
    assert list(found.by_user) == ["bits_per_character", "top3", "top1"]
    assert not any("perplexity" in name for name in found.pooled)
    assert {"top1", "top3", "mrr", "oov_rate", "bits_per_character"} <= set(found.pooled)
    bits = figures(fewer)["bits_per_character"] - figures(a)["bits_per_character"]
    assert found.by_user["bits_per_character"].mean == pytest.approx(bits.mean())
    assert found.by_user["bits_per_character"].lose == np.mean(bits > 0)

    silent = compare(change(a, letters=0.0), fewer)
    assert silent.measure == "top3"
    assert list(silent.by_user) == ["top3", "top1"]
    assert "bits_per_character" not in silent.pooled
    assert compare(a, b).measure == "nats_per_word"
    for name in ("masked_known", "first_known"):
        assert not compare(a, change(b, **{name: column(b, name) + 1})).same_vocabulary


def test_only_users_with_enough_words_are_named_and_the_first_of_equals():
    def user(words: int, nats: float) -> Counts:
        return Counts(tokens=words, known=words, nll=words * nats)

    sizes = [49, 90, 50, 60, 70, 80, 51, 100, 0, 110]
    gains = [9.0, 1.0, 3.0, 1.0, 2.0, 1.0, 1.0, -1.0, 0.0, 0.0]
    a = rows_of(*(user(n, 10.0) for n in sizes))
    b = rows_of(*(user(n, 10.0 - gain) for n, gain in zip(sizes, gains, strict=True)))
    nats = compare(a, b).by_user["nats_per_word"]
    assert nats.gained == (2, 4, 1, 3, 5)
    assert nats.lost == (7,)
    assert (nats.users, nats.gain, nats.lose) == (9, pytest.approx(7 / 9), pytest.approx(1 / 9))


def test_users_without_words_take_no_part():
    a, b = two_models(5, 20)
    nobody = np.zeros((4, len(COLUMNS)))
    assert compare(np.r_[a, nobody], np.r_[b, nobody], draws=100, flips=100) == compare(
        a, b, draws=100, flips=100
    )


def test_a_hopeless_model_is_compared_too():
    a, b = two_models(5, 20)
    hopeless = change(a, nll=np.where(column(a, "known") > 0, np.inf, 0.0))
    found = compare(hopeless, b)
    assert found.by_user["nats_per_word"].lose == 0
    assert found.by_user["nats_per_word"].p < 0.001
    assert math.isfinite(found.pooled["perplexity"].difference)
    assert found.pooled["bits_per_character"].difference < 0
    assert compare(hopeless, hopeless).by_user["bits_per_character"].equal == 1


@pytest.mark.parametrize("name", ["tokens", "ends", "masked_tokens", "first_tokens", "letters"])
def test_other_targets_are_refused(name: str):
    a, b = two_models(5, 20)
    other = b.copy()
    other[13, COLUMNS.index(name)] += 1
    with pytest.raises(ValueError, match=f"{name} of row 13"):
        compare(a, other)


def test_other_users_and_nobody_are_refused():
    a, b = two_models(5, 20)
    with pytest.raises(ValueError, match="not the same users"):
        compare(a, b[:19])
    with pytest.raises(ValueError, match="nobody has a word"):
        compare(np.zeros_like(a), np.zeros_like(a))


def test_the_seed_draws_users_and_signs():
    a, b = two_models(9, 25, better=0.03)

    def of(seed: int) -> Comparison:
        return compare(a, b, seed, draws=200, flips=200)

    assert of(1) == of(1)
    assert of(1).pooled["top3"].interval != of(2).pooled["top3"].interval
    assert of(1).by_user["nats_per_word"].p != of(2).by_user["nats_per_word"].p
