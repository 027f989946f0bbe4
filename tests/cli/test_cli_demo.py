from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import BUNDLE, Done, Nwp, files_in

from nwp.tasks import demo


@pytest.fixture
def small(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstration with a tiny model, six users and two rounds, in one process."""
    options = replace(
        demo.OPTIONS,
        workers=2,
        embedding=8,
        hidden=8,
        public_words=200,
        rounds=2,
        cohort=4,
        validate_every=1,
        processes=1,
    )
    monkeypatch.setattr(demo, "OPTIONS", options)
    monkeypatch.setattr(demo, "CORPUS", str(corpus))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})


def _last(done: Done) -> dict[str, object]:
    assert done.code == 0, done.err
    found = json.loads(done.out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_the_last_line_is_json_where_nobody_watches(nwp: Nwp, small: None) -> None:
    found = _last(nwp("demo", "--out", "m"))

    keys = ["seconds", "users", "workers", "rounds", "bytes_up", "bytes_down", "test"]
    assert list(found) == keys
    assert (found["users"], found["workers"], found["rounds"]) == (6, 2, 2)
    test = found["test"]
    assert isinstance(test, dict)
    baselines = ["unigram", "trigram", "local_only", "untrained"]
    assert list(test) == ["perplexity", "top1", "top3", *baselines]
    assert all(1 < test[name] < 1000 for name in ("perplexity", *baselines))
    assert 0 <= test["top1"] <= test["top3"] <= 1


def test_its_figures_are_those_of_evaluate(nwp: Nwp, corpus: Path, small: None) -> None:
    told = _last(nwp("demo", "--out", "m"))["test"]

    words = ("evaluate", corpus, "--model", "m", "--baselines", "--processes", 1, "--json")
    found = nwp(*words).result()

    figures = found["baselines"]
    assert told == pytest.approx(
        {name: found["summary"][name] for name in ("perplexity", "top1", "top3")}
        | {
            "unigram": figures["unigram"]["perplexity"],
            "trigram": figures["trigram_kn"]["perplexity"],
            "local_only": figures["local_only"]["perplexity"],
            "untrained": figures["untrained"]["perplexity"],
        }
    )


def test_the_demonstration_tells_what_stays_and_what_moves(nwp: Nwp, small: None) -> None:
    done = nwp("demo", "--out", "[b]m")

    text = " ".join(done.out.split())
    for part in ("1 What stays", "2 What is agreed", "3 What moves", "4 What it is worth"):
        assert part in text
    assert "worker-1 holds 60 messages of user0, user2, user4" in text
    assert "2 of 2 owners' policies approved it" in text
    assert "Stayed: 120 messages." in text
    assert "The model: [b]m" in text
    assert "[bold]" not in text
    assert "[italic]" not in text
    assert max(map(len, done.out.splitlines()[:-1])) <= 80


def test_the_model_goes_to_the_cache_and_is_made_anew_each_time(nwp: Nwp, small: None) -> None:
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "nwp" / "demo"
    first = _last(nwp("demo"))
    made = {name: (folder / name).read_bytes() for name in BUNDLE}

    again = _last(nwp("demo"))

    assert first["test"] == again["test"]
    assert made == {name: (folder / name).read_bytes() for name in BUNDLE}
    assert len(nwp("suggest", "see ", "--model", folder, "--json").result()["suggestions"]) == 3


def test_a_folder_with_something_else_in_it_is_left_alone(
    nwp: Nwp, own_place: Path, small: None
) -> None:
    Path("home").mkdir()
    Path("home/letter.txt").write_text("mine")
    before = files_in(own_place)

    done = nwp("demo", "--out", "home")

    assert done.code == 3
    assert "already holds something" in done.err
    assert files_in(own_place) == before
