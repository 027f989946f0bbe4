from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.corpus.load import load_corpus
from nwp.corpus.readers import jsonl
from nwp.corpus.splits import dealing
from nwp.corpus.splits.recipe import Recipe
from nwp.corpus.types import Message, Tally
from nwp.corpus.writing import JsonLinesWriter, json_line
from nwp.errors import BadCorpus, BadInput, BadSettings
from nwp.tasks import splitting
from nwp.tasks.splitting import repeat_split, split_corpus, verify_split
from nwp.text.tokenizer import words_of

DAY = datetime(2025, 3, 1, tzinfo=UTC)
NEW = ("iid", "topic", "likeness", "quantity")


def day(number: int) -> datetime:
    return DAY + timedelta(days=number)


# Ann writes 6 messages of 2 words (day 0 to 5, but the first two are swapped), bo 3 of 3 words
# without a time, cleo one on day 4, dan one of 50 words on day 1.
SMALL = [
    Message("ann", "ann b1", day(1)),
    Message("bo", "bo says no"),
    Message("ann", "ann a0", day(0)),
    Message("dan", "dan " * 50, day(1)),
    Message("bo", "bo says yes"),
    *(Message("ann", f"ann x{i}", day(i)) for i in range(2, 6)),
    Message("cleo", "cleo came late", day(4)),
    Message("bo", "bo says maybe"),
]


def write(path: Path, messages: list[Message]) -> str:
    with JsonLinesWriter(path) as writer:
        for message in messages:
            writer.write(message)
    return str(path)


def read(path: Path) -> list[Message]:
    return list(jsonl.read(path, Tally()))


def by_user(messages: list[Message]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for message in messages:
        found.setdefault(message.user, []).append(message.text.strip())
    return found


@pytest.fixture
def small(tmp_path: Path) -> str:
    return write(tmp_path / "small.jsonl", SMALL)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def recipe_by(by: str, users: int = 7, **more: Any) -> Recipe:
    return Recipe(by=by, users=0 if by == "natural" else users, **more)


def everything(home: Path, name: str) -> dict[str, bytes]:
    return {
        path.name.removeprefix(name): path.read_bytes()
        for path in home.iterdir()
        if path.name.startswith(name)
    }


# Steps 1 to 5.


def test_without_a_wish_a_split_is_the_corpus_in_nwps_own_form(small: str, home: Path) -> None:
    made = split_corpus(small, "all", home, Recipe())
    assert read(home / "all.jsonl.gz") == SMALL
    assert sorted(path.name for path in home.iterdir()) == ["all.json", "all.jsonl.gz"]
    assert made == json.loads((home / "all.json").read_text())
    lines = b"".join(map(json_line, SMALL))
    assert made["source"] == {
        "name": "small.jsonl",
        "sha256": hashlib.sha256(lines).hexdigest(),
    }
    assert made["parts"] == {
        "all": {
            "file": "all.jsonl.gz",
            "sha256": hashlib.sha256(lines).hexdigest(),
            "users": 4,
            "messages": 11,
            "words": 12 + 9 + 3 + 50,
        }
    }
    assert made["made"] == Recipe().to_json()
    assert made["left_out"] == made["remarks"] == {}
    assert made["words_per_user"] == {
        "min": 3, "p10": 3, "p25": 3, "median": 9, "p75": 12, "p90": 50, "max": 50,
    }  # fmt: skip
    # The six pairs of users differ by 6 + 9 + 47 + 3 + 41 + 38 = 144 words; 2·144 / (2·4²·74/4).
    assert made["gini_of_words"] == round(144 / (4 * 74), 6)
    assert "divergence" not in made


def test_later_messages_go_into_a_corpus_of_their_own(small: str, home: Path) -> None:
    made = split_corpus(small, "s", home, Recipe(until="2025-03-04"))
    assert by_user(read(home / "s.later.jsonl.gz")) == {
        "ann": ["ann x3", "ann x4", "ann x5"],
        "cleo": ["cleo came late"],
    }
    assert [m for m in read(home / "s.jsonl.gz") if m.user == "bo"] == [
        SMALL[1],
        SMALL[4],
        SMALL[-1],
    ]
    assert made["remarks"] == {"message without a time, taken as early enough": 3}
    assert {part: entry["messages"] for part, entry in made["parts"].items()} == {
        "s": 7,
        "s.later": 4,
    }


def test_the_first_messages_of_each_are_kept_in_order_of_time(small: str, home: Path) -> None:
    made = split_corpus(small, "s", home, Recipe(cap_messages=1))
    assert by_user(read(home / "s.jsonl.gz")) == {
        "ann": ["ann a0"],
        "bo": ["bo says no"],
        "dan": [SMALL[3].text.strip()],
        "cleo": ["cleo came late"],
    }
    assert made["left_out"] == {"message over cap_messages": 7}


def test_users_of_few_or_many_words_are_left_out(small: str, home: Path) -> None:
    made = split_corpus(small, "s", home, Recipe(min_words=9, max_words=12))
    assert set(by_user(read(home / "s.jsonl.gz"))) == {"ann", "bo"}
    assert made["left_out"] == {
        "user under min_words": 1,
        "message of a user under min_words": 1,
        "user over max_words": 1,
        "message of a user over max_words": 1,
    }


def test_words_are_counted_after_the_cut_off_and_the_cap(small: str, home: Path) -> None:
    recipe = Recipe(until="2025-03-04", cap_messages=2, min_words=5)
    made = split_corpus(small, "s", home, recipe)
    # Ann has 2 messages of 2 words left, cleo none: both are left out, also of what is later.
    assert set(by_user(read(home / "s.jsonl.gz"))) == {"bo", "dan"}
    assert not (home / "s.later.jsonl.gz").exists()
    assert made["left_out"] == {
        "message over cap_messages": 2,
        "user under min_words": 2,
        "message of a user under min_words": 6,
    }


@pytest.mark.parametrize("names", ["bo, ann", ("ann", "bo", "bo")])
def test_whole_users_are_set_aside(small: str, home: Path, names: Any) -> None:
    split_corpus(small, "s", home, Recipe(held_out=names, until="2025-03-05"))
    assert set(by_user(read(home / "s.jsonl.gz"))) == {"dan"}
    held = by_user(read(home / "s.held-out.jsonl.gz"))
    assert {user: len(texts) for user, texts in held.items()} == {"ann": 4, "bo": 3}
    assert set(by_user(read(home / "s.later.jsonl.gz"))) == {"ann", "cleo"}


def test_a_share_is_set_aside_by_seed(small: str, home: Path) -> None:
    drawn = set()
    for seed in range(12):
        split_corpus(small, "s", home, Recipe(held_out="0.25", seed=seed), force=True)
        aside = set(by_user(read(home / "s.held-out.jsonl.gz")))
        assert len(aside) == 1
        assert not aside & set(by_user(read(home / "s.jsonl.gz")))
        drawn |= aside
    assert drawn == {"ann", "bo", "cleo", "dan"}


def test_one_person_of_several_names_is_one_user(small: str, home: Path) -> None:
    recipe = Recipe(merge={"annbo": ["ann", "bo"], "dan": ["cleo"], "danny": ["dan"]}, max_words=49)
    split_corpus(small, "s", home, recipe)
    assert by_user(read(home / "s.jsonl.gz")) == {
        "annbo": [m.text for m in SMALL if m.user in ("ann", "bo")],
        "dan": ["cleo came late"],
    }


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (Recipe(merge={"x": ["ann", "eve"]}), "no user 'eve' to merge"),
        (Recipe(merge={"bo": ["ann"]}), "has a user 'bo' already"),
        (Recipe(held_out="eve"), "no user 'eve'"),
        (Recipe(held_out=("ann", "eve")), "no user 'eve' to hold out"),
        (Recipe(held_out=("cleo",), min_words=5), "no user 'cleo' to hold out"),
        (Recipe(held_out=("ann", "bo", "cleo", "dan")), "nobody is left"),
        (Recipe(held_out="1.5"), "cannot hold out"),
        (Recipe(by="iid", users=12), "11 messages for 12 users"),
        (Recipe(by="topic", users=12), "11 messages for 12 users"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_and_writes_nothing(
    small: str, home: Path, recipe: Recipe, says: str
) -> None:
    with pytest.raises(BadSettings, match=says):
        split_corpus(small, "s", home, recipe)
    assert not home.exists()


@pytest.mark.parametrize("recipe", [Recipe(min_words=51), Recipe(until="2024-01-01", min_words=10)])
def test_a_corpus_of_nothing_is_refused(small: str, home: Path, recipe: Recipe) -> None:
    with pytest.raises(BadCorpus, match=r"no messages of .*small.jsonl are left"):
        split_corpus(small, "s", home, recipe)
    assert not home.exists()


def test_an_empty_source_is_refused(tmp_path: Path, home: Path) -> None:
    source = write(tmp_path / "a.jsonl", [Message("ann", " ")])
    with pytest.raises(BadCorpus, match="1 x empty message"):
        split_corpus(source, "s", home, Recipe())


# Step 6.


@given(
    st.lists(
        st.builds(
            Message,
            st.sampled_from(["ann", "bo", "cleo"]),
            st.text("ab é🙂", min_size=1).filter(str.strip),
            st.none() | st.integers(0, 3).map(day),
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(["natural", *NEW]),
    st.integers(1, 30),
    st.sampled_from([1e-6, 0.3, 1.0, 1e6]),
    st.integers(0, 3),
)
def test_every_message_is_in_the_split_once_and_users_keep_the_sources_order(
    tmp_path_factory: pytest.TempPathFactory,
    messages: list[Message],
    by: str,
    users: int,
    alpha: float,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    source = write(folder / "source.jsonl", messages)
    users = min(users, len(messages))
    made = split_corpus(source, "s", folder, recipe_by(by, users, alpha=alpha, seed=seed))
    found = read(folder / "s.jsonl.gz")
    assert [(m.text, m.time) for m in found] == [(m.text, m.time) for m in messages]
    sizes = Counter(m.user for m in found)
    if by == "natural":
        assert found == messages
    else:
        assert sorted(sizes) == [f"client-{i:04}" for i in range(1, users + 1)]
        assert 0 <= made["divergence"] <= round(np.log(2), 6)
    if by in ("iid", "topic", "likeness"):
        assert max(sizes.values()) - min(sizes.values()) <= 1
    words = Counter[str]()
    for message in found:
        words[message.user] += len(words_of(message.text))
    assert made["words_per_user"]["max"] == max(words.values())
    assert made["words_per_user"]["min"] == min(words.values())
    assert made["parts"]["s"] == made["parts"]["s"] | {
        "users": len(sizes),
        "messages": len(messages),
        "words": words.total(),
    }


@pytest.mark.parametrize("by", ["natural", *NEW])
def test_equal_recipes_give_equal_bytes_and_another_seed_others(home: Path, by: str) -> None:
    recipe = recipe_by(by, alpha=0.5, held_out="0.1", seed=1)
    split_corpus("sample", "one", home, recipe)
    split_corpus("sample", "two", home / "else", recipe)
    one, two = everything(home, "one"), everything(home / "else", "two")
    assert set(one) == {".json", ".jsonl.gz", ".held-out.jsonl.gz"}
    assert one.pop(".json") == two.pop(".json").replace(b'"two', b'"one')
    assert one == two
    other = recipe_by(by, alpha=0.5, held_out="0.1", seed=2)
    split_corpus("sample", "one", home, other, force=True)
    now = everything(home, "one")
    assert all(now[name] != one[name] for name in one)


def test_the_source_may_be_packed_in_any_way(tmp_path: Path, home: Path) -> None:
    plain, packed = tmp_path / "small.jsonl", tmp_path / "small.jsonl.gz"
    write(plain, [*SMALL, Message("ann", "\n")])
    packed.write_bytes(gzip.compress(plain.read_bytes().replace(b'", "text', b'" ,\t "text')))
    first = split_corpus(str(plain), "s", home, Recipe(by="iid", users=3))
    second = split_corpus(str(packed), "s", home, Recipe(by="iid", users=3), force=True)
    assert first["left_out"] == {"empty message": 1}
    assert second["source"].pop("name") == "small.jsonl.gz"
    assert first["source"].pop("name") == "small.jsonl"
    assert first == second


@pytest.mark.parametrize("by", ["topic", "likeness"])
def test_the_larger_alpha_the_more_alike_are_users(home: Path, by: str) -> None:
    found = []
    for alpha in (0.3, 3, 30, 1000):
        made = split_corpus("sample", "s", home, recipe_by(by, 20, alpha=alpha), force=True)
        assert sum(made["messages_by_label"]) == made["parts"]["s"]["messages"]
        found.append(made["divergence"])
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.35
    assert found[-1] < 5 * made["divergence_by_chance"] < 0.05


def test_users_of_one_topic_write_of_it(tmp_path: Path, home: Path) -> None:
    rng = np.random.default_rng(0)
    messages = []
    for i in range(1_600):
        subject = ("food", "sport")[i // 32 % 2]
        words = [f"{subject}{n}" for n in rng.integers(0, 150, 3)]
        messages.append(Message(f"user{i % 5}", " ".join(["so", *words])))
    source = write(tmp_path / "a.jsonl", messages)
    split_corpus(source, "s", home, Recipe(by="topic", topics=2, users=10, alpha=1e-3))
    texts = by_user(read(home / "s.jsonl.gz"))
    shares = [sum("food" in text for text in mine) / len(mine) for mine in texts.values()]
    assert sum(min(share, 1 - share) < 0.03 for share in shares) >= 9


def test_users_of_one_group_have_the_messages_of_people_who_write_alike(
    tmp_path: Path, home: Path
) -> None:
    manners = (("gonna", "wanna", "lol"), ("indeed", "thus", "shall"))
    messages = [
        Message(f"user{i % 10}", f"{manners[i % 2][i // 10 % 3]} we go home") for i in range(1_000)
    ]
    source = write(tmp_path / "a.jsonl", messages)
    made = split_corpus(source, "s", home, Recipe(by="likeness", topics=2, users=10, alpha=1e-3))
    assert made["messages_by_label"] == [500, 500]
    pure = 0
    for texts in by_user(read(home / "s.jsonl.gz")).values():
        pure += len({text.split()[0] in manners[0] for text in texts}) == 1
    assert pure >= 9


def test_sizes_are_skewed_by_quantity(home: Path) -> None:
    ginis = [
        split_corpus("sample", "s", home, recipe_by("quantity", 20, alpha=alpha), force=True)
        for alpha in (0.1, 1, 1000)
    ]
    found = [made["gini_of_words"] for made in ginis]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.7
    assert found[-1] < 0.1


def test_what_is_held_out_and_later_keeps_its_users(small: str, home: Path) -> None:
    recipe = Recipe(by="iid", users=2, held_out="bo", until="2025-03-05")
    split_corpus(small, "s", home, recipe)
    assert set(by_user(read(home / "s.jsonl.gz"))) == {"client-0001", "client-0002"}
    assert set(by_user(read(home / "s.held-out.jsonl.gz"))) == {"bo"}
    assert set(by_user(read(home / "s.later.jsonl.gz"))) == {"ann", "cleo"}


def test_names_of_many_users_sort_as_their_numbers() -> None:
    chosen = dealing.Selection(["a"], np.zeros(10_000, np.int32), np.zeros(10_000, np.int8), {}, {})
    _, names, _ = dealing.deal(chosen, Recipe(by="iid", users=10_000), lambda: iter(()), "")
    assert names[0] == "client-00001"
    assert list(names) == sorted(names)


# Files.


def test_a_split_reads_as_a_corpus(home: Path) -> None:
    made = split_corpus("sample", "s", home, recipe_by("iid", 12))
    corpus = load_corpus(str(home / "s.jsonl.gz"))
    assert (len(corpus.users), corpus.messages) == (12, made["parts"]["s"]["messages"])


@pytest.mark.parametrize("existing", ["s.json", "s.jsonl.gz", "s.later.jsonl.gz"])
def test_what_is_there_is_only_replaced_on_demand(small: str, home: Path, existing: str) -> None:
    home.mkdir()
    (home / existing).write_text("precious")
    with pytest.raises(BadInput, match=f"{existing} exists"):
        split_corpus(small, "s", home, Recipe())
    assert (home / existing).read_text() == "precious"
    split_corpus(small, "s", home, Recipe(), force=True)
    assert sorted(path.name for path in home.iterdir()) == ["s.json", "s.jsonl.gz"]
    assert verify_split(home / "s.json")["holds"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../s", "a/b", ".s", "s.later", "s.held-out", "a\n", "-"]
)
def test_a_name_that_no_split_can_have_is_refused(small: str, home: Path, name: str) -> None:
    with pytest.raises(BadSettings, match="is no name for a split"):
        split_corpus(small, name, home, Recipe())
    assert not home.exists()


def test_a_split_can_be_made_of_a_split_and_replace_it(small: str, home: Path) -> None:
    first = split_corpus(small, "s", home, Recipe(held_out="bo"))
    second = split_corpus(str(home / "s.jsonl.gz"), "s", home, Recipe(held_out="ann"), force=True)
    assert second["source"]["sha256"] == first["parts"]["s"]["sha256"]
    assert set(by_user(read(home / "s.jsonl.gz"))) == {"cleo", "dan"}
    assert set(by_user(read(home / "s.held-out.jsonl.gz"))) == {"ann"}


def test_bad_lines_fail_the_split_or_are_counted(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "a.jsonl"
    source = write(path, SMALL)
    path.write_text(path.read_text() + "{\n")
    with pytest.raises(BadCorpus, match="line 12"):
        split_corpus(source, "s", home, Recipe())
    assert not home.exists()
    made = split_corpus(source, "s", home, Recipe(), skip_bad_lines=True)
    assert made["left_out"] == {"bad line": 1}


@pytest.mark.parametrize(
    "change", [lambda m: m[1:], lambda m: [*m, m[0]], lambda m: [m[1], m[0], *m[2:]]]
)
def test_a_source_that_changes_meanwhile_is_noticed(
    small: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[list[Message]], list[Message]],
) -> None:
    def scanned_and_changed(messages: Any) -> Any:
        found = scan(messages)
        write(Path(small), change(SMALL))
        return found

    scan = splitting.scan
    monkeypatch.setattr(splitting, "scan", scanned_and_changed)
    with pytest.raises(BadCorpus, match="changed while it was read"):
        split_corpus(small, "s", home, Recipe())
    assert list(home.iterdir()) == []


def test_a_full_disk_leaves_the_old_split(
    small: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_corpus(small, "s", home, Recipe(until="2025-03-04"))
    before = everything(home, "s")
    calls = []

    def fail(file: int) -> None:
        calls.append(file)
        if len(calls) == 2:  # the second of two files
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        split_corpus(small, "s", home, Recipe(until="2025-03-05"), force=True)
    assert everything(home, "s") == before
    assert len(list(home.iterdir())) == len(before)


# Verifying and repeating.


@pytest.fixture
def split(small: str, home: Path) -> Path:
    split_corpus(small, "s", home, Recipe(by="iid", users=3, held_out="bo", seed=4))
    return home / "s.json"


def test_a_flipped_byte_a_missing_file_and_another_one_are_noticed(split: Path) -> None:
    found = verify_split(split)
    assert (found["name"], found["holds"]) == ("s", True)
    path = split.parent / "s.held-out.jsonl.gz"
    good = path.read_bytes()
    for at in range(10, len(good)):  # behind gzip's own head, which holds nothing of the text
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        found = verify_split(split)
        assert not found["holds"]
        assert found["parts"]["s"]["holds"]
        assert not found["parts"]["s.held-out"]["holds"]
    path.write_bytes(gzip.compress(gzip.decompress(good) + b"\n"))
    assert verify_split(split)["parts"]["s.held-out"]["found"] is not None
    assert not verify_split(split)["holds"]
    path.write_bytes(gzip.compress(gzip.decompress(good), 1))  # packed anew, the same lines
    assert verify_split(split)["holds"]
    path.unlink()
    assert verify_split(split)["parts"]["s.held-out"] == {
        "file": path.name,
        "expected": found["parts"]["s.held-out"]["expected"],
        "found": None,
        "holds": False,
    }


def test_a_manifest_is_enough_to_repeat_a_split(split: Path, small: str, tmp_path: Path) -> None:
    made = repeat_split(split, small, tmp_path / "again", "t")
    assert verify_split(tmp_path / "again" / "t.json")["holds"]
    old = everything(split.parent, "s")
    new = everything(tmp_path / "again", "t")
    assert {n: b for n, b in old.items() if n != ".json"} == {
        n: b for n, b in new.items() if n != ".json"
    }
    assert made["made"] == json.loads(split.read_text())["made"]


def test_a_repetition_from_other_messages_is_refused(split: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.jsonl", [*SMALL, Message("bo", "one more")])
    with pytest.raises(BadCorpus, match="is not what s was made from"):
        repeat_split(split, other, tmp_path / "again", "t")
    assert list((tmp_path / "again").iterdir()) == []


def test_a_repetition_that_comes_out_otherwise_says_where(
    split: Path, small: str, tmp_path: Path
) -> None:
    stated = json.loads(split.read_text())
    stated["made"]["seed"] = 5
    split.write_text(json.dumps(stated))
    with pytest.raises(BadCorpus, match=r"gave another s$"):
        repeat_split(split, small, tmp_path / "again", "t")
    stated["made"] |= {"seed": 4, "held_out": ""}
    split.write_text(json.dumps(stated))
    with pytest.raises(BadCorpus, match=r"gave another s, s\.held-out$"):
        repeat_split(split, small, tmp_path / "again", "t")
    assert list((tmp_path / "again").iterdir()) == []


GOOD = {
    "name": "s",
    "nwp": "1",
    "made": {},
    "source": {"sha256": ""},
    "parts": {"s": {"file": "s.jsonl.gz", "sha256": ""}},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "[" * 100_000,
        "\udc80",
        *(json.dumps({k: v for k, v in GOOD.items() if k != key}) for key in GOOD),
        *(json.dumps(GOOD | {key: value}) for key in GOOD for value in (None, 7, [1], {"s": 1})),
        json.dumps(GOOD | {"parts": {"s": {"file": "../s.jsonl.gz", "sha256": ""}}}),
    ],
)
def test_any_other_file_is_no_manifest(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    if text == json.dumps(GOOD | {"made": {"s": 1}}):
        with pytest.raises(BadSettings, match="a recipe has no 's'"):
            repeat_split(path, "sample", tmp_path, "t")
        return
    with pytest.raises(BadCorpus, match="no manifest of a split"):
        verify_split(path)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCorpus, match=r"cannot read .*m\.json"):
        verify_split(tmp_path / "m.json")


def test_without_scikit_learn_only_topic_and_likeness_are_missing(
    small: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    split_corpus(small, "s", home, Recipe(by="quantity", users=3))
    monkeypatch.setattr(splitting, "scan", None)  # said before anything is read
    for by in ("topic", "likeness"):
        with pytest.raises(BadInput, match="need scikit-learn"):
            split_corpus(small, by, home, Recipe(by=by, users=3))
    assert sorted(path.name for path in home.iterdir()) == ["s.json", "s.jsonl.gz"]


def test_a_known_corpus_is_named_and_of_a_path_only_the_end(tmp_path: Path, home: Path) -> None:
    assert split_corpus("sample", "a", home, Recipe())["source"]["name"] == "sample"
    folder = tmp_path / "private" / "texts"
    folder.mkdir(parents=True)
    (folder / "ann.txt").write_text("hello\n")
    assert split_corpus(f"{folder}/", "b", home, Recipe())["source"]["name"] == "texts"
    assert "private" not in (home / "b.json").read_text()
