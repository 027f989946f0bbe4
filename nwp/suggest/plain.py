"""The prompt for terminals that can't be drawn on, and for screen readers: line after line.

A line goes on with the message, and the candidates for what comes next are said; for the next word
when the line ends with a space, else for the rest of its last word. A number alone picks one of
them, an empty line sends the message. The commands are those of the drawn prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nwp.suggest.composing import Draft, Savings, accept
from nwp.suggest.session import COMMANDS, SHOWN, Offer, Session

HELP = "".join(
    f"  {name:<15} {what}\n"
    for name, what in {
        "TEXT": "go on with the message; a space at its end asks for the next word",
        "1, 2, 3": "take the candidate of that number",
        "an empty line": "end the message and begin the next",
        **COMMANDS,
    }.items()
)


@dataclass(frozen=True)
class _Message:
    """What has been typed of a message, and what is offered for it."""

    text: str = ""
    draft: Draft = field(default_factory=Draft)
    offer: Offer = field(default_factory=Offer)


def run_plain(session: Session, sent: Callable[[str], None]) -> Savings:
    """Read lines until they end or /quit; returns what accepting saved.

    `sent` is told each message, which is learnt from as at the drawn prompt.
    """
    message = _Message()
    while True:
        try:
            line = input("> ")
        except EOFError:
            break
        if (answer := session.command(line)) is not None:
            if line.rstrip() == "/quit":
                break
            print(HELP if line.rstrip() == "/help" else answer)
        elif line:
            message = _typed(session, message, line)
            words = enumerate(message.offer.words, 1)
            print(message.text + "".join(f"  [{number}] {word}" for number, word in words))
            if session.trouble:
                print(f"no suggestions: {session.trouble}")
        elif text := message.text.rstrip():
            session.sent(text, message.draft.edited(text))
            sent(text)
            print(f"sent; saved {session.savings.saved} of {session.savings.characters} keys")
            message = _Message()
    return session.savings


def _typed(session: Session, message: _Message, line: str) -> _Message:
    """The message with one line more: the candidate of a number, or what the line says."""
    number, words = _number(line), message.offer.words
    if 0 < number <= len(words):
        after = accept(message.text, words[number - 1])
        return _Message(after, message.draft.accepted(message.text, after), session.offer(after))
    gap = " " if message.text and not message.text[-1].isspace() else ""
    text = message.text + gap + line
    return _Message(text, message.draft.edited(text), session.offer(text))


def _number(line: str) -> int:
    return int(line) if line in map(str, range(1, SHOWN + 1)) else 0
