from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from nwp.errors import BadBundle, BadCorpus, BadInput, BadSettings
from nwp.tasks.showing import sample_messages, show_corpus, write_sample

ROWS = [
    {"user": "ann", "text": "see you at the pond", "time": "2024-05-02T08:00:00+02:00"},
    {"user": "bob", "text": "bring bread for the ducks", "time": "2024-05-01T23:30:00-03:00"},
    {"user": "ann", "text": "the ducks are asleep", "time": "2024-05-02T07:00:00"},
    {"user": "bob", "text": "  ", "time": "1999-01-01"},
    {"user": "bob", "text": "then we go home"},
    {"user": "cy", "text": "home it is"},
]


def written(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def pond(tmp_path: Path) -> str:
    return written(tmp_path / "pond.jsonl", ROWS)


@pytest.fixture
def crowd(tmp_path: Path) -> str:
    """Thirty users, whose messages are mingled, of up to ten messages each."""
    rows = [
        {"user": f"u{u:02}", "text": f"message {i} of u{u:02}", "time": f"2024-01-{i + 1:02}"}
        for i in range(10)
        for u in range(30)
        if i <= u
    ]
    return written(tmp_path / "crowd.jsonl", rows)


def lines_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_all_is_told_of_a_corpus(pond: str) -> None:
    found = show_corpus(pond, vocabulary=3)
    assert found["name"] == pond
    assert (found["format"], found["users"], found["messages"], found["words"]) == (
        "jsonl",
        3,
        5,
        21,
    )
    assert found["skipped"] == {"empty message": 1}
    assert (found["remarks"], found["unordered"]) == ({}, 1)
    assert (found["model"], found["vocabulary"]) == ("chat", 3)
    assert 0 <= found["oov"]["model"] < found["oov"]["own_vocabulary"] < 1
    assert set(found["typical"]) == {"ann", "bob", "cy"}


def test_the_span_of_time_is_told_in_order_of_time_not_of_the_clock(pond: str) -> None:
    found = show_corpus(pond)["time"]
    # Half past two by UTC is before six. What is left out has no part in it.
    assert found == {
        "first": "2024-05-01T23:30:00-03:00",
        "last": "2024-05-02T07:00:00+00:00",
        "missing": 2,
    }


def test_a_corpus_without_times_has_no_span(tmp_path: Path) -> None:
    source = written(tmp_path / "plain.jsonl", [{"user": "ann", "text": "see you"}])
    assert show_corpus(source)["time"] == {"first": None, "last": None, "missing": 1}


def test_one_users_typical_words_can_be_asked_for(pond: str) -> None:
    assert list(show_corpus(pond, user="bob")["typical"]) == ["bob"]
    with pytest.raises(BadSettings, match="no user 'bop'") as caught:
        show_corpus(pond, user="bop")
    assert "bob" in caught.value.hint


def test_what_cannot_be_shown_is_refused(pond: str, tmp_path: Path) -> None:
    with pytest.raises(BadCorpus):
        show_corpus(str(tmp_path / "none.jsonl"))
    with pytest.raises(BadBundle):
        show_corpus(pond, model=tmp_path)


def test_bad_lines_are_left_out_where_asked(tmp_path: Path, pond: str) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(Path(pond).read_text() + "no\n")
    with pytest.raises(BadCorpus):
        show_corpus(str(broken))
    assert show_corpus(str(broken), skip_bad_lines=True)["skipped"]["bad line"] == 1


def test_a_sample_is_some_messages_in_the_order_of_the_source(crowd: str) -> None:
    everything = sample_messages(crowd, 10_000)
    assert len(everything) == 255
    some = sample_messages(crowd, 20, seed=3)
    places = [everything.index(message) for message in some]
    assert places == sorted(set(places))
    assert len(places) == 20
    assert some == sample_messages(crowd, 20, seed=3) != sample_messages(crowd, 20, seed=4)


def test_every_message_is_drawn_as_often(crowd: str) -> None:
    drawn = Counter(m.text for seed in range(400) for m in sample_messages(crowd, 50, seed=seed))
    assert len(drawn) == 255
    # 78 each are expected, with a deviation of 8.
    assert min(drawn.values()) > 45
    assert max(drawn.values()) < 112


def test_a_sample_of_one_user_is_theirs_alone(crowd: str) -> None:
    found = sample_messages(crowd, 5, user="u07")
    assert len(found) == 5
    assert {m.user for m in found} == {"u07"}
    with pytest.raises(BadSettings, match="no user 'u7'"):
        sample_messages(crowd, 5, user="u7")


def test_a_smaller_corpus_has_all_messages_of_some_users(crowd: str, tmp_path: Path) -> None:
    out = tmp_path / "small.jsonl.gz"
    told = write_sample(crowd, out, users=4, seed=1)
    rows = lines_of(out)
    names = {row["user"] for row in rows}
    assert len(names) == told["users"] == 4
    with Path(crowd).open(encoding="utf-8") as lines:
        whole = [row for row in map(json.loads, lines) if row["user"] in names]
    assert [(r["user"], r["text"]) for r in rows] == [(r["user"], r["text"]) for r in whole]
    assert [row["time"][:10] for row in rows] == [row["time"] for row in whole]
    assert told == {
        "out": str(out),
        "format": "jsonl",
        "users": 4,
        "messages": len(rows),
        "skipped": {},
    }


def test_users_of_a_smaller_corpus_have_so_many_messages_at_most(
    crowd: str, tmp_path: Path
) -> None:
    out = tmp_path / "small.jsonl.gz"
    write_sample(crowd, out, each=3)
    counts = Counter(row["user"] for row in lines_of(out))
    assert counts == {f"u{u:02}": min(u + 1, 3) for u in range(30)}
    drawn = {row["text"].split()[1] for row in lines_of(out)}
    assert len(drawn) > 5  # not the first three
    write_sample(crowd, out, each=3, user="u20", force=True)
    assert Counter(row["user"] for row in lines_of(out)) == {"u20": 3}


def test_equal_seeds_give_equal_bytes_and_others_give_others(crowd: str, tmp_path: Path) -> None:
    made = []
    for seed in (1, 1, 2):
        out = tmp_path / f"{len(made)}.jsonl.gz"
        write_sample(crowd, out, users=5, each=2, seed=seed)
        made.append(out.read_bytes())
    assert made[0] == made[1] != made[2]


def test_more_users_than_there_are_is_all_of_them(crowd: str, tmp_path: Path) -> None:
    assert write_sample(crowd, tmp_path / "all.jsonl", users=99)["users"] == 30


def test_a_sample_may_replace_its_own_source(crowd: str) -> None:
    write_sample(crowd, Path(crowd), users=2, seed=1, force=True)
    assert len({m.user for m in sample_messages(crowd, 999)}) == 2


def test_what_was_skipped_is_counted_once(pond: str, tmp_path: Path) -> None:
    told = write_sample(pond, tmp_path / "small.jsonl", users=3)
    assert told["skipped"] == {"empty message": 1}
    assert told["messages"] == 5


def test_a_sample_that_cannot_be_is_refused(crowd: str, tmp_path: Path) -> None:
    out = tmp_path / "small.jsonl.gz"
    with pytest.raises(BadSettings, match="whole corpus"):
        write_sample(crowd, out)
    with pytest.raises(BadSettings, match="exclude"):
        write_sample(crowd, out, users=2, user="u01")
    with pytest.raises(BadSettings, match="no user 'x'"):
        write_sample(crowd, out, user="x")
    out.write_text("mine")
    with pytest.raises(BadInput, match="exists"):
        write_sample(crowd, out, users=2)
    assert out.read_text() == "mine"


def test_a_corpus_of_nothing_has_no_sample(tmp_path: Path) -> None:
    source = written(tmp_path / "empty.jsonl", [{"user": "ann", "text": " "}])
    with pytest.raises(BadCorpus, match="no messages"):
        sample_messages(source, 3)
    with pytest.raises(BadCorpus, match="no messages"):
        write_sample(source, tmp_path / "out.jsonl", users=1)
    assert not (tmp_path / "out.jsonl").exists()
