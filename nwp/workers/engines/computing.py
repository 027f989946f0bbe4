"""How a process that computes is set up, whoever started it."""

from __future__ import annotations

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of glibc's mallopt


def keep_memory() -> None:
    """Let the C library keep what is freed: a step, and a message, ask for the same large blocks again
    and again, and the system would hand each out anew, page by page."""
    with contextlib.suppress(OSError, AttributeError):  # where it is not glibc
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 1 << 25)
        library.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
        library.mallopt(_ARENA_MAX, 1)  # what one thread frees, another may have


def set_threads(threads: int) -> None:
    """Let torch compute with so many threads."""
    import torch

    torch.set_num_threads(threads)


def set_device(name: str) -> None:
    """Let this process train and evaluate on the device of that name (`nwp.federated.device`)."""
    from nwp.federated.device import use

    use(name)
