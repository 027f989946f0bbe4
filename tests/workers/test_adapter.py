"""What the adapter and the channel lean on in syft, and each defect of syft that a guard is for.

A test here that fails after an update of syft says what to look at: a name that moved, or a defect
that was repaired (those tests show plain syft first, then the guard).
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import stat
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from syft.sync.connections.base_connection import ConnectionConfig
from syft.sync.connections.connection_router import ConnectionRouter
from syft.sync.connections.drive.gdrive_retry import execute_with_retries
from syft.sync.connections.drive.gdrive_transport import GDriveConnection, build_drive_service
from syft.sync.connections.drive.mock_drive_service import (
    MockDriveBackingStore,
    MockDriveFile,
    MockDriveService,
    MockFilesResource,
)
from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage
from syft.sync.peers.peer_store import PeerStore
from syft.sync.syftbox_manager import SyftboxManagerConfig, default_collections_folder
from syft.sync.sync.caches.datasite_owner_cache import DataSiteOwnerEventCacheConfig
from syft.sync.sync.caches.datasite_watcher_cache import DataSiteWatcherCacheConfig
from syft.sync.sync.datasite_owner_syncer import DatasiteOwnerSyncerConfig
from syft.sync.sync.datasite_watcher_syncer import DatasiteWatcherSyncerConfig
from syft.sync.version.peer_manager import PeerManagerConfig
from syft_datasets.config import PRIVATE_METADATA_FILENAME, SyftBoxConfig
from syft_datasets.dataset_storage import DatasetStorage
from syft_job import SyftJobConfig
from syft_job.client import JobClient
from syft_job.job import JobInfo
from syft_job.job_storage import JobStorage
from syft_permissions.spec.access import Access
from syft_permissions.spec.rule import Rule
from syft_permissions.spec.ruleset import PERMISSION_FILE_NAME, RuleSet
from syft_rds import SyftRDSClient, SyftRDSClientConfig
from syft_rds.config import DATASET_COLLECTION_SPECS

from nwp.errors import BadMessage
from nwp.workers.adapter import clients, datasets, peers, plan_jobs, stores
from nwp.workers.adapter.quiet import quiet
from nwp.workers.channel import PREFIX, Channel

SERVER, OWNER, STRANGER = "server@lab.example", "owner@home.example", "stranger@else.example"
PLAN = '{"a":1}\n'


@dataclass
class Parties:
    """A server and an owner who know each other, and a stranger who knows the owner."""

    store: Any
    server: Any
    owner: Any
    stranger: Any

    def review(self) -> Any:
        """The owner's jobs after a sync, by who sent them and their name."""
        clients.sync(self.owner)
        return {(job.submitted_by, job.name): job for job in plan_jobs.jobs(self.owner)}


@pytest.fixture
def parties(tmp_path: Path) -> Parties:
    store = stores.new_store()

    def client(email: str, owner: bool) -> Any:
        folder = tmp_path / email.split("@", maxsplit=1)[0] / "box"
        return clients.open_client(email, folder, stores.in_memory(email, store), owner=owner)

    found = Parties(store, client(SERVER, False), client(OWNER, True), client(STRANGER, False))
    for peer in (found.server, found.stranger):
        peers.enrol(peer, {OWNER: found.owner})
    return found


# ------------------------------------------------------------------------- names, as we call them

CONFIGS: dict[type[Any], set[str]] = {
    SyftboxManagerConfig: {
        "email",
        "syftbox_folder",
        "use_in_memory_cache",
        "has_do_role",
        "has_ds_role",
        "datasite_owner_syncer_config",
        "datasite_watcher_syncer_config",
        "peer_manager_config",
    },
    DatasiteOwnerSyncerConfig: {
        "email",
        "syftbox_folder",
        "connection_configs",
        "collections_folder",
        "collection_specs",
        "cache_config",
    },
    DataSiteOwnerEventCacheConfig: {
        "email",
        "syftbox_folder",
        "use_in_memory_cache",
        "collections_folder",
    },
    DatasiteWatcherSyncerConfig: {
        "email",
        "syftbox_folder",
        "connection_configs",
        "datasite_watcher_cache_config",
    },
    DataSiteWatcherCacheConfig: {
        "email",
        "syftbox_folder",
        "connection_configs",
        "use_in_memory_cache",
        "collection_specs",
    },
    PeerManagerConfig: {
        "email",
        "syftbox_folder",
        "connection_configs",
        "has_do_role",
        "has_ds_role",
        "use_encryption",
        "n_threads",
        "suppress_version_warnings",
    },
    SyftRDSClientConfig: {"sync", "dataset", "job"},
    SyftBoxConfig: {"syftbox_folder", "email"},
    SyftJobConfig: {"syftbox_folder", "current_user_email", "has_do_role"},
    ConnectionConfig: {"connection_type"},
    ConnectionRouter: {"connections", "peer_store"},
    RuleSet: {"terminal", "rules"},
    Rule: {"pattern", "access"},
    Access: {"read"},
    MockDriveBackingStore: {"files"},
    MockDriveFile: {"id", "name", "content", "parents"},
    ProposedFileChange: {"path_in_datasite"},
    ProposedFileChangesMessage: {"sender_email", "proposed_file_changes"},
}


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_models_have_the_fields_that_are_set_or_read(kind: type[Any]) -> None:
    """Most of them would take an unknown setting without a word, and encrypt nothing."""
    known = set(kind.model_fields) | set(kind.__class_vars__)
    assert CONFIGS[kind] - known == set()


SELF = object()
SERVICE = {"drive_service": 1}
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "connection": (GDriveConnection, (), {"email": "a"}),
    "setup": (GDriveConnection.setup, (SELF,), {"drive_service": 1}),
    "own inbox": (GDriveConnection._get_own_datasite_inbox_id, (SELF, "peer"), {}),
    "own outbox": (GDriveConnection._get_own_datasite_outbox_id, (SELF, "peer"), {}),
    "peer inbox": (GDriveConnection._get_peer_datasite_inbox_id, (SELF, "peer"), {}),
    "peer outbox": (GDriveConnection._get_peer_datasite_outbox_id, (SELF, "peer"), {}),
    "to inbox": (GDriveConnection.watcher_send_raw_bytes_to_inbox, (SELF, "peer", "n", b""), {}),
    "to outbox": (GDriveConnection.owner_write_raw_bytes_to_outbox, (SELF, "peer", "n", b""), {}),
    "drive": (GDriveConnection.setup, (SELF,), {**SERVICE, "warm_syftbox_folder_id_cache": False}),
    "build": (build_drive_service, ("credentials",), {}),
    "try again": (execute_with_retries, ("request",), {}),
    "copied": (GDriveConnection._copy_caches_to, (SELF, "other"), {}),
    "account": (GDriveConnection.get_authenticated_email, (SELF,), {}),
    "own folder": (GDriveConnection.get_personal_syftbox_folder_id, (SELF,), {}),
    "download": (GDriveConnection.download_file, (SELF, "file"), {}),
    "list of peers": (GDriveConnection._download_peers_json, (SELF,), {}),
    "file of peers": (GDriveConnection._get_peers_file_id, (SELF,), {}),
    "write peers": (GDriveConnection._write_peers_json, (SELF, {}), {}),
    "all folders": (GDriveConnection.get_syftbox_folder_id, (SELF,), {}),
    "known peers": (GDriveConnection._get_peers_json, (SELF,), {}),
    "requests": (GDriveConnection.get_peer_requests, (SELF,), {}),
    "key of a peer": (GDriveConnection.read_peer_encryption_bundle, (SELF, "peer"), {}),
    "one folder": (GDriveConnection._expect_one, (SELF, [("id", "name")]), {}),
    "copy": (GDriveConnection.copy, (SELF,), {}),
    "parsed key": (PeerStore._get_parsed_peer_bundle, (SELF, "peer"), {}),
    "delete": (MockFilesResource.delete, (SELF,), {"fileId": "file"}),
    "store service": (MockDriveService, ("store", "email"), {}),
    "store files": (MockFilesResource, ("store", "email"), {}),
    "store list": (MockFilesResource.list, (SELF,), {"pageSize": 1000, "q": ""}),
    "next change": (
        ConnectionRouter.owner_get_next_proposed_filechange_message,
        (SELF, "peer"),
        {},
    ),
    "same, by name": (
        ConnectionRouter.owner_get_next_proposed_filechange_message,
        (SELF,),
        {"sender_email": "peer"},
    ),
    "remove change": (
        ConnectionRouter.owner_remove_proposed_filechange_from_inbox,
        (SELF, "message"),
        {},
    ),
    "encrypt": (PeerStore.encrypt, (SELF, "peer", b""), {}),
    "verify": (PeerStore.verify_message, (SELF, "peer", b""), {}),
    "decrypt": (PeerStore.decrypt, (SELF, "peer", b""), {}),
    "collections": (default_collections_folder, (Path(), "email", DATASET_COLLECTION_SPECS), {}),
    "client": (SyftRDSClient.from_config, ("config",), {}),
    "submit": (JobClient.submit_bash_job, (SELF, "owner", "script"), {"job_name": "name"}),
    "find job": (JobStorage.find_submission_ref, (SELF, "owner", "name", "submitter"), {}),
    "job folder": (JobStorage.submission_dir, (SELF, "ref"), {}),
    "job state": (JobStorage.read_state, (SELF, "ref"), {}),
    "find dataset": (DatasetStorage.find_dataset_ref, (SELF, "owner", "name"), {}),
    "private folder": (DatasetStorage.private_dataset_dir, (SELF, "ref"), {}),
    "approve": (JobInfo.approve, (SELF, "reason"), {"approval_method": "auto"}),
    "reject": (JobInfo.reject, (SELF, "reason"), {}),
    "deposit": (JobInfo.accept_by_depositing_result, (SELF, "path"), {}),
    "save rules": (RuleSet.save, (SELF, Path()), {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_take_what_they_are_given(name: str) -> None:
    function, args, more = CALLS[name]
    inspect.signature(function).bind(*args, **more)


def test_jobs_and_clients_have_the_properties_that_are_read() -> None:
    for name in ("job_submission_path", "job_review_path", "status", "submitted_by", "name"):
        assert isinstance(getattr(JobInfo, name), property), name
    for name in ("email", "has_do_role", "syftbox_folder", "jobs", "peer_manager"):
        assert isinstance(getattr(SyftRDSClient, name), property), name
    assert (PERMISSION_FILE_NAME, PRIVATE_METADATA_FILENAME) == (
        "syft.pub.yaml",
        "private_metadata.yaml",
    )


def test_a_clients_parts_are_where_the_channel_takes_them_from(parties: Parties) -> None:
    owner, server = parties.owner.sync_engine, parties.server.sync_engine
    assert server.datasite_owner_syncer is None
    assert type(owner.datasite_owner_syncer.connection_router) is clients._CheckedRouter
    for client, syncer in (
        (parties.owner, owner.datasite_owner_syncer),
        (parties.server, server.datasite_watcher_syncer),
    ):
        router = syncer.connection_router
        assert router.peer_store.use_encryption is True
        assert [type(c) for c in router.connections] == [stores._StoreConnection]
        assert (client.syftbox_folder / "SYFT_version.json").exists()


def test_the_checked_router_overrides_what_the_owner_reads_with(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should syft read file messages by another method, the check would be passed by."""
    asked: list[str] = []

    def seen(self: Any, sender_email: str) -> None:
        asked.append(sender_email)

    monkeypatch.setattr(clients._CheckedRouter, "owner_get_next_proposed_filechange_message", seen)
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    assert parties.review() == {}
    assert sorted(asked) == [SERVER, STRANGER]


def test_folders_of_messages_are_the_same_seen_from_both_sides(parties: Parties) -> None:
    here, there = Channel(parties.server), Channel(parties.owner)
    down = here._folder(OWNER, outgoing=True)
    up = there._folder(SERVER, outgoing=True)
    assert isinstance(down, str)
    assert isinstance(up, str)
    assert down != up
    assert there._folder(SERVER, outgoing=False) == down
    assert here._folder(OWNER, outgoing=False) == up


def test_bytes_go_both_ways_and_their_senders_delete_them(parties: Parties) -> None:
    here, there = Channel(parties.server), Channel(parties.owner)
    for channel, other, me, peer in ((here, there, SERVER, OWNER), (there, here, OWNER, SERVER)):
        size = channel.send(peer, "x", b"content")
        (identity,) = other.names(me).values()
        assert other.names(me) == channel.names(peer, outgoing=True) == {"x": identity}
        stored = stores.stored_bytes(parties.store)[identity]
        assert len(stored) == size
        assert b"content" not in stored
        assert other.receive(me, identity) == (b"content", size)
        other.clear(me)  # not its own: it stays
        assert other.names(me) == {"x": identity}
        channel.clear(peer)
        assert other.names(me) == {}
        assert identity not in stores.stored_bytes(parties.store)


def test_a_job_goes_from_pending_to_done_with_its_result(parties: Parties) -> None:
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    assert plan_jobs.jobs(parties.owner) == []  # PRE_SYNC=false: nothing is fetched behind our back
    job = parties.review()[SERVER, "train"]
    assert (job.status, plan_jobs.job_files_fault(job), plan_jobs.job_plan(job)) == (
        "pending",
        None,
        PLAN,
    )
    plan_jobs.approve(job, SERVER)
    assert parties.review()[SERVER, "train"].status == "approved"
    plan_jobs.deposit(parties.owner, job, '{"done": 1}', "receipt.json")
    clients.sync(parties.server)
    (seen,) = plan_jobs.jobs(parties.server)
    assert seen.status == "done"
    with quiet():
        assert [p.read_text() for p in seen.output_paths] == ['{"done": 1}']


def test_one_job_is_found_as_it_is_among_all(parties: Parties) -> None:
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    plan_jobs.submit_job(parties.server, OWNER, "other", PLAN)
    plan_jobs.submit_job(parties.stranger, OWNER, "train", '{"b":2}\n')
    assert plan_jobs.find_job(parties.owner, SERVER, "train") is None  # not fetched yet
    for name in ("before", "after"):
        listed = parties.review()
        for (submitter, job), info in listed.items():
            found = plan_jobs.find_job(parties.owner, submitter, job)
            assert found is not None, name
            assert found.status == info.status
            assert found.job_submission_path == info.job_submission_path
            assert plan_jobs.job_digest(found) == plan_jobs.job_digest(info)
            assert plan_jobs.job_plan(found) == plan_jobs.job_plan(info)
        if name == "before":
            plan_jobs.approve(listed[SERVER, "train"], SERVER)
            plan_jobs.reject(listed[SERVER, "other"], "no")
    found = plan_jobs.find_job(parties.owner, SERVER, "train")
    assert found is not None
    assert found.status == "approved"
    assert plan_jobs.find_job(parties.owner, SERVER, "none") is None
    assert plan_jobs.find_job(parties.owner, STRANGER, "other") is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[", b"status: approved\n", None])
def test_a_job_whose_state_says_nothing_is_none(parties: Parties, content: bytes | None) -> None:
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    job = parties.review()[SERVER, "train"]
    plan_jobs.approve(job, SERVER)
    state = job.job_review_path / "state.yaml"
    state.unlink() if content is None else state.write_bytes(content)
    assert plan_jobs.find_job(parties.owner, SERVER, "train") is None


def test_one_thread_at_a_time_uses_syft_and_its_output_comes_back() -> None:
    """Two that redirect what is printed, one within the other's time, would leave it redirected."""
    real, inside = sys.stdout, threading.Event()
    order: list[str] = []

    def second() -> None:
        inside.wait()
        with quiet():
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with quiet(), quiet():  # one's own calls may be nested
        inside.set()
        thread.join(0.05)
        print("syft says")
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert sys.stdout is real


def test_a_rejected_job_tells_its_reason(parties: Parties) -> None:
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    plan_jobs.reject(parties.review()[SERVER, "train"], "not today")
    clients.sync(parties.owner)
    clients.sync(parties.server)
    (seen,) = plan_jobs.jobs(parties.server)
    assert (seen.status, seen.review_reason) == ("rejected", "not today")


def test_syft_is_kept_quiet(
    parties: Parties, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    plan_jobs.approve(parties.review()[SERVER, "train"], SERVER)
    clients.sync(parties.server)
    captured = capsys.readouterr()
    assert (captured.out, captured.err, caplog.text) == ("", "", "")


# --------------------------------------------------------------------------- defects and guards


@pytest.fixture(params=[False, True], ids=["plain syft", "guarded"])
def guarded(request: pytest.FixtureRequest, parties: Parties) -> bool:
    """The owner reads file messages with syft's own router, then with ours."""
    if not request.param:
        syncer = parties.owner.sync_engine.datasite_owner_syncer
        ours = syncer.connection_router
        syncer.connection_router = ConnectionRouter(
            connections=ours.connections, peer_store=ours.peer_store
        )
    return bool(request.param)


def propose(client: Any, sender: str, files: dict[str, str | bytes], old: str = "") -> None:
    """Send an owner file changes that name a sender; files by path below the jobs' folder."""
    replaced = hashlib.sha256(old.encode()).hexdigest() if old else None
    changes = [
        ProposedFileChange(
            datasite_email=OWNER,
            path_in_datasite=Path("app_data/job") / path,
            content=content,
            old_hash=replaced,
        )
        for path, content in files.items()
    ]
    syncer = client.sync_engine.datasite_watcher_syncer
    syncer.connection_router.watcher_send_proposed_file_changes_message(
        OWNER, ProposedFileChangesMessage(sender_email=sender, proposed_file_changes=changes)
    )


def sync_anyway(owner: Any) -> None:
    """Plain syft fails when it tells the owner as the sender, which is after it has written."""
    with contextlib.suppress(ValueError):
        clients.sync(owner)


def job_files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_job_in_anothers_name(parties: Parties, guarded: bool) -> None:
    plan_jobs.submit_job(parties.stranger, OWNER, "theirs", PLAN)
    (job,) = plan_jobs.jobs(parties.stranger)
    files = job_files(job.job_submission_path)
    propose(
        parties.stranger,
        SERVER,
        {f"inbox/{SERVER}/v1/forged/{path}": text for path, text in files.items()},
    )
    assert set(parties.review()) == {(STRANGER, "theirs")} | (
        set() if guarded else {(SERVER, "forged")}
    )


def test_an_approval_in_the_owners_name(parties: Parties, guarded: bool) -> None:
    plan_jobs.submit_job(parties.stranger, OWNER, "theirs", PLAN)
    job = parties.review()[STRANGER, "theirs"]
    plan_jobs.reject(job, "no")
    clients.sync(parties.owner)
    state = (job.job_review_path / "state.yaml").read_text()
    forged = state.replace("rejected", "approved")
    propose(parties.stranger, OWNER, {f"review/{STRANGER}/v1/theirs/state.yaml": forged}, old=state)
    sync_anyway(parties.owner)
    (job,) = plan_jobs.jobs(parties.owner)
    assert job.status == ("rejected" if guarded else "approved")


def test_a_path_that_climbs_out(parties: Parties, guarded: bool) -> None:
    propose(parties.stranger, OWNER, {"inbox/../../../private/x.txt": "poison"})
    sync_anyway(parties.owner)
    private = parties.owner.syftbox_folder / OWNER / "private"
    assert (private / "x.txt").exists() != guarded


@pytest.mark.parametrize("path", ["{inbox}/../../../../private/x.txt", "/{absolute}/x.txt"])
def test_a_path_outside_under_the_peers_own_name(
    parties: Parties, tmp_path: Path, path: str
) -> None:
    absolute = str(tmp_path / "owner").lstrip("/")
    propose(
        parties.stranger, STRANGER, {path.format(inbox=f"inbox/{STRANGER}", absolute=absolute): "x"}
    )
    clients.sync(parties.owner)
    assert list(tmp_path.rglob("x.txt")) == []


def test_messages_after_a_dropped_one_are_read(parties: Parties) -> None:
    propose(parties.stranger, SERVER, {f"inbox/{SERVER}/v1/forged/run.sh": "true\n"})
    plan_jobs.submit_job(parties.stranger, OWNER, "theirs", PLAN)
    assert set(parties.review()) == {(STRANGER, "theirs")}
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    assert set(parties.review()) == {(STRANGER, "theirs"), (SERVER, "train")}


def test_run_sh_replaced_after_approval_changes_the_digest(parties: Parties) -> None:
    """Syft lets the submitter replace it, and would run it."""
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    job = parties.review()[SERVER, "train"]
    pinned = plan_jobs.job_digest(job)
    plan_jobs.approve(job, SERVER)
    path = f"inbox/{SERVER}/v1/train/run.sh"
    propose(parties.server, SERVER, {path: "echo pwned\n"}, old=plan_jobs.RUN_SH)
    job = parties.review()[SERVER, "train"]
    assert (job.status, job.run_script) == ("approved", "echo pwned\n")
    assert plan_jobs.job_digest(job) != pinned
    assert plan_jobs.job_files_fault(job) == "the command is not the fixed one"


def test_jobs_with_other_files_are_faulty(parties: Parties) -> None:
    for name, more in {
        "another command": {"run.sh": "true\n"},
        "another script": {"code/script.sh": "true\n"},
        "no text": {"run.sh": b"\xff\xfe\x00"},
        "one more": {"code/more.py": "1\n"},
    }.items():
        plan_jobs.submit_job(parties.server, OWNER, name, PLAN)
        clients.sync(parties.owner)
        files = {f"inbox/{SERVER}/v1/{name}/{path}": text for path, text in more.items()}
        old = "" if "code/more.py" in more else plan_jobs.RUN_SH
        propose(parties.server, SERVER, files, old=old)
        job = parties.review()[SERVER, name]
        assert plan_jobs.job_files_fault(job) in (
            "the command is not the fixed one",
            "unexpected files",
        )
    plan_jobs.submit_job(parties.server, OWNER, "link", PLAN)
    job = parties.review()[SERVER, "link"]
    plan = job.job_submission_path / "code" / "plan.json"
    plan.rename(plan.with_name("real.json"))
    plan.symlink_to("real.json")
    assert plan_jobs.job_files_fault(job) == "a job file is a link"


@pytest.mark.parametrize("guard", [False, True], ids=["plain syft", "guarded"])
def test_logs_of_jobs_stay_at_home(
    parties: Parties, guard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not guard:
        monkeypatch.setattr(RuleSet, "save", lambda *_: None)
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    job = parties.review()[SERVER, "train"]
    plan_jobs.approve(job, SERVER)
    for name in ("stdout.txt", "stderr.txt", "returncode.txt"):
        (job.job_review_path / name).write_text("what the worker printed")
    clients.sync(parties.owner)
    clients.sync(parties.server)
    (seen,) = plan_jobs.jobs(parties.server)
    shared = {p.name for p in seen.job_review_path.rglob("*") if p.is_file()}
    assert "state.yaml" in shared
    assert bool(shared & {"stdout.txt", "stderr.txt", "returncode.txt"}) != guard


def test_listings_go_beyond_a_hundred_entries(parties: Parties) -> None:
    for i in range(120):
        file = MockDriveFile(name=f"x{i}", owners=[{"emailAddress": SERVER}])
        parties.store.add_file(file)
    found = {}
    for kind in (MockDriveService, stores._StoreService):
        listing = kind(parties.store, SERVER).files().list(q="name contains 'x'", fields=None)
        found[kind] = [f["name"] for f in listing.execute()["files"] if f["name"][0] == "x"]
    assert len(found[MockDriveService]) < 120
    assert len(found[stores._StoreService]) == 120


def test_all_messages_are_listed_however_many(parties: Parties) -> None:
    here, there = Channel(parties.server), Channel(parties.owner)
    write = here._drive.watcher_send_raw_bytes_to_inbox
    for i in range(105):
        write(OWNER, f"{PREFIX}{i}", b"")
    assert set(there.names(SERVER)) == {str(i) for i in range(105)}


def test_the_key_of_a_peer_must_be_known(parties: Parties) -> None:
    """`encrypt_if_needed`, which syft itself calls, sends plain bytes to whom it does not know."""
    keys = Channel(parties.server)._keys
    assert keys.encrypt_if_needed("nobody@else.example", b"plain") == b"plain"
    with pytest.raises(ValueError, match="No cached peer for nobody@"):
        Channel(parties.server).send("nobody@else.example", "x", b"plain")
    assert not any(b"plain" in content for content in stores.stored_bytes(parties.store).values())


def test_names_with_underscores_are_taken_for_syfts_own(parties: Parties) -> None:
    """Whatever they begin with: one such file in an inbox, and its owner can sync no more."""
    here, there = Channel(parties.server), Channel(parties.owner)
    here.send(OWNER, "0123456789abcdef.1.train", b"ours")
    clients.sync(parties.owner)
    assert set(there.names(SERVER)) == {"0123456789abcdef.1.train"}
    with pytest.raises(ValueError, match="syft may take it for one of its own"):
        here.send(OWNER, "a_1_b", b"ours")
    sealed = here._keys.encrypt(OWNER, b"not a tar file")
    here._drive.watcher_send_raw_bytes_to_inbox(OWNER, f"{PREFIX}a_1_b", sealed)
    assert set(there.names(SERVER)) == {"0123456789abcdef.1.train"}
    with pytest.raises(IndexError):
        clients.sync(parties.owner)


def test_whoever_knows_a_files_id_gets_its_bytes_but_not_its_content(parties: Parties) -> None:
    """The store checks no permission for that; so nothing lies there unencrypted but mocks."""
    here, there, third = (Channel(p) for p in (parties.server, parties.owner, parties.stranger))
    here.send(OWNER, "x", b"content of the message")
    (identity,) = there.names(SERVER).values()
    assert third.names(OWNER) == {}
    sealed = third._drive.download_file(identity)
    assert b"content" not in sealed
    with pytest.raises(BadMessage, match="is not what"):
        third.receive(OWNER, identity)


def test_a_dataset_leaves_its_private_file_at_home(parties: Parties, tmp_path: Path) -> None:
    datasets.create_dataset(
        parties.owner, [b"my secret text\n"], [b"made up\n"], "users.jsonl", SERVER
    )
    clients.sync(parties.owner)
    clients.sync(parties.server)
    (private,) = datasets.private_files(parties.owner)
    assert private.read_bytes() == b"my secret text\n"
    with quiet():
        assert [private] == parties.owner.dataset_manager.get(datasets.DATASET).private_files
    with pytest.raises(FileNotFoundError):
        datasets.private_files(parties.server)
    assert parties.owner.syftbox_folder in private.parents
    (mock,) = datasets.mock_files(parties.server, OWNER)
    assert mock.read_bytes() == b"made up\n"
    stored = stores.stored_bytes(parties.store).values()
    assert any(b"made up" in content for content in stored)  # mocks are plain, always
    assert not any(b"my secret" in content for content in stored)
    theirs = [p for name in ("server", "stranger") for p in (tmp_path / name).rglob("*")]
    assert not any(b"my secret" in p.read_bytes() for p in theirs if p.is_file())


def test_what_syft_leaves_open_lies_in_a_closed_folder(parties: Parties, tmp_path: Path) -> None:
    datasets.create_dataset(
        parties.owner, [b"my secret text\n"], [b"made up\n"], "users.jsonl", SERVER
    )
    (keys,) = (tmp_path / "owner").rglob("crypto_keys.json")
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    for name in ("owner", "server", "stranger"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    (private,) = datasets.private_files(parties.owner)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_the_server_cannot_write_where_it_has_no_business(parties: Parties) -> None:
    datasets.create_dataset(
        parties.owner, [b"my secret text\n"], [b"made up\n"], "users.jsonl", SERVER
    )
    plan_jobs.submit_job(parties.server, OWNER, "train", PLAN)
    job = parties.review()[SERVER, "train"]
    plan_jobs.reject(job, "no")
    clients.sync(parties.owner)
    state = job.job_review_path / "state.yaml"
    forged = state.read_text().replace("rejected", "approved")
    propose(
        parties.server,
        SERVER,
        {f"review/{SERVER}/v1/train/state.yaml": forged},
        old=state.read_text(),
    )
    propose(parties.server, SERVER, {f"inbox/{STRANGER}/v1/forged/run.sh": "true\n"})
    clients.sync(parties.owner)
    assert parties.review()[SERVER, "train"].status == "rejected"
    assert set(parties.review()) == {(SERVER, "train")}
