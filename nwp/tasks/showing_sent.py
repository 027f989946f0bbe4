"""Opening what has left a worker, for its owner to look at."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nwp.federated.parcel import AnyArray, peek, unpack_own
from nwp.tasks.owner import sent_entry

_MOST = 8  # values, or lines of text


def opened(home: Path, number: int) -> dict[str, Any]:
    """Entry `number` of the ledger and its message: the envelope, the fields, and of each array its
    type, shape and what it holds in short. BadInput when there is none, or it was dropped."""
    entry, message = sent_entry(home, number)
    envelope, parcel = peek(message), unpack_own(message)
    arrays = {
        name: {"dtype": str(a.dtype), "shape": list(a.shape), "shown": _shown(name, a)}
        for name, a in parcel.arrays.items()
    }
    return {
        "entry": asdict(entry),
        "envelope": asdict(envelope),
        "fields": dict(parcel.fields),
        "arrays": arrays,
    }


def _shown(name: str, array: AnyArray) -> str:
    """What an array holds: text as text, numbers by their norm and the largest."""
    if array.dtype == np.uint8:
        text = array.tobytes().decode("utf-8", "replace").split("\n")
        more = f" … and {len(text) - _MOST} lines more" if len(text) > _MOST else ""
        return " | ".join(text[:_MOST]) + more
    if array.size <= _MOST:
        return str(array.tolist())
    if array.dtype == np.uint16:  # the upper half of float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    values = array.astype(np.float64).reshape(-1)
    return (
        f"norm {np.linalg.norm(values):.4g}, from {values.min():.3g} to {values.max():.3g}, "
        f"{np.count_nonzero(values):,} of {values.size:,} not 0"
    )
