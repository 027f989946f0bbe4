"""Tables as text: CSV, TSV and their kin, whichever delimiter and encoding they have."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

from nwp.corpus.lines import MAX_LINE, read_lines
from nwp.corpus.readers.tables.columns import choose, could_be_messages
from nwp.corpus.source import HEAD, Entry
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

_DELIMITERS = ",;\t|"
_SEP = re.compile(r'"?sep=([,;\t|])"?\n', re.IGNORECASE)  # Excel's own first line
_SAMPLE = 100  # rows by which the delimiter is found out
_MAX_NAME = 60  # characters of a column's name in a file that is not named as a table
_HINT = "Mend the row, or leave such rows out with --skip-bad-lines."


@dataclass(frozen=True)
class Form:
    """How a table is written, and its columns: numbers from 1 where it has no header."""

    names: tuple[str, ...]
    delimiter: str
    quoted: bool
    header: bool
    named: bool
    """Whether its first line names the delimiter."""


def form_of(head: bytes, wanted: Mapping[str, str]) -> Form | None:
    """The form by a file's first bytes: the one in which the columns are found, and the rows are of
    one length. None when there is no row.
    """
    lines = list(_lines(io.BytesIO(head), Tally()))
    whole = len(head) < HEAD
    if not whole and len(lines) > 1:
        lines.pop()  # only half of it is there
    sep = _SEP.fullmatch(lines[0]) if lines else None
    lines = lines[1:] if sep else lines
    best: tuple[tuple[bool, float, int], Form] | None = None
    for delimiter in sep[1] if sep else _DELIMITERS:
        for quoted in (True, False) if delimiter == "\t" else (True,):
            rows, bad = _sample(lines, delimiter, quoted, whole)
            if not rows:
                continue
            header = _has_header(rows[0], wanted)
            numbers = map(str, range(1, len(rows[0]) + 1))
            names = tuple(rows[0] if header else numbers)
            even = sum(len(row) == len(names) for row in rows) / (len(rows) + bad)
            rank = (_fits(names, wanted), even if len(names) > 1 else 0.0, len(names))
            if best is None or rank > best[0]:
                best = rank, Form(names, delimiter, quoted, header, bool(sep))
    return best and best[1]


def looks_like_names(names: Sequence[str]) -> bool:
    """Whether a row may be a header, be the file named as a table or not."""
    short = all(name.strip() and len(name) <= _MAX_NAME for name in names)
    return len(names) > 1 and short and len(set(names)) == len(names)


def read_rows(entry: Entry, form: Form, tally: Tally) -> Iterator[dict[str, str]]:
    """The rows by column. BadCorpus for one that has more or fewer cells than there are columns, or
    that is not quoted rightly, unless the tally is lenient.
    """
    with entry.open() as file:
        lines = _lines(file, tally)
        reader = _reader(islice(lines, 1, None) if form.named else lines, form)
        header = form.header
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                ends = _ends_within(error)
                _bad_row(entry, reader, str(error), tally, "half a file" if ends else "bad line")
                if ends:
                    return
                continue
            if row is None:
                return
            if not row:
                continue
            if header:
                header = False
                continue
            cells, more = row[: len(form.names)], row[len(form.names) :]
            if any(more) or len(cells) < len(form.names):
                have = f"{len(row)} cells, not {len(form.names)}"
                _bad_row(entry, reader, have, tally)
                continue
            yield dict(zip(reversed(form.names), reversed(cells), strict=True))


def _bad_row(entry: Entry, reader: Any, why: str, tally: Tally, reason: str = "bad line") -> None:
    if not tally.lenient:
        raise BadCorpus(f"{entry.place}, row that ends in line {reader.line_num}: {why}", _HINT)
    tally.skip(reason)


def _reader(lines: Iterator[str], form: Form) -> Any:
    csv.field_size_limit(MAX_LINE)
    if not form.quoted:
        return csv.reader(lines, delimiter=form.delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=form.delimiter, strict=True)


def _lines(file: IO[bytes], tally: Tally) -> Iterator[str]:
    """Lines that end in \\n, be it \\r or \\r\\n in the file."""
    for line in read_lines(file, tally):
        yield from (f"{part}\n" for part in line.split("\r"))


def _sample(
    lines: list[str], delimiter: str, quoted: bool, whole: bool
) -> tuple[list[list[str]], bool]:
    """The first rows, up to one that can't be read in this form; and whether there is such a one.
    The last row of a file that is not there as a whole is none.
    """
    rows: list[list[str]] = []
    try:
        for row in _reader(iter(lines), Form((), delimiter, quoted, True, False)):
            if row:
                rows.append(row)
            if len(rows) == _SAMPLE:
                break
    except csv.Error as error:
        return rows, whole or not _ends_within(error)
    return rows, False


def _ends_within(error: csv.Error) -> bool:
    """Whether a quotation did not end: then nobody knows where the next row begins."""
    return "unexpected end" in str(error) or "field limit" in str(error)


def _has_header(first: list[str], wanted: Mapping[str, str]) -> bool:
    """No, when all columns are asked for by number, and the row's cells there are no usual names."""
    numbers = [column for column in wanted.values() if column.isdecimal() and column not in first]
    if not wanted or len(numbers) < len(wanted):
        return True
    at = [int(number[:6]) - 1 for number in numbers]
    return could_be_messages([first[i] for i in at if 0 <= i < len(first)])


def _fits(names: tuple[str, ...], wanted: Mapping[str, str]) -> bool:
    try:
        return bool(choose(names, wanted, ""))
    except BadCorpus:
        return False
