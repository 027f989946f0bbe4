"""Pseudonyms in place of names, by a key that stays with its owner, and names inside of texts.

The same key gives the same name the same pseudonym, in every import; without the key nobody can
tell, nor test, which name it was. A name inside of a text gets no pseudonym, which would be a word
that nobody wrote, but "@", as a masked handle does. Only whole names of two words or more, and any
name behind an @, are found in texts: a single first name is a word like others to a keyboard.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from nwp.corpus.door.masking import replace_spans
from nwp.errors import BadInput

STAND_IN = "@"
_KEY = re.compile(r"[0-9a-f]{64}\n?")
_LETTERS = 10  # 50 bits
_PIECE = re.compile(r"\w+")
# Chats write a mention's name between marks of writing direction.
_AT = re.compile(r"(?<![^\W_])@[\u200e\u200f\u2066-\u2068]*\Z")
_AFTER = re.compile(r"(?:['’][^\W_]++)*+\u2069?")
_GAP = re.compile(r"\W{1,8}")
_MOST_WORDS = 12


def load_key(path: Path) -> bytes:
    """The 32 bytes of a key file (64 hex digits); a new random one where there is no such file.

    BadInput for a file that is no key, or that others than its owner may read.
    """
    if not path.exists():
        _create(path, secrets.token_hex(32) + "\n")
    if not path.is_file():
        raise BadInput(f"{path} is no file", "Name a file for the key; it is made if need be.")
    if path.stat().st_mode & 0o077:
        raise BadInput(
            f"the key {path} may be read by others than you",
            f"Who has it can tell the names. Keep it to yourself:  chmod 600 {path}",
        )
    text = path.read_bytes().decode("ascii", "replace")
    if not _KEY.fullmatch(text):
        raise BadInput(
            f"{path} is no key: a key is 64 hex digits",
            "Name another file, which is made if there is none, or bring the key back.",
        )
    return bytes.fromhex(text.strip())


def _create(path: Path, text: str) -> None:
    """Whole and for the owner only, or not at all; one that another has made meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)


class Pseudonyms:
    """Names to pseudonyms under one key. BadInput should two names ever get the same one."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._given: dict[str, str] = {}
        self._named: dict[str, str] = {}

    def of(self, name: str) -> str:
        """A name's pseudonym: "user-" and ten letters or digits."""
        if name not in self._given:
            digest = hmac.digest(self._key, name.encode("utf-8", "surrogatepass"), hashlib.sha256)
            short = base64.b32encode(digest).decode().lower()[:_LETTERS]
            if self._named.setdefault(short, name) != name:
                raise BadInput(
                    f"{name!r} and {self._named[short]!r} get the same pseudonym",
                    "Use another key; it gives all names other pseudonyms.",
                )
            self._given[name] = f"user-{short}"
        return self._given[name]


class Names:
    """Finds the names of an import's own authors in texts, in any case.

    A look at each word of a text is enough, however many names there are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {parts for name in set(names) if (parts := _parts(name))}
        # First word to the numbers of parts that names which begin with it have, the most first.
        self._sizes: dict[str, list[int]] = {}
        for first, size in sorted({(n[0], len(n)) for n in self._names}, reverse=True):
            self._sizes.setdefault(first, []).append(size)

    def replace(self, text: str) -> tuple[str, int]:
        """The text with "@" for each name, and how many there were."""
        return replace_spans(text, self._find(text), STAND_IN)

    def _find(self, text: str) -> Iterator[tuple[int, int]]:
        at = 0
        for word in _PIECE.finditer(text):
            sizes = self._sizes.get(word.group().casefold())
            if sizes is None or word.start() < at:
                continue
            mention = _AT.search(text, max(at, word.start() - 4), word.start())
            if not mention and _inside_word(text, word.start()):
                continue
            read, ends = _following(text, word, sizes[0])
            for size in sizes:
                whole = size <= len(read) and read[:size] in self._names
                if whole and (mention or size > 1):
                    behind = _AFTER.match(text, ends[size // 2])
                    at = behind.end() if behind else ends[size // 2]
                    yield mention.start() if mention else word.start(), at
                    break


def _parts(name: str) -> tuple[str, ...]:
    """Words in lower case, and between any two what stands there, stripped: "Ann-Li Z." as ann - li z.

    Of what is far too long for a name, nothing.
    """
    first = _PIECE.search(name)
    if first is None:
        return ()
    read, ends = _following(name, first, 2 * _MOST_WORDS + 1)
    return read if _PIECE.search(name, ends[-1]) is None else ()


def _following(text: str, word: re.Match[str], most: int) -> tuple[tuple[str, ...], list[int]]:
    """From a word on, words and what is between them, `most` parts; and where each word ends."""
    read, ends = [word.group().casefold()], [word.end()]
    while len(read) < most:
        gap = _GAP.match(text, ends[-1])
        following = _PIECE.match(text, gap.end()) if gap else None
        if gap is None or following is None:
            break
        read += [gap.group().strip(), following.group().casefold()]
        ends.append(following.end())
    return tuple(read), ends


def _inside_word(text: str, at: int) -> bool:
    """Is it behind an apostrophe that joins it to a word?"""
    return at > 1 and text[at - 1] in "'’" and text[at - 2].isalnum()
