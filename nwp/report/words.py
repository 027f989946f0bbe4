"""The sentences of the page that depend on its figures; those that do not stand in `page.html`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nwp.report.data import (
    FEW,
    Payload,
    baselines,
    counted,
    number_of_users,
    over_users,
    part,
    rows,
)
from nwp.wording import many

_LARGE = 1e12


def percent(share: float | None, digits: int = 1) -> str:
    """A rate for people."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def number(value: float | None, digits: int = 0) -> str:
    """A number for people; one that nobody could read, in powers of ten."""
    if value is None:
        return "–"
    return f"{value:,.{digits}f}" if abs(value) < _LARGE else f"{value:.1e}"


def size(count: float | None) -> str:
    """Bytes for people."""
    if count is None:
        return "–"
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:,.1f} {unit}"
    return f"{count:,.0f} bytes"


def duration(seconds: float | None) -> str:
    """A span of time for people."""
    if seconds is None:
        return "–"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def headline(payload: Payload) -> str:
    """One sentence: for how many users, how well, and for the worst tenth of them."""
    summary, users = part(payload, "summary"), number_of_users(payload)
    if not summary.get("tokens") or summary.get("top3") is None:
        return "There were no words to count."
    found = (
        f"The model found {_of_hundred(summary['top3'])} of every 100 words within three guesses"
    )
    whom = f" for {many(users, 'user')}" if users else ""
    if (worst := over_users(payload, "top3").get("worst_tenth")) is not None and users > 1:
        return f"{found}{whom}, and {_of_hundred(worst)} for the tenth it serves worst."
    return f"{found}{whom}."


def lede(payload: Payload) -> list[str]:
    """What the headline leaves out, in sentences."""
    summary = part(payload, "summary")
    found = []
    if (perplexity := summary.get("perplexity")) is not None:
        found.append(
            "At each word of its vocabulary it was as unsure as if it had to choose among "
            f"{number(perplexity, 0 if perplexity >= 100 else 1)} equally likely ones."
        )
    deciles = over_users(payload, "perplexity")
    if {"p10", "p50", "p90"} <= set(deciles):
        low, middle, high = (number(deciles[f"p{q}"], 1) for q in (10, 50, 90))
        found.append(
            f"For the median user perplexity is {middle}; a tenth of all users has less than {low}, "
            f"another tenth more than {high}."
        )
    if beaten := _beaten(payload):
        found.append(beaten)
    return found


def of_hundred(payload: Payload) -> list[tuple[str, str, int]]:
    """What became of every 100 words: class, name and whole number; they add up to 100."""
    summary = part(payload, "summary")
    top1, top3 = summary.get("top1"), summary.get("top3")
    if top1 is None or top3 is None or not summary.get("tokens"):
        return []
    unknown = min(max(summary.get("oov_rate") or 0.0, 0.0), 1 - top3)
    shares = [top1, top3 - top1, 1 - top3 - unknown, unknown]
    whole = [math.floor(100 * share + 1e-9) for share in shares]
    # What rounding down has left goes to the largest remainders.
    order = sorted(range(4), key=lambda i: whole[i] - 100 * shares[i])
    for i in order[: 100 - sum(whole)]:
        whole[i] += 1
    names = ("first guess", "second or third", "further down", "not in the vocabulary")
    kinds = ("first", "third", "later", "unknown")
    return list(zip(kinds, names, whole, strict=True))


def describe(payload: Payload) -> dict[str, str]:
    """What each plot shows, in a sentence or two, for those who can't see it."""
    found = {"learning": _learning(payload), "calibration": _calibration(payload)}
    deciles = over_users(payload, "perplexity")
    if {"p10", "p50", "p90"} <= set(deciles):
        low, middle, high = (number(deciles[f"p{q}"], 1) for q in (10, 50, 90))
        found["distribution"] = f"First decile {low}, median {middle}, last decile {high}."
    dots = counted(payload, "tokens", "perplexity")
    if dots:
        few = sum(words < FEW for words, _ in dots)
        found["scatter"] = f"{many(len(dots), 'user')}, {few:,} of them with under {FEW} words."
    for by in ("position", "frequency", "length"):
        found[by] = "Among three guesses: " + "; ".join(
            f"{row.get('slice')} {percent(row['top3'], 0)}"
            for row in rows(payload, "slices", by)
            if row.get("top3") is not None
        )
    model = part(payload, "summary").get("perplexity")
    others = "; ".join(f"{name} {number(b['perplexity'], 1)}" for name, b in baselines(payload))
    found["baselines"] = f"Perplexity of this model {number(model, 1)}; {others}."
    return found


def traffic(payload: Payload) -> dict[str, Any]:
    """Bytes, words and seconds of all rounds; empty where no round says."""
    curve = rows(payload, "curve")
    sums = {
        key: sum(row[key] for row in curve if row.get(key) is not None)
        for key in ("bytes_down", "bytes_up", "words", "seconds")
        if any(row.get(key) is not None for row in curve)
    }
    moved = sums.get("bytes_down", 0) + sums.get("bytes_up", 0)
    return {**sums, "moved": moved, "rounds": len(curve)} if moved else {}


def setting(value: Any) -> str:
    """A setting's value for people."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {setting(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(setting, value)) or "none"
    return str(value)


def _of_hundred(share: float) -> str:
    return f"{100 * share:.0f}" if share == 0 or share >= 0.095 else f"{100 * share:.1f}"


def _beaten(payload: Payload) -> str:
    """Which baselines the pooled perplexity is better and worse than."""
    model = part(payload, "summary").get("perplexity")
    if model is None:
        return ""
    named = {
        "Trigram of all text": "a trigram of everybody’s pooled text",
        "Word counts of all text": "word counts",
        "Each user’s own model": "each user’s own model",
        "Untrained model": "the untrained model",
        "The same model, trained centrally": "the same model trained centrally",
        "This model, tuned by each user": "the model once each user has tuned it",
    }
    better: list[str] = []
    worse: list[str] = []
    for name, found in baselines(payload):
        (better if model < found["perplexity"] else worse).append(named.get(name, name))
    told = [f"better than {_listed(better)}"] if better else []
    told += [f"no better than {_listed(worse)}"] if worse else []
    return f"By perplexity it is {' and '.join(told)}." if told else ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _learning(payload: Payload) -> str:
    valid = [
        (row.get("round"), row["valid"]["perplexity"])
        for row in rows(payload, "curve")
        if row.get("valid") and row["valid"].get("perplexity") is not None
    ]
    if not valid:
        return ""
    (first, start), (last, end) = valid[0], valid[-1]
    return (
        f"Valid perplexity falls from {number(start, 1)} in round {first} to "
        f"{number(end, 1)} in round {last}."
        if end < start
        else f"Valid perplexity is {number(start, 1)} in round {first} and {number(end, 1)} in round {last}."
    )


def _calibration(payload: Payload) -> str:
    error = part(payload, "calibration").get("error")
    return "" if error is None else f"Expected calibration error {percent(error)}."
