"""An owner's rules: which plans are approved, and which requests under them are answered.

What they do not allow is refused. `nwp.workers.policy_keys` tells what each rule is for.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from nwp.errors import BadSettings
from nwp.federated.aggregations import AGGREGATIONS
from nwp.federated.parcel import BF16, Schema
from nwp.federated.plan import EvaluatePlan, NgramsPlan, Plan, SurveyPlan, TrainPlan
from nwp.federated.query_plan import QueryPlan
from nwp.model.config import ModelConfig
from nwp.text.tokenizer import words_of
from nwp.workers.policy_keys import AUTO, HOURS, KEYS, SECTIONS, Key
from nwp.workers.tasks import phases_of

_MOST_USERS = 10**10  # there are no more people
_MOST_GROUPS = 10_000
_SHOWN = 32  # characters of a fingerprint
_MOST_BYTES = 1_000_000  # of a file of rules


@dataclass(frozen=True)
class Policy:
    """Limits within which an owner lets plans run. BadSettings for a value that no rule may have.

    The values here are those of a simulation, in which nobody is asked. An owner's file begins with
    others (`OWNERS`).

    `kinds` of plans allowed; `min_k` users at least must share a word or an n-gram that leaves; `rows`: may
    counts of each user leave, rather than their sum alone; `max_epsilon` a noisy histogram of users or
    a query with noise may cost each of them in one answer, `epsilon_budget` all answers together.
    `trust` holds fingerprints of servers' keys (none: the server that the owner enrolled with);
    `approve` is "ask" or "auto"; `hours` is "HH:MM-HH:MM" of the owner's local time, or "". `min_users`
    own users at least make up an answer, `min_query_users` users with text one to a query, `min_cohort`
    users of all owners a round, as the server claims.
    """

    kinds: tuple[str, ...] = (
        *(SurveyPlan.kind, TrainPlan.kind),
        *(EvaluatePlan.kind, NgramsPlan.kind, QueryPlan.kind),
    )
    min_k: int = 1
    max_rounds: int = 10_000
    max_epochs: int = 100
    max_parameters: int = 100_000_000
    max_layers: int = 8
    rows: bool = False
    max_epsilon: float = 1.0
    trust: tuple[str, ...] = ()
    approve: str = AUTO
    max_rounds_a_day: int = 0
    max_message_bytes: int = 1 << 30
    hours: str = ""
    epsilon_budget: float = math.inf
    min_users: int = 1
    min_query_users: int = 3
    min_cohort: int = 1
    max_learning_rate: float = math.inf

    def __post_init__(self) -> None:
        for name, key in KEYS.items():
            value = getattr(self, name)
            if key.type is float and type(value) is int:
                object.__setattr__(self, name, value := float(value))
            if not key.takes(value):
                raise _unfit(name, key, value)


NOTHING = Policy(kinds=())
OWNERS = Policy(**{name: key.usual for name, key in KEYS.items()})


def trusted(policy: Policy, fingerprint: str) -> bool:
    """May the server whose key has this fingerprint send plans? Rules may name it by its first 32
    characters, as it is shown to people, or by more."""
    return not policy.trust or any(
        fingerprint == named or (len(named) >= _SHOWN and fingerprint.startswith(named))
        for named in policy.trust
    )


def cost_of(plan: Plan) -> float:
    """The privacy that an answer under this plan spends, in epsilon; 0 where no noise is added."""
    return float(getattr(plan, "epsilon", 0.0))


def fault(policy: Policy, plan: Plan) -> str | None:
    """Why the policy refuses a plan, in words, or None when it allows it."""
    return next(_faults(policy, plan), None)


def _faults(policy: Policy, plan: Plan) -> Iterator[str]:
    if plan.kind not in policy.kinds:
        yield f"the owner allows no {plan.kind} plan"
    if isinstance(plan, SurveyPlan | NgramsPlan) and plan.k < policy.min_k:
        yield f"k = {plan.k}, the owner wants {policy.min_k} or more"
    if isinstance(plan, TrainPlan | EvaluatePlan | NgramsPlan):
        yield from _model_faults(policy, plan.model)
        yield from _word_faults(plan.words)
    if isinstance(plan, QueryPlan):
        yield from _query_faults(policy, plan)
    if isinstance(plan, EvaluatePlan) and plan.rows and not policy.rows:
        yield "counts of each user are not given out"
    epsilon = cost_of(plan)
    if not epsilon <= policy.max_epsilon:
        yield f"epsilon = {epsilon}, the owner allows {policy.max_epsilon}"
    if not epsilon <= policy.epsilon_budget:
        yield f"epsilon = {epsilon}, the owner allows {policy.epsilon_budget} in all"
    if isinstance(plan, TrainPlan):
        yield from _training_faults(policy, plan)
    if (most := largest_message(plan)) > policy.max_message_bytes:
        yield f"messages of {most:,} bytes, the owner allows {policy.max_message_bytes:,}"


def _query_faults(policy: Policy, plan: QueryPlan) -> Iterator[str]:
    if plan.min_users < policy.min_query_users:
        yield f"min_users = {plan.min_users}, the owner wants {policy.min_query_users} or more"
    if plan.what == "words" and plan.k < policy.min_k:
        yield f"k = {plan.k}, the owner wants {policy.min_k} or more"
    if plan.model is not None:
        yield from _model_faults(policy, plan.model)
    yield from _word_faults(plan.words)


def _model_faults(policy: Policy, model: ModelConfig) -> Iterator[str]:
    if model.layers > policy.max_layers:
        yield f"{model.layers} layers, the owner allows {policy.max_layers}"
    if model.parameters > policy.max_parameters:
        yield f"a model of more than {policy.max_parameters:,} weights"


def _word_faults(words: Sequence[str]) -> Iterator[str]:
    # At one go: fifty thousand words one by one take seconds over the workers of a simulation.
    found = words_of("\n".join(words))
    if found != list(words):
        wrong = next((word for word in words if words_of(word) != [word]), "")
        yield f"an entry of the vocabulary is no word: {wrong[:40]!r}"


def _training_faults(policy: Policy, plan: TrainPlan) -> Iterator[str]:
    if plan.aggregation not in AGGREGATIONS:
        yield f"an aggregation that is not known here: {plan.aggregation}"
    if plan.rounds > policy.max_rounds:
        yield f"{plan.rounds} rounds, the owner allows {policy.max_rounds}"
    if plan.local.epochs > policy.max_epochs:
        yield f"{plan.local.epochs} local epochs, the owner allows {policy.max_epochs}"
    if not plan.local.learning_rate <= policy.max_learning_rate:
        rate = plan.local.learning_rate
        yield f"a learning rate of {rate}, the owner allows {policy.max_learning_rate}"
    if not plan.surfaces.keys() <= set(plan.words):
        yield "a surface of a word that is not in the vocabulary"
    if (least := min(plan.workers.values(), default=0)) < 0 or plan.users > _MOST_USERS:
        yield f"{least if least < 0 else plan.users} users, which can't be"
    if plan.groups > _MOST_GROUPS:
        yield f"sums in {plan.groups} groups, at most {_MOST_GROUPS} make sense"
    # The claim that counts is how many are in a round: a thousand users drawn one by one hide nobody.
    if (claimed := min(plan.users, plan.goal)) < policy.min_cohort:
        yield f"rounds over {claimed} users, the owner wants {policy.min_cohort} or more"
    if plan.participation.by_size and policy.min_users > 1:
        yield (
            f"users drawn by size, who may be one user several times over; the owner wants "
            f"{policy.min_users} or more in an answer"
        )


def message_bytes(schema: Schema) -> int:
    """Bytes of the arrays of a message at least: those of any length are taken to be empty."""
    specs = schema.arrays.values()
    widths = (2 if spec.dtype == BF16 else np.dtype(spec.dtype).itemsize for spec in specs)
    return sum(
        math.prod(n or 0 for n in spec.shape) * width
        for spec, width in zip(specs, widths, strict=True)
    )


def largest_message(plan: Plan) -> int:
    """Bytes of the arrays, at least, of the largest request or answer under a plan."""
    schemas = [each(plan) for p in phases_of(plan).values() for each in (p.request, p.reply)]
    return max(map(message_bytes, schemas), default=0)


def request_fault(
    policy: Policy,
    plan: Plan,
    *,
    users_asked: int,
    now: datetime,
    rounds_today: int,
    epsilon_spent: float,
    request_bytes: int,
) -> str | None:
    """Why the policy refuses a request under a plan that was approved, or None when it allows it.

    `users_asked` is how many different users with any text the answer would be made from; `now` the
    owner's local time, read as the clock on the wall; `rounds_today` the rounds answered today besides
    this request's own (`Ledger.rounds_on`); `epsilon_spent` what was spent before (`Ledger.epsilon_spent`).
    """
    if request_bytes > policy.max_message_bytes:
        return f"{request_bytes:,} bytes, the owner allows {policy.max_message_bytes:,}"
    if not within_hours(policy.hours, now):
        return f"it is {now:%H:%M}, the owner answers {policy.hours}"
    if policy.max_rounds_a_day and rounds_today >= policy.max_rounds_a_day:
        return f"{rounds_today} rounds today, the owner allows {policy.max_rounds_a_day} a day"
    cost = cost_of(plan)
    # Not above it by more than sums of decimal fractions are off.
    if cost and not epsilon_spent + cost <= policy.epsilon_budget * (1 + 1e-9):
        return (
            f"epsilon = {cost} after {epsilon_spent:g} spent, "
            f"the owner allows {policy.epsilon_budget} in all"
        )
    if users_asked < policy.min_users:
        return f"an answer from {users_asked} users, the owner wants {policy.min_users} or more"
    return None


def within_hours(hours: str, now: datetime) -> bool:
    """Is `now`, read as the clock on the wall, within "HH:MM-HH:MM"? The end is not; "" is always."""
    found = HOURS.fullmatch(hours)
    if not found:
        return True
    begin, end = (int(found[i]) * 60 + int(found[i + 1]) for i in (1, 3))
    minute = now.hour * 60 + now.minute
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def read_policy(path: Path) -> Policy:
    """An owner's rules from their file; what it does not mention is as in a new one (`OWNERS`).

    BadSettings for a file that can't be read, and for a key that is unknown, of a wrong type or out of
    range, naming key, line and what is allowed.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise BadSettings(f"{path} is too large for a file of rules", "Is it another file?")
        text = raw.decode("utf-8-sig")
        content = tomllib.loads(text)
    except OSError as error:
        raise BadSettings(
            f"the rules in {path} can't be read: {error.strerror}", "Write them first."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadSettings(
            f"the rules in {path} are no TOML: {error}", 'A rule is a line such as: approve = "ask"'
        ) from error
    values: dict[str, Any] = {name: getattr(OWNERS, name) for name in KEYS}
    for name, value in content.items():
        where = f"{path}{_line_of(name, text)}"
        if name not in KEYS:
            raise BadSettings(f"{where}: no rule {name!r}", f"There are {', '.join(KEYS)}.")
        plain = tuple(value) if type(value) is list else value
        if KEYS[name].type is float and type(plain) is int and abs(plain) < 1 << 63:
            plain = float(plain)
        if not KEYS[name].takes(plain):
            raise _unfit(name, KEYS[name], value, f"{where}: ")
        values[name] = plain
    return Policy(**values)


def _unfit(name: str, key: Key, value: object, where: str = "") -> BadSettings:
    shown = "an endless number" if type(value) is int and abs(value) >= 1 << 63 else repr(value)
    shown = shown if len(shown) < 80 else f"{shown[:80]}…"
    return BadSettings(f"{where}{name} = {shown} is not allowed", f"Allowed is {key.allowed}.")


def _line_of(name: str, text: str) -> str:
    """ ", line N" of a key or a table of this name; "" when it is written in another way."""
    key = re.compile(rf"""\s*(\[+\s*)?["']?{re.escape(name)}["']?\s*[=.\]]""")
    numbers = (n for n, line in enumerate(text.splitlines(), 1) if key.match(line))
    return next((f", line {n}" for n in numbers), "")


def policy_text(policy: Policy = OWNERS) -> str:
    """The rules as a file with comments; `read_policy` reads the same rules from it."""
    assert {field.name for field in fields(policy)} == set(KEYS)
    lines = [
        "# Your rules: what nwp may do with the text on this machine, and what may leave it.",
        "# A rule that is deleted is as in a new file.",
    ]
    for section, keys in SECTIONS.items():
        lines += ["", "", f"# ---- {section}"]
        for name, key in keys.items():
            lines += [
                "",
                *textwrap.wrap(key.comment, 88, initial_indent="# ", subsequent_indent="# "),
            ]
            lines += [f"# Allowed: {key.allowed}.", f"{name} = {_toml(getattr(policy, name))}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(json.dumps, value))}]"
    if type(value) is int:
        return f"{value:_}"
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)
