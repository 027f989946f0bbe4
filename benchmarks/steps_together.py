"""What computing steps of several users as one would win at most, on one core.

    python benchmarks/steps_together.py
    python benchmarks/steps_together.py --presets small --users 2 4 --repeats 9

Steps of sixteen messages, one after the other as local training takes them, beside the same messages of
several users as one batch, whose gradient is added to one sum. The second is no step of federated
training: each user would have to get a gradient of its own, and only first steps share their weights. So
the ratio is a ceiling: for users in step with each other, whose weights differ, and for first steps alone,
which are `first_steps` of all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from nwp.federated.kernel import Kernel, named_views
from nwp.federated.packing import pack
from nwp.measuring.workload import Workload, draw_users
from nwp.model.config import ModelConfig
from nwp.tasks.bench import PRESETS
from nwp.text.vocabulary import Encoded
from nwp.workers.engines.computing import keep_memory

_BATCH, _LONGEST, _RATE = 16, 20, 0.1


def main() -> None:
    """Time all in turn, print one JSON object a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["standard", "small"], choices=PRESETS)
    parser.add_argument("--users", nargs="+", type=int, default=[2, 8], help="users in one batch")
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    for name in given.presets:
        preset = PRESETS[name]
        config = ModelConfig(
            preset.vocabulary, preset.embedding, preset.hidden, preset.embedding, dropout=0.0
        )
        users = draw_users(Workload(preset.users, preset.messages, preset.vocabulary))
        steps = sum(-(-user.messages // _BATCH) for user in users)
        enough = [user for user in users if user.messages >= _BATCH]
        batches = [enough[i % len(enough)] for i in range(given.steps)]
        for precision in ("fp32", "bf16"):
            row = timed(Kernel(config, precision), batches, given.users, given.repeats)
            row |= {"preset": name, "precision": precision, "first_steps": len(users) / steps}
            print(json.dumps(row), flush=True)


def timed(
    kernel: Kernel, users: Sequence[Encoded], numbers: Sequence[int], repeats: int
) -> dict[str, object]:
    """Milliseconds a step, one user's after the other and so many users' at once; medians."""
    start = torch.randn(kernel.config.parameters, generator=torch.Generator().manual_seed(1)) * 0.05
    rows = np.arange(_BATCH)
    total = named_views(torch.zeros_like(start), kernel.config)

    def apart() -> None:
        for user in users:
            kernel.step(pack([(user, rows)], _LONGEST), _RATE)

    def together(number: int) -> None:
        for i in range(0, len(users), number):
            batch = pack([(user, rows) for user in users[i : i + number]], _LONGEST)
            losses = torch.empty(len(batch.targets))
            for piece in kernel.backward(batch, 1 / len(losses), losses):
                piece.add_to(total, kernel.config.first_output, -_RATE)

    def milliseconds(run: Callable[[], None]) -> float:
        kernel.load(start)
        began = time.perf_counter()
        run()
        return (time.perf_counter() - began) * 1000 / len(users)

    found: list[tuple[float, ...]] = []
    for _ in range(repeats):
        taken = [milliseconds(apart)]
        taken += [milliseconds(lambda n=n: together(n)) for n in numbers]  # type: ignore[misc]
        found.append(tuple(taken))
    alone, *others = map(statistics.median, zip(*found, strict=True))
    at_once = dict(zip(numbers, others, strict=True))
    return {
        "one_by_one_ms": round(alone, 1),
        "together_ms": {n: round(ms, 1) for n, ms in at_once.items()},
        "ceiling": {n: round(alone / ms, 2) for n, ms in at_once.items()},
    }


if __name__ == "__main__":
    main()
