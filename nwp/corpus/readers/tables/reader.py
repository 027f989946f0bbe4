"""Tables: CSV and its kin, JSON lines or a list of JSON objects under any names, and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from nwp.corpus.json_stream import json_items
from nwp.corpus.lines import raw_lines
from nwp.corpus.readers.base import PROBED, Reader, ReadOptions
from nwp.corpus.readers.fields import Found, kept
from nwp.corpus.readers.tables.arrow import PARQUET, parquet_messages
from nwp.corpus.readers.tables.columns import choose, row_message
from nwp.corpus.readers.tables.delimited import form_of, looks_like_names, read_rows
from nwp.corpus.source import Entry, Source
from nwp.corpus.types import Message, Tally
from nwp.errors import BadCorpus

_BOM = b"\xef\xbb\xbf"
_DELIMITED = (".csv", ".tsv", ".tab")
_SAMPLE = 100  # objects by which the columns are found out: one may lack what others have
_HINT = "Mend the line, or leave such lines out with --skip-bad-lines."


def _recognises(source: Source) -> bool:
    """One file also by its name alone: then the error tells which columns it has."""
    entries = islice(source.texts(), PROBED)
    if source.kind == "file":
        return any(e.suffix in _DELIMITED or _is_table(e, {}, own=False) for e in entries)
    return any(_is_table(entry, {}, own=False) for entry in entries)


def _is_table(entry: Entry, wanted: Mapping[str, str], own: bool) -> bool:
    """Whether a file has columns for users and texts; `own` counts nwp's own JSON lines as such."""
    try:
        head = entry.head()
        kind = _kind(head)
        if kind == PARQUET:
            return True
        if kind in (b"[", b"{"):
            row = _first(head, kind)
            columns = choose(list(row), wanted, entry.place)
            mine = kind == b"{" and all(isinstance(row.get(k), str) for k in ("user", "text"))
            return isinstance(row.get(columns.text), str) and (own or not mine)
        form = form_of(head, wanted)
        named = entry.suffix in _DELIMITED or (form and looks_like_names(form.names))
        return bool(form and named and choose(form.names, wanted, entry.place))
    except BadCorpus:
        return False


def _kind(head: bytes) -> bytes:
    """What a file begins with: Parquet's magic, a JSON list or object; or b"" for text."""
    if head.startswith(PARQUET):
        return PARQUET
    begin = head.removeprefix(_BOM).lstrip()[:1]
    return begin if begin in (b"[", b"{") else b""


def _first(head: bytes, kind: bytes) -> dict[str, Any]:
    """The first object of a list, or in the first line; {} when there is none."""
    text = head.removeprefix(_BOM).decode("utf-8", "replace").lstrip()
    try:
        if kind == b"[":
            found, _ = json.JSONDecoder().raw_decode(text[1:].lstrip())
        else:
            found = json.loads(text.partition("\n")[0])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(source: Source, tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """Row by row, file by file. In a folder or archive, files without such columns are left out."""
    entries = list(source.texts())
    if source.kind != "file":
        tables = [e for e in entries if _is_table(e, options.columns, own=True)]
        # When there is none, reading the likeliest tells what it lacks.
        tables = tables or [e for e in entries if e.suffix in _DELIMITED][:1]
        if others := len(entries) - len(tables):
            tally.skip("other file", others)
        entries = tables
    for entry in entries:
        yield from kept(_messages(entry, tally, options), tally)


def _messages(entry: Entry, tally: Tally, options: ReadOptions) -> Iterator[Found]:
    head = entry.head()
    kind = _kind(head)
    if kind == PARQUET:
        yield from parquet_messages(entry, tally, options)
        return
    rows: Iterator[Mapping[str, Any]]
    if kind:
        rows = _objects(entry, tally) if kind == b"[" else _object_lines(entry, tally)
        sample = list(islice(rows, _SAMPLE))
        names = tuple(dict.fromkeys(name for row in sample for name in row))
        rows = chain(sample, rows)
    else:
        form = form_of(head, options.columns)
        if form is None:
            return
        names, rows = form.names, read_rows(entry, form, tally)
    columns = choose(names, options.columns, entry.place)
    for row in rows:
        yield row_message(row, columns, options.dates, tally)


def _objects(entry: Entry, tally: Tally) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(json_items(entry, "item", tally), 1):
        if isinstance(row, dict):
            yield row
        else:
            _bad(f"{entry.place}, item {number}: no object", tally)


def _object_lines(entry: Entry, tally: Tally) -> Iterator[dict[str, Any]]:
    with entry.open() as file:
        for number, line in enumerate(raw_lines(file, tally), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                _bad(f"{entry.place}, line {number}: no JSON ({error})", tally)
                continue
            if isinstance(row, dict):
                yield row
            else:
                _bad(f"{entry.place}, line {number}: no object", tally)


def _bad(what: str, tally: Tally) -> None:
    if not tally.lenient:
        raise BadCorpus(what, _HINT)
    tally.skip("bad line")


READER = Reader(
    "table", "a table with columns for users and texts: CSV, JSON, Parquet", _recognises, _read
)
