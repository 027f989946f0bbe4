from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from command_line import TINY, Nwp


@pytest.fixture
def words(corpus: Path, bundle: Path) -> tuple[object, ...]:
    return ("evaluate", corpus, "--model", bundle, "--processes", 1, "--json")


def test_the_page_the_tables_and_the_plots_are_of_one_evaluation(
    nwp: Nwp, words: tuple[object, ...], tmp_path: Path
) -> None:
    page, table, plots = tmp_path / "r.html", tmp_path / "r.csv", tmp_path / "plots"
    found = nwp(*words, "--report", page, "--csv", table, "--plots", plots).result()

    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["user"] for row in rows] == [user["user"] for user in found["users"]]
    for row, user in zip(rows, found["users"], strict=True):
        assert float(row["perplexity"]) == user["perplexity"]
    html = page.read_text(encoding="utf-8")
    assert all(user["user"] in html for user in found["users"])
    assert "nwp evaluate" in html  # the command that repeats it
    assert {path.suffix for path in plots.iterdir()} == {".png", ".svg"}
    assert found["examples"]


def test_examples_are_places_of_the_text_and_can_be_left_out(
    nwp: Nwp, words: tuple[object, ...], corpus: Path, tmp_path: Path
) -> None:
    page = tmp_path / "r.html"
    found = nwp(*words, "--report", page, "--examples", 4).result()
    texts = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]

    assert 0 < len(found["examples"]) <= 4
    for example in found["examples"]:
        begun = f"{example['context']} {example['target']}".strip()
        assert any(
            row["user"] == example["user"] and row["text"].lower().startswith(begun)
            for row in texts
        )
        chances = [guess["probability"] for guess in example["guesses"]]
        assert chances == sorted(chances, reverse=True)
        if example["rank"] == 1:
            assert example["guesses"][0]["word"] == example["target"]
            assert example["guesses"][0]["probability"] == pytest.approx(example["probability"])
    assert "examples" not in nwp(*words, "--report", page, "--examples", 0).result()


def test_no_word_of_the_text_is_in_the_json_without_a_report(
    nwp: Nwp, words: tuple[object, ...]
) -> None:
    assert "examples" not in nwp(*words).result()


def test_parquet_has_the_rows_of_the_csv(
    nwp: Nwp, words: tuple[object, ...], tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    found = nwp(*words, "--parquet", tmp_path / "r.parquet").result()

    assert parquet.read_table(tmp_path / "r.parquet").to_pylist() == found["users"]


@pytest.mark.parametrize("option", ["--report", "--csv", "--parquet"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_computed(
    nwp: Nwp, words: tuple[object, ...], tmp_path: Path, option: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("nwp.tasks.evaluate.evaluate_bundle", None)

    said = nwp(*words, option, tmp_path / "no" / "file").error("bad-input")

    assert "folder that exists" in said


def test_what_others_call_accuracy_is_told_with_its_source(
    nwp: Nwp, words: tuple[object, ...]
) -> None:
    found = nwp(*words).result()

    rows = {(row["name"], row["source"]): row["value"] for row in found["conventions"]}
    assert rows["perplexity", "nwp"] == pytest.approx(found["summary"]["perplexity"])
    assert any("LEAF" in source for _, source in rows)
    assert all(row["count"] >= 0 for row in found["calibration"]["bins"])
    assert {"position", "frequency", "length"} == set(found["slices"])
    low, high = found["intervals"]["top3"]
    assert low <= found["summary"]["top3"] <= high
    assert sum(g["users"] for g in found["groups"] if g["by"] == "activity") == 6


def test_the_curve_of_the_run_that_made_the_model_is_in_the_report(
    nwp: Nwp, words: tuple[object, ...], bundle: Path
) -> None:
    found = nwp(*words).result()

    assert [row["round"] for row in found["curve"]] == list(range(1, len(found["curve"]) + 1))
    assert found["curve"][-1]["valid"]["perplexity"] > 1


def test_users_whom_training_held_out_are_a_group_of_their_own(
    nwp: Nwp, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "held"
    nwp("train", corpus, "--out", out, *TINY, "--held-out", "user1,user4", "--json").result()

    found = nwp("evaluate", corpus, "--model", out, "--processes", 1, "--json").result()

    told = {g["group"]: g["users"] for g in found["groups"] if g["by"] == "trained"}
    assert sorted(told.values()) == [2, 4]
    assert {"activity", "unknown words", "trained"} == {g["by"] for g in found["groups"]}


def test_that_nothing_but_averaging_protects_the_updates_is_said(
    nwp: Nwp, words: tuple[object, ...], tmp_path: Path
) -> None:
    found = nwp(*words, "--report", tmp_path / "r.html").result()

    assert found["privacy"] is None
    assert "privacy" not in found["about"]
    assert "no privacy budget" in (tmp_path / "r.html").read_text(encoding="utf-8").lower()
