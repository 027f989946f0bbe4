from __future__ import annotations

import gc
import os
import pickle
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwp.corpus.split import ByPlace, Chosen, Part, part_of
from nwp.corpus.store import Names, store
from nwp.corpus.types import Message

TIMES = st.none() | st.datetimes(
    timezones=st.none() | st.integers(-1_439, 1_439).map(lambda m: timezone(timedelta(minutes=m)))
)
MESSAGES = st.lists(
    st.builds(
        Message,
        user=st.sampled_from(["ann", "ben", "Zoë", "ζ"]) | st.text(st.characters(codec="utf-8")),
        text=st.text(st.characters(codec="utf-8"), max_size=20),
        time=TIMES,
    ),
    max_size=40,
)


def by_user(messages: list[Message]) -> dict[str, tuple[str, ...]]:
    """The same with all messages in memory, as plainly as can be."""
    found = {}
    for user in sorted({m.user for m in messages}):
        mine = [m for m in messages if m.user == user]
        if all(m.time for m in mine):
            mine.sort(key=lambda m: m.time if m.time.tzinfo else m.time.replace(tzinfo=UTC))  # type: ignore
        found[user] = tuple(m.text for m in mine)
    return found


@given(MESSAGES)
@example([])
@example([Message("a", ""), Message("a", "x"), Message("b", "")])
@example([Message("b", "é", datetime(9999, 12, 31)), Message("b", "x", datetime(1, 1, 1))])
def test_stored_messages_are_those_of_each_user_in_order_of_time(messages: list[Message]) -> None:
    users, unordered = store(messages)
    assert dict(users) == by_user(messages)
    assert list(users) == sorted(users)
    assert users.messages == len(messages)
    partly = {m.user for m in messages if m.time} & {m.user for m in messages if not m.time}
    assert unordered == len(partly)


def test_messages_need_not_fit_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda handle, size, at: real(handle, min(size, 3), at))
    users, _ = store(
        [Message("ann", "a long message"), Message("ben", "x"), Message("ann", "more")]
    )
    assert dict(users) == {"ann": ("a long message", "more"), "ben": ("x",)}


def test_a_user_who_is_not_there_is_not_found() -> None:
    users, _ = store([Message("ann", "x")])
    assert "ben" not in users
    with pytest.raises(KeyError):
        users["ben"]
    with pytest.raises(KeyError):
        Chosen(users, ())["ann"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no list of open files here")
def test_they_are_not_handed_to_another_process() -> None:
    """There, the file's number would be that of another file."""
    users, _ = store([Message("ann", "hello")])
    with pytest.raises(TypeError, match="hand over some users' messages"):
        pickle.dumps(users)


def test_files_are_closed_when_nobody_reads_them_any_more() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    users, _ = store([Message("ann", "x"), Message("ben", "y"), Message("ann", "z")])
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    del users
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@given(st.sets(st.text(max_size=5)), st.text(max_size=5))
@example(set(), "")
@example({"", "\ud800", "\ue000", "\U00010000", "a", "ab"}, "\udfff")
def test_names_are_found_where_they_stand(some: set[str], other: str) -> None:
    ordered = sorted(some)
    names = Names(ordered)
    assert list(names) == ordered
    assert [names.index(name) for name in ordered] == list(range(len(ordered)))
    assert names[1:] == ordered[1:]
    assert (other in names) == (other in some)
    assert 7 not in names
    with pytest.raises(IndexError):
        names[len(ordered)]


def test_users_are_read_by_place() -> None:
    users, _ = store([Message(u, f"{u} {i}") for u in ("ann", "ben", "cas") for i in range(2)])
    placed = ByPlace(users, ["cas", "ann"])
    assert [placed[0], placed[1]] == [("cas 0", "cas 1"), ("ann 0", "ann 1")]
    assert list(placed[1:]) == [("ann 0", "ann 1")]
    assert len(placed) == 2


def test_parts_and_choices_are_views() -> None:
    users, _ = store([Message(u, str(i)) for u in ("ann", "ben", "cas") for i in range(10)])
    chosen = Chosen(users, ("ann", "cas"))
    assert dict(chosen) == {u: users[u] for u in ("ann", "cas")}
    assert "ben" not in chosen
    assert dict(Part(chosen, "valid")) == {u: part_of(users[u], "valid") for u in ("ann", "cas")}
    assert len(Part(chosen, "valid")) == 2
