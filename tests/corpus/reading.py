"""Reading any export in a test, as a command would."""

from __future__ import annotations

from pathlib import Path

from nwp.corpus.load import read_messages
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.types import Message, Tally


def read_as(
    path: Path, tally: Tally | None = None, form: str = "", **options: object
) -> tuple[str, list[Message]]:
    """The format that was found (or `form`), and all messages in order."""
    chosen = ReadOptions(**options)  # type: ignore[arg-type]
    with read_messages(str(path), tally or Tally(), form=form, options=chosen) as (name, messages):
        return name, list(messages)
