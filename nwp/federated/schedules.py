"""Learning rates of users over the rounds: warm-up, then one of a few ways down.

A rate is a function of the plan and the round's number alone, so that worker and server need not
tell each other, and a round that is begun again has the same one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nwp.errors import BadSettings

NAMES = ("constant", "linear", "cosine", "step", "inverse-sqrt")


@dataclass(frozen=True)
class Schedule:
    """How the rate changes: `warmup` rounds up to the whole of it, then down as `name` says.

    `final` is the share of the rate that is left in the last round (linear, cosine); `factor` is
    what the rate is multiplied by every `every` rounds (step).
    """

    name: str = "constant"
    warmup: int = 0
    final: float = 0.1
    every: int = 10
    factor: float = 0.5

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise BadSettings(f"no schedule {self.name!r}", f"There are {', '.join(NAMES)}.")
        if self.warmup < 0 or self.every < 1:
            raise BadSettings("warm-up must be 0 rounds or more, steps 1 round apart or more")
        if not (0 < self.final <= 1 and 0 < self.factor <= 1):
            raise BadSettings("the final share and the factor of a schedule must be in (0, 1]")


def learning_rate(schedule: Schedule, rate: float, number: int, rounds: int) -> float:
    """The rate in round `number` of 1 to `rounds`, whose highest is `rate`.

    It rises in equal steps to the whole rate in round `warmup` (Goyal et al. 2017, arXiv 1706.02677,
    section 2.2), or begins with it. From there on it falls in equal steps (linear), as half a
    cosine (Loshchilov & Hutter 2016, arXiv 1608.03983, equation 5, without restarts), by a factor
    now and then (step), or as one over the square root of the round (inverse-sqrt; Vaswani et al.
    2017, arXiv 1706.03762, equation 3).
    """
    top = max(schedule.warmup, 1)
    if number <= top:
        return rate * number / top
    past, left = number - top, rounds - top
    if schedule.name == "linear":
        return rate * (1 - (1 - schedule.final) * past / left)
    if schedule.name == "cosine":
        half = (1 + math.cos(math.pi * past / left)) / 2
        return rate * (schedule.final + (1 - schedule.final) * half)
    if schedule.name == "step":
        return rate * schedule.factor ** (past // schedule.every)
    if schedule.name == "inverse-sqrt":
        return rate * math.sqrt(top / number)
    return rate


def schedule_text(schedule: Schedule) -> str:
    """A schedule in words, as a model card has them: what plays no part is left out."""
    words = [schedule.name]
    if schedule.name == "step":
        words[0] = f"step, times {schedule.factor:g} every {schedule.every} rounds"
    elif schedule.name in ("linear", "cosine"):
        words[0] += f" to {schedule.final:g} of it"
    if schedule.warmup:
        words.append(f"after {schedule.warmup} rounds of warm-up")
    return " ".join(words)
