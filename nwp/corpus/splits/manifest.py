"""The manifest of a split: read, held against the files, and against another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nwp.corpus.source import open_source
from nwp.corpus.splits.selection import HELD_OUT, LATER, MAIN
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

SUFFIXES = {MAIN: "", HELD_OUT: ".held-out", LATER: ".later"}
"""What stands behind the split's name in the names of its parts."""


def read_manifest(path: Path) -> dict[str, Any]:
    """A split's manifest, with all that is needed of it in place; BadCorpus when it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        texts = [found["name"], found["nwp"], found["source"]["sha256"]]
        for part, entry in found["parts"].items():
            texts += [part, entry["file"], entry["sha256"]]
            if Path(entry["file"]).name != entry["file"]:
                raise ValueError(f"{entry['file']!r} is not beside it")
        if not all(isinstance(text, str) for text in texts) or not isinstance(found["made"], dict):
            raise ValueError("a field is of another kind")
    except OSError as error:
        raise BadCorpus(
            f"cannot read {path}: {error.strerror or error}", "Give the NAME.json of a split."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadCorpus(
            f"{path} is no manifest of a split ({type(error).__name__}: {error})",
            "Give the NAME.json that the split was written with.",
        ) from error
    return dict(found)


def sum_of(path: Path) -> str | None:
    """The checksum of a file's lines as they are unpacked; None when it is missing or damaged."""
    found = hashlib.sha256()
    try:
        with open_source(path, Tally()) as source, source.entries[0].open() as file:
            while piece := file.read(1 << 20):
                found.update(piece)
    except (BadCorpus, OSError, IndexError):
        return None
    return found.hexdigest()


def compare(expected: Mapping[str, Any], made: Mapping[str, Any], source: str) -> None:
    """BadCorpus when the split is another than expected, by the source or by what became of it."""
    if expected["source"]["sha256"] != made["source"]["sha256"]:
        raise BadCorpus(
            f"{source} is not what {expected['name']} was made from",
            "Give the same messages, read in the same way, in the same order.",
        )
    sums = [
        {part.removeprefix(m["name"]): entry["sha256"] for part, entry in m["parts"].items()}
        for m in (expected, made)
    ]
    differ = [s for s in SUFFIXES.values() if sums[0].get(s) != sums[1].get(s)]
    if differ:
        parts = ", ".join(expected["name"] + suffix for suffix in differ)
        raise BadCorpus(
            f"the same recipe gave another {parts}",
            f"It was made by nwp {expected['nwp']} with {expected.get('libraries')}; "
            f"here is {made['nwp']} with {made['libraries']}.",
        )
