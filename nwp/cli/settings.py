"""Settings from TOML: the user's file, then the project's, or one given with --config.

A table is a command, a key one of its long options with _ for -: `[train]` `rounds = 40`. They
become the options' defaults; environment variables (NWP_TRAIN_ROUNDS) and flags go before them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nwp.errors import BadSettings

PROJECT_FILE = "nwp.toml"


def user_file() -> Path:
    """The user's own settings, in the XDG place."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "nwp" / "config.toml"


def files(given: Path | None) -> list[Path]:
    """The files that count, later ones before earlier ones."""
    if given is not None:
        if not given.is_file():
            raise BadSettings(f"no settings file {given}", "Check the path given with --config.")
        return [given]
    return [path for path in (user_file(), Path(PROJECT_FILE)) if path.is_file()]


def read(path: Path) -> dict[str, dict[str, Any]]:
    """One file as tables of keys; BadSettings names what is wrong in it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadSettings(f"{path} is no TOML: {error}", "Mend or remove it.") from error
    for table, keys in content.items():
        if not isinstance(keys, dict):
            raise BadSettings(
                f"{path}: {table!r} stands outside a table",
                "Keys belong under the command that they are for, like [train].",
            )
    return content


def options_of(command: Any) -> dict[str, Any]:
    """A command's options by their keys in a settings file: the long name, _ for -."""
    keys = {
        max(option.opts, key=len).lstrip("-").replace("-", "_"): option
        for option in command.params
        if option.param_type_name == "option"
    }
    return {key: option for key, option in keys.items() if key not in ("help", "json")}


def check_keys(path: Path, table: str, keys: Iterable[str], known: Mapping[str, Any]) -> None:
    """BadSettings when a table of a file has a key that is none of its command's."""
    import difflib

    for key in keys:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3) or sorted(known)
            raise BadSettings(
                f"{path}: `nwp {table}` has no option {key!r}",
                f"There {'is' if len(close) == 1 else 'are'} {', '.join(close)}.",
            )
