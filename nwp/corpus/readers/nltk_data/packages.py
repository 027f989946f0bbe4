"""Where NLTK's data packages are on this machine, found without loading NLTK (a third of a second)."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

from nwp.errors import BadCorpus

_NAME = re.compile(r"\w+(?:[.-]\w+)*", re.ASCII)
_BELOW_PREFIX = ("nltk_data", "share/nltk_data", "lib/nltk_data")
_SYSTEM = tuple(f"/usr/{below}/nltk_data" for below in ("share", "local/share", "lib", "local/lib"))


def available(name: str) -> bool:
    """Is the corpus of that name on this machine?"""
    return _found(name) is not None


def find(name: str, *, download: bool = False) -> Path:
    """The folder or the zip of a corpus; NLTK fetches a missing one when `download` allows it.

    BadCorpus when it is not to be had: where it was looked for, and how to get it.
    """
    place, trouble = _found(name), ""
    if place is None and download and _NAME.fullmatch(name):
        trouble = _fetch(name)
        place = _found(name)
    if place is not None:
        return place
    raise BadCorpus(
        f"no NLTK package {name!r}: neither corpora/{name} nor corpora/{name}.zip is in any of "
        + ", ".join(map(str, search_path()))
        + (f" (downloading it: {trouble})" if trouble else ""),
        f"Fetch it where there is a network (`python -m nltk.downloader {name}`), "
        "or set NLTK_DATA to the folder that holds `corpora`.",
    )


def search_path() -> list[Path]:
    """Where NLTK looks for data: NLTK_DATA, then its own path if it is loaded, or what that would be."""
    places = [place for place in os.environ.get("NLTK_DATA", "").split(os.pathsep) if place]
    if (loaded := sys.modules.get("nltk.data")) is not None:
        places += map(str, loaded.path)
    else:
        places += ["~/nltk_data", *(f"{sys.prefix}/{below}" for below in _BELOW_PREFIX), *_SYSTEM]
    return list(dict.fromkeys(map(_at_home, places)))


def _at_home(place: str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError:  # the home folder of a user unknown here
        return Path(place)


def _found(name: str) -> Path | None:
    """A folder wins over a zip, as it does for NLTK."""
    if not _NAME.fullmatch(name):
        return None
    for place in search_path():
        folder, packed = place / "corpora" / name, place / "corpora" / f"{name}.zip"
        try:
            if folder.is_dir():
                return folder
            if packed.is_file():
                return packed
        except OSError:  # a place that one may not look into
            continue
    return None


def _fetch(name: str) -> str:
    """Let NLTK fetch a package; what it says of it when that goes wrong, else ""."""
    import nltk

    said = io.StringIO()
    try:
        nltk.download(name, quiet=True, raise_on_error=False, print_error_to=said)
    except Exception as error:  # whatever it may be, the package is not there
        return str(error) or type(error).__name__
    return " ".join(said.getvalue().replace("[nltk_data]", " ").split())
