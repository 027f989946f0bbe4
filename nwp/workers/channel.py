"""Encrypted, signed byte messages between two peers, beside syft's own file sync.

Syft's readers take any name in three parts with _ between for one of their own files, and fail over
what is in it; so names here have none. A sender deletes its own messages after use: nothing piles
up in the store. Names, sizes and times are visible to whoever runs the store; contents are not.

A message is read up to a bound, whatever is said of its size. What can't be read, or is not what its
sender signed, is a BadMessage; what fails on the way (no network, a folder that is not mounted) a
TransportError, which says nothing of the message. A signature is of the content alone: whoever may
write to the store can give an old message again, or two of them each other's names, so contents say
what they belong to, and readers compare.

Of several threads one at a time uses the store; encryption and decryption, which change nothing but
their result, are free.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from nwp.errors import BadMessage, TransportError
from nwp.workers.adapter.quiet import quiet
from nwp.workers.drive import too_large

PREFIX = "nwp."
MAX_BYTES = 1 << 30  # of a message's content
SEAL = 1 << 13  # bytes that sealing may add; it adds 4,187 to most, whatever the content
# No _, and nothing that a file system, a query or a terminal would take for more than a letter.
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.@+-]{0,199}")

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
        if not _NAME.fullmatch(name):
            more = ": syft may take it for one of its own" if "_" in name else ""
            raise ValueError(f"a message named {name!r}{more}")
        if self.tap:
            self.tap(self.email, peer, name, payload)
        sealed = self._keys.encrypt(peer, payload)
        write = (
            self._drive.owner_write_raw_bytes_to_outbox
            if self._owner
            else self._drive.watcher_send_raw_bytes_to_inbox
        )
        with quiet():
            if self._folder(peer, outgoing=True) is None:
                raise TransportError(
                    f"there is no folder for messages to {peer}", "Invite and accept first."
                )
            write(peer, PREFIX + name, sealed)
        return len(sealed)

    def put(self, peer: str, name: str, payload: bytes, old: Sequence[str] | None = None) -> int:
        """`send` it in the place of what this side sent under this name before: a store may hold many
        files of one name, and a reader finds any of them. `old` are their ids, if they were listed."""
        if old is None:
            old = self.waiting([peer], name, outgoing=True).get(peer, ())
        size = self.send(peer, name, payload)
        self._delete(old)
        return size

    def names(self, peer: str, *, outgoing: bool = False) -> dict[str, str]:
        """Message name to file id, of the messages now waiting; of several of one name, any."""
        return self.names_of([peer], outgoing=outgoing)[peer]

    def names_of(
        self, peers: Collection[str], *, outgoing: bool = False
    ) -> dict[str, dict[str, str]]:
        """The same for several peers, in one look at the store."""
        listed = self._listed(peers, outgoing=outgoing)
        return {peer: {name: i for i, name in files.items()} for peer, files in listed.items()}

    def waiting(
        self, peers: Collection[str], name: str, *, outgoing: bool = False
    ) -> dict[str, list[str]]:
        """The file ids of the messages of this name, of each peer with which there is one, in one look at
        the store."""
        listed = self._listed(peers, outgoing=outgoing)
        found = {peer: [i for i, of in listed[peer].items() if of == name] for peer in listed}
        return {peer: ids for peer, ids in found.items() if ids}

    def _listed(self, peers: Collection[str], *, outgoing: bool) -> dict[str, dict[str, str]]:
        """Peer to file id to message name."""
        with quiet():
            folders = {peer: self._folder(peer, outgoing=outgoing) for peer in peers}
            owners = {f: self.email if outgoing else peer for peer, f in folders.items() if f}
            files = self._drive.files_of_each(owners)
        return {
            peer: {
                file_id: name.removeprefix(PREFIX)
                for file_id, name in files.get(folder, {}).items()
                if name.startswith(PREFIX) and _NAME.fullmatch(name, len(PREFIX))
            }
            for peer, folder in folders.items()
        }

    def receive(self, peer: str, file_id: str, most: int = MAX_BYTES) -> tuple[bytes, int]:
        """Fetch one message: its content and the bytes it was stored in.

        At most `most` bytes and what sealing adds are fetched, and one more that tells. BadMessage
        when it is larger, has gone, or is not, byte for byte, what this peer signed.
        """
        with quiet():
            sealed: bytes = self._drive.read_at_most(file_id, most + SEAL)
        try:
            self._keys.verify_message(peer, sealed)
            content: bytes = self._keys.decrypt(peer, sealed)
        except Exception as error:  # syft raises its crypto library's own and bare errors alike
            raise BadMessage(f"a message is not what {peer} signed: {error}") from error
        if len(content) > most:
            raise too_large(most)
        return content, len(sealed)

    def find(
        self, peer: str, name: str, ids: Sequence[str] | None = None
    ) -> tuple[bytes, int] | None:
        """The content of the message of this name and its stored bytes, as `receive`; None when none waits.
        `ids` are those of the name, if they were listed (`waiting`).

        Of several of the name the first that the peer has signed. BadMessage when there is none such.
        """
        looked: set[str] = set()
        while True:
            if ids is None:
                ids = self.waiting([peer], name).get(peer, [])
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
            ids = None

    def withdraw(self, peer: str, *names: str) -> None:
        """Delete the messages of these names that this side sent to the peer, however many of each
        there are. What has gone already is no error."""
        self.withdraw_from([peer], *names)

    def withdraw_from(self, peers: Collection[str], *names: str) -> None:
        """The same with several peers."""
        for listed in self._listed(peers, outgoing=True).values():
            self._delete([file_id for file_id, name in listed.items() if name in names])

    def clear(self, *peers: str) -> None:
        """Delete the messages that this side sent to the peers. What has gone already is no error.

        All of them: a message that was sent again after a broken connection may be there twice.
        """
        for listed in self._listed(peers, outgoing=True).values():
            self._delete(list(listed))

    def _delete(self, file_ids: Sequence[str]) -> None:
        for file_id in file_ids:
            with quiet():
                self._drive.delete(file_id)
