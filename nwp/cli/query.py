"""`nwp query`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from nwp.cli.idle import of_query, refuse_idle
from nwp.cli.options import querying
from nwp.cli.options.common import Corpus, Json
from nwp.cli.options.computing import EngineName, Processes, RayAddress, Workers
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import figure, out, percent, print_json
from nwp.cli.reading import read_corpus

if TYPE_CHECKING:
    from nwp.tasks.query import Answer


def query(
    context: typer.Context,
    corpus: Corpus,
    what: querying.What,
    model: querying.OfModel = None,
    split: querying.Split = "",
    top: querying.Top = 20,
    k: querying.SharedBy = 3,
    min_users: querying.MinUsers = 3,
    min_workers: querying.MinWorkers = 2,
    epsilon: querying.Epsilon = 0.0,
    per_user: querying.PerUser = 0,
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
    """Ask all workers for one figure: only the sum over workers is told, and never over few users.

    Example:  nwp query sample lengths      nwp query sample size --epsilon 1 --per-user 100
    """
    from nwp.tasks.query import QueryOptions, plan_query, query_corpus

    options = QueryOptions(
        what=what,
        part=split,
        model=model,
        min_users=min_users,
        min_workers=min_workers,
        k=k,
        epsilon=epsilon,
        per_user=per_user,
        workers=workers,
        processes=processes,
        engine=engine,
        ray_address=ray_address,
    )
    asked = plan_query(options)
    refuse_idle(context, of_query(what))
    found = read_corpus(corpus, form, columns, dates, me, skip_bad_lines=skip_bad_lines)
    answer = query_corpus(found, options, *asked)
    tell(answer, top, as_json=as_json)


def tell(answer: Answer, top: int, *, as_json: bool) -> None:
    """The figures, `top` words at most."""
    found = answer.as_json(top)
    if as_json:
        print_json(found)
    else:
        _print(found, answer)


def _print(found: dict[str, Any], answer: Answer) -> None:
    """The figures as a table, then what they are a sum of and who is not in it."""
    from rich.table import Table

    result, error = found["result"], found["result"].get("error", {})
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    titles, rows = _ROWS[found["query"]](result, error)
    table.show_header = bool(titles)
    for place, title in enumerate(titles or ("", "")):
        table.add_column(title, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    out().print(table)
    for line in _about(found, answer):
        out().print(line, soft_wrap=False)


def _about(found: dict[str, Any], answer: Answer) -> list[str]:
    """What the figures are a sum of, what is not told, and who refused."""
    plan, users = (
        answer.plan,
        _number(found["users"], found["result"].get("error", {}).get("users")),
    )
    lines = [
        f"A sum over {found['workers']} workers with {users} users, {plan.min_users} or more on each; "
        f"part: {plan.part}."
    ]
    if plan.epsilon:
        lines.append(
            f"Noise hides each user in this answer (epsilon {plan.epsilon:g}); ± is twice its standard "
            f"deviation. A user counts for at most {plan.per_user:,} messages and {plan.per_user:,} "
            "words. More queries add up."
        )
    elif plan.what in ("lengths", "unknown"):
        lines.append(
            f"Left out: what fewer than {plan.min_users} users of a worker have there, and (-) what fewer "
            f"than {answer.shown_by} workers tell."
        )
    elif plan.what == "words":
        lines.append(
            f"{found['result']['shared']:,} words in all, each told by {answer.shown_by} workers or "
            f"more; {found['result']['withheld']:,} others are not. A worker tells words that {plan.k} "
            "of its users wrote."
        )
        if listed := found["result"]["listed"]:
            lines.append(
                f"{listed} workers have fewer users, and told words of the public list that "
                f"{plan.min_users} of theirs wrote."
            )
    lines += [f"{worker} is not in it: {why}" for worker, why in found["refused"].items()]
    return lines


def _number(count: int | None, error: float | None = None) -> str:
    if count is None:
        return "-"
    return f"{count:,}" if error is None else f"{count:,} ± {error:,.0f}"


_Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


def _size(result: dict[str, Any], error: dict[str, float]) -> _Rows:
    return (), [(n, _number(result[n], error.get(n))) for n in ("messages", "words")]


def _lengths(result: dict[str, Any], error: dict[str, float]) -> _Rows:
    bins = result["bins"]
    total = sum(max(one["messages"] or 0, 0) for one in bins)
    rows: list[tuple[str, ...]] = []
    for one in bins:
        low, high, count = one["from"], one["to"], one["messages"]
        words = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        share = percent(max(count, 0) / total if count is not None and total else None)
        rows.append((words, _number(count, error.get("messages")), share))
    return ("words", "messages", "share"), rows


def _words(result: dict[str, Any], error: dict[str, float]) -> _Rows:
    return ("word", "count"), [(one["word"], _number(one["count"])) for one in result["words"]]


def _unknown(result: dict[str, Any], error: dict[str, float]) -> _Rows:
    rate = _with_range(percent, result["rate"], result.get("between"))
    counts = [(n, _number(result[n], error.get(n))) for n in ("words", "unknown")]
    return (), [("rate", rate), *counts]


def _perplexity(result: dict[str, Any], error: dict[str, float]) -> _Rows:
    shown = _with_range(figure, result["perplexity"], result.get("between"))
    return (), [
        ("perplexity", shown),
        ("known words", _number(result["words"], error.get("words"))),
    ]


def _with_range(
    shown: Callable[[float | None], str], value: float | None, between: list[float | None] | None
) -> str:
    return shown(value) + (f" ({shown(between[0])} to {shown(between[1])})" if between else "")


_ROWS = {
    "size": _size,
    "lengths": _lengths,
    "words": _words,
    "unknown": _unknown,
    "perplexity": _perplexity,
}
