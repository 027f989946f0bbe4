"""Private datasets: the owner's file stays where it is, its mock goes to the server."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from syft_datasets.config import PRIVATE_METADATA_FILENAME
from syft_permissions.spec.ruleset import PERMISSION_FILE_NAME

from nwp.temporary import TemporaryFolder
from nwp.workers.adapter.clients import Client
from nwp.workers.adapter.quiet import quiet

DATASET = "corpus"


def create_dataset(
    client: Client, private: Iterable[bytes], mock: Iterable[bytes], name: str, reader: str
) -> None:
    """Register one private file with its mock; only the mock ever leaves the datasite.

    Both are given piece by piece.
    """
    with TemporaryFolder() as temporary, quiet():
        for part, content in (("private", private), ("mock", mock)):
            folder = temporary.path / part
            folder.mkdir(mode=0o700)
            with (folder / name).open("wb") as file:
                file.writelines(content)
        dataset = client.create_dataset(
            name=DATASET,
            mock_path=temporary.path / "mock",
            private_path=temporary.path / "private",
            summary="Messages of some users, one JSON object a line",
            users=[reader],
            upload_private=False,  # True would upload plain text even with encryption on
            sync=False,
        )
        for path in dataset.private_files:
            path.chmod(0o600)  # syft leaves 0644


def put_dataset(
    client: Client, private: Iterable[bytes], mock: Iterable[bytes], name: str, reader: str
) -> None:
    """`create_dataset`, or put another private file in the place of the one that is there."""
    try:
        files = private_files(client)
    except FileNotFoundError:
        files = []
    if not files:
        create_dataset(client, private, mock, name, reader)
        return
    # Beside the dataset's folder, where nobody looks for its files.
    beside = files[0].parent.with_name(f".{files[0].name}.partial")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.writelines(private)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(files[0])


def private_files(client: Client) -> list[Path]:
    """Owner: the files that the private dataset points to, on the owner's own disk.

    Found as syft's own `private_files` does, without reading the dataset's description, which says
    nothing about them. FileNotFoundError without such a dataset.
    """
    with quiet():
        storage = client.dataset_manager.storage
        folder = storage.private_dataset_dir(storage.find_dataset_ref(client.email, DATASET))
    notes = (PERMISSION_FILE_NAME, PRIVATE_METADATA_FILENAME)
    return [Path(f) for f in folder.iterdir() if f.is_file() and f.name not in notes]


def mock_files(client: Client, owner: str) -> list[Path]:
    """Server: the mock that an owner shares."""
    with quiet():
        return [Path(p) for p in client.dataset_manager.get(DATASET, datasite=owner).mock_files]
