"""Where the time of local training goes, by torch's profiler: its operators in plain kinds.

The profiler knows each operator's name, shapes and time without those that it calls in turn. What is in
no operator, or in one that only looks at its input otherwise, is Python and dispatch; the time that
profiling itself takes falls there, and is taken off there.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity

from nwp.federated.local import LocalWork, train_group
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import Encoded

PRODUCTS, RECURRENCE, SOFTMAX = "products", "recurrence", "softmax"
ELEMENTWISE, WEIGHTS, COPIES, OTHER, PYTHON = "elementwise", "weights", "copies", "other", "python"
KINDS = (PRODUCTS, RECURRENCE, SOFTMAX, ELEMENTWISE, WEIGHTS, COPIES, OTHER, PYTHON)

_PROFILED = 8_000  # words: their events take some seconds to read

# Operators by name, without their library and the underscores around it. Where none is right, the first
# fragment that a name holds decides; what neither knows is shown as other.
_NAMES = {
    PRODUCTS: """mm addmm bmm baddbmm addbmm matmul linear linear_pointwise mkldnn_linear mv addmv
        dot vdot addr outer ger einsum tensordot inner""",
    SOFTMAX: """softmax log_softmax softmax_backward_data log_softmax_backward_data logsumexp
        nll_loss cross_entropy_loss log clamp_min amax""",
    ELEMENTWISE: """add sub rsub mul div neg addcmul addcdiv sigmoid sigmoid_backward tanh
        tanh_backward exp sqrt rsqrt reciprocal pow square lerp clamp where masked_fill sum mean max
        min cumsum norm linalg_vector_norm index_add index_put scatter_add threshold ge gt le lt eq
        ne bitwise_and bernoulli rand uniform normal random foreach_add foreach_mul""",
    COPIES: """copy clone to_copy contiguous empty empty_like empty_strided zeros zeros_like ones
        ones_like full full_like fill zero new_empty new_zeros new_full resize index index_select
        gather embedding cat stack arange repeat_interleave take constant_pad_nd flip
        reorder_linear_weight to_dense to_mkldnn set""",
    PYTHON: """view as_strided slice narrow select split split_with_sizes chunk unbind expand
        expand_as transpose t permute reshape unsqueeze squeeze unflatten flatten detach alias to
        item local_scalar_dense lift_fresh resolve_conj resolve_neg is_nonzero unsafe_view
        unsafe_split movedim numpy_t result_type""",
}
OPERATORS = {name: kind for kind, names in _NAMES.items() for name in names.split()}
FRAGMENTS: tuple[tuple[str, str], ...] = (
    *((part, RECURRENCE) for part in ("lstm", "rnn", "gru", "recurren")),
    *((part, SOFTMAX) for part in ("softmax", "cross_entropy", "nll")),
    *((part, PRODUCTS) for part in ("linear", "matmul", "gemm", "_mm", "mm_")),
    *((part, COPIES) for part in ("copy", "reorder", "quantize")),
)
# Of these, what counts is whether they change weights, or scores over the vocabulary.
_BY_SHAPE = {
    *_NAMES[ELEMENTWISE].split(),
    *("copy", "clone", "to_copy", "fill", "zero", "reorder_linear_weight", "log", "clamp_min"),
}
_Shapes = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Profile:
    """Seconds on a core by kind, of training `words` words of `users` users without profiling.

    `overhead` is how much longer it took with it, as a share. `unknown` are the names of operators
    that no table knows, the longest first.
    """

    parts: dict[str, float]
    overhead: float
    unknown: tuple[str, ...]
    users: int
    words: int

    @property
    def seconds(self) -> float:
        """All kinds together."""
        return math.fsum(self.parts.values())


def kind_of(
    name: str,
    shapes: _Shapes,
    config: ModelConfig,
    gradients: Collection[tuple[int, ...]] = (),
) -> str:
    """What an operator is for, by its name and its inputs' shapes ([] for what has none).

    `gradients` are shapes of weights' gradients, or of parts of them, beside those of the weights.
    """
    base = _base(name)
    kind = OPERATORS.get(base) or next((k for part, k in FRAGMENTS if part in base), OTHER)
    if kind == PRODUCTS:
        # A weight of the recurrence on the right: rows are messages, not words.
        recurrent = {config.hidden, 4 * config.hidden}
        return RECURRENCE if set(_sizes(shapes)[1:]) == recurrent else PRODUCTS
    if base in _BY_SHAPE and shapes:
        first = tuple(shapes[0])
        whole = {*config.shapes().values(), (config.parameters,)}
        if first in whole or first[::-1] in whole or first in gradients:
            return WEIGHTS
        if first[-1:] == (config.outputs,) or (
            len(first) == 1 and first[0] and first[0] % config.outputs == 0
        ):
            return SOFTMAX
    return kind


def gradients_in(
    events: Iterable[tuple[str, _Shapes]], config: ModelConfig
) -> set[tuple[int, int]]:
    """Shapes of the gradients that products have formed, whole or in parts: the inner size of such a
    product is a number of words, and none of the model's."""
    own = {size for shape in config.shapes().values() for size in shape}
    found = set()
    for name, shapes in events:
        rows, inner, columns = _sizes(shapes)
        if inner and inner not in own and OPERATORS.get(_base(name)) == PRODUCTS:
            found.add((rows, columns))
    return found


def _base(name: str) -> str:
    """An operator's name without its library and the underscores around it."""
    return name.rsplit("::", 1)[-1].strip("_").lower()


def _sizes(shapes: _Shapes) -> tuple[int, int, int]:
    """Rows, inner size and columns of a product by its inputs' shapes; zeros when they tell nothing.

    The right matrix stands as (inner, columns) or, as a layer's weight, as (columns, inner); a
    matrix to add to may stand before both.
    """
    matrices = [shape for shape in shapes if len(shape) >= 2]
    if len(matrices) < 2:
        return (0, 0, 0)
    left, right = matrices[-2:]
    if left[-1] == right[-2]:
        return (left[-2], right[-2], right[-1])
    return (left[-2], right[-1], right[-2]) if left[-1] == right[-1] else (0, 0, 0)


def some_of(
    users: Sequence[tuple[Encoded, int]], words: int = _PROFILED
) -> list[tuple[Encoded, int]]:
    """The first of these users (data and seed), with about so many words at most; the last one, if
    it writes too much, with its first messages alone."""
    found: list[tuple[Encoded, int]] = []
    for user, seed in users:
        fit = int((user.offsets[1:] <= words).sum())
        if fit < user.messages:
            return found or [(_first_messages(user, max(fit, 1)), seed)]
        words -= int(user.offsets[-1])
        found.append((user, seed))
    return found


def _first_messages(user: Encoded, count: int) -> Encoded:
    end = int(user.offsets[count])
    return Encoded(
        inputs=user.inputs[:end],
        marks=user.marks[:end],
        targets=user.targets[:end],
        addresses=user.addresses[:end],
        offsets=user.offsets[: count + 1],
    )


def profile_group(
    start: FloatArray,
    begin: float,
    config: ModelConfig,
    work: LocalWork,
    users: Sequence[tuple[Encoded, int]],
) -> Profile:
    """Train these users under the profiler, and without it before and after."""

    def training() -> object:
        return train_group(start, config, work, users)

    training()  # what the first time alone makes is no part of it
    time.sleep(max(0.0, begin - time.monotonic()))
    before, _ = _timed(training)
    # Else the profiler's library writes to standard error that it begins and ends.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    with torch.profiler.profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        watched, by_the_clock = _timed(training)
    after, _ = _timed(training)
    spent: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    events = profiler.key_averages(group_by_input_shape=True)
    gradients = gradients_in(((event.key, event.input_shapes) for event in events), config)
    for event in events:
        # The profiler reads the clock; what others took of it is spread over all alike.
        seconds = event.self_cpu_time_total / 1e6 * min(1.0, watched / by_the_clock)
        kind = kind_of(event.key, event.input_shapes, config, gradients)
        spent[kind] += seconds
        if kind == OTHER:
            unknown[event.key] += seconds
    plain = min(before, after)
    return Profile(
        parts=_without_overhead(spent, plain),
        overhead=watched / plain - 1,
        unknown=tuple(name for name, _ in unknown.most_common()),
        users=len(users),
        words=sum(len(user.targets) for user, _ in users),
    )


def _without_overhead(spent: Mapping[str, float], plain: float) -> dict[str, float]:
    """Seconds by kind that add up to those of a run that nobody watched."""
    inside = {kind: spent.get(kind, 0.0) for kind in KINDS if kind != PYTHON}
    total = math.fsum(inside.values())
    scale = min(1.0, plain / total) if total else 1.0
    inside = {kind: seconds * scale for kind, seconds in inside.items()}
    return inside | {PYTHON: max(0.0, plain - math.fsum(inside.values()))}


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds on a core, and by the clock."""
    began, cpu = time.monotonic(), time.thread_time()
    call()
    return time.thread_time() - cpu, time.monotonic() - began


def joined(profiles: Sequence[Profile]) -> Profile:
    """Profiles of the same work by several processes as one: what each took on average."""
    return Profile(
        parts={k: math.fsum(p.parts[k] for p in profiles) / len(profiles) for k in KINDS},
        overhead=math.fsum(p.overhead for p in profiles) / len(profiles),
        unknown=tuple(dict.fromkeys(name for p in profiles for name in p.unknown)),
        users=profiles[0].users,
        words=profiles[0].words,
    )
