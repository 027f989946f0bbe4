"""What training is asked for: all that decides what comes out, and what only decides how it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from nwp.errors import BadSettings
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.algorithms import algorithm
from nwp.federated.compression import Compression
from nwp.federated.device import CPU
from nwp.federated.device import check as check_device
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.participation import Participation
from nwp.federated.schedules import Schedule
from nwp.federated.weighting import Weighting
from nwp.model.storage import check_form

_UNDECISIVE = ("processes", "engine", "ray_address", "device", "checkpoint_every")
_MOST_SPREAD = 10.0  # of users' speeds: at this sigma, one in six is 20,000 times too slow


def usual_cohort(users: int) -> int:
    """How many of so many users take part in a round where nobody says it."""
    return max(8, users // 20)


@dataclass(frozen=True)
class TrainOptions:
    """Everything that decides what comes out of training, and what only decides how it runs.

    `workers` 0: about four users a worker. `cohort` 0: a twentieth of the users, but 8 or more.
    `held_out`: a share or names of users left out whole. `base`: a bundle to start from, whose
    vocabulary and sizes are kept; `new_words`: of the words that it lacks and workers may tell, the most
    that it gets besides. `dropout` None: 0.2, or the base's. `checkpoint_every`: rounds between
    checkpoints; above 1 only where workers keep nothing from round to round, since theirs would be
    further on than a resumed run's. `member_share`: of a round, the most that one of three workers or
    more counts for; `run`: how many trainings its server has begun before.
    `stragglers`: sigma of the log-normal distribution of the users' simulated speeds, 0: all answers come
    at once. `storage`: what the weights are in the bundle's file (`nwp.model.storage`). `engine`,
    `processes` (0: one a core), `ray_address` and `device` say where it is computed
    (`nwp.workers.engines.make_engine`); a run may go on on another device, which changes last bits, and is
    told of.
    """

    workers: int = 0
    held_out: str = "0"
    k: int = 3
    vocabulary: int = 10_000
    public_words: int = 5_000
    embedding: int = 96
    hidden: int = 192
    layers: int = 1
    tied: bool = True
    dropout: float | None = None
    local: LocalWork = LocalWork(batch=16, learning_rate=4.0, clip_norm=0.5)
    server: ServerOptimizer = ServerOptimizer("fedadam", learning_rate=0.03)
    algorithm: str = "fedavg"
    weighting: Weighting = Weighting()
    schedule: Schedule = Schedule()
    server_schedule: Schedule = Schedule()
    compression: Compression = Compression()
    rounds: int = 60
    cohort: int = 0
    participation: Participation = field(default_factory=Participation)
    member_share: float = 1.0
    run: int = 0
    stragglers: float = 0.0
    validate_every: int = 5
    validate_users: int = 0
    patience: int = 0
    checkpoint_every: int = 1
    seed: int = 0
    base: str | None = None
    new_words: int = 0
    storage: str = "fp32"
    refuse: tuple[str, ...] = ()
    processes: int = 0
    engine: str = "auto"
    ray_address: str = ""
    device: str = CPU

    def __post_init__(self) -> None:
        check_device(self.device)
        algorithm(self.algorithm).check(self.local)
        check_form(self.storage)
        if self.checkpoint_every < 1:
            raise BadSettings("rounds between checkpoints must be 1 or more")
        keeps = AGGREGATIONS[algorithm(self.algorithm).aggregation].carried
        if self.checkpoint_every > 1 and (keeps or self.compression.up.startswith("topk")):
            raise BadSettings(
                "workers keep what this method needs for the last round alone",
                "Use --checkpoint-every 1, or neither scaffold nor --topk.",
            )
        if not 0 <= self.stragglers <= _MOST_SPREAD:
            raise BadSettings(f"stragglers = {self.stragglers}: a sigma from 0 to {_MOST_SPREAD}")
        if self.participation.time_limit and not self.stragglers:
            raise BadSettings(
                "a time limit where all answers come at once would do nothing",
                "Let users take simulated time to train: --stragglers 0.5.",
            )

    def decisive(self) -> dict[str, Any]:
        """The options that a resumed run must share with the one it goes on from."""
        found = {k: v for k, v in asdict(self).items() if k not in _UNDECISIVE}
        # Told only when used: runs from before there were any can be gone on with.
        return found if self.new_words else {k: v for k, v in found.items() if k != "new_words"}
