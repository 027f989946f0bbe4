from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.corpus.splits.recipe import WAYS, Recipe
from nwp.errors import BadSettings

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(
    st.sampled_from(sorted(WAYS)),
    st.integers(1, 100_000),
    st.floats(1e-9, 1e9),
    st.integers(0, 2**63 - 1),
    st.sampled_from(["", "0.2", "ann,bo"]) | st.lists(NAMES, max_size=3).map(tuple),
    st.lists(NAMES, unique=True, max_size=4),
)
def test_a_recipe_survives_json(
    by: str, users: int, alpha: float, seed: int, held: str | tuple[str, ...], old: list[str]
) -> None:
    recipe = Recipe(
        by=by,
        users=0 if by == "natural" else users,
        alpha=alpha,
        seed=seed,
        until="2025-03-29T08:00:00+01:00",
        held_out=held,
        min_words=users,
        cap_messages=7,
        merge={"new": old},
    )
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_what_is_not_said_is_not_done() -> None:
    assert Recipe.from_json({}) == Recipe()
    assert Recipe().to_json() == {
        "by": "natural",
        "users": 0,
        "alpha": 1.0,
        "topics": 10,
        "seed": 0,
        "until": "",
        "held_out": "",
        "min_words": 0,
        "max_words": 0,
        "cap_messages": 0,
        "merge": {},
    }
    assert Recipe().cut is None


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2025-03-29", datetime(2025, 3, 29, tzinfo=UTC)),
        ("2025-03-29T08:00:00", datetime(2025, 3, 29, 8, tzinfo=UTC)),
        (
            "2025-03-29 08:00:00-02:00",
            datetime(2025, 3, 29, 8, tzinfo=timezone(-timedelta(hours=2))),
        ),
    ],
)
def test_a_cut_off_without_a_zone_is_in_utc(until: str, expected: datetime) -> None:
    assert Recipe(until=until).cut == expected


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"by": "size"}, "no way 'size'"),
        ({"by": ["iid"]}, "no way"),
        ({"by": "iid"}, "makes new users"),
        ({"users": 3}, "keeps the users"),
        ({"by": "iid", "users": -1}, "users must be"),
        ({"by": "iid", "users": 2.0}, "users must be"),
        ({"by": "iid", "users": True}, "users must be"),
        ({"topics": 1}, "topics must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**63}, "seed must be"),
        ({"seed": "1"}, "seed must be"),
        ({"min_words": -1}, "min_words must be"),
        ({"max_words": None}, "max_words must be"),
        ({"cap_messages": 1.5}, "cap_messages must be"),
        ({"min_words": 5, "max_words": 4}, "above max_words"),
        ({"alpha": 0}, "alpha must be"),
        ({"alpha": -1.0}, "alpha must be"),
        ({"alpha": float("nan")}, "alpha must be"),
        ({"alpha": float("inf")}, "alpha must be"),
        ({"alpha": "1"}, "alpha must be"),
        ({"alpha": True}, "alpha must be"),
        ({"alpha": 10**400}, "alpha must be"),
        ({"until": "soon"}, "no date: 'soon'"),
        ({"until": 2025}, "until is no text"),
        ({"held_out": 0.1}, "no share and no names"),
        ({"held_out": ["ann", 1]}, "no share and no names"),
        ({"merge": ["ann"]}, "merge maps"),
        ({"merge": {"ann": "bo"}}, "merge maps"),
        ({"merge": {"ann": [1]}}, "merge maps"),
        ({"merge": {" ": ["bo"]}}, "merge maps"),
        ({"merge": {"a": ["x"], "b": ["y", "x"]}}, "'x' is merged twice"),
        ({"colour": "red"}, "no 'colour'"),
        ({1: 2}, "no 1"),
        ([], "an object"),
        (None, "an object"),
    ],
)
def test_what_makes_no_sense_is_refused(row: Any, says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        Recipe.from_json(row)
