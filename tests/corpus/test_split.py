from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.corpus.split import PARTS, held_out, named_users, only, part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadSettings

SHARES = st.floats(0, 1, exclude_max=True)


def corpus_of(*names: str) -> Corpus:
    return Corpus("made up", {name: (f"{name} here",) for name in sorted(names)})


TEN = corpus_of("anna", "ben", "carla", "dora", "emil", "finn", "greta", "hans", "ida", "jan")


@given(st.integers(0, 2_000))
def test_parts_lie_end_to_end_at_the_published_borders(n: int) -> None:
    messages = [f"message {i}" for i in range(n)]
    assert part_of(messages, "train") == messages[: int(0.8 * n)]
    assert part_of(messages, "valid") == messages[int(0.8 * n) : int(0.9 * n)]
    assert part_of(messages, "test") == messages[int(0.9 * n) :]
    assert part_of(messages, "all") == messages
    assert [m for part in PARTS for m in part_of(messages, part)] == messages


@pytest.mark.parametrize(
    ("n", "sizes"),
    [
        (0, (0, 0, 0)),
        (1, (0, 0, 1)),
        (2, (1, 0, 1)),
        (5, (4, 0, 1)),
        (9, (7, 1, 1)),
        (10, (8, 1, 1)),
        (11, (8, 1, 2)),
        (100, (80, 10, 10)),
    ],
)
def test_sizes_of_parts_by_hand(n: int, sizes: tuple[int, ...]) -> None:
    assert tuple(len(part_of(["m"] * n, part)) for part in PARTS) == sizes


def test_an_unknown_part_is_refused_with_the_parts_there_are() -> None:
    with pytest.raises(BadSettings, match="'dev'") as caught:
        part_of(["a"], "dev")
    assert all(part in caught.value.hint for part in PARTS)


@given(SHARES, st.integers(0, 9))
def test_a_share_holds_out_that_many_users_by_seed(share: float, seed: int) -> None:
    if round(share * 10) == 10:
        with pytest.raises(BadSettings, match="nobody is left"):
            held_out(TEN, str(share), seed)
        return
    names = held_out(TEN, str(share), seed)
    assert len(names) == round(share * 10)
    assert list(names) == sorted(set(names))
    assert set(names) <= set(TEN.users)
    assert names == held_out(TEN, str(share), seed)


def test_another_seed_holds_out_other_users_and_each_user_has_a_turn() -> None:
    drawn = [held_out(TEN, "0.3", seed) for seed in range(40)]
    assert len(set(drawn)) > 20
    assert {name for names in drawn for name in names} == set(TEN.users)


@pytest.mark.parametrize("share", ["1", "1.5", "-0.1", "nan", "inf"])
def test_a_share_of_all_or_more_or_none_at_all_is_refused(share: str) -> None:
    with pytest.raises(BadSettings, match="cannot hold out"):
        held_out(TEN, share, 0)


@pytest.mark.parametrize("wanted", ["0", "0.0", "", " , "])
def test_nobody_may_be_held_out(wanted: str) -> None:
    assert held_out(TEN, wanted, 0) == ()


@pytest.mark.parametrize("wanted", ["ida,ben", "ben, ida", " ida ,ben,ben,"])
def test_users_are_held_out_by_name(wanted: str) -> None:
    assert held_out(TEN, wanted, 0) == named_users(TEN, wanted) == ("ben", "ida")


def test_an_unknown_name_is_refused_and_similar_ones_are_told() -> None:
    with pytest.raises(BadSettings, match="no user 'karla'") as caught:
        held_out(TEN, "ida,karla", 0)
    assert "carla" in caught.value.hint
    assert "emil" not in caught.value.hint
    with pytest.raises(BadSettings, match="no user 'xyzzy'") as caught:
        held_out(TEN, "xyzzy", 0)
    assert "anna" in caught.value.hint  # nothing is similar: a few that there are


def test_all_users_cannot_be_held_out() -> None:
    two = corpus_of("anna", "ben")
    with pytest.raises(BadSettings, match="nobody is left"):
        held_out(two, "anna,ben", 0)
    with pytest.raises(BadSettings, match="nobody is left"):
        held_out(two, "0.9", 0)


def test_a_corpus_of_some_users_keeps_their_messages_and_the_rest_of_it() -> None:
    few = only(TEN, ["ida", "ben"])
    assert dict(few.users) == {"ben": ("ben here",), "ida": ("ida here",)}
    assert list(few.users) == ["ben", "ida"]
    assert (few.name, few.messages) == (TEN.name, 2)
    assert TEN.messages == 10
