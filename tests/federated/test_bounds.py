"""What one worker can do to a round: how long its update may be, and what share is its."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nwp.errors import BadSettings
from nwp.federated.averaging import MEAN, mean_of
from nwp.federated.bounds import cut, length, longest_update
from nwp.federated.cohort import draw_cohort
from nwp.federated.compression import Compression
from nwp.federated.local import LocalWork, train_group, words_trained
from nwp.federated.parcel import Parcel
from nwp.federated.participation import Participation
from nwp.federated.plan import TrainPlan
from nwp.federated.plan_text import plan_digest, plan_text, read_plan
from nwp.federated.shares import capped
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import FIRST_WORD, Vocabulary, encode

WORDS = ("the", "cat", "sat")
MODEL = ModelConfig(FIRST_WORD + len(WORDS), embedding=3, hidden=3, projection=3)
CHECK = MEAN.steps[0].phase.check
THREE = {"worker-1": 3, "worker-2": 3, "worker-3": 3}
TEXTS = (["the cat sat"] * 5 + ["cat"] * 20, ["sat the cat the cat"], ["the cat"] * 33)


def a_plan(**changes: object) -> TrainPlan:
    work = LocalWork(batch=2, learning_rate=1.0, clip_norm=0.01)
    usual = {"workers": THREE, "local": work}
    return TrainPlan(MODEL, WORDS, {}, **{**usual, **changes})  # type: ignore[arg-type]


def weights() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.5, MODEL.parameters).astype(np.float32)


@pytest.mark.parametrize("uplink", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"batch": 0}, {"epochs": 3}, {"proximal": 1.5}, {"batch": 1, "learning_rate": 1e-6}],
    ids=str,
)
def test_no_honest_update_is_longer_than_the_plan_allows(
    changes: dict[str, float], uplink: str
) -> None:
    """With gradients that are all longer than what they are clipped to, so that the bound is near."""
    work = replace(a_plan().local, **changes)  # type: ignore[arg-type]
    plan = a_plan(local=work, compression=Compression(up=uplink))
    users = [(encode(texts, Vocabulary.from_lists(WORDS, {})), 7) for texts in TEXTS]
    for some in (users[:1], users[1:2], users):
        summed, weight, _ = train_group(weights(), MODEL, work, some)
        update = plan.uplink.through((summed / weight).astype(np.float32))
        words = work.epochs * sum(words_trained(user, work) for user, _ in some)
        assert 0 < length(update) <= longest_update(plan, words)
        fields = {"words": words, "users": len(some), "loss": 1.0}
        CHECK(plan, "worker-1", Parcel(fields, plan.uplink.encode("update", update)))


def test_the_bound_is_near_to_what_steps_of_one_direction_give() -> None:
    plan = a_plan(local=LocalWork(batch=1, learning_rate=0.5, clip_norm=1e-3))
    user = encode(["cat"] * 50, Vocabulary.from_lists(WORDS, {}))
    summed, weight, _ = train_group(weights(), MODEL, plan.local, [(user, 7)])
    assert 0.9 < length(summed / weight) / longest_update(plan, 50) < 1


@pytest.mark.parametrize(
    "changes",
    [
        {"local": LocalWork()},
        {"local": LocalWork(learning_rate=4.0, clip_norm=0.5, proximal=1.0)},
        {"compression": Compression(up="topk")},
        {"aggregation": "scaffold", "weighting": Weighting("equal")},
        {"participation": Participation("size"), "weighting": Weighting("equal"), "cohort": 3},
    ],
    ids=["no clipping", "a pull beyond", "topk", "scaffold", "words are not told"],
)
def test_where_nothing_bounds_an_update_none_is_refused_for_its_length(
    changes: dict[str, object],
) -> None:
    assert longest_update(a_plan(**changes), 10) == math.inf


def test_an_update_of_no_words_is_none() -> None:
    assert longest_update(a_plan(), 0) == 0
    assert longest_update(a_plan(local=LocalWork(batch=0, clip_norm=1.0)), 0) == 0


@pytest.mark.parametrize(
    ("amounts", "share", "expected"),
    [
        ([5, 6, 7], 0.5, [5, 6, 7]),
        ([10**15, 30, 20], 0.5, [50, 30, 20]),
        ([10**15, 10**15, 20], 0.5, [10**15, 10**15, 20]),  # two of one mind are more than half
        ([100, 100, 10, 10], 0.3, [15, 15, 10, 10]),
        ([9, 4, 5], 0.2, [4, 4, 4]),  # a fifth of three can't be: all alike
        ([9, 4], 0.5, [4, 4]),
        ([9, 0, 0], 0.5, [9, 0, 0]),
        ([9, 0, 4, 3], 0.5, [7, 0, 4, 3]),
        ([9, 4], 1.0, [9, 4]),
        ([], 0.5, []),
    ],
)
def test_no_amount_is_more_than_its_share_of_what_is_left(
    amounts: list[int], share: float, expected: list[int]
) -> None:
    named = {str(i): n for i, n in enumerate(amounts)}
    assert list(capped(named, share).values()) == expected


def test_a_vector_is_cut_to_a_length_in_its_direction() -> None:
    vector = np.array([3.0, 4.0], np.float32)
    assert cut(vector, 5.0) is vector
    assert cut(vector, math.inf) is vector
    assert cut(vector, 2.5) == pytest.approx([1.5, 2.0])
    assert length(cut(np.full(9, 3e38, np.float32), 1.0)) == pytest.approx(1.0)


def test_who_claims_no_more_than_its_share_counts_as_without_a_bound() -> None:
    answers = {
        worker: Parcel({"words": words, "users": 3, "loss": 1.0}, {"update": weights() * words})
        for worker, words in zip(THREE, (5, 6, 7), strict=True)
    }
    plain, _ = mean_of(a_plan(), "update", MODEL.parameters, answers)
    bounded, _ = mean_of(a_plan(member_share=0.5), "update", MODEL.parameters, answers)
    assert plain.tobytes() == bounded.tobytes()


def test_all_users_of_a_worker_that_has_more_than_its_share_take_part_in_some_round() -> None:
    plan = a_plan(workers={"worker-1": 12, "worker-2": 2, "worker-3": 2}, member_share=0.5)
    assert (plan.users, plan.goal, plan.asked) == (16, 8, 8)
    drawn = [draw_cohort(plan, number) for number in range(1, 20)]
    assert all(len(cohort["worker-1"]) == 4 for cohort in drawn)
    assert {place for cohort in drawn for place in cohort["worker-1"]} == set(range(12))


def test_a_plan_without_such_a_bound_does_not_mention_it() -> None:
    assert "member_share" not in plan_text(a_plan())
    bounded = a_plan(member_share=0.5)
    assert '"member_share":0.5' in plan_text(bounded)
    assert read_plan(plan_text(bounded)) == bounded
    assert plan_digest(bounded) != plan_digest(a_plan())


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, math.nan])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(BadSettings, match="share of a round"):
        a_plan(member_share=share)


def test_scaffold_takes_no_bound_on_shares() -> None:
    with pytest.raises(BadSettings, match="control variates"):
        a_plan(aggregation="scaffold", weighting=Weighting("equal"), member_share=0.5)
