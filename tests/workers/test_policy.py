"""An owner's rules: each limit on both sides of it, and a file that says the same."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadSettings
from nwp.federated.local import LocalWork
from nwp.federated.participation import Participation
from nwp.federated.plan import KINDS, EvaluatePlan, NgramsPlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.weighting import Weighting
from nwp.workers.policy import (
    NOTHING,
    OWNERS,
    Policy,
    fault,
    largest_message,
    policy_text,
    read_policy,
    request_fault,
    trusted,
    within_hours,
)
from nwp.workers.policy_keys import KEYS

NOON = datetime(2026, 3, 1, 12, 0)
ALL = tuple(KINDS)


def refused(policy: Policy, plan: Plan, words: str) -> bool:
    """Is the plan refused, for a reason with these words?"""
    reason = fault(policy, plan)
    assert reason is None or words in reason, reason
    return reason is not None


# -------------------------------------------------------------------------------------------- plans


def test_the_usual_rules_allow_what_a_simulation_does(
    plan: TrainPlan, evaluation: EvaluatePlan
) -> None:
    ngrams = NgramsPlan(evaluation.model, evaluation.words)
    for each in (plan, evaluation, ngrams, SurveyPlan()):
        assert fault(Policy(), each) is None
        assert fault(NOTHING, each) == f"the owner allows no {each.kind} plan"


def test_a_new_owners_rules_allow_a_survey_and_training_alone(
    plan: TrainPlan, evaluation: EvaluatePlan
) -> None:
    assert OWNERS.approve == "ask"
    assert fault(OWNERS, SurveyPlan()) is fault(OWNERS, plan) is None
    assert refused(OWNERS, evaluation, "no evaluate plan")
    assert refused(OWNERS, NgramsPlan(evaluation.model, evaluation.words), "no ngrams plan")


@pytest.mark.parametrize(
    ("key", "limit", "words"),
    [
        ("max_rounds", 2, "2 rounds, the owner allows 1"),
        ("max_epochs", 3, "3 local epochs"),
        ("max_layers", 2, "2 layers"),
        ("max_learning_rate", 0.5, "a learning rate of 0.5"),
    ],
)
def test_limits_of_training_are_allowed_and_nothing_beyond(
    plan: TrainPlan, key: str, limit: float, words: str
) -> None:
    model = replace(plan.model, layers=2)
    plan = replace(plan, model=model, local=LocalWork(epochs=3, learning_rate=0.5))
    assert not refused(Policy(**{key: limit}), plan, "")
    less: Any = limit - 1 if type(limit) is int else math.nextafter(limit, 0)
    assert refused(Policy(**{key: less}), plan, words)


def test_weights_of_a_model_are_limited(plan: TrainPlan, evaluation: EvaluatePlan) -> None:
    size = plan.model.parameters
    for each in (plan, evaluation, NgramsPlan(evaluation.model, evaluation.words)):
        assert not refused(Policy(max_parameters=size), each, "")
        assert refused(Policy(max_parameters=size - 1), each, f"more than {size - 1:,} weights")


def test_words_must_be_shared_by_as_many_as_the_owner_wants(evaluation: EvaluatePlan) -> None:
    for kind in (SurveyPlan(k=3), NgramsPlan(evaluation.model, evaluation.words, k=3)):
        assert not refused(Policy(min_k=3), kind, "")
        assert refused(Policy(min_k=4), kind, "k = 3, the owner wants 4 or more")


def test_rows_are_given_out_only_if_the_owner_says_so(evaluation: EvaluatePlan) -> None:
    rows = replace(evaluation, rows=True)
    assert not refused(Policy(rows=True), rows, "")
    assert refused(Policy(rows=False), rows, "counts of each user")


def test_privacy_is_spent_within_limits(evaluation: EvaluatePlan) -> None:
    noisy = replace(evaluation, epsilon=0.5)
    assert not refused(Policy(max_epsilon=0.5, epsilon_budget=0.5), noisy, "")
    assert refused(Policy(max_epsilon=0.49), noisy, "epsilon = 0.5, the owner allows 0.49")
    assert refused(Policy(epsilon_budget=0.49), noisy, "allows 0.49 in all")
    assert refused(Policy(epsilon_budget=0), noisy, "allows 0.0 in all")
    assert not refused(Policy(max_epsilon=0, epsilon_budget=0), evaluation, "")


def test_the_cohort_that_the_server_claims_is_large_enough(plan: TrainPlan) -> None:
    assert not refused(Policy(min_cohort=6), plan, "")
    assert refused(Policy(min_cohort=7), plan, "rounds over 6 users, the owner wants 7 or more")
    drawn = replace(plan, cohort=2)
    assert not refused(Policy(min_cohort=2), drawn, "")
    assert refused(Policy(min_cohort=3), drawn, "rounds over 2 users")
    draws = replace(
        plan, cohort=50, participation=Participation("size"), weighting=Weighting("equal")
    )
    assert refused(Policy(min_cohort=7), draws, "rounds over 6 users")


def test_draws_by_size_are_refused_where_an_answer_must_be_of_several(plan: TrainPlan) -> None:
    draws = replace(plan, participation=Participation("size"), weighting=Weighting("equal"))
    assert not refused(Policy(min_users=1), draws, "")
    assert refused(Policy(min_users=2), draws, "users drawn by size")
    assert not refused(Policy(min_users=2), plan, "")


def test_messages_are_no_larger_than_allowed(plan: TrainPlan) -> None:
    size = largest_message(plan)
    assert size == 4 * plan.model.parameters
    assert not refused(Policy(max_message_bytes=size), plan, "")
    assert refused(Policy(max_message_bytes=size - 1), plan, f"messages of {size:,} bytes")
    both = replace(plan, aggregation="scaffold", weighting=Weighting("equal"))
    assert largest_message(both) == 2 * size


@pytest.mark.parametrize(
    "wrong",
    [
        "the cat sat",
        "my-secret",
        "Cat",
        "it’s",
        "cat ",
        "\ncat",
        "dog\nsat",
        "_",
        "😀",
        "4111 1111",
        "a_b",
    ],
)
def test_a_vocabulary_is_of_words(plan: TrainPlan, evaluation: EvaluatePlan, wrong: str) -> None:
    for place in (0, 3, 6):
        words = (*plan.words[:place], wrong, *plan.words[place + 1 :])
        for each in (
            replace(plan, words=words),
            replace(evaluation, words=words),
            NgramsPlan(plan.model, words),
        ):
            assert refused(Policy(), each, "an entry of the vocabulary is no word: ")


def test_a_long_entry_is_not_repeated_to_everybody(plan: TrainPlan) -> None:
    reason = fault(Policy(), replace(plan, words=("no word " * 1000, *plan.words[1:])))
    assert reason and len(reason) < 120


@pytest.mark.parametrize("word", ["don't", "2026", "naïve", "straße", "слово", "x"])
def test_words_of_all_kinds_are_words(plan: TrainPlan, word: str) -> None:
    assert fault(Policy(), replace(plan, words=(word, *plan.words[1:]))) is None


def test_absurd_numbers_are_refused(plan: TrainPlan) -> None:
    absurd: dict[str, Any] = {
        "surface": {"surfaces": {"secret": "Secret"}},
        "-1 users, which can't be": {"workers": {"worker-1": 3, "worker-2": -1}},
        "10000000001 users, which can't be": {"workers": {"worker-1": 10**10 + 1}},
        "10001 groups": {"groups": 10_001},
    }
    for words, changes in absurd.items():
        assert refused(Policy(min_cohort=1), replace(plan, **changes), words), words
    assert fault(Policy(), replace(plan, groups=10_000, surfaces={"the": "THE"})) is None


def test_a_server_is_trusted_by_its_key() -> None:
    assert trusted(Policy(), "ab:cd:ef:01")
    rules = Policy(trust=("ab:cd:ef:01", "SHA256:abcdefgh+/="))
    assert trusted(rules, "ab:cd:ef:01")
    assert not trusted(rules, "ab:cd:ef:02")
    assert not trusted(rules, "")
    shown = Policy(trust=("0123456789abcdef" * 2, "89abcdef"))
    assert trusted(shown, "0123456789abcdef" * 4)
    assert not trusted(shown, "89abcdef" * 8)  # too few digits to know a key by


# ----------------------------------------------------------------------------------------- requests


def at_request(policy: Policy, plan: Plan, **more: Any) -> str | None:
    usual: dict[str, Any] = {
        "users_asked": 1,
        "now": NOON,
        "rounds_today": 0,
        "epsilon_spent": 0.0,
        "request_bytes": 1000,
    }
    return request_fault(policy, plan, **usual | more)


def test_a_usual_request_is_answered(plan: TrainPlan) -> None:
    assert at_request(Policy(), plan) is at_request(OWNERS, plan) is None


@pytest.mark.parametrize(
    ("rules", "good", "bad", "words"),
    [
        ({"max_message_bytes": 1000}, {}, {"request_bytes": 1001}, "1,001 bytes"),
        ({"max_rounds_a_day": 5}, {"rounds_today": 4}, {"rounds_today": 5}, "5 rounds today"),
        ({"max_rounds_a_day": 5}, {"rounds_today": 0}, {"rounds_today": 9**9}, "allows 5 a day"),
        (
            {"min_users": 3},
            {"users_asked": 3},
            {"users_asked": 2},
            "from 2 users, the owner wants 3",
        ),
        ({"min_users": 1}, {"users_asked": 1}, {"users_asked": 0}, "from 0 users"),
        (
            {"hours": "11:30-12:30"},
            {"now": NOON.replace(minute=29)},
            {"now": NOON.replace(minute=30)},
            "it is 12:30, the owner answers 11:30-12:30",
        ),
    ],
)
def test_requests_are_answered_up_to_the_limit(
    plan: TrainPlan, rules: dict[str, Any], good: Any, bad: Any, words: str
) -> None:
    assert at_request(Policy(**rules), plan, **good) is None
    reason = at_request(Policy(**rules), plan, **bad)
    assert reason and words in reason


def test_there_is_no_limit_a_day_where_none_is_set(plan: TrainPlan) -> None:
    assert at_request(Policy(max_rounds_a_day=0), plan, rounds_today=10**9) is None


def test_the_budget_of_privacy_is_spent_and_no_more(
    plan: TrainPlan, evaluation: EvaluatePlan
) -> None:
    noisy = replace(evaluation, epsilon=0.1)
    rules = Policy(epsilon_budget=0.3)
    spent = 0.0
    for _ in range(3):
        assert at_request(rules, noisy, epsilon_spent=spent) is None
        spent += 0.1
    reason = at_request(rules, noisy, epsilon_spent=spent)
    assert reason == "epsilon = 0.1 after 0.3 spent, the owner allows 0.3 in all"
    assert at_request(rules, noisy, epsilon_spent=math.nan)
    for free in (plan, evaluation):
        assert at_request(rules, free, epsilon_spent=9.0) is None
    assert at_request(Policy(), noisy, epsilon_spent=1e9) is None


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("09:00-17:00", ["09:00", "16:59"], ["08:59", "17:00", "00:00"]),
        ("22:00-07:00", ["22:00", "23:59", "00:00", "06:59"], ["21:59", "07:00", "12:00"]),
        ("00:00-00:01", ["00:00"], ["00:01", "23:59"]),
        ("23:59-00:00", ["23:59"], ["00:00", "23:58"]),
        ("", ["00:00", "23:59"], []),
    ],
)
def test_hours_may_pass_midnight(hours: str, inside: list[str], outside: list[str]) -> None:
    for text, expected in [*((t, True) for t in inside), *((t, False) for t in outside)]:
        for zone in (None, UTC):  # the clock on the wall is read as it is
            now = datetime.combine(NOON.date(), time.fromisoformat(text), zone)
            assert within_hours(hours, now.replace(second=59)) is expected, text


# --------------------------------------------------------------------------------------------- file


def whole(least: int) -> st.SearchStrategy[int]:
    return st.integers(least, 10**15)


NUMBERS = st.floats(0, allow_nan=False) | st.integers(0, 10**6)
MINUTES = st.times().map(lambda t: f"{t:%H:%M}")
POLICIES = st.builds(
    Policy,
    kinds=st.lists(st.sampled_from(ALL), unique=True).map(tuple),
    trust=st.lists(st.text("0123456789abcdefXYZ+/=:._-", min_size=8, max_size=90), max_size=3).map(
        tuple
    ),
    approve=st.sampled_from(["ask", "auto"]),
    hours=st.just("") | st.lists(MINUTES, min_size=2, max_size=2, unique=True).map("-".join),
    rows=st.booleans(),
    max_epsilon=NUMBERS,
    epsilon_budget=NUMBERS,
    max_learning_rate=NUMBERS,
    max_rounds_a_day=whole(0),
    **{
        name: whole(1)
        for name, key in KEYS.items()
        if key.type is int and name != "max_rounds_a_day"
    },
)


@given(policy=POLICIES)
def test_a_file_says_what_the_rules_are(
    tmp_path_factory: pytest.TempPathFactory, policy: Policy
) -> None:
    path = tmp_path_factory.getbasetemp() / "rules.toml"
    path.write_text(policy_text(policy), encoding="utf-8")
    assert read_policy(path) == policy


def test_a_new_file_is_the_usual_one_and_so_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    for text in (policy_text(), policy_text(OWNERS), "", "\ufeff# nothing\r\n"):
        path.write_text(text, encoding="utf-8")
        assert read_policy(path) == OWNERS
    path.write_text('approve = "auto"\r\nmax_epsilon = 2\r\n')
    assert read_policy(path) == replace(OWNERS, approve="auto", max_epsilon=2.0)


def test_every_rule_is_told_of_in_the_file() -> None:
    assert {f.name for f in fields(Policy)} == set(KEYS)
    lines = policy_text().splitlines()
    assert max(map(len, lines)) <= 100
    for name, key in KEYS.items():
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{name} = "))
        assert lines[at - 1] == f"# Allowed: {key.allowed}."
        assert lines[at - 2].startswith("# ")
    text = policy_text().replace("\n# ", " ")
    assert "you have one user alone, the server sees that user's own update" in text
    assert "what the server claims, and you can't check it" in text


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("min_k = 0", ["min_k = 0", "a whole number, 1 or more"]),
        ("min_k = 3.0", ["min_k = 3.0", "a whole number"]),
        ("min_k = true", ["min_k = True"]),
        ('min_k = "3"', ["min_k = '3'"]),
        ("max_rounds = 0x" + "f" * 6000, ["max_rounds = an endless number"]),
        ("max_epsilon = nan", ["max_epsilon = nan", "a number, 0 or more"]),
        ("max_epsilon = -1", ["max_epsilon = -1"]),
        ("max_learning_rate = -inf", ["max_learning_rate = -inf"]),
        ("rows = 1", ["rows = 1", "true or false"]),
        ('approve = "Ask"', ["approve = 'Ask'", '"ask" or "auto"']),
        ('kinds = "train"', ["kinds = 'train'", '"survey"']),
        ('kinds = ["trian"]', ["kinds = ['trian']"]),
        ('kinds = [["train"]]', ["kinds = [['train']]"]),
        ('trust = ["short"]', ["trust = ['short']", "8 characters"]),
        ("trust = [1]", ["trust = [1]"]),
        ('hours = "22-7"', ["hours = '22-7'", "22:00-07:00"]),
        ('hours = "24:00-07:00"', ["hours = '24:00-07:00'"]),
        ('hours = "07:00-07:00"', ["hours = '07:00-07:00'"]),
        ('hours = "٢٢:00-07:00"', ["hours = "]),
        ("hours = 22:00:00", ["hours = datetime.time"]),
        ("min_kk = 3", ["no rule 'min_kk'", "min_k, "]),
        ('"min kk" = 3', ["no rule 'min kk'"]),
        ("[rules]", ["no rule 'rules'"]),
        ("[[ rules . more ]]", ["no rule 'rules'"]),
        ("[min_k]", ["min_k = {}"]),
        ("min_k.x = 3", ["min_k = {'x': 3}"]),
    ],
)
def test_a_wrong_rule_is_named_with_its_line_and_what_is_allowed(
    tmp_path: Path, line: str, named: list[str]
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(f"# my rules\n\n{line}\n", encoding="utf-8")
    with pytest.raises(BadSettings) as error:
        read_policy(path)
    told = f"{error.value.message} {error.value.hint}"
    assert f"{path}, line 3: " in told
    assert all(part in told for part in named), told
    assert len(error.value.message) < 300


def test_what_is_no_file_of_rules_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    with pytest.raises(BadSettings, match="No such file"):
        read_policy(path)
    with pytest.raises(BadSettings, match="Is a directory"):
        read_policy(tmp_path)
    for raw, words in (
        (b"min_k 3", "line 1"),
        (b"min_k = 3\nmin_k = 4\n", "line 2"),
        (b"\xff\xfe\0", "no TOML"),
        (b"a = " + b"[" * 5000, "no TOML"),
        (b"# " + b"x" * 1_000_001, "too large"),
    ):
        path.write_bytes(raw)
        with pytest.raises(BadSettings, match=words):
            read_policy(path)


@pytest.mark.parametrize(
    "wrong",
    [{"min_users": 0}, {"approve": "maybe"}, {"hours": "9-5"}, {"kinds": ["train"]}, {"rows": 1}],
)
def test_rules_that_can_not_be_are_refused_in_code_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSettings, match="is not allowed"):
        Policy(**wrong)


def test_a_page_holds_the_rules_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    assert f"```toml\n{policy_text()}```" in page, (
        "docs/policy.md is stale: put policy_text() there"
    )
