"""Looks for text of users in what leaves a worker, or lies where it should not.

It sees: plain text, in UTF-8 and UTF-16, anywhere in the bytes of a message or in its name; text
that JSON has escaped in a header; and text in base64, in hex, in gzip or in zlib, one within another
up to three deep. It reports every field and array that the protocol does not have, whatever is in
them. It does not see: other ciphers or encodings (reversed, shifted, word ids), text in the low bits
of numbers that the protocol does have, a message of one or two words within a list of words, words
of fewer than four letters inside the bytes of numbers.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nwp.corpus.types import Corpus
from nwp.text.building import public_order
from nwp.text.tokenizer import normalize, words_of

# From, to, name and content, as `nwp.workers.channel.Tap` tells them. A file that lies somewhere is
# a message from nobody to nobody.
Message = tuple[str, str, str, bytes]
Deals = Mapping[str, Sequence[str]]

# What the protocol lets a worker say, written out once more: phase to fields and arrays. An update may
# come with what its numbers are multiplied by, or with the places that they stand for; counts of users whose
# rows are withheld with a noisy histogram.
AGREED = {
    "survey": ({"listed", "users", "words", "messages"}, {"lines", "counts"}),
    "train": ({"words", "users", "loss"}, {"update", "update_scales", "update_places"}),
    "scaffold": (
        {"words", "users", "loss"},
        {
            *("update", "update_scales", "update_places"),
            *("variate", "variate_scales", "variate_places"),
        },
    ),
    "validate": ({"users"}, {"counts"}),
    "evaluate": ({"users"}, {"counts", "slices", "bins", "histogram"}),
    "ngrams": (
        {"users"},
        {
            f"{order}.{part}"
            for order in ("pairs", "triples")
            for part in ("contexts", "words", "counts")
        },
    ),
    "weigh": ({"words"}, {"credits"}),
    # The words that users share come as in a survey, every other figure as a few counts.
    "query": ({"listed", "users", "words", "messages"}, {"lines", "counts"}),
}
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(rb"[0-9a-fA-F]{16,}")
_ZLIB = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
_DEPTH = 3


def leaks(messages: Iterable[Message], corpus: Corpus, deals: Deals, k: int) -> list[str]:
    """What gives users away, one line each; empty when nothing does.

    In every message and file: a user's message, three words of one in a row, a user's id, and words
    that no worker may say. In a worker's own messages: words that fewer than `k` of its users wrote
    (all words of its users when it has fewer than `k`), and anything that was not agreed.
    """
    runs = {
        run: user
        for user, texts in corpus.users.items()
        for text in texts
        for run in _runs(words_of(text))
    }
    whole = {
        normalize(text): user
        for user, texts in corpus.users.items()
        for text in texts
        if len(words_of(text)) not in (1, 2) and len(text) > 2
    }
    secret = {worker: _secret(corpus, users, k) for worker, users in deals.items()}
    everywhere = set.intersection(*secret.values()) - set(public_order())
    found: list[str] = []
    for sender, receiver, name, content in messages:
        worker = sender.split("@")[0]
        where = f"{sender or 'file'} -> {receiver or 'nobody'}, {name[:60]!r}"
        if worker in deals:
            found += [f"{where}: {fault}" for fault in _unagreed(content)]
        words = secret.get(worker, everywhere)
        for how, text in [("name", name), *views(content)]:
            found += [
                f"{where}, {how}: {fault}" for fault in _in_text(text, corpus, whole, runs, words)
            ]
    return found


def _secret(corpus: Corpus, users: Sequence[str], k: int) -> set[str]:
    """The words of a corpus that a worker of these users must not say as text."""
    wrote = Counter(w for u in users for w in {w for t in corpus.users[u] for w in words_of(t)})
    said = {word for word, writers in wrote.items() if writers >= k and len(users) >= k}
    everybody = {w for texts in corpus.users.values() for t in texts for w in words_of(t)}
    return {word for word in everybody - said if len(word) >= 4}


def _runs(words: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return zip(words, words[1:], words[2:], strict=False)


def _in_text(
    raw: str,
    corpus: Corpus,
    whole: Mapping[str, str],
    runs: Mapping[tuple[str, str, str], str],
    secret: set[str],
) -> Iterator[str]:
    text = normalize(raw)
    for message, user in whole.items():
        if message in text:
            yield f"a message of {user}: {message!r}"
    for user in corpus.users:
        if user.lower() in text:
            yield f"the id of {user}"
    words = words_of(text)
    for run in set(_runs(words)) & runs.keys():
        yield f"three words of {runs[run]} in a row: {' '.join(run)!r}"
    for word in sorted(set(words) & secret):
        yield f"the word {word!r}"


# ------------------------------------------------------------------------------------ ways to look


def views(content: bytes, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The texts that bytes can be read as, with how each was read."""
    yield "as UTF-8", content.decode("utf-8", "replace")
    for start in (0, 1):  # big-endian text is little-endian text one byte on
        yield "as UTF-16", (content[start:] + b"\0").decode("utf-16-le", "replace")
    yield from (("in the header", text) for text in _header_texts(content))
    if depth == _DEPTH:
        return
    for how, inner in _unpacked(content):
        yield from ((f"{how}, {more}", text) for more, text in views(inner, depth + 1))


def _unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    """What may be wrapped inside bytes."""
    for match in _BASE64.finditer(content):
        packed = match[0].replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
        for start in range(4):  # letters before it shift the alignment
            part = packed[start:]
            part = part[: len(part) // 4 * 4] if len(part) % 4 == 1 else part
            yield "in base64", base64.b64decode(part + b"=" * (-len(part) % 4))
    for match in _HEX.finditer(content):
        for start in (0, 1):
            digits = match[0][start:]
            yield "in hex", binascii.unhexlify(digits[: len(digits) // 2 * 2])
    for match in _ZLIB.finditer(content):
        try:
            inner = zlib.decompressobj(wbits=47).decompress(content[match.start() :], 1 << 20)
        except zlib.error:
            continue
        if inner:
            yield "compressed", inner


def _header(content: bytes) -> dict[str, object]:
    """The header of a safetensors file, if it is one."""
    try:
        found = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _header_texts(content: bytes) -> list[str]:
    """All keys and strings of the header, unescaped, also those of JSON inside its strings."""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(key)
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        elif isinstance(value, str):
            found.append(value)
            if value[:1] in ("{", "["):
                try:
                    walk(json.loads(value))
                except ValueError:
                    return

    walk(_header(content))
    return ["\n".join(found)] if found else []


def _unagreed(content: bytes) -> Iterator[str]:
    """Whatever a worker's message has that the protocol does not."""
    header = _header(content)
    about: dict[str, object] = {}
    try:
        about = json.loads(str(header["__metadata__"]["nwp"]))  # type: ignore[index]
        kind, phase, fields = about["kind"], about["phase"], set(about["fields"])  # type: ignore[call-overload]
    except (ValueError, KeyError, TypeError):
        yield "no message of the protocol"
        return
    agreed = ({"reason"}, set()) if kind == "refuse" else AGREED.get(str(phase), (set(), set()))
    more = {
        "entry": set(about) - {"version", "kind", "job", "phase", "round", "fields"},
        "metadata": set(header["__metadata__"]) - {"nwp"},  # type: ignore[call-overload]
        "field": fields - agreed[0],
        "array": set(header) - {"__metadata__"} - agreed[1],
    }
    yield from (f"one more {what}: {name[:60]!r}" for what, names in more.items() for name in names)
    end = max(
        (entry["data_offsets"][1] for n, entry in header.items() if n in agreed[1]), default=0
    )  # type: ignore[index]
    if 8 + int.from_bytes(content[:8], "little") + end != len(content):
        yield "bytes that belong to no array"
