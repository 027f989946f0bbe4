"""Plans: all that a worker is asked to do, as data. A plan is frozen, hashed and approved once.

There are five kinds. A survey asks for words to build a vocabulary from, a training plan for rounds
of updates, an evaluation plan for counts, a plan for n-grams for those that many users share, a query
for one figure over many users (`query_plan`). What a plan does not name, a worker does not do.
`plan_text` has how plans are written.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from nwp.corpus.split import part_of
from nwp.errors import BadSettings
from nwp.federated.compression import Code, Compression
from nwp.federated.local import LocalWork
from nwp.federated.noise import LEAST_EPSILON
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.participation import Participation
from nwp.federated.query_plan import QueryPlan
from nwp.federated.schedules import Schedule, learning_rate
from nwp.federated.shares import capped
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig, check_words
from nwp.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class SurveyPlan:
    """Which words may enter the vocabulary: on each worker those that `k` of its users wrote. `run` is
    that of the training which they are for; the text does not mention the first."""

    kind: ClassVar[str] = "survey"

    k: int = 3
    run: int = 0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadSettings(f"k = {self.k}: at least one user must have written a word", "Use 3.")
        if self.run < 0:
            raise BadSettings("a run's number must be 0 or more")


@dataclass(frozen=True)
class TrainPlan:
    """Federated training, whole: the model, its vocabulary, the local work, the rounds, the sums.

    `workers` is worker to number of its users; `cohort` users are drawn a round (0: all); a
    worker's users are added up in `groups` sums of like cost, then these; `threads` per process.
    Validation is every `validate_every` rounds, on a sample of `validate_users` users (0: all) that
    stays the same, and training stops after `patience` validations
    without a new best (0: never). A round with answers from fewer than `quorum` of the asked
    workers, a fraction, is given up. `weighting` tells how much each user counts, `schedule` how
    the users' learning rate changes, `compression` how weights and updates are written on their
    way. `participation` tells how users are drawn and waited for. With `member_share` below 1 and three
    workers or more, none of them counts for more than this share of a round, nor has more of the users
    that it draws from (`nwp.federated.bounds`). `run` counts the trainings of a server: one that begins
    anew is another plan, under which owners have answered nothing yet. `server_schedule` tells how the
    server's learning rate changes. As long as these four are as usual, and the server keeps no mean of
    weights, the plan's text does not mention them. `sizes` is
    worker to words, known to the server alone and no part of the plan's text.
    """

    kind: ClassVar[str] = "train"

    model: ModelConfig
    words: tuple[str, ...]
    surfaces: Mapping[str, str]
    workers: Mapping[str, int]
    local: LocalWork = field(default_factory=LocalWork)
    server: ServerOptimizer = field(default_factory=ServerOptimizer)
    aggregation: str = "mean"
    rounds: int = 20
    cohort: int = 0
    seed: int = 0
    validate_every: int = 1
    validate_users: int = 0
    patience: int = 0
    quorum: float = 0.5
    groups: int = 16
    threads: int = 1
    weighting: Weighting = field(default_factory=Weighting)
    schedule: Schedule = field(default_factory=Schedule)
    server_schedule: Schedule = field(default_factory=Schedule)
    compression: Compression = field(default_factory=Compression)
    participation: Participation = field(default_factory=Participation)
    member_share: float = 1.0
    run: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.validate_every < 1 or self.groups < 1 or self.threads < 1:
            raise BadSettings("rounds, validate_every, groups and threads must be 1 or more")
        if min(self.cohort, self.patience, self.seed, self.run) < 0 or not 0 < self.quorum <= 1:
            raise BadSettings("cohort, patience, seed and run must be 0 or more, quorum in (0, 1]")
        if (warmup := max(self.schedule.warmup, self.server_schedule.warmup)) > self.rounds:
            raise BadSettings(
                f"a warm-up of {warmup} rounds in a run of {self.rounds}",
                "Let it be shorter than the run.",
            )
        if self.aggregation == "scaffold" and self.weighting.by != "equal":
            raise BadSettings(
                f"SCAFFOLD with weights by {self.weighting.by}: its control variates are plain means",
                "Use --weights equal.",
            )
        if self.validate_users < 0:
            raise BadSettings("validate_users must be 0 (all) or more")
        if not 0 < self.member_share <= 1:
            raise BadSettings("a member's share of a round must be above 0, 1 at most")
        if self.aggregation == "scaffold" and self.member_share < 1:
            raise BadSettings(
                "SCAFFOLD with a bound on a member's share: its control variates are plain means",
                "Use another algorithm, or no bound.",
            )
        self._check_participation()
        check_words(self.model, self.words, self.surfaces)

    def _check_participation(self) -> None:
        who = self.participation
        if who.over_select and not self.cohort:
            raise BadSettings("over-selection of everybody: there is nobody more to ask")
        if who.minimum > self.goal:
            raise BadSettings(
                f"{who.minimum} users at least in a round of {self.goal}",
                "Ask for a larger cohort, or for fewer at least.",
            )
        if who.cycle > max(self.users, 1):
            raise BadSettings(f"{self.users} users can't be dealt to {who.cycle} groups")
        if who.by_size and self.weighting.by != "equal" and not self.local.messages:
            raise BadSettings(
                f"sampling by size with weights by {self.weighting.by}: who has more words would "
                "count for more twice over",
                "Use --weights equal, or take so many messages of each (--messages).",
            )
        if who.by_size and self.aggregation == "scaffold":
            raise BadSettings(
                "SCAFFOLD with sampling by size: a user drawn twice has one control variate",
                "Sample uniformly.",
            )

    @property
    def users(self) -> int:
        """All users of all workers."""
        return sum(self.workers.values())

    @property
    def share(self) -> float:
        """The most that one worker counts for in a round: of two, nobody could tell who exaggerates."""
        return self.member_share if len(self.workers) > 2 else 1.0

    @property
    def hides_words(self) -> bool:
        """Does no answer tell the words that it was trained on? Of draws by size that all count alike
        nobody need know them."""
        return self.participation.by_size and self.weighting.by == "equal"

    @property
    def drawn_from(self) -> Mapping[str, int]:
        """Worker to the users of it that may be in one round."""
        return capped(self.workers, self.share)

    @property
    def goal(self) -> int:
        """The users (draws, by size) whose answers a round wants; on average where it varies."""
        there = sum(self.drawn_from.values())
        wanted = self.cohort or there
        return wanted if self.participation.by_size else min(wanted, there)

    @property
    def asked(self) -> int:
        """The users (draws, by size) that a round asks for: the goal, and who are selected over."""
        more = math.ceil(self.goal * self.participation.over_select - 1e-9)  # 0.1 · 30 is not 3
        asked = self.goal + more
        return asked if self.participation.by_size else min(asked, sum(self.drawn_from.values()))

    def vocabulary(self) -> Vocabulary:
        """The vocabulary as an object."""
        return Vocabulary.from_lists(self.words, dict(self.surfaces))

    def work(self, number: int) -> LocalWork:
        """What a user does in round `number`, with that round's learning rate."""
        rate = learning_rate(self.schedule, self.local.learning_rate, number, self.rounds)
        return dataclasses.replace(self.local, learning_rate=rate)

    def serving(self, number: int) -> ServerOptimizer:
        """The server's optimizer in round `number`, with that round's learning rate."""
        rate = learning_rate(self.server_schedule, self.server.learning_rate, number, self.rounds)
        return dataclasses.replace(self.server, learning_rate=rate)

    @property
    def downlink(self) -> Code:
        """How weights are written on their way to the workers."""
        return Code(self.compression.down, self.model.parameters)

    @property
    def uplink(self) -> Code:
        """How an update is written on its way to the server."""
        return Code(self.compression.up, self.model.parameters, self.compression.share)


@dataclass(frozen=True)
class EvaluatePlan:
    """Counts of a model on one part of each user's messages; `rows`: one row a user, else one sum.

    Without rows, and with `epsilon` above 0, a histogram of the users by perplexity comes along, with
    noise that makes it epsilon-differentially private for each of them
    (`nwp.evaluation.noisy`). Up to `group` users are counted as one task. With `ngrams` the model is
    mixed with an n-gram expert, which travels with the weights.
    """

    kind: ClassVar[str] = "evaluate"

    model: ModelConfig
    words: tuple[str, ...]
    part: str = "test"
    rows: bool = False
    epsilon: float = 0.0
    ngrams: bool = False
    group: int = 64
    threads: int = 1

    def __post_init__(self) -> None:
        part_of((), self.part)  # is there such a part?
        if self.group < 1 or self.threads < 1:
            raise BadSettings("group and threads must be 1 or more")
        if not (self.epsilon == 0 or LEAST_EPSILON <= self.epsilon < math.inf):
            raise BadSettings(f"epsilon = {self.epsilon}: 0, or {LEAST_EPSILON} and more")
        if self.rows and self.epsilon:
            raise BadSettings("noise for a histogram, where the rows of all users are asked for")
        check_words(self.model, self.words, {})

    def vocabulary(self) -> Vocabulary:
        """The vocabulary as an object (surfaces play no part in counting)."""
        return Vocabulary.from_lists(self.words, {})

    @property
    def downlink(self) -> Code:
        """How weights are written on their way: as they are, for they go once and are what is judged."""
        return Code("fp32", self.model.parameters)


@dataclass(frozen=True)
class NgramsPlan:
    """N-grams for an expert beside the model: on each worker those that `k` of its users wrote; and how
    much each then counts, learnt on the valid parts. Both are asked once."""

    kind: ClassVar[str] = "ngrams"

    model: ModelConfig
    words: tuple[str, ...]
    k: int = 3
    threads: int = 1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadSettings(
                f"k = {self.k}: at least one user must have written an n-gram", "Use 3."
            )
        if self.threads < 1:
            raise BadSettings("threads must be 1 or more")
        check_words(self.model, self.words, {})

    def vocabulary(self) -> Vocabulary:
        """The vocabulary as an object (surfaces play no part in counting)."""
        return Vocabulary.from_lists(self.words, {})

    @property
    def downlink(self) -> Code:
        """How weights are written on their way: as they are, for they go once."""
        return Code("fp32", self.model.parameters)


Plan = SurveyPlan | TrainPlan | EvaluatePlan | NgramsPlan | QueryPlan
KINDS: dict[str, type[Plan]] = {
    kind.kind: kind for kind in (SurveyPlan, TrainPlan, EvaluatePlan, NgramsPlan, QueryPlan)
}
