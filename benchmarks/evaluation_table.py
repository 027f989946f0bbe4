"""A bundle and its baselines on several corpora under every convention, as Markdown.

    python benchmarks/evaluation_table.py ubuntu_irc ami shakespeare
    python benchmarks/evaluation_table.py mine.jsonl.gz --model mine --with unigram,trigram_kn

Nothing is trained: the bundle is evaluated as it is on the test part of each corpus, over its own
vocabulary; n-grams are fitted on the corpus's train part. Intervals (95 %) are bootstrap intervals
over users.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from nwp.corpus.load import load_corpus
from nwp.evaluation.conventions import conventions_json
from nwp.evaluation.counts import Counts
from nwp.evaluation.over_users import spread
from nwp.model.bundle import default_bundle
from nwp.tasks.evaluate import EvaluateOptions, Evaluation, evaluate_bundle, summed


def main() -> None:
    """Evaluate on each corpus and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", help="files, folders or known names")
    parser.add_argument("--model", type=Path, default=default_bundle())
    parser.add_argument("--with", dest="beside", default="unigram,trigram_kn")
    given = parser.parse_args()
    options = EvaluateOptions(baselines=tuple(n for n in given.beside.split(",") if n))
    columns: dict[tuple[str, str], Counts] = {}
    users: list[list[str]] = []
    for name in given.corpora:
        corpus = load_corpus(name)
        found = evaluate_bundle(corpus, given.model, options)
        called = Path(corpus.name).name.removesuffix(".gz").removesuffix(".jsonl")
        print(f"{called}: {found.about['seconds']} s", file=sys.stderr)
        columns[called, "nwp"] = found.total
        columns |= {(called, n): summed(by) for n, by in found.baselines.items()}
        users.append([called, *over_users(found)])
    print(conventions_table(columns))
    print()
    print(
        markdown(
            [
                "corpus",
                "users",
                "words",
                "top-1",
                "top-3",
                "perplexity",
                "median user",
                "worst tenth",
            ],
            users,
        )
    )


def conventions_table(columns: dict[tuple[str, str], Counts]) -> str:
    """A row a convention, a column a corpus and model."""
    told = {key: conventions_json(counts) for key, counts in columns.items()}
    first = next(iter(told.values()))
    lines = []
    for i, row in enumerate(first):
        values = [shown(row["name"], found[i]["value"]) for found in told.values()]
        lines.append([f"{row['name']} ({row['source']})", *values])
    return markdown(["figure", *(f"{corpus}: {model}" for corpus, model in told)], lines)


def over_users(found: Evaluation) -> list[str]:
    """Pooled figures with intervals, and how the perplexity is spread."""
    payload: dict[str, Any] = found.as_json()
    summary, between = payload["summary"], payload["intervals"]
    spread_of = spread(found.rows)["perplexity"]

    def with_interval(name: str, kind: str) -> str:
        low, high = between[name]
        return f"{shown(kind, summary[name])} ({shown(kind, low)} to {shown(kind, high)})"

    return [
        f"{len(found.users):,}",
        f"{summary['tokens']:,}",
        with_interval("top1", ""),
        with_interval("top3", ""),
        with_interval("perplexity", "perplexity"),
        shown("perplexity", spread_of["p50"]),
        shown("perplexity", spread_of["worst_tenth"]),
    ]


def shown(name: str, value: float | None) -> str:
    """A figure for people: perplexities and bits as they are, the rest in percent."""
    if value is None:
        return ""
    if "perplexity" in name:
        return f"{value:,.0f}"
    return f"{value:.2f}" if "bits" in name else f"{100 * value:.1f} %"


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """A table."""
    rows = [f"| {' | '.join(cells)} |" for cells in (head, *lines)]
    return "\n".join([rows[0], "|---" * len(head) + "|", *rows[1:]])


if __name__ == "__main__":
    main()
