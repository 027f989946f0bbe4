from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read_with, takes

from nwp.corpus.readers.slack import READER, plain
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, NwpError

read, recognised = partial(read_with, READER), partial(takes, READER)

USERS = [
    {"id": "U1", "name": "ann.l", "real_name": "Ann Lee", "profile": {"display_name": "annie"}},
    {"id": "U2", "name": "ben", "real_name": "Ben Ho", "profile": {"display_name": ""}},
    {"id": "U3", "name": "cy", "profile": {}},
    {"id": "UB", "name": "helper", "is_bot": True, "profile": {"display_name": "Helper"}},
]
AT = datetime(2024, 1, 31, 10, 0, tzinfo=UTC)
TS = f"{AT.timestamp():.0f}.000000"


def export(folder: Path, days: dict[str, Any], **lists: Any) -> Path:
    """An export: `days` are lists by path, `lists` those beside them."""
    for name, rows in days.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    for name, rows in ({"users": USERS} | lists).items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def said(user: str, text: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "user": user, "text": text, "ts": TS} | more


def one(tmp_path: Path, row: Any) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """What a day with one entry gives, and what it leaves out."""
    tally = Tally()
    found = read(export(tmp_path, {"general/2024-01-31": [row]}), tally)
    return [(m.user, m.text) for m in found], tally.skipped


def test_channels_come_one_after_the_other_and_their_days_in_order(tmp_path: Path) -> None:
    days = {
        "zoo/2024-01-01": [said("U3", "fifth")],
        "general/2024-02-01": [said("U1", "third")],
        "general/2024-01-31": [said("U1", "first"), said("U2", "second")],
        "general-2/2024-01-01": [said("U3", "fourth")],
    }
    expected = [
        ("annie", "first"),
        ("Ben Ho", "second"),
        ("annie", "third"),
        ("cy", "fourth"),
        ("cy", "fifth"),
    ]
    folder = export(tmp_path / "export", days, channels=[], dms=[], canvases=[])
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*.json")):
            packed.write(path, f"top/{path.relative_to(folder)}")
    for path in (folder, archive):
        tally = Tally()
        found = read(path, tally)
        assert recognised(path)
        assert [(m.user, m.text) for m in found] == expected
        assert {m.time for m in found} == {AT}
        assert tally == Tally(skipped={"other file": 1})


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (said("U1", "hello"), "hello"),
        (said("U1", " hello \n"), "hello"),
        (said("U1", "hello", subtype="thread_broadcast", thread_ts="1.0"), "hello"),
        (said("U1", "my picture", subtype="file_share", files=[{"id": "F1"}]), "my picture"),
        (said("U1", "my picture", files=[{"id": "F1"}], upload=True), "my picture"),
        (said("U1", "new", edited={"user": "U1", "ts": TS}), "new"),
        (said("U1", "hello", subtype=None, bot_id=None), "hello"),
        (
            said(
                "U1",
                "<@U1|annie> uploaded a file: <https://x.test/a|a.txt> and commented: look",
                subtype="file_share",
                file={"id": "F1"},
            ),
            "look",
        ),
        (
            {
                "type": "message",
                "subtype": "file_comment",
                "text": "<@U1> commented on <@U2>’s file <https://x.test/a|a.txt>: nice",
                "comment": {"user": "U1", "comment": "nice &lt;3"},
                "ts": TS,
            },
            "nice <3",
        ),
    ],
)
def test_what_a_person_wrote_is_a_message(tmp_path: Path, row: Any, text: str) -> None:
    assert one(tmp_path, row) == ([("annie", text)], {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (said("U1", "<@U1> has joined the channel", subtype="channel_join"), "system line"),
        (said("U1", "set the topic: tea", subtype="channel_topic"), "system line"),
        (said("U1", "added an integration", subtype="bot_add", bot_id="B1"), "system line"),
        (said("USLACKBOT", "This message was deleted.", subtype="tombstone"), "deleted message"),
        (said("U1", "waves", subtype="me_message"), "action"),
        (said("", "deployed", subtype="bot_message", bot_id="B1"), "bot"),
        (said("U1", "deployed", bot_id="B1"), "bot"),
        (said("UB", "deployed"), "bot"),
        (said("USLACKBOT", "a reminder"), "bot"),
        (said("U1", "", files=[{"id": "F1"}]), "media"),
        (
            said("U1", "<@U1> uploaded a file: <https://x.test/a|a>", subtype="file_share", file=1),
            "media",
        ),
        (said("U1", ""), "empty message"),
        (said("U1", None), "empty message"),
        (said("U1", ["hello"]), "no text"),
        (said("", "hello"), "no author"),
        ({"type": "message", "text": "hello"}, "no author"),
        ({"type": "user_change", "user": "U1", "text": "hello"}, "event"),
        ("hello", "event"),
        (None, "event"),
        ([said("U1", "hello")], "event"),
    ],
)
def test_what_no_person_wrote_is_counted(tmp_path: Path, row: Any, reason: str) -> None:
    assert one(tmp_path, row) == ([], {reason: 1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<@U1> and <@U2|ben>", "@annie and @Ben Ho"),
        ("<@U9|guest> <@U9>", "@guest @U9"),
        ("<#C1|general> <#C1> <#C9>", "#general #tea #C9"),
        (
            "<!here> <!channel|channel> <!subteam^S1|@cooks> <!subteam^S1>",
            "@here channel @cooks @S1",
        ),
        ("<!date^1700000000^{date}|14 Nov>", "14 Nov"),
        ("<https://x.test/a>", "https://x.test/a"),
        ("<https://x.test/?a=1&amp;b=2>", "https://x.test/?a=1&b=2"),
        ("<https://x.test/a|https://x.test/a>", "https://x.test/a"),
        ("<http://x.test|x.test> is down", "x.test is down"),
        ("<https://x.test/|the &lt;docs&gt;>", "the <docs>"),
        ("<mailto:ann@x.test|ann@x.test>", "ann@x.test"),
        ("<mailto:ann@x.test>", "ann@x.test"),
        ("<tel:+4912>", "+4912"),
        ("a &lt;b&gt; &amp;lt; &quot; &nbsp;", "a <b> &lt; &quot; &nbsp;"),
        ("&lt;@U1&gt;", "<@U1>"),
        ("<no address> 1 < 2 > 0", "<no address> 1 < 2 > 0"),
        (":smile: ```x = 1```", ":smile: ```x = 1```"),
    ],
)
def test_markup_becomes_what_people_see(text: str, expected: str) -> None:
    assert plain(text, {"U1": "annie", "U2": "Ben Ho"}, {"C1": "tea"}) == expected


ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=6))
def test_any_text_survives_slack_s_escaping(pieces: list[str]) -> None:
    written = "<@U1>".join(piece.translate(ESCAPES) for piece in pieces)
    assert plain(written, {"U1": "a&lt;b"}, {}) == "@a&lt;b".join(pieces)


def test_one_name_of_two_people_is_two_users(tmp_path: Path) -> None:
    users = [
        {"id": "U1", "profile": {"display_name": "Sam"}},
        {"id": "U2", "profile": {"real_name": "sam"}},
        {"id": "U3", "profile": {}},
    ]
    guest = {"real_name": "Sam", "display_name": ""}
    days = {
        "a/2024-01-01": [said("U1", "hi <@U9> <@U2>"), said("U2", "x"), said("U3", "y")],
        "a/2024-01-02": [said("U9", "z", user_profile=guest), said("U8", "unknown")],
    }
    found = read(export(tmp_path, days, users=users))
    assert [(m.user, m.text) for m in found] == [
        ("Sam (U1)", "hi @Sam @sam"),
        ("sam (U2)", "x"),
        ("U3", "y"),
        ("Sam (U9)", "z"),
        ("U8", "unknown"),
    ]


def test_channels_without_labels_have_the_names_of_the_lists(tmp_path: Path) -> None:
    rows = [said("U1", "see <#C1>, <#G1>, <#C2>")]
    lists = {"channels": [{"id": "C1", "name": "tea"}, {"id": 7}], "groups": [{"id": "G1"}]}
    [message] = read(export(tmp_path, {"a/2024-01-01": rows}, **lists))
    assert message.text == "see #tea, #G1, #C2"


@pytest.mark.parametrize("ts", [None, "soon", 1e300, "9" * 30, [], True])
def test_a_message_without_a_usable_time_is_kept(tmp_path: Path, ts: Any) -> None:
    tally = Tally()
    path = export(tmp_path, {"a/2024-01-01": [said("U1", "hello", ts=ts)]})
    assert read(path, tally) == [Message("annie", "hello")]
    assert tally.remarks == {"time that can't be read": 1}


def test_half_a_day_is_an_error_unless_one_is_lenient(tmp_path: Path) -> None:
    path = export(tmp_path, {"a/2024-01-01": [said("U1", "first"), said("U1", "second")]})
    day = path / "a" / "2024-01-01.json"
    day.write_text(day.read_text()[:-20])
    with pytest.raises(BadCorpus, match=re.escape(str(day))):
        read(path)
    tally = Tally(lenient=True)
    assert [m.text for m in read(path, tally)] == ["first"]
    assert tally.skipped == {"half a file": 1}


def test_broken_lists_of_people_are_an_error_unless_one_is_lenient(tmp_path: Path) -> None:
    path = export(tmp_path, {"a/2024-01-01": [said("U1", "first")]})
    (path / "users.json").write_text('[{"id": "U1"')
    with pytest.raises(BadCorpus, match="users"):
        read(path)
    assert read(path, Tally(lenient=True))[0].user == "U1"


@pytest.mark.parametrize(
    ("name", "data", "yes"),
    [
        ("a/2024-01-01.json", b'[{"type": "message", "user": "U1", "ts": "1.0"}]', True),
        ("2024-01-01.json", b'\xef\xbb\xbf \n[\n{"ts": "1.0", "user": "U1"', True),
        ("a/2024-01-01.json", b"[]", False),
        ("a/2024-01-01.json", b'{"ts": "1.0", "user": "U1"}', False),
        ("a/2024-01-01.json", b'[{"date": "x", "user": "U1"}]', False),
        ("a/general.json", b'[{"type": "message", "user": "U1", "ts": "1.0"}]', False),
        ("a/2024-01-01.txt", b'[{"type": "message", "user": "U1", "ts": "1.0"}]', False),
    ],
)
def test_an_export_is_known_by_its_days(tmp_path: Path, name: str, data: bytes, yes: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    assert recognised(tmp_path) is yes


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
ROW = st.fixed_dictionaries(
    {},
    optional={
        key: ANY | st.sampled_from(["message", "U1", "file_comment", "file_share", "<@U1>"])
        for key in ("type", "user", "text", "ts", "subtype", "comment", "user_profile", "files")
    },
)


@given(st.lists(ROW | ANY, max_size=4), ANY | st.lists(ROW, max_size=2), st.booleans())
def test_values_of_any_type_never_end_in_another_error(day: Any, users: Any, lenient: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = export(Path(folder), {"a/2024-01-01": day}, users=users, channels=users)
        for message in read(path, Tally(lenient=lenient)):
            assert message.user and message.text.strip()
            message.text.encode()


@given(st.binary(max_size=60), st.booleans())
def test_whatever_a_day_holds_nothing_but_bad_corpus_is_raised(data: bytes, lenient: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = export(Path(folder), {"a/2024-01-01": []})
        (path / "a" / "2024-01-01.json").write_bytes(b"[" + data)
        try:
            assert read(path, Tally(lenient=lenient)) == []
        except NwpError as error:
            assert isinstance(error, BadCorpus) and error.hint


def test_deep_nesting_is_no_crash(tmp_path: Path) -> None:
    path = export(tmp_path, {"a/2024-01-01": []})
    (path / "a" / "2024-01-01.json").write_bytes(b'[{"text": ' + b"[" * 100_000)
    with pytest.raises(BadCorpus):
        read(path)


@pytest.mark.skipif("NWP_SHARED" not in os.environ, reason="NWP_SHARED names no real exports")
def test_a_real_export_gives_what_a_person_counted() -> None:
    folder = Path(os.environ["NWP_SHARED"], "formats")
    expected = json.loads((folder / "expected.json").read_text())["slack_export_bots.zip"]
    path = folder / "slack_export_bots.zip"
    assert recognised(path)
    found = sorted(read(path), key=lambda m: m.time or AT)
    assert len(found) in expected["messages_ok"]
    assert {m.user for m in found} == set(expected["author_names"])
    for message, wanted in ((found[0], expected["first"]), (found[-1], expected["last"])):
        assert message.user == wanted["author"]
        assert wanted["text"] in message.text
