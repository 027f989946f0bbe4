from __future__ import annotations

import io
import queue
import re
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.formatted_text import to_plain_text
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.utils import get_cwidth

from nwp.errors import BadInput
from nwp.suggest.composing import Draft, Savings, accept, ghost, tighten
from nwp.suggest.lookahead import Lookahead
from nwp.suggest.prompt import _Prompt, run_prompt
from nwp.suggest.rows import NARROW, candidate_rows, grey, status_row
from nwp.suggest.session import Models, Offer, Session, find_models
from nwp.suggest.suggester import Suggester, Suggestion, split_typed

TAB, RIGHT, LEFT, UP, ENTER = "\t", "\x1b[C", "\x1b[D", "\x1b[A", "\r"
CTRL_C, CTRL_D, CTRL_Z, BACKSPACE = "\x03", "\x04", "\x1a", "\x7f"
ALT_BACKSPACE = "\x1b\x7f"


class Fake(Suggester):
    """Knows a few words, in the same order always."""

    WORDS = ("hello", "help", "how", "London", "you")

    def __init__(self) -> None:
        pass

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        typed = split_typed(text)[1].lower()
        return [Suggestion(w, 0.1) for w in self.WORDS if w.lower().startswith(typed)][:k]


@pytest.fixture
def pipe() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe:
        guard = threading.Timer(30, pipe.close)  # a prompt that waits for ever fails its test
        guard.start()
        yield pipe
        guard.cancel()


def play(pipe: PipeInput, keys: str, history: Path | None = None) -> tuple[list[str], Savings]:
    """The messages that come out when somebody types these keys, then leaves."""
    messages: list[str] = []
    pipe.send_text(keys + CTRL_C + CTRL_D)
    savings = run_prompt(
        Fake(), sent=messages.append, history=history, input=pipe, output=DummyOutput()
    )
    return messages, savings


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


@pytest.mark.parametrize("columns", [1, 10, 20, 40, 60, 100, 200])
@pytest.mark.parametrize("words", [[], ["a"], ["incomprehensibilities"] * 3, ["你好世界你好"] * 3])
def test_rows_fit(columns: int, words: list[str]) -> None:
    row = to_plain_text(candidate_row(words, columns))
    if columns >= 14:
        assert get_cwidth(row.rstrip()) <= columns
    row = to_plain_text(help_row(Savings(1234, 345, 67), columns))
    if columns >= 20:
        assert get_cwidth(row) <= columns
        assert "/help" in row
        assert ("saved 23%" if columns < 60 else "saved 278 of 1234 keys (23%)") in row


def test_a_small_loss_is_no_negative_zero() -> None:
    assert "saved 0%" in to_plain_text(help_row(Savings(10_000, 0, 1), 40))


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


def frames(pipe: PipeInput, prompt: _Prompt, chunks: list[str]) -> list[tuple[str, str, str]]:
    """Type chunk after chunk, each when the one before has been answered: what was shown."""
    seen: list[tuple[str, str, str]] = []

    def after_render(_: object) -> None:
        text, suggestion = prompt.buffer.text, prompt.buffer.suggestion
        if suggestion is None or (seen and seen[-1][0] == text):
            return
        row = to_plain_text(prompt._candidate_row())
        seen.append((text, suggestion.text, " ".join(row.split())))
        pipe.send_text(chunks.pop(0) if chunks else ENTER)

    prompt.app.after_render += after_render
    prompt.ask()
    prompt.ahead.close()
    return seen


def make(pipe: PipeInput, output: io.StringIO | None = None) -> _Prompt:
    screen = Vt100_Output(output or io.StringIO(), lambda: Size(24, 80), enable_cpr=False)
    return _Prompt(Fake(), InMemoryHistory(), pipe, screen)


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
    prompt = _Prompt(Fake(), prompt.buffer.history, pipe, DummyOutput())
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


@pytest.mark.parametrize("missing", ["stdin", "stdout", "dumb"])
def test_no_terminal(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    class Terminal(io.StringIO):
        isatty: Callable[[], bool] = lambda self: True

    for name in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{name}", io.StringIO() if name == missing else Terminal())
    monkeypatch.setenv("TERM", "dumb" if missing == "dumb" else "xterm")
    with pytest.raises(BadInput) as caught:
        run_prompt(Fake())
    assert "nwp suggest" in caught.value.hint
