"""What each option's value is without a flag, and where that comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nwp.cli.recipes import recipe_of
from nwp.cli.settings import check_keys, files, options_of, read
from nwp.errors import BadSettings

# (its path, command to key to value)
_File = tuple[Path, dict[str, dict[str, Any]]]


class Setting(NamedTuple):
    """A value, and "default", an environment variable's name or a file."""

    value: Any
    source: str


def default_map(root: Any, given: Path | None) -> dict[str, dict[str, Any]]:
    """Command to parameter to value, from all files that count.

    BadSettings when a file names a command or an option that does not exist.
    """
    merged: dict[str, dict[str, Any]] = {}
    for path, tables in _read(root, given):
        for table, keys in tables.items():
            known = _options(path, table, root)
            merged.setdefault(table, {}).update({known[k].name: v for k, v in keys.items()})
    return merged


def effective(root: Any, given: Path | None) -> dict[str, dict[str, Setting]]:
    """Command to option to setting, for all options that settings may set.

    BadSettings when a file names a command or an option that does not exist.
    """
    found = _read(root, given)
    return {
        name: _settings(root, name, options_of(command), found)
        for name, command in _commands(root).items()
    }


def _settings(
    root: Any, command: str, options: Mapping[str, Any], found: list[_File]
) -> dict[str, Setting]:
    """A command's options by key, each with its setting; a recipe's stand behind all others."""
    told = {key: _told(root, command, key, option, found) for key, option in options.items()}
    recipe = told.get("recipe")
    behind = recipe_of(recipe.value, options) if recipe else {}
    return {
        key: told[key]
        or (
            Setting(behind[key], f"recipe {recipe.value}")
            if recipe and key in behind
            else Setting(option.default, "default")
        )
        for key, option in options.items()
    }


def _told(root: Any, command: str, key: str, option: Any, found: list[_File]) -> Setting | None:
    """What the environment or a file says of an option."""
    variable = option.envvar or f"NWP_{command}_{option.name}".upper()
    if given := os.environ.get(variable):
        words = given.split() if option.multiple else given
        return Setting(option.process_value(root, words), variable)
    for path, tables in reversed(found):
        if key in tables.get(command, {}):
            return Setting(tables[command][key], str(path))
    return None


def _commands(root: Any) -> dict[str, Any]:
    """The commands that settings are for, by name; those in groups have none."""
    commands = root.command.commands
    return {name: c for name, c in commands.items() if not _is_group(c)}


def _is_group(command: Any) -> bool:
    return hasattr(command, "commands")


def _read(root: Any, given: Path | None) -> list[_File]:
    found = [(path, read(path)) for path in files(given)]
    for path, tables in found:
        for table, keys in tables.items():
            check_keys(path, table, keys, _options(path, table, root))
    return found


def _options(path: Path, table: str, root: Any) -> dict[str, Any]:
    """A table's command's options by key; no other command is built (`nwp.cli.commands`)."""
    commands = root.command.commands
    if table not in commands or _is_group(commands[table]):
        raise BadSettings(
            f"{path}: no command {table!r}", f"There are {', '.join(_commands(root))}."
        )
    return options_of(commands[table])
