"""Split a corpus by a recipe into corpora in nwp's own form, with a manifest to repeat it by."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nwp import __version__
from nwp.corpus.known import known_corpora
from nwp.corpus.load import read_messages
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.splits.dealing import deal, figures
from nwp.corpus.splits.manifest import SUFFIXES, compare, read_manifest, sum_of
from nwp.corpus.splits.partition import Ints
from nwp.corpus.splits.recipe import CLUSTERED, Recipe
from nwp.corpus.splits.selection import MAIN, Scan, Selection, scan, select
from nwp.corpus.splits.topics import need_scikit_learn
from nwp.corpus.types import Message, Tally, nothing_in, with_text
from nwp.corpus.writing import JsonLinesWriter, json_line
from nwp.errors import BadCorpus, BadInput, BadSettings
from nwp.files import write_atomic

_NAME = re.compile(r"[^\W_][\w.-]{0,99}")


def split_corpus(
    source: str,
    name: str,
    home: Path,
    recipe: Recipe,
    *,
    force: bool = False,
    skip_bad_lines: bool = False,
    form: str = "",
    options: ReadOptions = ReadOptions(),
) -> dict[str, Any]:
    """Write the split as `home`/NAME.jsonl.gz, NAME.held-out and NAME.later beside it where the recipe
    asks for them and they have any message, and NAME.json, the manifest; returns the manifest.

    Equal recipes and messages give equal bytes (by topic and likeness: with the same versions of
    scikit-learn, on one machine). The source is read several times, and not held in memory: about
    40 bytes a message are. BadInput when a file is there already, unless `force` says to replace it.
    BadSettings for a recipe that does not fit the corpus.
    """
    reading = _reading(source, skip_bad_lines, form, options)
    return _split(source, name, home, recipe, reading, force=force, expected=None)


def verify_split(manifest: Path) -> dict[str, Any]:
    """Whether the files of a split are still what its manifest says.

    Returns {"name", "holds", "parts": {part: {"file", "expected", "found", "holds"}}}; "found" is
    None for a file that is missing or damaged. BadCorpus when the manifest itself can't be read.
    """
    stated = read_manifest(manifest)
    parts = {}
    for part, entry in stated["parts"].items():
        found = sum_of(manifest.parent / entry["file"])
        parts[part] = {
            "file": entry["file"],
            "expected": entry["sha256"],
            "found": found,
            "holds": found == entry["sha256"],
        }
    holds = all(entry["holds"] for entry in parts.values())
    return {"name": stated["name"], "holds": holds, "parts": parts}


def repeat_split(
    manifest: Path,
    source: str,
    home: Path,
    name: str,
    *,
    force: bool = False,
    skip_bad_lines: bool = False,
    form: str = "",
    options: ReadOptions = ReadOptions(),
) -> dict[str, Any]:
    """Make the split of a manifest again from its source, as NAME in `home`; returns the new manifest.

    BadCorpus, and nothing is written, when it does not come out as the manifest says.
    """
    stated = read_manifest(manifest)
    recipe = Recipe.from_json(stated["made"])
    reading = _reading(source, skip_bad_lines, form, options)
    return _split(source, name, home, recipe, reading, force=force, expected=stated)


def _reading(
    source: str, skip_bad_lines: bool, form: str, options: ReadOptions
) -> Callable[[Tally], Iterator[Message]]:
    """The messages of the source that have a text, as often as they are asked for."""

    def messages(tally: Tally) -> Iterator[Message]:
        tally.lenient = skip_bad_lines
        with read_messages(source, tally, form=form, options=options) as (_, found):
            yield from with_text(found, tally)

    return messages


def _split(
    source: str,
    name: str,
    home: Path,
    recipe: Recipe,
    reading: Callable[[Tally], Iterator[Message]],
    *,
    force: bool,
    expected: Mapping[str, Any] | None,
) -> dict[str, Any]:
    files = _files(name, home)
    manifest = home / f"{name}.json"
    there = [path for path in (*files.values(), manifest) if path.exists()]
    if there and not force:
        raise BadInput(f"{there[0]} exists", "Take another name, or replace it with --force.")
    if recipe.by in CLUSTERED:
        need_scikit_learn()
    tally = Tally()
    found = scan(reading(tally))
    if not len(found.owners):
        raise nothing_in(source, tally)

    def messages() -> Iterator[Message]:
        return _unchanged(reading(Tally()), found, source)

    chosen = select(found, recipe, source)
    owners, names, labelled = deal(chosen, recipe, messages, source)
    with ExitStack() as stack:
        writers = {part: stack.enter_context(JsonLinesWriter(files[part])) for part in files}
        source_sum = _write(messages(), chosen, owners, names, writers)
        made: dict[str, Any] = {
            "name": name,
            "nwp": __version__,
            "libraries": _libraries(recipe),
            "made": recipe.to_json(),
            "source": {"name": _source_name(source), "sha256": source_sum},
            "parts": {},
            "left_out": tally.skipped | chosen.left_out,
            "remarks": tally.remarks | chosen.remarks,
        }
        for part, writer in writers.items():
            if not writer.messages:
                writer.discard()
                continue
            writer.finish()
            made["parts"][name + SUFFIXES[part]] = {
                "file": writer.path.name,
                "sha256": writer.sha256,
                "users": writer.users,
                "messages": writer.messages,
                "words": int(found.words[chosen.parts == part].sum()),
            }
        made |= figures(found, chosen, owners, recipe, labelled)
        if expected is not None:
            compare(expected, made, source)
    write_atomic(manifest, json.dumps(made, ensure_ascii=False, indent=1) + "\n")
    for part, writer in writers.items():
        if not writer.messages:
            files[part].unlink(missing_ok=True)  # of the split that this one replaces
    return made


def _write(
    messages: Iterator[Message],
    chosen: Selection,
    owners: Ints,
    names: Sequence[str],
    writers: Mapping[int, JsonLinesWriter],
) -> str:
    """Send every message where it belongs; returns the checksum of the source's messages."""
    source_sum = hashlib.sha256()
    for i, message in enumerate(messages):
        source_sum.update(json_line(message))
        part = int(chosen.parts[i])
        if writer := writers.get(part):
            user = names[owners[i]] if part == MAIN else chosen.names[chosen.owners[i]]
            writer.write(Message(user, message.text, message.time))
    return source_sum.hexdigest()


def _unchanged(messages: Iterator[Message], found: Scan, source: str) -> Iterator[Message]:
    """The messages, as long as they are those that were scanned."""
    changed = BadCorpus(f"{source} changed while it was read", "Split it when it is at rest.")
    count = 0
    for message in messages:
        if count == len(found.owners) or found.users.get(message.user) != found.owners[count]:
            raise changed
        yield message
        count += 1
    if count < len(found.owners):
        raise changed


def _files(name: str, home: Path) -> dict[int, Path]:
    """The file of each part. BadSettings for a name that no file, or another's part, should have."""
    if not _NAME.fullmatch(name) or name.endswith(tuple(filter(None, SUFFIXES.values()))):
        raise BadSettings(
            f"{name!r} is no name for a split",
            'Letters, digits, "-", "_" and "." make one, not with ".held-out" or ".later" at its end.',
        )
    return {part: home / f"{name}{suffix}.jsonl.gz" for part, suffix in SUFFIXES.items()}


def _source_name(source: str) -> str:
    """A known corpus by its name, another by its file's: the folders above are nobody's business."""
    path = Path(source).expanduser()
    if source in known_corpora() and not path.exists():
        return source
    return path.resolve().name or source


def _libraries(recipe: Recipe) -> dict[str, str]:
    """The versions that what is drawn, and how messages are clustered, depends on."""
    names = ["numpy", "scipy", "scikit-learn"] if recipe.by in CLUSTERED else ["numpy"]
    return {name: version(name) for name in names}
