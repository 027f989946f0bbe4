"""The line in which a message is typed, with what is shown in grey behind it and in rows below."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_done
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindingsBase
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

from nwp.suggest.composing import Draft, Savings, accepts, ghost
from nwp.suggest.lookahead import Lookahead
from nwp.suggest.rows import HELP, candidate_rows, grey, status_row
from nwp.suggest.session import Offer, Session

# Attributes only, no colours: readable on light and dark, and with NO_COLOR.
_STYLE = Style.from_dict({"ghost": "dim italic", "quiet": "dim", "mark": "bold", "chosen": "bold"})
_PROMPT = "› "
_COMMAND_KEYS = 0.3  # seconds in which Esc and a key are one; then Esc stands alone


class Editor:
    """One line editor, asked again and again, with what it shows and counts.

    `keys` makes the bindings of an editor (`nwp.suggest.keys`); all others are prompt_toolkit's own, as
    in Emacs.
    """

    def __init__(
        self,
        session: Session,
        history: History,
        input: Input | None,
        output: Output | None,
        patience: float,
        keys: Callable[[Editor], KeyBindingsBase],
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
            key_bindings=keys(self),
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

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document, fragments = transformation_input.document, transformation_input.fragments
        if transformation_input.lineno != document.line_count - 1:
            return Transformation(fragments)
        rest = ghost(document.text, self._editor.phrase())
        shown = grey(rest, document.lines[-1], self._editor._columns())
        return Transformation([*fragments, ("class:ghost", shown)])
