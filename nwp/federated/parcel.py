"""What travels between server and worker, and what is kept between phases: a few numbers and arrays.

A parcel has fields (whole or floating numbers, nothing else) and arrays of a declared type and
shape. There is no place for text: the only words that ever travel are those of a vocabulary, as an
array of bytes that a schema names.

On the wire a parcel is a safetensors file whose metadata holds an envelope (which phase of which
round of which job) and the fields. Reading checks everything against the reader's own schema, and
that the bytes are the one way to write this content, so that nothing can ride along unseen.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from nwp.errors import BadMessage

VERSION = 1
BF16 = "bfloat16"  # numpy has no such type: an array of it holds the bits, as uint16
_BF16_SIGN, _BF16_EXPONENT = 0x8000, 0x7F80
# numpy type to its name in safetensors, in the order in which safetensors lays arrays out: the most
# strictly aligned first.
_NAMES = {
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "float32": "F32",
    "uint32": "U32",
    "int32": "I32",
    "float16": "F16",
    "uint16": "U16",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_ORDER = {name: place for place, name in enumerate(_NAMES)}
_LIMIT = 1 << 63

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Parcel:
    """Fields and arrays."""

    fields: Mapping[str, int | float] = field(default_factory=dict)
    arrays: Mapping[str, AnyArray] = field(default_factory=dict)


@dataclass(frozen=True)
class ArraySpec:
    """What an array must be: numpy type (or BF16) and shape; None in the shape allows any length."""

    dtype: str
    shape: tuple[int | None, ...]

    def check(self, name: str, array: AnyArray) -> None:
        """BadMessage when the array is something else, or holds a value that is no number."""
        shape = array.shape
        fits = len(shape) == len(self.shape) and all(
            want in (None, have) for want, have in zip(self.shape, shape, strict=True)
        )
        dtype = np.dtype(np.uint16 if self.dtype == BF16 else self.dtype)
        if array.dtype != dtype or not fits:
            raise BadMessage(
                f"array {name!r} is {array.dtype} {shape}, agreed is {self.dtype} {self.shape}"
            )
        finite = True
        if self.dtype == BF16:
            # All ones in the exponent are the largest bits that a number of its sign can have.
            positive = array.view(np.int16).max(initial=0) < _BF16_EXPONENT
            finite = bool(positive and array.max(initial=0) < _BF16_SIGN | _BF16_EXPONENT)
        elif dtype.kind == "f":
            finite = bool(np.isfinite(array).all())
        if not finite:
            raise BadMessage(f"array {name!r} holds values that are no finite numbers")


@dataclass(frozen=True)
class Schema:
    """Exactly the fields (int or float) and arrays that a message of one kind has."""

    fields: Mapping[str, type] = field(default_factory=dict)
    arrays: Mapping[str, ArraySpec] = field(default_factory=dict)

    @classmethod
    def of(cls, parcel: Parcel) -> Schema:
        """The schema that a parcel has, for one's own files."""
        return cls(
            {name: type(value) for name, value in parcel.fields.items()},
            {n: ArraySpec(str(a.dtype), a.shape) for n, a in parcel.arrays.items()},
        )

    def check(self, parcel: Parcel, checked: Container[tuple[str, int]] = ()) -> None:
        """BadMessage when a parcel lacks something agreed or has anything more.

        An array whose name and `id` are among those `checked` was found right before.
        """
        for what, have, want in (
            ("fields", set(parcel.fields), set(self.fields)),
            ("arrays", set(parcel.arrays), set(self.arrays)),
        ):
            if have != want:
                raise BadMessage(f"{what} {sorted(have)} in a message, agreed are {sorted(want)}")
        for name, value in parcel.fields.items():
            if type(value) is not self.fields[name]:
                raise BadMessage(f"field {name!r} is no {self.fields[name].__name__}")
            if not -_LIMIT <= value < _LIMIT or value != value:  # noqa: PLR0124 (NaN)
                raise BadMessage(f"field {name!r} is out of range")
        for name, array in parcel.arrays.items():
            if (name, id(array)) not in checked:
                self.arrays[name].check(name, array)


@dataclass(frozen=True)
class Envelope:
    """Which phase of which round of which approved job; `kind` is ask, answer or refuse."""

    kind: str
    job: str
    phase: str
    round: int


def pack(envelope: Envelope, parcel: Parcel, schema: Schema) -> bytes:
    """One message as bytes, after checking it against what was agreed."""
    schema.check(parcel)
    return _write(envelope, parcel)


def pack_each(
    envelope: Envelope, parcels: Mapping[str, Parcel], schema: Schema
) -> Iterator[tuple[str, bytes]]:
    """One message after the other, each by its name in `parcels`. An array that goes to all, as a
    model does, is checked once."""
    checked: set[tuple[str, int]] = set()
    for name, parcel in parcels.items():
        schema.check(parcel, checked)
        checked |= {(n, id(array)) for n, array in parcel.arrays.items()}
        yield name, _write(envelope, parcel)


def unpack(data: bytes, schema: Schema) -> tuple[Envelope, Parcel]:
    """Read and check a message; BadMessage when anything is not as agreed."""
    envelope, parcel = _read(data)
    schema.check(parcel)
    # The header says where each array's bytes lie, and they were read from there. So a message with
    # the canonical header and not a byte more is canonical, and need not be written again to compare.
    arrays = _laid_out(parcel)
    head = _head(envelope, parcel, arrays)
    if len(data) != len(head) + sum(a.nbytes for a in arrays.values()) or not data.startswith(head):
        raise BadMessage("a message is not in its canonical form: something else rides along")
    return envelope, parcel


def unpack_own(data: bytes) -> Parcel:
    """Read what this side wrote itself, whatever its schema."""
    return _read(data)[1]


def peek(data: bytes) -> Envelope:
    """The envelope alone, to find the schema; everything else is still to be checked."""
    return _envelope(_metadata(data))


def _write(envelope: Envelope, parcel: Parcel) -> bytes:
    """A parcel as safetensors' own `save` would write it, with one copy of the arrays, not three."""
    arrays = _laid_out(parcel)
    # As bytes of one dimension: an empty array or one of no dimension has no memory view of bytes.
    plain = [np.asarray(a, a.dtype.newbyteorder("<"), order="C") for a in arrays.values()]
    data = [array.reshape(-1).view(np.uint8) for array in plain]
    return b"".join([_head(envelope, parcel, arrays), *(a.data for a in data)])


def _laid_out(parcel: Parcel) -> dict[str, AnyArray]:
    """The arrays in the order of their bytes in a message."""
    names = sorted(parcel.arrays, key=lambda name: (_ORDER[parcel.arrays[name].dtype.name], name))
    return {name: parcel.arrays[name] for name in names}


def _head(envelope: Envelope, parcel: Parcel, arrays: Mapping[str, AnyArray]) -> bytes:
    """All of a message before its arrays' bytes."""
    about = {"version": VERSION, **asdict(envelope), "fields": dict(parcel.fields)}
    header: dict[str, Any] = {"__metadata__": {"nwp": json.dumps(about, sort_keys=True)}}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": array.shape,
            "data_offsets": (begin, end),
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _read(data: bytes) -> tuple[Envelope, Parcel]:
    about = _metadata(data)
    envelope = _envelope(about)
    fields = about.get("fields")
    if not isinstance(fields, dict) or set(about) != {"version", *asdict(envelope), "fields"}:
        raise BadMessage("a message's header has not the agreed entries")
    try:
        return envelope, Parcel(fields, load(data))
    except (SafetensorError, ValueError, KeyError) as error:
        raise BadMessage(f"a message can't be read: {error}") from error


def _metadata(data: bytes) -> dict[str, Any]:
    """The header of ours inside the safetensors header (safetensors reads it from files only)."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        about = json.loads(header["__metadata__"]["nwp"])
        version = about["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadMessage("a message has no readable header") from error
    if version != VERSION:
        raise BadMessage(
            f"a message of protocol version {version!r}, this is version {VERSION}",
            "Install the same nwp on both sides.",
        )
    found: dict[str, Any] = about
    return found


def _envelope(about: Mapping[str, Any]) -> Envelope:
    try:
        envelope = Envelope(about["kind"], about["job"], about["phase"], about["round"])
    except KeyError as error:
        raise BadMessage(f"a message's envelope lacks {error}") from error
    texts = (envelope.kind, envelope.job, envelope.phase)
    if not all(isinstance(t, str) for t in texts) or type(envelope.round) is not int:
        raise BadMessage("a message's envelope has entries of a wrong type")
    if not -_LIMIT <= envelope.round < _LIMIT:
        raise BadMessage("a message's envelope names a round out of range")
    return envelope
