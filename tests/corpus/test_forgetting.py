from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from nwp.corpus.readers import jsonl
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, BadInput, BadSettings
from nwp.tasks.forgetting import forgotten_of, remove_users
from nwp.tasks.importing import import_messages

ROWS = [("ann", "see you"), ("ben", "yes I do"), ("ann", "ok"), ("cleo", "no"), ("ben", "fine")]


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    rows_written = [{"user": user, "text": text} for user, text in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_written))
    return path


def read(path: Path) -> list[Message]:
    return list(jsonl.read(path, Tally()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source.jsonl", ROWS)


@pytest.fixture(params=["mine.jsonl", "mine.jsonl.gz"])
def corpus(tmp_path: Path, source: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "own" / str(request.param)
    import_messages(str(source), path)
    return path


def test_users_are_taken_out_and_the_others_stay_in_order(corpus: Path) -> None:
    found = remove_users(corpus, ["ann", "cleo"])
    assert found == {
        "file": str(corpus),
        "removed": {"users": 2, "messages": 3, "words": 4},
        "left": {"users": 1, "messages": 2, "words": 4},
    }
    assert read(corpus) == [Message("ben", "yes I do"), Message("ben", "fine")]


def test_who_is_forgotten_stays_forgotten(corpus: Path, source: Path) -> None:
    remove_users(corpus, ["ann"])
    before = corpus.read_bytes()
    found = import_messages(str(source), corpus, append=True)
    assert found["messages"] == 0
    assert found["skipped"] == {"forgotten user": 2, "already there": 3}
    assert corpus.read_bytes() == before
    # One more is added to the list; a file made anew keeps to it, another file does not.
    remove_users(corpus, ["cleo"])
    found = import_messages(str(source), corpus, force=True)
    assert found["skipped"] == {"forgotten user": 3}
    corpus.unlink()
    assert import_messages(str(source), corpus)["users"] == 1
    assert import_messages(str(source), corpus.with_name("other.jsonl"))["users"] == 3


def test_forgetting_holds_for_names_as_they_are_written(corpus: Path, source: Path) -> None:
    key = corpus.with_name("my.key")
    import_messages(str(source), corpus, force=True, pseudonyms=key)
    name = read(corpus)[0].user
    remove_users(corpus, [name])
    found = import_messages(str(source), corpus, append=True, pseudonyms=key)
    assert found["skipped"] == {"forgotten user": 2, "already there": 3}


def test_the_list_has_no_names_and_is_for_its_owner(corpus: Path) -> None:
    remove_users(corpus, ["ann", "cleo"])
    path = corpus.with_name(f"{corpus.name}.forgotten.json")
    text = path.read_text()
    assert "ann" not in text
    assert len(json.loads(text)["users"]) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    forgotten = forgotten_of(corpus)
    assert ["ann" in forgotten, "cleo" in forgotten, "ben" in forgotten] == [True, True, False]
    assert sorted(p.name for p in corpus.parent.iterdir()) == [corpus.name, path.name]


def test_two_lists_of_the_same_names_differ(tmp_path: Path) -> None:
    for name in ("one.jsonl", "two.jsonl"):
        remove_users(write(tmp_path / name, ROWS), ["ann"])
    one, two = (tmp_path / f"{name}.jsonl.forgotten.json" for name in ("one", "two"))
    assert not set(json.loads(one.read_text())["users"]) & set(json.loads(two.read_text())["users"])


def test_an_unknown_name_changes_nothing(corpus: Path) -> None:
    before = corpus.read_bytes()
    with pytest.raises(BadSettings, match="no user 'anne'") as caught:
        remove_users(corpus, ["ben", "anne"])
    assert "ann" in caught.value.hint
    assert corpus.read_bytes() == before
    assert list(corpus.parent.iterdir()) == [corpus]


def test_a_file_of_nobody_is_not_written(corpus: Path) -> None:
    before = corpus.read_bytes()
    with pytest.raises(BadInput, match="nothing") as caught:
        remove_users(corpus, ["ann", "ben", "cleo"])
    assert f"rm {corpus}" in caught.value.hint
    assert corpus.read_bytes() == before
    assert list(corpus.parent.iterdir()) == [corpus]


@pytest.mark.parametrize(("name", "message"), [("chat.txt", "JSON lines"), ("no.jsonl", "no file")])
def test_other_files_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "chat.txt").write_text("hello\n")
    with pytest.raises(BadInput, match=message):
        remove_users(tmp_path / name, ["ann"])


def test_a_file_with_a_bad_line_stays_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", ROWS)
    path.write_text(path.read_text() + "{\n")
    before = path.read_bytes()
    with pytest.raises(BadCorpus, match="line 6"):
        remove_users(path, ["ann"])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "[]", '{"salt": 7, "users": []}', '{"salt": "zz"}', "{"])
def test_a_damaged_list_is_not_passed_over(corpus: Path, source: Path, content: str) -> None:
    path = corpus.with_name(f"{corpus.name}.forgotten.json")
    path.write_text(content)
    with pytest.raises(BadInput, match="damaged"):
        import_messages(str(source), corpus, append=True)
    with pytest.raises(BadInput, match="damaged"):
        remove_users(corpus, ["ann"])


@pytest.mark.parametrize(
    ("manifest", "file", "stale"),
    [
        ("mine.json", "mine.jsonl.gz", True),
        ("mine.json", "mine.held-out.jsonl.gz", True),
        ("mine.json", "other.jsonl.gz", False),
        ("other.json", "mine.jsonl.gz", False),
    ],
)
def test_a_splits_manifest_is_told_to_be_stale(
    tmp_path: Path, manifest: str, file: str, stale: bool
) -> None:
    corpus = tmp_path / (file if stale else "mine.jsonl.gz")
    import_messages(str(write(tmp_path / "source.jsonl", ROWS)), corpus)
    (tmp_path / manifest).write_text(json.dumps({"name": "mine", "parts": {"a": {"file": file}}}))
    found = remove_users(corpus, ["ann"])
    assert found.get("stale") == (str(tmp_path / manifest) if stale else None)
