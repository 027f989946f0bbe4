"""Users made of random ids, and an exchange in memory: everything of a round but PySyft."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.memory import Memory
from nwp.federated.parcel import Envelope, Parcel, pack, unpack
from nwp.federated.plan import Plan
from nwp.federated.protocol import FOR_ALL, Phase, Replies, Wait
from nwp.text.vocabulary import BEGIN, END, UNKNOWN, Encoded

Users = Mapping[str, Encoded]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lay(messages: Sequence[Sequence[int]], marks: int) -> Encoded:
    """Messages of target ids as `encode` lays them; mark j of a message is j modulo `marks`."""
    targets = [t for message in messages for t in [*message, END]]
    inputs = [t for message in messages for t in [BEGIN, *message]]
    lengths = [len(message) + 1 for message in messages]
    return Encoded(
        inputs=np.array(inputs, np.int32),
        marks=np.array([j % marks if marks else 0 for n in lengths for j in range(n)], np.int32),
        targets=np.array(targets, np.int32),
        addresses=np.zeros(len(targets), np.bool_),
        offsets=np.cumsum([0, *lengths]).astype(np.int64),
    )


def draw(seed: int, messages: int, size: int, marks: int, longest: int = 6) -> Encoded:
    """A user's messages of 1 to `longest` random words, UNKNOWN among them."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, messages)
    return lay([rng.integers(UNKNOWN, size, n).tolist() for n in lengths], marks)


@pytest.fixture
def laid() -> Callable[..., Encoded]:
    return lay


@pytest.fixture
def drawn() -> Callable[..., Encoded]:
    return draw


@dataclass
class MemoryWorker:
    """One worker's side of a phase, without an owner: users by name, text as ids."""

    plan: Plan
    users: Mapping[str, Users]
    folder: Path
    number: int = 0

    @property
    def names(self) -> Sequence[str]:
        return sorted(self.users["train"])

    def messages(self, part: str) -> Mapping[str, Sequence[str]]:
        raise NotImplementedError

    def encoded(self, part: str) -> Sequence[Encoded]:
        return [self.users[part][name] for name in self.names]

    def words(self, part: str, most: int) -> np.ndarray:
        return np.array([user.within(most) for user in self.encoded(part)], np.int64)

    def run(
        self, function: Callable[..., Any], shared: Any, tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        return (function(shared, *task) for task in tasks)

    @property
    def memory(self) -> Memory:
        return Memory(self.folder, "job", self.number)

    def remember(self, parcel: Parcel) -> None:
        self.memory.remember(parcel)

    def recall(self) -> Parcel:
        return self.memory.recall()


@dataclass
class MemoryExchange:
    """Packs, answers and unpacks as server and worker do. `silent` tells who does not answer."""

    plan: Plan
    workers: Mapping[str, MemoryWorker]
    silent: Callable[[str, str, int], bool] = lambda worker, phase, number: False
    calls: list[tuple[str, int, tuple[str, ...]]] = field(default_factory=list)

    def __call__(
        self, phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
    ) -> Replies:
        self.calls.append((phase.name, number, tuple(sorted(requests))))
        answers, absent, down, up = {}, {}, 0, 0
        for name, request in requests.items():
            if self.silent(name, phase.name, number):
                absent[name] = "it is asleep"
                continue
            worker = self.workers[name]
            worker.number = number
            worker.memory.begin(first=phase == AGGREGATIONS[self.plan.aggregation].steps[0].phase)
            envelope, schema = Envelope("ask", "job", phase.name, number), phase.request(self.plan)
            sent = pack(envelope, request, schema)
            answer = phase.answer(worker, number, unpack(sent, schema)[1])
            back = pack(envelope, answer, phase.reply(self.plan))
            answers[name] = unpack(back, phase.reply(self.plan))[1]
            down, up = down + len(sent), up + len(back)
        return Replies(answers, absent, down, up)


@pytest.fixture
def memory_worker(tmp_path_factory) -> Callable[..., MemoryWorker]:
    def make(plan: Plan, users: Mapping[str, Users]) -> MemoryWorker:
        return MemoryWorker(plan, users, tmp_path_factory.mktemp("worker"))

    return make


@pytest.fixture
def in_memory(tmp_path_factory) -> Callable[..., MemoryExchange]:
    def make(
        plan: Plan, users: Mapping[str, Users], folder: Path | None = None, **more: Any
    ) -> MemoryExchange:
        """`users` is worker to users; their train part is also their valid part. What workers keep
        lies in `folder`, else in a new one."""
        folder = folder or tmp_path_factory.mktemp("workers")
        workers = {
            w: MemoryWorker(plan, {"train": u, "valid": u}, folder / w) for w, u in users.items()
        }
        return MemoryExchange(plan, workers, **more)

    return make
