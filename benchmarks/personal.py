"""What learning on the device is worth to each user.

    python benchmarks/personal.py CORPUS --model DIR --part test
    python benchmarks/personal.py CORPUS --model DIR --part valid --every 5

Each user has a file of their own in memory. It has counted that user's messages before the part (train;
and valid, for test); then each message of the part is scored, word by word, before it is learnt, as on
a device. The sources' weights start from the usual ones and are learnt from what the shared model has not
been trained on: the part, and valid, for test. Perplexities are over the words of the vocabulary, the
same without and with; top-1 and top-3 are over all words: one that the model doesn't know is
wrong unless it was learnt. A learnt word takes its place among the guesses in any case.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.evaluation.counts import COLUMNS, Rows, count_each, figures
from nwp.evaluation.ranking import Block, from_probabilities, prefixes_of, stand
from nwp.evaluation.scoring import Predictor, predictor_of, score
from nwp.model.bundle import Bundle, load_bundle
from nwp.model.lstm import NextWordModel
from nwp.personal.mixing import FloatArray, PersonalModel
from nwp.personal.store import Personal
from nwp.text.spelling import Speller, spell
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import FIRST_OUTPUT, UNKNOWN, Encoded, encode

SHOWN = ("tokens", "perplexity", "top1", "top3")
_HITS = [i for i, name in enumerate(COLUMNS) if name in ("hits1", "hits3")]


class PersonalPredictor:
    """The LSTM mixed with one user's own words, which are learnt message by message.

    After `blocks`, `targets` int64 (positions,) are the ids with those of learnt words behind the
    vocabulary's, and `typed` int64 (positions,) how many letters of each known word must be typed until it
    is among three, as if no word had been learnt.
    """

    def __init__(
        self, lstm: Predictor, personal: Personal, bundle: Bundle, texts: Sequence[str]
    ) -> None:
        """`texts` are the messages, each with a word, that `blocks` is asked for as ids."""
        self._lstm, self._texts, vocabulary = lstm, texts, bundle.vocabulary
        self._personal, self._model = personal, personal_model(personal, bundle)
        self.targets = np.zeros(0, np.int64)
        self.typed = np.zeros(0, np.int64)
        self._prefixes = prefixes_of(vocabulary.words)
        self._outputs = len(vocabulary) - FIRST_OUTPUT

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """See `nwp.evaluation.scoring.Predictor`; a message a block, in order."""
        given = distributions(self._lstm, data, self._outputs)
        self.targets = data.targets.astype(np.int64)
        self.typed = np.zeros(len(data.targets), np.int64)
        for text, start, stop in zip(self._texts, data.offsets, data.offsets[1:], strict=False):
            words = words_of(text)
            p = np.stack(
                [self._model.mix(words[:i], given[start + i]) for i in range(stop - start)]
            )
            places = [self._model.place(word) for word in words]
            self.targets[start : stop - 1] = np.array(places) + FIRST_OUTPUT
            wanted = torch.from_numpy(self.targets[start:stop] - FIRST_OUTPUT)
            at = np.arange(start, stop)
            known = torch.from_numpy(data.targets[start:stop].astype(np.int64) - FIRST_OUTPUT)
            plain = from_probabilities(at, torch.from_numpy(p[:, : self._outputs].copy()), known)
            self.typed[start:stop] = stand(plain, self._prefixes)[2]
            yield from_probabilities(at, torch.from_numpy(p), wanted)
            self._model.learn(text, list(given[start:stop]))


def distributions(lstm: Predictor, data: Encoded, outputs: int) -> FloatArray:
    """What the model expects at each position, (positions, outputs)."""
    found = np.empty((len(data.targets), outputs))
    for block in lstm.blocks(data):
        found[block.where] = block.probabilities.double().numpy()
    return found


def personal_model(personal: Personal, bundle: Bundle) -> PersonalModel:
    """What a person's file holds, over a bundle's vocabulary."""
    return PersonalModel(personal, bundle.vocabulary, np.array(bundle.frequencies))


def count_user(
    bundle: Bundle, lstm: Predictor, messages: Sequence[str], part: str
) -> tuple[Rows, Rows]:
    """One user's counts (1, columns) without and with what they have taught."""
    texts = [text for text in part_of(messages, part) if words_of(text)]
    data = encode(texts, bundle.vocabulary)
    letters = spell(texts, data, Speller.of(bundle.vocabulary))
    before = count_each(score(lstm, data), data, [len(data.targets)])
    personal = Personal.open()
    learn_train(bundle, lstm, personal, messages)
    if part == "test":
        valid = [text for text in part_of(messages, "valid") if words_of(text)]
        learn(bundle, lstm, personal, valid)
    predictor = PersonalPredictor(lstm, personal, bundle, texts)
    scored = score(predictor, data)
    personal.close()
    learnt = (data.targets == UNKNOWN) & (predictor.targets != UNKNOWN)
    scored = replace(scored, typed=predictor.typed)
    after = count_each(scored, data, [len(data.targets)], letters)
    guessed = replace(data, targets=predictor.targets.astype(np.int32))
    after[:, _HITS] = count_each(scored, guessed, [len(data.targets)])[:, _HITS]
    assert learnt.sum() <= before[0, COLUMNS.index("tokens")] - before[0, COLUMNS.index("known")]
    return before, after


def learn_train(
    bundle: Bundle, lstm: Predictor, personal: Personal, messages: Sequence[str]
) -> None:
    """Learn a user's train part. It credits no source: the model was trained on it."""
    texts = [text for text in part_of(messages, "train") if words_of(text)]
    data, model = encode(texts, bundle.vocabulary), personal_model(personal, bundle)
    given = distributions(lstm, data, bundle.config.outputs)
    for text, start, stop in zip(texts, data.offsets, data.offsets[1:], strict=False):
        personal.learn(text, expected=model.expected(text, given[start:stop]))


def learn(bundle: Bundle, lstm: Predictor, personal: Personal, messages: Sequence[str]) -> None:
    """Learn messages, each with a word, as a device does: each word credits the sources."""
    data, model = encode(messages, bundle.vocabulary), personal_model(personal, bundle)
    given = distributions(lstm, data, bundle.config.outputs)
    for text, start, stop in zip(messages, data.offsets, data.offsets[1:], strict=False):
        model.learn(text, list(given[start:stop]))


def main() -> None:
    """Print one JSON object: all users together, deciles over users, and who gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="a file, a folder or a known name")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th user")
    parser.add_argument("--first", type=int, default=0, help="from this user on")
    given = parser.parse_args()
    began = time.perf_counter()
    bundle = load_bundle(given.model)
    model = NextWordModel(bundle.config)
    model.set_tensors(bundle.tensors)
    lstm = predictor_of(bundle.config, model.weights(), bundle.expert)
    corpus = load_corpus(given.corpus)
    found = [
        count_user(bundle, lstm, corpus.users[user], given.part)
        for user in sorted(corpus.users)[given.first :: given.every]
        if any(map(words_of, part_of(corpus.users[user], given.part)))
    ]
    print(json.dumps(told(found) | {"seconds": round(time.perf_counter() - began, 1)}, indent=1))


def told(found: Sequence[tuple[Rows, Rows]]) -> dict[str, object]:
    """Pooled figures without and with; deciles over users of what each gains, and shares that do."""
    before, after = (np.concatenate(rows) for rows in zip(*found, strict=True))
    mine, ours = figures(before), figures(after)
    without, having = figures(before.sum(0)), figures(after.sum(0))
    gains = {
        "perplexity_ratio": ours["perplexity"] / mine["perplexity"],
        "top1": ours["top1"] - mine["top1"],
        "top3": ours["top3"] - mine["top3"],
    }
    better = {"perplexity_ratio": gains["perplexity_ratio"] < 1}
    worse = {"perplexity_ratio": gains["perplexity_ratio"] > 1}
    for name in ("top1", "top3"):
        better[name], worse[name] = gains[name] > 0, gains[name] < 0
    deciles = {n: np.nanquantile(v, np.linspace(0, 1, 11)).round(4) for n, v in gains.items()}
    return {
        "users": len(found),
        "without": {n: round(float(without[n]), 4) for n in SHOWN},
        "with": {n: round(float(having[n]), 4) for n in (*SHOWN, "keystroke_savings")},
        "deciles_of_users": {n: list(map(float, v)) for n, v in deciles.items()},
        "users_who_gain": {n: round(float(v.mean()), 3) for n, v in better.items()},
        "users_who_lose": {n: round(float(v.mean()), 3) for n, v in worse.items()},
    }


if __name__ == "__main__":
    main()
