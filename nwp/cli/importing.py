"""What `nwp corpus import` makes of its options, and what it tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nwp.cli.output import err, out, tell_reading
from nwp.errors import BadSettings

_QUIET = 2.0  # seconds


def default_out(source: str) -> Path:
    """A file in this folder, named as the source. BadSettings when that is the source itself."""
    from nwp.corpus.load import plain_name

    path, target = Path(source).expanduser(), Path(f"{plain_name(source)}.jsonl.gz")
    if path.exists() and target.exists() and target.samefile(path):
        raise BadSettings(
            f"{source} is what would be written", "Name another file with --out FILE.jsonl.gz."
        )
    return target


@contextmanager
def reading() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many messages are read, when that takes a while."""
    from rich.progress import Progress, TextColumn

    column = TextColumn("{task.completed:,} messages read")
    with Progress(column, console=err(), transient=True, disable=not err().is_terminal) as live:
        task = live.add_task("", total=None, visible=False)
        began = time.monotonic()

        def watch(messages: int) -> None:
            if time.monotonic() - began > _QUIET:
                live.update(task, completed=messages, visible=True)

        yield watch


def tell(found: Mapping[str, Any], source: str, target: Path, *, named: bool) -> None:
    """What an import came to; with `named`, also how to keep only one's own messages."""
    out().print(
        f"{target}: {found['messages']:,} messages, {found['words']:,} words of "
        f"{found['users']:,} users, read as {found['format']}"
    )
    tell_reading(out(), found["skipped"], found.get("remarks", {}))
    for kind, count in found.get("masked", {}).items():
        out().print(f"masked: {count} x {kind}")
    if "not_met" in found:
        err().print(f"not in {source}, though to be merged: {', '.join(found['not_met'])}")
    if named and found["users"] > 1 and Path(source).expanduser().exists():
        err().print(
            f"these are the messages of {found['users']:,} people, by name: --only-me NAME keeps "
            "only your own, --pseudonyms KEYFILE gives them other names"
        )
