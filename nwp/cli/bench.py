"""`nwp bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nwp.cli.options.common import Json, Seed
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import err, out, percent, print_json
from nwp.cli.reading import read_corpus

if TYPE_CHECKING:
    from rich.table import Table

    from nwp.tasks.bench_found import Benchmark, Part, Trained

_WORKLOAD, _MODEL = "Workload", "Model"
# What the parts of a split are called for people.
_PARTS = {
    "products": "matrix products over all words",
    "recurrence": "matrix products, position by position",
    "softmax": "softmax and loss",
    "elementwise": "gates and sums, number by number",
    "weights": "changing and copying weights",
    "copies": "other copies, and getting memory",
    "other": "operators that have no name here",
    "python": "Python and dispatch",
    "elsewhere": "other programs had the core",
    "between": "handing over and adding up",
    "waiting": "waiting for the last process",
}


def bench(
    corpus: Annotated[
        str, typer.Argument(help="Measure on this corpus; else on made-up users, always the same.")
    ] = "",
    preset: Annotated[
        str, typer.Option(metavar="standard|small|many", help="Sizes of workload and model.")
    ] = "standard",
    precision: Annotated[
        str, typer.Option(metavar="fp32|bf16|both", help="Of products; sums stay fp32.")
    ] = "both",
    processes: Annotated[
        int, typer.Option(min=0, help="Processes to measure and train in; 0: one a core.")
    ] = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds, after one to warm up.")] = 3,
    seed: Seed = 1,
    users: Annotated[
        int,
        typer.Option(
            min=0,
            rich_help_panel=_WORKLOAD,
            help="How many; of a corpus at most (0: a twentieth, but 8 or more).",
        ),
    ] = 0,
    messages: Annotated[
        int,
        typer.Option(
            min=0, rich_help_panel=_WORKLOAD, help="Of a user, on average; of a corpus at most."
        ),
    ] = 0,
    vocabulary: Annotated[
        int, typer.Option(min=0, rich_help_panel=_MODEL, help="Ids that can be read.")
    ] = 0,
    embedding: Annotated[int, typer.Option(min=0, rich_help_panel=_MODEL)] = 0,
    hidden: Annotated[int, typer.Option(min=0, rich_help_panel=_MODEL)] = 0,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, rich_help_panel=_MODEL)] = 0.0,
    batch: Annotated[
        int, typer.Option(min=1, rich_help_panel=_WORKLOAD, help="Messages a step.")
    ] = 16,
    clip_norm: Annotated[
        float,
        typer.Option(
            min=0, rich_help_panel=_WORKLOAD, help="L2 bound of a step's gradient; 0: none."
        ),
    ] = 0.0,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """How fast this machine trains, which share of its peak that is, and where the rest goes.

    Example:  nwp bench --preset small --rounds 5

    Sizes that are not given, or 0, are the preset's: 50 users who write 72 messages each and the
    model of the Stack Overflow task (standard), the same users and a smaller model (small), or
    1,000 users of 5 messages (many). Of a corpus, only sizes are told.
    """
    from nwp.tasks.bench import BenchOptions
    from nwp.tasks.bench import bench as measure

    options = BenchOptions(
        preset=preset,
        users=users,
        messages=messages,
        vocabulary=vocabulary,
        embedding=embedding,
        hidden=hidden,
        batch=batch,
        clip_norm=clip_norm,
        dropout=dropout,
        precision=precision,
        processes=processes,
        rounds=rounds,
        seed=seed,
    )
    found = None
    if corpus:
        found = read_corpus(corpus, form, columns, dates, me, skip_bad_lines=skip_bad_lines)
    measured = measure(options, found, lambda text: err().print(text))
    if as_json:
        print_json(measured.as_json())
    else:
        print_report(measured)


def print_report(found: Benchmark) -> None:
    """Machine, workload, rounds, and where the time goes."""
    machine, size, model = found.hardware, found.size, found.model
    out().print(
        f"{machine.cpu}: {machine.cores} cores, {' '.join(machine.instructions)}\n"
        f"torch {machine.torch}; {found.processes} processes with one thread each "
        f"(torch alone would use {machine.threads}); load {machine.load:.2f} before\n"
        f"{found.name}: {size.users:,} users, {size.messages:,} messages, {size.words:,} words, "
        f"{size.steps:,} steps a round; {model.parameters:,} weights\n"
    )
    out().print(rates(found))
    out().print()
    out().print(speeds(found))
    for trained in found.trained:
        out().print()
        out().print(split(trained))
    for warning in found.warnings:
        err().print(f"take care: {warning}")


def rates(found: Benchmark) -> Table:
    """What the machine can do: one process, all at once."""
    table = _table("the machine's best", "one process", "all at once", "")
    for trained in found.trained:
        peak = trained.peak
        shape = f"{peak.shape.rows} x {peak.shape.inner} x {peak.shape.columns}"
        table.add_row(
            f"matrix products, {trained.precision}",
            f"{peak.one:,.0f} GFLOP/s",
            f"{peak.together:,.0f} GFLOP/s",
            f"{shape}, {peak.way}",
        )
    copies = found.copies
    table.add_row("copying memory", f"{copies.one:,.1f} GB/s", f"{copies.together:,.1f} GB/s", "")
    return table


def speeds(found: Benchmark) -> Table:
    """What training reaches, a row a precision."""
    table = _table(
        *("a round", "seconds", "from - to", "words/s", "steps/s", "GFLOP", "GFLOP/s", "of peak")
    )
    for trained in found.trained:
        times = [t.seconds for t in trained.times]
        table.add_row(
            trained.precision,
            f"{trained.seconds:.2f}",
            f"{min(times):.2f} - {max(times):.2f}",
            f"{trained.size.words / trained.seconds:,.0f}",
            f"{trained.size.steps / trained.seconds:,.1f}",
            f"{trained.products.total / 1e9:,.1f}",
            f"{trained.gflops:,.0f}",
            percent(trained.share_of_peak),
        )
    return table


def split(trained: Trained) -> Table:
    """Where the time of all processes goes, with a sum of 100 %."""
    table = _table(f"where it goes, {trained.precision}", "time", "GFLOP/s", "of peak")
    parts = trained.split()
    for part in parts:
        table.add_row(_PARTS[part.name], f"{part.thousandths / 10:.1f}%", *_speed(trained, part))
    table.add_section()
    whole = sum(part.thousandths for part in parts) / 10
    table.add_row("all", f"{whole:.1f}%", f"{trained.gflops:,.0f}", percent(trained.share_of_peak))
    profile = trained.profile
    table.caption = (
        f"profiled on {profile.words:,} words of {profile.users:,} users, which took "
        f"{percent(max(profile.overhead, 0.0))} longer; that is taken off"
    )
    if profile.unknown:
        table.caption += f"\nno name here: {', '.join(profile.unknown[:5])}"
    return table


def _speed(trained: Trained, part: Part) -> tuple[str, str]:
    rate = trained.part_gflops(part)
    return ("", "") if rate is None else (f"{rate:,.0f}", percent(rate / trained.peak.together))


def _table(first: str, *titles: str) -> Table:
    from rich.table import Table

    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
        caption_justify="left",
    )
    table.add_column(first, no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table
