"""How a corpus is split: plain data, so that a split can be named, written down and repeated."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from nwp.errors import BadSettings

WAYS = {
    "natural": "the users as they are",
    "iid": "all messages shuffled and dealt to new users of equal size",
    "topic": "new users of equal size, each with topics of its own (Dirichlet)",
    "likeness": "the same with groups of users who write alike in place of topics",
    "quantity": "new users of unequal size (Dirichlet), their messages shuffled",
}
"""How the users of a split come about, and what that is."""
CLUSTERED = ("topic", "likeness")
"""Those that need scikit-learn."""

_MOST_USERS = 10_000_000
_MOST_TOPICS = 1_000


@dataclass(frozen=True)
class Recipe:
    """What is done to a corpus, in this order; what is left at its default is not done.

    1. `merge`: the old names in each list become one user of the new name.
    2. `until` (ISO 8601, without a zone UTC): messages from then on go into the part "later";
       those without a time stay. What follows concerns the messages before, if not said otherwise.
    3. `cap_messages`: of each user the first so many, by time where all of the user's have one.
    4. `min_words`, `max_words`: users with fewer or more are left out, of "later" too.
    5. `held_out`: whole users go into the part "held-out": a share of them drawn by seed, or names
       with commas between, or names one by one (for those with commas in them).
    6. `by`: one of `WAYS`. All but "natural" make `users` new ones. "topic", "likeness" and
       "quantity" draw from a Dirichlet distribution: the smaller `alpha`, the less alike the new
       users. `topics` is the number of topics, or of groups of users.

    Equal recipes give equal splits; `seed` is for everything that is drawn. BadSettings for what
    makes no sense.
    """

    by: str = "natural"
    users: int = 0
    alpha: float = 1.0
    topics: int = 10
    seed: int = 0
    until: str = ""
    held_out: str | tuple[str, ...] = ""
    min_words: int = 0
    max_words: int = 0
    cap_messages: int = 0
    merge: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.by, str) or self.by not in WAYS:
            raise BadSettings(f"no way {self.by!r} to split", f"Ways are {', '.join(WAYS)}.")
        _whole("users", self.users, 0, _MOST_USERS)
        _whole("topics", self.topics, 2, _MOST_TOPICS)
        _whole("seed", self.seed, 0, 2**63 - 1)
        for name in ("min_words", "max_words", "cap_messages"):
            _whole(name, getattr(self, name), 0, 2**63 - 1)
        if self.by == "natural" and self.users:
            raise BadSettings(
                '"natural" keeps the users that there are', "Leave out the number of users."
            )
        if self.by != "natural" and not self.users:
            raise BadSettings(f'"{self.by}" makes new users', "Say how many with `users`.")
        number = isinstance(self.alpha, int | float) and not isinstance(self.alpha, bool)
        if not number or not 0 < self.alpha <= sys.float_info.max:
            raise BadSettings(f"alpha must be a number above 0, not {self.alpha!r}")
        if self.max_words and self.min_words > self.max_words:
            raise BadSettings("min_words is above max_words", "Nobody could have so many words.")
        self._check_names()
        _ = self.cut

    @property
    def cut(self) -> datetime | None:
        """The moment of `until`, if there is one."""
        if not isinstance(self.until, str):
            raise BadSettings(f"until is no text: {self.until!r}", 'Write "2025-03-29".')
        if not self.until:
            return None
        try:
            moment = datetime.fromisoformat(self.until)
        except ValueError as error:
            raise BadSettings(
                f"until is no date: {self.until!r}", 'Write "2025-03-29" or "2025-03-29T08:00Z".'
            ) from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON has them; `from_json` reads it back."""
        row = asdict(self)
        row["merge"] = {new: list(old) for new, old in self.merge.items()}
        if not isinstance(self.held_out, str):
            row["held_out"] = list(self.held_out)
        return row

    @classmethod
    def from_json(cls, row: object) -> Recipe:
        """A recipe from its fields; those not there have their defaults. BadSettings for others."""
        if not isinstance(row, dict):
            raise BadSettings("a recipe is an object with named fields", f"Not {row!r}.")
        names = [f.name for f in fields(cls)]
        if unknown := sorted(set(row) - set(names), key=str):
            raise BadSettings(f"a recipe has no {unknown[0]!r}", f"It has {', '.join(names)}.")
        row = dict(row)
        if isinstance(row.get("held_out"), list):
            row["held_out"] = tuple(row["held_out"])
        return cls(**row)

    def _check_names(self) -> None:
        if not isinstance(self.held_out, str) and not _are_names(self.held_out):
            raise BadSettings("held_out is no share and no names", f"Given: {self.held_out!r}.")
        good = isinstance(self.merge, Mapping) and all(
            isinstance(new, str) and new.strip() and _are_names(old)
            for new, old in self.merge.items()
        )
        if not good:
            raise BadSettings(
                "merge maps a new name to a list of old ones", f"Given: {self.merge!r}."
            )
        merged = [name for old in self.merge.values() for name in old]
        if twice := sorted({name for name in merged if merged.count(name) > 1}):
            raise BadSettings(f"{twice[0]!r} is merged twice", "Name each user once.")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadSettings(f"{name} must be a whole number from {least} to {most}, not {value!r}")


def _are_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
