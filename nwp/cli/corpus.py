"""`nwp corpus`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nwp.cli import fetch, show, splits
from nwp.cli.options.common import Json, ReplaceFile
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import out, print_json
from nwp.cli.reading import read_options

app = typer.Typer(help="Corpora: reading, knowing, splitting them.", no_args_is_help=True)
app.command("list")(fetch.list_corpora)
app.command("get")(fetch.get)
app.command("formats")(fetch.formats)
app.command("show")(show.show)
app.command("sample")(show.sample)
app.command("split")(splits.split)
app.command("verify")(splits.verify)

_PEOPLE = "People and privacy"


@app.command("import")
def import_corpus(
    source: Annotated[
        str, typer.Argument(help="An export (a file, a folder or an archive), or a known name.")
    ],
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.jsonl.gz",
            envvar="NWP_CORPUS_IMPORT_OUT",
            help="What to write; without it, the source's name with .jsonl.gz, in this folder.",
        ),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add to the file; a message it has is not added twice.")
    ] = False,
    force: ReplaceFile = False,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    only_me: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_PEOPLE,
            help="Keep this author's messages, leave out all others':  --only-me Ann",
        ),
    ] = "",
    merge: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_PEOPLE,
            help='Names of one person, as JSON or TOML {"Ann": ["Ann W.", "ann99"]}:  --merge us.json',
        ),
    ] = None,
    pseudonyms: Annotated[
        Path | None,
        typer.Option(
            metavar="KEYFILE",
            rich_help_panel=_PEOPLE,
            help=(
                "Other names for all users, by a key that is made if need be: keep it to yourself. "
                "In texts, @names and the authors' full names of two words or more become @; single "
                "first names stay:  --pseudonyms my.key"
            ),
        ),
    ] = None,
    mask: Annotated[
        str,
        typer.Option(
            metavar="KINDS",
            rich_help_panel=_PEOPLE,
            help="Of email, phone, url, number, card, handle, or all:  --mask email,phone",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Bring messages into the one form that every command reads: JSON lines, gzipped.

    Example:  nwp corpus import "WhatsApp Chat.zip" --only-me Ann --mask all --out mine.jsonl.gz
    """
    from nwp.cli.importing import default_out, reading, tell
    from nwp.corpus.door.masking import read_kinds
    from nwp.tasks.importing import import_messages

    options = read_options(columns, dates, me)
    kinds = read_kinds(mask) if mask else ()
    target = out_file or default_out(source)
    with reading() as progress:
        found = import_messages(
            source,
            target,
            append=append,
            force=force,
            skip_bad_lines=skip_bad_lines,
            form=form,
            options=options,
            mask=kinds,
            pseudonyms=pseudonyms,
            only_me=only_me,
            merge=merge,
            progress=progress,
        )
    if as_json:
        print_json(found)
        return
    tell(found, source, target, named=not (only_me or pseudonyms))


@app.command("remove")
def remove(
    corpus: Annotated[Path, typer.Argument(help="A file of nwp's JSON lines.", metavar="FILE")],
    user: Annotated[
        list[str], typer.Option(metavar="NAME", help="Whom to forget; may be given several times.")
    ],
    as_json: Json = False,
) -> None:
    """Take users out of a corpus file, for good: a later import into it leaves them out.

    Beside the file, FILE.forgotten.json remembers whom, by salted digests instead of names. Models
    that were trained before still know what they learnt.

    Example:  nwp corpus remove mine.jsonl.gz --user "Ann W."
    """
    from nwp.tasks.forgetting import remove_users

    found = remove_users(corpus, user)
    if as_json:
        print_json(found)
        return
    for what in ("removed", "left"):
        count = found[what]
        out().print(
            f"{what}: {count['users']:,} users, {count['messages']:,} messages, "
            f"{count['words']:,} words"
        )
    if "stale" in found:
        out().print(f"{found['stale']} has the checksum of the file before: it no longer holds")
