"""`nwp personalize`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from nwp.cli.options.common import Corpus, Json, Model, ReplaceBundle
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import err, figure, out, percent, print_json
from nwp.cli.reading import read_corpus
from nwp.errors import Interrupted


def personalize(
    corpus: Corpus,
    out_folder: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", envvar="NWP_PERSONALIZE_OUT", help="Where your bundle goes."
        ),
    ],
    model: Model = None,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Who you are, where CORPUS has several users.")
    ] = "",
    passes: Annotated[
        int, typer.Option(min=1, help="Over your messages, at most, at each learning rate.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="Decides the order of messages, and dropout.")] = 0,
    force: ReplaceBundle = False,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a copy of a bundle on your own messages, on this machine.

    Example:  nwp personalize my-chat.zip --user Kajsa --out my-own

    The first eight tenths of your messages are trained on. The ninth decides at which learning rate
    and for how many passes; where nothing does better on it, no bundle is written. The last tenth
    tells what it is worth.

    Words that the bundle doesn't know stay unknown: `nwp personal on` learns those.

    Don't give the new bundle away: phrases of your messages can be drawn out of its weights.
    """
    from nwp.cli.progress import fine_tuning
    from nwp.model.bundle import default_bundle
    from nwp.tasks.personalize import PersonalizeOptions
    from nwp.tasks.personalize import personalize as run

    options = PersonalizeOptions(user, passes, seed)
    found = read_corpus(corpus, form, columns, dates, me, skip_bad_lines=skip_bad_lines)
    try:
        with fine_tuning() as watch:
            result = run(
                found, model or default_bundle(), out_folder, options, force=force, watch=watch
            )
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped before it was done: nothing is written", "Give the same command again."
        ) from None
    if as_json:
        print_json(result)
    else:
        _tell(result, out_folder)


def _tell(result: dict[str, Any], folder: Path) -> None:
    """What it came to, and what to do with it."""
    if not result["passes"]:
        out().print(
            f"nothing that was tried does better on {result['user']}'s valid messages than the "
            f"bundle as it is: nothing is written.\nGo on with {result['model']}; more messages may "
            "help."
        )
        return
    chosen = "" if result["chosen"] else " (too few messages to choose by: a careful default)"
    out().print(
        f"{result['model']}: {result['words']:,} words of {result['user']}'s, {result['passes']} "
        f"pass(es) at learning rate {result['learning_rate']:g}{chosen}, in {result['seconds']} s"
    )
    for part in ("valid", "test"):
        before, after = result[part]["before"], result[part]["after"]
        if not after["tokens"]:
            out().print(f"{part}: no words")
            continue
        out().print(
            f"{part} perplexity {figure(before['perplexity'])} → {figure(after['perplexity'])}, "
            f"top-1 {percent(before['top1'])} → {percent(after['top1'])}, "
            f"top-3 {percent(before['top3'])} → {percent(after['top3'])}"
        )
    err().print("Keep it to yourself: phrases of your messages can be drawn out of its weights.")
    prompt = shlex.join(["nwp", "prompt", "--model", str(folder)])
    out().print(f"next:  {prompt}    nwp personal on  (learns new words, too)")
