from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import takes

from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.readers.signal.reader import READER
from nwp.corpus.source import open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, NwpError

MS = 1_600_000_000_000
AT = datetime.fromtimestamp(MS / 1000, UTC)


def read(path: Path, tally: Tally | None = None, me: str = "me") -> list[Message]:
    tally = tally or Tally()
    with open_source(path, tally) as source:
        assert READER.recognises(source)
        return list(READER.read(source, tally, ReadOptions(me=me)))


def written(folder: Path, text: str, tally: Tally | None = None, me: str = "me") -> list[Message]:
    path = folder / "chat"
    path.write_text(text, encoding="utf-8", newline="")
    return read(path, tally, me)


def rows(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


MARKDOWN = """\
[2020-01-17, 21:49] Ann: Hello  
[2020-01-17, 21:50] Me: two

lines: here  
(- Ann: 👍, Me: 😀 -)
[2020-01-17 21:51:09] Ann: 

> what was said
> in two lines

the reply  
[2020-01-17 21:52:09] Ann: a picture  ![sea (1).jpg](./media/2020-01-17_sea%20(1).jpg)  
[2020-01-17 21:52:10] Ann: ![sea.jpg](media/sea.jpg)  [a.pdf](./media/a.pdf)  
[2020-01-17 21:52:11] Ann: (media not exported)  
[2020-01-17 21:52:12] Ann: 
(( 🐱 ))
[2020-01-17 21:52:13] Ann: [cat](../exported_stickers/ab12/3.webp)  
[2020-01-17 21:52:14] Ann: (This message was deleted)
[2020-01-17 21:52:15] Ann: Missed voice call  
[2020-01-17 21:52:16] Me: Outgoing video call (accepted, 3m 2s)  
[2020-01-17 21:52:17] No-Sender: lost  
[2020-01-17 21:52:18] Ann:   
[2020-01-17 21:52:19] Ann: see [the page](https://example.org)  
> not a quotation
[2020-13-17 21:52:19] Ann: no such month  
"""  # noqa: W291


def test_what_signal_export_writes_is_read(tmp_path: Path) -> None:
    tally = Tally()
    assert written(tmp_path, MARKDOWN, tally, me="Zoe") == [
        Message("Ann", "Hello", datetime(2020, 1, 17, 21, 49)),
        Message("Zoe", "two\n\nlines: here", datetime(2020, 1, 17, 21, 50)),
        Message("Ann", "the reply", datetime(2020, 1, 17, 21, 51, 9)),
        Message("Ann", "a picture", datetime(2020, 1, 17, 21, 52, 9)),
        Message(
            "Ann",
            "see [the page](https://example.org)  \n> not a quotation",
            datetime(2020, 1, 17, 21, 52, 19),
        ),
        Message("Ann", "no such month"),
    ]
    assert tally.skipped == {
        "media": 4,
        "deleted message": 1,
        "event": 2,
        "no author": 1,
        "no text": 1,
    }
    assert sum(tally.remarks.values()) == 1


EXPORTED = {
    "date": "2020-01-17T21:49:00",
    "sender": "Ann",
    "body": "Hello  ",
    "quote": "\n\n> x\n\n",
    "sticker": None,
    "reactions": [["Me", "👍"]],
    "attachments": [],
}


def test_the_json_of_signal_export_is_read_and_its_markdown_only_without_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "Ann").mkdir()
    (tmp_path / "Ben").mkdir()
    data = rows(
        EXPORTED,
        {**EXPORTED, "sender": "Me", "body": "ho"},
        {**EXPORTED, "body": "  ", "attachments": [{"name": "a"}]},
        {**EXPORTED, "deleted": True},
        {**EXPORTED, "call": True},
        {**EXPORTED, "sender": "No-Sender"},
        {**EXPORTED, "body": None},
    )
    (tmp_path / "Ann" / "data.json").write_text(data, encoding="utf-8")
    (tmp_path / "Ann" / "chat.md").write_text("[2020-01-17 21:49:00] Ann: Hello  \n")
    (tmp_path / "Ben" / "chat.md").write_text("[2020-01-17 21:50:00] Ben: hi  \n")
    tally = Tally()
    assert read(tmp_path, tally) == [
        Message("Ann", "Hello", datetime(2020, 1, 17, 21, 49)),
        Message("me", "ho", datetime(2020, 1, 17, 21, 49)),
        Message("Ben", "hi", datetime(2020, 1, 17, 21, 50)),
    ]
    assert tally.skipped == {
        "media": 1,
        "deleted message": 1,
        "event": 1,
        "no author": 1,
        "no text": 1,
        "duplicate": 1,
    }


FIELDS = """\
Conversation: Our group

From: Ann B. (+49170)
Type: incoming
Sent: Thu, 2 Jan 2020 15:04:05 +0100
Received: Thu, 2 Jan 2020 15:04:06 +0100
Reaction: 👍 from You

Hello
From: nobody

you

From: You
Type: outgoing
Sent: Thu, 2 Jan 2020 15:05:05 +0100

> From: Ann B. (+49170)
> Sent: Thu, 2 Jan 2020 15:04:05 +0100
>
> Hello
> you

and you

From: Ann B. (+49171)
Type: incoming
Sent: Thu, 2 Jan 2020 15:06:05 +0100
Received: Thu, 2 Jan 2020 15:06:05 +0100
Edited: 2 versions

| Version: 2
| Sent: Thu, 2 Jan 2020 15:07:05 +0100
|
| the newer
|
| two lines
|
| Version: 1
| Sent: Thu, 2 Jan 2020 15:06:05 +0100
|
| the older

From: Ben (+49172)
Type: incoming
Sent: unknown
Received: unknown
Attachment: sea.jpg (image/jpeg, 4 bytes)

From: Ben (+49172)
Type: incoming
Sent: unknown
Received: unknown

hi

Type: group-v2-change
Sent: Thu, 2 Jan 2020 15:08:05 +0100
Received: Thu, 2 Jan 2020 15:08:05 +0100

From: Ben (+49172)
Type: call-history
Sent: Thu, 2 Jan 2020 15:08:05 +0100
Received: Thu, 2 Jan 2020 15:08:05 +0100
"""


def test_the_long_text_of_sigtop_is_read(tmp_path: Path) -> None:
    tally = Tally()
    found = written(tmp_path, FIELDS, tally)
    assert [(m.user, m.text) for m in found] == [
        ("Ann B. (+49170)", "Hello\nFrom: nobody\n\nyou"),
        ("me", "and you"),
        ("Ann B. (+49171)", "the newer\n\ntwo lines"),
        ("Ben", "hi"),
    ]
    assert found[0].time == datetime(2020, 1, 2, 14, 4, 5, tzinfo=UTC)
    assert found[3].time is None
    assert tally.skipped == {"media": 1, "event": 2}


def test_the_short_text_of_sigtop_is_read(tmp_path: Path) -> None:
    text = """\
2020-01-17 21:49 Ann: Hello
you: there

2020-01-17 21:50 You: [reply to Ann on 2020-01-17 21:49, 1 attachment] hi
2020-01-17 21:51 Ann: [2 attachments]
2020-01-17 21:52 Ann: [call-history message]
2020-01-17 21:53 Ann: [sic] as you say
"""
    tally = Tally()
    assert written(tmp_path, text, tally) == [
        Message("Ann", "Hello\nyou: there", datetime(2020, 1, 17, 21, 49)),
        Message("me", "hi", datetime(2020, 1, 17, 21, 50)),
        Message("Ann", "[sic] as you say", datetime(2020, 1, 17, 21, 53)),
    ]
    assert tally.skipped == {"media": 1, "event": 1}


def received(text: object, **more: Any) -> dict[str, Any]:
    envelope = {"source": "+49170", "sourceUuid": "u1", "sourceName": "Ann", "timestamp": MS}
    data = {"timestamp": MS, "message": text, **more.pop("data", {})}
    return {"envelope": {**envelope, "dataMessage": data, **more}, "account": "+49"}


def test_the_lines_of_signal_cli_are_read(tmp_path: Path) -> None:
    tally = Tally()
    text = rows(
        received("hi"),
        received("ho", sourceUuid="u2"),
        received("later", sourceName="Ann"),
        received("number only", sourceUuid=None, sourceName="", source="+49172"),
        received(None, dataMessage=None, syncMessage={"sentMessage": {"message": "mine"}}),
        {"jsonrpc": "2.0", "method": "receive", "params": received("in a call")},
        received(None, data={"attachments": [{"id": "a"}]}),
        received(None, data={"reaction": {"emoji": "👍"}}),
        received("", data={"remoteDelete": {"timestamp": 1}}),
        received(None, dataMessage=None, receiptMessage={}),
        received(["not", "text"], sourceName="Ann B."),
    )
    assert written(tmp_path, text, tally, me="Zoe") == [
        Message("Ann B.", "hi", AT),
        Message("Ann", "ho", AT),
        Message("Ann B.", "later", AT),
        Message("+49172", "number only", AT),
        Message("Zoe", "mine", AT),
        Message("Ann B.", "in a call", AT),
    ]
    assert tally.skipped == {
        "media": 1,
        "action": 1,
        "deleted message": 1,
        "event": 1,
        "no text": 1,
    }
    assert len(written(tmp_path, json.dumps([received("hi"), received("ho")]))) == 2


def test_two_of_one_name_stay_two(tmp_path: Path) -> None:
    found = written(tmp_path, rows(received("hi"), received("ho", sourceUuid="u2")))
    assert [m.user for m in found] == ["Ann (u1)", "Ann (u2)"]


def test_the_messages_of_signal_desktop_are_read(tmp_path: Path) -> None:
    base = {"conversationId": "c", "sent_at": MS, "type": "incoming", "source": "+49170"}
    messages = [
        {**base, "body": "hi", "sourceServiceId": "u1"},
        {**base, "body": "ho", "type": "outgoing"},
        {**base, "body": "no number", "source": None, "sourceServiceId": "u2"},
        {**base, "body": "", "attachments": [{"fileName": "a"}]},
        {**base, "body": "x", "deletedForEveryone": True},
        {**base, "type": "call-history"},
        {**base, "body": None},
        {**base, "body": "far off", "sent_at": 1e300},
        "no object",
    ]
    tally = Tally()
    assert written(tmp_path, json.dumps(messages, indent=1), tally) == [
        Message("+49170 (u1)", "hi", AT),
        Message("me", "ho", AT),
        Message("u2", "no number", AT),
        Message("+49170 (+49170)", "far off"),
    ]
    assert tally.skipped == {
        "media": 1,
        "deleted message": 1,
        "event": 1,
        "no text": 1,
        "bad line": 1,
    }


def item(author: str, body: str = "", **more: Any) -> dict[str, Any]:
    said = {"standardMessage": {"text": {"body": body}}} if body else {}
    return {
        "chatItem": {"chatId": "1", "authorId": author, "dateSent": str(MS), **said, **more},
    }


def test_signals_own_export_is_read(tmp_path: Path) -> None:
    lines = rows(
        {"version": "1", "backupTimeMs": "1", "mediaRootBackupKey": ""},
        {"account": {"givenName": "Zoe", "familyName": "Q."}},
        {"recipient": {"id": "1", "self": {}}},
        {"recipient": {"id": "2", "contact": {"profileGivenName": "Ann", "e164": "49170"}}},
        {"recipient": {"id": "3", "contact": {"systemGivenName": "Ann"}}},
        {"recipient": {"id": "4", "contact": {"aci": "x"}}},
        {"chat": {"id": "1", "recipientId": "2"}},
        item("2", "hi", incoming={}),
        item("1", "ho", outgoing={}),
        item("3", "hu", incoming={}, revisions=[item("3", "ha")["chatItem"]]),
        item("4", "he", incoming={}),
        item("2", directStoryReplyMessage={"textReply": {"text": {"body": "nice"}}}),
        item("2", updateMessage={}),
        item("2", remoteDeletedMessage={}),
        item("2", stickerMessage={}),
        item("2", standardMessage={"attachments": [{}]}),
        {"chatItem": []},
    )
    tally = Tally()
    assert written(tmp_path, lines, tally) == [
        Message("Ann (2)", "hi", AT),
        Message("Zoe Q.", "ho", AT),
        Message("Ann (3)", "hu", AT),
        Message("4", "he", AT),
        Message("Ann (2)", "nice", AT),
    ]
    assert tally.skipped == {"event": 1, "deleted message": 1, "media": 2}
    assert written(tmp_path, lines, me="I")[1].user == "I"


def test_a_line_that_is_no_json_is_named_or_skipped(tmp_path: Path) -> None:
    text = rows(received("hi")) + '{"envelope": \n' + rows(received("ho"))
    with pytest.raises(BadCorpus, match="line 2"):
        written(tmp_path, text)
    tally = Tally(lenient=True)
    assert len(written(tmp_path, text, tally)) == 2
    assert tally.skipped == {"bad line": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "[31/12/2020, 23:05:09] Ann: WhatsApp's\n",
        "[2020-12-31, 23:05:09] Ann: WhatsApp's\n",
        "[2020-12-31 23:05:09] Ann: \u200eimage omitted\n",
        "2020-12-31 23:05 <ann> a log\n",
        "2020-12-31 23:05 ann: a log\n",
        '{"user": "ann", "text": "hi"}\n',
        '{"envelope": 1}\n',
        '[{"id": 1}]',
        "[[[[[[",
        "From: Ann\nTo: Ben\n",
        "\ufeff",
    ],
)
def test_other_files_are_not_taken_for_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a"
    path.write_text(text, encoding="utf-8")
    assert not takes(READER, path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
NAMES = """
envelope params source sourceUuid sourceName timestamp dataMessage syncMessage sentMessage message
attachments conversationId sent_at type body date sender reactions recipient contact id account
givenName chatItem authorId dateSent standardMessage text outgoing
"""
KEYS = st.sampled_from(NAMES.split())
VALUES = st.recursive(
    JUNK | st.sampled_from(["incoming", "outgoing", MS, str(MS), 1e300, "9" * 400]),
    lambda inner: st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
FIRST = st.sampled_from(
    [
        received("hi"),
        EXPORTED,
        {"version": 1, "backupTimeMs": "1"},
        {"conversationId": 1, "sent_at": 1},
    ]
)


@given(FIRST, st.lists(VALUES | st.dictionaries(KEYS, VALUES), max_size=4), st.booleans())
@example({"version": 1, "backupTimeMs": "1"}, [{"recipient": {"id": 1, "contact": [1]}}], False)
def test_json_of_any_kind_raises_nothing_else(
    first: dict[str, Any], values: list[Any], in_a_list: bool
) -> None:
    text = json.dumps([first, *values]) if in_a_list else rows(first, *values)
    _survives(text.encode(), lenient=False)


SEEDS = [MARKDOWN.encode(), FIELDS.encode(), rows(received("hi"), EXPORTED).encode()]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """An export with some bytes cut off, put in or changed."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(0, len(data)))
        piece = draw(
            st.binary(max_size=4) | st.sampled_from([b"\n", b": ", b"From: ", b"Type: in"])
        )
        data[at : at + draw(st.integers(0, 30))] = piece
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(spoilt() | st.binary(max_size=60), st.booleans())
def test_whatever_a_file_holds_nothing_else_is_raised(data: bytes, lenient: bool) -> None:
    for message in _survives(data, lenient):
        if message.text.isascii() and not data.startswith((b"{", b"[{", b"\xff\xfe", b"\xfe\xff")):
            rest = iter(data.decode("latin-1"))
            assert all(c in rest for c in message.text), message


def _survives(data: bytes, lenient: bool) -> list[Message]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat")
        path.write_bytes(data)
        tally = Tally(lenient=lenient)
        try:
            with open_source(path, tally) as source:
                READER.recognises(source)
                return list(READER.read(source, tally, ReadOptions()))
        except NwpError:
            return []
