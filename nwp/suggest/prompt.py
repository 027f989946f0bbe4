"""The prompt: grey words ahead of the cursor while one types.

Two rows under the text show the candidates and the keys. Suggestions are computed on a thread of
their own and shown only with the text they are for. Nothing is kept unless a history file is given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit.application import Application
from prompt_toolkit.auto_suggest import Suggestion as Ghost
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, is_done
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    VerticalAlign,
    Window,
)
from prompt_toolkit.layout.processors import AppendAutoSuggestion, ConditionalProcessor
from prompt_toolkit.output import Output
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import is_dumb_terminal

from nwp.errors import BadInput
from nwp.suggest.composing import TIGHT, Draft, Savings, accept, ghost, tighten
from nwp.suggest.lookahead import Lookahead
from nwp.suggest.rows import HELP, SHOWN, candidate_row, help_row
from nwp.suggest.suggester import Suggester

# Attributes only, no colours: readable on light and dark, and with NO_COLOR.
_STYLE = Style.from_dict({"ghost": "dim italic", "quiet": "dim", "mark": "bold"})
_PROMPT = "› "


def run_prompt(
    suggester: Suggester,
    *,
    history: Path | None = None,
    sent: Callable[[str], None] = lambda message: None,
    input: Input | None = None,
    output: Output | None = None,
) -> Savings:
    """Prompt for messages until the person leaves; returns what accepting saved.

    `sent` is told each message. They are kept in memory for Up and Down, in the file `history` if
    given. BadInput when there is no terminal, or the file can't be written.
    """
    if input is None and not (
        sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb_terminal()
    ):
        raise BadInput(
            "the prompt needs a terminal to show suggestions in",
            'For one suggestion, use `nwp suggest "text"`.',
        )
    prompt = _Prompt(suggester, _history(history), input, output)
    try:
        while (text := prompt.ask()) is not None:
            sent(text)
    finally:
        prompt.ahead.close()
    return prompt.savings


def _history(path: Path | None) -> History:
    """In memory, or in a file that only its owner can read."""
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with path.open("ab"):
            return FileHistory(path)
    except OSError as error:
        raise BadInput(
            f"the history file {path} can't be written: {error.strerror}",
            "Name another file, or none to keep messages in memory only.",
        ) from error


class _Prompt:
    """One line editor, asked again and again, with what it shows and counts.

    Keys that are not bound below are prompt_toolkit's own, as in Emacs.
    """

    def __init__(
        self, suggester: Suggester, history: History, input: Input | None, output: Output | None
    ) -> None:
        self._suggester = suggester
        self.ahead = Lookahead(self.words)
        self.shown: tuple[str, list[str]] = ("", [])
        self.draft = Draft()
        self.savings = Savings()
        self.buffer = Buffer(history=history, multiline=False, on_text_changed=self._edited)
        self.app: Application[str | None] = Application(
            layout=Layout(self._rows()),
            key_bindings=merge_key_bindings([_accepting(self), _leaving(self)]),
            style=_STYLE,
            include_default_pygments_style=False,
            before_render=lambda _: self._look(),
            input=input,
            output=output,
        )

    def ask(self) -> str | None:
        """The next message, or None when the person leaves. Commands are seen to here."""
        while True:
            self.buffer.reset()
            self.draft = Draft()
            try:
                text = self.app.run()
            except EOFError:  # the terminal went away
                return None
            if text in (None, "/quit"):
                return None
            if text == "/help":
                print_formatted_text(HELP, end="", output=self.app.output)
            elif text:
                self.savings = self.savings.plus(text, self.draft)
                return text

    def words(self, text: str) -> list[str]:
        """What to offer for a text, best first."""
        return [suggestion.word for suggestion in self._suggester.suggest(text, SHOWN)]

    def candidates(self) -> list[str]:
        """The words for the text as it is, computed now if they are not there yet.

        Who types fast and accepts at once gets what would have been shown a moment later.
        """
        text = self.buffer.text
        if self.shown[0] != text or not self.shown[1]:
            self.shown = (text, self.words(text))
        return self.shown[1]

    def put(self, text: str) -> None:
        """Replace the text, with the cursor behind it."""
        self.buffer.document = Document(text)

    def pick(self, number: int) -> None:
        """Accept a candidate by its number, if there is one."""
        words = self.candidates()
        if number <= len(words):
            after = accept(self.buffer.text, words[number - 1])
            self.draft = self.draft.accepted(self.buffer.text, after)
            self.put(after)

    def take_back(self) -> None:
        """Undo the last accept, when nothing has been typed since."""
        if last := self.draft.last(self.buffer.text):
            self.draft = self.draft.undone()
            self.put(last.before)

    def _look(self) -> None:
        """Before each frame: fetch the words for the text, or have the frame drawn again later."""
        text = self.buffer.text
        if self.app.is_done:
            return
        if self.shown[0] != text or self.buffer.suggestion is None:
            words = self.ahead.get(text, self.app.invalidate)
            if words is not None:
                self.shown = (text, words)
                self.buffer.suggestion = Ghost(ghost(text, words))

    def _edited(self, buffer: Buffer) -> None:
        self.draft = self.draft.edited(buffer.text)

    def _rows(self) -> HSplit:
        text = Window(
            BufferControl(
                self.buffer,
                [ConditionalProcessor(AppendAutoSuggestion("class:ghost"), ~is_done)],
            ),
            wrap_lines=True,
            dont_extend_height=True,
            get_line_prefix=lambda line, wrap: [
                ("class:mark", _PROMPT if line == wrap == 0 else "  ")
            ],
        )
        rows = [
            Window(FormattedTextControl(self._candidate_row), height=1),
            Window(FormattedTextControl(self._help_row), height=1),
        ]
        return HSplit([text, ConditionalContainer(HSplit(rows), ~is_done)], align=VerticalAlign.TOP)

    def _candidate_row(self) -> StyleAndTextTuples:
        text, words = self.shown
        at_end = self.buffer.document.is_cursor_at_the_end
        fits = at_end and text == self.buffer.text
        return candidate_row(words if fits else [], self.app.output.get_size().columns)

    def _help_row(self) -> StyleAndTextTuples:
        savings = self.savings.plus(self.buffer.text, self.draft)
        return help_row(savings, self.app.output.get_size().columns)


def _accepting(prompt: _Prompt) -> KeyBindings:
    """The keys that accept words and take them back, and those that fit what is typed to one."""
    keys = KeyBindings()
    at_end = Condition(lambda: prompt.buffer.document.is_cursor_at_the_end)
    just_accepted = at_end & Condition(lambda: prompt.draft.last(prompt.buffer.text) is not None)

    for number in range(1, SHOWN + 1):
        names = [("escape", str(number)), (f"f{number}",)]
        if number == 1:
            names += [("tab",), ("right",)]
        for name in names:
            keys.add(*name, filter=at_end)(lambda event, number=number: prompt.pick(number))

    @keys.add("c-z", filter=just_accepted)
    @keys.add("escape", "backspace", filter=just_accepted)
    def _take_back(event: KeyPressEvent) -> None:
        prompt.take_back()

    @keys.add("c-z", filter=~just_accepted, save_before=lambda event: False)
    def _undo(event: KeyPressEvent) -> None:
        prompt.buffer.undo()

    @keys.add(" ", filter=just_accepted)
    def _space(event: KeyPressEvent) -> None:
        prompt.draft = prompt.draft.spent()  # typed from habit: the space is already there

    for mark in TIGHT:

        @keys.add(mark, filter=just_accepted)
        def _tighten(event: KeyPressEvent) -> None:
            prompt.put(tighten(prompt.buffer.text, event.data))

    return keys


def _leaving(prompt: _Prompt) -> KeyBindings:
    """The keys that end a message, clear it, or leave."""
    keys = KeyBindings()
    empty = Condition(lambda: not prompt.buffer.text)

    @keys.add("enter")
    def _end(event: KeyPressEvent) -> None:
        prompt.put(prompt.buffer.text.rstrip())  # the space that came with the last word
        if prompt.buffer.text not in ("", "/help", "/quit"):
            prompt.buffer.append_to_history()
        event.app.exit(result=prompt.buffer.text)

    @keys.add("c-c", filter=~empty)
    @keys.add("<sigint>", filter=~empty)
    def _clear(event: KeyPressEvent) -> None:
        prompt.put("")
        prompt.draft = Draft()  # neither its characters nor its keys count

    @keys.add("c-c", filter=empty)
    @keys.add("<sigint>", filter=empty)
    @keys.add("c-d", filter=empty)
    def _leave(event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    return keys
