"""Amounts by name of which none is more than a share of the whole: the users that a round draws from, the
words that count in it (`nwp.federated.bounds` says why)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction


def capped(amounts: Mapping[str, int], share: float) -> dict[str, int]:
    """Amounts by name, each cut so that none is more than `share` of the sum of what is left of all.

    Where that can't be, because there are 1 / `share` of them or fewer, all count alike. Amounts of 0
    stay.
    """
    there = sorted((n for n in amounts.values() if n > 0), reverse=True)
    if share >= 1 or len(there) < 2:
        return dict(amounts)
    level, part, rest = there[-1], Fraction(repr(share)), sum(there)
    for above, largest in enumerate(there):
        if above * part >= 1:
            break  # already these would be more than the whole
        # With `above` amounts at the level x, x = part · (above · x + rest).
        at = part * rest / (1 - above * part)
        if at >= largest:
            level = max(level, math.floor(at)) if above else largest
            break
        rest -= largest
    return {name: min(n, level) for name, n in amounts.items()}
