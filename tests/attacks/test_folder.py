"""What whoever may write to a shared folder might do to those who meet there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from syft.sync.connections.drive.mock_drive_service import MockPermission
from test_attacks import TRAIN, requests

from nwp.errors import BadMessage, TransportError
from nwp.federated.parcel import Envelope, pack, unpack
from nwp.federated.plan import TrainPlan
from nwp.model.lstm import FloatArray
from nwp.workers.adapter import clients, peers, stores
from nwp.workers.channel import Channel
from nwp.workers.folder import FolderStore
from nwp.workers.refusals import REFUSED
from nwp.workers.simulation import SERVER as IN_SIMULATION
from nwp.workers.simulation import Simulation

SERVER, OWNER = "server@lab.example", "owner@home.example"
FOLDER = "application/vnd.google-apps.folder"
LARGE = 10 << 30


def about_junk(identity: str, parent: str, owner: str) -> dict[str, Any]:
    """The record of a file in a folder of messages."""
    return {
        "id": identity,
        "name": f"nwp.{identity}",
        "mimeType": "application/octet-stream",
        "parents": [parent],
        "owners": [{"emailAddress": owner}],
        "appProperties": {},
        "trashed": False,
        "modifiedTime": "2026-01-01T00:00:00Z",
        "permissions": [],
    }


@dataclass
class Shared:
    """A server and an owner who know each other, and the folder in which they meet."""

    root: Path
    folder: Path
    server: Any
    owner: Any

    @property
    def here(self) -> Channel:
        return Channel(self.server)

    @property
    def there(self) -> Channel:
        return Channel(self.owner)

    def send(self, content: bytes, name: str = "x") -> str:
        self.here.send(OWNER, name, content)
        return self.there.names(SERVER)[name]

    def blob(self, identity: str) -> Path:
        return self.folder / f"{identity}.blob"

    def record(self, identity: str = "", **changes: Any) -> dict[str, Any]:
        """A record of a message to the owner, of an id, with changes; written to the folder."""
        inbox = str(self.there._folder(SERVER, outgoing=False))
        about = {**about_junk(identity, inbox, SERVER), **changes}
        (self.folder / f"{identity}.json").write_text(json.dumps(about))
        return about

    def find(self, name: str, owner: str) -> str:
        """The id of a file of syft's."""
        for path in self.folder.glob("*.json"):
            about = json.loads(path.read_bytes())
            if about["name"] == name and about["owners"][0]["emailAddress"] == owner:
                return str(about["id"])
        raise LookupError(name)

    def works(self) -> bool:
        """Do messages still go both ways, and do the two still know each other?"""
        for client in (self.server, self.owner):
            peers.find_peers(client)
        assert peers.fingerprint(self.owner, SERVER) == peers.fingerprint(self.server)
        assert peers.fingerprint(self.server, OWNER) == peers.fingerprint(self.owner)
        self.here.send(OWNER, "works", b"down")
        self.there.send(SERVER, "works", b"up")
        down = self.there.receive(SERVER, self.there.names(SERVER)["works"])[0]
        up = self.here.receive(OWNER, self.here.names(OWNER)["works"])[0]
        self.here.clear(OWNER)
        self.there.clear(SERVER)
        return (down, up) == (b"down", b"up")


def client(root: Path, email: str) -> Any:
    way = stores.in_folder(email, root / "shared")
    return clients.open_client(email, root / email / "box", way, owner=email == OWNER)


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    server, owner = client(tmp_path, SERVER), client(tmp_path, OWNER)
    peers.invite(server, OWNER)
    assert peers.accept(owner, SERVER)
    peers.find_peers(server)
    return Shared(tmp_path, tmp_path / "shared", server, owner)


# ---------------------------------------------------------------------------------------- records

CHANGES: dict[str, dict[str, Any]] = {
    "year 9999": {"modifiedTime": "9999-12-31T23:59:59Z"},
    "no time": {"modifiedTime": "\u0000now\x1b[31m"},
    "a number for a time": {"modifiedTime": 1e308},
    "an id that climbs": {"id": "../../etc/passwd"},
    "a parent that climbs": {"parents": ["../../etc"]},
    "a parent that is none": {"parents": [5]},
    "a parent in a parent": {"parents": [["x"]]},
    "its own parent": {"parents": ["junk"]},
    "many parents": {"parents": ["junk"] * 1000},
    "half a character": {"name": "nwp.\ud800"},
    "a name that climbs": {"name": "nwp.../../x"},
    "a long name": {"name": "nwp." + "x" * 100_000},
    "no name": {"name": None},
    "owners that are none": {"owners": [None, 5]},
    "an owner of half a character": {"owners": [{"emailAddress": "\ud800"}]},
    "nobody's": {"owners": []},
    "permissions that are none": {"permissions": [None, 5, {"type": {}}, {"role": 1}]},
    "more fields": {"_folder": "/etc", "content": "x"},
    "trashed perhaps": {"trashed": "no"},
    "properties of all kinds": {"appProperties": {"a": [1]}},
    "a folder": {"mimeType": FOLDER},
    "a request of nobody": {
        "mimeType": FOLDER,
        "name": f"syft_datasite#0.10.0#{OWNER}#inbox#x' or '",
        "owners": [{"emailAddress": "x' or '"}],
        "permissions": [{"type": "user", "role": "writer", "emailAddress": OWNER}],
    },
    "a request without an end": {"mimeType": FOLDER, "name": f"syft_datasite#0.10.0#{OWNER}#"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_records_of_no_file_are_passed_over(shared: Shared, name: str) -> None:
    shared.record("junk", **CHANGES[name])
    shared.blob("junk").write_bytes(b"junk")
    for waiting, identity in shared.there.names(SERVER).items():
        assert waiting == "junk"
        with pytest.raises(BadMessage):
            shared.there.receive(SERVER, identity)
    assert shared.works()


JUNK = {
    "empty": b"",
    "no JSON": b"\xff\xfe{",
    "a list": b"[]",
    "a number": b"1e999",
    "a long number": b"1" * 10_000,
    "deep": b"[" * 100_000,
    "too large": b" " * (2 << 20) + b"{}",
}


@pytest.mark.parametrize("name", JUNK)
def test_files_that_are_no_records_are_passed_over(shared: Shared, name: str) -> None:
    for file in ("junk.json", "..json", "a b.json", ".json", "\n.json", "x.json.json", "junk"):
        (shared.folder / file).write_bytes(JUNK[name])
    assert shared.works()


def test_what_is_no_plain_file_is_not_opened(shared: Shared) -> None:
    """A pipe would hold up whoever opens it, for ever."""
    about = shared.record("real")
    for number, ending in enumerate(("json", "blob")):
        os.mkfifo(shared.folder / f"pipe{number}.{ending}")
        (shared.folder / f"folder{number}.{ending}").mkdir()
        (shared.folder / f"link{number}.{ending}").symlink_to("/dev/zero")
    shared.record("pipe1", **{**about, "id": "pipe1"})
    shared.record("folder1", **{**about, "id": "folder1"})
    shared.record("link1", **{**about, "id": "link1"})
    for identity in ("pipe1", "folder1", "link1", "pipe0", "folder0", "link0", "real"):
        with pytest.raises(BadMessage):
            shared.there.receive(SERVER, identity)
    assert shared.works()


@pytest.mark.parametrize("half", [500, pytest.param(5000, marks=pytest.mark.slow)])
def test_thousands_of_records_take_seconds_not_hours(shared: Shared, half: int) -> None:
    """Half are messages to the owner, half ask to be peers of its, each as another."""
    inbox = str(shared.there._folder(SERVER, outgoing=False))
    for i in range(half):
        message, asker = about_junk(f"m{i}", inbox, SERVER), f"{i}@else.example"
        request = {
            **about_junk(f"r{i}", "", asker),
            "parents": [],
            "mimeType": FOLDER,
            "name": f"syft_datasite#0.10.0#{OWNER}#inbox#{asker}",
            "permissions": [{"type": "user", "role": "writer", "emailAddress": OWNER}],
        }
        for about in (message, request):
            (shared.folder / f"{about['id']}.json").write_text(json.dumps(about))
    begun = time.process_time()
    assert len(shared.there.names(SERVER)) == half
    assert shared.works()
    assert time.process_time() - begun < 30


def test_a_ladder_of_folders_is_climbed_a_few_steps(shared: Shared) -> None:
    for i in range(500):
        shared.record(f"f{i}", parents=[f"f{i + 1}"], mimeType=FOLDER, name="nwp.x")
    assert shared.works()


# ------------------------------------------------------------------------------------------ blobs


def truncate(blob: Path, _: Path) -> None:
    blob.write_bytes(blob.read_bytes()[:-10])


def empty(blob: Path, _: Path) -> None:
    blob.write_bytes(b"")


def lengthen(blob: Path, _: Path) -> None:
    with blob.open("r+b") as file:
        file.truncate(LARGE)


def flip(blob: Path, _: Path) -> None:
    raw = blob.read_bytes()
    blob.write_bytes(raw[:-20] + bytes([raw[-20] ^ 1]) + raw[-19:])


def remove(blob: Path, _: Path) -> None:
    blob.unlink()


def link(blob: Path, private: Path) -> None:
    blob.unlink()
    blob.symlink_to(private)


def link_to_passwords(blob: Path, _: Path) -> None:
    link(blob, Path("/etc/passwd"))


def loop(blob: Path, _: Path) -> None:
    link(blob, blob)


DAMAGES = [truncate, empty, lengthen, flip, remove, link, link_to_passwords, loop]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("when", ["before it is listed", "after it was listed"])
def test_a_damaged_blob_is_a_bad_message(
    shared: Shared, damage: Callable[[Path, Path], None], when: str
) -> None:
    private = shared.root / "private"
    private.write_bytes(b"a secret")
    identity = shared.send(b"content")
    damage(shared.blob(identity), private)
    if when == "before it is listed":
        assert shared.there.names(SERVER) == {"x": identity}
    begun = time.process_time()
    with pytest.raises(BadMessage) as found:
        shared.there.receive(SERVER, identity, 1 << 20)
    assert time.process_time() - begun < 1
    assert "secret" not in found.value.message
    assert private.read_bytes() == b"a secret"
    assert shared.works()


def test_a_sealed_message_behind_a_link_is_not_read(shared: Shared) -> None:
    """Else whoever can't read a file could let its reader find out whether it is one."""
    identity = shared.send(b"content")
    elsewhere = shared.root / "elsewhere"
    shared.blob(identity).rename(elsewhere)
    shared.blob(identity).symlink_to(elsewhere)
    with pytest.raises(BadMessage, match="has gone"):
        shared.there.receive(SERVER, identity)


@pytest.mark.parametrize("name", ["SYFT_version.json", "SYFT_peers.json"])
@pytest.mark.parametrize("ending", ["blob", "json"])
def test_nothing_is_written_through_a_link(shared: Shared, name: str, ending: str) -> None:
    private = shared.root / "private"
    private.write_bytes(b"a secret")
    path = shared.folder / f"{shared.find(name, OWNER)}.{ending}"
    path.unlink()
    path.symlink_to(private)
    client(shared.root, OWNER)
    peers.accept(shared.owner, SERVER)
    assert private.read_bytes() == b"a secret"
    assert not any(
        b"a secret" in found.read_bytes()
        for found in shared.folder.iterdir()
        if not found.is_symlink()
    )


@pytest.mark.parametrize("damage", [truncate, empty, lengthen, remove, loop])
@pytest.mark.parametrize("name", ["SYFT_version.json", "SYFT_peers.json"])
def test_damaged_files_of_syfts_own_stop_nobody_for_long(
    shared: Shared, name: str, damage: Callable[[Path, Path], None]
) -> None:
    for who in (SERVER, OWNER):
        damage(shared.blob(shared.find(name, who)), shared.root)
    again = [client(shared.root, who) for who in (SERVER, OWNER)]
    peers.invite(again[0], OWNER)
    peers.accept(again[1], SERVER)
    peers.find_peers(again[0])
    found = Shared(shared.root, shared.folder, *again)
    assert found.works()


# ----------------------------------------------------------------------- old and swapped messages


def test_an_old_message_over_a_new_one_is_read_as_the_old_one(shared: Shared) -> None:
    """A signature is of the content alone, which is why contents say what they belong to."""
    old, new = shared.send(b"old", "1"), shared.send(b"new", "2")
    shared.blob(new).write_bytes(shared.blob(old).read_bytes())
    assert shared.there.receive(SERVER, new)[0] == b"old"


def test_a_message_sent_back_to_its_sender_is_none(shared: Shared) -> None:
    down = shared.send(b"content")
    shared.there.send(SERVER, "y", b"content")
    up = shared.here.names(OWNER)["y"]
    shared.blob(up).write_bytes(shared.blob(down).read_bytes())
    with pytest.raises(BadMessage, match="is not what"):
        shared.here.receive(OWNER, up)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulations meet in a folder."""
    folder = tmp_path / "shared"
    monkeypatch.setattr(stores, "new_store", lambda: FolderStore(folder, MockPermission))
    return folder


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def test_swapped_requests_are_answered_as_what_they_are(
    in_folder: Path, simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    """The names of two rounds' requests are exchanged: no answer is taken for one of another round."""
    job = simulation.submit(plan, "train")
    worker, email = simulation.datasites["worker-1"], "worker-1@nwp.example"
    asked = requests(plan, weights)["worker-1"]
    for number in (1, 2):
        message = pack(Envelope("ask", job.digest, "train", number), asked, TRAIN.request(plan))
        simulation.channel.send(email, str(number), message)
    waiting = worker.channel.names(IN_SIMULATION)
    swap(*(in_folder / f"{waiting[name]}.blob" for name in ("1", "2")))
    worker.serve()
    for name, identity in simulation.channel.names(email).items():
        answer, _ = simulation.channel.receive(email, identity)
        assert unpack(answer, TRAIN.reply(plan))[0].round == 3 - int(name)


def test_an_old_request_is_answered_once(
    in_folder: Path, simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    """Kept by whoever keeps the folder, and put over the next round's."""
    job = simulation.submit(plan, "train")
    exchange = simulation.exchange(job)
    worker = simulation.datasites["worker-1"]
    kept: list[bytes] = []
    serve = worker.serve

    def meddled() -> None:
        for identity in worker.channel.names(IN_SIMULATION).values():
            blob = in_folder / f"{identity}.blob"
            kept.append(blob.read_bytes())
            blob.write_bytes(kept[0])
        serve()

    worker.serve = meddled  # type: ignore[method-assign]
    first = exchange(TRAIN, 1, requests(plan, weights))
    second = exchange(TRAIN, 2, requests(plan, weights))
    assert first.absent == {}
    assert set(second.answers) == {"worker-2"}
    assert "answered" in second.absent["worker-1"]
    assert len(worker.ledger.entries) == 1  # the first round's


def test_swapped_answers_of_two_workers_count_for_neither(
    in_folder: Path, simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    exchange = simulation.exchange(simulation.submit(plan, "train"))
    real, served = simulation.channel.names, []

    def names(peer: str, *, outgoing: bool = False) -> dict[str, str]:
        if not served:
            served.append(1)
            found = [real(f"worker-{i}@nwp.example") for i in (1, 2)]
            swap(*(in_folder / f"{next(iter(w.values()))}.blob" for w in found))
        return real(peer, outgoing=outgoing)

    simulation.channel.names = names  # type: ignore[method-assign]
    replies = exchange(TRAIN, 1, requests(plan, weights))
    assert replies.answers == {}
    assert all("is not what" in reason for reason in replies.absent.values())


def test_files_among_the_requests_of_a_round_are_refused(
    in_folder: Path, simulation: Simulation
) -> None:
    worker, email = simulation.datasites["worker-1"], "worker-1@nwp.example"
    inbox = worker.channel._folder(IN_SIMULATION, outgoing=False)
    for i in range(20):
        about = about_junk(f"junk{i}", str(inbox), IN_SIMULATION)
        (in_folder / f"junk{i}.json").write_text(json.dumps(about))
        (in_folder / f"junk{i}.blob").write_bytes(b"junk")
    worker.serve()
    for identity in simulation.channel.names(email).values():
        answer, _ = simulation.channel.receive(email, identity)
        assert unpack(answer, REFUSED)[0].kind == "refuse"
    assert worker.ledger.entries == []


# ------------------------------------------------------------------------------------------- keys


def stranger(root: Path) -> Any:
    return clients.open_client(
        "evil@else.example",
        root / "evil" / "box",
        stores.in_memory("evil@else.example", stores.new_store()),
        owner=False,
    )


def test_a_key_replaced_before_the_first_meeting_has_another_fingerprint(tmp_path: Path) -> None:
    server, owner = client(tmp_path, SERVER), client(tmp_path, OWNER)
    evil = stranger(tmp_path)
    peers.invite(server, OWNER)
    shared = Shared(tmp_path, tmp_path / "shared", server, owner)
    bundle = shared.find(f"encryption_bundle_{SERVER}_for_{OWNER}.json", SERVER)
    key = evil.peer_manager.peer_store.get_public_bundle()
    shared.blob(bundle).write_text(json.dumps({"public_encryption_bundle": key}))
    assert peers.accept(owner, SERVER)
    assert peers.fingerprint(owner, SERVER) == peers.fingerprint(evil)
    assert peers.fingerprint(owner, SERVER) != peers.fingerprint(server)


def test_a_key_replaced_later_is_seen_before_anything_is_encrypted_for_it(shared: Shared) -> None:
    evil = stranger(shared.root)
    key = evil.peer_manager.peer_store.get_public_bundle()
    pinned = peers.fingerprint(shared.owner, SERVER)
    listed = shared.blob(shared.find("SYFT_peers.json", OWNER))
    about = json.loads(listed.read_bytes())
    about[SERVER]["public_encryption_bundle"] = key
    listed.write_text(json.dumps(about))
    # What is in memory is used until it is read anew, and then the fingerprint says so.
    shared.there.send(SERVER, "before", b"content")
    assert shared.here.receive(OWNER, shared.here.names(OWNER)["before"])[0] == b"content"
    assert peers.fingerprint(shared.owner, SERVER) == pinned
    channel = shared.there
    peers.find_peers(shared.owner)
    assert peers.fingerprint(shared.owner, SERVER) == peers.fingerprint(evil) != pinned
    channel.send(SERVER, "after", b"content")
    with pytest.raises(BadMessage):
        shared.here.receive(OWNER, shared.here.names(OWNER)["after"])


def test_the_fingerprint_is_of_the_keys_that_the_channel_uses(shared: Shared) -> None:
    for one in (shared.server, shared.owner):
        assert Channel(one)._keys is one.peer_manager.peer_store


def test_a_key_that_the_identity_did_not_sign_is_none(shared: Shared) -> None:
    """Else the fingerprint would stay, and messages be encrypted for another."""
    evil = stranger(shared.root).peer_manager.peer_store.get_public_bundle()
    listed = shared.blob(shared.find("SYFT_peers.json", OWNER))
    for part in ("keyAgreement", "verificationMethod"):
        about = json.loads(listed.read_bytes())
        about[SERVER]["public_encryption_bundle"][part] = evil[part]
        listed.write_text(json.dumps(about))
        peers.find_peers(shared.owner)
        assert peers.fingerprint(shared.owner, SERVER) == peers.fingerprint(shared.server)
        assert shared.works()


LISTS: dict[str, Any] = {
    "a list": [],
    "a peer that is a number": {SERVER: 5},
    "a key that is text": {SERVER: {"state": "accepted", "public_encryption_bundle": "key"}},
    "a key of nothing": {SERVER: {"state": "accepted", "public_encryption_bundle": {}}},
    "a state of a list": {SERVER: {"state": ["accepted"]}},
    "a peer of half a character": {"\ud800": {"state": "accepted"}, "": {}},
    "ten thousand peers": {f"{i}' or '@x": {"state": "accepted"} for i in range(10_000)},
}


@pytest.mark.parametrize("name", LISTS)
def test_a_damaged_list_of_peers_is_mended_by_meeting_again(shared: Shared, name: str) -> None:
    for who in (SERVER, OWNER):
        text = json.dumps(LISTS[name]).replace(SERVER, OWNER if who == SERVER else SERVER)
        shared.blob(shared.find("SYFT_peers.json", who)).write_text(text)
    for one in (shared.server, shared.owner):
        peers.find_peers(one)
    again = [client(shared.root, who) for who in (SERVER, OWNER)]
    peers.invite(again[0], OWNER)
    peers.accept(again[1], SERVER)
    peers.find_peers(again[0])
    assert Shared(shared.root, shared.folder, *again).works()


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"[" * 100_000, b"{}", b'{"a": 1}'])
def test_a_damaged_key_is_no_key(tmp_path: Path, content: bytes) -> None:
    server, owner = client(tmp_path, SERVER), client(tmp_path, OWNER)
    peers.invite(server, OWNER)
    shared = Shared(tmp_path, tmp_path / "shared", server, owner)
    bundle = shared.blob(shared.find(f"encryption_bundle_{SERVER}_for_{OWNER}.json", SERVER))
    whole = bundle.read_bytes()
    bundle.write_bytes(content)
    assert not peers.accept(owner, SERVER)
    assert peers.fingerprint(owner, SERVER) == ""
    bundle.write_bytes(whole)
    assert peers.accept(owner, SERVER)
    assert peers.fingerprint(owner, SERVER) == peers.fingerprint(server)


# ------------------------------------------------------------------------------------- the folder


def test_two_folders_where_there_should_be_one_are_told(shared: Shared) -> None:
    assert shared.works()
    inbox = shared.there._folder(SERVER, outgoing=False)
    about = json.loads((shared.folder / f"{inbox}.json").read_bytes())
    shared.record("second", **{**about, "id": "second"})
    again = client(shared.root, OWNER)
    with pytest.raises(TransportError, match="2 folders where there should be one"):
        Channel(again).names(SERVER)
    assert shared.works()  # who knows the right one goes on with it


def test_all_files_deleted(shared: Shared) -> None:
    identity = shared.send(b"content")
    for path in shared.folder.iterdir():
        path.unlink()
    assert shared.there.names(SERVER) == {}
    with pytest.raises(BadMessage, match="has gone"):
        shared.there.receive(SERVER, identity)
    shared.here.clear(OWNER)
    peers.find_peers(shared.owner)
    assert peers.fingerprint(shared.owner, SERVER) == ""


@pytest.mark.parametrize("call", ["names", "send", "clear", "find_peers", "invite", "open"])
def test_a_folder_that_has_gone_is_told(shared: Shared, call: str) -> None:
    shared.folder.rename(shared.root / "unmounted")
    shared.folder.write_bytes(b"")
    calls = {
        "names": lambda: shared.there.names(SERVER),
        "send": lambda: shared.here.send(OWNER, "x", b"content"),
        "clear": lambda: shared.here.clear(OWNER),
        "find_peers": lambda: peers.find_peers(shared.owner),
        "invite": lambda: peers.invite(shared.server, "another@home.example"),
        "open": lambda: client(shared.root, "another@home.example"),
    }
    with pytest.raises(TransportError, match=r"shared folder .* can't be used") as found:
        calls[call]()
    assert "mounted" in found.value.hint


def test_a_record_deleted_while_it_is_used(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stores._StoreFiles.update

    def late(files: Any, **query: Any) -> Any:
        files._backing_store.delete_file(query["fileId"])
        return real(files, **query)

    with monkeypatch.context() as patch:
        patch.setattr(stores._StoreFiles, "update", late)
        with pytest.raises(TransportError, match="deleted while it was used"):
            client(shared.root, OWNER)
    assert shared.works()
