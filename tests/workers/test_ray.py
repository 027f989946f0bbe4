"""A cluster of two nodes, in processes of this machine, computes what one process computes.

Starting it takes a while, so all of this is slow; without Ray (the extra `ray`) it is skipped.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from engine_tasks import add, die, die_once, ended, fail, hold, large, meet, slow_when_even

from nwp.corpus.types import Corpus
from nwp.errors import BadSettings, NwpError
from nwp.federated.local import seed_for, train_group
from nwp.federated.plan import TrainPlan
from nwp.model.lstm import FloatArray
from nwp.temporary import TemporaryFolder
from nwp.text.vocabulary import encode
from nwp.workers.engines import InProcess, OnRay, Processes, make_engine, on_ray

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
SHARED = np.arange(10, dtype=np.float32)


@pytest.fixture(scope="module")
def ray() -> Iterator[ModuleType]:
    """Ray, told to let nobody else into the clusters of this test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        # Workers find the tasks of this folder as those of an installed package.
        paths = [str(Path(__file__).parent), *filter(None, sys.path)]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        yield pytest.importorskip("ray", reason="Ray (the extra `ray`) is not installed")


@pytest.fixture(scope="module")
def cluster(ray: ModuleType) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with TemporaryFolder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder.path))
        (folder.path / "ray").mkdir()
        head = {"num_cpus": 1, "include_dashboard": False}
        found = Cluster(initialize_head=True, head_node_args=head)
        found.add_node(num_cpus=1)
        yield found
        ray.shutdown()
        found.shutdown()


@pytest.fixture(scope="module")
def engine(cluster: Any) -> Iterator[OnRay]:
    found = make_engine(name="ray", ray_address=cluster.address)
    assert isinstance(found, OnRay)
    yield found
    found.close()


def test_training_gives_equal_bytes_on_two_nodes_and_anywhere_else(
    engine: OnRay, corpus: Corpus, plan: TrainPlan, weights: FloatArray
) -> None:
    users = [
        (encode(texts, plan.vocabulary()), seed_for(0, 1, user))
        for user, texts in corpus.users.items()
    ]
    tasks = [(plan.model, plan.local, users[i : i + 2]) for i in range(0, 6, 2)]
    processes = Processes(2)
    here, there, on_nodes = (
        [(update.tobytes(), words, loss) for update, words, loss in found]
        for found in (e.run(train_group, weights, tasks) for e in (InProcess(), processes, engine))
    )
    processes.close()
    assert here == there == on_nodes


def test_two_tasks_run_at_once_with_one_thread_each(engine: OnRay, tmp_path: Path) -> None:
    """Each node has one CPU: both nodes are at work."""
    os.mkfifo(pipe := tmp_path / "pipe")
    assert engine.width == 2
    assert len(set(engine.run(meet, SHARED, [(n, str(pipe)) for n in range(2)]))) == 2
    assert {found[3] for found in engine.run(add, SHARED, [(n,) for n in range(8)])} == {1}


def test_results_come_in_the_order_of_the_tasks(engine: OnRay) -> None:
    tasks = [(n,) for n in range(12)]
    assert list(engine.run(slow_when_even, SHARED, tasks)) == list(range(12))
    assert list(engine.run(slow_when_even, SHARED, [])) == []


def test_each_run_has_its_own_shared_array(engine: OnRay) -> None:
    tasks = [(n,) for n in range(4)]
    first = engine.run(add, SHARED, tasks)
    found = [next(first)[:2]]
    found += [r[:2] for r in engine.run(add, SHARED + 1, tasks)]
    found += [r[:2] for r in first]
    assert found == [(0, 45), *((n, 55) for n in range(4)), *((n, 45) for n in range(1, 4))]


def test_equal_weights_are_put_into_the_store_once(
    ray: ModuleType, engine: OnRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda value: (puts.append(value), put(value))[1])
    for weights in (SHARED + 7, SHARED + 7, SHARED + 8):  # of two workers, and of the next round
        list(engine.run(add, weights, [(n,) for n in range(4)]))
    assert [p[0] for p in puts] == [7, 8]


def test_exceptions_of_tasks_come_through_and_the_engine_goes_on(engine: OnRay) -> None:
    results = engine.run(fail, SHARED, [(n,) for n in range(4)])
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError, match="a mistake of the task's own") as error:
        next(results)
    assert type(error.value) is KeyError
    assert list(engine.run(fail, SHARED, [(5,)])) == [5]


def test_arrays_that_come_back_are_the_callers_own(engine: OnRay) -> None:
    for number, many, (few, name) in engine.run(large, SHARED, [(n,) for n in range(3)]):
        np.add(many, 1, out=many)
        assert (many == number + 1).all()
        assert (few.tolist(), name) == ([[number] * 700] * 2, "by name")


def test_a_killed_process_loses_nothing_and_nothing_is_said(
    engine: OnRay, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = [(n, str(tmp_path / "mark")) for n in range(6)]
    assert list(engine.run(die_once, SHARED, tasks)) == [(n, float(n)) for n in range(6)]
    assert (tmp_path / "mark").exists()
    assert capfd.readouterr() == ("", "")


def test_work_that_always_kills_is_given_up_with_a_hint(engine: OnRay, tmp_path: Path) -> None:
    with pytest.raises(NwpError, match="lost 3 times on the Ray cluster") as error:
        list(engine.run(die, SHARED, [(str(tmp_path / "log"),)]))
    assert "memory" in error.value.hint
    assert (tmp_path / "log").read_text() == "xxx"


def test_a_node_lost_in_mid_round_loses_nothing(
    cluster: Any, engine: OnRay, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It has finished one task, whose result lies there alone, and is at work at another."""
    away = next(node for node in cluster.list_all_nodes() if not node.head)
    home = cluster.head_node.node_id
    for name in ("home", "away"):
        os.mkfifo(tmp_path / name)
    found: list[Any] = []
    tasks = [(n, str(tmp_path), home) for n in range(6)]
    thread = threading.Thread(target=lambda: found.extend(engine.run(hold, SHARED, tasks)))
    thread.start()
    with (tmp_path / "away").open("wb"):  # opens when the node is at its second task
        cluster.remove_node(away, allow_graceful=False)
    with (tmp_path / "home").open("wb"):
        thread.join(120)
    said = capfd.readouterr()
    cluster.add_node(num_cpus=1)

    assert said == ("", "")
    assert [number for number, _ in found] == list(range(6))
    assert all((many == number).all() for number, many in found)
    runs = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    lost = {number for number, node in runs if node != home}
    again = [number for number, node in runs if node == home]
    assert len(lost) >= 2  # a process of it may live a moment longer and begin another
    assert sorted(again) == [str(n) for n in range(6)]


def test_a_node_of_another_kind_is_refused(
    engine: OnRay, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(on_ray.kind_of_node(), processor="Z80")
    monkeypatch.setattr(on_ray, "kind_of_node", lambda: other)
    with pytest.raises(NwpError, match=r"would compute other bits.*Z80"):
        OnRay(cluster.address)


def test_settings_that_contradict_a_cluster_are_refused(
    engine: OnRay, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadSettings, match="as many processes as it has CPUs"):
        make_engine(2, name="ray", ray_address=cluster.address)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with pytest.raises(BadSettings, match="as many processes as it has CPUs"):
        make_engine(2, name="ray")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "head", "ray://127.0.0.1:1", "[::1]:1"])
def test_an_address_where_no_cluster_is_is_refused_at_once(ray: ModuleType, address: str) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(NwpError, match=r"no Ray cluster answers|the address for Ray's client"),
    ):
        patch.setattr(ray, "is_initialized", lambda: False)
        OnRay(address)


# A cluster of this machine's own, started and ended by the engine: in a process of its own, for a process
# can have but one.
OWN = """
import json, os, sys
import numpy as np
from engine_tasks import add, die_once
from nwp.workers.engines import make_engine

engine = make_engine(2, name="ray")
from ray._private import worker
from ray._common.usage import usage_lib
found = [r[:2] for r in engine.run(add, np.arange(10, dtype=np.float32), [(n,) for n in range(4)])]
list(engine.run(die_once, np.arange(10, dtype=np.float32), [(n, sys.argv[1]) for n in range(4)]))
node = worker._global_node
told = {
    "found": found,
    "width": engine.width,
    "dashboard": node.webui_url,
    "usage": usage_lib.usage_stats_enabled(),
    "folder": node.get_session_dir_path(),
}
print(json.dumps(told), flush=True)
try:
    if "stay" in sys.argv:
        sys.stdin.read()
finally:
    engine.close()
"""


def own_cluster(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, "-c", OWN, str(folder / "mark"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**kept, "HOME": str(folder), **environment},
        start_new_session=True,
    )


def test_a_cluster_of_its_own_is_quiet_private_and_leaves_nothing(
    ray: ModuleType, tmp_path: Path
) -> None:
    with own_cluster(tmp_path) as process:
        out, err = process.communicate(timeout=120)
    told = json.loads(out)
    assert (process.returncode, err) == (0, "")
    assert told["found"] == [[n, 45.0] for n in range(4)]
    assert told["width"] == 2
    assert not told["dashboard"]
    assert told["usage"] is False
    assert not Path(told["folder"]).parents[1].exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]  # no token in the home either


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_cluster_of_its_own_ends_with_whoever_started_it(
    ray: ModuleType, tmp_path: Path, number: signal.Signals
) -> None:
    # A folder whose name is short enough for Ray, and in which no other run tidies up.
    with TemporaryFolder() as parent:
        place = str(parent.path)
        with own_cluster(tmp_path, "stay", TMPDIR=place) as process:
            assert process.stdout is not None
            folder = Path(json.loads(process.stdout.readline())["folder"]).parents[1]
            assert folder.parent == parent.path
            assert folder.stat().st_mode & 0o777 == 0o700  # logs and sockets are nobody else's
            children = processes_about(folder)
            assert len(children) > 3
            if number == signal.SIGINT:
                os.killpg(process.pid, number)  # as a terminal does
            else:
                process.send_signal(number)
            process.communicate(timeout=60)
        assert all(ended(child, 30) for child in children)
        assert folder.exists() == (number == signal.SIGKILL)
        TemporaryFolder(place).cleanup()  # the next run, whatever it is
        assert not folder.exists()


def processes_about(folder: Path) -> list[int]:
    """Processes in whose command line a folder stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
