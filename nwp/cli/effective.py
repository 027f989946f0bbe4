"""What each option's value is without a flag, and where that comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from nwp.cli.settings import files, read
from nwp.errors import BadSettings


class Setting(NamedTuple):
    """A value, and "default", an environment variable's name or a file."""

    value: Any
    source: str


def effective(root: Any, given: Path | None) -> dict[str, dict[str, Setting]]:
    """Command to option to setting, for all options that settings may set.

    BadSettings when a file names a command or an option that does not exist.
    """
    commands = {
        name: command
        for name, command in root.command.commands.items()
        if not hasattr(command, "commands")
    }
    from_files = [(path, read(path)) for path in files(given)]
    for path, tables in from_files:
        _check(path, tables, commands)
    return {
        name: {
            option.name: _setting(name, option, from_files)
            for option in command.params
            if option.param_type_name == "option" and option.name not in ("help", "as_json")
        }
        for name, command in commands.items()
    }


def _setting(command: str, option: Any, from_files: list[tuple[Path, dict[str, Any]]]) -> Setting:
    variable = f"NWP_{command}_{option.name}".upper()
    if variable in os.environ:
        return Setting(os.environ[variable], variable)
    for path, tables in reversed(from_files):
        if option.name in tables.get(command, {}):
            return Setting(tables[command][option.name], str(path))
    default = option.default
    return Setting(str(default) if isinstance(default, Path) else default, "default")


def _check(path: Path, tables: dict[str, Any], commands: dict[str, Any]) -> None:
    for table, keys in tables.items():
        if table not in commands:
            raise BadSettings(f"{path}: no command {table!r}", f"There are {', '.join(commands)}.")
        known = {p.name for p in commands[table].params}
        for key in keys:
            if key not in known:
                raise BadSettings(
                    f"{path}: `nwp {table}` has no option {key!r}",
                    f"`nwp {table} --help` lists them; - is written _ here.",
                )
