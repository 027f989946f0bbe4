"""The options that commands of all kinds have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Corpus = Annotated[
    str, typer.Argument(help="An export, a file or a folder of messages, or a known name.")
]
Model = Annotated[
    Path | None,
    typer.Option("--model", metavar="DIR", help="The bundle; otherwise the one that ships."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Decides all that is drawn.")]
ReplaceBundle = Annotated[bool, typer.Option("--force", help="Replace the bundle that DIR holds.")]
ReplaceFile = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
