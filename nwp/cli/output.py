"""Printing: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from nwp.corpus.types import Corpus


@functools.cache
def out() -> Console:
    """The console for results. No markup: names and texts may hold brackets."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)


@functools.cache
def err() -> Console:
    """The console for progress and notes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def print_json(found: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(found, ensure_ascii=False))


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.1f} MB"


def moved(result: Mapping[str, Any]) -> str:
    """What a training has sent both ways, and what it has not."""
    return (
        f"moved: {megabytes(result['bytes_down'])} of weights down, "
        f"{megabytes(result['bytes_up'])} of updates and counts up, no message"
    )


def percent(share: float | None) -> str:
    """A rate for people."""
    return "-" if share is None else f"{100 * share:.1f}%"


def figure(value: float | None) -> str:
    """A perplexity for people."""
    return "-" if value is None else f"{value:,.1f}"


def tell_of(corpus: Corpus) -> None:
    """Say what reading a corpus has left out or read otherwise, and what can't be learnt of it."""
    from nwp.text.scripts import warn_of_scripts

    tell_reading(err(), corpus.skipped, corpus.remarks)
    for warning in warn_of_scripts(corpus.users):
        err().print(warning)


def tell_without_ngrams(folder: Path) -> None:
    """Say that a new bundle has none of the n-grams of what it was made of, and how to make its own."""
    again = shlex.join(["nwp", "model", "ngrams", "CORPUS", "--model", str(folder), "--out", "DIR"])
    err().print(
        "n-grams are left out: how much they count was learnt beside other weights. New ones, of a "
        "corpus you have:\n"
        f"  {again}"
    )


def tell_reading(console: Console, skipped: Mapping[str, int], remarks: Mapping[str, int]) -> None:
    """What reading has left out, or kept otherwise than it stands, with reasons."""
    for reason, count in skipped.items():
        console.print(f"left out: {count:,} x {reason}")
    for reason, count in remarks.items():
        console.print(f"read otherwise: {count:,} x {reason}")
