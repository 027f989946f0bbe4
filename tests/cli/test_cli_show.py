from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import Nwp, write_corpus

from nwp.cli.output import out
from nwp.cli.profile import histogram_lines, print_profile

KEYS = {
    *("name", "format", "users", "messages", "words", "distinct_words", "words_per_message"),
    *("time", "words_per_user", "messages_per_user", "histogram", "oov", "model", "vocabulary"),
    *("duplicates", "languages", "scripts", "typical", "skipped", "remarks", "unordered"),
}


@pytest.fixture
def mixed(own_place: Path) -> Path:
    """Some of what there is to warn of."""
    users = {
        "ann": ["see you tomorrow at the pond"] * 30 + [" "],
        "mei": ["明天见"] * 20,
        "asha": ["नमस्ते"] * 10,
        "esc\x1b[31m": ["\x1b[2Jboo\nand boo again"],
    }
    return write_corpus(own_place / "mixed.jsonl", users)


def test_a_corpus_is_shown_on_one_screen(nwp: Nwp) -> None:
    shown = nwp("corpus", "show", "sample").out
    lines = shown.splitlines()

    assert lines[0] == "sample: 32 users, 6,740 messages, 71,537 words"
    assert lines[1] == "read as jsonl; 2025-01-03 to 2025-11-13"
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert not any(line != line.rstrip() for line in lines if "words per user" not in line and line)
    assert "English 100.0%" in shown
    assert re.search(r"unknown words  \d+\.\d% to the model 'chat'; \d\.\d% to a vocabulary", shown)
    assert "\x1b" not in shown


def test_json_has_all_of_it_as_numbers(nwp: Nwp) -> None:
    found = nwp("corpus", "show", "sample", "--json").result()

    assert set(found) == KEYS
    assert found["time"]["missing"] == 0
    assert sum(found["histogram"]["counts"]) == found["users"] == 32
    assert set(found["oov"]) == {"model", "own_vocabulary"}
    assert set(found["words_per_user"]) == {
        *("min", "p10", "p25", "median", "p75", "p90", "max", "mean")
    }
    assert list(found["languages"]) == ["en"]


def test_a_user_a_model_and_a_vocabulary_can_be_named(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    words = ("corpus", "show", corpus, "--user", "user3", "--model", bundle, "--vocabulary", "5")
    found = nwp(*words, "--json").result()

    assert list(found["typical"]) == ["user3"]
    assert (found["model"], found["vocabulary"]) == (bundle.name, 5)
    assert found["oov"]["model"] < 0.2 < found["oov"]["own_vocabulary"]


def test_warnings_say_in_a_sentence_what_nwp_cannot_learn(nwp: Nwp, mixed: Path) -> None:
    shown = " ".join(nwp("corpus", "show", mixed).out.split())

    assert (
        "20 words (8.9%) are in Han, which puts no spaces between words: nwp can't learn them yet"
        in shown
    )
    assert "20 words (8.9%) are in Devanagari, whose vowel signs" in shown
    assert "left out 1 x empty message" in shown
    assert "no message has a time" in shown


def test_no_control_character_reaches_the_terminal(nwp: Nwp, mixed: Path) -> None:
    shown = nwp("corpus", "show", mixed, "--user", "esc\x1b[31m").out
    sampled = nwp("corpus", "sample", mixed, "--user", "esc\x1b[31m").out

    assert "\x1b" not in shown + sampled
    assert sampled == "esc[31m: [2Jboo\n    and boo again\n"


def test_an_unknown_user_or_format_is_refused(nwp: Nwp) -> None:
    assert "nadia" in nwp("corpus", "show", "sample", "--user", "nadai", "--json").error(
        "bad-settings"
    )
    assert "jsonl" in nwp("corpus", "show", "sample", "--format", "none", "--json").error(
        "bad-settings"
    )
    assert "no user" in nwp("corpus", "sample", "sample", "--user", "x", "--json").error(
        "bad-settings"
    )


def test_rare_lines_are_printed_where_there_is_something_to_say(
    nwp: Nwp,
) -> None:
    found = nwp("corpus", "show", "sample", "--json").result()
    found["remarks"] = {"line that is no UTF-8, read as Windows-1252": 1_200}
    found["time"]["missing"] = 40
    found["unordered"] = 1
    found["scripts"]["marks apart"] = {"Arabic": 900, "Hebrew": 100}
    found["languages"] = {
        "en": 0.6,
        "de": 0.2,
        "fr": 0.1,
        "it": 0.04,
        "es": 0.03,
        "zz": 0.02,
        "xx": 0.01,
    }
    found["words_per_user"]["max"] = 123_456
    found["messages_per_user"]["max"] = 12_345_678
    with out().capture() as caught:
        print_profile(found)
    shown = " ".join(caught.get().split())

    assert "1,200 x line that is no UTF-8, read as Windows-1252" in shown
    assert "40 of 6,740 messages have no time" in shown
    assert "1 user in the order of the source" in shown
    assert "1,000 words are cut at accents or vowel points" in shown
    assert "(Arabic, Hebrew)" in shown
    assert (
        "English 60.0%, German 20.0%, French 10.0%, Italian 4.0%, Spanish 3.0%, others 3.0%"
        in shown
    )
    assert "123k" in shown
    assert "12.3M" in shown


def test_bars_are_as_long_as_their_counts_and_none_that_counts_is_without() -> None:
    histogram = {"edges": [0, 1, 2, 5, 10_000], "counts": [0, 1, 50, 1_000]}
    lines = list(histogram_lines(histogram, 60))

    assert lines[0] == "     words  users"
    assert lines[1] == "         0      0"
    assert lines[2] == "         1      1  ▏"
    assert lines[3] == "    2 to 4     50  ██"
    assert lines[4] == "5 to 9,999  1,000  " + "█" * 41
    assert list(histogram_lines(histogram, 60, unicode=False))[2:4] == [
        "         1      1  #",
        "    2 to 4     50  ##",
    ]


def test_a_table_is_shown_by_its_columns(nwp: Nwp, own_place: Path) -> None:
    Path("chat.csv").write_text("who,when,what\nann,03/04/2024,see you\nbob,05/04/2024,bye now\n")
    words = ("chat.csv", "--columns", "user=who,text=what,time=when", "--dates", "dmy", "--json")

    shown = nwp("corpus", "show", *words).result()
    sampled = nwp("corpus", "sample", *words).result()

    assert (shown["users"], shown["time"]["last"][:10]) == (2, "2024-04-05")
    assert [row["text"] for row in sampled["messages"]] == ["see you", "bye now"]
    assert "dates" in nwp("corpus", "show", "chat.csv", "--dates", "x", "--json").error(
        "bad-settings"
    )


def test_a_sample_prints_ten_messages_or_as_many_as_asked(nwp: Nwp) -> None:
    ten = nwp("corpus", "sample", "sample").out.splitlines()
    three = nwp("corpus", "sample", "sample", "-n", "3", "--seed", "5", "--json").result()

    assert len(ten) == 10
    assert all(re.match(r"\w+: ", line) for line in ten)
    assert len(three["messages"]) == 3
    assert set(three["messages"][0]) == {"user", "text", "time"}


def test_a_smaller_corpus_is_written_and_can_be_read(nwp: Nwp) -> None:
    words = ("corpus", "sample", "sample", "--users", "3", "-n", "5", "--out", "small.jsonl.gz")
    said = nwp(*words).out

    assert said == "small.jsonl.gz: 15 messages of 3 users\n"
    assert nwp("corpus", "show", "small.jsonl.gz", "--json").result()["messages"] == 15
    assert "exists" in nwp(*words, "--json").error("bad-input")
    assert nwp(*words, "--force", "--json").result()["users"] == 3


@pytest.mark.parametrize("flags", [("--users", "3"), ("--force",)])
def test_what_is_for_writing_needs_a_file(nwp: Nwp, flags: tuple[str, ...]) -> None:
    assert "--out" in nwp("corpus", "sample", "sample", *flags, "--json").error("bad-settings")


def test_help_has_an_example(nwp: Nwp) -> None:
    for command in ("show", "sample"):
        assert f"nwp corpus {command} sample" in nwp("corpus", command, "--help").out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ami", "shakespeare", "ubuntu_irc"])
def test_a_real_corpus_is_shown_as_its_lines_say(nwp: Nwp, real_corpora: Path, name: str) -> None:
    import gzip

    source = real_corpora / f"{name}.jsonl.gz"
    with gzip.open(source, "rb") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]

    found = nwp("corpus", "show", source, "--json").result()

    assert found["messages"] == sum(bool(row["text"].strip()) for row in rows)
    assert found["users"] == len({row["user"] for row in rows})
    assert found["languages"]["en"] > 0.98
    assert 0.005 < found["oov"]["own_vocabulary"] < 0.05
