"""A worker answers what its owner approved, from the data its dataset points to, once; nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwp.corpus.types import Corpus
from nwp.errors import BadMessage
from nwp.evaluation.phases import EVALUATE, VALIDATE
from nwp.federated.averaging import MEAN
from nwp.federated.compression import Compression
from nwp.federated.local import LocalWork
from nwp.federated.parcel import Envelope, Parcel, Schema, pack
from nwp.federated.plan import EvaluatePlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.plan_text import plan_text
from nwp.federated.protocol import Phase
from nwp.federated.surveying import SURVEY
from nwp.workers.adapter import clients, datasets, peers, plan_jobs, stores
from nwp.workers.adapter.quiet import quiet
from nwp.workers.datasite import Datasite
from nwp.workers.ledger import Ledger
from nwp.workers.policy import NOTHING, Policy
from nwp.workers.refusals import Refusal
from nwp.workers.simulation import SERVER, Job, Simulation

TRAIN = MEAN.steps[0].phase


def job_of(client: Any, owner: str, name: str = "train") -> Any:
    """A job as a client knows it."""
    return next(
        j for j in plan_jobs.jobs(client) if (j.datasite_owner_email, j.name) == (owner, name)
    )


def owner_job(simulation: Simulation, worker: str, name: str = "train") -> Any:
    client = simulation.datasites[worker].client
    return job_of(client, client.email, name)


def private_file(simulation: Simulation, worker: str) -> Path:
    (path,) = datasets.private_files(simulation.datasites[worker].client)
    return path


def open_again(datasite: Datasite) -> Datasite:
    """The same owner after a restart: everything from disk."""
    pins = json.loads((datasite.folder / "pins.json").read_text())
    return Datasite(
        datasite.client,
        datasite.folder,
        datasite.server,
        datasite.policy,
        datasite.engine,
        pins=pins,
    )


# ------------------------------------------------------------------------------- jobs and approval


def test_an_approved_plan_is_a_real_job_on_both_sides(
    simulation: Simulation, plan: TrainPlan
) -> None:
    job = simulation.submit(plan, "train")
    assert job.approved == ("worker-1", "worker-2")
    assert job.refused == {}
    for worker, datasite in simulation.datasites.items():
        mine = owner_job(simulation, worker)
        theirs = job_of(simulation.server, datasite.client.email)
        assert (mine.status, theirs.status) == ("approved", "approved")
        assert (mine.submitted_by, mine.approval_method) == (SERVER, "auto")
        assert plan_jobs.job_plan(mine) == plan_text(plan)
        assert (mine.job_submission_path / "run.sh").read_text() == plan_jobs.RUN_SH
        assert datasite.client.syftbox_folder in mine.job_submission_path.parents


def test_a_refused_plan_is_rejected_with_the_reason_at_the_server(
    simulate: Callable[..., Simulation], plan: TrainPlan
) -> None:
    simulation = simulate(policy=Policy(max_rounds=1))
    job = simulation.submit(plan, "train")
    assert job.approved == ()
    for worker, datasite in simulation.datasites.items():
        seen = job_of(simulation.server, datasite.client.email)
        assert (seen.status, seen.review_reason) == ("rejected", job.refused[worker])
        assert job.refused[worker] == "2 rounds, the owner allows 1"


TRAINING_LIMITS: dict[str, tuple[Policy, str]] = {
    "kind": (Policy(kinds=("survey", "evaluate")), "no train plan"),
    "nothing": (NOTHING, "no train plan"),
    "rounds": (Policy(max_rounds=1), "2 rounds"),
    "epochs": (Policy(max_epochs=2), "3 local epochs"),
    "parameters": (Policy(max_parameters=100), "more than 100 weights"),
}


def test_the_owners_policy_limits_training(simulation: Simulation, plan: TrainPlan) -> None:
    plan = replace(plan, local=LocalWork(epochs=3))
    for name, (policy, words) in TRAINING_LIMITS.items():
        for datasite in simulation.datasites.values():
            datasite.policy = policy
        job = simulation.submit(plan, name)
        assert job.approved == (), name
        assert all(words in reason for reason in job.refused.values()), name


def test_limits_themselves_are_allowed(
    simulate: Callable[..., Simulation], plan: TrainPlan
) -> None:
    limits = Policy(
        kinds=("train",), max_rounds=2, max_epochs=1, max_parameters=plan.model.parameters
    )
    assert simulate(policy=limits).submit(plan, "train").refused == {}


def test_the_owners_policy_limits_surveys_and_evaluations(
    simulate: Callable[..., Simulation], evaluation: EvaluatePlan
) -> None:
    simulation = simulate(policy=Policy(min_k=3, rows=False))
    plans: dict[str, tuple[Plan, str]] = {
        "k": (SurveyPlan(k=2), "k = 2, the owner wants 3 or more"),
        "rows": (replace(evaluation, rows=True), "counts of each user are not given out"),
        "noise": (replace(evaluation, epsilon=1.5), "epsilon = 1.5, the owner allows 1.0"),
    }
    for name, (plan, reason) in plans.items():
        job = simulation.submit(plan, name)
        assert job.approved == ()
        assert set(job.refused.values()) == {reason}
    assert simulation.submit(SurveyPlan(k=3), "enough").refused == {}
    assert simulation.submit(evaluation, "summed").refused == {}


def test_the_servers_request_under_a_refused_job_is_refused_by_the_worker_too(
    simulate: Callable[..., Simulation], plan: TrainPlan, ask: Any
) -> None:
    simulation = simulate(policy=Policy(max_rounds=1))
    job = simulation.submit(plan, "train")
    pushy = Job(plan, job.digest, tuple(simulation.deals), {})
    replies = ask(simulation, pushy)
    assert replies.answers == {}
    assert set(replies.absent.values()) == {Refusal.NOT_APPROVED.words}


def test_a_recorded_state_of_approved_proves_nothing(
    simulate: Callable[..., Simulation], plan: TrainPlan, ask: Any
) -> None:
    simulation = simulate(policy=NOTHING)
    job = simulation.submit(plan, "train")
    for worker in simulation.deals:
        state = owner_job(simulation, worker).job_review_path / "state.yaml"
        state.write_text(state.read_text().replace("rejected", "approved"))
        assert owner_job(simulation, worker).status == "approved"
    replies = ask(simulation, Job(plan, job.digest, tuple(simulation.deals), {}))
    assert set(replies.absent.values()) == {Refusal.NOT_APPROVED.words}


@pytest.fixture
def stranger(simulation: Simulation, tmp_path: Path) -> Any:
    """Another peer of the first worker's, whose name comes before the server's."""
    email = "another@else.example"
    connection = stores.in_memory(email, simulation.store)
    client = clients.open_client(email, tmp_path / "another" / "box", connection, owner=False)
    owner = simulation.datasites["worker-1"].client
    peers.enrol(client, {owner.email: owner})
    return client


def test_a_plan_of_another_peer_is_rejected(
    simulation: Simulation, plan: TrainPlan, stranger: Any
) -> None:
    datasite = simulation.datasites["worker-1"]
    plan_jobs.submit_job(stranger, datasite.client.email, "theirs", plan_text(plan))
    assert datasite.review() == {"theirs": "unknown submitter"}
    assert datasite.pins == {}
    clients.sync(stranger)
    assert job_of(stranger, datasite.client.email, "theirs").status == "rejected"


def test_another_peers_job_of_the_same_name_is_no_obstacle(
    simulation: Simulation, plan: TrainPlan, stranger: Any, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    datasite = simulation.datasites["worker-1"]
    plan_jobs.submit_job(stranger, datasite.client.email, "train", plan_text(plan))
    assert datasite.review() == {"train": "unknown submitter"}
    assert ask(simulation, job).absent == {}


CHANGES: dict[str, Callable[[Path], None]] = {
    "run.sh": lambda root: (root / "run.sh").write_text("curl http://evil.example\n") and None,
    "plan.json": lambda root: (
        (path := root / "code" / "plan.json").write_text(path.read_text().replace("2", "9"))
        and None
    ),
    "one more file": lambda root: (root / "code" / "more.sh").write_text("true\n") and None,
    "one file less": lambda root: (root / "code" / "script.sh").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_job_changed_after_approval_is_not_served(
    simulation: Simulation, plan: TrainPlan, ask: Any, change: Callable[[Path], None]
) -> None:
    job = simulation.submit(plan, "train")
    change(owner_job(simulation, "worker-1").job_submission_path)
    replies = ask(simulation, job)
    assert replies.absent == {"worker-1": Refusal.NOT_APPROVED.words}
    assert set(replies.answers) == {"worker-2"}
    assert simulation.datasites["worker-1"].ledger.entries == []


def test_a_change_between_two_rounds_is_noticed(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    assert ask(simulation, job, number=1).absent == {}
    run_sh = owner_job(simulation, "worker-1").job_submission_path / "run.sh"
    run_sh.write_text("true\n")
    assert ask(simulation, job, number=2).absent == {"worker-1": Refusal.NOT_APPROVED.words}


@pytest.mark.parametrize("state", ["rejected", "done", "running"])
def test_a_state_changed_between_two_rounds_is_noticed(
    simulation: Simulation, plan: TrainPlan, ask: Any, state: str
) -> None:
    job = simulation.submit(plan, "train")
    assert ask(simulation, job, number=1).absent == {}
    path = owner_job(simulation, "worker-1").job_review_path / "state.yaml"
    text = path.read_text()
    path.write_text(text.replace("status: approved", f"status: {state}"))
    assert path.read_text() != text
    assert ask(simulation, job, number=2).absent == {"worker-1": Refusal.NOT_APPROVED.words}
    path.write_text(text)
    assert ask(simulation, job, number=2).answers["worker-1"].fields["users"] == 3


def test_a_revoked_plan_is_refused_from_then_on(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    assert ask(simulation, job, number=1).absent == {}
    datasite = simulation.datasites["worker-2"]
    datasite.revoke(job.digest)
    replies = ask(simulation, job, number=2)
    assert replies.absent == {"worker-2": Refusal.NOT_APPROVED.words}
    assert replies.answers["worker-1"].fields["users"] == 3
    assert json.loads((datasite.folder / "pins.json").read_text()) == {}
    simulation.close(job)
    assert owner_job(simulation, "worker-1").status == "done"
    assert owner_job(simulation, "worker-2").status == "approved"  # no receipt for what was revoked


# ------------------------------------------------------------------------------------ private data


def test_the_dataset_is_real_private_here_and_a_mock_there(
    simulation: Simulation, corpus: Corpus
) -> None:
    for worker, users in simulation.deals.items():
        rows = [
            json.loads(line)
            for line in private_file(simulation, worker).read_text().split("\n")[:-1]
        ]
        texts = [row["text"] for row in rows]
        assert texts == [text for user in users for text in corpus.users[user]]
        line = simulation.mock_line(worker)
        assert line
        assert line not in texts


def test_a_deleted_private_file_takes_its_own_users_out_and_nobody_elses(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    assert ask(simulation, job, number=1).absent == {}
    private_file(simulation, "worker-1").unlink()
    replies = ask(simulation, job, number=2)
    assert replies.absent == {"worker-1": Refusal.NO_DATA.words}
    assert replies.answers["worker-2"].fields["users"] == 3
    validated = ask(simulation, job, phase=VALIDATE, number=2)
    assert validated.absent == {"worker-1": Refusal.NO_DATA.words}
    assert validated.answers["worker-2"].fields["users"] == 3


def words_said(simulation: Simulation, ask: Any, k: int) -> tuple[int, int]:
    """Words and messages in all that worker-1 tells of its users (train part)."""
    job = simulation.submit(SurveyPlan(k), f"survey-{k}")
    fields = ask(simulation, job, SURVEY).answers["worker-1"].fields
    return fields["words"], fields["messages"]


def test_the_private_file_is_read_as_it_is_now(simulation: Simulation, ask: Any) -> None:
    path = private_file(simulation, "worker-1")
    before = words_said(simulation, ask, 1)
    rows = [{"user": f"new{i}", "text": "one two three"} for i in range(3) for _ in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert words_said(simulation, ask, 2) == (3 * 8 * 3, 3 * 8)
    assert before != (3 * 8 * 3, 3 * 8)


def test_nothing_beside_the_dataset_is_read(
    simulation: Simulation, corpus: Corpus, ask: Any, tmp_path: Path
) -> None:
    """The corpus the simulation began with, or a copy of the file in the worker's folder, is not."""
    path = private_file(simulation, "worker-1")
    (simulation.datasites["worker-1"].folder / path.name).write_bytes(path.read_bytes())
    path.write_text(json.dumps({"user": "only", "text": "one message alone"}) + "\n")
    assert words_said(simulation, ask, 1) == (0, 0)  # all of its train part: none


UNREADABLE = {
    "garbage": b"no json\n",
    "empty": b"",
    "blank": b'{"user": "a", "text": "  "}\n',
    "not UTF-8": b"\xff\xfe\n",
    "deep": b"[" * 100_000 + b"\n",
}


def test_private_data_that_cannot_be_read_is_a_refusal(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(replace(plan, rounds=len(UNREADABLE)), "train")
    for number, (name, content) in enumerate(UNREADABLE.items(), 1):
        private_file(simulation, "worker-1").write_bytes(content)
        replies = ask(simulation, job, number=number)
        assert replies.absent == {"worker-1": Refusal.NO_DATA.words}, name
        assert set(replies.answers) == {"worker-2"}


def test_a_private_folder_that_is_gone_is_a_refusal(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    shutil.rmtree(private_file(simulation, "worker-1").parent)
    assert ask(simulation, job).absent == {"worker-1": Refusal.NO_DATA.words}


def test_a_second_file_in_the_dataset_is_not_guessed_about(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    path = private_file(simulation, "worker-1")
    path.with_name("more.jsonl").write_bytes(path.read_bytes())
    assert ask(simulation, job).absent == {"worker-1": Refusal.NO_DATA.words}


def test_only_the_owner_can_read_what_is_private(simulation: Simulation, plan: TrainPlan) -> None:
    simulation.submit(plan, "train")
    root = simulation.server.syftbox_folder.parent.parent
    for folder in [root, *(p for p in root.iterdir() if p.is_dir())]:
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    for worker, datasite in simulation.datasites.items():
        datasite.ledger.write(Envelope("ask", "job", "train", 1), b"answer")
        files = [datasite.folder / "pins.json", datasite.ledger.path]
        for file in [private_file(simulation, worker), *files]:
            assert file.stat().st_mode & 0o777 == 0o600, file


def test_what_a_worker_keeps_between_phases_only_its_owner_can_read(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    kept: list[Parcel] = []

    def answer(side: Any, number: int, request: Parcel) -> Parcel:
        kept.append(side.recall())
        side.remember(Parcel({"words": 7}, {"sum": np.ones(2)}))
        kept.append(side.recall())
        return Parcel({"words": 0, "users": 0, "loss": 0.0}, {"update": request.arrays["weights"]})

    for datasite in simulation.datasites.values():
        datasite._accept = replaced_answer(datasite, answer)  # type: ignore[method-assign]
    assert ask(simulation, job).absent == {}
    assert kept[0] == Parcel()
    assert kept[1].fields == {"words": 7}
    assert kept[1].arrays["sum"].tolist() == [1, 1]
    (file,) = simulation.datasites["worker-1"].folder.glob("memory-*")
    assert file.stat().st_mode & 0o777 == 0o600


def counting(side: Any, number: int, request: Parcel) -> Parcel:
    """An answer that counts, for one user, the rounds up to now: by what the last one kept."""
    old = side.memory.kept("count", side.names[0])
    side.memory.keep("count", side.names[0], np.ones(1, np.float32) + (0 if old is None else old))
    told = float(0 if old is None else old[0])
    return Parcel({"words": 0, "users": 0, "loss": told}, {"update": request.arrays["weights"]})


def test_what_is_kept_between_rounds_outlives_the_boxes_and_goes_with_the_job(
    simulate: Callable[..., Simulation], plan: TrainPlan, ask: Any, tmp_path: Path
) -> None:
    memory = tmp_path / "run" / "workers"
    told = []
    for number in (1, 2, 2):  # the second round is begun again
        simulation = simulate(memory=memory)
        job = simulation.submit(plan, "train")
        for datasite in simulation.datasites.values():
            datasite._accept = replaced_answer(datasite, counting)  # type: ignore[method-assign]
        answers = ask(simulation, job, number=number).answers
        told.append([answers[w].fields["loss"] for w in ("worker-1", "worker-2")])
    assert told == [[0, 0], [1, 1], [1, 1]]
    assert sorted(p.name for p in memory.iterdir()) == ["worker-1", "worker-2"]
    for worker, datasite in simulation.datasites.items():
        assert (memory / worker).stat().st_mode & 0o777 == 0o700
        assert len(list((memory / worker).rglob("*.safetensors"))) == 2
        assert not list(datasite.folder.glob("kept-*"))
    simulation.close(job)
    assert not [p for p in memory.rglob("*") if p.is_file()]


def test_another_plan_sees_nothing_of_what_was_kept(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    for name, own in (("one", plan), ("other", replace(plan, seed=1))):
        job = simulation.submit(own, name)
        for datasite in simulation.datasites.values():
            datasite._accept = replaced_answer(datasite, counting)  # type: ignore[method-assign]
        answers = ask(simulation, job, number=1 if name == "one" else 2).answers
        assert [answers[w].fields["loss"] for w in simulation.deals] == [0, 0]


def replaced_answer(datasite: Datasite, answer: Any) -> Any:
    """A worker's `_accept` whose phase answers otherwise."""
    accept = datasite._accept

    def changed(envelope: Envelope, data: bytes) -> Any:
        phase, side, request = accept(envelope, data)
        return replace(phase, answer=answer), side, request

    return changed


# ---------------------------------------------------------------------------------------- messages


def stored(simulation: Simulation, identity: str) -> Any:
    return simulation.store.files[identity]


def flip(file: Any, place: int) -> None:
    """Change one bit of a stored file."""
    content = bytearray(file.content)
    content[place] ^= 1
    file.content = bytes(content)


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_flipped_bit_is_refused_and_reported_and_others_go_on(
    simulation: Simulation, plan: TrainPlan, ask: Any, way: str
) -> None:
    """Of the envelope's first bytes, its head, and the content."""
    places = (0, 9, 400, -1)
    job = simulation.submit(replace(plan, rounds=len(places)), "train")
    datasite = simulation.datasites["worker-1"]
    serve, left = datasite.serve, list(places)

    def tampered() -> None:
        if way == "down":
            (identity,) = datasite.channel.names(SERVER).values()
            flip(stored(simulation, identity), left.pop(0))
        serve()
        if way == "up":
            (identity,) = simulation.channel.names(datasite.client.email).values()
            flip(stored(simulation, identity), left.pop(0))

    datasite.serve = tampered  # type: ignore[method-assign]
    expected = Refusal.BAD_REQUEST.words if way == "down" else "is not what worker-1@nwp.example"
    for number, place in enumerate(places, 1):
        replies = ask(simulation, job, number=number)
        assert set(replies.answers) == {"worker-2"}, place
        assert set(replies.absent) == {"worker-1"}, place
        assert expected in replies.absent["worker-1"], place
    assert len(datasite.ledger.entries) == (len(places) if way == "up" else 0)


def test_wherever_a_stored_message_is_changed_it_is_refused_or_gives_the_same_content(
    simulate: Callable[..., Simulation],
) -> None:
    """Syft pads the head of its envelopes with zeros that nothing signs: content never comes of it."""
    simulation = simulate(workers=1)
    there = simulation.datasites["worker-1"].channel
    content = bytes(range(256))
    simulation.channel.send("worker-1@nwp.example", "x", content)
    (identity,) = there.names(SERVER).values()
    file = stored(simulation, identity)
    whole = file.content
    for place in range(0, len(whole), 7):
        flip(file, place)
        try:
            got, _ = there.receive(SERVER, identity)
            assert got == content
            assert whole[place] == 0  # of the padding
        except BadMessage:
            pass
        file.content = whole
    for cut in (whole[:-1], whole[:100], whole[1:], b"", whole + b"\0"):
        file.content = cut
        with pytest.raises(BadMessage, match=r"is not what server@nwp\.example signed"):
            there.receive(SERVER, identity)


def test_a_swapped_answer_of_another_round_is_refused(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    """The store's keeper gives out the first round's answer, rightly signed, for the second's."""
    job = simulation.submit(plan, "train")
    datasite = simulation.datasites["worker-1"]
    serve, kept = datasite.serve, []

    def swapped() -> None:
        serve()
        (identity,) = simulation.channel.names(datasite.client.email).values()
        file = stored(simulation, identity)
        kept.append(file.content)
        file.content = kept[0]

    datasite.serve = swapped  # type: ignore[method-assign]
    assert ask(simulation, job, number=1).absent == {}
    replies = ask(simulation, job, number=2)
    assert replies.absent == {"worker-1": "its answer belongs to another request"}


def test_a_worker_that_says_nothing_is_absent(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    simulation.datasites["worker-1"].serve = lambda: None  # type: ignore[method-assign]
    replies = ask(simulation, job)
    assert replies.absent == {"worker-1": "it did not answer"}
    assert set(replies.answers) == {"worker-2"}


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_request_is_answered_once(
    simulation: Simulation, plan: TrainPlan, ask: Any, restarted: bool
) -> None:
    job = simulation.submit(plan, "train")
    assert ask(simulation, job).absent == {}
    if restarted:
        for worker in simulation.deals:
            simulation.datasites[worker] = open_again(simulation.datasites[worker])
    replies = ask(simulation, job)
    assert replies.answers == {}
    assert set(replies.absent.values()) == {Refusal.ALREADY_ANSWERED.words}
    for datasite in simulation.datasites.values():
        assert [(e.phase, e.round) for e in datasite.ledger.entries] == [("train", 1)]
    # Another phase of the round and the next round are other requests.
    assert ask(simulation, job, phase=VALIDATE).absent == {}
    assert ask(simulation, job, number=2).absent == {}


def test_the_very_same_bytes_sent_again_are_not_answered_again(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    datasite = simulation.datasites["worker-1"]
    peer, captured = datasite.client.email, []
    serve = datasite.serve

    def recorded() -> None:
        captured.extend(
            stored(simulation, i).content for i in datasite.channel.names(SERVER).values()
        )
        serve()

    datasite.serve = recorded  # type: ignore[method-assign]
    assert ask(simulation, job).absent == {}
    simulation.channel._drive.watcher_send_raw_bytes_to_inbox(peer, "nwp.again", captured[0])
    serve()
    (identity,) = simulation.channel.names(peer).values()
    data, _ = simulation.channel.receive(peer, identity)
    refused = Parcel({"reason": int(Refusal.ALREADY_ANSWERED)})
    envelope = Envelope("refuse", job.digest, "train", 1)
    assert data == pack(envelope, refused, Schema(fields={"reason": int}))
    assert len(datasite.ledger.entries) == 1


def test_an_answer_that_could_not_be_sent_counts_as_given(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    """The ledger is written first: a crash in between never leads to two answers."""
    job = simulation.submit(plan, "train")
    datasite = simulation.datasites["worker-1"]
    send = datasite.channel.send

    def broken(*_: Any) -> int:
        raise ConnectionError("the line is down")

    datasite.channel.send = broken  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        ask(simulation, job)
    datasite.channel.send = send  # type: ignore[method-assign]
    again = open_again(datasite)
    assert again.ledger.has(Envelope("ask", job.digest, "train", 1))


def test_the_ledger_tells_what_left(simulate: Callable[..., Simulation], plan: TrainPlan) -> None:
    sent: list[bytes] = []

    def tap(sender: str, receiver: str, name: str, payload: bytes) -> None:
        if sender == "worker-1@nwp.example":
            sent.append(payload)

    simulation = simulate(tap=tap)
    job = simulation.submit(SurveyPlan(1), "survey")
    simulation.exchange(job)(SURVEY, 1, {w: Parcel() for w in simulation.deals})
    (entry,) = Ledger(simulation.datasites["worker-1"].folder / "ledger.jsonl").entries
    assert (entry.n, entry.to, entry.kind) == (1, SERVER, "answer")
    assert (entry.job, entry.phase, entry.round) == (job.digest, "survey", 1)
    assert (entry.bytes, entry.sha256) == (len(sent[0]), hashlib.sha256(sent[0]).hexdigest())
    asked = pack(Envelope("ask", job.digest, "survey", 1), Parcel(), SURVEY.request(job.plan))
    assert entry.request == hashlib.sha256(asked).hexdigest()
    assert (entry.norm, entry.epsilon) == (None, 0.0)


def test_a_worker_that_keeps_its_answers_tells_how_large_updates_were(
    simulation: Simulation, plan: TrainPlan, evaluation: EvaluatePlan, ask: Any, tmp_path: Path
) -> None:
    for number, up in enumerate(("fp32", "bf16", "int8", "topk"), 1):
        again = replace(plan, compression=Compression(up=up, share=0.5))
        job = simulation.submit(again, f"train-{number}")
        datasite = simulation.datasites["worker-1"]
        datasite.keep = tmp_path / up
        datasite.ledger = Ledger(tmp_path / f"{up}.jsonl", keep=datasite.keep)
        answer = ask(simulation, job).answers["worker-1"]
        update = again.uplink.decode("update", answer.arrays)
        (entry,) = datasite.ledger.entries
        assert entry.norm == pytest.approx(np.linalg.norm(update), rel=1e-5), up
        assert entry.norm > 0
        sent = pack(Envelope("answer", job.digest, "train", 1), answer, TRAIN.reply(again))
        assert datasite.ledger.message(1) == sent
    noisy = simulation.submit(replace(evaluation, epsilon=0.5), "evaluate")
    assert ask(simulation, noisy, phase=EVALUATE).absent == {}
    assert (datasite.ledger.entries[-1].norm, datasite.ledger.epsilon_spent()) == (None, 0.5)


def test_an_owner_who_wants_to_be_asked_approves_nothing_unasked(
    simulate: Callable[..., Simulation], plan: TrainPlan, ask: Any
) -> None:
    simulation = simulate(policy=Policy(approve="ask", max_rounds=2))
    job = simulation.submit(plan, "train")
    for worker, datasite in simulation.datasites.items():
        assert owner_job(simulation, worker).status == "pending"
        assert datasite.pins == {}
    assert set(ask(simulation, job).absent.values()) == {Refusal.NOT_APPROVED.words}
    beyond = simulation.submit(replace(plan, rounds=3), "beyond")
    assert set(beyond.refused.values()) == {"3 rounds, the owner allows 2"}


def test_a_ledger_torn_in_its_last_line_is_opened_and_goes_on(tmp_path: Path) -> None:
    """Killed while writing an entry: its answer never left, so the entry may go."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for number in (1, 2):
        ledger.write(Envelope("ask", "job", "train", number), b"answer")
    ledger.path.write_bytes(ledger.path.read_bytes()[:-9])
    again = Ledger(ledger.path)
    assert again.has(Envelope("ask", "job", "train", 1))
    assert not again.has(Envelope("ask", "job", "train", 2))
    again.write(Envelope("ask", "job", "train", 3), b"answer")
    assert [e.round for e in Ledger(ledger.path).entries] == [1, 3]


def test_users_that_the_worker_does_not_have_are_refused(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    wrong = ([3], [-1], [0, 0], [0, 1, 2, 99])
    job = simulation.submit(replace(plan, rounds=len(wrong)), "train")
    for number, users in enumerate(wrong, 1):
        replies = ask(simulation, job, number=number, users={"worker-1": users, "worker-2": [0]})
        assert replies.absent == {"worker-1": Refusal.BAD_REQUEST.words}, users
        assert replies.answers["worker-2"].fields["users"] == 1
    assert simulation.datasites["worker-1"].ledger.entries == []


def test_rounds_beyond_the_plan_are_refused(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    for number in (0, -1, 3):
        replies = ask(simulation, job, number=number)
        assert replies.answers == {}, number
        assert set(replies.absent.values()) == {Refusal.BAD_REQUEST.words}, number
    assert ask(simulation, job, number=2).absent == {}


def test_phases_that_the_plan_does_not_have_are_refused(
    simulation: Simulation, plan: TrainPlan, evaluation: EvaluatePlan, ask: Any
) -> None:
    training = simulation.submit(plan, "train")
    unknown = Phase("peek", TRAIN.request, TRAIN.reply, TRAIN.answer)
    for phase in (unknown, EVALUATE, SURVEY):
        requests = {w: Parcel() for w in simulation.deals}
        if phase is not SURVEY:
            requests = {w: Parcel(arrays=request_arrays(plan, phase)) for w in simulation.deals}
        replies = simulation.exchange(training)(phase, 1, requests)
        assert set(replies.absent.values()) == {Refusal.BAD_REQUEST.words}, phase.name
    counting = simulation.submit(evaluation, "evaluate")
    replies = ask(simulation, counting, phase=VALIDATE)
    assert set(replies.absent.values()) == {Refusal.BAD_REQUEST.words}
    for datasite in simulation.datasites.values():
        assert datasite.ledger.entries == []


def request_arrays(plan: TrainPlan, phase: Phase) -> dict[str, Any]:
    """What a phase's schema asks for, filled with zeros."""
    return {
        name: np.zeros([n or 0 for n in spec.shape], spec.dtype)
        for name, spec in phase.request(plan).arrays.items()
    }


def test_a_request_that_is_no_message_of_ours_is_refused(simulation: Simulation) -> None:
    datasite = simulation.datasites["worker-1"]
    simulation.channel.send(datasite.client.email, "noise", b"\0" * 50)
    datasite.serve()
    (identity,) = simulation.channel.names(datasite.client.email).values()
    data, _ = simulation.channel.receive(datasite.client.email, identity)
    refused = Parcel({"reason": int(Refusal.BAD_REQUEST)})
    assert data == pack(Envelope("refuse", "", "noise", 0), refused, Schema(fields={"reason": int}))


def test_bytes_reported_are_the_bytes_stored_and_nothing_is_left(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    found = {"down": 0, "up": 0}
    clear = simulation.channel.clear

    def counted(peer: str) -> None:
        contents = stores.stored_bytes(simulation.store)
        for way, outgoing in (("down", True), ("up", False)):
            names = simulation.channel.names(peer, outgoing=outgoing)
            found[way] += sum(len(contents[identity]) for identity in names.values())
        clear(peer)

    simulation.channel.clear = counted  # type: ignore[method-assign]
    replies = ask(simulation, job)
    assert (replies.bytes_down, replies.bytes_up) == (found["down"], found["up"])
    assert replies.bytes_down > 2 * 4 * plan.model.parameters
    assert replies.bytes_up > 2 * 4 * plan.model.parameters
    assert not any(file.name.startswith("nwp.") for file in simulation.store.files.values())


def test_receipts_close_the_job_at_both_sides(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    for number in (1, 2):
        ask(simulation, job, number=number)
    ask(simulation, job, phase=VALIDATE, number=2)
    simulation.close(job)
    for worker, datasite in simulation.datasites.items():
        assert owner_job(simulation, worker).status == "done"
        seen = job_of(simulation.server, datasite.client.email)
        assert seen.status == "done"
        with quiet():
            (path,) = seen.output_paths
        assert path.name == "receipt.json"
        sizes = [entry.bytes for entry in datasite.ledger.entries]
        assert json.loads(path.read_text()) == {
            "answers": {"train": 2, "validate": 1},
            "bytes": sum(sizes),
        }
        assert len(sizes) == 3


def test_after_the_receipt_nothing_is_served(
    simulation: Simulation, plan: TrainPlan, ask: Any
) -> None:
    job = simulation.submit(plan, "train")
    ask(simulation, job)
    simulation.close(job)
    replies = ask(simulation, job, number=2)
    assert set(replies.absent.values()) == {Refusal.NOT_APPROVED.words}


# ----------------------------------------------------------------------------- plans that can't run


def unchecked(plan: Plan, **changes: Any) -> str:
    """A plan's text with values that its own class would not have."""
    content = json.loads(plan_text(plan))
    for path, value in changes.items():
        *parts, last = path.split("__")
        inner = content
        for part in parts:
            inner = inner[part]
        inner[last] = value
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "repeated words": {"words": ["the"] * 7},
    "words that are numbers": {"words": list(range(7))},
    "words that are lists": {"words": [[w] for w in "abcdefg"]},
    "an empty word": {"words": ["", *"abcdef"]},
    "surfaces of other words": {"surfaces": {"the": "dog"}},
    "half a group": {"groups": 1.5},
    "a group in words": {"groups": "4"},
    "true rounds": {"rounds": True},
    "half a batch": {"local__batch": 1.5},
    "half an epoch": {"local__epochs": 1.5},
    "an unknown aggregation": {"aggregation": "all to me"},
    "a list of aggregations": {"aggregation": ["mean"]},
    "a seed that is none": {"seed": None},
    "a negative seed": {"seed": -1},
    "workers that are numbers": {"workers": 3},
    "half a user": {"workers": {"worker-1": 1.5}},
    "outputs that are no words": {"model__first_output": 5},
    "fewer marks than there are": {"model__marks": 2},
    "a server without a name": {"server__name": None},
}


def not_rejected(
    simulation: Simulation, plan: Plan, changed: dict[str, dict[str, Any]]
) -> set[str]:
    """Submit a plan with changed values, one job each; the names of those not rejected."""
    datasite = simulation.datasites["worker-1"]
    approved = set()
    for name, changes in changed.items():
        job = name.replace(" ", "-")
        text = unchecked(plan, **changes)
        plan_jobs.submit_job(simulation.server, datasite.client.email, job, text)
        if set(datasite.review()) != {job} or datasite.pins:
            approved.add(name)
    return approved


def test_training_plans_that_cannot_run_are_rejected_at_review(
    simulate: Callable[..., Simulation], plan: TrainPlan
) -> None:
    assert not_rejected(simulate(workers=1), plan, IMPOSSIBLE) == set()


def test_evaluation_plans_that_cannot_run_are_rejected_at_review(
    simulate: Callable[..., Simulation], evaluation: EvaluatePlan
) -> None:
    changed = {
        "unknown part": {"part": "secret"},
        "empty groups": {"group": 0},
        "half a group": {"group": 1.5},
        "rows as a number": {"rows": 1},
        "repeated words": {"words": ["the"] * 7},
    }
    assert not_rejected(simulate(workers=1), evaluation, changed) == set()


def test_the_plans_that_the_impossible_ones_were_made_of_are_approved(
    simulate: Callable[..., Simulation], plan: TrainPlan, evaluation: EvaluatePlan
) -> None:
    for good in (plan, evaluation):
        assert unchecked(good) == plan_text(good)
        assert not_rejected(simulate(workers=1), good, {"good": {}}) == {"good"}
