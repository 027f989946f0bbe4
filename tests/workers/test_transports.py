"""The same on every way that participants can meet: in memory, in a folder, on (a fake) Google Drive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_drive import FakeDrive, drive_for

from nwp.errors import BadMessage, TransportError
from nwp.workers.adapter import clients, drives, peers, stores
from nwp.workers.channel import PREFIX, SEAL, Channel

SERVER, OWNER, OTHER = "server@lab.example", "owner@home.example", "other@else.example"


@dataclass
class Meeting:
    """A way to meet, and what participants keep."""

    folder: Path
    way: Callable[[str], Any]
    drive: FakeDrive | None = None
    clients: dict[str, Any] = field(default_factory=dict)

    def open(self, email: str) -> Any:
        """A client as a process that starts now has it: with what is in its folder, and no more."""
        box = self.folder / email / "box"
        self.clients[email] = clients.open_client(
            email, box, self.way(email), owner=email != SERVER
        )
        return self.clients[email]

    def enrolled(self, owner: str = OWNER) -> tuple[Channel, Channel]:
        """The server's and an owner's channel, once they know each other."""
        server, client = self.clients.get(SERVER) or self.open(SERVER), self.open(owner)
        peers.invite(server, owner)
        assert peers.accept(client, SERVER)
        peers.find_peers(server)
        return Channel(server), Channel(client)


@pytest.fixture(params=["memory", "folder", "drive"])
def meeting(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Meeting]:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    if request.param == "memory":
        store = stores.new_store()
        yield Meeting(tmp_path, lambda email: stores.in_memory(email, store))
    elif request.param == "folder":
        yield Meeting(tmp_path, lambda email: stores.in_folder(email, tmp_path / "shared"))
    else:
        with drive_for(monkeypatch) as drive:
            drive.page = 7
            yield Meeting(tmp_path, lambda e: drives.on_drive(e, drive.token(tmp_path, e)), drive)


def test_strangers_become_peers_step_by_step(meeting: Meeting) -> None:
    server, owner = meeting.open(SERVER), meeting.open(OWNER)
    assert not peers.accept(owner, SERVER)
    peers.find_peers(server)
    assert peers.fingerprint(server, OWNER) == ""
    peers.invite(server, OWNER)
    peers.find_peers(server)
    assert peers.fingerprint(server, OWNER) == ""
    assert peers.accept(owner, SERVER)
    assert peers.fingerprint(owner, SERVER) == peers.fingerprint(server)
    peers.find_peers(server)
    assert peers.fingerprint(server, OWNER) == peers.fingerprint(owner)
    assert peers.fingerprint(owner) != peers.fingerprint(server)
    assert peers.accept(owner, SERVER)
    peers.invite(server, OWNER)
    peers.find_peers(server)
    assert peers.fingerprint(server, OWNER) == peers.fingerprint(owner)


def test_peers_are_known_again_after_a_restart(meeting: Meeting) -> None:
    meeting.enrolled()
    keys = [peers.fingerprint(meeting.clients[email]) for email in (SERVER, OWNER)]
    server, owner = meeting.open(SERVER), meeting.open(OWNER)
    peers.find_peers(server)
    peers.find_peers(owner)
    assert [peers.fingerprint(owner, SERVER), peers.fingerprint(server, OWNER)] == keys
    Channel(server).send(OWNER, "x", b"again")
    (identity,) = Channel(owner).names(SERVER).values()
    assert Channel(owner).receive(SERVER, identity)[0] == b"again"


def test_messages_go_both_ways_and_their_senders_delete_them(meeting: Meeting) -> None:
    here, there = meeting.enrolled()
    for channel, other, me, peer in ((here, there, SERVER, OWNER), (there, here, OWNER, SERVER)):
        size = channel.send(peer, "a.1.b", b"content")
        (identity,) = other.names(me).values()
        assert other.names(me) == channel.names(peer, outgoing=True) == {"a.1.b": identity}
        assert other.receive(me, identity) == (b"content", size)
        other.clear(me)  # not its own: it stays
        assert other.names(me) == {"a.1.b": identity}
        channel.clear(peer)
        assert other.names(me) == {}
        channel.clear(peer)


def test_two_owners_know_nothing_of_each_other(meeting: Meeting) -> None:
    here, there = meeting.enrolled()
    _, third = meeting.enrolled(OTHER)
    here.send(OWNER, "x", b"for one")
    here.send(OTHER, "x", b"for the other")
    assert peers.fingerprint(meeting.clients[OTHER], OWNER) == ""
    assert third.names(OWNER) == {}
    (mine,), (others,) = there.names(SERVER).values(), third.names(SERVER).values()
    assert third.receive(SERVER, others)[0] == b"for the other"
    with pytest.raises(BadMessage):
        third.receive(SERVER, mine)


def test_without_a_folder_for_messages_nothing_is_sent(meeting: Meeting) -> None:
    _, there = meeting.enrolled()
    other = Channel(meeting.open(OTHER))
    other._keys.set_peer(there._keys.get_cached_peer(SERVER))
    with pytest.raises(TransportError, match=f"no folder for messages to {SERVER}"):
        other.send(SERVER, "x", b"content")


def test_more_messages_than_a_page_has(meeting: Meeting) -> None:
    here, there = meeting.enrolled()
    for i in range(23):
        here.send(OWNER, str(i), bytes([i]))
    waiting = there.names(SERVER)
    assert set(waiting) == {str(i) for i in range(23)}
    assert [there.receive(SERVER, waiting[str(i)])[0] for i in range(23)] == [
        bytes([i]) for i in range(23)
    ]
    here.clear(OWNER)
    assert there.names(SERVER) == {}


def test_a_message_is_read_up_to_a_bound(meeting: Meeting) -> None:
    here, there = meeting.enrolled()
    size = here.send(OWNER, "x", bytes(50_000))
    (identity,) = there.names(SERVER).values()
    assert there.receive(SERVER, identity, 50_000) == (bytes(50_000), size)
    sent = meeting.drive.sent if meeting.drive else 0
    for most in (49_999, 10_000, 0):
        with pytest.raises(BadMessage, match="a message of more than"):
            there.receive(SERVER, identity, most)
    if meeting.drive:
        assert meeting.drive.sent - sent <= size + 10_000 + 2 * (SEAL + 1)


def test_small_messages_fit_small_bounds(meeting: Meeting) -> None:
    here, there = meeting.enrolled()
    for content in (b"", b"x", bytes(100)):
        here.send(OWNER, "x", content)
        (identity,) = there.names(SERVER).values()
        assert there.receive(SERVER, identity, len(content))[0] == content
        here.clear(OWNER)


def test_large_messages_arrive(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwp.workers.drive._CHUNK", 1 << 16)
    here, there = meeting.enrolled()
    content = bytes(range(256)) * 1200
    here.send(OWNER, "x", content)
    (identity,) = there.names(SERVER).values()
    assert there.receive(SERVER, identity)[0] == content


def test_what_has_gone_or_was_never_there_is_a_bad_message(meeting: Meeting) -> None:
    here, there = meeting.enrolled()
    here.send(OWNER, "x", b"content")
    (identity,) = there.names(SERVER).values()
    here.clear(OWNER)
    for name in (identity, "never-there"):
        with pytest.raises(BadMessage, match="has gone"):
            there.receive(SERVER, name)


def test_a_message_sent_twice_is_cleared_twice(meeting: Meeting) -> None:
    """As after a broken connection, of which the sender can't know what came of it."""
    here, there = meeting.enrolled()
    for content in (b"one", b"two"):
        here.send(OWNER, "x", content)
    (identity,) = there.names(SERVER).values()
    assert there.receive(SERVER, identity)[0] in (b"one", b"two")
    here.clear(OWNER)
    assert there.names(SERVER) == {}


@pytest.mark.parametrize("content", [b"", b"junk", b"SYC1" + bytes(500)])
def test_what_nobody_signed_is_a_bad_message(meeting: Meeting, content: bytes) -> None:
    here, there = meeting.enrolled()
    here._drive.watcher_send_raw_bytes_to_inbox(OWNER, f"{PREFIX}x", content or b"\0")
    (identity,) = there.names(SERVER).values()
    with pytest.raises(BadMessage, match="is not what"):
        there.receive(SERVER, identity)


def test_names_of_another_kind_are_passed_over(meeting: Meeting) -> None:
    here, there = meeting.enrolled()
    for name in ("a_b", "../x", "a/b", "", ".x", "\x1b[31m", "x" * 201, "a b", "\n"):
        here._drive.watcher_send_raw_bytes_to_inbox(OWNER, PREFIX + name, b"junk")
        with pytest.raises(ValueError, match="a message named"):
            here.send(OWNER, name, b"content")
    here.send(OWNER, "right", b"content")
    assert set(there.names(SERVER)) == {"right"}


def test_a_message_to_whom_one_does_not_know_is_not_sent(meeting: Meeting) -> None:
    here, _ = meeting.enrolled()
    with pytest.raises(ValueError, match="No cached peer"):
        here.send(OTHER, "x", b"content")
    assert here.names(OTHER) == {}


def test_what_a_peer_puts_among_ones_own_messages_is_left_alone(meeting: Meeting) -> None:
    """Both may write to the folders between them; nobody may delete what is the other's."""
    here, there = meeting.enrolled()
    here.send(OWNER, "mine", b"content")
    folder = here._folder(OWNER, outgoing=True)
    body = {"name": f"{PREFIX}theirs", "parents": [folder]}
    payload, _ = there._drive.create_file_payload(b"junk")
    files = there._drive.drive_service.files()
    files.create(body=body, media_body=payload, fields="id").execute()
    assert set(there.names(SERVER)) == set(here.names(OWNER, outgoing=True)) == {"mine"}
    here.clear(OWNER)
    assert there.names(SERVER) == {}


def test_only_requests_of_the_server_that_is_meant_are_looked_at(meeting: Meeting) -> None:
    """Anybody can ask, and ask thousands of times; syft asks the drive about each."""
    owner = meeting.open(OWNER)
    stranger = clients.open_client(
        OTHER, meeting.folder / OTHER / "box", meeting.way(OTHER), owner=False
    )
    peers.invite(stranger, OWNER)
    assert not peers.accept(owner, SERVER)
    assert peers.fingerprint(owner, OTHER) == ""
    assert owner.peer_manager.requested_by_peer_peers == []
    assert peers.accept(owner, OTHER)
