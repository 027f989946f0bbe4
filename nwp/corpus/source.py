"""What a reader is given: the files of an export, be it one file, a folder or an archive.

Nothing from an archive is unpacked to disk under its name, so that no name can lead outside. What
is unpacked is bounded while it is read: by its ratio to what was packed, and in all.
"""

from __future__ import annotations

import functools
import io
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn

from nwp.corpus.types import Tally
from nwp.corpus.unpacking import (
    MAX_RATIO,
    bomb,
    check_list,
    damage_named,
    guarded,
    is_tar,
    most_of,
    part,
    tar_members,
    unpacked,
    unpacked_name,
    unsafe,
)
from nwp.errors import BadCorpus

__all__ = ["HEAD", "MAX_FILES", "MAX_RATIO", "MAX_UNPACKED", "Entry", "Source", "open_source"]

MAX_FILES = 1_000_000
MAX_UNPACKED = 64 << 30
"""Bytes of one archive, unpacked."""
HEAD = 64 << 10
"""Bytes that a format is recognised by."""
_NO_TEXT = frozenset(
    f".{kind}"
    for kinds in (
        "jpg jpeg png gif webp heic bmp tif tiff svg ico",
        "mp4 mov avi mkv webm 3gp m4v mp3 m4a ogg opus oga wav aac flac amr",
        "pdf doc docx xls xlsx ppt pptx vcf vcard tgs exe apk dll so pyc",
    )
    for kind in kinds.split()
)


@dataclass(frozen=True)
class Entry:
    """One file of an export: its path below the export's top ("a/b.txt"), and how to read it.

    `place` is the path to name in an error; `packed` is how many bytes the file takes there.
    """

    name: str
    place: str
    packed: int
    _raw: Callable[[], IO[bytes]]

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Its bytes, unpacked. BadCorpus when it is damaged, or unpacks to far too much."""
        with ExitStack() as stack:
            with damage_named(self.place):  # an archive's damage shows with the first byte
                raw = stack.enter_context(self._raw())
                file = stack.enter_context(unpacked(raw))
            yield guarded(self.place, file, self.packed)

    def head(self, size: int = HEAD) -> bytes:
        """Its first bytes, `HEAD` at most; BadCorpus when it is damaged."""
        return _head(self)[:size]

    @property
    def suffix(self) -> str:
        """The end of its name, lower-cased, without a packer's: ".json" of "a.JSON.gz"."""
        return PurePosixPath(unpacked_name(self.name.lower())).suffix

    @property
    def stem(self) -> str:
        """The file's own name without folders and suffix: "a" of "b/a.json.gz"."""
        return PurePosixPath(unpacked_name(self.name)).stem


@dataclass(frozen=True)
class Source:
    """An export as opened: its regular files in order of their names.

    `kind` is "file" (then there is one entry), "folder" or "archive".
    """

    path: Path
    kind: str
    entries: tuple[Entry, ...]

    def texts(self) -> Iterator[Entry]:
        """The files that are not by their names pictures, sounds, films or documents."""
        return (entry for entry in self.entries if entry.suffix not in _NO_TEXT)


@functools.lru_cache(maxsize=256)
def _head(entry: Entry) -> bytes:
    """Kept for a while: every reader asks for it, until one knows the file."""
    with entry.open() as file:
        return file.read(HEAD)


@contextmanager
def open_source(path: Path, tally: Tally) -> Iterator[Source]:
    """Open a file, a folder or an archive (zip, tar); links and unsafe names are left out, counted.

    BadCorpus when an archive is damaged, encrypted or a bomb.
    """
    with ExitStack() as stack:
        if path.is_dir():
            yield Source(path, "folder", tuple(_folder(path, tally)))
        elif not path.is_file():
            raise BadCorpus(f"{path} is no regular file", "Give a file, a folder or a name.")
        elif is_tar(path):  # first: one whose last file is a zip ends like a zip
            spool = stack.enter_context(tempfile.TemporaryFile())
            with damage_named(path):
                entries = tuple(_tarred(path, spool, tally))
            yield Source(path, "archive", entries)
        elif zipfile.is_zipfile(path):
            with damage_named(path):
                archive = stack.enter_context(zipfile.ZipFile(path))
                entries = tuple(_zipped(path, archive, tally))
            yield Source(path, "archive", entries)
        else:
            size = path.stat().st_size
            yield Source(
                path, "file", (Entry(path.name, str(path), size, functools.partial(_open, path)),)
            )


def _folder(path: Path, tally: Tally) -> Iterator[Entry]:
    """Regular files below a folder. A link is not followed: it may lead anywhere, or in a circle."""
    found: list[tuple[str, Path, int]] = []
    for place, folders, files in os.walk(path, onerror=_raised):
        for name in folders:
            if Path(place, name).is_symlink():
                tally.skip("symbolic link")
        for name in files:
            file = Path(place, name)
            status = file.lstat()
            if _of_a_mac(name):
                tally.skip("other file")
            elif stat.S_ISREG(status.st_mode):
                found.append((file.relative_to(path).as_posix(), file, status.st_size))
            else:
                tally.skip(_irregular(status.st_mode))
        if len(found) > MAX_FILES:
            raise BadCorpus(f"{path} holds over {MAX_FILES:,} files", "Is it the right folder?")
    for name, file, size in sorted(found):
        yield Entry(name, str(file), size, functools.partial(_open, file))


def _zipped(path: Path, archive: zipfile.ZipFile, tally: Tally) -> Iterator[Entry]:
    size = path.stat().st_size
    most = min(MAX_UNPACKED, most_of(size))
    check_list(path, archive)
    infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > most:
        raise bomb(str(path))
    seen = set()
    for info in sorted(infos, key=lambda info: info.filename):
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
            tally.skip(_irregular(mode))
        elif unsafe(info.orig_filename) or info.filename in seen:
            tally.skip("unsafe name in the archive")
        elif _of_a_mac(info.filename):
            tally.skip("other file")
        elif info.flag_bits & 1:
            raise BadCorpus(f"{path} is encrypted", "Unpack it with its password first.")
        else:
            seen.add(info.filename)
            yield Entry(
                info.filename,
                f"{path}/{info.filename}",
                min(info.compress_size, size),
                functools.partial(_open_zipped, archive, info),
            )


def _open_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Other ways of packing than these two are unpacked in one go, be it gigabytes."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("unpack it and give the folder")
    return archive.open(info)


def _tarred(path: Path, spool: IO[bytes], tally: Tally) -> Iterator[Entry]:
    """A tar can only be read from front to back: its files are laid end to end in a nameless one."""
    found: dict[str, tuple[int, int]] = {}
    size = path.stat().st_size
    most = min(MAX_UNPACKED, most_of(size))
    with path.open("rb") as raw, unpacked(raw) as file:
        for number, (member, content) in enumerate(tar_members(guarded(str(path), file, size))):
            if number >= MAX_FILES:
                raise bomb(str(path))
            if member.isdir():
                continue
            if content is None:
                tally.skip(_irregular(stat.S_IFLNK if member.issym() else 0))
            elif unsafe(member.name) or member.name in found:
                tally.skip("unsafe name in the archive")
            elif _of_a_mac(member.name):
                tally.skip("other file")
            elif PurePosixPath(member.name.lower()).suffix not in _NO_TEXT:
                start = spool.tell()
                if start + member.size > most:  # one with holes unpacks from nothing
                    raise bomb(str(path))
                while piece := content.read(1 << 20):
                    spool.write(piece)
                found[member.name] = (start, spool.tell() - start)
    spool.flush()
    for name, (start, size) in sorted(found.items()):
        yield Entry(name, f"{path}/{name}", size, functools.partial(part, spool, start, size))


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _of_a_mac(name: str) -> bool:
    """What a Mac puts beside a file, under its name, when it packs or copies it."""
    path = PurePosixPath(name)
    return path.name.startswith("._") or "__MACOSX" in path.parts


def _raised(error: OSError) -> NoReturn:
    raise error


def _irregular(mode: int) -> str:
    return "symbolic link" if stat.S_ISLNK(mode) else "no regular file"
