"""Data sets of Hugging Face's library: saved to disk (Arrow files), or a repository's Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePosixPath

from nwp.corpus.json_stream import json_whole
from nwp.corpus.readers.base import PROBED, Reader, ReadOptions
from nwp.corpus.readers.fields import as_dict, as_list, as_text, kept
from nwp.corpus.readers.tables.arrow import (
    ARROW_FILE,
    ARROW_STREAM,
    arrow_messages,
    parquet_messages,
)
from nwp.corpus.source import Entry, Source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_ABOUT = ("state.json", "dataset_info.json", "dataset_dict.json")
_SHARD = re.compile(r".*-\d{5}-of-\d{5}.*\.parquet", re.ASCII)
_SPLITS = ("train", "val", "dev", "test")


def _recognises(source: Source) -> bool:
    files = (e for e in source.entries if _is_arrow_name(e) or _is_shard(e))
    for entry in islice(files, PROBED):
        try:
            head = entry.head()
        except BadCorpus:
            continue
        if head.startswith((ARROW_FILE, ARROW_STREAM)) and _is_arrow_name(entry):
            return True
        if head.startswith(b"PAR1") and _is_shard(entry) and source.kind != "file":
            return True
    return False


def _read(source: Source, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """Split by split, what is for training first; then shard by shard."""
    listed = _listed(source, tally)
    files = []
    for entry in source.entries:
        folder, name = _folder(entry), PurePosixPath(entry.name).name
        if _is_shard(entry) or (_is_arrow_name(entry) and name in listed.get(folder, (name,))):
            files.append(entry)
        elif name not in _ABOUT:
            tally.skip("other file")
    for entry in sorted(files, key=_split):
        read = parquet_messages if _is_shard(entry) else arrow_messages
        yield from kept(read(entry, tally, options), tally)


def _listed(source: Source, tally: Tally) -> dict[str, set[str]]:
    """Folder to the files that its state names. BadCorpus when one is missing."""
    found: dict[str, set[str]] = {}
    have = {entry.name for entry in source.entries}
    for entry in source.entries:
        if PurePosixPath(entry.name).name != "state.json":
            continue
        files = as_list(as_dict(json_whole(entry, tally)).get("_data_files"))
        names = {as_text(as_dict(file).get("filename")) for file in files} - {""}
        folder = _folder(entry)
        if missing := sorted(n for n in names if str(PurePosixPath(folder, n)) not in have):
            if not tally.lenient:
                raise BadCorpus(
                    f"{entry.place} names {missing[0]}, which is not there",
                    "Copy the whole folder, or read what is there with --skip-bad-lines.",
                )
            tally.skip("half a file", len(missing))
        if names:
            found[folder] = names
    return found


def _folder(entry: Entry) -> str:
    return str(PurePosixPath(entry.name).parent)


def _split(entry: Entry) -> tuple[int, str]:
    """The split that a folder or a file is named for, in the order of use; others come first."""
    names = [part.lower() for part in reversed(PurePosixPath(entry.name).parts)]
    for name in names:
        for number, split in enumerate(_SPLITS, 1):
            if name.startswith(split):
                return number, entry.name
    return 0, entry.name


def _is_arrow_name(entry: Entry) -> bool:
    """Not a cache, which holds what was once made of a data set."""
    return entry.suffix == ".arrow" and not entry.stem.startswith(("cache-", "indices"))


def _is_shard(entry: Entry) -> bool:
    return bool(_SHARD.fullmatch(PurePosixPath(entry.name).name))


READER = Reader(
    "dataset", "a data set of Hugging Face's library, saved or downloaded", _recognises, _read
)
