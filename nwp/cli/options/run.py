"""The options of a training's run: where it goes, its rounds, and who takes part in each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from nwp.cli.recipes import take_recipe

_RUN = "Run"
_WHO = "Who takes part in a round"

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        envvar="NWP_TRAIN_OUT",
        help="Where the bundle and its run go; else a folder named after the corpus.",
    ),
]


def rounds_or_passes(given: Any) -> Any:
    """A number of rounds, or the `Passes` of "3x"; ValueError, from which typer makes a usage error, for
    anything else."""
    text = str(given).strip()
    try:
        found = float(text[:-1]) if text.endswith("x") else int(text)
    except ValueError:
        found = 0
    if not 0 < found < math.inf:
        raise ValueError("neither a number of rounds nor so many times through the text, like 3x")
    if isinstance(found, int):
        return found
    from nwp.tasks.passes import Passes

    return Passes(found)


Rounds = Annotated[int, typer.Option("--rounds", min=1, help="Rounds at most.")]
RoundsOrPasses = Annotated[
    Any,
    typer.Option(
        "--rounds",
        metavar="N|Px",
        parser=rounds_or_passes,
        help="Rounds at most; 3x: as many as go through the text three times.",
    ),
]
Cohort = Annotated[
    int, typer.Option("--cohort", min=0, help="Users a round; 0: a twentieth, but 8 or more.")
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="keyboard|adapt|FILE",
        is_eager=True,
        callback=take_recipe,
        help="Settings that suit one another, where no flag, variable or settings file says otherwise. "
        "keyboard: a keyboard's model from nothing, by the text's size; adapt: the one that ships goes on "
        "over your text.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Decides all that is drawn.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="BUNDLE",
        envvar="NWP_TRAIN_FROM",
        help="Go on from this bundle's weights; chat: from those that ship.",
    ),
]
NewWords = Annotated[
    int,
    typer.Option(
        "--new-words",
        min=0,
        help="Of the words that k users of a worker wrote and --from's bundle lacks, the most to add.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on after the last round of an interrupted run.")
]
Force = Annotated[bool, typer.Option("--force", help="Begin anew where a run exists.")]
HeldOut = Annotated[
    str, typer.Option("--held-out", metavar="SHARE|NAMES", help="Users to leave out whole.")
]

ValidateEvery = Annotated[
    int,
    typer.Option(
        "--validate-every", min=1, rich_help_panel=_RUN, help="Rounds between validations."
    ),
]
ValidateUsers = Annotated[
    int,
    typer.Option(
        "--validate-users",
        min=0,
        rich_help_panel=_RUN,
        help="Users to validate on, drawn once; 0: all.",
    ),
]
Patience = Annotated[
    int,
    typer.Option(
        "--patience", min=0, rich_help_panel=_RUN, help="Stop after so many without a better one."
    ),
]
CheckpointEvery = Annotated[
    int,
    typer.Option(
        "--checkpoint-every",
        min=1,
        rich_help_panel=_RUN,
        help="Rounds between checkpoints: what a killed run may have to do again.",
    ),
]
Refuse = Annotated[
    list[str] | None,
    typer.Option(
        "--refuse",
        metavar="WORKER",
        rich_help_panel=_RUN,
        help="Let this worker's owner refuse the plan.",
    ),
]

Sampling = Annotated[
    str,
    typer.Option(
        "--sampling",
        metavar="uniform|size|poisson",
        rich_help_panel=_WHO,
        help="Users are drawn alike; by their words; or each by itself.",
    ),
]
Availability = Annotated[
    float,
    typer.Option(
        "--availability",
        rich_help_panel=_WHO,
        help="Chance that a user can be reached in a round.",
    ),
]
Cycle = Annotated[
    int,
    typer.Option(
        "--cycle",
        min=1,
        rich_help_panel=_WHO,
        help="Each user can be reached every so many rounds.",
    ),
]
OverSelect = Annotated[
    float,
    typer.Option(
        "--over-select",
        min=0,
        rich_help_panel=_WHO,
        help="Ask this share more users, and go on once the cohort's number has answered.",
    ),
]
TimeLimit = Annotated[
    float,
    typer.Option(
        "--time-limit",
        min=0,
        metavar="SECONDS",
        rich_help_panel=_WHO,
        help="Wait no longer, in simulated seconds; 0: for all.",
    ),
]
Minimum = Annotated[
    int,
    typer.Option(
        "--minimum",
        min=0,
        rich_help_panel=_WHO,
        help="Users below which a round is abandoned.",
    ),
]
Stragglers = Annotated[
    float,
    typer.Option(
        "--stragglers",
        min=0,
        metavar="SIGMA",
        rich_help_panel=_WHO,
        help="Spread of the users' simulated speeds (log-normal); 0: all answer at once.",
    ),
]
