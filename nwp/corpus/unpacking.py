"""Bounds for what is unpacked: while it is read, by its ratio to what was packed, and in all."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from nwp.errors import BadCorpus

MAX_RATIO = 250
"""More bytes than this from a packed one is a bomb: text is packed to a third or a twentieth."""
_HARMLESS = 16 << 20  # up to here no ratio hurts

_DAMAGED = (
    *(EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
    *(NotImplementedError, RuntimeError, UnicodeDecodeError, struct.error, OverflowError),
)
_PACKERS: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_LONGEST_END = 22 + 0xFFFF  # bytes of a zip's last record: what it has, and a comment
_PACKED_NAMES = (".gz", ".bz2", ".xz")


def most_of(packed: int) -> int:
    """How many bytes may come of so many packed ones."""
    return max(_HARMLESS, MAX_RATIO * packed)


@contextmanager
def unpacked(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """A stream as it is, or through gzip, bzip2 or xz when it begins like one."""
    magic = raw.read(6)
    raw.seek(0)
    opener = next((opener for start, opener in _PACKERS if magic.startswith(start)), None)
    if opener is None:
        yield raw
    else:
        with opener(raw) as stream:
            yield stream


def unpacked_name(name: str) -> str:
    """A file's name without a packer's suffix."""
    return next((name[: -len(s)] for s in _PACKED_NAMES if name.lower().endswith(s)), name)


def is_tar(path: Path) -> bool:
    """Does a tar begin here, packed or not?"""
    with path.open("rb") as raw:
        try:
            with unpacked(raw) as file:
                return file.read(262)[257:] == b"ustar"
        except (*_DAMAGED, OSError):
            return False


def guarded(name: str, inner: Any, packed: int) -> io.BufferedReader:
    """A stream that ends with BadCorpus when far more comes out than was packed, or at damage."""
    return io.BufferedReader(_Guarded(name, inner, packed), 1 << 16)


def part(file: IO[bytes], start: int, size: int) -> io.BufferedReader:
    """Part of a file, by positions of its own: many may be read in turns."""
    return io.BufferedReader(_Part(file, start, size))


def tar_members(stream: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The members of a tar from front to back, with the bytes of regular files."""
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_TarMember) as archive:
        for member in archive:
            yield member, archive.extractfile(member) if member.isreg() else None
            archive.members.clear()  # type: ignore[attr-defined]  # else all are kept
    while stream.read(1 << 20):  # a packed tar's checksum is at its end
        pass


def check_list(path: Path, archive: zipfile.ZipFile) -> None:
    """BadZipFile when a zip has not as many files as it says: damage in its list may hide some."""
    with path.open("rb") as raw:
        raw.seek(max(0, path.stat().st_size - _LONGEST_END))
        end = raw.read()
    at = end.rfind(b"PK\x05\x06") + 10
    says, has = int.from_bytes(end[at : at + 2], "little"), len(archive.infolist())
    if says not in (has % (1 << 16), 0xFFFF):
        raise zipfile.BadZipFile(f"it says that it has {says:,} files, and lists {has:,}")


@contextmanager
def damage_named(name: str | Path) -> Iterator[None]:
    """BadCorpus for whatever an archive's or a packed file's damage raises."""
    try:
        yield
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the start
            raise
        raise BadCorpus(
            f"{name} is damaged, or packed in a way that is not known here: {error}",
            "Fetch or make it again.",
        ) from error


def unsafe(name: str) -> bool:
    """A name that would lead out of the folder it is unpacked to, or that no file can have."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return (
        not parts
        or ".." in parts
        or name.startswith(("/", "\\"))
        or name[1:3] in (":/", ":\\")
        or "\0" in name
    )


def bomb(name: str) -> BadCorpus:
    """The error that something unpacks to far too much."""
    return BadCorpus(
        f"{name} unpacks to far more than any text does", "Unpack it yourself if you trust it."
    )


class _Guarded(io.RawIOBase):
    """Reads on until what came out is far more than what was packed; names what is damaged."""

    def __init__(self, name: str, inner: Any, packed: int) -> None:
        self._name, self._inner = name, inner
        self._most = most_of(packed)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with damage_named(self._name):
            try:
                piece = self._inner.read1(len(buffer))
            except OSError as error:
                if error.errno is not None:
                    raise
                raise EOFError(str(error)) from error  # gzip and bz2 say so of damage
        self._read += len(piece)
        if self._read > self._most:
            raise bomb(self._name)
        buffer[: len(piece)] = piece
        return len(piece)


class _Part(io.RawIOBase):
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


class _TarMember(tarfile.TarInfo):
    """A member of a tar. Damage is an error here, where tarfile would take it for the archive's end;
    so is a header for long names that would fill the memory."""

    @classmethod
    def frombuf(cls, *arguments: Any, **named: Any) -> _TarMember:
        found = super().frombuf(*arguments, **named)
        if found.type in _LONG_HEADERS and found.size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {found.size:,} bytes")
        return found

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _TarMember:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except (tarfile.HeaderError, ValueError, IndexError) as error:
            raise tarfile.ReadError(str(error)) from error


_LONG_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_LONGEST_HEADER = 1 << 20
