"""Which messages of a user a round takes: all, or the next so many of an order that each pass shuffles anew.

In turn, each message is used as often as any other. Drawn by chance, after one pass' worth of rounds more
than a third of them would not have been seen; and shuffling gets nearer to the optimum than drawing
with replacement does (Gürbüzbalaban et al. 2021, "Why random reshuffling beats stochastic gradient descent",
arXiv 1510.08560). How many turns each user has had, the worker keeps between rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nwp.federated.local import seed_for
from nwp.federated.plan import TrainPlan
from nwp.federated.protocol import WorkerSide
from nwp.text.vocabulary import Encoded

_KEPT = "turns"


def in_turn(worker: WorkerSide, plan: TrainPlan, places: Sequence[int]) -> list[Encoded]:
    """On the worker: what the users at these places train on in this round. Who is there twice has two
    turns. The order of a user's messages comes from the user's name, too: the server does not know it."""
    data, most = worker.encoded("train"), plan.local.messages
    if not most:
        return [data[i] for i in places]
    kept = worker.memory.kept(_KEPT, "")
    had = np.zeros(len(worker.names), np.float32)
    if kept is not None and len(kept) == len(had):  # else they are of other users
        had[:] = kept
    found = []
    for i in places:
        user = data[i]
        if turns(user.messages, most) > 1:
            seed = seed_for(plan.seed, worker.names[i])
            user = user.some(rows_of(user.messages, most, seed, int(had[i])))
        had[i] += 1
        found.append(user)
    worker.memory.keep(_KEPT, "", had)
    return found


def turns(messages: int, most: int) -> int:
    """How many turns a pass over so many messages takes, with `most` in each (0: all in one)."""
    return -(-messages // most) if most else 1


def rows_of(messages: int, most: int, seed: int, turn: int) -> npt.NDArray[np.int64]:
    """Which of so many messages a user's turn (of 0, 1, …) takes, int64 (n,) in rising order: `most` or
    fewer, so that all turns of a pass are of like size."""
    number, at = divmod(turn, turns(messages, most))
    rng = np.random.default_rng(seed_for(seed, "messages", number))
    return np.sort(np.array_split(rng.permutation(messages), turns(messages, most))[at])
