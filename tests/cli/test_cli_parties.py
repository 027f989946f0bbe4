"""`nwp worker` and `nwp server`: what two people who keep their text type, and what they are told."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import Nwp, command, reached, write_corpus

from nwp.corpus.load import load_corpus
from nwp.corpus.types import Corpus
from nwp.tasks import owner
from nwp.tasks.train import train_bundle
from nwp.tasks.train_options import TrainOptions
from nwp.workers.engines import InProcess

KAJSA, ADA, BEN = "kajsa@lab.example", "ada@home.example", "ben@home.example"
NAMES = {"worker-001": ADA, "worker-002": BEN}
HOMES = {KAJSA: "kajsa", ADA: "ada", BEN: "ben"}
TINY = ("--from", "none", "--embedding", "8", "--hidden", "8", "--public-words", "200")
TRAIN = ("server", "train", "--home", "kajsa", "--out", "m", *TINY, "--rounds", "2")
COMPUTING = threading.Lock()


class OneAtATime(InProcess):
    """Owners are processes of their own; in threads of one they would share torch's threads."""

    def run(self, *work: Any) -> Iterator[Any]:
        with COMPUTING:
            return iter(list(super().run(*work)))


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody rests longer than a moment, and signals are afterwards as they were."""
    quick = SimpleNamespace(
        monotonic=time.monotonic,
        perf_counter=time.perf_counter,
        sleep=lambda seconds: time.sleep(min(seconds, 0.01)),
    )
    for module in ("nwp.workers.attending", "nwp.workers.network", "nwp.tasks.joint_members"):
        monkeypatch.setattr(f"{module}.time", quick)
    monkeypatch.setattr(owner, "make_engine", lambda processes: OneAtATime())
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def texts(corpus: Path) -> dict[str, Path]:
    """Three users for each of the two owners."""
    users: dict[str, list[str]] = {}
    for line in corpus.read_text().splitlines():
        row = json.loads(line)
        users.setdefault(row["user"], []).append(row["text"])
    names = sorted(users)
    return {
        email: write_corpus(Path(f"{HOMES[email]}.jsonl"), {n: users[n] for n in share})
        for email, share in ((ADA, names[:3]), (BEN, names[3:]))
    }


@pytest.fixture
def invited(nwp: Nwp) -> dict[str, list[str]]:
    """A server, and the commands that its invitations tell the owners."""
    made = nwp("server", "init", "--as", KAJSA, "--transport", "folder:us", "--home", "kajsa")
    assert made.code == 0, made.err
    told = nwp("server", "invite", ADA, BEN, "--home", "kajsa", "--json").result()["invited"]
    return {each["email"]: shlex.split(each["command"]) for each in told}


@pytest.fixture
def settled(nwp: Nwp, invited: dict[str, list[str]], texts: dict[str, Path]) -> None:
    """Two owners who have followed their invitations and added their text."""
    for email, words in invited.items():
        assert words.pop(0) == "nwp"
        assert nwp(*words, "--home", HOMES[email]).code == 0
        assert nwp("worker", "add", texts[email], "--home", HOMES[email]).code == 0


@contextlib.contextmanager
def at_work(*emails: str) -> Iterator[dict[str, list[str]]]:
    """What `nwp worker run` does, in threads; what owners are told meanwhile."""
    over, failed = threading.Event(), []
    told: dict[str, list[str]] = {email: [] for email in emails}

    def attend(email: str) -> None:
        try:
            owner.attend(Path(HOMES[email]), tell=told[email].append, until=over.is_set)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=attend, args=(email,)) for email in emails]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failed == []


def eventually(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + 20
    while not (value := found()) and time.monotonic() < until:
        time.sleep(0.02)
    assert value
    return value


def automatic(*emails: str) -> None:
    """Let owners' rules approve."""
    for email in emails:
        rules = Path(HOMES[email]) / "policy.toml"
        rules.write_text(rules.read_text().replace('approve = "ask"', 'approve = "auto"'))


# ------------------------------------------------------------------------------------ the whole way


@pytest.mark.usefixtures("settled")
def test_two_people_train_a_model_and_keep_their_text(nwp: Nwp) -> None:
    nothing = nwp("worker", "requests", "--home", "ada", "--json").result()
    assert nothing == {"requests": []}
    with at_work(ADA, BEN) as told:
        eventually(lambda: all("waiting for plans" in " ".join(t) for t in told.values()))
        members = nwp("server", "members", "--home", "kajsa", "--json").result()["members"]
        decided: list[str] = []

        def approve() -> None:
            """Both look, and approve what has come: the survey of words, then training."""
            for kind in ("survey", "train"):
                for home in ("ada", "ben"):
                    (each,) = eventually(lambda home=home: owner.requests(Path(home)))
                    assert each.kind == kind
                    owner.decide(Path(home), each.digest[:8], owner.Decision.APPROVED)
                    decided.append(f"{home} {kind}")

        people = threading.Thread(target=approve)
        people.start()
        trained = nwp(*TRAIN, "--messages", 2, "--json").result()
        people.join()

    assert [(m["name"], m["email"], m["users"], m["there"]) for m in members] == [
        ("worker-001", ADA, 3, True),
        ("worker-002", BEN, 3, True),
    ]
    assert decided == ["ada survey", "ben survey", "ada train", "ben train"]
    assert (trained["workers"], trained["users"], trained["rounds"]) == (2, 6, 2)
    assert trained["members"] == ["worker-001", "worker-002"]
    assert nwp("suggest", "see ", "--model", "m", "--json").result()["suggestions"]

    found = nwp("worker", "requests", "--all", "--home", "ada", "--json").result()["requests"]
    assert [(r["number"], r["kind"], r["decision"], r["by"]) for r in found] == [
        (1, "survey", "approved", "owner"),
        (2, "train", "approved", "owner"),
    ]
    assert all(r["words"] and r["came"] and r["decided"] for r in found)
    assert "2 messages at most, others of theirs in each round" in " ".join(found[1]["words"])

    log = nwp("worker", "log", "--last", 0, "--home", "ada", "--json").result()
    answers = [(e["phase"], e["round"]) for e in log["entries"] if e["kind"] == "answer"]
    assert answers == [("survey", 1), ("train", 1), ("train", 2), ("validate", 2)]
    assert log["head"] == log["entries"][-1]["hash"]
    assert (
        len(nwp("worker", "log", "--last", 2, "--home", "ada", "--json").result()["entries"]) == 2
    )
    number = next(e["n"] for e in log["entries"] if e["phase"] == "train")
    sent = nwp("worker", "show-sent", number, "--home", "ada", "--json").result()
    assert sent["entry"]["n"] == number
    assert sent["fields"]["users"] == 3
    assert sent["arrays"]["update"]["dtype"] == "float32"
    assert "norm" in sent["arrays"]["update"]["shown"]

    status = nwp("server", "status", "--home", "kajsa", "--json").result()
    assert (status["running"], status["doing"], status["round"]) == (False, "done", 2)
    gone = nwp("server", "forget", BEN, "--model", "m", "--home", "kajsa", "--json").result()
    assert gone == {
        **{"member": "worker-002", "email": BEN, "rounds": 2, "first_round": 1},
        "influence": True,
    }


@pytest.mark.usefixtures("settled")
def test_what_people_read_says_what_is_so(nwp: Nwp) -> None:
    automatic(ADA, BEN)
    said = nwp("server", "members", "--home", "kajsa").out
    assert f"worker-001  {ADA}  not there yet" in said
    with at_work(ADA, BEN):
        done = nwp(*TRAIN)
    assert done.code == 0, done.err
    assert "2 rounds over 6 users of 2 members" in done.out
    assert "no message" in done.out

    assert f"worker-001  {ADA}  there  3 users" in nwp("server", "members", "--home", "kajsa").out
    assert "not running; done" in nwp("server", "status", "--home", "kajsa").out
    log = nwp("worker", "log", "--home", "ada").out
    assert "train of round 2" in log
    assert "the chain holds" in log
    assert "update" in nwp("worker", "show-sent", 5, "--home", "ada").out
    assert "nothing waits for you" in nwp("worker", "requests", "--home", "ada").out
    assert "train" in nwp("worker", "requests", "--all", "--home", "ada").out
    gone = nwp("server", "forget", "worker-001", "--model", "m", "--home", "kajsa").out
    assert "is asked for nothing more" in gone
    assert "2 rounds, the first 1" in gone
    assert "has left" in nwp("server", "members", "--home", "kajsa").out
    assert f"no update of it is in {Path('n')}" in (
        nwp("server", "forget", BEN, "--model", "n", "--home", "kajsa").out
    )


def denied_by_both(nwp: Nwp) -> str:
    """Train with two owners at work who deny the plan as soon as they see it; what the server says."""

    def deny() -> None:
        for home in ("ada", "ben"):
            eventually(lambda home=home: owner.requests(Path(home)))
            owner.decide(Path(home), "1", owner.Decision.DENIED, "not now")

    people = threading.Thread(target=deny)
    people.start()
    refused = nwp(*TRAIN, "--json").error("no-quorum")
    people.join()
    return refused


@pytest.mark.usefixtures("settled")
def test_a_plan_that_both_deny_ends_training_with_what_to_do(nwp: Nwp) -> None:
    with at_work(ADA, BEN):
        refused = denied_by_both(nwp)

    assert "0 of 2 owners have approved" in refused
    assert "does not allow the plan" in refused
    assert "not now" not in refused  # reasons stay with the owner
    assert not Path("m").exists()
    found = nwp("worker", "requests", "--all", "--home", "ada").out
    assert "denied because: not now" in found


@pytest.mark.usefixtures("settled")
def test_a_plan_is_approved_denied_and_taken_back_by_its_number(nwp: Nwp) -> None:
    with at_work(ADA, BEN):
        assert "0 of 2 owners have approved" in denied_by_both(nwp)
    here = ("--home", "ada")
    approved = nwp("worker", "approve", 1, *here, "--json").result()
    assert (approved["number"], approved["decision"], approved["by"]) == (1, "approved", "owner")
    assert nwp("worker", "revoke", 1, *here, "--json").result()["decision"] == "revoked"
    assert "nothing to take back" in nwp("worker", "revoke", 1, *here, "--json").error("bad-input")
    denied = nwp("worker", "deny", 1, "--reason", "no", *here, "--json").result()
    assert (denied["decision"], denied["reason"]) == ("denied", "no")
    assert "survey plan" in nwp("worker", "approve", approved["digest"][:6], *here).out
    assert "no plan '7'" in nwp("worker", "approve", 7, *here, "--json").error("bad-input")


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "words",
    [
        *(("worker", "add", "sample"), ("worker", "requests"), ("worker", "approve", "1")),
        *(("worker", "log"), ("worker", "show-sent", "1"), ("server", "invite", ADA)),
        *(("server", "members"), ("server", "status"), ("server", "stop"), TRAIN[:6]),
        ("server", "forget", ADA),
    ],
    ids=" ".join,
)
def test_where_no_home_is_it_says_how_to_begin(nwp: Nwp, words: tuple[str, ...]) -> None:
    if "--home" not in words:
        words = (*words, "--home", "nowhere")

    told = nwp(*words, "--json").error("bad-input")

    assert "no worker's or server's folder" in told
    assert "nwp worker init --help" in told


def test_the_homes_are_the_usual_ones_when_nobody_says(nwp: Nwp, own_place: Path) -> None:
    made = nwp("server", "init", "--as", KAJSA, "--transport", "folder:us", "--json").result()

    assert own_place.parent in Path(made["home"]).parents
    assert len(made["fingerprint"].split()) == 8
    assert nwp("server", "members", "--json").result() == {"members": []}
    assert "nobody was invited yet" in nwp("server", "members").out
    assert "no worker's" in nwp("worker", "log", "--json").error("bad-input")


@pytest.mark.usefixtures("settled")
def test_a_home_is_made_once_and_is_of_one_kind(nwp: Nwp) -> None:
    server = ("server", "init", "--as", KAJSA, "--transport", "folder:us", "--json", "--home")
    worker = ("worker", "init", "--as", ADA, "--server", KAJSA, "--transport", "folder:us")
    worker = (*worker, "--json", "--home")
    for home in ("ada", "kajsa"):
        before = Path(home, "party.json").read_bytes()
        assert f"{home} is a" in nwp(*server, home).error("bad-input")
        assert f"{home} is a" in nwp(*worker, home).error("bad-input")
        assert Path(home, "party.json").read_bytes() == before
    assert "not a server's" in nwp("server", "invite", BEN, "--home", "ada", "--json").error(
        "bad-input"
    )
    assert "not a worker's" in nwp("worker", "log", "--home", "kajsa", "--json").error("bad-input")


@pytest.mark.parametrize("transport", ["us", "ftp:us", "folder:", ""])
def test_what_is_no_transport_is_told(nwp: Nwp, transport: str) -> None:
    words = ("--as", ADA, "--transport", transport, "--home", "h", "--json")

    assert "no transport" in nwp("server", "init", *words).error("bad-settings")
    assert "no transport" in nwp("worker", "init", "--server", KAJSA, *words).error("bad-settings")
    assert not Path("h").exists()


def test_what_is_no_name_or_fingerprint_is_told(nwp: Nwp) -> None:
    words = ("--transport", "folder:us", "--home", "h", "--json")
    assert "no e-mail" in nwp("server", "init", "--as", "kajsa", *words).error("bad-settings")
    here = ("worker", "init", "--as", ADA, *words)
    assert "no e-mail" in nwp(*here, "--server", "kajsa").error("bad-settings")
    short = nwp(*here, "--server", KAJSA, "--fingerprint", "12 34")
    assert "32 digits" in short.error("bad-settings")
    assert not Path("h").exists()


@pytest.mark.usefixtures("invited")
def test_who_is_invited_must_have_an_address_and_be_somebody_else(nwp: Nwp) -> None:
    here = ("server", "invite", "--home", "kajsa", "--json")
    before = Path("kajsa/members.json").read_bytes()

    assert "no e-mail" in nwp(*here, "cleo@home.example", "nobody").error("bad-settings")
    assert "the server itself" in nwp(*here, KAJSA).error("bad-settings")

    assert Path("kajsa/members.json").read_bytes() == before
    again = nwp(*here, ADA).result()["invited"]
    assert [each["name"] for each in again] == ["worker-001"]


def test_without_text_there_is_nothing_to_work_with(
    nwp: Nwp, invited: dict[str, list[str]]
) -> None:
    assert nwp(*invited[ADA][1:], "--home", "ada").code == 0

    done = nwp("worker", "run", "--home", "ada")

    assert done.code == 3
    assert "this worker has no text yet" in done.err
    assert "nwp worker add CORPUS" in done.err


def test_another_key_than_the_one_that_was_told_is_refused(
    nwp: Nwp, invited: dict[str, list[str]], texts: dict[str, Path]
) -> None:
    words = invited[ADA][1:-1]
    assert nwp(*words, "0123 4567 " * 4, "--home", "ada").code == 0
    assert nwp("worker", "add", texts[ADA], "--home", "ada").code == 0

    done = nwp("worker", "run", "--home", "ada")

    assert done.code == 4
    assert "pose as the server" in done.err
    members = nwp("server", "members", "--home", "kajsa", "--json").result()["members"]
    assert not members[0]["there"]


@pytest.mark.usefixtures("settled")
def test_users_are_there_once_unless_they_are_replaced(nwp: Nwp, texts: dict[str, Path]) -> None:
    add = ("worker", "add", texts[ADA], "--home", "ada", "--json")

    assert "3 of these users are there already" in nwp(*add).error("bad-input")
    replaced = nwp(*add, "--replace").result()
    assert {k: replaced[k] for k in ("users", "added", "replaced")} == {
        **{"users": 3, "added": 0, "replaced": 3}
    }
    more = nwp("worker", "add", texts[BEN], "--home", "ada", "--json").result()
    assert (more["users"], more["messages"], more["added"]) == (6, 120, 3)


@pytest.mark.usefixtures("settled")
def test_a_ledger_without_entries_is_empty_and_one_that_was_changed_is_told(nwp: Nwp) -> None:
    here = ("--home", "ada", "--json")
    assert nwp("worker", "log", *here).result()["entries"] == []
    for number in (0, 1, 99):
        told = nwp("worker", "show-sent", number, *here).error("bad-input")
        assert f"no entry {number}" in told
    Path("ada/ledger.jsonl").write_text('{"n": 1}\n')
    assert "is broken at line 1" in nwp("worker", "log", *here).error("bad-input")


def test_training_wants_members_and_a_folder_to_write_to(
    nwp: Nwp, invited: dict[str, list[str]]
) -> None:
    told = nwp(*TRAIN, "--least", 3, "--json").error("no-quorum")
    assert "2 members are invited, at least 3" in told
    assert "nwp server invite" in told
    nobody = nwp(*TRAIN, "--longest", "0.1", "--json").error("no-quorum")
    assert "0 of 2 members are there" in nobody
    assert "nwp worker run" in nobody
    Path("m").mkdir()
    Path("m/mine.txt").write_text("mine")
    assert "already holds something" in nwp(*TRAIN, "--json").error("bad-input")
    assert invited


def test_what_would_do_nothing_is_not_asked_for(nwp: Nwp) -> None:
    own = ("server", "train", "--home", "kajsa", "--out", "m", "--hidden", 8, "--json")
    assert "--hidden would do nothing here" in nwp(*own).error("bad-settings")
    top = ("server", "query", "size", "--top", 3, "--home", "kajsa", "--json")
    assert "--top would do nothing here" in nwp(*top).error("bad-settings")


@pytest.mark.usefixtures("invited")
def test_where_no_training_is_under_way_there_is_none_to_stop(nwp: Nwp) -> None:
    assert "no training is under way" in nwp("server", "stop", "--home", "kajsa", "--json").error(
        "bad-input"
    )
    status = nwp("server", "status", "--home", "kajsa", "--json").result()
    assert (status["running"], len(status["members"])) == (False, 2)
    assert "nothing was trained yet" in nwp("server", "status", "--home", "kajsa").out
    for damaged in ("[]", "7", "{"):
        Path("kajsa/status.json").write_text(damaged)
        assert nwp("server", "status", "--home", "kajsa", "--json").result()["running"] is False


# --------------------------------------------------------------------- processes, signals, kills


@pytest.fixture
def processes(settled: None) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `nwp` in processes, which are ended with the test."""
    automatic(ADA, BEN)
    begun: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        begun.append(subprocess.Popen(command(*words), stdout=pipe, stderr=pipe, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def simulated(rounds: int) -> None:
    """The same training in one process, into the folder `simulated`."""
    corpora = {name: load_corpus(f"{HOMES[email]}.jsonl") for name, email in NAMES.items()}
    users = {user: texts for found in corpora.values() for user, texts in found.users.items()}
    deals = {name: tuple(found.users) for name, found in corpora.items()}
    sizes = {"embedding": 8, "hidden": 8, "public_words": 200}
    options = TrainOptions(**sizes, rounds=rounds, processes=1)
    train_bundle(Corpus("six", users), Path("simulated"), options, command="", deals=deals)


@pytest.mark.slow
def test_processes_are_stopped_by_a_signal_and_go_on_to_the_same_bytes(
    processes: Callable[..., subprocess.Popen[str]], nwp: Nwp
) -> None:
    owners = [processes("worker", "run", "--home", home) for home in ("ada", "ben")]
    stopped = processes(*TRAIN[:-1], 12, "--json")
    reached(Path("m"), 2, stopped)
    stopped.send_signal(signal.SIGTERM)
    out, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    error = json.loads(out)["error"]
    assert error["kind"] == "interrupted"
    assert error["hint"].endswith("--resume")

    owners[0].send_signal(signal.SIGTERM)
    assert owners[0].wait(timeout=60) == 130
    processes("worker", "run", "--home", "ada")
    resumed = processes(*TRAIN[:-1], 12, "--json", "--resume")
    out, _ = resumed.communicate(timeout=110)
    assert resumed.returncode == 0
    assert json.loads(out)["resumed_from"] >= 2
    simulated(12)
    for name in ("model.safetensors", "vocabulary.json"):
        assert Path("m", name).read_bytes() == Path("simulated", name).read_bytes()
    log = nwp("worker", "log", "--last", 0, "--home", "ada", "--json").result()["entries"]
    answers = [(e["job"], e["phase"], e["round"]) for e in log if e["kind"] == "answer"]
    assert len(answers) == len(set(answers))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 7])  # in which the server is killed, too
def test_owners_and_a_server_that_are_killed_come_to_the_bytes_of_the_simulation(
    nwp: Nwp, seed: int
) -> None:
    done = nwp(
        *("server", "rehearse", "sample", "--owners", 3, "--rounds", 25, "--from", "none"),
        *("--embedding", 16, "--hidden", 16, "--kill", 4, "--seed", seed, "--json"),
    ).result()

    assert done["same"] is True
    assert done["everyone_each_round"] is True
    assert "server" in done["kills"]
    assert len(set(done["kills"])) > 1
