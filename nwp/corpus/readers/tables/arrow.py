"""Messages of Parquet and Arrow files, read batch by batch with pyarrow (the extra `tables`)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.readers.fields import Found, from_unix
from nwp.corpus.readers.tables.columns import choose, row_message
from nwp.corpus.source import MAX_RATIO, Entry
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus

PARQUET = b"PAR1"
ARROW_FILE, ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"
_ROWS = 1024  # held at once
_HARMLESS = 16 << 20  # bytes of a column up to which no ratio of packing hurts
_PIECE = 1 << 20


def parquet_messages(entry: Entry, tally: Tally, options: ReadOptions) -> Iterator[Found]:
    """The rows of a Parquet file. BadCorpus when it is damaged, unless the tally is lenient."""
    pyarrow = _pyarrow()
    from pyarrow import parquet

    with _damage_named(entry, tally, pyarrow), _seekable(entry, PARQUET) as file:
        table = parquet.ParquetFile(file)

        def batches(names: Sequence[str]) -> Iterator[Any]:
            _check_ratio(entry, table.metadata, names)
            return iter(table.iter_batches(_ROWS, columns=list(names), use_threads=False))

        yield from _messages(entry, table.schema_arrow.names, batches, tally, options)


def arrow_messages(entry: Entry, tally: Tally, options: ReadOptions) -> Iterator[Found]:
    """The rows of an Arrow file, be it in the form of a stream or not. BadCorpus as above."""
    pyarrow = _pyarrow()
    with _damage_named(entry, tally, pyarrow), ExitStack() as stack:
        if entry.head().startswith(ARROW_FILE):
            file = pyarrow.ipc.open_file(stack.enter_context(_seekable(entry, ARROW_FILE)))
            found = map(file.get_batch, range(file.num_record_batches))
            schema = file.schema
        else:
            stream = pyarrow.PythonFile(_Frugal(stack.enter_context(entry.open())), "r")
            found = pyarrow.ipc.open_stream(stream)
            schema = found.schema
        yield from _messages(
            entry,
            schema.names,
            lambda names: (batch.select(list(names)) for batch in found),
            tally,
            options,
        )


def _messages(
    entry: Entry,
    names: Sequence[str],
    batches: Callable[[Sequence[str]], Iterator[Any]],
    tally: Tally,
    options: ReadOptions,
) -> Iterator[Found]:
    columns = choose(names, options.columns, entry.place)
    outer = dict.fromkeys(n if n in names else n.partition(".")[0] for n in columns.all)
    for batch in batches(tuple(outer)):
        batch.validate(full=True)  # a damaged one may point anywhere in the memory
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            values = [_values(part.column(at)) for at in range(part.num_columns)]
            for row in zip(*values, strict=True):
                found = dict(zip(part.schema.names, row, strict=True))
                yield row_message(found, columns, options.dates, tally)


def _values(column: Any) -> list[Any]:
    """A column as Python's values. Times are made here: pyarrow refuses those of nanoseconds."""
    import pyarrow

    kind = column.type
    if not pyarrow.types.is_timestamp(kind):
        found: list[Any] = column.to_pylist()
        return found
    micro = column.cast(pyarrow.timestamp("us", kind.tz), safe=False).cast(pyarrow.int64())
    times = [from_unix(value, 1_000_000) for value in micro.to_pylist()]
    return times if kind.tz else [time and time.replace(tzinfo=None) for time in times]


def _check_ratio(entry: Entry, metadata: Any, names: Sequence[str]) -> None:
    """BadCorpus for a column that unpacks to far more than it takes."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            most = max(_HARMLESS, MAX_RATIO * column.total_compressed_size)
            wanted = column.path_in_schema.partition(".")[0] in names
            if wanted and column.total_uncompressed_size > most:
                raise BadCorpus(
                    f"{entry.place} unpacks to far more than any text does",
                    "Write it anew without compression if you trust it.",
                )


def _pyarrow() -> ModuleType:
    try:
        import pyarrow
    except ImportError as error:
        raise BadCorpus(
            "Parquet and Arrow files are read with pyarrow, which is not installed",
            'Install it: pip install "nwp[tables]".',
        ) from error
    found: ModuleType = pyarrow
    return found


@contextmanager
def _damage_named(entry: Entry, tally: Tally, pyarrow: ModuleType) -> Iterator[None]:
    """What was read before the damage is kept when the tally is lenient."""
    try:
        yield
    except (
        pyarrow.ArrowException,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        NotImplementedError,
        MemoryError,
    ) as error:
        if not tally.lenient:
            why = " ".join(str(error).split())[:200]
            raise BadCorpus(
                f"{entry.place} is damaged, or written in a way that is not known here: {why}",
                "Fetch or make it again, or keep what can be read with --skip-bad-lines.",
            ) from error
        tally.skip("half a file")


@contextmanager
def _seekable(entry: Entry, magic: bytes) -> Iterator[IO[bytes]]:
    """A file that can be read in any order: itself, or a nameless copy of one out of an archive."""
    path = Path(entry.place)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(magic)) == magic:
                file.seek(0)
                yield file
                return
    with entry.open() as packed, tempfile.TemporaryFile() as copy:
        while piece := packed.read(_PIECE):
            copy.write(piece)
        copy.seek(0)
        yield copy


class _Frugal:
    """A stream for pyarrow that takes no more memory than there are bytes, whatever is asked for."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left."""
        pieces: list[bytes] = []
        left = size if size >= 0 else 1 << 62
        while left and (piece := self._file.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
