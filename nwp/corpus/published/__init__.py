"""Corpora that are rebuilt here from what others published: nothing of their text comes with nwp.

Each is a recipe over a GitHub archive at a fixed commit. A rebuilt corpus has a known checksum, so
everybody who fetches one has the same messages in the same order.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nwp import __version__
from nwp.corpus.published import ami, shakespeare, ubuntu_irc
from nwp.corpus.published.fetching import Progress, download
from nwp.corpus.source import Source, open_source
from nwp.corpus.types import Message, Tally
from nwp.corpus.writing import JsonLinesWriter
from nwp.errors import BadCorpus, BadInput
from nwp.files import write_atomic
from nwp.text.tokenizer import words_of


@dataclass(frozen=True)
class Published:
    """A corpus that can be rebuilt: from what, by which recipe, and what must come out.

    `sha256` is of the JSON lines before they are packed; `words` are counted as nwp counts them.
    """

    name: str
    url: str
    commit: str
    licence: str
    source: str
    users: int
    messages: int
    words: int
    sha256: str
    rebuild: Callable[[Source], Iterator[Message]]


def _github(repository: str, commit: str) -> str:
    return f"https://codeload.github.com/{repository}/zip/{commit}"


_IRC_COMMIT = "82ed04f9627a45d0d6f2ec3c8683c88eb408a0d5"
_AMI_COMMIT = "b43d9179369b99f8455aecec6f64237d11132e55"
_PLAYS_COMMIT = "abd92b518793aab643fc645267e15b8c0b1f715c"

PUBLISHED: dict[str, Published] = {
    corpus.name: corpus
    for corpus in (
        Published(
            name="ubuntu_irc",
            url=_github("jkkummerfeld/irc-disentanglement", _IRC_COMMIT),
            commit=_IRC_COMMIT,
            licence="CC BY 4.0",
            source="the IRC channel #ubuntu, 2004 to 2018, as chosen for irc-disentanglement",
            users=2_358,
            messages=132_528,
            words=1_337_141,
            sha256="594e5b525d8549ddcc80e62d3d885ab510b2f4b6578def8c9d0be4e2a741e0c6",
            rebuild=ubuntu_irc.rebuild,
        ),
        Published(
            name="ami",
            url=_github("gcunhase/AMICorpusXML", _AMI_COMMIT),
            commit=_AMI_COMMIT,
            licence="CC BY 4.0",
            source="the AMI Meeting Corpus, what each speaker said, as extracted in AMICorpusXML",
            users=306,
            messages=110_634,
            words=992_665,
            sha256="9d72f35ddac1cdbcd80a6aec8ddd70e61e20f115cb19388058570cfd9079051d",
            rebuild=ami.rebuild,
        ),
        Published(
            name="shakespeare",
            url=_github("okfn/shakespeare-material", _PLAYS_COMMIT),
            commit=_PLAYS_COMMIT,
            licence="public domain",
            source="the characters of Shakespeare's 37 plays, Moby text marked up by Jon Bosak",
            users=624,
            messages=27_995,
            words=769_367,
            sha256="151b1469947654a25bbfb1ac621e9e01716f88d608dfe1d76cb486d6d8d6659b",
            rebuild=shakespeare.rebuild,
        ),
    )
}


def get(
    name: str,
    home: Path,
    *,
    archive: Path | None = None,
    progress: Progress = lambda have, whole: None,
) -> Path:
    """Rebuild a published corpus as `home/NAME.jsonl.gz`, with what it is in `home/NAME.json`.

    The archive is downloaded to `home/cache` and removed when the corpus is there; `archive` is one
    that is here already (or the folder it was unpacked to), and stays. A corpus that is there and
    whole is not made again. BadCorpus for an unknown name, or when the messages are not those that
    the checksum is of (then nothing is written); BadInput when the archive can't be downloaded or a
    file not be read or written.
    """
    corpus = PUBLISHED.get(name)
    if corpus is None:
        raise BadCorpus(
            f"no published corpus {name!r}", f"Those known here: {', '.join(PUBLISHED)}."
        )
    target = home / f"{name}.jsonl.gz"
    try:
        if _checksum(target) != corpus.sha256:
            if archive is not None:
                _rebuild(corpus, archive, target)
            else:
                _fetch_and_rebuild(corpus, target, progress)
        write_atomic(home / f"{name}.json", json.dumps(_manifest(corpus), indent=2) + "\n")
    except OSError as error:
        raise BadInput(
            f"cannot read or write {error.filename or home}: {error.strerror or error}",
            "Check its permissions, and the room on the disk.",
        ) from error
    return target


def _fetch_and_rebuild(corpus: Published, target: Path, progress: Progress) -> None:
    fetched = target.parent / "cache" / f"{corpus.name}-{corpus.commit}.zip"
    if not fetched.is_file():
        download(corpus.url, fetched, progress)
    try:
        _rebuild(corpus, fetched, target)
    except BadCorpus:
        fetched.unlink()  # so that the next time a new one is fetched
        raise
    fetched.unlink()


def _rebuild(corpus: Published, archive: Path, target: Path) -> None:
    """Write the corpus, if it is the one that is known."""
    words = 0
    with open_source(archive, Tally()) as source, JsonLinesWriter(target) as writer:
        for message in corpus.rebuild(source):
            writer.write(message)
            words += len(words_of(message.text))
        if writer.sha256 != corpus.sha256:
            raise BadCorpus(
                f"{archive} does not make the corpus {corpus.name!r} that is known: "
                f"expected {_told(corpus.users, corpus.messages, corpus.words, corpus.sha256)}; "
                f"found {_told(writer.users, writer.messages, words, writer.sha256)}",
                f"It is made from {corpus.url}; fetch that again.",
            )


def _told(users: int, messages: int, words: int, checksum: str) -> str:
    return f"{users:,} users, {messages:,} messages, {words:,} words, sha256 {checksum}"


def _checksum(path: Path) -> str:
    """SHA-256 of what a gzip file holds; "" when there is none, or a damaged one."""
    found = hashlib.sha256()
    try:
        with gzip.open(path) as lines:
            while piece := lines.read(1 << 20):
                found.update(piece)
    except (OSError, EOFError, zlib.error):
        return ""
    return found.hexdigest()


def _manifest(corpus: Published) -> dict[str, str | int]:
    return {
        "name": corpus.name,
        "file": f"{corpus.name}.jsonl.gz",
        "sha256": corpus.sha256,
        "users": corpus.users,
        "messages": corpus.messages,
        "words": corpus.words,
        "licence": corpus.licence,
        "source": corpus.source,
        "url": corpus.url,
        "commit": corpus.commit,
        "made_with": __version__,
    }
