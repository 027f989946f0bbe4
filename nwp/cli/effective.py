"""What each option's value is without a flag, and where that comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nwp.cli.settings import files, read
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
        name: {key: _setting(root, name, key, option, found) for key, option in _keys(command)}
        for name, command in _commands(root).items()
    }


def _setting(root: Any, command: str, key: str, option: Any, found: list[_File]) -> Setting:
    variable = option.envvar or f"NWP_{command}_{option.name}".upper()
    if given := os.environ.get(variable):
        words = given.split() if option.multiple else given
        return Setting(option.process_value(root, words), variable)
    for path, tables in reversed(found):
        if key in tables.get(command, {}):
            return Setting(tables[command][key], str(path))
    return Setting(option.default, "default")


def _commands(root: Any) -> dict[str, Any]:
    """The commands that settings are for, by name; those in groups have none."""
    commands = root.command.commands
    return {name: c for name, c in commands.items() if not _is_group(c)}


def _is_group(command: Any) -> bool:
    return hasattr(command, "commands")


def _keys(command: Any) -> Iterator[tuple[str, Any]]:
    """A command's options by their keys in a settings file: the long name, _ for -."""
    for option in command.params:
        key = max(option.opts, key=len).lstrip("-").replace("-", "_")
        if option.param_type_name == "option" and key not in ("help", "json"):
            yield key, option


def _read(root: Any, given: Path | None) -> list[_File]:
    found = [(path, read(path)) for path in files(given)]
    for path, tables in found:
        for table, keys in tables.items():
            known = _options(path, table, root)
            for key in keys:
                if key not in known:
                    raise BadSettings(
                        f"{path}: `nwp {table}` has no option {key!r}", _similar(key, known)
                    )
    return found


def _options(path: Path, table: str, root: Any) -> dict[str, Any]:
    """A table's command's options by key; no other command is built (`nwp.cli.commands`)."""
    commands = root.command.commands
    if table not in commands or _is_group(commands[table]):
        raise BadSettings(
            f"{path}: no command {table!r}", f"There are {', '.join(_commands(root))}."
        )
    return dict(_keys(commands[table]))


def _similar(key: str, known: dict[str, Any]) -> str:
    import difflib

    close = difflib.get_close_matches(key, known, n=3) or sorted(known)
    return f"There {'is' if len(close) == 1 else 'are'} {', '.join(close)}."
