from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nwp.corpus.load import known_corpora, load_corpus
from nwp.files import shipped

UNSEEN = 20

# User to messages, in the file's order: read here without the reader.
Rows = dict[str, list[dict[str, str]]]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower().replace("’", "'"))


@pytest.fixture(scope="module")
def path() -> Path:
    return shipped("corpora") / "sample.jsonl"


@pytest.fixture(scope="module")
def rows(path: Path) -> Rows:
    found: Rows = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["user"], []).append(row)
    return found


@pytest.fixture(scope="module")
def typed(rows: Rows) -> dict[str, list[list[str]]]:
    return {user: [words(row["text"]) for row in mine] for user, mine in rows.items()}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    data = json.loads((shipped("corpora") / "manifest.json").read_text(encoding="utf-8"))
    [entry] = [entry for entry in data["corpora"] if entry["name"] == "sample"]
    found: dict[str, Any] = entry
    return found


def test_there_are_many_users_with_much_text_each(typed: dict[str, list[list[str]]]) -> None:
    assert len(typed) >= 24
    for user, messages in typed.items():
        assert len(messages) >= 150, user
        assert sum(map(len, messages)) >= 1_500, user
    assert sum(len(message) for mine in typed.values() for message in mine) >= 36_000


def test_users_lie_together_in_order_of_their_ids_and_messages_in_order_of_time(
    path: Path, rows: Rows
) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    users = [json.loads(line)["user"] for line in lines]
    assert users == sorted(users)
    for mine in rows.values():
        times = [datetime.fromisoformat(row["time"]) for row in mine]
        assert all(a <= b for a, b in pairwise(times))
        assert all(time.tzinfo for time in times)


def test_the_reader_changes_nothing(rows: Rows) -> None:
    corpus = load_corpus("sample")
    assert corpus.users == {user: tuple(row["text"] for row in mine) for user, mine in rows.items()}
    assert (dict(corpus.skipped), corpus.unordered) == ({}, 0)


def test_the_manifest_says_what_the_file_holds(
    path: Path, typed: dict[str, list[list[str]]], manifest: dict[str, Any]
) -> None:
    counted = [
        {"user": user, "messages": len(mine), "words": sum(map(len, mine))}
        for user, mine in typed.items()
    ]
    assert manifest["users"] == counted
    assert manifest["messages"] == sum(user["messages"] for user in counted)
    assert manifest["words"] == sum(user["words"] for user in counted)
    assert manifest["file"] == path.name
    assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    known = known_corpora()["sample"]
    assert (known.users, known.words) == (len(counted), manifest["words"])


def test_hardly_a_message_of_four_words_or_more_stands_twice(
    typed: dict[str, list[list[str]]],
) -> None:
    long = [tuple(message) for mine in typed.values() for message in mine if len(message) >= 4]
    assert len(long) > 3_000
    assert len(long) - len(set(long)) < 0.01 * len(long)


def test_hardly_a_five_word_phrase_is_shared_by_two_users(
    typed: dict[str, list[list[str]]],
) -> None:
    users: Counter[tuple[str, ...]] = Counter()
    for mine in typed.values():
        users.update({tuple(m[i : i + 5]) for m in mine for i in range(len(m) - 4)})
    assert len(users) > 20_000
    assert sum(number > 1 for number in users.values()) < 0.02 * len(users)


def test_word_counts_alone_tell_who_wrote_twenty_unseen_messages(
    typed: dict[str, list[list[str]]],
) -> None:
    seen = {user: Counter(w for m in mine[:-UNSEEN] for w in m) for user, mine in typed.items()}
    known = set().union(*seen.values())

    def likelihood(text: list[str], counts: Counter[str]) -> float:
        total = counts.total() + 0.5 * len(known)
        return sum(math.log((counts[w] + 0.5) / total) for w in text if w in known)

    named = 0
    for user, mine in typed.items():
        unseen = [word for message in mine[-UNSEEN:] for word in message]
        named += max(seen, key=lambda author: likelihood(unseen, seen[author])) == user
    assert named >= 0.8 * len(typed)
