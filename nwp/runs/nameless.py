"""What is told of a run without users' names, which some options and results hold."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from nwp.runs.trackers import Setting

_NAMING = ("--held-out", "--me")  # options whose value may be users' names


def nameless_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """What training came to, with how many users were held out and workers absent."""
    counted = {name: len(result.get(name) or ()) for name in ("held_out", "absent")}
    return {**result, **counted}


def nameless_settings(settings: Mapping[str, Any]) -> dict[str, Setting]:
    """Nested settings as flat ones by dotted name; users held out by name as their number."""
    return dict(_flat(settings))


def nameless_command(command: str) -> str:
    """A command line without the names that options take; shares and all else stay."""
    kept: list[str] = []
    naming = False
    for word in shlex.split(command):
        name, equals, value = word.partition("=")
        if naming:
            kept.append(_nameless(word))
        else:
            kept.append(f"{name}={_nameless(value)}" if equals and name in _NAMING else word)
        naming = not naming and word in _NAMING
    return shlex.join(kept)


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Setting]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif name == "held_out" and _nameless(value) != value:
            users = set(filter(None, map(str.strip, value.split(","))))
            yield f"{before}{name}", f"{len(users)} by name"
        else:
            yield f"{before}{name}", ", ".join(value) if isinstance(value, list | tuple) else value


def _nameless(value: str) -> str:
    """A share as it is."""
    try:
        float(value)
    except ValueError:
        return "NAMES"
    return value
