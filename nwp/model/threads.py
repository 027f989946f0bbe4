"""How many threads numpy computes with, where somebody waits for each key."""

from __future__ import annotations

import os


def one_thread() -> None:
    """Let numpy compute in the calling thread alone; does nothing once numpy is imported.

    A step of the model is a few products of a matrix and a vector, and waits for memory. The threads that
    numpy's OpenBLAS starts when it is imported spin while they wait for work: they cost more than they
    bring, most of all where other programs want the cores. What the environment says already stays.
    """
    if "OMP_NUM_THREADS" not in os.environ:  # which OpenBLAS heeds, too
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
