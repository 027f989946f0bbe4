"""A store in a shared folder: a network share, a synchronised folder, a stick that goes round.

One record (JSON) and one blob for each file, each replaced atomically, so that processes need no
lock: no two participants change the same file at the same time. Whoever may write to the folder may
also damage it. What is no record of a file here is passed over, and what a record says of a blob is
not believed: contents are encrypted, signed and checked by those who read them. Nothing but plain
files of the folder itself is opened: a link would lead to files of the reader's own, and a pipe would
hold the reader up.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nwp.errors import TransportError

_RECORD, _BLOB = ".json", ".blob"
_ID = re.compile(r"[0-9a-zA-Z-]{1,64}")
_MOST_RECORD = 1 << 20  # bytes: a public key in a record's name would be far less
MOST_BLOB = 1 << 30  # bytes that are read of a blob when nothing else is said
_MOST_PARENTS = 8  # folders in folders; more is a ring
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FIELDS = (
    "id",
    "name",
    "mimeType",
    "parents",
    "owners",
    "appProperties",
    "trashed",
    "modifiedTime",
)
_TYPES = (str, str, str, list, list, dict, bool, str)

# What the store's reader makes of a permission: fields to an object of its own kind.
MakePermission = Callable[..., Any]


class StoredFile:
    """One file of the store: attributes as the record has them, content as the blob has it now."""

    permissions: list[Any]

    def __init__(self, folder: Path, record: Mapping[str, Any]) -> None:
        self.__dict__.update(record, _folder=folder)

    @property
    def content(self) -> bytes:
        """All of the blob, within reason. FileNotFoundError when it is gone."""
        return self.head(MOST_BLOB)

    def head(self, most: int) -> bytes:
        """The first bytes of the blob, however large it is. FileNotFoundError when it is gone."""
        return _head(self._blob, most)

    @property
    def size(self) -> int:
        """Bytes of the content; 0 when it is gone or none."""
        try:
            found = self._blob.lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    @property
    def _blob(self) -> Path:
        folder: Path = self.__dict__["_folder"]
        return folder / f"{self.__dict__['id']}{_BLOB}"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "content":
            _replace(self._blob, value)
            return
        self.__dict__[name] = value
        if name == "modifiedTime":  # what is set last in every update
            self.save()

    def save(self) -> None:
        """Write the record."""
        record = {name: self.__dict__[name] for name in (*_FIELDS, "permissions")}
        folder: Path = self.__dict__["_folder"]
        _replace(folder / f"{self.__dict__['id']}{_RECORD}", json.dumps(record).encode())

    def to_metadata(self, fields: str | None = None) -> dict[str, Any]:
        """The fields asked for ("id, name"), or all and the size."""
        wanted = [f.strip() for f in fields.split(",")] if fields else [*_FIELDS, "size"]
        known = {name: self.__dict__[name] for name in _FIELDS}
        if "size" in wanted:
            known["size"] = str(self.size)
        return {name: known[name] for name in wanted if name in known}


class FolderStore:
    """What a drive does, done by files in a folder. TransportError when the folder can't be used."""

    def __init__(self, folder: Path, permission: MakePermission) -> None:
        self.folder, self._permission = folder, permission
        self._seen: dict[str, tuple[tuple[int, ...], StoredFile | None]] = {}
        with _using(folder):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def files(self) -> dict[str, StoredFile]:
        """File id to file, of all files."""
        with _using(self.folder):
            names = [entry.name for entry in os.scandir(self.folder)]
        there = {}
        for name in names:
            identity = name.removesuffix(_RECORD)
            if identity != name and (file := self._file(identity)):
                there[identity] = file
        return {i: file for i, file in there.items() if _ends(file, there.get)}

    def get_file(self, file_id: str) -> StoredFile | None:
        """A file by its id, read anew where it has changed; None when there is none to be read."""
        file = self._file(file_id)
        return file if file and _ends(file, self._file) else None

    def _file(self, file_id: str) -> StoredFile | None:
        if not _ID.fullmatch(file_id):
            return None
        path = f"{self.folder}/{file_id}{_RECORD}"
        try:
            found = os.lstat(path)  # of each file at each look: a Path would cost more
        except OSError:
            self._seen.pop(file_id, None)
            return None
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
        if self._seen.get(file_id, (None,))[0] != stamp:
            self._seen[file_id] = (stamp, self._read(Path(path), file_id))
        return self._seen[file_id][1]

    def _read(self, path: Path, file_id: str) -> StoredFile | None:
        """A record, if it is one: a folder that others write to holds what it holds."""
        try:
            raw = _head(path, _MOST_RECORD + 1)
            record = json.loads(raw) if len(raw) <= _MOST_RECORD else None
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(record, dict) or set(record) != {*_FIELDS, "permissions"}:
            return None
        right = all(type(record[n]) is t for n, t in zip(_FIELDS, _TYPES, strict=True))
        if not right or record["id"] != file_id or not isinstance(record["permissions"], list):
            return None
        if not all(_is_text(record[n]) for n in ("name", "mimeType", "modifiedTime")):
            return None
        parents, owners = record["parents"], record["owners"]
        if len(parents) > 1 or not all(_is_text(parent) for parent in parents):
            return None
        if not all(isinstance(o, dict) and _is_text(o.get("emailAddress")) for o in owners):
            return None
        return StoredFile(self.folder, record)

    def add_file(self, file: Any) -> None:
        """Keep a new file: first its content, then the record that makes it be there."""
        _replace(self.folder / f"{file.id}{_BLOB}", file.content)
        record = {name: getattr(file, name) for name in _FIELDS}
        StoredFile(self.folder, {**record, "permissions": []}).save()

    def delete_file(self, file_id: str) -> None:
        """Forget a file; nothing happens when it is gone already."""
        if _ID.fullmatch(file_id):
            for ending in (_RECORD, _BLOB):
                with _using(self.folder), contextlib.suppress(IsADirectoryError, FileNotFoundError):
                    (self.folder / f"{file_id}{ending}").unlink()

    def add_permission(self, file_id: str, permission: Any) -> None:
        """Let somebody read or write a file."""
        if file := self.get_file(file_id):
            file.permissions.append(permission.model_dump())
            file.save()

    def get_permissions(self, file_id: str) -> list[Any]:
        """Who may read or write a file."""
        file = self.get_file(file_id)
        found = []
        for fields in file.permissions if file else ():
            try:
                found.append(self._permission(**fields))
            except (TypeError, ValueError):
                continue
        return found


def _ends(file: StoredFile, find: Callable[[str], StoredFile | None]) -> bool:
    """Do the folders above a file end? Those who look for rights go up without asking."""
    above: StoredFile | None = file
    for _ in range(_MOST_PARENTS):
        parents = above.__dict__["parents"] if above else ()
        if not parents:
            return True
        above = find(parents[0])
    return False


def _is_text(value: object) -> bool:
    """A string that can be written: JSON can hold halves of characters."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _head(path: Path, most: int) -> bytes:
    """At most so many bytes of a plain file, from its beginning. OSError when it is none."""
    handle = os.open(path, _OPEN)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "no plain file", str(path))
        return file.read(most)


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that no reader ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with _using(path.parent):
        try:
            with temporary.open("xb") as file:
                file.write(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _using(folder: Path) -> Iterator[None]:
    """Tells what the disk or the network share says where the folder can't be used."""
    try:
        yield
    except OSError as error:
        raise TransportError(
            f"the shared folder {folder} can't be used: {error.strerror}",
            "See that it is there (mounted), has room, and may be read and written by you.",
        ) from error


@functools.lru_cache
def open_store(folder: Path, permission: MakePermission) -> FolderStore:
    """One store for each folder and process: its records are read once."""
    return FolderStore(folder, permission)
