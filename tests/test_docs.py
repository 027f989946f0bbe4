"""What the documents say is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_page_of_commands_is_what_help_says():
    script = ROOT / "scripts" / "make_cli_docs.py"  # in a process of its own: it wants no colours
    shown = subprocess.run([sys.executable, script, "-"], check=True, capture_output=True)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == shown.stdout.decode(), (
        "docs/cli.md is stale: run python scripts/make_cli_docs.py"
    )


def test_links_and_tests_named_in_documents_exist():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    modules = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    tests = {name for text in modules for name in re.findall(r"^def (test_\w+)", text, re.M)}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"\]\(([^)#:]+)\)", text)
        inside = [page.parent / name for name in named]
        inside += [ROOT / name for name in re.findall(r"`((?:tests|nwp|scripts)/[\w/.]+)`", text)]
        missing = [str(path) for path in inside if not path.exists()]
        missing += sorted(set(re.findall(r"`(test_\w+)`", text)) - tests)
        assert not missing, f"{page.name} names what is not there: {missing}"
