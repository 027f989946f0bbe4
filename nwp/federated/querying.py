"""The phase that asks workers for one figure over all their users, and the sum over workers.

The rules hold on the worker, before anything leaves; the server is not trusted:

- Who has no word in the part asked for (with a model: no word that the model knows) is left out. With
  fewer users than the plan's minimum the worker refuses.
- Without noise each count that leaves is over at least that many users, too, or it is left out, as 0: a
  bin of lengths that fewer of them have, or unknown words that fewer of them wrote. A word leaves only
  when k users wrote it; a worker with fewer users than k speaks of words of the public list alone, which
  the minimum of users must have written.
- With noise each user counts for at most `per_user` messages and `per_user` words (their first ones; of
  a perplexity as many words, at their mean), and every count has two-sided geometric noise from the
  operating system's randomness. The plan's epsilon is split alike between the number of users and each
  group of counts of `GROUPS`: a user more or less changes the counts of a group by at most its
  sensitivity in all (L1), so noise of epsilon's share over the sensitivity makes the answer, all of it,
  epsilon-differentially private for users (Dwork, McSherry, Nissim and Smith 2006, "Calibrating noise to
  sensitivity in private data analysis"; sequential composition). That a worker answers at all tells that
  it has the minimum of users; noise does not hide that.

What `nwp.evaluation.querying` adds is the one figure that needs a model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import numpy as np

from nwp.corpus.split import Chosen
from nwp.errors import BadMessage, NoQuorum
from nwp.federated.noise import SYSTEM, IntArray, noisy_each, variance
from nwp.federated.parcel import ArraySpec, Parcel, Schema
from nwp.federated.plan import Plan
from nwp.federated.protocol import Phase, WorkerSide
from nwp.federated.query_plan import QueryPlan
from nwp.federated.surveying import REPLY, read_survey, survey_reply
from nwp.text.building import Survey, public_words, survey
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import END, UNKNOWN

BINS = (0, 1, 2, 3, 5, 9, 17, 33, 65)  # the first length of each, in words; the last has no end
MOST_NATS = 10  # with noise, a user's mean -ln p of a word counts for at most so much
FINE = 1000  # parts of a nat, so that all counts are whole numbers
# What is counted, in groups: names, and how much one user of one message and one word changes a group.
GROUPS: dict[str, tuple[tuple[tuple[str, ...], int], ...]] = {
    "size": ((("messages",), 1), (("words",), 1)),
    "lengths": ((tuple(map(str, BINS)), 1),),
    "unknown": ((("known", "unknown"), 1),),
    "perplexity": ((("known",), 1), (("nats",), MOST_NATS * FINE)),
}
_MOST = 1 << 50  # of a count, so that sums stay far within 64 bits


def too_few_users() -> NoQuorum:
    """Why a worker refuses."""
    return NoQuorum("too few users", "Ask for fewer at least, or deal users to fewer workers.")


def columns(plan: QueryPlan) -> tuple[str, ...]:
    """The names of the counts of an answer. Words have none: they are a survey."""
    return tuple(name for names, _ in GROUPS.get(plan.what, ()) for name in names)


def epsilons(plan: QueryPlan) -> list[Fraction]:
    """What noise is drawn with, for a plan with epsilon: of the number of users, then of each count."""
    groups = GROUPS[plan.what]
    share = Fraction(plan.epsilon) / (1 + len(groups))
    each = [[share / (plan.per_user * most)] * len(names) for names, most in groups]
    return [share, *itertools.chain.from_iterable(each)]


def _request(plan: Plan) -> Schema:
    if not isinstance(plan, QueryPlan) or plan.what == "perplexity":
        raise BadMessage(f"a {plan.kind} plan does not allow this query")
    return Schema()


def query_reply(plan: Plan) -> Schema:
    """What comes back: the number of users and counts, int64; or, for words, a survey."""
    assert isinstance(plan, QueryPlan)
    if plan.what == "words":
        return REPLY
    return Schema({"users": int}, {"counts": ArraySpec("int64", (len(columns(plan)),))})


# ----------------------------------------------------------------------------------- on the worker


def _answer(worker: WorkerSide, number: int, request: Parcel) -> Parcel:
    plan = worker.plan
    assert isinstance(plan, QueryPlan)
    if plan.what == "words":
        texts = worker.messages(plan.part)
        users = tuple(name for name in worker.names if any(map(words_of, texts[name])))
        if len(users) < plan.min_users:
            raise too_few_users()
        return survey_reply(_shared(Chosen(texts, users), plan), len(users))
    return summed_up(plan, _rows(worker, plan))


def _shared(users: Mapping[str, Sequence[str]], plan: QueryPlan) -> Survey:
    """The words that k of the users wrote. With fewer users than k, words of the public list that the
    minimum of users wrote: a higher k lets nothing out that a lower one would not."""
    found = survey(users, plan.k)
    if not found.listed:
        return found
    several = survey(users, plan.min_users).counts
    return replace(found, counts={w: n for w, n in found.counts.items() if w in several})


def summed_up(plan: QueryPlan, rows: Iterable[Sequence[int]], rng: Random = SYSTEM) -> Parcel:
    """The answer: the sum of the rows, one a user and bounded already. NoQuorum for too few users.

    `rng` is the operating system's; another one is for tests alone.
    """
    total = np.zeros(len(columns(plan)), np.int64)
    wrote = np.zeros_like(total)
    users = 0
    for row in rows:
        counts = np.array(row, np.int64)
        total += counts
        wrote += counts > 0
        users += 1
    if users < plan.min_users:
        raise too_few_users()
    if plan.epsilon:
        users, *noisy = noisy_each([users, *total.tolist()], epsilons(plan), rng)
        return Parcel({"users": users}, {"counts": np.array(noisy, np.int64)})
    total[wrote < plan.min_users] = 0
    return Parcel({"users": users}, {"counts": total})


def _rows(worker: WorkerSide, plan: QueryPlan) -> Iterator[Sequence[int]]:
    """The counts of each user who wrote a word, in order of `columns`."""
    most = plan.per_user or None
    if plan.what == "unknown":
        for user in worker.encoded(plan.part):
            targets = user.targets[user.targets != END][:most]
            if len(targets):
                unknown = int((targets == UNKNOWN).sum())
                yield len(targets) - unknown, unknown
        return
    texts = worker.messages(plan.part)
    for name in worker.names:
        lengths = [len(words_of(text)) for text in texts[name]]
        if not any(lengths):
            continue
        if plan.what == "size":
            yield tuple(min(n, most or n) for n in (len(lengths), sum(lengths)))
        else:
            yield _histogram(lengths[:most]).tolist()


def _histogram(lengths: Sequence[int]) -> IntArray:
    """How many messages have a length in each of `BINS`."""
    places = np.searchsorted(BINS, lengths, side="right") - 1
    return np.bincount(places, minlength=len(BINS)).astype(np.int64)


# ----------------------------------------------------------------------------------- on the server


@dataclass(frozen=True)
class Sum:
    """The sum over `workers` workers: of users, of each count by name, and of how many workers each
    count (without noise) is more than 0. `listed` of the workers spoke of the public list alone."""

    workers: int
    users: int
    counts: Mapping[str, int]
    told_by: Mapping[str, int]
    listed: int = 0


def sum_over(plan: QueryPlan, answers: Mapping[str, Parcel]) -> Sum:
    """All workers' answers added up. For words, `counts` are by word as it is shown."""
    users = sum(int(reply.fields["users"]) for reply in answers.values())
    counts: dict[str, int] = {}
    told_by: dict[str, int] = {}
    surveys: list[Survey] = []
    if plan.what == "words":
        surveys = [read_survey(answers[worker]) for worker in sorted(answers)]
        surfaces: dict[str, str] = {}
        for found in surveys:
            surfaces = found.surfaces | surfaces
        surfaces |= {word: s for word, s in public_words().items() if word != s}
        told = [
            (surfaces.get(word, word), n) for found in surveys for word, n in found.counts.items()
        ]
    else:
        told = [
            pair
            for reply in answers.values()
            for pair in zip(columns(plan), reply.arrays["counts"].tolist(), strict=True)
        ]
    for name, n in told:
        counts[name] = counts.get(name, 0) + n
        told_by[name] = told_by.get(name, 0) + (n > 0)
    listed = sum(found.listed for found in surveys)
    return Sum(len(answers), users, counts, told_by, listed)


def errors(plan: QueryPlan, workers: int) -> dict[str, float]:
    """By how much noise may be off, of users and of each count: twice its standard deviation in the sum
    over so many workers."""
    names = ("users", *columns(plan))
    return {
        name: 2 * math.sqrt(workers * variance(float(epsilon)))
        for name, epsilon in zip(names, epsilons(plan), strict=True)
    }


def check_answer(plan: QueryPlan, worker: str, reply: Parcel) -> None:
    """BadMessage for what can't be."""
    users, counts = reply.fields["users"], reply.arrays["counts"]
    if plan.epsilon:
        return  # noise may have made any number of it
    if not plan.min_users <= users < _MOST:
        raise BadMessage(f"{worker} claims {users} users, where {plan.min_users} are the fewest")
    if (counts < 0).any() or (counts >= _MOST).any():
        raise BadMessage(f"{worker} claims counts below 0, or beyond all bounds")
    if plan.what == "words":
        found = read_survey(reply)
        least = plan.min_users if found.listed else plan.k
        if found.listed != (users < plan.k) or min(found.counts.values(), default=least) < least:
            raise BadMessage(f"{worker} tells words of fewer users than agreed")
    elif plan.what == "size" and min(counts) < users:
        raise BadMessage(f"{worker} claims users without messages or words")


QUERY = Phase("query", _request, query_reply, _answer, check_answer)


# -------------------------------------------------------------------------------------- for owners

_ASKED = {
    "size": "how many users, messages and words there are",
    "lengths": "how many messages have which length in words",
    "words": "which words at least {k} of the worker's users wrote, and how often (where the worker has "
    "fewer than {k} users: which words of the public list at least {least} of them wrote)",
    "unknown": "how many words are in a vocabulary of {size:,} words, and how many are not",
    "perplexity": "how well a model of {size:,} words predicts the words that it knows: their number, "
    "and the sum of -ln p",
}
_PARTS = {"all": "all messages", "train": "the first 80 % of each user's messages"} | {
    "valid": "the messages of each user between 80 and 90 %",
    "test": "the last 10 % of each user's messages",
}


def describe_query(plan: QueryPlan) -> str:
    """What the plan asks of a worker, in words for its owner."""
    asked = _ASKED[plan.what].format(k=plan.k, least=plan.min_users, size=len(plan.words))
    said = [
        f"Asks {asked}: one sum over the worker's users, over {_PARTS[plan.part]}, and of how many users.",
        f"The worker refuses with fewer than {plan.min_users} users who have text there.",
    ]
    if plan.epsilon:
        said.append(
            f"Each user counts for at most {plan.per_user:,} messages and {plan.per_user:,} words, and "
            f"noise makes the answer {plan.epsilon:g}-differentially private for users. That holds for "
            "this query; more queries add up."
        )
    else:
        said.append("There is no noise: the server sees the worker's sum as it is.")
    return " ".join(said)
