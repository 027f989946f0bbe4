from __future__ import annotations

import numpy as np
import pytest

from nwp.text.contexts import find, followers, starts_of

KEYS = np.array([2, 5, 9])


@pytest.mark.parametrize(
    ("keys", "places"),
    [(KEYS, [3, 0, 3, 1, 2, 3]), (KEYS[:0], [0] * 6), (KEYS[:1], [1, 0] + [1] * 4)],
)
def test_a_key_is_found_or_is_behind_the_last(keys: np.ndarray, places: list[int]) -> None:
    assert find(keys, np.array([1, 2, 4, 5, 9, 10])).tolist() == places
    assert find(keys, np.zeros(0, np.int64)).tolist() == []


@pytest.mark.parametrize("sizes", [[], [4], [1, 3, 2], [0, 2, 0]])
def test_what_follows_each_context_is_its_own_and_nothing_follows_what_was_never_seen(
    sizes: list[int],
) -> None:
    starts = starts_of(np.array(sizes, np.int64))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    for places in ([], [len(sizes)], [*range(len(sizes) + 1)], [*range(len(sizes))][::-1] * 2):
        rows, grams = followers(starts, np.array(places, np.int64))

        wanted = [
            (row, gram) for row, i in enumerate(places) for gram in np.flatnonzero(owner == i)
        ]
        assert list(zip(rows.tolist(), grams.tolist(), strict=True)) == wanted
