"""One person under several names: a file that says which names are whose.

JSON `{"Anna": ["Anna W.", "+49 170 1234567"]}`, or TOML `Anna = ["Anna W.", "+49 170 1234567"]`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nwp.corpus.lines import clean_name
from nwp.errors import BadSettings

_FORM = 'It holds the name to keep and the others:  {"Anna": ["Anna W.", "anna99"]}'


def read_merge(path: Path) -> dict[str, str]:
    """Other name to the name to keep, of a file of JSON or (".toml") TOML.

    BadSettings when it can't be read, a name belongs to two, or a name to keep is given up
    elsewhere.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        toml = path.suffix.lower() == ".toml"
        found = tomllib.loads(text) if toml else json.loads(text, object_pairs_hook=_once)
    except OSError as error:
        raise BadSettings(f"cannot read {path}: {error.strerror}", _FORM) from error
    except (ValueError, RecursionError) as error:
        raise BadSettings(f"{path} can't be read: {error}", _FORM) from error
    if not isinstance(found, dict) or not all(map(_are_names, found.values())):
        raise BadSettings(f"{path} is no table of lists of names", _FORM)
    return merge_of(found, str(path))


def merge_of(names: Mapping[str, list[str]], place: str) -> dict[str, str]:
    """Other name to the name to keep, of the names to keep with their others; see `read_merge`."""
    merge: dict[str, str] = {}
    for kept, others in names.items():
        new = clean_name(kept)
        for old in map(clean_name, others):
            if not new or not old:
                raise BadSettings(f"{place}: a name is empty", _FORM)
            if merge.get(old, new) != new:
                raise BadSettings(
                    f"{place}: {old!r} belongs to {merge[old]!r} and to {new!r}", "Leave one."
                )
            if old != new:
                merge[old] = new
    for old, new in merge.items():
        if new in merge:
            raise BadSettings(
                f"{place}: {old!r} becomes {new!r}, which becomes {merge[new]!r}",
                f"Write all names of one person beside {merge[new]!r}.",
            )
    return merge


def invert(merge: Mapping[str, str]) -> dict[str, list[str]]:
    """The name to keep to all others that become it."""
    found: dict[str, list[str]] = {}
    for old, new in merge.items():
        found.setdefault(new, []).append(old)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object as a dict; ValueError when a key stands in it twice, of which JSON keeps the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(k for k in keys if keys.count(k) > 1)!r} stands in it twice")
    return found


def _are_names(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)
