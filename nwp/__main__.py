"""`python -m nwp`."""

from nwp.cli.main import run

if __name__ == "__main__":
    run()
