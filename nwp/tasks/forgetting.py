"""Taking users out of a corpus file, so that a later import does not bring them back."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nwp.corpus.readers import jsonl
from nwp.corpus.splits.manifest import SUFFIXES
from nwp.corpus.types import Tally
from nwp.corpus.writing import JsonLinesWriter
from nwp.errors import BadInput, BadSettings
from nwp.files import write_atomic
from nwp.text.tokenizer import words_of

_ENDS = (".jsonl", ".jsonl.gz")


@dataclass
class Forgotten:
    """The users that a corpus file is to have no more, kept beside it as FILE.forgotten.json.

    It holds no name, only salted digests: who has it can test a name that he guesses, not read one.
    """

    path: Path
    salt: bytes
    digests: set[str]
    _known: dict[str, bool] = field(default_factory=dict)

    def __contains__(self, user: str) -> bool:
        if not self.digests:
            return False
        if user not in self._known:
            self._known[user] = self._digest(user) in self.digests
        return self._known[user]

    def add(self, users: Iterable[str]) -> None:
        """Add users, and write the list down, for its owner only."""
        self.digests |= set(map(self._digest, users))
        self._known.clear()
        row = {"salt": self.salt.hex(), "users": sorted(self.digests)}
        write_atomic(self.path, json.dumps(row, indent=1) + "\n", mode=0o600)

    def _digest(self, user: str) -> str:
        return hmac.digest(self.salt, user.encode("utf-8", "surrogatepass"), "sha256").hex()


def forgotten_of(corpus: Path) -> Forgotten:
    """Who is forgotten of a corpus file: nobody where there is no list. BadInput for a broken one."""
    path = corpus.with_name(f"{corpus.name}.forgotten.json")
    if not path.exists():
        return Forgotten(path, secrets.token_bytes(16), set())
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Forgotten(path, bytes.fromhex(found["salt"]), {str(d) for d in found["users"]})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"{path} is damaged: it says who is forgotten, and can't be read",
            "Bring it back from a copy, or remove it: then nobody counts as forgotten any more.",
        ) from error


def remove_users(corpus: Path, users: Iterable[str]) -> dict[str, Any]:
    """Write a corpus file anew without these users, in its order; returns the counts.

    They stay forgotten: an import into the file leaves them out. BadInput when it is no file of
    nwp's JSON lines or nothing would be left; BadSettings for a user that it does not have.
    """
    if not corpus.name.endswith(_ENDS):
        raise BadInput(
            f"{corpus} is no file of JSON lines by its name ({' or '.join(_ENDS)})",
            "Bring it into that form first, with `nwp corpus import`.",
        )
    if not corpus.is_file():
        raise BadInput(f"no file {corpus}", "Check the path.")
    forgotten = forgotten_of(corpus)
    counts = _counts(corpus)
    named = set(users)
    if unknown := sorted(named - set(counts)):
        raise unknown_user(str(corpus), unknown[0], counts)
    if named == set(counts):
        raise BadInput(f"{corpus} would hold nothing any more", f"Delete it:  rm {corpus}")
    forgotten.add(named)  # first, so that they are not brought back whatever happens next
    with JsonLinesWriter(corpus) as writer:
        for message in jsonl.read(corpus, Tally()):
            if message.user not in named:
                writer.write(message)
    found: dict[str, Any] = {
        "file": str(corpus),
        "removed": _sum([counts[user] for user in named]),
        "left": _sum([count for user, count in counts.items() if user not in named]),
    }
    if manifest := _manifest_of(corpus):
        found["stale"] = str(manifest)
    return found


def _manifest_of(corpus: Path) -> Path | None:
    """The manifest beside a corpus file that holds its checksum, if there is one."""
    stem = corpus.name.removesuffix(".gz").removesuffix(".jsonl")
    for suffix in SUFFIXES.values():
        path = corpus.with_name(f"{stem.removesuffix(suffix)}.json")
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            parts = manifest.get("parts", {"": manifest})
            if any(part["file"] == corpus.name for part in parts.values()):
                return path
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # no manifest of ours
    return None


def unknown_user(place: str, name: str, users: Iterable[str]) -> BadSettings:
    """The error that a user is not there, with names that are like it."""
    import difflib

    known = sorted(users)
    close = difflib.get_close_matches(name, known, n=3) or known[:3]
    return BadSettings(f"{place} has no user {name!r}", f"Users are named like {', '.join(close)}.")


def _counts(corpus: Path) -> Mapping[str, tuple[int, int]]:
    """User to messages and words."""
    found: dict[str, tuple[int, int]] = {}
    for message in jsonl.read(corpus, Tally()):
        messages, words = found.get(message.user, (0, 0))
        found[message.user] = (messages + 1, words + len(words_of(message.text)))
    return found


def _sum(counts: list[tuple[int, int]]) -> dict[str, int]:
    messages, words = map(sum, zip(*counts, strict=True))
    return {"users": len(counts), "messages": messages, "words": words}
