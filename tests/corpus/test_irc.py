from __future__ import annotations

import json
import os
import tempfile
import zipfile
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read_with, takes

from nwp.corpus.readers.irc import reader as irc
from nwp.corpus.readers.irc.dates import named_date, told_date
from nwp.corpus.types import Message, Tally
from nwp.errors import NwpError

read, recognised = partial(read_with, irc.READER), partial(takes, irc.READER)

_FOLDER = Path(os.environ.get("NWP_SHARED", ""), "formats")


def read_log(
    folder: Path, log: str, name: str = "a.log"
) -> tuple[list[tuple[str, str, str | None]], dict[str, int]]:
    """Who said what when, and what was left out."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(log)
    tally = Tally()
    found = read(folder if "/" in name else folder / name, tally)
    return [
        (m.user, m.text, m.time.isoformat(" ") if m.time else None) for m in found
    ], tally.skipped


STYLES: dict[str, tuple[str, list[tuple[str, str, str | None]], dict[str, int]]] = {
    "irssi": (
        "--- Log opened Sat Jan 02 21:58:01 2010\n"
        "21:58 -!- mira [~m@host.example] has joined #tea\n"
        "21:58 -!- Irssi: Join to #tea was synced in 0 secs\n"
        "21:59 <@mira> the kettle is on\n"
        "22:00 < tom> finally\n"
        "22:00  * tom gets cups\n"
        "22:01 -tom:#tea- cups are clean\n"
        "22:02 -!- tom is now known as tom_away\n"
        "--- Day changed Sun Jan 03 2010\n"
        "00:03 <+mira> still here\n"
        "--- Log closed Sun Jan 03 00:10:00 2010\n",
        [
            ("mira", "the kettle is on", "2010-01-02 21:59:00"),
            ("tom", "finally", "2010-01-02 22:00:00"),
            ("mira", "still here", "2010-01-03 00:03:00"),
        ],
        {"event": 6, "action": 1, "notice": 1},
    ),
    "weechat": (
        "2020-01-31 12:34:56\t-->\tmira (~m@host.example) has joined #tea\n"
        "2020-01-31 12:34:57\t@mira\tgood morning\n"
        "2020-01-31 12:34:58\ttom\tso early\tagain\n"
        "2020-01-31 12:35:00\t *\ttom yawns\n"
        "2020-01-31 12:35:01\t--\tMode #tea [+o tom] by mira\n"
        "2020-01-31 12:35:01\t--\tNotice(tom): hush\n"
        "2020-01-31 12:35:02\t<--\ttom has quit (sleep)\n"
        "2020-01-31 12:35:03\t\tno more\n",
        [
            ("mira", "good morning", "2020-01-31 12:34:57"),
            ("tom", "so early\tagain", "2020-01-31 12:34:58"),
        ],
        {"event": 4, "action": 1, "notice": 1},
    ),
    "znc": (
        "[09:00:01] *** Joins: mira (m@host.example)\n"
        "[09:00:05] <mira> is the shop open? \n"
        "[09:00:09] * tom looks\n"
        "[09:01:00] -tom- it is\n"
        "[09:02:00] <tom> <yes> it is\n"
        "[09:03:00] *** tom sets mode: +o mira\n"
        "[09:04:00] *** Parts: tom (t@host.example) (to buy bread on 3 May 2031)\n",
        [("mira", "is the shop open?", None), ("tom", "<yes> it is", None)],
        {"event": 3, "action": 1, "notice": 1},
    ),
    "XChat": (
        "**** BEGIN LOGGING AT Fri Dec 31 23:50:00 2010\n\n"
        "Dec 31 23:50:00 *\tNow talking on #tea\n"
        "Dec 31 23:50:10 <mira>\tnearly there\n"
        "Dec 31 23:50:20 *\tmira has joined #tea\n"
        "Dec 31 23:59:00 *\ttom pops a cork\n"
        "Dec 31 23:59:01 -tom-\tready\n"
        "Jan 01 00:00:01 <tom>\thappy new year\n"
        "Jan 41 00:00:01 <tom>\thic\n"
        "**** ENDING LOGGING AT Sat Jan 01 00:10:00 2011\n",
        [
            ("mira", "nearly there", "2010-12-31 23:50:10"),
            ("tom", "happy new year", "2011-01-01 00:00:01"),
            ("tom", "hic", None),
        ],
        {"event": 4, "action": 1, "notice": 1},
    ),
    "XChat in Italian": (
        "**** INIZIO DEL LOG mar gen 05 19:52:46 2010\n"
        "gen 05 19:52:51 <mira>\tciao\n"
        "mag 01 08:00:00 <tom>\tbuon giorno\n"
        "**** FINE DEL LOG sab mag 01 09:00:00 2010\n",
        [("mira", "ciao", "2010-01-05 19:52:51"), ("tom", "buon giorno", "2010-05-01 08:00:00")],
        {"event": 2},
    ),
    "irssi in German": (
        "--- Protokoll begonnen Die Mär 02 10:00:00 2010\n"
        "10:01 <mira> moin\n"
        "--- Tag hat gewechselt Mit Mär 03 2010\n"
        "10:02 <tom> moin moin\n",
        [("mira", "moin", "2010-03-02 10:01:00"), ("tom", "moin moin", "2010-03-03 10:02:00")],
        {"event": 2},
    ),
    "mIRC": (
        "\nSession Start: Sat Jan 31 12:34:00 2009\nSession Ident: #tea\n"
        "[12:34] * Now talking in #tea\n"
        "[12:35] <@mira> \x02bold\x02 and \x0304,01red\x03 and \x1funder\x0f done\n"
        "[12:36] * Joins: tom (~t@host.example)\n"
        "[12:37] * tom waves\n"
        "[11:59pm] <tom> late\n"
        "Session Time: Sun Feb 01 00:00:00 2009\n"
        "[12:01am] <tom> later\n"
        "Session Close: Sun Feb 01 00:30:00 2009\n",
        [
            ("mira", "bold and red and under done", "2009-01-31 12:35:00"),
            ("tom", "late", "2009-01-31 23:59:00"),
            ("tom", "later", "2009-02-01 00:01:00"),
        ],
        {"event": 6, "action": 1},
    ),
    "Eggdrop": (
        "[00:00] --- Sat Jan 31 2009\n"
        "[12:34] tom (~t@host.example) joined #tea.\n"
        "[12:34] <mira> hello tom\n"
        "[12:35] Action: tom bows\n"
        "[12:36] #tea: mode change '+o tom' by mira!m@host.example\n"
        "[12:37] tom (~t@host.example) left #tea.\n",
        [("mira", "hello tom", "2009-01-31 12:34:00")],
        {"event": 4, "action": 1},
    ),
    "muh": (
        "[Sat 31/Jan/2009 12:34:56] <mira> slow day\n[Sat 31/Jan/2009 12:40:00] *** tom quit\n",
        [("mira", "slow day", "2009-01-31 12:34:56")],
        {"event": 1},
    ),
    "Limnoria": (
        "2011-01-31T12:34:56  <mira> tea?\n"
        "2011-01-31T12:34:57  * tom nods\n"
        "2011-01-31T12:34:58  *** tom has joined #tea\n",
        [("mira", "tea?", "2011-01-31 12:34:56")],
        {"event": 1, "action": 1},
    ),
    "ISO with a zone": (
        "[2020-01-31T12:34:56+0100] <mira> one\n"
        "[2020-01-31T12:34:56.123-05:30] <~tom> two\n"
        "2020-01-31T12:34:56Z <&tom> three\n"
        "2020/01/31 12:34:57 <tom/#tea> four\n",
        [
            ("mira", "one", "2020-01-31 12:34:56+01:00"),
            ("tom", "two", "2020-01-31 12:34:56-05:30"),
            ("tom", "three", "2020-01-31 12:34:56+00:00"),
            ("tom", "four", "2020-01-31 12:34:57"),
        ],
        {},
    ),
    "an archive of Ubuntu": (
        "=== tom [~t@host.example]  has joined #tea\n"
        "[04:22] <mira> \ttyping\n"
        "=== mira is now known as mira_\n"
        "[04:23] <mira_> tom: what: now?\n",
        [("mira", "typing", None), ("mira_", "tom: what: now?", None)],
        {"event": 2},
    ),
    "Pidgin": (
        "Conversation with #tea at Sat 31 Jan 2009 11:58:00 PM CET on mira@irc.example.org (irc)\n"
        "(11:58:10 PM) tom: anyone up?\n"
        "(11:58:20 PM) mira [~m@host.example] entered the room.\n"
        "(11:58:30 PM) The topic for #tea is: tea: now\n"
        "(12:01:00 AM) mira: barely\n",
        [("tom", "anyone up?", "2009-01-31 23:58:10"), ("mira", "barely", "2009-02-01 00:01:00")],
        {"event": 3},
    ),
    "an impossible time, and what fits no style": (
        "[12:00] <mira> one\n"
        "[39:95:90] <mira> two\n"
        "[12:01] <tom>\n"
        "[12:01] <-> nobody\n"
        "[12:02] something else\n"
        "and a line that was broken\n"
        "12:03 <tom> three\n",
        [("mira", "one", None), ("mira", "two", None), ("tom", "three", None)],
        {"empty message": 1, "event": 1, "other line": 2},
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_log_gives_what_was_said_in_it(tmp_path: Path, style: str) -> None:
    log, said, left_out = STYLES[style]
    for end in ("\n", "\r\n"):
        found, skipped = read_log(tmp_path, log.replace("\n", end))
        assert found == said
        assert skipped == left_out
        assert recognised(tmp_path / "a.log")


NAMES = {
    "2020-01-31.log": date(2020, 1, 31),
    "20200131.log": date(2020, 1, 31),
    "#tea_20200131.log": date(2020, 1, 31),
    "net/#tea/2020-01-31.txt": date(2020, 1, 31),
    "2020/01/31/#tea.txt": date(2020, 1, 31),
    "tea.log.31Jan2020": date(2020, 1, 31),
    "2019-12-01/2020_01_31.txt": date(2020, 1, 31),
    "2020-13-31.log": None,
    "2020-02-30.log": None,
    "#tea.log": None,
    "120200131.log": None,
    "2020-01.log": None,
}


@pytest.mark.parametrize(("name", "day"), NAMES.items())
def test_a_files_name_tells_its_day(name: str, day: date | None) -> None:
    assert named_date(name) == day


TOLD = {
    "--- Log opened Sat Jan 02 21:58:01 2010": date(2010, 1, 2),
    "--- Day changed to Di 05 Mai 2009": date(2009, 5, 5),
    "**** BEGIN LOGGING AT Sun Feb 26 19:52:46 2012": date(2012, 2, 26),
    "**** НАЧАЛО ЛОГА Вс фев 26 19:52:46 2012": date(2012, 2, 26),
    "**** DÉBUT DU JOURNAL mar. 03 août 19:52:46 2010": date(2010, 8, 3),
    "Session Start: 2009-01-31 12:00": date(2009, 1, 31),
    "IRC log started Sat Jan 31 12:34:56 2009": date(2009, 1, 31),
    "--- Day changed Sat Feb 30 2010": None,
    "--- Topic for #tea: party on 3 May 2031": None,
    "--- Topic set by tom the tea master on Sat Jan 02 2010": None,
    "[12:00] --- the party is on 3 May 2031": None,
    "*** tom changes topic to 3 May 2031": None,
    "--- 2010": None,
}


@pytest.mark.parametrize(("line", "day"), TOLD.items())
def test_a_line_tells_a_day_only_if_the_program_wrote_it(line: str, day: date | None) -> None:
    assert told_date(line) == day


def test_a_clock_that_goes_back_by_hours_has_passed_midnight(tmp_path: Path) -> None:
    log = (
        "[20:00] <mira> evening\n"
        "[23:50] *** Joins: tom (t@host.example)\n"
        "[22:58] <tom> the hour that is set back\n"
        "[21:30] <tom> morning\n"
        "[09:00] <mira> noon\n"
    )
    found, _ = read_log(tmp_path, log, "#tea_20200131.log")
    assert [time for _, _, time in found] == [
        "2020-01-31 20:00:00",
        "2020-01-31 22:58:00",
        "2020-01-31 21:30:00",
        "2020-02-01 09:00:00",
    ]


def test_one_nick_in_any_case_is_one_user_under_its_first_spelling(tmp_path: Path) -> None:
    for name, log in {
        "b/2020-01-02.log": "[10:00] <MIRA> two\n[10:01] <tom> three\n",
        "b/2020-01-01.log": "[10:00] <Mira> one\n",
        "c.log": "[10:00] <mira_> four\n",
        "readme.md": "# Logs of a channel\n",
        "photo.jpg": "[10:00] <mira> no\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(log)
    tally = Tally()
    expected = [
        Message("Mira", "one", datetime(2020, 1, 1, 10)),
        Message("Mira", "two", datetime(2020, 1, 2, 10)),
        Message("tom", "three", datetime(2020, 1, 2, 10, 1)),
        Message("mira_", "four", None),
    ]
    assert read(tmp_path, tally) == expected
    assert tally.skipped == {"other file": 1}
    packed = tmp_path / "logs.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(tmp_path.rglob("*.log")):
            archive.write(path, path.relative_to(tmp_path).as_posix())
    assert recognised(packed)
    assert read(packed) == expected


NO_LOGS = {
    "WhatsApp": "31.12.20, 21:15 - Ann: hello\n31.12.20, 21:16 - Ben: <Media omitted>\n",
    "WhatsApp of iOS": "[31.12.20, 21:15:03] Ann: hello\n[31.12.20, 21:16:03] Ben: hi\n",
    "Signal": "[2022-07-19, 12:34] Ann: hello\n[2022-07-19, 12:35] Ben: hi\n",
    "a table": "date,time,user,text\n2020-01-31,12:34,ann,hello\n",
    "a table by tabs": "time\tuser\ttext\n2020-01-31 12:34:56\tann\thello\n"
    "2020-01-31 12:34:57\tben\thi\n2020-01-31 12:34:58\tben\thi\n",
    "mail": "From: Ann <ann@host.example>\nDate: Sat, 31 Jan 2009 12:34:56 +0000\n\n12:34 <x> y\n",
    "HTML": "<html>\n<body>\n<p>12:34 hello</p>\n</body>\n",
    "only events": "[12:34] *** Joins: ann\n[12:35] *** Parts: ann\n",
    "no clock": "<ann> hello\n<ben> hi\n",
    "a log within a text": "We met last week.\nIt was good.\n12:34 <ann> hello\nSo it was.\n",
    "nothing": "",
    "JSON": '{"user": "ann", "text": "12:34 <ann> hello"}\n',
}


@pytest.mark.parametrize("what", NO_LOGS)
def test_what_is_no_log_is_left_to_others(tmp_path: Path, what: str) -> None:
    (tmp_path / "a.txt").write_text(NO_LOGS[what])
    assert not recognised(tmp_path / "a.txt")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_logs_come_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.log"
    path.write_bytes("12:34 <zoë> café\r\n12:35 <tom> naïve\r\n".encode(encoding))
    assert recognised(path)
    assert [(m.user, m.text) for m in read(path)] == [("zoë", "café"), ("tom", "naïve")]


_NICKS = st.from_regex(r"[A-Za-z_\[\]\\^{}|`][A-Za-z0-9_\[\]\\^{}|`-]{0,14}", fullmatch=True)
_WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), min_size=1
).filter(lambda text: text.strip() == text)
_TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(
    lambda t: t.replace(microsecond=0)
)


def _by_day(log: list[tuple[str, str, datetime]], head: str, line: str) -> str:
    """A log that tells each new day in a line of its own."""
    out, day = [], None
    for nick, text, time in log:
        if time.date() != day:
            day = time.date()
            out.append(time.strftime(head))
        out.append(time.strftime(line).replace("NICK", nick).replace("TEXT", text, 1))
    return "\n".join(out) + "\n"


_WRITERS = {
    "irssi": ("--- Day changed %a %b %d %Y", "%H:%M:%S <@NICK> TEXT"),
    "mIRC": ("Session Time: %a %b %d %H:%M:%S %Y", "[%I:%M:%S %p] <NICK> TEXT"),
    "XChat": ("**** BEGIN LOGGING AT %a %b %d %H:%M:%S %Y", "%b %d %H:%M:%S <NICK>\tTEXT"),
    "weechat": ("", "%Y-%m-%d %H:%M:%S\t+NICK\tTEXT"),
    "ISO": ("", "[%Y-%m-%dT%H:%M:%S] <NICK> TEXT"),
    "muh": ("", "[%a %d/%b/%Y %H:%M:%S] <NICK> TEXT"),
}


@pytest.mark.parametrize("style", _WRITERS)
@given(log=st.lists(st.tuples(_NICKS, _WORDS, _TIMES), min_size=1, max_size=8))
def test_what_is_written_in_a_style_is_read_back(
    style: str, log: list[tuple[str, str, datetime]]
) -> None:
    nicks: dict[str, str] = {}
    expected = [
        Message(nicks.setdefault(nick.casefold(), nick), text, time) for nick, text, time in log
    ]
    head, line = _WRITERS[style]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.log")
        path.write_bytes(_by_day(log, head, line).encode())
        assert recognised(path)
        assert read(path) == expected


_PIECES = st.sampled_from(
    [
        *"<>[](){}:-*\t\n \x03\x02\x1b\u00b2\u0663",
        *(
            "12:34",
            "[12:34:56]",
            "<ann>",
            "2020-01-31",
            "Jan 31 ",
            "\u00b2\u00b2\u00b2 3 ",
            "+99:99",
        ),
        *("--- Day changed ", "**** BEGIN ", "0000-99-99 99:99:99\t", "\ud800", "9" * 50),
    ]
)


@given(
    st.binary(max_size=200)
    | st.lists(_PIECES, max_size=20).map(
        lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass")
    ),
    st.sampled_from(["a.log", "9999-12-31.log", "00000000.log"]),
)
def test_whatever_a_log_holds_it_is_read_or_refused(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(b"23:59 <ann> hello\n00:00 <ann> bye\n" + data)
        try:
            recognised(path)
            found = read(path)
        except NwpError:
            return
    assert all(m.user and m.text.strip() for m in found)
    assert [m.text for m in found[:2]] == ["hello", "bye"]


def test_zones_and_years_that_cannot_be_give_no_time(tmp_path: Path) -> None:
    found, _ = read_log(
        tmp_path,
        "[2020-01-31T12:34:56+99:99] <ann> one\n[2020-02-31 12:34:56] <ann> two\n"
        "[0000-01-01 12:34:56] <ann> three\nFoo 12 12:34:56 <ann> four\n13:00 PM <ann> five\n",
        "2020-03-01.log",
    )
    assert [time for _, _, time in found] == [None] * 5


def test_the_last_day_of_all_has_no_tomorrow(tmp_path: Path) -> None:
    found, _ = read_log(
        tmp_path, "--- Day changed Fri Dec 31 2099\n23:59 <ann> a\n00:01 <ann> b\n", "a.log"
    )
    assert [time for _, _, time in found] == ["2099-12-31 23:59:00", "2100-01-01 00:01:00"]


def test_an_aware_time_keeps_its_zone(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("[2020-01-31T12:34:56-0230] <ann> one\n")
    [message] = read(tmp_path / "a.log")
    zone = timezone(-timedelta(hours=2, minutes=30))
    assert message.time == datetime(2020, 1, 31, 12, 34, 56, tzinfo=zone)
    assert message.time.astimezone(UTC).hour == 15


@pytest.mark.skipif("NWP_SHARED" not in os.environ, reason="NWP_SHARED names no real exports")
@pytest.mark.parametrize(
    "name", ["irssi_lines", "star_events", "ubuntu_irclogs", "xchat", "znc_style"]
)
def test_a_real_log_gives_what_a_person_counted(name: str) -> None:
    path = _FOLDER / f"irc_{name}.log"
    expected = json.loads((_FOLDER / "expected.json").read_text(encoding="utf-8"))[path.name]
    assert recognised(path)
    found = read(path)
    assert {m.user for m in found} == set(expected["author_names"])
    assert len(found) == expected["messages"]
    for message, wanted in ((found[0], expected["first"]), (found[-1], expected["last"])):
        assert message.user == wanted["author"]
        assert " ".join(wanted["text"].split()) in " ".join(message.text.split())
