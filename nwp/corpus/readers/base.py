"""What a reader is: how its format is recognised, and how its messages are found.

Another package adds a reader by an entry point of the group "nwp.readers" that names a `Reader`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from nwp.corpus.source import Entry, Source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

PROBED = 200
"""Files of a folder or an archive that are looked into for a format, at most."""


@dataclass(frozen=True)
class ReadOptions:
    """What the content alone may not tell.

    `columns` maps "user", "text" and "time" to a table's column names (or numbers from 1);
    `dates` is the order of a date's parts ("dmy", "mdy", "ymd"; "" to find out); `me` names the
    owner of an export that does not name them.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    dates: str = ""
    me: str = "me"


@dataclass(frozen=True)
class Reader:
    """A format: its name, what it is in a line, whether an export is of it, and its messages.

    `read` gives messages in the export's own order, and counts in the tally what it leaves out.
    """

    name: str
    about: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source, Tally, ReadOptions], Iterator[Message]]


def by_file(
    name: str,
    about: str,
    is_one: Callable[[Entry, bytes], bool],
    read_files: Callable[[list[Entry], Tally, ReadOptions], Iterator[Message]],
) -> Reader:
    """A reader of a format in which each file stands for itself: one, or many in a folder or archive.

    `is_one` is told a file and its first bytes (`source.HEAD` of them). What is not of the format
    in a folder or an archive is counted as "other file".
    """

    def recognises(source: Source) -> bool:
        if source.kind == "file":
            return is_one(source.entries[0], source.entries[0].head())
        return any(_is(entry, Tally(lenient=True)) for entry in probed(source))

    def read(source: Source, tally: Tally, options: ReadOptions) -> Iterator[Message]:
        if source.kind == "file":
            return read_files(list(source.entries), tally, options)
        files = []
        for entry in source.texts():
            if _is(entry, tally):
                files.append(entry)
            else:
                tally.skip("other file")
        return read_files(files, tally, options)

    def _is(entry: Entry, tally: Tally) -> bool:
        try:
            return is_one(entry, entry.head())
        except BadCorpus:
            if tally.lenient:
                return False
            raise

    return Reader(name, about, recognises, read)


def probed(source: Source) -> list[Entry]:
    """Some files of a source to know a format by: the topmost ones, and some from all over."""
    entries = sorted(source.texts(), key=lambda entry: (entry.name.count("/"), entry.name))
    if len(entries) <= PROBED:
        return entries
    top, rest = entries[: PROBED // 2], entries[PROBED // 2 :]
    return top + rest[:: -(-len(rest) // (PROBED // 2))]


def unique_names(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Id to a name that no other id has: of (id, display name) pairs, each id's last name; with the
    id behind it where several ids have one name or an id has none (more than once if need be).
    """
    shown = {identity: name for identity, name in pairs if name or identity}
    ids: dict[str, list[str]] = {}
    for identity, name in shown.items():
        ids.setdefault(name.casefold(), []).append(identity)
    found = {
        identity: name
        if name and len(ids[name.casefold()]) == 1
        else f"{name} ({identity})".strip()
        for identity, name in shown.items()
    }
    while len(count := Counter(found.values())) < len(found):
        for identity, name in found.items():
            if count[name] > 1:
                found[identity] = f"{name} ({identity})"
    return found
