"""What a joint training writes down of its members, in the folder of its run.

OUT/run/cohorts.jsonl  who took part in which round: a row for each exchange
OUT/run/survey.json    what they answered to the survey of words
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nwp.errors import BadMessage
from nwp.federated.parcel import Envelope, Parcel, pack, unpack
from nwp.federated.plan import Plan, SurveyPlan
from nwp.federated.plan_text import plan_digest
from nwp.federated.protocol import FOR_ALL, Exchange, Phase, Replies, Wait
from nwp.federated.surveying import SURVEY
from nwp.files import write_atomic
from nwp.workers.jobs import Job
from nwp.workers.network import Network

COHORTS, _SURVEY = "cohorts.jsonl", "survey.json"


@dataclass
class Recorded:
    """A network whose rounds are written down in the folder of a run, and what its survey has brought.

    A run that goes on (`resume`) has the words, and so the plan, that it was begun with, also when
    somebody who has told words then is away now.
    """

    network: Network
    folder: Path
    resume: bool
    _surveyed: dict[str, bytes] = field(default_factory=dict)

    @property
    def deals(self) -> Mapping[str, Sequence[int]]:
        """As the network's (`nwp.workers.jobs.Federation`)."""
        return self.network.deals

    def submit(self, plan: Plan, name: str) -> Job:
        """As the network's; a survey whose answers were kept is not asked for again."""
        if isinstance(plan, SurveyPlan) and self.resume:
            self._surveyed = _kept_answers(self.folder / _SURVEY, plan)
        if isinstance(plan, SurveyPlan) and self._surveyed:
            return Job(plan, plan_digest(plan), tuple(self._surveyed), {})
        return self.network.submit(plan, name)

    def close(self, job: Job) -> None:
        """As the network's."""
        if isinstance(job.plan, SurveyPlan) and self.resume and self._surveyed:
            return  # nobody was asked, and what is offered for training may lie there
        self.network.close(job)

    def exchange(self, job: Job) -> Exchange:
        """The network's, which writes down what came of each exchange of training."""
        if isinstance(job.plan, SurveyPlan):
            return self._survey(job)
        inner, path = self.network.exchange(job), self.folder / COHORTS
        if self._surveyed:  # now that the run has a folder
            _keep_answers(self.folder / _SURVEY, self._surveyed)
        _end_line(path)

        def ask(
            phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
        ) -> Replies:
            replies = inner(phase, number, requests, wait)
            row = {
                "job": job.digest,
                "round": number,
                "phase": phase.name,
                "answered": sorted(replies.answers),
                "late": list(replies.late),
                "absent": dict(replies.absent),
                "refused": list(replies.refused),
                "seconds": round(replies.waited, 3),
                "bytes_down": replies.bytes_down,
                "bytes_up": replies.bytes_up,
            }
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            return replies

        return ask

    def _survey(self, job: Job) -> Exchange:
        """Ask for words, or give the answers that were kept."""
        inner = self.network.exchange(job)

        def ask(
            phase: Phase, number: int, requests: Mapping[str, Parcel], wait: Wait = FOR_ALL
        ) -> Replies:
            schema, envelope = phase.reply(job.plan), Envelope("answer", job.digest, phase.name, 1)
            if self._surveyed:
                kept = {name: unpack(data, schema)[1] for name, data in self._surveyed.items()}
                return Replies(kept)
            replies = inner(phase, number, requests, wait)
            self._surveyed = {
                name: pack(envelope, answer, schema) for name, answer in replies.answers.items()
            }
            return replies

        return ask


def _keep_answers(path: Path, answers: Mapping[str, bytes]) -> None:
    rows = {name: base64.b64encode(data).decode() for name, data in answers.items()}
    write_atomic(path, json.dumps(rows) + "\n", mode=0o600)


def _kept_answers(path: Path, plan: SurveyPlan) -> dict[str, bytes]:
    """Worker to its answer to a survey, as a message; none when they were not kept, or are damaged."""
    try:
        rows = json.loads(path.read_bytes())
        found = {str(name): base64.b64decode(text) for name, text in rows.items()}
        for data in found.values():
            if unpack(data, SURVEY.reply(plan))[0].job != plan_digest(plan):
                return {}
    except (OSError, ValueError, TypeError, AttributeError, BadMessage):
        return {}
    return found


def _end_line(path: Path) -> None:
    """Let the next row begin on a line of its own, also after one that a killed process has begun."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        if file.seek(0, os.SEEK_END) and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
            file.write(b"\n")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of cohorts, without one that a killed process has left half-written."""
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, TypeError):
                rows.append(dict(json.loads(line)))
    return rows


def refused_in(path: Path) -> dict[str, dict[str, Any]]:
    """Member to how many of its answers the server did not take, the last such round, and why then."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows_of(path):
        for name in row.get("refused", ()):
            answers = found.get(name, {"answers": 0})["answers"] + 1
            why = row["absent"].get(name, "")
            found[name] = {"answers": answers, "round": row["round"], "why": why}
    return found


def took_part(path: Path, name: str) -> list[int]:
    """The rounds of training in which a member's update counted."""
    rows = rows_of(path)
    return sorted({r["round"] for r in rows if r["phase"] == "train" and name in r["answered"]})
