from __future__ import annotations

import numpy as np
import pytest
from test_slips import make, words

from nwp.suggest.blocking import Blocking
from nwp.suggest.recent import recent

WORDS = ["see", "you", "at", "the", "ok", "kate", "20", "2", "hello"]
JOINING = ["in", "on", "or", "costs"]
SMALL = make(WORDS)


def again(before: str) -> dict[str, float]:
    found = recent(before, lambda word: word in WORDS + JOINING)
    return dict(zip(found.surfaces, found.shares.tolist(), strict=True))


def test_unknown_words_share_what_is_left_by_those_that_were_new() -> None:
    assert again("see Kajsa at Fika, Kajsa. ") == pytest.approx({"Kajsa": 2 / 5, "Fika": 1 / 5})
    assert again("see you at the ") == {}
    assert again("") == {}


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("at 14:30 in 2026. ", {"14:30", "2026"}),
        ("on 2026-10-05 or 5/10 ", {"2026-10-05", "5/10"}),
        ("v1.2 costs 1,500.50, ", {"v1", "1,500.50"}),
        ("14:30h ", {"14", "30h"}),
        ("at 14:30 or 14:", {"30"}),
        ("on 2026-10-05 or 2026-", {"10-05"}),
        ("at 14:30, in 12:", {"14:30"}),
        ("Kajsa’s kajsa KAJSA kajsa ", {"Kajsa's", "kajsa"}),
        ("fika Fika ", {"Fika"}),
        ("@kajsa wrote to ann@example.org ", {"kajsa", "wrote", "to", "ann", "example", "org"}),
        ("x y 7 ", set()),
        ("a" * 41 + " ", set()),
        ("İstanbul ", set()),
        ("_zyx_ ", {"zyx"}),
    ],
)
def test_what_is_found(before: str, found: set[str]) -> None:
    assert set(again(before)) == found


@pytest.mark.parametrize("text", ["1" * 4000, "1." * 2000, "1." * 2000 + "x", "'" * 4000])
def test_long_runs_take_no_time_to_speak_of(text: str) -> None:
    recent(text, lambda word: False)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("see Kajsa. ka", "Kajsa"),
        ("see Kajsa. Ka", "Kajsa"),
        ("see kajsa. KA", "KAJSA"),
        ("see kajsa. Kaj", "Kajsa"),
        ("see Kajsa. kasja", "Kajsa"),
        ("see you at 14:30. 1", "14:30"),
        ("see you at 14:30. 14:", "the"),
        ("see you at 14:30. 14:3", "30"),
        ("see you in 2026. 202", "2026"),
        ("see iPhone. ip", "iPhone"),
    ],
)
def test_a_word_of_the_text_is_offered_when_it_is_begun_again(text: str, offered: str) -> None:
    found = make(WORDS, common="the").suggest(text)
    assert offered in words(found)[:2]  # "Kate" may come before


def test_nothing_of_the_text_is_offered_while_nothing_is_typed() -> None:
    assert set(words(SMALL.suggest("see Kajsa at 14:30 ", 99))) == set(WORDS)


def test_its_probability_is_a_share_of_the_unknown_words() -> None:
    # All outputs are as probable: two thirds of the unknown word's go to others than Kajsa.
    found = {one.word: one.probability for one in SMALL.suggest("Kajsa k")}
    assert found == pytest.approx({"kate": 1 / 1.5, "Kajsa": 0.5 / 1.5})


def test_what_stands_far_back_is_forgotten() -> None:
    assert words(SMALL.suggest("see Kajsa " + "you " * 100 + "kaj")) == ["Kajsa"]
    assert words(SMALL.suggest("see Kajsa " + "you " * 1000 + "kaj")) == []


def test_blocked_words_are_not_offered_again() -> None:
    found = make(WORDS, blocking=Blocking(["kajsa"]))
    assert words(found.suggest("see Kajsa, Kajsa's Kajs")) == []
    assert words(found.suggest("see Kajsa. Kasj")) == []
    assert words(SMALL.suggest("see Faggot. Fagg")) == []


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("hllo kate. hll", False),  # a letter left out
        ("helllo kate. helll", False),  # one too many
        ("hlelo kate. hle", False),  # two swapped
        ("hekko hello. hekk", True),  # two slips
        ("hllo kate hllo. hll", True),  # it was meant
        ("Hllo kate. hll", True),  # a name, perhaps
        ("hellos hello. hellos", True),  # no key beside
        ("zyx hello. zy", True),
        ("30 kate. 3", True),  # digits are no slips
    ],
)
def test_a_slip_of_a_common_word_is_offered_only_after_it_came_twice(
    text: str, offered: bool
) -> None:
    typed = text.rsplit(maxsplit=1)[-1]

    found = words(SMALL.suggest(text, 9))

    assert any(w.lower().startswith(typed) and w not in WORDS for w in found) == offered


def test_only_common_words_are_taken_to_have_been_meant() -> None:
    rare = [f"x{i:04}" for i in range(2000)] + ["hello"]

    assert "hllo" in words(make(rare).suggest("hllo hll", 9))
    assert "hllo" not in words(make(rare[::-1]).suggest("hllo hll", 9))


def test_who_wants_words_as_typed_has_no_slips() -> None:
    assert words(make(WORDS, exact=True).suggest("hllo hll", 9)) == ["hllo"]


def test_each_text_has_its_own() -> None:
    assert words(SMALL.suggest("see Zyx. zy")) == ["Zyx"]
    assert words(SMALL.suggest("see you. zy")) == []
    assert np.allclose(SMALL.recent("see Zyx. zy").shares, [0.5])
