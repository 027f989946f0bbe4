"""Typing at a prompt without a terminal: keys in, messages and screens out."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from prompt_toolkit.data_structures import Size
from prompt_toolkit.formatted_text import to_plain_text
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from nwp.suggest.composing import Savings, ghost
from nwp.suggest.editor import Editor
from nwp.suggest.keys import keys_of
from nwp.suggest.prompt import run_prompt
from nwp.suggest.reading import split_typed
from nwp.suggest.session import Models, Session, Suggests
from nwp.suggest.suggester import Suggestion

TAB, RIGHT, LEFT, UP, ENTER = "\t", "\x1b[C", "\x1b[D", "\x1b[A", "\r"
CTRL_C, CTRL_D, CTRL_Z, BACKSPACE = "\x03", "\x04", "\x1a", "\x7f"
ALT_ENTER, ALT_RIGHT, CTRL_RIGHT, CTRL_SPACE = "\x1b\r", "\x1b[1;3C", "\x1b[1;5C", "\0"
CTRL_UNDERSCORE, ESCAPE = "\x1f", "\x1b"
ALT_BACKSPACE = "\x1b\x7f"


class Fake:
    """Knows a few words, in the same order always, and is sure of what follows some of them."""

    WORDS = ("hello", "help", "how", "London", "you")
    SURE = ("see", "them", "again", "soon", "my", "friend")

    def __init__(self) -> None:
        self.asked: list[str] = []

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        self.asked.append(text)
        before, typed = split_typed(text)
        last = before.split()[-1:]
        if not typed and last and last[0] in self.SURE[:-1]:
            return [Suggestion(self.SURE[self.SURE.index(last[0]) + 1], 0.9)]
        words = [w for w in self.WORDS if w.lower().startswith(typed.lower())]
        sure = [w for w in self.SURE if typed and w.startswith(typed)]
        return [*(Suggestion(w, 0.9) for w in sure), *(Suggestion(w, 0.1) for w in words)][:k]


class Learner(Fake):
    """Learns."""

    def __init__(self) -> None:
        super().__init__()
        self.learnt: list[str] = []
        self.off_the_record = False

    def learn(self, message: str) -> None:
        assert not self.off_the_record
        self.learnt.append(message)


def play(
    pipe: PipeInput,
    keys: str,
    history: Path | None = None,
    suggester: Suggests | None = None,
    models: Models | None = None,
) -> tuple[list[str], Savings]:
    """The messages that come out when somebody types these keys, then leaves."""
    messages: list[str] = []
    pipe.send_text(keys + CTRL_C + CTRL_D)
    savings = run_prompt(
        suggester or Fake(),
        models=models,
        name="fake",
        sent=messages.append,
        history=history,
        input=pipe,
        output=DummyOutput(),
    )
    return messages, savings


def frames(pipe: PipeInput, prompt: Editor, chunks: list[str]) -> list[tuple[str, str, str]]:
    """Type chunk after chunk, each when the one before has been answered: what was shown."""
    seen: list[tuple[str, str, str]] = []

    def after_render(_: object) -> None:
        text, offer = prompt.buffer.text, prompt.offer
        if offer.text != text or (seen and seen[-1][0] == text):
            return
        row = to_plain_text(prompt._below()).splitlines()[0]
        seen.append((text, ghost(text, prompt.phrase()), " ".join(row.split())))
        pipe.send_text(chunks.pop(0) if chunks else ENTER)

    prompt.app.after_render += after_render
    prompt.ask()
    prompt.ahead.close()
    return seen


def make(
    pipe: PipeInput,
    written: io.StringIO | None = None,
    *,
    suggester: Suggests | None = None,
    size: tuple[int, int] = (24, 80),
    models: Models | None = None,
    patience: float = 30,
) -> Editor:
    terminal = Vt100_Output(written or io.StringIO(), lambda: Size(*size), enable_cpr=False)
    session = Session(suggester or Fake(), models, "fake")
    return Editor(session, InMemoryHistory(), pipe, terminal, patience, keys_of)


def screen(prompt: Editor) -> list[str]:
    """The rows on the screen as they were drawn last."""
    drawn = prompt.app.renderer.last_rendered_screen
    assert drawn is not None
    size = prompt.app.output.get_size()
    rows = [
        "".join(drawn.data_buffer[y][x].char for x in range(size.columns)).rstrip()
        for y in range(drawn.height)
    ]
    return rows


def screens(
    pipe: PipeInput,
    prompt: Editor,
    chunks: Sequence[str],
    resize: Callable[[int], None] = lambda number: None,
) -> list[list[str]]:
    """The screen at first and after each chunk of keys, typed when that before has been answered.

    Each chunk must change the text, what is hidden or chosen, or send a message. `resize` is called
    before each chunk, with its number.
    """
    seen: list[list[str]] = []
    left = [*chunks]
    last: object = None

    def after_render(_: object) -> None:
        nonlocal last
        now = (prompt.buffer.text, prompt.hidden, prompt.chosen, prompt.session.messages)
        if prompt.app.is_done or prompt.offer.text != prompt.buffer.text or last == now:
            return
        last = now
        seen.append(screen(prompt))
        resize(len(seen))
        pipe.send_text(left.pop(0) if left else CTRL_C + CTRL_D)

    prompt.app.after_render += after_render
    while prompt.ask() is not None:
        pass
    prompt.ahead.close()
    return seen[: len(chunks) + 1]
