from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest

from nwp.errors import BadInput
from nwp.personal.store import HALF_LIFE, Personal
from nwp.personal.tables import ANY, BEGIN, END


def written(folder: Path) -> bytes:
    """Every byte of every file in a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def weights(personal: Personal) -> dict[str, float]:
    return {w.word: w.weight for w in personal.words()}


def names(personal: Personal) -> dict[int, str]:
    return {row[0]: row[1] for row in personal.changed_words(0)}


def test_words_pairs_and_triples_are_counted() -> None:
    personal = Personal.open()
    personal.learn("See you, Kajsa")

    found = names(personal)
    ids = {word: i for i, word in found.items()}
    assert set(ids) == {"", "see", "you", "kajsa"}
    for context, follower in (
        ((ANY, BEGIN), "see"),
        ((ANY, ids["see"]), "you"),
        ((BEGIN, ids["see"]), "you"),
        ((ids["see"], ids["you"]), "kajsa"),
        ((ids["you"], ids["kajsa"]), ""),
    ):
        assert [found[i] for i, _ in personal.followers(*context)] == [follower]
    assert personal.followers(ANY, END) == []
    assert personal.status().messages == 1


def test_a_use_halves_with_so_many_messages() -> None:
    personal = Personal.open()
    personal.learn("kajsa")
    for _ in range(200):
        personal.learn("other")

    expected = 0.5 ** (200 / HALF_LIFE)
    assert weights(personal)["kajsa"] == pytest.approx(expected, rel=1e-9)
    decayed = sum(0.5 ** (n / HALF_LIFE) for n in range(200))
    assert weights(personal)["other"] == pytest.approx(decayed, rel=1e-9)


def test_what_has_faded_is_gone_and_weights_never_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwp.personal.store.HALF_LIFE", 20.0)
    monkeypatch.setattr("nwp.personal.store.RECENT", 1.0)
    monkeypatch.setattr("nwp.personal.store._LARGEST", 10.0)
    personal = Personal.open()
    personal.learn("once upon")
    for _ in range(511):
        personal.learn("always")

    assert weights(personal) == {"always": pytest.approx(1 / (1 - 0.5 ** (1 / 20)), rel=1e-6)}
    assert all(row[3] < 2**13 for row in personal.changed_words(0))  # they were written anew
    assert personal.status().grams == 3  # begin always, always end, begin always end


def test_what_has_faded_leaves_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwp.personal.store.HALF_LIFE", 20.0)
    personal = Personal.open(tmp_path / "p.sqlite")
    personal.learn("zyxomma")
    for _ in range(255):
        personal.learn("always")
    personal.close()
    assert b"always" in written(tmp_path)
    assert b"zyxomma" not in written(tmp_path)


def test_a_context_keeps_its_strongest_followers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwp.personal.counting._MOST", 8)
    monkeypatch.setattr("nwp.personal.counting._KEPT", 5)
    personal = Personal.open()
    personal.learn("strong")
    personal.learn("strong")
    for i in range(30):
        personal.learn("x" * (i + 1))

    followers = personal.followers(ANY, BEGIN)
    assert len(followers) <= 8
    assert "strong" in {names(personal)[i] for i, _ in followers}


def test_secrets_and_addresses_are_not_kept(tmp_path: Path) -> None:
    personal = Personal.open(tmp_path / "p.sqlite")
    personal.learn("code 4921 mail anna@example.org http://hidden.example/path a1b2c3d4 ok 12")
    personal.close()

    raw = written(tmp_path)
    assert b"code" in raw and b"ok" in raw
    for secret in (b"4921", b"anna", b"hidden", b"a1b2c3d4"):
        assert secret not in raw


def test_nothing_is_learnt_across_a_word_that_is_not_kept() -> None:
    personal = Personal.open()
    personal.learn("pin 4921 please")

    ids = {word: i for i, word in names(personal).items()}
    assert personal.followers(ANY, ids["pin"]) == []
    assert personal.followers(ids["pin"], ids["please"]) == []


@pytest.mark.parametrize(
    ("messages", "surface"),
    [
        (["hi Kajsa", "hi Kajsa", "hi kajsa"], "Kajsa"),
        (["Foo it", "Foo it", "they foo"], "foo"),  # the sentence asked for that capital
        (["see McAda", "McAda"], "McAda"),
        (["ok. Foo", "ok. Foo"], "Foo"),  # nothing better is known
    ],
)
def test_the_surface_is_the_one_written_most(messages: list[str], surface: str) -> None:
    personal = Personal.open()
    for message in messages:
        personal.learn(message)
    assert surface in {w.surface for w in personal.words()}


def test_forgotten_words_leave_no_byte(tmp_path: Path) -> None:
    personal = Personal.open(tmp_path / "p.sqlite")
    for i in range(50):
        personal.learn(f"tell Zyxomma about w{i} and zyxomma again")
    assert b"zyxomma" in written(tmp_path)

    assert personal.forget(["ZYXOMMA", "unknown"]) == ["zyxomma"]

    assert b"zyxomma" not in written(tmp_path).lower()
    ids = set(names(personal)) | {ANY, BEGIN, END}
    with sqlite3.connect(tmp_path / "p.sqlite") as db:
        for row in db.execute("SELECT before, last, word FROM grams"):
            assert ids.issuperset(row)
        assert db.execute("SELECT count(*) FROM surfaces WHERE word NOT IN "
                          "(SELECT id FROM words)").fetchone() == (0,)  # fmt: skip
    assert "about" in weights(personal)
    personal.close()
    assert b"zyxomma" not in written(tmp_path).lower()


def test_forgetting_all_keeps_settings_and_blocked_words(tmp_path: Path) -> None:
    personal = Personal.open(tmp_path / "p.sqlite")
    personal.set("on", 1)
    personal.set("after", 2)
    personal.block(["bad"])
    personal.learn("quodlibet forever", {(0, 0): 1.0})
    personal.forget_all()

    found = personal.status()
    assert (found.on, found.after, found.messages, found.words, found.grams) == (True, 2, 0, 0, 0)
    assert personal.blocked() == ["bad"]
    assert personal.credits() == []
    assert b"quodlibet" not in written(tmp_path)
    personal.learn("anew")
    assert weights(personal) == {"anew": 1.0}


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "p.sqlite"
    personal = Personal.open(path)
    personal.learn("hi")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_export_and_import_give_the_same(tmp_path: Path) -> None:
    import json

    one, two = Personal.open(), Personal.open()
    for i in range(40):
        one.learn(f"See Kajsa at w{i % 7}.", {(3, 1): 0.5})
    one.block(["bad"])
    lines = [json.dumps(row) for row in one.exported()]

    assert two.import_(lines) == len(lines)
    first = sorted(json.dumps(row, sort_keys=True) for row in list(two.exported())[1:])
    two.import_(lines)
    again = sorted(json.dumps(row, sort_keys=True) for row in list(two.exported())[1:])
    assert first == again  # twice is once
    assert weights(two) == pytest.approx(weights(one))
    assert [w.surface for w in two.words()] == [w.surface for w in one.words()]
    assert two.blocked() == ["bad"]
    assert two.status().grams == one.status().grams
    assert two.credits()[0][:2] == (3, 1)


@pytest.mark.parametrize(
    "line",
    [
        "no json", "[]", "3", "{}", '{"word": "A", "uses": 1, "weight": 1, "recent": 1, "surfaces": {}}',
        '{"word": "a", "uses": 1, "weight": -1, "recent": 1, "surfaces": {}}',
        '{"word": "a", "uses": 1, "weight": NaN, "recent": 1, "surfaces": {}}',
        '{"word": "a", "uses": 1, "weight": 1, "recent": 1, "surfaces": {"b": 1}}',
        '{"after": ["a", "b", "c"], "word": "d", "weight": 1}', '{"blocked": 3}',
    ],
)  # fmt: skip
def test_a_bad_import_takes_in_nothing(line: str) -> None:
    personal = Personal.open()
    head = '{"form": 1, "messages": 1, "after": 3}'
    good = '{"word": "ok", "uses": 1, "weight": 1, "recent": 1, "surfaces": {}}'
    with pytest.raises(BadInput, match="line 3"):
        personal.import_([head, good, line])
    assert personal.words() == []


def test_a_later_form_is_refused(tmp_path: Path) -> None:
    Personal.open(tmp_path / "p.sqlite").close()
    with sqlite3.connect(tmp_path / "p.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(BadInput, match="newer"):
        Personal.open(tmp_path / "p.sqlite")


def test_a_file_of_the_first_form_goes_on(tmp_path: Path) -> None:
    before = Personal.open(tmp_path / "p.sqlite")
    before.learn("see you")
    before.close()
    with sqlite3.connect(tmp_path / "p.sqlite") as db:
        db.execute("DROP TABLE expected")
        db.execute("PRAGMA user_version = 1")
    found = Personal.open(tmp_path / "p.sqlite")
    assert [one.word for one in found.words()] == ["see", "you"]
    found.learn("see you", expected=("some", np.ones(3)))
    assert found.expected("some") == pytest.approx(np.ones(3))
    found.close()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(BadInput, match="can't be used"):
        Personal.open(tmp_path / "p.sqlite")


def _learn_many(path: Path, word: str, times: int) -> None:
    personal = Personal.open(path)
    for _ in range(times):
        personal.learn(f"both {word}")
    personal.close()


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_learn_many, args=(path, w, 60)) for w in ("ann", "ben")]
    for process in both:
        process.start()
    for process in both:
        process.join()

    personal = Personal.open(path)
    assert {w.word: w.uses for w in personal.words()} == {"both": 120, "ann": 60, "ben": 60}
    assert personal.status().messages == 120


def _learn_and_die(path: Path, acknowledged: int, deaths_at: int) -> None:
    personal = Personal.open(path)
    statements = 0

    def watch(_: str) -> None:
        nonlocal statements
        statements += 1
        if statements == deaths_at:
            os.kill(os.getpid(), signal.SIGKILL)

    personal._db.set_trace_callback(watch)
    for i in range(10):
        personal.learn("one two three")
        os.write(acknowledged, bytes([i]))


@pytest.mark.parametrize("at", [1, 2, 5, 9, 14, 20, 33, 50, 71])
def test_killed_while_learning_keeps_whole_messages(tmp_path: Path, at: int) -> None:
    path = tmp_path / "p.sqlite"
    reader, writer = os.pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_learn_and_die, args=(path, writer, at)
    )
    process.start()
    process.join()
    os.close(writer)
    acknowledged = len(os.read(reader, 100))
    os.close(reader)

    assert process.exitcode == -signal.SIGKILL
    personal = Personal.open(path)
    kept = personal.status().messages
    assert acknowledged <= kept <= acknowledged + 1
    uses = {w.word: w.uses for w in personal.words()}
    assert uses == (dict.fromkeys(("one", "two", "three"), kept) if kept else {})
