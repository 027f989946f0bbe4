"""Who was invited, who is there, and whose key is not the one that was seen before."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from gathering import Gathering

from nwp.errors import BadInput
from nwp.federated.parcel import VERSION, Envelope, Parcel, Schema, pack
from nwp.workers.adapter import peers
from nwp.workers.channel import Channel
from nwp.workers.members import (
    Member,
    by_name,
    look_for,
    read_members,
    save_members,
    with_invited,
)

ADA, BOB = "worker-1@meeting.example", "worker-2@meeting.example"
INVITED = (Member("worker-001", ADA), Member("worker-002", BOB))


@pytest.fixture
def meeting(gather: Callable[..., Gathering]) -> Gathering:
    return gather()


def test_members_are_called_in_order_of_invitation() -> None:
    members = with_invited(with_invited((), ADA), BOB)

    assert members == INVITED
    assert with_invited(members, ADA) == members


def test_who_comes_back_keeps_its_name_and_shows_its_key_anew() -> None:
    left = (Member("worker-001", ADA, "key", 3, left=True), INVITED[1])

    assert with_invited(left, ADA) == INVITED


def test_who_is_invited_again_while_it_is_there_stays_as_it_is() -> None:
    there = (Member("worker-001", ADA, "key", 3), INVITED[1])

    assert with_invited(there, ADA) == there


def test_only_who_is_there_can_be_asked() -> None:
    rows = (
        Member("a", ADA, "key", 3),
        Member("b", ADA, "", 3),
        Member("c", ADA, "key", 0),
        Member("d", ADA, "key", 3, left=True),
    )

    assert list(by_name(rows)) == ["a"]


def test_members_are_read_as_they_were_saved(tmp_path: Path) -> None:
    assert read_members(tmp_path) == ()
    save_members(tmp_path, INVITED)

    assert read_members(tmp_path) == INVITED
    assert stat.S_IMODE((tmp_path / "members.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"7", b"[7]", b'[{"name": "a"}]', b"\xff"])
def test_a_damaged_list_of_members_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "members.json").write_bytes(content)

    with pytest.raises(BadInput, match=r"members\.json can't be read"):
        read_members(tmp_path)


def test_members_are_there_once_they_have_said_hello(meeting: Gathering) -> None:
    members = look_for(meeting.server, meeting.channel, INVITED)
    assert [m.users for m in members] == [0, 0]
    assert all(m.fingerprint for m in members)

    meeting.owners["worker-1"].attendant.greet()
    members = look_for(meeting.server, meeting.channel, members)

    assert [(m.users, m.is_there) for m in members] == [(3, True), (0, False)]


def test_whom_nobody_has_seen_stays_as_it_was(meeting: Gathering) -> None:
    nobody = (Member("worker-001", "nobody@meeting.example"),)

    assert look_for(meeting.server, meeting.channel, nobody) == nobody


def test_who_has_left_is_not_looked_for(meeting: Gathering) -> None:
    meeting.owners["worker-1"].attendant.greet()
    left = (Member("worker-001", ADA, "key", 2, left=True),)

    assert look_for(meeting.server, meeting.channel, left) == left


def hello(users: int, version: int = VERSION) -> bytes:
    schema = Schema(fields={"users": int, "version": int})
    content = Parcel({"users": users, "version": version})
    return pack(Envelope("hello", "", "hello", 0), content, schema)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (hello(-1), "says something else"),
        (hello(1 << 40), "says something else"),
        (hello(3, version=99), "version 99"),
        (b"hello", ""),
    ],
    ids=["below 0", "too many", "version", "rubbish"],
)
def test_a_hello_that_can_not_be_is_warned_of_and_not_believed(
    meeting: Gathering, message: bytes, why: str
) -> None:
    meeting.owners["worker-1"].site.channel.send(meeting.server.email, "hello", message)
    warned: list[str] = []

    members = look_for(meeting.server, meeting.channel, INVITED, warned.append)

    assert not members[0].is_there
    assert len(warned) == 1
    assert warned[0].startswith(f"{ADA}: ")
    assert why in warned[0]


def test_a_member_whose_key_was_replaced_is_warned_of_and_asked_for_nothing(
    meeting: Gathering,
) -> None:
    for owner in meeting.owners.values():
        owner.attendant.greet()
    before = look_for(meeting.server, meeting.channel, INVITED)
    assert all(m.is_there for m in before)
    pretended = (Member(before[0].name, ADA, "0" * 64, 3), before[1])
    warned: list[str] = []

    members = look_for(meeting.server, meeting.channel, pretended, warned.append)

    assert [m.is_there for m in members] == [False, True]
    assert members[0].fingerprint == "0" * 64
    assert "has another key than before" in warned[0]
    assert "under another address" in warned[0]


def test_what_is_signed_with_another_key_than_the_first_is_not_believed(
    meeting: Gathering,
) -> None:
    meeting.owners["worker-1"].attendant.greet()
    members = look_for(meeting.server, meeting.channel, INVITED)
    shutil.rmtree(meeting.root / "worker-1" / "box")
    again = meeting.client(ADA)
    assert peers.accept(again, meeting.server.email)
    assert peers.fingerprint(again) != members[0].fingerprint
    channel = Channel(again)
    channel.withdraw(meeting.server.email, "hello")
    channel.send(meeting.server.email, "hello", hello(9))
    warned: list[str] = []

    found = look_for(meeting.server, meeting.channel, members, warned.append)

    assert found == members
    assert [text.partition(":")[0] for text in warned] == [ADA]
