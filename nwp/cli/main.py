"""The command `nwp`: its groups, its settings, and the one place where errors become exit codes."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from nwp import __version__
from nwp.cli.commands import Commands
from nwp.cli.effective import default_map
from nwp.errors import BadSettings, Interrupted, NwpError
from nwp.files import reason, remedy

app = typer.Typer(
    name="nwp",
    cls=Commands,
    help=(
        "Next-word prediction learnt from many people's messages, without moving them.\n\n"
        "Start with:  nwp demo      then:  nwp suggest 'see you'   nwp prompt"
    ),
    no_args_is_help=True,
    context_settings={"auto_envvar_prefix": "NWP", "help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nwp {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings to use instead of the usual files."
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version.")
    ] = False,
) -> None:
    """Read the settings; flags and environment variables go before them."""
    try:
        context.default_map = default_map(context, config_file)
    except BadSettings:
        if not set(context.obj or ()) & set(
            context.help_option_names
        ):  # what to mend is in the help
            raise


def run() -> None:
    """Entry point: run the command and turn what it raises into an exit code."""
    try:
        code = execute(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone (`nwp … | head`): nothing to say, nobody to hear
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def execute(arguments: list[str]) -> int:
    """Run one command line; returns the exit code."""
    as_json = "--json" in arguments
    try:
        code: Any = app(arguments, standalone_mode=False, prog_name="nwp", obj=arguments)
    except NwpError as error:
        return _fail(error.kind, error.message, error.hint, error.exit_code, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(Interrupted.kind, "stopped", "", Interrupted.exit_code, as_json)
    except TyperException as error:  # a usage error: unknown option, missing argument
        if not error.format_message():
            return 2  # no argument at all: the help has been shown
        hint = "See `nwp --help`, or --help after the command."
        return _fail("usage", error.format_message(), hint, 2, as_json)
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, a folder that may not be written
        hint = f"{remedy(error)}, then try again." if remedy(error) else ""
        return _fail("failed", reason(error), hint, 1, as_json)
    except Exception as error:
        if not as_json:
            raise
        traceback.print_exc()
        return _fail("internal", repr(error), "This is a defect of nwp: please report it.", 1, True)
    if code == Interrupted.exit_code:  # typer's own word for Ctrl-C
        return _fail(Interrupted.kind, "stopped", "", code, as_json)
    return code if isinstance(code, int) else 0


def _fail(kind: str, message: str, hint: str, code: int, as_json: bool) -> int:
    """Report an error: JSON on standard output when asked for, else words on standard error."""
    if as_json:
        print(json.dumps({"error": {"kind": kind, "message": message, "hint": hint}}))
    else:
        print(f"nwp: {message}", file=sys.stderr)
        if hint:
            print(f"     {hint}", file=sys.stderr)
    return code
