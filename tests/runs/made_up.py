"""A run that nobody has trained, for those that are told of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nwp.federated.state import RoundReport
from nwp.runs.trackers import About


def round_of(number: int, **changes: Any) -> RoundReport:
    """Odd rounds are not validated; each validation is better than the last."""
    valid = {"perplexity": 100 / number, "top1": number / 100, "top3": number / 50, "tokens": 7}
    report: dict[str, Any] = {
        "number": number,
        "loss": 5 - number / 10,
        "words": 1000 + number,
        "users": 4,
        "bytes_down": 10_000 * number,
        "bytes_up": 9_000 * number,
        "seconds": 0.25 * number,
        "valid": None if number % 2 else valid,
        "kept": not number % 2,
    }
    return RoundReport(**report | changes)


def rounds(last: int) -> tuple[RoundReport, ...]:
    return tuple(map(round_of, range(1, last + 1)))


def about(out: Path | str = "/models/m", fingerprint: str = "f" * 64, **changes: Any) -> About:
    told: dict[str, Any] = {
        "out": Path(out),
        "fingerprint": fingerprint,
        "corpus": "letters.jsonl",
        "command": "nwp train letters.jsonl --out DIR",
        "settings": {"rounds": 8, "local.batch": 16, "base": None, "tied": True},
        "versions": {"nwp": "0.1.0", "torch": "2.13"},
        "plan": "a" * 64,
        "words": "b" * 64,
        "vocabulary": 500,
        "parameters": 12_345,
        "workers": 2,
        "users": 6,
        "rounds": 8,
    }
    return About(**told | changes)
