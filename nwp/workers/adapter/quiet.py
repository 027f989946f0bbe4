"""Around each call of syft: one thread at a time, nothing printed, failures of the way told as such."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from nwp.errors import TransportError
from nwp.workers import drive
from nwp.workers.hush import hushed

_ALONE = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Around calls of syft: one thread at a time, for it makes no promise about threads, and without
    the progress that it prints.
    What fails on the way to the others is told as a TransportError."""
    with _ALONE, hushed(), drive.told():
        try:
            yield
        except Exception as error:
            if type(error) is Exception and str(error).startswith("File not found"):
                raise TransportError(  # a store's own way to say that
                    "a file was deleted while it was used", "Try again."
                ) from error
            raise
