"""Matrix products by oneDNN, in float32 too.

torch's own product in float32 calls a library that on many processors leaves half of their speed.
oneDNN, which it has on board and calls for bfloat16, is asked by its operators for compiled graphs.
Where they are missing, torch's own are taken: the results differ by rounding alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise") and bool(
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
)

_ROWS = 16  # a hint to oneDNN; the layout is the same for all small numbers
_WIDE = 256  # columns from which oneDNN forms a gradient faster


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weightᵀ + bias, (rows, in) and (out, in) to (rows, out); the weight may be `reordered`."""
    if _ONEDNN:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return product
    return functional.linear(x, weight, bias)


def reordered(weight: Tensor) -> Tensor:
    """A weight laid out for many products with few rows; of use to `linear` alone.

    Worth it right after the weight was written, while the caches hold it: read from memory, the
    same takes four times as long.
    """
    if _ONEDNN:
        laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        return laid_out
    return weight


def outer(left: Tensor, right: Tensor) -> Tensor:
    """leftᵀ right, (N, rows) and (N, columns) to (rows, columns): a gradient of weights."""
    if left.dtype == torch.float32 and right.shape[1] >= _WIDE:
        return linear(left.t(), right.t())
    return torch.mm(left.t(), right)
