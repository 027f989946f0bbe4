"""Building a vocabulary from workers that each say only what they may.

On the worker, `survey` counts words; what leaves is decided there: with k or more users, the words
that at least k of them wrote; with fewer, counts over a public list and no other word. On the
server, `build_vocabulary` adds the counts up. This is the one file that knows torchtext.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nwp.errors import BadSettings
from nwp.text.scripts import fault_of
from nwp.text.tokenizer import surfaces_of
from nwp.text.vocabulary import Vocabulary

PUBLIC_LIST = Path(__file__).parent / "data" / "english.txt"

# One report of a word outweighs any rank in the public list.
_REPORTED = 1 << 20


@dataclass(frozen=True)
class Survey:
    """What one worker says of its words: how often each was written, and how it is shown.

    `words` and `messages` are totals, `listed` tells that the counts are over the public list.
    """

    counts: dict[str, int]
    surfaces: dict[str, str]
    words: int
    messages: int
    listed: bool = False


@functools.cache
def public_words() -> dict[str, str]:
    """The public list that comes with nwp: word to surface, most frequent first."""
    return {s.lower(): s for s in PUBLIC_LIST.read_text(encoding="utf-8").split()}


def public_order() -> list[str]:
    """The words of the public list, most frequent first."""
    return list(public_words())


def survey(users: Mapping[str, Iterable[str]], k: int) -> Survey:
    """Count the words of a worker's users and keep what may leave: `users` is id to messages.

    With at least k users a word stays in when k of them wrote it, and its most common surface
    inside a message when k wrote that surface. With fewer, only words of the public list stay in.
    Whatever k is, clauses of scripts without spaces and pieces of words that vowel signs cut up stay
    out (`nwp.text.scripts`): they count in the totals, and as unknown, but a model that suggests
    them serves nobody. BadSettings when k is below 1: every word would leave.
    """
    if k < 1:
        raise BadSettings(f"k = {k}: a word must have been written by at least one user", "Use 3.")
    counts: Counter[str] = Counter()
    writers: Counter[str] = Counter()
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    form_writers: Counter[str] = Counter()
    sent = 0
    for messages in users.values():
        mine: Counter[str] = Counter()
        inner: Counter[str] = Counter()
        for message in messages:
            surfaces = surfaces_of(message)
            sent += bool(surfaces)
            mine.update(s.lower() for s in surfaces)
            inner.update(surfaces[1:])
        counts.update(mine)
        writers.update(mine.keys())
        form_writers.update(inner.keys())
        for surface, count in inner.items():
            forms[surface.lower()][surface] += count
    if len(users) < k:
        listed = public_words()
        kept = {w: c for w, c in sorted(counts.items()) if w in listed}
        return Survey(kept, {}, counts.total(), sent, listed=True)
    kept = {w: c for w, c in sorted(counts.items()) if writers[w] >= k and not fault_of(w)}
    shown = {}
    for word in kept:
        common = [(c, s) for s, c in forms[word].items() if form_writers[s] >= k]
        if common and (best := max(common)[1]) != word:
            shown[word] = best
    return Survey(kept, shown, counts.total(), sent)


def build_vocabulary(surveys: Sequence[Survey], size: int, public: int) -> Vocabulary:
    """The `size` most reported words, filled up from the `public` most frequent public ones.

    A word that many users have but too few on any one worker is reported by none; the public list
    brings the common ones of these in without anybody having to name them. BadSettings when
    nothing is left.
    """
    # torchtext takes over a second to import, and only training needs it.
    from torchtext.vocab import Vocab

    listed = public_words()
    weights: Counter[str] = Counter(
        {word: _REPORTED - rank for rank, word in enumerate(public_order()[:public], 1)}
    )
    surfaces: dict[str, Counter[str]] = defaultdict(Counter)
    for report in surveys:
        for word, count in report.counts.items():
            weights[word] += count * _REPORTED
            surfaces[word][report.surfaces.get(word, word)] += count
    if size < 1 or not weights:
        raise BadSettings("the vocabulary would be empty", "Use a larger size or more text.")
    # The specials of torchtext are left out: ids below FIRST_WORD have their own meaning here.
    built = Vocab(weights, max_size=size, specials=(), specials_first=False)
    words = built.itos
    shown = {w: _shown(w, listed, surfaces.get(w)) for w in words}
    return Vocabulary.from_lists(words, {w: s for w, s in shown.items() if s != w})


def grow_vocabulary(
    vocabulary: Vocabulary, surveys: Sequence[Survey], most: int
) -> tuple[Vocabulary, list[float]]:
    """The vocabulary with the `most` most reported words that it lacks behind its own, and what share of its
    unknown words each of these is, as far as surveys tell.

    The shares sum to less than one: of the words that were written but not reported a tenth is taken to be
    unknown, as in `word_frequencies`. Numbers stay out: a vocabulary reads those that it lacks as one.
    """
    reported: Counter[str] = Counter()
    surfaces: dict[str, Counter[str]] = defaultdict(Counter)
    for report in surveys:
        reported.update(report.counts)
        for word, count in report.counts.items():
            if word not in vocabulary.index:
                surfaces[word][report.surfaces.get(word, word)] += count
    lacking = sum(reported[word] for word in surfaces)
    unknown = lacking + 0.1 * max(sum(s.words for s in surveys) - reported.total(), 0) + 0.5
    words = [word for word in surfaces if not word[0].isdigit()]
    new = sorted(words, key=lambda word: (-reported[word], word))[:most]
    listed = public_words()
    shown = vocabulary.as_dict()["surfaces"]
    shown |= {w: s for w in new if (s := _shown(w, listed, surfaces[w])) != w}
    grown = Vocabulary.from_lists([*vocabulary.words, *new], shown)
    return grown, [reported[word] / unknown for word in new]


def word_frequencies(vocabulary: Vocabulary, surveys: Sequence[Survey]) -> list[float]:
    """How often each output id (end, unknown, words) will be the target, as far as surveys tell.

    A share of all targets each; they sum to one. What no worker may say is spread: of the words
    that were written but not reported a tenth is taken to be unknown, the rest falls on the
    vocabulary's unreported words by rank (Zipf's law).
    """
    reported: Counter[str] = Counter()
    for report in surveys:
        reported.update(report.counts)
    messages = sum(s.messages for s in surveys)
    hidden = max(sum(s.words for s in surveys) - sum(reported[w] for w in vocabulary.words), 0)
    silent = [w for w in vocabulary.words if not reported[w]]
    share = 0.9 * hidden / max(sum(1 / rank for rank in range(1, len(silent) + 1)), 1)
    tail = {word: share / rank for rank, word in enumerate(silent, 1)}
    # Half a count for all keeps every probability above zero.
    counts = [messages, 0.1 * hidden, *(reported[w] or tail[w] for w in vocabulary.words)]
    total = sum(counts) + 0.5 * len(counts)
    return [(c + 0.5) / total for c in counts]


def _shown(word: str, listed: Mapping[str, str], reported: Counter[str] | None) -> str:
    """The surface of a word: the public list's when it has a capital there, else the workers'."""
    if listed.get(word, word) != word or not reported:
        return listed.get(word, word)
    return max(reported, key=lambda s: (reported[s], s))
