"""The command line that was given: as a model card tells it, and to go on after an interruption."""

from __future__ import annotations

import shlex
import sys

# What decides only how or where a model is made, and who is told.
_FLAGS_OF_RUNNING = ("--json", "--resume", "--force", "--record", "--no-record")
_OPTIONS_OF_RUNNING = (
    *("--out", "--processes", "--engine", "--ray-address", "--device"),
    *("--tensorboard", "--mlflow", "--checkpoint-every"),
)


def repeatable() -> str:
    """The command line for the model card: without what decides nothing of the model, so that equal
    models have equal cards."""
    words = iter(_without(sys.argv[1:], *_FLAGS_OF_RUNNING))
    kept: list[str] = []
    for word in words:
        name, _, value = word.partition("=")
        if name in _OPTIONS_OF_RUNNING:
            if not value:
                next(words, None)
            continue
        kept.append(word)
    return shlex.join(["nwp", *kept, "--out", "DIR"])


def resuming() -> str:
    """The command line that goes on with a training that was interrupted."""
    return shlex.join(["nwp", *_without(sys.argv[1:], "--force", "--resume"), "--resume"])


def _without(words: list[str], *flags: str) -> list[str]:
    return [word for word in words if word not in flags]
