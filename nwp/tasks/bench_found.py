"""What `nwp bench` finds: the timed rounds in each precision, and where their time goes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nwp.federated.local import LocalWork
from nwp.measuring.flops import Products, Size
from nwp.measuring.machine import Copies, Hardware, Peak, Shape
from nwp.measuring.rounds import RoundTimes
from nwp.measuring.split import PRODUCTS, RECURRENCE, Profile
from nwp.model.config import ModelConfig

ELSEWHERE, BETWEEN, WAITING = "elsewhere", "between", "waiting"


@dataclass(frozen=True)
class Part:
    """A share of all processes' time, in thousandths. `flop` a round where it is known."""

    name: str
    thousandths: int
    flop: int = 0


@dataclass(frozen=True)
class Trained:
    """The timed rounds in one precision. `peak` is GFLOP/s of all processes together."""

    precision: str
    times: tuple[RoundTimes, ...]
    size: Size
    products: Products
    peak: Peak
    profile: Profile

    @property
    def seconds(self) -> float:
        """The median round."""
        return statistics.median(t.seconds for t in self.times)

    @property
    def gflops(self) -> float:
        """GFLOP/s of a round's products, over the whole round."""
        return self.products.total / self.seconds / 1e9

    @property
    def share_of_peak(self) -> float:
        """How long the products would take at the machine's peak, of how long the round takes."""
        return self.gflops / self.peak.together

    @property
    def taken_by_others(self) -> float:
        """Which share of the time in which processes trained they were kept from their cores."""
        busy = math.fsum(t.busy for t in self.times)
        return max(0.0, 1 - math.fsum(t.cpu for t in self.times) / busy)

    def split(self) -> list[Part]:
        """Where the time of all processes goes; the parts add up to 1,000."""
        times, profile = self.times, self.profile
        busy = math.fsum(t.busy for t in times)
        computing = busy * (1 - self.taken_by_others)
        seconds = {k: computing * s / profile.seconds for k, s in profile.parts.items()}
        seconds |= {
            ELSEWHERE: busy - computing,
            BETWEEN: math.fsum(t.between for t in times),
            WAITING: math.fsum(t.waiting for t in times),
        }
        flop = {PRODUCTS: self.products.others, RECURRENCE: self.products.recurrence}
        shares = in_thousandths(list(seconds.values()))
        return [
            Part(name, share, flop.get(name, 0))
            for name, share in zip(seconds, shares, strict=True)
        ]

    def part_gflops(self, part: Part) -> float | None:
        """GFLOP/s of all processes while they are in this part; None where that says nothing."""
        if not part.flop or not part.thousandths:
            return None
        inside = statistics.mean(t.seconds for t in self.times) * part.thousandths / 1000
        return part.flop / inside / 1e9

    def as_json(self) -> dict[str, Any]:
        """As `nwp bench --json` prints it."""
        times = [t.seconds for t in self.times]
        return {
            "precision": self.precision,
            "seconds": round(self.seconds, 4),
            "fastest": round(min(times), 4),
            "slowest": round(max(times), 4),
            "rounds": [round(t, 4) for t in times],
            "words_per_second": round(self.size.words / self.seconds, 1),
            "steps_per_second": round(self.size.steps / self.seconds, 2),
            "gflop": round(self.products.total / 1e9, 3),
            "gflops": round(self.gflops, 2),
            "share_of_peak": round(self.share_of_peak, 4),
            "taken_by_others": round(self.taken_by_others, 4),
            "split": [
                {
                    "part": part.name,
                    "share": part.thousandths / 1000,
                    "gflop": round(part.flop / 1e9, 3) or None,
                    "gflops": _rounded(self.part_gflops(part)),
                }
                for part in self.split()
            ],
            "profile": {
                "users": self.profile.users,
                "words": self.profile.words,
                "overhead": round(self.profile.overhead, 3),
                "unknown": list(self.profile.unknown),
            },
        }


@dataclass(frozen=True)
class Benchmark:
    """All that was measured."""

    name: str
    hardware: Hardware
    processes: int
    model: ModelConfig
    work: LocalWork
    size: Size
    copies: Copies
    trained: tuple[Trained, ...]
    warnings: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """What `nwp bench --json` prints."""
        return {
            "hardware": asdict(self.hardware) | {"instructions": list(self.hardware.instructions)},
            "processes": self.processes,
            "workload": {"name": self.name, **asdict(self.size)},
            "model": self.model.as_dict() | {"parameters": self.model.parameters},
            "peak": {t.precision: _peak_json(t.peak) for t in self.trained},
            "copies": {
                "one": round(self.copies.one, 2),
                "together": round(self.copies.together, 2),
            },
            "training": [t.as_json() for t in self.trained],
            "warnings": list(self.warnings),
        }


def _peak_json(peak: Peak) -> dict[str, Any]:
    return {
        "one": round(peak.one, 1),
        "together": round(peak.together, 1),
        "shape": _sizes(peak.shape),
        "way": peak.way,
        "shapes": [
            {"name": shape.name, "sizes": _sizes(shape), "gflops": round(rate, 1)}
            for shape, rate in peak.shapes
        ],
    }


def _sizes(shape: Shape) -> list[int]:
    return [shape.rows, shape.inner, shape.columns]


def _rounded(value: float | None) -> float | None:
    """To a tenth."""
    return None if value is None else round(value, 1)


def in_thousandths(values: Sequence[float]) -> list[int]:
    """Shares of the sum of values (0 or more, not all 0) that add up to 1,000: by largest remainder."""
    total = math.fsum(values)
    exact = [1000 * value / total for value in values]
    shares = [math.floor(share) for share in exact]
    largest = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    for i in largest[: 1000 - sum(shares)]:
        shares[i] += 1
    return shares
