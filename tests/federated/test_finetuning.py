from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from nwp.errors import BadSettings
from nwp.federated.finetuning import (
    FineTuning,
    each_pass,
    fine_tune,
    part_of_way,
    tune_at,
)
from nwp.federated.local import LocalWork, make_batches
from nwp.federated.reference import client_update
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.text.vocabulary import FIRST_WORD, Encoded

SIZE, MARKS = FIRST_WORD + 9, 4
CONFIG = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=MARKS)
START = np.random.default_rng(0).normal(0, 0.5, CONFIG.parameters).astype(np.float32)
WORK = LocalWork(batch=4, clip_norm=0.1)

Drawn = Callable[..., Encoded]


def loss_on(user: Encoded) -> Callable[[np.ndarray], float]:
    """Mean nats a position, by the network that nothing is hidden in."""
    model = NextWordModel(CONFIG)
    (batch,) = make_batches(user, LocalWork(batch=0), np.random.default_rng(0))

    def measure(weights: np.ndarray) -> float:
        model.set_weights(weights)
        return model.loss(batch.inputs, batch.marks, batch.targets).item()

    return measure


@pytest.fixture
def train(drawn: Drawn) -> Encoded:
    return drawn(1, 10, SIZE, MARKS)


@pytest.fixture
def valid(drawn: Drawn) -> Encoded:
    return drawn(2, 6, SIZE, MARKS)


def test_a_pass_is_the_steps_of_the_readable_client_update(train: Encoded) -> None:
    """Three steps a pass, two passes, the gradient clipped; gradients there are autograd's."""
    work = LocalWork(batch=4, learning_rate=0.7, clip_norm=0.1, order="given")
    found = [flat.copy() for flat in itertools.islice(each_pass(START, CONFIG, work, train, 3), 2)]

    model = NextWordModel(CONFIG)
    for passes, flat in enumerate(found, 1):
        model.set_weights(START)
        named = {n: torch.from_numpy(w) for n, w in model.tensors().items()}
        many = LocalWork(passes, 4, 0.7, clip_norm=0.1, order="given")
        expected = client_update(named, CONFIG, many, train, seed=3)
        model.set_tensors({n: w.numpy() for n, w in expected.items()})
        assert np.abs(model.weights() - START).max() > 0.01
        assert flat == pytest.approx(model.weights(), abs=1e-6)


def test_the_least_loss_of_all_rates_passes_and_shares_is_found(
    train: Encoded, valid: Encoded
) -> None:
    how = FineTuning(WORK, passes=4, patience=4, shares=(0.3, 1.0))
    rates, measure = (0.2, 2.0, 0.7), loss_on(valid)

    found = fine_tune(START, CONFIG, how, rates, train, measure, 1)

    tried = [(measure(START), 0, 0.0, 0.0, START)]
    for rate in rates:
        work = LocalWork(batch=4, clip_norm=0.1, learning_rate=rate)
        steps = itertools.islice(each_pass(START, CONFIG, work, train, 1), 4)
        for number, flat in enumerate(steps, 1):
            for share in how.shares:
                weights = part_of_way(START, flat, share).copy()
                tried.append((measure(weights), number, rate, share, weights))
    best = min(tried, key=lambda one: one[0])
    assert best[1] > 0
    assert (found.loss, found.passes, found.learning_rate, found.share) == best[:4]
    assert found.weights.tobytes() == best[4].tobytes()


def test_it_is_never_worse_than_the_start_which_is_left_alone(train: Encoded) -> None:
    before, how = START.copy(), FineTuning(WORK, passes=3, patience=2, shares=(0.5, 1.0))
    for sign in (1, -1):
        # What gets better, or worse, with every step away from the start.
        found = fine_tune(
            START, CONFIG, how, (0.5, 50.0), train, lambda w, s=sign: s * np.abs(w - START).sum(), 1
        )
        assert found.loss <= 0
        assert (found.passes == 0) == (sign == 1)
    assert START.tobytes() == before.tobytes()


def test_losses_that_are_no_numbers_are_never_taken(train: Encoded) -> None:
    how = FineTuning(WORK, passes=3, patience=2)

    def measure(weights: np.ndarray) -> float:
        return 1.0 if weights.tobytes() == START.tobytes() else math.nan

    found = fine_tune(START, CONFIG, how, (0.5,), train, measure, 1)

    assert (found.passes, found.weights.tobytes()) == (0, START.tobytes())


def test_a_rate_is_given_up_when_its_patience_is_over(train: Encoded) -> None:
    losses = iter([10.0, *(9.0, 12.0, 8.0, 12.0, 12.0, 12.0, 7.0)])
    seen: list[tuple[float, int, float]] = []
    how = FineTuning(WORK, passes=8, patience=2)

    found = tune_at(
        START, CONFIG, how, 0.5, train, lambda w: next(losses), 1, lambda *told: seen.append(told)
    )

    assert (found.loss, found.passes) == (8.0, 3)
    assert seen == [(0.5, 1, 9.0), (0.5, 2, 12.0), (0.5, 3, 8.0), (0.5, 4, 12.0), (0.5, 5, 12.0)]


def test_seeds_decide(train: Encoded, valid: Encoded) -> None:
    how = FineTuning(WORK, passes=2, patience=2)

    def bits(seed: int) -> bytes:
        return fine_tune(START, CONFIG, how, (0.5,), train, loss_on(valid), seed).weights.tobytes()

    assert bits(1) == bits(1)
    assert bits(1) != bits(2)


def test_the_way_between_weights_is_straight() -> None:
    end = START + 2
    assert part_of_way(START, end, 1.0) is end
    assert part_of_way(START, end, 0.25) == pytest.approx(0.75 * START + 0.25 * end, abs=1e-6)
    assert part_of_way(START, end, 0.25).dtype == np.float32


@pytest.mark.parametrize(
    "wrong",
    [{"passes": -1}, {"patience": -1}, {"shares": ()}, {"shares": (0.0,)}, {"shares": (1.5,)}],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadSettings):
        FineTuning(**{"work": WORK, "passes": 1, "patience": 1, **wrong})
