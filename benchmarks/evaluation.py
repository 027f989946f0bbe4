"""Seconds that evaluation takes, beside the loop that one writes by hand.

    python benchmarks/evaluation.py ubuntu_irc --repeats 3
    python benchmarks/evaluation.py messages.jsonl.gz --hidden 192

A model of the standard size (4.05 million weights, drawn by seed: what it knows makes no difference to
the time) is evaluated on the test part of a corpus: by `nwp evaluate`'s own way through workers and
engines, and by a plain loop that takes sixteen messages at a time, pads them, and asks torch for the
loss and the three best words. Both count the same perplexity and hits, which is checked. The loop
counts nothing else: no letters, no ranks, no calibration, no rows of users.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections import Counter

import numpy as np
import torch
from torch.nn import functional

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.federated.local import pad
from nwp.model.bundle import Bundle
from nwp.model.config import ModelConfig
from nwp.model.lstm import NextWordModel
from nwp.tasks.evaluate import EvaluateOptions, evaluate
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, Vocabulary, encode


def main() -> None:
    """Time both in turn, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="a file, a folder or a known name")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=670)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    given = parser.parse_args()
    corpus = load_corpus(given.corpus)
    bundle = made_up(corpus, given.hidden, given.vocabulary)
    ours: list[float] = []
    plain: list[float] = []
    for _ in range(given.repeats):
        began = time.perf_counter()
        found = evaluate(corpus, bundle, EvaluateOptions(processes=given.processes))
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        perplexity, top3 = plain_loop(corpus, bundle)
        plain.append(time.perf_counter() - began)
    summary = found.as_json()["summary"]
    assert math.isclose(summary["perplexity"], perplexity, rel_tol=1e-4), (summary, perplexity)
    assert math.isclose(summary["top3"], top3, abs_tol=1e-4), (summary, top3)
    print(
        json.dumps(
            {
                "users": len(found.users),
                "positions": summary["tokens"] + summary["messages"],
                "seconds": round(statistics.median(ours), 2),
                "plain": round(statistics.median(plain), 2),
                "ratio": round(
                    statistics.median(p / o for p, o in zip(plain, ours, strict=True)), 2
                ),
                "parameters": bundle.config.parameters,
            }
        )
    )


def made_up(corpus: Corpus, hidden: int, size: int) -> Bundle:
    """A model that has learnt nothing, over the corpus's most frequent words."""
    counts = Counter(
        word
        for texts in corpus.users.values()
        for text in part_of(texts, "train")
        for word in words_of(text)
    )
    words = [word for word, _ in sorted(counts.items(), key=lambda wc: (-wc[1], wc[0]))[:size]]
    vocabulary = Vocabulary.from_lists(words, {})
    config = ModelConfig(FIRST_WORD + len(words), 96, hidden=hidden, projection=96, tied=False)
    model = NextWordModel(config)
    model.initialize(0)
    even = tuple([1 / config.outputs] * config.outputs)
    return Bundle(config, vocabulary, even, model.tensors(), {})


@torch.inference_mode()
def plain_loop(corpus: Corpus, bundle: Bundle) -> tuple[float, float]:
    """Perplexity and top-3 by sixteen messages at a time, in each user's own order."""
    model = NextWordModel(bundle.config)
    model.set_tensors(bundle.tensors)
    first = FIRST_WORD - FIRST_OUTPUT
    nll, known, hits, tokens = 0.0, 0, 0, 0
    for texts in corpus.users.values():
        data = encode(part_of(texts, "test"), bundle.vocabulary)
        for start in range(0, data.messages, 16):
            rows = np.arange(start, min(start + 16, data.messages))
            batch = pad(data, rows, int(np.diff(data.offsets)[rows].max()))
            logits = model.logits(model.hidden(batch.inputs, batch.marks))
            targets = batch.targets - FIRST_OUTPUT
            word, is_known = batch.targets > END, batch.targets >= FIRST_WORD
            losses = functional.cross_entropy(logits[is_known], targets[is_known], reduction="sum")
            nll += float(losses)
            best = logits[is_known][:, first:].topk(3, 1).indices + first
            hits += int((best == targets[is_known][:, None]).any(1).sum())
            known += int(is_known.sum())
            tokens += int(word.sum())
    return math.exp(nll / known), hits / tokens


if __name__ == "__main__":
    main()
