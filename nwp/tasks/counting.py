"""Count how well a model guesses: a bundle where the text lies, on workers; a model of others here."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from nwp.corpus.split import part_of
from nwp.corpus.types import Corpus
from nwp.errors import BadCorpus, BadMessage, NoQuorum
from nwp.evaluation.counts import Counts
from nwp.evaluation.phases import EVALUATE, read_counts, read_histogram, read_slices
from nwp.evaluation.scoring import count_with
from nwp.evaluation.slices import Slices
from nwp.evaluation.weighing import expert_sent
from nwp.federated.parcel import AnyArray, Parcel
from nwp.federated.plan import EvaluatePlan
from nwp.foreign.door import Foreign
from nwp.model.bundle import Bundle
from nwp.model.lstm import FloatArray
from nwp.text.spelling import Speller, spell
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import Vocabulary, encode
from nwp.workers.engines import Engine
from nwp.workers.policy import Policy
from nwp.workers.simulation import Simulation, deal, usual_workers

# Words that a model without words of its own chooses among, where no other vocabulary is given.
_FREQUENT = 10_000


def count_on_workers(
    corpus: Corpus,
    bundle: Bundle,
    weights: FloatArray,
    part: str,
    workers: int,
    epsilon: float,
    engine: Engine,
) -> tuple[dict[str, Counts], Counts, Slices, dict[str, Any] | None]:
    """A bundle's counts on one part of each user's messages, which lie on so many workers (0: as usual).

    By user (empty where rows are withheld), their sum, slices of all users, and deciles over users where
    rows are withheld and `epsilon` is not 0. `weights` are the bundle's, flat. NoQuorum when a worker
    does not answer.
    """
    deals = deal(list(corpus.users), workers or usual_workers(len(corpus.users)))
    policy = Policy(rows=corpus.own)
    with Simulation(corpus, deals, engine, policy=policy) as simulation:
        plan = EvaluatePlan(
            bundle.config,
            bundle.vocabulary.words,
            part=part,
            rows=corpus.own,
            epsilon=0.0 if corpus.own else epsilon,
            ngrams=bundle.expert is not None,
        )
        job = simulation.submit(plan, "evaluate")
        arrays: dict[str, AnyArray] = {"weights": weights}
        if bundle.expert is not None:
            arrays |= expert_sent(bundle.expert, bundle.config.outputs)
        requests = dict.fromkeys(deals, Parcel(arrays=arrays))
        replies = simulation.exchange(job)(EVALUATE, 1, requests)
        simulation.close(job)
    if replies.absent:
        worker, reason = next(iter(replies.absent.items()))
        raise NoQuorum(f"{len(replies.absent)} workers did not answer; {worker}: {reason}")
    users: dict[str, Counts] = {}
    total = Counts()
    for worker, reply in sorted(replies.answers.items()):
        rows = read_counts(plan, reply)
        total = sum(rows, total)
        if plan.rows and len(rows) != len(deals[worker]):
            raise BadMessage(f"{worker} has {len(deals[worker])} users, and counts of {len(rows)}")
        if plan.rows:
            users |= dict(zip(deals[worker], rows, strict=True))
    noisy = read_histogram(plan, replies.answers) if plan.epsilon else None
    return users, total, read_slices(replies.answers), noisy


def count_here(
    corpus: Corpus, foreign: Foreign, part: str
) -> tuple[dict[str, Counts], Counts, Slices]:
    """The counts of a model of others, user by user in this process: by user, their sum, and slices."""
    vocabulary = foreign.vocabulary
    users: dict[str, Counts] = {}
    total, slices = Counts(), Slices.none()
    speller = Speller.of(vocabulary)
    for name in sorted(corpus.users):
        messages = part_of(corpus.users[name], part)
        data = encode(messages, vocabulary)
        letters = spell(messages, data, speller)
        rows, some = count_with(foreign.predictor(messages), vocabulary.words, [data], [letters])
        users[name] = Counts.from_row(rows[0])
        total, slices = total + users[name], slices + some
    return users, total, slices


def frequent_words(corpus: Corpus) -> Vocabulary:
    """The most frequent words of everybody's train parts, those as frequent by the alphabet."""
    found: Counter[str] = Counter()
    for messages in corpus.users.values():
        found.update(itertools.chain.from_iterable(map(words_of, part_of(messages, "train"))))
    words = sorted(found, key=lambda word: (-found[word], word))[:_FREQUENT]
    if not words:
        raise BadCorpus(
            f"the train part of {corpus.name} has no words to choose among",
            "Users need two messages or more.",
        )
    return Vocabulary.from_lists(words, {})
