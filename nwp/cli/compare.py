"""`nwp compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nwp.cli.evaluate import names_in
from nwp.cli.options.common import Corpus, Json
from nwp.cli.options.computing import EngineName, Processes, RayAddress, Workers
from nwp.cli.options.evaluating import Split, With
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import figure, out, percent, print_json
from nwp.cli.reading import read_corpus

if TYPE_CHECKING:
    from nwp.tasks.compare import Compared

_TITLES = {
    "nats_per_word": "nats a word",
    "bits_per_character": "bits a character",
    "top1": "top-1",
    "top3": "top-3",
}


def compare(
    corpus: Corpus,
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Bundles, and models of others (see nwp evaluate); otherwise the bundle that ships.",
        ),
    ] = None,
    beside: With = "",
    split: Split = "test",
    workers: Workers = 0,
    processes: Processes = 0,
    engine: EngineName = "auto",
    ray_address: RayAddress = "",
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Which model is better, for how many users, and whether that is more than chance.

    Every user is compared with themselves; intervals come from drawing users anew.

    Example:  nwp compare sample mine --with trigram_kn,personal
    """
    from nwp.cli.progress import own_models
    from nwp.model.bundle import default_bundle
    from nwp.tasks.compare import compare_models
    from nwp.tasks.evaluate import EvaluateOptions

    options = EvaluateOptions(
        part=split,
        workers=workers,
        baselines=names_in(beside),
        processes=processes,
        engine=engine,
        ray_address=ray_address,
    )
    found = read_corpus(corpus, form, columns, dates, me, skip_bad_lines=skip_bad_lines)
    with own_models() as watch:
        compared = compare_models(found, models or [default_bundle()], options, watch)
    if as_json:
        print_json(compared.as_json())
    else:
        print_comparison(compared)


def print_comparison(compared: Compared) -> None:
    """Models by figure, with intervals, then each held against the first."""
    from rich.table import Table

    found = compared.as_json()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("model", overflow="ellipsis", no_wrap=True)
    for title in ("perpl.", "95 %", "top-1", "top-3", "bits/char.", "worst tenth"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found["models"]:
        low_high = row["intervals"].get("perplexity")
        between = f"{figure(low_high[0])} - {figure(low_high[1])}" if low_high else "-"
        bits = row["bits_per_character"]
        table.add_row(
            row["model"],
            figure(row["perplexity"]),
            between,
            percent(row["top1"]),
            percent(row["top3"]),
            "-" if bits is None else f"{bits:.2f}",
            figure(row["over_users"]["perplexity"]["worst_tenth"]),
        )
    out().print(table)
    for pair in found["pairs"]:
        out().print(_sentence(pair), soft_wrap=False)
    if without := found.get("without_ngrams"):
        names = ", ".join(without)
        first = found["models"][0]["model"]
        out().print(f"Without n-grams, which {first} has: {names}.", soft_wrap=False)


def _sentence(pair: dict[str, Any]) -> str:
    """For how many users the second is better, and what chance has to do with it."""
    by = pair["by_user"][pair["measure"]]
    pooled = pair["pooled"].get("top3")
    line = (
        f"{pair['second']} against {pair['first']}, by {_TITLES[pair['measure']]}: better for "
        f"{percent(by['gain'])} of {by['users']} users, worse for {percent(by['lose'])} "
        f"(p = {by['p']:.2g})"
    )
    if pooled:
        low_high = pooled["interval"]
        line += f"; top-3 {100 * pooled['difference']:+.1f} points"
        if low_high:
            line += f" ({100 * low_high[0]:+.1f} to {100 * low_high[1]:+.1f})"
    return line + "."
