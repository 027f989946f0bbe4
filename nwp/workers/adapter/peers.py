"""How a server and owners become peers, and by which keys they know each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nwp.workers.adapter.clients import Client
from nwp.workers.adapter.quiet import quiet


def invite(server: Client, owner: str) -> None:
    """Server: ask an owner to be a peer; a second time changes nothing."""
    with quiet():
        server.add_peer(owner, verbose=False, sync=False)


def _look_for(client: Client, peers: Iterable[str]) -> None:
    """Let requests of these peers be seen."""
    for connection in client.peer_manager.connection_router.connections:
        connection.wanted.update(peers)


def accept(owner: Client, server: str) -> bool:
    """Owner: become the peer of a server that has asked; False while it has not."""
    _look_for(owner, [server])
    with quiet():
        owner.load_peers(force_download=True)
        peers = owner.peer_manager
        if server in {peer.email for peer in peers.requested_by_peer_peers}:
            owner.approve_peer_request(server, verbose=False)
            owner.load_peers(force_download=True)
        return bool(peers.peer_store.has_peer_bundle(server))


def find_peers(client: Client) -> None:
    """Look for peers that have accepted, and for their keys."""
    with quiet():
        client.load_peers(force_download=True)


def fingerprint(client: Client, peer: str = "") -> str:
    """The fingerprint of a peer's key, or of one's own; empty while the key is not known.

    It is of the key that the channel encrypts for and checks signatures with at this moment. A
    drive can come to hold another: compare it with the one that was confirmed after every
    `accept` and `find_peers`, before anything is sent.
    """
    keys = client.peer_manager.peer_store
    if not peer:
        return str(keys.public_key.identity_fingerprint())
    if not keys.has_peer_bundle(peer):
        return ""
    return str(keys._get_parsed_peer_bundle(peer).identity_fingerprint())


def enrol(server: Client, owners: Mapping[str, Client]) -> None:
    """Peer every owner with the server; afterwards both sides hold each other's keys."""
    with quiet():
        for email in owners:
            server.add_peer(email, verbose=False, sync=False)
        for owner in owners.values():
            _look_for(owner, [server.email])
            owner.load_peers()
            owner.approve_peer_request(server.email, verbose=False)
            owner.load_peers()
        server.load_peers(force_download=True)
