"""What the sources of personal learning weigh at first: the table of `nwp.personal.priors`.

    python benchmarks/personal_weights.py ubuntu_irc.jsonl.gz:6 ami.jsonl.gz:10 --model models/chat

Of every sixth and every tenth user, the valid part is read as a device would: the file has counted the
messages before. Each word is noted with the probability that each source gave it; then weights by kind of
context are what expectation maximisation makes of all words together. Users of each corpus whose number is
odd take no part, and the perplexity shown is theirs: with weights that begin as the table says, or alike
for all kinds, and learn on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from personal import distributions, learn_train, personal_model

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.evaluation.scoring import Predictor, predictor_of
from nwp.model.bundle import Bundle, load_bundle
from nwp.personal.mixing import Said
from nwp.personal.priors import PRIOR, STRENGTH
from nwp.personal.store import Personal
from nwp.tasks.start import weights_of
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import encode

_TURNS = 100
_SMOOTHING = 20.0  # words that a kind's weights are worth of all kinds' together
_LEAST = 0.002  # what no source falls below: online, a weight of 0 would stay 0


def main() -> None:
    """Print the table and what it is worth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", help="CORPUS:N, every N-th user of it")
    parser.add_argument("--model", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    bundle = load_bundle(given.model)
    lstm = predictor_of(bundle.config, weights_of(bundle), bundle.expert)
    users: dict[str, list[list[Said]]] = {}
    for name, every in (corpus.rsplit(":", 1) for corpus in given.corpora):
        corpus = load_corpus(name)
        texts = [corpus.users[user] for user in sorted(corpus.users)[1 :: int(every)]]
        users[name] = [said for one in texts if (said := list(told(bundle, lstm, one)))]
    table = fitted([said for corpus in users.values() for user in corpus[::2] for said in user])
    for row in table:
        print("    (" + ", ".join(f"{weight:.3f}" for weight in row) + "),")
    alike = np.tile(table.mean(0), (len(table), 1))
    for name, some in users.items():
        found = [perplexity(some[1::2], start) for start in (alike, PRIOR, table)]
        print(f"{name}: alike {found[0]:.1f}, as it stands {found[1]:.1f}, this {found[2]:.1f}")


def told(bundle: Bundle, lstm: Predictor, messages: Sequence[str]) -> Iterator[Said]:
    """What the sources say of each known word of a user's valid part."""
    texts = [text for text in part_of(messages, "valid") if words_of(text)]
    data = encode(texts, bundle.vocabulary)
    given = distributions(lstm, data, bundle.config.outputs)
    personal = Personal.open()
    learn_train(bundle, lstm, personal, messages)
    model = personal_model(personal, bundle)
    for text, start in zip(texts, data.offsets, strict=False):
        words = words_of(text)
        for i, word in enumerate(words):
            if (said := model.said(words[:i], word, given[start + i])) is not None:
                yield said
        personal.learn(text, expected=model.expected(text, given[start : start + len(words) + 1]))
    personal.close()


def fitted(words: list[Said]) -> npt.NDArray[np.float64]:
    """Weights by kind, (kinds, sources), by expectation maximisation."""
    kinds = np.array([said.kind for said in words])
    p = np.array([said.probabilities for said in words])
    there = np.array([said.there for said in words])
    weights = np.full(PRIOR.shape, 1 / PRIOR.shape[1])
    for _ in range(_TURNS):
        shares = weights[kinds] * there
        shares *= p / shares.sum(1, keepdims=True)
        shares /= shares.sum(1, keepdims=True)
        credits = np.zeros(PRIOR.shape)
        np.add.at(credits, kinds, shares)
        credits += _SMOOTHING * credits.sum(0) / credits.sum()
        weights = np.maximum(credits / credits.sum(1, keepdims=True), _LEAST)
        weights /= weights.sum(1, keepdims=True)
    return weights


def perplexity(users: list[list[Said]], start: npt.NDArray[np.float64]) -> float:
    """Of users one by one, with weights that begin at `start` and learn."""
    nats, words = 0.0, 0
    for user in users:
        credits = STRENGTH * start
        for said in user:
            weights = credits[said.kind] * said.there
            shares = weights / weights.sum() * said.probabilities
            credits[said.kind] += shares / shares.sum()
            nats -= float(np.log(shares.sum()))
            words += 1
    return float(np.exp(nats / words))


if __name__ == "__main__":
    main()
