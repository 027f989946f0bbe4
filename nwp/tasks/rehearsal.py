"""A rehearsal of real parties on one machine: a server and owners, each a process of its own with its
own folder, meet in a shared folder and train; the same is simulated, and the weights are compared.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.corpus.split import only
from nwp.corpus.types import Corpus
from nwp.errors import BadSettings, NwpError
from nwp.model.bundle import WEIGHTS
from nwp.tasks import joint, owner
from nwp.tasks.cohorts import rows_of
from nwp.temporary import TemporaryFolder
from nwp.workers.simulation import deal

SERVER = "server@rehearsal.example"
_LOOK = 0.2  # seconds between two looks at a process
_RULES = 'approve = "ask"'


@dataclass(frozen=True)
class RehearsalOptions:
    """`base` as for `nwp server train`; `kill`: so many times an owner or the server is killed (SIGKILL)
    at a random moment and started again."""

    owners: int = 5
    rounds: int = 5
    cohort: int = 0
    seed: int = 0
    base: str = ""
    embedding: int = 32
    hidden: int = 64
    kill: int = 0
    validate_every: int = 5
    member_share: float = 0.5

    def training(self) -> list[str]:
        """The options that training takes, simulated or not."""
        sizes = ["--embedding", str(self.embedding), "--hidden", str(self.hidden)]
        return [
            *("--rounds", str(self.rounds), "--cohort", str(self.cohort)),
            *("--seed", str(self.seed), "--validate-every", str(self.validate_every)),
            *("--member-share", str(self.member_share)),
            *(sizes if self.base == "none" else ()),
        ]


def rehearse(
    corpus: Corpus,
    options: RehearsalOptions,
    keep: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Rehearse in `keep`, or in a folder that is deleted afterwards. NwpError when a process fails."""
    if not 2 <= options.owners <= len(corpus.users):
        raise BadSettings(
            f"{options.owners} owners for {len(corpus.users)} users",
            f"Give --owners between 2 and {len(corpus.users)}.",
        )
    with ExitStack() as stack:
        if keep is None:
            root = stack.enter_context(TemporaryFolder()).path
        else:
            root = keep.absolute()
            root.mkdir(parents=True, exist_ok=True)
        return _Rehearsal(root, corpus, options, tell).run()


class _Rehearsal:
    def __init__(
        self, root: Path, corpus: Corpus, options: RehearsalOptions, tell: Callable[[str], None]
    ) -> None:
        self.root, self.corpus, self.options, self.tell = root, corpus, options, tell
        self.server = root / "server"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.rng = random.Random(options.seed)
        self.killed: list[str] = []

    def run(self) -> dict[str, Any]:
        """All of it."""
        shares = deal(list(self.corpus.users), self.options.owners)
        transport = f"folder:{self.root / 'shared'}"
        joint.init_server(self.server, SERVER, transport)
        emails = [f"{name}@rehearsal.example" for name in shares]
        invited = {each["email"]: each for each in joint.invite(self.server, emails)}
        for email, users in zip(emails, shares.values(), strict=True):
            home = self.root / email.partition("@")[0]
            told = invited[email]["command"].split("--fingerprint ")[1].strip("'")
            owner.init_owner(home, email, SERVER, transport, told)
            rules = home / owner.POLICY
            rules.write_text(rules.read_text().replace(_RULES, 'approve = "auto"'))
            owner.add_corpus(home, only(self.corpus, users))
        try:
            for email in emails:
                self._start(email)
            began = time.perf_counter()
            self._start("server")
            self._watch_over()
            seconds = time.perf_counter() - began
        finally:
            for process in self.processes.values():
                process.terminate()
            for process in self.processes.values():
                process.wait()
        self.tell("now the same, simulated")
        began = time.perf_counter()
        self._simulate(emails, shares)
        simulated = time.perf_counter() - began
        return self._result(seconds, simulated)

    def _start(self, name: str) -> None:
        """Start the process of an owner, by its e-mail, or of the server."""
        if name == "server":
            out = self.root / "joint"
            words = ["server", "train", "--home", str(self.server), "--out", str(out)]
            words += ["--from", self.options.base] if self.options.base else []
            words += ["--least", str(self.options.owners), "--gather", "600", "--grace", "60"]
            words += [*self.options.training(), "--resume"]
        else:
            words = ["worker", "run", "--home", str(self.root / name.partition("@")[0])]
        log = (self.root / f"{name.partition('@')[0]}.log").open("ab")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "nwp", *words], stdout=log, stderr=log, env=environment
        )
        log.close()

    def _watch_over(self) -> None:
        """Wait for the server, killing and restarting on the way as often as was asked."""
        kills, moment = self.options.kill, time.monotonic() + 8
        said = 0
        while True:
            server = self.processes["server"]
            if server.poll() is not None:
                if server.returncode:
                    raise NwpError("the server has failed", self._tail("server"))
                return
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise NwpError(f"{name} has failed", self._tail(name))
            done = self._round()
            if done != said:
                said = done
                self.tell(f"round {done} of {self.options.rounds}")
            if kills and done and time.monotonic() > moment:
                kills, moment = kills - 1, time.monotonic() + self.rng.uniform(5, 15)
                victim = self.rng.choice(sorted(self.processes))
                self.processes[victim].send_signal(signal.SIGKILL)
                self.processes[victim].wait()
                self.killed.append(victim.partition("@")[0])
                self.tell(f"killed {victim}, and started it again")
                self._start(victim)
            time.sleep(_LOOK)

    def _round(self) -> int:
        try:
            text = (self.root / "joint" / "run" / "state.json").read_text()
            return int(json.loads(text)["round"])
        except (OSError, ValueError):
            return 0

    def _tail(self, name: str) -> str:
        text = (self.root / f"{name.partition('@')[0]}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-6:])

    def _simulate(self, emails: Sequence[str], shares: Any) -> None:
        """Train the same in one process: workers of the same names, with the same users."""
        from nwp.federated.local import LocalWork
        from nwp.federated.optimizers import ServerOptimizer
        from nwp.tasks.train import train_bundle
        from nwp.tasks.train_options import TrainOptions

        o = self.options
        options = TrainOptions(
            rounds=o.rounds,
            cohort=o.cohort,
            seed=o.seed,
            validate_every=o.validate_every,
            member_share=o.member_share,
            embedding=o.embedding,
            hidden=o.hidden,
            local=LocalWork(batch=16, learning_rate=4.0, clip_norm=0.5),
            server=ServerOptimizer("fedadam", learning_rate=0.03),
            base=joint.base_of(o.base),
            processes=1,
        )
        names = [f"worker-{place + 1:03}" for place in range(len(emails))]
        deals = dict(zip(names, shares.values(), strict=True))
        train_bundle(
            self.corpus, self.root / "simulated", options, command="", deals=deals, force=True
        )

    def _result(self, seconds: float, simulated: float) -> dict[str, Any]:
        rows = rows_of(self.root / "joint" / "run" / "cohorts.jsonl")
        rounds = [row for row in rows if row["phase"] == "train"]
        shared = [p for p in (self.root / "shared").iterdir() if p.is_file()]
        weights = [(self.root / each / WEIGHTS).read_bytes() for each in ("joint", "simulated")]
        everyone = all(not row["absent"] and not row["late"] for row in rounds)
        return {
            "owners": self.options.owners,
            "rounds": self.options.rounds,
            "seconds": round(seconds, 1),
            "simulation_seconds": round(simulated, 1),
            "round_seconds": round(statistics.median(row["seconds"] for row in rounds), 3),
            "round_bytes": int(
                statistics.median(row["bytes_down"] + row["bytes_up"] for row in rounds)
            ),
            "everyone_each_round": everyone,
            "kills": self.killed,
            "same": weights[0] == weights[1],
            "shared_files": len(shared),
            "shared_bytes": sum(p.stat().st_size for p in shared),
        }
