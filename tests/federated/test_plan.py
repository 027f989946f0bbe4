from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadMessage, BadSettings
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.participation import Participation
from nwp.federated.plan import EvaluatePlan, NgramsPlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.plan_text import plan_digest, plan_text, read_plan
from nwp.federated.query_plan import QueryPlan
from nwp.federated.schedules import Schedule
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig

WORDS = ("the", "i'm", "straße", "日本")
MODEL = ModelConfig(5 + len(WORDS), 4, hidden=5, projection=4, dropout=0.25)
SURVEY = SurveyPlan(k=2)
TRAIN = TrainPlan(
    MODEL,
    WORDS,
    {"i'm": "I'm"},
    {"worker-1": 3, "worker-2": 4},
    LocalWork(2, 8, 0.25, 30, 0.5, "given"),
    ServerOptimizer("fedadam", 0.03),
    rounds=7,
    cohort=5,
    seed=11,
    validate_every=2,
    patience=3,
    quorum=0.75,
    groups=2,
    threads=2,
    weighting=Weighting("clipped", 100),
    schedule=Schedule("step", 2, 0.25, 3, 0.75),
)
EVALUATE = EvaluatePlan(MODEL, WORDS, "valid", rows=True)
GRAMS = NgramsPlan(MODEL, WORDS, k=4, threads=2)
QUERY = QueryPlan("perplexity", "valid", 4, 5, 0.5, 100, WORDS, MODEL, ngrams=True)
PLANS: dict[str, Plan] = {p.kind: p for p in (SURVEY, TRAIN, EVALUATE, GRAMS, QUERY)}
PARTS = ("model", "local", "server", "weighting", "schedule", "compression")
each_kind = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def content_of(plan: Plan) -> dict[str, Any]:
    return json.loads(plan_text(plan))


def text_of(content: Any) -> str:
    """As `plan_text` writes it, whatever the content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def entries(content: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The place of every value that is no object."""
    found = []
    for name, value in content.items():
        inner = isinstance(value, dict) and name in PARTS
        found += entries(value, (*path, name)) if inner else [(*path, name)]
    return found


def at(content: dict[str, Any], path: tuple[str, ...]) -> Any:
    """The value at a place."""
    value: Any = content
    for name in path:
        value = value[name]
    return value


def put(plan: Plan, path: tuple[str, ...], value: object) -> dict[str, Any]:
    content = content_of(plan)
    at(content, path[:-1])[path[-1]] = value
    return content


def assert_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        read_plan(text)


@each_kind
def test_a_plan_comes_back_as_it_was_written(plan):
    again = read_plan(plan_text(plan))
    assert again == plan
    assert type(again) is type(plan)
    assert plan_text(again) == plan_text(plan)


@pytest.mark.parametrize(
    "plan",
    [
        SurveyPlan(),
        TrainPlan(MODEL, WORDS, {}, {"w": 1}),
        EvaluatePlan(MODEL, WORDS),
        NgramsPlan(MODEL, WORDS),
        QueryPlan("size"),
        QueryPlan("unknown", words=WORDS),
        TrainPlan(MODEL, WORDS, {}, {}, server=ServerOptimizer(averaging=0.5)),
        TrainPlan(MODEL, WORDS, {}, {}, server_schedule=Schedule("cosine")),
        TrainPlan(MODEL, WORDS, {}, {}, LocalWork(messages=5)),
        TrainPlan(MODEL, WORDS, {}, {}, LocalWork(learning_rate=1), ServerOptimizer(momentum=0)),
    ],
    ids=[
        "survey",
        "train",
        "evaluate",
        "ngrams",
        "query",
        "unknown",
        "averaging",
        "server schedule",
        "some messages",
        "whole numbers for floats",
    ],
)
def test_a_plan_with_defaults_comes_back_too(plan):
    assert read_plan(plan_text(plan)) == plan


def test_the_text_is_one_line_of_sorted_json_without_spaces():
    assert plan_text(SURVEY) == '{"k":2,"kind":"survey"}\n'
    text = plan_text(TRAIN)
    assert text == text_of(json.loads(text))
    assert text.count("\n") == 1
    assert "straße" in text


def test_the_digest_is_that_of_the_text_and_stays_so():
    assert plan_digest(SURVEY) == (
        "88a9de1e93c7dff5eda382d4ec0a9142bf2c0fe612eaefef2871dd442f74a129"
    )
    for plan in PLANS.values():
        assert plan_digest(plan) == hashlib.sha256(plan_text(plan).encode("utf-8")).hexdigest()
        assert plan_digest(read_plan(plan_text(plan))) == plan_digest(plan)


def test_the_digest_does_not_depend_on_the_order_in_which_a_plan_was_put_together():
    turned = dataclasses.replace(TRAIN, workers=dict(reversed(list(TRAIN.workers.items()))))
    assert list(turned.workers) != list(TRAIN.workers)
    assert plan_digest(turned) == plan_digest(TRAIN)


def changed(plan: Plan, part: str, **changes: Any) -> list[Plan]:
    """The plan with one entry of a part of it changed, once for each change."""
    old = getattr(plan, part)
    return [
        dataclasses.replace(plan, **{part: dataclasses.replace(old, **{name: value})})
        for name, value in changes.items()
    ]


UNTIED = dataclasses.replace(TRAIN, model=dataclasses.replace(MODEL, tied=False))
LONGER = (*WORDS, "more")
LONGER_MODEL = dataclasses.replace(MODEL, vocabulary=MODEL.vocabulary + 1)
OTHER: dict[str, list[Plan]] = {
    "survey": [SurveyPlan(3)],
    "train": [
        UNTIED,
        *changed(UNTIED, "model", embedding=6, hidden=6, projection=6, layers=2, marks=17),
        *changed(TRAIN, "model", dropout=0.5),
        dataclasses.replace(TRAIN, model=LONGER_MODEL, words=LONGER),
        *(
            dataclasses.replace(TRAIN, words=words)
            for words in (("the", "i'm", "straße", "other"), tuple(reversed(WORDS)))
        ),
        *(dataclasses.replace(TRAIN, surfaces=s) for s in ({}, {"i'm": "I'M"})),
        *(
            dataclasses.replace(TRAIN, workers=workers)
            for workers in (
                {"worker-1": 3, "worker-2": 5},
                {"worker-1": 3, "worker-3": 4},
                {"worker-1": 3},
            )
        ),
        *changed(TRAIN, "local", epochs=1, batch=9, learning_rate=0.26, max_positions=31),
        *changed(TRAIN, "local", messages=9),
        *changed(TRAIN, "local", clip_norm=0.0, order="sorted", precision="bf16", proximal=0.1),
        *changed(TRAIN, "server", name="fedavg", learning_rate=0.02, momentum=0.8, beta2=0.98),
        *changed(TRAIN, "server", epsilon=1e-4, nesterov=True, averaging=0.5),
        *changed(TRAIN, "weighting", cap=101),
        dataclasses.replace(TRAIN, weighting=Weighting("equal")),
        *changed(TRAIN, "schedule", name="linear", warmup=3, final=0.5, every=4, factor=0.5),
        dataclasses.replace(TRAIN, server_schedule=Schedule("cosine")),
        dataclasses.replace(TRAIN, server_schedule=Schedule("cosine", final=0.2)),
        *changed(TRAIN, "compression", down="bf16", up="int8", share=0.02),
        *(
            dataclasses.replace(TRAIN, **{name: value})
            for name, value in {
                "aggregation": "other",
                "rounds": 8,
                "cohort": 4,
                "seed": 12,
                "validate_every": 1,
                "validate_users": 4,
                "patience": 2,
                "quorum": 0.5,
                "groups": 3,
                "threads": 1,
            }.items()
        ),
    ],
    "ngrams": [
        dataclasses.replace(GRAMS, model=LONGER_MODEL, words=LONGER),
        *(dataclasses.replace(GRAMS, **{name: 3}) for name in ("k", "threads")),
        dataclasses.replace(GRAMS, words=tuple(reversed(WORDS))),
    ],
    "query": [
        dataclasses.replace(QUERY, words=tuple(reversed(WORDS))),
        *(
            dataclasses.replace(QUERY, **{name: value})
            for name, value in {
                "part": "test",
                "min_users": 5,
                "k": 4,
                "epsilon": 0.25,
                "per_user": 99,
                "ngrams": False,
            }.items()
        ),
    ],
    "evaluate": [
        *changed(EVALUATE, "model", hidden=6),
        *(
            dataclasses.replace(EVALUATE, **{name: value})
            for name, value in {
                "words": tuple(reversed(WORDS)),
                "part": "test",
                "ngrams": True,
                "rows": False,
                "group": 3,
                "threads": 3,
            }.items()
        ),
        dataclasses.replace(EVALUATE, rows=False, epsilon=0.5),
    ],
}


@each_kind
def test_the_digest_changes_with_every_field(plan):
    others = OTHER[plan.kind]
    digests = [plan_digest(p) for p in (plan, *others)]
    assert len(set(digests)) == len(digests)
    mine = content_of(plan)
    places = entries(mine)
    differing = {
        path for other in others for path in places if at(content_of(other), path) != at(mine, path)
    }
    fixed = {("kind",), ("model", "first_output")}
    if plan.kind == "query":
        fixed.add(("what",))  # another one goes without a model
    if plan.kind in ("evaluate", "ngrams", "query"):
        fixed |= {("model", name) for name in mine["model"]}  # as in a training plan
    assert differing | fixed >= set(places)
    assert all(read_plan(plan_text(p)) == p for p in others)


WHO = Participation("poisson", 0.5, 2, 0.25, 9.5, 3)
DRAWN = dataclasses.replace(TRAIN, participation=WHO)
# The same with each setting changed.
DRAWN_OTHERWISE = [
    *changed(DRAWN, "participation", sampling="uniform", availability=0.6, cycle=3),
    *changed(DRAWN, "participation", over_select=0.3, time_limit=9.0, minimum=2),
]


def test_a_plan_that_draws_as_usual_has_the_text_of_always():
    assert "participation" not in content_of(TRAIN)
    assert plan_digest(TRAIN) == "7812ce77bf1dddb10f42c1676a51a28ce0333c2783276cdf2c09c1d2884416c0"


def test_a_plan_that_draws_otherwise_says_so_and_comes_back():
    assert content_of(DRAWN)["participation"] == dataclasses.asdict(WHO)
    plans = [TRAIN, DRAWN, *DRAWN_OTHERWISE]
    assert len({plan_digest(plan) for plan in plans}) == 8
    for plan in plans:
        assert read_plan(plan_text(plan)) == plan


def test_sizes_are_the_servers_alone():
    equal = Weighting("equal")
    by_size = dataclasses.replace(TRAIN, weighting=equal, participation=Participation("size"))
    known = dataclasses.replace(by_size, sizes={"worker-1": 12345, "worker-2": 9})
    assert plan_text(known) == plan_text(by_size)
    assert read_plan(plan_text(known)) == by_size
    assert_refused(text_of(put(by_size, ("sizes",), {})))
    assert_refused(text_of(put(by_size, ("sizes",), {"worker-1": 12345})))


def test_participation_is_written_in_one_way_and_whole():
    usual = dataclasses.asdict(Participation())
    assert_refused(text_of(put(TRAIN, ("participation",), usual)))
    for value in (None, {}, 3, "size", [], {**usual, "note": 1}):
        assert_refused(text_of(put(DRAWN, ("participation",), value)))
    for name in usual:
        content = content_of(DRAWN)
        del content["participation"][name]
        assert_refused(text_of(content))
        for value in (*NEVER, True, [], {}, -1, *([3] if name == "sampling" else ["3"])):
            assert_refused(text_of(put(DRAWN, ("participation", name), value)))


def test_plans_of_two_kinds_never_share_a_digest():
    assert len({plan_digest(plan) for plan in PLANS.values()}) == len(PLANS)


# --- what is no plan ------------------------------------------------------------------------------


@each_kind
def test_an_extra_entry_is_refused_wherever_it_stands(plan):
    assert_refused(text_of(put(plan, ("note",), "meet me at eight")))
    for part in PARTS:
        if hasattr(plan, part):
            assert_refused(text_of(put(plan, (part, "note"), 1)))


@each_kind
def test_a_missing_entry_is_refused_wherever_it_stood(plan):
    for path in entries(content_of(plan)):
        content = content_of(plan)
        del at(content, path[:-1])[path[-1]]
        assert_refused(text_of(content))


@each_kind
def test_another_way_to_write_the_same_plan_is_refused(plan):
    text, content = plan_text(plan), content_of(plan)
    backwards = json.dumps(
        dict(reversed(list(content.items()))), separators=(",", ":"), ensure_ascii=False
    )
    others = [
        text.rstrip("\n"),
        text + "\n",
        " " + text,
        text.replace("\n", " \n"),
        text.replace("\n", "\r\n"),
        text.replace(":", ": ", 1),
        text.replace(",", ", ", 1),
        backwards + "\n",
        json.dumps(content, sort_keys=True, indent=1) + "\n",
        text.replace('"kind"', '"k\\u0069nd"'),
        text.replace('"kind":', '"kind":"survey","kind":'),
        "\ufeff" + text,
    ]
    if "ß" in text:
        others.append(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n")
    for other in others:
        assert other != text
        assert_refused(other)


NEVER = [None, [None], math.nan, math.inf, -math.inf, 10**40, -(10**40)]
OF_TYPE = {
    int: [3],
    float: [0.5],
    bool: [True],
    str: ["3", ""],
    list: [[], [3]],
    dict: [{}, {"a": 1}, {"a": "b"}],
}


@each_kind
def test_a_value_of_a_type_other_than_agreed_is_refused_wherever_it_stands(plan):
    for path in entries(content_of(plan)):
        agreed = type(at(content_of(plan), path))
        others = [v for kind, values in OF_TYPE.items() if kind is not agreed for v in values]
        if agreed is float:
            others.remove(3)
        for value in NEVER + others:
            assert_refused(text_of(put(plan, path, value)))


@pytest.mark.parametrize("value", [1, None, True, 1.5, [], {}], ids=str)
def test_lists_and_tables_with_values_of_another_type_are_refused(value):
    assert_refused(text_of(put(TRAIN, ("words",), ["the", "i'm", "straße", value])))
    assert_refused(text_of(put(EVALUATE, ("words",), ["the", "i'm", "straße", value])))
    assert_refused(text_of(put(TRAIN, ("surfaces",), {"i'm": value})))
    if value != 1 or value is True:
        assert_refused(text_of(put(TRAIN, ("workers",), {"worker-1": value})))


BAD = [
    (SURVEY, "kind", "nothing"),
    (SURVEY, "kind", "train"),
    (SURVEY, "k", 0),
    (SURVEY, "k", -3),
    (TRAIN, "rounds", 0),
    (TRAIN, "validate_every", 0),
    (TRAIN, "validate_users", -1),
    (TRAIN, "groups", 0),
    (TRAIN, "threads", 0),
    (TRAIN, "cohort", -1),
    (TRAIN, "patience", -1),
    (TRAIN, "seed", -1),
    (TRAIN, "quorum", 0),
    (TRAIN, "quorum", 1.01),
    (TRAIN, "words", ["the", "i'm", "straße"]),
    (TRAIN, "words", ["the", "i'm", "straße", "日本", "more"]),
    (TRAIN, "words", ["the", "i'm", "straße", "the"]),
    (TRAIN, "words", ["the", "i'm", "straße", ""]),
    (TRAIN, "words", "abcd"),
    (TRAIN, "surfaces", {"i'm": "you're"}),
    (TRAIN, "model.vocabulary", 10),
    (TRAIN, "model.first_output", 0),
    (TRAIN, "model.first_output", 4),
    (TRAIN, "model.embedding", 0),
    (TRAIN, "model.hidden", -1),
    (TRAIN, "model.layers", 0),
    (TRAIN, "model.projection", 5),
    (TRAIN, "model.marks", -1),
    (TRAIN, "model.marks", 15),
    (TRAIN, "model.dropout", 1.0),
    (TRAIN, "model.dropout", -0.1),
    (TRAIN, "compression.down", "int8"),
    (TRAIN, "compression.down", "topk"),
    (TRAIN, "compression.up", "fp16"),
    (TRAIN, "compression.share", 0),
    (TRAIN, "compression.share", 1.01),
    (TRAIN, "local.epochs", 0),
    (TRAIN, "local.batch", -1),
    (TRAIN, "local.learning_rate", 0.0),
    (TRAIN, "local.max_positions", 0),
    (TRAIN, "local.clip_norm", -1.0),
    (TRAIN, "local.precision", "fp8"),
    (TRAIN, "local.proximal", -0.1),
    (TRAIN, "local.order", "random"),
    (TRAIN, "server.name", "sgd"),
    (TRAIN, "server.learning_rate", -0.5),
    (TRAIN, "server.momentum", 1.0),
    (TRAIN, "server.beta2", 1.0),
    (TRAIN, "server.epsilon", 0.0),
    (TRAIN, "weighting.by", "letters"),
    (TRAIN, "weighting.by", "words"),  # with a cap
    (TRAIN, "weighting.cap", 0),
    (TRAIN, "weighting.cap", -1),
    (TRAIN, "schedule.name", "sine"),
    (TRAIN, "schedule.warmup", -1),
    (TRAIN, "schedule.warmup", 8),
    (TRAIN, "schedule.final", 0.0),
    (TRAIN, "schedule.final", 1.5),
    (TRAIN, "schedule.every", 0),
    (TRAIN, "schedule.factor", 0.0),
    (TRAIN, "schedule.factor", 1.5),
    (TRAIN, "aggregation", "scaffold"),  # with weights that are not equal
    (TRAIN, "server.averaging", 1.0),
    (GRAMS, "k", 0),
    (GRAMS, "threads", 0),
    (GRAMS, "words", ["the"]),
    (EVALUATE, "part", "everything"),
    (EVALUATE, "part", ""),
    (EVALUATE, "group", 0),
    (EVALUATE, "threads", 0),
    (EVALUATE, "words", ["the"]),
    (EVALUATE, "words", ["the", "i'm", "straße", "the"]),
]


@pytest.mark.parametrize(("plan", "path", "value"), BAD, ids=lambda v: getattr(v, "kind", str(v)))
def test_a_value_that_makes_no_sense_is_refused(plan, path, value):
    assert_refused(text_of(put(plan, tuple(path.split(".")), value)))


@pytest.mark.parametrize(
    "text",
    ["", "\n", "{}\n", "[]\n", "null\n", "3\n", '"survey"\n', "{", '["survey"]\n', "[" * 100_000],
    ids=lambda text: text[:12],
)
def test_what_is_no_plan_at_all_is_refused(text):
    assert_refused(text)


@pytest.mark.parametrize("kind", [None, 3, ["survey"], {"survey": 1}], ids=str)
def test_a_kind_that_is_no_text_is_refused(kind):
    assert_refused(text_of({"k": 3, "kind": kind}))


@given(st.text(max_size=60))
def test_any_text_is_refused(text):
    assert_refused(text)


@given(st.sampled_from(list(PLANS.values())), st.integers(0, 10**6), st.characters())
def test_a_changed_character_is_refused_or_is_another_plan_in_canonical_form(plan, at, character):
    text = plan_text(plan)
    at %= len(text)
    changed = text[:at] + character + text[at + 1 :]
    try:
        found = read_plan(changed)
    except BadMessage:
        return
    assert plan_text(found) == changed
    assert (found == plan) == (changed == text)


# --- plans made here ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 0},
        {"validate_every": 0},
        {"validate_users": -1},
        {"groups": 0},
        {"threads": 0},
        {"cohort": -1},
        {"patience": -1},
        {"seed": -1},
        {"quorum": 0.0},
        {"quorum": 1.5},
        {"quorum": math.nan},
        {"words": WORDS[:3]},
        {"words": (*WORDS[:3], "the")},
        {"surfaces": {"the": "a"}},
        {"model": dataclasses.replace(MODEL, first_output=2)},
        {"schedule": Schedule(warmup=8)},
        {"server_schedule": Schedule("linear", warmup=8)},
        {"aggregation": "scaffold", "weighting": Weighting()},
    ],
    ids=str,
)
def test_a_training_plan_that_makes_no_sense_is_not_made(change):
    with pytest.raises(BadSettings):
        dataclasses.replace(TRAIN, **change)


def test_a_survey_for_words_of_nobody_is_not_made():
    with pytest.raises(BadSettings, match="k = 0"):
        SurveyPlan(0)


@pytest.mark.parametrize("change", [{"part": "tests"}, {"group": 0}, {"threads": 0}], ids=str)
def test_an_evaluation_plan_that_makes_no_sense_is_not_made(change):
    with pytest.raises(BadSettings):
        dataclasses.replace(EVALUATE, **change)


@pytest.mark.parametrize(
    ("what", "change", "says"),
    [
        ("colours", {}, "no query 'colours'"),
        ("size", {"part": "tests"}, "no part"),
        ("size", {"min_users": 1}, "a single user"),
        ("words", {"k": 1}, "a single user"),
        ("size", {"epsilon": -1.0, "per_user": 9}, "epsilon = -1.0"),
        ("size", {"epsilon": math.nan, "per_user": 9}, "epsilon = nan"),
        ("size", {"epsilon": math.inf, "per_user": 9}, "epsilon = inf"),
        ("size", {"epsilon": 1e-9, "per_user": 9}, "epsilon = 1e-09"),
        ("size", {"epsilon": 1.0}, "no noise would be enough"),
        ("size", {"per_user": 9}, "but no noise"),
        ("size", {"epsilon": 1.0, "per_user": -1}, "per_user = -1"),
        ("size", {"epsilon": 1.0, "per_user": 10**9}, "per_user = 1000000000"),
        ("words", {"epsilon": 1.0}, "no epsilon for words"),
        ("words", {"epsilon": 1.0, "per_user": 9}, "no epsilon for words"),
        ("size", {"words": WORDS}, "a vocabulary, for"),
        ("unknown", {}, "a vocabulary, for"),
        ("unknown", {"words": ("a", "a")}, "no vocabulary"),
        ("unknown", {"words": ("a", "")}, "no vocabulary"),
        ("unknown", {"words": WORDS, "model": MODEL}, "a model, for"),
        ("unknown", {"words": WORDS, "ngrams": True}, "a model, for"),
        ("perplexity", {"words": WORDS}, "a model, for"),
        ("perplexity", {"model": MODEL}, "a vocabulary, for"),
        ("perplexity", {"words": WORDS[:3], "model": MODEL}, "a vocabulary of 8"),
    ],
    ids=str,
)
def test_a_query_that_makes_no_sense_is_not_made(what, change, says):
    with pytest.raises(BadSettings, match=re.escape(says)):
        QueryPlan(what, **change)


def test_a_query_without_a_model_does_not_mention_one():
    size = QueryPlan("size")
    assert "model" not in content_of(size)
    assert_refused(text_of(put(size, ("model",), None)))
    content = content_of(QUERY)
    del content["model"]
    assert_refused(text_of(content))
    assert_refused(text_of(put(size, ("model",), content_of(QUERY)["model"])))


@pytest.mark.parametrize("part", ["train", "valid", "test", "all"])
def test_an_evaluation_plan_may_name_every_part(part):
    assert read_plan(plan_text(EvaluatePlan(MODEL, WORDS, part))).part == part


def test_the_vocabulary_of_a_plan_has_its_words_and_surfaces():
    assert TRAIN.vocabulary().words == WORDS
    assert TRAIN.vocabulary().surfaces == ("the", "I'm", "straße", "日本")
    assert EVALUATE.vocabulary().words == WORDS


def test_a_rounds_work_is_the_plans_with_that_rounds_rate():
    assert TRAIN.work(1) == dataclasses.replace(TRAIN.local, learning_rate=0.125)
    assert TRAIN.work(4) == TRAIN.local
    assert TRAIN.work(5) == dataclasses.replace(TRAIN.local, learning_rate=0.1875)
    plain = dataclasses.replace(TRAIN, schedule=Schedule())
    assert all(plain.work(number) == TRAIN.local for number in range(1, 8))


def test_the_servers_rate_is_that_of_the_round_and_stays_where_nothing_is_said():
    assert all(TRAIN.serving(number) == TRAIN.server for number in range(1, 8))
    falling = dataclasses.replace(TRAIN, server_schedule=Schedule("linear", final=0.5))
    rates = [falling.serving(number).learning_rate for number in (1, 4, 7)]
    assert rates == pytest.approx([0.03, 0.0225, 0.015])
    assert all(falling.work(number) == TRAIN.work(number) for number in range(1, 8))
