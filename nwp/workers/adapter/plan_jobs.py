"""Plans as syft's jobs: submitted, found, checked, approved or rejected, closed."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syft_permissions.spec.access import Access
from syft_permissions.spec.rule import Rule
from syft_permissions.spec.ruleset import PERMISSION_FILE_NAME, RuleSet

from nwp.temporary import TemporaryFolder
from nwp.workers.adapter.clients import Client, sync
from nwp.workers.adapter.quiet import quiet

PLAN_FILE = "plan.json"
# A job's one command. The owner's own program reads the plan; no code of the server's ever runs.
RUN_SH = 'exec "${NWP_WORKER:?}" code/plan.json\n'
_JOB_FILES = {"run.sh", "config.yaml", "code/script.sh", f"code/{PLAN_FILE}"}


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
