from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from nwp.federated.local import LocalWork, train_group
from nwp.measuring import split
from nwp.measuring.split import (
    COPIES,
    ELEMENTWISE,
    KINDS,
    OTHER,
    PRODUCTS,
    PYTHON,
    RECURRENCE,
    SOFTMAX,
    WEIGHTS,
    Profile,
    gradients_in,
    joined,
    kind_of,
    profile_group,
    some_of,
)
from nwp.measuring.workload import Workload, draw_users
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel

# Outputs 97, gates 4 * 20.
CONFIG = ModelConfig(vocabulary=100, embedding=8, hidden=20, projection=8, tied=False, marks=0)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "shapes", "kind"),
    [
        ("aten::mm", [[64, 8], [8, 80]], PRODUCTS),
        ("aten::addmm_", [[97, 8], [97, 64], [64, 8], [], []], PRODUCTS),
        ("mkldnn::_linear_pointwise", [[64, 8], [97, 8], [97], [], [], []], PRODUCTS),
        ("aten::mm", [[80, 64], [64, 20]], PRODUCTS),  # the recurrence's gradient, over all words
        ("elsewhere::packed_gemm", [], PRODUCTS),
        ("mkldnn::_linear_pointwise", [[16, 20], [80, 20], [], [], [], []], RECURRENCE),
        ("mkldnn::_linear_pointwise", [[16, 80], [20, 80], [], [], [], []], RECURRENCE),
        ("aten::mm", [[3, 20], [20, 80]], RECURRENCE),
        ("aten::addmm", [[3, 80], [3, 20], [20, 80], [], []], RECURRENCE),
        ("nwp::lstm_forward", [[64, 80]], RECURRENCE),
        ("aten::_softmax", [[64, 97], [], []], SOFTMAX),
        ("aten::exp_", [[64, 97]], SOFTMAX),
        ("aten::index_add_", [[64 * 97], [], [64], [64], []], SOFTMAX),
        ("aten::log", [[64]], SOFTMAX),
        ("aten::sigmoid_", [[16, 40]], ELEMENTWISE),
        ("aten::add_", [[16, 80], [16, 80], []], ELEMENTWISE),
        ("aten::add_", [[80, 20], [80, 20], []], WEIGHTS),
        ("aten::copy_", [[97, 8], [97, 8], []], WEIGHTS),
        ("aten::copy_", [[CONFIG.parameters], [CONFIG.parameters], []], WEIGHTS),
        ("aten::index_add_", [[100, 8], [], [64], [64, 8], []], WEIGHTS),
        ("aten::index_select", [[100, 8], [], [64]], COPIES),
        ("aten::copy_", [[64, 20], [64, 20], []], COPIES),
        ("mkldnn::_reorder_linear_weight", [[80, 20], []], WEIGHTS),
        ("mkldnn::_reorder_linear_weight", [[33, 44], []], COPIES),
        ("aten::copy_", [[20, 80], [20, 80], []], WEIGHTS),  # laid out the other way
        ("aten::empty", [[], [], []], COPIES),
        ("aten::split_with_sizes", [[64, 20], [], []], PYTHON),
        ("detach", [[64]], PYTHON),
        ("aten::frobnicate", [[64, 20]], OTHER),
        ("", [], OTHER),
    ],
)
def test_operators_are_known_by_name_and_shape(name: str, shapes: list, kind: str) -> None:
    assert kind_of(name, shapes, CONFIG) == kind


def test_parts_of_gradients_are_known_by_the_products_that_form_them() -> None:
    events = [
        ("aten::mm", [[33, 64], [64, 8]]),  # 33 rows of a gradient, over 64 words
        ("mkldnn::_linear_pointwise", [[40, 64], [20, 64], [], []]),
        ("aten::mm", [[64, 8], [8, 80]]),  # forward
        ("mkldnn::_linear_pointwise", [[16, 20], [80, 20], [], []]),
        ("aten::add_", [[16, 80], [16, 80], []]),
        ("aten::mm", []),
    ]

    found = gradients_in(events, CONFIG)

    assert found == {(33, 8), (40, 20)}
    assert kind_of("aten::add_", [[33, 8], [33, 8], []], CONFIG, found) == WEIGHTS
    assert kind_of("aten::copy_", [[40, 20], [40, 20], []], CONFIG, found) == WEIGHTS
    assert kind_of("aten::add_", [[33, 8], [33, 8], []], CONFIG) == ELEMENTWISE
    assert kind_of("aten::add_", [[64, 80], [64, 80], []], CONFIG, found) == ELEMENTWISE


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    model = NextWordModel(CONFIG)
    model.initialize(0)
    return model.weights()


@pytest.fixture(scope="module")
def users() -> list:
    drawn = draw_users(Workload(users=4, messages=30, vocabulary=100, spread=1.5))
    return [(user, seed) for seed, user in enumerate(drawn)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_profile_finds_every_kind_and_adds_up(weights, users, precision: str, capfd) -> None:
    work = LocalWork(precision=precision)

    found = profile_group(weights, time.monotonic(), CONFIG, work, users)

    assert set(found.parts) == set(KINDS)
    assert all(seconds >= 0 for seconds in found.parts.values())
    assert all(found.parts[k] > 0 for k in KINDS if k not in (OTHER, PYTHON))
    assert not found.unknown
    assert found.parts[OTHER] == 0
    assert found.words == sum(len(user.targets) for user, _ in users)
    assert found.users == 4
    assert capfd.readouterr() == ("", "")


def test_a_profile_is_as_long_as_the_run_without_it(weights, users, monkeypatch) -> None:
    plain: list[float] = []
    timed = split._timed

    def listening(call):
        plain.append(timed(call))
        return plain[-1]

    monkeypatch.setattr(split, "_timed", listening)
    found = profile_group(weights, time.monotonic(), CONFIG, LocalWork(), users)

    before, watched, after = (cpu for cpu, _ in plain)
    assert found.seconds == pytest.approx(min(before, after))
    assert found.overhead == pytest.approx(watched / min(before, after) - 1)


def test_operators_that_no_table_knows_are_named(weights, users, monkeypatch) -> None:
    monkeypatch.delitem(split.OPERATORS, "tanh")

    found = profile_group(weights, time.monotonic(), CONFIG, LocalWork(), users)

    assert set(found.unknown) <= {"aten::tanh", "aten::tanh_"}
    assert found.unknown
    assert found.parts[OTHER] > 0


def test_what_is_inside_operators_never_takes_longer_than_the_run() -> None:
    found = split._without_overhead({PRODUCTS: 3.0, COPIES: 1.0, PYTHON: 9.0}, 2.0)

    assert found[PRODUCTS] == pytest.approx(1.5)
    assert found[COPIES] == pytest.approx(0.5)
    assert found[PYTHON] == pytest.approx(0)
    assert split._without_overhead({PRODUCTS: 3.0}, 5.0)[PYTHON] == pytest.approx(2)


def test_some_users_are_the_first_ones_with_few_enough_words(users) -> None:
    sizes = [len(user.targets) for user, _ in users]

    assert some_of(users, sum(sizes)) == users
    assert some_of(users, sizes[0] + sizes[1]) == users[:2]
    assert some_of(users, sizes[0] + sizes[1] + 1) == users[:2]
    ((cut, seed),) = some_of(users, sizes[0] - 1)
    first = users[0][0]
    assert seed == users[0][1]
    assert cut.messages == first.messages - 1
    assert np.array_equal(cut.targets, first.targets[: first.offsets[-2]])
    ((one, _),) = some_of(users, 0)
    assert one.messages == 1


def test_a_user_that_is_cut_can_be_trained_on(weights, users) -> None:
    work = LocalWork()
    ((cut, seed),) = some_of(users[:1], len(users[0][0].targets) // 2)

    summed, words, _ = train_group(weights, CONFIG, work, [(cut, seed)])

    assert words == cut.words
    assert np.isfinite(summed).all()
    assert summed.any()


def test_profiles_of_several_processes_are_averaged() -> None:
    one = dict.fromkeys(KINDS, 1.0)
    first, second = (
        Profile(one, 0.2, ("a",), 3, 40),
        Profile(one | {PRODUCTS: 3.0}, 0.4, ("b",), 3, 40),
    )

    found = joined([first, second])

    assert found.parts[PRODUCTS] == pytest.approx(2)
    assert found.seconds == pytest.approx(math.fsum([2.0, *[1.0] * (len(KINDS) - 1)]))
    assert found.overhead == pytest.approx(0.3)
    assert (found.unknown, found.users, found.words) == (("a", "b"), 3, 40)
