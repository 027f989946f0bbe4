"""An evaluation's users as a table: CSV, or Parquet with the extra `tables`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nwp.errors import BadSettings
from nwp.files import write_atomic

Row = Mapping[str, Any]


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line a user; an empty cell where there is nothing to divide by."""
    text = io.StringIO()
    names = list(rows[0]) if rows else ["user"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """The same columns; BadSettings without pyarrow."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise BadSettings(
            "Parquet needs pyarrow", "Install it: pip install 'nwp[tables]', or use --csv."
        ) from error
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), sink)
    write_atomic(path, sink.getvalue().to_pybytes())
