from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from command_line import EXIT_CODES, Nwp, write_corpus

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.evaluation.counts import Counts, count_each, metrics
from nwp.evaluation.scoring import predictor_of, score
from nwp.files import shipped
from nwp.model.bundle import load_bundle
from nwp.tasks.evaluate import EvaluateOptions, evaluate_bundle
from nwp.tasks.ngrams import NgramsOptions, add_ngrams
from nwp.tasks.start import weights_of
from nwp.text.vocabulary import encode
from nwp.workers.simulation import Simulation

FEW = ("--processes", "1", "--workers", "2")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first eight users of the sample."""
    users = load_corpus("sample").users
    path = tmp_path_factory.mktemp("ngrams") / "small.jsonl"
    return write_corpus(path, {user: list(users[user]) for user in sorted(users)[:8]})


@pytest.fixture(scope="module")
def both(small: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The bundle that ships with n-grams of these users, and what was told of it."""
    out = tmp_path_factory.mktemp("ngrams") / "both"
    corpus = load_corpus(str(small))
    options = NgramsOptions(k=3, workers=2, processes=1)
    return out, add_ngrams(
        corpus, shipped("models") / "sample", out, options, command="nwp model ngrams x"
    )


def test_what_is_told_is_what_is_in_the_bundle(both: tuple[Path, dict]) -> None:
    out, told = both
    bundle = load_bundle(out)
    assert bundle.expert is not None
    assert (told["k"], bundle.expert.k) == (3, 3)
    assert told["pairs"] == len(bundle.expert.pairs.words) > 50
    assert told["triples"] == len(bundle.expert.triples.words) > 5
    assert told["bytes"] == sum(file.stat().st_size for file in out.iterdir())
    card = (out / "README.md").read_text()
    assert f"{told['pairs']:,} pairs and {told['triples']:,} triples" in card
    assert "3 users of one worker" in card
    assert "nwp model ngrams x" in card


def test_evaluating_counts_the_mixture_on_the_workers(both: tuple[Path, dict], small: Path) -> None:
    """As counted here, without workers, over the same text."""
    corpus = load_corpus(str(small))
    found = evaluate_bundle(corpus, both[0], EvaluateOptions(part="valid", processes=1, workers=2))
    bundle = load_bundle(both[0])
    predictor = predictor_of(bundle.config, weights_of(bundle), bundle.expert)

    for user, texts in corpus.users.items():
        data = encode(part_of(texts, "valid"), bundle.vocabulary)
        wanted = count_each(score(predictor, data), data, [len(data.targets)])
        here = metrics(Counts.from_row(wanted[0]))
        there = metrics(found.users[user])
        for name in ("tokens", "top1", "top3"):
            assert there[name] == here[name], user
        assert there["perplexity"] == pytest.approx(here["perplexity"], rel=1e-4)
    assert np.isfinite(found.total.nll)


def test_a_bundle_is_not_replaced_unless_told(
    nwp: Nwp, small: Path, both: tuple[Path, dict]
) -> None:
    out = both[0]
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    done = nwp("model", "ngrams", small, "--out", out, *FEW)
    assert done.code == EXIT_CODES["bad-input"]
    assert "--force" in done.err
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_nothing_but_a_bundle_is_replaced(nwp: Nwp, small: Path, own_place: Path) -> None:
    (own_place / "diary").mkdir()
    (own_place / "diary" / "today").touch()
    words = ("model", "ngrams", small, "--force", *FEW, "--json")

    said = nwp(*words, "--out", "diary").error("bad-input")
    assert "not a bundle" in said
    model = shipped("models") / "sample"
    assert "begin from" in nwp(*words, "--model", model, "--out", model).error("bad-input")
    assert [file.name for file in (own_place / "diary").iterdir()] == ["today"]


def test_it_tells_how_many_workers_have_answered_and_why_others_have_not(
    nwp: Nwp, small: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = functools.partial(Simulation, refusing=frozenset({"worker-2"}))
    monkeypatch.setattr("nwp.tasks.ngrams.Simulation", refusing)

    done = nwp("model", "ngrams", small, "--model", bundle, *FEW, "--out", "some", "--json")

    assert set(done.result()["absent"]) == {"worker-2"}
    assert "counting n-grams: 1 of 2 workers have answered" in done.err
    assert "learning how much they count: 1 of 2 workers have answered" in done.err
    assert "worker-2 took no part: " in done.err
    card = Path("some/README.md").read_text()
    assert "workers (1 of which did not answer) over small.jsonl" in card


def test_too_few_users_on_each_worker_are_told(nwp: Nwp, small: Path, tmp_path: Path) -> None:
    done = nwp(
        *("model", "ngrams", small, "--out", tmp_path / "out", "--workers", 8, "--json"),
        *("--processes", 1),
    )
    assert done.code == EXIT_CODES["bad-corpus"]
    assert "fewer workers" in done.out
    assert not (tmp_path / "out").exists()
