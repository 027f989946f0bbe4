"""`nwp evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nwp.cli.output import figure, out, percent, print_json, tell_of
from nwp.cli.reading import Columns, Dates, Form, Me, SkipBad, read_options
from nwp.cli.train import Corpus, EngineName, Json, Processes, RayAddress, Workers

if TYPE_CHECKING:
    from nwp.tasks.evaluate import Evaluation

# A table must fit into 80 columns.
_TITLES = {
    "unigram": "unigram",
    "trigram_kn": "trigram",
    "local_only": "alone",
    "untrained": "start",
}

Model = Annotated[
    Path | None,
    typer.Option("--model", metavar="DIR", help="The bundle; otherwise the one that ships."),
]


def evaluate(
    corpus: Corpus,
    model: Model = None,
    split: Annotated[
        str, typer.Option(help="Part of each user's messages: train, valid, test or all.")
    ] = "test",
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Also word counts, a trigram and each user's own model; the first two pool all text.",
        ),
    ] = False,
    users: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these users, with commas between.")
    ] = None,
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
    """Perplexity and hits per user: the text stays on workers, only counts come back.

    Example:  nwp evaluate sample --baselines
    """
    from nwp.cli.progress import own_models
    from nwp.corpus.load import load_corpus
    from nwp.corpus.split import named_users, only
    from nwp.errors import BadSettings
    from nwp.model.bundle import default_bundle
    from nwp.tasks.evaluate import evaluate_bundle

    found = load_corpus(
        corpus,
        skip_bad_lines=skip_bad_lines,
        form=form,
        options=read_options(columns, dates, me),
    )
    tell_of(found)
    if users is not None:
        names = named_users(found, users)
        if not names:
            raise BadSettings("--users names nobody", "Give names with commas between.")
        found = only(found, names)
    with own_models() as watch:
        evaluation = evaluate_bundle(
            found,
            model or default_bundle(),
            part=split,
            workers=workers,
            baselines=baselines,
            processes=processes,
            engine=engine,
            ray_address=ray_address,
            watch=watch,
        )
    if as_json:
        print_json(evaluation.as_json())
    else:
        print_table(evaluation)


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
        central = " and ".join(_TITLES[name] for name, b in baselines.items() if b["central"])
        out().print(
            "The last columns are perplexities of others on the same words: "
            f"{central} know everybody's pooled text (central, not federated), alone is each "
            "user's own model, start the untrained one.",
            soft_wrap=False,
        )


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
