from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import MANY, TINY, Nwp, bundle_bytes, files_in, reached

from nwp.cli.progress import Rounds
from nwp.federated.state import RunState

# Whoever runs the tests in the background may have Ctrl-C ignored, which children inherit.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from nwp.cli.main import run; run()"
)


def _start(*arguments: object, session: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=session,  # a process group of its own, as on a terminal
    )


def test_ctrl_c_while_the_command_is_imported_ends_it_in_silence() -> None:
    importing = (
        "import sys\n"
        "class Pressed:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'nwp.cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "from nwp.__main__ import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", importing], capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_a_run_killed_in_its_middle_resumes_to_the_bytes_of_one_that_was_not(
    nwp: Nwp, corpus: Path, long_bundle: Path
) -> None:
    words = ("train", corpus, "--out", "m", *TINY, *MANY, "--json")
    with _start(*words) as child:
        reached(Path("m"), 2, child)
        child.kill()
    durable = json.loads(Path("m/run/state.json").read_text())["round"]
    assert child.returncode == -signal.SIGKILL
    assert not Path("m/settings.json").exists()

    result = nwp(*words, "--resume").result()

    assert 2 <= durable < 18
    assert (result["resumed_from"], result["rounds"]) == (durable, 18)
    assert bundle_bytes(Path("m")) == bundle_bytes(long_bundle)


def test_ctrl_c_leaves_a_run_and_says_the_command_that_goes_on(
    nwp: Nwp, corpus: Path, long_bundle: Path
) -> None:
    with _start("train", corpus, "--out", "m", *TINY, *MANY, "--json") as child:
        reached(Path("m"), 2, child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)

    assert child.returncode == 130, out + err
    error = json.loads(out)["error"]
    assert error["kind"] == "interrupted"
    assert "Traceback" not in err
    again = shlex.split(error["hint"].removeprefix("Go on with:"))
    assert again[0] == "nwp"
    assert again.count("--resume") == 1
    result = nwp(*again[1:]).result()
    assert 2 <= result["resumed_from"] < 18
    assert bundle_bytes(Path("m")) == bundle_bytes(long_bundle)


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_reaches_all_processes_and_leaves_none(
    nwp: Nwp, corpus: Path, long_bundle: Path
) -> None:
    words = ("train", corpus, "--out", "m", *TINY, *MANY, "--processes", 2)
    with _start(*words, session=True) as child:
        reached(Path("m"), 2, child)
        os.killpg(child.pid, signal.SIGINT)
        # Ends when the last process that has the other end of the pipe does.
        _, err = child.communicate(timeout=60)

    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert "--resume" in err
    nwp(*words, "--resume", "--json").result()
    assert bundle_bytes(Path("m")) == bundle_bytes(long_bundle)


def test_a_run_may_be_interrupted_again_and_again(
    nwp: Nwp, corpus: Path, long_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", str(corpus), "--out", "m", *TINY, *MANY]
    stops = iter((1, 3, 16))
    with monkeypatch.context() as patch:
        for stop in stops:

            def interrupt(self: Rounds, state: RunState, stop: int = stop) -> None:
                if state.number == stop:
                    raise KeyboardInterrupt

            patch.setattr(Rounds, "round_done", interrupt)
            done = nwp(*words)
            assert done.code == 130
            assert done.out == ""
            said = shlex.split(done.err.splitlines()[-1].split("Go on with:")[1])
            words = said[1:]
            assert words.count("--resume") == 1

    result = nwp(*words, "--json").result()

    assert (result["resumed_from"], result["rounds"]) == (16, 18)
    assert bundle_bytes(Path("m")) == bundle_bytes(long_bundle)


def test_force_is_not_repeated_in_the_command_that_goes_on(
    nwp: Nwp, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Rounds, state: RunState) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Rounds, "round_done", interrupt)

    said = nwp("train", corpus, "--out", "m", *TINY, "--force", "--json").error("interrupted")

    assert "--force" not in said
    assert "--resume" in said


def test_ctrl_c_in_any_other_command_is_an_error_of_its_own(
    nwp: Nwp, corpus: Path, bundle: Path, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nwp.tasks.evaluate.evaluate_bundle", interrupt)

    nwp("evaluate", corpus, "--model", bundle, "--json").error("interrupted")

    assert files_in(own_place) == {}
