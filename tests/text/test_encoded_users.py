from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwp.text.encoded_users import EncodedUsers
from nwp.text.tokenizer import address_flags, tokenize
from nwp.text.vocabulary import BEGIN, END, UNKNOWN, Encoded, Vocabulary, encode

VOCABULARY = Vocabulary.from_lists(["hi", "you", "it's", "7", "σας", "com"], {})
PIECES = st.sampled_from(
    ["hi", "You", "it’s", "7", "42", "new", "ΣΑΣ", "ß", "İ", " ", " ", "\n", ". ", "...", ":)", "@",
     "http://x.com/a_b?c", "www.x.com", "ann@x.com", "_", "\x1e", "\x1f", "\t", "🙂", "'", "-"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=8).map("".join) | st.text(st.characters(), max_size=8)


def one_by_one(messages: list[str]) -> dict[str, list[Any]]:
    """What `encode` gives, message by message and word by word."""
    found: dict[str, list[Any]] = {k: [] for k in ("inputs", "marks", "targets", "addresses")}
    offsets = [0]
    for message in messages:
        tokens = tokenize(message)
        if tokens.words:
            known = VOCABULARY.index
            found["inputs"] += [BEGIN, *map(VOCABULARY.input, tokens.words)]
            found["marks"] += tokens.marks
            found["targets"] += [*(known.get(w, UNKNOWN) for w in tokens.words), END]
            found["addresses"] += [*address_flags(message), False]
            offsets.append(len(found["targets"]))
    return {**found, "offsets": offsets}


def same(found: Encoded, expected: dict[str, list[Any]]) -> bool:
    return all(getattr(found, name).tolist() == values for name, values in expected.items())


@given(st.lists(TEXTS, max_size=6))
@example([])
@example(["", "?!", ""])
@example(["ΑΣ", "ΑΣ\x1eΑ"])
@example(["@", "ann", "@x.com"])
def test_messages_are_encoded_together_as_they_are_one_by_one(messages: list[str]) -> None:
    assert same(encode(messages, VOCABULARY), one_by_one(messages))


@given(st.lists(st.lists(TEXTS, max_size=4), max_size=4))
@example([])
@example([["hi you"], [], ["!"], ["new http://x.com"]])
def test_users_are_read_back_as_they_were_encoded(users: list[list[str]]) -> None:
    stored = EncodedUsers(users, VOCABULARY)
    assert len(stored) == len(users)
    for at, messages in enumerate(users):
        assert same(stored[at], one_by_one(messages))
        assert stored[at].inputs.dtype == np.int32
    assert [u.words for u in stored[1:]] == [encode(m, VOCABULARY).words for m in users[1:]]


def test_users_are_encoded_when_asked_for_and_once() -> None:
    asked: list[int] = []

    class Texts(Sequence[list[str]]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, at: Any) -> Any:
            asked.append(at)
            return [["hi"], ["you", "7 hi"], ["it's you"]][at]

    stored = EncodedUsers(Texts(), VOCABULARY)
    assert asked == []
    first = [stored[at] for at in (2, 0, 1)]
    assert asked == [2, 0, 1]
    again = [stored[at] for at in (2, 0, 1)]
    assert asked == [2, 0, 1]
    for one, other in zip(first, again, strict=True):
        for name, values in vars(one).items():
            assert np.array_equal(values, getattr(other, name))
            assert values.dtype == getattr(other, name).dtype


def test_ids_above_65535_are_kept_whole() -> None:
    large = Vocabulary.from_lists([f"w{i}" for i in range(70_000)], {})
    assert EncodedUsers([["w69999 w1"]], large)[0].targets.tolist() == [70_004, 6, END]


def test_there_is_no_user_behind_the_last() -> None:
    stored = EncodedUsers([["hi"]], VOCABULARY)
    assert stored[-1].words == 1
    with pytest.raises(IndexError):
        stored[1]
