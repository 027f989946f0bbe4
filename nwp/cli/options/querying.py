"""The options that say what is asked of workers, and how few may answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_NOISE = "Noise"
_WHO = "Who must take part"

What = Annotated[
    str,
    typer.Argument(
        metavar="WHAT",
        help="size (users, messages, words), lengths (messages by their words), words (the most "
        "frequent that k users share), unknown (words that a model's vocabulary lacks) or "
        "perplexity (of a model).",
    ),
]
OfModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="DIR",
        help="The bundle, for unknown and perplexity; otherwise the one that ships.",
    ),
]
Split = Annotated[
    str,
    typer.Option(
        "--split",
        metavar="PART",
        help="Part of each user's messages: train, valid, test or all; otherwise test with a "
        "model, all without.",
    ),
]
Top = Annotated[int, typer.Option("--top", min=1, help="Words to show at most.")]
SharedBy = Annotated[
    int, typer.Option("-k", help="Users of a worker who must share a word before it leaves.")
]
MinUsers = Annotated[
    int,
    typer.Option(
        "--min-users",
        rich_help_panel=_WHO,
        help="Users with text that a worker must have; else it refuses. Owners may want more.",
    ),
]
MinWorkers = Annotated[
    int,
    typer.Option(
        "--min-workers",
        rich_help_panel=_WHO,
        help="Workers who must answer before the sum is told; 2 or more.",
    ),
]
Epsilon = Annotated[
    float,
    typer.Option(
        "--epsilon",
        rich_help_panel=_NOISE,
        help="Noise on each worker that makes this one answer so differentially private for "
        "users; 0: none. More queries add up.",
    ),
]
PerUser = Annotated[
    int,
    typer.Option(
        "--per-user",
        metavar="N",
        rich_help_panel=_NOISE,
        help="With --epsilon: each user counts for at most N messages and N words.",
    ),
]
