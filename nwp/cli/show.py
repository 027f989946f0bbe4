"""`nwp corpus show` and `nwp corpus sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nwp.cli.options.common import Corpus, Json, Model, ReplaceFile
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import out, print_json
from nwp.cli.profile import plain, print_profile
from nwp.cli.reading import read_options
from nwp.errors import BadSettings
from nwp.wording import many


def show(
    corpus: Corpus,
    user: Annotated[str, typer.Option(metavar="NAME", help="Tell this user's typical words.")] = "",
    model: Model = None,
    vocabulary: Annotated[
        int, typer.Option(min=1, help="Words of a vocabulary made of the corpus itself.")
    ] = 10_000,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """What is in a corpus: sizes, languages, unknown and typical words, repeats, what was left out.

    Example:  nwp corpus show sample --user nadia
    """
    from nwp.tasks.showing import show_corpus

    found = show_corpus(
        corpus,
        user=user,
        model=model,
        vocabulary=vocabulary,
        skip_bad_lines=skip_bad_lines,
        form=form,
        options=read_options(columns, dates, me),
    )
    if as_json:
        print_json(found)
    else:
        print_profile(found)


def sample(
    corpus: Corpus,
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, help="Messages; with --out: of each user at most. Default: 10."),
    ] = None,
    user: Annotated[str, typer.Option(metavar="NAME", help="Of this user alone.")] = "",
    users: Annotated[
        int, typer.Option(min=0, help="With --out: of so many random users; 0: of all.")
    ] = 0,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.jsonl.gz",
            envvar="NWP_CORPUS_SAMPLE_OUT",
            help="Write a smaller corpus instead of printing.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides what is drawn.")] = 0,
    force: ReplaceFile = False,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Print random messages, or write a smaller corpus of random users.

    Examples:  nwp corpus sample sample -n 5
               nwp corpus sample sample --users 8 --out small.jsonl.gz

    With --out users keep all their messages, or with -n so many at most, drawn at random.
    """
    from nwp.tasks.showing import sample_messages, write_sample

    options = read_options(columns, dates, me)
    if out_file is not None:
        written = write_sample(
            corpus,
            out_file,
            users=users,
            each=n or 0,
            user=user,
            seed=seed,
            force=force,
            skip_bad_lines=skip_bad_lines,
            form=form,
            options=options,
        )
        if as_json:
            print_json(written)
        else:
            out().print(
                f"{out_file}: {many(written['messages'], 'message')} of "
                f"{many(written['users'], 'user')}"
            )
        return
    if users or force:
        raise BadSettings(
            f"{'--users' if users else '--force'} is for writing a smaller corpus",
            "Name the file with --out, or leave it out to print messages.",
        )
    found = sample_messages(
        corpus,
        n or 10,
        user=user,
        seed=seed,
        skip_bad_lines=skip_bad_lines,
        form=form,
        options=options,
    )
    if as_json:
        rows = [
            {"user": m.user, "text": m.text, "time": m.time and m.time.isoformat()} for m in found
        ]
        print_json({"messages": rows})
        return
    for message in found:
        out().print(f"{plain(message.user)}: {plain(message.text)}".replace("\n", "\n    "))
