"""Writing files so that nobody ever meets a half-written one, reading at a place, what ships."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path


def write_atomic(path: Path, data: bytes | str, mode: int | None = None) -> None:
    """Replace `path` by `data` in one step: a reader, or a crash, sees the old or the new file.

    The data is on disk (fsync) before the name points to it.
    """
    raw = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
