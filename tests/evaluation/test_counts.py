from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.evaluation.counts import COLUMNS, SUMS, Counts, Scored, count, metrics
from nwp.text.vocabulary import END, UNKNOWN, Encoded


def counted(
    targets: list[int], nll: list[float], rank: list[int], addresses: list[bool] | None = None
) -> Counts:
    """Of messages that end at each END; the columns that they say nothing of are left out."""
    ends = [i + 1 for i, t in enumerate(targets) if t == END]
    data = Encoded(
        inputs=np.zeros(len(targets), np.int32),
        marks=np.zeros(len(targets), np.int32),
        targets=np.array(targets, np.int32),
        addresses=np.array(addresses or [False] * len(targets), np.bool_),
        offsets=np.array([0, *ends]),
    )
    zeros = np.zeros(len(targets))
    scored = Scored(
        np.array(nll, np.float64),
        np.array(rank, np.int64),
        np.full(len(targets), 2),
        zeros,
        zeros.astype(np.int64) - 1,
    )
    found = count(scored, data)
    return Counts(**{name: getattr(found, name) for name in FIRST})


FIRST = COLUMNS[:12]


def test_counts_by_hand():
    found = counted(
        [10, 11, 12, UNKNOWN, 13, END, 10, END],
        [1.0, 2.0, 4.0, 100.0, 8.0, 0.25, 16.0, 0.5],
        [0, 1, 2, 0, 3, 0, 0, 2],
        [False, True, False, False, False, False, True, False],
    )
    assert found == Counts(
        tokens=6,
        known=5,
        hits1=2,
        hits3=4,
        nll=31.0,
        masked_tokens=4,
        masked_known=3,
        masked_hits1=1,
        masked_hits3=2,
        masked_nll=13.0,
        ends=2,
        end_nll=0.75,
    )


def test_an_unknown_target_is_wrong_and_has_no_part_in_the_perplexity():
    found = counted([UNKNOWN, 10], [50.0, 1.0], [0, 0])
    assert (found.tokens, found.known, found.hits1, found.hits3, found.nll) == (2, 1, 1, 1, 1.0)
    assert metrics(found)["oov_rate"] == 0.5
    assert metrics(found)["perplexity"] == pytest.approx(math.e)
    assert metrics(found)["top1"] == 0.5


def test_an_end_is_no_target_and_no_hit():
    found = counted([END, END], [3.0, 4.0], [0, 0])
    assert found == Counts(ends=2, end_nll=7.0)


def test_an_unknown_piece_of_an_address_is_masked_too():
    found = counted([UNKNOWN, 10, UNKNOWN], [1.0, 2.0, 3.0], [0, 0, 0], [True, False, False])
    assert (found.masked_tokens, found.masked_known, found.masked_nll) == (2, 1, 2.0)


def test_nothing_counts_nothing():
    assert counted([], [], []) == Counts()


numbers = st.integers(0, 2**40)
nats = st.floats(0, 1e9)
some_counts = st.builds(Counts, **{name: nats if name in SUMS else numbers for name in COLUMNS})


@given(some_counts)
def test_a_row_comes_back_as_the_same_counts(counts):
    row = counts.as_row()
    assert row.dtype == np.float64
    assert row.shape == (len(COLUMNS),)
    back = Counts.from_row(row)
    assert back == counts
    for name in COLUMNS:
        assert type(getattr(back, name)) is (float if name in SUMS else int)


def test_a_row_has_the_columns_in_their_order():
    assert COLUMNS[:5] == ("tokens", "known", "hits1", "hits3", "nll")
    assert COLUMNS[5:10] == tuple(f"masked_{name}" for name in COLUMNS[:5])
    assert COLUMNS[10:12] == ("ends", "end_nll")
    row = np.arange(len(COLUMNS), dtype=np.float64)
    assert [getattr(Counts.from_row(row), name) for name in COLUMNS] == list(range(len(COLUMNS)))


@given(some_counts, some_counts)
def test_counts_add_up_column_by_column(one, other):
    both = one + other
    for name in COLUMNS:
        assert getattr(both, name) == getattr(one, name) + getattr(other, name)
    assert one + Counts() == one
    assert sum([one, other], Counts()) == both


@given(st.lists(st.tuples(st.sampled_from([END, UNKNOWN, 5, 6, 7]), nats, st.integers(0, 5),
                          st.booleans()), max_size=20), st.integers(0, 20))  # fmt: skip
def test_counts_of_two_halves_add_up_to_those_of_the_whole(rows, cut):
    def of(some):
        return counted(*([list(column) for column in zip(*some, strict=True)] or [[], [], []]))

    whole, sums = of(rows), of(rows[:cut]) + of(rows[cut:])
    assert whole.as_row() == pytest.approx(sums.as_row())
    assert whole.hits1 <= whole.hits3 <= whole.known <= whole.tokens
    assert whole.masked_tokens <= whole.tokens
    assert whole.tokens + whole.ends == len(rows)


def told(counts: Counts) -> dict[str, float | int | None]:
    """The figures that these tests are of; the others need columns that are 0 here."""
    of = ("tokens", "perplexity", "top1", "top3", "oov_rate", "messages")
    return {k: v for k, v in metrics(counts).items() if k in of or k.startswith("masked")}


def test_metrics_by_hand():
    counts = Counts(10, 8, 2, 4, 8 * math.log(50), 5, 4, 1, 2, 4 * math.log(20), 3, 1.0)
    assert told(counts) == {
        "tokens": 10,
        "perplexity": pytest.approx(50),
        "top1": 0.2,
        "top3": 0.4,
        "oov_rate": 0.2,
        "masked_tokens": 5,
        "masked_perplexity": pytest.approx(20),
        "masked_top1": 0.2,
        "masked_top3": 0.4,
        "messages": 3,
    }


def test_metrics_are_none_where_there_is_nothing_to_divide_by():
    assert told(Counts()) == {
        "tokens": 0,
        "perplexity": None,
        "top1": None,
        "top3": None,
        "oov_rate": None,
        "masked_tokens": 0,
        "masked_perplexity": None,
        "masked_top1": None,
        "masked_top3": None,
        "messages": 0,
    }


def test_without_known_targets_rates_are_zero_and_only_the_perplexity_is_none():
    found = metrics(Counts(tokens=4, ends=2, end_nll=3.0))
    assert found["perplexity"] is None
    assert (found["top1"], found["top3"], found["oov_rate"]) == (0, 0, 1)
    assert found["masked_top1"] is None  # all four were pieces of addresses


@pytest.mark.parametrize("nll", [1e6, math.inf])
def test_a_perplexity_beyond_all_numbers_stays_a_number(nll):
    found = metrics(Counts(tokens=1, known=1, nll=nll))["perplexity"]
    assert found is not None
    assert math.isfinite(found)
    assert found > 1e300
