"""Made-up users to measure with: the same on every machine, of the shape of real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nwp.errors import BadSettings
from nwp.text.vocabulary import BEGIN, END, FIRST_WORD, Encoded


@dataclass(frozen=True)
class Workload:
    """How many users write how much; `vocabulary` counts ids, of which the first five are no words.

    Words follow Zipf's law: the word of rank r is written in proportion to r to the power of -`zipf`.
    A user writes `messages` on average, unevenly (log-normal, `spread` its sigma), and one at least. A
    message has `words` words on average before those longer than `longest` are cut, short ones being the
    most frequent (geometric). `longest` plus its end are the 20 positions of Reddi et al. 2020 (arXiv
    2003.00295, appendix C.3).
    """

    users: int = 50
    messages: int = 72
    vocabulary: int = 10_004
    words: float = 9.0
    longest: int = 19
    spread: float = 0.9
    zipf: float = 1.05
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.users, self.messages, self.longest) < 1 or self.words < 1:
            raise BadSettings("a workload has users, each with messages of a word or more")
        if self.vocabulary <= FIRST_WORD:
            raise BadSettings(
                f"a vocabulary of {self.vocabulary} has no word",
                f"The first {FIRST_WORD} ids are no words: give more.",
            )


def draw_users(workload: Workload) -> list[Encoded]:
    """The users, by the workload's seed."""
    rng = np.random.default_rng(workload.seed)
    ranks = np.arange(1, workload.vocabulary - FIRST_WORD + 1)
    reached = np.cumsum(ranks**-workload.zipf)
    reached /= reached[-1]
    return [
        _user(rng, workload, int(count), reached)
        for count in _shares(rng, workload.users * workload.messages, workload)
    ]


def _shares(rng: np.random.Generator, messages: int, workload: Workload) -> npt.NDArray[np.int64]:
    """How many messages each user writes: one, and a share of the others by largest remainder."""
    weights = rng.lognormal(0, workload.spread, workload.users)
    wanted = (messages - workload.users) * weights / weights.sum()
    counts: npt.NDArray[np.int64] = np.floor(wanted).astype(np.int64)
    largest = np.argsort(counts - wanted, kind="stable")
    counts[largest[: messages - workload.users - counts.sum()]] += 1
    counts += 1
    return counts


def _user(
    rng: np.random.Generator, workload: Workload, messages: int, reached: npt.NDArray[np.float64]
) -> Encoded:
    lengths = np.minimum(rng.geometric(1 / workload.words, messages), workload.longest)
    offsets = np.concatenate([[0], np.cumsum(lengths + 1)]).astype(np.int64)
    drawn = np.searchsorted(reached, rng.random(int(lengths.sum())), side="right")
    ends = np.zeros(offsets[-1], np.bool_)
    ends[offsets[1:] - 1] = True
    targets = np.full(len(ends), END, np.int32)
    targets[~ends] = FIRST_WORD + drawn
    inputs = np.roll(targets, 1)
    inputs[offsets[:-1]] = BEGIN
    return Encoded(
        inputs=inputs,
        marks=np.zeros_like(targets),
        targets=targets,
        addresses=np.zeros(len(targets), np.bool_),
        offsets=offsets,
    )
