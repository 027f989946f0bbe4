"""What a joint training under way is doing, written down for whoever asks (`nwp server status`)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nwp.errors import NwpError
from nwp.files import write_atomic
from nwp.tasks.cohorts import COHORTS, refused_in
from nwp.tasks.watching import Started
from nwp.workers.members import read_members
from nwp.workers.parties import is_at_work, read_party

STATUS = "status.json"


class Status:
    """Tells something new, and keeps it in HOME/status.json."""

    def __init__(self, home: Path, tell: Callable[[str], None]) -> None:
        self._path, self._tell, self._last = home / STATUS, tell, ""
        self._about: dict[str, Any] = {}
        self._warned: set[str] = set()

    def say(self, text: str, *, done: bool = False, **about: Any) -> None:
        """Tell something new, and keep it with what is known."""
        self._about |= {**about, "doing": text, "pid": None if done else os.getpid()}
        with contextlib.suppress(OSError):  # a status that can't be written stops no training
            write_atomic(self._path, json.dumps(self._about) + "\n", mode=0o600)
        if text != self._last and not about:
            self._tell(text)
        self._last = text

    def stopped(self, error: BaseException) -> None:
        """Keep what has ended the training before its end; who began it is told elsewhere."""
        said = error.message if isinstance(error, NwpError) else "stopped"
        self.say(said, done=True, stopped=type(error).__name__)

    def warn(self, text: str) -> None:
        """Tell something that is not right, once."""
        if text not in self._warned:
            self._warned.add(text)
            self._tell(f"warning: {text}")

    def started(self, started: Started) -> None:
        """The plan is approved."""
        self.say("training", rounds=started.plan.rounds, plan=started.job.digest)


def read_status(home: Path) -> dict[str, Any]:
    """What a server is doing, its members, their last rounds, and whose answers it did not take. `running`
    tells whether the process is there."""
    party = read_party(home, owner=False)
    about: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, TypeError):
        about = dict(json.loads((home / STATUS).read_text(encoding="utf-8")))
    if about.get("out"):
        about["refused"] = refused_in(Path(about["out"]) / "run" / COHORTS)
    running = is_at_work(home)
    rows = [dataclasses.asdict(member) for member in read_members(home)]
    return {"email": party.email, "running": running, **about, "members": rows}
