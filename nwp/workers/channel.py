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

    def put(self, peer: str, name: str, payload: bytes) -> int:
        """`send` it in the place of what this side sent under this name before: a store may hold many
        files of one name, and a reader finds any of them."""
        old = [file_id for file_id, of in self._listed(peer, outgoing=True).items() if of == name]
        size = self.send(peer, name, payload)
        self._delete(old)
        return size

    def names(self, peer: str, *, outgoing: bool = False) -> dict[str, str]:
        """Message name to file id, of the messages now waiting; of several of one name, any."""
        return {name: file_id for file_id, name in self._listed(peer, outgoing=outgoing).items()}

    def _listed(self, peer: str, *, outgoing: bool) -> dict[str, str]:
        """File id to message name."""
        with quiet():
            folder = self._folder(peer, outgoing=outgoing)
            files = self._drive.get_file_metadatas_from_folder(folder, page_size=1000)
        return {
            file["id"]: file["name"].removeprefix(PREFIX)
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

    def find(self, peer: str, name: str) -> tuple[bytes, int] | None:
        """The content of the message of this name and its stored bytes, as `receive`; None when none waits.

        Of several of the name the first that the peer has signed. BadMessage when there is none such.
        """
        looked: set[str] = set()
        while True:
            ids = [i for i, of in self._listed(peer, outgoing=False).items() if of == name]
            bad: BadMessage | None = None
            for file_id in ids:
                try:
                    return self.receive(peer, file_id)
                except BadMessage as error:
                    bad = error
            if looked or not ids:  # else another may have taken its place meanwhile
                if bad:
                    raise bad
                return None
            looked |= set(ids)

    def withdraw(self, peer: str, *names: str) -> None:
        """Delete those messages that this side sent to the peer; one that is gone is no error."""
        listed = self._listed(peer, outgoing=True)
        self._delete([file_id for file_id, name in listed.items() if name in names])

    def clear(self, peer: str) -> None:
        """Delete the messages that this side sent to the peer."""
        with quiet():
            for file_id in self._listed(peer, outgoing=True):
                self._drive.delete_file_by_id(file_id, raise_on_error=True)

    def _delete(self, file_ids: list[str]) -> None:
        """Delete files; one that is gone is no error."""
        with quiet():
            for file_id in file_ids:
                self._drive.delete_file_by_id(file_id, raise_on_error=False)
