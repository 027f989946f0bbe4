"""The commands by name, each imported and built when somebody asks for it.

Building all of them takes longer than `nwp suggest` takes to answer: whoever gives one command waits for
that one.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

# Where each is: a module of this package, and its function or its group of commands.
PLACES = {
    "demo": "demo:demo",
    "train": "train:train",
    "evaluate": "evaluate:evaluate",
    "compare": "compare:compare",
    "query": "query:query",
    "personalize": "personalize:personalize",
    "suggest": "suggest:suggest",
    "prompt": "suggest:prompt",
    "serve": "serve:serve",
    "bench": "bench:bench",
    "corpus": "corpus:app",
    "model": "model:app",
    "runs": "runs:app",
    "personal": "personal:app",
    "worker": "worker:app",
    "server": "server:app",
    "config": "config:app",
}


class Commands(TyperGroup):
    """The group of all commands, for typer (`cls=Commands`)."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: MutableMapping[str, Any] = _Built()


class _Built(MutableMapping[str, Any]):
    """Name to command, in the order of `PLACES`; telling which there are builds none."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _command(name, *PLACES[name].split(":"))
        return self._built[name]

    def __contains__(self, name: object) -> bool:
        return name in PLACES

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)

    def __setitem__(self, name: str, command: Any) -> None:
        raise TypeError(f"commands are named in PLACES alone: {name}")

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"commands are named in PLACES alone: {name}")


def _command(name: str, module: str, attribute: str) -> Any:
    found = getattr(importlib.import_module(f"nwp.cli.{module}"), attribute)
    holder = typer.Typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return get_group(holder).commands[name]
