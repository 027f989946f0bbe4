"""The corpora that nwp knows by name: its sample, what was fetched or split here, what can be had."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.corpus.published import PUBLISHED
from nwp.corpus.readers.nltk_data import corpora as nltk_corpora
from nwp.files import data_home, shipped

NLTK = "nltk:"
"""Before the name of any package of NLTK, known here or not."""


@dataclass(frozen=True)
class Known:
    """A corpus with a name. `path` is its file, None for one of NLTK's or one not fetched yet.

    `users` and `words` are None where only reading would tell.
    """

    name: str
    users: int | None
    words: int | None
    source: str
    available: bool
    path: Path | None = None


def home() -> Path:
    """The folder for corpora that are fetched or split here: NWP_HOME/corpora, else the user's own
    place for data."""
    return data_home() / "corpora"


def known_corpora() -> dict[str, Known]:
    """Name to corpus: what comes with nwp, what lies in `home`, what can be had.

    A name that several have is the first's: a corpus in `home` goes before one of NLTK's.
    """
    found: dict[str, Known] = {}
    for corpus in (*_shipped(), *_here(home()), *_published(), *_nltk()):
        if corpus.name not in found or (corpus.available and not found[corpus.name].available):
            found[corpus.name] = corpus
    return found


def _shipped() -> Iterator[Known]:
    manifest = json.loads((shipped("corpora") / "manifest.json").read_text(encoding="utf-8"))
    for entry in manifest["corpora"]:
        path = shipped("corpora") / entry["file"]
        yield Known(
            name=entry["name"],
            users=len(entry["users"]),
            words=sum(user["words"] for user in entry["users"]),
            source=f"written for nwp, {entry['licence']}",
            available=path.exists(),
            path=path,
        )


def _here(folder: Path) -> Iterator[Known]:
    """Corpora with a manifest beside them; what is no manifest of ours is passed over."""
    for file in sorted(folder.glob("*.json")):
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
            parts = manifest.get("parts", {manifest["name"]: manifest})
            for name, part in parts.items():
                if not isinstance(name, str):
                    continue
                path = folder / str(part["file"])
                users, words = int(part["users"]), int(part["words"])
                yield Known(name, users, words, _source(manifest), path.exists(), path)
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ):
            continue


def _source(manifest: dict[str, Any]) -> str:
    if "made" in manifest:
        return f"split of {manifest['source']['name']}, {manifest['made']['by']}"
    return f"{manifest['source']}; {manifest['licence']}"


def _nltk() -> Iterator[Known]:
    for name, about in nltk_corpora.KNOWN.items():
        yield Known(name, None, None, f"NLTK: {about}", nltk_corpora.available(name))


def _published() -> Iterator[Known]:
    for corpus in PUBLISHED.values():
        source = f"{corpus.source}; {corpus.licence}"
        yield Known(corpus.name, corpus.users, corpus.words, source, available=False)
