"""Real exports of every format, held against what a person counted in them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from reading import read_as

from nwp.corpus.types import Message

_FOLDER = Path(os.environ.get("NWP_SHARED", ""), "formats")
_EXPECTED: dict[str, dict[str, Any]] = (
    json.loads((_FOLDER / "expected.json").read_text(encoding="utf-8"))
    if "NWP_SHARED" in os.environ
    else {}
)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _is(found: Message, expected: dict[str, str], match: str) -> bool:
    text, wanted = _plain(found.text), _plain(expected["text"])
    author = expected["author"].casefold()[:6]  # one name is garbled in the file itself
    return author in found.user.casefold() and (
        wanted in text if match == "contains" else wanted == text
    )


@pytest.mark.skipif(not _EXPECTED, reason="NWP_SHARED names no folder with real exports")
@pytest.mark.parametrize("name", _EXPECTED or ["none"])
def test_a_real_export_gives_what_a_person_counted(name: str) -> None:
    expected = _EXPECTED[name]
    form, found = read_as(_FOLDER / name)
    assert form == expected["format"]
    authors = {message.user for message in found}
    assert len(authors) in expected.get("authors_ok", [expected["authors"]]), sorted(authors)
    assert len(found) in expected.get("messages_ok", [expected["messages"]]), found
    if expected.get("order") != "file" and all(message.time for message in found):
        found = sorted(found, key=lambda m: _utc(m.time))
    assert _is(found[0], expected["first"], expected["match"]), found[0]
    assert _is(found[-1], expected["last"], expected["match"]), found[-1]
    for text in expected.get("occurs_once", []):
        assert sum(text in _plain(message.text) for message in found) == 1, text
    for text in expected.get("absent", []):
        assert not any(text in _plain(message.text) for message in found), text


def _utc(time: datetime | None) -> datetime:
    assert time is not None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
