from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nwp.cli.main import execute
from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadInput, BadSettings, Refused
from nwp.evaluation.counts import metrics
from nwp.evaluation.ngrams import KneserNey
from nwp.files import shipped
from nwp.foreign.door import kind_of, load_predictor
from nwp.model.bundle import load_bundle
from nwp.tasks.compare import compare_models
from nwp.tasks.evaluate import EvaluateOptions, evaluate_bundle
from nwp.text.vocabulary import Vocabulary, encode

BUNDLE = shipped("models") / "sample"
OPTIONS = EvaluateOptions(processes=1, workers=1)
Arpa = Callable[[tuple[str, ...]], Path]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Four people of the corpus that ships."""
    whole = load_corpus("sample")
    return replace(whole, users={name: whole.users[name] for name in sorted(whole.users)[:4]})


@pytest.fixture
def trigram(corpus, as_arpa, put) -> Arpa:
    """An ARPA file of the Kneser-Ney model of everybody's train part, over given words."""

    def write(words: tuple[str, ...]) -> Path:
        vocabulary = Vocabulary.from_lists(words, {})
        train = [encode(part_of(texts, "train"), vocabulary) for texts in corpus.users.values()]
        return put(as_arpa(KneserNey.fit(train, len(vocabulary)), vocabulary).text())

    return write


def test_a_trigram_from_a_file_counts_as_the_baseline_that_it_was_made_of(corpus, trigram):
    words = load_bundle(BUNDLE).vocabulary.words[:300]
    model = trigram(words)
    found = evaluate_bundle(corpus, model, replace(OPTIONS, baselines=("trigram_kn",)))
    assert sorted(found.users) == sorted(corpus.users)
    for name, counts in found.users.items():
        same = metrics(found.baselines["trigram_kn"][name])
        assert metrics(counts) == pytest.approx(same, rel=1e-9)
    assert metrics(found.total)["tokens"] > 300
    payload = found.as_json()
    assert payload["about"]["kind"] == "arpa"
    assert payload["about"]["vocabulary"] == 300
    assert payload["about"]["ngrams"][0] == 303
    assert payload["users_withheld"] == 0
    assert {"slices", "calibration", "conventions", "intervals", "groups"} <= set(payload)
    assert all(math.isfinite(value) for value in payload["summary"].values())
    json.dumps(payload, allow_nan=False)


def test_a_bundle_is_compared_with_a_file(corpus, trigram):
    model = trigram(load_bundle(BUNDLE).vocabulary.words[:200])
    found = compare_models(corpus, [BUNDLE, model], OPTIONS).as_json()
    assert [row["model"] for row in found["models"]] == ["sample", "model.arpa"]
    pair = found["pairs"][0]
    assert not pair["same_vocabulary"]
    assert pair["measure"] == "bits_per_character"
    assert pair["users"] == 4
    bundle, arpa = found["models"]
    assert bundle["tokens"] == arpa["tokens"]
    assert bundle["oov_rate"] < arpa["oov_rate"]


def test_text_of_others_is_not_read_for_it(corpus, trigram):
    model = trigram(("the", "a"))
    with pytest.raises(Refused, match="plan") as caught:
        evaluate_bundle(replace(corpus, own=False), model, OPTIONS)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["local_only", "untrained", "central", "personal"])
def test_baselines_that_need_a_bundle_are_refused(name, corpus, trigram):
    with pytest.raises(BadSettings, match=name) as caught:
        evaluate_bundle(corpus, trigram(("the",)), replace(OPTIONS, baselines=("unigram", name)))
    assert "trigram_kn" in caught.value.hint


def test_a_part_without_words_is_an_error(corpus, trigram):
    short = replace(corpus, users={"ann": ["see you"]})
    with pytest.raises(BadCorpus, match="no words"):
        evaluate_bundle(short, trigram(("see",)), replace(OPTIONS, part="train"))


def test_kinds_are_told_by_name(tmp_path):
    for name in ("a.arpa", "a.arpa.gz", "b.ARPA", "c.v2.arpa.xz"):
        assert kind_of(tmp_path / name) == "arpa"
    for name in ("a.arpa.txt", "arpa", "a.lm", "bundle"):
        assert kind_of(tmp_path / name) is None
    (tmp_path / "folder.arpa").mkdir()
    assert kind_of(tmp_path / "folder.arpa") is None
    with pytest.raises(BadInput, match="known kind"):
        load_predictor(tmp_path / "bundle", lambda: Vocabulary((), ()))
    (tmp_path / "folder.arpa" / "config.json").touch()
    assert kind_of(tmp_path / "folder.arpa") == "huggingface"
    (tmp_path / "folder.arpa" / "settings.json").touch()
    assert kind_of(tmp_path / "folder.arpa") is None


def test_the_command_takes_a_file(trigram, tmp_path, capfd, monkeypatch):
    model, page = trigram(("the", "a", "you", "i")), tmp_path / "page.html"
    words = ["evaluate", "sample", "--users", "abel,gus", "--model", str(model)]
    assert execute([*words, "--report", str(page), "--with", "unigram", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["about"]["model"] == "model.arpa"
    assert [row["user"] for row in found["users"]] == ["abel", "gus"]
    assert "model.arpa" in page.read_text(encoding="utf-8")
    assert execute([*words, "--baselines", "--json"]) == 3
    assert json.loads(capfd.readouterr().out)["error"]["kind"] == "bad-settings"
    model.write_text("no ARPA file", encoding="utf-8")
    assert execute([*words, "--json"]) == 3
    assert "line 2" in json.loads(capfd.readouterr().out)["error"]["message"]
