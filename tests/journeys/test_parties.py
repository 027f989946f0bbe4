"""A server and three owners, each with a folder of its own, train what the simulation trains; whoever
dies and comes back changes no byte, and nothing piles up where they meet."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nwp.corpus.split import only
from nwp.corpus.types import Corpus
from nwp.errors import BadInput, Interrupted, NoQuorum
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.state import Checkpoint
from nwp.tasks import joint, owner
from nwp.tasks.cohorts import rows_of
from nwp.tasks.joint_members import JointOptions
from nwp.tasks.joint_status import read_status
from nwp.tasks.train import train_bundle
from nwp.tasks.train_options import TrainOptions
from nwp.workers.adapter import peers, stores
from nwp.workers.channel import Channel
from nwp.workers.engines import InProcess
from nwp.workers.members import read_members
from nwp.workers.network import Patience
from nwp.workers.offers import Decision
from nwp.workers.parties import alone, read_party

SERVER = "kajsa@lab.example"
OWNERS = ("ada@home.example", "ben@home.example", "cleo@home.example")
SHARES = (("u0", "u3", "u6"), ("u1", "u4", "u7"), ("u2", "u5", "u8"))
NAMES = ("worker-001", "worker-002", "worker-003")
BUNDLE = ("model.safetensors", "vocabulary.json", "settings.json")
TEXT = "the a cat dog sat on mat see you tomorrow how are we go to park and then home"
OPTIONS = TrainOptions(
    embedding=8, hidden=8, public_words=200, vocabulary=500, rounds=3, cohort=6, validate_every=2,
    processes=1,
)  # fmt: skip
WAIT = JointOptions(least=3, gather=60, patience=Patience(grace=0.3, decision=60, longest=60))


COMPUTING = threading.Lock()


class OneAtATime(InProcess):
    """Owners are processes of their own; in threads of one they would share torch's random numbers."""

    def run(self, *work: Any) -> Iterator[Any]:
        with COMPUTING:
            return iter(list(super().run(*work)))


class Killed(BaseException):
    """What ends a process at this very moment."""


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Nine users of ten messages each."""
    rng, words = random.Random(3), TEXT.split()
    users = {
        f"u{i}": tuple(" ".join(rng.choices(words, k=rng.randint(3, 7))) for _ in range(10))
        for i in range(9)
    }
    return Corpus("nine", users)


@pytest.fixture(scope="module")
def simulated(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bundle of the same training, simulated."""
    out = tmp_path_factory.mktemp("simulated") / "m"
    deals = dict(zip(NAMES, SHARES, strict=True))
    train_bundle(corpus, out, OPTIONS, command="", deals=deals)
    return bundle(out)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody rests longer than a moment."""
    monkeypatch.setattr(owner, "make_engine", lambda processes: OneAtATime())
    quick = SimpleNamespace(
        monotonic=time.monotonic,
        perf_counter=time.perf_counter,
        sleep=lambda seconds: time.sleep(min(seconds, 0.01)),
    )
    for module in ("nwp.workers.attending", "nwp.workers.network", "nwp.tasks.joint_members"):
        monkeypatch.setattr(f"{module}.time", quick)


def bundle(out: Path) -> dict[str, bytes]:
    """What a bundle's files hold, but for the names of corpus and command in its settings."""
    found = {name: (out / name).read_bytes() for name in BUNDLE}
    about = json.loads(found.pop("settings.json"))
    about = {k: v for k, v in about.items() if k != "about"} | {
        k: v
        for k, v in about.get("about", about).items()
        if k not in ("corpus", "command", "words")
    }
    return {**found, "settings": json.dumps(about, sort_keys=True).encode()}


class Meeting:
    """Folders of a server and of owners who meet in a shared one."""

    def __init__(self, root: Path, corpus: Corpus, transport: str) -> None:
        self.root, self.server = root, root / "server"
        self.told: dict[str, list[str]] = {email: [] for email in (SERVER, *OWNERS)}
        joint.init_server(self.server, SERVER, transport)
        invited = joint.invite(self.server, OWNERS)
        for each, users in zip(invited, SHARES, strict=True):
            words = each["command"].split("--fingerprint ")[1].strip("'")
            home = self.home(each["email"])
            owner.init_owner(home, each["email"], SERVER, transport, words)
            rules = home / owner.POLICY
            rules.write_text(rules.read_text().replace('approve = "ask"', 'approve = "auto"'))
            owner.add_corpus(home, only(corpus, users))

    def home(self, email: str) -> Path:
        return self.root / email.partition("@")[0]

    @property
    def out(self) -> Path:
        return self.root / "m"

    @contextmanager
    def at_work(self, *emails: str) -> Iterator[None]:
        """Owners (all when none is named) attend in threads."""
        over, failed = threading.Event(), []

        def attend(email: str) -> None:
            try:
                owner.attend(self.home(email), tell=self.told[email].append, until=over.is_set)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=attend, args=(e,)) for e in emails or OWNERS]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert failed == []

    def train(self, options: TrainOptions = OPTIONS, **more: Any) -> dict[str, Any]:
        more = {"joint": WAIT, "command": "", "tell": self.told[SERVER].append} | more
        return joint.train_jointly(self.server, self.out, options, **more)

    def cohorts(self) -> list[dict[str, Any]]:
        lines = (self.out / "run" / "cohorts.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def meeting(tmp_path: Path, corpus: Corpus) -> Meeting:
    return Meeting(tmp_path, corpus, f"folder:{tmp_path / 'shared'}")


def left(folder: Path) -> tuple[int, int]:
    """Files, and their bytes."""
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return len(sizes), sum(sizes)


# ------------------------------------------------------------------------------- all goes well


def test_over_a_folder_they_train_what_the_simulation_trains(
    meeting: Meeting, simulated: dict[str, bytes]
) -> None:
    with meeting.at_work():
        result = meeting.train()

    assert bundle(meeting.out) == simulated
    assert (result["workers"], result["users"], result["rounds"]) == (3, 9, 3)
    assert result["members"] == list(NAMES)
    assert result["absent"] == {}
    rounds = [row for row in meeting.cohorts() if row["phase"] == "train"]
    assert [row["round"] for row in rounds] == [1, 2, 3]
    assert read_status(meeting.server)["doing"] == "done"
    assert not read_status(meeting.server)["running"]


def test_over_a_store_in_memory_it_is_the_same(
    tmp_path: Path, corpus: Corpus, simulated: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores.new_store()
    monkeypatch.setattr(stores, "in_folder", lambda email, _: stores.in_memory(email, store))
    meeting = Meeting(tmp_path, corpus, f"folder:{tmp_path / 'shared'}")

    with meeting.at_work():
        meeting.train()

    assert bundle(meeting.out) == simulated
    assert list((tmp_path / "shared").iterdir()) == []


def test_no_word_of_anybody_lies_where_they_meet(meeting: Meeting, corpus: Corpus) -> None:
    with meeting.at_work():
        meeting.train()

    said = {text.encode() for texts in corpus.users.values() for text in texts}
    for path in (meeting.root / "shared").iterdir():
        content = path.read_bytes()
        assert not any(text in content for text in said)


def test_what_is_left_where_they_meet_does_not_grow_with_rounds_or_runs(meeting: Meeting) -> None:
    sizes = []
    for rounds in (1, 4):
        with meeting.at_work():
            meeting.train(TrainOptions(**{**vars(OPTIONS), "rounds": rounds}), force=True)
            until = time.monotonic() + 10
            # What owners have said of the last plan goes at their next look.
            while time.monotonic() < until and any(
                len(owner_outbox(meeting, email)) > 1 for email in OWNERS
            ):
                time.sleep(0.02)
        sizes.append(left(meeting.root / "shared"))

    assert sizes[0][0] == sizes[1][0]
    assert abs(sizes[0][1] - sizes[1][1]) < 100  # a time more or less
    assert sizes[1][1] < 100_000


def owner_outbox(meeting: Meeting, email: str) -> set[str]:
    """Names of the messages by an owner that wait for the server."""
    client = read_party(meeting.server).connect()
    peers.find_peers(client)
    return set(Channel(client).names(email))


def test_a_finished_run_gives_its_result_again_and_is_not_begun_over(meeting: Meeting) -> None:
    with meeting.at_work():
        result = meeting.train()

    assert meeting.train(resume=True) == result
    with pytest.raises(BadInput, match="already holds a training run"):
        meeting.train()


@pytest.mark.parametrize("rate", [1e-6, 500.0], ids=["hardly at all", "into ruin"])
def test_what_training_begins_with_is_measured_first_and_kept_where_no_round_is_better(
    meeting: Meeting, corpus: Corpus, tmp_path: Path, rate: float
) -> None:
    """Between parties as in the simulation, to the same bytes."""
    base, simulated = tmp_path / "base", tmp_path / "simulated"
    deals = dict(zip(NAMES, SHARES, strict=True))
    train_bundle(corpus, base, OPTIONS, command="", deals=deals)
    local = LocalWork(batch=4, learning_rate=4.0, clip_norm=0.5)
    server = ServerOptimizer("fedavg", learning_rate=rate)
    changes = {"base": str(base), "local": local, "server": server, "validate_every": 1}
    options = TrainOptions(**{**vars(OPTIONS), **changes})

    with meeting.at_work():
        result = meeting.train(options)

    told = train_bundle(corpus, simulated, options, command="", deals=deals)
    assert bundle(meeting.out) == bundle(simulated)
    assert result["before"] == told["before"]
    assert meeting.cohorts()[0]["round"] == 0
    assert meeting.cohorts()[0]["phase"] == "validate"
    same = (meeting.out / "model.safetensors").read_bytes() == (
        base / "model.safetensors"
    ).read_bytes()
    if rate > 1:
        assert (result["best_round"], result["valid"], same) == (0, result["before"], True)
    else:
        assert result["valid"]["perplexity"] <= result["before"]["perplexity"]


def test_a_run_that_is_begun_anew_is_another_plan_which_owners_answer_anew(
    meeting: Meeting,
) -> None:
    """Also where they can't give the answers of before again: those were dropped."""
    once = TrainOptions(**{**vars(OPTIONS), "rounds": 1})
    found = []
    for force in (False, True):
        with meeting.at_work():
            result = meeting.train(once, force=force)
        assert result["absent"] == {}
        found.append(bundle(meeting.out)["model.safetensors"])
        for email in OWNERS:
            for kept in (meeting.home(email) / "sent").iterdir():
                kept.unlink()

    assert found[0] == found[1]
    for email in OWNERS:
        asked = owner.requests(meeting.home(email), every=True)
        assert [each.kind for each in asked] == ["survey", "train"] * 2
        assert "has begun 1 training before" in " ".join(asked[3].words)
    with meeting.at_work():
        assert meeting.train(once, resume=True) == result  # under the number that it has


# ---------------------------------------------------------------------------------------- deaths


def test_a_server_that_dies_before_each_message_comes_to_the_same_bytes(
    meeting: Meeting, simulated: dict[str, bytes]
) -> None:
    deaths = 0

    def dies_at(count: int) -> Callable[..., None]:
        left = iter(range(count))

        def tap(*_: object) -> None:
            if next(left, None) is None:
                raise Killed

        return tap

    with meeting.at_work():
        while True:
            try:
                meeting.train(resume=True, tap=dies_at(deaths))
                break
            except Killed:
                deaths += 1

    assert deaths >= 8
    assert bundle(meeting.out) == simulated
    for email in OWNERS:
        answers = [e for e in owner.open_ledger(meeting.home(email)).entries if e.kind == "answer"]
        told = [(e.job, e.phase, e.round) for e in answers]
        assert len(told) == len(set(told))


@pytest.mark.parametrize("when", ["before a round is kept", "after", "before the bundle"])
def test_a_server_that_dies_at_its_disk_comes_to_the_same_bytes(
    meeting: Meeting,
    simulated: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    save, died = Checkpoint.save, False

    def saving(self: Checkpoint, state: Any) -> None:
        nonlocal died
        if state.number != 2 or died:
            save(self, state)
            return
        died = True
        if when == "after":
            save(self, state)
        raise Killed

    def no_bundle(*_: object) -> None:
        raise Killed

    with meeting.at_work():
        with monkeypatch.context() as patch:
            if when == "before the bundle":
                patch.setattr("nwp.tasks.joint.keep_result", no_bundle)
            else:
                patch.setattr(Checkpoint, "save", saving)
            with pytest.raises(Killed):
                meeting.train()
        meeting.train(resume=True)

    assert bundle(meeting.out) == simulated


def test_an_owner_that_stops_is_waited_for_and_comes_back_with_the_same_bytes(
    meeting: Meeting, simulated: dict[str, bytes]
) -> None:
    began = threading.Event()

    def tap(sender: str, to: str, name: str, payload: bytes) -> None:
        if ".2." in name:
            began.set()

    trained: list[Any] = []
    with meeting.at_work(*OWNERS[:2]):
        server = threading.Thread(target=lambda: trained.append(meeting.train(tap=tap)))
        with meeting.at_work(OWNERS[2]):
            server.start()
            assert began.wait(20)
        with meeting.at_work(OWNERS[2]):
            server.join()

    assert trained
    assert bundle(meeting.out) == simulated


def test_without_the_silent_it_goes_on_and_they_take_part_again_later(meeting: Meeting) -> None:
    # Those who are there answer in tens of milliseconds: two seconds are enough on a busy machine, too.
    wait = JointOptions(3, 60, Patience(answer=2, grace=0.2, decision=60, longest=60))
    came = threading.Event()

    def watch(sender: str, to: str, name: str, payload: bytes) -> None:
        if ".3." in name:
            came.set()

    options = TrainOptions(**{**vars(OPTIONS), "rounds": 12, "validate_every": 12, "cohort": 9})
    with meeting.at_work(*OWNERS[:2]):
        with meeting.at_work(OWNERS[2]):
            server = threading.Thread(target=lambda: meeting.train(options, joint=wait, tap=watch))
            server.start()
            assert came.wait(20)
        while not any(row["late"] for row in meeting.cohorts()):
            time.sleep(0.01)
        with meeting.at_work(OWNERS[2]):
            server.join()

    rows = [row for row in meeting.cohorts() if row["phase"] == "train"]
    assert {name for row in rows for name in row["late"]} == {NAMES[2]}
    assert rows[-1]["answered"] == list(NAMES)


# --------------------------------------------------------------------------- stopping, forgetting


def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(
    meeting: Meeting, simulated: dict[str, bytes]
) -> None:
    def tap(sender: str, to: str, name: str, payload: bytes) -> None:
        if name.endswith(".2.train") and not (meeting.server / "stop").exists():
            assert joint.stop(meeting.server) == {"stopping": True, "round": 1}

    with meeting.at_work():
        with pytest.raises(Interrupted, match="stopped in round 2"):
            meeting.train(tap=tap)
        assert not read_status(meeting.server)["running"]
        result = meeting.train(resume=True)

    assert result["resumed_from"] == 1
    assert bundle(meeting.out) == simulated


def test_where_nothing_is_under_way_there_is_nothing_to_stop(meeting: Meeting) -> None:
    with pytest.raises(BadInput, match="no training is under way"):
        joint.stop(meeting.server)
    assert read_status(meeting.server)["members"][0]["name"] == NAMES[0]


def test_waiting_for_members_can_be_stopped(meeting: Meeting) -> None:
    def tell(text: str) -> None:
        assert "0 of 3 members are there" in text
        joint.stop(meeting.server)

    with pytest.raises(Interrupted, match="0 of 3 members"):
        meeting.train(tell=tell)


def stopped_after_one_round(meeting: Meeting) -> None:
    def tap(sender: str, to: str, name: str, payload: bytes) -> None:
        if name.endswith(".2.train"):  # sent, and never waited for
            (meeting.server / "stop").touch()

    with meeting.at_work(), pytest.raises(Interrupted):
        meeting.train(tap=tap)


def test_who_is_forgotten_is_sent_nothing_by_the_run_that_goes_on(meeting: Meeting) -> None:
    stopped_after_one_round(meeting)

    done = joint.forget(meeting.server, OWNERS[1], meeting.out)
    asked: list[str] = []
    with meeting.at_work():
        result = meeting.train(resume=True, tap=lambda _, to, *more: asked.append(to))

    assert (done["member"], done["rounds"], done["first_round"]) == (NAMES[1], 1, 1)
    assert done["influence"]
    assert set(asked) == {OWNERS[0], OWNERS[2]}
    assert result["absent"] == {NAMES[1]: "it has left"}
    assert joint.forget(meeting.server, NAMES[1], meeting.out)["rounds"] == 1
    with pytest.raises(BadInput, match="no member"):
        joint.forget(meeting.server, "nobody@home.example")


def test_rounds_are_told_also_after_a_row_that_was_half_written(meeting: Meeting) -> None:
    stopped_after_one_round(meeting)
    cohorts = meeting.out / "run" / "cohorts.jsonl"
    with cohorts.open("a") as file:
        file.write('{"job": "')

    with meeting.at_work():
        meeting.train(resume=True)

    assert joint.forget(meeting.server, NAMES[0], meeting.out)["first_round"] == 1
    assert {row["round"] for row in rows_of(cohorts) if row["phase"] == "train"} == {1, 2, 3}


def test_an_owner_with_more_users_than_before_is_warned_of_and_the_run_goes_on(
    meeting: Meeting,
) -> None:
    stopped_after_one_round(meeting)
    more = Corpus("more", {"v": ("see you tomorrow at the park",) * 10})
    owner.add_corpus(meeting.home(OWNERS[0]), more)

    meeting.told[OWNERS[0]].clear()
    with meeting.at_work():
        # It has greeted, and the hello has the number of users.
        assert wait_for(
            lambda: any("waiting for plans" in said for said in meeting.told[OWNERS[0]])
        )
        meeting.train(resume=True)

    (warned,) = (text for text in meeting.told[SERVER] if "users now" in text)
    assert f"{OWNERS[0]} has 4 users now, and the run was begun with 3" in warned
    assert read_status(meeting.server)["round"] == 3


def test_a_run_that_may_not_begin_takes_nothing_from_the_one_that_is_there(
    meeting: Meeting, simulated: dict[str, bytes]
) -> None:
    stopped_after_one_round(meeting)
    joint.forget(meeting.server, OWNERS[2])

    with meeting.at_work():
        with pytest.raises(BadInput, match="already holds a training run"):
            meeting.train()
        joint.invite(meeting.server, [OWNERS[2]])
        joint.find_members(meeting.server, print)
        meeting.train(resume=True)

    assert bundle(meeting.out) == simulated


def test_resuming_where_nothing_was_begun_begins(
    meeting: Meeting, simulated: dict[str, bytes]
) -> None:
    with meeting.at_work():
        meeting.train(resume=True)

    assert bundle(meeting.out) == simulated


def test_other_options_than_the_run_was_begun_with_are_told(meeting: Meeting) -> None:
    stopped_after_one_round(meeting)

    with meeting.at_work(), pytest.raises(BadInput, match="other settings"):
        meeting.train(TrainOptions(**{**vars(OPTIONS), "seed": 1}), resume=True)


# --------------------------------------------------------------------------- who may not take part


def test_where_fewer_are_invited_than_must_be_there_nobody_is_waited_for(
    meeting: Meeting,
) -> None:
    with pytest.raises(NoQuorum, match="3 members are invited, at least 4"):
        meeting.train(joint=JointOptions(least=4))


def test_without_approvals_it_ends_and_goes_on_once_they_are_there(
    meeting: Meeting, simulated: dict[str, bytes]
) -> None:
    homes = [meeting.home(email) for email in OWNERS]
    for home in homes:
        rules = home / owner.POLICY
        rules.write_text(rules.read_text().replace('approve = "auto"', 'approve = "ask"'))
    hasty = JointOptions(3, 60, Patience(decision=0.3, longest=60))

    with meeting.at_work():
        with pytest.raises(NoQuorum, match="0 of 3 owners have approved"):
            meeting.train(joint=hasty)
        server = threading.Thread(target=lambda: meeting.train(resume=True))
        server.start()
        for kind in ("survey", "train"):
            for home in homes:
                (request,) = wait_for(lambda home=home: owner.requests(home))
                assert request.kind == kind
                owner.decide(home, str(request.asked.place), Decision.APPROVED)
        server.join()

    assert bundle(meeting.out) == simulated
    for home in homes:
        assert owner.requests(home) == []
        assert [r.kind for r in owner.requests(home, every=True)] == ["survey", "train"]


def test_a_run_goes_on_with_the_words_of_who_is_away_now(meeting: Meeting) -> None:
    stopped_after_one_round(meeting)
    wait = JointOptions(3, 60, Patience(answer=0.2, grace=0.1, longest=60))

    with meeting.at_work(*OWNERS[:2]):
        result = meeting.train(resume=True, joint=wait)

    assert (result["rounds"], result["resumed_from"]) == (3, 1)
    # Round 2 was asked for before the run was stopped, so all may have answered that.
    assert all(row["late"] == [NAMES[2]] for row in meeting.cohorts() if row["round"] > 2)


def wait_for(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + 8
    while not (value := found()) and time.monotonic() < until:
        time.sleep(0.02)
    return value


def test_two_at_once_in_one_folder_are_told(meeting: Meeting) -> None:
    with meeting.at_work(OWNERS[0]):
        wait_for(lambda: any("waiting for plans" in t for t in meeting.told[OWNERS[0]]))
        with pytest.raises(BadInput, match="another process is at work"):
            owner.attend(meeting.home(OWNERS[0]))
    with alone(meeting.server), pytest.raises(BadInput, match="another process is at work"):
        meeting.train()


def test_a_changed_rule_holds_from_the_next_look_and_a_broken_one_does_not(
    meeting: Meeting,
) -> None:
    rules = meeting.home(OWNERS[0]) / owner.POLICY
    text = rules.read_text()

    def said(what: str) -> bool:
        return any(what in line for line in meeting.told[OWNERS[0]])

    with meeting.at_work(OWNERS[0]):
        assert wait_for(lambda: said("waiting for plans"))
        rules.write_text('approve = "perhaps"')
        assert wait_for(lambda: said("your rules of before hold on"))
        rules.write_text(text.replace("max_rounds = ", "max_rounds = 1 # "))
        assert wait_for(lambda: said("your rules have changed"))
        rules.unlink()
        assert wait_for(lambda: sum("hold on" in t for t in meeting.told[OWNERS[0]]) == 2)
    assert [m.name for m in read_members(meeting.server)] == list(NAMES)
