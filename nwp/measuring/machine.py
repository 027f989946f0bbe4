"""What the machine is, and the best that it can do: matrix products and copies."""

from __future__ import annotations

import functools
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from nwp.measuring.together import at_once
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray
from nwp.workers.engines import Engine

CPU_INFO = Path("/proc/cpuinfo")
# As Linux names them on x86 and on ARM; those that decide how fast products are.
INSTRUCTIONS = (
    *("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"),
    *("asimd", "sve", "sve2", "bf16", "i8mm", "sme"),
)
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

_LARGE = (1024, 1536)  # rows and columns of large square products
_WORDS = 1024  # rows of the model's own products where all words take part
_LOOK, _MEASURE = 0.06, 0.12  # seconds a candidate is tried for, and a window of measuring lasts
_WINDOWS = 3
_FINALISTS = 4
_COPIED = 1 << 25  # numbers of 4 bytes: more than caches hold


@dataclass(frozen=True)
class Hardware:
    """The processor and what it knows, cores that this process may use, and how busy it is already.

    `threads` is what torch would use by itself; nwp trains with one a process. `load` is the
    system's average of the last minute, in cores.
    """

    cpu: str
    cores: int
    instructions: tuple[str, ...]
    threads: int
    torch: str
    load: float

    def busy(self, processes: int) -> bool:
        """Do others leave fewer free cores than are to be measured?"""
        return self.load > self.cores - processes + max(0.3, 0.05 * self.cores)


def hardware() -> Hardware:
    """This machine, now."""
    name, flags = read_cpu_info(
        CPU_INFO.read_text(encoding="utf-8", errors="replace") if CPU_INFO.exists() else ""
    )
    return Hardware(
        cpu=name or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        instructions=tuple(i for i in INSTRUCTIONS if i in flags),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        load=round(os.getloadavg()[0], 2),
    )


def read_cpu_info(text: str) -> tuple[str, frozenset[str]]:
    """The first processor's name and flags, of what Linux tells in /proc/cpuinfo ("" if untold)."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip().lower(), value.strip())
    flags = found.get("flags", found.get("features", ""))
    return found.get("model name", ""), frozenset(flags.split())


@dataclass(frozen=True)
class Shape:
    """A product of (rows, inner) and (inner, columns)."""

    name: str
    rows: int
    inner: int
    columns: int

    @property
    def flop(self) -> int:
        """Its multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Peak:
    """The fastest products found, in GFLOP/s: `one` by one process alone, `together` by all at once.

    `shapes` is, for each shape tried, the best of one process in one short look.
    """

    one: float
    together: float
    shape: Shape
    way: str
    shapes: tuple[tuple[Shape, float], ...]


@dataclass(frozen=True)
class Copies:
    """Copying of memory in GB/s, read and written bytes both counted: by one process, by all."""

    one: float
    together: float


def shapes_of(config: ModelConfig, batch: int) -> list[Shape]:
    """Large square products, and those that a round of this model is made of."""
    gates, outputs = 4 * config.hidden, config.outputs
    return [
        *(Shape("large", size, size, size) for size in _LARGE),
        Shape("scores", _WORDS, config.projection, outputs),
        Shape("back from scores", _WORDS, outputs, config.projection),
        Shape("gradient of scores", outputs, _WORDS, config.projection),
        Shape("gates", _WORDS, config.embedding, gates),
        Shape("gradient of recurrence", gates, _WORDS, config.hidden),
        Shape("one position", batch, config.hidden, gates),
    ]


def _by_torch(x: Tensor, weight: Tensor) -> Tensor:
    return functional.linear(x, weight)


def _by_onednn(x: Tensor, weight: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return product


def ways() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """How a product can be asked for here: x weightᵀ, (rows, in) and (out, in) to (rows, out)."""
    found: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"torch": _by_torch}
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        try:
            _by_onednn(torch.ones(2, 2), torch.ones(2, 2))
        except (AttributeError, RuntimeError):  # a torch whose operators are called otherwise
            return found
        found["oneDNN"] = _by_onednn
    return found


def measure_peak(engine: Engine, precision: str, shapes: Sequence[Shape]) -> Peak:
    """The fastest that this machine multiplies, of several shapes and ways to ask for products.

    All are tried by one process; the fastest few are then measured by one alone and by as many
    processes at once as the engine has, which tells less than as many times one's.
    """
    nothing = torch.zeros(1).numpy()
    every = [(shape, way) for shape in shapes for way in ways()]
    (looked,) = at_once(engine, 1, product_rates, nothing, precision, every, 1, _LOOK)
    best = sorted(range(len(every)), key=lambda i: -looked[i][0])[:_FINALISTS]
    finalists = [every[i] for i in best]
    more = (precision, finalists, _WINDOWS, _MEASURE)
    (alone,) = at_once(engine, 1, product_rates, nothing, *more)
    fastest = max(range(len(finalists)), key=lambda i: max(alone[i]))
    reached = {
        shape: max(looked[i][0] for i, (other, _) in enumerate(every) if other == shape)
        for shape in shapes
    }
    together = [alone]
    if engine.width > 1:
        together = at_once(engine, engine.width, product_rates, nothing, *more)
    return Peak(
        one=max(alone[fastest]),
        together=_best_sum(together),
        shape=finalists[fastest][0],
        way=finalists[fastest][1],
        shapes=tuple(reached.items()),
    )


def measure_copies(engine: Engine) -> Copies:
    """How fast memory is copied by one process, and by all at once."""
    nothing = torch.zeros(1).numpy()
    (alone,) = at_once(engine, 1, copy_rates, nothing, _WINDOWS, _MEASURE)
    together = [alone]
    if engine.width > 1:
        together = at_once(engine, engine.width, copy_rates, nothing, _WINDOWS, _MEASURE)
    return Copies(max(alone[0]), _best_sum(together))


def _best_sum(processes: Sequence[Sequence[Sequence[float]]]) -> float:
    """Of rates by process, candidate and window: the largest sum over processes in one window."""
    return max(
        math.fsum(rates)
        for candidates in zip(*processes, strict=True)
        for rates in zip(*candidates, strict=True)
    )


def product_rates(
    shared: FloatArray,
    begin: float,
    precision: str,
    candidates: Sequence[tuple[Shape, str]],
    windows: int,
    seconds: float,
) -> list[list[float]]:
    """GFLOP/s of each candidate in each of its windows, which follow each other from `begin` on."""
    known = ways()
    rates: list[list[float]] = []
    for number, (shape, way) in enumerate(candidates):
        kind = TYPES[precision]
        x = torch.rand(shape.rows, shape.inner).to(kind)
        weight = torch.rand(shape.columns, shape.inner).to(kind)
        multiply = known[way]
        first = begin + number * windows * seconds
        times = _windows(functools.partial(multiply, x, weight), first, windows, seconds)
        rates.append([shape.flop / time / 1e9 for time in times])
    return rates


def copy_rates(shared: FloatArray, begin: float, windows: int, seconds: float) -> list[list[float]]:
    """GB/s of copying, read and written bytes both counted, in each window."""
    source, target = torch.ones(_COPIED), torch.zeros(_COPIED)
    times = _windows(lambda: target.copy_(source), begin, windows, seconds)
    return [[2 * source.nbytes / time / 1e9 for time in times]]


def _windows(call: Callable[[], Tensor], begin: float, windows: int, seconds: float) -> list[float]:
    """Seconds on a core that one call takes in each window, on average: what other programs take of
    the core does not count. Windows end at the same moments in all processes, so that none of them
    measures after the others have gone; each has one call at least."""
    call()  # the first one makes what the others find ready
    times = []
    for window in range(1, windows + 1):
        until, done = begin + window * seconds, 0
        began = time.thread_time()
        while not done or time.monotonic() < until:
            call()
            done += 1
        times.append((time.thread_time() - began) / done)
    return times
