from __future__ import annotations

import importlib
import json
import os
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import read_as
from typer.testing import CliRunner

from nwp.corpus import readers as registry
from nwp.corpus.readers import base, reader_for, readers
from nwp.corpus.readers.base import PROBED, Reader, ReadOptions, by_file, probed, unique_names
from nwp.corpus.source import Entry, open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, BadSettings

GENERAL = {"table", "jsonl", "folder"}
"""They take what no other format takes."""

MODULE = """
from nwp.corpus.readers.base import Reader, by_file
from nwp.corpus.types import Message

def is_one(entry, head):
    return head.startswith(b"SHOUT")

def read_files(files, tally, options):
    for entry in files:
        with entry.open() as file:
            for line in file.read().decode().splitlines()[1:]:
                yield Message(options.me, line.upper())

READER = by_file("shout", "shouts, for a test", is_one, read_files)
TAKEN = by_file("telegram", "no telegram", is_one, read_files)
TABLE = by_file("jsonl", "no JSON", is_one, read_files)
SECOND = by_file("shout", "another of this name", is_one, read_files)
NO_READER = "a text"
"""


@pytest.fixture
def fresh() -> Iterator[None]:
    """Entry points are looked for again, before and after."""
    readers.cache_clear()
    yield
    readers.cache_clear()


Installed = Callable[[str], None]


@pytest.fixture
def install(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """Install a package with such entry points, as pip would lay it out."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)

    def lay_out(points: str) -> None:
        info = site / "nwp_shout-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nwp-shout\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\n{points}\n")
        (site / "nwp_shout_for_a_test.py").write_text(MODULE)
        importlib.invalidate_caches()
        readers.cache_clear()

    yield lay_out
    sys.modules.pop("nwp_shout_for_a_test", None)


@pytest.fixture
def shout(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("SHOUT\nhello\nworld\n")
    return path


# Readers of other packages


def test_a_reader_of_another_package_is_tried_before_the_general_ones(
    install: Installed, shout: Path
) -> None:
    assert read_as(shout)[0] == "folder"
    install("shout = nwp_shout_for_a_test:READER")
    names = [reader.name for reader in readers()]
    assert names.index("leaf") < names.index("shout") < min(map(names.index, GENERAL))
    assert read_as(shout, me="ann") == ("shout", [Message("ann", "HELLO"), Message("ann", "WORLD")])
    assert read_as(shout, form="folder")[0] == "folder"


def test_it_is_listed_with_the_others(install: Installed) -> None:
    from nwp.cli.corpus import app

    install("shout = nwp_shout_for_a_test:READER")
    printed = CliRunner().invoke(app, ["formats"])
    assert printed.exit_code == 0
    for reader in readers():
        assert any(
            line.split()[0] == reader.name and reader.about in line
            for line in printed.output.splitlines()
        )
    [row] = [
        row
        for row in json.loads(CliRunner().invoke(app, ["formats", "--json"]).output)["formats"]
        if row["name"] == "shout"
    ]
    assert row["about"] == "shouts, for a test"


@pytest.mark.parametrize(
    ("points", "named", "why"),
    [
        ("a = nwp_shout_for_a_test:GONE", "nwp_shout_for_a_test:GONE", "can't be loaded"),
        ("a = no_such_module_at_all:X", "no_such_module_at_all:X", "can't be loaded"),
        ("a = nwp_shout_for_a_test:NO_READER", "NO_READER", "is no Reader"),
        ("a = nwp_shout_for_a_test:is_one", "is_one", "is no Reader"),
        ("a = nwp_shout_for_a_test:TAKEN", "TAKEN", "its name is taken"),
        ("a = nwp_shout_for_a_test:TABLE", "TABLE", "its name is taken"),
        (
            "a = nwp_shout_for_a_test:READER\nb = nwp_shout_for_a_test:SECOND",
            "SECOND",
            "its name is taken",
        ),
    ],
)
def test_a_reader_that_is_none_is_named(
    install: Installed, shout: Path, points: str, named: str, why: str
) -> None:
    install(points)
    for _ in range(2):  # the error is no secret the second time
        with pytest.raises(BadSettings) as caught:
            read_as(shout)
        assert named in caught.value.message
        assert why in caught.value.message
        assert "package" in caught.value.hint


def test_a_module_that_breaks_while_it_is_loaded_is_named(
    install: Installed, tmp_path: Path
) -> None:
    install("a = nwp_shout_for_a_test:READER")
    (tmp_path / "site" / "nwp_shout_for_a_test.py").write_text("1 / 0")
    with pytest.raises(BadSettings, match="division by zero"):
        readers()


# The registry


def test_every_reader_has_a_name_and_says_what_it_reads() -> None:
    names = [reader.name for reader in readers()]
    assert len(set(names)) == len(names)
    assert set(names[-3:]) == GENERAL
    for reader in readers():
        assert reader.name == reader.name.lower().strip()
        assert reader.about
        assert "\n" not in reader.about


def test_the_format_can_be_given_though_another_recognises_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text('{"user": "ann", "text": "hello"}\n')
    assert read_as(path)[0] == "jsonl"
    assert read_as(path, form="folder") == (
        "folder",
        [Message("a", '{"user": "ann", "text": "hello"}')],
    )
    for reader in readers():
        assert reader_for_path(path, reader.name) is reader


def reader_for_path(path: Path, name: str = "") -> Reader:
    with open_source(path, Tally()) as source:
        return reader_for(source, name)


def test_an_unknown_format_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    with pytest.raises(BadSettings, match="no format 'whatsup'") as caught:
        read_as(tmp_path / "a.txt", form="whatsup")
    for reader in readers():
        assert reader.name in caught.value.hint


def test_what_is_in_no_form_is_refused_and_the_forms_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")
    with pytest.raises(BadCorpus, match="in no form that nwp reads") as caught:
        reader_for_path(tmp_path / "a.bin")
    assert "nwp corpus formats" in caught.value.hint
    assert "--format" in caught.value.hint


_FORMATS = Path(os.environ.get("NWP_SHARED", ""), "formats")
_EXPECTED: dict[str, dict[str, Any]] = (
    json.loads((_FORMATS / "expected.json").read_text(encoding="utf-8"))
    if "NWP_SHARED" in os.environ
    else {}
)


@pytest.mark.skipif(not _EXPECTED, reason="NWP_SHARED names no folder with real exports")
@pytest.mark.parametrize("name", _EXPECTED or ["none"])
def test_a_real_export_is_of_one_format_only(name: str) -> None:
    with open_source(_FORMATS / name, Tally()) as source:
        found = [r.name for r in readers() if r.name not in GENERAL and r.recognises(source)]
    assert found == [_EXPECTED[name]["format"]]


# Whatever a file begins with

SIZE = 64 << 10
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"a",
    "one brace": b"{",
    "a mark": b"\xef\xbb\xbf",
    "a mark of UTF-16": b"\xff\xfe",
    "half a mark": b"\xef\xbb",
    "zeros": bytes(SIZE),
    "highest bytes": b"\xff" * SIZE,
    "From": b"From " * 20_000,
    "From lines": b"From a Mon Jan  1 00:00:00 2024\n" * 2_000,
    "magic of Arrow": b"ARROW1\0\0" + bytes(range(256)) * 200,
    "magic of Parquet": b"PAR1" + bytes(range(256)) * 200 + b"PAR1",
    **{
        f"many {piece!r}": piece * (SIZE // len(piece) + 1)
        for piece in (
            *(b"[", b"]", b"{", b"}", b'{"a":', b'[{"a":', b'"', b"'", b"\\", b'\\"', b"\\u"),
            *(b"\n", b"\r", b"\r\n", b" ", b"\t", b" \n", b",", b";", b"|", b":", b"-", b">", b"<"),
            *(b"a", b"1", b"12", b"1,", b"1/", b"1.1.", b"12:", b"12:34 ", b"[12:34] ", b"<a> "),
            *(b"a: ", b"a,b\n", b'"a,', b'"a""b",', b"<a>", b"</a>", b"<!--", b"<!ENTITY a 'b'>"),
            *(b"&lt;", b"<smses>", b"<sms ", b'{"messages":[', b'{"type":"message",'),
            *(b"1/1/24, 1:11 - a: ", b"[1/1/24, 1:11:11] ", b"*** a", b"--> ", b"=20", b"=\n"),
            *("é".encode(), "\u200e".encode(), "🙂".encode(), b"\xe9", b"\x1b[0m", b"\0\n"),
        )
    },
}


def recognised(data: bytes, name: str) -> dict[str, float]:
    """How long each reader looks at a file, in seconds; each says yes, no or BadCorpus."""
    took = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        with open_source(path, Tally()) as source:
            for reader in readers():
                start = time.process_time()
                try:
                    assert reader.recognises(source) in (True, False)
                except BadCorpus as error:
                    assert folder in error.message
                took[reader.name] = time.process_time() - start
    return took


@pytest.mark.parametrize("name", ["a.txt", "result.json"])
@pytest.mark.parametrize("data", HOSTILE.values(), ids=list(HOSTILE))
def test_no_file_begins_in_a_way_that_takes_long_to_know(data: bytes, name: str) -> None:
    took = recognised(data, name)
    assert max(took.values()) < 1, took


HEADS = (
    *(b"", b"{", b'{"messages": [', b'[{"user": "a"', b"[", b"From a", b"<?xml version='1.0'?>"),
    *(b"<smses>", b"user,text\n", b"1/1/24, 1:11 - a: b\n", b"[12:34] <a> b\n", b"ARROW1\0\0"),
    *(b"PAR1", b"From: a (b)\n", b"\x1f\x8b", b"\xff\xfe", b"PK\x03\x04"),
)


@given(
    st.sampled_from(HEADS),
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="replace")),
    st.sampled_from(["a", "a.txt", "a.json", "a.csv", "a.xml", "a.mbox", "a.log", "a.arrow"]),
)
@example(b'{"messages": ', b'{"a": [}', "a.json")
def test_whatever_a_file_begins_with_no_reader_raises_anything_else(
    head: bytes, rest: bytes, name: str
) -> None:
    recognised(head + rest, name)


NAMES = (
    *("result.json", "users.json", "channels.json", "a/1.json", "a/message_1.json", "x.csv"),
    *("messages.csv", "a/_chat.txt", "state.json", "dataset_info.json", "b.arrow", "m.mbox"),
)
SMALL = (
    *(b"[]", b"{}", b"null", b"7", b'"a"', b"[[]]", b'{"messages": 1}', b"[{}]", b'[{"id": []}]'),
    *(b'{"_data_files": 3}', b'{"users": {}}', b'{"participants": [1], "messages": [2]}'),
)


@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.binary(max_size=30) | st.sampled_from(SMALL), max_size=4
    )
)
def test_whatever_a_folder_holds_no_reader_raises_anything_else(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        with open_source(Path(folder), Tally()) as source:
            for reader in readers():
                for lenient in (False, True):
                    try:
                        reader.recognises(source)
                        for message in reader.read(source, Tally(lenient=lenient), ReadOptions()):
                            assert message.user
                    except BadCorpus as error:
                        assert folder in error.message, reader.name


# Readers of one file each


def _lines_of(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    for entry in files:
        with entry.open() as file:
            yield Message(entry.stem, file.read().decode())


CHALK = by_file("chalk", "for a test", lambda entry, head: head.startswith(b"C"), _lines_of)

FILES = {"a.txt": b"Cone", "b/c.txt": b"Ctwo", "d.txt": b"other", "p.jpg": b"Cpicture", "e": b""}


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def as_tar(path: Path, files: dict[str, bytes]) -> Path:
    folder = as_folder(path.with_name("unpacked"), files)
    with tarfile.open(path, "w:gz") as archive:
        for name in files:
            archive.add(folder / name, name)
    return path


@pytest.fixture(params=[as_folder, as_zip, as_tar], ids=["folder", "zip", "tar"])
def lay_out(request: pytest.FixtureRequest) -> Callable[[Path, dict[str, bytes]], Path]:
    found: Callable[[Path, dict[str, bytes]], Path] = request.param
    return found


def read_chalk(path: Path, tally: Tally) -> list[tuple[str, str]]:
    with open_source(path, tally) as source:
        return [(m.user, m.text) for m in CHALK.read(source, tally, ReadOptions())]


def recognises_chalk(path: Path) -> bool:
    with open_source(path, Tally()) as source:
        return CHALK.recognises(source)


def test_of_many_files_those_of_the_format_are_read_and_others_counted(
    tmp_path: Path, lay_out: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    path, tally = lay_out(tmp_path / "x", FILES), Tally()
    assert recognises_chalk(path)
    assert read_chalk(path, tally) == [("a", "Cone"), ("c", "Ctwo")]
    assert tally.skipped == {"other file": 2}  # pictures are not looked into
    assert not recognises_chalk(lay_out(tmp_path / "y", {"d.txt": b"other"}))
    assert not recognises_chalk(lay_out(tmp_path / "z", {"p.jpg": b"Cpicture"}))


def test_a_single_file_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(b"Cpicture")
    assert recognises_chalk(tmp_path / "p.jpg")
    assert read_chalk(tmp_path / "p.jpg", Tally()) == [("p", "Cpicture")]
    (tmp_path / "d.txt").write_bytes(b"other")
    assert not recognises_chalk(tmp_path / "d.txt")
    assert read_chalk(tmp_path / "d.txt", Tally()) == [("d", "other")]  # it was said to be one


def test_a_damaged_file_among_others_ends_reading_or_is_counted(
    tmp_path: Path, lay_out: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    path = lay_out(tmp_path / "x", FILES | {"b.gz": b"\x1f\x8bjunk"})
    assert recognises_chalk(path)
    with pytest.raises(BadCorpus, match=r"b\.gz is damaged"):
        read_chalk(path, Tally())
    tally = Tally(lenient=True)
    assert read_chalk(path, tally) == [("a", "Cone"), ("c", "Ctwo")]
    assert tally.skipped == {"other file": 3}


def test_a_single_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8bjunk")
    with pytest.raises(BadCorpus, match=r"a\.gz is damaged"):
        recognises_chalk(tmp_path / "a.gz")


def test_a_format_is_looked_for_all_over_a_large_folder(tmp_path: Path) -> None:
    names = [f"{folder}/{i:03}.txt" for folder in "bcd" for i in range(PROBED)]
    as_folder(tmp_path, dict.fromkeys([*names, "top.txt", "a/b/c/deep.txt", "p.jpg"], b""))
    with open_source(tmp_path, Tally()) as source:
        found = [entry.name for entry in probed(source)]
    assert len(found) <= PROBED
    assert len(set(found)) == len(found)
    assert found[0] == "top.txt"
    assert {name.split("/")[0] for name in found} >= set("bcd")
    assert "p.jpg" not in found
    assert max(map(names.index, found[1:-1])) > 2.9 * PROBED


@given(st.integers(0, 5 * PROBED))
def test_never_more_files_are_looked_into_than_that(count: int) -> None:
    entries = tuple(Entry(f"{i}", f"{i}", 0, open) for i in range(count))  # type: ignore[arg-type]
    found = probed(base.Source(Path(), "folder", entries))
    assert len(found) == min(count, len(found)) <= PROBED
    assert len(found) >= min(count, PROBED // 2)
    assert len({entry.name for entry in found}) == len(found)


# Names

ids = st.sampled_from(["", "1", "2", "3", "a", "b", "1)", "2) (1", "(1)"]) | st.text(max_size=3)
shown = st.sampled_from(["", "Ann", "ann", "Ann (1)", "Ann (1) (1)", "(1)", "Ann (2)"]) | st.text(
    max_size=3
)


@given(st.lists(st.tuples(ids, shown), max_size=12))
@example([("1", "Ann"), ("2", "Ann"), ("3", "Ann (1)")])
@example([("1", ""), ("2", "(1)")])
@example([("1", "Ann"), ("2", "ann"), ("3", "Ann (1)"), ("b", "Ann (1) (1)")])
def test_no_two_ids_have_one_name(pairs: list[tuple[str, str]]) -> None:
    found = unique_names(pairs)
    assert set(found) == {identity for identity, name in pairs if identity or name}
    assert len(set(found.values())) == len(found)
    assert all(found.values())
    assert unique_names([*pairs, *pairs]) == found
    for identity, name in found.items():
        last = [n for i, n in pairs if i == identity and (i or n)][-1]
        assert last.strip() in name
        assert name == last or f"({identity})" in name


def test_names_get_an_id_only_where_they_need_one() -> None:
    assert unique_names([("1", "Ann"), ("2", "Ben")]) == {"1": "Ann", "2": "Ben"}
    assert unique_names([("1", "Ann"), ("1", "Ann W.")]) == {"1": "Ann W."}
    assert unique_names([("1", "Ann"), ("2", "ANN")]) == {"1": "Ann (1)", "2": "ANN (2)"}
    assert unique_names([("1", ""), ("", "Ann"), ("", "")]) == {"1": "(1)", "": "Ann"}
    assert unique_names([("1", "Ann"), ("2", "Ann"), ("3", "Ann (1)")]) == {
        "1": "Ann (1) (1)",
        "2": "Ann (2)",
        "3": "Ann (1) (3)",
    }
