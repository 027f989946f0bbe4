"""How much each user counts in the average of a round."""

from __future__ import annotations

from dataclasses import dataclass

from nwp.errors import BadSettings
from nwp.federated.local import LocalWork, words_trained
from nwp.text.vocabulary import Encoded

WEIGHTS = ("words", "messages", "equal", "clipped")


@dataclass(frozen=True)
class Weighting:
    """A user's weight: the `words` trained on (n_k of McMahan et al. 2017), the `messages`, 1 for
    each (`equal`), or the words, but no more than `cap` (`clipped`: McMahan et al.
    2018, arXiv 1710.06963, section 2, where it bounds what one user can do)."""

    by: str = "words"
    cap: int = 0

    def __post_init__(self) -> None:
        if self.by not in WEIGHTS:
            raise BadSettings(f"no weights {self.by!r}", f"There are {', '.join(WEIGHTS)}.")
        if (self.cap > 0) != (self.by == "clipped") or self.cap < 0:
            raise BadSettings(
                f"weights by {self.by} with a cap of {self.cap} words",
                "Clipped weights need a cap above 0 (--weight-cap), others have none.",
            )

    def __call__(self, user: Encoded, work: LocalWork) -> int:
        """The weight of a user who has words to train on, for one epoch."""
        if self.by == "equal":
            return 1
        if self.by == "messages":
            return user.messages
        words = words_trained(user, work)
        return min(words, self.cap) if self.by == "clipped" else words

    @property
    def told(self) -> str:
        """The entry of a worker's reply that its users' weights are read from: one that is there
        anyway, or `weight`, their sum over all epochs."""
        return {"words": "words", "equal": "users"}.get(self.by, "weight")

    def possible(self, weight: int, users: int, words: int, epochs: int) -> bool:
        """May so many users, trained on so many words in all epochs, have this weight together?"""
        if self.by == "clipped":
            return 0 <= weight <= min(epochs * users * self.cap, words)
        return weight >= 0
