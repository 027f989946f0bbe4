"""What an owner was asked and has decided: plans, word for word, and under which program.

    HOME/plans/DIGEST.json   a plan, as it came
    HOME/plans.json          digest to what was decided of it, when, by whom
    HOME/plans.lock          held by who changes them

Nobody fills an owner's disk with plans: so many wait for a decision, and of those that the rules
have decided the last are kept. One that was dropped is decided anew when it comes again.

What was approved is what runs. A plan is called by the SHA-256 of its bytes, and they are held against
that before each use. So is the program against what it was when the plan was approved: who has approved
a plan under one version of nwp has not approved what another version makes of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nwp.errors import BadInput, NwpError, Refused
from nwp.federated.plan import Plan
from nwp.federated.plan_text import read_plan
from nwp.files import write_atomic
from nwp.workers.offers import Decision

_RECORDS, _PLANS, _LOCK = "plans.json", "plans", "plans.lock"
MOST_WAITING = 20  # plans that nobody has decided yet
MOST_RULED = 200  # plans that the rules have decided
BY_POLICY, BY_OWNER = "policy", "owner"


class Changed(NwpError):
    """A plan or the program is no longer what was approved."""


@dataclass(frozen=True)
class Asked:
    """One plan: what was decided (`Decision`), when (RFC 3339, UTC), "by" policy or owner, and why
    not; the digest (SHA-256) of the program at that time. `place` counts them up."""

    place: int
    decision: Decision
    came: str
    decided: str = ""
    by: str = ""
    reason: str = ""
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
        """Keep a plan that was asked for; one that is known already stays as it was decided. Refused when
        too many wait for a decision."""
        with self._alone():
            known = self.all
            if digest not in known:
                if self.full:
                    raise Refused(f"{MOST_WAITING} plans wait for a decision already")
                write_atomic(self._plan(digest), text, mode=0o600)
                place = 1 + max((asked.place for asked in known.values()), default=0)
                known[digest] = Asked(place, Decision.PENDING, _stamp(now))
                self._save(known)
            return known[digest]

    @property
    def full(self) -> bool:
        """Do as many plans wait for a decision as may?"""
        waiting = (asked.decision == Decision.PENDING for asked in self.all.values())
        return sum(waiting) >= MOST_WAITING

    def decide(
        self,
        digest: str,
        decision: Decision,
        *,
        by: str,
        reason: str = "",
        now: datetime | None = None,
    ) -> Asked:
        """Write down a decision. An approval holds for the program as it is. Changed when the plan that is
        to be approved is not as it came."""
        approved = decision == Decision.APPROVED
        with self._alone():
            known = self.all
            if digest not in known:
                raise BadInput(f"no plan {digest[:12]} has come", "See:  nwp worker requests")
            if approved:
                self._hold(digest)
            known[digest] = replace(
                known[digest],
                decision=decision,
                decided=_stamp(now),
                by=by,
                reason=reason,
                program=program_digest() if approved else "",
            )
            ruled = [d for d, asked in known.items() if asked.by == BY_POLICY]
            for old in ruled[:-MOST_RULED]:
                del known[old]
            self._save(known)
            for old in ruled[:-MOST_RULED]:
                self._plan(old).unlink(missing_ok=True)
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
        """A plan, as it came. BadInput when it is gone, Changed when it is another."""
        self._hold(digest)
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
        return _plan(self.text(digest))

    def _hold(self, digest: str) -> None:
        """Hold a plan's bytes against what it is called by."""
        if (found := _sha256(self._plan(digest))) not in (digest, "gone"):
            raise Changed(
                f"the plan {digest[:12]} has changed since it came: it is {found[:12]} now",
                "Nothing runs under it; ask the server's owner for a new one.",
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time reads and writes again: no decision of the owner's is lost between."""
        handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

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
