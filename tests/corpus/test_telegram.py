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

from nwp.corpus.readers.telegram import READER
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

NOON = datetime(2024, 5, 4, 12, tzinfo=UTC)


def entry(text: Any, who: str = "Ann", number: int = 7, **more: Any) -> dict[str, Any]:
    """A message as today's exports have it."""
    return {
        "id": 1,
        "type": "message",
        "date": "2024-05-04T14:00:00",
        "date_unixtime": str(int(NOON.timestamp())),
        "from": who,
        "from_id": f"user{number}",
        "text": text,
        "text_entities": [],
        **more,
    }


def without(item: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in keys}


def chat(*items: Any, kind: str = "private_group", number: int = 99) -> dict[str, Any]:
    return {"name": "Tea", "type": kind, "id": number, "messages": list(items)}


def account(*chats: Any, left: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {
        "about": "All there is.",
        "personal_information": {"user_id": 7, "first_name": "Ann"},
        "contacts": {"list": [{"first_name": "Ben", "date": "2020-01-01T00:00:00"}]},
        "chats": {"about": "Chats.", "list": list(chats)},
        "left_chats": {"about": "Left.", "list": list(left)},
    }


def spell(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


OLD = {
    "id": 3,
    "type": "message",
    "date": "2019-12-31T23:59:58",
    "edited": "1970-01-01T01:00:00",
    "from": "Ann",
    "from_id": 4294967303,
    "text": "old",
}

READ: dict[str, tuple[Any, list[tuple[str, str]], dict[str, int]]] = {
    "one chat": (
        chat(entry("hi"), entry("yes", "Ben", 8)),
        [("Ann", "hi"), ("Ben", "yes")],
        {},
    ),
    "pieces": (
        chat(
            entry(
                ["see ", {"type": "bold", "text": "this"}, ":\n", {"type": "link", "text": "x.y"}]
            )
        ),
        [("Ann", "see this:\nx.y")],
        {},
    ),
    "only entities": (
        chat(without(entry("", text_entities=[{"type": "plain", "text": "there"}]), "text")),
        [("Ann", "there")],
        {},
    ),
    "pieces of other kinds": (
        chat(entry(["a", 1, None, ["b"], {"text": 2}, {"type": "bold"}, {"text": "c"}])),
        [("Ann", "ac")],
        {},
    ),
    "an old one": (chat(OLD), [("Ann", "old")], {}),
    "names only": (
        {"messages": [without(entry("a"), "from_id", "id"), without(entry("b", "Ben"), "from_id")]},
        [("Ann", "a"), ("Ben", "b")],
        {},
    ),
    "an account": (
        account(
            chat(entry("one")),
            chat(entry("two", "Ben", 8)),
            left=(chat(entry("three")),),
        ),
        [("Ann", "one"), ("Ben", "two"), ("Ann", "three")],
        {},
    ),
    "only left chats": (
        {**account(left=(chat(entry("three")),)), "chats": {"list": []}},
        [("Ann", "three")],
        {},
    ),
    "system lines": (
        chat(
            {"type": "service", "date": "2024-05-04T14:00:00", "actor": "Ann", "text": "joined"},
            entry("hi"),
            entry("later", type="unsupported"),
        ),
        [("Ann", "hi")],
        {"system line": 1, "event": 1},
    ),
    "media": (
        chat(
            entry("", photo="a.jpg"),
            entry("", file="a.ogg", media_type="voice_message"),
            entry("look", photo="a.jpg"),
            entry("", poll={"question": "Tea?"}),
            entry("", contact_information={"first_name": "Ben"}),
            entry("", location_information={"latitude": 1.5}),
            entry(" \n"),
        ),
        [("Ann", "look")],
        {"media": 2, "event": 3, "empty message": 1},
    ),
    "words of others": (
        chat(
            entry("told", forwarded_from="Ben"),
            entry("told", forwarded_from=None),
            entry("kept", saved_from="Ben"),
            entry("a cat", via_bot="@cats"),
            entry("News!", "Tea", from_id="channel99"),
            entry("mine"),
        ),
        [("Ann", "mine")],
        {"forwarded": 3, "bot": 1, "channel post": 1},
    ),
    "a chat with a bot": (
        chat(entry("Welcome!", "Robo", 55), entry("/start"), kind="bot_chat", number=55),
        [("Ann", "/start")],
        {"bot": 1},
    ),
    "an account with a bot and a channel": (
        account(
            chat(entry("hi", "Robo", 55), entry("hi"), kind="bot_chat", number=55),
            chat(entry("news", "Daily", from_id=8589934592 + 66), kind="public_channel", number=66),
            chat(entry("no robot", "Eve", 66)),
        ),
        [("Ann", "hi")],
        {"bot": 1, "channel post": 2},
    ),
    "Telegram itself": (
        account(
            chat(entry("Log-in code: 1", "Telegram", 777000), kind="personal_chat", number=777000),
            chat(entry("Code: 2", "Codes", 5), kind="verification_codes", number=5),
            chat(entry("hi", "Ben", 8), kind="personal_chat", number=8),
        ),
        [("Ben", "hi")],
        {"bot": 2},
    ),
    "a deleted account": (
        chat(entry("who", None, 9), entry("was"), entry("that", "", 10)),  # type: ignore[arg-type]
        [("user9", "who"), ("Ann", "was"), ("user10", "that")],
        {},
    ),
    "an account deleted later": (
        chat(entry("I", "Eve", 9), entry("left", None, 9)),  # type: ignore[arg-type]
        [("Eve", "I"), ("Eve", "left")],
        {},
    ),
    "two of one name": (
        chat(entry("a"), entry("b", "ann", 8), entry("c")),
        [("Ann (user7)", "a"), ("ann (user8)", "b"), ("Ann (user7)", "c")],
        {},
    ),
    "one of two names": (
        chat(entry("a", "Annie"), entry("b", "Ann")),
        [("Ann", "a"), ("Ann", "b")],
        {},
    ),
    "no author": (
        chat(entry("a"), without(entry("b"), "from", "from_id")),
        [("Ann", "a")],
        {"no author": 1},
    ),
    "no objects": (
        chat(entry("a"), 1, None, "text", [entry("b")]),
        [("Ann", "a")],
        {"bad line": 4},
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", READ)
def test_each_form_is_read_and_what_is_left_out_is_counted(name: str, spelling: str) -> None:
    assert check_read(READER, spelling, *READ[name]).remarks == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, NOON),
        ({"date_unixtime": int(NOON.timestamp())}, NOON),
        ({"date_unixtime": None}, datetime(2024, 5, 4, 14)),
        ({"date_unixtime": "soon"}, datetime(2024, 5, 4, 14)),
        ({"date_unixtime": 1e300}, datetime(2024, 5, 4, 14)),
        ({"date_unixtime": "9" * 19, "date": "9"}, None),
        ({"date_unixtime": None, "date": "2024-02-30T00:00:00"}, None),
        ({"date_unixtime": [], "date": {}}, None),
    ],
)
def test_the_time_is_the_exact_one_or_else_the_local_one(
    change: dict[str, Any], expected: datetime | None
) -> None:
    assert read(READER, spell(chat(entry("a", **change)))) == [Message("Ann", "a", expected)]


def test_a_name_is_one_in_all_files_of_a_folder() -> None:
    files = {
        "a/result.json": spell(chat(entry("a", "Annie"))),
        "b/result.json": spell(chat(entry("b", "Ann"))),
        "b/photo.jpg": b"",
        "c/other.json": b"[]",
    }
    tally = Tally()
    assert recognised(files) == ["telegram"]
    assert said(read(READER, files, tally)) == [("Ann", "a"), ("Ann", "b")]
    assert tally.skipped == {"other file": 1}


PAGE = """<!DOCTYPE html>
<html>
 <head><meta charset="utf-8"/><title>Exported Data</title></head>
 <body onload="CheckLocation();">
  <div class="page_wrap">
   <div class="page_header"><div class="content"><div class="text bold">Tea</div></div></div>
   <div class="page_body chat_page">
    <div class="history">
%s
    </div>
   </div>
  </div>
 </body>
</html>
"""


def div(
    text: str | None,
    who: str | None = None,
    more: str = "",
    time: str = "04.05.2024 14:00:00 UTC+02:00",
) -> str:
    joined = "" if who else " joined"
    name = f'<div class="from_name">\n{who}       </div>' if who else ""
    said = "" if text is None else f'<div class="text">\n{text}\n       </div>'
    return f"""
     <div class="message default clearfix{joined}" id="message1">
      <div class="pull_left userpic_wrap"><div class="userpic"><div class="initials">A</div></div></div>
      <div class="body">
       <div class="pull_right date details" title="{time}">14:00</div>
       {name}
       {more}
       {said}
       <span class="reactions"><span class="reaction">x</span></span>
      </div>
     </div>"""


def page(*parts: str) -> bytes:
    return (PAGE % "".join(parts)).encode()


DAY = '<div class="message service" id="message-1"><div class="body details">4 May</div></div>'
QUOTED = """<div class="pull_left forwarded userpic_wrap"></div><div class="forwarded body">
 <div class="from_name">Eve <span class="date details" title="01.01.2024 00:00:00"> 1</span></div>
 <div class="text">told</div></div>"""
PHOTO = '<div class="media_wrap"><div class="media_photo"><div class="body">x</div></div></div>'
POLL = '<div class="media_wrap"><div class="media_poll"><div class="question">?</div></div></div>'


def test_pages_are_read_as_a_browser_shows_them() -> None:
    data = page(
        DAY,
        div("Hi <strong>you</strong> &amp; <a href='x'>you</a><br>two\n lines &lt;3", "Ann"),
        div("again"),
        div(None, "Ben", QUOTED),
        div("by Ben"),
        div("a cat", "Ann via @cats"),
        div(None, "Ann", PHOTO),
        div("look", None, PHOTO),
        div(None, None, POLL),
        div("old", "Ben", time="31.12.2019 23:59:59"),
        div("odd", "Ben", time="31.02.2019 23:59:59"),
    )
    tally = Tally()
    assert recognised(data) == ["telegram"]
    assert read(READER, data, tally) == [
        Message("Ann", "Hi you & you\ntwo lines <3", NOON),
        Message("Ann", "again", NOON),
        Message("Ben", "by Ben", NOON),
        Message("Ann", "look", NOON),
        Message("Ben", "old", datetime(2019, 12, 31, 23, 59, 59)),
        Message("Ben", "odd", None),
    ]
    assert tally.skipped == {"system line": 1, "forwarded": 1, "bot": 1, "media": 1, "event": 1}


def test_pages_follow_each_other_by_number_and_not_beyond_a_chat() -> None:
    files = {
        "chats/chat_1/messages.html": page(div("one", "Ann")),
        "chats/chat_1/messages2.html": page(div("two")),
        "chats/chat_1/messages10.html": page(div("ten")),
        "chats/chat_2/messages.html": page(div("whose?"), div("mine", "Ben")),
        "lists/chats.html": b"<html></html>",
    }
    tally = Tally()
    assert recognised(files) == ["telegram"]
    assert said(read(READER, files, tally)) == [
        ("Ann", "one"),
        ("Ann", "two"),
        ("Ann", "ten"),
        ("Ben", "mine"),
    ]
    assert tally.skipped == {"other file": 1, "no author": 1}


def test_pages_of_what_is_there_as_json_too_are_not_read() -> None:
    files = {
        "one/result.json": spell(chat(entry("one"))),
        "one/chats/chat_1/messages.html": page(div("one", "Ann")),
        "two/messages.html": page(div("two", "Ben")),
    }
    tally = Tally()
    assert said(read(READER, files, tally)) == [("Ann", "one"), ("Ben", "two")]
    assert tally.skipped == {"other file": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"messages": []}',
        b"<html><body>Hello</body></html>",
        json.dumps([entry("a")]).encode(),
        json.dumps(
            {"messages": [{"type": "message", "user": "U1", "ts": "1.0", "text": "a"}]}
        ).encode(),
        json.dumps({"note": json.dumps(chat(entry("a")))}).encode(),
        b'a text about "messages": [ {"type": "message", "from": "x", "date": "y"}',
    ],
)
def test_what_is_not_telegrams_is_not_taken_for_it(data: bytes) -> None:
    assert recognised(data) == []


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("telegram_personal_chat.json", 4),
        ("telegram_single_entities.json", 2),
        ("telegram_full_export.json", 2),
        ("telegram_old_numeric_ids.json", 3),
    ],
)
def test_real_exports_are_read(name: str, count: int) -> None:
    data = real(name).read_bytes()
    assert recognised(data) == ["telegram"]
    assert len(read(READER, data)) == count


people = st.dictionaries(st.integers(1, 1 << 40), names, min_size=1, max_size=4)


@given(
    people.filter(lambda p: len({name.casefold() for name in p.values()}) == len(p)),
    st.lists(st.tuples(st.integers(0, 3), st.lists(texts, min_size=1, max_size=3)), max_size=8),
    st.sampled_from(["new", "old", "names", "account", "left"]),
    spelt,
)
def test_a_chat_reads_back_as_it_was_written(
    who: dict[int, str], lines: list[tuple[int, list[str]]], form: str, spelling: Any
) -> None:
    items, expected = [], []
    for at, (author, pieces) in enumerate(lines):
        number = list(who)[author % len(who)]
        time = NOON + timedelta(minutes=at)
        text: Any = pieces[0] if len(pieces) == 1 else [{"type": "bold", "text": p} for p in pieces]
        item = entry(text, who[number], number, date_unixtime=str(int(time.timestamp())))
        if form == "old":
            item = without(item, "text_entities", "date_unixtime")
            time = time.replace(tzinfo=None)
            item |= {"from_id": number, "date": time.isoformat()}
        elif form == "names":
            item = without(item, "from_id", "id")
        items.append(item)
        expected.append(Message(who[number], "".join(pieces), time))
    value = chat(*items)
    if form == "account":
        value = account(value)
    elif form == "left":
        value = account(left=(value,))
    assert read(READER, spelling(value)) == expected


@given(
    spoilt(account(chat(entry("a"), entry(["b"], "Ben", 8)), left=(chat(OLD, kind="bot_chat"),)))
)
def test_whatever_stands_in_an_export_nothing_is_invented(value: Any) -> None:
    check_spoilt(READER, value)


def test_what_comes_before_damage_is_kept_if_one_is_lenient() -> None:
    check_cut(READER, spell(chat(*[entry(f"text {i}") for i in range(4)])))
    check_cut(READER, spell(account(chat(entry("a"), entry("b")), chat(entry("c")))))


@given(
    st.binary(max_size=200)
    | st.binary(max_size=60).map(lambda b: page(div("a", "Ann"))[:-200] + b),
    st.booleans(),
)
def test_random_bytes_raise_nothing_else(data: bytes, lenient: bool) -> None:
    check_bytes(READER, data, lenient)


def test_a_page_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwp.corpus.readers.telegram._MAX_PAGE", 100)
    with pytest.raises(BadCorpus, match="page of over"):
        read(READER, page(div("a", "Ann")))


@pytest.mark.slow
def test_a_long_chat_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with path.open("w") as file:
        file.write('{"name": "Tea", "type": "private_group", "id": 1, "messages": [')
        for i in range(200_000):
            item = entry(f"message number {i}", f"Name {i % 50}", i % 50)
            file.write((", " if i else "") + json.dumps(item))
        file.write("]}")
    check_memory(READER, path, 200_000)
