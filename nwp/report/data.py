"""What page and plots read of an evaluation, a plain dict as `nwp evaluate --json` prints it.

Any part may be missing, None or empty, and any figure None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

Payload = Mapping[str, Any]


class Open(dict[str, Any]):
    """A dict in which what is missing is None, for templates."""

    def __missing__(self, key: str) -> None:
        return None


FEW = 50  # figures of users with fewer words are mostly chance

# What baselines are called for people, in the order in which they are told.
BASELINES = {
    "trigram_kn": "Trigram of all text",
    "unigram": "Word counts of all text",
    "local_only": "Each user’s own model",
    "untrained": "Untrained model",
    "central": "The same model, trained centrally",
    "personal": "This model, tuned by each user",
}


def clean(value: Any) -> Any:
    """The same data, fit to be written: no NaN, no infinity, no half characters, nothing unprintable.

    A lone surrogate can't be written as UTF-8, and control characters have no place in HTML.
    """
    if isinstance(value, str):
        return "".join("�" if _unfit(c) else c for c in value)
    if isinstance(value, Mapping):
        return Open((clean(str(key)), clean(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def part(payload: Payload, *names: str) -> Mapping[str, Any]:
    """The mapping at the end of a path of keys; empty where there is none."""
    found: Any = payload
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else Open()


def rows(payload: Payload, *names: str) -> list[Mapping[str, Any]]:
    """The list of mappings at the end of a path of keys; empty where there is none."""
    found = part(payload, *names[:-1]).get(names[-1])
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def counted(payload: Payload, *keys: str) -> list[tuple[float, ...]]:
    """These figures of each user who has all of them."""
    every = [tuple(user.get(key) for key in keys) for user in rows(payload, "users")]
    return [tuple(float(v) for v in row if v is not None) for row in every if None not in row]


def over_users(payload: Payload, figure: str) -> dict[str, float]:
    """Deciles and the like of a figure over users, as far as there are any."""
    found = part(payload, "over_users", figure)
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def noise(payload: Payload) -> tuple[bool, float | None]:
    """Whether figures over users come from a noisy histogram, and the epsilon of its noise."""
    for found in (part(payload, "over_users"), part(payload, "over_users", "perplexity")):
        if found.get("noisy"):
            return True, found.get("epsilon")
    return False, None


def number_of_users(payload: Payload) -> int:
    """All of them, with those whose rows are withheld."""
    return len(rows(payload, "users")) + int(payload.get("users_withheld") or 0)


def baselines(payload: Payload) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names for people and figures of baselines; those that `BASELINES` does not know come last."""
    found = part(payload, "baselines")
    for name in [*BASELINES, *(n for n in found if n not in BASELINES)]:
        if isinstance(found.get(name), Mapping) and found[name].get("perplexity") is not None:
            yield BASELINES.get(name, name.replace("_", " ")), found[name]


def _unfit(character: str) -> bool:
    code = ord(character)
    control = (code < 32 and character not in "\t\n\r") or 127 <= code < 160
    return control or 0xD800 <= code < 0xE000 or code & 0xFFFE == 0xFFFE
