"""Write an evaluation's files: page, plots, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwp.errors import BadInput
from nwp.files import told
from nwp.report.drawing import save
from nwp.report.page import write as write_page
from nwp.report.plots import figures
from nwp.report.tables import write_csv, write_parquet


@dataclass(frozen=True)
class Files:
    """Where to write what; None: not at all."""

    report: Path | None = None
    plots: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None

    def check(self) -> None:
        """BadInput for a place that can't be written to, before anything is computed."""
        for path in (self.report, self.csv, self.parquet):
            if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
                raise BadInput(f"{path} can't be written", "Give a file in a folder that exists.")
        if self.plots is not None and self.plots.exists() and not self.plots.is_dir():
            raise BadInput(f"{self.plots} is a file", "Give --plots a folder.")


def write_files(payload: Mapping[str, Any], files: Files) -> Iterator[Path]:
    """Write them all, each whole or not at all, and tell which."""
    writers: tuple[tuple[Path | None, Callable[[Path], None]], ...] = (
        (files.csv, lambda path: write_csv(payload["users"], path)),
        (files.parquet, lambda path: write_parquet(payload["users"], path)),
        (files.report, lambda path: write_page(payload, path)),
    )
    for path, write in writers:
        if path is not None:
            with told(f"{path} can't be written", "then give the same command again."):
                write(path)
            yield path
    if files.plots is not None:
        with told(f"{files.plots} can't be written", "then give the same command again."):
            files.plots.mkdir(parents=True, exist_ok=True)
            saved = save(figures(payload), files.plots)
        yield from saved
