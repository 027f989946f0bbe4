"""The options of training with owners on their own machines, but for those that `nwp train` has, too
(`nwp.cli.options.run`). Others of the same name stand in other panels of the help, or say another thing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_WAIT = "How long to wait"
_LOCAL = "What owners do"
_RUN = "The run"

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the bundle and its run go.")]
From = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="BUNDLE|none",
        help="Start from this bundle and its words, if not from the one that ships; none: from "
        "nothing, and owners with k users and more are asked for the words that these share.",
    ),
]
K = Annotated[int, typer.Option("--k", min=1, help="Users of an owner who must share a word.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Begin anew where a run exists; owners are asked anew, too."),
]

Embedding = Annotated[int, typer.Option("--embedding", min=1, rich_help_panel=_RUN)]
Hidden = Annotated[int, typer.Option("--hidden", min=1, rich_help_panel=_RUN)]
PublicWords = Annotated[
    int, typer.Option("--public-words", min=0, max=20_000, rich_help_panel=_RUN)
]
ServerLearningRate = Annotated[float, typer.Option("--server-learning-rate", rich_help_panel=_RUN)]
ServerSchedule = Annotated[
    str,
    typer.Option(
        "--server-schedule",
        metavar="constant|linear|cosine|step|inverse-sqrt",
        rich_help_panel=_RUN,
        help="How that rate falls: to a tenth in the last round (linear, cosine), by half every ten (step).",
    ),
]
MemberShare = Annotated[
    float,
    typer.Option(
        "--member-share",
        rich_help_panel=_RUN,
        help="Of a round, the most that one of three members or more counts for; 1: no bound.",
    ),
]
Averaging = Annotated[
    float,
    typer.Option(
        "--averaging", min=0, max=0.9999, rich_help_panel=_RUN, help="Of the server's weights."
    ),
]
ValidateEvery = Annotated[int, typer.Option("--validate-every", min=1, rich_help_panel=_RUN)]
Patience = Annotated[
    int,
    typer.Option(
        "--patience", min=0, rich_help_panel=_RUN, help="Validations without a better one."
    ),
]
Storage = Annotated[
    str,
    typer.Option(
        "--storage", metavar="fp32|bf16|int8", rich_help_panel=_RUN, help="Of the bundle."
    ),
]

LearningRate = Annotated[
    float, typer.Option("--learning-rate", rich_help_panel=_LOCAL, help="Of plain SGD.")
]
Epochs = Annotated[int, typer.Option("--epochs", min=1, rich_help_panel=_LOCAL, help="A round.")]
Batch = Annotated[int, typer.Option("--batch", min=0, rich_help_panel=_LOCAL, help="Messages.")]
Messages = Annotated[
    int,
    typer.Option(
        "--messages", min=0, rich_help_panel=_LOCAL, help="Of a user, the most in a round; 0: all."
    ),
]
ClipNorm = Annotated[
    float,
    typer.Option("--clip-norm", rich_help_panel=_LOCAL, help="Longest gradient; 0: any."),
]
Dropout = Annotated[
    float | None,
    typer.Option("--dropout", min=0, max=0.9, rich_help_panel=_LOCAL, help="Else the bundle's."),
]
Precision = Annotated[
    str,
    typer.Option("--precision", metavar="fp32|bf16", rich_help_panel=_LOCAL, help="Of products."),
]
Uplink = Annotated[
    str,
    typer.Option("--uplink", metavar="fp32|bf16|int8", rich_help_panel=_LOCAL, help="Of updates."),
]
Downlink = Annotated[
    str,
    typer.Option("--downlink", metavar="fp32|bf16", rich_help_panel=_LOCAL, help="Of weights."),
]

Least = Annotated[
    int,
    typer.Option(
        "--least",
        min=1,
        rich_help_panel=_WAIT,
        help="Members to begin with, who must approve.",
    ),
]
Gather = Annotated[
    float,
    typer.Option("--gather", min=0, rich_help_panel=_WAIT, help="Seconds for the others to come."),
]
Decide = Annotated[
    float,
    typer.Option(
        "--decide",
        min=0,
        rich_help_panel=_WAIT,
        help="Seconds for owners to decide, if a quorum has approved.",
    ),
]
AnswerWithin = Annotated[
    float,
    typer.Option("--answer", min=0, rich_help_panel=_WAIT, help="Seconds for an answer."),
]
Grace = Annotated[
    float,
    typer.Option(
        "--grace", min=0, rich_help_panel=_WAIT, help="Seconds for who was silent last time."
    ),
]
Quorum = Annotated[
    float,
    typer.Option(
        "--quorum", min=0, max=1, rich_help_panel=_WAIT, help="Share of those asked, at least."
    ),
]
Longest = Annotated[
    float,
    typer.Option("--longest", min=0, rich_help_panel=_WAIT, help="Seconds to wait for a quorum."),
]
