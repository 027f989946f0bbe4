"""Plans: all that a worker is asked to do, as data. A plan is frozen, hashed and approved once.

There are five kinds. A survey asks for words to build a vocabulary from, a training plan for rounds
of updates, an evaluation plan for counts, a plan for n-grams for those that many users share, a query
for one figure over many users. What a plan does not name, a worker does not do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nwp.corpus.split import part_of
from nwp.errors import BadMessage, BadSettings, NwpError
from nwp.federated.compression import Code, Compression
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.participation import Participation
from nwp.federated.schedules import Schedule, learning_rate
from nwp.federated.shares import capped
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig
from nwp.text.tokenizer import MARKS
from nwp.text.vocabulary import FIRST_OUTPUT, FIRST_WORD, Vocabulary

LEAST_EPSILON = 1e-6  # with less, noise might not fit into 64 bits
# What a query may ask for (`nwp.federated.querying`); the last two need a vocabulary, the last a model.
QUERIES = ("size", "lengths", "words", "unknown", "perplexity")
MOST_PER_USER = 1_000_000  # with more, likewise


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
    anew is another plan, under which owners have answered nothing yet. As long as these three are as
    usual, and the server keeps no mean of weights, the plan's text does not mention them. `sizes` is
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
        if self.schedule.warmup > self.rounds:
            raise BadSettings(
                f"a warm-up of {self.schedule.warmup} rounds in a run of {self.rounds}",
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
        _check_vocabulary(self.model, self.words, self.surfaces)

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
        if who.by_size and self.weighting.by != "equal":
            raise BadSettings(
                f"sampling by size with weights by {self.weighting.by}: who has more words would "
                "count for more twice over",
                "Use --weights equal.",
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
        _check_vocabulary(self.model, self.words, {})

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
        _check_vocabulary(self.model, self.words, {})

    def vocabulary(self) -> Vocabulary:
        """The vocabulary as an object (surfaces play no part in counting)."""
        return Vocabulary.from_lists(self.words, {})

    @property
    def downlink(self) -> Code:
        """How weights are written on their way: as they are, for they go once."""
        return Code("fp32", self.model.parameters)


@dataclass(frozen=True)
class QueryPlan:
    """One figure over all users of a worker together, `what` of `QUERIES`, on one part of their messages.

    A worker answers only where `min_users` of its users have text there; a word leaves only when `k`
    of them wrote it. With `epsilon` above 0 there is noise on every count, which makes the answer
    epsilon-differentially private for users; then `per_user` bounds what each of them adds: so many
    messages and so many words (`nwp.federated.querying`). Without noise nothing is bounded: the
    difference of two bounds would tell of the few users who have more than the lower one. With
    `ngrams` the model is mixed with an n-gram expert, which travels with the weights. Where there is
    no model, the plan's text does not mention one.
    """

    kind: ClassVar[str] = "query"

    what: str
    part: str = "all"
    min_users: int = 3
    k: int = 3
    epsilon: float = 0.0
    per_user: int = 0
    words: tuple[str, ...] = ()
    model: ModelConfig | None = None
    ngrams: bool = False

    def __post_init__(self) -> None:
        if self.what not in QUERIES:
            raise BadSettings(f"no query {self.what!r}", f"There are {', '.join(QUERIES)}.")
        part_of((), self.part)  # is there such a part?
        if min(self.min_users, self.k) < 2:
            raise BadSettings(
                f"min_users = {self.min_users}, k = {self.k}: what a single user wrote is never told",
                "Give 2 or more for each; 3 is usual.",
            )
        self._check_noise()
        if (self.model is not None) != (self.what == "perplexity") or self.ngrams > bool(
            self.model
        ):
            raise BadSettings("a model, for perplexity and for nothing else")
        if bool(self.words) != (self.what in ("unknown", "perplexity")):
            raise BadSettings("a vocabulary, for unknown words and perplexity and for nothing else")
        if self.model is not None:
            _check_vocabulary(self.model, self.words, {})
        elif len(set(self.words)) < len(self.words) or "" in self.words:
            raise BadSettings("no vocabulary: words must be different and not empty")

    def _check_noise(self) -> None:
        if not (self.epsilon == 0 or LEAST_EPSILON <= self.epsilon < math.inf):
            raise BadSettings(f"epsilon = {self.epsilon}: 0, or {LEAST_EPSILON} and more")
        if self.epsilon and self.what == "words":
            raise BadSettings(
                "no epsilon for words: which words pass the threshold gives away what noise on their "
                "counts would hide",
                "Ask without --epsilon; then a word leaves only when k users of a worker wrote it.",
            )
        if not 0 <= self.per_user <= MOST_PER_USER:
            raise BadSettings(f"per_user = {self.per_user}: 0 to {MOST_PER_USER:,}")
        if self.epsilon and not self.per_user:
            raise BadSettings(
                "epsilon without a bound on what one user adds, so no noise would be enough",
                "Give --per-user N, such as 100: messages and words of each user that count.",
            )
        if self.per_user and not self.epsilon:
            raise BadSettings(
                "a bound on what one user adds, but no noise: two such answers with different bounds "
                "would tell of the users who have most",
                "Give --epsilon too, or leave --per-user out.",
            )

    def vocabulary(self) -> Vocabulary:
        """The vocabulary as an object (surfaces play no part in counting)."""
        return Vocabulary.from_lists(self.words, {})

    @property
    def downlink(self) -> Code:
        """How weights are written on their way: as they are. For a plan with a model."""
        assert self.model is not None
        return Code("fp32", self.model.parameters)


Plan = SurveyPlan | TrainPlan | EvaluatePlan | NgramsPlan | QueryPlan
KINDS: dict[str, type[Plan]] = {
    kind.kind: kind for kind in (SurveyPlan, TrainPlan, EvaluatePlan, NgramsPlan, QueryPlan)
}
_PARTS = {
    "model": ModelConfig,
    "local": LocalWork,
    "server": ServerOptimizer,
    "weighting": Weighting,
    "schedule": Schedule,
    "compression": Compression,
    "participation": Participation,
}


def plan_text(plan: Plan) -> str:
    """The one way to write a plan: JSON with its kind, sorted keys and no spaces."""
    # `dataclasses.asdict` of the whole would copy ten thousand words one by one.
    values = {f.name: getattr(plan, f.name) for f in dataclasses.fields(plan)}
    content = {"kind": plan.kind} | {
        name: dataclasses.asdict(value) if name in _PARTS and value is not None else value
        for name, value in values.items()
    }
    if isinstance(plan, QueryPlan) and plan.model is None:
        del content["model"]
    if content.get("run") == 0:
        del content["run"]
    if isinstance(plan, TrainPlan):
        del content["sizes"]
        if plan.participation == Participation():
            del content["participation"]
        if plan.member_share == 1:
            del content["member_share"]
        if not plan.server.averaging:
            content["server"] = {
                name: value
                for name, value in dataclasses.asdict(plan.server).items()
                if name != "averaging"
            }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def plan_digest(plan: Plan) -> str:
    """SHA-256 of the plan's text, in hex."""
    return hashlib.sha256(plan_text(plan).encode()).hexdigest()


def read_plan(text: str) -> Plan:
    """Inverse of `plan_text`; BadMessage for anything else, an entry too many included."""
    try:
        content = json.loads(text)
        kind = KINDS[content.pop("kind")]
        if kind is TrainPlan:
            content["server"] = {"averaging": 0.0, **content["server"]}
        for name, part in _PARTS.items():
            if name in content:
                content[name] = _exact(part, content[name])
        if "words" in content:
            content["words"] = tuple(content["words"])
        if kind is TrainPlan:
            usual = {"participation": Participation(), "member_share": 1.0, "sizes": {}}
            content = usual | content
        if kind in (SurveyPlan, TrainPlan):
            content = {"run": 0, **content}
        if kind is QueryPlan:
            content = {"model": None, **content}
        plan: Plan = _exact(kind, content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, NwpError) as error:
        raise BadMessage(f"this is no plan: {error}") from error
    if plan_text(plan) != text:
        raise BadMessage("a plan is not in its canonical form: something else rides along")
    return plan


def _exact(kind: type[Any], content: Mapping[str, Any]) -> Any:
    """A dataclass from exactly its fields, each of its declared type."""
    types = {f.name: str(f.type) for f in dataclasses.fields(kind)}
    if set(content) != set(types):
        raise ValueError(f"entries {sorted(content)}, agreed are {sorted(types)}")
    for name, value in content.items():
        if types[name] in _TYPES and not _TYPES[types[name]](value):
            raise ValueError(f"{name} is no {types[name]}")
    return kind(**content)


def _number(value: Any, *types: type) -> bool:
    """Is it of one of the types, and of a usual size? NaN is not."""
    return type(value) in types and abs(value) < 1 << 63


def _texts(values: Any) -> bool:
    return all(type(value) is str for value in values)


# What a value of each type is in a plan from outside. Neither True nor NaN is a number: no limit of
# an owner's would stop NaN.
_TYPES: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: _number(value, int),
    "float": lambda value: _number(value, int, float),
    "bool": lambda value: type(value) is bool,
    "str": lambda value: type(value) is str,
    "tuple[str, ...]": lambda value: type(value) is tuple and _texts(value),
    "Mapping[str, str]": lambda value: type(value) is dict and _texts(value.values()),
    "Mapping[str, int]": lambda value: (
        type(value) is dict and all(_number(n, int) for n in value.values())
    ),
}


def _check_vocabulary(
    model: ModelConfig, words: tuple[str, ...], surfaces: Mapping[str, str]
) -> None:
    if (model.vocabulary, model.first_output) != (FIRST_WORD + len(words), FIRST_OUTPUT):
        raise BadSettings(
            f"a model of {model.vocabulary} ids for a vocabulary of {FIRST_WORD + len(words)}"
        )
    if 0 < model.marks < MARKS:
        raise BadSettings(f"a model of {model.marks} marks, there are {MARKS}")
    try:
        Vocabulary.from_lists(words, dict(surfaces))
    except ValueError as error:
        raise BadSettings(f"no vocabulary: {error}") from error
