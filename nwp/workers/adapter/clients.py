"""A participant's client: syft's, opened with its holes closed, and made to exchange files when told to."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from syft.sync.connections.connection_router import ConnectionRouter
from syft.sync.messages.proposed_filechange import ProposedFileChangesMessage
from syft.sync.syftbox_manager import SyftboxManagerConfig, default_collections_folder
from syft.sync.sync.caches.datasite_owner_cache import DataSiteOwnerEventCacheConfig
from syft.sync.sync.caches.datasite_watcher_cache import DataSiteWatcherCacheConfig
from syft.sync.sync.datasite_owner_syncer import DatasiteOwnerSyncerConfig
from syft.sync.sync.datasite_watcher_syncer import DatasiteWatcherSyncerConfig
from syft.sync.version.peer_manager import PeerManagerConfig
from syft_datasets.config import SyftBoxConfig
from syft_job import SyftJobConfig
from syft_rds import SyftRDSClient, SyftRDSClientConfig
from syft_rds.config import DATASET_COLLECTION_SPECS

from nwp.workers.adapter.quiet import quiet

os.environ.setdefault("PRE_SYNC", "false")  # no hidden sync() inside .jobs and .datasets
logging.getLogger("syft").setLevel(logging.ERROR)  # its import has set another level

# Compaction fails on files that are no text, and a run's box is short-lived.
_SYNC = {"auto_checkpoint": False, "auto_compact": False}

# Syft has no types that a checker could follow.
Client = Any


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
    """A data owner's or the server's client over a connection (`stores`, `drives`).

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


def sync(client: Client) -> None:
    """Exchange files (mocks, jobs and their states) with the store, now and only now."""
    with quiet():
        client.sync(**_SYNC)
