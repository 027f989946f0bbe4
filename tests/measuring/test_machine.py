from __future__ import annotations

import numpy as np
import pytest
import torch

from nwp.measuring import machine
from nwp.measuring.machine import (
    Hardware,
    Shape,
    copy_rates,
    hardware,
    measure_copies,
    measure_peak,
    product_rates,
    read_cpu_info,
    shapes_of,
    ways,
)
from nwp.measuring.together import at_once
from nwp.model.config import ModelConfig
from nwp.workers.engines import InProcess, Processes

X86 = """processor\t: 0
model name\t: Some CPU @ 3.00GHz: fast
flags\t\t: fpu avx2 fma avx512f avx512_bf16 amx_tile amx_bf16

processor\t: 1
model name\t: Another
flags\t\t: fpu
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\n"
SMALL = Shape("small", 8, 16, 32)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch):
    """A thousandth of the usual time and sizes."""
    for name in ("_LOOK", "_MEASURE"):
        monkeypatch.setattr(machine, name, 0.001)
    monkeypatch.setattr(machine, "_COPIED", 1 << 10)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_processors_are_read_as_linux_tells_them() -> None:
    name, flags = read_cpu_info(X86)

    assert name == "Some CPU @ 3.00GHz: fast"
    assert flags >= {"avx512_bf16", "amx_bf16", "fpu"}
    assert read_cpu_info(ARM) == ("", {"fp", "asimd", "sve", "bf16", "i8mm"})
    assert read_cpu_info("") == ("", frozenset())


def test_hardware_names_what_decides_on_products(monkeypatch, tmp_path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(X86)
    monkeypatch.setattr(machine, "CPU_INFO", info)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: {0, 3, 5})
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (1.234, 9.0, 9.0))

    found = hardware()

    assert found.cpu == "Some CPU @ 3.00GHz: fast"
    expected = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")
    assert found.instructions == expected
    assert (found.cores, found.load) == (3, 1.23)
    assert (found.threads, found.torch) == (torch.get_num_threads(), torch.__version__)


@pytest.mark.parametrize(
    ("cores", "processes", "load", "busy"),
    [
        *((2, 2, 0.2, False), (2, 2, 0.5, True), (2, 1, 0.9, False), (2, 1, 1.5, True)),
        *((64, 64, 3.0, False), (64, 64, 4.0, True), (64, 8, 50.0, False)),
    ],
)
def test_a_machine_is_busy_when_others_want_the_cores(
    cores: int, processes: int, load: float, busy: bool
) -> None:
    assert Hardware("", cores, (), 1, "", load).busy(processes) == busy


def test_every_way_to_multiply_gives_the_product() -> None:
    x, weight = torch.rand(5, 7), torch.rand(3, 7)

    for multiply in ways().values():
        assert torch.allclose(multiply(x, weight), x @ weight.t())


def test_rates_are_work_by_time(monkeypatch) -> None:
    clock = iter(np.arange(0, 1000, 0.5))  # each look at the clock is half a second later
    monkeypatch.setattr(machine.time, "thread_time", lambda: next(clock))
    monkeypatch.setattr(machine.time, "monotonic", lambda: 10.0)

    # Every window is over when it begins: one call each, which takes half a second.
    nothing = np.zeros(1, np.float32)
    assert product_rates(nothing, 0.0, "fp32", [(SMALL, "torch")], 2, 1.0) == [
        [2 * 8 * 16 * 32 / 0.5 / 1e9] * 2
    ]
    assert copy_rates(nothing, 0.0, 1, 1.0) == [[2 * 4 * (1 << 10) / 0.5 / 1e9]]


def test_windows_end_at_moments_that_all_share(monkeypatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(machine.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(machine.time, "thread_time", lambda: 0.0)
    calls = []

    machine._windows(lambda: calls.append(1) or torch.zeros(1), 2.0, 2, 3.0)

    # After one to warm up: at 0 to 4 s calls go on, at 5 s the first window ends; 6, 7, 8 the second.
    assert len(calls) == 1 + 6 + 3


def test_shapes_are_the_models_own_and_large_ones() -> None:
    config = ModelConfig(vocabulary=100, embedding=8, hidden=20, projection=6, tied=False)
    found = {(s.rows, s.inner, s.columns) for s in shapes_of(config, 16)}

    assert {(16, 20, 80), (1024, 6, 97), (1024, 97, 6), (1024, 8, 80)} <= found
    assert {(97, 1024, 6), (80, 1024, 20), (1024, 1024, 1024)} <= found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_peak_is_the_best_of_what_was_tried(precision: str) -> None:
    shapes = [SMALL, Shape("less small", 64, 64, 64)]

    found = measure_peak(InProcess(), precision, shapes)

    assert found.one == found.together > 0
    assert found.shape in shapes
    assert found.way in ways()
    assert [shape for shape, _ in found.shapes] == shapes
    assert all(rate > 0 for _, rate in found.shapes)


def test_the_fastest_few_are_measured_again(monkeypatch) -> None:
    shapes = [Shape(str(size), size, size, size) for size in (2, 9, 5, 7)]
    asked = []

    def rates(shared, begin, precision, candidates, windows, seconds):
        asked.append({shape.rows for shape, _ in candidates})
        return [[float(shape.rows)] * windows for shape, _ in candidates]

    monkeypatch.setattr(machine, "product_rates", rates)
    monkeypatch.setattr(machine, "_FINALISTS", 2 * len(ways()))

    found = measure_peak(InProcess(), "fp32", shapes)

    assert asked == [{2, 9, 5, 7}, {9, 7}]
    assert (found.one, found.shape.rows) == (9, 9)
    assert [rate for _, rate in found.shapes] == [2, 9, 5, 7]


def test_windows_of_one_candidate_follow_those_of_another(monkeypatch) -> None:
    begins = []
    monkeypatch.setattr(machine, "_windows", lambda call, begin, *_: begins.append(begin) or [1.0])

    product_rates(np.zeros(1, np.float32), 100.0, "fp32", [(SMALL, "torch")] * 3, 2, 0.5)

    assert begins == [100.0, 101.0, 102.0]


def test_sums_over_processes_are_taken_window_by_window() -> None:
    # Two processes, two candidates, two windows: best is 5 + 1 in one window, not 5 + 4 in two.
    assert machine._best_sum([[[5, 1], [1, 1]], [[1, 4], [2, 1]]]) == 6


def who(shared: np.ndarray, begin: float, word: str) -> tuple[float, str]:
    return begin, word


def test_processes_begin_at_the_same_moment_and_copies_are_measured_in_all() -> None:
    engine = Processes(2)
    try:
        (first, word), (second, other) = at_once(engine, 2, who, np.zeros(1, np.float32), "x")
        copies = measure_copies(engine)
    finally:
        engine.close()

    assert first == second
    assert word == other == "x"
    assert copies.one > 0
    assert copies.together > 0
