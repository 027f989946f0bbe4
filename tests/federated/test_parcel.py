from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.numpy import load, save

from nwp.errors import BadMessage
from nwp.federated.parcel import (
    BF16,
    VERSION,
    ArraySpec,
    Envelope,
    Parcel,
    Schema,
    pack,
    pack_each,
    peek,
    unpack,
    unpack_own,
)

BIG = np.dtype("float32").newbyteorder(">")
SCHEMA = Schema(
    fields={"words": int, "loss": float},
    arrays={"update": ArraySpec("float32", (3,)), "counts": ArraySpec("int64", (None, 2))},
)
ENVELOPE = Envelope("answer", "job-1", "train", 3)
FIELDS: dict[str, Any] = {"words": 7, "loss": 1.5}
ARRAYS: dict[str, Any] = {
    "update": np.array([1, -2, 0.5], np.float32),
    "counts": np.array([[1, 2], [3, 4]], np.int64),
}
PARCEL = Parcel(FIELDS, ARRAYS)
BYTES = pack(ENVELOPE, PARCEL, SCHEMA)
START = 8 + int.from_bytes(BYTES[:8], "little")  # of the arrays' data
ABOUT = json.loads(json.loads(BYTES[8:START])["__metadata__"]["nwp"])


def assert_equal(found: Parcel, expected: Parcel) -> None:
    assert dict(found.fields) == dict(expected.fields)
    assert {n: type(v) for n, v in found.fields.items()} == {
        n: type(v) for n, v in expected.fields.items()
    }
    assert set(found.arrays) == set(expected.arrays)
    for name, array in expected.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes()


def written(about: object = ABOUT, meta: dict[str, str] | None = None, **header: object) -> bytes:
    """A message written by hand, by default the one that `pack` writes."""
    text = json.dumps(about, sort_keys=True) if not isinstance(about, str) else about
    rest = {
        "counts": {"dtype": "I64", "shape": [2, 2], "data_offsets": [0, 32]},
        "update": {"dtype": "F32", "shape": [3], "data_offsets": [32, 44]},
        **header,
    }
    whole = {"__metadata__": {"nwp": text, **(meta or {})}}
    whole |= {name: entry for name, entry in rest.items() if entry is not None}
    return framed(json.dumps(whole, separators=(",", ":")).encode(), BYTES[START:])


def framed(header: bytes, data: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def assert_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        unpack(data, SCHEMA)


# --- what is agreed -------------------------------------------------------------------------------


def test_a_message_by_hand_is_what_pack_writes():
    assert written() == BYTES


def test_a_message_comes_back_as_it_was_sent():
    envelope, parcel = unpack(BYTES, SCHEMA)
    assert envelope == ENVELOPE == peek(BYTES)
    assert_equal(parcel, PARCEL)
    assert_equal(unpack_own(BYTES), PARCEL)


names = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda n: n != "__metadata__")
numbers = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(-(2.0**62), 2.0**62)
    | st.sampled_from([0.0, -0.0, 5e-324])
)
DTYPES = ["float16", "float32", "float64", "bool"]
DTYPES += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
finite = {"allow_nan": False, "allow_infinity": False}
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(
        dtype,
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=npst.from_dtype(np.dtype(dtype), **finite),
    )
)
parcels = st.builds(
    Parcel,
    st.dictionaries(names, numbers, max_size=4),
    st.dictionaries(names, arrays, max_size=4),
)
envelopes = st.builds(
    Envelope, st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.integers(0, 2**40)
)


@given(envelopes, parcels)
@example(ENVELOPE, Parcel())
@example(ENVELOPE, Parcel({}, {"x": np.float32(1).reshape(())}))
def test_any_parcel_survives_the_way(envelope, parcel):
    schema = Schema.of(parcel)
    data = pack(envelope, parcel, schema)
    found, back = unpack(data, schema)
    assert found == envelope == peek(data)
    assert_equal(back, parcel)
    assert_equal(unpack_own(data), parcel)


@given(parcels)
def test_equal_content_has_equal_bytes_in_whatever_order_it_was_put_together(parcel):
    turned = Parcel(
        dict(reversed(list(parcel.fields.items()))), dict(reversed(list(parcel.arrays.items())))
    )
    schema = Schema.of(parcel)
    assert pack(ENVELOPE, parcel, schema) == pack(ENVELOPE, turned, schema)


@given(envelopes, parcels)
@example(ENVELOPE, Parcel({}, {name: np.zeros(1, name) for name in DTYPES}))
@example(
    ENVELOPE,
    Parcel({}, {'"\\/\x00\x1f\x7f\u2028é🦔': np.ones(1, np.float32), "b": np.ones(3, "u1")}),
)
@example(ENVELOPE, Parcel({}, {"x": np.arange(6.0).reshape(2, 3).T}))
def test_a_message_is_byte_for_byte_what_safetensors_writes(envelope, parcel):
    """Of the same content, in the same order: an independent writer of the format agrees."""
    about = {"version": VERSION, **asdict(envelope), "fields": dict(parcel.fields)}
    contiguous = {name: np.ascontiguousarray(array) for name, array in parcel.arrays.items()}
    contiguous = {n: a.reshape(parcel.arrays[n].shape) for n, a in contiguous.items()}
    expected = save(contiguous, metadata={"nwp": json.dumps(about, sort_keys=True)})
    assert pack(envelope, parcel, Schema.of(parcel)) == expected


def test_messages_to_several_are_those_that_each_would_get_alone():
    other = Parcel({**FIELDS, "words": 8}, {**ARRAYS, "counts": np.zeros((0, 2), np.int64)})
    parcels = {"a": PARCEL, "b": other, "c": PARCEL}
    assert dict(pack_each(ENVELOPE, parcels, SCHEMA)) == {
        name: pack(ENVELOPE, parcel, SCHEMA) for name, parcel in parcels.items()
    }


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_each_of_several_messages_is_checked_for_what_it_alone_has(bad):
    wrong = Parcel(FIELDS, {**ARRAYS, "update": np.array([1, bad, 1], np.float32)})
    messages = pack_each(ENVELOPE, {"a": PARCEL, "b": wrong}, SCHEMA)
    assert next(messages) == ("a", BYTES)
    with pytest.raises(BadMessage, match="no finite"):
        next(messages)


def test_an_array_that_is_known_under_one_name_is_not_under_another():
    schema = Schema(arrays={"x": ArraySpec("float32", (None,)), "y": ArraySpec("float32", (2,))})
    three, two = np.ones(3, np.float32), np.ones(2, np.float32)
    parcels = {"a": Parcel({}, {"x": three, "y": two}), "b": Parcel({}, {"x": two, "y": three})}
    messages = pack_each(ENVELOPE, parcels, schema)
    next(messages)
    with pytest.raises(BadMessage, match="'y'"):
        next(messages)


def test_what_one_keeps_oneself_may_be_big_endian():
    parcel = Parcel({}, {"x": np.array([1, 2, 3], BIG)})
    kept = unpack_own(pack(ENVELOPE, parcel, Schema.of(parcel))).arrays["x"]
    assert kept.dtype == np.float32
    assert kept.tolist() == [1, 2, 3]


def test_arrays_that_lie_otherwise_in_memory_are_written_as_they_read():
    counts = np.array([[1, 3], [2, 4]], np.int64).T
    update = np.array([1, 9, -2, 9, 0.5], np.float32)[::2]
    assert pack(ENVELOPE, Parcel(FIELDS, {"counts": counts, "update": update}), SCHEMA) == BYTES


def test_arrays_received_can_be_used_as_torch_tensors():
    import torch

    _, parcel = unpack(BYTES, SCHEMA)
    assert torch.from_numpy(parcel.arrays["update"]).tolist() == [1, -2, 0.5]


# --- what is not ----------------------------------------------------------------------------------

WRONG_FIELDS = {
    "extra field": {**FIELDS, "more": 1},
    "missing field": {"words": 7},
    "no fields": {},
    "renamed field": {"words": 7, "Loss": 1.5},
    "bool for int": {**FIELDS, "words": True},
    "float for int": {**FIELDS, "words": 7.0},
    "int for float": {**FIELDS, "loss": 1},
    "text for int": {**FIELDS, "words": "7"},
    "none for int": {**FIELDS, "words": None},
    "list for int": {**FIELDS, "words": [7]},
    "text for float": {**FIELDS, "loss": "hello"},
    "nan": {**FIELDS, "loss": math.nan},
    "infinity": {**FIELDS, "loss": math.inf},
    "minus infinity": {**FIELDS, "loss": -math.inf},
    "too large": {**FIELDS, "words": 2**63},
    "too small": {**FIELDS, "words": -(2**63) - 1},
    "huge": {**FIELDS, "words": 10**400},
    "too large a float": {**FIELDS, "loss": 1e300},
}
WRONG_ARRAYS = {
    "extra array": {**ARRAYS, "more": np.zeros(1, np.float32)},
    "extra empty array": {**ARRAYS, "more": np.zeros(0, np.float32)},
    "missing array": {"update": ARRAYS["update"]},
    "renamed array": {"update": ARRAYS["update"], "Counts": ARRAYS["counts"]},
    "float64 for float32": {**ARRAYS, "update": np.zeros(3, np.float64)},
    "int32 for int64": {**ARRAYS, "counts": np.zeros((2, 2), np.int32)},
    "uint64 for int64": {**ARRAYS, "counts": np.zeros((2, 2), np.uint64)},
    "float16 for float32": {**ARRAYS, "update": np.zeros(3, np.float16)},
    "too short": {**ARRAYS, "update": np.zeros(2, np.float32)},
    "too long": {**ARRAYS, "update": np.zeros(4, np.float32)},
    "too many dimensions": {**ARRAYS, "update": np.zeros((3, 1), np.float32)},
    "too few dimensions": {**ARRAYS, "counts": np.zeros(4, np.int64)},
    "other columns": {**ARRAYS, "counts": np.zeros((2, 3), np.int64)},
    "nan": {**ARRAYS, "update": np.array([1, math.nan, 1], np.float32)},
    "infinity": {**ARRAYS, "update": np.array([1, 1, math.inf], np.float32)},
    "minus infinity": {**ARRAYS, "update": np.array([-math.inf, 1, 1], np.float32)},
}


@pytest.mark.parametrize("fields", WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
def test_fields_not_agreed_are_neither_sent_nor_read(fields):
    with pytest.raises(BadMessage):
        pack(ENVELOPE, Parcel(fields, ARRAYS), SCHEMA)
    assert_refused(written({**ABOUT, "fields": fields}))


@pytest.mark.parametrize("arrays", WRONG_ARRAYS.values(), ids=WRONG_ARRAYS.keys())
def test_arrays_not_agreed_are_neither_sent_nor_read(arrays):
    wrong = Parcel(FIELDS, arrays)
    with pytest.raises(BadMessage):
        pack(ENVELOPE, wrong, SCHEMA)
    lenient = Schema.of(Parcel(FIELDS, {n: np.nan_to_num(a) for n, a in arrays.items()}))
    try:
        data = pack(ENVELOPE, wrong, lenient)
    except BadMessage:  # no schema at all lets these pass; so write them by hand
        data = pack(ENVELOPE, PARCEL, SCHEMA).replace(
            ARRAYS["update"].tobytes(), arrays["update"].tobytes()
        )
    assert_refused(data)


def test_a_big_endian_array_is_not_sent():
    with pytest.raises(BadMessage):
        pack(ENVELOPE, Parcel(FIELDS, {**ARRAYS, "update": np.zeros(3, BIG)}), SCHEMA)


def test_any_length_that_the_schema_leaves_open_is_accepted():
    for rows in (0, 1, 50):
        parcel = Parcel(FIELDS, {**ARRAYS, "counts": np.ones((rows, 2), np.int64)})
        assert_equal(unpack(pack(ENVELOPE, parcel, SCHEMA), SCHEMA)[1], parcel)


def test_a_message_read_under_another_schema_is_refused():
    other = Schema(SCHEMA.fields, {**SCHEMA.arrays, "update": ArraySpec("float32", (4,))})
    with pytest.raises(BadMessage, match="update"):
        unpack(BYTES, other)
    with pytest.raises(BadMessage):
        unpack(BYTES, Schema())


@pytest.mark.parametrize("version", [VERSION + 1, 0, None, "1", 1.0, True, [1]], ids=str)
def test_another_version_is_refused(version):
    assert_refused(written({**ABOUT, "version": version}))


def test_another_version_is_told_with_what_to_do():
    with pytest.raises(BadMessage, match="version 2") as error:
        peek(written({**ABOUT, "version": 2}))
    assert "same nwp" in error.value.hint


@pytest.mark.parametrize("entry", ["version", "kind", "job", "phase", "round", "fields"])
def test_a_header_that_lacks_an_entry_is_refused(entry):
    about = {name: value for name, value in ABOUT.items() if name != entry}
    assert_refused(written(about))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 1},
        {"job": None},
        {"phase": ["train"]},
        {"round": "3"},
        {"round": 3.0},
        {"round": True},
        {"fields": []},
        {"fields": "words"},
        {"fields": None},
        {"more": 1},
        {"note": "meet me at eight"},
    ],
    ids=str,
)
def test_a_header_with_a_wrong_or_additional_entry_is_refused(change):
    assert_refused(written({**ABOUT, **change}))
    with pytest.raises(BadMessage):
        unpack_own(written({**ABOUT, **change}))


def test_hidden_metadata_is_refused():
    assert_refused(written(meta={"note": "meet me at eight"}))
    assert_refused(written(meta={"nwp2": json.dumps(ABOUT)}))
    assert_refused(written(meta={"note": ""}))


def test_a_header_not_in_its_canonical_form_is_refused():
    text = json.dumps(ABOUT, sort_keys=True)
    for other in (
        text + " ",
        " " + text,
        text.replace(", ", ","),
        text.replace(": ", ":  "),
        text.replace("1.5", "1.50"),
        text.replace("1.5", "15e-1"),
        text.replace("job-1", "\\u006aob-1"),
        text.replace('"job"', '"job": "hidden", "job"'),
        json.dumps(ABOUT, sort_keys=True, indent=0),
        json.dumps(dict(reversed(list(json.loads(text).items())))),
    ):
        assert json.loads(other) == ABOUT
        assert other != text
        assert_refused(written(other))


def test_a_frame_not_in_its_canonical_form_is_refused():
    header, data = BYTES[8:START], BYTES[START:]
    whole = json.loads(header)
    swapped = {"__metadata__": whole["__metadata__"], "update": whole["update"]}
    for other in (
        header + b" " * 8,
        json.dumps(whole).encode(),
        json.dumps(swapped | whole, separators=(",", ":")).encode(),
        header.rstrip().replace(b'"F32"', b'"F\\u00332"'),
    ):
        assert json.loads(other) == whole
        assert_refused(framed(other, data))


def test_bytes_appended_or_put_between_are_refused():
    for more in (b"\0", b" ", b"\n", b"hello", b"\0" * 8, BYTES):
        assert_refused(BYTES + more)
        assert_refused(more + BYTES)
        assert_refused(BYTES[:START] + more + BYTES[START:])


def test_the_canonical_form_does_not_lean_on_the_reading_library(monkeypatch):
    """Should it once let bytes after the arrays pass, they still are refused."""
    monkeypatch.setattr("nwp.federated.parcel.load", lambda data: load(data[: len(BYTES)]))
    unpack(BYTES, SCHEMA)
    assert_refused(BYTES + b"hidden!!")


@pytest.mark.parametrize("others", [[], [0, 0x7F7F, 0xFF7F], [0xFF7F], [0x7F7F]])
def test_every_bfloat16_is_refused_that_is_no_finite_number_and_no_other(others):
    spec = ArraySpec(BF16, (None,))
    spec.check("x", np.zeros(0, np.uint16))
    for bits in range(1 << 16):
        array = np.array([*others, bits], np.uint16)
        value = np.array([bits << 16], np.uint32).view(np.float32)[0]
        if np.isfinite(value):
            spec.check("x", array)
        else:
            with pytest.raises(BadMessage, match="no finite"):
                spec.check("x", array)


def test_data_that_no_array_claims_is_refused():
    hole = {"dtype": "F32", "shape": [3], "data_offsets": [40, 52]}
    assert_refused(written(update=hole) + b"hidden!!")
    one = {"dtype": "I64", "shape": [1, 2], "data_offsets": [0, 16]}
    assert_refused(written(counts=one))


def test_arrays_that_share_their_data_are_refused():
    shared = {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}
    assert_refused(written(update=shared))


@pytest.mark.parametrize(
    "dtype",
    ["F64", "BF16", "F16", "F8_E4M3", "F8_E5M2", "C64", "U32", "BOOL", "F4", "XYZ", 5, None],
)
def test_every_other_type_of_array_is_refused(dtype):
    for end in (32, 33, 35, 38, 44, 56):
        assert_refused(written(update={"dtype": dtype, "shape": [3], "data_offsets": [32, end]}))


def test_every_truncation_is_refused():
    for length in range(len(BYTES)):
        assert_refused(BYTES[:length])


def test_a_flipped_bit_is_refused_or_changes_a_declared_value():
    """A message that still reads after a flip is, whole, the message of what it then says. In the
    header that can be the envelope's texts, its round and the fields; in the data the arrays."""
    read = 0
    for at in range(len(BYTES)):
        for bit in range(8):
            flipped = bytearray(BYTES)
            flipped[at] ^= 1 << bit
            try:
                envelope, parcel = unpack(bytes(flipped), SCHEMA)
            except BadMessage:
                continue
            read += 1
            assert pack(envelope, parcel, SCHEMA) == bytes(flipped)
            same_arrays = all(np.array_equal(parcel.arrays[n], ARRAYS[n]) for n in ARRAYS)
            same_rest = envelope == ENVELOPE and dict(parcel.fields) == FIELDS
            assert same_arrays != same_rest
            assert same_arrays == (at < START)
            names = (envelope.kind, envelope.job, envelope.phase)
            changed = sum(a != b for a, b in zip(names, ("answer", "job-1", "train"), strict=True))
            changed += envelope.round != 3
            changed += sum(parcel.fields[n] != FIELDS[n] for n in FIELDS)
            assert changed == (at < START)
    assert read > 100


@given(st.binary(max_size=200))
@example(b"")
@example(b"\0" * 8)
@example(b"\xff" * 8)
@example(b"\xff" * 64)
def test_random_bytes_are_refused(data):
    assert_refused(data)
    with pytest.raises(BadMessage):
        peek(data)
    with pytest.raises(BadMessage):
        unpack_own(data)


def read_or_refuse(data: bytes) -> None:
    """Nothing but BadMessage comes out, whatever comes in; what is read is the only way to say it."""
    try:
        envelope, parcel = unpack(data, SCHEMA)
    except BadMessage:
        return
    assert pack(envelope, parcel, SCHEMA) == data


@given(st.data())
def test_damaged_messages_are_refused_and_nothing_else_happens(data):
    message = bytearray(BYTES)
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(message)))
        stop = data.draw(st.integers(start, min(start + 20, len(message))))
        message[start:stop] = data.draw(st.binary(max_size=20))
    read_or_refuse(bytes(message))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values, st.sampled_from([*ABOUT, "fields.words", "fields.loss", "all"]))
def test_whatever_json_stands_in_our_header_only_a_refusal_comes_out(value, where):
    about = json.loads(json.dumps(ABOUT))
    if where == "all":
        about = value
    elif where.startswith("fields."):
        about["fields"][where.removeprefix("fields.")] = value
    else:
        about[where] = value
    read_or_refuse(written(json.dumps(about, sort_keys=True)))


@given(json_values, st.sampled_from(["update", "counts", "__metadata__", "all"]))
def test_whatever_json_stands_in_the_frame_only_a_refusal_comes_out(value, where):
    whole = json.loads(BYTES[8:START])
    if where == "all":
        whole = value
    else:
        whole[where] = value
    read_or_refuse(framed(json.dumps(whole).encode(), BYTES[START:]))


@pytest.mark.parametrize("where", ["frame", "header"])
def test_json_nested_without_end_is_refused(where):
    deep = "[" * 100_000
    assert_refused(framed(deep.encode(), b"") if where == "frame" else written(deep))


def test_numbers_with_endless_digits_are_refused():
    text = json.dumps(ABOUT, sort_keys=True).replace('"words": 7', f'"words": {"7" * 10_000}')
    assert_refused(written(text))
