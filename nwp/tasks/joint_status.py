"""What a joint training under way is doing, written down for whoever asks (`nwp server status`)."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nwp.errors import NwpError
from nwp.files import write_atomic
from nwp.tasks.watching import Started

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
