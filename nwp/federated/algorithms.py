"""The algorithms by name: what users do in a round, and how it is added up.

The server's step is chosen apart from it (`nwp.federated.optimizers`).
"""

from __future__ import annotations

from dataclasses import dataclass

from nwp.errors import BadSettings
from nwp.federated.averaging import MEAN
from nwp.federated.local import LocalWork
from nwp.federated.scaffold import SCAFFOLD


@dataclass(frozen=True)
class Algorithm:
    """An aggregation, and what it goes with if nothing else is asked for: messages a step (0: all),
    and the weights of users."""

    name: str
    aggregation: str
    batch: int
    weights: str

    def check(self, work: LocalWork) -> None:
        """BadSettings for local work that makes another algorithm of it."""
        if self.batch == 0 and (work.epochs, work.batch) != (1, 0):
            raise BadSettings(
                f"{self.name} is one step over all of a user's messages, not {work.epochs} epoch(s) "
                f"with batches of {work.batch or 'all'}",
                "Leave --epochs and --batch out, or use --algorithm fedavg.",
            )


ALGORITHMS = {
    each.name: each
    for each in (
        Algorithm("fedavg", MEAN.name, batch=16, weights="words"),
        Algorithm("fedsgd", MEAN.name, batch=0, weights="words"),
        Algorithm("scaffold", SCAFFOLD.name, batch=16, weights="equal"),
    )
}


def algorithm(name: str) -> Algorithm:
    """The algorithm of that name, else BadSettings."""
    if name not in ALGORITHMS:
        raise BadSettings(f"no algorithm {name!r}", f"There are {', '.join(ALGORITHMS)}.")
    return ALGORITHMS[name]
