from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read_with, said, takes

from nwp.corpus.readers.leaf import READER
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus, NwpError

read, recognised = partial(read_with, READER), partial(takes, READER)


def saved(path: Path, **users: Any) -> Path:
    """A file with these users' data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = [1] * len(users)
    whole = {"users": list(users), "num_samples": counts, "user_data": users}
    path.write_text(json.dumps(whole))
    return path


def test_plain_texts_are_messages(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.json", ann={"x": ["hello there", " hi "], "y": [0, 1]}, ben={"x": ["x"]}
    )
    assert recognised(path)
    assert said(read(path)) == [("ann", "hello there"), ("ann", "hi"), ("ben", "x")]


def test_windows_of_words_are_one_comment_each(tmp_path: Path) -> None:
    pads = ["<PAD>"] * 2
    x = [
        [["<BOS>", "where", "is", "the", "<UNK>"], ["key", "?", "<EOS>", *pads]],
        [["<BOS>", "here", "<EOS>", *pads]],
        [["<BOS>", "<UNK>", "<EOS>", *pads]],
        ["one", "window", "<EOS>"],
    ]
    y = [{"created_utc": 1_700_000_000, "target_tokens": [["where"]]}, {"created_utc": "soon"}]
    tally = Tally()
    path = saved(tmp_path / "a.json", **{"7": {"x": x, "y": y}})
    assert read(path, tally) == [
        Message("7", "where is the key ?"),
        Message("7", "here"),
        Message("7", "one window"),
    ]
    assert tally.skipped == {"no text": 1}


def test_tweets_are_rows_of_columns(tmp_path: Path) -> None:
    rows = [
        [
            "1",
            "Mon Apr 06 22:19:49 PDT 2009",
            "NO_QUERY",
            "ann",
            "tea &amp; cake &lt;3",
            "training",
        ],
        ["2", "Tue Apr  7 01:02:03 UTC 2009", "NO_QUERY", "ann", "more"],
        ["3", "Mon Apr 06 99:99:99 PDT 2009", "NO_QUERY", "ann", "when?"],
        ["4", "Mon Apr 06 22:19:49 PDT 2009", "NO_QUERY", "ann", None],
    ]
    tally = Tally()
    path = saved(tmp_path / "a.json", ann={"x": rows, "y": [0, 1, 1, 0]})
    pacific = timezone(timedelta(hours=-7))
    assert read(path, tally) == [
        Message("ann", "tea & cake <3", datetime(2009, 4, 6, 22, 19, 49, tzinfo=pacific)),
        Message("ann", "more", datetime(2009, 4, 7, 1, 2, 3, tzinfo=UTC)),
        Message("ann", "when?"),
    ]
    assert tally.skipped == {"no text": 1}


def windows(text: str, size: int = 80) -> dict[str, list[str]]:
    """A text as LEAF cuts it: each window with the character behind it."""
    starts = range(len(text) - size)
    return {
        "x": [text[at : at + size] for at in starts],
        "y": [text[at + size] for at in starts],
    }


SPEECH = "Good morrow to you, sir. Is the kettle on? " * 3 + "Then let us have our tea together!"


def test_windows_of_characters_are_put_together_and_cut_into_sentences(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.json", ann=windows(SPEECH), ben=windows(SPEECH[:81]))
    found = said(read(path))
    assert [pair for pair in found if pair[0] == "ann"] == [
        *[("ann", "Good morrow to you, sir."), ("ann", "Is the kettle on?")] * 3,
        ("ann", "Then let us have our tea together!"),
    ]
    assert " ".join(text for user, text in found if user == "ben") == SPEECH[:81].strip()


def test_a_gap_between_windows_ends_a_message(tmp_path: Path) -> None:
    one, other = windows("a" * 30 + "b" * 60), windows("c" * 50 + "d" * 50)
    tally = Tally()
    data = {key: one[key] + other[key] for key in "xy"}
    found = said(read(saved(tmp_path / "a.json", ann=data), tally))
    assert found == [("ann", "a" * 30 + "b" * 60), ("ann", "c" * 50 + "d" * 50)]
    assert tally.remarks == {"gap in a text": 1}


@pytest.mark.parametrize(
    "data",
    [
        {"x": ["yes", "oh no"], "y": ["1", "0"]},
        {"x": ["yes", "oh!"], "y": ["1", "0"]},
        {"x": ["yes", "oh!"], "y": ["1"]},
        {"x": ["yes", "oh!"], "y": [1, 0]},
        {"x": ["yes", "oh!"], "y": "10"},
    ],
)
def test_texts_with_labels_are_no_windows(tmp_path: Path, data: Any) -> None:
    found = said(read(saved(tmp_path / "a.json", ann=data)))
    assert found == [("ann", text) for text in data["x"]]


@given(st.text("ab. \n", min_size=6, max_size=60), st.integers(2, 4))
def test_no_character_of_a_cut_text_is_lost_or_doubled(text: str, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read(saved(Path(folder) / "a.json", ann=windows(text, size)))
    assert "".join("".join(m.text for m in found).split()) == "".join(text.split())


def test_one_user_in_several_files_is_one_and_training_comes_first(tmp_path: Path) -> None:
    saved(tmp_path / "test" / "all_data_0_niid_0_keep_0_test_9.json", ann={"x": ["third"]})
    saved(tmp_path / "train" / "all_data_0_niid_0_keep_0_train_9.json", ann={"x": ["first"]})
    saved(tmp_path / "train" / "all_data_1_niid_0_keep_0_train_9.json", ann={"x": ["second"]})
    (tmp_path / "readme.md").write_text("not read")
    tally = Tally()
    assert recognised(tmp_path)
    assert said(read(tmp_path, tally)) == [("ann", "first"), ("ann", "second"), ("ann", "third")]
    assert tally.skipped == {"other file": 1}


def test_what_was_later_split_is_not_read_twice(tmp_path: Path) -> None:
    saved(tmp_path / "all_data" / "all_data.json", ann={"x": ["first", "second"]})
    assert len(read(tmp_path)) == 2
    saved(tmp_path / "train" / "a.json", ann={"x": ["first"]})
    saved(tmp_path / "test" / "a.json", ann={"x": ["second"]})
    tally = Tally()
    assert said(read(tmp_path, tally)) == [("ann", "first"), ("ann", "second")]
    assert tally.skipped == {"duplicate": 1}


@pytest.mark.parametrize(
    ("data", "yes"),
    [
        (b'{"users": ["a"], "num_samples": [1], "user_data": {}}', True),
        (b'\xef\xbb\xbf\n{ "user_data" : {"a": 1}}', True),
        (b'{"num_samples": [], "users": []}', True),
        (b'{"users": [1, 2], "user_data"', True),
        (b'{"hierarchies": ["a"], "users": ["b"], "num_samples": [1]}', True),
        (b'{"users": ["' + b'a", "' * 70_000, True),
        (b'{"users": ["a"]}', False),
        (b'{"users": [{"id": 1}], "user_data": {}}', False),
        (b'{"user_data": []}', False),
        (b'[{"users": []}]', False),
        (b'{"user": "a", "text": "user_data"}', False),
        (b"", False),
    ],
)
def test_it_is_known_by_its_keys(tmp_path: Path, data: bytes, yes: bool) -> None:
    path = tmp_path / "any"
    path.write_bytes(data)
    assert recognised(path) is yes


def test_half_a_file_is_an_error_unless_one_is_lenient(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.json", ann={"x": ["first"]}, ben={"x": ["second"]})
    path.write_text(path.read_text()[:-10])
    with pytest.raises(BadCorpus, match=r"a\.json is no JSON, or only half"):
        read(path)
    tally = Tally(lenient=True)
    assert said(read(path, tally)) == [("ann", "first")]
    assert tally.skipped == {"half a file": 1}


@pytest.mark.parametrize("nested", ["[", '{"x":'])
def test_deep_nesting_ends_reading_before_it_takes_the_memory(tmp_path: Path, nested: str) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"user_data": {"[[[": {"x": ' + nested * 100_000)
    with pytest.raises(BadCorpus, match="nests lists or objects"):
        read(path, Tally(lenient=True))


def test_brackets_in_texts_are_no_nesting(tmp_path: Path) -> None:
    texts = [":[ \\[" * 200 + '"' + "{" * 700, "[" * 2000 + "\\"]
    path = saved(tmp_path / "a.json", ann={"x": texts})
    assert [m.text for m in read(path)] == texts


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(max_size=4) | st.just(1e300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.text(max_size=4),
        ANY | st.fixed_dictionaries({}, optional={"x": st.lists(ANY), "y": st.lists(ANY) | ANY}),
        max_size=3,
    )
    | ANY
)
def test_values_of_any_type_never_end_in_another_error(users: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps({"users": [], "user_data": users}))
        for message in read(path, Tally(lenient=True)):
            assert message.user and message.text.strip()
            message.text.encode()


@given(st.binary(max_size=60), st.booleans())
def test_whatever_a_file_holds_nothing_but_bad_corpus_is_raised(data: bytes, lenient: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_bytes(b'{"user_data": ' + data)
        try:
            assert read(path, Tally(lenient=lenient)) == []
        except NwpError as error:
            assert isinstance(error, BadCorpus) and error.hint


@pytest.mark.skipif("NWP_SHARED" not in os.environ, reason="NWP_SHARED names no real exports")
@pytest.mark.parametrize("name", ["leaf_text_flute.json", "leaf_reddit_tokens.json"])
def test_a_real_file_gives_what_a_person_counted(name: str) -> None:
    folder = Path(os.environ["NWP_SHARED"], "formats")
    expected = json.loads((folder / "expected.json").read_text())[name]
    assert recognised(folder / name)
    found = read(folder / name)
    assert len(found) == expected["messages"]
    assert {m.user for m in found} == set(expected["author_names"])
    ends = [(expected[end]["author"], expected[end]["text"]) for end in ("first", "last")]
    assert [said(found)[0], said(found)[-1]] == ends
