"""Queries: plans that ask for one figure over many users, once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from nwp.corpus.split import part_of
from nwp.errors import BadSettings
from nwp.federated.compression import Code
from nwp.federated.noise import LEAST_EPSILON
from nwp.model.config import ModelConfig, check_words
from nwp.text.vocabulary import Vocabulary

# What a query may ask for (`nwp.federated.querying`); the last two need a vocabulary, the last a model.
QUERIES = ("size", "lengths", "words", "unknown", "perplexity")
MOST_PER_USER = 1_000_000  # with more, noise might not fit into 64 bits


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
            check_words(self.model, self.words, {})
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
