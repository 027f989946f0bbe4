from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwp.errors import BadSettings
from nwp.federated.kernel import Kernel
from nwp.federated.local import (
    Batch,
    LocalWork,
    deal_groups,
    make_batches,
    pad,
    seed_for,
    take_steps,
    train_group,
    train_user,
)
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.text.vocabulary import BEGIN, END, FIRST_OUTPUT, FIRST_WORD, Encoded

SIZE, MARKS = FIRST_WORD + 9, 4
CONFIG = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=MARKS)
DROPPING = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=MARKS, dropout=0.3)

Drawn = Callable[..., Encoded]


def start_weights(config: ModelConfig = CONFIG) -> torch.Tensor:
    draw = np.random.default_rng(0).normal(0, 0.5, config.parameters)
    return torch.from_numpy(draw.astype(np.float32))


def numbered(lengths: list[int]) -> Encoded:
    """Message i has `lengths[i]` positions; position j of it reads i + 1, mark j, predicts 100 i + j."""
    places = [(i, j) for i, n in enumerate(lengths) for j in range(n)]
    return Encoded(
        inputs=np.array([i + 1 for i, _ in places], np.int32),
        marks=np.array([j for _, j in places], np.int32),
        targets=np.array([FIRST_OUTPUT + 100 * i + j for i, j in places], np.int32),
        addresses=np.zeros(len(places), np.bool_),
        offsets=np.cumsum([0, *lengths]).astype(np.int64),
    )


def rows_of(batch: Batch) -> list[tuple[int, int]]:
    """The message and the number of positions in each row, after a look at every cell."""
    found = []
    for inputs, marks, targets in zip(
        batch.inputs.tolist(), batch.marks.tolist(), batch.targets.tolist(), strict=True
    ):
        message, length = inputs[0] - 1, sum(t > 0 for t in targets)
        padding = [0] * (len(targets) - length)
        assert inputs == [message + 1] * length + padding
        assert marks == [*range(length), *padding]
        assert targets == [FIRST_OUTPUT + 100 * message + j for j in range(length)] + padding
        found.append((message, length))
    return found


def epoch(user: Encoded, work: LocalWork, seed: int = 0) -> list[list[tuple[int, int]]]:
    return [rows_of(batch) for batch in make_batches(user, work, np.random.default_rng(seed))]


some_lengths = st.lists(st.integers(2, 12), min_size=1, max_size=20)


@given(
    lengths=some_lengths,
    batch=st.integers(1, 7),
    cut=st.integers(1, 14),
    order=st.sampled_from(["sorted", "given"]),
    seed=st.integers(0, 2**32),
)
def test_an_epoch_has_each_message_once_and_cuts_what_is_longer(lengths, batch, cut, order, seed):
    work = LocalWork(batch=batch, max_positions=cut, order=order)
    batches = epoch(numbered(lengths), work, seed)
    seen = [row for rows in batches for row in rows]
    assert sorted(seen) == [(i, min(n, cut)) for i, n in enumerate(lengths)]
    sizes = sorted((len(rows) for rows in batches), reverse=True)
    full, left = divmod(len(lengths), batch)
    assert sizes == [batch] * full + [left] * (left > 0)


@given(lengths=some_lengths, batch=st.integers(1, 7), seed=st.integers(0, 2**32))
def test_order_given_keeps_the_messages_order_whatever_the_seed(lengths, batch, seed):
    batches = epoch(numbered(lengths), LocalWork(batch=batch, order="given"), seed)
    assert [message for rows in batches for message, _ in rows] == list(range(len(lengths)))


@given(lengths=some_lengths, batch=st.integers(1, 7), seed=st.integers(0, 2**32))
def test_order_sorted_puts_like_lengths_together(lengths, batch, seed):
    batches = epoch(numbered(lengths), LocalWork(batch=batch, order="sorted"), seed)
    spans = sorted((min(n for _, n in rows), max(n for _, n in rows)) for rows in batches)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def test_order_sorted_draws_batches_and_messages_by_seed():
    lengths = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    user, work = numbered(lengths), LocalWork(batch=2)
    assert epoch(user, work, 1) == epoch(user, work, 1)
    drawn = [epoch(user, work, seed) for seed in range(30)]
    assert len({str(batches) for batches in drawn}) > 25
    assert len({batches[0][0][1] for batches in drawn}) == 3  # not always the shortest first
    assert len({str(sorted(map(sorted, batches))) for batches in drawn}) > 5  # nor equal batches


def test_epochs_differ_under_order_sorted():
    rng, user, work = np.random.default_rng(3), numbered([3] * 20), LocalWork(batch=4)
    first, second = ([rows_of(b) for b in make_batches(user, work, rng)] for _ in range(2))
    assert first != second


def test_a_batch_is_no_longer_than_its_longest_message():
    batches = make_batches(numbered([3, 5, 9, 4]), LocalWork(batch=2, order="given"), None)
    assert [tuple(batch.inputs.shape) for batch in batches] == [(2, 5), (2, 9)]


def test_padding_puts_the_rows_asked_for_in_the_order_asked_for():
    batch = pad(numbered([3, 5, 2]), np.array([2, 0]), 40)
    assert rows_of(batch) == [(2, 2), (0, 3)]
    assert {t.dtype for t in (batch.inputs, batch.marks, batch.targets)} == {torch.int64}


def test_no_messages_give_no_batches():
    for order in ("sorted", "given"):
        assert epoch(numbered([]), LocalWork(order=order)) == []


# --- one user's training -----------------------------------------------------------------------


def trained(user: Encoded, work: LocalWork, seed: int, config: ModelConfig = CONFIG):
    return train_user(Kernel(config), start_weights(config), user, work, seed)


@pytest.mark.parametrize("config", [CONFIG, DROPPING], ids=["plain", "dropout"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(drawn: Drawn, config):
    user, work = drawn(1, 9, SIZE, MARKS), LocalWork(2, batch=2)
    first, again, other = (trained(user, work, seed, config) for seed in (7, 7, 8))
    assert first.delta.numpy().tobytes() == again.delta.numpy().tobytes()
    assert (first.loss, first.words, first.steps) == (again.loss, again.words, again.steps)
    assert first.delta.numpy().tobytes() != other.delta.numpy().tobytes()


def test_with_order_given_and_no_dropout_the_seed_changes_nothing(drawn: Drawn):
    user, work = drawn(1, 9, SIZE, MARKS), LocalWork(2, batch=2, order="given")
    assert torch.equal(trained(user, work, 1).delta, trained(user, work, 2).delta)


def test_dropout_takes_its_randomness_from_the_seed(drawn: Drawn):
    user, work = drawn(1, 9, SIZE, MARKS), LocalWork(2, batch=2, order="given")
    one, other = (trained(user, work, seed, DROPPING).delta for seed in (1, 2))
    assert not torch.equal(one, other)
    assert not torch.equal(one, trained(user, work, 1).delta)


@pytest.mark.parametrize("config", [CONFIG, DROPPING], ids=["plain", "dropout"])
def test_training_neither_reads_nor_moves_the_global_generators(drawn: Drawn, config):
    user, work = drawn(1, 9, SIZE, MARKS), LocalWork(batch=2)
    kernel, start = Kernel(config), start_weights(config)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].tolist()
        found.append(train_user(kernel, start, user, work, 5).delta)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(*found)


def test_what_the_kernel_held_before_changes_nothing(drawn: Drawn):
    kernel, start, work = Kernel(CONFIG), start_weights(), LocalWork(batch=2)
    users = [drawn(seed, 6, SIZE, MARKS) for seed in (1, 2)]
    first = train_user(kernel, start, users[0], work, 5).delta
    kept = first.clone()
    train_user(kernel, start, users[1], work, 6)
    assert torch.equal(first, kept)
    assert torch.equal(train_user(kernel, start, users[0], work, 5).delta, kept)


def test_training_leaves_the_received_weights_alone(drawn: Drawn):
    start = start_weights()
    before = start.clone()
    delta = train_user(Kernel(CONFIG), start, drawn(1, 4, SIZE, MARKS), LocalWork(), 5).delta
    assert torch.equal(start, before)
    assert not torch.equal(delta, torch.zeros(len(start)))


def test_a_user_with_one_message_takes_one_step_an_epoch(drawn: Drawn):
    user = drawn(1, 1, SIZE, MARKS)
    for order in ("sorted", "given"):
        update = trained(user, LocalWork(3, batch=16, order=order), 5)
        assert update.steps == 3
        assert update.words == 3 * user.words
        assert float(update.delta.norm()) > 0


def test_a_user_without_messages_moves_nothing():
    update = trained(numbered([]), LocalWork(3), 5)
    assert (update.words, update.steps, update.loss) == (0, 0, 0.0)
    assert not update.delta.any()


@given(messages=st.integers(1, 9), batch=st.integers(1, 5), epochs=st.integers(1, 3))
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_steps_and_words_are_those_of_all_epochs(drawn: Drawn, messages, batch, epochs):
    user = drawn(messages, messages, SIZE, MARKS)
    update = trained(user, LocalWork(epochs, batch), 1)
    assert update.steps == epochs * math.ceil(messages / batch)
    assert update.words == epochs * (len(user.targets) - messages)


@pytest.mark.parametrize("bound", [1e-3, 0.1, 0.5])
def test_no_step_is_longer_than_the_rate_times_the_bound(drawn: Drawn, bound):
    work = LocalWork(batch=2, order="given", learning_rate=0.7, clip_norm=bound)
    kernel, user = Kernel(CONFIG), drawn(1, 12, SIZE, MARKS)
    kernel.load(start_weights())
    before, lengths = kernel.flat.clone(), []
    for _ in take_steps(kernel, user, work, np.random.default_rng(0), torch.Generator()):
        lengths.append(float((kernel.flat - before).double().norm()))
        before = kernel.flat.clone()
    assert len(lengths) == 6
    assert max(lengths) <= 0.7 * bound * (1 + 1e-4)
    if bound == 1e-3:  # far below these gradients: every step is exactly as long as it may be
        assert min(lengths) >= 0.7 * bound * (1 - 1e-3)


def test_the_whole_update_is_no_longer_than_its_steps_together(drawn: Drawn):
    update = trained(drawn(1, 8, SIZE, MARKS), LocalWork(2, 2, 0.7, clip_norm=0.1), 1)
    assert float(update.delta.norm()) <= update.steps * 0.7 * 0.1 * (1 + 1e-4)


def test_a_bound_above_every_gradient_changes_nothing(drawn: Drawn):
    user = drawn(1, 8, SIZE, MARKS)
    free, bounded = (trained(user, LocalWork(batch=2, clip_norm=c), 1) for c in (0.0, 1e6))
    assert free.delta.numpy() == pytest.approx(bounded.delta.numpy(), abs=1e-6)


def test_the_loss_is_the_mean_over_targets_of_all_steps_before_each_step(drawn: Drawn):
    user, work = drawn(1, 5, SIZE, MARKS), LocalWork(2, batch=2, order="given")
    update = trained(user, work, 1)
    model, total, count = NextWordModel(CONFIG), 0.0, 0
    model.set_weights(start_weights())
    for _ in range(2):
        for batch in make_batches(user, work, np.random.default_rng(0)):
            logits = model.logits(model.hidden(batch.inputs, batch.marks))
            p = torch.log_softmax(logits, -1)
            real = batch.targets > 0
            chosen = p.gather(2, (batch.targets - FIRST_OUTPUT).clamp(min=0)[..., None])[..., 0]
            total, count = total - chosen[real].sum().item(), count + int(real.sum())
            model.zero_grad()
            (-chosen[real].mean()).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.sub_(work.learning_rate * parameter.grad)
    assert count == 2 * len(user.targets)
    assert update.loss == pytest.approx(total / count, rel=1e-5)
    assert update.delta.numpy() == pytest.approx((model.flat - start_weights()).numpy(), abs=1e-6)


def test_positions_past_the_cut_are_not_trained_on(laid: Callable[..., Encoded]):
    head, tail = [6, 7, 8], [9, 10, 11]
    cut = trained(laid([head + tail], MARKS), LocalWork(max_positions=3), 1)
    other = trained(laid([[*head, 12]], MARKS), LocalWork(max_positions=3), 1)
    assert torch.equal(cut.delta, other.delta)
    assert not torch.equal(cut.delta, trained(laid([head + tail], MARKS), LocalWork(), 1).delta)


def test_padding_has_no_part_in_training(laid: Callable[..., Encoded]):
    """Of a padded batch the id 0 (padding) gets no gradient, and neither does the mark 0's share."""
    messages = [[6], [7, 8, 9, 10, 11]]
    update = trained(laid(messages, MARKS), LocalWork(batch=2), 1)
    model = NextWordModel(CONFIG)
    model.set_weights(update.delta)
    embedding = model.tensors()["embed.weight"]
    assert not embedding[0].any()
    assert embedding[BEGIN].any()
    assert embedding[END].any()  # as an output row, by the tie


def test_a_group_is_the_sum_of_its_users_weighted_by_words(drawn: Drawn):
    users = [(drawn(seed, 3 + seed, SIZE, MARKS), seed) for seed in (1, 2, 3)]
    work, start = LocalWork(2, batch=3), start_weights()
    summed, words, loss = train_group(start.numpy(), CONFIG, work, users)
    singles = [trained(user, work, seed) for user, seed in users]
    expected = sum(u.words * u.delta.double().numpy() for u in singles)
    assert summed.dtype == np.float32
    assert summed == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert words == sum(u.words for u in singles)
    assert loss == pytest.approx(sum(u.words * u.loss for u in singles))


def test_a_group_of_users_of_one_step_has_words_enough_to_be_worth_it(drawn: Drawn):
    work = LocalWork(batch=4, max_positions=9)
    users = [(drawn(seed, 4, SIZE, MARKS), seed) for seed in range(99)]
    words = sum(len(user.targets) - user.messages for user, _ in users)
    few = deal_groups(users, work, 16)
    assert len(few) == words // 512 > 1
    assert sorted(seed for group in few for _, seed in group) == list(range(99))
    assert len(deal_groups(users, work, 1)) == len(deal_groups(users[:3], work, 16)) == 1
    several = [*users, (drawn(1, 5, SIZE, MARKS), 99)]
    assert len(deal_groups(several, work, 16)) == 16


def test_a_group_of_nobody_moves_nothing():
    summed, words, loss = train_group(start_weights().numpy(), CONFIG, LocalWork(), [])
    assert (summed.any(), words, loss) == (False, 0, 0.0)


def test_groups_of_other_models_in_turn_do_not_disturb_each_other(drawn: Drawn):
    users = [(drawn(1, 4, SIZE, MARKS), 1)]
    first = train_group(start_weights().numpy(), CONFIG, LocalWork(), users)[0]
    other = ModelConfig(SIZE, 4, hidden=6, projection=4, marks=MARKS)
    train_group(start_weights(other).numpy(), other, LocalWork(), users)
    again = train_group(start_weights().numpy(), CONFIG, LocalWork(), users)[0]
    assert first.tobytes() == again.tobytes()


# --- a batch of all messages ----------------------------------------------------------------------


def test_a_batch_of_0_is_one_of_all_messages():
    for order in ("sorted", "given"):
        (rows,) = epoch(numbered([3, 5, 2] * 30), LocalWork(batch=0, order=order))
        assert len(rows) == 90
        assert epoch(numbered([]), LocalWork(batch=0, order=order)) == []


@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
def test_a_batch_in_slices_gives_the_step_of_one_that_is_whole(drawn: Drawn, clip_norm):
    user = drawn(1, 200, SIZE, MARKS)
    about = {"epochs": 2, "learning_rate": 0.7, "clip_norm": clip_norm, "proximal": 0.3}
    sliced, whole = (trained(user, LocalWork(batch=b, **about), 3) for b in (0, 200))
    assert sliced.delta.numpy() == pytest.approx(whole.delta.numpy(), rel=1e-4, abs=3e-5)
    assert sliced.loss == pytest.approx(whole.loss, rel=1e-5)
    assert (sliced.steps, sliced.words) == (whole.steps, whole.words) == (2, 2 * user.words)


def test_no_more_than_a_slice_is_computed_at_once(drawn: Drawn, monkeypatch):
    """Whatever a user has: memory is for 64 messages, or for 64 users with no more than 16 each."""
    seen, backward = [], Kernel.backward

    def watched(self, batch, *more):
        seen.append(batch.shape[0])
        return backward(self, batch, *more)

    monkeypatch.setattr(Kernel, "backward", watched)
    users = [(drawn(s, n, SIZE, MARKS), s) for s, n in enumerate([1000, 65, 64, 17, 16, 3])]
    train_group(start_weights().numpy(), CONFIG, LocalWork(batch=0), users)
    assert sorted(seen) == sorted([19, *[64] * 15, 40, 64, 1, 64, 17])


# --- seeds and settings ---------------------------------------------------------------------------


def test_a_seed_is_the_same_on_every_machine():
    # The first 63 bits of SHA-256 of 0, 1 and "alice" with NUL between.
    assert seed_for(0, 1, "alice") == 0x40FA0F3EC68001E8
    assert seed_for("a") == 0xCA978112CA1BBDCA >> 1


@given(st.lists(st.text(st.characters(blacklist_characters="\0", codec="utf-8")), max_size=4))
def test_seeds_have_63_bits(parts):
    assert 0 <= seed_for(*parts) < 2**63


def test_seeds_tell_rounds_users_and_the_borders_between_parts_apart():
    parts = [(0, 1, "a"), (0, 2, "a"), (1, 1, "a"), (0, 1, "b"), (0, 11, ""), (0, 1, "1"), (0, 1)]
    assert len({seed_for(*p) for p in parts}) == len(parts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch": -1},
        {"messages": -1},
        {"max_positions": 0},
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"clip_norm": -0.1},
        {"clip_norm": math.nan},
        {"clip_norm": math.inf},
        {"order": "random"},
    ],
    ids=str,
)
def test_work_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(BadSettings):
        LocalWork(**wrong)
