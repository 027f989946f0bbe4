"""The options that say who else is told of a run's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_TRACKING = "Following and remembering"

Record = Annotated[
    bool,
    typer.Option(
        "--record/--no-record",
        rich_help_panel=_TRACKING,
        help="Remember settings and figures for `nwp runs`; NWP_RUNS=off goes before.",
    ),
]
TensorBoardFolder = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        rich_help_panel=_TRACKING,
        help="Write TensorBoard's event files below this folder (nwp[tensorboard]).",
    ),
]
MLflowAddress = Annotated[
    str | None,
    typer.Option(
        "--mlflow",
        metavar="URI",
        rich_help_panel=_TRACKING,
        help="Log to MLflow: a tracking URI, or a folder (nwp[mlflow]).",
    ),
]
