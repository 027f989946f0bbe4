"""`nwp evaluate`."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nwp.cli.options.common import Corpus, Json
from nwp.cli.options.computing import Device, EngineName, Processes, RayAddress, Workers
from nwp.cli.options.evaluating import Split, With
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import err, figure, out, percent, print_json
from nwp.cli.reading import read_corpus

if TYPE_CHECKING:
    from nwp.tasks.evaluate import Evaluation

# A table must fit into 80 columns.
_TITLES = {
    "unigram": "unigram",
    "trigram_kn": "trigram",
    "local_only": "alone",
    "untrained": "start",
    "central": "central",
    "personal": "tuned",
}

_MEANINGS = {
    "unigram": "word counts of everybody's pooled text (central, not federated)",
    "trigram_kn": "a Kneser-Ney model of the pooled text",
    "local_only": "each user's own model",
    "untrained": "before the first round",
    "central": "the same LSTM, trained on the pooled text",
    "personal": "this model, tuned by each user for themselves",
}
_FILES = "Files"

_AnyModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="PATH",
        help="The bundle, otherwise the one that ships; or a model of others: "
        "model.arpa, or a folder of Hugging Face's library.",
    ),
]


def evaluate(
    corpus: Corpus,
    model: _AnyModel = None,
    split: Split = "test",
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Also word counts, a trigram and each user's own model; the first two pool all text.",
        ),
    ] = False,
    beside: With = "",
    users: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these users, with commas between.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            rich_help_panel=_FILES,
            help="One page with everything, plots, too.",
        ),
    ] = None,
    examples: Annotated[
        int,
        typer.Option(
            min=0,
            rich_help_panel=_FILES,
            help="Places of the text in the page; 0 shows none of it.",
        ),
    ] = 12,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", rich_help_panel=_FILES, help="Each plot as PNG and SVG."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_FILES, help="A line a user.")
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=_FILES, help="The same, with nwp[tables]."),
    ] = None,
    workers: Workers = 0,
    processes: Processes = 0,
    engine: EngineName = "auto",
    ray_address: RayAddress = "",
    device: Device = "cpu",
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Perplexity and hits per user: the text stays on workers, only counts come back.

    Example:  nwp evaluate sample --baselines --report report.html
    """
    from nwp.cli.progress import own_models
    from nwp.corpus.split import named_users, only
    from nwp.errors import BadSettings
    from nwp.evaluation.baselines import USUAL
    from nwp.model.bundle import default_bundle
    from nwp.tasks.evaluate import EvaluateOptions, evaluate_bundle
    from nwp.tasks.reporting import Files, write_files

    files = Files(report, plots, csv, parquet)
    files.check()
    options = EvaluateOptions(
        part=split,
        workers=workers,
        baselines=tuple(dict.fromkeys([*(USUAL if baselines else ()), *names_in(beside)])),
        examples=examples if report else 0,
        processes=processes,
        engine=engine,
        ray_address=ray_address,
        device=device,
    )
    found = read_corpus(corpus, form, columns, dates, me, skip_bad_lines=skip_bad_lines)
    if users is not None:
        names = named_users(found, users)
        if not names:
            raise BadSettings("--users names nobody", "Give names with commas between.")
        found = only(found, names)
    with own_models() as watch:
        evaluation = evaluate_bundle(found, model or default_bundle(), options, watch)
    payload = evaluation.as_json()
    payload["about"]["command"] = "nwp " + shlex.join(sys.argv[1:])
    payload["about"]["date"] = datetime.now().astimezone().isoformat(timespec="seconds")
    for path in write_files(payload, files):
        err().print(f"written: {path}")
    if as_json:
        print_json(payload)
    else:
        print_table(evaluation)


def names_in(given: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(name.strip() for name in given.split(",") if name.strip())


def print_table(evaluation: Evaluation) -> None:
    """Users by perplexity, then everybody, then the baselines."""
    from rich.table import Table

    found = evaluation.as_json()
    baselines: dict[str, Any] = found.get("baselines", {})
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("user", overflow="ellipsis", no_wrap=True)
    titles = ("words", "unknown", "perpl.", "top-1", "top-3", *(_TITLES[n] for n in baselines))
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows_by_perplexity(evaluation):
        table.add_row(row["user"], *_cells(row), *(figure(row[name]) for name in baselines))
    table.add_section()
    everybody = [figure(b["perplexity"]) for b in baselines.values()]
    table.add_row("all", *_cells(found["summary"]), *everybody, style="bold")
    out().print(table)
    if evaluation.withheld:
        out().print(f"rows of {evaluation.withheld} users are withheld by their owners")
    if baselines:
        lines = " ".join(f"{_TITLES[name]}: {_MEANINGS[name]}." for name in baselines)
        out().print(
            f"The last columns are perplexities of others on the same words. {lines}",
            soft_wrap=False,
        )
    if without := found.get("without_ngrams"):
        names = ", ".join(_TITLES[name] for name in without)
        out().print(f"Without n-grams, which this model has: {names}.", soft_wrap=False)


def rows_by_perplexity(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Users' metrics with their baselines' perplexities, best first, those without words last."""
    from nwp.evaluation.counts import metrics

    rows = []
    for user, counts in evaluation.users.items():
        others = {
            name: metrics(users[user])["perplexity"] for name, users in evaluation.baselines.items()
        }
        rows.append({"user": user, **metrics(counts), **others})
    return sorted(rows, key=lambda r: (r["perplexity"] is None, r["perplexity"], r["user"]))


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['tokens']:,}",
        percent(row["oov_rate"]),
        figure(row["perplexity"]),
        percent(row["top1"]),
        percent(row["top3"]),
    ]
