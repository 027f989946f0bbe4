from __future__ import annotations

import io
import json
import mailbox
import os
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import read_with, takes

from nwp.corpus.readers.mail import reader as mbox
from nwp.corpus.readers.mail.html import html_text
from nwp.corpus.readers.mail.parts import read_part, text_of, unflowed
from nwp.corpus.readers.mail.replies import own_words
from nwp.corpus.types import Message, Tally
from nwp.errors import NwpError

read, recognised = partial(read_with, mbox.READER), partial(takes, mbox.READER)

_FOLDER = Path(os.environ.get("NWP_SHARED", ""), "formats")
_LINE = b"From ann@host.example Sat Jan 31 12:34:56 2009\n"
_HEAD = b"From: Ann <ann@host.example>\nDate: Sat, 31 Jan 2009 12:34:56 +0100\nSubject: x\n"


def texts(folder: Path, data: bytes, tally: Tally | None = None) -> list[str]:
    path = folder / "a.mbox"
    path.write_bytes(data)
    return [message.text for message in read(path, tally)]


def a_mail(body: str = "hello", **headers: str) -> bytes:
    """A mail of plain text as bytes, with more headers or others (an empty one is left out)."""
    given = {
        "From": "Ann <ann@host.example>",
        "Date": "Sat, 31 Jan 2009 12:34:56 +0100",
        "Subject": "tea",
        "Content-Type": "text/plain; charset=utf-8",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\n" for name, value in given.items() if value)
    return f"{head}\n{body}\n".encode()


def test_a_mail_is_a_message_of_the_address_it_is_from(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(
        _LINE + a_mail("Hello Ben,\nis it true?  \n\n\n\nAnn") + b"\n"
        + _LINE + a_mail("Yes.", From='"Smith, Ben" <BEN@Host.Example>', Date="")
    )  # fmt: skip
    assert recognised(tmp_path / "a")
    assert read(tmp_path / "a") == [
        Message(
            "ann@host.example",
            "Hello Ben,\nis it true?\n\nAnn",
            datetime.fromisoformat("2009-01-31T11:34:56+00:00"),
        ),
        Message("ben@host.example", "Yes."),
    ]


SPLITS: dict[str, tuple[bytes, list[str]]] = {
    "a mark of UTF-8": (b"\xef\xbb\xbf" + _LINE + _HEAD + b"\na\n\n" + _LINE + _HEAD + b"\nb", ["a", "b"]),
    "a sender alone": (b"From -\n" + _HEAD + b"\na\n\nFrom -\n" + _HEAD + b"\nb\n", ["a", "b"]),
    "CRLF": ((_LINE + _HEAD + b"\na\n\n" + _LINE + _HEAD + b"\nb\n").replace(b"\n", b"\r\n"), ["a", "b"]),
    "no empty line before it": (_LINE + _HEAD + b"\na\n" + _LINE + _HEAD + b"\nb\n", ["a", "b"]),
    "other dates": (
        b"From 15@xxx Sat Jan 31 12:34:56 +0000 2009\n" + _HEAD + b"\na\n\n"
        b"From ann at host.example  Sat, 31 Jan 2009 12:34:56 GMT\n" + _HEAD + b"\nb\n\n"
        b"From MAILER-DAEMON\n" + _HEAD + b"\nc\n",
        ["a", "b", "c"],
    ),
    "a text that begins so": (
        _LINE + _HEAD + b"\nOne\n\nFrom here on it is easy.\n\nFrom me\nYear: 1963\n\n"
        b"From a@b.example\nnothing\n\nFrom Tom Sat Jan 31 12:34:56 2009\nno header\n",
        [
            "One\n\nFrom here on it is easy.\n\nFrom me\nYear: 1963\n\n"
            "From a@b.example\nnothing\n\nFrom Tom Sat Jan 31 12:34:56 2009\nno header"
        ],
    ),
    "escapes": (
        _LINE + _HEAD + b"\n>From one\n\n>>From two\n\n> said\n>From three\n>>From four\n\nend\n",
        ["From one\n\nend"],
    ),
    "a length that lies": (
        _LINE + b"Content-Length: 99999\n" + _HEAD + b"\na\n\n" + _LINE + _HEAD + b"\nb\n",
        ["a", "b"],
    ),
    "an escape among the headers": (_LINE + b">From x Sat\n" + _HEAD + b"\na\n", ["a"]),
    "no body": (_LINE + _HEAD + _LINE + _HEAD + b"\nb", ["b"]),
}  # fmt: skip


@pytest.mark.parametrize("what", SPLITS)
def test_mails_are_parted_where_one_begins(tmp_path: Path, what: str) -> None:
    data, expected = SPLITS[what]
    assert texts(tmp_path, data) == expected
    assert recognised(tmp_path / "a.mbox")


def test_mails_are_parted_wherever_a_piece_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [b"%d " % n + b"word " * (37 * n % 200) for n in range(20)]
    data = b"".join(_LINE + _HEAD + b"\n" + body + b"\n\nFrom here\n\n" for body in bodies)
    expected = [_HEAD + b"\n" + body + b"\n\nFrom here\n\n" for body in bodies]
    for size in range(1030, 1500):
        monkeypatch.setattr(mbox, "_PIECE", size)
        assert list(mbox.split(io.BytesIO(data), Tally())) == expected


def test_of_a_mail_that_is_very_large_the_end_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox, "MAX_MAIL", 1 << 20)
    large = a_mail("small\n\n" + "x" * 70 + "\n" * (2 << 20))
    tally = Tally()
    assert texts(tmp_path, _LINE + large + b"\n" + _LINE + a_mail("next"), tally) == [
        "small\n\n" + "x" * 70,
        "next",
    ]
    assert tally.remarks == {"mail of over 1 MiB, its end not read": 1}
    assert texts(tmp_path, large, tally) == ["small\n\n" + "x" * 70]
    assert tally.remarks == {"mail of over 1 MiB, its end not read": 2}


AUTHORS = {
    "ann@host.example": "ann@host.example",
    "Ann <ANN@Host.example>": "ann@host.example",
    '"ben@fake.example" <ann@host.example>': "ann@host.example",
    "ann@host.example (Ann)": "ann@host.example",
    "ann at host.example (Ann)": "ann@host.example",
    "=?utf-8?q?Ann_=3Cann=40host=2Eexample=3E?=": "ann@host.example",
    "=?utf-8?q?=C3=84nn?= <ann@host.example>": "ann@host.example",
    "Ann <ann@host.example>, Ben <ben@host.example>": "ann@host.example",
    "'ann@host.example'": "ann@host.example",
    "root": "root",
    "=?unknown?q?=E4nn?=": "änn",
    "=?unicode_escape?q?=5Cx?=": "\\x",
    "Ann <ann@host.example": "ann@host.example",
}


@pytest.mark.parametrize(("value", "address"), AUTHORS.items())
def test_the_address_is_found_in_a_header_of_any_kind(
    tmp_path: Path, value: str, address: str
) -> None:
    (tmp_path / "a").write_bytes(_LINE + a_mail(From=value))
    assert [message.user for message in read(tmp_path / "a")] == [address]


TIMES = {
    "Sat, 31 Jan 2009 12:34:56 +0100": datetime(2009, 1, 31, 11, 34, 56, tzinfo=UTC),
    "31 Jan 2009 12:34:56 -0000": datetime(2009, 1, 31, 12, 34, 56, tzinfo=UTC),
    "Sat, 31 Jan 09 12:34:56 GMT": datetime(2009, 1, 31, 12, 34, 56, tzinfo=UTC),
    "Sat, 31 Jan 2009 12:34:56 +0000 (UTC)": datetime(2009, 1, 31, 12, 34, 56, tzinfo=UTC),
    "Sat, 31 Jan 2009 12:34:56 +9999999": None,
    "Sat, 31 Foo 2009 12:34:56": None,
    "31 Jan 1066 00:00:00 +0000": None,
    "yesterday": None,
    "9" * 150: None,
    "Sat, 31 Jan 9999999999 12:34:56 +0000": None,
}


@pytest.mark.parametrize(("value", "expected"), TIMES.items())
def test_a_date_that_is_none_gives_no_time(
    tmp_path: Path, value: str, expected: datetime | None
) -> None:
    (tmp_path / "a").write_bytes(_LINE + a_mail(Date=value))
    [message] = read(tmp_path / "a")
    assert message.time == expected


LEFT_OUT = {
    "no author": a_mail(From=""),
    "no text": a_mail("> only\n> quoted"),
    "bot": a_mail(Auto_Submitted="auto-replied"),
}
BOTS = (
    {"From": "MAILER-DAEMON@host.example"},
    {"From": "Mail Delivery <MAILER-DAEMON>"},
    {"From": "Shop <no-reply@host.example>"},
    {"From": "donotreply+7@host.example"},
    {"Auto_Submitted": "auto-generated; x=y"},
    {"Precedence": "bulk"},
    {"Precedence": "auto_reply"},
    {"Return_Path": "<>"},
    {"X_Autoreply": "yes"},
    {"Content_Type": "multipart/report; boundary=x"},
)
PEOPLE = (
    {"Auto_Submitted": "no"},
    {"Precedence": "bulk", "List_Id": "<tea.host.example>"},
    {"Precedence": "list"},
    {"From": "noreplyton.hall@host.example".replace("reply", "rep")},
    {"Return_Path": "<ann@host.example>"},
)


@pytest.mark.parametrize("reason", LEFT_OUT)
def test_what_is_left_out_is_counted(tmp_path: Path, reason: str) -> None:
    tally = Tally()
    assert texts(tmp_path, _LINE + LEFT_OUT[reason] + b"\n" + _LINE + a_mail(), tally) == ["hello"]
    assert tally.skipped == {reason: 1}


@pytest.mark.parametrize("headers", BOTS)
def test_a_mail_that_a_program_sent_is_a_bots(tmp_path: Path, headers: dict[str, str]) -> None:
    tally = Tally()
    assert texts(tmp_path, _LINE + a_mail(**headers), tally) == []
    assert tally.skipped == {"bot": 1}


@pytest.mark.parametrize("headers", PEOPLE)
def test_a_mail_through_a_list_is_a_persons(tmp_path: Path, headers: dict[str, str]) -> None:
    assert texts(tmp_path, _LINE + a_mail(**headers)) == ["hello"]


def test_a_mail_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    one = a_mail(Message_ID="<1@host.example>")
    tally = Tally()
    data = b"\n".join(_LINE + mail for mail in (one, one, a_mail(), a_mail(), one))
    assert texts(tmp_path, data, tally) == ["hello"] * 3
    assert tally.skipped == {"duplicate": 2}


def test_files_of_single_mails_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "cur").mkdir()
    (tmp_path / "cur" / "1234.M1P2.host:2,S").write_bytes(a_mail("from a Maildir\n\n>From it"))
    (tmp_path / "a.eml").write_bytes(a_mail("from a file").replace(b"\n", b"\r\n"))
    plain = a_mail("from Apple Mail")
    (tmp_path / "b.emlx").write_bytes(b"%d  \n" % len(plain) + plain + b"<?xml version='1'?>\n")
    (tmp_path / "c.mbox").write_bytes(_LINE + a_mail("from an mbox file"))
    (tmp_path / "dovecot.index").write_bytes(b"\0\1\2")
    (tmp_path / "notes.txt").write_text("From: here\nTo: there\n\nNo mail.\n")
    tally = Tally()
    expected = ["from a file", "from Apple Mail", "from an mbox file", "from a Maildir"]
    assert [message.text for message in read(tmp_path, tally)] == expected
    assert tally.skipped == {"other file": 2}
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("a.eml", "b.emlx", "c.mbox"):
            archive.write(tmp_path / name, name)
    assert recognised(tmp_path / "all.zip")
    assert [message.text for message in read(tmp_path / "all.zip")] == expected[:3]


NO_MAIL = {
    "a text": b"From here on it is easy.\nAnd so on.\n",
    "headers of another kind": b"From: ann\nType: incoming\nDate: Sat, 31 Jan 2009\n\nhello\n",
    "a log": b"12:34 <ann> hello\n12:35 <ben> hi\n",
    "lines of JSON": b'{"user": "ann", "text": "hello"}\n',
    "a table": b"from,date,subject\nann@host.example,2009-01-31,tea\n",
    "WhatsApp": b"31.12.20, 21:15 - Ann: hello\n",
    "nothing": b"",
}


@pytest.mark.parametrize("what", NO_MAIL)
def test_what_is_no_mail_is_left_to_others(tmp_path: Path, what: str) -> None:
    (tmp_path / "a").write_bytes(NO_MAIL[what])
    assert not recognised(tmp_path / "a")


def part(kind: str, body: str, **headers: str) -> str:
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return f"Content-Type: {kind}\n{more}\n{body}"


def many(kind: str, *parts: str, boundary: str = "xx") -> str:
    inner = "".join(f"--{boundary}\n{p}\n" for p in parts)
    return part(
        f'multipart/{kind}; boundary="{boundary}"', f"preamble\n{inner}--{boundary}--\nepilogue\n"
    )


_PLAIN, _HTML = part("text/plain", "plain"), part("text/html", "<p>rich</p>")
PARTS = {
    "no headers at all": ("\nplain", "plain"),
    "plain": (_PLAIN, "plain"),
    "HTML": (_HTML, "rich"),
    "both": (many("alternative", _PLAIN, _HTML), "plain"),
    "both, the plain one empty": (many("alternative", part("text/plain", " \n"), _HTML), "rich"),
    "two parts": (many("mixed", _PLAIN, part("text/plain", "more")), "plain\nmore"),
    "parts in parts": (
        many("mixed", many("related", many("alternative", _PLAIN, _HTML, boundary="c"), boundary="b")),
        "plain",
    ),
    "a boundary that begins like another": (
        many("mixed", many("alternative", _PLAIN, boundary="xxx"), part("text/plain", "end")),
        "plain\nend",
    ),
    "attachments": (
        many(
            "mixed",
            _PLAIN,
            part("text/plain", "no", Content_Disposition='attachment; filename="a.txt"'),
            part('text/plain; name="a.txt"', "no"),
            part("text/calendar", "no"),
            part("application/octet-stream", "no"),
            part("message/rfc822", "From: x@y.example\n\nno"),
            part("text/x-patch", "no"),
        ),
        "plain",
    ),
    "no last boundary": (many("mixed", _PLAIN, _PLAIN).replace("--xx--\nepilogue", ""), "plain\nplain"),
    "a boundary that no header tells": (
        part("multipart/mixed", "--q\nContent-Type: text/plain\n\nplain\n--q--\n"),
        "plain",
    ),
    "a boundary that no line has": (
        part("multipart/mixed; boundary=r", "--q\nContent-Type: text/plain\n\nplain\n--q--\n"),
        "plain",
    ),
    "a digest": (many("digest", "\nFrom: x@y.example\n\nno"), ""),
    "base64": (part("text/plain; charset=utf-8", "Y2Fmw6k=", Content_Transfer_Encoding="BASE64"), "café"),
    "base64 with a footer": (
        part("text/plain", "Y2Fmw6k=\n____\nlist\n", Content_Transfer_Encoding="base64"),
        "café",
    ),
    "quoted-printable": (
        part("text/plain;charset=latin1", "caf=E9 =\nau lait=", Content_Transfer_Encoding="quoted-printable"),
        "café au lait",
    ),
    "flowed": (part("text/plain; format=flowed", "one \ntwo\n> q \n> r\n-- \nx"), "one two\n> q r\n-- \nx"),
    "flowed, the space no part of it": (
        part("text/plain; format=Flowed; delsp=yes", "日 \n本\n >x"),
        "日本\n>x",
    ),
    "Windows-1252 under another name": (b"Content-Type: text/plain; charset=iso-8859-1\n\nit\x92s", "it’s"),
    "a charset that nobody knows": (b"Content-Type: text/plain; charset=x-foo\n\ncaf\xe9", "café"),
    "a charset that is none": (b"Content-Type: text/plain; charset=base64\n\ncaf\xc3\xa9", "café"),
    "no UTF-8": (b"Content-Type: text/plain; charset=utf-8\n\nna\xefve\ncaf\xc3\xa9", "naïve\ncafé"),
    "UTF-8 after all": (b"Content-Type: text/plain; charset=iso-2022-jp\n\ncaf\xc3\xa9", "café"),
    "eight bits that nothing names": (b"Subject: \xe9\n\ncaf\xc3\xa9", "café"),
    "wide": (part("text/plain; charset=utf-16", "") .encode() + "tea".encode("utf-16"), "tea"),
}  # fmt: skip


@pytest.mark.parametrize("what", PARTS)
def test_the_text_of_a_mail_is_what_was_written(what: str) -> None:
    raw, expected = PARTS[what]
    data = raw.encode() if isinstance(raw, str) else raw
    assert text_of(read_part(data)).strip() == expected
    if "\n\n" in str(raw) and what != "wide":
        assert text_of(read_part(data.replace(b"\n", b"\r\n"))).strip() == expected


HTML = {
    "lines": ("<div>a</div><div><br></div><div>b<br>c<br></div><p>d</p>", "a\n\nb\nc\nd"),
    "white space": ("<p>a\n  b <b>c</b><i> d</i>&nbsp;e &amp; f", "a b c d e & f"),
    "what nobody sees": (
        "<head><title>t</title><style>s</style></head><body><script>x</script><!-- c -->"
        "<div style='Display: none'>hidden</div>a</body>",
        "a",
    ),
    "a table": ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
    "preformatted": ("<pre>a\n  b</pre>c", "a\nb\nc"),
    "a quote": ("a<blockquote type='cite'>q<p>q</blockquote>b", "a\n> \nb"),
    "a quote of Gmail": (
        "a<div class='gmail_quote'><div class='gmail_attr'>On Monday B wrote:<br></div>"
        "<blockquote class='gmail_quote'>q</blockquote><div>between</div>"
        "<blockquote>q</blockquote></div>",
        "a\n> \nbetween\n> ",
    ),
    "forwarded by Gmail": ("a<div class='gmail_quote'>-- Forwarded --<br>q</div>", "a\n> "),
    "Thunderbird": ("<div class='moz-cite-prefix'>B wrote:</div><blockquote>q</blockquote>b", "> \n> \nb"),
    "Outlook": ("a<div id='divRplyFwdMsg'>From: b</div>q", "a\n-----Original Message-----\nq"),
    "signatures": ("a<div class='gmail_signature'>s</div><div id='Signature'>s</div>", "a"),
    "indented": ("a<blockquote style='margin:0 0 0 40px;border:none'>b</blockquote>", "a\nb"),
    "too deep": ("<div>" * 5000 + "a", ""),
    "styles without end": ("<p>a" + "<b><i>" * 400 + "b", "ab"),
    "nothing": ("", ""),
    "no HTML": ("a < b", "a < b"),
}  # fmt: skip


@pytest.mark.parametrize("what", HTML)
def test_html_becomes_the_lines_that_a_reader_sees(what: str) -> None:
    html, expected = HTML[what]
    assert html_text(html) == expected


_ON = "On Sat, Jan 31, 2009 at 12:34 PM Ben Lee <ben@b.example> wrote:"
OWN = {
    "all": ("Hello.\n\n  indented\n- a list\n- of things\n\nThanks, that is all.\nMore.", None),
    "dashes": ("One thing\n--\n" + "and a long text\n" * 12, "One thing\n--\n" + "and a long text\n" * 12),
    "a quote": (f"Yes.\n\n{_ON}\n> Is it?\n>\n> Ben\n", "Yes."),
    "no words between": (f"Yes.\n{_ON}\n\n> Is it?", "Yes."),
    "answers between": (
        f"Hi,\n\n{_ON}\n> one?\nYes.\n\n> two?\n>> old\n\nNo.\n\n> three?\n",
        "Hi,\n\nYes.\n\nNo.",
    ),
    "an introduction in two lines": (
        "Yes.\n\nOn Sat, Jan 31, 2009 at 12:34 PM Ben Lee <ben@b.example>\nwrote:\n\n> Is it?",
        "Yes.",
    ),
    "no quote marks": (f"Yes.\n\n{_ON}\n\nIs it?\n\nBen", "Yes."),
    "no quote": (f"Yes.\n\n{_ON}\n", "Yes."),
    "Thunderbird": ("Yes.\n\nOn 1/31/09 8:27 AM, Ben Lee wrote:\n> Is it?", "Yes."),
    "a name only": ("Ben Lee wrote:\n> Is it?\n\nYes.", "Yes."),
    "Usenet": ("In article <1@host.example>, Ben writes:\n>Is it?\n\nYes.", "Yes."),
    "a story": ("In 1850 my aunt wrote:\nDear all, it rains.", None),
    "German": ("Ja.\n\nAm Sa., 31. Jan. 2009 um 12:34 Uhr schrieb Ben <ben@b.example>:\n\n> Echt?", "Ja."),
    "French": ("Oui.\n\nLe sam. 31 janv. 2009 à 12:34, Ben <ben@b.example> a écrit\xa0:\n\n> Vrai?", "Oui."),
    "Spanish": ("Sí.\n\nEl sáb, 31 ene 2009 a las 12:34, Ben (<ben@b.example>) escribió:\n\n> ¿Sí?", "Sí."),
    "Italian": ("Sì.\n\nIl giorno sab 31 gen 2009 alle 12:34 Ben <ben@b.example> ha scritto:\n> ?", "Sì."),
    "Portuguese": ("Sim.\n\nEm sáb., 31 de jan. de 2009 12:34, Ben <ben@b.example> escreveu:\n> ?", "Sim."),
    "Dutch": ("Ja.\n\nOp za 31 jan. 2009 om 12:34 schreef Ben <ben@b.example>:\n\n> Echt?", "Ja."),
    "Swedish": ("Ja.\n\nDen lör 31 jan. 2009 kl 12:34 skrev Ben <ben@b.example>:\n\n> Jo?", "Ja."),
    "Polish": ("Tak.\n\nsob., 31 sty 2009 o 12:34 Ben <ben@b.example> napisał(a):\n\n> Na pewno?", "Tak."),
    "Russian": ("Да.\n\nсб, 31 янв. 2009 г. в 12:34, Ben <ben@b.example>:\n\n> Да?", "Да."),
    "Japanese": ("はい。\n\n2009年1月31日(土) 12:34 Ben <ben@b.example>:\n\n> はい?", "はい。"),
    "Chinese": ("是。\n\nBen <ben@b.example> 于2009年1月31日周六 12:34写道：\n\n> 是?", "是。"),
    "Outlook of old": ("Yes.\n\n-----Original Message-----\nFrom: Ben\nSent: now\n\nIs it?", "Yes."),
    "Outlook": (
        "Yes.\n\n________________________________\nFrom: Ben Lee <ben@b.example>\n"
        "Sent: Saturday, January 31, 2009 12:34 PM\nTo: Ann\nSubject: tea\n\nIs it?\n",
        "Yes.",
    ),
    "Outlook in German": (
        "Ja.\n\nVon: Ben Lee\nGesendet: Samstag, 31. Januar 2009 12:34\nAn: Ann\nBetreff: Tee\n\nEcht?\n",
        "Ja.",
    ),
    "Outlook in French": (
        "Oui.\n\nDe\xa0: Ben Lee\nEnvoyé\xa0: 31 janvier 2009 12:34\nÀ\xa0: Ann\nObjet\xa0: thé\n\nVrai?",
        "Oui.",
    ),
    "Outlook with marks": (
        "-----Ursprüngliche Nachricht-----\nVon: Ben\nGesendet: 31.1.2009 12:34\n\n> Echt?\n\nJa.",
        "Ja.",
    ),
    "forwarded": (
        "See below.\n\n---------- Forwarded message ---------\nFrom: Ben <ben@b.example>\n"
        "Date: Sat, Jan 31, 2009 at 12:34 PM\nSubject: tea\nTo: Ann\n\nIs it?",
        "See below.",
    ),
    "forwarded by Apple": (
        "See below.\n\nBegin forwarded message:\n\n> From: Ben <ben@b.example>\n> Is it?",
        "See below.",
    ),
    "lines with colons": ("From: home\nTo: work\nBy: bus\n\nThat is my way.", None),
    "a list with colons": ("Do: rest at 12:30\nDont: run\nMaybe: walk on 2009-01-31", None),
    "a signature": ("Yes.\n\n-- \nAnn\nTea and more\n", "Yes."),
    "a signature without the space": ("Yes.\n\n--\nAnn\n", "Yes."),
    "a signature above the quote": (f"Yes.\n\n-- \nAnn\n\n{_ON}\n> Is it?\n\nAnd no.", "Yes.\n\nAnd no."),
    "a telephone": ("Yes.\n\nSent from my iPhone\n", "Yes."),
    "a telephone above the quote": (f"Yes.\n\nVon meinem iPhone gesendet\n\n{_ON}\n> Is it?", "Yes."),
    "other telephones": ("Oui.\n\nEnvoyé de mon iPhone\n\nGet Outlook for iOS<https://x.example>", "Oui."),
    "a word of a telephone": ("It was sent from my iPhone.\nDid you get it?", None),
    "a list's footer": (
        "Yes.\n_______________________________________________\ntea mailing list\n"
        "tea@host.example\nhttps://host.example/listinfo/tea\n",
        "Yes.",
    ),
    "a footer behind a quote": (
        f"Yes.\n\n{_ON}\n> Is it?\n\n---------------------------------\n"
        "To unsubscribe, e-mail: tea-off@host.example\nFor additional commands, e-mail: x\n",
        "Yes.",
    ),
    "signed": (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA1\n\nYes.\n\n- -- \nAnn\n"
        "-----BEGIN PGP SIGNATURE-----\n\nabc=\n-----END PGP SIGNATURE-----\n",
        "Yes.",
    ),
    "encrypted": ("-----BEGIN PGP MESSAGE-----\n\nabc\n-----END PGP MESSAGE-----\n", ""),
    "armour without an end": ("Yes.\n-----BEGIN PGP SIGNATURE-----\nabc", "Yes."),
    "faces": (">_< oh no\n>:( why", None),
    "nothing": ("\n \n", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", OWN)
def test_of_a_mail_only_its_writers_own_words_stay(what: str) -> None:
    text, expected = OWN[what]
    assert own_words(text) == (text if expected is None else expected).strip()


def test_a_reply_in_html_is_read_like_one_in_plain_text(tmp_path: Path) -> None:
    html = (
        "<html><body><div>Yes,<br>it is.</div><div class='moz-cite-prefix'>On 1/31/09 Ben wrote:"
        "</div><blockquote type='cite'><p>Is it?</p></blockquote><p>Or not.</p>"
        "<pre class='moz-signature'>-- \nAnn</pre></body></html>"
    )
    data = a_mail(html, Content_Type="text/html; charset=utf-8")
    assert texts(tmp_path, _LINE + data) == ["Yes,\nit is.\n\nOr not."]


HOSTILE = {
    "introductions": "On x wrote:\n" * 10_000,
    "one long line": "On " + "a " * 50_000 + "wrote:",
    "colons": "a:\n" * 50_000,
    "headers": "From: a@b.example 12:30\n" * 5_000,
    "rules": ("-" * 150 + "\n") * 1_000,
    "marks": ">" * 100_000 + "\n" + "> " * 50_000,
    "empty lines": ("Ben wrote:" + "\n" * 300) * 300,
    "spaces": (" " * 199 + "x\n") * 500,
    "no end": "-----BEGIN PGP MESSAGE-----\n" * 4_000,
    "signed": "-----BEGIN PGP SIGNED MESSAGE-----\n" + "a: b\n" * 20_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_text_made_to_take_for_ever_ends(what: str) -> None:
    assert len(own_words(HOSTILE[what])) <= len(HOSTILE[what])


def test_broken_mime_ends_soon_and_gives_no_text_from_nowhere(tmp_path: Path) -> None:
    deep = "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(5_000)
    )
    wide = part("multipart/mixed; boundary=b", "--b\n\nx\n" * 20_000)
    long = "X-Long: " + "a;\n b=" * 200_000 + "\nSubject: x\n\nbody"
    assert text_of(read_part(f"{deep}\n\nx".encode())) == ""
    assert text_of(read_part(wide.encode())).count("x") == 1000
    assert text_of(read_part(long.encode())) == "body"


_WORDS = st.lists(
    st.text(st.sampled_from("abcdeé日 ,.!?'\""), min_size=1, max_size=30)
    .map(lambda line: " ".join(line.split()))
    .filter(lambda line: line and not line.endswith(",")),
    min_size=1,
    max_size=6,
)
_ADDRESSES = st.from_regex(r"[a-z][a-z0-9.+_-]{0,8}@[a-z]{1,8}\.example", fullmatch=True)


@given(
    st.lists(
        st.tuples(
            _ADDRESSES,
            _WORDS,
            st.sampled_from(["plain", "html", "both", "attached"]),
            st.sampled_from(["utf-8", "base64", "quoted-printable"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_mails_as_python_writes_them_are_read_back(
    mails: list[tuple[str, list[str], str, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.mbox")
        box = mailbox.mbox(str(path))
        for sender, lines, form, coding in mails:
            box.add(_written(sender, lines, form, coding))
        box.close()
        assert recognised(path)
        found = read(path)
    assert [(m.user, m.text) for m in found] == [
        (sender, "\n".join(lines)) for sender, lines, _, _ in mails if "noreply" not in sender
    ]


def _written(sender: str, lines: Sequence[str], form: str, coding: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = f"Zoë <{sender}>", "é日"
    mail["Date"] = "Sat, 31 Jan 2009 12:34:56 +0100"
    how = {} if coding == "utf-8" else {"cte": coding}
    text = "\n".join(lines)
    html = "".join(f"<div>{line.replace('&', '&amp;')}</div>" for line in lines)
    if form == "html":
        mail.set_content(html, subtype="html", **how)
    else:
        mail.set_content(text, **how)
    if form == "both":
        mail.add_alternative(html, subtype="html")
    if form == "attached":
        mail.add_attachment("not read", filename="a.txt")
    return mail


_PIECES = st.sampled_from(
    [b"--x\n", b"--x--\n", b"\n", b"\n\n", b"From -\n", _LINE, _HEAD,
     b"Content-Type: multipart/mixed; boundary=x\n",
     b"Content-Type: text/html; charset=\xff\n", b"Content-Type: text/plain; charset*=a'b'%zz; format*0=f\n",
     b"Content-Transfer-Encoding: base64\n", b"Content-Transfer-Encoding: quoted-printable\n",
     b"Content-Transfer-Encoding: x-uuencode\n",
     b"=\n=E", b"====", b"<div><blockquote>", b"</p>\0<!--", b"> q\n",
     b"Date: \xe9\n", b"From: =?x?b?!!?= <\n", b"-- \n", b"\xff\xfe\x80",
     b"Content-Disposition: attachment;;=\n"]
)  # fmt: skip


@given(st.lists(_PIECES | st.binary(max_size=8), max_size=30).map(b"".join), st.booleans())
@example(b"Content-Type: text/plain; charset=punycode\n\n\xff", True)
@example(b"Content-Type: text/plain; charset=unicode_escape\n\n\\d", True)
@example(b"Content-Type: multipart/mixed; boundary*0*=\n\n--", True)
@example(b"Content-Type: text/plain; charset*=a\0b''x\n\n\xff", False)
def test_whatever_a_mail_holds_it_is_read_or_refused(data: bytes, head: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.mbox")
        path.write_bytes((_LINE + _HEAD if head else b"") + data)
        try:
            recognised(path)
            found = read(path)
        except NwpError:
            return
    assert all(m.user and m.text.strip() for m in found)
    for message in found:
        message.text.encode()


@given(st.text(st.sampled_from("ab >-\n"), max_size=60))
def test_lines_that_do_not_flow_stay_as_they_are(text: str) -> None:
    fixed = "\n".join(line.strip() for line in text.split("\n") if not line.strip().startswith(">"))
    assert unflowed(fixed) == fixed


@pytest.mark.skipif("NWP_SHARED" not in os.environ, reason="NWP_SHARED names no real exports")
@pytest.mark.parametrize(
    "name",
    ["bom_unmunged_from", "list_quoted_replies", "multipart_quoted_printable", "three_messages"],
)
def test_a_real_mbox_gives_what_a_person_counted(name: str) -> None:
    path = _FOLDER / f"mail_{name}.mbox"
    expected = json.loads((_FOLDER / "expected.json").read_text(encoding="utf-8"))[path.name]
    assert recognised(path)
    found = read(path)
    assert {m.user for m in found} == set(expected["author_names"])
    assert len(found) == expected["messages"]
    plain = [" ".join(m.text.split()) for m in found]
    assert expected["first"]["text"] in plain[0]
    assert expected["last"]["text"].removesuffix("..") in plain[-1]
    for text in expected.get("occurs_once", []):
        assert sum(text in other for other in plain) == 1
