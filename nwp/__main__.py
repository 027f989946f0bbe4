"""`nwp`, and `python -m nwp`: what starts before anything is imported."""

import sys


def run() -> None:
    """Entry point. Ctrl-C while the command itself is still being imported ends it in silence, too."""
    try:
        from nwp.cli.main import run as run_command
    except KeyboardInterrupt:
        sys.exit(130)
    run_command()


if __name__ == "__main__":
    run()
