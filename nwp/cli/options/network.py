"""The options that say what model is trained: its words, its sizes, and its file."""

from __future__ import annotations

from typing import Annotated

import typer

_MODEL = "Model"

K = Annotated[
    int,
    typer.Option(
        "--k",
        rich_help_panel=_MODEL,
        help="Users of one worker that must have written a word before it may leave.",
    ),
]
Vocabulary = Annotated[
    int, typer.Option("--vocabulary", min=1, rich_help_panel=_MODEL, help="Words at most.")
]
PublicWords = Annotated[
    int,
    typer.Option(
        "--public-words",
        min=0,
        max=20_000,
        rich_help_panel=_MODEL,
        help="Of the public list, always known.",
    ),
]
Embedding = Annotated[int, typer.Option("--embedding", min=1, rich_help_panel=_MODEL)]
Hidden = Annotated[int, typer.Option("--hidden", min=1, rich_help_panel=_MODEL)]
Layers = Annotated[int, typer.Option("--layers", min=1, rich_help_panel=_MODEL)]
Tied = Annotated[
    bool,
    typer.Option(
        "--tied/--untied", rich_help_panel=_MODEL, help="Output rows are the embedding's."
    ),
]
Dropout = Annotated[
    float | None,
    typer.Option(
        "--dropout",
        min=0,
        max=0.9,
        rich_help_panel=_MODEL,
        help="Else 0.2, or as the bundle of --from has it.",
    ),
]
Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        metavar="fp32|bf16|int8",
        rich_help_panel=_MODEL,
        help="What weights are in the bundle's file: whole, half or a quarter of the size.",
    ),
]
