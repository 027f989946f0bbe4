"""What others call accuracy, recall or perplexity, derived from the same counts, each under its source.

"Accuracy" of next-word prediction has at least five meanings that cannot be compared with each other.
They differ in three questions: does a word outside the vocabulary count as a target, may the model guess
"unknown" or "end" and be right or wrong with it, and is the end of a message a target. Every figure here
answers them as the code or paper does that it is named after.

A message is read whole, whatever its length. Where the source cuts messages (at 20 words, with no end
for those that were cut), figures differ by that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nwp.evaluation.counts import Counts, metrics


@dataclass(frozen=True)
class Convention:
    """A figure: its `name` in `source`, what it `counts` in words, and how it follows from counts as a
    part of a whole (`kind` "share"), or as exp of nats a target ("perplexity")."""

    name: str
    source: str
    counts: str
    kind: str
    part: Callable[[Counts], float]
    whole: Callable[[Counts], float]

    def value(self, counts: Counts) -> float | None:
        """The figure, None where there is nothing to divide by."""
        whole = self.whole(counts)
        if not whole:
            return None
        found = self.part(counts) / whole
        return found if self.kind == "share" else math.exp(min(found, 700.0))


def _unknown(c: Counts) -> int:
    return c.tokens - c.known


def _open_words(c: Counts) -> int:
    return c.open_hits1 + c.open_unknown1


def _all(c: Counts) -> int:
    return c.tokens + c.ends


CONVENTIONS = (
    Convention(
        "top1",
        "nwp; FedJAX accuracy_in_vocab, StackOverflow",
        "words; one outside the vocabulary is wrong; neither unknown nor end is ever guessed",
        "share",
        lambda c: c.hits1,
        lambda c: c.tokens,
    ),
    Convention(
        "top-1 recall",
        "Gboard (Hard et al. 2018, section 4)",
        "words typed that were the first of the words shown",
        "share",
        lambda c: c.hits1,
        lambda c: c.tokens,
    ),
    Convention(
        "top-3 recall",
        "Gboard (Hard et al. 2018, section 4)",
        "words typed that were among the three words shown",
        "share",
        lambda c: c.hits3,
        lambda c: c.tokens,
    ),
    Convention(
        "accuracy_without_out_of_vocab_or_end_of_sentence",
        "TensorFlow Federated, stackoverflow_word",
        "words of the vocabulary; unknown and end may be guessed, and are wrong",
        "share",
        lambda c: c.open_hits1,
        lambda c: c.known,
    ),
    Convention(
        "accuracy_without_out_of_vocab",
        "TensorFlow Federated, stackoverflow_word",
        "words of the vocabulary and ends; unknown may be guessed, and is wrong",
        "share",
        lambda c: c.open_hits1 + c.open_end1,
        lambda c: c.known + c.ends,
    ),
    Convention(
        "accuracy",
        "TensorFlow Federated, stackoverflow_word; pfl-research",
        "words and ends; unknown is right where the word is outside the vocabulary",
        "share",
        lambda c: _open_words(c) + c.open_end1,
        _all,
    ),
    Convention(
        "accuracy_no_eos",
        "FedJAX, StackOverflow",
        "words; unknown is right where the word is outside the vocabulary, end may be guessed and is wrong",
        "share",
        _open_words,
        lambda c: c.tokens,
    ),
    Convention(
        "accuracy",
        "LEAF, Reddit",
        "words and ends; a guess of unknown is always wrong",
        "share",
        lambda c: c.open_hits1 + c.open_end1,
        _all,
    ),
    Convention(
        "acc",
        "FLUTE, nlg_gru with OOV_correct=false",
        "words; a guess of unknown is always wrong",
        "share",
        lambda c: c.open_hits1,
        lambda c: c.tokens,
    ),
    Convention(
        "accuracy wo unk",
        "pfl-research",
        "words of the vocabulary and ends; unknown may be guessed, and is wrong",
        "share",
        lambda c: c.open_hits1 + c.open_end1,
        lambda c: c.known + c.ends,
    ),
    Convention(
        "perplexity",
        "nwp",
        "words of the vocabulary, out of all words, unknown and end",
        "perplexity",
        lambda c: c.nll,
        lambda c: c.known,
    ),
    Convention(
        "perplexity",
        "pfl-research; FedJAX exp(token_loss)",
        "words, ends, and unknown for words outside the vocabulary",
        "perplexity",
        lambda c: c.nll + c.unknown_nll + c.end_nll,
        _all,
    ),
    Convention(
        "perplexity wo unk",
        "pfl-research",
        "words of the vocabulary and ends",
        "perplexity",
        lambda c: c.nll + c.end_nll,
        lambda c: c.known + c.ends,
    ),
    Convention(
        "token_oov_rate",
        "FedJAX, StackOverflow",
        "words outside the vocabulary, of words and ends",
        "share",
        _unknown,
        _all,
    ),
)


def conventions_json(counts: Counts) -> list[dict[str, Any]]:
    """All of them, and nwp's own that need letters, as `nwp evaluate --json` prints them."""
    found = [
        {"name": c.name, "source": c.source, "counts": c.counts, "value": c.value(counts)}
        for c in CONVENTIONS
    ]
    own = metrics(counts)
    more = (
        ("mean reciprocal rank", "mrr", "1 / rank among words, 0 for one outside the vocabulary"),
        (
            "bits per character",
            "bits_per_character",
            "-log2 p of words, ends and unknown, and the spelling of unknown words, over letters and a "
            "space or end a word",
        ),
        (
            "keystroke savings",
            "keystroke_savings",
            "three words shown, a choice is one key and brings the space",
        ),
        (
            "keystroke savings, space typed",
            "keystroke_savings_spaced",
            "three words shown, a choice is one key, the space another",
        ),
    )
    found += [
        {"name": name, "source": "nwp", "counts": counted, "value": own[key]}
        for name, key, counted in more
    ]
    return found
