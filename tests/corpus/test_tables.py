from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import tempfile
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import check_damaged, read_with, said, takes

from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.readers.tables.columns import Columns, choose, guess, read_time
from nwp.corpus.readers.tables.reader import READER
from nwp.corpus.source import open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, BadSettings, NwpError

read, recognised = partial(read_with, READER), partial(takes, READER)

TEN = datetime(2024, 1, 31, 10, 0, tzinfo=UTC)


def put(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


HELLO = [("ann", "hello, you"), ("ben", 'he said "hi"\nand left')]
CELLS = 'ann,"hello, you"\nben,"he said ""hi""\nand left"\n'


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", "user,text\n" + CELLS),
        ("a.csv", "\n\nUser,Text\n\n" + CELLS.rstrip("\n")),
        ("a.csv", "user,text\r\n" + CELLS.replace("\n", "\r\n")),
        ("a.csv", "user,text\r" + CELLS.replace("\n", "\r")),
        ("a.csv", b"\xef\xbb\xbf" + b"user,text\n" + CELLS.encode()),
        ("a.csv", ("\ufeffuser,text\n" + CELLS).encode("utf-16-le")),
        ("a.csv", ("\ufeffuser,text\n" + CELLS).encode("utf-16-be")),
        ("a.csv.gz", gzip.compress(b"user,text\n" + CELLS.encode(), mtime=0)),
        ("a.csv", "sep=,\nuser,text\n" + CELLS),
        ("a.csv", 'user;text\nann;hello, you\nben;"he said ""hi""\nand left"\n'),
        ("a.tsv", 'user\ttext\nann\thello, you\nben\t"he said ""hi""\nand left"\n'),
        ("a.tab", 'user|text\nann|hello, you\nben|"he said ""hi""\nand left"\n'),
        ("a.txt", "author,body,score\n" + 'ann,"hello, you",1\nben,"he said ""hi""\nand left",2\n'),
        ("a.csv", "text,user,,\n" + '"hello, you",ann,,\n"he said ""hi""\nand left",ben,,\n'),
        ("a.csv", "user,text\n" + 'ann,"hello, you",,\nben,"he said ""hi""\nand left"\n'),
        ("a.json", '[{"author": "ann", "body": "hello, you"},\n'
         '{"author": "ben", "body": "he said \\"hi\\"\\nand left"}]'),
        ("a.ndjson", '{"author": "ann", "body": "hello, you"}\n\n'
         '{"author": "ben", "body": "he said \\"hi\\"\\nand left"}'),
        ("a", b'\xef\xbb\xbf{"author": {"id": 1, "name": "x", "id_str": "ann"}, '
         b'"body": "hello, you"}\n'
         b'{"body": "he said \\"hi\\"\\nand left", "author": "ben"}\n'),
    ],
)  # fmt: skip
def test_tables_of_any_kind_say_the_same(tmp_path: Path, name: str, data: str | bytes) -> None:
    path = put(tmp_path / name, data)
    assert recognised(path)
    assert said(read(path)) == HELLO


def test_quotation_marks_in_an_unquoted_tsv_are_text(tmp_path: Path) -> None:
    path = put(tmp_path / "a.tsv", 'user\ttext\nann\t"hi" she said\nben\t"open\nann\tx"y\n')
    assert said(read(path)) == [("ann", '"hi" she said'), ("ben", '"open'), ("ann", 'x"y')]


def test_a_text_that_is_no_utf_8_is_read_as_windows_1252(tmp_path: Path) -> None:
    tally = Tally()
    assert said(read(put(tmp_path / "a.csv", b"user,text\nann,caf\xe9\n"), tally)) == [
        ("ann", "café")
    ]
    assert sum(tally.remarks.values()) == 1


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ("user text", Columns("user", "text")),
        ("Text USER Time", Columns("USER", "Text", ("Time",))),
        (
            "tweet_id author_id inbound created_at text",
            Columns("author_id", "text", ("created_at",)),
        ),
        ("id author body created_utc score", Columns("author", "body", ("created_utc",))),
        ("AuthorID Author Date Content Attachments", Columns("AuthorID", "Content", ("Date",))),
        ("From To Date Body", Columns("From", "Body", ("Date",))),
        ("date time nick message", Columns("nick", "message", ("date", "time"))),
        ("date time timestamp nick message", Columns("nick", "message", ("timestamp",))),
        ("username full_text description", Columns("username", "full_text")),
        ("name user text", Columns("user", "text")),
        ("user text text", None),
        ("user text message", None),
        ("user sender text", None),
        ("user", None),
        ("text", None),
        ("", None),
        ("a b", None),
    ],
)
def test_columns_are_known_by_usual_names(names: str, columns: Columns | None) -> None:
    assert guess(names.split()) == columns


@pytest.mark.parametrize(
    ("wanted", "columns"),
    [
        ({"user": "who", "text": "what"}, Columns("who", "what", ("sent",))),
        ({"user": "WHO", "text": "What", "time": "WHEN"}, Columns("who", "what", ("when",))),
        ({"user": "1", "text": "2"}, Columns("who", "what", ("sent",))),
        ({"user": "3", "text": "2"}, Columns("3", "what", ("sent",))),
        ({"user": "who"}, Columns("who", "text", ("sent",))),
        ({"user": "text", "text": "what"}, Columns("text", "what", ("sent",))),
        ({"user": "who.name", "text": "who.said"}, Columns("who.name", "who.said", ("sent",))),
    ],
)
def test_columns_are_the_ones_asked_for(wanted: dict[str, str], columns: Columns) -> None:
    assert choose(["who", "what", "3", "when", "text", "sent"], wanted, "a.csv") == columns


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({}, "none seems to be the user"),
        ({"user": "author"}, "there is no column 'author'"),
        ({"user": "0", "text": "what"}, "there is no column '0'"),
        ({"user": "4", "text": "what"}, "there is no column '4'"),
        ({"user": "9" * 5000, "text": "what"}, "there is no column"),
        ({"user": "who"}, "none seems to be the text"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(
    tmp_path: Path, wanted: dict[str, str], why: str
) -> None:
    path = put(tmp_path / "a.csv", "who,what,when\nann,x,y\n")
    assert recognised(path)
    with pytest.raises(BadCorpus, match=why) as caught:
        read(path, columns=wanted)
    assert "columns are 'who', 'what', 'when'" in caught.value.message
    assert str(path) in caught.value.message
    assert "--columns user=…,text=…[,time=…]" in caught.value.hint
    with pytest.raises(BadSettings, match="a message has no place"):
        read(path, columns={"place": "who"})


def test_several_likely_columns_are_named(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "user,text,message\nann,x,y\n")
    with pytest.raises(BadCorpus, match="several may be the text: 'text', 'message'"):
        read(path)
    assert said(read(path, columns={"text": "message"})) == [("ann", "y")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_without_a_header_has_columns_by_number(tmp_path: Path, delimiter: str) -> None:
    rows = [["1", "ann", "hi there"], ["2", "ben", "x"]]
    path = put(tmp_path / "a.csv", "".join(delimiter.join(row) + "\n" for row in rows))
    assert said(read(path, columns={"user": "2", "text": "3"})) == [
        ("ann", "hi there"),
        ("ben", "x"),
    ]


def test_numbers_count_for_a_table_with_a_header_too(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "id,user,text\n1,ann,x\n")
    assert said(read(path, columns={"user": "2", "text": "3"})) == [("ann", "x")]
    path = put(tmp_path / "a.json", '[{"id": 1, "who": "ann", "what": "x"}]')
    assert said(read(path, columns={"user": "2", "text": "3"})) == [("ann", "x")]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"user": "ann", "text": " x\r\ny "}, ("ann", "x\ny")),
        ({"user": 7, "text": "x"}, ("7", "x")),
        ({"user": 7.0, "text": "x"}, ("7", "x")),
        ({"user": {"name": "ann", "screen_name": "a"}, "text": "x"}, ("a", "x")),
        ({"user": "a\u200e  b", "text": "x\x00\x1b\ty"}, ("a b", "x\ty")),
        ({"user": "", "text": "x"}, "no author"),
        ({"user": None, "text": "x"}, "no author"),
        ({"user": True, "text": "x"}, "no author"),
        ({"user": 1e300 + 0.5, "text": ["x"]}, "no text"),
        ({"user": 0.5, "text": "x"}, "no author"),
        ({"user": ["ann"], "text": "x"}, "no author"),
        ({"user": {"id": [1]}, "text": "x"}, "no author"),
        ({"user": "[deleted]", "text": "x"}, "no author"),
        ({"user": "ann", "text": "[removed]"}, "deleted message"),
        ({"user": "ann", "text": ""}, "no text"),
        ({"user": "ann", "text": None}, "no text"),
        ({"user": "ann", "text": 5}, "no text"),
        ({"user": "ann"}, "no text"),
        ({}, "no text"),
    ],
)
def test_a_row_is_a_message_or_is_counted(tmp_path: Path, row: Any, found: Any) -> None:
    path = put(tmp_path / "a.json", json.dumps([{"user": "zoe", "text": "z"}, row]))
    tally = Tally()
    messages = said(read(path, tally))[1:]
    assert messages == ([] if isinstance(found, str) else [found])
    assert tally.skipped == ({found: 1} if isinstance(found, str) else {})


def test_values_within_values_have_names_with_dots(tmp_path: Path) -> None:
    row = {"author": {"name": "ann", "id": 1}, "data": {"said": {"text": "x"}}}
    path = put(tmp_path / "a.json", json.dumps([row, {"author": 5, "data": {"said": 1}}]))
    tally = Tally()
    columns = {"user": "author.name", "text": "data.said.text"}
    assert said(read(path, tally, columns=columns)) == [("ann", "x")]
    assert tally.skipped == {"no text": 1}


NAIVE = TEN.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-31T10:00:00Z", TEN),
        ("2024-01-31t10:00:00z", TEN),
        ("2024-01-31 10:00:00+00:00", TEN),
        ("2024-01-31 12:00:00 +0200", TEN),
        ("2024-01-31 10:00:00 UTC", TEN),
        ("2024-01-31 10:00:00.500", NAIVE + timedelta(seconds=0.5)),
        ("2024-01-31 10:00:00", NAIVE),
        (" 2024-01-31 10:00 ", NAIVE),
        ("2024/01/31 10:00", NAIVE),
        ("2024-1-31, 10:00:00 am", NAIVE),
        ("2024-01-31", datetime(2024, 1, 31)),
        ("20240131", datetime(2024, 1, 31)),
        ("Wed, 31 Jan 2024 10:00:00 GMT", TEN),
        ("31 Jan 2024 05:00:00 -0500", TEN),
        ("Wed Jan 31 10:00:00 +0000 2024", TEN),
        (1706695200, TEN),
        ("1706695200", TEN),
        (1706695200.25, TEN + timedelta(seconds=0.25)),
        ("1706695200.25", TEN + timedelta(seconds=0.25)),
        (1706695200000, TEN),
        (1706695200000000, TEN),
        (1706695200000000000, TEN),
        (NAIVE, NAIVE),
        (date(2024, 1, 31), datetime(2024, 1, 31)),
        ("31/01/2024 10:00", None),
        ("yesterday", None),
        ("12:30", None),
        ("", None),
        (None, None),
        (True, None),
        (1e300, None),
        (float("nan"), None),
        (float("-inf"), None),
        ("9" * 5000, None),
        ("2024-13-45", None),
        ("2024/13/45 99:99", None),
        (["2024-01-31"], None),
        (time(10), None),
    ],
)
def test_times_are_read_as_tables_write_them(value: object, expected: datetime | None) -> None:
    found = read_time(value)
    assert found == expected
    assert (found and found.tzinfo is None) == (expected and expected.tzinfo is None)


@pytest.mark.parametrize(
    ("value", "order", "expected"),
    [
        ("31/01/2024 10:00", "dmy", NAIVE),
        ("31.1.24, 10:00:00", "dmy", NAIVE),
        ("1/31/2024 10:00 AM", "mdy", NAIVE),
        ("1-31-24 10:00 p.m.", "mdy", NAIVE + timedelta(hours=12)),
        ("1/31/1999 12:00 am", "mdy", datetime(1999, 1, 31)),
        ("1/31/99", "mdy", datetime(1999, 1, 31)),
        ("24/01/31 10:00", "ymd", NAIVE),
        ("2024/01/31 10:00", "dmy", NAIVE),
        ("31/01/2024", "mdy", None),
        ("31/01/2024 soon", "dmy", None),
        ("31/01/2024", "xyz", None),
    ],
)
def test_dates_are_read_in_the_order_that_was_given(
    value: str, order: str, expected: datetime | None
) -> None:
    assert read_time(value, order) == expected


def test_a_time_that_cannot_be_read_is_counted_and_the_message_kept(tmp_path: Path) -> None:
    data = "user,text,date,time\nann,x,2024-01-31,10:00\nann,y,soon,\nann,z,,\n"
    tally = Tally()
    assert read(put(tmp_path / "a.csv", data), tally) == [
        Message("ann", "x", NAIVE),
        Message("ann", "y"),
        Message("ann", "z"),
    ]
    assert tally.remarks == {"time that can't be read": 1}


@pytest.mark.parametrize(
    ("name", "data", "yes"),
    [
        ("a.csv", "who,what\nann,x\n", True),
        ("a.tsv", b"\x00\xff", True),
        ("a.txt", "who,what\nann,x\n", False),
        ("a.txt", "user,text\nann,x\n", True),
        ("a.log", "user: hi, text: there\n", False),
        ("a.txt", "ann, the user, wrote a text\n", False),
        ("a.txt", "| user | text |\n", False),
        ("a", "", False),
        ("a", b"\x00\x01\x02", False),
        ("a", b"PAR1\x00", True),
        ("a.jsonl", '{"user": "ann", "text": "x"}\n', False),
        ("a.jsonl", '{"user": "ann", "text": "x", "time": null}\n', False),
        ("a.jsonl", '{"user": 7, "text": "x"}\n', True),
        ("a.jsonl", '{"author": "ann", "body": "x"}\n', True),
        ("a.jsonl", '{"author": "ann", "body": {"x": 1}}\n', False),
        ("a.jsonl", '{"author": "ann", "body": "x"', False),
        ("a.json", '[{"user": "ann", "text": "x"}]', True),
        ("a.json", '[{"user": "ann", "text": "x"}, {"us', True),
        ("a.json", '[["ann", "x"]]', False),
        ("a.json", '["user", "text"]', False),
        ("a.json", '{"messages": [{"user": "ann", "text": "x"}]}', False),
        ("a.txt", "[10:00] <ann> hi", False),
        ("a.txt", "[" * 60_000, False),
        ("a.txt", "{" * 60_000, False),
    ],
)
def test_a_table_is_known_by_its_head(
    tmp_path: Path, name: str, data: str | bytes, yes: bool
) -> None:
    assert recognised(put(tmp_path / name, data)) is yes


def test_of_a_folder_the_tables_are_read(tmp_path: Path) -> None:
    put(tmp_path / "b" / "notes.csv", "what,when\nx,y\n")
    put(tmp_path / "readme.md", "not read\n")
    assert not recognised(tmp_path)
    with pytest.raises(BadCorpus, match=re.escape("notes.csv: none seems to be the user")):
        read(tmp_path)
    put(tmp_path / "b.csv", "user,text\nann,second\n")
    put(tmp_path / "a.jsonl", '{"sender": "ann", "message": "first"}\n')
    put(tmp_path / "c.jsonl", '{"user": "ann", "text": "third"}\n')
    tally = Tally()
    assert recognised(tmp_path)
    assert [m.text for m in read(tmp_path, tally)] == ["first", "second", "third"]
    assert tally.skipped == {"other file": 2}


@pytest.mark.parametrize(
    ("name", "data", "where"),
    [
        ("a.csv", "user,text\nann,x\nann,hello, you\nann,y\n", "line 3: 3 cells, not 2"),
        ("a.csv", "user,text\nann,x\nann\nann,y\n", "line 3: 1 cells, not 2"),
        ("a.csv", 'user,text\nann,x\nann,"a"b\nann,y\n', "line 3: "),
        ("a.jsonl", '{"by": 1, "user": "ann", "text": "x"}\n{"by\n{"user": "ann", "text": "y"}',
         "line 2: no JSON"),
        ("a.jsonl", '{"user": "ann", "text": "x"}\n[1]\n{"user": "ann", "text": "y"}',
         "line 2: no object"),
        ("a.jsonl", b'{"user": "ann", "text": "x"}\n"\xff"\n{"user": "ann", "text": "y"}',
         "line 2: no JSON"),
        ("a.json", '[{"user": "ann", "text": "x"}, 5, {"user": "ann", "text": "y"}]',
         "item 2: no object"),
    ],
)  # fmt: skip
def test_a_bad_row_is_an_error_unless_one_is_lenient(
    tmp_path: Path, name: str, data: str | bytes, where: str
) -> None:
    path = put(tmp_path / name, data)
    with pytest.raises(BadCorpus, match=where) as caught:
        read(path)
    assert str(path) in caught.value.message and "--skip-bad-lines" in caught.value.hint
    tally = Tally(lenient=True)
    assert said(read(path, tally)) == [("ann", "x"), ("ann", "y")]
    assert tally.skipped == {"bad line": 1}


@pytest.mark.parametrize(
    "end",
    ['ann,"never closed\nben,hi\n', 'ann,"' + ("x" * 999 + "\n") * 1100 + '"\nben,z\n'],
)
def test_a_quotation_that_does_not_end_swallows_no_one_s_message(tmp_path: Path, end: str) -> None:
    path = put(tmp_path / "a.csv", "user,text\nann,x\n" + end)
    with pytest.raises(BadCorpus, match="row that ends in line"):
        read(path)
    tally = Tally(lenient=True)
    assert said(read(path, tally)) == [("ann", "x")]
    assert tally.skipped == {"half a file": 1}


@given(
    st.lists(
        st.sampled_from(
            ["\ud83d", "\ude00", "😀", "\\", '"', "ud83d", "[", "\u2026", "é", "-" * 9]
        ),
        max_size=9,
    ).map("".join),
    st.integers(0, 40),
)
@example("cut \ud83d\u2026", 0)
@example("\ude00", 0)
def test_halves_of_characters_in_json_are_replaced_and_nothing_else(text: str, more: int) -> None:
    before = {"user": "ann", "text": "x" * ((1 << 16) - 60 - more)}  # so that reading stops within
    with tempfile.TemporaryDirectory() as folder:
        data = json.dumps([before, {"user": "ann", "text": f"t{text}t"}])
        [_, message] = read(put(Path(folder) / "a.json", data))
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in joined)
    assert message.text == f"t{expected}t"


def test_half_a_list_is_an_error_unless_one_is_lenient(tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", '[{"user": "ann", "text": "x"}, {"user": "be')
    with pytest.raises(BadCorpus, match="only half"):
        read(path)
    tally = Tally(lenient=True)
    assert said(read(path, tally)) == [("ann", "x")]
    assert tally.skipped == {"half a file": 1}


def test_a_table_of_many_rows_needs_no_list_of_them(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 7},text {n}\n" for n in range(20_000))
    path = put(tmp_path / "a.csv", "user,text\n" + rows)
    with open_source(path, Tally()) as source:
        found = READER.read(source, Tally(), ReadOptions())
        assert next(found) == Message("u0", "text 0")
        assert sum(1 for _ in found) == 19_999


TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('",;\t|\n'), max_size=9
)


@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@example([("a;b", 'x"'), ("\t", "|")], ",", "\n", "utf-8")
@example([("\n", "\n\n")], ";", "\n", "utf-16")
def test_any_csv_gives_back_what_was_written(
    rows: list[tuple[str, str]], delimiter: str, end: str, encoding: str
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerows(
        [("user", "text", "more"), *((f"u{user}", f"t{text}", "") for user, text in rows)]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder) / "a.csv", file.getvalue().encode(encoding))
        found = read(path)
    assert [m.text for m in found] == [f"t{text}".strip() for _, text in rows]
    assert [m.user.startswith("u") for m in found] == [True] * len(rows)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
ROW = st.fixed_dictionaries({}, optional=dict.fromkeys(("user", "text", "time", "id"), ANY))


@given(st.lists(ROW | ANY, max_size=4), st.booleans(), st.booleans())
def test_values_of_any_type_never_end_in_another_error(
    rows: list[Any], lines: bool, lenient: bool
) -> None:
    rows = [{"user": "ann", "text": "x", "time": 5}, *rows]
    data = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder) / "a.json", data)
        recognised(path)
        try:
            found = read(path, Tally(lenient=lenient))
        except BadCorpus as error:
            assert str(path) in error.message and error.hint
            assert not lenient
        else:
            assert all(m.user and m.text.strip() for m in found)
            "".join(m.user + m.text for m in found).encode()


@given(
    st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"user,text\n" + data),
    st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl", "a", "a.csv.gz"]),
    st.sampled_from([{}, {"user": "1", "text": "2"}]),
)
@example(b"PAR1", "a", {})
@example(b"[" * 50, "a.json", {})
@example(b'{"user": ' + b"9" * 5000 + b"}", "a.jsonl", {})
def test_whatever_a_file_holds_nothing_but_bad_corpus_is_raised(
    data: bytes, name: str, columns: dict[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder) / name, data)
        for lenient in (False, True):
            try:
                recognised(path)
                found = read(path, Tally(lenient=lenient), columns=columns)
            except NwpError as error:
                assert isinstance(error, BadCorpus) and str(path) in error.message and error.hint
            else:
                assert all(m.user and m.text.strip() for m in found)


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = put(tmp_path / "a.parquet", b"PAR1" + b"\0" * 20)
    with pytest.raises(BadCorpus) as caught:
        read(path)
    assert 'pip install "nwp[tables]"' in caught.value.hint


def parquet(path: Path, **columns: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    pq.write_table(pyarrow.table(columns), path, row_group_size=3)
    return path


def test_parquet_is_a_table_like_any_other(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    ns = pyarrow.array([1706695200000000001, None, 0], pyarrow.timestamp("ns", "UTC"))
    path = parquet(
        tmp_path / "a.parquet",
        id=[1, 2, 3],
        author=pyarrow.array(["ann", "ben", "ann"]).dictionary_encode(),
        body=["hello", None, "x"],
        created_at=ns,
    )
    packed = put(tmp_path / "a.parquet.gz", gzip.compress(path.read_bytes(), mtime=0))
    expected = [
        Message("ann", "hello", TEN),
        Message("ann", "x", datetime(1970, 1, 1, tzinfo=UTC)),
    ]
    for one in (path, packed):
        tally = Tally()
        assert recognised(one)
        assert read(one, tally) == expected
        assert tally == Tally(skipped={"no text": 1})
    columns = {"user": "1", "text": "author"}
    assert said(read(path, columns=columns)) == [("1", "ann"), ("2", "ben"), ("3", "ann")]
    with pytest.raises(BadCorpus, match="columns are 'id', 'author', 'body', 'created_at'"):
        read(path, columns={"user": "who"})


def test_parquet_times_and_users_of_other_types(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    path = parquet(
        tmp_path / "a.parquet",
        user=[{"id": 5, "name": "ann"}, {"id": 6, "name": "ben"}],
        text=["x", "y"],
        date=pyarrow.array([date(2024, 1, 31), None], pyarrow.date32()),
        time=pyarrow.array([time(10), None], pyarrow.time32("s")),
    )
    assert read(path) == [Message("5", "x", NAIVE), Message("6", "y")]
    columns = {"user": "user.name"}
    assert said(read(path, columns=columns)) == [("ann", "x"), ("ben", "y")]
    naive = pyarrow.array([NAIVE], pyarrow.timestamp("ms"))
    path = parquet(tmp_path / "b.parquet", user=[1], text=["x"], time=naive)
    assert read(path) == [Message("1", "x", NAIVE)]


def test_parquet_columns_that_are_no_text_are_counted(tmp_path: Path) -> None:
    tally = Tally()
    path = parquet(tmp_path / "a.parquet", user=["ann", "ben"], text=[["x"], ["y"]])
    assert read(path, tally) == []
    assert tally.skipped == {"no text": 2}


def test_parquet_that_unpacks_to_far_too_much_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    table = pyarrow.table({"user": ["ann"] * 40, "text": ["x" * 1_000_000] * 40})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    with pytest.raises(BadCorpus, match="unpacks to far more"):
        read(path, Tally(lenient=True))


@given(st.data())
def test_damaged_parquet_is_bad_corpus(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = parquet(Path(folder) / "a.parquet", user=["ann"] * 9, text=["hello"] * 9)
        whole = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(4, len(whole) - 1))
            whole[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        path.write_bytes(whole)
        check_damaged(READER, path)


def test_offsets_of_time_zones_are_kept() -> None:
    found = read_time("2024-01-31 12:00:00+02:00")
    assert found and found.tzinfo == timezone(timedelta(hours=2))
