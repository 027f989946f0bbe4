"""`nwp config`."""

from __future__ import annotations

import json
from typing import Any

import typer

from nwp.cli.options.common import Json
from nwp.cli.output import out, print_json

app = typer.Typer(help="Settings, and where each comes from.", no_args_is_help=True)


@app.command("show")
def show(context: typer.Context, as_json: Json = False) -> None:
    """Every setting of every command: its value now, and whether a file or the environment sets it.

    What it prints is a settings file.

    Example:  NWP_TRAIN_ROUNDS=40 nwp config show
    """
    from nwp.cli.effective import effective
    from nwp.cli.settings import PROJECT_FILE, user_file

    root: Any = context.find_root()
    given = root.params["config_file"]
    found = {
        command: {key: (_plain(value), source) for key, (value, source) in settings.items()}
        for command, settings in effective(root, given).items()
    }
    if as_json:
        print_json(
            {
                command: {key: {"value": v, "source": s} for key, (v, s) in settings.items()}
                for command, settings in found.items()
            }
        )
        return
    for command, settings in found.items():
        out().print(f"[{command}]")
        for key, (value, source) in settings.items():
            # A string, number or list of strings is the same in JSON and in TOML.
            line = f"# {key} =" if value is None else f"{key} = {json.dumps(value)}"
            out().print(line + ("" if source == "default" else f"   # {source}"))
        out().print()
    used = [given] if given else [user_file(), PROJECT_FILE]
    out().print(f"# files: {', then '.join(map(str, used))}")


def _plain(value: Any) -> Any:
    """As JSON can say it: a path is its name."""
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
