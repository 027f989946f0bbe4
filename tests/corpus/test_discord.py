from __future__ import annotations

import csv
import io
import json
import zipfile
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

from nwp.corpus.readers import discord, fields
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.readers.discord import READER
from nwp.corpus.source import open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

NOON = datetime(2024, 5, 4, 12, tzinfo=UTC)
numbers = iter(range(10**17, 10**18))


def person(name: str = "ann", number: int = 700, **more: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "name": name,
        "discriminator": "0000",
        "nickname": f"{name} the shown",
        "isBot": False,
        **more,
    }


def entry(text: Any, author: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "id": str(next(numbers)),
        "type": "Default",
        "timestamp": "2024-05-04T14:00:00+02:00",
        "timestampEdited": None,
        "content": text,
        "author": author or person(),
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "mentions": [],
        **more,
    }


def channel(*items: Any) -> dict[str, Any]:
    return {
        "guild": {"id": "1", "name": "Tea"},
        "channel": {"id": "2", "type": "GuildTextChat", "name": "pots", "topic": None},
        "dateRange": {"after": None, "before": None},
        "messages": list(items),
        "messageCount": len(items),
    }


def spell(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


READ: dict[str, tuple[Any, list[tuple[str, str]], dict[str, int]]] = {
    "messages": (
        channel(entry("hi"), entry("yes", person("ben", 800), type="Reply")),
        [("ann", "hi"), ("ben", "yes")],
        {},
    ),
    "kinds by number": (
        channel(entry("a", type=0), entry("b", type="19"), entry("c", type=20), entry("d", type=7)),
        [("ann", "a"), ("ann", "b"), ("ann", "c")],
        {"event": 1},
    ),
    "events": (
        channel(
            entry("Joined the server.", type="GuildMemberJoin"),
            entry("Started a call.", type="Call"),
            entry("Pinned a message.", type="ChannelPinnedMessage"),
            entry("hi"),
        ),
        [("ann", "hi")],
        {"event": 3},
    ),
    "bots": (
        channel(entry("beep", person("robo", 1, isBot=True)), entry("hi")),
        [("ann", "hi")],
        {"bot": 1},
    ),
    "media": (
        channel(
            entry("", attachments=[{"url": "x"}]),
            entry("", stickers=[{"name": "x"}]),
            entry("look", attachments=[{"url": "x"}]),
            entry(""),
        ),
        [("ann", "look")],
        {"media": 2, "empty message": 1},
    ),
    "the same twice": (
        channel(entry("a", id="5"), entry("a", id="5"), entry("a", id="6"), entry("b", id="5")),
        [("ann", "a"), ("ann", "a")],
        {"duplicate": 2},
    ),
    "without a number": (
        channel(entry("a", id=None), entry("a", id=None)),
        [("ann", "a"), ("ann", "a")],
        {},
    ),
    "who has left": (
        channel(entry("a", person("Deleted User", 5)), entry("b", person("Deleted User", 6))),
        [("Deleted User (5)", "a"), ("Deleted User (6)", "b")],
        {},
    ),
    "one of two names": (
        channel(entry("a", person("annie")), entry("b")),
        [("ann", "a"), ("ann", "b")],
        {},
    ),
    "names": (
        channel(
            entry("a", {"id": "1", "nickname": "Nick"}),
            entry("b", {"name": "Nameless number"}),
            entry("c", {"id": "3"}),
            entry("d", {"name": " "}),
            entry("e", ["ann"]),
        ),
        [("Nick", "a"), ("Nameless number", "b"), ("3", "c")],
        {"no author": 2},
    ),
    "numbers in a text": (
        channel(
            entry("<@12345> <@!12345> <@&12345> in <#12345> <:wave:12345><a:o_o:12345> <3 <@1>")
        ),
        [("ann", "@ @ @ in # :wave::o_o: <3 <@1>")],
        {},
    ),
    "no objects": (
        channel(entry("a"), 1, None, "text", [entry("b")]),
        [("ann", "a")],
        {"bad line": 4},
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", READ)
def test_each_form_is_read_and_what_is_left_out_is_counted(name: str, spelling: str) -> None:
    check_read(READER, spelling, *READ[name])


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2024-05-04T14:00:00+02:00", NOON),
        ("2024-05-04T12:00:00.1234567Z", NOON + timedelta(microseconds=123456)),
        ("04-May-24 12:00 PM", None),
        (1714824000, None),
        (None, None),
    ],
)
def test_times(time: Any, expected: datetime | None) -> None:
    data = spell(channel(entry("a", timestamp=time)))
    assert read(READER, data) == [Message("ann", "a", expected)]


def test_only_the_last_numbers_are_remembered() -> None:
    first = [entry(f"a{i}") for i in range(discord._RECENT + 1)]
    tally = Tally()
    found = read(READER, spell(channel(*first, first[0], first[2])), tally)
    assert len(found) == len(first) + 1
    assert tally.skipped == {"duplicate": 1}


def test_many_channels_are_one_export_and_parts_come_in_order() -> None:
    files = {
        "Tea - pots [2].json": spell(channel(entry("one", person("annie")))),
        "Tea - pots [2] [part 2].json": spell(channel(entry("two"))),
        "Tea - pots [2] [part 10].json": spell(channel(entry("ten"))),
        "cups/Tea - cups [3].json": spell(channel(entry("cup", person("ANN", 701)))),
        "Tea - pots [2].json_Files/a.png": b"",
        "Tea - pots [2].json_Files/a.txt": b"attached",
    }
    tally = Tally()
    assert recognised(files) == ["discord"]
    assert said(read(READER, files, tally)) == [
        ("ann (700)", "one"),
        ("ann (700)", "two"),
        ("ann (700)", "ten"),
        ("ANN (701)", "cup"),
    ]
    assert tally.skipped == {"other file": 1}


def table(*rows: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([["ID", "Timestamp", "Contents", "Attachments"], *rows])
    return out.getvalue().encode()


def own(*rows: list[str]) -> bytes:
    keys = ("ID", "Timestamp", "Contents", "Attachments")
    return json.dumps([dict(zip(keys, row, strict=True)) for row in rows]).encode()


ROWS = [
    ["4", "2024-05-04 12:00:03.000000+00:00", "", "https://x/a.png"],
    ["3", "2024-05-04 12:00:02.000000+00:00", 'a "b",\nc', ""],
    ["2", "2024-05-04 12:00:01.000000+00:00", "", ""],
    ["1", "2024-05-04 12:00:00.000000+00:00", "hé <:wave:12345>", "https://x/a.png"],
]
SAID = [
    Message("ann", "hé :wave:", NOON),
    Message("ann", 'a "b",\nc', NOON + timedelta(seconds=2)),
]
LEFT_OUT = {"media": 1, "empty message": 1}


@pytest.mark.parametrize("block", [1, 2, 50_000])
@pytest.mark.parametrize("write", [table, own])
@pytest.mark.parametrize("turn", [False, True])
def test_a_channel_of_a_package_is_read_from_its_oldest(
    write: Any, turn: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields.oldest_first, "__defaults__", (True, block))
    data, tally = write(*(ROWS[::-1] if turn else ROWS)), Tally()
    assert recognised(data) == ["discord"]
    assert read(READER, data, tally, me="ann") == SAID
    assert tally.skipped == LEFT_OUT


def package(table_too: bool = True, **account: Any) -> dict[str, bytes]:
    return {
        "Account/user.json": json.dumps({"id": "7", "username": "ann", **account}).encode(),
        "Messages/c1/channel.json": b'{"id": "1", "type": "DM"}',
        "Messages/c1/messages.json": own(*ROWS),
        "Messages/c2/messages.csv": table(*ROWS),
        "Messages/index.json": b'{"1": "Direct message with ben", "2": null}',
    }


def test_all_messages_of_a_package_are_its_owners(tmp_path: Path) -> None:
    tally = Tally()
    assert recognised(package()) == ["discord"]
    assert read(READER, package(), tally) == SAID * 2
    assert tally.skipped == {"media": 2, "empty message": 2, "other file": 3}
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for name, data in package().items():
            archive.writestr(name, data)
    with open_source(tmp_path / "package.zip", Tally()) as source:
        assert READER.recognises(source)
        assert list(READER.read(source, Tally(), ReadOptions())) == SAID * 2


@pytest.mark.parametrize(
    ("account", "me", "user"),
    [
        (b'{"id": "7", "username": "ann"}', "Anna", "Anna"),
        (b'{"id": "7", "username": "ann"}', "me", "ann"),
        (b'{"id": "7", "username": 5}', "me", "me"),
        (b'{"id": "7", "username": ', "me", "me"),
        (b"", "me", "me"),
        (b"", " ", "me"),
    ],
)
def test_the_owner_is_who_one_says_or_who_the_package_says(
    account: bytes, me: str, user: str
) -> None:
    files = {**package(), "Account/user.json": account}
    assert {m.user for m in read(READER, files, me=me)} == {user}


def test_what_is_no_row_is_counted_and_a_broken_table_named() -> None:
    data = table() + b"1\r\n\r\n2,2024-05-04 12:00:00\r\n3,,three\r\n"
    tally = Tally()
    assert said(read(READER, data, tally, me="ann")) == [("ann", "three")]
    assert tally.skipped == {"bad line": 2}
    data = b'[{"ID": 1, "Timestamp": "", "Contents": "a"}, 5, [], {}]'
    tally = Tally()
    assert said(read(READER, data, tally)) == [("me", "a")]
    assert tally.skipped == {"bad line": 3}
    long = table(ROWS[1]) + b'9,9,"' + (b"x" * 999 + b"\n") * 1_200
    with pytest.raises(BadCorpus, match=r"line 1\d\d\d: "):
        read(READER, long)
    tally = Tally(lenient=True)
    assert len(read(READER, long, tally)) == 1
    assert tally.skipped == {"half a file": 1}
    with pytest.raises(BadCorpus, match="no JSON"):
        read(READER, b"a,b\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"guild": {}, "channel": {}}',
        json.dumps([entry("a")]).encode(),
        json.dumps({"note": json.dumps(channel(entry("a")))}).encode(),
        b"Timestamp,ID,Contents\n",
        b'[{"id": 1, "timestamp": "x", "contents": "y"}]',
    ],
)
def test_what_is_not_discords_is_not_taken_for_it(data: bytes) -> None:
    assert recognised(data) == []


@pytest.mark.parametrize(
    ("name", "users", "count"),
    [
        ("discord_dm_call.json", {"mlomb"}, 1),
        ("discord_server_deleted_user.json", {"mlomb", "Deleted User"}, 4),
    ],
)
def test_real_exports_are_read(name: str, users: set[str], count: int) -> None:
    data = real(name).read_bytes()
    assert recognised(data) == ["discord"]
    found = read(READER, data)
    assert len(found) == count
    assert {message.user for message in found} == users


people = st.lists(names, min_size=1, max_size=4, unique_by=str.casefold)
plain = texts.filter(lambda text: discord._plain(text) == text)


@given(people, st.lists(st.tuples(st.integers(0, 3), plain), max_size=8), spelt)
def test_a_channel_reads_back_as_it_was_written(
    who: list[str], lines: list[tuple[int, str]], spelling: Any
) -> None:
    items, expected = [], []
    for at, (author, text) in enumerate(lines):
        number = author % len(who)
        time = NOON + timedelta(milliseconds=at)
        items.append(entry(text, person(who[number], number), timestamp=time.isoformat()))
        expected.append(Message(who[number], text, time))
    assert read(READER, spelling(channel(*items))) == expected


@given(names, st.lists(plain, max_size=8), st.sampled_from([table, own]))
def test_a_package_reads_back_as_it_was_written(me: str, lines: list[str], write: Any) -> None:
    expected = [Message(me, text, NOON + timedelta(seconds=i)) for i, text in enumerate(lines)]
    rows = [[str(i), str(message.time), message.text, ""] for i, message in enumerate(expected)]
    assert read(READER, write(*reversed(rows)), me=me) == expected


@given(spoilt(channel(entry("a"), entry("b", person("ben", 8)), entry("c", type=19))))
def test_whatever_stands_in_an_export_nothing_is_invented(value: Any) -> None:
    check_spoilt(READER, value, discord._plain)


@given(spoilt(json.loads(own(*ROWS))))
def test_whatever_stands_in_a_package_nothing_is_invented(value: Any) -> None:
    if isinstance(value, list):
        check_spoilt(READER, value, discord._plain)


def test_what_comes_before_damage_is_kept_if_one_is_lenient() -> None:
    check_cut(READER, spell(channel(*[entry(f"text {i}") for i in range(4)])))


@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: table(ROWS[1])[:-30] + b),
    st.booleans(),
)
def test_random_bytes_raise_nothing_else(data: bytes, lenient: bool) -> None:
    check_bytes(READER, data, lenient)


@pytest.mark.slow
def test_a_long_channel_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    head, tail = json.dumps(channel()).split("[]")
    with path.open("w") as file:
        file.write(f"{head}[")
        for i in range(200_000):
            item = entry(f"message number {i}", person(f"name {i % 50}", i % 50))
            file.write((", " if i else "") + json.dumps(item))
        file.write(f"]{tail}")
    check_memory(READER, path, 200_000)
