"""`nwp corpus split` and `nwp corpus verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nwp.cli.options.common import Corpus, Json, Seed
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import out, print_json
from nwp.cli.reading import read_options

_WHO, _HOW = "Which messages", "New users"


def split(
    corpus: Corpus,
    name: Annotated[str, typer.Option(help="What the split is called: a corpus of that name.")],
    by: Annotated[
        str,
        typer.Option(
            metavar="WAY",
            rich_help_panel=_HOW,
            help="natural: users as they are. Else new users: iid: all messages shuffled; topic: "
            "each with its own topics; likeness: each from people who write alike; quantity: of "
            "unequal size.",
        ),
    ] = "natural",
    users: Annotated[int, typer.Option(min=0, rich_help_panel=_HOW, help="How many.")] = 0,
    alpha: Annotated[
        float,
        typer.Option(rich_help_panel=_HOW, help="Of the Dirichlet: the smaller, the less alike."),
    ] = 1.0,
    topics: Annotated[
        int, typer.Option(min=2, rich_help_panel=_HOW, help="Topics, or groups of people.")
    ] = 10,
    merge: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_WHO,
            help='People under several names: {"Anna": ["Anna W.", "anna99"]}, JSON or TOML.',
        ),
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            metavar="DATE", rich_help_panel=_WHO, help="Later messages go into NAME.later."
        ),
    ] = "",
    cap: Annotated[
        int, typer.Option(min=0, rich_help_panel=_WHO, help="Of each user the first N messages.")
    ] = 0,
    min_words: Annotated[
        int, typer.Option(min=0, rich_help_panel=_WHO, help="Leave out users with fewer.")
    ] = 0,
    max_words: Annotated[
        int, typer.Option(min=0, rich_help_panel=_WHO, help="Leave out users with more.")
    ] = 0,
    held_out: Annotated[
        str,
        typer.Option(
            metavar="SHARE|NAMES", rich_help_panel=_WHO, help="Users that go into NAME.held-out."
        ),
    ] = "",
    seed: Seed = 0,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Where it goes (else nwp's own folder)."),
    ] = None,
    repeat: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json", help="Take the recipe of this manifest; all must be equal."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a split of that name.")] = False,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Split a corpus in a way that has a name and can be repeated.

    Example:  nwp corpus split sample --name uneven --by quantity --users 20 --alpha 0.5

    What comes out is a corpus that the other commands know by its name, and a manifest with the
    recipe, the seed and checksums beside it.
    """
    from nwp.corpus.door.merging import invert, read_merge
    from nwp.corpus.known import home
    from nwp.corpus.splits.recipe import Recipe
    from nwp.tasks.splitting import repeat_split, split_corpus

    place = to or home()
    how: dict[str, Any] = {"force": force, "skip_bad_lines": skip_bad_lines, "form": form}
    options = read_options(columns, dates, me)
    if repeat is not None:
        made = repeat_split(repeat, corpus, place, name, options=options, **how)
    else:
        recipe = Recipe(
            by=by,
            users=users,
            alpha=alpha,
            topics=topics,
            seed=seed,
            until=until,
            held_out=held_out,
            min_words=min_words,
            max_words=max_words,
            cap_messages=cap,
            merge=invert(read_merge(merge)) if merge else {},
        )
        made = split_corpus(corpus, name, place, recipe, options=options, **how)
    if as_json:
        print_json(made)
        return
    for part, entry in made["parts"].items():
        out().print(
            f"{part}: {entry['users']:,} users, {entry['messages']:,} messages, "
            f"{entry['words']:,} words  ({place / entry['file']})"
        )
    for reason, count in made["left_out"].items():
        if count:
            out().print(f"left out: {count} x {reason}")
    _figures(made)
    out().print(f"next:  nwp train {name if to is None else place / f'{name}.jsonl.gz'}")


def verify(
    name: Annotated[str, typer.Argument(help="A split's name, or its manifest.")],
    as_json: Json = False,
) -> None:
    """Do the files of a split still have the checksums of its manifest?

    Example:  nwp corpus verify uneven
    """
    from nwp.corpus.known import home
    from nwp.errors import BadCorpus
    from nwp.tasks.splitting import verify_split

    path = Path(name)
    found = verify_split(path if path.suffix == ".json" else home() / f"{name}.json")
    if as_json:
        print_json(found)
        raise typer.Exit(0 if found["holds"] else BadCorpus.exit_code)
    for part, entry in found["parts"].items():
        out().print(f"{part}: {'as it was' if entry['holds'] else 'CHANGED OR MISSING'}")
    if not found["holds"]:
        raise BadCorpus(f"{name} is not what its manifest says", "Make it again with --repeat.")


def _figures(made: dict[str, Any]) -> None:
    """How unlike the users are, where it was reckoned."""
    if (divergence := made.get("divergence")) is not None:
        out().print(f"mean Jensen-Shannon divergence from the whole: {divergence:.3f} nats")
