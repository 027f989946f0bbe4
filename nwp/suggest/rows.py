"""The rows under the text that is typed: candidates, keys and what has been saved."""

from __future__ import annotations

from collections.abc import Sequence

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.utils import get_cwidth

from nwp.suggest.composing import Savings
from nwp.suggest.session import COMMANDS, SHOWN

INDENT = 2  # of the text and of all rows below
NARROW = 36  # columns; with fewer, candidates stand one below the other

_KEYS = {
    "Tab, Right": "accept all that is grey",
    "Alt-Right": "accept one word of it (or Ctrl-Right)",
    "Alt-1 … Alt-3": "pick a candidate (or F1 … F3)",
    "Ctrl-Space": "show the next candidate in grey",
    "Esc": "hide suggestions until the next key",
    "Ctrl-Z": "undo what was accepted (or Ctrl-_)",
    "Alt-Enter": "a new line in the same message",
    "Enter": "end the message and begin the next",
    "Up, Down": "earlier messages",
    "Ctrl-C": "clear the message; on an empty line, leave",
    "Ctrl-D": "leave",
}
HELP = "".join(f"  {name:<15} {what}\n" for name, what in (_KEYS | COMMANDS).items())

_HINTS = ("Tab accept", "Alt-1…3 pick", "Esc hide", "Ctrl-Z undo", "Ctrl-D quit", "/help")


def candidate_rows(words: Sequence[str], chosen: int, columns: int) -> list[StyleAndTextTuples]:
    """The numbered candidates in columns that stay where they are: in one row, or one each.

    `chosen` is the place of the one whose rest is grey, -1 for none. There are as many rows, empty ones too,
    whatever the words are.
    """
    stacked = columns < NARROW
    width = columns - INDENT if stacked else min(24, (columns - INDENT) // SHOWN)
    cells = [
        _cell(number, words[number] if number < len(words) else "", number == chosen, width)
        for number in range(SHOWN)
    ]
    if stacked:
        return [[("", " " * INDENT), *cell] for cell in cells]
    return [[("", " " * INDENT), *(part for cell in cells for part in cell)]]


def _cell(number: int, word: str, chosen: bool, width: int) -> StyleAndTextTuples:
    """One candidate, in as many columns as `width` says, its number before it."""
    if not word:
        return [("", " " * max(width, 0))]
    room = max(width - 3, 1)
    short = word if get_cwidth(word) <= room else clip(word, room - 1) + "…"
    pad = " " * (room - get_cwidth(short) + 1)
    style = "class:chosen" if chosen else ""
    return [("class:quiet", f"{number + 1} "), (style, short), ("", pad)]


def status_row(
    savings: Savings, message: Savings, columns: int, *, off: bool = False, trouble: str = ""
) -> StyleAndTextTuples:
    """The keys, as many as fit and /help always, and at the right what has been saved.

    `savings` are those of the session with this message, `message` those of this message alone.
    """
    share = f"{round(100 * savings.share)}%"
    saved = f"saved {savings.saved} of {savings.characters} keys ({share})"
    if columns >= 80:
        saved = f"here {message.saved}, {saved}"
    elif columns < 60:
        saved = f"saved {share}"
    room = max(columns - len(saved) - 2 * INDENT, 0)
    if trouble:
        left = clip(f"no suggestions: {' '.join(trouble.split())}", room)
        return [
            ("class:quiet", "  "),
            ("class:mark", left),
            *_right(saved, room - get_cwidth(left)),
        ]
    hints = list(_HINTS)
    mark = ("off", "off the record")[columns >= 60] if off else ""
    while len(hints) > 1 and len(_joined(mark, hints)) > room:
        del hints[-2]
    parts: StyleAndTextTuples = [("class:quiet", " " * INDENT)]
    if mark:
        parts += [("class:mark", mark), ("class:quiet", " · ")]
    parts.append(("class:quiet", " · ".join(hints)))
    return [*parts, *_right(saved, room - len(_joined(mark, hints)))]


def grey(ghost: str, line: str, columns: int) -> str:
    """As much of a ghost as fits in the row where the line before it ends.

    So that what is offered never moves the rows below. `columns` are those of the whole terminal.
    """
    row = columns - INDENT
    used = 0
    for character in line:
        width = get_cwidth(character)
        used = width if used + width > row else used + width
    room = row - used - 1  # the cursor needs a place of its own behind the line
    if get_cwidth(ghost) <= room:
        return ghost
    return clip(ghost, room - 1) + "…" if room > 1 else ""


def clip(word: str, room: int) -> str:
    """As much of a word as fits, by the width of its characters."""
    used = 0
    for place, character in enumerate(word):
        used += get_cwidth(character)
        if used > room:
            return word[:place]
    return word


def _joined(mark: str, hints: list[str]) -> str:
    return " · ".join([mark, *hints] if mark else hints)


def _right(saved: str, gap: int) -> StyleAndTextTuples:
    return [("class:quiet", " " * max(gap, 0) + " " + saved)]
