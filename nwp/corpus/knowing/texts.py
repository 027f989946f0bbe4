"""What a corpus is written in and about: languages, scripts, repeated messages, typical words."""

from __future__ import annotations

import functools
import math
import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from nwp.text.scripts import CUT_UP, NO_SPACES, fault_of, script_of

REPEATED_FROM = 4
"""Words of a message from which on its repetition tells something: "ok thanks" comes from anybody."""
UNKNOWN = "unknown"

_CHARACTERS = 500  # of a user, to tell the language by
_SPREAD = 25  # messages that they are from, spread over all of the user's
_LETTERS = 12  # fewer tell no language
_SURE = 0.5  # the least probability of a language
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+")
_PRIOR = 500  # words that all users' text is worth beside a user's own


def language_of(messages: Sequence[str]) -> str:
    """The language a user mostly writes (ISO 639), by a sample; "unknown" with too little text."""
    texts = (_ADDRESS.sub(" ", m) for m in islice(messages, 0, None, _step(len(messages))))
    sample: list[str] = []
    size = 0
    for text in texts:
        sample.append(text[: _CHARACTERS - size])
        size += len(sample[-1])
        if size >= _CHARACTERS:
            break
    whole = "\n".join(sample)
    if sum(map(str.isalpha, whole)) < _LETTERS:
        return UNKNOWN
    language, probability = _identifier().classify(whole)
    return language if probability >= _SURE and language != "zxx" else UNKNOWN


def _step(messages: int) -> int:
    return max(1, messages // _SPREAD)


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class Repeats:
    """Finds messages of the same words, in 12 bytes a message: their hashes and writers."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._writers = array("i")

    def add(self, writer: int, words: Sequence[str]) -> None:
        """One message, by the number of its user; short ones are not looked at."""
        if len(words) >= REPEATED_FROM:
            self._hashes.append(hash(tuple(words)))
            self._writers.append(writer)

    def as_dict(self) -> dict[str, Any]:
        """How many were looked at, and how many of them repeat an earlier one.

        `by_the_same` repeat one of their own user, `by_another` are a user's first of words that
        another had; `share` is that of both.
        """
        hashes, wrote = np.asarray(self._hashes), np.asarray(self._writers)
        order = np.lexsort((wrote, hashes))
        ordered, writers = hashes[order], wrote[order]
        again = ordered[1:] == ordered[:-1]
        same = int((again & (writers[1:] == writers[:-1])).sum())
        other = int(again.sum()) - same
        looked = len(hashes)
        return {
            "messages": looked,
            "by_the_same": same,
            "by_another": other,
            "share": (same + other) / looked if looked else 0.0,
        }


def scripts_of(words: Mapping[str, int], marked: Mapping[str, int]) -> dict[str, Any]:
    """Words of scripts that nwp can't split: by what is wrong the number, the share and the scripts.

    `marked` counts pieces that marks spelt apart have cut, by script; they are no fault of it.
    """
    faults: dict[str, Counter[str]] = {NO_SPACES: Counter(), CUT_UP: Counter()}
    for word, count in words.items():
        if fault := fault_of(word):
            faults[fault][script_of(word)] += count
    total = max(sum(words.values()), 1)
    found: dict[str, Any] = {
        fault: {
            "words": scripts.total(),
            "share": scripts.total() / total,
            "scripts": dict(scripts.most_common()),
        }
        for fault, scripts in faults.items()
    }
    found["marks apart"] = dict(Counter(marked).most_common())
    return found


def typical_words(mine: Mapping[str, int], everybody: Mapping[str, int], top: int) -> list[str]:
    """The words that set a user apart from all others, the most telling first.

    By z-scores of log-odds ratios with an informative Dirichlet prior (Monroe, Colaresi and Quinn
    2008, section 3.5.1), the prior being everybody's words, worth 500. Only words the user wrote
    at least twice, of letters that nwp can split.
    """
    n, total = sum(mine.values()), sum(everybody.values())
    if n == total or len(everybody) < 2:
        return []  # nobody else to be set apart from, or nothing to tell it by
    scored = []
    for word, count in mine.items():
        if count < 2 or word.isdigit() or fault_of(word):
            continue
        prior = _PRIOR * everybody[word] / total
        ours, theirs = count + prior, everybody[word] - count + prior
        odds = math.log(ours / (n + _PRIOR - ours)) - math.log(
            theirs / (total - n + _PRIOR - theirs)
        )
        scored.append((odds / math.sqrt(1 / ours + 1 / theirs), word))
    scored.sort(key=lambda pair: (-pair[0], pair[1]))
    return [word for z, word in scored[:top] if z > 0]
