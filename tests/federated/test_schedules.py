"""Rates to the last bit where they are whole, and against the papers' formulas elsewhere."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadSettings
from nwp.federated.schedules import NAMES, Schedule, learning_rate


def rates(schedule: Schedule, rounds: int, rate: float = 8.0) -> list[float]:
    return [learning_rate(schedule, rate, number, rounds) for number in range(1, rounds + 1)]


EXACT: dict[str, tuple[Schedule, list[float]]] = {
    "constant": (Schedule(), [8, 8, 8, 8, 8]),
    "warm-up": (Schedule(warmup=4), [2, 4, 6, 8, 8]),
    "linear": (Schedule("linear", final=0.5), [8, 7, 6, 5, 4]),
    "linear after a warm-up": (Schedule("linear", 2, final=0.25), [4, 8, 6, 4, 2]),
    "step": (Schedule("step", every=2, factor=0.5), [8, 8, 4, 4, 2]),
    "step after a warm-up": (Schedule("step", 2, every=1, factor=0.25), [4, 8, 2, 0.5, 0.125]),
    "a warm-up that lasts": (Schedule("cosine", warmup=5), [1.6, 3.2, 4.8, 6.4, 8]),
}


@pytest.mark.parametrize(("schedule", "expected"), EXACT.values(), ids=EXACT)
def test_rates_by_hand(schedule, expected):
    assert rates(schedule, 5) == pytest.approx(expected, rel=1e-15)


def test_a_constant_rate_is_the_rate_to_the_bit():
    for rate in (0.1, 4.0, 1 / 3):
        assert rates(Schedule(), 50, rate) == [rate] * 50


def test_cosine_by_its_formula():
    """Loshchilov & Hutter, equation 5: lowest + (highest - lowest) (1 + cos(pi T / T_i)) / 2."""
    found = rates(Schedule("cosine", 3, final=0.2), 9)
    expected = [1.6 + (8 - 1.6) * (1 + math.cos(math.pi * t / 6)) / 2 for t in range(7)]
    assert found[2:] == pytest.approx(expected)
    assert found[:3] == pytest.approx([8 / 3, 16 / 3, 8])


def test_inverse_square_root_by_its_formula():
    """Vaswani et al., equation 3: min(t^-1/2, t w^-3/2), made 8 at its top."""
    for warmup in (1, 4):
        found = rates(Schedule("inverse-sqrt", warmup), 16)
        expected = [8 * warmup**0.5 * min(t**-0.5, t * warmup**-1.5) for t in range(1, 17)]
        assert found == pytest.approx(expected)
    assert rates(Schedule("inverse-sqrt"), 16)[3] == rates(Schedule("inverse-sqrt", 4), 16)[15] == 4


@given(
    st.sampled_from(NAMES),
    st.integers(0, 20),
    st.floats(0.01, 1),
    st.integers(1, 9),
    st.floats(0.1, 1),
    st.integers(1, 40),
)
def test_rates_rise_to_the_top_then_fall_and_stay_above_zero(
    name, warmup, final, every, factor, rounds
):
    found = rates(Schedule(name, warmup, final, every, factor), rounds, 1.0)
    top = max(warmup, 1) - 1
    assert all(0 < rate <= 1 for rate in found)
    assert all(a < b for a, b in itertools.pairwise(found[: top + 1]))
    assert all(a >= b * (1 - 1e-12) for a, b in itertools.pairwise(found[top:]))
    if rounds > top:
        assert found[top] == 1
    if rounds > top + 1 and name in ("linear", "cosine"):
        assert found[-1] == pytest.approx(final)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "sine"},
        {"warmup": -1},
        {"every": 0},
        {"final": 0.0},
        {"final": 1.1},
        {"final": math.nan},
        {"factor": 0.0},
        {"factor": 2.0},
    ],
    ids=str,
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(BadSettings):
        Schedule(**wrong)
