"""`nwp runs`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nwp.cli.options.common import Json
from nwp.cli.output import err, figure, megabytes, out, percent, print_json

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(help="Past trainings: list, show, compare, draw them.", no_args_is_help=True)

_RUN = "A run: its id, how that begins, or its folder"
Wanted = Annotated[str, typer.Argument(metavar="[RUN]", help=f"{_RUN}; else the last one.")]
Several = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help=f"{_RUN}, each.")]


@app.command("list")
def list_runs(as_json: Json = False) -> None:
    """Every recorded run, the last begun first, with its best validation.

    Example:  nwp runs list

    A run is recorded from its first round on, unless `nwp train --no-record`, `record = false` in
    the settings' [train], or NWP_RUNS=off.
    """
    from nwp.tasks.past_runs import FIRST, PastRuns, summary

    found = [summary(run) for run in PastRuns().every()]
    if as_json:
        print_json({"runs": found})
        return
    if not found:
        out().print(f"no run has been recorded yet\n{FIRST}")
        return
    table = _table("id", "began", "state", numbers=("rounds", "perpl.", "top-1", "top-3"))
    table.add_column("corpus", no_wrap=True)
    table.add_column("folder", no_wrap=True)
    for run in found:
        table.add_row(
            *(run["id"], _local(run["began"]), run["state"], f"{run['rounds']}/{run['planned']}"),
            *(figure(run["perplexity"]), percent(run["top1"]), percent(run["top3"])),
            *(run["corpus"], _near(run["out"])),
        )
    _print(table)


@app.command("show")
def show(run: Wanted = "", as_json: Json = False) -> None:
    """What one run was, and what it has come to; the last one, if none is named.

    Example:  nwp runs show my-model
    """
    from nwp.tasks.past_runs import PastRuns

    runs = PastRuns()
    found = runs.details(runs.find(run))
    if as_json:
        print_json(found)
        return
    ended = f"{found['state']} ({found['reason']})" if found["reason"] else found["state"]
    what = {
        "run": f"{found['id']}, {ended}",
        "folder": found["out"],
        "corpus": f"{found['corpus']}, {found['users']:,} users on {found['workers']} workers",
        "time": f"{_local(found['began'])} to {_local(found['updated'])}, "
        f"{found['seconds']:,.0f} s of computing",
        "rounds": f"{found['rounds']} of {found['planned']}",
        "best": _best(found),
        "moved": f"{megabytes(found['bytes_down'])} down, {megabytes(found['bytes_up'])} up",
        "model": f"{found['vocabulary']:,} words, {found['parameters']:,} weights",
        "plan": found["plan"][:12],
        "made with": ", ".join(f"{name} {v}" for name, v in found["versions"].items()),
        "command": found["command"],
    }
    for name, value in what.items():
        out().print(f"{name:<10} {value}")
    out().print()
    for name, value in found["settings"].items():
        out().print(f"{name} = {_plain(value)}")
    validated = [row for row in found["history"] if row["valid_perplexity"] is not None]
    if validated:
        table = _table("round", numbers=("loss", "perpl.", "top-1", "top-3"))
        for row in validated[-10:]:
            valid = (figure(row["valid_perplexity"]), percent(row["valid_top1"]))
            loss = "-" if row["loss"] is None else f"{row['loss']:.3f}"
            table.add_row(str(row["round"]), loss, *valid, percent(row["valid_top3"]))
        out().print()
        _print(table)


@app.command("compare")
def compare(runs: Several = None, as_json: Json = False) -> None:
    """The settings in which runs differ, and their results side by side; * marks the best.

    Example:  nwp runs compare 3fa9c1 my-model
    """
    from nwp.tasks.past_runs import PastRuns, side_by_side

    past = PastRuns()
    found = side_by_side(past.find_all(runs or []))
    if as_json:
        print_json(found)
        return
    table = _table("", *(run["id"] for run in found["runs"]))
    table.add_row("folder", *(_near(run["out"]) for run in found["runs"]))
    table.add_row("state", *(run["state"] for run in found["runs"]))
    for name, values in found["settings"].items():
        table.add_row(name, *map(_plain, values))
    table.add_section()
    for name, result in found["results"].items():
        told = [_result(name, value) for value in result["values"]]
        marked = [text + ("*" if at == result["best"] else "") for at, text in enumerate(told)]
        table.add_row(name.replace("_", " "), *marked)
    _print(table)
    if not found["comparable"]:
        err().print(
            "corpus, users or known words differ: these perplexities and rates do not compare"
        )


@app.command("plot")
def plot(
    runs: Several = None,
    metric: Annotated[
        str, typer.Option(metavar="perplexity|top1|top3|loss|bytes", help="What to draw.")
    ] = "perplexity",
    by: Annotated[
        str, typer.Option(metavar="round|words|bytes|seconds", help="Against what.")
    ] = "round",
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.svg|FILE.png",
            envvar="NWP_RUNS_PLOT_OUT",
            help="Write a picture instead.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw a figure of runs round by round; of the last one, if none is named.

    Example:  nwp runs plot

    Example:  nwp runs plot 3fa9c1 my-model --metric loss --by bytes --out loss.svg
    """
    from nwp.runs.curves import AXES, MARKS, METRICS, draw, save
    from nwp.tasks.past_runs import PastRuns

    past = PastRuns()
    curves = past.curves(past.find_all(runs or []), metric, by)
    if out_file is not None:
        save(curves, out_file, metric, by)
    if as_json:
        named = [{"name": curve.name, "points": curve.points} for curve in curves]
        picture = str(out_file) if out_file else None
        print_json({"metric": metric, "by": by, "curves": named, "file": picture})
        return
    if out_file is not None:
        out().print(f"{out_file}: {METRICS[metric]} of {len(curves)} runs")
        return
    out().print(METRICS[metric])
    for line in draw(curves, out().width):
        out().print(line)
    out().print(f"by {AXES[by]};  " + "  ".join(map(_marked, MARKS, [c.name for c in curves])))


@app.command("forget")
def forget(
    run: Annotated[str, typer.Argument(metavar="RUN", help=f"{_RUN}.")], as_json: Json = False
) -> None:
    """Delete the record of a run. Its folder, and the model in it, stay.

    Example:  nwp runs forget 3fa9c1
    """
    from nwp.tasks.past_runs import PastRuns

    past = PastRuns()
    found = past.find(run)
    past.forget(found)
    if as_json:
        print_json({"forgotten": found.id, "out": str(found.about.out)})
        return
    out().print(f"{found.id} is forgotten; {found.about.out} is as it was")


def _table(*titles: str, numbers: tuple[str, ...] = ()) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=True)
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _print(table: Table) -> None:
    """With nothing cut off, however wide: a path is for copying."""
    from rich.measure import Measurement

    console = out()
    table.width = Measurement.get(console, console.options.update(max_width=1000), table).maximum
    console.print(table)


def _best(found: dict[str, Any]) -> str:
    if found["best_round"] is None:
        return "not validated yet"
    return (
        f"valid perplexity {figure(found['perplexity'])}, top-1 {percent(found['top1'])}, "
        f"top-3 {percent(found['top3'])} in round {found['best_round']}"
    )


def _result(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("top1", "top3"):
        return percent(value)
    if name.startswith("bytes"):
        return megabytes(value)
    return figure(value) if isinstance(value, float) else str(value)


def _plain(value: Any) -> str:
    return "-" if value is None or value == "" else str(value)


def _marked(mark: str, name: str) -> str:
    return f"{mark} {name}"


def _local(moment: str) -> str:
    """A time here, to the minute."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")


def _near(path: str) -> str:
    """A path as one would type it here, where it lies below this folder."""
    here = Path(path)
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else path
