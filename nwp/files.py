"""Writing files so that nobody ever meets a half-written one, reading at a place, what ships."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from nwp.errors import NwpError

_PARTIAL = ".partial"
_NO_SUCH_THING = (errno.EINVAL, errno.ENOTSUP)  # a file system that can't sync a folder
_REMEDIES = {
    errno.ENOSPC: "Free some space there",
    errno.EDQUOT: "Free some space there, or ask for a larger quota",
    errno.EFBIG: "Allow larger files (ulimit -f)",
    errno.EACCES: "Allow writing there",
    errno.EPERM: "Allow writing there",
    errno.EROFS: "Allow writing there",
}


def write_atomic(path: Path, data: bytes | str, mode: int | None = None) -> None:
    """Replace `path` by `data` in one step: a reader, or a crash, sees the old or the new file.

    The data is on disk (fsync) before the name points to it, and the name is (fsync of the folder)
    when this returns. OSError, with the file's name, when the disk is full or may not be written;
    the old file is still there then.
    """
    raw = data.encode() if isinstance(data, str) else data
    try:
        _make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(_PARTIAL, f".{path.name}.", path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode if mode is not None else 0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:  # those of writing tell no name, those of renaming a passing one
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_folder(place: Path, write: Callable[[Path], None], mode: int | None = None) -> None:
    """Make the folder `place` anew, whole or not at all: `write` fills a folder beside it, which then
    takes its name. What `place` held is gone in the end, or all there.

    Its mode is the usual one, or as told; nobody sees it before it is whole. OSError when the disk is
    full or may not be written.
    """
    place = place.resolve()
    _make_folder(place.parent)
    beside = Path(tempfile.mkdtemp(_PARTIAL, f".{place.name}.", place.parent))
    fresh, old = beside / "new", beside / "old"
    try:
        fresh.mkdir(mode=0o777 if mode is None else mode)
        write(fresh)
        if place.exists():
            place.replace(old)
        try:
            fresh.replace(place)
        except BaseException:
            if old.exists():
                old.replace(place)
            raise
        _sync_folder(place.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Delete what killed processes have left of files that they were writing to `folder` or below.

    Only for a folder that nobody else writes to meanwhile.
    """
    for path in folder.rglob(f".*{_PARTIAL}"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def told(what: str, then: str) -> Iterator[None]:
    """Turn an OSError of the block into an NwpError: `what` failed and why; what to do, and `then`."""
    try:
        yield
    except OSError as error:
        hint = f"{remedy(error) or 'Look into that'}, {then}"
        raise NwpError(f"{what}: {reason(error)}", hint) from error


def reason(error: OSError) -> str:
    """What the system says, and of which file."""
    return f"{error.filename or 'a file'}: {error.strerror or error}"


def remedy(error: OSError) -> str:
    """What helps against an error of the system's, without a full stop; empty where that is unknown."""
    return _REMEDIES.get(error.errno or 0, "")


def read_at(handle: int, size: int, start: int) -> bytes:
    """Bytes at a place of an open file; the system gives at most 2 GiB at a time."""
    first = os.pread(handle, size, start)
    if len(first) == size:
        return first
    buffer = io.BytesIO()
    buffer.write(first)
    while (had := buffer.tell()) < size:
        if not (piece := os.pread(handle, size - had, start + had)):
            raise OSError("a temporary file has lost its end")
        buffer.write(piece)
    return buffer.getvalue()


def write_at(handle: int, raw: bytes, start: int) -> None:
    """Write bytes to a place of an open file, at as many goes as the system takes."""
    left = memoryview(raw)
    while left:
        wrote = os.pwrite(handle, left, start)
        left, start = left[wrote:], start + wrote


def shipped(name: str) -> Path:
    """The folder `corpora` or `models` that comes with nwp: in the wheel, else in the checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "_shipped" / name
    return inside if inside.exists() else package.parent / name


def data_home() -> Path:
    """The folder for what nwp keeps of its user: NWP_HOME, else the user's own place for data."""
    from platformdirs import user_data_path

    return Path(os.environ.get("NWP_HOME") or user_data_path("nwp"))


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each on disk before something is put into it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to disk: without this a power cut may take back a renaming."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SUCH_THING:
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
