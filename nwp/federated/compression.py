"""Fewer bytes between server and workers: how a vector of weights or of their changes is written.

| scheme | bits a number | what is lost | way |
|---|---|---|---|
| fp32 | 32 | nothing | down, up |
| bf16 | 16 | 2^-8 of each number at most | down, up |
| int8 | 8.06 | less than a step, 1/127 of the largest of 512 neighbours; right on average | up |
| topk | 24.6 of each number sent, at 1 in 100 | all but the largest, kept for later rounds | up |

A scheme alone decides how long a message is, never what is in it: its length gives nothing away,
and every array has one shape, which the parcel's schema holds it to. Reading refuses what no writer
writes, so that one content has one form.

**int8** rounds up or down at random, up with the probability of the part that is cut off (QSGD,
Alistarh et al. 2017, arXiv 1610.02132, section 3.1; Konečný et al. 2016, arXiv 1610.05492, section
3). To the nearest step would be half as wrong on one update, but always in the same direction: what
is smaller than half a step would be lost on every worker in every round. At random, the errors of
many workers and rounds cancel out, and no worker needs a memory. A seed fixes what is drawn.

**topk** sends the largest (Aji & Heafield 2017, arXiv 1704.05021) and is wrong in the same direction
always. So a worker keeps what it did not send and adds it to its next update (error feedback: Stich
et al. 2018, arXiv 1809.07599, Algorithm 1; Karimireddy et al. 2019, arXiv 1901.09847, Algorithm 2).
That is one vector a worker and none a user: what is cut is the mean that the worker sends, the method
asks for the memory there, and it keeps no person's own update. It is a mean as updates are: it enters
the next average with the weight that the worker has then, which on average is the one that it had.

Places are written as Elias and Fano do (Elias 1974, "Efficient storage and retrieval by content and
address of static files"), in 2 + log2(n/k) bits each and as many whatever the places are, or as one
bit for each number where that is less. **bf16** rounds to the nearest, half-way cases to even. It
needs no memory either: it cuts in proportion, so that nothing is too small to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from nwp.errors import BadMessage, BadSettings
from nwp.federated.parcel import BF16, AnyArray, ArraySpec
from nwp.model.lstm import FloatArray

DOWN = ("fp32", "bf16")
UP = ("fp32", "bf16", "int8", "topk")
BLOCK = 512  # numbers that share a scale
_LEVELS = 127
_CHUNK = 1 << 16  # numbers at a time: a processor's cache holds them and what is made of them
_TINY = float(np.finfo(np.float32).tiny)

Codes = npt.NDArray[np.uint16]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Compression:
    """How weights travel `down` to the workers and updates `up`; with topk, `share` of them."""

    down: str = "fp32"
    up: str = "fp32"
    share: float = 0.01

    @classmethod
    def chosen(cls, down: str, up: str, share: float | None) -> Self:
        """From what a user chose; no share is the usual one. BadSettings for one that does nothing."""
        if share is None:
            return cls(down, up)
        if up != "topk":
            raise BadSettings(
                f"a share of {share} of an update that is sent whole, as {up}",
                "Ask for topk too (--uplink topk), or leave --topk out.",
            )
        return cls(down, up, share)

    def __post_init__(self) -> None:
        for way, scheme, known in (("down", self.down, DOWN), ("up", self.up, UP)):
            if scheme not in known:
                raise BadSettings(
                    f"no scheme {scheme!r} {way}", f"It is one of {', '.join(known)}."
                )
        if not 0 < self.share <= 1:
            raise BadSettings(
                f"a share of {self.share} of an update", "Give a number above 0, 1 at most."
            )


@dataclass(frozen=True)
class Code:
    """One way to write a vector of `size` numbers as arrays; with topk, `share` of them."""

    scheme: str
    size: int
    share: float = 1.0

    @property
    def forgets(self) -> bool:
        """Is what it cuts lost unless it is kept? Then a writer must add it to the next vector."""
        return self.scheme == "topk"

    @property
    def kept(self) -> int:
        """How many numbers topk sends."""
        return min(self.size, max(1, round(self.share * self.size)))

    def specs(self, *names: str) -> dict[str, ArraySpec]:
        """The arrays that vectors of these names are written as."""
        return {array: spec for name in names for array, spec in self._specs(name).items()}

    def _specs(self, name: str) -> dict[str, ArraySpec]:
        if self.scheme == "fp32":
            return {name: ArraySpec("float32", (self.size,))}
        if self.scheme == "bf16":
            return {name: ArraySpec(BF16, (self.size,))}
        if self.scheme == "int8":
            scales = ArraySpec("float32", (-(-self.size // BLOCK),))
            return {name: ArraySpec("int8", (self.size,)), _scales(name): scales}
        places = ArraySpec("uint8", (_place_bytes(self.size, self.kept),))
        return {name: ArraySpec(BF16, (self.kept,)), _places(name): places}

    def encode(self, name: str, values: FloatArray, seed: int = 0) -> dict[str, AnyArray]:
        """`values`, float32 (size,), as arrays that `specs` describes; int8 draws from `seed`.

        What is no finite number is written as such, or as one that is beyond bounds: a schema with
        these specs refuses it.
        """
        if self.scheme == "fp32":
            return {name: values}
        if self.scheme == "bf16":
            return {name: _to_bf16(values)}
        if self.scheme == "int8":
            codes, scales = _to_int8(values, seed)
            return {name: codes, _scales(name): scales}
        chosen = largest(values, self.kept)
        return {name: _to_bf16(values[chosen]), _places(name): _pack_places(chosen, self.size)}

    def decode(self, name: str, arrays: Mapping[str, AnyArray]) -> FloatArray:
        """What was written, float32 (size,), from arrays that a schema with these specs has checked.

        BadMessage when they are not in the form that `encode` gives.
        """
        values = arrays[name]
        if self.scheme == "fp32":
            return values
        if self.scheme == "bf16":
            return _from_bf16(values)
        if self.scheme == "int8":
            return _from_int8(values, arrays[_scales(name)])
        found: FloatArray = np.zeros(self.size, np.float32)
        found[_unpack_places(arrays[_places(name)], self.size, self.kept)] = _from_bf16(values)
        return found

    def through(self, values: FloatArray) -> FloatArray:
        """What a reader makes of `values`, float32 (size,)."""
        return self.decode("values", self.encode("values", values))


def _scales(name: str) -> str:
    return f"{name}_scales"


def _places(name: str) -> str:
    return f"{name}_places"


def largest(values: FloatArray, count: int) -> Places:
    """The places of the `count` numbers farthest from 0, in order; of equals, the first ones."""
    # Without its sign, a float's bits are in the order of its size.
    sizes = values.view(np.int32) & np.int32(0x7FFFFFFF)
    least = np.partition(sizes, len(sizes) - count)[len(sizes) - count]
    chosen = sizes > least
    equal = np.flatnonzero(sizes == least)
    chosen[equal[: count - np.count_nonzero(chosen)]] = True
    return np.flatnonzero(chosen)


def _to_bf16(values: FloatArray) -> Codes:
    rounded = torch.from_numpy(np.require(values, requirements=["C", "W"])).to(torch.bfloat16)
    codes: Codes = rounded.view(torch.int16).numpy().view(np.uint16)
    return codes


def _from_bf16(codes: Codes) -> FloatArray:
    wide = codes.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def _to_int8(values: FloatArray, seed: int) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Each number as a whole number of its block's scale, rounded at random: right on average to
    2^-16 of the scale."""
    size = len(values)
    codes = np.empty(size, np.int8)
    scales = np.empty(-(-size // BLOCK), np.float32)
    draws = np.random.SFC64(seed)
    for start in range(0, size, _CHUNK):
        steps = values[start : start + _CHUNK]
        count = len(steps)
        steps = np.pad(steps, (0, -count % BLOCK)).reshape(-1, BLOCK)
        scale = np.maximum(steps.max(1), -steps.min(1)) / np.float32(_LEVELS)
        scale[scale < _TINY] = 0  # too little to divide by
        scales[start // BLOCK :][: len(scale)] = scale
        with np.errstate(invalid="ignore"):  # of what is not finite, which is refused for its scale
            steps /= np.where(scale > 0, scale, np.float32(np.inf))[:, None]
            drawn = draws.random_raw(-(-steps.size // 4)).view(np.uint16)[: steps.size]
            # In the middle of 65,536 equal parts of 0 to 1, so that whole numbers stay.
            up = drawn.astype(np.float32)
            up += np.float32(0.5)
            up *= np.float32(2.0**-16)
            steps += up.reshape(steps.shape)
            np.floor(steps, out=steps)
            np.clip(steps, -_LEVELS, _LEVELS, out=steps)
            codes[start : start + count] = steps.reshape(-1)[:count].astype(np.int8)
    return codes, scales


def _from_int8(codes: npt.NDArray[np.int8], scales: FloatArray) -> FloatArray:
    if (scales < _TINY)[scales.view(np.uint32) != 0].any() or (codes == -_LEVELS - 1).any():
        raise BadMessage("an update in int8 has a scale or a number that nobody writes")
    with np.errstate(over="ignore"):
        values: FloatArray = np.repeat(scales, BLOCK)[: len(codes)]
        values *= codes
    if codes[np.repeat(scales == 0, BLOCK)[: len(codes)]].any() or not np.isfinite(values).all():
        raise BadMessage("an update in int8 has numbers that its scales do not allow")
    return values


def _low_bits(size: int, count: int) -> int | None:
    """How many low bits of a place Elias and Fano's code writes as they are; None: a bit for each
    number is no longer than that code."""
    low = (size // count).bit_length() - 1
    return low if low * count + _high_bits(size, count, low) < size else None


def _high_bits(size: int, count: int, low: int) -> int:
    """The bits that tell the rest of the places: a 1 for each, behind as many 0 as the rest says."""
    return count + (size - 1 >> low)


def _place_bits(size: int, count: int) -> int:
    low = _low_bits(size, count)
    return size if low is None else low * count + _high_bits(size, count, low)


def _place_bytes(size: int, count: int) -> int:
    return -(-_place_bits(size, count) // 8)


def _pack_places(places: Places, size: int) -> npt.NDArray[np.uint8]:
    """Places in order, of `size`, as bits."""
    count = len(places)
    low = _low_bits(size, count)
    bits = np.zeros(_place_bits(size, count), np.uint8)
    if low is None:
        bits[places] = 1
    else:
        high = _high_bits(size, count, low)
        bits[(places >> low) + np.arange(count)] = 1
        bits[high:] = (places[:, None] >> np.arange(low) & 1).reshape(-1)
    return np.packbits(bits)


def _unpack_places(data: npt.NDArray[np.uint8], size: int, count: int) -> Places:
    """Inverse of `_pack_places`; BadMessage for what it can't have written."""
    low, used = _low_bits(size, count), _place_bits(size, count)
    bits = np.unpackbits(data)
    high = size if low is None else _high_bits(size, count, low)
    ones = np.flatnonzero(bits[:high])
    if bits[used:].any() or len(ones) != count:
        raise BadMessage("an update does not tell as many places as agreed")
    if low is None:
        return ones
    lows = bits[high:used].reshape(count, low) @ (1 << np.arange(low))
    places: Places = (ones - np.arange(count) << low) + lows
    if places[-1] >= size or (np.diff(places) <= 0).any():
        raise BadMessage("an update tells places that are out of order or do not exist")
    return places
