"""Record the prompt: docs/prompt.cast (asciinema v2) and docs/prompt.svg, its screen at one moment.

python scripts/record_prompt.py

Types in a pseudo-terminal. The times in the recording are those of the script below, not of the
clock, so that the same program gives the same recording.
"""

from __future__ import annotations

import fcntl
import html
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS, ROWS = 80, 14
DOCS = Path(__file__).resolve().parent.parent / "docs"
QUIET = 0.5  # seconds without output after which a key has been answered

TAB, ENTER, ESCAPE = "\t", "\r", "\x1b"
ALT_RIGHT, ALT_2, CTRL_SPACE, CTRL_Z, CTRL_D = "\x1b[1;3C", "\x1b2", "\0", "\x1a", "\x04"
PICTURE = "see you tom"  # the text at which the picture is taken


@dataclass(frozen=True)
class Key:
    """One key, and the seconds after which the next follows."""

    keys: str
    rest: float


def typed(text: str) -> list[Key]:
    """A text letter by letter, a moment longer after each word."""
    return [Key(letter, 0.35 if letter == " " else 0.18) for letter in text]


SCRIPT = [
    *typed("how are "),
    Key(TAB, 1.2),
    Key(TAB, 1.2),
    Key(CTRL_Z, 1.2),
    Key(CTRL_SPACE, 0.8),
    Key(TAB, 1.2),
    Key("?", 0.8),
    Key(ENTER, 1.2),
    *typed(PICTURE),
    Key("", 2.0),
    Key(TAB, 1.2),
    Key(ALT_2, 1.2),
    *typed("ta"),
    Key(ESCAPE, 1.5),
    *typed("lk"),
    Key(ENTER, 1.2),
    *typed("thank y"),
    Key(TAB, 1.2),
    Key(ALT_RIGHT, 1.2),
    Key(ENTER, 1.2),
    *typed("/st"),
    Key(TAB, 0.8),
    Key(ENTER, 3.0),
    *typed("/off"),
    Key(ENTER, 2.0),
    *typed("nobody keeps th"),
    Key(TAB, 1.5),
    Key(ENTER, 1.5),
    Key(CTRL_D, 1.0),
]


def play(command: list[str], script: list[Key]) -> list[tuple[float, str]]:
    """What a command writes to its terminal at the start and after each key, with the times."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PROMPT_TOOLKIT_NO_CPR": "1"}
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    events, clock = [(0.0, _read(terminal, first=60))], 0.5
    for key in script:
        if key.keys:
            os.write(terminal, key.keys.encode())
            if written := _read(terminal, first=QUIET):
                events.append((round(clock, 2), written))
        clock += key.rest
    os.close(terminal)
    os.waitpid(child, 0)
    return events


def _read(terminal: int, first: float) -> str:
    """What comes until it is quiet; `first` is how long to wait for anything at all."""
    data, patience = b"", first
    while select.select([terminal], [], [], patience)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # the program has gone
            break
        if not chunk:
            break
        data, patience = data + chunk, QUIET
    return data.decode()


@dataclass
class Screen:
    """As much of a terminal as the prompt needs: moves, erasing, and how characters look."""

    columns: int
    rows: int
    x: int = 0
    y: int = 0
    look: frozenset[str] = frozenset()
    cells: dict[tuple[int, int], tuple[str, frozenset[str]]] = field(default_factory=dict)

    _TOKEN = re.compile(r"\x1b\[([?>]?)([\d;]*)([A-Za-z])|\x1b[=>]|\x1b\][^\x07]*\x07|(.)", re.S)

    def feed(self, text: str) -> None:
        """Write what a program wrote."""
        for found in self._TOKEN.finditer(text):
            private, numbers, order, character = found.groups()
            if character:
                self._write(character)
            elif order and not private:
                self._order(order, [int(n) for n in numbers.split(";") if n])

    def lines(self) -> list[str]:
        """The rows as text."""
        rows = [
            "".join(self.cells.get((x, y), (" ", self.look))[0] for x in range(self.columns))
            for y in range(self.rows)
        ]
        return [row.rstrip() for row in rows]

    def _write(self, character: str) -> None:
        if character == "\r":
            self.x = 0
        elif character == "\n":
            self.y += 1
            if self.y == self.rows:
                self.y -= 1
                self.cells = {(x, y - 1): c for (x, y), c in self.cells.items() if y}
        elif character == "\b":
            self.x = max(self.x - 1, 0)
        elif character >= " ":
            self.cells[min(self.x, self.columns - 1), self.y] = (character, self.look)
            wide = unicodedata.east_asian_width(character) in "WF"
            if wide:
                self.cells[self.x + 1, self.y] = ("", self.look)
            self.x += 1 + wide

    def _order(self, order: str, numbers: list[int]) -> None:
        count = max(numbers[0] if numbers else 1, 1)
        if order in "ABCD":
            dx, dy = {"A": (0, -1), "B": (0, 1), "C": (1, 0), "D": (-1, 0)}[order]
            self.x = min(max(self.x + dx * count, 0), self.columns - 1)
            self.y = min(max(self.y + dy * count, 0), self.rows - 1)
        elif order == "H":
            self.y, self.x = (numbers[0] - 1, numbers[1] - 1) if len(numbers) > 1 else (0, 0)
        elif order in "JK":
            whole = numbers[:1] == [2]
            self.cells = {
                (x, y): cell
                for (x, y), cell in self.cells.items()
                if (not whole and (y < self.y or (y == self.y and x < self.x)))
                or (order == "K" and y != self.y)
            }
        elif order == "m":
            self._dress(numbers or [0])

    def _dress(self, numbers: list[int]) -> None:
        for number in numbers:
            if number == 0:
                self.look = frozenset()
            elif number in {1, 2, 3}:
                self.look |= {("bold", "dim", "italic")[number - 1]}


def picture(screen: Screen) -> str:
    """The screen as SVG, light or dark as the reader's page is."""
    rows = []
    height = max(y for _, y in screen.cells) + 1
    for y in range(height):
        parts, x = [], 0
        while x < screen.columns:
            look = screen.cells.get((x, y), (" ", frozenset()))[1]
            end = x
            text = ""
            while end < screen.columns:
                cell = screen.cells.get((end, y), (" ", frozenset[str]()))
                if cell[1] != look:
                    break
                text += cell[0]
                end += 1
            if text.strip():
                classes = " ".join(sorted(look))
                parts.append(
                    f'<text x="{16 + x * 8.4:g}" y="{50 + y * 20}" class="{classes}" '
                    f'textLength="{(end - x) * 8.4:g}" xml:space="preserve">{html.escape(text)}</text>'
                )
            x = end
        rows += parts
    cursor = f'<rect x="{16 + screen.x * 8.4:g}" y="{36 + screen.y * 20}" width="2" height="18"/>'
    size = f"{32 + screen.columns * 8.4:g} {50 + height * 20}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" '
        'aria-label="The prompt: the best word in grey, three candidates and the keys below">\n'
        "<style>text{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#1c2430}rect{fill:#1c2430}"
        ".back{fill:#fbfbf9;stroke:#d5d8dd}.dim{opacity:.62}.bold{font-weight:700}"
        ".italic{font-style:italic}@media(prefers-color-scheme:dark){text,rect{fill:#e6e9ee}"
        ".back{fill:#171b21;stroke:#323a45}}</style>\n"
        '<rect class="back" x=".5" y=".5" width="99.8%" height="98%" rx="8"/>\n'
        + "\n".join([*rows, cursor])
        + "\n</svg>\n"
    )


def main() -> None:
    """Type, and write the recording and the picture."""
    command = [sys.executable, "-c", "from nwp.cli.main import run; run()", "prompt"]
    events = play(command, SCRIPT)
    header = {
        "version": 2,
        "width": COLUMNS,
        "height": ROWS,
        "title": "nwp prompt",
        "env": {"TERM": "xterm-256color"},
    }
    rows = [json.dumps(header), *(json.dumps([t, "o", text]) for t, text in events)]
    (DOCS / "prompt.cast").write_text("\n".join(rows) + "\n", encoding="utf-8")
    screen = Screen(COLUMNS, ROWS)
    shown = ""
    for _, text in events:
        screen.feed(text)
        if any(row.startswith(f"› {PICTURE}") for row in screen.lines()):
            shown = picture(screen)
            break
    if not shown:
        sys.exit("the text of the picture was never on the screen")
    (DOCS / "prompt.svg").write_text(shown, encoding="utf-8")


if __name__ == "__main__":
    main()
