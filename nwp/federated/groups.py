"""Users in groups that are computed as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
_USUAL = 4096  # positions: more in one task make it no faster, but larger


def in_groups(
    users: Iterable[_T], most: int, size_of: Callable[[_T], int], limit: int = _USUAL
) -> Iterator[list[_T]]:
    """Consecutive groups of at most `most` users, that have `limit` words or positions together at most,
    or of one user; read as needed."""
    group: list[_T] = []
    size = 0
    for user in users:
        more = size_of(user)
        if group and (len(group) == most or size + more > limit):
            yield group
            group, size = [], 0
        group.append(user)
        size += more
    if group:
        yield group
