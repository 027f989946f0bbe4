"""An engine changes nothing in what comes out, loses nothing, and leaves nothing behind."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tasks import add, die, die_once, ended, fail, large, meet, slow_when_even

from nwp.corpus.types import Corpus
from nwp.errors import BadSettings, NwpError
from nwp.federated.local import seed_for, train_group
from nwp.federated.plan import TrainPlan
from nwp.model.lstm import FloatArray
from nwp.temporary import LOCK
from nwp.text.vocabulary import encode
from nwp.workers.engines import Engine, InProcess, Processes, make_engine

SHARED = np.arange(10, dtype=np.float32)


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    engine = Processes(2)
    yield engine
    engine.close()


@pytest.fixture(params=["in process", "processes"])
def engine(request: pytest.FixtureRequest, processes: Processes) -> Engine:
    return InProcess() if request.param == "in process" else processes


def test_training_gives_equal_bytes_wherever_it_runs(
    processes: Processes, corpus: Corpus, plan: TrainPlan, weights: FloatArray
) -> None:
    users = [
        (encode(texts, plan.vocabulary()), seed_for(0, 1, user))
        for user, texts in corpus.users.items()
    ]
    tasks = [(plan.model, plan.local, users[i : i + 2]) for i in range(0, 6, 2)]
    here, there = (
        [
            (update.tobytes(), words, loss)
            for update, words, loss in engine.run(train_group, weights, tasks)
        ]
        for engine in (InProcess(), processes)
    )
    assert here == there
    assert len({update for update, _, _ in here}) == 3


def test_results_come_in_the_order_of_the_tasks(engine: Engine) -> None:
    tasks = [(n,) for n in range(12)]
    assert list(engine.run(slow_when_even, SHARED, tasks)) == list(range(12))


def test_no_tasks_no_results(engine: Engine) -> None:
    assert list(engine.run(add, SHARED, [])) == []


def test_each_run_has_its_own_shared_array(engine: Engine) -> None:
    """Two runs at once, results taken in turn: neither reads the other's array."""
    tasks = [(n,) for n in range(4)]
    first = engine.run(add, SHARED, tasks)
    found = [next(first)[:2]]
    found += [r[:2] for r in engine.run(add, SHARED + 1, tasks)]
    found += [r[:2] for r in first]
    assert found == [(0, 45), *((n, 55) for n in range(4)), *((n, 45) for n in range(1, 4))]


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    """A named pipe, at which two processes can meet."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return str(path)


def test_tasks_run_in_the_processes_with_one_thread_each(processes: Processes, pipe: str) -> None:
    met = set(processes.run(meet, SHARED, [(n, pipe) for n in range(2)]))
    assert len(met) == 2
    assert os.getpid() not in met
    assert {r[3] for r in processes.run(add, SHARED, [(n,) for n in range(8)])} == {1}


def test_exceptions_of_tasks_come_through_and_the_engine_goes_on(engine: Engine) -> None:
    results = engine.run(fail, SHARED, [(n,) for n in range(4)])
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError, match="a mistake of the task's own"):
        next(results)
    assert list(engine.run(fail, SHARED, [(5,)])) == [5]


def test_large_arrays_come_back_whole(engine: Engine) -> None:
    for number, many, (few, name) in engine.run(large, SHARED, [(n,) for n in range(5)]):
        assert many.shape == (1_000, 700)
        assert many.dtype == np.float32
        assert (many == number).all()
        assert few.dtype == np.float64
        assert (few.tolist(), name) == ([[number] * 700] * 2, "by name")


def test_large_arrays_that_nobody_fetches_are_not_left(processes: Processes) -> None:
    with pytest.raises(ValueError, match="no such number"):
        list(processes.run(large, SHARED, [(-1,), (1,), (2,)]))
    assert [path.name for path in processes._folder.path.iterdir()] == [LOCK]


def test_nothing_of_a_run_is_left_on_disk(processes: Processes) -> None:
    folder = processes._folder.path
    list(processes.run(add, SHARED, [(1,)]))
    results = processes.run(fail, SHARED, [(n,) for n in range(4)])
    with pytest.raises(KeyError):
        list(results)
    assert [path.name for path in folder.iterdir()] == [LOCK]


def test_a_killed_process_loses_nothing(processes: Processes, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    tasks = [(n, str(mark)) for n in range(6)]
    assert list(processes.run(die_once, SHARED, tasks)) == [(n, float(n)) for n in range(6)]
    assert mark.exists()


def test_two_threads_lose_nothing_when_a_process_of_both_is_killed(
    processes: Processes, tmp_path: Path
) -> None:
    found: dict[int, list[Any]] = {}

    def caller(number: int) -> None:
        tasks = [(n, str(tmp_path / f"mark-{number}")) for n in range(6)]
        found[number] = list(processes.run(die_once, SHARED * number, tasks))

    threads = [threading.Thread(target=caller, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {number: [(n, float(n * number)) for n in range(6)] for number in (1, 2)}


def test_work_that_always_kills_is_given_up_with_a_hint_and_the_engine_goes_on(
    tmp_path: Path,
) -> None:
    engine = Processes(1)
    log = tmp_path / "log"
    with pytest.raises(NwpError, match="killed 3 times at the same work") as error:
        list(engine.run(die, SHARED, [(str(log),)]))
    assert "--processes 1" in error.value.hint
    assert [r[0] for r in engine.run(add, SHARED, [(7,)])] == [7]
    engine.close()
    assert log.read_text() == "xxx"


def test_closing_ends_the_processes_and_deletes_the_folder(pipe: str) -> None:
    before = set(multiprocessing.active_children())
    engine = Processes(2)
    list(engine.run(meet, SHARED, [(n, pipe) for n in range(2)]))
    mine = set(multiprocessing.active_children()) - before
    assert len(mine) == 2
    folder = engine._folder.path
    assert folder.exists()
    engine.close()
    for process in mine:  # the pool's own thread collects them; here they are only watched
        assert process.pid is not None
        assert ended(process.pid, 30)
    assert not folder.exists()


def test_an_engine_that_never_ran_closes_too() -> None:
    Processes(2).close()
    InProcess().close()


def test_make_engine_follows_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_engine(1), InProcess)
    three = make_engine(3)
    assert isinstance(three, Processes)
    assert three.width == 3
    three.close()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert isinstance(make_engine(0), InProcess)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    four = make_engine(0)
    assert isinstance(four, Processes)
    assert four.width == 4
    four.close()


def test_make_engine_goes_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_engine(0, name="here"), InProcess)
    one = make_engine(1, name="processes")
    assert isinstance(one, Processes)
    assert one.width == 1
    one.close()
    for settings, wrong in (
        ({"name": "spark"}, "no engine 'spark'"),
        ({"name": "here", "processes": 2}, "--engine here is one process"),
        ({"name": "auto", "ray_address": "head:6379"}, "is for --engine ray"),
        ({"name": "processes", "ray_address": "head:6379"}, "is for --engine ray"),
    ):
        with pytest.raises(BadSettings, match=wrong):
            make_engine(**settings)  # type: ignore[arg-type]


def test_a_cluster_named_in_the_environment_is_used_by_the_engine_ray_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Messages do not leave the machine because of a variable that somebody else has set."""
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert isinstance(make_engine(), InProcess)


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadSettings, match="needs Ray, which is not installed") as error:
        make_engine(2, name="ray")
    assert 'pip install "nwp[ray]"' in error.value.hint


PARENT = """
import sys
import numpy as np
from engine_tasks import meet
from nwp.workers.engines import Processes

if __name__ == "__main__":
    engine = Processes(2)
    met = engine.run(meet, np.zeros(1, np.float32), [(n, sys.argv[1]) for n in range(2)])
    print(*met, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_processes_end_when_their_parent_is_killed(tmp_path: Path, pipe: str) -> None:
    """They share their parent's standard output: when it reads as ended, all of them have."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    children: list[int] = []
    with subprocess.Popen(
        [sys.executable, str(script), pipe],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as parent:
        assert parent.stdout is not None
        try:
            children += [int(pid) for pid in parent.stdout.readline().split()]
            assert len(set(children)) == 2
            assert not any(map(ended, children))
            parent.send_signal(signal.SIGKILL)
            assert parent.communicate(timeout=30) == ("", None)
            assert all(ended(child, 30) for child in children)
        finally:
            parent.kill()
            for child in itertools.filterfalse(ended, children):  # should they not by themselves
                os.kill(child, signal.SIGKILL)
