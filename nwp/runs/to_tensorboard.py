"""A run's figures as TensorBoard's event files: curves beside those of other runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwp.errors import BadInput
from nwp.runs.metrics import row_of
from nwp.runs.trackers import NAMES, About, moments

if TYPE_CHECKING:
    from nwp.federated.state import RoundReport


class TensorBoard:
    """A tracker that writes to a folder of the run's own below `folder`.

    A run that goes on is written anew from its history, so that no step is there twice and none is
    missing, also where it began without TensorBoard. BadInput where `tensorboard` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise BadInput(
                "--tensorboard needs TensorBoard, which is not installed",
                'Install it: pip install "nwp[tensorboard]".',
            ) from error
        self.name = f"TensorBoard's folder {folder}"
        self._folder = folder
        self._make: Any = SummaryWriter
        self._writer: Any = None
        self._kept = 0

    def started(self, about: About, history: Sequence[RoundReport]) -> None:
        """Write what the run is, and the rounds that there are already."""
        folder = self._folder / f"{about.out.name}-{about.key}"
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        # A TensorBoard that has been looking on drops what it has read, from this step on.
        self._writer = self._make(str(folder), purge_step=0)
        self._writer.add_text("settings", _table(about.settings.items()), 0)
        self._writer.add_text("run", _table(_what(about)), 0)
        self._kept = 0
        self.progressed(history)

    def progressed(self, history: Sequence[RoundReport]) -> None:
        """Write the rounds that are new."""
        new = history[self._kept :]
        for report, moment in zip(new, moments(new), strict=True):
            row = row_of(report)
            for column, name in NAMES.items():
                if (value := row[column]) is not None:
                    self._writer.add_scalar(name, value, report.number, walltime=moment)
        self._writer.flush()
        self._kept = len(history)

    def finished(self, history: Sequence[RoundReport], result: Mapping[str, Any]) -> None:
        """Write what it came to."""
        self.progressed(history)
        self._writer.add_text("result", _table(result.items()), len(history))
        self._writer.close()

    def stopped(self, reason: str) -> None:
        """Close the file."""
        self._writer.close()


def _what(about: About) -> Iterable[tuple[str, object]]:
    names = ("corpus", "users", "workers", "rounds", "parameters", "vocabulary", "plan", "command")
    yield from ((name, getattr(about, name)) for name in names)
    yield from about.versions.items()


def _table(rows: Iterable[tuple[str, object]]) -> str:
    """As Markdown."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | `{value}` |" for name, value in rows)])
