"""Bring messages of any form that nwp reads into its own: JSON lines, gzipped."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from nwp.corpus.load import read_messages
from nwp.corpus.readers import jsonl
from nwp.corpus.types import Message, Tally, nothing_in
from nwp.errors import BadInput
from nwp.files import write_atomic
from nwp.text.tokenizer import words_of


def import_messages(
    source: str,
    out: Path,
    *,
    append: bool = False,
    force: bool = False,
    skip_bad_lines: bool = False,
) -> dict[str, Any]:
    """Read `source`, write `out`, keep text, names and order as they are; returns the counts.

    With `append` the messages that `out` has already (same user, time and text, as often) are not
    added again. BadInput when `out` exists and neither `append` nor `force` is given.
    """
    if out.exists() and not (append or force):
        raise BadInput(f"{out} exists", "Add to it with --append, or replace it with --force.")
    tally = Tally(lenient=skip_bad_lines)
    old = list(jsonl.read(out, Tally())) if append and out.exists() else []
    have = Counter(old)
    added = []
    with read_messages(source, tally) as (form, messages):
        for message in messages:
            if not message.text.strip():
                tally.skip("empty message")
            elif have[message] > 0:
                have[message] -= 1
                tally.skip("already there")
            else:
                added.append(message)
    if not old and not added:
        raise nothing_in(source, tally)
    write_atomic(out, _lines([*old, *added], packed=out.suffix == ".gz"))
    return {
        "format": form,
        "users": len({m.user for m in added}),
        "messages": len(added),
        "words": sum(len(words_of(m.text)) for m in added),
        "skipped": dict(tally.skipped),
    }


def _lines(messages: list[Message], *, packed: bool) -> bytes:
    rows = []
    for message in messages:
        row = {"user": message.user, "text": message.text}
        if message.time is not None:
            row["time"] = message.time.isoformat()
        rows.append(json.dumps(row, ensure_ascii=False) + "\n")
    plain = "".join(rows).encode()
    if not packed:
        return plain
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:  # equal text, equal bytes
        file.write(plain)
    return buffer.getvalue()
