from __future__ import annotations

import gzip
import json
from datetime import timedelta, timezone
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read_as

from nwp.corpus.load import known_corpora, load_corpus, plain_name
from nwp.corpus.store import gather
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, BadSettings

ZONES = st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def row(user: str, text: str, time: str | None = None) -> dict[str, Any]:
    return {"user": user, "text": text} | ({"time": time} if time else {})


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.ndjson", "whatever"])
def test_a_file_of_json_lines_is_known_by_its_name_or_first_character(
    tmp_path: Path, name: str
) -> None:
    source = write(tmp_path / name, [row("ben", "one"), row("ann", "two"), row("ben", "three")])
    corpus = load_corpus(source)
    assert dict(corpus.users) == {"ann": ("two",), "ben": ("one", "three")}
    assert list(corpus.users) == ["ann", "ben"]
    assert (corpus.name, corpus.messages, corpus.own) == (source, 3, True)
    assert read_as(Path(source))[0] == "jsonl"


def test_a_folder_of_texts_is_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "ann.txt").write_text("one\ntwo\n")
    (tmp_path / "ben").mkdir()
    (tmp_path / "ben" / "x.txt").write_text("three\n")
    assert dict(load_corpus(str(tmp_path)).users) == {"ann": ("one", "two"), "ben": ("three",)}
    assert read_as(tmp_path)[0] == "folder"


def test_messages_are_put_in_order_of_time_whatever_their_zone(tmp_path: Path) -> None:
    rows = [
        row("ann", "third", "2025-01-01T10:00:00-03:00"),
        row("ben", "b2", "2025-01-01T00:00:01Z"),
        row("ann", "second", "2025-01-01T12:00:00"),  # without a zone: UTC
        row("ann", "first", "2025-01-01T11:59:59Z"),
        row("ben", "b1", "2025-01-01"),
    ]
    for i, order in enumerate(permutations(rows)):
        corpus = load_corpus(write(tmp_path / f"{i}.jsonl", list(order)))
        assert dict(corpus.users) == {"ann": ("first", "second", "third"), "ben": ("b1", "b2")}
        assert corpus.unordered == 0


def test_messages_of_one_time_stay_in_the_sources_order(tmp_path: Path) -> None:
    same = "2025-01-01T00:00:00Z"
    rows = [row("ann", f"{i:02}", same) for i in (5, 3, 9, 1)]
    rows += [row("ann", "earlier", "2024-01-01T00:00:00Z")]
    assert load_corpus(write(tmp_path / "a.jsonl", rows)).users["ann"] == (
        *("earlier", "05", "03", "09", "01"),
    )


def test_a_user_with_a_message_without_time_stays_as_is_and_is_counted(tmp_path: Path) -> None:
    rows = [
        row("ann", "b", "2025-01-02"),
        row("ann", "c"),
        row("ann", "a", "2025-01-01"),
        row("ben", "b", "2025-01-02"),
        row("ben", "a", "2025-01-01"),
        row("cleo", "b"),
        row("cleo", "a"),
    ]
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows))
    assert dict(corpus.users) == {"ann": ("b", "c", "a"), "ben": ("a", "b"), "cleo": ("b", "a")}
    assert corpus.unordered == 1


@given(
    st.lists(
        st.builds(
            Message,
            st.sampled_from("abc"),
            st.text(max_size=3),
            st.none() | st.datetimes(timezones=st.none() | ZONES),
        )
    )
)
def test_gathering_keeps_every_message_that_has_any_text(messages: list[Message]) -> None:
    spoken = [message for message in messages if message.text.strip()]
    tally = Tally()
    if not spoken:
        with pytest.raises(BadCorpus, match="no messages"):
            gather("made up", messages, tally)
        return
    corpus = gather("made up", messages, tally)
    assert corpus.skipped == tally.skipped
    assert sum(corpus.skipped.values()) == len(messages) - len(spoken)
    for user in {message.user for message in spoken}:
        mine = [message for message in spoken if message.user == user]
        assert sorted(corpus.users[user]) == sorted(message.text for message in mine)
        if any(message.time is None for message in mine):
            assert list(corpus.users[user]) == [message.text for message in mine]


def test_empty_messages_and_bad_lines_are_counted_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    source = write(path, [row("ann", "one"), row("ann", " \n"), row("ben", ""), row("ann", "two")])
    path.write_text(path.read_text() + "{\n")
    corpus = load_corpus(source, skip_bad_lines=True)
    assert dict(corpus.skipped) == {"empty message": 2, "bad line": 1}
    assert dict(corpus.users) == {"ann": ("one", "two")}
    with pytest.raises(BadCorpus, match="line 5"):
        load_corpus(source)


@pytest.mark.parametrize("data", ["", "\n\n", '{"user": "ann", "text": " "}\n'])
def test_a_file_without_messages_is_refused(tmp_path: Path, data: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(data)
    with pytest.raises(BadCorpus, match="has no messages") as caught:
        load_corpus(str(path))
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCorpus, match="has no messages"):
        load_corpus(str(tmp_path))
    (tmp_path / "ann.txt").write_text("\n \n")
    (tmp_path / "ben").mkdir()
    with pytest.raises(BadCorpus, match="has no messages"):
        load_corpus(str(tmp_path))


@pytest.mark.parametrize("data", [b"", b"hello\n", b"\x00\x01", b'[{"user": "a"}]'])
def test_a_file_of_another_form_is_refused_with_the_forms_there_are(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "a.doc"
    path.write_bytes(data)
    with pytest.raises(BadCorpus, match="no form that nwp reads") as caught:
        load_corpus(str(path))
    assert "JSON lines" in caught.value.hint


@pytest.mark.parametrize("source", ["nowhere", "", "no/such/file.jsonl", "~nobody-at-all/x", "\0"])
def test_a_path_that_is_missing_is_refused_with_the_known_names(source: str) -> None:
    with pytest.raises(BadCorpus, match="no corpus") as caught:
        load_corpus(source)
    assert repr(source) in caught.value.message
    assert "sample" in caught.value.hint


def test_what_the_system_cannot_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCorpus, match=r"cannot read|no corpus"):  # as the Python has it
        load_corpus("n" * 5_000)
    (tmp_path / "ann.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(BadCorpus, match=r"no messages \(left out: 1 x symbolic link\)"):
        load_corpus(str(tmp_path))


def test_an_error_while_opening_is_a_bad_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = tmp_path / "a.jsonl", Path.open
    write(path, [row("ann", "one")])

    def refuse(self: Path, *arguments: Any, **named: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadCorpus, match=r"a\.jsonl: Permission denied"):
        load_corpus(str(path))


def test_the_sample_is_known_by_name_and_a_path_of_that_name_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = known_corpora()["sample"]
    corpus = load_corpus("sample")
    assert corpus.name == "sample"
    assert len(corpus.users) == known.users
    assert corpus.users == load_corpus(str(known.path)).users
    write(tmp_path / "sample", [row("ann", "mine")])
    assert dict(load_corpus("sample").users) == {"ann": ("mine",)}


def test_the_home_folder_can_be_written_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "a.jsonl", [row("ann", "mine")])
    assert load_corpus("~/a.jsonl").messages == 1


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/chat.txt", "chat"),
        ("chat.jsonl.gz", "chat"),
        ("/x/My Export.ZIP", "My Export"),
        ("export.tar.bz2", "export"),
        ("folder/", "folder"),
        ("nltk:brown", "brown"),
        ("sample", "sample"),
        ("v1.2.notes", "v1.2.notes"),
        (".txt", "corpus"),
        ("/", "corpus"),
    ],
)
def test_what_is_made_of_a_source_is_called_after_it(source: str, name: str) -> None:
    assert plain_name(source) == name


@pytest.mark.parametrize("form", ["folder", "jsonl", "whatsapp"])
def test_the_form_can_be_given(tmp_path: Path, form: str) -> None:
    source = write(tmp_path / "a.txt", [row("ann", "one")])
    assert read_as(Path(source))[0] == "jsonl"
    assert read_as(Path(source), form=form)[0] == form
    if form == "folder":
        assert load_corpus(source, form=form).users["a"] == ('{"user": "ann", "text": "one"}',)
    with pytest.raises(BadSettings, match="no format 'doc'"):
        load_corpus(source, form="doc")


def test_an_error_while_a_file_of_many_is_read_names_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "ben"):
        (tmp_path / f"{name}.txt").write_text("hello\n")
    opened = Path.open

    def refuse(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.name == "ben.txt":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadCorpus, match=r"cannot read .*ben\.txt: Permission denied") as caught:
        load_corpus(str(tmp_path))
    assert "permissions" in caught.value.hint
