"""A round is a list of named phases; a phase is a typed message to each worker and one back.

Both sides of a phase stand in one place: `answer` runs on the worker, everything else on the server.
The server's state between phases is a parcel, so that it can be kept and read again after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nwp.federated.memory import Memory
from nwp.federated.parcel import Parcel, Schema
from nwp.federated.plan import Plan
from nwp.model.lstm import FloatArray
from nwp.text.vocabulary import Encoded

Users = tuple[int, ...]


class WorkerSide(Protocol):
    """What a phase may use on a worker: the approved plan, the private text, a place to compute.

    Users are in order of their ids; a user is spoken of by its place in that order, so that no
    name needs to travel.
    """

    @property
    def plan(self) -> Plan:
        """The plan that the owner approved."""

    @property
    def names(self) -> Sequence[str]:
        """The ids of the users."""

    def messages(self, part: str) -> Mapping[str, Sequence[str]]:
        """User id to messages of one part."""

    def encoded(self, part: str) -> Sequence[Encoded]:
        """The messages of one part as ids of the plan's vocabulary, user by user."""

    def words(self, part: str, most: int) -> npt.NDArray[np.int64]:
        """How many words each user has in one part, of a message `most` at most: (users,)."""

    def run(
        self, function: Callable[..., Any], shared: FloatArray, tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """`function(shared, *task)` for each task, results in order, computed by some engine."""

    def remember(self, parcel: Parcel) -> None:
        """Keep something on the worker until a later phase of this round."""

    def recall(self) -> Parcel:
        """What an earlier phase of this round kept; an empty parcel when none did."""

    @property
    def memory(self) -> Memory:
        """What this worker keeps from round to round, by name and user. It may be handed to `run`."""


@dataclass(frozen=True)
class Phase:
    """One exchange: what is asked, what comes back, and how a worker finds the answer.

    `check(plan, worker, reply)` runs on the server: BadMessage for a claim that can't be true.
    """

    name: str
    request: Callable[[Plan], Schema]
    reply: Callable[[Plan], Schema]
    answer: Callable[[WorkerSide, int, Parcel], Parcel]
    check: Callable[[Any, str, Parcel], object] = lambda plan, worker, reply: None


@dataclass(frozen=True)
class Replies:
    """What came back from the workers asked; `absent` is worker to reason.

    `late` are workers for which the server waited no longer; they are neither in `answers` nor in
    `absent`. `bytes_down` counts what they were sent. `waited` is in seconds: of the clock, or of a
    simulated one. `refused` are those of the absent whose answers the server did not take: damaged, or
    with claims that can't be.
    """

    answers: Mapping[str, Parcel]
    absent: Mapping[str, str] = field(default_factory=dict)
    bytes_down: int = 0
    bytes_up: int = 0
    late: tuple[str, ...] = ()
    waited: float = 0.0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wait:
    """How long to wait for replies: until workers with `goal` users in all have answered, but no
    longer than `limit` seconds (0: neither; everybody is waited for). `users` is worker to the users
    asked of it."""

    goal: int = 0
    limit: float = 0.0
    users: Mapping[str, int] = field(default_factory=dict)

    def asked_of(self, workers: Iterable[str]) -> int:
        """The users asked of some workers."""
        return sum(self.users.get(worker, 0) for worker in workers)

    def enough(self, answered: Iterable[str]) -> bool:
        """Is the goal reached with the answers of these workers?"""
        return 0 < self.goal <= self.asked_of(answered)


FOR_ALL = Wait()


@dataclass(frozen=True)
class Traffic:
    """What one round's exchanges moved, who did not answer why, for how many seconds they went on in an
    earlier process, how many users were late, how many seconds were waited (simulated ones in a
    simulation), and why the round was abandoned, if it was."""

    bytes_down: int = 0
    bytes_up: int = 0
    absent: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    late: int = 0
    waited: float = 0.0
    abandoned: str = ""

    def plus(self, replies: Replies, wait: Wait = FOR_ALL) -> Traffic:
        """With one more exchange."""
        return replace(
            self,
            bytes_down=self.bytes_down + replies.bytes_down,
            bytes_up=self.bytes_up + replies.bytes_up,
            absent={**self.absent, **replies.absent},
            late=self.late + wait.asked_of(replies.late),
            waited=self.waited + replies.waited,
        )


class Exchange(Protocol):
    """Sends a request to each worker named and waits for their replies."""

    def __call__(
        self, phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
    ) -> Replies:
        """One phase of round `number`. What comes after the wait is over is dropped, and told."""


@dataclass(frozen=True)
class Step:
    """A phase of an aggregation on the server: what to ask of whom, and what to make of the answers.

    `ask(plan, number, state)` gives worker to request; `collect(plan, state, answers)` the new state.
    """

    phase: Phase
    ask: Callable[[Any, int, Parcel], Mapping[str, Parcel]]
    collect: Callable[[Any, Parcel, Mapping[str, Parcel]], Parcel]


@dataclass(frozen=True)
class Aggregate:
    """A round's result: the average update, float32 (n,), and over what; and what the aggregation
    wants to find again in the next round, by name, float32 (n,) each."""

    update: FloatArray
    words: int
    users: int
    loss: float
    carried: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Aggregation:
    """How updates become their average: `begin` and `finish` around one step or more.

    `carried` names what lasts from round to round on the server, zeros at first: `finish` gives it,
    and the first step of the next round finds it among the arrays of its state.
    """

    name: str
    begin: Callable[[Any, int, FloatArray], Parcel]
    steps: tuple[Step, ...]
    finish: Callable[[Any, Parcel], Aggregate]
    carried: tuple[str, ...] = ()
