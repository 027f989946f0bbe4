"""Folders for temporary files are closed to others, and gone however their process ended."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nwp import temporary
from nwp.temporary import LOCK, TemporaryFolder, remove_abandoned

# Makes a folder with something in it, tells its name, and waits for the end of its input.
CHILD = """
import sys
from nwp.temporary import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "worker" / "box").mkdir(parents=True)
(folder.path / "worker" / "box" / "users.jsonl").write_text("plain text")
(folder.path / "loose").write_text("plain text")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process and its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def abandoned() -> Path:
    """A folder as a killed process leaves it."""
    folder = Path(tempfile.mkdtemp(prefix="nwp-"))
    (folder / LOCK).touch()
    (folder / "users.jsonl").write_text("plain text")
    return folder


def test_a_folder_is_closed_to_others_and_gone_in_the_end(own_temporary_folder: Path) -> None:
    with TemporaryFolder() as folder:
        assert folder.path.parent == own_temporary_folder
        assert folder.path.name.startswith("nwp-")
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        (folder.path / "a" / "b").mkdir(parents=True)
        (folder.path / "a" / "b" / "c").write_text("plain text")
    assert list(own_temporary_folder.iterdir()) == []
    folder.cleanup()


def test_a_folder_that_nobody_closes_goes_with_its_process(
    child: tuple[subprocess.Popen[str], Path], own_temporary_folder: Path
) -> None:
    process, folder = child
    assert (folder / "loose").exists()
    process.communicate()
    assert process.returncode == 0
    assert list(own_temporary_folder.iterdir()) == []


def test_what_a_killed_process_left_goes_when_the_next_folder_is_made(
    child: tuple[subprocess.Popen[str], Path], own_temporary_folder: Path
) -> None:
    process, folder = child
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert (folder / "worker" / "box" / "users.jsonl").exists()
    with TemporaryFolder() as mine:
        assert list(own_temporary_folder.iterdir()) == [mine.path]


def test_a_living_process_keeps_its_folder(child: tuple[subprocess.Popen[str], Path]) -> None:
    _, folder = child
    with TemporaryFolder() as mine:
        (mine.path / "file").touch()
        assert remove_abandoned(Path(tempfile.gettempdir())) == 0
        with TemporaryFolder():
            assert (mine.path / "file").exists()
            assert (folder / "worker" / "box" / "users.jsonl").exists()


def test_a_deletion_that_was_stopped_halfway_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = abandoned()
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", lambda folder: [LOCK, "still being written"])
        assert remove_abandoned(Path(tempfile.gettempdir())) == 0
    assert [path.name for path in folder.iterdir()] == [LOCK]
    assert remove_abandoned(Path(tempfile.gettempdir())) == 1
    assert not folder.exists()


def test_a_folder_whose_process_was_killed_before_it_had_a_lock_goes_too() -> None:
    folder = Path(tempfile.mkdtemp(prefix="nwp-"))
    assert remove_abandoned(folder.parent) == 1
    assert not folder.exists()


def test_a_folder_may_be_made_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    left, other = abandoned(), abandoned()
    left = left.rename(tmp_path / "elsewhere" / left.name)
    with TemporaryFolder(tmp_path / "elsewhere") as folder:
        assert list((tmp_path / "elsewhere").iterdir()) == [folder.path]
    assert other.exists()


def test_a_link_in_a_folder_is_removed_and_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    folder = abandoned()
    (folder / "link").symlink_to(kept)
    (folder / "sub").mkdir()
    (folder / "sub" / "link").symlink_to(kept / "file")
    assert remove_abandoned(Path(tempfile.gettempdir())) == 1
    assert not folder.exists()
    assert (kept / "file").exists()


def _unlocked(folder: Path) -> None:
    (folder / LOCK).unlink()


def _renamed(folder: Path) -> None:
    folder.rename(folder.with_name("nwp-models"))


def _longer(folder: Path) -> None:
    folder.rename(folder.with_name(folder.name + "-old"))


def _open_to_others(folder: Path) -> None:
    folder.chmod(0o755)


def _linked_to(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)


def _lock_is_a_link(folder: Path) -> None:
    (folder / LOCK).rename(folder / "other")
    (folder / LOCK).symlink_to(folder / "other")


@pytest.mark.parametrize(
    "change",
    [_unlocked, _renamed, _longer, _open_to_others, _linked_to, _lock_is_a_link],
    ids=lambda change: change.__name__.strip("_"),
)
def test_what_was_not_made_here_is_left_alone(change: object, own_temporary_folder: Path) -> None:
    assert callable(change)
    change(abandoned())
    assert remove_abandoned(Path(tempfile.gettempdir())) == 0
    assert len(list(own_temporary_folder.rglob("users.jsonl"))) == 1


def test_another_users_folder_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = abandoned()
    someone = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: someone)
    assert remove_abandoned(Path(tempfile.gettempdir())) == 0
    assert (folder / "users.jsonl").exists()


@pytest.mark.parametrize("when", ["before its lock is there", "before its lock is held"])
def test_a_folder_taken_for_abandoned_while_it_is_made_is_made_again(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Another process deletes at the worst moment, once."""
    module, name = (os, "open") if when.endswith("there") else (temporary.fcntl, "flock")
    real = getattr(module, name)
    lost: list[Path] = []

    def late(target: object, *more: object, **others: object) -> object:
        made = [p for p in Path(tempfile.gettempdir()).iterdir() if p not in lost]
        if made and not lost and not others:
            lost.extend(made)
            for path in made:
                (path / LOCK).unlink(missing_ok=True)
                path.rmdir()
        return real(target, *more, **others)

    monkeypatch.setattr(module, name, late)
    with TemporaryFolder() as folder:
        assert lost
        assert folder.path not in lost
        assert (folder.path / LOCK).exists()


def test_a_lock_that_another_process_got_first_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, theirs = temporary.fcntl.flock, []

    def taken(handle: int, how: int) -> None:
        if not theirs:
            path = next(Path(tempfile.gettempdir()).glob("nwp-*")) / LOCK
            theirs.append(path.parent)
            other = os.open(path, os.O_RDWR)
            real(other, how)
            try:
                real(handle, how)
            finally:
                os.close(other)
        real(handle, how)

    monkeypatch.setattr(temporary.fcntl, "flock", taken)
    with TemporaryFolder() as folder:
        assert folder.path not in theirs


def test_where_there_are_no_locks_nothing_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(handle: int, how: int) -> None:
        raise OSError(37, "No locks available")

    folder = abandoned()
    monkeypatch.setattr(temporary.fcntl, "flock", none)
    with TemporaryFolder() as mine:
        assert mine.path.exists()
        assert folder.exists()
    assert not mine.path.exists()


def test_many_at_once_never_take_each_others(own_temporary_folder: Path) -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for i in range(40):
                with TemporaryFolder() as folder:
                    file = folder.path / "sub" / "file"
                    file.parent.mkdir()
                    file.write_text(f"{seed} {i}")
                    if rng.random() < 0.5:
                        remove_abandoned(own_temporary_folder)
                    assert file.read_text() == f"{seed} {i}"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(own_temporary_folder.iterdir()) == []


def test_a_forked_copy_of_the_process_does_not_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, own = TemporaryFolder(), os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: own + 1)
        folder.cleanup()
    assert (folder.path / LOCK).exists()
