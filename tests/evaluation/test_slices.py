from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from nwp.evaluation.counts import Scored
from nwp.evaluation.slices import BINS, Slices, calibration_json, slice_up, slices_json
from nwp.text.spelling import Letters
from nwp.text.vocabulary import END, FIRST_WORD, UNKNOWN, Encoded

SIZE = FIRST_WORD + 6000


def scored(rng: np.random.Generator, size: int) -> Scored:
    return Scored(
        rng.exponential(3, size),
        rng.integers(0, 6, size),
        rng.integers(0, 3, size),
        rng.random(size),
        np.full(size, -1),
    )


@pytest.fixture
def case(drawn) -> tuple[Scored, Encoded, Letters]:
    rng = np.random.default_rng(1)
    data = drawn(3, 200, SIZE, longest=30)
    size = len(data.targets)
    letters = Letters(np.where(data.targets == END, 0, rng.integers(1, 15, size)), np.zeros(size))
    return scored(rng, size), data, letters


def test_every_slice_is_counted_word_by_word(case):
    found, data, letters = case
    told = slices_json(slice_up(found, data, letters))
    words: dict[str, dict[str, list[int]]] = {k: defaultdict(list) for k in told}
    place = 0
    for i, target in enumerate(data.targets.tolist()):
        place = 0 if i in data.offsets else place + 1
        if target == END:
            continue
        at = {0: "1st word", 1: "2nd", 2: "3rd", 3: "4th and 5th", 4: "4th and 5th"}.get(place)
        at = at or ("6th to 10th" if place < 10 else "11th to 20th" if place < 20 else "later")
        words["position"][at].append(i)
        order = target - FIRST_WORD
        often = "not in the vocabulary" if target == UNKNOWN else "rarer"
        for least, name in ((5000, "to 5,000"), (1000, "to 1,000"), (100, "to 100")):
            if 0 <= order < least:
                often = name
        if 0 <= order < 10:
            often = "10 most frequent"
        words["frequency"][often].append(i)
        size = int(letters.sizes[i])
        name = "1 letter" if size == 1 else str(size)
        words["length"][
            "longer" if size > 10 else "8 to 10" if size > 7 else "6 and 7" if size > 5 else name
        ].append(i)
    for kind, rows in told.items():
        assert {row["slice"] for row in rows} == set(words[kind])
        for row in rows:
            mine = words[kind][row["slice"]]
            known = [i for i in mine if data.targets[i] != UNKNOWN]
            assert (row["tokens"], row["known"]) == (len(mine), len(known))
            assert row["top1"] == pytest.approx(np.mean([
                data.targets[i] != UNKNOWN and found.rank[i] < 1 for i in mine
            ]))  # fmt: skip
            assert row["top3"] == pytest.approx(np.mean([
                data.targets[i] != UNKNOWN and found.rank[i] < 3 for i in mine
            ]))  # fmt: skip
            if known:
                assert row["perplexity"] == pytest.approx(np.exp(found.nll[known].mean()))
            else:
                assert row["perplexity"] is None


def test_all_slices_of_a_kind_are_all_words(case):
    found, data, letters = case
    told = slices_json(slice_up(found, data, letters))
    words = int((data.targets != END).sum())
    assert {kind: sum(row["tokens"] for row in rows) for kind, rows in told.items()} == {
        "position": words,
        "frequency": words,
        "length": words,
    }


def test_without_letters_there_is_nothing_by_length(case):
    found, data, _ = case
    assert slices_json(slice_up(found, data, None))["length"] == []


def test_the_calibration_error_by_its_definition(case):
    found, data, letters = case
    told = calibration_json(slice_up(found, data, letters))
    right = (data.targets >= FIRST_WORD) & (found.rank == 0)
    error = 0.0
    for b in range(BINS):
        inside = (found.confidence >= b / BINS) & (found.confidence < (b + 1) / BINS)
        if inside.any():
            gap = right[inside].mean() - found.confidence[inside].mean()
            error += abs(gap) * inside.mean()
    assert told["error"] == pytest.approx(error)
    assert sum(row["count"] for row in told["bins"]) == len(data.targets)


def test_a_model_that_is_right_as_often_as_it_says_has_no_error(laid):
    data = laid([[FIRST_WORD]] * 1000)
    size = len(data.targets)
    sure = np.where(data.targets == END, 0.0, 0.7)
    rank = np.where(np.arange(size) // 2 % 10 < 7, 0, 4)
    zeros = np.zeros(size, np.int64)
    told = calibration_json(slice_up(Scored(np.ones(size), rank, zeros, sure, zeros), data, None))
    assert told["error"] == pytest.approx(0, abs=1e-12)


def test_slices_of_two_halves_add_up(case, drawn):
    found, data, letters = case
    other = drawn(9, 30, SIZE)
    more = scored(np.random.default_rng(2), len(other.targets))
    both = slice_up(found, data, letters) + slice_up(more, other, None)
    assert both.table[:, 0].sum() == pytest.approx(
        3 * (data.targets != END).sum() + 2 * (other.targets != END).sum()
    )
    assert calibration_json(Slices.none()) == {"error": None, "bins": []}
