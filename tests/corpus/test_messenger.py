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
    real,
    recognised,
    spelt,
    spoilt,
    texts,
)
from reading import said

from nwp.corpus.readers import fields, messenger
from nwp.corpus.readers.messenger import READER
from nwp.corpus.types import Message, Tally

NOON = datetime(2024, 5, 4, 12, tzinfo=UTC)


def garbled(text: str) -> str:
    return text.encode().decode("latin-1")


def entry(text: Any, who: Any = "Ann Lee", at: int = 0, **more: Any) -> dict[str, Any]:
    item = {
        "sender_name": garbled(who) if isinstance(who, str) else who,
        "timestamp_ms": int(NOON.timestamp() + at) * 1000,
        "content": garbled(text) if isinstance(text, str) else text,
        "is_geoblocked_for_viewer": False,
        **more,
    }
    return {key: value for key, value in item.items() if value is not None}


def chat(*items: Any) -> dict[str, Any]:
    """Items from the oldest to the newest, as a chat has them the other way round."""
    return {
        "participants": [{"name": "Ann Lee"}, {"name": "Ben"}],
        "messages": list(items)[::-1],
        "title": "Tea",
        "is_still_participant": True,
        "thread_path": "inbox/tea_1",
        "magic_words": [],
    }


def encrypted(text: Any, who: Any = "Ann Lee", at: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "isUnsent": False,
        "media": [],
        "reactions": [],
        "senderName": who,
        "text": text,
        "timestamp": int(NOON.timestamp() + at) * 1000,
        "type": "text",
        **more,
    }


def encrypted_chat(*items: Any) -> dict[str, Any]:
    return {
        "participants": ["Ann Lee", "Ben"],
        "threadName": "Ben_4",
        "messages": list(items)[::-1],
    }


READ: dict[str, tuple[Any, list[tuple[str, str]], dict[str, int]]] = {
    "a chat": (
        chat(entry("Hi"), entry("yes", "Ben", 1)),
        [("Ann Lee", "Hi"), ("Ben", "yes")],
        {},
    ),
    "no times": (
        chat(entry("a", timestamp_ms="x"), entry("b", timestamp_ms=[])),
        [("Ann Lee", "a"), ("Ann Lee", "b")],
        {},
    ),
    "Instagram's": (
        {"messages": [{"sender_name": "Ann", "timestamp_ms": 5, "content": "Hi"}]},
        [("Ann", "Hi")],
        {},
    ),
    "oldest first": (
        {"messages": [entry("a", at=0), entry("b", at=1), entry("c", at=1)]},
        [("Ann Lee", "a"), ("Ann Lee", "b"), ("Ann Lee", "c")],
        {},
    ),
    "garbled letters": (
        chat(entry("é “quoted” 🙂 Zażółć", "Zoë", 1), entry("plain", "Ben", 2)),
        [("Zoë", "é “quoted” 🙂 Zażółć"), ("Ben", "plain")],
        {},
    ),
    "letters that are right": (
        chat(
            {"sender_name": "Zoë", "timestamp_ms": 1, "content": "é “quoted” 🙂"},
            {"sender_name": "Ben", "timestamp_ms": 2, "content": "naïve"},
        ),
        [("Zoë", "é “quoted” 🙂"), ("Ben", "naïve")],
        {},
    ),
    "encrypted": (
        encrypted_chat(
            encrypted("Hi", at=0),
            encrypted("Ã© is é", "Zoë", 1),
            encrypted("http://x.y", at=2, type="link"),
            encrypted("", at=3, type="media", media=[{"uri": "./media/a.jpg"}]),
            encrypted("look", at=4, type="media", media=[{"uri": "./media/a.jpg"}]),
            encrypted("", at=5, isUnsent=True),
            encrypted("Ann Lee unsent a message", at=6, type="placeholder"),
        ),
        [("Ann Lee", "Hi"), ("Zoë", "Ã© is é"), ("Ann Lee", "http://x.y"), ("Ann Lee", "look")],
        {"media": 1, "deleted message": 2},
    ),
    "media": (
        chat(
            entry(None, photos=[{"uri": "a.jpg"}]),
            entry(None, sticker={"uri": "a.png"}),
            entry(None, share={"link": "http://x.y"}),
            entry("look", photos=[{"uri": "a.jpg"}]),
            entry("http://x.y", share={"link": "http://x.y"}),
            entry(None),
        ),
        [("Ann Lee", "look"), ("Ann Lee", "http://x.y")],
        {"media": 3, "empty message": 1},
    ),
    "events": (
        chat(
            entry("Ann called you.", call_duration=5, type="Call"),
            entry("The video chat ended.", call_duration=0),
            entry("Ann added Ben to the group.", type="Subscribe"),
            entry("gone", is_unsent=True),
            entry("Hi", type="Generic"),
            entry("http://x.y", type="Share"),
        ),
        [("Ann Lee", "Hi"), ("Ann Lee", "http://x.y")],
        {"event": 2, "system line": 1, "deleted message": 1},
    ),
    "no author": (
        chat(entry("a"), entry("b", " "), entry("c", 5)),
        [("Ann Lee", "a")],
        {"no author": 2},
    ),
    "no objects": (
        chat(entry("a"), 1, None, "text", [entry("b")]),
        [("Ann Lee", "a")],
        {"bad line": 4},
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", READ)
def test_each_form_is_read_and_what_is_left_out_is_counted(name: str, spelling: str) -> None:
    check_read(READER, spelling, *READ[name])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Ann Lee sent an attachment.", "media"),
        ("You sent an attachment.", "media"),
        ("Ann Lee hat einen Anhang gesendet.", "media"),
        ("Użytkownik Ann Lee wysłał załącznik.", "media"),
        ("Liked a message", "event"),
        ("Reacted ❤️ to your message ", "event"),
        ("You missed a call from Ann.", "event"),
        ("Ann named the group Tea & more.", "system line"),
        ("Ann Lee set the nickname for Ben to Benny.", "system line"),
        ("You left the group.", "system line"),
        ("Ann unsent a message", "deleted message"),
        # The same words from a person's hand, or about somebody else, are a message.
        ("Ben sent an attachment.", ""),
        ("You sent an attachment. Thanks!", ""),
        ("I sent an attachment.", ""),
        ("Ann Lee sent an attachment.\nI looked", ""),
        ("Annie sent an attachment.", ""),
        ("reacted ❤️ to your message", ""),
        ("Liked a message of yours", ""),
        ("Ben left the group.", ""),
        (f"You named the group {'so ' * 300}.", ""),
    ],
)
def test_what_the_app_writes_is_told_from_what_people_write(text: str, reason: str) -> None:
    tally = Tally()
    found = read(READER, json.dumps(chat(entry(text))).encode(), tally)
    assert said(found) == ([] if reason else [("Ann Lee", text)])
    assert tally.skipped == ({reason: 1} if reason else {})


def test_the_name_in_what_the_app_writes_may_stand_in_its_words_too() -> None:
    items = [entry("You missed a call from A.", "A"), entry("A left the group.", "A", 1)]
    tally = Tally()
    assert read(READER, json.dumps(chat(*items)).encode(), tally) == []
    assert tally.skipped == {"event": 1, "system line": 1}


@pytest.mark.parametrize("block", [1, 2, 3, 50_000])
@pytest.mark.parametrize("count", range(6))
def test_any_number_of_messages_is_turned_round_block_by_block(
    count: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields.oldest_first, "__defaults__", (True, block))
    items = [entry(f"text {i}", at=i) for i in range(count)]
    for value in (chat(*items), chat(*items[::-1])):
        found = read(READER, json.dumps(value).encode())
        assert [message.text for message in found] == [f"text {i}" for i in range(count)]


def test_the_files_of_a_chat_are_read_from_the_highest_number() -> None:
    def file(text: str, at: int) -> bytes:
        return json.dumps(chat(entry(text, at=at), entry(f"{text}!", at=at + 1))).encode()

    files = {
        "inbox/tea_1/message_1.json": file("eleven", 50),
        "inbox/tea_1/message_2.json": file("ten", 40),
        "inbox/tea_1/message_10.json": file("two", 30),
        "inbox/tea_1/message_11.json": file("one", 20),
        "inbox/tea_1/photos/a.jpg": b"",
        "inbox/zoo_2/message_1.json": file("zoo", 0),
        "Ben_4.json": json.dumps(encrypted_chat(encrypted("locked"))).encode(),
        "autofill.json": b'{"autofill": []}',
    }
    tally = Tally()
    assert recognised(files) == ["messenger"]
    found = [message.text for message in read(READER, files, tally)]
    assert found == [
        "locked", "one", "one!", "two", "two!", "ten", "ten!", "eleven", "eleven!", "zoo", "zoo!",
    ]  # fmt: skip
    assert tally.skipped == {"other file": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"messages": []}',
        json.dumps([entry("a")]).encode(),
        json.dumps({"messages": [{"senderName": "Ann", "timestamp": 1, "text": "a"}]}).encode(),
        json.dumps({"note": json.dumps(chat(entry("a")))}).encode(),
    ],
)
def test_what_is_not_messengers_is_not_taken_for_it(data: bytes) -> None:
    assert recognised(data) == []


@pytest.mark.parametrize(
    ("name", "users", "count"),
    [
        ("messenger_message_1.json", {"User 1", "User 2"}, 10),
        ("instagram_message_1.json", {"John Doe", "Jane Doe"}, 2),
    ],
)
def test_real_exports_are_read(name: str, users: set[str], count: int) -> None:
    data = real(name).read_bytes()
    assert recognised(data) == ["messenger"]
    found = read(READER, data)
    assert len(found) == count
    assert {message.user for message in found} == users


def is_right(text: str) -> bool:
    return messenger._mended(text) == text


lines = st.lists(st.tuples(names, texts), max_size=8)


@given(lines, st.sampled_from(["garbled", "right", "encrypted"]), st.booleans(), spelt)
def test_a_chat_reads_back_as_it_was_written(
    lines: list[tuple[str, str]], form: str, timed: bool, spelling: Any
) -> None:
    items, expected = [], []
    for at, (who, text) in enumerate(lines):
        if form == "right" and not (is_right(who) and is_right(text)):
            continue
        expected.append(Message(who, text, NOON + timedelta(seconds=at if timed else 0)))
        item = {
            "sender_name": garbled(who) if form == "garbled" else who,
            "timestamp_ms": (int(NOON.timestamp()) + (at if timed else 0)) * 1000,
            "content": garbled(text) if form == "garbled" else text,
        }
        if form == "encrypted":
            item = encrypted(text, who, at if timed else 0)
        items.append(item)
    value = encrypted_chat(*items) if form == "encrypted" else chat(*items)
    assert read(READER, spelling(value)) == expected


@given(texts)
def test_garbled_letters_are_mended_and_others_never_lost(text: str) -> None:
    assert messenger._mended(garbled(text)) == text
    if any(ord(letter) > 255 for letter in text):
        assert messenger._mended(text) == text


def mended(text: str) -> str:
    return fields.as_text(messenger._mended(text))


@given(spoilt(chat(entry("a"), entry("é", "Ben", 1), entry("c", at=2, photos=[{"uri": "x"}]))))
def test_whatever_stands_in_an_export_nothing_is_invented(value: Any) -> None:
    check_spoilt(READER, value, mended)


@given(spoilt(encrypted_chat(encrypted("a"), encrypted("é", "Ben", 1))))
def test_whatever_stands_in_an_encrypted_chat_nothing_is_invented(value: Any) -> None:
    check_spoilt(READER, value)


def test_what_comes_before_damage_is_kept_if_one_is_lenient() -> None:
    items = [entry(f"text {i}", at=i) for i in range(4)]
    check_cut(READER, json.dumps(chat(*items), indent=2).encode(), newest_first=True)


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_raise_nothing_else(data: bytes, lenient: bool) -> None:
    check_bytes(READER, data, lenient)


@pytest.mark.slow
def test_a_long_chat_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "message_1.json"
    head, tail = json.dumps({**chat(), "magic_words": None}).split("[]")
    with path.open("w") as file:
        file.write(f"{head}[")
        for i in range(200_000):
            item = entry(f"message number {i}", f"Name {i % 50}", -i)
            file.write((", " if i else "") + json.dumps(item))
        file.write(f"]{tail}")
    check_memory(READER, path, 200_000)
