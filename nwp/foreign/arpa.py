"""Read an n-gram model from an ARPA file, as SRILM, KenLM, IRSTLM and others write it.

The file names how many n-grams of each order it has, then lists them: log10 of a probability, the words,
and log10 of the back-off weight of what they are the beginning of (without one: 0). The format is told
in SRILM's manual (ngram-format(5)).

Nothing is believed before it is read: memory grows with lines, never by a number of the header.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from nwp.corpus.unpacking import damage_named, guarded, unpacked
from nwp.errors import BadCorpus, BadInput
from nwp.evaluation.counts import FloatArray, IntArray
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import BEGIN, END, FIRST_WORD, UNKNOWN, Vocabulary

ZERO = -99.0
"""log10 of a probability that stands for none at all; less is read as this."""

_LONGEST = 1 << 16  # bytes of a line
_COUNT = re.compile(rb"ngram[ \t]+(\d{1,9})[ \t]*=[ \t]*(\d{1,18})")
_NAMES = {b"<s>": BEGIN, b"</s>": END, b"<unk>": UNKNOWN, b"<UNK>": UNKNOWN}
_LEFT_OUT = -1


@dataclass(frozen=True)
class Grams:
    """N-grams of one order: `ids` int64 (n-grams, order), `log_p` and `back_off` log10, float64
    (n-grams,), and the `lines` that they stand on, int64 (n-grams,)."""

    ids: IntArray
    log_p: FloatArray
    back_off: FloatArray
    lines: IntArray


@dataclass(frozen=True)
class Arpa:
    """What an ARPA file says. `grams` by order, 1 first, without any that has a word left out;
    `listed` how many the file has of each order, `left_out` how many of its words stay out."""

    path: Path
    vocabulary: Vocabulary
    grams: tuple[Grams, ...]
    listed: tuple[int, ...]
    left_out: int


def read_arpa(path: Path) -> Arpa:
    """Read an ARPA file, plain or packed (gzip, bzip2, xz).

    The vocabulary is its words in their order, without those that the tokenizer never makes (with
    capitals or signs, `<s>`) and those whose own probability is zero. BadInput, with the line's
    number, where the file is damaged or contradicts itself.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as raw, damage_named(path), unpacked(raw) as file:
            return _read(path, guarded(str(path), file, size))
    except BadCorpus as error:  # said of what is packed, whatever it is
        raise BadInput(error.message, error.hint) from error
    except OSError as error:
        raise BadInput(
            f"{path} can't be read: {error.strerror}", "Is it the right file?"
        ) from error


@dataclass
class _Lines:
    """Lines with their number, from 1 on; one can be put back."""

    path: Path
    file: IO[bytes]
    number: int = 0
    held: bytes | None = None

    def next(self) -> bytes:
        """The next line without white space around it; BadInput where there is none."""
        if self.held is not None:
            line, self.held = self.held, None
            return line
        line = self.file.readline(_LONGEST + 1)
        self.number += 1
        if not line:
            raise self.wrong("the file ends before \\end\\")
        if len(line) > _LONGEST:
            raise self.wrong(f"it has over {_LONGEST:,} bytes")
        return line.strip()

    def filled(self) -> bytes:
        """The next line that is not empty."""
        while not (line := self.next()):
            pass
        return line

    def wrong(self, what: str, number: int | None = None) -> BadInput:
        """The error of a line, this one unless another is named."""
        return BadInput(
            f"{self.path}, line {number or self.number}: {what}",
            "Is it a whole ARPA file? Write it again with the program that made it.",
        )


@dataclass
class _Section:
    """The n-grams of one order while they are read."""

    ids: array[int] = field(default_factory=lambda: array("i"))
    log_p: array[float] = field(default_factory=lambda: array("d"))
    back_off: array[float] = field(default_factory=lambda: array("d"))
    lines: array[int] = field(default_factory=lambda: array("q"))

    def done(self, order: int) -> Grams:
        return Grams(
            np.array(self.ids, np.int64).reshape(-1, order),
            np.array(self.log_p),
            np.array(self.back_off),
            np.array(self.lines, np.int64),
        )


def _read(path: Path, file: IO[bytes]) -> Arpa:
    lines = _Lines(path, file)
    counts = _header(lines)
    index: dict[bytes, int] = {}
    words: list[str] = []
    grams = []
    for order, count in enumerate(counts, 1):
        if (line := lines.filled()) != b"\\%d-grams:" % order:
            raise lines.wrong(f"here should begin \\{order}-grams:, not {_shown(line)}")
        grams.append(_section(lines, order, count, len(counts), index, words))
    if (line := lines.filled()) != b"\\end\\":
        raise lines.wrong(f"here should stand \\end\\, not {_shown(line)}")
    while file.read(1 << 20):  # what is packed has its checksum behind its last byte
        pass
    if not words:
        raise BadInput(
            f"{path} has no word that is a word here",
            "Words are lower-cased, of letters and digits, with apostrophes inside.",
        )
    left_out = sum(identity == _LEFT_OUT for identity in index.values())
    return Arpa(path, Vocabulary.from_lists(words, {}), tuple(grams), tuple(counts), left_out)


def _header(lines: _Lines) -> list[int]:
    """How many n-grams the file claims to have, order 1 first. Anything may stand before it."""
    try:
        while lines.next() != b"\\data\\":
            pass
    except BadCorpus:  # damage, or far too much of it
        raise
    except BadInput as error:
        raise BadInput(
            f"{lines.path}, line {lines.number}: up to here is no \\data\\, with which the format begins",
            "Is it an ARPA file? KenLM's own binary files are not: keep what lmplz writes.",
        ) from error
    counts: list[int] = []
    while not (line := lines.filled()).startswith(b"\\"):
        found = _COUNT.fullmatch(line)
        if found is None or int(found[1]) != len(counts) + 1:
            raise lines.wrong(f"here should stand ngram {len(counts) + 1}=…, not {_shown(line)}")
        counts.append(int(found[2]))
    if not counts:
        raise lines.wrong("the header names no order")
    lines.held = line
    return counts


def _section(
    lines: _Lines, order: int, count: int, highest: int, index: dict[bytes, int], words: list[str]
) -> Grams:
    """The lines of one order, up to an empty one or the next section. Order 1 fills `index`, which has
    each word's id, and `words`."""
    found, read = _Section(), 0
    while (line := lines.next()) and not line.startswith(b"\\"):
        read += 1
        if read > count:
            raise lines.wrong(f"the header names {count:,} {order}-grams, and here is one more")
        parts = line.split()
        if not order < len(parts) <= order + 2:
            raise lines.wrong(f"here should stand a number, {order} words and perhaps a number")
        log_p = _number(lines, parts[0], 0.0)
        back_off = 0.0
        if len(parts) == order + 2:
            back_off = _number(lines, parts[-1], -ZERO)
            if back_off and order == highest:
                raise lines.wrong("n-grams of the highest order have no back-off weight")
        names = parts[1 : order + 1]
        if order == 1:
            _enter(lines, names[0], log_p, index, words)
        try:
            ids = [index[name] for name in names]
        except KeyError as error:
            raise lines.wrong(f"{_shown(error.args[0])} is not among the 1-grams") from error
        if _LEFT_OUT not in ids:
            found.ids.extend(ids)
            found.log_p.append(log_p)
            found.back_off.append(back_off)
            found.lines.append(lines.number)
    if read < count:
        raise lines.wrong(f"the header names {count:,} {order}-grams, and there are {read:,}")
    lines.held = line or None
    return found.done(order)


def _enter(
    lines: _Lines, name: bytes, log_p: float, index: dict[bytes, int], words: list[str]
) -> None:
    """Give a word its id, or leave it out."""
    identity = _NAMES.get(name)
    if name in index or (identity == UNKNOWN and identity in index.values()):
        raise lines.wrong(f"{_shown(name)} is there for the second time")
    if identity is None:
        word = name.decode("utf-8", "surrogateescape")
        if log_p > ZERO and words_of(word) == [word]:
            identity = FIRST_WORD + len(words)
            words.append(word)
        else:
            identity = _LEFT_OUT
    index[name] = identity


def _number(lines: _Lines, written: bytes, most: float) -> float:
    """A log10 from `ZERO` to `most`; what is less than `ZERO`, -inf too, is read as it."""
    try:
        value = float(written)
    except ValueError as error:
        raise lines.wrong(f"{_shown(written)} is no number") from error
    if not value <= most:  # so that NaN is refused, too
        raise lines.wrong(f"{_shown(written)} is more than a logarithm can be here: {most:g}")
    return max(value, ZERO)


def _shown(written: bytes) -> str:
    return ascii(written[:40].decode("utf-8", "replace"))
