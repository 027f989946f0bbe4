"""What a reader is given: the files of an export, be it one file, a folder or an archive.

Nothing from an archive is unpacked to disk under its name, so that no name can lead outside. What
is unpacked is bounded while it is read: by its ratio to what was packed, and in all.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

MAX_RATIO = 250
"""More bytes than this from a packed one is a bomb: text is packed to a third or a twentieth."""
MAX_FILES = 1_000_000
MAX_UNPACKED = 64 << 30
"""Bytes of one archive, unpacked."""
HEAD = 64 << 10
"""Bytes that a format is recognised by."""
_HARMLESS = 16 << 20  # up to here no ratio hurts

_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
_PACKERS: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_PACKED_NAMES = (".gz", ".bz2", ".xz")
_NO_TEXT = frozenset(
    f".{kind}"
    for kinds in (
        "jpg jpeg png gif webp heic bmp tif tiff svg ico",
        "mp4 mov avi mkv webm 3gp m4v mp3 m4a ogg opus oga wav aac flac amr",
        "pdf doc docx xls xlsx ppt pptx vcf tgs exe apk dll so pyc",
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
            raw = stack.enter_context(self._raw())
            unpacked = stack.enter_context(_unpacked(raw))
            yield io.BufferedReader(_Guarded(self.place, unpacked, self.packed), 1 << 16)

    def head(self, size: int = HEAD) -> bytes:
        """Its first bytes; BadCorpus when it is damaged."""
        with self.open() as file:
            return file.read(size)

    @property
    def suffix(self) -> str:
        """The end of its name, lower-cased, without a packer's: ".json" of "a.JSON.gz"."""
        return PurePosixPath(_unpacked_name(self.name.lower())).suffix

    @property
    def stem(self) -> str:
        """The file's own name without folders and suffix: "a" of "b/a.json.gz"."""
        return PurePosixPath(_unpacked_name(self.name)).stem


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
        elif zipfile.is_zipfile(path):
            with _damage_named(path):
                archive = stack.enter_context(zipfile.ZipFile(path))
                entries = tuple(_zipped(path, archive, tally))
            yield Source(path, "archive", entries)
        elif _is_tar(path):
            spool = stack.enter_context(tempfile.TemporaryFile())
            with _damage_named(path):
                entries = tuple(_tarred(path, spool, tally))
            yield Source(path, "archive", entries)
        else:
            size = path.stat().st_size
            yield Source(
                path, "file", (Entry(path.name, str(path), size, functools.partial(_open, path)),)
            )


def _folder(path: Path, tally: Tally) -> Iterator[Entry]:
    """Regular files below a folder. A link is not followed: it may lead anywhere, or in a circle."""
    found: list[tuple[str, Path, int]] = []
    for place, folders, files in os.walk(path):
        for name in folders:
            if Path(place, name).is_symlink():
                tally.skip("symbolic link")
        for name in files:
            file = Path(place, name)
            status = file.lstat()
            if stat.S_ISREG(status.st_mode):
                found.append((file.relative_to(path).as_posix(), file, status.st_size))
            else:
                tally.skip(_irregular(status.st_mode))
        if len(found) > MAX_FILES:
            raise BadCorpus(f"{path} holds over {MAX_FILES:,} files", "Is it the right folder?")
    for name, file, size in sorted(found):
        yield Entry(name, str(file), size, functools.partial(_open, file))


def _zipped(path: Path, archive: zipfile.ZipFile, tally: Tally) -> Iterator[Entry]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_UNPACKED:
        raise _bomb(str(path))
    seen = set()
    for info in sorted(infos, key=lambda info: info.filename):
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
            tally.skip(_irregular(mode))
        elif _unsafe(info.filename) or info.filename in seen:
            tally.skip("unsafe name in the archive")
        elif info.flag_bits & 1:
            raise BadCorpus(f"{path} is encrypted", "Unpack it with its password first.")
        else:
            seen.add(info.filename)
            yield Entry(
                info.filename,
                f"{path}/{info.filename}",
                info.compress_size,
                functools.partial(archive.open, info),
            )


def _is_tar(path: Path) -> bool:
    with path.open("rb") as raw:
        try:
            with _unpacked(raw) as file:
                return file.read(262)[257:] == b"ustar"
        except (*_DAMAGED, OSError):
            return False


def _tarred(path: Path, spool: IO[bytes], tally: Tally) -> Iterator[Entry]:
    """A tar can only be read from front to back: its files are laid end to end in a nameless one."""
    found: dict[str, tuple[int, int]] = {}
    with path.open("rb") as raw, _unpacked(raw) as unpacked:
        guarded = _Guarded(str(path), unpacked, path.stat().st_size)
        with tarfile.open(fileobj=io.BufferedReader(guarded), mode="r|") as archive:
            for member in archive:
                if member.isdir():
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    tally.skip(_irregular(stat.S_IFLNK if member.issym() else 0))
                elif _unsafe(member.name) or member.name in found:
                    tally.skip("unsafe name in the archive")
                elif PurePosixPath(member.name.lower()).suffix not in _NO_TEXT:
                    start = spool.tell()
                    if start + member.size > MAX_UNPACKED or len(found) >= MAX_FILES:
                        raise _bomb(str(path))
                    while piece := content.read(1 << 20):
                        spool.write(piece)
                    found[member.name] = (start, spool.tell() - start)
    spool.flush()
    for name, (start, size) in sorted(found.items()):
        yield Entry(name, f"{path}/{name}", size, functools.partial(_slice, spool, start, size))


@contextmanager
def _unpacked(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """A stream as it is, or through gzip, bzip2 or xz when it begins like one."""
    magic = raw.read(6)
    raw.seek(0)
    opener = next((opener for start, opener in _PACKERS if magic.startswith(start)), None)
    if opener is None:
        yield raw
    else:
        with opener(raw) as stream:
            yield stream


def _unpacked_name(name: str) -> str:
    return next((name[: -len(s)] for s in _PACKED_NAMES if name.lower().endswith(s)), name)


class _Guarded(io.RawIOBase):
    """Reads on until what came out is far more than what was packed; names what is damaged."""

    def __init__(self, name: str, inner: Any, packed: int) -> None:
        self._name, self._inner = name, inner
        self._most = max(_HARMLESS, MAX_RATIO * packed)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _damage_named(self._name):
            try:
                piece = self._inner.read1(len(buffer))
            except OSError as error:
                if error.errno is not None:
                    raise
                raise EOFError(str(error)) from error  # gzip and bz2 say so of damage
        self._read += len(piece)
        if self._read > self._most:
            raise _bomb(self._name)
        buffer[: len(piece)] = piece
        return len(piece)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _slice(file: IO[bytes], start: int, size: int) -> IO[bytes]:
    return io.BufferedReader(_Slice(file, start, size))


class _Slice(io.RawIOBase):
    """Part of a file, by positions of its own."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._handle, self._start, self._size, self._at = file.fileno(), start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        piece = os.pread(self._handle, wanted, self._start + self._at)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


@contextmanager
def _damage_named(name: str | Path) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGED, NotImplementedError, RuntimeError) as error:
        raise BadCorpus(
            f"{name} is damaged, or packed in a way that is not known here: {error}",
            "Fetch or make it again.",
        ) from error


def _unsafe(name: str) -> bool:
    """A name that would lead out of the folder it is unpacked to, or that no file can have."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not parts or ".." in parts or name.startswith(("/", "\\")) or "\0" in name


def _irregular(mode: int) -> str:
    return "symbolic link" if stat.S_ISLNK(mode) else "no regular file"


def _bomb(name: str) -> BadCorpus:
    return BadCorpus(
        f"{name} unpacks to far more than any text does", "Unpack it yourself if you trust it."
    )
