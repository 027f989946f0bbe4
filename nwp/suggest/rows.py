"""The rows under the text that is typed: candidates, keys and what has been saved."""

from __future__ import annotations

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.utils import get_cwidth

from nwp.suggest.composing import Savings

SHOWN = 3
HELP = """\
  Tab, Right           accept the grey word
  Alt-1 … Alt-3        pick a candidate (or F1 … F3)
  Ctrl-Z               undo what was accepted (or Alt-Backspace)
  Enter                end the message and begin the next
  Up, Down             earlier messages
  Ctrl-C               clear the message; on an empty line, leave
  Ctrl-D, /quit        leave
"""

_HINTS = ("Tab accept", "Alt-1…3 pick", "Ctrl-Z undo", "Enter next", "Ctrl-D quit", "/help")


def candidate_row(words: list[str], columns: int) -> StyleAndTextTuples:
    """The numbered candidates, side by side in columns that stay where they are."""
    width = max(min(18, (columns - 2) // SHOWN), 4)
    row: StyleAndTextTuples = [("", "  ")]
    for number, word in enumerate(words, 1):
        room = width - 3
        short = word if get_cwidth(word) <= room else _clip(word, room - 1) + "…"
        row += [
            ("class:quiet", f"{number} "),
            ("", short + " " * (room - get_cwidth(short) + 1)),
        ]
    return row


def help_row(savings: Savings, columns: int) -> StyleAndTextTuples:
    """The keys, as many as fit and /help always, and at the right what has been saved so far."""
    share = f"{round(100 * savings.share)}%"
    saved = f"saved {savings.saved} of {savings.characters} keys ({share})"
    if columns < 60:
        saved = f"saved {share}"
    room = columns - len(saved) - 4
    hints = list(_HINTS)
    while len(hints) > 1 and len(" · ".join(hints)) > room:
        del hints[-2]
    return [("class:quiet", f"  {' · '.join(hints):<{max(room, 0)}} {saved}")]


def _clip(word: str, room: int) -> str:
    """As much of a word as fits, by the width of its characters."""
    while word and get_cwidth(word) > room:
        word = word[:-1]
    return word
