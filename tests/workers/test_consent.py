"""What an owner approved is what runs, until it is taken back; what was decided elsewhere is seen."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nwp.errors import BadInput
from nwp.federated.plan import SurveyPlan, TrainPlan
from nwp.federated.plan_text import plan_digest, plan_text
from nwp.workers import consent
from nwp.workers.consent import Changed, Consents
from nwp.workers.offers import Decision

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def consents(tmp_path: Path) -> Consents:
    return Consents(tmp_path)


@pytest.fixture
def digest(consents: Consents, plan: TrainPlan) -> str:
    """Of a plan that has come."""
    consents.came(plan_digest(plan), plan_text(plan), NOON)
    return plan_digest(plan)


def plan_file(consents: Consents, digest: str) -> Path:
    return consents.folder / "plans" / f"{digest}.json"


def test_a_plan_that_has_come_waits_and_runs_once_it_is_approved(
    consents: Consents, digest: str, plan: TrainPlan
) -> None:
    asked = consents.all[digest]
    assert (asked.place, asked.decision, asked.came) == (1, Decision.PENDING, NOON.isoformat())
    with pytest.raises(BadInput, match="not approved"):
        consents.approved(digest)

    done = consents.decide(digest, Decision.APPROVED, by="owner", now=NOON)

    assert consents.approved(digest) == plan
    assert (done.by, done.decided) == ("owner", NOON.isoformat())
    assert consents.text(digest) == plan_text(plan)


@pytest.mark.parametrize("decision", [Decision.DENIED, Decision.REVOKED, Decision.PENDING])
def test_what_is_not_or_no_longer_approved_does_not_run(
    consents: Consents, digest: str, decision: Decision
) -> None:
    consents.decide(digest, Decision.APPROVED, by="policy")
    consents.decide(digest, decision, by="owner", reason="no more")

    with pytest.raises(BadInput, match="not approved"):
        consents.approved(digest)
    assert consents.all[digest].reason == "no more"


def test_a_plan_that_comes_again_stays_as_it_was_decided(
    consents: Consents, digest: str, plan: TrainPlan
) -> None:
    consents.decide(digest, Decision.DENIED, by="owner")

    assert consents.came(digest, plan_text(plan)).decision == Decision.DENIED
    assert len(consents.all) == 1


@pytest.mark.parametrize("damage", [b" ", b""], ids=["longer", "empty"])
def test_a_plan_whose_file_has_changed_does_not_run(
    consents: Consents, digest: str, damage: bytes
) -> None:
    consents.decide(digest, Decision.APPROVED, by="owner")
    path = plan_file(consents, digest)
    path.write_bytes(path.read_bytes() + damage if damage else b"")

    with pytest.raises(Changed):
        consents.approved(digest)


def test_a_plan_whose_file_is_gone_does_not_run(consents: Consents, digest: str) -> None:
    consents.decide(digest, Decision.APPROVED, by="owner")
    plan_file(consents, digest).unlink()

    with pytest.raises((Changed, BadInput)):
        consents.approved(digest)
    with pytest.raises(BadInput, match="is gone"):
        consents.text(digest)


def test_another_program_needs_another_approval(
    consents: Consents, digest: str, plan: TrainPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    consents.decide(digest, Decision.APPROVED, by="owner")
    assert not consents.lapsed(digest)
    monkeypatch.setattr(consent, "program_digest", lambda: "another version")

    assert consents.lapsed(digest)
    with pytest.raises(Changed, match="nwp itself has changed") as told:
        consents.approved(digest)
    assert "nwp worker approve 1" in told.value.hint

    consents.decide(digest, Decision.APPROVED, by="owner")
    assert consents.approved(digest) == plan


def test_only_an_approval_lapses(consents: Consents, digest: str) -> None:
    assert not consents.lapsed(digest)
    assert not consents.lapsed("0" * 64)
    consents.decide(digest, Decision.DENIED, by="owner")
    assert not consents.lapsed(digest)


def test_the_program_is_all_of_its_files() -> None:
    assert consent.program_digest() == consent.program_digest()
    assert len(consent.program_digest()) == 64


def test_what_another_process_decides_is_seen_at_the_next_look(
    consents: Consents, digest: str
) -> None:
    assert consents.all[digest].decision == Decision.PENDING

    Consents(consents.folder).decide(digest, Decision.APPROVED, by="owner")
    assert consents.all[digest].decision == Decision.APPROVED
    Consents(consents.folder).decide(digest, Decision.REVOKED, by="owner")
    assert consents.all[digest].decision == Decision.REVOKED


def test_plans_are_found_by_number_and_by_the_beginning_of_their_digest(
    consents: Consents, digest: str
) -> None:
    survey = SurveyPlan(3)
    consents.came(plan_digest(survey), plan_text(survey))

    assert (
        consents.find("1") == consents.find(digest[:6]) == consents.find(digest.upper()) == digest
    )
    assert consents.find("2") == plan_digest(survey)


@pytest.mark.parametrize("name", ["3", "0", "", "abc", "zzzz", "nothing"])
def test_what_names_no_plan_is_told(consents: Consents, digest: str, name: str) -> None:
    with pytest.raises(BadInput, match="no plan") as told:
        consents.find(name)
    assert "nwp worker requests" in told.value.hint
    with pytest.raises(BadInput, match="has come"):
        consents.decide("0" * 64, Decision.APPROVED, by="owner")


def test_a_name_that_several_plans_begin_with_is_told(consents: Consents) -> None:
    for end in "ab":
        consents.came("1234" + end * 60, "{}")

    with pytest.raises(BadInput, match="several"):
        consents.find("1234")


def as_row(**changes: Any) -> bytes:
    row = {"place": 1, "decision": 1, "came": ""} | changes
    return json.dumps({"0" * 64: row}).encode()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"7", b'{"a": 1}', b'{"a": []}', b'{"a": {}}', b"\xff"),
        *(as_row(decision=9), as_row(decision="yes"), as_row(more=1)),
    ],
)
def test_a_damaged_record_is_told_and_nothing_runs(
    consents: Consents, digest: str, content: bytes
) -> None:
    consents.decide(digest, Decision.APPROVED, by="owner")
    (consents.folder / "plans.json").write_bytes(content)

    with pytest.raises(BadInput, match="is damaged") as told:
        consents.approved(digest)
    assert "approved anew" in told.value.hint


def test_records_and_plans_are_for_their_owner_alone(consents: Consents, digest: str) -> None:
    for path in (consents.folder / "plans.json", plan_file(consents, digest)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
