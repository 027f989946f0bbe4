"""`nwp corpus`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nwp.cli.output import out, print_json
from nwp.cli.train import Json, SkipBad

app = typer.Typer(help="Corpora: what is known, and reading others.", no_args_is_help=True)


@app.command("list")
def list_corpora(as_json: Json = False) -> None:
    """The corpora that nwp knows by name.

    Example:  nwp corpus list
    """
    from nwp.corpus.load import known_corpora

    rows = [
        {
            "name": known.name,
            "users": known.users,
            "words": known.words,
            "source": known.source,
            "available": known.path.exists(),
        }
        for known in known_corpora().values()
    ]
    if as_json:
        print_json({"corpora": rows})
        return
    for row in rows:
        out().print(
            f"{row['name']:<12} {row['users']:>6} users {row['words']:>10,} words  {row['source']}"
        )


@app.command("import")
def import_corpus(
    source: Annotated[str, typer.Argument(help="A file, a folder of text files, or a known name.")],
    out_file: Annotated[
        Path, typer.Option("--out", metavar="FILE.jsonl.gz", help="What to write.")
    ],
    append: Annotated[
        bool, typer.Option("--append", help="Add to the file; a message it has is not added twice.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Bring messages into the one form that every command reads: JSON lines, gzipped.

    Example:  nwp corpus import my-notes/ --out mine.jsonl.gz
    """
    from nwp.tasks.importing import import_messages

    found = import_messages(
        source, out_file, append=append, force=force, skip_bad_lines=skip_bad_lines
    )
    if as_json:
        print_json(found)
        return
    out().print(
        f"{out_file}: {found['messages']:,} messages, {found['words']:,} words of "
        f"{found['users']:,} users, read as {found['format']}"
    )
    for reason, count in found["skipped"].items():
        out().print(f"left out: {count} x {reason}")
