from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from nwp.errors import BadMessage, BadSettings
from nwp.federated.averaging import MEAN
from nwp.federated.cohort import draw_cohort
from nwp.federated.compression import BLOCK, DOWN, UP, Code, Compression, largest
from nwp.federated.local import LocalWork, seed_for, train_group
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.parcel import Envelope, Parcel, Schema, pack, unpack
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.rounds import start, train
from nwp.federated.state import Checkpoint, RunState
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import Encoded

ENVELOPE = Envelope("answer", "job", "train", 1)
SMALLEST = 2.0**-126  # of the normal float32
SCHEMES = [(up, 1.0) for up in UP if up != "topk"] + [("topk", s) for s in (0.01, 0.1, 0.6, 1.0)]
each_scheme = pytest.mark.parametrize(("scheme", "share"), SCHEMES, ids=str)

small = [float(np.float32(x)) for x in (0.0, -0.0, 1e-45, -1e-40, 1e-38)]
numbers = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from(small)
vectors = arrays_of.arrays(np.float32, st.integers(1, 60), elements=numbers)
shares = st.floats(0.001, 1)
seeds = st.integers(0, 2**63 - 1)


def schema(code: Code) -> Schema:
    return Schema(arrays=code.specs("update"))


def travelled(code: Code, values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Written, packed, unpacked and read."""
    sent = pack(ENVELOPE, Parcel(arrays=code.encode("update", values, seed)), schema(code))
    return code.decode("update", unpack(sent, schema(code))[1].arrays)


def normal(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, size).astype(np.float32)


# --- each scheme and its bound --------------------------------------------------------------------


@given(vectors)
def test_fp32_loses_nothing(values):
    assert travelled(Code("fp32", len(values)), values).tobytes() == values.tobytes()


@given(vectors)
def test_bf16_is_the_nearest_of_its_numbers_and_even_half_way(values):
    found = travelled(Code("bf16", len(values)), values)
    assert not (found.view(np.uint32) & 0xFFFF).any()
    for value, mine in zip(values.tolist(), found.tolist(), strict=True):
        # 8 digits of a binary fraction; Python rounds a half to even.
        unit = 2.0 ** (max(math.frexp(value)[1], -125) - 8)
        assert mine == round(value / unit) * unit
        assert abs(mine - value) <= max(abs(value), SMALLEST) * 2.0**-8


def test_bf16_knows_halves_even_numbers_and_signs():
    values = np.array(
        [1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8), 1 + 2**-8 + 2**-23, -0.0], np.float32
    )
    found = travelled(Code("bf16", 5), values)
    assert found.tolist() == [1, 1 + 2**-6, -1, 1 + 2**-7, 0]
    assert np.signbit(found).tolist() == [False, False, True, False, True]


@given(vectors, seeds)
def test_int8_is_wrong_by_less_than_a_step(values, seed):
    found = travelled(Code("int8", len(values)), values, seed)
    step = float(np.abs(values).max()) / 127
    assert np.abs(found.astype(float) - values).max() <= step * (1 + 1e-5) + 127 * SMALLEST


@settings(max_examples=20)
@given(st.integers(1, 3 * BLOCK), seeds)
def test_int8_has_a_step_of_its_own_for_each_block(size, seed):
    values = normal(size, seed) * np.repeat([1, 1e-6, 1e3], BLOCK)[:size].astype(np.float32)
    found = travelled(Code("int8", size), values, seed)
    for at in range(0, size, BLOCK):
        block = values[at : at + BLOCK]
        wrong = np.abs(found[at : at + BLOCK].astype(float) - block)
        assert wrong.max() <= np.abs(block).max() / 127 * (1 + 1e-5)


def test_int8_is_right_on_average():
    """The mean over many seeds, against its own standard error: a step's uneven rounding has a
    variance of frac (1 - frac) steps squared."""
    values, times = np.append(normal(200), np.float32(0.05)), 4000
    code, step = Code("int8", len(values)), 0.05 / 127
    total = np.zeros(len(values))
    for seed in range(times):
        total += code.decode("update", code.encode("update", values, seed))
    frac = values / step % 1
    wrong = (total / times - values) / step
    bound = np.sqrt(frac * (1 - frac) / times)
    assert np.abs(wrong).max() < 5 * np.sqrt(0.25 / times)
    assert np.mean((wrong / np.maximum(bound, 1e-3)) ** 2) < 1.5
    assert abs(wrong.mean()) < 5 * np.sqrt(0.25 / times / len(values))


def test_int8_draws_by_its_seed_and_for_each_number_anew():
    values = np.full(1 << 18, 0.3, np.float32)  # four chunks of equal numbers
    values[::BLOCK] = 127
    one, same, other = (Code("int8", len(values)).encode("u", values, s)["u"] for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    quarters = (one == 1).reshape(4, -1)
    assert quarters.mean(1) == pytest.approx(0.3, abs=0.01)
    assert abs(np.corrcoef(quarters)[np.triu_indices(4, 1)]).max() < 0.02


def test_int8_leaves_alone_what_float32_has_moved_off_a_step():
    """One draw of 65,536 would tell: 2^-17 of a step below a whole number, and beyond the largest."""
    values = np.full(1 << 20, 1 - 2**-17, np.float32)
    values[::BLOCK] = 127
    assert set(Code("int8", len(values)).encode("u", values)["u"].tolist()) == {1, 127}

    drawn = np.random.default_rng(0).uniform(1, 2, 1000).astype(np.float32)
    beyond = drawn[drawn / (drawn / np.float32(127)) > 127][0]
    for sign in (1, -1):
        values = np.full(1 << 20, sign * beyond)
        assert set(Code("int8", len(values)).encode("u", values)["u"].tolist()) == {sign * 127}


@given(vectors, shares)
def test_topk_keeps_exactly_the_largest(values, share):
    code = Code("topk", len(values), share)
    order = sorted(range(len(values)), key=lambda i: (-abs(float(values[i])), i))
    kept = sorted(order[: max(1, round(share * len(values)))])
    assert largest(values, code.kept).tolist() == kept
    expected = np.zeros_like(values)
    expected[kept] = Code("bf16", len(kept)).through(values[kept])
    assert travelled(code, values).tobytes() == expected.tobytes()


@given(st.data(), st.integers(1, 400))
def test_any_places_come_back(data, size):
    places = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    values = np.zeros(size, np.float32)
    values[sorted(places)] = 1
    assert travelled(Code("topk", size, len(places) / size), values).tobytes() == values.tobytes()


@each_scheme
def test_large_vectors_come_back(scheme, share):
    """Over several chunks and a last block that is not full."""
    values = normal(3 * 65536 + 77)
    found = travelled(Code(scheme, len(values), share), values, 5)
    at = largest(values, Code(scheme, len(values), share).kept)
    assert found[at] == pytest.approx(values[at], abs=0.06 / 127 + 0.06 * 2**-8)


def test_bytes_are_as_many_as_promised_whatever_is_sent():
    size = 100_000
    for scheme, share, most in (
        ("fp32", 1, 32),
        ("bf16", 1, 16),
        ("int8", 1, 8.07),
        ("topk", 0.01, 0.01 * 24.7),
        ("topk", 0.1, 0.1 * (16 + 2 + math.log2(10))),
        ("topk", 0.5, 0.5 * 16 + 1),
        ("topk", 1.0, 17),
    ):
        code = Code(scheme, size, share)
        lengths = {
            len(pack(ENVELOPE, Parcel(arrays=code.encode("update", values)), schema(code)))
            for values in (normal(size), np.zeros(size, np.float32), np.arange(size, dtype="f4"))
        }
        assert len(lengths) == 1
        assert 0 < lengths.pop() * 8 - most * size < 4000  # the header


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3.4e38])
@each_scheme
def test_what_is_no_number_or_beyond_bounds_is_refused_by_the_schema(scheme, share, bad):
    if (scheme, bad) in {("fp32", 3.4e38), ("int8", 3.4e38)}:
        return  # these hold it; bf16 ends at 3.39e38
    values = normal(1000)
    values[700] = bad
    code = Code(scheme, 1000, share)
    with pytest.raises(BadMessage, match="no finite numbers"):
        schema(code).check(Parcel(arrays=code.encode("update", values)))


def test_unknown_schemes_and_shares_are_refused():
    for wrong in ({"down": "int8"}, {"down": ""}, {"up": "fp16"}, {"share": 0}, {"share": 1.5}):
        with pytest.raises(BadSettings) as error:
            Compression(**wrong)
        assert error.value.hint
    for down in DOWN:
        for up in UP:
            Compression(down, up, 1)


# --- messages that nobody writes ------------------------------------------------------------------


def refused(code: Code, arrays: Mapping[str, Any]) -> None:
    """By the schema, on the wire, or by the code itself."""
    with pytest.raises(BadMessage):
        data = pack(ENVELOPE, Parcel(arrays=arrays), schema(code))
        code.decode("update", unpack(data, schema(code))[1].arrays)


def put(array: np.ndarray, at: int, value: Any) -> np.ndarray:
    changed = array.copy()
    changed[at] = value
    return changed


@each_scheme
def test_arrays_of_another_kind_or_length_are_refused(scheme, share):
    code = Code(scheme, 1000, share)
    good = code.encode("update", normal(1000))
    for name, array in good.items():
        for other in (
            array[:-1],
            np.append(array, array[-1:]),
            array.astype(np.float64),
            array.reshape(1, -1),
        ):
            refused(code, {**good, name: other})
        refused(code, {n: a for n, a in good.items() if n != name})
    refused(code, {**good, "more": np.zeros(1, np.uint8)})


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7FC0, 0x7F81, 0xFFFF])
@pytest.mark.parametrize("scheme", ["bf16", "topk"])
def test_bits_that_are_no_number_are_refused(scheme, bits):
    code = Code(scheme, 1000, 0.01)
    good = code.encode("update", normal(1000))
    refused(code, {**good, "update": put(good["update"], 7, bits)})


INT8 = Code("int8", 2 * BLOCK + 3)
TOO_LARGE = 3.4e38 / 127 * 1.1


@pytest.mark.parametrize("scale", [math.nan, math.inf, -1.0, -0.0, 1e-39, TOO_LARGE])
def test_scales_that_nobody_writes_are_refused(scale):
    good = INT8.encode("update", normal(INT8.size))
    INT8.decode("update", good)
    refused(INT8, {**good, "update_scales": put(good["update_scales"], 2, scale)})


def test_numbers_that_nobody_writes_in_int8_are_refused():
    good = INT8.encode("update", normal(INT8.size))
    refused(INT8, {**good, "update": put(good["update"], 5, -128)})
    # A block without a scale has no number other than 0.
    refused(INT8, {**good, "update_scales": put(good["update_scales"], 1, 0)})


def places_of(size: int, *places: int, low: int) -> np.ndarray:
    """Elias and Fano's code by its definition, as bits: `places` need not be in order here."""
    count = len(places)
    high = [0] * (count + (size - 1 >> low))
    for i, place in enumerate(places):
        if (at := (place >> low) + i) < len(high):
            high[at] = 1
    lows = [place >> bit & 1 for place in places for bit in range(low)]
    return np.packbits(np.array(high + lows, np.uint8))


TOPK = Code("topk", 1000, 0.004)  # four places, seven low bits each
GOOD = places_of(1000, 3, 4, 130, 999, low=7)


def topk(places: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "update": np.array([0x3F80, 0xBF80, 0x4000, 0xC000], np.uint16),
        "update_places": places,
    }


def test_places_are_written_as_their_code_is_defined():
    values = np.zeros(1000, np.float32)
    values[[3, 4, 130, 999]] = [1, -1, 2, -2]
    assert np.array_equal(TOPK.encode("update", values)["update_places"], GOOD)
    assert TOPK.decode("update", topk(GOOD)).tobytes() == values.tobytes()


@pytest.mark.parametrize(
    "places",
    [
        places_of(1000, 4, 3, 130, 999, low=7),
        places_of(1000, 4, 4, 130, 999, low=7),
        places_of(1000, 3, 4, 130, 1000, low=7),
        places_of(1000, 3, 4, 130, 1023, low=7),
        np.zeros_like(GOOD),
        np.full_like(GOOD, 255),
        put(GOOD, -1, GOOD[-1] | 1),
        put(GOOD, 0, GOOD[0] | 0x08),
        put(GOOD, 0, GOOD[0] & 0x7F),
    ],
    ids=["order", "twice", "1000", "1023", "none", "all", "padding", "one more", "one less"],
)
def test_places_out_of_order_twice_or_beyond_the_end_are_refused(places):
    refused(TOPK, topk(places))


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_a_bit_for_each_number_has_as_many_ones_as_agreed(share):
    code = Code("topk", 1003, share)
    good = code.encode("update", normal(1003))
    ones = good["update_places"]
    for at, bit in (
        (0, 0x80),
        (60, 0x01),
        (125, 0x10),
        (125, 0x20),
    ):  # the last two: 5 bits of padding
        refused(code, {**good, "update_places": put(ones, at, ones[at] ^ bit)})


@settings(max_examples=300)
@given(st.integers(1, 80), shares, st.data())
def test_places_are_read_in_one_form_alone(size, share, data):
    """Any bytes of the right length are refused, or are what is written again."""
    code = Code("topk", size, share)
    length = code.specs("update")["update_places"].shape[0]
    given_bytes = data.draw(st.binary(min_size=length, max_size=length))
    ones = np.full(code.kept, 0x3F80, np.uint16)
    message = {"update": ones, "update_places": np.frombuffer(given_bytes, np.uint8)}
    try:
        values = code.decode("update", message)
    except BadMessage:
        return
    assert code.encode("update", values)["update_places"].tobytes() == given_bytes


# --- rounds ---------------------------------------------------------------------------------------

WORDS = tuple("abcdefgh")
SIZE = 5 + len(WORDS)
MODEL = ModelConfig(SIZE, 4, hidden=5, projection=4, marks=16)
WORK = LocalWork(batch=3, learning_rate=0.3)
ADAM = ServerOptimizer("fedadam", learning_rate=0.05)
Users = Mapping[str, Mapping[str, Encoded]]


@pytest.fixture
def users(drawn) -> Users:
    return {
        "one": {name: drawn(i, 3 + i, SIZE, 16) for i, name in enumerate("abc")},
        "two": {name: drawn(9 + i, 4 + i, SIZE, 16) for i, name in enumerate("de")},
        "three": {"f": drawn(20, 5, SIZE, 16)},
    }


def make_plan(compression: Compression, **changes: Any) -> TrainPlan:
    about: dict[str, Any] = {"rounds": 5, "cohort": 3, "seed": 3, "local": WORK} | changes
    workers = {"one": 3, "two": 2, "three": 1}
    return TrainPlan(MODEL, WORDS, {}, workers, compression=compression, **about)


def start_weights() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, MODEL.parameters).astype(np.float32)


def run(
    plan: TrainPlan, exchange: Any, folder: Path, seen: list[bytes] | None = None
) -> list[RunState]:
    def validate(weights: np.ndarray, number: int) -> tuple[Mapping[str, Any], Any]:
        if seen is not None:
            seen.append(weights.tobytes())
        return {"perplexity": 100 - number}, exchange(MEAN.steps[0].phase, number, {})

    checkpoint = Checkpoint(folder, plan_digest(plan))
    state = checkpoint.load() or start(plan, start_weights())
    return list(train(plan, state, exchange, validate, checkpoint))


def mean_update(users: Mapping[str, Encoded], asked: Any, number: int, weights: np.ndarray) -> Any:
    """One worker's average change and its words, user by user."""
    total, words = np.zeros(MODEL.parameters), 0
    for place in asked:
        name = sorted(users)[place]
        pair = (users[name], seed_for(3, number, name))
        summed, n, _ = train_group(weights, MODEL, WORK, [pair])
        total, words = total + summed, words + n
    return total / words, words


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_topk_with_error_feedback_is_its_definition(tmp_path, in_memory, users, share):
    """By hand, in float64: what a worker did not send is in its next update, whenever that is."""
    plan = make_plan(Compression(up="topk", share=share), rounds=8)
    states = run(plan, in_memory(plan, users), tmp_path)
    kept = round(share * MODEL.parameters)
    weights = start_weights()
    left = {worker: np.zeros(MODEL.parameters) for worker in users}
    skipped = 0
    for number, state in enumerate(states, 1):
        total, words = np.zeros(MODEL.parameters), 0
        cohort = draw_cohort(plan, number)
        skipped += len(users) - len(cohort)
        for worker in sorted(cohort):
            update, mine = mean_update(users[worker], cohort[worker], number, weights)
            wanted = update + left[worker]
            sent = np.zeros_like(wanted)
            chosen = np.argsort(-np.abs(wanted), kind="stable")[:kept]
            sent[chosen] = Code("bf16", kept).through(wanted[chosen].astype(np.float32))
            left[worker] = wanted - sent
            total, words = total + mine * sent, words + mine
        assert state.weights == pytest.approx(weights + total / words, abs=2e-6)
        weights = state.weights
    assert skipped  # a worker out of a cohort keeps what it owes
    assert max(np.abs(rest).max() for rest in left.values()) > 1e-3


def test_an_update_of_no_words_sends_nothing_and_leaves_what_is_owed(laid, memory_worker, users):
    plan = dataclasses.replace(
        make_plan(Compression(up="topk", share=0.05)), workers={"one": 2}, cohort=0
    )
    worker = memory_worker(plan, {"train": {"a": users["one"]["a"], "b": laid([], 16)}})
    phase, weights = MEAN.steps[0].phase, start_weights()

    def ask(number: int, *who: int) -> Parcel:
        worker.number = number
        return phase.answer(
            worker, number, Parcel(arrays={"weights": weights, "users": np.array(who)})
        )

    ask(1, 0)
    worker.number = 2
    owed = worker.memory.kept("unsent-update", "")
    assert np.abs(owed).max() > 0
    nothing = ask(2, 1)
    assert nothing.fields["words"] == 0
    assert not plan.uplink.decode("update", nothing.arrays).any()
    worker.number = 3
    assert worker.memory.kept("unsent-update", "").tobytes() == owed.tobytes()


def test_an_update_beyond_bounds_is_not_kept(memory_worker, users):
    plan = dataclasses.replace(make_plan(Compression(up="topk")), workers={"one": 3})
    worker, phase = memory_worker(plan, {"train": users["one"]}), MEAN.steps[0].phase
    worker.number = 1
    huge = np.full(MODEL.parameters, 3e38, np.float32)
    answer = phase.answer(worker, 1, Parcel(arrays={"weights": huge, "users": np.arange(3)}))
    with pytest.raises(BadMessage, match="no finite numbers"):
        schema(plan.uplink).check(Parcel(arrays=answer.arrays))
    worker.number = 2
    assert worker.memory.kept("unsent-update", "") is None


@pytest.mark.parametrize("up", ["bf16", "int8"])
def test_what_forgets_nothing_needs_no_memory(tmp_path, in_memory, users, up):
    plan = make_plan(Compression(up=up))
    run(plan, in_memory(plan, users, tmp_path / "workers"), tmp_path / "run")
    assert not (tmp_path / "workers").exists()


@pytest.mark.parametrize("up", UP[1:])
def test_the_average_is_over_what_was_read(tmp_path, in_memory, users, up):
    """One round of everybody: each scheme errs as it says, and the weighted sum is as without."""
    states = {
        scheme: run(plan, in_memory(plan, users), tmp_path / scheme)[0].weights
        for scheme in ("fp32", up)
        for plan in [make_plan(Compression(up=scheme, share=0.5), rounds=1, cohort=0)]
    }
    step = np.abs(states["fp32"] - start_weights()).max()
    wrong = np.abs(states[up] - states["fp32"]).max() / step
    least, most = {"bf16": (1e-6, 0.01), "int8": (1e-4, 0.03), "topk": (1e-3, 1)}[up]
    assert least <= wrong <= most


def test_workers_round_apart_from_each_other(in_memory, users):
    """Two workers with equal text and updates, whose errors must not be equal too."""
    text = users["one"]["c"]
    plan = dataclasses.replace(
        make_plan(Compression(up="int8"), cohort=0, local=LocalWork(order="given")),
        workers={"one": 1, "two": 1},
    )
    exchange, phase = in_memory(plan, {"one": {"a": text}, "two": {"b": text}}), MEAN.steps[0].phase
    request = Parcel(arrays={"weights": start_weights(), "users": np.arange(1)})

    def codes(number: int) -> list[np.ndarray]:
        answers = exchange(phase, number, dict.fromkeys(("one", "two"), request)).answers
        return [answers[worker].arrays["update"] for worker in ("one", "two")]

    (one, two), (later, _) = codes(1), codes(2)
    assert np.abs(one.astype(int) - two).max() == 1
    assert not np.array_equal(one, later)
    assert np.array_equal(one, codes(1)[0])


def test_bf16_down_is_what_workers_train_from_and_what_is_kept(tmp_path, in_memory, users):
    """The server's own weights stay float32: it adds to them what workers changed in rounded ones."""
    plan, seen = make_plan(Compression(down="bf16"), cohort=0, rounds=3), []
    states = run(plan, in_memory(plan, users), tmp_path, seen)
    weights = start_weights()
    for number, state in enumerate(states, 1):
        received = Code("bf16", len(weights)).through(weights)
        total, words = np.zeros(MODEL.parameters), 0
        for worker in sorted(users):
            update, mine = mean_update(users[worker], range(len(users[worker])), number, received)
            total, words = total + mine * update, words + mine
        assert state.weights == pytest.approx(weights + total / words, abs=2e-6)
        weights = state.weights
        rounded = Code("bf16", len(weights)).through(weights)
        assert rounded.tobytes() != weights.tobytes()
        assert seen[number - 1] == state.best_weights.tobytes() == rounded.tobytes()


def test_fewer_bytes_are_told_as_moved(tmp_path, in_memory, users):
    moved = {}
    for down, up in (("fp32", "fp32"), ("bf16", "bf16"), ("fp32", "int8"), ("bf16", "topk")):
        plan = make_plan(Compression(down, up), rounds=1, cohort=0)
        report = run(plan, in_memory(plan, users), tmp_path / down / up)[0].history[0]
        moved[down, up] = report.bytes_down, report.bytes_up
    size = 3 * MODEL.parameters  # three workers
    down, up = moved["fp32", "fp32"]
    assert down - moved["bf16", "bf16"][0] == pytest.approx(2 * size, abs=100)
    assert up - moved["bf16", "bf16"][1] == pytest.approx(2 * size, abs=100)
    assert moved["fp32", "int8"][0] == down
    assert up - moved["fp32", "int8"][1] == pytest.approx(3 * size, abs=600)
    assert moved["bf16", "topk"][1] < up / 3


@pytest.mark.parametrize("up", ["bf16", "int8", "topk"])
def test_scaffold_comes_near_to_what_it_is_without(tmp_path, in_memory, users, up):
    """Both of its vectors are written in fewer bytes, both ways; what is owed is paid in time."""
    about = {"aggregation": "scaffold", "weighting": Weighting("equal"), "rounds": 6}
    found = {}
    for code in (Compression(), Compression("bf16", up, 0.3)):
        plan = make_plan(code, cohort=0, **about)
        found[code.up] = run(plan, in_memory(plan, users), tmp_path / code.up)[-1]
    for mine, exact, begun in (
        (found[up].weights, found["fp32"].weights, start_weights()),
        (found[up].carried["variate"], found["fp32"].carried["variate"], 0),
    ):
        wrong = np.linalg.norm(mine - exact) / np.linalg.norm(exact - begun)
        assert 0 < wrong < {"bf16": 0.02, "int8": 0.05, "topk": 0.5}[up]
    assert found[up].history[0].bytes_up < found["fp32"].history[0].bytes_up * 0.6
    assert found[up].history[0].bytes_down < found["fp32"].history[0].bytes_down * 0.6


AGGREGATED = {"mean": {}, "scaffold": {"weighting": Weighting("equal")}}


@pytest.mark.parametrize("aggregation", AGGREGATED)
@pytest.mark.parametrize("up", ["int8", "topk"])
@pytest.mark.parametrize("killed_after", [1, 2, 4])
def test_a_run_killed_after_any_round_goes_on_to_the_same_bits(
    tmp_path, in_memory, users, up, killed_after, aggregation
):
    about = {"aggregation": aggregation, **AGGREGATED[aggregation]}
    plan = make_plan(Compression("bf16", up, 0.1), server=ADAM, **about)
    whole = run(plan, in_memory(plan, users), tmp_path / "whole")
    exchange = in_memory(plan, users, tmp_path / "workers")
    checkpoint = Checkpoint(tmp_path / "cut", plan_digest(plan))
    calls = 0

    class Killed(Exception):
        pass

    def killed(phase: Any, number: int, requests: Any, *waiting: Any) -> Any:
        nonlocal calls
        replies = exchange(phase, number, requests, *waiting)
        calls += bool(requests)
        if calls > killed_after:  # the workers have answered, and nothing of it is durable
            raise Killed
        return replies

    def validate(weights: np.ndarray, number: int) -> Any:
        return {"perplexity": 100 - number}, exchange(MEAN.steps[0].phase, number, {})

    with pytest.raises(Killed):
        list(train(plan, start(plan, start_weights()), killed, validate, checkpoint))
    assert checkpoint.load().number == killed_after
    rest = run(plan, in_memory(plan, users, tmp_path / "workers"), tmp_path / "cut")
    assert len(rest) == plan.rounds - killed_after
    for mine, theirs in zip(rest, whole[killed_after:], strict=True):
        assert mine.weights.tobytes() == theirs.weights.tobytes()
        assert mine.optimizer.second.tobytes() == theirs.optimizer.second.tobytes()
