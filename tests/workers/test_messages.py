"""Nothing that leaves a worker, or lies outside it, gives its users' text away."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from inspector import Message, leaks, views
from safetensors.numpy import load, save

from nwp.corpus.types import Corpus
from nwp.errors import BadMessage, NoQuorum
from nwp.federated.averaging import MEAN
from nwp.federated.local import LocalWork
from nwp.federated.parcel import Parcel, peek, unpack
from nwp.federated.plan import SurveyPlan, TrainPlan
from nwp.federated.surveying import SURVEY
from nwp.model.bundle import load_bundle
from nwp.model.config import ModelConfig
from nwp.tasks import counting, evaluate, ngrams, query, train
from nwp.tasks.train_options import TrainOptions
from nwp.text.building import public_order
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import BEGIN, END, FIRST_WORD, UNKNOWN
from nwp.workers.adapter import stores
from nwp.workers.engines import InProcess
from nwp.workers.refusals import REFUSED
from nwp.workers.simulation import SERVER, Simulation, deal

K = 3
USERS = ("annabel-071", "brunhilde-28", "casimir-303", "dorothea-44", "ebenezer-55", "friedegund-6")
SHARED = ("garden", "window", "kettle", "bicycle", "umbrella", "blanket", "lantern", "orchard")
JARGON = ("Snorkelby", "quibblefest")  # of everybody, in no list
PAIR = "murkelheim"  # of the first and third user, who share a worker
RARE = ("brimblewick", "clatterpond", "drizzlemoor", "frobnickle", "grumbleford", "hobblestick")
RARE_PUBLIC = ("carpet", "pillow", "curtain", "garage", "hallway", "balcony")
HEDGEHOGS = "🦔🦔 🦔🦔"


def written_by(number: int) -> tuple[str, ...]:
    """Fifteen messages. Two words take turns in each, so that three in a row repeat one of them:
    no list of different words holds such three, in whatever order."""
    rare, public = RARE[number], RARE_PUBLIC[number]
    pairs = [
        ("garden", "window"),
        ("kettle", public),
        (rare, "bicycle"),
        ("umbrella", JARGON[0]),
        (JARGON[1], "blanket"),
        ("lantern", rare),
        ("orchard", "garden"),
        (PAIR if number in (0, 2) else "kettle", "window"),
        ("bicycle", "kettle"),
        ("blanket", JARGON[0]),
        ("lantern", "orchard"),
        ("kettle", rare),
        (public, "garden"),
        ("window", JARGON[1]),
    ]
    return (HEDGEHOGS, *(f"{a} {b} {a} {b}, {a}!" for a, b in pairs))


def corpus_of(users: int) -> Corpus:
    return Corpus("village", {USERS[i]: written_by(i) for i in range(users)})


@dataclass
class Seen:
    """All that a training run and two evaluations sent and left."""

    corpus: Corpus
    deals: Mapping[str, tuple[str, ...]]
    messages: list[Message]
    files: list[Message]
    words: tuple[str, ...]

    def leaks(self, messages: list[Message]) -> list[str]:
        return leaks(messages, self.corpus, self.deals, K)

    def read(self, message: str) -> list[int]:
        """A message as ids of the run's vocabulary, with two begins before it and an end."""
        ids = {word: i for i, word in enumerate(self.words, FIRST_WORD)}
        return [BEGIN, BEGIN, *(ids.get(word, UNKNOWN) for word in words_of(message)), END]

    def said(self, worker: str, phase: str) -> list[bytes]:
        """What a worker answered in a phase."""
        return [
            content
            for sender, _, _, content in self.messages
            if sender == f"{worker}@nwp.example" and peek(content).phase == phase
        ]


ASKED = partial(query.QueryOptions, min_users=K, workers=2, processes=1)
MODELLED = partial(ASKED, model=Path("the run's own"), part="all")
NOISY = {"epsilon": 1.0, "per_user": 10}
QUERIES = [
    *(ASKED("size"), ASKED("lengths"), ASKED("words", k=K), ASKED("words", k=99)),
    *(MODELLED("unknown"), MODELLED("perplexity")),
    *(ASKED("size", **NOISY), ASKED("lengths", **NOISY)),
    *(MODELLED("unknown", **NOISY), MODELLED("perplexity", **NOISY)),
]


# Users to the sizes of the two workers: both with k users, one with fewer, both with fewer.
SIZES = {6: (3, 3), 5: (3, 2), 3: (2, 1)}


@pytest.fixture(scope="module", params=SIZES, ids=lambda users: f"{SIZES[users]}")
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A survey, two rounds with validation, n-grams where a worker has enough users, evaluations of
    all that with a row a user and with a sum alone, and every query with and without noise."""
    corpus = corpus_of(request.param)
    messages: list[Message] = []
    files: dict[tuple[str, bytes], Message] = {}

    class Recorded(Simulation):
        """Keeps all that is sent, and all that ever lay in the store or in the server's folder."""

        def __enter__(self) -> Self:
            self.tap = self.record
            return super().__enter__()

        def __exit__(self, *error: object) -> None:
            self.look_around()
            super().__exit__(*error)

        def record(self, *message: Any) -> None:
            messages.append(message)
            self.look_around()

        def look_around(self) -> None:
            names = {identity: file.name for identity, file in self.store.files.items()}
            contents = stores.stored_bytes(self.store).items()
            keep([(names[identity], content) for identity, content in contents])
            keep(inside(self.server.syftbox_folder.parent))

    def keep(found: list[tuple[str, bytes]]) -> None:
        for name, content in found:
            files.setdefault((name, content), ("", "", name, content))

    out = tmp_path_factory.mktemp("bundle") / "out"
    options = TrainOptions(
        workers=2,
        k=K,
        vocabulary=200,
        public_words=150,
        embedding=4,
        hidden=4,
        local=LocalWork(batch=4),
        rounds=2,
        validate_every=1,
        processes=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        for task in (train, ngrams, counting, query):
            patch.setattr(task, "Simulation", Recorded)
        train.train_bundle(corpus, out, options, command="nwp train village")
        if request.param > K:
            some = ngrams.NgramsOptions(k=K, workers=2, processes=1)
            ngrams.add_ngrams(corpus, out, out.with_name("keyboard"), some)
            keep(inside(out))
            out = out.with_name("keyboard")
        for own in (True, False):
            evaluate.evaluate_bundle(
                replace(corpus, own=own), out, evaluate.EvaluateOptions(workers=2, processes=1)
            )
        for asked in QUERIES:
            plan, parcel = query.plan_query(replace(asked, model=asked.model and out))
            with contextlib.suppress(NoQuorum):  # where a worker refuses, it says so, too
                query.query_corpus(corpus, asked, plan, parcel)
    keep(inside(out))
    words = load_bundle(out).vocabulary.words
    return Seen(corpus, deal(list(corpus.users), 2), messages, list(files.values()), words)


def inside(folder: Path) -> list[tuple[str, bytes]]:
    return [(str(p.relative_to(folder)), p.read_bytes()) for p in folder.rglob("*") if p.is_file()]


def test_no_message_gives_users_away(seen: Seen) -> None:
    assert seen.leaks(seen.messages) == []


def test_an_ngram_leaves_only_where_k_users_of_the_worker_wrote_it(seen: Seen) -> None:
    """Read as words again, and looked for in the text of each user of that worker."""
    counted = 0
    for worker, users in seen.deals.items():
        for content in seen.said(worker, "ngrams"):
            _, arrays = parts(content)
            counted += 1
            assert (len(arrays["pairs.words"]) > 0) == (len(users) >= K)
            for name in ("pairs", "triples"):
                contexts, words = arrays[f"{name}.contexts"], arrays[f"{name}.words"]
                for context, word in zip(contexts.tolist(), words.tolist(), strict=True):
                    ids = [context >> 20, context & 0xFFFFF, word][0 if name == "triples" else 1 :]
                    wrote = [
                        any(has(seen.read(m), ids) for m in seen.corpus.users[u]) for u in users
                    ]
                    assert sum(wrote) >= K, (worker, name, ids)
    assert counted == (2 if len(seen.corpus.users) > K else 0)


def test_a_query_is_refused_where_users_are_too_few_and_tells_shared_words_alone(
    seen: Seen,
) -> None:
    for worker, users in seen.deals.items():
        said = seen.said(worker, "query")
        assert len(said) == len(QUERIES)
        assert {peek(content).kind for content in said} == (
            {"answer"} if len(users) >= K else {"refuse"}
        )
        told = [parts(content)[1] for content in said]
        words = [
            line
            for arrays in told
            for line in bytes(arrays.get("lines", b"")).decode().split("\n")[:-1]
        ]
        assert set(words) == ({*SHARED, *JARGON} if len(users) >= K else set())
        for arrays in told:  # of a larger k: of the public list those that K users wrote
            counts = arrays.get("counts", np.zeros(0))
            if len(counts) == len(public_order()):
                listed = {w for w, n in zip(public_order(), counts, strict=True) if n}
                assert listed == set(SHARED)


def has(row: list[int], ids: list[int]) -> bool:
    return any(row[i : i + len(ids)] == ids for i in range(len(row)))


def test_nothing_in_the_store_or_at_the_server_gives_users_away(seen: Seen) -> None:
    assert seen.leaks(seen.files) == []


def test_there_was_something_to_look_at(seen: Seen) -> None:
    """Each phase went both ways with each worker, and words that may be said were said."""
    ways = {(s.split("@")[0], r.split("@")[0], peek(c).phase) for s, r, _, c in seen.messages}
    phases = ["survey", "train", "validate", "evaluate", "query"]
    phases += ["ngrams", "weigh"] if len(seen.corpus.users) > K else []
    assert ways == {
        way
        for worker in seen.deals
        for phase in phases
        for way in (("server", worker, phase), (worker, "server", phase))
    }
    assert len(seen.messages) == 2 * 2 * (1 + 2 + 2 + 2 + len(QUERIES) + len(phases) - 5)
    for worker, users in seen.deals.items():
        (answer,) = seen.said(worker, "survey")
        about, arrays = parts(answer)
        assert about["fields"]["listed"] == (len(users) < K)
        lines = bytes(arrays["lines"]).decode().split("\n")[:-1]
        expected = {*SHARED, *JARGON} if len(users) >= K else set()
        assert set(lines) == expected
    names = [name for _, _, name, _ in seen.files]
    for wanted in ("users.jsonl", "dataset.yaml", "msgv2_", "nwp.", "plan.json", "vocabulary.json"):
        assert any(wanted in name for name in names), wanted
    vocabulary = next(c for _, _, name, c in seen.files if name == "vocabulary.json")
    told = any(len(users) >= K for users in seen.deals.values())
    assert (b"snorkelby" in vocabulary) == told


def test_no_word_of_the_corpus_can_be_met_by_chance() -> None:
    """Not among the words that mocks are made of, nor short enough to be in random bytes."""
    words = {*SHARED, *map(str.lower, JARGON), PAIR, *RARE, *RARE_PUBLIC}
    assert len(words) == 2 + 8 + 1 + 6 + 6
    assert not words & set(public_order()[:500])
    assert min(map(len, words)) >= 6
    assert set(SHARED) | set(RARE_PUBLIC) <= set(public_order())
    assert not {*map(str.lower, JARGON), PAIR, *RARE} & set(public_order())


# -------------------------------------------------------------------- does the inspector see leaks?


@pytest.fixture(scope="module")
def answers() -> dict[str, Message]:
    """What the first of two workers of three users answers in each phase: nothing wrong with it."""
    corpus = corpus_of(6)
    found: dict[str, Message] = {}

    def tap(*message: Any) -> None:
        if message[0] == "worker-1@nwp.example":
            found[peek(message[3]).phase] = message

    with Simulation(corpus, deal(USERS, 2), InProcess(), tap=tap) as simulation:
        surveying = simulation.submit(SurveyPlan(K), "survey")
        simulation.exchange(surveying)(SURVEY, 1, {w: Parcel() for w in simulation.deals})
        training = simulation.submit(PLAN, "train")
        weights = np.zeros(PLAN.model.parameters, np.float32)
        request = Parcel(arrays={"weights": weights, "users": np.arange(3)})
        simulation.exchange(training)(
            MEAN.steps[0].phase, 1, dict.fromkeys(simulation.deals, request)
        )
    assert leaks(found.values(), corpus, deal(USERS, 2), K) == []
    return found


MODEL = ModelConfig(FIRST_WORD + len(SHARED), embedding=4, hidden=4, projection=4)
PLAN = TrainPlan(MODEL, SHARED, {}, workers={"worker-1": 3, "worker-2": 3})
SECRET = written_by(0)[2]  # "kettle carpet kettle carpet, kettle!"

Change = Callable[[bytes], bytes]


def parts(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """A message's own header, and its arrays."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["nwp"]), load(content)


def written(about: Mapping[str, Any], arrays: Mapping[str, Any], **metadata: str) -> bytes:
    return save(
        dict(sorted(arrays.items())), {"nwp": json.dumps(about, sort_keys=True), **metadata}
    )


def with_field(name: str, value: Any) -> Change:
    def change(content: bytes) -> bytes:
        about, arrays = parts(content)
        about["fields"][name] = value
        return written(about, arrays)

    return change


def with_entry(name: str, value: Any) -> Change:
    def change(content: bytes) -> bytes:
        about, arrays = parts(content)
        return written({**about, name: value}, arrays)

    return change


def with_metadata(**more: str) -> Change:
    def change(content: bytes) -> bytes:
        return written(*parts(content), **more)

    return change


def with_array(name: str, data: bytes) -> Change:
    def change(content: bytes) -> bytes:
        about, arrays = parts(content)
        return written(about, {**arrays, name: np.frombuffer(data, np.uint8)})

    return change


def in_padding(content: bytes) -> bytes:
    """Text between the header's JSON and the arrays, where safetensors pads with spaces."""
    length = int.from_bytes(content[:8], "little")
    text = (SECRET + " " * (-len(SECRET) % 8)).encode()
    head = content[8 : 8 + length] + text
    return len(head).to_bytes(8, "little") + head + content[8 + length :]


def in_json_spaces(content: bytes) -> bytes:
    """Bits as spaces and tabs in the header: no text that the inspector could read."""
    length = int.from_bytes(content[:8], "little")
    head = content[8 : 8 + length].rstrip() + b"".join(b" \t"[b : b + 1] for b in (0, 1) * 4 * 8)
    return len(head).to_bytes(8, "little") + head + content[8 + length :]


def in_the_update(content: bytes) -> bytes:
    """Text as the first of the update's numbers: all as agreed, but for what they say."""
    about, arrays = parts(content)
    update = np.frombuffer(SECRET.encode() + b" " * (-len(SECRET) % 4), np.float32)
    return written(about, {"update": np.concatenate([update, arrays["update"][len(update) :]])})


def in_word_ids(content: bytes) -> bytes:
    about, arrays = parts(content)
    return written(about, {**arrays, "ids": np.array([7, 5, 7, 5, 7])})


def in_escapes(content: bytes) -> bytes:
    """A header that is ASCII throughout and has the text as JSON's numbers of characters."""
    planted = with_metadata(note=SECRET)(content)
    length = int.from_bytes(planted[:8], "little")
    escaped = "".join(f"\\u{ord(c):04x}" for c in SECRET)
    head = planted[8 : 8 + length].replace(SECRET.encode(), escaped.encode())
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + planted[8 + length :]


# What a worker might do; does the inspector see the text itself, and does the protocol refuse it?
PLANTED: dict[str, tuple[Change, bool, bool]] = {
    "a field of text": (with_field("note", SECRET), True, True),
    "text in place of a number": (with_field("loss", SECRET), True, True),
    "a field's name": (with_field(SECRET, 1), True, True),
    "an entry of the header": (with_entry("note", SECRET), True, True),
    "further metadata": (with_metadata(note=SECRET), True, True),
    "the job": (with_entry("job", SECRET), True, False),
    "the phase": (with_entry("phase", SECRET), True, False),
    "an array": (with_array("note", SECRET.encode()), True, True),
    "an array's name": (with_array(SECRET, b"1"), True, True),
    "after the end": (lambda content: content + SECRET.encode(), True, True),
    "padding": (in_padding, True, True),
    "spaces and tabs": (in_json_spaces, False, True),
    "the agreed numbers": (in_the_update, True, False),
    "word ids": (in_word_ids, False, True),
    "escapes": (in_escapes, True, True),
    "UTF-16": (with_array("note", SECRET.encode("utf-16-le")), True, True),
    "UTF-16, big-endian": (with_array("note", SECRET.encode("utf-16-be")), True, True),
    "capitals": (with_array("note", SECRET.upper().encode()), True, True),
    "lines": (with_array("note", SECRET.replace(" ", "\n").encode()), True, True),
    "base64": (with_array("note", base64.b64encode(SECRET.encode())), True, True),
    "base64 after letters": (with_field("n" + base64.b64encode(SECRET.encode()).decode(), 1), True, True),
    "hex": (with_array("note", SECRET.encode().hex().encode()), True, True),
    "gzip": (with_array("note", gzip.compress(SECRET.encode())), True, True),
    "gzip in base64": (
        with_array("note", base64.b64encode(gzip.compress(SECRET.encode()))),
        True,
        True,
    ),
    "emoji": (with_array("note", HEDGEHOGS.encode()), True, True),
    "a part of a message": (with_array("note", b"so: Kettle -- carpet\tKETTLE."), True, True),
    "a user's name": (with_field("Annabel-071", 3), True, True),
    "a rare word": (with_array("note", RARE[0].encode()), True, True),
    "a rare word of the public list": (with_array("note", RARE_PUBLIC[0].encode()), True, True),
    "a word of two": (with_array("note", PAIR.encode()), True, True),
    "an empty array": (with_array("note", b""), False, True),
}  # fmt: skip


# What the inspector says of a message's form, not of its text.
OF_FORM = ("no message of the protocol", "one more ", "bytes that belong to no array")


def found_in(message: Message) -> list[str]:
    return leaks([message], corpus_of(6), deal(USERS, 2), K)


@pytest.mark.parametrize(("change", "readable", "refused"), PLANTED.values(), ids=PLANTED)
def test_a_planted_leak_is_found_and_what_was_not_agreed_is_refused(
    answers: dict[str, Message], change: Change, readable: bool, refused: bool
) -> None:
    sender, receiver, name, content = answers["train"]
    planted = change(content)
    assert planted != content
    found = found_in((sender, receiver, name, planted))
    text = [line for line in found if not any(form in line for form in OF_FORM)]
    assert bool(text) == readable, found
    if not readable and change is not in_json_spaces:  # then by its form alone
        assert found
    if refused:
        with pytest.raises(BadMessage):
            unpack(planted, MEAN.steps[0].phase.reply(PLAN))


READABLE = {name: change for name, (change, readable, _) in PLANTED.items() if readable}


@pytest.mark.parametrize("change", READABLE.values(), ids=READABLE)
def test_text_is_found_in_a_file_or_on_its_way_to_a_worker_too(
    answers: dict[str, Message], change: Change
) -> None:
    _, _, name, content = answers["train"]
    planted = change(content)
    public = with_array("note", RARE_PUBLIC[0].encode())(content)  # which may go to workers
    for sender, receiver in (("", ""), (SERVER, "worker-2@nwp.example")):
        assert bool(found_in((sender, receiver, name, planted))) == (planted != public)
        assert found_in((sender, receiver, name, content)) == []


@pytest.mark.parametrize("text", [SECRET, USERS[4].upper(), RARE[2], "kettle.carpet.kettle"])
def test_text_in_a_messages_name_is_found(answers: dict[str, Message], text: str) -> None:
    sender, receiver, name, content = answers["train"]
    assert found_in((sender, receiver, f"{name}.{text}", content))


@pytest.mark.parametrize("word", [RARE[0], RARE_PUBLIC[0], PAIR, RARE[1]])
def test_a_word_too_many_in_a_survey_is_found(answers: dict[str, Message], word: str) -> None:
    """The protocol cannot know how many users wrote a word: the worker's own count decides."""
    sender, receiver, name, content = answers["survey"]
    about, arrays = parts(content)
    lines = np.concatenate([arrays["lines"], np.frombuffer(f"{word}\n".encode(), np.uint8)])
    more = {"lines": lines, "counts": np.append(arrays["counts"], 1)}
    planted = written(about, more)
    unpack(planted, SURVEY.reply(SurveyPlan(K)))
    (line,) = found_in((sender, receiver, name, planted))
    assert f"the word '{word}'" in line


def test_words_as_text_from_a_worker_of_few_users_are_found(answers: dict[str, Message]) -> None:
    """What three users may say together, the same worker with two of them may not."""
    deals = {"worker-1": USERS[:2], "worker-2": USERS[2:]}
    found = leaks([answers["survey"]], corpus_of(6), deals, K)
    assert len(found) == len(SHARED) + len(JARGON)


def test_a_refusal_may_say_its_number_and_no_more(
    simulate: Callable[..., Simulation], answers: dict[str, Message]
) -> None:
    sent: list[Message] = []
    simulation = simulate(of=corpus_of(6), tap=lambda *message: sent.append(message))
    simulation.channel.send("worker-1@nwp.example", "noise", b"noise")
    simulation.datasites["worker-1"].serve()
    message = sent[-1]
    assert unpack(message[3], REFUSED)[0].kind == "refuse"
    assert found_in(message) == []
    planted = with_field("because", 4)(message[3])
    assert found_in((*message[:3], planted)) != []


def test_a_worker_that_lets_text_out_is_caught_in_a_whole_run(
    simulate: Callable[..., Simulation],
) -> None:
    sent: list[Message] = []
    simulation = simulate(of=corpus_of(6), tap=lambda *message: sent.append(message))
    channel = simulation.datasites["worker-2"].channel
    send = channel.send
    channel.send = lambda peer, name, out: send(  # type: ignore[method-assign]
        peer, name, with_metadata(note=written_by(1)[4])(out)
    )
    job = simulation.submit(SurveyPlan(K), "survey")
    replies = simulation.exchange(job)(SURVEY, 1, {w: Parcel() for w in simulation.deals})
    assert set(replies.answers) == {"worker-1"}
    assert "something else rides along" in replies.absent["worker-2"]
    found = leaks(sent, corpus_of(6), simulation.deals, K)
    assert found
    assert all(line.startswith("worker-2@nwp.example -> server@nwp.example") for line in found)


def test_views_look_through_several_wrappings() -> None:
    wrapped = base64.b64encode(gzip.compress(SECRET.encode("utf-16-be"))).hex().encode()
    assert any(SECRET in text for _, text in views(b"\0\1" + wrapped + b"\xff"))
