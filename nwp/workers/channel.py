"""Encrypted, signed byte messages between two peers, beside syft's own file sync.

Syft's readers take any name in three parts with _ between for one of their own files, and fail over
what is in it; so names here have none. A sender deletes its own messages after use: nothing piles
up in the store. Names, sizes and times are visible to whoever runs the store; contents are not.

Of several threads one at a time uses the store; encryption and decryption, which change nothing but
their result, are free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nwp.errors import BadMessage
from nwp.workers.adapter import quiet

PREFIX = "nwp."
MAX_BYTES = 1 << 30

# Sees every message before it is encrypted: (from, to, name, payload). For tests and ledgers.
Tap = Callable[[str, str, str, bytes], None]


class Channel:
    """One participant's end; `peers` are e-mail addresses of enrolled peers."""

    def __init__(self, client: Any, tap: Tap | None = None) -> None:
        engine = client.sync_engine
        router = (engine.datasite_owner_syncer or engine.datasite_watcher_syncer).connection_router
        self.email: str = client.email
        self.tap = tap
        self._owner: bool = client.has_do_role
        self._keys, self._drive = router.peer_store, router.connections[0]

    def _folder(self, peer: str, *, outgoing: bool) -> str | None:
        side = "own" if self._owner else "peer"
        box = "outbox" if self._owner == outgoing else "inbox"
        found: str | None = getattr(self._drive, f"_get_{side}_datasite_{box}_id")(peer)
        return found

    def send(self, peer: str, name: str, payload: bytes) -> int:
        """Encrypt, sign and store one message; returns the bytes stored. Raises if the peer's key
        is unknown: `encrypt_if_needed` would send plain bytes without a word."""
        if "_" in name:
            raise ValueError(f"a message named {name!r}: syft may take it for one of its own")
        if self.tap:
            self.tap(self.email, peer, name, payload)
        sealed = self._keys.encrypt(peer, payload)
        write = (
            self._drive.owner_write_raw_bytes_to_outbox
            if self._owner
            else self._drive.watcher_send_raw_bytes_to_inbox
        )
        with quiet():
            write(peer, PREFIX + name, sealed)
        return len(sealed)

    def names(self, peer: str, *, outgoing: bool = False) -> dict[str, str]:
        """Message name to file id, of the messages now waiting."""
        with quiet():
            folder = self._folder(peer, outgoing=outgoing)
            files = self._drive.get_file_metadatas_from_folder(folder, page_size=1000)
        return {
            file["name"].removeprefix(PREFIX): file["id"]
            for file in files
            if file["name"].startswith(PREFIX) and "_" not in file["name"]
        }

    def receive(self, peer: str, file_id: str) -> tuple[bytes, int]:
        """Fetch one message: its content and the bytes it was stored in.

        BadMessage when it is too large, or is not, byte for byte, what this peer signed.
        """
        with quiet():
            sealed = self._drive.download_file(file_id)
        if len(sealed) > MAX_BYTES:
            raise BadMessage(f"a message of {len(sealed)} bytes, at most {MAX_BYTES} are read")
        try:
            self._keys.verify_message(peer, sealed)
            return self._keys.decrypt(peer, sealed), len(sealed)
        except Exception as error:  # syft raises its crypto library's own and bare errors alike
            raise BadMessage(f"a message is not what {peer} signed: {error}") from error

    def withdraw(self, peer: str, *names: str) -> None:
        """Delete those messages that this side sent to the peer; one that is gone is no error."""
        with quiet():
            sent = self.names(peer, outgoing=True)
            for name in names:
                if name in sent:
                    self._drive.delete_file_by_id(sent[name], raise_on_error=False)

    def clear(self, peer: str) -> None:
        """Delete the messages that this side sent to the peer."""
        with quiet():
            for file_id in self.names(peer, outgoing=True).values():
                self._drive.delete_file_by_id(file_id, raise_on_error=True)
