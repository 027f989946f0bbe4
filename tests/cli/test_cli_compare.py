from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Nwp

from nwp.corpus.load import load_corpus
from nwp.errors import Refused
from nwp.tasks.compare import compare_models
from nwp.tasks.evaluate import EvaluateOptions


def test_a_model_is_held_against_baselines_user_by_user(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    words = ("compare", corpus, bundle, "--with", "unigram,trigram_kn", "--processes", 1)
    found = nwp(*words, "--json").result()

    names = [model["model"] for model in found["models"]]
    assert names == [bundle.name, "unigram", "trigram_kn"]
    assert found["users"] == 6
    alone = nwp("evaluate", corpus, "--model", bundle, "--processes", 1, "--json").result()
    for name, value in alone["summary"].items():
        assert found["models"][0][name] == pytest.approx(value), name
    for pair in found["pairs"]:
        assert pair["first"] == bundle.name
        measure = pair["by_user"][pair["measure"]]
        assert measure["gain"] + measure["lose"] + measure["equal"] == pytest.approx(1)
        assert 0 < measure["p"] <= 1
    assert [pair["second"] for pair in found["pairs"]] == names[1:]


def test_a_model_held_against_itself_is_neither_better_nor_worse(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    found = nwp("compare", corpus, bundle, bundle, "--processes", 1, "--json").result()

    (pair,) = found["pairs"]
    assert (pair["first"], pair["second"]) == (bundle.name, f"{bundle.name} 2")
    assert pair["by_user"][pair["measure"]]["equal"] == 1
    assert pair["by_user"][pair["measure"]]["p"] == 1
    assert pair["pooled"]["perplexity"]["difference"] == 0


def test_the_table_tells_every_model_and_for_how_many_it_is_better(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    done = nwp("compare", corpus, bundle, "--with", "unigram", "--processes", 1)

    lines = done.out.splitlines()
    assert lines[1].split()[0] == bundle.name
    assert lines[2].split()[0] == "unigram"
    assert "unigram against" in done.out
    assert "of 6 users" in done.out.replace("\n", " ")


def test_one_model_alone_is_an_error_that_says_what_to_add(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    said = nwp("compare", corpus, bundle, "--json").error("bad-settings")

    assert "--with" in said


def test_an_unknown_baseline_is_named_with_those_there_are(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    said = nwp("compare", corpus, bundle, "--with", "bigram", "--json").error("bad-settings")

    assert "bigram" in said
    assert "trigram_kn" in said


def test_users_whose_rows_are_withheld_are_not_compared(corpus: Path, bundle: Path) -> None:
    theirs = replace(load_corpus(str(corpus)), own=False)

    with pytest.raises(Refused, match="not yours to see"):
        compare_models(theirs, [bundle, bundle], EvaluateOptions(processes=1))


def test_tuned_and_central_models_are_counted_on_the_same_words(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    words = ("compare", corpus, bundle, "--with", "personal,central,local_only", "--json")
    found = nwp(*words, "--processes", 1).result()

    mine, personal, central, local = found["models"]
    assert mine["tokens"] == personal["tokens"] == central["tokens"] == local["tokens"]
    assert len({model["perplexity"] for model in found["models"]}) == 4
