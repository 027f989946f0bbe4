from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import FEW, ROUNDS, TINY, Done, Nwp, files_in, write_corpus

GOOD = '{"user": "ann", "text": "see you tomorrow"}\n'


def _nothing_written(own_place: Path, before: dict[str, bytes | None]) -> bool:
    """The place is as it was, and no temporary file is left behind."""
    return files_in(own_place) == before and not list(Path(tempfile.gettempdir()).iterdir())


def _write(path: str, content: bytes | str) -> Path:
    found = Path(path)
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_bytes(content if isinstance(content, bytes) else content.encode())
    return found


def _missing() -> Path:
    return Path("nowhere.jsonl")


def _empty() -> Path:
    return _write("empty.jsonl", "")


def _empty_folder() -> Path:
    Path("folder").mkdir()
    return Path("folder")


def _blank() -> Path:
    return _write("blank.jsonl", '{"user": "ann", "text": " "}\n')


def _foreign() -> Path:
    return _write("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


def _not_json() -> Path:
    return _write("bad.jsonl", GOOD * 2 + "see you\n" + GOOD)


def _not_utf8() -> Path:
    return _write("bad.jsonl", GOOD.encode() + b'{"user": "ann", "text": "\xff"}\n')


def _no_user() -> Path:
    return _write("bad.jsonl", GOOD + '{"text": "see you"}\n')


def _damaged_gzip() -> Path:
    return _write("bad.jsonl.gz", b"\x1f\x8b\x08\x00nothing")


CORPORA: list[tuple[Callable[[], Path], list[str]]] = [
    (_missing, ["no corpus 'nowhere.jsonl'", "sample"]),
    (_empty, ["empty.jsonl has no messages"]),
    (_empty_folder, ["folder has no messages"]),
    (_blank, ["blank.jsonl has no messages"]),
    (_foreign, ["photo.png is in no form", "JSON lines"]),
    (_not_json, ["bad.jsonl, line 3", "not JSON", "--skip-bad-lines"]),
    (_not_utf8, ["bad.jsonl, line 2", "not UTF-8", "--skip-bad-lines"]),
    (_no_user, ["bad.jsonl, line 2", '"user" is missing', "--skip-bad-lines"]),
    (_damaged_gzip, ["bad.jsonl.gz", "is damaged"]),
]


@pytest.mark.parametrize("command", ["train", "evaluate", "import"])
@pytest.mark.parametrize(("make", "messages"), CORPORA, ids=lambda v: getattr(v, "__name__", ""))
def test_a_corpus_that_cannot_be_read_is_named_and_nothing_is_written(
    nwp: Nwp,
    bundle: Path,
    own_place: Path,
    command: str,
    make: Callable[[], Path],
    messages: list[str],
) -> None:
    source = make()
    before = files_in(own_place)
    words = {
        "train": ("train", source, "--out", "m", *TINY),
        "evaluate": ("evaluate", source, "--model", bundle),
        "import": ("corpus", "import", source, "--out", "mine.jsonl.gz"),
    }[command]

    said = nwp(*words, "--json").error("bad-corpus")

    assert all(message in said for message in messages), said
    assert said.split(" | ")[1]
    assert _nothing_written(own_place, before)


@pytest.mark.parametrize("make", [_not_json, _not_utf8, _no_user])
def test_bad_lines_can_be_skipped_and_are_counted(nwp: Nwp, make: Callable[[], Path]) -> None:
    words = ("corpus", "import", make(), "--out", "mine.jsonl.gz", "--skip-bad-lines", "--json")

    found = nwp(*words).result()

    assert found["skipped"] == {"bad line": 1}
    assert found["messages"] == (3 if make is _not_json else 1)


def test_users_without_words_are_left_out_and_counted(nwp: Nwp, corpus: Path) -> None:
    mixed = Path("mixed.jsonl")
    rows = ['{"user": "mute", "text": "!!! ..."}'] * 3
    mixed.write_text(corpus.read_text() + "\n".join(rows) + "\n")

    found = nwp("train", mixed, "--out", "m", *TINY, *ROUNDS, "--json").result()

    assert (found["users"], found["without_words"]) == (6, 1)


@pytest.mark.parametrize(
    ("texts", "message"),
    [(["!!!", "..."], "no user of few.jsonl has written a word"), (["see you"], "to train on")],
    ids=["no-words", "one-message"],
)
def test_a_corpus_without_anything_to_train_on_is_refused(
    nwp: Nwp, own_place: Path, texts: list[str], message: str
) -> None:
    few = write_corpus(Path("few.jsonl"), {f"u{i}": texts for i in range(4)})
    before = files_in(own_place)

    assert message in nwp("train", few, "--out", "m", *TINY, "--json").error("bad-corpus")
    assert _nothing_written(own_place, before)


@pytest.mark.parametrize(
    ("options", "kind", "messages"),
    [
        (("--workers", "7"), "bad-settings", ["7 workers for 6 users", "between 1 and 6"]),
        (("--refuse", "worker-9"), "bad-settings", ["no worker 'worker-9'", "worker-1"]),
        (("--held-out", "usr1"), "bad-settings", ["no user 'usr1'", "user1"]),
        (("--held-out", "1.5"), "bad-settings", ["cannot hold out 1.5"]),
        (("--held-out", "0.99"), "bad-settings", ["all users held out"]),
        (("--k", "0"), "bad-settings", ["k = 0"]),
        (("--server-optimizer", "sgd"), "bad-settings", ["'sgd'", "fedadam"]),
        (("--server-learning-rate", "0"), "bad-settings", ["learning rate"]),
        (("--learning-rate", "-1"), "bad-settings", ["learning rate"]),
        (("--learning-rate", "nan"), "bad-settings", ["learning rate"]),
        (("--rounds", "0"), "usage", ["--rounds"]),
        (("--dropout", "2"), "usage", ["--dropout"]),
        (
            ("--checkpoint-every", "5", "--algorithm", "scaffold"),
            "bad-settings",
            ["for the last round alone", "--checkpoint-every 1"],
        ),
        (
            ("--checkpoint-every", "5", "--uplink", "topk", "--topk", "0.1"),
            "bad-settings",
            ["for the last round alone", "--topk"],
        ),
        (("--tide",), "usage", ["--tide"]),
    ],
    ids=lambda value: "".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_cannot_be_leave_no_folder(
    nwp: Nwp,
    corpus: Path,
    own_place: Path,
    options: tuple[str, ...],
    kind: str,
    messages: list[str],
) -> None:
    said = nwp("train", corpus, "--out", "m", *TINY, *options, "--json").error(kind)

    assert all(message in said for message in messages), said
    assert _nothing_written(own_place, {})


def test_a_bundle_to_go_on_from_must_exist(nwp: Nwp, corpus: Path, own_place: Path) -> None:
    words = ("train", corpus, "--out", "m", *FEW, "--from", "nowhere", "--json")
    said = nwp(*words).error("bad-bundle")

    assert "no bundle at nowhere" in said
    assert "nwp train" in said
    assert _nothing_written(own_place, {})


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (("--users", "user1,usr2"), ["no user 'usr2'", "user2"]),
        (("--users", " , "), ["--users names nobody"]),
        (("--split", "dev"), ["no part 'dev'", "valid"]),
        (("--workers", "7"), ["7 workers for 6 users"]),
    ],
    ids=lambda value: "".join(value) if isinstance(value, tuple) else "",
)
def test_evaluation_names_what_there_is_instead(
    nwp: Nwp,
    corpus: Path,
    bundle: Path,
    own_place: Path,
    options: tuple[str, ...],
    messages: list[str],
) -> None:
    said = nwp("evaluate", corpus, "--model", bundle, *options, "--json").error("bad-settings")

    assert all(message in said for message in messages), said
    assert _nothing_written(own_place, {})


def _set(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


BUNDLES: list[tuple[str, Callable[[Path], object], str]] = [
    ("missing", shutil.rmtree, "no bundle at m"),
    ("a-file", lambda m: (shutil.rmtree(m), m.write_text("no")), "no bundle at m"),
    ("unfinished", lambda m: (m / "settings.json").unlink(), "m has no settings.json"),
    ("no-weights", lambda m: (m / "model.safetensors").unlink(), "m/model.safetensors can't be"),
    ("no-words", lambda m: (m / "vocabulary.json").unlink(), "m/vocabulary.json can't be read"),
    (
        "cut-weights",
        lambda m: (m / "model.safetensors").write_bytes(
            (m / "model.safetensors").read_bytes()[:-1]
        ),
        "m/model.safetensors is damaged",
    ),
    (
        "other-words",
        lambda m: (m / "vocabulary.json").write_text(
            (m / "vocabulary.json").read_text().replace("tomorrow", "tomorrov")
        ),
        "m/vocabulary.json is damaged",
    ),
    ("no-json", lambda m: (m / "settings.json").write_text("no"), "m/settings.json is damaged"),
    ("a-list", lambda m: (m / "settings.json").write_text("[1]"), "m/settings.json is damaged"),
    ("no-sizes", lambda m: _set(m / "settings.json", model={}), "does not fit together"),
    ("other-format", lambda m: _set(m / "settings.json", format=99), "bundle of format 99"),
]


@pytest.mark.parametrize("command", ["suggest", "evaluate", "train", "prompt"])
@pytest.mark.parametrize(
    ("damage", "message"), [b[1:] for b in BUNDLES], ids=[b[0] for b in BUNDLES]
)
def test_a_bundle_that_cannot_be_used_is_named(
    nwp: Nwp,
    corpus: Path,
    bundle: Path,
    own_place: Path,
    command: str,
    damage: Callable[[Path], object],
    message: str,
) -> None:
    shutil.copytree(bundle, "m")
    damage(Path("m"))
    before = files_in(own_place)
    words = {
        "suggest": ("suggest", "see you", "--model", "m", "--json"),
        "evaluate": ("evaluate", corpus, "--model", "m", "--json"),
        "train": ("train", corpus, "--out", "new", *FEW, "--from", "m", "--json"),
        "prompt": ("prompt", "--model", "m"),
    }[command]

    done = nwp(*words)

    assert message in _told(done, as_json=command != "prompt")
    assert done.code == 3
    assert _nothing_written(own_place, before)


def _told(done: Done, *, as_json: bool) -> str:
    if as_json:
        return done.error("bad-bundle")
    assert done.out == ""
    assert done.err.count("\n") == 2  # what is wrong, and what to do
    return done.err


@pytest.mark.parametrize("where", ["mine/x.jsonl.gz", "folder"])
def test_an_import_that_cannot_be_written_fails_in_words(
    nwp: Nwp, own_place: Path, where: str
) -> None:
    source = _write("good.jsonl", GOOD)
    _write("mine", "a file")
    Path("folder").mkdir()
    before = files_in(own_place)

    done = nwp("corpus", "import", source, "--out", where, "--force", "--json")

    assert done.code in (1, 3)
    assert where.split("/", maxsplit=1)[0] in done.json()["error"]["message"]
    assert _nothing_written(own_place, before)
