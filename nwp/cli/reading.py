"""What commands make of the options that say how a corpus is to be read (`nwp.cli.options.reading`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nwp.cli.output import tell_of
from nwp.errors import BadSettings

if TYPE_CHECKING:
    from nwp.corpus.readers.base import ReadOptions
    from nwp.corpus.types import Corpus

_FIELDS = ("user", "text", "time")
_COLUMNS = "Write it like  --columns user=author,text=body,time=3  (a name, or a number from 1)."
_DATES = ("dmy", "mdy", "ymd")


def read_options(columns: str, dates: str, me: str) -> ReadOptions:
    """What the options say, for a reader. BadSettings for what makes no sense."""
    from nwp.corpus.readers.base import ReadOptions

    return ReadOptions(parse_columns(columns), parse_dates(dates), me)


def read_corpus(
    corpus: str, form: str, columns: str, dates: str, me: str, *, skip_bad_lines: bool
) -> Corpus:
    """The corpus that a command was given, read as its options say; what was left out is told."""
    from nwp.corpus.load import load_corpus

    options = read_options(columns, dates, me)
    found = load_corpus(corpus, skip_bad_lines=skip_bad_lines, form=form, options=options)
    tell_of(found)
    return found


def parse_columns(given: str) -> dict[str, str]:
    """ "user=author,text=body" as a dict. BadSettings for what is no such list."""
    found: dict[str, str] = {}
    for pair in filter(str.strip, given.split(",")):
        field, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not column:
            raise BadSettings(f"{pair.strip()!r} names no column", _COLUMNS)
        if field not in _FIELDS:
            raise BadSettings(f"a message has no {field!r}, only {', '.join(_FIELDS)}", _COLUMNS)
        if field in found:
            raise BadSettings(f"two columns for {field!r}", _COLUMNS)
        found[field] = column
    return found


def parse_dates(given: str) -> str:
    """The order of a date's parts, or "". BadSettings for another."""
    order = given.strip().lower()
    if order and order not in _DATES:
        raise BadSettings(f"no order of dates {given!r}", f"Orders: {', '.join(_DATES)}.")
    return order
