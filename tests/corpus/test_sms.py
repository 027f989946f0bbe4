from __future__ import annotations

import io
import re
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import check_damaged, read_with, said, takes

from nwp.corpus.readers.sms import markup as sms_xml
from nwp.corpus.readers.sms.markup import Slim, whole_characters
from nwp.corpus.readers.sms.reader import READER
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

read, recognised = partial(read_with, READER), partial(takes, READER)

HEAD = """<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>
<!--File made by an app; don't "mend" it -->
<?xml-stylesheet type="text/xsl" href="sms.xsl"?>
<smses count="2" backup_set="x" type="full">
"""
AT = datetime(2024, 1, 31, 10, 0, tzinfo=UTC)
DATE = f"{AT.timestamp():.0f}000"
ANN, BEN = "+491701234567", "+4915198765432"


def sms(body: str, kind: str = "1", address: str = ANN, name: str = "Ann", **more: str) -> str:
    values = {"address": address, "type": kind, "body": body, "date": DATE, "contact_name": name}
    return f"<sms {attributes(values | more)} />\n"


def attributes(values: dict[str, str]) -> str:
    return " ".join(f"{key}={quoteattr(value)}" for key, value in values.items())


def mms(parts: str, box: str = "1", address: str = ANN, sender: str = "", name: str = "Ann") -> str:
    values = {"address": address, "msg_box": box, "date": DATE, "contact_name": name}
    addresses = f'<addr address="{sender}" type="137"/><addr address="+49" type="151"/>'
    return (
        f"<mms {attributes(values)}><parts>{parts}</parts>"
        f"<addrs>{addresses if sender else ''}</addrs></mms>\n"
    )


def part(text: str, kind: str = "text/plain", **more: str) -> str:
    return f"<part {attributes({'ct': kind, 'text': text} | more)}/>"


SMIL = part("<smil><body/></smil>", "application/smil")
PHOTO = part("null", "image/jpeg", data="QUJD" * 9)


def backup(path: Path, *items: str) -> Path:
    path = path / "sms-1.xml" if path.is_dir() else path
    path.write_text(HEAD + "".join(items) + "</smses>", encoding="utf-8")
    return path


def test_a_backup_is_read_in_its_own_order(tmp_path: Path) -> None:
    path = backup(
        tmp_path,
        sms("hi & <there>"),
        sms("hello", "2"),
        sms("line\none"),
        mms(SMIL + PHOTO + part("look") + part("at this")),
        mms(part("mine"), "2"),
    )
    assert recognised(path)
    assert read(path, me="zoe") == [
        Message("Ann", "hi & <there>", AT),
        Message("zoe", "hello", AT),
        Message("Ann", "line\none", AT),
        Message("Ann", "look\nat this", AT),
        Message("zoe", "mine", AT),
    ]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (sms("x", "3"), "unsent"),
        (sms("x", "4"), "unsent"),
        (sms("x", "5"), "unsent"),
        (sms("x", "6"), "unsent"),
        (sms("x", "0"), "event"),
        (sms("x", "two"), "event"),
        (sms("x", address="", name=""), "no author"),
        (sms(""), "no text"),
        (sms(" \n "), "no text"),
        (sms("null"), "no text"),
        (mms(part("x"), "3"), "unsent"),
        (mms(PHOTO), "media"),
        (mms(SMIL + PHOTO), "media"),
        (mms(SMIL), "no text"),
        (mms(part("null")), "no text"),
        (mms(""), "no text"),
        (mms(part("x"), address=f"{ANN}~{BEN}", name="Ann, Ben"), "no author"),
    ],
)
def test_what_is_no_message_is_counted(tmp_path: Path, item: str, reason: str) -> None:
    tally = Tally()
    assert read(backup(tmp_path, item), tally) == []
    assert tally.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("items", "users"),
    [
        ((sms("x", name="(Unknown)"),), [ANN]),
        ((sms("x", name="null"),), [ANN]),
        ((sms("x", name="(Unknown)"), sms("x", address="0170 1234567", name="")), [ANN, ANN]),
        ((sms("x", name="(Unknown)"), sms("y", "2", "01701234567")), ["Ann", "me"]),
        ((sms("x"), sms("x", address="01701234567")), ["Ann", "Ann"]),
        ((sms("x"), sms("x", address=BEN)), ["Ann", "Ann"]),
        (
            (sms("x", address="12345", name=""), sms("x", address="2345", name="")),
            ["12345", "2345"],
        ),
        (
            (sms("x", address="Bank24", name=""), sms("x", address="BANK24", name="")),
            ["Bank24"] * 2,
        ),
        ((sms("x", name="Me"), sms("y", "2", name="Me")), [f"Me ({ANN})", "me"]),
        ((mms(part("x"), sender="insert-address-token"),), ["Ann"]),
        ((mms(part("x"), sender="0170 1234567"),), ["Ann"]),
        ((mms(part("x"), address=f"{ANN}~{BEN}", sender=BEN, name="Ann, Ben"),), [BEN]),
        (
            (
                mms(part("x"), address=f"{ANN}~{BEN}", sender="015198765432", name="Ann, Ben"),
                sms("y", address=BEN, name="Ben"),
            ),
            ["Ben", "Ben"],
        ),
    ],
)
def test_numbers_and_contacts_are_people(
    tmp_path: Path, items: tuple[str, ...], users: list[str]
) -> None:
    assert [m.user for m in read(backup(tmp_path, *items))] == users


@pytest.mark.parametrize(
    ("date", "time"),
    [
        (DATE, AT),
        (DATE[:-3], AT),
        ("", None),
        ("null", None),
        ("9" * 30, None),
        ("-5", datetime(1969, 12, 31, 23, 59, 55, tzinfo=UTC)),
    ],
)
def test_times_are_milliseconds_or_seconds(
    tmp_path: Path, date: str, time: datetime | None
) -> None:
    tally = Tally()
    assert read(backup(tmp_path, sms("x", date=date)), tally) == [Message("Ann", "x", time)]
    assert tally.remarks == ({} if time else {"time that can't be read": 1})


def spelled(text: str) -> str:
    """A text as the app writes it: what is not ASCII as references to halves of UTF-16."""
    data = text.encode("utf-16-le")
    units = [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]
    return "".join(f"&#{n};" if not 31 < n < 127 or chr(n) in "<>&\"'" else chr(n) for n in units)


@given(st.text(max_size=20), st.integers(1, 9))
@example("😀😀 a", 1)
@example("\U0010ffff", 2)
def test_any_text_survives_the_app_s_way_of_writing_emoji(text: str, size: int) -> None:
    raw = f'<a b="{spelled(text)}" c=""/>'.encode()
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    joined = b"".join(whole_characters(pieces)).decode()
    found = re.sub(r"&#(\d+);", lambda n: chr(int(n[1])), joined)
    expected = (
        "".join(c if c in "\t\n\r" or ord(c) > 31 else "" for c in text)
        .replace("\ufffe", "\ufffd")
        .replace("\uffff", "\ufffd")
    )
    assert found == f'<a b="{expected}" c=""/>'


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("&#55357;&#56832;", "😀"),
        ("&#xD83D;&#xde00;", "😀"),
        ("a&#55357;b", "a\ufffdb"),
        ("&#56832;&#55357;", "\ufffd\ufffd"),
        ("&#55357;&#55357;&#56832;", "\ufffd😀"),
        ("&#65;&#55357;&#56832;&#66;", "A😀B"),
        ("&#55357;", "\ufffd"),
        ("a&#0;&#1;b", "ab"),
        ("&#99999999;", "\ufffd"),
        ("&amp;#55357;&#38;#56832;", "&#55357;&#56832;"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1 << 18])
def test_halves_of_characters_are_joined_wherever_a_piece_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, text: str, size: int
) -> None:
    monkeypatch.setattr(sms_xml, "PIECE", size)
    path = backup(tmp_path, sms("BODY").replace("BODY", written))
    assert said(read(path)) == [("Ann", text)]


@pytest.mark.parametrize("size", [1, 5, 16, 17, 1 << 18])
def test_pictures_are_left_out_and_nothing_else(size: int) -> None:
    kept = (
        '<?x data="1"?><!-- don\'t, data="2" --><a b=\' data="3" \' c=" data=\'4\' > ">'
        ' data="5" it\'s <![CDATA[ data="6\' ]]><metadata data=\'\' xdata="7" data = ""/></a>'
    )
    raw = kept.replace("data=''", "data='one &quot; \"two\" > <'").replace(
        'data = ""', f'data = "{"three" * 99}"'
    )
    slim = Slim("x")
    found = b"".join([slim.feed(raw[at : at + size].encode()) for at in range(0, len(raw), size)])
    rest = b"".join(slim.pieces(io.BufferedReader(io.BytesIO())))  # type: ignore[arg-type]
    assert (found + rest).decode() == kept


def test_a_picture_of_many_megabytes_does_not_reach_the_parser(tmp_path: Path) -> None:
    photo = part("null", "image/jpeg", data="QUJD" * (5 << 20))
    path = backup(tmp_path, mms(photo + part("look")), sms("next"))
    assert said(read(path)) == [("Ann", "look"), ("Ann", "next")]


def test_texts_too_long_for_a_message_are_counted(tmp_path: Path) -> None:
    long = "x" * ((1 << 20) + 1)
    tally = Tally()
    path = backup(tmp_path, sms(long), mms(part(long) + part("y")), sms("short"))
    assert said(read(path, tally)) == [("Ann", "short")]
    assert tally.skipped == {"line too long": 2}
    with pytest.raises(BadCorpus, match="a tag of over"):
        read(backup(tmp_path, sms(long * 5)))


def test_calls_hold_no_messages(tmp_path: Path) -> None:
    calls = tmp_path / "calls-1.xml"
    calls.write_text('<?xml version="1.0"?><calls count="1"><call number="1"/></calls>')
    assert recognised(calls)
    with pytest.raises(BadCorpus, match="holds calls, no messages"):
        read(calls)
    with pytest.raises(BadCorpus, match="holds calls, no messages"):
        read(tmp_path)
    backup(tmp_path, sms("hello"))
    (tmp_path / "note.txt").write_text("not read")
    tally = Tally()
    assert said(read(tmp_path, tally)) == [("Ann", "hello")]
    assert tally.skipped == {"other file": 2}


def test_a_damaged_end_is_an_error_unless_one_is_lenient(tmp_path: Path) -> None:
    path = backup(tmp_path, sms("first"), sms("second"))
    whole = path.read_text()
    for end in (whole.index("second") + 3, whole.index("</smses>")):
        path.write_text(whole[:end])
        with pytest.raises(BadCorpus, match="no XML, or only half") as caught:
            read(path)
        assert str(path) in caught.value.message
        tally = Tally(lenient=True)
        found = read(path, tally)
        assert [m.text for m in found] == ["first", "second"][: len(found)]
        assert found and tally.skipped == {"half a file": 1}


BOMB = '<!DOCTYPE smses [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "data",
    [
        BOMB + '<smses><sms type="1" body="&b;" address="1"/></smses>',
        '<!DOCTYPE smses SYSTEM "file:///etc/hostname"><smses/>',
        '<!DOCTYPE smses [<!ENTITY a SYSTEM "file:///etc/hostname">]><smses>&a;</smses>',
        '<smses><sms type="1" body="&b;" address="1"/></smses>',
        "<calls/><smses/>",
        "<other><sms/></other>",
        "<?xml version='1.0' encoding='unheard-of'?><smses/>",
        "<?xml version='1.0' encoding='base64'?><smses/>",
        "<?xml version='1.0' encoding='shift_jis'?><smses/>",
        "<smses>" + "<a>" * 1000,
        "<smses>" + "<a>" * 1000 + "</a>" * 1000 + "</smses>",
        '<smses><sms type="1" type="1"/></smses>',
        '<smses><sms body="\xff',
        "<smses " + "a" * 100,
        "<smses><!-- ",
        "",
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_no_backup_is_refused(tmp_path: Path, data: str, lenient: bool) -> None:
    path = tmp_path / "sms.xml"
    path.write_bytes(data.encode("latin-1"))
    tally = Tally(lenient=lenient)
    try:
        assert read(path, tally) == []
        assert lenient and tally.skipped == {"half a file": 1}
    except BadCorpus as error:
        assert error.hint and str(path) in error.message
        assert not lenient or "DOCTYPE" in data or "calls" in data


@pytest.mark.parametrize(
    ("data", "yes"),
    [
        (HEAD.encode(), True),
        (b"\xef\xbb\xbf\n<smses>", True),
        (b"<calls/>", True),
        (b"<other><smses>", False),
        (b"x <smses>", False),
        (b"<", False),
        (b"<??>" * 10_000, False),
    ],
)
def test_a_backup_is_known_by_its_first_element(tmp_path: Path, data: bytes, yes: bool) -> None:
    path = tmp_path / "any"
    path.write_bytes(data)
    assert recognised(path) is yes


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A good backup with some bytes cut off, put in or changed."""
    items = sms("hi"), mms(SMIL + PHOTO + part("x"), sender=ANN), sms("😀", "2")
    data = bytearray((HEAD + "".join(items) + "</smses>").encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=3))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(st.binary(max_size=60) | st.binary(max_size=60).map(b"<smses>".__add__) | spoilt())
@example(b"<smses><mms msg_box='1' address='1'><parts><sms></sms></mms></smses>")
def test_whatever_a_file_holds_nothing_but_bad_corpus_is_raised(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sms.xml"
        path.write_bytes(data)
        check_damaged(READER, path)
