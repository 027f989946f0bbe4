from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_exports import (
    SPELLINGS,
    check_bytes,
    check_cut,
    check_memory,
    check_read,
    check_spoilt,
    names,
    read,
    recognised,
    spelt,
    spoilt,
    texts,
)
from reading import said

from nwp.corpus.readers.matrix import READER
from nwp.corpus.types import Message, Tally

NOON = datetime(2024, 5, 4, 12, tzinfo=UTC)
ANN, BEN = "@ann:x.org", "@ben:x.org"


def event(kind: str, content: Any, sender: str = ANN, at: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "sender": sender,
        "content": content,
        "origin_server_ts": int(NOON.timestamp() + at) * 1000,
        "event_id": f"$e{at}",
        "room_id": "!r:x.org",
        **more,
    }


def text(
    body: Any, sender: str = ANN, at: int = 0, sort: Any = "m.text", **more: Any
) -> dict[str, Any]:
    return event("m.room.message", {"msgtype": sort, "body": body, **more}, sender, at)


def member(name: Any, who: str = ANN, at: int = 0) -> dict[str, Any]:
    content = {"membership": "join", "displayname": name}
    return event("m.room.member", content, who, at, state_key=who)


def edit(body: str, of: str, sender: str = ANN, at: int = 0) -> dict[str, Any]:
    relation = {"rel_type": "m.replace", "event_id": of}
    new = {"msgtype": "m.text", "body": body}
    return text(f"* {body}", sender, at, **{"m.new_content": new, "m.relates_to": relation})


def reply(body: str, at: int = 0) -> dict[str, Any]:
    return text(body, at=at, **{"m.relates_to": {"m.in_reply_to": {"event_id": "$e0"}}})


def room(*events: Any) -> dict[str, Any]:
    return {
        "room_name": "Tea",
        "room_creator": "Ann",
        "topic": "",
        "export_date": "04/05/2024",
        "exported_by": ANN,
        "messages": list(events),
    }


HELLO = [member("Ann"), text("hi"), text("yes", BEN)]
SAID = [("Ann", "hi"), (BEN, "yes")]

READ: dict[str, tuple[Any, list[tuple[str, str]], dict[str, int]]] = {
    "a room": (room(*HELLO), SAID, {"event": 1}),
    "a list": (HELLO, SAID, {"event": 1}),
    "a page of a server": ({"chunk": HELLO, "start": "a", "end": "b"}, SAID, {"event": 1}),
    "newest first": (
        {"chunk": [text("c", at=2), text("b", at=1), text("a", at=0)]},
        [(ANN, "a"), (ANN, "b"), (ANN, "c")],
        {},
    ),
    "in no order": (
        room(text("c", at=2), text("a", at=0), text("b", at=1)),
        [(ANN, "c"), (ANN, "a"), (ANN, "b")],
        {},
    ),
    "sorts": (
        room(
            text("waves", sort="m.emote"),
            text("Build failed", sort="m.notice"),
            text("a.png", sort="m.image"),
            text("a.ogg", sort="m.audio", filename="a.ogg"),
            text("look", sort="m.image", filename="a.png"),
            text("geo", sort="m.location"),
            text("** Unable to decrypt **", sort="m.bad.encrypted"),
            event("m.sticker", {"body": "cat"}),
            event("m.room.encrypted", {"ciphertext": "x"}),
            event("m.room.topic", {"topic": "Tea"}),
            text("hi", sort=None),
        ),
        [(ANN, "look"), (ANN, "hi")],
        {"action": 1, "notice": 1, "media": 3, "event": 4},
    ),
    "taken back": (
        room(
            event("m.room.message", {}),
            event("m.room.message", {"body": "x"}, unsigned={"redacted_because": {}}),
            event("m.room.redaction", {"redacts": "$e0"}),
            text(""),
            text(5),
            text("hi"),
        ),
        [(ANN, "hi")],
        {"deleted message": 2, "event": 1, "empty message": 2},
    ),
    "edited": (
        room(
            text("tee", at=1),
            text("hi", BEN, at=2),
            edit("tea?", "$e1", at=3),
            edit("tea!", "$e1", at=4),
            edit("coffee", "$e2", at=5),
        ),
        [(BEN, "hi"), (ANN, "tea!"), (ANN, "coffee")],
        {"earlier version": 2},
    ),
    "edited before the export begins": (
        room(edit("tea", "$lost", at=1)),
        [(ANN, "tea")],
        {},
    ),
    "replies": (
        room(
            reply("> <@ben:x.org> tea?\n> now\n\nyes\n\n> a quotation", 1),
            reply("> * <@ben:x.org> waves\n\nhi", 2),
            reply("> my own quotation\n\nyes", 3),
            reply("> <@ben:x.org> only that", 4),
            text("> <@ben:x.org> tea?\n\nno reply", at=5),
            reply("plain", 6),
        ),
        [
            (ANN, "yes\n\n> a quotation"),
            (ANN, "hi"),
            (ANN, "> my own quotation\n\nyes"),
            (ANN, "> <@ben:x.org> tea?\n\nno reply"),
            (ANN, "plain"),
        ],
        {"empty message": 1},
    ),
    "names": (
        room(
            member("Annie", at=0),
            text("a", at=1),
            member("Ann", at=2),
            member(None, at=3),
            member("ann", BEN, at=4),
            text("b", BEN, at=5),
        ),
        [("Ann (@ann:x.org)", "a"), ("ann (@ben:x.org)", "b")],
        {"event": 4},
    ),
    "no author": (
        room(text("a"), text("b", sender="")),
        [(ANN, "a")],
        {"no author": 1},
    ),
    "no objects": (
        room(text("a"), 1, None, "text", [text("b")]),
        [(ANN, "a")],
        {"bad line": 4},
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", READ)
def test_each_form_is_read_and_what_is_left_out_is_counted(name: str, spelling: str) -> None:
    check_read(READER, spelling, *READ[name])


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (int(NOON.timestamp() * 1000) + 5, NOON + timedelta(milliseconds=5)),
        (str(int(NOON.timestamp() * 1000)), NOON),
        (1e300, None),
        ([], None),
        (True, None),
        ("noon", None),
    ],
)
def test_times(stamp: Any, expected: datetime | None) -> None:
    data = json.dumps(room({**text("a"), "origin_server_ts": stamp})).encode()
    assert read(READER, data) == [Message(ANN, "a", expected)]


def test_rooms_of_a_folder_know_each_others_names() -> None:
    files = {
        "a/export.json": json.dumps(room(text("a"))).encode(),
        "b/export.json": json.dumps(room(member("Ann"))).encode(),
        "b/files/note.txt": b"attached",
    }
    tally = Tally()
    assert recognised(files) == ["matrix"]
    assert said(read(READER, files, tally)) == [("Ann", "a")]
    assert tally.skipped == {"other file": 1, "event": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        json.dumps([{"type": "message", "sender": "@ann:x.org", "event_id": "x"}]).encode(),
        json.dumps({"note": json.dumps(room(*HELLO))}).encode(),
        b'about "type": "m.room.message" and "sender": "@ann" with "event_id": 1',
    ],
)
def test_what_is_not_of_matrix_is_not_taken_for_it(data: bytes) -> None:
    assert recognised(data) == []


people = st.lists(names, min_size=1, max_size=4, unique_by=str.casefold)


@given(
    people,
    st.lists(st.tuples(st.integers(0, 3), texts, st.booleans()), max_size=8),
    st.sampled_from(["room", "list", "chunk"]),
    spelt,
)
def test_a_room_reads_back_as_it_was_written(
    who: list[str], lines: list[tuple[int, str, bool]], form: str, spelling: Any
) -> None:
    events = [member(name, f"@{i}:x.org", at=i) for i, name in enumerate(who)]
    expected = []
    for at, (author, body, edited) in enumerate(lines, 10):
        sender = f"@{author % len(who)}:x.org"
        if edited:
            events += [text("wrong", sender, at), edit(body, f"$e{at}", sender, at + 100)]
        else:
            events.append(text(body, sender, at + 100))
        time = NOON + timedelta(seconds=at + 100)
        expected.append(Message(who[author % len(who)], body, time))
    if form == "chunk" and len(lines) > 1:
        events.reverse()
    value = {"room": room(*events), "list": events, "chunk": {"chunk": events}}[form]
    assert read(READER, spelling(value)) == expected


@given(spoilt(room(member("Ann"), text("a", at=1), edit("b", "$e1", at=2), text("c", BEN, at=3))))
def test_whatever_stands_in_an_export_nothing_is_invented(value: Any) -> None:
    check_spoilt(READER, value)


def test_what_comes_before_damage_is_kept_if_one_is_lenient() -> None:
    events = [text(f"text {i}", at=i) for i in range(4)]
    check_cut(READER, json.dumps(room(*events), indent=2).encode())


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_raise_nothing_else(data: bytes, lenient: bool) -> None:
    check_bytes(READER, data, lenient)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, -1])
def test_a_long_room_is_streamed(tmp_path: Path, step: int) -> None:
    path = tmp_path / "export.json"
    head, tail = json.dumps(room()).split("[]")
    with path.open("w") as file:
        file.write(f"{head}[")
        for i in range(200_000)[::step]:
            item = text(f"message number {i}", f"@{i % 50}:x.org", i)
            file.write((", " if file.tell() > len(head) + 1 else "") + json.dumps(item))
        file.write(f"]{tail}")
    check_memory(READER, path, 200_000)
