"""Server and workers in one process: real datasites, jobs and messages over a store in memory.

This shows the flow and holds everyone to the rules. It is no isolation: all share one memory.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from nwp.corpus.split import only, part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadMessage, BadSettings
from nwp.federated.cohort import who_trains
from nwp.federated.local import seed_for
from nwp.federated.parcel import Envelope, Parcel, pack_each
from nwp.federated.plan import Plan, TrainPlan
from nwp.federated.plan_text import plan_digest, plan_text
from nwp.federated.protocol import FOR_ALL, Phase, Replies, Wait
from nwp.federated.turns import turns
from nwp.temporary import TemporaryFolder
from nwp.text.tokenizer import words_of
from nwp.workers.adapter import clients, datasets, peers, plan_jobs, stores
from nwp.workers.arrivals import response_seconds, take_in
from nwp.workers.channel import Channel, Tap
from nwp.workers.datasite import Datasite
from nwp.workers.engines import Engine
from nwp.workers.engines.computing import keep_memory
from nwp.workers.jobs import Job, open_answer, request_name
from nwp.workers.policy import NOTHING, Policy
from nwp.workers.private_text import DATA_FILE, lines_of, mock_of

SERVER = "server@nwp.example"


def deal(users: Sequence[str], workers: int) -> dict[str, tuple[str, ...]]:
    """Worker name to its users: dealt out in turn, in order of their ids."""
    if not 1 <= workers <= len(users):
        raise BadSettings(
            f"{workers} workers for {len(users)} users",
            f"Give --workers between 1 and {len(users)}.",
        )
    width = len(str(workers))
    ordered = sorted(users)
    return {f"worker-{i + 1:0{width}}": tuple(ordered[i::workers]) for i in range(workers)}


def usual_workers(users: int) -> int:
    """How many workers when nobody says: about four users each, eight workers at most."""
    return max(1, min(8, users // 4))


@dataclass
class Simulation:
    """W workers and a server. A context manager: boxes are made on entry and deleted on exit.

    What workers keep from round to round goes to folders named after them in `memory`, which stays;
    None: to their boxes.
    With `stragglers` above 0, users take simulated time to train (`arrivals.response_seconds`, with
    this sigma); else all answers come at once.
    """

    corpus: Corpus
    deals: Mapping[str, Sequence[str]]
    engine: Engine
    policy: Policy = field(default_factory=Policy)
    refusing: frozenset[str] = frozenset()
    tap: Tap | None = None
    memory: Path | None = None
    stragglers: float = 0.0
    _lengths: dict[str, list[int]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        if unknown := sorted(self.refusing - set(self.deals)):
            raise BadSettings(f"no worker {unknown[0]!r}", f"Workers: {', '.join(self.deals)}.")
        keep_memory()
        self._temporary = TemporaryFolder()
        self.threads = ThreadPoolExecutor(self.engine.width)
        root = self._temporary.path
        self.store = stores.new_store()
        self.server = clients.open_client(
            SERVER, root / "server" / "box", stores.in_memory(SERVER, self.store), owner=False
        )
        owners = {
            _email(name): clients.open_client(
                _email(name),
                root / name / "box",
                stores.in_memory(_email(name), self.store),
                owner=True,
            )
            for name in self.deals
        }
        peers.enrol(self.server, owners)
        self.channel = Channel(self.server, self.tap)
        self.datasites: dict[str, Datasite] = {}
        for name, users in self.deals.items():
            client = owners[_email(name)]
            private = lines_of(only(self.corpus, users).users)
            datasets.create_dataset(client, private, mock_of(name), DATA_FILE, SERVER)
            policy = NOTHING if name in self.refusing else self.policy
            self.datasites[name] = Datasite(
                client, root / name, SERVER, policy, self.engine, self.tap, self._memory_of(name)
            )
        clients.sync(self.server)
        return self

    def _memory_of(self, worker: str) -> Path | None:
        return self.memory / worker if self.memory else None

    def __exit__(self, *_: object) -> None:
        # First the threads: a datasite that still serves must not lose its folder under its feet.
        self.threads.shutdown(wait=True, cancel_futures=True)
        self._temporary.cleanup()

    def submit(self, plan: Plan, name: str) -> Job:
        """Send a plan to every worker as a job; each owner's policy decides at once."""
        refused: dict[str, str] = {}
        for worker, datasite in self.datasites.items():
            plan_jobs.submit_job(self.server, _email(worker), name, plan_text(plan))
            refused.update((worker, reason) for reason in datasite.review().values())
        clients.sync(self.server)
        digest = plan_digest(plan)
        approved = tuple(w for w in self.datasites if w not in refused)
        return Job(plan, digest, approved, refused)

    def exchange(self, job: Job) -> _Exchange:
        """The way to reach the workers under a job."""
        return _Exchange(self, job)

    def seconds(self, plan: Plan, worker: str, number: int, request: Parcel) -> float:
        """Simulated seconds that a worker takes for a request: 0 where no users train."""
        if not (self.stragglers and isinstance(plan, TrainPlan) and "users" in request.arrays):
            return 0.0
        names, most = self.deals[worker], plan.local.max_positions

        def lengths(place: int) -> list[int]:
            """Words trained on of each message that has some."""
            user = names[place]
            if user not in self._lengths:
                found = (len(words_of(text)) for text in part_of(self.corpus.users[user], "train"))
                self._lengths[user] = [min(n, most) for n in found if n]
            return self._lengths[user]

        def sizes() -> list[int]:
            return [sum(lengths(place)) for place in range(len(names))]

        asked = request.arrays["users"].tolist()
        trained = []
        for place, _ in who_trains(plan, number, asked, names, sizes):
            of = lengths(place)  # of whose turns the simulated clock takes each for a mean one
            words = round(sum(of) / max(1, turns(len(of), plan.local.messages)))
            trained.append(plan.local.epochs * words)
        return response_seconds(
            trained, self.stragglers, seed_for("seconds", plan.seed, number, worker)
        )

    def mock_line(self, worker: str) -> str:
        """A message of a worker's mock, as the server sees it."""
        path = datasets.mock_files(self.server, _email(worker))[0]
        line: str = json.loads(path.read_text(encoding="utf-8").splitlines()[0])["text"]
        return line

    def close(self, job: Job) -> None:
        """Let every worker deposit its receipt, which marks the job as done."""
        for worker in job.approved:
            self.datasites[worker].receipt(job.digest)
        clients.sync(self.server)


@dataclass(frozen=True)
class _Exchange:
    """Sends the requests of a phase, lets the workers answer, collects (`protocol.Exchange`)."""

    simulation: Simulation
    job: Job

    def __call__(
        self, phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
    ) -> Replies:
        answers: dict[str, Parcel] = {}
        absent = {w: self.job.refused[w] for w in requests if w in self.job.refused}
        channel, plan = self.simulation.channel, self.job.plan
        name = request_name(self.job.digest, number, phase)
        envelope, schema = Envelope("ask", self.job.digest, phase.name, number), phase.request(plan)
        asked = sorted(set(requests) - set(absent))
        parcels = {worker: requests[worker] for worker in asked}
        down = self._send(name, pack_each(envelope, parcels, schema))
        up = 0

        def serve(workers: Sequence[str]) -> set[str]:
            nonlocal up
            simulation, ordered = self.simulation, sorted(workers)
            calls = [simulation.datasites[worker].serve for worker in ordered]
            for served in [simulation.threads.submit(call) for call in calls]:
                served.result()
            receive = functools.partial(self._receive, phase, number, name)
            for worker, (answer, size) in zip(
                ordered, simulation.threads.map(receive, ordered), strict=True
            ):
                up += size
                if isinstance(answer, BadMessage):
                    absent[worker] = answer.message
                else:
                    answers[worker] = answer
            return set(answers)

        seconds = {w: self.simulation.seconds(plan, w, number, requests[w]) for w in asked}
        late, waited = take_in(
            seconds, wait, lambda worker: seed_for("lot", self.job.digest, number, worker), serve
        )
        for worker in asked:
            channel.clear(_email(worker))
            self.simulation.datasites[worker].channel.clear(SERVER)
        return Replies(answers, absent, down, up, late, waited)

    def _send(self, name: str, messages: Iterator[tuple[str, bytes]]) -> int:
        """Send each worker its message; the bytes stored. As many at once as there are threads:
        encryption takes longest, and each message may be as large as a model."""
        channel, sent = self.simulation.channel, 0

        def send(worker: str, message: bytes) -> int:
            return channel.send(_email(worker), name, message)

        while some := list(itertools.islice(messages, self.simulation.engine.width)):
            sent += sum(self.simulation.threads.map(send, *zip(*some, strict=True)))
        return sent

    def _receive(
        self, phase: Phase, number: int, name: str, worker: str
    ) -> tuple[Parcel | BadMessage, int]:
        """A worker's answer, or what is wrong with it, and the bytes it was stored in."""
        channel, size = self.simulation.channel, 0
        try:
            waiting = channel.names(_email(worker))
            if name not in waiting:
                raise BadMessage("it did not answer")
            data, size = channel.receive(_email(worker), waiting[name])
            answer = open_answer(data, self.job, phase, number)
            phase.check(self.job.plan, worker, answer)
        except BadMessage as error:
            return error, size
        return answer, size


def _email(worker: str) -> str:
    return f"{worker}@nwp.example"
