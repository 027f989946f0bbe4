"""From what a command was given (a file, a folder or a name) to a corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nwp.corpus.readers import reader_for
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.source import open_source
from nwp.corpus.types import Corpus, Message, Tally, gather
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


def load_corpus(
    source: str,
    *,
    skip_bad_lines: bool = False,
    form: str = "",
    options: ReadOptions = ReadOptions(),
) -> Corpus:
    """Read a corpus: an export or a file or folder of any known form, or the name of a known corpus.

    A path wins over a name. BadCorpus says what is missing, empty or unreadable, and where.
    """
    tally = Tally(lenient=skip_bad_lines)
    with read_messages(source, tally, form=form, options=options) as (_, messages):
        return gather(source, messages, tally)


@contextmanager
def read_messages(
    source: str, tally: Tally, *, form: str = "", options: ReadOptions = ReadOptions()
) -> Iterator[tuple[str, Iterator[Message]]]:
    """The format's name and the messages of a file, a folder or a known corpus, in its order.

    `form` names the format when it is not to be found out.
    """
    path = _path(source)
    known = known_corpora()
    if path is None and source in known:
        path = known[source].path
    if path is None:
        raise BadCorpus(
            f"no corpus {source!r}: no such file or folder, and no known corpus of that name",
            f"Known corpora: {', '.join(known)}. `nwp corpus list` tells more.",
        )
    try:
        with open_source(path, tally) as opened:
            reader = reader_for(opened, form)
            yield reader.name, reader.read(opened, tally, options)
    except OSError as error:
        raise _unreadable(path, error) from error


def _path(source: str) -> Path | None:
    """The file or folder of that name, if there is one."""
    try:
        path = Path(source).expanduser()
        return path if source and path.exists() else None
    except RuntimeError:  # the home folder of a user unknown here
        return None
    except OSError as error:
        raise _unreadable(Path(source), error) from error


def _unreadable(path: Path, error: OSError) -> BadCorpus:
    return BadCorpus(f"cannot read {path}: {error.strerror or error}", "Check its permissions.")
