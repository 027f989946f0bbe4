"""From what a command was given (a file, a folder or a name) to a corpus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nwp.corpus.known import NLTK, Known, known_corpora
from nwp.corpus.published import PUBLISHED
from nwp.corpus.readers import reader_for
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.readers.nltk_data import corpora as nltk_corpora
from nwp.corpus.source import open_source
from nwp.corpus.store import gather
from nwp.corpus.types import Corpus, Message, Tally
from nwp.errors import BadCorpus

_SUFFIXES = re.compile(
    r"(?:\.(?:gz|bz2|xz|zip|tar|tgz|jsonl?|ndjson|txt|log|csv|tsv|xml|html?|mbox|eml|parquet|arrow|db))+\Z",
    re.IGNORECASE,
)


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
    if path is None:
        known = known_corpora()
        name = source.removeprefix(NLTK)
        corpus = known.get(source)
        if corpus is not None and corpus.available and corpus.path is not None:
            path = corpus.path
        elif name != source or (name in nltk_corpora.KNOWN and name not in PUBLISHED):
            yield "nltk", nltk_corpora.read(name, tally)
            return
        elif corpus is not None and corpus.available:
            yield "nltk", nltk_corpora.read(name, tally, download=False)
            return
        else:
            raise _unknown(source, known)
    try:
        with open_source(path, tally) as opened:
            reader = reader_for(opened, form)
            yield reader.name, reader.read(opened, tally, options)
    except OSError as error:
        raise _unreadable(path, error) from error


def plain_name(source: str) -> str:
    """What to call something that is made of a source: its name without folders and suffixes."""
    path = Path(source.removeprefix(NLTK)).expanduser()
    name = path.name if path.name not in ("", "..") else path.resolve().name
    return _SUFFIXES.sub("", name) or "corpus"


def _unknown(source: str, known: Mapping[str, Known]) -> BadCorpus:
    if source in PUBLISHED:
        return BadCorpus(
            f"the corpus {source!r} is known, but not here yet",
            f"Fetch it: nwp corpus get {source}",
        )
    here = [name for name, corpus in known.items() if corpus.available]
    return BadCorpus(
        f"no corpus {source!r}: no such file or folder, and no known corpus of that name",
        f"Known corpora: {', '.join(here)}. `nwp corpus list` tells more.",
    )


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
    where = error.filename if isinstance(error.filename, str) else path  # one file of a folder
    return BadCorpus(f"cannot read {where}: {error.strerror or error}", "Check its permissions.")
