"""A temporary folder goes with its owner, or with the next run after its owner was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nwp import scratch
from nwp.scratch import ScratchFolder

OWNER = """
import sys
from nwp.scratch import ScratchFolder
folder = ScratchFolder(sys.argv[1])
(folder.path / "text").write_text("private")
print(folder.path, flush=True)
sys.stdin.read()
"""


def owner(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_new_private_and_goes_with_its_end(tmp_path: Path) -> None:
    with ScratchFolder(str(tmp_path)) as one, ScratchFolder(str(tmp_path)) as two:
        assert one.path != two.path
        assert one.path.stat().st_mode & 0o777 == 0o700
        (one.path / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []
    one.cleanup()


def test_it_lies_where_temporary_files_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ScratchFolder() as found:
        assert found.path.parent == tmp_path


def test_the_next_run_deletes_what_a_killed_one_left_and_nothing_of_a_living_one(
    tmp_path: Path,
) -> None:
    killed, left = owner(tmp_path)
    with killed:
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=30)
    living, kept = owner(tmp_path)  # deletes, as it begins
    with living:
        assert not left.exists()
        with ScratchFolder(str(tmp_path)):
            assert (kept / "text").read_text() == "private"
        living.communicate("", timeout=30)
    ScratchFolder(str(tmp_path)).cleanup()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_its_own_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "nwp-run-link").symlink_to(precious)
    (tmp_path / "nwp-run-file").write_text("x")
    (tmp_path / "nwp-else").mkdir()
    before = sorted(tmp_path.iterdir())
    ScratchFolder(str(tmp_path)).cleanup()
    assert sorted(tmp_path.iterdir()) == before


def test_folders_of_other_users_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nwp-run-theirs").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    ScratchFolder(str(tmp_path)).cleanup()
    assert [path.name for path in tmp_path.iterdir()] == ["nwp-run-theirs"]


@pytest.mark.parametrize("when", ["made", "opened"])
def test_a_folder_taken_for_an_orphan_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Another run looks just between the folder's making and its lock."""
    module, name = (tempfile, "mkdtemp") if when == "made" else (os, "open")
    real, seen = getattr(module, name), []

    def then_another_looks(*args: object, **named: object) -> object:
        found = real(*args, **named)
        if not seen:
            seen.append(args)
            scratch._delete_orphans(tmp_path)
            assert list(tmp_path.iterdir()) == []
        return found

    monkeypatch.setattr(module, name, then_another_looks)
    with ScratchFolder(str(tmp_path)) as found:
        assert seen
        assert found.path.is_dir()
        scratch._delete_orphans(tmp_path)
        assert found.path.is_dir()
