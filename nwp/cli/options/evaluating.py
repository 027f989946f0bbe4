"""The options that say on which part of the text, and beside what, models are evaluated."""

from __future__ import annotations

from typing import Annotated

import typer

With = Annotated[
    str,
    typer.Option(
        "--with",
        metavar="NAMES",
        help="Baselines, with commas between: unigram, trigram_kn, local_only, untrained, "
        "central (one LSTM of all text, as many words seen), personal (the model tuned by each user).",
    ),
]
Split = Annotated[
    str, typer.Option("--split", help="Part of each user's messages: train, valid, test or all.")
]
