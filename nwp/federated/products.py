"""What is computed otherwise on the CPU than on other devices: matrix products by oneDNN, in float32 too.

torch's own product in float32 calls a library that on many processors leaves half of their speed.
oneDNN, which it has on board and calls for bfloat16, is asked by its operators for compiled graphs.
Where they are missing, and on other devices, torch's own are taken: the results differ by rounding alone.
In bfloat16 both add up in float32 and round each sum once.
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
    if _ONEDNN and x.is_cpu:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return product
    return functional.linear(x, weight, bias)


def reordered(weight: Tensor) -> Tensor:
    """A weight laid out for many products with few rows; of use to `linear` alone.

    Worth it right after the weight was written, while the caches hold it: read from memory, the
    same takes four times as long.
    """
    if _ONEDNN and weight.is_cpu:
        laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        return laid_out
    return weight


def outer(left: Tensor, right: Tensor) -> Tensor:
    """leftᵀ right, (N, rows) and (N, columns) to (rows, columns): a gradient of weights."""
    if left.dtype == torch.float32 and right.shape[1] >= _WIDE:
        return linear(left.t(), right.t())
    return torch.mm(left.t(), right)


def add_clipped(flat: Tensor, gradient: Tensor, rate: float, clip_norm: float) -> None:
    """Add rate times the gradient to flat, both float32 (n,); one longer than `clip_norm` (L2; 0: never)
    is scaled to it first."""
    if not clip_norm:
        flat.add_(gradient, alpha=rate)
        return
    norm = torch.linalg.vector_norm(gradient)
    if flat.is_cpu:
        flat.add_(gradient, alpha=rate * min(1.0, clip_norm / (float(norm) + 1e-12)))
    else:  # the length stays there: to look at it would be to wait for all that is still computed
        flat.addcmul_(gradient, (clip_norm / (norm + 1e-12)).clamp_max(1.0), value=rate)
