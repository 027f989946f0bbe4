"""The options that say what is suggested, wherever one types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Beside = Annotated[
    Path | None,
    typer.Option(
        "--beside",
        metavar="DIR",
        help="A second bundle, of another language: which one is written is noticed word by word.",
    ),
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Only words that begin as typed: no slip is forgiven.")
]
