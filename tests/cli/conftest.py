from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import MANY, ROUNDS, TINY, Done, Nwp, write_corpus
from killing import Runner, runner

from nwp.cli.main import execute

TEXT = """the a cat dog sat on mat see you tomorrow how are we go to park and then home good
morning what time is it i'm not sure don't know yet come with me"""


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in an empty folder, with empty settings and caches, and no NWP_ variable."""
    for name in [name for name in os.environ if name.startswith("NWP_")]:
        if name != "NWP_SHARED":
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR"):
        folder = tmp_path / "own" / name.lower()
        folder.mkdir(parents=True)
        monkeypatch.setenv(name, str(folder))
    for name in ("FORCE_COLOR", "LC_ALL", "PYTHONIOENCODING", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(tempfile, "tempdir", None)
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def nwp(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nwp:
    """Runs a command line in this process, and gives its exit code and both outputs."""

    def run(*arguments: object) -> Done:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["nwp", *words])
        capfd.readouterr()
        code = execute(words)
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six users of twenty messages each."""
    rng, words = random.Random(5), TEXT.split()
    users = {
        f"user{u}": [" ".join(rng.choices(words, k=rng.randint(3, 8))) + "." for _ in range(20)]
        for u in range(6)
    }
    return write_corpus(tmp_path_factory.mktemp("corpus") / "six.jsonl", users)


@pytest.fixture(scope="session")
def session_patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def _trained(corpus: Path, folder: Path, rounds: tuple[str, ...], patch: pytest.MonkeyPatch) -> Any:
    words = ["train", str(corpus), "--out", str(folder), *TINY, *rounds, "--no-record"]
    patch.setattr(sys, "argv", ["nwp", *words])
    assert execute(words) == 0
    return folder


@pytest.fixture(scope="session")
def bundle(
    corpus: Path, tmp_path_factory: pytest.TempPathFactory, session_patch: pytest.MonkeyPatch
) -> Path:
    """A trained bundle with its run: to be read, not written."""
    folder = tmp_path_factory.mktemp("bundle") / "six"
    return _trained(corpus, folder, ROUNDS, session_patch)


@pytest.fixture(scope="session")
def long_bundle(
    corpus: Path, tmp_path_factory: pytest.TempPathFactory, session_patch: pytest.MonkeyPatch
) -> Path:
    """What many rounds that nothing has interrupted come to."""
    folder = tmp_path_factory.mktemp("bundle") / "long"
    return _trained(corpus, folder, MANY, session_patch)


@pytest.fixture(scope="session")
def forking() -> Iterator[Runner]:
    """Runs command lines in processes that can be killed at chosen moments."""
    with runner() as found:
        yield found
