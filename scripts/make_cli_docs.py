"""Write docs/cli.md from what `--help` says, so that the two never differ (a test holds them together).

python scripts/make_cli_docs.py
python scripts/make_cli_docs.py -     # to the screen
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Without frames and colours, and nobody's own settings; typer reads them when it is imported.
os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "TYPER_USE_RICH": "0"}
os.environ["XDG_CONFIG_HOME"] = os.devnull

from typer.main import get_command
from typer.testing import CliRunner

from nwp.cli.main import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"


def help_of(command: str) -> str:
    """What a command says of itself."""
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="nwp")
    if shown.exit_code:
        raise SystemExit(f"nwp {command} --help: {shown.output}")
    return re.sub(r"[ \t]+$", "", shown.stdout, flags=re.MULTILINE).strip("\n")


def commands(group: Any, *before: str) -> Iterator[str]:
    """All commands of a group that say more than their names, in order; the group of all is ""."""
    if not before:
        yield ""
    for name in group.list_commands(None):
        words = (*before, name)
        if hasattr(found := group.commands[name], "list_commands"):
            yield from commands(found, *words)
        else:
            yield " ".join(words)


def page() -> str:
    """The page, whole."""
    parts = ["# Commands\n\nMade by `python scripts/make_cli_docs.py` from `--help`."]
    parts += [
        f"## {f'nwp {command}'.strip()}\n\n```text\n{help_of(command)}\n```"
        for command in commands(get_command(app))
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
