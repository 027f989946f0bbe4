"""Recipes: settings of `nwp train` that suit one another, under a name, or in a file of one's own.

A recipe is a settings file of which `[train]` counts. It stands behind all else that says something:
flags, environment variables and settings files go before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from nwp.cli.settings import check_keys, options_of, read
from nwp.errors import BadSettings

_FOLDER = Path(__file__).resolve().parent.parent / "recipes"


def names() -> list[str]:
    """The recipes that come with nwp."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def recipe_of(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe sets, by the keys of `options` (`nwp.cli.settings.options_of`).

    BadSettings when there is none of that name, or it sets what there is no option for.
    """
    known = name in names()
    path = _FOLDER / f"{name}.toml" if known else Path(name)
    if not known and not path.is_file():
        raise BadSettings(
            f"no recipe {name!r}", f"There are {', '.join(names())}; or name a settings file."
        )
    tables = read(path)
    if set(tables) != {"train"} or "recipe" in tables["train"]:
        raise BadSettings(
            f"{path}: a recipe has one table, [train], and names no other recipe", "Mend it."
        )
    check_keys(path, "train", tables["train"], options)
    return tables["train"]


def take_recipe(context: typer.Context, name: str | None) -> str | None:
    """Let a recipe tell the defaults of a command's other options, before they are looked at."""
    options = options_of(context.command)
    if name and "recipe" in options:  # `nwp config show` asks what the value is, for no command
        found = {options[key].name: value for key, value in recipe_of(name, options).items()}
        context.default_map = {**found, **(context.default_map or {})}
    return name
