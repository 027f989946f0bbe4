from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import EXIT_CODES, TINY, Nwp, files_in, write_corpus

from nwp.corpus.load import load_corpus
from nwp.errors import NoQuorum, Refused
from nwp.evaluation.baselines import USUAL
from nwp.evaluation.counts import metrics
from nwp.tasks.evaluate import EvaluateOptions, evaluate_bundle, summed
from nwp.workers.datasite import Datasite

RATES = ("top1", "top3", "oov_rate")
OPTIONS = EvaluateOptions(processes=1, workers=2)


def test_rows_of_users_and_their_sum_are_consistent(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    found = nwp("evaluate", corpus, "--model", bundle, "--processes", 1, "--json").result()

    rows, summary = found["users"], found["summary"]
    assert [row["user"] for row in rows] == [f"user{i}" for i in range(6)]
    assert found["users_withheld"] == 0
    assert "baselines" not in found
    for row in [*rows, summary]:
        assert all(0 <= row[rate] <= 1 for rate in RATES)
        assert row["top1"] <= row["top3"]
        assert row["perplexity"] > 1
    assert summary["messages"] == sum(row["messages"] for row in rows) == 6 * 2
    assert summary["tokens"] == sum(row["tokens"] for row in rows) > 0
    for rate in RATES:  # rates times words are counts, and counts add up
        counted = [row[rate] * row["tokens"] for row in rows]
        assert all(count == pytest.approx(round(count)) for count in counted)
        assert summary[rate] * summary["tokens"] == pytest.approx(sum(counted))


def test_the_words_counted_are_those_of_each_users_last_tenth(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    texts = load_corpus(str(corpus)).users["user3"][18:]

    words = ("evaluate", corpus, "--model", bundle, "--processes", 1, "--users", "user3", "--json")
    found = nwp(*words).result()

    assert [row["user"] for row in found["users"]] == ["user3"]
    assert found["summary"]["tokens"] == sum(len(text.split()) for text in texts)


def test_the_number_of_workers_changes_no_count(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    words = ("evaluate", corpus, "--model", bundle, "--processes", 1, "--json")

    alone, split = nwp(*words).result(), nwp(*words, "--workers", 6).result()

    for mine, same in zip(split["users"], alone["users"], strict=True):
        assert mine.pop("user") == same.pop("user")
        assert mine == pytest.approx(same)
    assert split["summary"] == pytest.approx(alone["summary"])


@pytest.mark.parametrize(
    ("part", "messages"), [("train", 16), ("valid", 2), ("test", 2), ("all", 20)]
)
def test_each_part_can_be_evaluated(
    nwp: Nwp, corpus: Path, bundle: Path, part: str, messages: int
) -> None:
    words = ("evaluate", corpus, "--model", bundle, "--processes", 1, "--split", part)

    found = nwp(*words, "--users", "user0,user1", "--json").result()

    assert [row["messages"] for row in found["users"]] == [messages, messages]


def test_baselines_count_the_same_words(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    words = ("evaluate", corpus, "--model", bundle, "--processes", 1, "--baselines", "--json")
    found = nwp(*words).result()

    baselines, summary = found["baselines"], found["summary"]
    assert list(baselines) == ["unigram", "trigram_kn", "local_only", "untrained"]
    assert {name for name, b in baselines.items() if b["central"]} == {"unigram", "trigram_kn"}
    for figures in baselines.values():
        assert set(figures) == {*summary, "central"}
        assert figures["tokens"] == summary["tokens"]
        assert figures["oov_rate"] == summary["oov_rate"]
        assert 1 < figures["perplexity"] < 500
    assert len({figures["perplexity"] for figures in [*baselines.values(), summary]}) == 5


def test_the_table_fits_80_columns_and_is_ordered_by_perplexity(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    words = ("evaluate", corpus, "--model", bundle, "--processes", 1, "--baselines")
    done, found = nwp(*words), nwp(*words, "--json").result()

    lines = done.out.splitlines()
    titles = "user words unknown perpl. top-1 top-3 unigram trigram alone start"
    assert lines[0].split() == titles.split()
    best_first = sorted(found["users"], key=lambda row: row["perplexity"])
    table = lines[: len(best_first) + 2]
    assert [line.split()[0] for line in table[1:]] == [*(row["user"] for row in best_first), "all"]
    assert max(map(len, lines)) <= 80
    summary = found["summary"]
    assert table[-1].split()[1:4] == [
        str(summary["tokens"]),
        f"{summary['oov_rate']:.1%}",
        f"{summary['perplexity']:.1f}",
    ]


def test_names_with_brackets_stand_in_the_table_as_they_are(nwp: Nwp, bundle: Path) -> None:
    odd = write_corpus(Path("odd.jsonl"), {"[/b]reed": ["see you"] * 10, "[red]ann": ["go"] * 10})

    done = nwp("evaluate", odd, "--model", bundle, "--processes", 1)

    assert done.code == 0
    assert {line.split()[0] for line in done.out.splitlines()[1:3]} == {"[/b]reed", "[red]ann"}


def test_a_user_without_words_in_the_part_has_no_figures(nwp: Nwp, bundle: Path) -> None:
    users = {"ann": ["see you"] * 10, "bob": [*["see you"] * 9, "!!!"]}
    found = write_corpus(Path("found.jsonl"), users)
    words = ("evaluate", found, "--model", bundle, "--processes", 1, "--baselines")

    rows = nwp(*words, "--json").result()["users"]
    table = nwp(*words).out.splitlines()

    assert rows[1]["user"] == "bob"
    assert (rows[1]["tokens"], rows[1]["perplexity"], rows[1]["top1"]) == (0, None, None)
    assert table[2].split()[:5] == ["bob", "0", "-", "-", "-"]


def test_rows_are_withheld_where_the_text_is_not_the_callers_own(
    corpus: Path, bundle: Path
) -> None:
    mine = load_corpus(str(corpus))
    theirs = evaluate_bundle(replace(mine, own=False), bundle, OPTIONS)
    own = evaluate_bundle(mine, bundle, OPTIONS)

    found = theirs.as_json()
    assert (found["users"], found["users_withheld"]) == ([], 6)
    assert found["summary"] == pytest.approx(own.as_json()["summary"])
    assert metrics(summed(own.users)) == pytest.approx(own.as_json()["summary"])


def test_baselines_are_refused_where_the_text_is_not_the_callers_own(
    nwp: Nwp, corpus: Path, bundle: Path, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = replace(load_corpus(str(corpus)), own=False)
    with pytest.raises(Refused, match="not yours to pool") as raised:
        evaluate_bundle(theirs, bundle, EvaluateOptions(baselines=USUAL))
    monkeypatch.setattr("nwp.corpus.load.load_corpus", lambda *_, **__: theirs)

    said = nwp("evaluate", corpus, "--model", bundle, "--baselines", "--json").error("refused")

    assert raised.value.exit_code == EXIT_CODES["refused"] == 4
    assert "Leave --baselines out" in said
    assert files_in(own_place) == {}


def test_rows_withheld_are_told_in_the_table(
    nwp: Nwp, corpus: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = replace(load_corpus(str(corpus)), own=False)
    monkeypatch.setattr("nwp.corpus.load.load_corpus", lambda *_, **__: theirs)

    done = nwp("evaluate", corpus, "--model", bundle, "--processes", 1)

    assert "user0" not in done.out
    assert "rows of 6 users are withheld by their owners" in done.out


def test_a_worker_that_does_not_answer_makes_no_partial_sum(
    corpus: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = Datasite.serve

    def silent(self: Datasite) -> None:
        if "worker-2" not in str(self.client.email):
            serve(self)

    monkeypatch.setattr(Datasite, "serve", silent)

    with pytest.raises(NoQuorum, match="1 workers did not answer; worker-2"):
        evaluate_bundle(load_corpus(str(corpus)), bundle, replace(OPTIONS, workers=3))


def test_a_part_without_words_is_an_error_that_names_another(nwp: Nwp, bundle: Path) -> None:
    few = write_corpus(Path("few.jsonl"), {"ann": ["see you"] * 3})

    words = ("evaluate", few, "--model", bundle, "--processes", 1, "--split", "valid")
    said = nwp(*words, "--baselines", "--json").error("bad-corpus")

    assert "the valid part of few.jsonl has no words" in said
    assert "--split all" in said


def test_lines_left_out_are_counted_on_standard_error(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    mixed = Path("mixed.jsonl")
    mixed.write_text("no json\n" + corpus.read_text())
    words = ("evaluate", mixed, "--model", bundle, "--processes", 1, "--json")

    done = nwp(*words, "--skip-bad-lines")

    assert len(done.result()["users"]) == 6
    assert "left out: 1 x bad line" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ami", "shakespeare", "ubuntu_irc"])
def test_users_of_a_real_corpus_are_trained_on_and_evaluated(
    nwp: Nwp, real_corpora: Path, name: str
) -> None:
    source = real_corpora / f"{name}.jsonl.gz"
    users = sorted(load_corpus(str(source)).users)[:3]
    lines = [
        json.dumps({"user": user, "text": text})
        for user, texts in load_corpus(str(source)).users.items()
        for text in texts[:100]
        if user in users
    ]
    Path("few.jsonl").write_text("\n".join(lines), encoding="utf-8")

    nwp("train", "few.jsonl", "--out", "m", *TINY, "--rounds", 2, "--json").result()
    words = ("evaluate", source, "--model", "m", "--users", ",".join(users), "--json")
    found = nwp(*words, "--processes", 1).result()

    assert [row["user"] for row in found["users"]] == users
    assert 1 < found["summary"]["perplexity"] < 1000
