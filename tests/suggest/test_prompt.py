from __future__ import annotations

import io
import queue
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.formatted_text import to_plain_text
from prompt_toolkit.input import PipeInput
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.utils import get_cwidth
from prompting import (
    ALT_BACKSPACE,
    ALT_ENTER,
    ALT_RIGHT,
    BACKSPACE,
    CTRL_C,
    CTRL_D,
    CTRL_RIGHT,
    CTRL_UNDERSCORE,
    CTRL_Z,
    ENTER,
    LEFT,
    RIGHT,
    TAB,
    UP,
    Fake,
    frames,
    make,
    play,
)

from nwp.errors import BadInput
from nwp.suggest.composing import Draft, Savings, accept, ghost, tighten
from nwp.suggest.editor import Editor
from nwp.suggest.keys import keys_of
from nwp.suggest.lookahead import Lookahead
from nwp.suggest.prompt import run_prompt
from nwp.suggest.rows import NARROW, candidate_rows, grey, status_row
from nwp.suggest.session import Session

# Without a terminal: what accepting does.


@pytest.mark.parametrize(
    ("text", "word", "after"),
    [
        ("", "Hello", "Hello "),
        ("hel", "hello", "hello "),
        ("lon", "London", "London "),
        ("hello ", "you", "hello you "),
        ("hello,", "you", "hello, you "),
        ("hello 😀", "you", "hello 😀 you "),
        ("hello (", "you", "hello (you "),
        ("@", "you", "@you "),
        ("well-", "known", "well-known "),
        ("hello\n", "you", "hello\nyou "),
        ("oh don’", "don't", "oh don't "),
        ("hello", "hello", "hello "),
        ("oh hwl", "hello", "oh hello "),
        ("oh dont", "don't", "oh don't "),
        ("helllo", "hello", "hello "),
        ("at 14:3", "30", "at 14:30 "),
        ("at 1", "14:30", "at 14:30 "),
    ],
)
def test_accept(text: str, word: str, after: str) -> None:
    assert accept(text, word) == after


@pytest.mark.parametrize(
    ("text", "words", "shown"),
    [
        ("", ["The"], "The"),
        ("", [], ""),
        ("hel", ["hello"], "lo"),
        ("hel", ["hello", "my", "friend"], "lo my friend"),
        ("lon", ["London"], "don"),
        ("hello", ["hello"], ""),
        ("hello ", ["you"], "you"),
        ("hello,", ["you"], " you"),
        ("xyz", [], ""),
        ("hwl", ["hello"], ""),
        ("hwl", ["hello", "my", "friend"], ""),
        ("oh don’", ["don't"], "t"),
        ("oh dont", ["don't"], ""),
        ("HEL", ["HELLO"], "LO"),
    ],
)
def test_ghost(text: str, words: list[str], shown: str) -> None:
    assert ghost(text, words) == shown


def test_tighten() -> None:
    assert tighten("hello ", ",") == "hello,"


def test_savings_count_what_stands_and_every_key_spent() -> None:
    draft = Draft().accepted("hel", "hello ").accepted("hello ", "hello you ")
    assert (draft.inserted, draft.keys) == (7, 2)
    assert draft.last("hello you ") and not draft.last("hello you x")
    undone = draft.undone()
    assert (undone.inserted, undone.keys) == (3, 3)
    savings = Savings(10, 4, 1).plus("hello ", undone)
    assert savings == Savings(16, 7, 4)
    assert (savings.saved, savings.share) == (3, 3 / 16)
    assert Savings().share == 0


def test_deleted_words_save_nothing_even_when_typed_again() -> None:
    draft = Draft().accepted("hel", "hello ").accepted("hello ", "hello you ")
    assert draft.edited("hello you and").inserted == 7
    assert draft.edited("hello you").edited("hello you ").inserted == 6
    assert draft.edited("hello yo").edited("hello you ").inserted == 3
    assert draft.edited("Hello you ").inserted == 0
    assert draft.edited("").keys == 2


@pytest.mark.parametrize("columns", [1, 10, 20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("words", [[], ["a"], ["incomprehensibilities"] * 3, ["你好世界你好"] * 3])
def test_rows_fit(columns: int, words: list[str]) -> None:
    rows = [to_plain_text(row) for row in candidate_rows(words, 0, columns)]
    assert len(rows) == (3 if columns < NARROW else 1)
    if columns >= 14:
        assert all(get_cwidth(row.rstrip()) <= columns for row in rows)
    for off, trouble in ((False, ""), (True, ""), (False, "KeyError: a long\nstory " * 9)):
        row = to_plain_text(
            status_row(Savings(1234, 345, 67), Savings(), columns, off=off, trouble=trouble)
        )
        if columns >= 24 or (columns >= 20 and not off):
            assert get_cwidth(row) <= columns
            assert trouble or "/help" in row
            assert ("saved 23%" if columns < 60 else "saved 278 of 1234 keys (23%)") in row
            assert ("off" in row) == off
            assert "\n" not in row


def test_candidates_stay_in_their_columns_whatever_they_are() -> None:
    wide = ["incomprehensibilities" * 2, "a", "你好"]
    places = [
        [to_plain_text(candidate_rows(words, chosen, 80)[0]).index(f"{n} ") for n in (1, 2, 3)]
        for words in (wide, ["b", "c", "d"])
        for chosen in (0, 2)
    ]
    assert all(place == places[0] for place in places)


def test_the_chosen_candidate_stands_out() -> None:
    row = candidate_rows(["a", "b", "c"], 1, 80)[0]
    assert [part[1] for part in row if part[0] == "class:chosen"] == ["b"]


def test_a_small_loss_is_no_negative_zero() -> None:
    assert "saved 0%" in to_plain_text(status_row(Savings(10_000, 0, 1), Savings(), 40))


@pytest.mark.parametrize(
    ("ghost", "line", "columns", "shown"),
    [
        ("llo", "he", 80, "llo"),
        ("llo", "he", 8, "llo"),  # two for the prompt, two typed, three grey, one for the cursor
        ("llo", "he", 7, "l…"),
        ("llo", "he", 5, ""),
        ("llo", "x" * 6 + "he", 8, "llo"),  # in the second row
        ("llo", "hello!", 8, ""),  # the first row is full
        ("你好", "你", 9, "你好"),
        ("你好", "你", 8, "你…"),
        ("你好", "你你你你", 9, "你好"),  # three of them fit into a row of seven
        ("", "he", 80, ""),
    ],
)
def test_what_is_grey_never_reaches_the_next_row(
    ghost: str, line: str, columns: int, shown: str
) -> None:
    assert grey(ghost, line, columns) == shown


# Suggestions from another thread.


def test_late_words_are_never_given_for_a_newer_text() -> None:
    gate, calls = threading.Event(), queue.Queue[int]()

    def suggest(text: str) -> list[str]:
        assert text != "a" or gate.wait(30)
        return [text.upper()]

    def late() -> None:
        calls.put(1)

    ahead = Lookahead(suggest, grace=0)
    try:
        assert ahead.get("a", late) is None
        assert ahead.get("ab", late) is None
        gate.set()
        found = None
        while found is None:
            calls.get(timeout=30)
            found = ahead.get("ab", late)
        assert found == ["AB"]
    finally:
        ahead.close()


def test_quick_words_are_there_at_once() -> None:
    ahead = Lookahead(lambda text: [text.upper()], grace=30)
    try:
        assert ahead.get("a", lambda: pytest.fail("not late")) == ["A"]
        assert ahead.get("a", lambda: pytest.fail("not late")) == ["A"]
    finally:
        ahead.close()


# The prompt, through a pipe.


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("hel" + TAB, "hello"),
        ("hel" + RIGHT + "y" + TAB, "hello you"),
        ("hel" + "\x1b2", "help"),
        ("h" + "\x1b3" + "\x1bOP", "how hello"),
        ("h\x1bOQ\x1bOR", "help how"),
        ("lon" + TAB, "London"),
        ("hel" + TAB + CTRL_Z + "d", "held"),
        ("hel" + TAB + ALT_BACKSPACE + "d", "held"),
        ("hel" + TAB + TAB + CTRL_Z + CTRL_Z, "hel"),
        ("one two" + ALT_BACKSPACE + "six", "one six"),
        ("one" + LEFT + "x" + CTRL_Z, "one"),
        ("hel" + TAB + ", y" + TAB + "!", "hello, you!"),
        ("hel" + TAB + " x", "hello x"),
        ("xyz" + TAB, "xyz"),
        ("l" + "\x1b3", "l"),
        ("hel" + LEFT + TAB, "hel"),
        ("hel" + LEFT + RIGHT + "d", "held"),
        ("x" + CTRL_C + "y", "y"),
        ("\x1b[200~two\nlines\x1b[201~", "two\nlines"),
        ("你好 😀👍🏽 hel" + TAB, "你好 😀👍🏽 hello"),
        ("hello" + BACKSPACE * 2 + TAB, "hello"),
        # A phrase: whole, word by word, and taken back at once.
        ("see " + TAB, "see them again soon my friend"),
        ("ag" + TAB, "again soon my friend"),
        ("see " + ALT_RIGHT + ALT_RIGHT + "x", "see them again x"),
        ("see " + CTRL_RIGHT, "see them"),
        ("ag\x1bf", "again"),
        ("see \x1b1", "see them"),
        ("see " + TAB + CTRL_Z + "x", "see x"),
        ("see " + ALT_RIGHT + TAB + CTRL_Z + "x", "see them x"),
        ("see " + TAB + CTRL_UNDERSCORE + "x", "see x"),
        ("see " + TAB + "?", "see them again soon my friend?"),
        ("hel\x1b[F", "hello"),  # End
        ("hel\x05", "hello"),  # Ctrl-E
        ("one" + ALT_ENTER + "hel" + TAB, "one\nhello"),
        ("one" + ALT_ENTER + "two" + UP + "x", "onex\ntwo"),
    ],
)
def test_keys(pipe: PipeInput, keys: str, message: str) -> None:
    assert play(pipe, keys + ENTER)[0] == [message]


def test_messages_and_savings(pipe: PipeInput) -> None:
    messages, savings = play(pipe, "hel" + TAB + ENTER + ENTER + "  " + ENTER + "bye" + ENTER)
    assert messages == ["hello", "bye"]
    assert savings == Savings(characters=8, inserted=2, keys=1)


def test_a_space_from_habit_costs_a_key(pipe: PipeInput) -> None:
    assert play(pipe, "hel" + TAB + " x" + ENTER)[1] == Savings(characters=7, inserted=3, keys=2)


def test_a_cleared_message_does_not_count(pipe: PipeInput) -> None:
    assert play(pipe, "hel" + TAB + CTRL_C + "bye" + ENTER)[1] == Savings(characters=3)


def test_a_phrase_is_one_key_and_its_words_count_while_they_stand(pipe: PipeInput) -> None:
    keys = "see " + TAB + ENTER + "see " + TAB + BACKSPACE * 3 + ENTER
    # Of the second message, the last word has been changed by hand: it does not count.
    typed, whole, left = (
        len("see "),
        len("see them again soon my friend"),
        len("see them again soon my "),
    )
    assert play(pipe, keys)[1] == Savings(2 * whole - 2, whole + left - 2 * typed, 2)


def test_a_long_paste(pipe: PipeInput) -> None:
    text = "the cat said hello. " * 500
    messages, _ = play(pipe, f"\x1b[200~{text}\x1b[201~" + TAB + ENTER)
    assert messages == [text + "hello"]


@pytest.mark.parametrize("keys", [CTRL_C, CTRL_D, "/quit" + ENTER, "/quit " + ENTER])
def test_leaving(pipe: PipeInput, keys: str) -> None:
    assert play(pipe, "hi" + ENTER + keys + "not read" + ENTER)[0] == ["hi"]


def test_the_input_ends(pipe: PipeInput) -> None:
    pipe.send_text("hel")
    pipe.close()
    assert run_prompt(Fake(), input=pipe, output=DummyOutput()) == Savings()


def test_help_is_no_message(pipe: PipeInput) -> None:
    written = io.StringIO()
    output = Vt100_Output(written, lambda: Size(24, 80), enable_cpr=False)
    messages: list[str] = []
    pipe.send_text("/help" + ENTER + "/helpme" + ENTER + CTRL_D)
    run_prompt(Fake(), sent=messages.append, input=pipe, output=output)
    assert messages == ["/helpme"]
    assert "undo what was accepted" in written.getvalue()


def test_what_is_shown_while_typing(pipe: PipeInput) -> None:
    written = io.StringIO()
    shown = frames(pipe, make(pipe, written), ["he", "lp", BACKSPACE, TAB, "xyz"])
    assert shown == [
        ("", "hello", "1 hello 2 help 3 how"),
        ("he", "llo", "1 hello 2 help"),
        ("help", "", "1 help"),
        ("hel", "lo", "1 hello 2 help"),
        ("hello ", "hello", "1 hello 2 help 3 how"),
        ("hello xyz", "", ""),
    ]
    # Attributes only, so that any theme and NO_COLOR are respected.
    attributes = re.findall(r"\x1b\[([\d;]*)m", written.getvalue())
    assert "0;2;3" in attributes  # dim and italic
    assert set(";".join(attributes).split(";")) <= {"0", "1", "2", "3"}


def test_up_brings_back_the_last_message_but_no_command(pipe: PipeInput) -> None:
    prompt = make(pipe)
    frames(pipe, prompt, ["one" + ENTER])
    prompt = Editor(Session(Fake()), prompt.buffer.history, pipe, DummyOutput(), 30, keys_of)
    assert [shown[0] for shown in frames(pipe, prompt, [UP, " two"])] == ["", "one", "one two"]


def test_history_only_in_a_file_that_was_asked_for(pipe: PipeInput, tmp_path: Path) -> None:
    path = tmp_path / "new" / "history"
    play(pipe, "private" + ENTER + "/help" + ENTER, path)
    assert "private" in path.read_text(encoding="utf-8")
    assert "/help" not in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_history_file_that_cannot_be_written(pipe: PipeInput, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        play(pipe, "", tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("missing", ["stdin", "stdout"])
def test_no_terminal(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    class Terminal(io.StringIO):
        isatty: Callable[[], bool] = lambda self: True

    for name in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{name}", io.StringIO() if name == missing else Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(BadInput) as caught:
        run_prompt(Fake())
    assert "nwp suggest" in caught.value.hint
