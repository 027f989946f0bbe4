"""`nwp corpus list`, `get` and `formats`: what can be read, and from where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nwp.cli.options.common import Json
from nwp.cli.output import err, megabytes, out, print_json


def list_corpora(as_json: Json = False) -> None:
    """The corpora that nwp knows by name.

    Example:  nwp corpus list
    """
    from nwp.corpus.known import known_corpora

    rows = [
        {
            "name": known.name,
            "users": known.users,
            "words": known.words,
            "source": known.source,
            "available": known.available,
        }
        for known in known_corpora().values()
    ]
    if as_json:
        print_json({"corpora": rows})
        return
    width = max(len(str(row["name"])) for row in rows)
    out().print(f"{'':<{width}}       users      words", style="bold")
    for row in rows:
        users, words = (f"{n:,}" if n is not None else "" for n in (row["users"], row["words"]))
        here = "here" if row["available"] else ""
        out().print(f"{row['name']:<{width}} {here:<4} {users:>6} {words:>10}  {row['source']}")
    out().print("\nnot here yet:  nwp corpus get NAME    (NLTK's are fetched when they are used)")


def get(
    name: Annotated[str, typer.Argument(help="ubuntu_irc, ami or shakespeare.")],
    archive: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The published archive, if it is here already."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rebuild a corpus from its published source, to a stated checksum.

    Example:  nwp corpus get ubuntu_irc

    The text does not come with nwp: it is fetched from those who published it, and made into the
    same messages in the same order everywhere, so that figures can be compared.
    """
    from nwp.corpus.known import home
    from nwp.corpus.published import PUBLISHED
    from nwp.corpus.published import get as rebuild

    with _fetching(name) as progress:
        path = rebuild(name, home(), archive=archive, progress=progress)
    corpus = PUBLISHED[name]
    found = {
        "name": name,
        "file": str(path),
        "users": corpus.users,
        "messages": corpus.messages,
        "words": corpus.words,
        "sha256": corpus.sha256,
        "licence": corpus.licence,
    }
    if as_json:
        print_json(found)
        return
    out().print(
        f"{path}: {corpus.messages:,} messages, {corpus.words:,} words of {corpus.users:,} users\n"
        f"{corpus.source}; {corpus.licence}\n"
        f"next:  nwp corpus show {name}    nwp train {name}"
    )


def formats(as_json: Json = False) -> None:
    """The formats that nwp reads, in the order in which they are tried.

    Example:  nwp corpus formats
    """
    from nwp.corpus.readers import readers

    rows = [{"name": reader.name, "about": reader.about} for reader in readers()]
    if as_json:
        print_json({"formats": rows})
        return
    for row in rows:
        out().print(f"{row['name']:<10} {row['about']}")


@contextmanager
def _fetching(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how much of an archive has come, on a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), DownloadColumn())
    if not err().is_terminal:
        told: list[int] = []

        def tell(have: int, whole: int | None) -> None:
            if have >= (told[-1] if told else 0) + (16 << 20):
                told.append(have)
                err().print(f"fetching {name}: {megabytes(have)}")

        yield tell
        return
    with Progress(*columns, console=err()) as live:
        task = live.add_task(f"fetching {name}", total=None)
        yield lambda have, whole: live.update(task, completed=have, total=whole)
