from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.corpus.door import pseudonyms
from nwp.corpus.door.merging import invert, merge_of, read_merge
from nwp.corpus.door.pseudonyms import Names, Pseudonyms, load_key
from nwp.errors import BadInput, BadSettings

KEY = bytes(range(32))


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "my.key"
    key = load_key(path)
    assert len(key) == 32
    assert path.read_text() == key.hex() + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path) == key
    assert load_key(tmp_path / "another.key") != key
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "content", ["", "abc", "g" * 64, "A" * 64, "0" * 66, "0" * 64 + "\n\n", "é"]
)
def test_what_is_no_key_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "my.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(BadInput, match="is no key"):
        load_key(path)
    assert path.read_text() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my.key"
    load_key(path)
    path.chmod(mode)
    with pytest.raises(BadInput, match="others") as caught:
        load_key(path)
    assert f"chmod 600 {path}" in caught.value.hint


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file"):
        load_key(tmp_path)


def test_a_key_that_another_makes_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my.key"

    def meanwhile(size: int) -> str:
        if not path.exists():
            path.write_text(KEY.hex())
            path.chmod(0o600)
        return "f" * 2 * size

    monkeypatch.setattr(pseudonyms.secrets, "token_hex", meanwhile)
    assert load_key(path) == KEY
    assert list(tmp_path.iterdir()) == [path]


def test_pseudonyms_are_the_same_under_the_same_key_only() -> None:
    # HMAC-SHA256 of the name, base32 in lower case, ten characters.
    assert Pseudonyms(KEY).of("Ann") == Pseudonyms(KEY).of("Ann") == "user-mcf2betstg"
    assert Pseudonyms(bytes(32)).of("Ann") != Pseudonyms(KEY).of("Ann")


@given(st.sets(st.text(min_size=1), max_size=20))
def test_different_names_have_different_pseudonyms_of_one_form(names: set[str]) -> None:
    given_names = Pseudonyms(KEY)
    found = {given_names.of(name) for name in names}
    assert len(found) == len(names)
    assert all(re.fullmatch(r"user-[a-z2-7]{10}", name) for name in found)


def test_two_names_with_one_pseudonym_end_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "_LETTERS", 0)
    given_names = Pseudonyms(KEY)
    given_names.of("Ann")
    given_names.of("Ann")
    with pytest.raises(BadInput, match="'Ben' and 'Ann' get the same pseudonym"):
        given_names.of("Ben")


NAMES = Names(
    ["Ann Lee", "Ann", "Ann Lee-Smith", "José O’Neil", "ben_99", "+49 170 1234567", "🌸", "王小明"]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I met Ann Lee, and ann lee, and ANN  LEE!", "I met @, and @, and @!"),
        ("Ann Lee's and Ann Lee-Smith’s dog", "@ and @ dog"),
        ("with José O’Neil.", "with @."),
        ("@Ann hi @ben_99: @Ann Lee too @王小明 ok", "@ hi @: @ too @ ok"),
        ("ask @\u2068Ann Lee\u2069 then", "ask @ then"),
        ("call +49 170 1234567", "call +@"),
        # Single names and parts of others stay.
        ("Ann and ben_99, 王小明", "Ann and ben_99, 王小明"),
        ("Joann Lee, Ann Leeds, O'Ann Lee", "Joann Lee, Ann Leeds, O'Ann Lee"),
        ("with Ann. Lee came too", "with Ann. Lee came too"),
        ("@Anna, @an, mail@ann.example", "@Anna, @an, mail@ann.example"),
        ("", ""),
    ],
)
def test_names_in_texts(text: str, expected: str) -> None:
    found, count = NAMES.replace(text)
    assert found == expected
    assert bool(count) == (text != expected)


@given(
    st.lists(st.sampled_from(["Ann", "Lee", "lee", " ", "@", "-", "'", "’s", "x", "Smith", "\n"]))
)
def test_words_that_are_no_name_stay_as_they_are(parts: list[str]) -> None:
    text = "".join(parts)
    found, count = NAMES.replace(text)
    assert (found == text) == (not count or text == found)
    rest = iter(re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text))
    assert all(word in rest for word in re.findall(r"[^\W_]+(?:['’][^\W_]+)*", found))


def test_many_names_and_a_long_text_take_a_moment() -> None:
    many = Names(f"User {i} of {i}" for i in range(50_000))
    text = "user 7 of 7 said user 8 of 9 " * 20_000
    assert many.replace(text)[1] == 20_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("us.json", '{"Anna": ["Anna W.", "+49 170"], "Ben": ["ben99"]}'),
        ("us.toml", 'Anna = ["Anna W.", "+49 170", "Anna"]\nBen = ["ben99"]\n'),
    ],
)
def test_a_file_says_which_names_are_one(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    merge = read_merge(path)
    assert merge == {"Anna W.": "Anna", "+49 170": "Anna", "ben99": "Ben"}
    assert invert(merge) == {"Anna": ["Anna W.", "+49 170"], "Ben": ["ben99"]}
    assert merge_of(invert(merge), "here") == merge


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't be read"),
        ("[]", "no table of lists"),
        ('{"Anna": "Anna W."}', "no table of lists"),
        ('{"Anna": [7]}', "no table of lists"),
        ('{"Anna": ["a"], "Anna": ["b"]}', "stands in it twice"),
        ('{"Anna": ["a"], "Ben": ["a"]}', "'a' belongs to 'Anna' and to 'Ben'"),
        ('{"Anna": ["Ben"], "Ben": ["b"]}', "becomes 'Anna'"),
        ('{"Anna": ["Ben"], "Ben": ["Anna"]}', "becomes"),
        ('{"": ["Ben"]}', "a name is empty"),
        ('{"Ben": [" "]}', "a name is empty"),
        ("\udcff", "can't be read"),
    ],
)
def test_contradictions_in_it_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "us.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadSettings, match=message):
        read_merge(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"cannot read .*us\.json"):
        read_merge(tmp_path / "us.json")
