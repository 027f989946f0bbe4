"""What a sitting at the prompt is, apart from any terminal: a model, figures, commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from nwp.errors import NwpError
from nwp.suggest.composing import Draft, Savings, goes_on
from nwp.suggest.phrases import phrase
from nwp.suggest.reading import split_typed
from nwp.suggest.suggester import Suggestion

SHOWN = 3  # candidates beside each other, as in a keyboard's strip and in keystroke savings


class Suggests(Protocol):
    """Whatever suggests words for a text, best first."""

    def suggest(self, text: str, k: int = SHOWN) -> list[Suggestion]: ...  # noqa: D102


@runtime_checkable
class Learns(Protocol):
    """What learns from messages besides, unless it is off the record."""

    off_the_record: bool

    def learn(self, message: str) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Models:
    """The models that a prompt can change to: their folders by name, and how to open one."""

    folders: Mapping[str, Path]
    open: Callable[[Path], Suggests]


@dataclass(frozen=True)
class Offer:
    """What is offered for a text: up to three words, and a phrase that begins with the first; none where
    that takes the place of what is typed."""

    text: str = ""
    words: tuple[str, ...] = ()
    phrase: tuple[str, ...] = ()

    @property
    def going(self) -> tuple[int, ...]:
        """The places of the words that go on with what is typed, so that their rest can be grey."""
        return tuple(i for i, word in enumerate(self.words) if goes_on(self.text, word))


# What each command does, in the words of /help.
COMMANDS = {
    "/help": "show the keys and the commands",
    "/off": "off the record: nothing is learnt or kept from now on",
    "/on": "on the record again",
    "/models": "the models that there are",
    "/model": "change to another: /model NAME, or the folder of a bundle",
    "/stats": "keystrokes saved so far",
    "/clear": "forget messages and figures of this session, clear the screen",
    "/quit": "leave",
}


def _at_once(job: Callable[[], None]) -> None:
    job()


@dataclass
class Session:
    """The model in use, whether messages are off the record, and what accepting has saved.

    `later` does what learning takes, in the order in which it is given.
    """

    suggester: Suggests
    models: Models | None = None
    name: str = ""
    off: bool = False
    messages: int = 0
    savings: Savings = field(default_factory=Savings)
    later: Callable[[Callable[[], None]], None] = _at_once
    trouble: str = ""  # why there are no suggestions, when computing them failed

    def offer(self, text: str) -> Offer:
        """What to offer for a text. Never raises: what has been typed must not be lost to a fault."""
        if text.startswith("/") and (words := self._commands(text)):
            return Offer(text, words, words[:1])
        suggester = self.suggester
        try:
            found = suggester.suggest(text, SHOWN)
            sure = found and goes_on(text, found[0].word)
            more = phrase(suggester.suggest, text, found[0]) if sure else ()
        except Exception as error:  # a suggester may be anybody's
            self.trouble = f"{type(error).__name__}: {error}"
            return Offer(text)
        self.trouble = ""
        return Offer(text, tuple(one.word for one in found), more)

    def command(self, text: str) -> str | None:
        """What to answer a command with; None when the text is none, but a message.

        /help, /clear and /quit are answered by "": how is up to the terminal.
        """
        if not is_command(text):
            return None
        name, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if name in ("/off", "/on"):
            return self._record(off=name == "/off")
        if name == "/stats":
            return self._stats()
        if name == "/models" or (name == "/model" and not rest):
            return self._models()
        if name == "/model":
            return self._change(rest)
        if name == "/clear":
            self.messages, self.savings = 0, Savings()
        return ""

    def sent(self, text: str, draft: Draft) -> None:
        """Count a message, and learn from it if that is wanted."""
        self.messages += 1
        self.savings = self.savings.plus(text, draft)
        suggester = self.suggester
        if self.off or not isinstance(suggester, Learns):
            return

        def learn() -> None:
            try:
                if not suggester.off_the_record:
                    suggester.learn(text)
            except Exception as error:  # sending goes on
                self.trouble = f"not learnt: {type(error).__name__}: {error}"

        self.later(learn)

    def _commands(self, text: str) -> tuple[str, ...]:
        """The rest of commands and of models' names that begin like this, as words to accept."""
        typed = split_typed(text)[1]
        head, space, name = text.partition("/model ")
        if space and not head:
            known = self.models.folders if self.models else ()
            ends = [one[len(name) - len(typed) :] for one in known if one.startswith(name)]
        else:
            ends = [one.removeprefix("/") for one in COMMANDS if one.startswith(text)]
        return tuple(end for end in ends if end.startswith(typed))[:SHOWN]

    def _record(self, off: bool) -> str:
        self.off = off
        suggester = self.suggester
        if isinstance(suggester, Learns):
            # Behind what is still to be learnt: that was sent before.
            self.later(lambda: setattr(suggester, "off_the_record", off))
        if off:
            return "off the record: what you send is not learnt, nor kept for Up"
        return "on the record"

    def _models(self) -> str:
        folders = self.models.folders if self.models else {}
        rows = [
            f"{'*' if name == self.name else ' '} {name:<20} {path}"
            for name, path in folders.items()
        ]
        return "\n".join(rows) or "there is no other model"

    def _change(self, name: str) -> str:
        if self.models is None:
            return "this prompt can't change its model"
        path = self.models.folders.get(name, Path(name))
        try:
            suggester = self.models.open(path)
        except NwpError as error:
            return f"{error.message}\n{error.hint}".rstrip()
        self.suggester, self.name = suggester, name
        if self.off:
            self._record(off=True)
        return f"suggestions are from {name} now"

    def _stats(self) -> str:
        saved = self.savings
        return (
            f"{self.messages:,} messages of {saved.characters:,} characters, "
            f"{saved.inserted:,} of them from suggestions by {saved.keys:,} keys\n"
            f"saved {saved.saved:,} of {saved.characters:,} keys ({round(100 * saved.share)}%); "
            "a choice is one key, its space too"
        )


def is_command(text: str) -> bool:
    """Is this a command, and no message? Only /model takes anything behind it."""
    name, _, rest = text.rstrip().partition(" ")
    return name in COMMANDS and (not rest or name == "/model")


def find_models(*folders: Path) -> dict[str, Path]:
    """The bundles among these folders and right in them, by name; of one name the first."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in (folder, *sorted(folder.glob("*/"))):
            if (path / "settings.json").is_file() and (path / "vocabulary.json").is_file():
                found.setdefault(path.resolve().name, path)
    return found
