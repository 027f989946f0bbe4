"""Signal: its own export, and those of signal-export, sigtop and signal-cli."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from itertools import islice

from nwp.corpus.lines import read_lines
from nwp.corpus.readers.base import ReadOptions, by_file
from nwp.corpus.readers.signal import records, texts
from nwp.corpus.source import Entry
from nwp.corpus.types import Message, Tally

_KEY = re.compile(rb'"(conversationId|envelope)"\s*:')


def is_one(entry: Entry, head: bytes) -> bool:
    """Begins as one of those programs begins a file."""
    return _form(entry, head) != ""


def read_files(files: list[Entry], tally: Tally, options: ReadOptions) -> Iterator[Message]:
    """The messages in the files' order. Of a chat in two forms in a folder only the JSON is read."""
    doubled = {entry.name.rpartition("/")[0] for entry in files if _named(entry, "data.json")}
    for entry in files:
        if _named(entry, "chat.md") and entry.name.rpartition("/")[0] in doubled:
            tally.skip("duplicate")
            continue
        form = _form(entry, entry.head())
        if form == "markdown":
            yield from texts.markdown(entry, tally, options)
        elif form == "short":
            yield from texts.short(entry, tally, options)
        elif form == "fields":
            yield from texts.fields(entry, tally, options)
        elif form:
            yield from records.read(entry, form, tally, options)
        else:
            tally.skip("other file")


def _named(entry: Entry, name: str) -> bool:
    return entry.name.rpartition("/")[2] == name


def _form(entry: Entry, head: bytes) -> str:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] == b"{":
        return _json_form(start.split(b"\n", 1)[0])
    if re.match(rb"\[\s*\{", start):
        return _list_form(start)
    lines = [line for line in islice(read_lines(io.BytesIO(start), Tally()), 200) if line.strip()]
    if not lines:
        return ""
    if texts.is_markdown(lines[0]) and not (
        "\u200e".encode() in head or entry.name.endswith("_chat.txt")
    ):
        return "markdown"
    if texts.is_fields(lines):
        return "fields"
    found = [match[3] for line in lines if (match := texts.SHORT.match(line))]
    first = texts.SHORT.match(lines[0])
    return "short" if first and "You" in found and 2 * len(found) >= len(lines) else ""


def _json_form(line: bytes) -> str:
    try:
        return records.form_of(json.loads(line))
    except (ValueError, RecursionError):  # longer than what is known of it
        return "cli" if re.match(rb'\{"envelope":\{"source', line) else ""


def _list_form(start: bytes) -> str:
    """The form of a list, of which the first object may be longer than what is known of it."""
    try:
        text = start.lstrip(b"[ \r\n\t").decode("utf-8", "replace")
        return records.form_of(json.JSONDecoder().raw_decode(text)[0])
    except (ValueError, RecursionError):
        keys = set(_KEY.findall(start))
        return "desktop" if b"conversationId" in keys and b'"sent_at"' in start else ""


READER = by_file("signal", "Signal's export, or that of signal-cli and others", is_one, read_files)
