"""Runs `nwp` in processes that are killed at chosen moments: at the n-th change on disk, or later.

Started as a program it imports what training needs once, and then forks for each run, since starting
takes longer than training a tiny model does. A moment is a change on disk (a file opened for writing,
synced, renamed or deleted, a folder made or deleted): the process is killed before the change is
made, or `delay` seconds after.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
_BECOME_SUBREAPER = 36  # of prctl: who has lost its parent becomes a child of this process
_PATIENCE = 300  # seconds that one run may take


@dataclass(frozen=True)
class Kill:
    """Before change number `at`, or the first that holds these words: the whole group, only the
    parent, or only one worker process."""

    at: int | str
    whom: str = "group"
    delay: float = 0.0


@dataclass(frozen=True)
class Ran:
    """A run that has come to its end: exit code (negative: killed by a signal), output, changes."""

    code: int
    out: str
    err: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Runner:
    """The program that forks, seen from outside."""

    process: subprocess.Popen[str]

    def run(
        self, arguments: tuple[str, ...], kill: Kill | None = None, *, two_phases: bool = False
    ) -> Ran:
        """Run one command line here, in the current folder and environment, to its end or its kill.

        Comes back when no process of it is left. With `two_phases`, plain averaging takes two.
        """
        files = {name: str(Path(f"{name}.txt").resolve()) for name in ("out", "err", "changes")}
        about = {
            "arguments": list(arguments),
            "kill": asdict(kill) if kill else None,
            "two_phases": two_phases,
            "place": str(Path.cwd()),
            "environment": dict(os.environ),
            "files": files,
        }
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(about), file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        texts = {name: Path(path).read_text() for name, path in files.items()}
        for path in files.values():
            Path(path).unlink()
        return Ran(code, texts["out"], texts["err"], tuple(texts["changes"].splitlines()))


@contextlib.contextmanager
def runner() -> Iterator[Runner]:
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Runner(process)
        assert process.stdin
        process.stdin.close()


def _serve() -> None:
    """Fork for each line of standard input, and tell the exit code when all of its group have ended."""
    import nwp.cli.train
    import nwp.tasks.train  # noqa: F401 (what takes long, once)

    ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1, 0, 0, 0)
    for line in sys.stdin:
        about = json.loads(line)
        if not (child := os.fork()):
            _run(about)
        signal.alarm(_PATIENCE)  # ends this program, and so the test
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-child, 0)  # what it has left is this program's to wait for
        signal.alarm(0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(about: Mapping[str, Any]) -> None:
    """In the forked process: run the command line and end."""
    os.setsid()
    os.chdir(about["place"])
    os.environ.clear()
    os.environ.update(about["environment"])
    tempfile.tempdir = None  # found anew, where the environment says
    for name, handle in (("out", 1), ("err", 2)):
        file = os.open(about["files"][name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["nwp", *about["arguments"]]
    if about["two_phases"]:
        _take_two_phases()
    log = open(about["files"]["changes"], "w", buffering=1)  # noqa: SIM115, PTH123 (to the end)
    _arm(Kill(**about["kill"]) if about["kill"] else None, log)
    from nwp.cli.main import execute

    code = 1
    try:
        code = execute(sys.argv[1:])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _arm(kill: Kill | None, log: IO[str]) -> None:
    """Count changes from now on, note each, and kill at the one named."""
    count, owner, reached, done = 0, os.getpid(), False, False
    later = _waiting(kill) if kill and kill.delay else -1

    def changes(what: str, path: object) -> None:
        nonlocal count, reached, done
        if os.getpid() != owner:
            return
        place = str(path).removeprefix(f"{Path.cwd()}/")
        line = f"{what} {place}"
        log.write(f"{line}\n")
        if kill and not done and (reached := reached or _is_at(kill, count, line)):
            done = _kill(kill, later)
        count += 1

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES:
            changes(event.removeprefix("os."), arguments[-3 if event == "os.rename" else 0])
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            changes("open", arguments[0])

    sync = os.fsync

    def synced(handle: int) -> None:
        changes("fsync", Path(f"/proc/self/fd/{handle}").readlink())
        sync(handle)

    os.fsync = synced
    sys.addaudithook(audit)


def _is_at(kill: Kill, count: int, line: str) -> bool:
    return kill.at in line if isinstance(kill.at, str) else kill.at == count


def _kill(kill: Kill, later: int) -> bool:
    """Kill now, or by the process that waits for it; False when nobody is there yet to be killed."""
    victim = os.getpid()
    if kill.whom == "worker":
        if not (workers := multiprocessing.active_children()):
            return False
        victim = random.Random(str(kill.at)).choice(workers).pid or 0
    if kill.delay:
        os.write(later, f"{victim}\n".encode())
    else:
        _strike(kill, victim)
    return True


def _strike(kill: Kill, victim: int) -> None:
    if kill.whom == "group":
        os.killpg(0, signal.SIGKILL)
    os.kill(victim, signal.SIGKILL)


def _waiting(kill: Kill) -> int:
    """A process that kills after the delay, once it is told whom. Made at the beginning: a process of
    many threads had better not fork."""
    told, tell = os.pipe()
    parent = os.getpid()
    if os.fork():
        os.close(told)
        return tell
    os.close(tell)
    victim = os.read(told, 100)
    time.sleep(kill.delay)
    if victim and os.getppid() == parent:  # else all is over
        with contextlib.suppress(ProcessLookupError):
            _strike(kill, int(victim))
    os._exit(0)


def _take_two_phases() -> None:
    """Plain averaging, but the workers keep their updates until a second phase asks for them."""
    from nwp.federated.aggregations import AGGREGATIONS
    from nwp.federated.averaging import MEAN
    from nwp.federated.parcel import Parcel, Schema
    from nwp.federated.protocol import Aggregation, Phase, Step, WorkerSide

    (mean,) = MEAN.steps

    def keep(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
        worker.remember(mean.phase.answer(worker, number, request))
        return Parcel({"kept": 1})

    train = Phase("train", mean.phase.request, lambda plan: Schema({"kept": int}), keep)
    send = Phase(
        "send", lambda plan: Schema(), mean.phase.reply, lambda worker, number, _: worker.recall()
    )
    AGGREGATIONS["mean"] = Aggregation(
        MEAN.name,
        MEAN.begin,
        (
            Step(train, mean.ask, lambda plan, state, answers: state),
            Step(
                send,
                lambda plan, n, state: dict.fromkeys(mean.ask(plan, n, state), Parcel()),
                mean.collect,
            ),
        ),
        MEAN.finish,
    )


if __name__ == "__main__":
    _serve()
