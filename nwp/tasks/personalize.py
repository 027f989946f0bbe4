"""Fine-tune a copy of a bundle on one person's messages, on this machine, and write it.

The person's messages are split as everybody's are (`nwp.corpus.split`): the first eight tenths are
trained on, the ninth decides how far, the last tells what it came to.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nwp import __version__
from nwp.corpus.split import PARTS, chosen_user, part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadSettings, Refused
from nwp.evaluation.baselines import known_loss
from nwp.evaluation.counts import Counts, metrics
from nwp.evaluation.scoring import count_users
from nwp.federated.finetuning import FineTuning, Tuned, each_pass, fine_tune, part_of_way
from nwp.federated.local import LocalWork, seed_for
from nwp.model.bundle import Bundle, load_bundle
from nwp.model.config import ModelConfig
from nwp.model.lstm import FloatArray, NextWordModel
from nwp.model.storage import stored
from nwp.tasks.places import check_place, put_bundle
from nwp.tasks.start import weights_of
from nwp.text.vocabulary import Encoded, encode
from nwp.workers.engines.computing import keep_memory, set_threads


@dataclass(frozen=True)
class Careful:
    """One setting, for whoever has too little to choose by."""

    learning_rate: float
    passes: int
    share: float


# Between these rates, and of the way of each, lies what 32 users of the sample corpus do best with.
RATES = (0.4, 1.6)
SEARCH = FineTuning(
    LocalWork(batch=16, clip_norm=0.5), passes=8, patience=2, shares=(0.25, 0.5, 0.75, 1.0)
)
# With fewer valid messages than this, which setting is best there would be chance: one that was good for
# nearly everybody is taken instead, unless even those few tell that it does harm.
FEW = 10
CAREFUL = Careful(learning_rate=0.4, passes=3, share=0.5)
_LARGEST = 700.0  # exp of more is infinite
_SHOWN = ("perplexity", "top1", "top3", "tokens")


@dataclass(frozen=True)
class PersonalizeOptions:
    """`user` whose messages, "" where the corpus has one user; at most so many `passes` over them at
    each learning rate; `seed` decides the order of messages and dropout."""

    user: str = ""
    passes: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise BadSettings(f"{self.passes} passes over the messages", "Allow 1 or more.")


@dataclass(frozen=True)
class Outcome:
    """What fine-tuning came to.

    `weights` flat, float32 (n,), as they will be read from a file: a `share` of the way to those trained
    on so many `words`, in so many `passes` (0: the bundle's own weights) at `learning_rate`. `chosen`
    tells whether valid messages chose, rather than that there were too few. Counts on valid and test
    messages are those before and after.
    """

    weights: FloatArray
    words: int
    passes: int
    learning_rate: float
    share: float
    chosen: bool
    valid: tuple[Counts, Counts]
    test: tuple[Counts, Counts]

    def as_json(self) -> dict[str, Any]:
        """For `nwp personalize --json` and the model card."""

        def both(counts: tuple[Counts, Counts]) -> dict[str, Any]:
            return {
                name: {key: metrics(each)[key] for key in _SHOWN}
                for name, each in zip(("before", "after"), counts, strict=True)
            }

        return {
            "words": self.words,
            "passes": self.passes,
            "learning_rate": self.learning_rate if self.passes else None,
            "share": self.share if self.passes else None,
            "chosen": self.chosen,
            "valid": both(self.valid),
            "test": both(self.test),
        }


Watch = Callable[[float, int, float | None], None]
"""Told after each pass: the learning rate, how many passes at it, valid perplexity (None: no words)."""


def personalize(
    corpus: Corpus,
    model: Path,
    out: Path,
    options: PersonalizeOptions,
    *,
    force: bool = False,
    watch: Watch = lambda rate, passes, perplexity: None,
) -> dict[str, Any]:
    """Fine-tune a copy of the bundle in `model` for one user and write it to `out`; returns what
    `nwp personalize --json` prints.

    Where no setting is better on valid messages, nothing is written, and "model" is the bundle that it
    began from. `model` is only read. BadInput when `out` holds something that may not be replaced,
    BadCorpus when there is nothing to train on; NwpError when the disk is full or may not be written.
    Stopped at any point, it leaves `out` as it was.
    """
    if not corpus.own:
        raise Refused(
            "fine-tuning reads the messages here, and these are not yours",
            "Give it your own messages.",
        )
    began = time.perf_counter()
    check_place(out, model, force=force)
    bundle = load_bundle(model)
    user = chosen_user(corpus, options.user)
    messages = corpus.users[user]
    outcome = fine_tuned(bundle, messages, options, watch)
    name = model.resolve().name
    if outcome.passes:
        about = {
            "from": name,
            "nwp": __version__,
            "messages": len(messages),
            **outcome.as_json(),
            "batch": SEARCH.work.batch,
            "clip_norm": SEARCH.work.clip_norm,
            "max_positions": SEARCH.work.max_positions,
            "seed": options.seed,
            # Neither the person's name nor their file's: a card may be read by others.
            "command": f"nwp personalize CORPUS --model {name} --passes {options.passes} "
            f"--seed {options.seed} --out DIR",
        }
        written = replace(
            bundle,
            tensors=_tensors(bundle, outcome.weights),
            about={**bundle.about, "personalized": about},
        )
        put_bundle(written, out, private=True)
    return {
        "model": str(out if outcome.passes else model),
        "user": user,
        **outcome.as_json(),
        "seconds": round(time.perf_counter() - began, 1),
    }


def fine_tuned(
    bundle: Bundle,
    messages: Sequence[str],
    options: PersonalizeOptions,
    watch: Watch = lambda rate, passes, perplexity: None,
) -> Outcome:
    """Fine-tune for the writer of these messages, which are in order of time.

    N-grams that the bundle has stay beside the new weights, and what is chosen and counted is the mixture,
    as it will suggest. The way to the new weights is short: how much n-grams count is left as it was.

    BadCorpus when there is no word to train on.
    """
    set_threads(1)
    keep_memory()
    train, valid, test = (encode(part_of(messages, n), bundle.vocabulary) for n in PARTS)
    if not train.messages:
        raise BadCorpus(
            "there is no message to train on",
            "The first eight of ten are trained on: it takes two or more with words.",
        )
    config, start, expert = bundle.config, weights_of(bundle), bundle.expert
    chosen = valid.messages >= FEW
    seed = seed_for(options.seed, "personalize")

    def measure(weights: FloatArray) -> float:
        return known_loss(_as_read(bundle, weights), config, valid, expert)

    def told_of(rate: float, passes: int, loss: float) -> None:
        watch(rate, passes, math.exp(min(loss, _LARGEST)) if known else None)

    known = bool(count_users(start, config, [valid])[0].known)
    if chosen:
        how = replace(SEARCH, passes=options.passes)
        found = fine_tune(start, config, how, RATES, train, measure, seed, told_of)
    else:
        found = _careful(start, config, options.passes, train, seed)
        told_of(found.learning_rate, found.passes, loss := measure(found.weights))
        if not loss <= measure(start):
            found = Tuned(0.0, start)
    weights = _as_read(bundle, found.weights)
    counts = [count_users(w, config, [valid, test], expert) for w in (start, weights)]
    (valid_before, test_before), (valid_after, test_after) = counts
    return Outcome(
        weights,
        train.words,
        found.passes,
        found.learning_rate,
        found.share,
        chosen,
        (valid_before, valid_after),
        (test_before, test_after),
    )


def _careful(
    start: FloatArray, config: ModelConfig, passes: int, train: Encoded, seed: int
) -> Tuned:
    """What the careful setting leads to, whatever it is worth."""
    passes = min(passes, CAREFUL.passes)
    work = replace(SEARCH.work, learning_rate=CAREFUL.learning_rate)
    *_, trained = itertools.islice(each_pass(start, config, work, train, seed), passes)
    weights = part_of_way(start, trained, CAREFUL.share)
    return Tuned(0.0, weights, passes, CAREFUL.learning_rate, CAREFUL.share)


def _as_read(bundle: Bundle, weights: FloatArray) -> FloatArray:
    """Flat weights as they are after they were stored as the bundle's are."""
    if bundle.storage == "fp32":
        return weights
    return weights_of(replace(bundle, tensors=stored(_tensors(bundle, weights), bundle.storage)))


def _tensors(bundle: Bundle, weights: FloatArray) -> Mapping[str, FloatArray]:
    """Flat weights by name."""
    model = NextWordModel(bundle.config)
    model.set_weights(weights)
    return model.tensors()
