from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from command_line import Nwp, write_corpus

from nwp.text.tokenizer import words_of

KINDS = ("size", "lengths", "words", "unknown", "perplexity")
KEYS = {"query", "part", "workers", "users", "epsilon", "result", "refused"}
HERE = ("--processes", "1", "--json")


def counted(corpus: Path) -> tuple[int, Counter[str]]:
    """Messages and words of a corpus, by hand."""
    texts = [json.loads(line)["text"] for line in corpus.read_text().splitlines()]
    return len(texts), Counter(word for text in texts for word in words_of(text))


def test_every_query_is_answered_over_all_workers(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    messages, words = counted(corpus)
    found: dict[str, Any] = {}
    for what in KINDS:
        model = ("--model", bundle, "--split", "all") if what in ("unknown", "perplexity") else ()
        found[what] = nwp("query", corpus, what, *model, *HERE).result()
        assert set(found[what]) == KEYS
        told = {name: found[what][name] for name in ("query", "part", "workers", "users")}
        assert told == {"query": what, "part": "all", "workers": 2, "users": 6}
        assert (found[what]["epsilon"], found[what]["refused"]) == (0, {})
    assert found["size"]["result"] == {"messages": messages, "words": words.total()}
    assert sum(one["messages"] for one in found["lengths"]["result"]["bins"]) == messages
    assert found["unknown"]["result"]["words"] == words.total()
    best = found["words"]["result"]["words"]
    assert {one["word"].lower(): one["count"] for one in best}.items() <= words.items()
    evaluated = nwp("evaluate", corpus, "--model", bundle, "--split", "all", *HERE).result()
    perplexity = found["perplexity"]["result"]["perplexity"]
    assert perplexity == pytest.approx(evaluated["summary"]["perplexity"], rel=1e-5)
    assert found["unknown"]["result"]["rate"] == pytest.approx(evaluated["summary"]["oov_rate"])


def test_figures_of_a_model_are_of_the_test_part_unless_told(
    nwp: Nwp, corpus: Path, bundle: Path
) -> None:
    found = nwp("query", corpus, "perplexity", "--model", bundle, *HERE).result()
    assert found["part"] == "test"


@pytest.mark.parametrize("what", KINDS)
def test_the_table_says_what_it_is_a_sum_of(
    nwp: Nwp, corpus: Path, bundle: Path, what: str
) -> None:
    model = ("--model", bundle, "--split", "all") if what in ("unknown", "perplexity") else ()
    done = nwp("query", corpus, what, *model, "--processes", 1)
    assert done.code == 0
    assert "A sum over 2 workers with 6 users, 3 or more on each" in done.out
    assert {
        "size": "messages",
        "lengths": "3-4",
        "words": "count",
        "unknown": "rate",
        "perplexity": "known words",
    }[what] in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_fewer_words_are_shown_on_request(nwp: Nwp, corpus: Path) -> None:
    found = nwp("query", corpus, "words", "--top", 2, *HERE).result()["result"]
    assert len(found["words"]) == 2
    assert found["shared"] > 2


@pytest.mark.parametrize("what", ["size", "lengths", "unknown", "perplexity"])
def test_noise_is_told_of(nwp: Nwp, corpus: Path, bundle: Path, what: str) -> None:
    model = ("--model", bundle, "--split", "all") if what in ("unknown", "perplexity") else ()
    words = ("query", corpus, what, *model, "--epsilon", 0.5, "--per-user", 20)
    found = nwp(*words, *HERE).result()
    assert found["epsilon"] == 0.5
    assert found["result"]["error"]["users"] > 0
    done = nwp(*words, "--processes", 1)
    assert "±" in done.out
    assert "epsilon 0.5" in done.out
    assert "at most 20 messages and 20 words" in done.out.replace("\n", " ").replace("  ", " ")


def test_a_worker_that_refuses_is_named(nwp: Nwp, tmp_path: Path) -> None:
    users = {f"u{i}": ["the cat sat on the mat"] * 10 for i in range(8)}
    corpus = write_corpus(tmp_path / "eight.jsonl", users)
    words = ("query", corpus, "size", "--workers", 3)
    found = nwp(*words, *HERE).result()
    assert (found["workers"], found["users"]) == (2, 6)
    assert set(found["refused"]) == {"worker-3"}
    assert "too few users" in found["refused"]["worker-3"]
    assert "worker-3 is not in it: it has too few users" in nwp(*words).out


REFUSED = [
    (("--min-users", 4), "too few users"),
    (("--min-workers", 3, "--workers", 2), "2 of 2 workers answered, 3 must"),
    (("--workers", 1), "1 of 1 workers answered, 2 must"),
    (("--min-users", 2), "the owner wants 3 or more"),
    (("--epsilon", 3, "--per-user", 9), "the owner allows 1.0"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED, ids=str)
def test_below_a_minimum_nothing_is_told(
    nwp: Nwp, corpus: Path, options: tuple[object, ...], says: str
) -> None:
    assert says in nwp("query", corpus, "size", *options, *HERE).error("no-quorum")
    done = nwp("query", corpus, "size", *options)
    assert (done.code, done.out) == (4, "")
    assert says in done.err


BAD = [
    (("colours",), "no query 'colours'"),
    (("size", "--split", "tset"), "no part 'tset'"),
    (("size", "--min-users", 1), "a single user"),
    (("size", "--min-workers", 1), "never told"),
    (("words", "-k", 1), "a single user"),
    (("words", "--epsilon", 1, "--per-user", 9), "no epsilon for words"),
    (("size", "--epsilon", 1), "--per-user N"),
    (("size", "--per-user", 9), "but no noise"),
    (("size", "--epsilon", "nan", "--per-user", 9), "epsilon = nan"),
    (("size", "--epsilon", -1, "--per-user", 9), "epsilon = -1"),
    (("size", "--model", "m"), "Leave --model out"),
    (("size", "-k", 4), "-k would do nothing here"),
    (("lengths", "--top", 4), "It is for the query words"),
    (("size", "--workers", 99), "between 1 and 6"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=str)
def test_a_query_that_makes_no_sense_says_so(
    nwp: Nwp, corpus: Path, words: tuple[object, ...], says: str
) -> None:
    assert says in nwp("query", corpus, *words, *HERE).error("bad-settings")


def test_a_model_that_is_none_says_so(nwp: Nwp, corpus: Path) -> None:
    nwp("query", corpus, "unknown", "--model", "nowhere", *HERE).error("bad-bundle")


def test_what_makes_no_sense_is_told_before_the_corpus_is_read(nwp: Nwp) -> None:
    nwp("query", "nowhere", "colours", *HERE).error("bad-settings")
    nwp("query", "nowhere", "size", *HERE).error("bad-corpus")
    nwp("query", "nowhere", *HERE).error("usage")
