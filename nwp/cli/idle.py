"""Options that were given where another choice leaves them nothing to do: refused, so that nobody believes
that they were heeded.

Only the command line is asked about. A settings file, or the environment, holds what suits some runs of a
command and not others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from nwp.errors import BadSettings

# Needed by what: the option's parameter to (does it work here, what would make it work).
Needs = Mapping[str, tuple[bool, str]]


def refuse_idle(context: typer.Context, needs: Needs) -> None:
    """BadSettings for the first option that the command line names and that would do nothing."""
    for name, (works, wanted) in needs.items():
        source: Any = context.get_parameter_source(name)
        if not works and source is not None and source.name == "COMMANDLINE":
            raise BadSettings(
                f"{_flag(context, name)} would do nothing here",
                f"It is for {wanted}; else leave it out.",
            )


def of_schedules(*names: str) -> Needs:
    """What the options of rates that fall need, by the schedules that were chosen."""
    falling = "a schedule that is linear or cosine"
    steps = "--schedule step, or --server-schedule step"
    return {
        "final_share": (not {"linear", "cosine"}.isdisjoint(names), falling),
        "step_rounds": ("step" in names, steps),
        "step_factor": ("step" in names, steps),
    }


def of_optimizer(name: str) -> Needs:
    """What the constants of a server optimizer need."""
    from nwp.federated.optimizers import CONSTANTS

    def wanted(constant: str) -> str:
        users = [one for one, reads in CONSTANTS.items() if constant in reads]
        return f"--server-optimizer {' or '.join(users)}"

    every = CONSTANTS["fedadam"]
    return {constant: (constant in CONSTANTS[name], wanted(constant)) for constant in every}


def of_beginning(from_nothing: bool, instead: str) -> Needs:
    """What the options of a model's words and sizes need: a bundle that one goes on from has its own."""
    sizes = ("k", "vocabulary", "public_words", "embedding", "hidden", "layers", "tied")
    return dict.fromkeys(sizes, (from_nothing, f"a model that begins with nothing ({instead})"))


def of_words(from_nothing: bool, new_words: int) -> Needs:
    """What the options of a training's words need."""
    return {
        "new_words": (not from_nothing, "a bundle to go on from, --from"),
        "k": (from_nothing or new_words > 0, "a model that begins with nothing, or --new-words"),
    }


def of_query(what: str) -> Needs:
    """What the options of a query need."""
    return dict.fromkeys(("k", "top"), (what == "words", "the query words"))


def _flag(context: typer.Context, name: str) -> str:
    options: list[str] = next(p.opts for p in context.command.params if p.name == name)
    return max(options, key=len)
