"""How plans are written: as JSON in one way, which gives each plan one digest, and is read back strictly."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from nwp.errors import BadMessage, NwpError
from nwp.federated.compression import Compression
from nwp.federated.local import LocalWork
from nwp.federated.optimizers import ServerOptimizer
from nwp.federated.participation import Participation
from nwp.federated.plan import KINDS, Plan, SurveyPlan, TrainPlan
from nwp.federated.query_plan import QueryPlan
from nwp.federated.schedules import Schedule
from nwp.federated.weighting import Weighting
from nwp.model.config import ModelConfig

_PARTS = {
    "model": ModelConfig,
    "local": LocalWork,
    "server": ServerOptimizer,
    "weighting": Weighting,
    "schedule": Schedule,
    "server_schedule": Schedule,
    "compression": Compression,
    "participation": Participation,
}


def plan_text(plan: Plan) -> str:
    """The one way to write a plan: JSON with its kind, sorted keys and no spaces."""
    # `dataclasses.asdict` of the whole would copy ten thousand words one by one.
    values = {f.name: getattr(plan, f.name) for f in dataclasses.fields(plan)}
    content = {"kind": plan.kind} | {
        name: dataclasses.asdict(value) if name in _PARTS and value is not None else value
        for name, value in values.items()
    }
    if isinstance(plan, QueryPlan) and plan.model is None:
        del content["model"]
    if content.get("run") == 0:
        del content["run"]
    if isinstance(plan, TrainPlan):
        del content["sizes"]
        if plan.participation == Participation():
            del content["participation"]
        if plan.server_schedule == Schedule():
            del content["server_schedule"]
        if plan.member_share == 1:
            del content["member_share"]
        if not plan.local.messages:
            content["local"] = _without(plan.local, "messages")
        if not plan.server.averaging:
            content["server"] = _without(plan.server, "averaging")
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def _without(part: Any, name: str) -> dict[str, Any]:
    """A part of a plan without an entry that says what is usual."""
    return {key: value for key, value in dataclasses.asdict(part).items() if key != name}


def plan_digest(plan: Plan) -> str:
    """SHA-256 of the plan's text, in hex."""
    return hashlib.sha256(plan_text(plan).encode()).hexdigest()


def read_plan(text: str) -> Plan:
    """Inverse of `plan_text`; BadMessage for anything else, an entry too many included."""
    try:
        content = json.loads(text)
        kind = KINDS[content.pop("kind")]
        if kind is TrainPlan:
            content["server"] = {"averaging": 0.0, **content["server"]}
            content["local"] = {"messages": 0, **content["local"]}
        for name, part in _PARTS.items():
            if name in content:
                content[name] = _exact(part, content[name])
        if "words" in content:
            content["words"] = tuple(content["words"])
        if kind is TrainPlan:
            usual = {
                "participation": Participation(),
                "server_schedule": Schedule(),
                "member_share": 1.0,
                "sizes": {},
            }
            content = usual | content
        if kind in (SurveyPlan, TrainPlan):
            content = {"run": 0, **content}
        if kind is QueryPlan:
            content = {"model": None, **content}
        plan: Plan = _exact(kind, content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, NwpError) as error:
        raise BadMessage(f"this is no plan: {error}") from error
    if plan_text(plan) != text:
        raise BadMessage("a plan is not in its canonical form: something else rides along")
    return plan


def _exact(kind: type[Any], content: Mapping[str, Any]) -> Any:
    """A dataclass from exactly its fields, each of its declared type."""
    types = {f.name: str(f.type) for f in dataclasses.fields(kind)}
    if set(content) != set(types):
        raise ValueError(f"entries {sorted(content)}, agreed are {sorted(types)}")
    for name, value in content.items():
        if types[name] in _TYPES and not _TYPES[types[name]](value):
            raise ValueError(f"{name} is no {types[name]}")
    return kind(**content)


def _number(value: Any, *types: type) -> bool:
    """Is it of one of the types, and of a usual size? NaN is not."""
    return type(value) in types and abs(value) < 1 << 63


def _texts(values: Any) -> bool:
    return all(type(value) is str for value in values)


# What a value of each type is in a plan from outside. Neither True nor NaN is a number: no limit of
# an owner's would stop NaN.
_TYPES: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: _number(value, int),
    "float": lambda value: _number(value, int, float),
    "bool": lambda value: type(value) is bool,
    "str": lambda value: type(value) is str,
    "tuple[str, ...]": lambda value: type(value) is tuple and _texts(value),
    "Mapping[str, str]": lambda value: type(value) is dict and _texts(value.values()),
    "Mapping[str, int]": lambda value: (
        type(value) is dict and all(_number(n, int) for n in value.values())
    ),
}
