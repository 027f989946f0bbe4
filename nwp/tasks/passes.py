"""How many rounds go through the text so many times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nwp.errors import BadSettings
from nwp.tasks.train_options import TrainOptions, usual_cohort
from nwp.workers.policy import Policy

_WARM_UPS = 3


@dataclass(frozen=True)
class Passes:
    """How often a training goes through its text, on average; above 0."""

    times: float

    def __post_init__(self) -> None:
        if not 0 < self.times < math.inf:
            raise BadSettings(
                f"{self.times:g} times through the text trains nothing", "Say 3x, or so."
            )

    def __str__(self) -> str:
        return f"{self.times:g}x"


def in_rounds(
    passes: Passes, sizes: Mapping[str, tuple[int, int]], options: TrainOptions
) -> TrainOptions:
    """The options with the rounds that take `passes` through the text of users of these `sizes`: their
    messages and words to train on.

    A round takes what it takes on average: of each user no more than `local.messages`, whom it draws alike
    or by their words. There are no fewer rounds than three times the warm-up, which else would be most of the
    run, and no more than owners usually allow (`Policy.max_rounds`).
    """
    writers = [size for size in sizes.values() if size[1]]
    words = sum(n for _, n in writers)
    by_size = options.participation.by_size
    most = options.local.messages or math.inf
    a_user = sum(
        (n / words if by_size else 1 / len(writers)) * n * min(most / messages, 1)
        for messages, n in writers
    )
    cohort = options.cohort or usual_cohort(len(sizes))
    # By size users are drawn with replacement; else there are no more of them than there are.
    users = cohort if by_size else min(cohort, len(sizes))
    # Rounded, so that what comes out even does so in floating point.
    rounds = math.ceil(round(passes.times * words / (users * a_user * options.local.epochs), 6))
    least = _WARM_UPS * max(options.schedule.warmup, options.server_schedule.warmup)
    return replace(options, rounds=min(max(rounds, least), Policy().max_rounds))
