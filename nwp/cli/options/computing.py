"""The options that say where a simulation is computed, and among how many workers."""

from __future__ import annotations

from typing import Annotated

import typer

Workers = Annotated[
    int,
    typer.Option("--workers", min=0, help="Workers to deal the users to; 0: about 4 users each."),
]
Processes = Annotated[
    int,
    typer.Option(
        "--processes",
        min=0,
        help="Processes to compute in; 0: one a core. Changes no result.",
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="auto|here|processes|ray",
        help="Where to compute. Changes no result.",
    ),
]
RayAddress = Annotated[
    str,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT",
        help="A Ray cluster that this machine is a node of; else RAY_ADDRESS, else one is started here.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="cpu|cuda|cuda:N",
        help="Compute on a GPU, through the same code; never tried on one. Changes last bits.",
    ),
]
