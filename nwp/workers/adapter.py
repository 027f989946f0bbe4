"""The one module that imports syft: clients, peers, private datasets, jobs.

Written for syft 0.10.0 and syft-rds 0.6.1. Syft has the parts that governance needs (datasites,
datasets with a mock, jobs that an owner approves, encrypted files over a store) and some defects
that a program must guard against; each guard says which. Everything used of syft that is not
documented as public is listed in `tests/workers/test_adapter.py`, which fails on the day it changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("PRE_SYNC", "false")  # no hidden sync() inside .jobs and .datasets

from pydantic import ConfigDict, PrivateAttr
from syft.sync.connections.base_connection import ConnectionConfig
from syft.sync.connections.connection_router import ConnectionRouter
from syft.sync.connections.drive.gdrive_retry import execute_with_retries
from syft.sync.connections.drive.gdrive_transport import GDriveConnection, build_drive_service
from syft.sync.connections.drive.mock_drive_service import (
    MockDriveBackingStore,
    MockDriveService,
    MockFilesResource,
    MockPermission,
)
from syft.sync.messages.proposed_filechange import ProposedFileChangesMessage
from syft.sync.syftbox_manager import SyftboxManagerConfig, default_collections_folder
from syft.sync.sync.caches.datasite_owner_cache import DataSiteOwnerEventCacheConfig
from syft.sync.sync.caches.datasite_watcher_cache import DataSiteWatcherCacheConfig
from syft.sync.sync.datasite_owner_syncer import DatasiteOwnerSyncerConfig
from syft.sync.sync.datasite_watcher_syncer import DatasiteWatcherSyncerConfig
from syft.sync.version.peer_manager import PeerManagerConfig
from syft_crypto_python import SyftPublicKeyBundle
from syft_datasets.config import PRIVATE_METADATA_FILENAME, SyftBoxConfig
from syft_job import SyftJobConfig
from syft_permissions.spec.access import Access
from syft_permissions.spec.rule import Rule
from syft_permissions.spec.ruleset import PERMISSION_FILE_NAME, RuleSet
from syft_rds import SyftRDSClient, SyftRDSClientConfig
from syft_rds.config import DATASET_COLLECTION_SPECS

from nwp.errors import BadMessage, TransportError
from nwp.temporary import TemporaryFolder
from nwp.workers import drive
from nwp.workers.folder import FolderStore, StoredFile, open_store
from nwp.workers.hush import hushed

logging.getLogger("syft").setLevel(logging.ERROR)

DATASET = "corpus"
PLAN_FILE = "plan.json"
# A job's one command. The owner's own program reads the plan; no code of the server's ever runs.
RUN_SH = 'exec "${NWP_WORKER:?}" code/plan.json\n'
_JOB_FILES = {"run.sh", "config.yaml", "code/script.sh", f"code/{PLAN_FILE}"}
# Compaction fails on files that are no text, and a run's box is short-lived.
_SYNC = {"auto_checkpoint": False, "auto_compact": False}
# Bytes that syft itself reads of one file: lists of peers, keys, versions, and a job's or a mock's files.
_MOST_SYNCED = 1 << 28
_MOST_LIST = 1 << 24  # of a list of peers and their keys; some hundred bytes each
_ADDRESS = re.compile(r"[0-9A-Za-z.!#$%&*+/=?^_`{|}~-]{1,64}@[0-9A-Za-z.-]{1,255}")

# Syft has no types that a checker could follow.
Client = Any


_ALONE = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Around calls of syft: one thread at a time, for it makes no promise about threads, and without
    the progress that it prints.
    What fails on the way to the others is told as a TransportError."""
    with _ALONE, hushed(), drive.told():
        try:
            yield
        except Exception as error:
            if type(error) is Exception and str(error).startswith("File not found"):
                raise TransportError(  # a store's own way to say that
                    "a file was deleted while it was used", "Try again."
                ) from error
            raise


# ----------------------------------------------------------------------------------- connections


class _StoreFiles(MockFilesResource):  # type: ignore[misc]
    """The store's files, without syft's limit of 100 a listing (which loses the 51st owner)."""

    def list(self, **query: Any) -> Any:
        return super().list(**{"pageSize": 1000, **query})


class _StoreService(MockDriveService):  # type: ignore[misc]
    """A drive over a store in memory or in a folder, as one participant sees it."""

    def files(self) -> _StoreFiles:
        return _StoreFiles(self._backing_store, self._current_user)


class _Connection(GDriveConnection):  # type: ignore[misc]
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


class _StoreConnection(_Connection):
    """Over a store in memory or in a folder."""

    @classmethod
    def from_config(cls, config: StoreConnectionConfig | FolderConnectionConfig) -> Any:
        connection = cls(email=config.email)
        connection.setup(drive_service=_StoreService(config.store, config.email))
        return connection

    def copy(self) -> Any:
        """Another of the same kind: syft's would be without the bounds."""
        other = type(self)(email=self.email, wanted=set(self.wanted))
        other.setup(drive_service=self.drive_service, warm_syftbox_folder_id_cache=False)
        self._copy_caches_to(other)
        return other

    def read_at_most(self, file_id: str, most: int) -> bytes:
        file = self.drive_service._backing_store.get_file(file_id)
        if file is None:
            raise drive.gone()
        try:
            content = file.head(most + 1) if isinstance(file, StoredFile) else file.content
        except OSError as error:
            raise drive.gone() from error
        if len(content) > most:
            raise drive.too_large(most)
        return bytes(content)

    def files_of_each(self, folders: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """In one look at the store, whose every listing goes through all that lies there. Whoever may read
        a folder may read what is in it."""
        found: dict[str, dict[str, str]] = {folder: {} for folder in folders}
        for file in self.drive_service._backing_store.files.values():
            folder = file.parents[0] if file.parents else ""
            if folder not in found or file.trashed:
                continue
            if any(owner.get("emailAddress") == folders[folder] for owner in file.owners):
                found[folder][file.id] = file.name
        return found

    def delete(self, file_id: str) -> None:
        if self.drive_service._backing_store.get_file(file_id):
            self.drive_service.files().delete(fileId=file_id).execute()


class _DriveConnection(_Connection):
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


class StoreConnectionConfig(ConnectionConfig):  # type: ignore[misc]
    """Connects one participant to a store that all share."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    connection_type: ClassVar[type] = _StoreConnection
    email: str
    store: Any


class FolderConnectionConfig(ConnectionConfig):  # type: ignore[misc]
    """Connects one participant to a folder that all share."""

    connection_type: ClassVar[type] = _StoreConnection
    email: str
    folder: Path

    @property
    def store(self) -> FolderStore:
        """The store in the folder, one for each process."""
        return open_store(self.folder, MockPermission)


class DriveConnectionConfig(ConnectionConfig):  # type: ignore[misc]
    """Connects one participant to Google Drive."""

    connection_type: ClassVar[type] = _DriveConnection
    email: str
    token_path: Path
    _made: Any = PrivateAttr(default=None)


def in_memory(email: str, store: Any) -> Any:
    """The way to a store in memory, for one of the participants of one process."""
    return StoreConnectionConfig(email=email, store=store)


def in_folder(email: str, folder: Path) -> Any:
    """The way to a store in a shared folder."""
    return FolderConnectionConfig(email=email, folder=folder)


def on_drive(email: str, token: Path) -> Any:
    """The way to the Google Drive of the account `email`, by a token file (`drive.make_token`).

    Opening a client over it raises BadInput for what is no token, BadSettings for a token of another
    account, and TransportError for all that Drive and the network may say.
    """
    return DriveConnectionConfig(email=email, token_path=token)


def new_store() -> Any:
    """An empty store in memory, for participants of one process."""
    return MockDriveBackingStore()


def stored_bytes(store: Any) -> dict[str, bytes]:
    """File id to content of everything in a store, as whoever runs the store sees it."""
    return {str(identity): file.content for identity, file in store.files.items()}


class _CheckedRouter(ConnectionRouter):  # type: ignore[misc]
    """An owner's reader of file messages that closes the gravest hole of syft 0.10.

    Syft believes the sender named inside a message: any peer could submit a job as another, or
    approve its own as the owner. Here a message counts only for the peer whose inbox (and, with
    encryption, whose signature) it is, and only for paths inside the datasite.
    """

    def owner_get_next_proposed_filechange_message(
        self, sender_email: str
    ) -> ProposedFileChangesMessage | None:
        while message := super().owner_get_next_proposed_filechange_message(sender_email):
            paths = [change.path_in_datasite for change in message.proposed_file_changes]
            honest = message.sender_email == sender_email
            if honest and not any(".." in p.parts or p.is_absolute() for p in paths):
                return message
            message.sender_email = sender_email  # archived under the name of who really sent it
            self.owner_remove_proposed_filechange_from_inbox(message)
        return None


def open_client(email: str, folder: Path, connection: Any, *, owner: bool) -> Client:
    """A data owner's or the server's client over a connection (`in_memory`, `in_folder`, `on_drive`).

    Syft leaves keys and private data readable by every user of the machine, so the box's parent
    folder is made here, closed to others.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    collections = default_collections_folder(folder, email, DATASET_COLLECTION_SPECS)
    who = {"email": email, "syftbox_folder": folder, "connection_configs": [connection]}
    owner_cache = DataSiteOwnerEventCacheConfig(
        email=email,
        syftbox_folder=folder,
        use_in_memory_cache=False,  # with True an owner sees no jobs
        collections_folder=collections,
    )
    sync = SyftboxManagerConfig(
        email=email,
        syftbox_folder=folder,
        use_in_memory_cache=False,
        has_do_role=owner,
        has_ds_role=not owner,
        datasite_owner_syncer_config=DatasiteOwnerSyncerConfig(
            **who,
            collections_folder=collections,
            collection_specs=DATASET_COLLECTION_SPECS,
            cache_config=owner_cache,
        ),
        datasite_watcher_syncer_config=DatasiteWatcherSyncerConfig(
            **who,
            datasite_watcher_cache_config=DataSiteWatcherCacheConfig(
                **who, use_in_memory_cache=False, collection_specs=DATASET_COLLECTION_SPECS
            ),
        ),
        peer_manager_config=PeerManagerConfig(
            **who,
            has_do_role=owner,
            has_ds_role=not owner,
            use_encryption=True,
            n_threads=2,
            suppress_version_warnings=True,
        ),
    )
    config = SyftRDSClientConfig(
        sync=sync,
        dataset=SyftBoxConfig(syftbox_folder=folder, email=email),
        job=SyftJobConfig(syftbox_folder=folder, current_user_email=email, has_do_role=owner),
    )
    with quiet():
        client = SyftRDSClient.from_config(config)
        if syncer := client.sync_engine.datasite_owner_syncer:
            old = syncer.connection_router
            syncer.connection_router = _CheckedRouter(
                connections=old.connections, peer_store=old.peer_store
            )
        for keys in folder.glob("*/private/crypto_keys.json"):
            keys.chmod(0o600)  # syft leaves 0644
        client.peer_manager.write_own_version()  # peers skip a client without a version file
    return client


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


def sync(client: Client) -> None:
    """Exchange files (mocks, jobs and their states) with the store, now and only now."""
    with quiet():
        client.sync(**_SYNC)


# -------------------------------------------------------------------------------------- datasets


def create_dataset(
    client: Client, private: Iterable[bytes], mock: Iterable[bytes], name: str, reader: str
) -> None:
    """Register one private file with its mock; only the mock ever leaves the datasite.

    Both are given piece by piece.
    """
    with TemporaryFolder() as temporary, quiet():
        for part, content in (("private", private), ("mock", mock)):
            folder = temporary.path / part
            folder.mkdir(mode=0o700)
            with (folder / name).open("wb") as file:
                file.writelines(content)
        dataset = client.create_dataset(
            name=DATASET,
            mock_path=temporary.path / "mock",
            private_path=temporary.path / "private",
            summary="Messages of some users, one JSON object a line",
            users=[reader],
            upload_private=False,  # True would upload plain text even with encryption on
            sync=False,
        )
        for path in dataset.private_files:
            path.chmod(0o600)  # syft leaves 0644


def put_dataset(
    client: Client, private: Iterable[bytes], mock: Iterable[bytes], name: str, reader: str
) -> None:
    """`create_dataset`, or put another private file in the place of the one that is there."""
    try:
        files = private_files(client)
    except FileNotFoundError:
        files = []
    if not files:
        create_dataset(client, private, mock, name, reader)
        return
    # Beside the dataset's folder, where nobody looks for its files.
    beside = files[0].parent.with_name(f".{files[0].name}.partial")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.writelines(private)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(files[0])


def private_files(client: Client) -> list[Path]:
    """Owner: the files that the private dataset points to, on the owner's own disk.

    Found as syft's own `private_files` does, without reading the dataset's description, which says
    nothing about them. FileNotFoundError without such a dataset.
    """
    with quiet():
        storage = client.dataset_manager.storage
        folder = storage.private_dataset_dir(storage.find_dataset_ref(client.email, DATASET))
    notes = (PERMISSION_FILE_NAME, PRIVATE_METADATA_FILENAME)
    return [Path(f) for f in folder.iterdir() if f.is_file() and f.name not in notes]


def mock_files(client: Client, owner: str) -> list[Path]:
    """Server: the mock that an owner shares."""
    with quiet():
        return [Path(p) for p in client.dataset_manager.get(DATASET, datasite=owner).mock_files]


# ------------------------------------------------------------------------------------------ jobs


def submit_job(server: Client, owner: str, name: str, plan: str) -> None:
    """Submit a plan as a job of one fixed command and one data file."""
    with quiet():
        folder = server.job_client.submit_bash_job(owner, RUN_SH, job_name=name)
        (folder / "code" / PLAN_FILE).write_text(plan, encoding="utf-8")
        server.sync_engine.push_job_files(folder)


def jobs(client: Client) -> list[Any]:
    """The jobs that a client knows of, as of its last sync."""
    with quiet():
        return list(client.jobs)


@dataclass(frozen=True)
class FoundJob:
    """One job as it lies on the owner's disk now: its state in a word, and its files."""

    status: str
    job_submission_path: Path


def find_job(client: Client, submitter: str, name: str) -> FoundJob | None:
    """Owner: a job by who submitted it and its name, both of which syft takes from where it lies.

    `jobs` reads and describes all jobs to the same end. None when there is no such job, more than
    one, or its state can't be read: `jobs` leaves those out, too.
    """
    manager = client.job_client.manager
    with quiet(), contextlib.suppress(Exception):
        ref = manager.find_submission_ref(client.email, name, submitter)
        return FoundJob(manager.read_state(ref).status.value, manager.submission_dir(ref))
    return None


def job_files_fault(job: Any) -> str | None:
    """Why a job's files are not those of a plan, or None. Nothing is run to find out.

    Syft's own check of submitted code leaves run.sh out: it must be held to the fixed command here.
    """
    root = job.job_submission_path
    paths = [p for p in root.rglob("*") if p.is_file() or p.is_symlink()]
    if any(p.is_symlink() for p in paths):
        return "a job file is a link"
    if {str(p.relative_to(root)) for p in paths} != _JOB_FILES:
        return "unexpected files"
    if any((root / f).read_bytes() != RUN_SH.encode() for f in ("run.sh", "code/script.sh")):
        return "the command is not the fixed one"
    return None


def job_plan(job: Any) -> str:
    """The plan's text in a job."""
    text: str = (job.job_submission_path / "code" / PLAN_FILE).read_text(encoding="utf-8")
    return text


def job_digest(job: Any) -> str:
    """SHA-256 over every submitted file of a job (path, size and bytes).

    Files may still be overwritten after approval: an owner pins this and compares before each use.
    """
    root = job.job_submission_path
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def approve(job: Any, reader: str) -> None:
    """Owner: approve a job. Its logs stay at home; without this rule syft would share them."""
    rules = RuleSet(
        terminal=True,
        rules=[
            Rule(pattern=pattern, access=Access(read=[reader]))
            for pattern in ("state.yaml", "outputs/**")
        ],
    )
    with quiet():
        job.job_review_path.mkdir(parents=True, exist_ok=True)
        rules.save(job.job_review_path / PERMISSION_FILE_NAME)
        job.approve("plan within the limits", approval_method="auto")


def reject(job: Any, reason: str) -> None:
    """Owner: reject a job; the submitter reads the reason."""
    with quiet():
        job.reject(reason)


def deposit(client: Client, job: Any, result: str, name: str) -> None:
    """Owner: close a job with a small text as its result."""
    with TemporaryFolder() as temporary, quiet():
        path = temporary.path / name
        path.write_text(result, encoding="utf-8")
        job.accept_by_depositing_result(str(path))
    sync(client)
