"""A default stands twice, in a command's signature and in its task's options: here it is held to be one."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from command_line import Nwp

from nwp.tasks import joint, query, train
from nwp.tasks.query import QueryOptions
from nwp.tasks.train_options import TrainOptions


class _Called(Exception):
    pass


def _options_of(
    nwp: Nwp, monkeypatch: pytest.MonkeyPatch, module: Any, task: str, *words: str
) -> Any:
    """The options with which a command calls its task, which is not done."""

    def called(*given: Any, **_: Any) -> None:
        raise _Called(*(each for each in given if isinstance(each, TrainOptions | QueryOptions)))

    monkeypatch.setattr(module, task, called)
    with pytest.raises(_Called) as found:
        nwp(*words)
    (options,) = found.value.args
    return options


def test_training_begins_with_what_its_task_begins_with(
    nwp: Nwp, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _options_of(nwp, monkeypatch, train, "train_bundle", "train", "sample")

    assert found == TrainOptions()


def test_training_with_owners_begins_with_the_same_but_for_what_one_member_counts_for(
    nwp: Nwp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # else it stays after the test
    words = ("server", "train", "--out", "m", "--from", "none")
    found = _options_of(nwp, monkeypatch, joint, "train_jointly", *words)

    assert found == TrainOptions(member_share=0.5)


@pytest.mark.parametrize(
    ("module", "task", "words"),
    [
        (query, "query_corpus", ("query", "sample", "size")),
        (joint, "query_members", ("server", "query", "size")),
    ],
    ids=["query", "server-query"],
)
def test_queries_begin_with_what_their_task_begins_with(
    nwp: Nwp, monkeypatch: pytest.MonkeyPatch, module: Any, task: str, words: tuple[str, ...]
) -> None:
    assert _options_of(nwp, monkeypatch, module, task, *words) == QueryOptions(what="size")
