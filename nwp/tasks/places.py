"""Where a new bundle may be written, and writing it there whole or not at all."""

from __future__ import annotations

from pathlib import Path

from nwp.errors import BadInput
from nwp.files import told, write_folder
from nwp.model.bundle import SETTINGS, Bundle, save_bundle

_FOR_ITS_OWNER = 0o700


def check_place(out: Path, *sources: Path, force: bool) -> None:
    """May a bundle that is made of those in `sources` be written to `out`? Only another bundle may have
    to go for it, with `force`. BadInput says what is in the way."""
    for path in (out, *out.absolute().parents):
        if path.exists() and not path.is_dir():
            raise BadInput(f"{path} is a file", "Give --out a folder.")
    there = list(out.iterdir()) if out.exists() else []
    if not there:
        return
    if out.resolve() in [source.resolve() for source in sources]:
        raise BadInput(
            f"{out} is the bundle to begin from", "Give another --out: it stays as it is."
        )
    if SETTINGS not in {path.name for path in there} or any(path.is_dir() for path in there):
        raise BadInput(
            f"{out} already holds something, and not a bundle alone",
            "Give --out a folder that is new or empty.",
        )
    if not force:
        raise BadInput(
            f"{out} already holds a bundle", "Replace it with --force, or give another --out."
        )


def put_bundle(bundle: Bundle, out: Path, *, private: bool = False) -> None:
    """Write a bundle to the folder `out`, whose content goes; `private`: for its owner alone to read.

    NwpError when the disk is full or may not be written; then, or stopped, `out` is as it was.
    """
    mode = _FOR_ITS_OWNER if private else None
    with told("the model is ready, but can't be written", "then give the same command again."):
        write_folder(out, lambda folder: save_bundle(bundle, folder), mode)
