"""How weights lie in a file: as they are, as bfloat16, or as bytes with a scale a row.

Whatever the file holds, what is read is float32: storage decides the size of a bundle, and nothing
after it. Vectors (biases) stay float32, which costs next to nothing.

- `bf16` keeps the upper half of each float32 (as uint16, for numpy has no name for it), rounded to
  the nearest, ties to even: 8 bits of precision, half the size.
- `int8` keeps round(w / s) for each row, where s is the row's largest magnitude over 127 (symmetric
  quantization by row, Jacob et al. 2018, arXiv 1712.05877, section 2.1, with zero-point 0): a quarter
  of the size. The scales are tensors of their own, `NAME.scale`, float32 (rows, 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from nwp.errors import BadSettings

FORMS = ("fp32", "bf16", "int8")
FloatArray = npt.NDArray[np.float32]
_SCALE = ".scale"
_LARGEST = 127


def check_form(form: str) -> None:
    """BadSettings for a form of storage that there is not."""
    if form not in FORMS:
        raise BadSettings(f"no storage {form!r}", f"It is one of {', '.join(FORMS)}.")


def write_weights(tensors: Mapping[str, FloatArray], form: str = "fp32") -> bytes:
    """A safetensors file of weights by name; equal weights give equal bytes."""
    check_form(form)
    stored: dict[str, npt.NDArray[Any]] = {}
    for name in sorted(tensors):
        weights = np.ascontiguousarray(tensors[name], np.float32)
        if form == "fp32" or weights.ndim < 2:
            stored[name] = weights
        elif form == "bf16":
            stored[name] = _to_bf16(weights)
        else:
            scale = np.abs(weights).max(1, keepdims=True, initial=0) / np.float32(_LARGEST)
            scale[scale == 0] = 1
            stored[name] = np.rint(weights / scale).astype(np.int8)
            stored[name + _SCALE] = scale
    data: bytes = save(stored)
    return data


def read_weights(data: bytes) -> dict[str, FloatArray]:
    """Inverse of `write_weights` up to rounding: float32 by name, whatever form they were stored in.

    SafetensorError for what is no such file, ValueError for types that are none of the forms'.
    """
    raw: dict[str, npt.NDArray[Any]] = load(data)
    found: dict[str, FloatArray] = {}
    for name, values in raw.items():
        if name.endswith(_SCALE) and name.removesuffix(_SCALE) in raw:
            continue
        if values.dtype == np.int8:
            found[name] = values * raw[name + _SCALE]
        elif values.dtype == np.uint16:
            wide = values.astype(np.uint32)
            wide <<= np.uint32(16)
            found[name] = wide.view(np.float32)
        elif values.dtype == np.float32:
            found[name] = values
        else:
            raise ValueError(f"{name} has weights of other sizes or types: {values.dtype}")
    return found


def stored(tensors: Mapping[str, FloatArray], form: str) -> dict[str, FloatArray]:
    """The weights as they will be once they were written in a form and read again."""
    return read_weights(write_weights(tensors, form))


def _to_bf16(weights: FloatArray) -> npt.NDArray[np.uint16]:
    bits = weights.view(np.uint32)
    rounded = bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))
    found: npt.NDArray[np.uint16] = (rounded >> np.uint32(16)).astype(np.uint16)
    return found
