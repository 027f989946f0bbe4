"""Syft's drive transport with guards, whatever it goes over (`stores`, `drives`)."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

from syft.sync.connections.drive.gdrive_retry import execute_with_retries
from syft.sync.connections.drive.gdrive_transport import GDriveConnection
from syft_crypto_python import SyftPublicKeyBundle

from nwp.errors import BadMessage, TransportError

# Bytes that syft itself reads of one file: lists of peers, keys, versions, and a job's or a mock's files.
_MOST_SYNCED = 1 << 28
_MOST_LIST = 1 << 24  # of a list of peers and their keys; some hundred bytes each
_ADDRESS = re.compile(r"[0-9A-Za-z.!#$%&*+/=?^_`{|}~-]{1,64}@[0-9A-Za-z.-]{1,255}")


class Connection(GDriveConnection):  # type: ignore[misc]
    """Syft's drive transport, where it can be misled by what others write, or loses what it knows."""

    # Whose requests to become a peer are looked at. Anybody may make thousands, and syft asks the
    # drive some questions about each.
    wanted: set[str] = set()  # noqa: RUF012 (pydantic gives each object its own)

    def read_at_most(self, file_id: str, most: int) -> bytes:
        """A file's content. BadMessage when it is larger, or can't be read (any more)."""
        raise NotImplementedError

    def delete(self, file_id: str) -> None:
        """Delete a file of one's own; nothing happens when it has gone already."""
        raise NotImplementedError

    def files_of(self, folder_id: str, owner: str) -> dict[str, str]:
        """File id to name of the files in a folder that `owner` has put there.

        Both peers may write to the folders between them. Of what the other has put there one can
        delete nothing, and what is one's own is no message of the other's.
        """
        query = f"'{folder_id}' in parents and '{owner}' in owners and trashed=false"
        found, page = {}, None
        while True:
            listed = execute_with_retries(
                self.drive_service.files().list(
                    q=query,
                    fields="files(id, name), nextPageToken",
                    pageSize=1000,
                    pageToken=page,
                    orderBy="name desc",
                )
            )
            found.update({file["id"]: file["name"] for file in listed.get("files", [])})
            if not (page := listed.get("nextPageToken")):
                return found

    def files_of_each(self, folders: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """The same of several folders, each with its owner: folder id to file id to name."""
        return {folder: self.files_of(folder, owner) for folder, owner in folders.items()}

    def download_file(self, file_id: str) -> bytes:
        """Syft's own way to read a file, with a bound."""
        return self.read_at_most(file_id, _MOST_SYNCED)

    def get_syftbox_folder_id(self) -> str:
        """The folder of all that is one's own. Syft looks for it again when it has just made it, and
        makes another where listings lag."""
        self._syftbox_folder_id = str(super().get_syftbox_folder_id())
        return self._syftbox_folder_id

    def get_personal_syftbox_folder_id(self) -> str:
        """The same for the folder within it."""
        self._personal_syftbox_folder_id = str(super().get_personal_syftbox_folder_id())
        return self._personal_syftbox_folder_id

    def _download_peers_json(self) -> dict[str, dict[str, Any]]:
        """The peers and their keys, as this participant has written them down on the drive.

        Where the network fails syft takes it for an empty list, and writes that: all keys are lost.
        What is no peer is passed over, and a key that is none is looked for anew.
        """
        file_id = self._get_peers_file_id()
        try:
            found = json.loads(self.read_at_most(file_id, _MOST_LIST)) if file_id else {}
        except (BadMessage, ValueError, RecursionError):
            return {}
        peers = {}
        for email, about in found.items() if isinstance(found, dict) else ():
            if _ADDRESS.fullmatch(email) and isinstance(about, dict):
                key = about.get("public_encryption_bundle")
                lost = () if key is None or _is_key(key) else ("public_encryption_bundle",)
                peers[email] = {name: about[name] for name in about if name not in lost}
                peers[email]["state"] = str(about.get("state"))
        return peers

    def get_peer_requests(self) -> list[str]:
        """Who has asked to be a peer, of those that are wanted or known."""
        known = {*self.wanted, *self._get_peers_json()}
        return [email for email in super().get_peer_requests() if email in known]

    def read_peer_encryption_bundle(self, peer_email: str) -> str | None:
        """A peer's public key as its file has it; None when there is none, or it is no key."""
        text: str | None = super().read_peer_encryption_bundle(peer_email)
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text) if text and len(text) <= _MOST_LIST else None
            if isinstance(found, dict) and _is_key(found.get("public_encryption_bundle")):
                return text
        return None

    def _expect_one(self, folders: list[tuple[str, str]]) -> str | None:
        if len(folders) > 1:
            raise TransportError(
                f"{len(folders)} folders where there should be one: {folders[0][1]!r}",
                "Delete those that are not used on the drive, or begin with an empty one.",
            )
        return folders[0][0] if folders else None


def _is_key(found: object) -> bool:
    """Is it a public key, and signed as such by the identity that its fingerprint is of?"""
    try:
        SyftPublicKeyBundle.from_did_document(found)
    except Exception:  # whatever the crypto library says of whatever was found
        return False
    return True
