"""The lines of a ledger: what they hold, how they are written, and how they hang together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.errors import BadInput

KINDS = ("answer", "refuse", "hello", "decision", "receipt")
NONE_BEFORE = "0" * 64
_BROKEN = (
    "Nothing is answered with it, for what was answered before can't be told; an older copy lacks the "
    "last answers. Withdraw every approval, move it away to look into who changed it, and begin anew."
)


@dataclass(frozen=True)
class Entry:
    """One message that left.

    `n` counts from 1; `time` is RFC 3339 in UTC; `to` is the peer; `kind` is one of `KINDS`; `bytes` and
    `sha256` are the message's, `request` is the SHA-256 of the request that it answers, or "". `norm` is
    the L2 norm of the update that left, None where none did or nobody computed it; `epsilon` the privacy
    spent by it. `prev` is the hash of the entry before, `hash` the SHA-256 of all the rest as JSON.
    """

    n: int
    time: str
    to: str
    kind: str
    job: str
    phase: str
    round: int
    bytes: int
    sha256: str
    request: str
    norm: float | None
    epsilon: float
    prev: str
    hash: str


def read_entries(raw: bytes, path: Path) -> list[Entry]:
    """The entries of a ledger's whole lines; BadInput naming `path` and the first line that is not as
    it was written."""
    entries: list[Entry] = []
    head = NONE_BEFORE
    for number, line in enumerate(raw.split(b"\n")[:-1], 1):
        try:
            content = json.loads(line)
            entry = Entry(**content)
            fault = fault_of(entry)
        except (ValueError, TypeError, RecursionError) as error:
            raise broken(path, number, "it is no entry") from error
        if fault or line + b"\n" != line_of(entry):
            raise broken(path, number, fault or "it is no entry as they are written")
        if _hash(entry) != entry.hash:
            raise broken(path, number, "it was changed")
        if (entry.n, entry.prev) != (number, head):
            raise broken(path, number, "it does not follow the line before")
        entries.append(entry)
        head = entry.hash
    return entries


def broken(path: Path, line: int, why: str) -> BadInput:
    """The error of a ledger whose chain breaks at a line."""
    return BadInput(f"the ledger {path} is broken at line {line}: {why}", _BROKEN)


def fault_of(entry: Entry) -> str:
    """What is wrong with the types or ranges of an entry; "" for nothing."""
    texts = (entry.time, entry.to, entry.job, entry.phase, entry.sha256, entry.request, entry.prev)
    if not all(type(text) is str for text in (*texts, entry.hash)):
        return "a text in it is none"
    if not all(type(number) is int for number in (entry.n, entry.round, entry.bytes)):
        return "a whole number in it is none"
    norm = 0.0 if entry.norm is None else entry.norm
    if not all(type(x) is float and 0 <= x < math.inf for x in (norm, entry.epsilon)):
        return "norm and epsilon must be finite numbers, 0 or above"
    return "" if entry.kind in KINDS else f"its kind is none of {', '.join(KINDS)}"


def sealed(**content: Any) -> Entry:
    """An entry with its hash, from all the rest."""
    entry = Entry(**content, hash="")
    return dataclasses.replace(entry, hash=_hash(entry))


def _hash(entry: Entry) -> str:
    rest = {name: value for name, value in vars(entry).items() if name != "hash"}
    return hashlib.sha256(_json(rest)).hexdigest()


def line_of(entry: Entry) -> bytes:
    """An entry as it stands in the file."""
    return _json(vars(entry)) + b"\n"


def _json(content: dict[str, Any]) -> bytes:
    """The one way to write an entry: sorted keys, no spaces, ASCII alone."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
