"""A file is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nwp.errors import NwpError
from nwp.files import reason, remove_partial, told, write_atomic, write_folder


def test_a_file_and_the_folders_above_it_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.json"
    write_atomic(path, "é")
    assert path.read_bytes() == "é".encode()
    write_atomic(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert list(path.parent.iterdir()) == [path]


def test_its_mode_is_the_usual_one_or_as_told(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "usual", "")
        write_atomic(tmp_path / "own", "", mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "usual").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o600


def test_content_is_on_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.replace

    def syncing(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        named = (tmp_path / "new" / "file").exists()
        done.append(f"sync {'folder' if path.is_dir() else 'file'}, named: {named}")
        if not path.is_dir():
            assert path.read_text() == "text"
        sync(handle)

    def renaming(self: Path, target: Path) -> Path:
        done.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", renaming)
    write_atomic(tmp_path / "new" / "file", "text")
    assert done == [
        "sync folder, named: False",  # the one above, which has a new folder in it
        "sync file, named: False",
        "rename",
        "sync folder, named: True",
    ]


def test_a_file_system_that_cannot_sync_a_folder_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def syncing(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").readlink().is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", syncing)
    write_atomic(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize(
    ("module", "name"),
    [(tempfile, "mkstemp"), (os, "fsync"), (Path, "chmod"), (Path, "replace")],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_when_it_cannot_be_written_the_old_one_stays_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(OSError, match="No space left") as error:
            write_atomic(path, "new")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", "new")
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    (tmp_path / "sub").mkdir()
    for name in (".hidden", "mine.partial", "file"):
        (tmp_path / name).touch()
    kept = sorted(tmp_path.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        patch.setattr(Path, "unlink", killed)  # a killed process tidies nothing
        for path in (tmp_path / "file", tmp_path / "sub" / "other"):
            with pytest.raises(Killed):
                write_atomic(path, "new")
    assert len(list(tmp_path.rglob("*"))) == len(kept) + 2
    remove_partial(tmp_path)
    assert sorted(tmp_path.rglob("*")) == kept


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError(errno.ENOSPC, "full", "f"), "Free some space there, then sing."),
        (OSError(errno.EDQUOT, "quota", "f"), "Free some space there, or ask for a larger quota, "),
        (OSError(errno.EFBIG, "large", "f"), "Allow larger files (ulimit -f), then sing."),
        (PermissionError(errno.EACCES, "no", "f"), "Allow writing there, then sing."),
        (OSError(errno.EROFS, "no", "f"), "Allow writing there, then sing."),
        (OSError(errno.EIO, "bad", "f"), "Look into that, then sing."),
    ],
    ids=str,
)
def test_an_error_of_the_system_says_what_failed_and_what_helps(error: OSError, hint: str) -> None:
    with pytest.raises(NwpError) as told_error, told("the song can't be kept", "then sing."):
        raise error
    assert told_error.value.message == f"the song can't be kept: f: {error.strerror}"
    assert told_error.value.hint.startswith(hint)
    assert told_error.value.exit_code == 1


def test_an_error_without_a_number_is_told_too() -> None:
    assert reason(OSError("a temporary file has lost its end")) == (
        "a file: a temporary file has lost its end"
    )


def test_other_errors_pass() -> None:
    def fail() -> None:
        raise ValueError

    check: Callable[[], None] = fail
    with pytest.raises(ValueError), told("x", "y."):
        check()


def _filled(content: str) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / "file").write_text(content)

    return fill


def test_a_folder_is_written_whole_and_replaces_what_was_there(
    tmp_path: Path,
) -> None:
    place = tmp_path / "a" / "b"
    write_folder(place, _filled("old"))
    (place / "more").touch()
    write_folder(place, _filled("new"))
    assert [path.name for path in place.iterdir()] == ["file"]
    assert (place / "file").read_text() == "new"
    assert list(place.parent.iterdir()) == [place]


def test_the_mode_of_a_folder_is_the_usual_one_or_as_told(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_folder(tmp_path / "usual", _filled("new"))
        write_folder(tmp_path / "own", _filled("new"), 0o700)
    finally:
        os.umask(before)
    assert (tmp_path / "usual").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_folder(tmp_path / "link", _filled("new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "new"


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_can_not_be_written_is_as_it_was(tmp_path: Path, there: bool) -> None:
    place = tmp_path / "b"
    if there:
        write_folder(place, _filled("old"))

    def fail(folder: Path) -> None:
        _filled("new")(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(place, fail)
    assert list(tmp_path.iterdir()) == [place] * there
    if there:
        assert (place / "file").read_text() == "old"


def test_a_folder_whose_name_another_can_not_take_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, replace = tmp_path / "b", Path.replace
    write_folder(place, _filled("old"))

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.EIO, "broken")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="broken"):
        write_folder(place, _filled("new"))
    assert (place / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]
