"""The options that say how a corpus is to be read: the same for every command that reads one."""

from __future__ import annotations

from typing import Annotated

import typer

_READING = "Reading"

Form = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="NAME",
        rich_help_panel=_READING,
        help="The corpus's form, where it is not found out:  --format whatsapp",
    ),
]
Columns = Annotated[
    str,
    typer.Option(
        "--columns",
        metavar="PAIRS",
        rich_help_panel=_READING,
        help="A table's columns, by name or number:  --columns user=author,text=body,time=3",
    ),
]
Dates = Annotated[
    str,
    typer.Option(
        "--dates",
        metavar="dmy|mdy|ymd",
        rich_help_panel=_READING,
        help="The order of a date's parts, where it is not found out.",
    ),
]
Me = Annotated[
    str,
    typer.Option(
        "--me",
        metavar="NAME",
        rich_help_panel=_READING,
        help="Your name, where the export has only your side unnamed.",
    ),
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad-lines",
        rich_help_panel=_READING,
        help="Leave out lines that can't be read; count them.",
    ),
]
