from __future__ import annotations

import inspect
import math
from collections import Counter
from random import Random, SystemRandom

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.evaluation.counts import COLUMNS, Counts
from nwp.evaluation.noisy import BINS, BORDERS, histogram, quantiles
from nwp.federated import noise as noise_module
from nwp.federated.noise import noisy


def rows_at(perplexities: list[float]) -> np.ndarray:
    users = [Counts(tokens=4, known=2, nll=2 * math.log(p)) for p in perplexities]
    return np.stack([user.as_row() for user in users])


def probability(noise: int, epsilon: float) -> float:
    ratio = math.exp(-epsilon)
    return (1 - ratio) / (1 + ratio) * ratio ** abs(noise)


class _More(Exception):
    """The next random number is one of several, each as probable as this says."""


class _Script(Random):
    """Random numbers as they are written down, and a question when they are used up."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__(0)
        self.left = list(numbers)

    def randrange(self, start: int, *_: int) -> int:
        if start == 1:
            return 0
        return self._next([1 / start] * start)

    def whether(self, p: float) -> bool:
        return p == 1 or self._next([1 - p, p]) == 1

    def _next(self, chances: list[float]) -> int:
        if not self.left:
            raise _More(chances)
        return self.left.pop(0)


def all_outcomes(epsilon: float, least: float) -> tuple[Counter[int], float]:
    """How probable each noise is, over all that the generator may say, and what was left out because
    each of it is less probable than `least`."""
    found: Counter[int] = Counter()
    left_out = 0.0
    waiting: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    while waiting:
        numbers, p = waiting.pop()
        if p < least:
            left_out += p
            continue
        try:
            (noise,) = noisy(np.zeros(1, np.int64), epsilon, _Script(numbers)).tolist()
        except _More as more:
            (chances,) = more.args
            waiting += [((*numbers, i), p * chance) for i, chance in enumerate(chances)]
        else:
            found[noise] += p
    return found, left_out


def test_noise_over_all_random_numbers():
    found, left_out = all_outcomes(1.0, 3e-7)
    assert left_out < 0.02
    for noise in range(-6, 7):
        wanted = probability(noise, 1.0)
        assert found[noise] <= wanted * (1 + 1e-12)
        assert wanted <= found[noise] + left_out
        assert found[noise] == pytest.approx(wanted, abs=0.004)


@pytest.mark.parametrize(
    ("epsilon", "least", "lost"),
    [(0.5, 1e-7, 1e-3), (1, 1e-7, 1e-4), (1.5, 1e-6, 0.02), (2, 1e-7, 1e-3)],
)
def test_one_user_more_makes_no_outcome_likelier_than_epsilon_allows(
    epsilon: float, least: float, lost: float, monkeypatch: pytest.MonkeyPatch
):
    def happens(numerator: int, denominator: int, rng: _Script) -> bool:
        return rng.whether(math.exp(-numerator / denominator))

    # One question of two answers in place of the many numbers that such a chance is made of; that it
    # is made of them rightly is tested above and below.
    monkeypatch.setattr(noise_module, "_happens", happens)
    found, left_out = all_outcomes(epsilon, least)
    assert left_out < lost
    for noise in range(-12, 13):
        assert found[noise] <= probability(noise, epsilon) * (1 + 1e-9)
        assert found[noise] == pytest.approx(probability(noise, epsilon), abs=lost / 2)
        for other in (noise - 1, noise + 1):
            assert found[noise] <= math.exp(epsilon) * (found[other] + left_out)


@pytest.mark.parametrize("epsilon", [0.1, 0.7, 1.0, 3.3])
def test_noise_of_many_draws_is_two_sided_geometric(epsilon: float):
    draws = 20_000
    drawn = Counter(noisy(np.full(draws, 7), epsilon, Random(int(epsilon * 10))).tolist())
    statistic, cells, inside = 0.0, 0, 0.0
    for noise in range(-200, 201):
        p = probability(noise, epsilon)
        if draws * p >= 10:
            statistic += (drawn[7 + noise] - draws * p) ** 2 / (draws * p)
            cells += 1
            inside += p
    rest = draws - sum(
        n for value, n in drawn.items() if draws * probability(value - 7, epsilon) >= 10
    )
    statistic += (rest - draws * (1 - inside)) ** 2 / (draws * (1 - inside))
    # Chi-square with so many degrees of freedom; the bound is four standard deviations above its mean.
    assert statistic < cells + 4 * math.sqrt(2 * cells) + 4
    assert sum(drawn.values()) == draws


def test_drawn_noise_keeps_the_ratio_that_epsilon_allows():
    draws = 20_000
    before = Counter(noisy(np.full(draws, 5), 1.0, Random(1)).tolist())
    after = Counter(noisy(np.full(draws, 6), 1.0, Random(2)).tolist())
    ratios = [before[k] / after[k] for k in range(3, 9)]
    assert max(*ratios, *(1 / ratio for ratio in ratios)) < math.e * 1.15
    assert ratios[0] == pytest.approx(math.e, rel=0.15)
    assert ratios[-1] == pytest.approx(1 / math.e, rel=0.15)


def test_one_user_more_is_one_count_more():
    before = histogram(rows_at([5, 80, 80, 300]))
    after = histogram(rows_at([5, 80, 80, 300, 81]))
    assert np.abs(after - before).sum() == 1


def test_noise_is_the_operating_system_s_unless_told_otherwise():
    default = inspect.signature(noisy).parameters["rng"].default
    assert isinstance(default, SystemRandom)
    counts = np.zeros(BINS, np.int64)
    assert not np.array_equal(noisy(counts, 0.1), noisy(counts, 0.1))
    assert np.array_equal(noisy(counts, 0.1, Random(5)), noisy(counts, 0.1, Random(5)))


def test_noise_falls_on_each_count_anew_and_may_be_negative():
    counts = np.arange(BINS)
    found = noisy(counts, 0.2, Random(3))
    assert found.dtype == np.int64
    assert found.shape == (BINS,)
    assert len(set((found - counts).tolist())) > 10
    assert noisy(np.zeros(BINS, np.int64), 0.2, Random(3)).min() < 0
    assert counts.tolist() == list(range(BINS))
    assert noisy(counts, 100.0, Random(3)).tolist() == counts.tolist()
    assert abs(int(noisy(counts[:1], 1e-6, Random(3))[0])) > 1000


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf, 1e-7])
def test_epsilon_must_be_a_number_that_noise_can_be_made_for(epsilon: float):
    with pytest.raises(ValueError, match="epsilon"):
        noisy(np.zeros(3, np.int64), epsilon, Random(0))


def test_bins_are_about_a_tenth_apart_from_1_to_100000():
    assert len(BORDERS) == BINS + 1
    assert (BORDERS[0], BORDERS[-1]) == (1, 100_000)
    assert np.allclose(BORDERS[1:] / BORDERS[:-1], 1.1, atol=0.005)


def test_histogram_counts_each_user_once():
    rng = np.random.default_rng(0)
    perplexities = np.exp(rng.normal(5, 2, 500)).clip(1.001, 1e6)
    found = histogram(rows_at(perplexities.tolist()))
    assert found.dtype == np.int64
    for i in range(BINS - 1):
        assert found[i] == sum(BORDERS[i] <= p < BORDERS[i + 1] for p in perplexities)
    assert found[-1] == sum(p >= BORDERS[-2] for p in perplexities)
    assert found.sum() == 500


def test_a_border_belongs_to_the_bin_above():
    exact = [i for i in range(1, BINS) if np.exp(np.log(BORDERS[i])) == BORDERS[i]]
    assert len(exact) > 5
    users = np.stack([Counts(1, 1, nll=float(np.log(BORDERS[i]))).as_row() for i in exact])
    assert np.flatnonzero(histogram(users)).tolist() == exact


def test_the_ends_of_the_histogram_and_users_in_no_bin():
    nobody = np.stack([Counts().as_row(), Counts(tokens=3).as_row()])
    assert not histogram(nobody).any()
    assert not histogram(np.zeros((0, len(COLUMNS)))).any()
    ends = np.flatnonzero(histogram(np.concatenate([nobody, rows_at([1.0, 1e9])])))
    assert ends.tolist() == [0, BINS - 1]
    lost = Counts(tokens=1, known=1, nll=math.inf)
    assert histogram(lost.as_row()[None])[-1] == 1


def deciles_slowly(counts: list[int]) -> tuple[list[float], float]:
    """Deciles and number of users by the formula for the nearest rising numbers: the highest of the
    lowest means."""
    sums = np.cumsum(counts)
    means = [np.cumsum(sums[i:]) / np.arange(1, len(sums) - i + 1) for i in range(len(sums))]

    def risen(k: int) -> float:
        return max(float(means[i][k - i :].min()) for i in range(k + 1))

    upto = [0.0, *(max(0.0, risen(k)) for k in range(len(sums)))]
    found = []
    for decile in range(1, 10):
        wanted = decile / 10 * upto[-1]
        i = next(i for i, n in enumerate(upto) if n >= wanted)
        share = (wanted - upto[i - 1]) / (upto[i] - upto[i - 1])
        logs = np.log(BORDERS[i - 1 : i + 1])
        found.append(float(np.exp(logs[0] + share * (logs[1] - logs[0]))))
    return found, upto[-1]


@pytest.mark.parametrize("seed", range(3))
def test_deciles_are_those_of_the_nearest_rising_numbers(seed: int):
    rng = np.random.default_rng(seed)
    counts = np.zeros(BINS, np.int64)
    counts[40:60] = rng.integers(0, 40, 20)
    counts += np.rint(rng.normal(0, 6, BINS)).astype(np.int64)
    wanted, users = deciles_slowly(counts.tolist())
    found = quantiles(counts, 0.5)
    assert [found[f"p{10 * i}"] for i in range(1, 10)] == pytest.approx(wanted, rel=1e-9)
    assert found["users"] == round(users)
    assert (found["noisy"], found["epsilon"]) == (True, 0.5)


def test_without_noise_deciles_are_at_most_a_bin_off():
    perplexities = np.exp(np.random.default_rng(1).normal(5, 0.7, 3000))
    found = quantiles(histogram(rows_at(perplexities.tolist())), 1.0)
    for decile in range(10, 100, 10):
        exact = np.quantile(perplexities, decile / 100)
        assert abs(math.log(found[f"p{decile}"] / exact)) < 0.04
    assert found["users"] == 3000


def test_users_of_one_bin_are_spread_over_it():
    counts = np.zeros(BINS, np.int64)
    counts[48] = 10
    found = quantiles(counts, 1.0)
    for decile in range(1, 10):
        assert found[f"p{10 * decile}"] == pytest.approx(100 * 10 ** (decile / 10 / 24))


def test_noise_of_several_workers_moves_deciles_little_when_there_are_many_users():
    rng = np.random.default_rng(2)
    perplexities = np.exp(rng.normal(5, 0.5, 4000))
    shares = np.array_split(perplexities, 8)
    total = sum(
        noisy(histogram(rows_at(share.tolist())), 1.0, Random(i)) for i, share in enumerate(shares)
    )
    found = quantiles(total, 1.0, 8)
    for decile in range(10, 100, 10):
        exact = np.quantile(perplexities, decile / 100)
        assert abs(math.log(found[f"p{decile}"] / exact)) < 0.1
    assert found["users"] == pytest.approx(4000, abs=200)


def test_the_error_is_how_far_off_a_decile_may_be():
    rng = np.random.default_rng(3)
    perplexities = np.sort(np.exp(rng.normal(5, 1, 3000)))
    counts, epsilon, workers = histogram(rows_at(perplexities.tolist())), 0.5, 5
    stop = 1 - math.exp(-epsilon)
    off = []
    for _ in range(200):
        ups, downs = rng.geometric(stop, (2, workers, BINS))
        found = quantiles(counts + (ups - downs).sum(0), epsilon, workers)
        assert found["error"] == pytest.approx(0.0457, rel=0.15)
        off += [np.searchsorted(perplexities, found["p90"]) / 3000 - 0.9]
    assert np.mean(np.abs(off) <= 0.045) >= 0.95
    assert np.mean(np.abs(off) <= 0.015) < 0.9
    assert abs(np.mean(off)) < 0.006


def test_deciles_that_noise_has_drowned_are_not_told():
    counts = np.zeros(BINS, np.int64)
    counts[30:50] = 25
    # The variance of noise with epsilon ln 2 is 4, summed over 120 bins and 1 or 2 workers.
    told, hidden = (quantiles(counts, math.log(2), workers) for workers in (1, 2))
    for found, workers in ((told, 1), (hidden, 2)):
        assert found["error"] == pytest.approx(2 * math.sqrt(120 * 4 * workers) / 500)
    assert (
        {hidden[f"p{d}"] for d in range(10, 100, 10)}
        == {None}
        == {quantiles(counts, 0.3, 1)[f"p{d}"] for d in range(10, 100, 10)}
    )
    assert hidden["users"] == 500
    untold = quantiles(counts, math.log(2))
    assert untold == {name: value for name, value in told.items() if name != "error"}
    assert told["p50"] == pytest.approx(BORDERS[40])
    assert quantiles(counts * 2, math.log(2), 2)["p50"] == pytest.approx(BORDERS[40])


@given(st.lists(st.integers(-50, 50), min_size=BINS, max_size=BINS))
def test_whatever_noise_leaves_deciles_rise_within_the_bins(counts: list[int]):
    found = quantiles(np.array(counts, np.int64), 0.3)
    deciles = [found[f"p{d}"] for d in range(10, 100, 10)]
    if found["users"]:
        assert deciles == sorted(deciles)
        assert 1 <= deciles[0] <= deciles[-1] <= 100_000 * (1 + 1e-12)
    else:
        assert deciles == [None] * 9


def test_nobody_has_no_deciles():
    for counts in (np.zeros(BINS, np.int64), np.full(BINS, -3)):
        found = quantiles(counts, 2.0)
        assert {found[f"p{d}"] for d in range(10, 100, 10)} == {None}
        assert found["users"] == 0
        assert quantiles(counts, 2.0, 3) == found | {"error": None}
        assert quantiles(counts, 1000.0, 3)["p50"] is None  # whose noise has no variance left
    with pytest.raises(ValueError, match="no histogram"):
        quantiles(np.zeros(BINS + 1, np.int64), 1.0)
