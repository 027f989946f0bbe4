"""Which users take part in a round.

All draws are made from the run's seed and the round's number, so that processes, the order of
arrival, a kill and a resume change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nwp.errors import BadMessage, BadSettings
from nwp.federated.local import seed_for
from nwp.federated.plan import TrainPlan
from nwp.federated.protocol import Wait
from nwp.federated.shares import capped

Cohort = dict[str, tuple[int, ...]]
_Places = npt.NDArray[np.int64]


def draw_cohort(plan: TrainPlan, number: int) -> Cohort:
    """Worker to places of its users in round `number`; workers with nobody in it are left out.

    The server draws over places, not names, which it does not know. By size it knows not even who
    is how large: it draws workers by their words in all (`plan.sizes`), and what stands for a worker
    are the numbers 0, 1, … of its draws; the worker draws users for them (`who_trains`).
    """
    rng = np.random.default_rng([plan.seed, number])
    if plan.participation.by_size:
        return _by_size(plan, rng)
    near = reachable(plan, number) & _shared(plan, number)
    if plan.participation.sampling == "poisson":
        chance = plan.asked / max(sum(plan.drawn_from.values()), 1)
        drawn = np.flatnonzero((rng.random(plan.users) < chance) & near)
    else:
        places = np.flatnonzero(near)
        drawn = places[
            np.sort(rng.choice(len(places), min(plan.asked, len(places)), replace=False))
        ]
    return _by_worker(plan, drawn)


def reachable(plan: TrainPlan, number: int) -> npt.NDArray[np.bool_]:
    """Who can be reached in round `number`: (users,), in order of the workers' names and places."""
    who = plan.participation
    near = np.ones(plan.users, np.bool_)
    if who.cycle > 1:
        turns = np.random.default_rng(seed_for("cycle", plan.seed)).permutation(plan.users)
        near &= turns % who.cycle == (number - 1) % who.cycle
    if who.availability < 1:
        rng = np.random.default_rng(seed_for("reachable", plan.seed, number))
        near &= rng.random(plan.users) < who.availability
    return near


def _shared(plan: TrainPlan, number: int) -> npt.NDArray[np.bool_]:
    """Of whom a round draws: of a worker that has more users than its share, others in each round.
    (users,) as above."""
    among = np.ones(plan.users, np.bool_)
    if (most := plan.drawn_from) == plan.workers:
        return among
    rng, end = np.random.default_rng(seed_for("share", plan.seed, number)), 0
    for name in sorted(plan.workers):
        begin, end = end, end + plan.workers[name]
        if most[name] < plan.workers[name]:
            among[begin:end] = False
            among[begin + rng.choice(end - begin, most[name], replace=False)] = True
    return among


def _by_worker(plan: TrainPlan, drawn: _Places) -> Cohort:
    """Ascending numbers among everybody as places by worker."""
    names = sorted(plan.workers)
    ends = np.cumsum([plan.workers[name] for name in names], dtype=np.int64)
    at = np.searchsorted(ends, drawn, side="right")
    cohort: Cohort = {}
    for worker in np.unique(at).tolist():
        begin = int(ends[worker]) - plan.workers[names[worker]]
        cohort[names[worker]] = tuple((drawn[at == worker] - begin).tolist())
    return cohort


def _by_size(plan: TrainPlan, rng: np.random.Generator) -> Cohort:
    """Each draw is of one of all words, each equally likely; its worker is that of the word."""
    names, sizes = sorted(plan.sizes), capped(plan.sizes, plan.share)
    ends = np.cumsum([sizes[name] for name in names], dtype=np.int64)
    if not names or not ends[-1]:
        raise BadSettings(
            "sampling by size without the workers' numbers of words",
            "Ask for them first, or sample uniformly.",
        )
    at = np.searchsorted(ends, rng.integers(ends[-1], size=plan.asked), side="right")
    draws = np.bincount(at, minlength=len(names)).tolist()
    return {name: tuple(range(n)) for name, n in zip(names, draws, strict=True) if n}


def who_trains(
    plan: TrainPlan,
    number: int,
    asked: Sequence[int],
    names: Sequence[str],
    words: Callable[[], npt.ArrayLike],
) -> list[tuple[int, int]]:
    """On the worker: place and seed of each user who trains, in order of their places.

    `asked` is what the server drew for this worker, `words` gives the users' sizes by place. By
    size, each entry of `asked` is a draw of one of the worker's words, each equally likely, whose
    writer trains; seeded with the users' names, so that the server can't repeat it. Who is drawn
    again trains again, with other batches and dropout. BadMessage for users that are not there.
    """
    if not plan.participation.by_size:
        if len(set(asked)) != len(asked) or not all(0 <= i < len(names) for i in asked):
            raise BadMessage("a request names users that this worker does not have")
        return [(i, seed_for(plan.seed, number, names[i])) for i in sorted(asked)]
    ends = np.cumsum(np.asarray(words(), np.int64))
    if list(asked) != list(range(len(asked))) or len(asked) > plan.asked:
        raise BadMessage("a request has other draws than the plan allows")
    if not len(ends) or not ends[-1]:
        raise BadMessage("a request draws by size among users without a word")
    rng = np.random.default_rng(seed_for("size", plan.seed, number, *names))
    drawn = np.searchsorted(ends, rng.integers(ends[-1], size=len(asked)), side="right")
    return [
        (i, seed_for(plan.seed, number, names[i], *([again] if again else [])))
        for i, times in sorted(Counter(drawn.tolist()).items())
        for again in range(times)
    ]


def wait_for(plan: TrainPlan, cohort: Mapping[str, Sequence[int]]) -> Wait:
    """How long a round waits for this cohort."""
    who = plan.participation
    users = {worker: len(places) for worker, places in cohort.items()}
    return Wait(plan.goal if who.over_select else 0, who.time_limit, users)
