from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import read_as

from nwp.corpus import source as sources
from nwp.corpus import unpacking
from nwp.corpus.load import load_corpus, read_messages
from nwp.corpus.source import Entry, open_source
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

Pack = Callable[[Path, dict[str, bytes]], None]

BAD_NAMES = [
    *("../../evil.txt", "/abs.txt", "a/../../evil.txt", "..", "a\\..\\b.txt", "\\abs.txt"),
    *("C:\\x.txt", "c:/x.txt", "..\\evil.txt", "\\\\host\\share.txt", "./../x.txt"),
]


def zipped(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def tarred(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


PACKS: dict[str, Pack] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda path, files: tarred(path, files, "w:gz"),
    "tar.bz2": lambda path, files: tarred(path, files, "w:bz2"),
    "tar.xz": lambda path, files: tarred(path, files, "w:xz"),
}


@pytest.fixture(params=list(PACKS))
def pack(request: pytest.FixtureRequest) -> Pack:
    return PACKS[request.param]


def content(path: Path, tally: Tally | None = None) -> dict[str, bytes]:
    with open_source(path, tally or Tally()) as source:
        return {entry.name: whole(entry) for entry in source.entries}


def whole(entry: Entry) -> bytes:
    with entry.open() as file:
        return file.read()


def tree(top: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder: kind, time of the last change and content."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, data)
    return found


# Files, folders and archives alike


def test_an_archive_has_its_files_in_order_of_their_names(tmp_path: Path, pack: Pack) -> None:
    files = {"b/z.txt": b"one", "b/a.txt": b"", "a.txt": b"two" * 9_999, "é/ü.json": b"{}"}
    pack(tmp_path / "any", files)
    with open_source(tmp_path / "any", Tally()) as source:
        assert (source.kind, source.path) == ("archive", tmp_path / "any")
        assert [entry.name for entry in source.entries] == sorted(files)
        assert {entry.name: whole(entry) for entry in source.entries} == files
        for entry in source.entries:
            assert entry.place == f"{tmp_path / 'any'}/{entry.name}"
            assert entry.head(3) == files[entry.name][:3]
            assert entry.head() == files[entry.name][: sources.HEAD]


def test_a_folder_has_its_files_in_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "x.txt").write_bytes(b"1")
    (tmp_path / "b" / "a.txt").write_bytes(b"2")
    (tmp_path / "c.txt").write_bytes(b"3")
    (tmp_path / "empty").mkdir()
    assert content(tmp_path) == {"b/a.txt": b"2", "b/c/x.txt": b"1", "c.txt": b"3"}
    assert list(content(tmp_path)) == ["b/a.txt", "b/c/x.txt", "c.txt"]


@pytest.mark.parametrize("packer", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_file_is_unpacked_by_what_it_begins_with(
    tmp_path: Path, packer: Callable[[bytes], bytes]
) -> None:
    data = b"hello " * 50_000
    path = tmp_path / "notes.md"
    path.write_bytes(packer(data))
    with open_source(path, Tally()) as source:
        [entry] = source.entries
        assert (source.kind, entry.name, entry.place) == ("file", "notes.md", str(path))
        assert entry.packed == path.stat().st_size
        assert whole(entry) == data
        assert whole(entry) == data


def test_a_packed_file_in_an_archive_is_unpacked_as_well(tmp_path: Path, pack: Pack) -> None:
    pack(tmp_path / "any", {"a.txt.gz": gzip.compress(b"hi"), "b.xz": lzma.compress(b"ho")})
    assert content(tmp_path / "any") == {"a.txt.gz": b"hi", "b.xz": b"ho"}


@pytest.mark.parametrize(
    ("name", "suffix", "stem"),
    [
        ("b/a.JSON.gz", ".json", "a"),
        ("a.txt", ".txt", "a"),
        ("a.b.TXT.XZ", ".txt", "a.b"),
        ("a.gz", "", "a"),
        ("a.tar.bz2", ".tar", "a"),
        (".txt", "", ".txt"),
        ("b.txt/a", "", "a"),
    ],
)
def test_a_suffix_is_told_without_the_packers(name: str, suffix: str, stem: str) -> None:
    entry = Entry(name, name, 0, io.BytesIO)
    assert (entry.suffix, entry.stem) == (suffix, stem)


def test_pictures_and_sounds_are_no_texts(tmp_path: Path) -> None:
    names = ["a.JPG", "a.jpg.gz", "a.mp4", "a.opus", "a.pdf", "b.txt", "c", "d.json", "e.log.xz"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with open_source(tmp_path, Tally()) as source:
        assert [entry.name for entry in source.texts()] == ["b.txt", "c", "d.json", "e.log.xz"]
        assert len(source.entries) == len(names)


def test_two_files_are_read_in_turns(tmp_path: Path, pack: Pack) -> None:
    files = {f"{i}.txt": bytes([65 + i]) * 300_000 for i in range(3)}
    pack(tmp_path / "any", files)
    with open_source(tmp_path / "any", Tally()) as source, ExitStack() as stack:
        both = [stack.enter_context(entry.open()) for entry in (*source.entries, *source.entries)]
        found = [b""] * len(both)
        for _ in range(60):
            for i, file in enumerate(both):
                found[i] += file.read(7_919)
        assert found == [*files.values()] * 2
        assert all(file.read(1) == b"" for file in both)


def test_a_tar_whose_last_file_is_a_zip_is_a_tar(tmp_path: Path) -> None:
    zipped(tmp_path / "z.zip", {"inner.txt": b"inner"})
    inner = (tmp_path / "z.zip").read_bytes()
    tarred(tmp_path / "a.tar", {"a.txt": b"outer", "z.zip": inner})
    assert content(tmp_path / "a.tar") == {"a.txt": b"outer", "z.zip": inner}


def test_what_a_mac_adds_to_an_archive_is_left_out(tmp_path: Path, pack: Pack) -> None:
    junk = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"
    files = {"ann.txt": b"hello\n", "__MACOSX/._ann.txt": junk, "._ann.txt": junk}
    pack(tmp_path / "any.zip", files)
    tally = Tally()
    assert [(m.user, m.text) for m in read_as(tmp_path / "any.zip", tally)[1]] == [("ann", "hello")]
    assert tally.skipped == {"other file": 2}
    (tmp_path / "folder").mkdir()
    for name in ("ann.txt", "._ann.txt"):
        (tmp_path / "folder" / name).write_bytes(files[name])
    assert list(content(tmp_path / "folder")) == ["ann.txt"]


# Names that would lead outside, links and what is no file


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_would_lead_outside_is_left_out_and_nothing_is_written(
    tmp_path: Path, pack: Pack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "deep" / "er"
    top.mkdir(parents=True)
    pack(top / "any.zip", {name: b"evil\n", "ann.txt": b"hello\n"})
    monkeypatch.chdir(top)
    before = tree(tmp_path)
    tally = Tally()
    assert read_as(top / "any.zip", tally)[1][0].text == "hello"
    assert content(top / "any.zip") == {"ann.txt": b"hello\n"}
    assert tally.skipped == {"unsafe name in the archive": 1}
    assert tree(tmp_path) == before
    assert not Path("/abs.txt").exists()


def test_a_name_with_a_nul_in_it_is_left_out(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"ann.txt": b"hello", "ben_.txt": b"x"})
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(b"ben_.txt", b"ben\0.txt"))
    tally = Tally()
    assert content(tmp_path / "a.zip", tally) == {"ann.txt": b"hello"}
    assert tally.skipped == {"unsafe name in the archive": 1}
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("b\udcff\0.txt"))
    assert content(tmp_path / "b.tar") in ({}, {"b": b""}, {"b\udcff": b""})


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_of_one_name_the_first_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("a.txt", b"first")
        archive.writestr("a.txt", b"second")
    with tarfile.open(tmp_path / "b", "w") as packed:
        for data in (b"first", b"second"):
            member = tarfile.TarInfo("a.txt")
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    for name in "ab":
        tally = Tally()
        assert content(tmp_path / name, tally) == {"a.txt": b"first"}
        assert tally.skipped == {"unsafe name in the archive": 1}


def test_links_and_devices_in_a_zip_are_left_out(tmp_path: Path) -> None:
    kinds = {stat.S_IFLNK: "a", stat.S_IFIFO: "b", stat.S_IFCHR: "c", stat.S_IFSOCK: "d"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/", b"")
        archive.writestr("ann.txt", b"hello")
        for mode, name in kinds.items():
            info = zipfile.ZipInfo(f"{name}.txt")
            info.create_system, info.external_attr = 3, (mode | 0o777) << 16
            archive.writestr(info, b"/etc/passwd")
    tally = Tally()
    assert content(tmp_path / "a.zip", tally) == {"ann.txt": b"hello"}
    assert tally.skipped == {"symbolic link": 1, "no regular file": 3}


def test_links_and_devices_in_a_tar_are_left_out(tmp_path: Path) -> None:
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i, kind in enumerate((tarfile.DIRTYPE, *kinds)):
            member = tarfile.TarInfo(f"{i}.txt")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("ann.txt")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"hello"))
    tally = Tally()
    assert content(tmp_path / "a.tar", tally) == {"ann.txt": b"hello"}
    assert tally.skipped == {"symbolic link": 1, "no regular file": 4}


def test_links_and_devices_in_a_folder_are_left_out(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "ann.txt").write_text("hello")
    (folder / "sub" / "up").symlink_to(folder)  # in a circle
    (folder / "self").symlink_to(folder / "self")
    (folder / "out").symlink_to(outside)
    (folder / "secret.txt").symlink_to(outside / "secret.txt")
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(folder / "s.txt"))
        except OSError:  # a path too long for a socket
            os.mkfifo(folder / "s.txt")
    tally = Tally()
    assert content(folder, tally) == {"ann.txt": b"hello"}
    assert tally.skipped == {"symbolic link": 4, "no regular file": 2}


@pytest.mark.parametrize("source", ["pipe", "/dev/null"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, source: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadCorpus, match="no regular file"):
        load_corpus(str(tmp_path / source))


# What can't be opened


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_one_may_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "ann.txt").write_text("hello")
    (tmp_path / "ben.txt").write_text("hello")
    (tmp_path / "ben.txt").chmod(0)
    for path in (tmp_path, tmp_path / "ben.txt"):
        with pytest.raises(BadCorpus, match=r"cannot read .*ben\.txt: Permission denied"):
            load_corpus(str(path))


def test_a_folder_within_that_one_may_not_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ann.txt").write_text("hello")
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def refuse(path: Any) -> Any:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BadCorpus, match=r"cannot read .*locked: Permission denied"):
        load_corpus(str(tmp_path))


@pytest.mark.parametrize("name", ["ann.txt", "ben.txt"])
def test_a_file_that_vanishes_while_others_are_read_is_named(tmp_path: Path, name: str) -> None:
    for file in ("ann.txt", "ben.txt"):
        (tmp_path / file).write_text("hello\n")
    with (
        pytest.raises(BadCorpus, match=rf"cannot read .*{name}: No such file"),
        read_messages(str(tmp_path), Tally()) as (_, messages),
    ):
        (tmp_path / name).unlink()
        list(messages)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zipped(path, {"ann.txt": b"hello"})
    data = bytearray(path.read_bytes())
    for at in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        data[at] |= 1
    path.write_bytes(data)
    with pytest.raises(BadCorpus, match="encrypted") as caught:
        load_corpus(str(path))
    assert "password" in caught.value.hint


# What unpacks to far too much


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte is harmless, and not 16."""
    monkeypatch.setattr(unpacking, "_HARMLESS", 1 << 20)


def used_up(path: Path) -> int:
    """Read everything in pieces; how much it was."""
    total = 0
    with open_source(path, Tally()) as source:
        for entry in source.entries:
            with entry.open() as file:
                while piece := file.read(1 << 16):
                    total += len(piece)
    return total


@pytest.mark.usefixtures("small")
def test_zeros_are_a_bomb_however_they_are_packed(tmp_path: Path, pack: Pack) -> None:
    pack(tmp_path / "bomb", {"a.txt": bytes(3 << 20)})
    if (tmp_path / "bomb").stat().st_size > 3 << 20:
        assert used_up(tmp_path / "bomb") == 3 << 20  # a bare tar packs nothing
        return
    with pytest.raises(BadCorpus, match="unpacks to far more"):
        used_up(tmp_path / "bomb")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("packer", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_of_zeros_is_a_bomb(
    tmp_path: Path, pack: Pack, packer: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "a.txt").write_bytes(packer(bytes(3 << 20)))
    pack(tmp_path / "any", {"a.txt": (tmp_path / "a.txt").read_bytes()})
    for path in (tmp_path / "a.txt", tmp_path / "any"):
        with pytest.raises(BadCorpus, match="unpacks to far more"):
            used_up(path)
        with pytest.raises(BadCorpus, match=f"^{re.escape(str(path))}.* unpacks to far more"):
            load_corpus(str(path))


@pytest.mark.usefixtures("small")
def test_up_to_what_is_harmless_any_ratio_is_read(tmp_path: Path, pack: Pack) -> None:
    pack(tmp_path / "any", {"a.txt": bytes(1 << 20)})
    if tarfile.is_tarfile(tmp_path / "any"):  # its headers count, too
        pack(tmp_path / "any", {"a.txt": bytes((1 << 20) - 20_480)})
    assert used_up(tmp_path / "any") >= (1 << 20) - 20_480


def nested_bomb(files: int, zeros: int) -> bytes:
    """A zip whose entries share data: each one's data are all entries after it, headers included.

    Each quotes the next one's header as a stored block of deflate; the last one is zeros.
    """
    import zlib

    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = kernel.compress(bytes(zeros)) + kernel.flush()
    data, size, check = packed, zeros, zlib.crc32(bytes(zeros))
    plain = bytes(zeros)
    entries: list[tuple[bytes, int, int, int, int]] = []  # name, crc, packed, size, from the end
    parts = [packed]
    total = len(packed)
    for i in reversed(range(files)):
        name = b"%04d.txt" % i
        header = struct.pack(
            "<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, check, len(data), size, len(name), 0
        )
        header += name
        total += len(header)
        parts.append(header)
        entries.append((name, check, len(data), size, total))
        if i:
            quote = struct.pack("<BHH", 0, len(header), 0xFFFF ^ len(header))
            parts.append(quote)
            total += len(quote)
            data = quote + header + data
            plain = header + plain
            size, check = len(plain), zlib.crc32(plain)
    body = b"".join(reversed(parts))
    central = b""
    for name, crc, packed_size, whole_size, from_end in entries:
        central += struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\x01\x02", 20, 20, 0, 8, 0, 0, crc, packed_size, whole_size, len(name)),
            *(0, 0, 0, 0, 0, len(body) - from_end),
        )
        central += name
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, files, files, len(central), len(body), 0)
    return body + central + end


def test_a_zip_of_entries_that_share_data_is_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(nested_bomb(2, 100))
    try:  # some Pythons refuse what overlaps
        found = content(path)
        assert list(found) == ["0000.txt", "0001.txt"]
        assert found["0001.txt"] == bytes(100)
    except BadCorpus as error:
        assert "Overlapped" in error.message
    path.write_bytes(nested_bomb(200, 4 << 20))
    assert path.stat().st_size < 50_000
    with pytest.raises(BadCorpus, match="unpacks to far more"), open_source(path, Tally()):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_way_of_packing_that_is_unpacked_in_one_go_is_refused(
    tmp_path: Path, method: int
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.txt", b"hello\n")
    with pytest.raises(BadCorpus, match=r"a\.zip/a\.txt .*unpack it and give the folder"):
        load_corpus(str(path))


def test_all_that_a_zip_unpacks_to_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{i}.txt": os.urandom(1_000) for i in range(10)}
    for name, pack in PACKS.items():
        pack(tmp_path / name, files)
    monkeypatch.setattr(sources, "MAX_UNPACKED", 10_000)
    for name in PACKS:
        assert content(tmp_path / name) == files
    monkeypatch.setattr(sources, "MAX_UNPACKED", 9_999)
    for name in PACKS:
        with pytest.raises(BadCorpus, match="unpacks to far more"):
            content(tmp_path / name)


def test_how_many_files_an_export_has_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{i}.txt": b"" for i in range(10)}
    for name, pack in PACKS.items():
        pack(tmp_path / name, files)
    (tmp_path / "folder").mkdir()
    for name in files:
        (tmp_path / "folder" / name).write_bytes(b"")
    monkeypatch.setattr(sources, "MAX_FILES", 10)
    for name in (*PACKS, "folder"):
        assert content(tmp_path / name) == files
    monkeypatch.setattr(sources, "MAX_FILES", 9)
    for name in (*PACKS, "folder"):
        with pytest.raises(BadCorpus, match=r"over 9 files|unpacks to far more"):
            content(tmp_path / name)


def test_folders_and_links_of_a_tar_count_as_files_against_a_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i in range(20):
            member = tarfile.TarInfo(f"{i}")
            member.type = tarfile.DIRTYPE if i % 2 else tarfile.SYMTYPE
            archive.addfile(member)
    monkeypatch.setattr(sources, "MAX_FILES", 9)
    with pytest.raises(BadCorpus, match="unpacks to far more"):
        content(tmp_path / "a.tar")


def test_a_tar_of_holes_is_a_bomb(tmp_path: Path) -> None:
    """Two kilobytes that say: two gigabytes of zeros, and then a few bytes."""
    member = tarfile.TarInfo("a.txt")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % ((2 << 30) - 512, 512)
    header[483:495] = b"%011o\0" % (2 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + b"x" * 512 + bytes(1024))
    with pytest.raises(BadCorpus, match="unpacks to far more"):
        content(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_with_a_name_that_would_fill_the_memory_is_refused(
    tmp_path: Path, kind: bytes
) -> None:
    member = tarfile.TarInfo("a")
    member.type, member.size = kind, 1 << 40
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + b"x" * 5_000)
    with pytest.raises(BadCorpus, match=r"damaged.*a header of"):
        content(tmp_path / "a.tar")


def test_a_long_name_in_a_tar_is_read(tmp_path: Path) -> None:
    name = "/".join(["folder" * 30] * 9) + "/é.txt"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            archive.addfile(tarfile.TarInfo(name))
        assert content(tmp_path / "a.tar") == {name: b""}


def test_a_packed_size_that_is_a_lie_makes_no_bomb_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", bz2.compress(bytes(40 << 20)))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 24] = struct.pack("<I", 0x7FFFFFFF)
    path.write_bytes(data)
    with pytest.raises(BadCorpus, match=r"unpacks to far more|zip bomb"):
        used_up(path)


# Damage

WORDS = b"".join(b"%d %d some words of a message\n" % (i, i * i * 7919) for i in range(60))
FILES = {"ann.txt": WORDS, "ben/b.txt": WORDS[::-1], "cleo.txt": b"short\n"}


def made(pack: Pack) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        pack(Path(folder, "a"), FILES)
        return Path(folder, "a").read_bytes()


WHOLE = {name: made(pack) for name, pack in PACKS.items()}
PACKED = {
    "gz": gzip.compress(WORDS),
    "bz2": bz2.compress(WORDS),
    "xz": lzma.compress(WORDS),
}


def spoil(data: bytes, places: list[tuple[float, int]], cut: float) -> bytes:
    spoilt = bytearray(data)
    for place, value in places:
        spoilt[int(place * (len(data) - 1))] ^= value
    return bytes(spoilt[: int(cut * len(data))])


places = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=3)
cuts = st.just(1.0) | st.floats(0, 1)


def read_spoilt(data: bytes) -> dict[str, bytes] | None:
    """What is read; None when it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_bytes(data)
        try:
            return content(path)
        except BadCorpus as error:
            assert str(path) in error.message
            assert error.hint
            return None
        except OSError as error:  # `read_messages` names it
            assert error.errno
            return None


@given(st.sampled_from(sorted(WHOLE)), places, cuts)
@example("zip", [], 1.0)
@example("tar", [], 0.5)
@example("tar.gz", [], 0.99)
def test_a_damaged_archive_is_refused_or_what_is_read_of_it_is_right(
    kind: str, where: list[tuple[float, int]], cut: float
) -> None:
    data = spoil(WHOLE[kind], where, cut)
    found = read_spoilt(data)
    if data == WHOLE[kind]:
        assert found == FILES
    if found is None or kind == "tar":  # a bare tar has no checksums of what is in it
        return
    # Names and modes of a zip have no checksum either; what is read under them has one. A file
    # whose first or last bytes are damaged is no archive any more, and read as it is.
    for name, text in found.items():
        assert text in FILES.values() or name == "a", name


@given(places, cuts)
def test_of_a_damaged_tar_no_file_is_lost_without_a_word(
    where: list[tuple[float, int]], cut: float
) -> None:
    data = spoil(WHOLE["tar"], where, cut)
    with tempfile.TemporaryDirectory() as folder:
        path, tally = Path(folder, "a"), Tally()
        path.write_bytes(data)
        try:
            found = content(path, tally)
        except BadCorpus:
            return
    if list(found) != ["a"]:  # no tar any more
        assert len(found) + sum(tally.skipped.values()) == len(FILES)


@given(st.sampled_from(sorted(PACKED)), places, cuts)
def test_a_damaged_packed_file_is_refused_or_what_is_read_of_it_is_right(
    kind: str, where: list[tuple[float, int]], cut: float
) -> None:
    data = spoil(PACKED[kind], where, cut)
    found = read_spoilt(data)
    assert found is None or found["a"] in (WORDS, data)


@given(st.binary(max_size=300), st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", b"BZh9", b""]))
def test_whatever_a_file_holds_it_is_read_or_refused(data: bytes, start: bytes) -> None:
    read_spoilt(start + data)
    read_spoilt(data + start + bytes(18))
    read_spoilt((start + data)[:257].ljust(257, b"\0") + b"ustar" + data)


def test_a_name_in_a_zip_that_is_not_what_it_says_is_damage(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"é.txt": b"hello"})
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace("é".encode(), b"\xff\xff"))
    with pytest.raises(BadCorpus, match="damaged"):
        content(tmp_path / "a.zip")


@pytest.mark.parametrize("packer", [gzip.compress, bz2.compress, lzma.compress])
def test_the_checksum_of_a_packed_tar_is_read(
    tmp_path: Path, packer: Callable[[bytes], bytes]
) -> None:
    tarred(tmp_path / "a.tar", {"ann.txt": os.urandom(5_000), "ben.txt": b"hello"})
    good = packer((tmp_path / "a.tar").read_bytes())
    for at in (len(good) // 3, len(good) // 2, len(good) - 5):
        (tmp_path / "a").write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(BadCorpus, match="damaged"):
            content(tmp_path / "a")


def changed(data: bytes, record: bytes, at: int, value: int, size: int = 2) -> bytes:
    """A zip with another number in the first of such records."""
    place = data.index(record) + at
    return data[:place] + value.to_bytes(size, "little") + data[place + size :]


def test_a_zip_whose_list_was_cut_is_damaged(tmp_path: Path) -> None:
    """The second file in the list is taken for a comment on the first."""
    path = tmp_path / "a.zip"
    zipped(path, {"a.txt": b"1", "b.txt": b"2"})
    path.write_bytes(changed(path.read_bytes(), b"PK\x01\x02", 32, 46 + len("b.txt")))
    with pytest.raises(BadCorpus, match="says that it has 2 files, and lists 1"):
        content(path)


def test_a_zip_of_a_file_without_a_name_is_no_surprise(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("\0x"), b"1")
        archive.writestr("b.txt", b"2")
    assert content(path) == {"b.txt": b"2"}


def test_a_zip_with_a_file_before_its_start_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zipped(path, {"a.txt": b"hello\n"})
    path.write_bytes(changed(path.read_bytes(), b"PK\x05\x06", 16, 1_000, 4))
    with pytest.raises(BadCorpus, match="damaged"):
        load_corpus(str(path))


def test_a_zip_with_a_comment_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zipped(path, {"a.txt": b"hello"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"packed by hand " * 1_000
    assert content(path) == {"a.txt": b"hello"}


# Memory

MEASURE = """
import resource, sys
from pathlib import Path
from nwp.corpus.lines import raw_lines, read_lines
from nwp.corpus.source import open_source
from nwp.corpus.types import Tally

with open_source(Path(sys.argv[1]), Tally()) as source:
    [entry] = source.entries
    entry.head()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tally, total = Tally(), 0
    with entry.open() as file:
        if sys.argv[2] == "lines":
            total = sum(len(line) for line in raw_lines(file, tally))
        elif sys.argv[2] == "texts":
            total = sum(len(line) for line in read_lines(file, tally))
        else:
            while piece := file.read(1 << 16):
                total += len(piece)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(total, grown, tally.skipped.get("line too long", 0))
"""


def measured(path: Path, how: str) -> list[int]:
    """Bytes or characters that were read, KiB that the process grew by, lines too long."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), how], capture_output=True, check=True, text=True
    )
    return [int(figure) for figure in run.stdout.split()]


@pytest.mark.parametrize(("how", "start"), [("lines", b"hi\n"), ("texts", b"\xff\xfeh\0\n\0")])
def test_a_line_of_200_megabytes_fills_no_memory(tmp_path: Path, how: str, start: bytes) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(200 << 20)  # zeros that take no room on disk
    total, grown, skipped = measured(path, how)
    assert total == (3 if how == "lines" else 1)
    assert skipped == 1
    assert grown < 40_000


def test_100_megabytes_in_a_zip_are_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    noise = os.urandom(8_192)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.txt", "w") as file,
    ):
        for _ in range(100):
            file.write(noise + bytes((1 << 20) - len(noise)))
    assert path.stat().st_size < 2 << 20
    total, grown, _ = measured(path, "pieces")
    assert total == 100 << 20
    assert grown < 20_000
