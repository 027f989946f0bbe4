"""The prompt: grey words ahead of the cursor while one types.

Rows under the text show the candidates and the keys. Suggestions are computed on a thread of their
own and shown only with the text they are for. Nothing is kept unless a history file is given, or
the suggester learns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit.application import Application
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
from prompt_toolkit.layout.processors import (
    ConditionalProcessor,
    Processor,
    Transformation,
    TransformationInput,
)
from prompt_toolkit.output import Output
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import is_dumb_terminal

from nwp.errors import BadInput
from nwp.suggest.composing import TIGHT, Draft, Savings, accepts, ghost, tighten
from nwp.suggest.lookahead import Lookahead
from nwp.suggest.plain import run_plain
from nwp.suggest.rows import HELP, candidate_rows, grey, status_row
from nwp.suggest.session import SHOWN, Learns, Models, Offer, Session, Suggests, is_command

# Attributes only, no colours: readable on light and dark, and with NO_COLOR.
_STYLE = Style.from_dict({"ghost": "dim italic", "quiet": "dim", "mark": "bold", "chosen": "bold"})
_PROMPT = "› "
_COMMAND_KEYS = 0.3  # seconds in which Esc and a key are one; then Esc stands alone
_PATIENCE = 0.25  # seconds that a key which accepts waits for what is still being computed


def run_prompt(
    suggester: Suggests,
    *,
    models: Models | None = None,
    name: str = "",
    history: Path | None = None,
    plain: bool = False,
    sent: Callable[[str], None] = lambda message: None,
    input: Input | None = None,
    output: Output | None = None,
) -> Savings:
    """Prompt for messages until the person leaves; returns what accepting saved.

    `sent` is told each message; so is the suggester's `learn`, if it has one and is not off the
    record. Messages are kept in memory for Up and Down, in the file `history` if given. `name` is
    that of the model among `models`, which /model changes. A dumb terminal, or `plain`, gets lines
    instead of a drawn prompt. BadInput when there is no terminal, or the file can't be written.
    """
    off = isinstance(suggester, Learns) and suggester.off_the_record
    session = Session(suggester, models, name, off)
    if input is None and plain:
        return run_plain(session, sent)
    if input is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput(
            "the prompt needs a terminal to show suggestions in",
            'For one suggestion, use `nwp suggest "text"`.',
        )
    if input is None and is_dumb_terminal():
        return run_plain(session, sent)
    prompt = _Prompt(session, _history(history), input, output, _PATIENCE)
    try:
        while (text := prompt.ask()) is not None:
            sent(text)
    finally:
        prompt.ahead.close()
    return session.savings


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
        self,
        session: Session,
        history: History,
        input: Input | None,
        output: Output | None,
        patience: float,
    ) -> None:
        self.session = session
        self.ahead = Lookahead(session.offer)
        session.later = self.ahead.then
        self.offer = Offer("\0")  # for no text that can be typed
        self.chosen = (
            0  # the place of the candidate whose rest is grey, if it goes on with the text
        )
        self.hidden = False
        self.draft = Draft()
        self._patience = patience
        self.buffer = Buffer(history=history, multiline=False, on_text_changed=self._edited)
        self.app: Application[str | None] = Application(
            layout=Layout(self._rows()),
            key_bindings=merge_key_bindings([_accepting(self), _showing(self), _leaving(self)]),
            style=_STYLE,
            include_default_pygments_style=False,
            before_render=lambda _: self._look(),
            input=input,
            output=output,
        )
        self.app.timeoutlen = _COMMAND_KEYS
        self.app.ttimeoutlen = 0.1

    def ask(self) -> str | None:
        """The next message, or None when the person leaves. Commands are seen to here."""
        while True:
            self.buffer.reset()
            self._edited(self.buffer)
            self.draft = Draft()
            try:
                text = self.app.run()
            except EOFError:  # the terminal went away
                return None
            if text is None:
                return None
            if not text:
                continue
            answer = self.session.command(text)
            if answer is None:
                self.session.sent(text, self.draft)
                return text
            if text == "/quit":
                return None
            self._answer(text, answer)

    def shown(self) -> Offer | None:
        """What is offered for the text as it is, where it can be accepted and is not hidden."""
        fits = self.offer.text == self.buffer.text and self.buffer.document.is_cursor_at_the_end
        return self.offer if fits and not self.hidden else None

    def waited(self) -> Offer | None:
        """As `shown`, after waiting a moment if it is not there yet.

        Who types fast and accepts at once gets what would have been shown a moment later.
        """
        if self.offer.text != self.buffer.text:
            self.offer = self.ahead.wait(self.buffer.text, self._patience) or self.offer
        return self.shown()

    def phrase(self) -> tuple[str, ...]:
        """The words of which the rest is grey."""
        offer = self.shown()
        if offer is None or not offer.words:
            return ()
        return (offer.words[self.chosen],) if self.chosen else offer.phrase

    def put(self, text: str) -> None:
        """Replace the text, with the cursor behind it."""
        self.buffer.document = Document(text)

    def accept(self, *words: str) -> None:
        """Accept words, one behind the other, by one key."""
        if words:
            texts = accepts(self.buffer.text, words)
            self.draft = self.draft.accepted(*texts)
            self.put(texts[-1])

    def take_back(self) -> None:
        """Undo the last accept, when nothing has been typed since."""
        if last := self.draft.last(self.buffer.text):
            self.draft = self.draft.undone()
            self.put(last.before)

    def _look(self) -> None:
        """Before each frame: fetch what is offered, or have the frame drawn again later."""
        text = self.buffer.text
        if not self.app.is_done and self.offer.text != text:
            self.offer = self.ahead.get(text, self.app.invalidate) or self.offer

    def _edited(self, buffer: Buffer) -> None:
        self.draft = self.draft.edited(buffer.text)
        self.chosen, self.hidden = 0, False

    def _answer(self, command: str, answer: str) -> None:
        """What a command leads to on the screen."""
        self.offer = Offer("\0")
        self.ahead.forget()
        if command == "/clear":
            if isinstance(self.buffer.history, InMemoryHistory):
                self.buffer.history = InMemoryHistory()
            self.app.output.erase_screen()
            self.app.output.cursor_goto(0, 0)
            self.app.output.flush()
        text = HELP if command == "/help" else "".join(f"  {row}\n" for row in answer.splitlines())
        print_formatted_text(text, end="", output=self.app.output)

    def _rows(self) -> HSplit:
        text = Window(
            BufferControl(self.buffer, [ConditionalProcessor(_Grey(self), ~is_done)]),
            wrap_lines=True,
            dont_extend_height=True,
            get_line_prefix=lambda line, wrap: [
                ("class:mark", _PROMPT if line == wrap == 0 else "  ")
            ],
        )
        below = Window(
            FormattedTextControl(self._below),
            height=lambda: len(candidate_rows([], 0, self._columns())) + 1,
        )
        return HSplit([text, ConditionalContainer(below, ~is_done)], align=VerticalAlign.TOP)

    def _columns(self) -> int:
        return self.app.output.get_size().columns

    def _below(self) -> StyleAndTextTuples:
        """The rows under the text."""
        offer, session, columns = self.shown(), self.session, self._columns()
        here = Savings().plus(self.buffer.text, self.draft)
        status = status_row(
            session.savings.plus(self.buffer.text, self.draft),
            here,
            columns,
            off=session.off,
            trouble=session.trouble,
        )
        chosen = self.chosen if self.phrase() else -1
        rows = candidate_rows(offer.words if offer else (), chosen, columns)
        return [part for row in rows for part in (*row, ("", "\n"))] + status


class _Grey(Processor):
    """The rest of what is offered, behind the last line."""

    def __init__(self, prompt: _Prompt) -> None:
        self._prompt = prompt

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document, fragments = transformation_input.document, transformation_input.fragments
        if transformation_input.lineno != document.line_count - 1:
            return Transformation(fragments)
        rest = ghost(document.text, self._prompt.phrase())
        shown = grey(rest, document.lines[-1], self._prompt._columns())
        return Transformation([*fragments, ("class:ghost", shown)])


def _accepting(prompt: _Prompt) -> KeyBindings:
    """The keys that accept words and take them back, and those that fit what is typed to one."""
    keys = KeyBindings()
    at_end = Condition(lambda: prompt.buffer.document.is_cursor_at_the_end)
    just_accepted = at_end & Condition(lambda: prompt.draft.last(prompt.buffer.text) is not None)

    for number in range(SHOWN):
        for name in (("escape", str(number + 1)), (f"f{number + 1}",)):

            @keys.add(*name, filter=at_end)
            def _pick(event: KeyPressEvent, number: int = number) -> None:
                offer = _seen(prompt)
                if offer and number < len(offer.words):
                    prompt.accept(offer.words[number])

    for whole in ("tab", "right", "end", "c-e", "c-f"):

        @keys.add(whole, filter=at_end)
        def _whole(event: KeyPressEvent) -> None:
            if _seen(prompt):
                prompt.accept(*prompt.phrase())

    for one in (["escape", "right"], ["escape", "f"], ["c-right"]):

        @keys.add(*one, filter=at_end)
        def _one_word(event: KeyPressEvent) -> None:
            if _seen(prompt):
                prompt.accept(*prompt.phrase()[:1])

    for back in (["c-z"], ["c-_"], ["escape", "backspace"]):

        @keys.add(*back, filter=just_accepted)
        def _take_back(event: KeyPressEvent) -> None:
            prompt.take_back()

    for undo in ("c-z", "c-_"):

        @keys.add(undo, filter=~just_accepted, save_before=lambda event: False)
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


def _seen(prompt: _Prompt) -> Offer | None:
    """What is offered; a key that would accept what is hidden shows it instead."""
    if prompt.hidden:
        prompt.hidden = False
        return None
    return prompt.waited()


def _showing(prompt: _Prompt) -> KeyBindings:
    """The keys that hide suggestions and go through them."""
    keys = KeyBindings()
    offered = Condition(lambda: bool((offer := prompt.shown()) and offer.words))
    more = Condition(lambda: bool((offer := prompt.shown()) and offer.going))

    @keys.add("escape", filter=offered)
    def _hide(event: KeyPressEvent) -> None:
        prompt.hidden = True
        prompt.draft = prompt.draft.spent()

    @keys.add("c-@", filter=more)
    def _next(event: KeyPressEvent) -> None:
        going = prompt.offer.going
        prompt.chosen = next((i for i in going if i > prompt.chosen), going[0])
        prompt.draft = prompt.draft.spent()

    return keys


def _leaving(prompt: _Prompt) -> KeyBindings:
    """The keys that end a message, clear it, or leave."""
    keys = KeyBindings()
    empty = Condition(lambda: not prompt.buffer.text)

    @keys.add("escape", "enter")
    def _line(event: KeyPressEvent) -> None:
        prompt.buffer.insert_text("\n")

    @keys.add("enter")
    def _end(event: KeyPressEvent) -> None:
        text = prompt.buffer.text.rstrip()  # without the space that came with the last word
        prompt.put(text)
        if text and not prompt.session.off and not is_command(text):
            prompt.buffer.append_to_history()
        event.app.exit(result=text)

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
