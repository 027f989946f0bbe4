"""How long to rest, in seconds: between looks at a shared place, and before a broken way is tried again."""

from __future__ import annotations

SOONEST, LATEST = 0.02, 2.0  # between two looks: right after something came, and when nothing does
_MOST_BACKING_OFF = 60.0


def longer(pause: float, latest: float = LATEST) -> float:
    """The rest after one of `pause` seconds: the longer nothing comes, the rarer the looks."""
    return min(latest, 1.3 * pause)


def backed_off(pause: float) -> float:
    """The rest after one of `pause` seconds that did not mend the way."""
    return min(_MOST_BACKING_OFF, 2 * pause)
