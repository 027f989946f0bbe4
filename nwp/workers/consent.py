"""What an owner was asked and has decided: plans, word for word, and under which program.

    HOME/plans/DIGEST.json   a plan, as it came
    HOME/plans.json          digest to what was decided of it, when, by whom; its bytes' SHA-256

What was approved is what runs. Before each use the plan's bytes are held against the digest that was
kept when it was approved, and so is the program: an owner who has approved a plan under one version
of nwp has not approved what another version makes of it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nwp.errors import BadInput, NwpError
from nwp.federated.plan import Plan, read_plan
from nwp.files import write_atomic
from nwp.workers.offers import Decision

_RECORDS, _PLANS = "plans.json", "plans"


class Changed(NwpError):
    """A plan or the program is no longer what was approved."""


@dataclass(frozen=True)
class Asked:
    """One plan: what was decided (`Decision`), when (RFC 3339, UTC), "by" policy or owner, and why
    not; digests (SHA-256) of its bytes and of the program at that time. `place` counts them up."""

    place: int
    decision: Decision
    came: str
    decided: str = ""
    by: str = ""
    reason: str = ""
    sha256: str = ""
    program: str = ""


@dataclass
class Consents:
    """The plans of one owner. What is decided in another process is seen at the next look."""

    folder: Path

    @property
    def all(self) -> dict[str, Asked]:
        """Plan digest to what is known of it, in the order they came. BadInput when damaged."""
        path = self.folder / _RECORDS
        try:
            stat = path.stat()
        except FileNotFoundError:
            return {}
        return dict(_read(path, (stat.st_mtime_ns, stat.st_ino, stat.st_size)))

    def came(self, digest: str, text: str, now: datetime | None = None) -> Asked:
        """Keep a plan that was asked for; one that is known already stays as it was decided."""
        known = self.all
        if digest not in known:
            write_atomic(self._plan(digest), text, mode=0o600)
            known[digest] = Asked(len(known) + 1, Decision.PENDING, _stamp(now))
            self._save(known)
        return known[digest]

    def decide(
        self,
        digest: str,
        decision: Decision,
        *,
        by: str,
        reason: str = "",
        now: datetime | None = None,
    ) -> Asked:
        """Write down a decision. An approval holds for the plan's bytes and the program as they are."""
        known = self.all
        if digest not in known:
            raise BadInput(f"no plan {digest[:12]} has come", "See:  nwp worker requests")
        approved = decision == Decision.APPROVED
        known[digest] = replace(
            known[digest],
            decision=decision,
            decided=_stamp(now),
            by=by,
            reason=reason,
            sha256=_sha256(self._plan(digest)) if approved else "",
            program=program_digest() if approved else "",
        )
        self._save(known)
        return known[digest]

    def find(self, name: str) -> str:
        """The digest that begins so, or has this number. BadInput when none or several do."""
        known = self.all
        found = [d for d, asked in known.items() if name == str(asked.place)] or [
            d for d in known if len(name) >= 4 and d.startswith(name.lower())
        ]
        if len(found) != 1:
            said = "several plans begin so" if found else f"no plan {name!r} has come"
            raise BadInput(said, "See:  nwp worker requests")
        return found[0]

    def lapsed(self, digest: str) -> bool:
        """Was a plan approved under another program than this one?"""
        asked = self.all.get(digest)
        approved = asked is not None and asked.decision == Decision.APPROVED
        return approved and asked is not None and asked.program != program_digest()

    def text(self, digest: str) -> str:
        """A plan, as it came."""
        try:
            return self._plan(digest).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"the plan {digest[:12]} is gone: {error}") from error

    def approved(self, digest: str) -> Plan:
        """An approved plan, for use now. Changed when it, or the program, is not as it was approved;
        BadInput when it is not approved."""
        asked = self.all.get(digest)
        if asked is None or asked.decision != Decision.APPROVED:
            raise BadInput(f"the plan {digest[:12]} is not approved")
        if asked.program != program_digest():
            raise Changed(
                f"nwp itself has changed since the plan {digest[:12]} was approved",
                f"Look at it again:  nwp worker approve {asked.place}",
            )
        if _sha256(self._plan(digest)) != asked.sha256:
            raise Changed(
                f"the plan {digest[:12]} has changed since it was approved",
                "Nothing runs under it any more; ask the server's owner for a new one.",
            )
        return _plan(self.text(digest))

    def _plan(self, digest: str) -> Path:
        return self.folder / _PLANS / f"{digest}.json"

    def _save(self, known: Mapping[str, Asked]) -> None:
        rows = {digest: asdict(asked) for digest, asked in known.items()}
        write_atomic(self.folder / _RECORDS, json.dumps(rows, indent=1) + "\n", mode=0o600)


@functools.lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, ...]) -> Mapping[str, Asked]:
    try:
        rows = json.loads(path.read_bytes())
        return {
            digest: Asked(**{**row, "decision": Decision(row["decision"])})
            for digest, row in rows.items()
        }
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise BadInput(
            f"{path} is damaged: {error}", "Move it away: all plans must be approved anew then."
        ) from error


@functools.lru_cache(maxsize=4)
def _plan(text: str) -> Plan:
    return read_plan(text)


def program_digest() -> str:
    """SHA-256 over all files of the program, by name: what runs when a plan runs."""
    root = Path(__file__).resolve().parents[1]
    files = sorted(root.rglob("*.py"))
    stamps = tuple((str(p), (s := p.stat()).st_mtime_ns, s.st_size) for p in files)
    return _digest(root, stamps)


@functools.lru_cache(maxsize=2)
def _digest(root: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _, size in stamps:
        digest.update(f"{os.path.relpath(name, root)}\0{size}\0".encode())
        digest.update(Path(name).read_bytes())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "gone"


def _stamp(now: datetime | None) -> str:
    return (now or datetime.now(UTC)).isoformat(timespec="seconds")
