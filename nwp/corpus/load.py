"""From what a command was given (a file, a folder or a name) to a corpus."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from nwp.corpus.readers import READERS, Reader
from nwp.corpus.types import Corpus, Tally, gather
from nwp.errors import BadCorpus
from nwp.files import shipped


@dataclass(frozen=True)
class Known:
    """A corpus that nwp knows by name."""

    name: str
    path: Path
    users: int
    words: int
    source: str


def known_corpora() -> dict[str, Known]:
    """Name to corpus, for those that come with nwp."""
    manifest = json.loads((shipped("corpora") / "manifest.json").read_text(encoding="utf-8"))
    return {
        entry["name"]: Known(
            name=entry["name"],
            path=shipped("corpora") / entry["file"],
            users=len(entry["users"]),
            words=sum(user["words"] for user in entry["users"]),
            source=f"written for nwp, {entry['licence']}",
        )
        for entry in manifest["corpora"]
    }


def load_corpus(source: str, *, skip_bad_lines: bool = False) -> Corpus:
    """Read a corpus from a JSON-lines file, a folder of text files, or the name of a known corpus.

    A path wins over a name. BadCorpus says what is missing, empty or unreadable, and where.
    """
    path = Path(source).expanduser()
    known = known_corpora()
    if not path.exists() and source in known:
        path = known[source].path
    if not path.exists():
        raise BadCorpus(
            f"no corpus {source!r}: no such file or folder, and no known corpus of that name",
            f"Known corpora: {', '.join(known)}. `nwp corpus list` tells more.",
        )
    tally = Tally(lenient=skip_bad_lines)
    try:
        reader = _reader_for(path)
        return gather(source, reader.read(path, tally), tally)
    except OSError as error:
        raise BadCorpus(f"cannot read {path}: {error.strerror}", "Check its permissions.") from error


def _reader_for(path: Path) -> Reader:
    for reader in READERS:
        if reader.recognises(path):
            return reader
    raise BadCorpus(
        f"{path} is in no form that nwp reads",
        'Give JSON lines ({"user": …, "text": …}), or a folder of text files.',
    )
