"""The prompt: grey words ahead of the cursor while one types.

Rows under the text show the candidates and the keys. Suggestions are computed on a thread of their
own and shown only with the text they are for. Nothing is kept unless a history file is given, or
the suggester learns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from prompt_toolkit.utils import is_dumb_terminal

from nwp.errors import BadInput
from nwp.suggest.composing import Savings
from nwp.suggest.editor import Editor
from nwp.suggest.keys import keys_of
from nwp.suggest.plain import run_plain
from nwp.suggest.session import Learns, Models, Session, Suggests

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
    editor = Editor(session, _history(history), input, output, _PATIENCE, keys_of)
    try:
        while (text := editor.ask()) is not None:
            sent(text)
    finally:
        editor.ahead.close()
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
