"""Which users take part in a round."""

from __future__ import annotations

import numpy as np

from nwp.federated.plan import TrainPlan


def draw_cohort(plan: TrainPlan, number: int) -> dict[str, tuple[int, ...]]:
    """Worker to places of its users in round `number`, uniformly without replacement, by seed.

    The server draws over places, not names, which it does not know. Workers with nobody in the
    cohort are left out.
    """
    everybody = [
        (worker, i) for worker in sorted(plan.workers) for i in range(plan.workers[worker])
    ]
    size = min(plan.cohort or len(everybody), len(everybody))
    rng = np.random.default_rng([plan.seed, number])
    drawn = sorted(rng.choice(len(everybody), size, replace=False).tolist())
    cohort: dict[str, tuple[int, ...]] = {}
    for worker, place in (everybody[i] for i in drawn):
        cohort[worker] = (*cohort.get(worker, ()), place)
    return cohort
