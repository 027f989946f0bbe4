"""Which modules import which: never in a circle, and syft in one room alone."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in (ROOT / "nwp").rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """The names that a file imports from modules: within functions and for type checkers, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in FILES else node.module


def test_no_module_imports_in_a_circle() -> None:
    graph = {name: set(imported(path)) & set(FILES) - {name} for name, path in FILES.items()}
    assert len(graph) > 200
    tuple(TopologicalSorter(graph).static_order())  # CycleError names the circle


def test_the_adapter_alone_imports_syft() -> None:
    who = {name for name, path in FILES.items() for of in imported(path) if of.startswith("syft")}
    assert who
    assert all(name.startswith("nwp.workers.adapter.") for name in who)


PROGRAMS = [path for folder in ("benchmarks", "scripts") for path in (ROOT / folder).glob("*.py")]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_what_benchmarks_and_scripts_take_from_nwp_is_there(path: Path) -> None:
    """Not by running them: what some import beside it need not be installed."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nwp"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name) or f"{node.module}.{alias.name}" in FILES
