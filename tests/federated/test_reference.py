from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch

from nwp.errors import BadMessage
from nwp.federated.averaging import MEAN
from nwp.federated.cohort import draw_cohort
from nwp.federated.local import LocalWork, pad, seed_for, train_group
from nwp.federated.parcel import Parcel
from nwp.federated.plan import TrainPlan
from nwp.federated.reference import federated_averaging
from nwp.federated.reference import loss as loss_of
from nwp.federated.rounds import run_round
from nwp.federated.state import Checkpoint
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.text.tokenizer import MARKS
from nwp.text.vocabulary import FIRST_OUTPUT, Encoded

WORDS = tuple("abcdefgh")
SIZE = 5 + len(WORDS)
CLOSE = 1e-6

Flat = np.ndarray


def config(tied: bool = True, marks: int = MARKS) -> ModelConfig:
    return ModelConfig(SIZE, 4, hidden=5, projection=4 if tied else 3, tied=tied, marks=marks)


def start_weights(model: ModelConfig, seed: int = 0) -> Flat:
    """Larger than usual start weights, so that gradients are not tiny."""
    return np.random.default_rng(seed).normal(0, 0.5, model.parameters).astype(np.float32)


def by_name(model: ModelConfig, flat: Flat) -> dict[str, np.ndarray]:
    cuts = np.cumsum([np.prod(shape) for shape in model.shapes().values()])[:-1]
    parts = np.split(flat, cuts)
    return {n: p.reshape(s) for (n, s), p in zip(model.shapes().items(), parts, strict=True)}


def assert_close(found: Flat, expected: Flat) -> None:
    assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


# --- training as it runs against the readable FedAvg ----------------------------------------------


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(
    ("clip_norm", "proximal"),
    [(0.0, 0.0), (0.2, 0.0), (0.0, 0.4), (0.2, 0.4)],
    ids=["free", "clipped", "proximal", "clipped and proximal"],
)
@pytest.mark.parametrize("order", ["sorted", "given"])
@pytest.mark.parametrize("cohort", [0, 3], ids=["everybody", "cohort"])
def test_two_rounds_give_the_weights_of_the_readable_fedavg(
    tmp_path, drawn, in_memory, order, clip_norm, proximal, tied, cohort
):
    work = LocalWork(2, 3, 0.3, clip_norm=clip_norm, order=order, proximal=proximal)
    users = {
        "one": {
            "u1": drawn(1, 7, SIZE, MARKS),
            "u2": drawn(2, 1, SIZE, MARKS),
            "u3": drawn(3, 4, SIZE, MARKS),
        },
        "two": {"u4": drawn(4, 12, SIZE, MARKS), "u5": drawn(5, 2, SIZE, MARKS)},
    }
    model = config(tied)
    plan = TrainPlan(
        model, WORDS, {}, {"one": 3, "two": 2}, work, cohort=cohort, rounds=2, seed=9, groups=2
    )
    exchange, start = in_memory(plan, users), start_weights(model)
    weights = start
    for number in (1, 2):
        aggregate, _ = run_round(
            plan, MEAN, number, weights, exchange, Checkpoint(tmp_path, "none")
        )
        weights = weights + aggregate.update

    everybody = [(w, i, name) for w in users for i, name in enumerate(sorted(users[w]))]
    rounds = []
    for number in (1, 2):
        chosen = draw_cohort(plan, number)
        rounds.append(
            {
                k: seed_for(plan.seed, number, name)
                for k, (w, i, name) in enumerate(everybody)
                if i in chosen.get(w, ())
            }
        )
    named = {n: torch.tensor(a) for n, a in by_name(model, start).items()}
    texts = [users[w][name] for w, _, name in everybody]
    expected = federated_averaging(named, model, work, rounds, texts)
    assert list(expected) == list(model.shapes())
    flat = np.concatenate([tensor.numpy().reshape(-1) for tensor in expected.values()])
    assert np.abs(flat - start).max() > 0.05
    assert_close(weights, flat)


# --- training as it runs against FedAvg by hand, in float64, with gradients by differences --------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def loss_by_hand(w: Mapping[str, np.ndarray], model: ModelConfig, user: Encoded) -> float:
    """Mean nats over all positions: message by message, word by word, from a fresh state each."""
    rows = w["embed.weight"][FIRST_OUTPUT:] if model.tied else w["out.weight"]
    total, count = 0.0, 0
    for start, stop in itertools.pairwise(user.offsets.tolist()):
        h = c = np.zeros(model.hidden)
        for j in range(start, stop):
            x = w["embed.weight"][user.inputs[j]]
            if model.marks:
                x = x + w["mark.weight"][user.marks[j]]
            z = w["lstm.weight_ih_l0"] @ x + w["lstm.weight_hh_l0"] @ h
            z = z + w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]
            n = model.hidden
            i, f, o = sigmoid(z[:n]), sigmoid(z[n : 2 * n]), sigmoid(z[3 * n :])
            c = f * c + i * np.tanh(z[2 * n : 3 * n])
            h = o * np.tanh(c)
            scores = rows @ (w["proj.weight"] @ h + w["proj.bias"]) + w["out.bias"]
            p = np.exp(scores - scores.max())
            total -= np.log(p[user.targets[j] - FIRST_OUTPUT] / p.sum())
            count += 1
    return total / count


def gradient_by_hand(flat: Flat, model: ModelConfig, user: Encoded) -> Flat:
    """Central differences, one weight after another."""
    found, h = np.zeros(len(flat)), 1e-5
    for k in range(len(flat)):
        ends = []
        for change in (h, -h):
            moved = flat.astype(np.float64)
            moved[k] += change
            ends.append(loss_by_hand(by_name(model, moved), model, user))
        found[k] = (ends[0] - ends[1]) / (2 * h)
    return found


def whole(user: Encoded, **more: float) -> LocalWork:
    """One batch with all of a user's messages."""
    return LocalWork(batch=user.messages, learning_rate=0.7, **more)


@pytest.mark.parametrize("order", ["sorted", "given"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("marks", [0, 3], ids=["no marks", "marks"])
def test_one_user_with_one_batch_takes_one_step_down_the_gradient(drawn, order, tied, marks):
    model, user = config(tied, marks), drawn(1, 3, SIZE, marks, longest=4)
    start = start_weights(model)
    work = LocalWork(batch=3, learning_rate=0.7, order=order)
    summed, words, loss = train_group(start, model, work, [(user, 5)])
    expected = start - 0.7 * gradient_by_hand(start, model, user)
    assert words == user.words
    assert_close(start + summed / words, expected)
    assert loss / words == pytest.approx(loss_by_hand(by_name(model, start), model, user), abs=1e-6)


def test_a_clipped_step_goes_down_the_same_gradient_made_as_long_as_the_bound(drawn):
    model, user = config(), drawn(1, 3, SIZE, MARKS, longest=4)
    start = start_weights(model)
    gradient = gradient_by_hand(start, model, user)
    norm = float(np.linalg.norm(gradient))
    for bound in (norm / 3, norm * 3):
        summed, words, _ = train_group(start, model, whole(user, clip_norm=bound), [(user, 5)])
        step = 0.7 * gradient * min(1, bound / norm)
        assert_close(start + summed / words, start - step)


def test_two_steps_of_one_message_each_follow_one_another(drawn, laid):
    model, user = config(), drawn(3, 2, SIZE, MARKS, longest=3)
    start = start_weights(model)
    work = LocalWork(batch=1, learning_rate=0.7, order="given")
    summed, words, _ = train_group(start, model, work, [(user, 5)])
    expected = start.astype(np.float64)
    for i in (0, 1):
        ids = user.targets[user.offsets[i] : user.offsets[i + 1] - 1].tolist()
        expected = expected - 0.7 * gradient_by_hand(expected, model, laid([ids], MARKS))
    assert_close(start + summed / words, expected)


@pytest.mark.parametrize("order", ["sorted", "given"])
@pytest.mark.parametrize("messages", [3, 20, 150])
def test_fedsgd_takes_one_step_down_the_gradient_of_all_messages(drawn, order, messages):
    """150 messages are computed in slices, 20 whole, 3 together with other users."""
    model, users = config(), [(drawn(s, messages, SIZE, MARKS), s) for s in (1, 2)]
    start = start_weights(model)
    work = LocalWork(1, 0, 0.7, order=order)
    summed, words, loss = train_group(start, model, work, users)
    expected, nats = np.zeros(len(start)), 0.0
    named = {n: torch.tensor(a, dtype=torch.float64) for n, a in by_name(model, start).items()}
    for user, _ in users:
        w = {name: tensor.clone().requires_grad_() for name, tensor in named.items()}
        mean = loss_of(w, model, pad(user, np.arange(user.messages), 40))
        gradients = torch.autograd.grad(mean, list(w.values()))
        flat = np.concatenate([g.numpy().reshape(-1) for g in gradients])
        expected -= user.words * 0.7 * flat
        nats += user.words * mean.item()
    assert words == sum(user.words for user, _ in users)
    # An update is a difference of weights in float32: no closer than these are.
    assert np.abs(summed - expected).max() <= 1e-5 * np.abs(expected).max()
    assert loss == pytest.approx(nats, rel=1e-6)


def test_users_are_averaged_with_their_words_as_weights(tmp_path, drawn, in_memory):
    model = config()
    small, large = drawn(1, 1, SIZE, MARKS, longest=2), drawn(2, 4, SIZE, MARKS, longest=4)
    assert small.words < large.words
    work, start = LocalWork(batch=9, learning_rate=0.7), start_weights(model)
    steps = [-0.7 * gradient_by_hand(start, model, user) for user in (small, large)]
    n1, n2 = small.words, large.words
    expected = start + (n1 * steps[0] + n2 * steps[1]) / (n1 + n2)
    together = {"w": {"a": small, "b": large}}
    apart = {"v": {"a": small}, "w": {"b": large}}
    for users in (together, apart):
        plan = TrainPlan(model, WORDS, {}, {w: len(u) for w, u in users.items()}, work)
        aggregate, _ = run_round(
            plan, MEAN, 1, start, in_memory(plan, users), Checkpoint(tmp_path, "none")
        )
        assert_close(start + aggregate.update, expected)
        assert (aggregate.words, aggregate.users) == (n1 + n2, 2)
        losses = [loss_by_hand(by_name(model, start), model, user) for user in (small, large)]
        assert aggregate.loss == pytest.approx(np.average(losses, weights=[n1, n2]), abs=1e-6)


def test_the_names_and_order_of_weights_by_hand_are_the_models():
    for tied, marks in itertools.product([True, False], [0, 3]):
        model = NextWordModel(config(tied, marks))
        flat = start_weights(model.config)
        model.set_weights(flat)
        mine, its = by_name(model.config, flat), model.tensors()
        assert list(mine) == list(its)
        assert all(np.array_equal(mine[name], its[name]) for name in mine)


# --- the mean ---------------------------------------------------------------------------------


def mean_of(updates: Sequence[tuple[Flat, int]], losses: Sequence[float] = ()) -> Parcel:
    """What the server makes of workers' updates, given with their words."""
    size = len(updates[0][0])
    answers = {
        f"w{i}": Parcel(
            {"words": words, "users": 1, "loss": losses[i] if losses else 0.0}, {"update": update}
        )
        for i, (update, words) in enumerate(updates)
    }
    plan = TrainPlan(config(), WORDS, {}, dict.fromkeys(answers, 1))
    state = Parcel(arrays={"weights": np.zeros(size, np.float32)})
    return MEAN.steps[0].collect(plan, state, answers)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_the_mean_of_equal_updates_is_that_update_whatever_the_words(k):
    rng = np.random.default_rng(k)
    update = rng.normal(0, 1, 50).astype(np.float32)
    found = mean_of([(update, int(n)) for n in rng.integers(1, 5000, k)])
    assert np.array_equal(found.arrays["update"], update)


def test_users_with_equal_text_have_the_update_of_one(tmp_path, drawn, in_memory):
    model, user = config(), drawn(1, 5, SIZE, MARKS)
    work, start = LocalWork(2, batch=2, order="given", learning_rate=0.3), start_weights(model)
    alone, words, _ = train_group(start, model, work, [(user, 1)])
    users = {"v": {"a": user}, "w": {"b": user, "c": user, "d": user}}
    plan = TrainPlan(model, WORDS, {}, {"v": 1, "w": 3}, work, groups=2)
    aggregate, _ = run_round(
        plan, MEAN, 1, start, in_memory(plan, users), Checkpoint(tmp_path, "none")
    )
    assert_close(aggregate.update, alone / words)
    assert aggregate.words == 4 * words


def test_the_mean_of_updates_by_hand():
    found = mean_of(
        [(np.array([1, 2], np.float32), 30), (np.array([5, -2], np.float32), 10)], [2.0, 4.0]
    )
    assert found.arrays["update"].tolist() == [2, 1]
    assert found.fields == {"words": 40, "users": 2, "loss": 2.5}


def test_a_worker_without_words_has_no_say():
    ours, none = np.array([1.0], np.float32), np.array([99.0], np.float32)
    assert mean_of([(ours, 3), (none, 0)]).arrays["update"].tolist() == [1]
    assert mean_of([(none, 0)]).arrays["update"].tolist() == [0]


@pytest.mark.parametrize("fields", [{"words": -1}, {"users": -1}, {"users": 2}])
def test_a_worker_that_claims_impossible_numbers_is_refused(fields):
    plan = TrainPlan(config(), WORDS, {}, {"w": 1})
    update = {"update": np.zeros(2, np.float32)}
    answer = Parcel({"words": 1, "users": 1, "loss": 0.0, **fields}, update)
    state = Parcel(arrays={"weights": np.zeros(2, np.float32)})
    with pytest.raises(BadMessage, match="w claims"):
        MEAN.steps[0].collect(plan, state, {"w": answer})


@pytest.mark.parametrize("asked", [[0, 0], [2], [-1], [0, 1, 2]])
def test_a_worker_answers_no_request_for_users_it_does_not_have(
    drawn, memory_worker, asked: list[int]
):
    plan = TrainPlan(config(), WORDS, {}, {"w": 2})
    worker = memory_worker(
        plan, {"train": {"a": drawn(1, 1, SIZE, MARKS), "b": drawn(2, 1, SIZE, MARKS)}}
    )
    request = Parcel(
        arrays={"weights": start_weights(plan.model), "users": np.array(asked, np.int64)}
    )
    with pytest.raises(BadMessage, match="does not have"):
        MEAN.steps[0].phase.answer(worker, 1, request)


def answer_of(
    plan: TrainPlan, make: Callable[..., object], users: Mapping[str, Encoded], asked: list[int]
) -> Parcel:
    request = Parcel(
        arrays={"weights": start_weights(plan.model), "users": np.array(asked, np.int64)}
    )
    return MEAN.steps[0].phase.answer(make(plan, {"train": users}), 1, request)


def test_the_grouping_and_the_order_asked_in_change_nothing_but_rounding(drawn, memory_worker):
    users = {name: drawn(i, 3 + i, SIZE, MARKS) for i, name in enumerate("abcde")}
    plans = [TrainPlan(config(), WORDS, {}, {"w": 5}, groups=g) for g in (1, 2, 5)]
    first, *others = [answer_of(plan, memory_worker, users, [0, 1, 3, 4]) for plan in plans]
    for other in others:
        assert other.fields["words"] == first.fields["words"]
        assert_close(other.arrays["update"], first.arrays["update"])
    turned = answer_of(plans[0], memory_worker, users, [4, 1, 3, 0])
    assert np.array_equal(turned.arrays["update"], first.arrays["update"])


def test_a_user_without_words_is_not_counted(drawn, laid, memory_worker):
    plan = TrainPlan(config(), WORDS, {}, {"w": 2})
    user = drawn(1, 3, SIZE, MARKS)
    found = answer_of(plan, memory_worker, {"a": user, "b": laid([], MARKS)}, [0, 1])
    alone = answer_of(plan, memory_worker, {"a": user, "b": user}, [0])
    assert found.fields == alone.fields
    assert found.fields["users"] == 1
    assert np.array_equal(found.arrays["update"], alone.arrays["update"])


def test_a_worker_whose_users_have_no_words_sends_no_movement(laid, memory_worker):
    plan = TrainPlan(config(), WORDS, {}, {"w": 1})
    found = answer_of(plan, memory_worker, {"a": laid([], MARKS)}, [0])
    assert found.fields == {"words": 0, "users": 0, "loss": 0.0}
    assert not found.arrays["update"].any()
