"""Evaluation once more, from its definitions: slow, one message and one word at a time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch

from nwp.evaluation.counts import COLUMNS
from nwp.model.config import ModelConfig
from nwp.text.vocabulary import BEGIN, END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Encoded

Flat = np.ndarray


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lay(messages: Sequence[Sequence[int]], addresses: Sequence[Sequence[bool]] = ()) -> Encoded:
    """Messages of target ids as `encode` lays them; mark j of a message is 5 j modulo 16."""
    lengths = [len(message) + 1 for message in messages]
    flags = addresses or [[False] * len(message) for message in messages]
    return Encoded(
        inputs=np.array([t for m in messages for t in [BEGIN, *m]], np.int32),
        marks=np.array([5 * j % 16 for n in lengths for j in range(n)], np.int32),
        targets=np.array([t for m in messages for t in [*m, END]], np.int32),
        addresses=np.array([f for message in flags for f in [*message, False]], np.bool_),
        offsets=np.cumsum([0, *lengths]).astype(np.int64),
    )


def draw(seed: int, messages: int, size: int, longest: int = 7) -> Encoded:
    """Random messages of 1 to `longest` words, some unknown, some pieces of addresses."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, messages)
    words = [rng.integers(UNKNOWN, size, n).tolist() for n in lengths]
    return lay(words, [(rng.random(n) < 0.2).tolist() for n in lengths])


def sigmoid(x: Flat) -> Flat:
    return 1 / (1 + np.exp(-x))


def probabilities(flat: Flat, config: ModelConfig, user: Encoded) -> Iterator[Flat]:
    """At each position the whole softmax over outputs, float64, in the order of positions."""
    cuts = np.cumsum([np.prod(shape) for shape in config.shapes().values()])[:-1]
    parts = np.split(flat.astype(np.float64), cuts)
    w = {n: p.reshape(s) for (n, s), p in zip(config.shapes().items(), parts, strict=True)}
    rows = w["embed.weight"][config.first_output :] if config.tied else w["out.weight"]
    for start, stop in itertools.pairwise(user.offsets.tolist()):
        h = [np.zeros(config.hidden) for _ in range(config.layers)]
        c = [np.zeros(config.hidden) for _ in range(config.layers)]
        for j in range(start, stop):
            x = w["embed.weight"][user.inputs[j]]
            if config.marks:
                x = x + w["mark.weight"][user.marks[j]]
            for i in range(config.layers):
                z = w[f"lstm.weight_ih_l{i}"] @ x + w[f"lstm.bias_ih_l{i}"]
                z = z + w[f"lstm.weight_hh_l{i}"] @ h[i] + w[f"lstm.bias_hh_l{i}"]
                enter, forget, new, leave = np.split(z, 4)
                c[i] = sigmoid(forget) * c[i] + sigmoid(enter) * np.tanh(new)
                x = h[i] = sigmoid(leave) * np.tanh(c[i])
            scores = rows @ (w["proj.weight"] @ x + w["proj.bias"]) + w["out.bias"]
            p = np.exp(scores - scores.max())
            yield p / p.sum()


def count_slowly(
    flat: Flat,
    config: ModelConfig,
    user: Encoded,
    words: Sequence[str] = (),
    typed: Sequence[str] = (),
) -> dict[str, float]:
    """All columns of `Counts`, from the definitions; those of letters with the vocabulary's words and
    the words that the user wrote, one after another."""
    n = dict.fromkeys(COLUMNS, 0.0)
    written = iter(typed)
    for j, p in enumerate(probabilities(flat, config, user)):
        target = int(user.targets[j])
        surprise = -np.log(p[target - FIRST_OUTPUT])
        first = min(range(FIRST_OUTPUT, config.vocabulary), key=lambda w: -p[w - FIRST_OUTPUT])
        if target == END:
            n["ends"] += 1
            n["end_nll"] += surprise
            n["open_end1"] += first == END
            continue
        guesses = sorted(
            range(FIRST_WORD, config.vocabulary), key=lambda w: (-p[w - FIRST_OUTPUT], w)
        )
        if words:
            add_letters(n, target, next(written), [words[w - FIRST_WORD] for w in guesses], words)
        if target == UNKNOWN:
            n["unknown_nll"] += surprise
            n["open_unknown1"] += first == UNKNOWN
        else:
            n["open_hits1"] += first == target
            n["reciprocal"] += 1 / (guesses.index(target) + 1)
            for k in (5, 10, 100):
                n[f"hits{k}"] += target in guesses[:k]
        for among in ("", "masked_", "first_"):
            if (among == "masked_" and user.addresses[j]) or (
                among == "first_" and j not in user.offsets
            ):
                continue
            n[among + "tokens"] += 1
            if target == UNKNOWN:
                continue
            n[among + "known"] += 1
            n[among + "hits1"] += target in guesses[:1]
            n[among + "hits3"] += target in guesses[:3]
            n[among + "nll"] += surprise
    return n


def add_letters(
    n: dict[str, float], target: int, word: str, guesses: list[str], words: Sequence[str]
) -> None:
    """Type a word letter by letter, and look at three guesses before each."""
    n["letters"] += len(word)
    if target == UNKNOWN:
        follows = Counter(
            pair for known in words for pair in itertools.pairwise([256, *known.encode(), 256])
        )
        for a, b in itertools.pairwise([256, *word.encode(), 256]):
            all_of = sum(count for (x, _), count in follows.items() if x == a)
            n["spelling_nll"] -= np.log((follows[a, b] + 0.5) / (all_of + 257 * 0.5))
    whole = len(word) + 1
    keys = {"keys": whole, "keys_spaced": whole}
    for letters in range(len(word)):
        begun = [guess for guess in guesses if guess.startswith(word[:letters])]
        if target != UNKNOWN and word in begun[:3]:
            keys = {"keys": letters + 1, "keys_spaced": min(letters + 2, whole)}
            break
    for name, number in keys.items():
        n[name] += number


@pytest.fixture
def laid() -> Callable[..., Encoded]:
    return lay


@pytest.fixture
def drawn() -> Callable[..., Encoded]:
    return draw


@pytest.fixture
def slowly() -> Callable[..., dict[str, float]]:
    return count_slowly


@pytest.fixture
def softmaxes() -> Callable[[Flat, ModelConfig, Encoded], Iterator[Flat]]:
    return probabilities
