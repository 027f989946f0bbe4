"""The way for participants to meet on Google Drive; what lies below syft there is `nwp.workers.drive`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import PrivateAttr
from syft.sync.connections.base_connection import ConnectionConfig
from syft.sync.connections.drive.gdrive_transport import build_drive_service

from nwp.workers import drive
from nwp.workers.adapter.connections import Connection


class _DriveConnection(Connection):
    """Over Google Drive."""

    _peers_id: str | None = None

    def _get_peers_file_id(self) -> str | None:
        """The file of one's peers, also while listings do not have it yet: two would come apart."""
        self._peers_id = super()._get_peers_file_id() or self._peers_id
        return self._peers_id

    def _write_peers_json(self, peers_data: dict[str, dict[str, Any]]) -> str:
        self._peers_id = str(super()._write_peers_json(peers_data))
        return self._peers_id

    @classmethod
    def from_config(cls, config: DriveConnectionConfig) -> Any:
        """One for all parts of a client: each would ask the same questions on its own."""
        if config._made is None:
            connection = cls(email=config.email)
            connection._begin(drive.read_token(config.token_path))
            drive.check_account(connection.get_authenticated_email(), config.email)
            connection.get_personal_syftbox_folder_id()
            config._made = connection
        return config._made

    def _begin(self, credentials: Any) -> None:
        service = drive.LargePages(build_drive_service(credentials))
        self.setup(drive_service=service, warm_syftbox_folder_id_cache=False)
        self.credentials = credentials

    def copy(self) -> Any:
        """Another with a network connection of its own, for another thread."""
        other = type(self)(email=self.email, wanted=set(self.wanted))
        other._begin(self.credentials)  # syft's would fetch another access token
        self._copy_caches_to(other)
        return other

    def read_at_most(self, file_id: str, most: int) -> bytes:
        return drive.download(self.drive_service, file_id, most)

    def delete(self, file_id: str) -> None:
        drive.delete(self.drive_service, file_id)


class DriveConnectionConfig(ConnectionConfig):  # type: ignore[misc]
    """Connects one participant to Google Drive."""

    connection_type: ClassVar[type] = _DriveConnection
    email: str
    token_path: Path
    _made: Any = PrivateAttr(default=None)


def on_drive(email: str, token: Path) -> Any:
    """The way to the Google Drive of the account `email`, by a token file (`drive.make_token`).

    Opening a client over it raises BadInput for what is no token, BadSettings for a token of another
    account, and TransportError for all that Drive and the network may say.
    """
    return DriveConnectionConfig(email=email, token_path=token)
