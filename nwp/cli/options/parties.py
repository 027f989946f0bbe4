"""The options of those who train together on their own machines: owners and the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkerHome = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", envvar="NWP_WORKER", help="The worker's folder, if not the usual."
    ),
]
ServerHome = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", envvar="NWP_SERVER", help="The server's folder, if not the usual."
    ),
]
Transport = Annotated[
    str,
    typer.Option(
        "--transport",
        metavar="folder:PATH|drive:TOKENFILE",
        help="Where messages meet.",
    ),
]
