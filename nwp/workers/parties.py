"""Who takes part from where: an owner's or a server's folder, its identity and its way to the others.

    HOME/party.json    e-mail, transport, and for an owner the server with its key's fingerprint
    HOME/box/          PySyft's: the keys, the private dataset, its mock
    HOME/lock          held by the process that attends

The folder is for its owner's eyes alone (0700, files 0600): keys and text lie in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nwp.errors import BadInput, BadSettings, Refused
from nwp.files import told, write_atomic
from nwp.workers.adapter import clients, drives, stores

_PARTY, _BOX, _LOCK = "party.json", "box", "lock"
_EMAIL = re.compile(r"[A-Za-z0-9.+-]{1,64}@[A-Za-z0-9.-]{1,190}")
FOLDER, DRIVE = "folder", "drive"
_A_MOMENT = 0.05  # seconds


@dataclass(frozen=True)
class Party:
    """One participant: `email` is its name for the others (on Google Drive, its account's), and
    `transport` "folder:PATH" or "drive:TOKENFILE".

    An owner's `server` is the one that it works for; `fingerprint` is of that server's key, empty
    until it was seen for the first time.
    """

    folder: Path
    email: str
    transport: str
    server: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        for name in filter(None, (self.email, self.server)):
            if not _EMAIL.fullmatch(name):
                raise BadSettings(
                    f"{name!r} is no e-mail address of letters, digits, dots, + and -",
                    "On a shared folder it need not exist: ada@home.example will do.",
                )
        split_transport(self.transport)

    @property
    def is_owner(self) -> bool:
        """An owner works for a server; a server for nobody."""
        return bool(self.server)

    def save(self) -> None:
        """Write it to its folder, which is made, closed to others. NwpError where that can't be."""
        with told("a party's settings can't be written", "then try again."):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
            about = {k: v for k, v in asdict(self).items() if k != "folder"}
            write_atomic(self.folder / _PARTY, json.dumps(about, indent=1) + "\n", mode=0o600)

    def connect(self) -> clients.Client:
        """A client under this name, over this transport. Keys are made when there are none.

        TransportError where the transport can't be reached; BadInput for a folder that is gone.
        """
        kind, place = split_transport(self.transport)
        if kind == FOLDER:
            if not place.is_dir():
                raise BadInput(
                    f"the shared folder {place} is not there",
                    "Mount it, or give another one: --transport folder:PATH.",
                )
            connection = stores.in_folder(self.email, place)
        else:
            if not place.is_file():
                raise BadInput(
                    f"the token {place} for Google Drive is not there",
                    "Make one: nwp worker drive-token --help.",
                )
            connection = drives.on_drive(self.email, place)
        return clients.open_client(self.email, self.folder / _BOX, connection, owner=self.is_owner)

    def hold_to(self, seen: str) -> Party:
        """The party, with the server's fingerprint as seen for the first time; Refused when another
        one is known already: somebody else may have put a key in its place."""
        if self.fingerprint and seen and plain(seen) != plain(self.fingerprint):
            raise Refused(
                f"the key of {self.server} has the fingerprint {short(seen)}, "
                f"not {short(self.fingerprint)}",
                "Somebody may pose as the server. Ask its owner for the fingerprint by phone; if "
                "it has really changed, begin anew with nwp worker init.",
            )
        if seen and not self.fingerprint:
            known = replace(self, fingerprint=seen)
            known.save()
            return known
        return self


def split_transport(text: str) -> tuple[str, Path]:
    """Kind and place of a transport. BadSettings when it is none."""
    kind, _, place = text.partition(":")
    if kind not in (FOLDER, DRIVE) or not place:
        raise BadSettings(
            f"no transport {text!r}", "It is folder:PATH (a shared folder) or drive:TOKENFILE."
        )
    return kind, Path(place).expanduser()


def is_party(folder: Path) -> bool:
    """Is it the folder of a participant already?"""
    return (folder / _PARTY).exists()


def read_party(folder: Path, owner: bool | None = None) -> Party:
    """The participant that a folder is of: an owner or a server, if either is wanted. BadInput when there
    is none, or it can't be read."""
    path = folder / _PARTY
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        party = Party(folder, **about)
    except FileNotFoundError:
        raise BadInput(
            f"{folder} is no worker's or server's folder",
            "Begin with:  nwp worker init --help    or  nwp server init --help",
        ) from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} can't be read: {error}", "Restore it, or begin anew.") from error
    if owner is not None and party.is_owner != owner:
        here, wanted = (
            ("a worker's", "a server's") if party.is_owner else ("a server's", "a worker's")
        )
        raise BadInput(f"{folder} is {here} folder, not {wanted}", "Give another one: --home DIR.")
    return party


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; BadInput when another one attends to it."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try_lock(handle):
            time.sleep(_A_MOMENT)  # it may be one who only asks whether somebody is at work
            if not _try_lock(handle):
                raise BadInput(
                    f"another process is at work in {folder}", "Let it, or stop it first."
                )
        yield
    finally:
        os.close(handle)


def is_at_work(folder: Path) -> bool:
    """Does a process hold the folder now?"""
    try:
        handle = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def short(fingerprint: str) -> str:
    """A fingerprint as people read it to each other: the first 32 digits, by fours."""
    digits = plain(fingerprint)[:32]
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))


def same_fingerprint(told_by_owner: str, seen: str) -> bool:
    """Is what somebody was told (whole, or the 32 digits of `short`) this fingerprint?"""
    digits = plain(told_by_owner)
    return len(digits) >= 32 and plain(seen).startswith(digits)


def plain(fingerprint: str) -> str:
    """The digits of a fingerprint as it is written by people: without spaces, in small letters."""
    return "".join(fingerprint.split()).lower()
