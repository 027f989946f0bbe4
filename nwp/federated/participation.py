"""Who may take part in a round, and how long the server waits for them: the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nwp.errors import BadSettings

SAMPLINGS = ("uniform", "size", "poisson")


@dataclass(frozen=True)
class Participation:
    """How the users of a round are drawn, and when a round goes on without the rest of them.

    `sampling` is one of

    - "uniform": so many users, each set of them equally likely;
    - "size": so many draws with replacement, a user's chance in proportion to its words, and all
      draws count alike in the average (Li et al. 2020, "On the convergence of FedAvg on non-IID
      data", arXiv 1907.02189, scheme I), or by the words of the messages that are taken of each;
    - "poisson": each user by itself, with a chance that gives the cohort's size on average.

    A user can be reached in a round with chance `availability`, independently of all others (Gu et
    al. 2021, arXiv 2106.04159). With `cycle` K above 1, the users are dealt at random to K groups
    that can be reached in turn, each every K-th round (Cho et al. 2023, arXiv 2302.03109). Sampling
    by size takes neither: it is unbiased only if everybody can be drawn.

    A round asks `over_select` more users than its goal, as a fraction, and goes on once the goal is
    reached; it waits `time_limit` seconds at most (0: as long as it takes); with fewer than
    `minimum` users it is abandoned (Bonawitz et al. 2019, "Towards federated learning at scale",
    arXiv 1902.01046, sections 2.2 and 9).
    """

    sampling: str = "uniform"
    availability: float = 1.0
    cycle: int = 1
    over_select: float = 0.0
    time_limit: float = 0.0
    minimum: int = 0

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise BadSettings(
                f"no sampling {self.sampling!r}", f"It is one of {', '.join(SAMPLINGS)}."
            )
        if not 0 < self.availability <= 1 or self.cycle < 1 or self.minimum < 0:
            raise BadSettings(
                "availability must be above 0 and at most 1, cycle 1 or more, minimum 0 or more"
            )
        if not (0 <= self.over_select < math.inf and 0 <= self.time_limit < math.inf):
            raise BadSettings("over-selection and the time limit must be numbers, 0 or above")
        if self.by_size and (self.availability < 1 or self.cycle > 1):
            raise BadSettings(
                "sampling by size needs everybody within reach: else its average is biased",
                "Leave availability and cycle as they are, or sample uniformly.",
            )

    @property
    def by_size(self) -> bool:
        """Are users drawn by their words, on the workers, which alone know them?"""
        return self.sampling == "size"
