"""Ways for participants to meet in a store: in the memory of one process, or in a shared folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict
from syft.sync.connections.base_connection import ConnectionConfig
from syft.sync.connections.drive.mock_drive_service import (
    MockDriveBackingStore,
    MockDriveService,
    MockFilesResource,
    MockPermission,
)

from nwp.workers import drive
from nwp.workers.adapter.connections import Connection
from nwp.workers.folder import FolderStore, StoredFile, open_store


class _StoreFiles(MockFilesResource):  # type: ignore[misc]
    """The store's files, without syft's limit of 100 a listing (which loses the 51st owner)."""

    def list(self, **query: Any) -> Any:
        return super().list(**{"pageSize": 1000, **query})


class _StoreService(MockDriveService):  # type: ignore[misc]
    """A drive over a store in memory or in a folder, as one participant sees it."""

    def files(self) -> _StoreFiles:
        return _StoreFiles(self._backing_store, self._current_user)


class _StoreConnection(Connection):
    """Over a store in memory or in a folder."""

    @classmethod
    def from_config(cls, config: StoreConnectionConfig | FolderConnectionConfig) -> Any:
        connection = cls(email=config.email)
        connection.setup(drive_service=_StoreService(config.store, config.email))
        return connection

    def copy(self) -> Any:
        """Another of the same kind: syft's would be without the bounds."""
        other = type(self)(email=self.email, wanted=set(self.wanted))
        other.setup(drive_service=self.drive_service, warm_syftbox_folder_id_cache=False)
        self._copy_caches_to(other)
        return other

    def read_at_most(self, file_id: str, most: int) -> bytes:
        file = self.drive_service._backing_store.get_file(file_id)
        if file is None:
            raise drive.gone()
        try:
            content = file.head(most + 1) if isinstance(file, StoredFile) else file.content
        except OSError as error:
            raise drive.gone() from error
        if len(content) > most:
            raise drive.too_large(most)
        return bytes(content)

    def files_of_each(self, folders: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """In one look at the store, whose every listing goes through all that lies there. Whoever may read
        a folder may read what is in it."""
        found: dict[str, dict[str, str]] = {folder: {} for folder in folders}
        for file in self.drive_service._backing_store.files.values():
            folder = file.parents[0] if file.parents else ""
            if folder not in found or file.trashed:
                continue
            if any(owner.get("emailAddress") == folders[folder] for owner in file.owners):
                found[folder][file.id] = file.name
        return found

    def delete(self, file_id: str) -> None:
        if self.drive_service._backing_store.get_file(file_id):
            self.drive_service.files().delete(fileId=file_id).execute()


class StoreConnectionConfig(ConnectionConfig):  # type: ignore[misc]
    """Connects one participant to a store that all share."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    connection_type: ClassVar[type] = _StoreConnection
    email: str
    store: Any


class FolderConnectionConfig(ConnectionConfig):  # type: ignore[misc]
    """Connects one participant to a folder that all share."""

    connection_type: ClassVar[type] = _StoreConnection
    email: str
    folder: Path

    @property
    def store(self) -> FolderStore:
        """The store in the folder, one for each process."""
        return open_store(self.folder, MockPermission)


def in_memory(email: str, store: Any) -> Any:
    """The way to a store in memory, for one of the participants of one process."""
    return StoreConnectionConfig(email=email, store=store)


def in_folder(email: str, folder: Path) -> Any:
    """The way to a store in a shared folder."""
    return FolderConnectionConfig(email=email, folder=folder)


def new_store() -> Any:
    """An empty store in memory, for participants of one process."""
    return MockDriveBackingStore()


def stored_bytes(store: Any) -> dict[str, bytes]:
    """File id to content of everything in a store, as whoever runs the store sees it."""
    return {str(identity): file.content for identity, file in store.files.items()}
