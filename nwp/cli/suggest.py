"""`nwp suggest` and `nwp prompt`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nwp.cli.options.common import Json, Model
from nwp.cli.options.suggesting import Beside, Exact
from nwp.cli.output import percent, print_json

if TYPE_CHECKING:
    from nwp.suggest.session import Suggests


def suggest(
    text: Annotated[str | None, typer.Argument(help="What has been typed so far.")] = None,
    k: Annotated[int, typer.Option("-k", help="Suggestions at most.")] = 3,
    model: Model = None,
    beside: Beside = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="One context a line in, one JSON object a line out.")
    ] = False,
    personal: Annotated[
        bool, typer.Option("--personal", help="Use what your own typing has taught, too.")
    ] = False,
    exact: Exact = False,
    as_json: Json = False,
) -> None:
    """Suggest how a text goes on: the next word, or the rest of a half-typed one.

    One slip of the finger is forgiven: "see yuo" has "you" among its suggestions.

    Example:  nwp suggest "see you tom"      nwp suggest "how are " -k 5

    Example:  nwp suggest "ich habe " --beside my-german-model
    """
    from nwp.model.threads import one_thread

    one_thread()  # before anything imports numpy
    from nwp.errors import BadInput
    from nwp.model.bundle import default_bundle
    from nwp.personal import require
    from nwp.suggest.languages import open_suggester

    if (text is None) != stdin:
        raise BadInput(
            "give a text, or --stdin" if text is None else "give a text or --stdin, not both",
            'For example:  nwp suggest "see you "',
        )
    plain = open_suggester(model or default_bundle(), beside, exact=exact)
    suggester: Suggests = require(plain) if personal else plain

    def found(context: str) -> dict[str, Any]:
        try:
            context.encode()
        except UnicodeEncodeError as error:
            raise BadInput(f"not UTF-8: {context[:80]!a}", "Give the text in UTF-8.") from error
        words = suggester.suggest(context, k)
        rows = [{"word": s.word, "probability": s.probability} for s in words]
        return {"context": context, "suggestions": rows}

    if stdin:
        if isinstance(sys.stdin, io.TextIOWrapper):  # a line that is no UTF-8 fails on its own
            sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
        if k < 1:
            suggester.suggest("", k)  # refuses
        for line in sys.stdin:
            try:
                answer = found(line.removesuffix("\n").removesuffix("\r"))
            except BadInput as error:
                said = {"kind": error.kind, "message": error.message, "hint": error.hint}
                answer = {"error": said}
            print(json.dumps(answer, ensure_ascii=False), flush=True)
    elif as_json:
        print_json(found(text or ""))
    else:
        for row in found(text or "")["suggestions"]:
            print(
                f"{row['word']:<20} {percent(row['probability']):>7}"
            )  # rich takes longer than all else


def prompt(
    model: Model = None,
    beside: Beside = None,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep what is typed here; else nowhere.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines instead of a drawn prompt, as for TERM=dumb.")
    ] = False,
    exact: Exact = False,
) -> None:
    """Type with suggestions: the best one in grey, three to pick from below it.

    Example:  nwp prompt --model my-model      nwp prompt --beside my-german-model
    """
    from nwp.model.threads import one_thread

    one_thread()  # before anything imports numpy
    from nwp.files import shipped
    from nwp.model.bundle import default_bundle
    from nwp.personal import load
    from nwp.suggest.languages import open_suggester
    from nwp.suggest.prompt import run_prompt
    from nwp.suggest.session import Models, find_models

    def opened(folder: Path) -> Suggests:
        plain_one = open_suggester(folder, beside, exact=exact)
        return load(plain_one) or plain_one

    folder = model or default_bundle()
    suggester = opened(folder)
    models = Models(find_models(folder, Path(), shipped("models")), opened)
    name = folder.resolve().name
    run_prompt(suggester, models=models, name=name, history=history, plain=plain)
