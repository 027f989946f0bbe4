"""`nwp config`."""

from __future__ import annotations

from typing import Any

import typer

from nwp.cli.output import out, print_json
from nwp.cli.train import Json

app = typer.Typer(help="Settings, and where each comes from.", no_args_is_help=True)


@app.command("show")
def show(context: typer.Context, as_json: Json = False) -> None:
    """Every setting of every command: its value now, and whether a file or the environment sets it.

    Example:  NWP_TRAIN_ROUNDS=40 nwp config show
    """
    from nwp.cli.effective import effective
    from nwp.cli.settings import PROJECT_FILE, user_file

    root: Any = context.find_root()
    found = effective(root, context.find_root().obj)
    if as_json:
        print_json(
            {command: {k: v._asdict() for k, v in o.items()} for command, o in found.items()}
        )
        return
    for command, options in found.items():
        out().print(f"\\[{command}]")
        for name, setting in options.items():
            value = setting.value
            shown = (
                {True: "true", False: "false"}.get(value, value)
                if isinstance(value, bool)
                else value
            )
            note = "" if setting.source == "default" else f"   # {setting.source}"
            line = (
                f"{name} = {shown!r}"
                if isinstance(shown, str) and not isinstance(value, bool)
                else f"{name} = {shown}"
            )
            out().print(("# " if shown is None else "") + line + note, markup=False)
        out().print()
    out().print(f"# files: {user_file()}, then ./{PROJECT_FILE}", markup=False)
