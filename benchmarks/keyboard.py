"""What each part of a keyboard brings: n-grams, the network, its n-gram expert, learning on the device.

    python benchmarks/keyboard.py ubuntu_irc.jsonl.gz ami.jsonl.gz --model models/chat
    python benchmarks/keyboard.py ami.jsonl.gz --model models/chat --part valid --every 4

All rows predict the same words: the chosen part of each user's messages. `trigram, own words` is an
interpolated Kneser-Ney model over the corpus's own 10,000 most frequent words; all others are over the
bundle's vocabulary. N-grams of the corpus are counted on everybody's train parts, pooled, which no
federated system could do; the bundle's own are of k users of a worker or more. The last row learns from
each user's earlier messages, and from each message after it was scored (`benchmarks/personal.py`).

An unknown word is wrong in top-1 and top-3, perplexity is over known words; keystroke savings are with
three candidates, of which choosing one is one key and brings the space. Of learnt words the savings of
the last row know nothing (they are completed as unknown ones), so they are a lower bound. With --every
all rows are of the same share of users.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from personal import count_user

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.evaluation.counts import Rows, figures
from nwp.evaluation.ngrams import KneserNey, Unigram
from nwp.evaluation.scoring import Predictor, count_with, predictor_of
from nwp.federated.groups import in_groups
from nwp.model.bundle import Bundle, default_bundle, load_bundle
from nwp.tasks.start import weights_of
from nwp.text.spelling import Speller, spell
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import Vocabulary, encode

SHOWN = ("top1", "top3", "perplexity", "keystroke_savings", "oov_rate", "tokens")
_OWN_WORDS = 10_000
_GROUP = 64


def main() -> None:
    """Print a table for each corpus, and with --json all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", help="files, folders or known names")
    parser.add_argument("--model", type=Path, default=default_bundle())
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th user")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without-personal", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bundle = load_bundle(given.model)
    found = {}
    for name in given.corpora:
        corpus = load_corpus(name)
        began = time.perf_counter()
        rows = table(
            corpus, bundle, given.part, given.every, given.processes, not given.without_personal
        )
        called = Path(corpus.name).name.removesuffix(".gz").removesuffix(".jsonl")
        found[called] = rows
        if not given.json:
            print(f"\n{called}, {given.part}, {time.perf_counter() - began:.0f} s\n")
            print(markdown(rows))
    if given.json:
        print(json.dumps(found, indent=1))


def table(
    corpus: Corpus, bundle: Bundle, part: str, every: int, processes: int, personal: bool
) -> dict[str, dict[str, float]]:
    """Row to figures, over every so many-th user in order of their names."""
    names = [
        user
        for user in sorted(corpus.users)[::every]
        if any(map(words_of, part_of(corpus.users[user], part)))
    ]
    texts = [part_of(corpus.users[user], part) for user in names]
    rows: dict[str, Rows] = {}
    own = Vocabulary.from_lists(frequent(corpus), {})
    rows["trigram, own words"] = counted(own, fitted(corpus, own, KneserNey), texts, processes)
    known = bundle.vocabulary
    rows["unigram"] = counted(known, fitted(corpus, known, Unigram), texts, processes)
    rows["trigram"] = counted(known, fitted(corpus, known, KneserNey), texts, processes)
    alone = replace(bundle, expert=None)
    rows["network"] = counted(known, alone, texts, processes)
    if bundle.expert is not None:
        rows["network + n-grams"] = counted(known, bundle, texts, processes)
    if personal:
        with _pool(processes) as pool:
            tasks = [(bundle, corpus.users[user], part) for user in names]
            some = pool.starmap(_personal, tasks, chunksize=4)
        rows["with personal learning"] = np.concatenate(some)
    return {name: _told(counts) for name, counts in rows.items()}


def frequent(corpus: Corpus) -> list[str]:
    """The corpus's most frequent words of all train parts."""
    counts: Counter[str] = Counter()
    for texts in corpus.users.values():
        counts.update(itertools.chain.from_iterable(map(words_of, part_of(texts, "train"))))
    return sorted(counts, key=lambda word: (-counts[word], word))[:_OWN_WORDS]


def fitted(corpus: Corpus, vocabulary: Vocabulary, kind: Any) -> Predictor:
    """N-grams of everybody's train parts."""
    train = [encode(part_of(texts, "train"), vocabulary) for texts in corpus.users.values()]
    found: Predictor = kind.fit([user for user in train if user.messages], len(vocabulary))
    return found


def counted(
    vocabulary: Vocabulary,
    model: Predictor | Bundle,
    texts: Sequence[Sequence[str]],
    processes: int,
) -> Rows:
    """The counts of each user, (users, columns), in the order of their texts."""
    users = [(encode(some, vocabulary), some) for some in texts]
    groups = list(in_groups(users, _GROUP, lambda pair: len(pair[0].targets)))
    # A model is sent once to each process, not once a group.
    with _pool(processes, model, vocabulary) as pool:
        return np.concatenate(pool.map(_count, groups, chunksize=1))


_given: tuple[Predictor, Vocabulary] | None = None


def _pool(
    processes: int, model: Predictor | Bundle | None = None, vocabulary: Vocabulary | None = None
) -> Any:
    context = multiprocessing.get_context("spawn")
    return context.Pool(processes, _begin, (model, vocabulary))


def _begin(model: Predictor | Bundle | None, vocabulary: Vocabulary | None) -> None:
    global _given  # noqa: PLW0603 (a process of a pool has no other place)
    torch.set_num_threads(1)
    if isinstance(model, Bundle):
        model = predictor_of(model.config, weights_of(model), model.expert)
    if model is not None and vocabulary is not None:
        _given = model, vocabulary


def _count(group: Sequence[tuple[Any, Sequence[str]]]) -> Rows:
    assert _given is not None
    predictor, vocabulary = _given
    speller = Speller.of(vocabulary)
    data = [encoded for encoded, _ in group]
    letters = [spell(texts, encoded, speller) for encoded, texts in group]
    return count_with(predictor, vocabulary.words, data, letters)[0]


_lstm: dict[int, Predictor] = {}


def _personal(bundle: Bundle, messages: Sequence[str], part: str) -> Rows:
    if not _lstm:
        _lstm[0] = predictor_of(bundle.config, weights_of(bundle), bundle.expert)
    return count_user(bundle, _lstm[0], messages, part)[1]


def _told(rows: Rows) -> dict[str, float]:
    every = figures(rows.sum(0))
    return {name: float(every[name]) for name in SHOWN} | {"users": len(rows)}


def markdown(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The table, each figure beside its ratio to the trigram's."""
    lines = [
        "| | top-1 | top-3 | perplexity | keystroke savings | unknown |",
        "|---|---|---|---|---|---|",
    ]
    base = rows["trigram"]
    for name, row in rows.items():
        cells = [f"{row['top1']:.1%} (x {row['top1'] / base['top1']:.2f})"]
        cells.append(f"{row['top3']:.1%} (x {row['top3'] / base['top3']:.2f})")
        cells.append(f"{row['perplexity']:.1f} ({row['perplexity'] / base['perplexity']:.0%})")
        cells += [f"{row['keystroke_savings']:.1%}", f"{row['oov_rate']:.1%}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    first = next(iter(rows.values()))
    return "\n".join([*lines, "", f"{first['users']:,} users, {int(first['tokens']):,} words."])


if __name__ == "__main__":
    main()
