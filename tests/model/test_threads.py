from __future__ import annotations

import os

import pytest

from nwp.model.threads import one_thread


@pytest.fixture(autouse=True)
def no_threads_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # what is set here ends with the test


def test_numpy_is_asked_for_one_thread() -> None:
    one_thread()

    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"


@pytest.mark.parametrize("name", ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"])
def test_what_the_environment_says_already_stays(name: str) -> None:
    os.environ[name] = "4"

    one_thread()

    assert {n: v for n, v in os.environ.items() if n.endswith("NUM_THREADS")} == {name: "4"}
