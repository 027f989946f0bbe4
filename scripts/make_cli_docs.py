"""Write docs/cli.md from what `--help` says, so that the two never differ (a test holds them together).

python scripts/make_cli_docs.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

COMMANDS = (
    "",
    "demo",
    "train",
    "evaluate",
    "compare",
    "query",
    "personalize",
    "suggest",
    "prompt",
    "serve",
    "bench",
    "model export",
    "model ngrams",
    "model average",
    "corpus list",
    "corpus get",
    "corpus formats",
    "corpus show",
    "corpus sample",
    "corpus split",
    "corpus verify",
    "corpus import",
    "corpus remove",
    "runs list",
    "runs show",
    "runs compare",
    "runs plot",
    "runs forget",
    "personal on",
    "personal off",
    "personal status",
    "personal list",
    "personal forget",
    "personal export",
    "personal import",
    "personal block",
    "personal unblock",
    "config show",
)
PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"


def help_of(command: str) -> str:
    """What a command says of itself, without frames and colours."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    environment |= {"XDG_CONFIG_HOME": os.devnull, "TYPER_USE_RICH": "0"}
    words = [sys.executable, "-m", "nwp", *command.split(), "--help"]
    shown = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    plain = re.sub(r"[ \t]+$", "", shown.stdout, flags=re.MULTILINE)
    return plain.strip("\n")


def page() -> str:
    """The page, whole."""
    parts = ["# Commands\n\nMade by `python scripts/make_cli_docs.py` from `--help`."]
    parts += [
        f"## {f'nwp {command}'.strip()}\n\n```text\n{help_of(command)}\n```" for command in COMMANDS
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
